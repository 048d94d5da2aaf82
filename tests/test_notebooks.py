import ast
import json
import logging
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import papermill
import pytest
from PIL import Image
from tiny import move

from lmlib import evaluation, grid, notebooks, outcomes, paths, profiles, results, runs
from lmlib.augment import METHODS
from lmlib.augment.ops import OPS
from lmlib.notebooks import NotebookFailed, execute, fingerprint, modules_used, refresh

NOTEBOOKS = sorted(path.stem for path in paths.NOTEBOOKS.glob("[0-9]*.ipynb"))
every_notebook = pytest.mark.parametrize("name", NOTEBOOKS)


def read(name):
    return nbformat.read(paths.NOTEBOOKS / f"{name}.ipynb", 4)


def parameters_cell(name):
    (cell,) = [cell for cell in read(name).cells if "parameters" in cell.metadata.get("tags", [])]
    return cell


# --- their form ------------------------------------------------------------------------------------------------------


@every_notebook
def test_the_opening_cell_says_what_is_claimed_read_and_written_and_what_it_costs(name):
    first = read(name).cells[0]
    assert first.cell_type == "markdown" and first.source.startswith(f"# {name[:2]} ")
    for words in ("Reads ", "Writes "):
        assert words in first.source
    assert "cost" in first.source.lower() or "CPU core" in first.source
    assert len(first.source.split("\n\n")[1]) > 30


@every_notebook
def test_the_parameters_are_annotated_literals_with_a_comment_and_begin_with_the_profile(name):
    source = parameters_cell(name).source
    statements = ast.parse(source).body
    assert all(isinstance(statement, ast.AnnAssign) for statement in statements)
    for statement, line in zip(statements, source.splitlines(), strict=True):
        ast.literal_eval(statement.value)
        assert "  # " in line and len(line.partition("  # ")[2]) > 5
    assert source.startswith('profile: str = "quick"  # ')


@every_notebook
def test_papermill_understands_every_parameter(name, caplog):
    with caplog.at_level(logging.WARNING):
        found = papermill.inspect_notebook(paths.NOTEBOOKS / f"{name}.ipynb")
    assert "Unable to parse" not in caplog.text
    names = [statement.target.id for statement in ast.parse(parameters_cell(name).source).body]
    assert list(found) == names and all(one["help"] and one["inferred_type_name"] != "None" for one in found.values())


@every_notebook
def test_the_parameters_come_before_any_other_code(name):
    first = next(cell for cell in read(name).cells if cell.cell_type == "code")
    assert first.metadata["tags"] == ["parameters"]


@every_notebook
def test_it_is_committed_without_outputs_and_with_cell_ids(name):
    notebook = read(name)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None
    nbformat.validate(notebook)


@every_notebook
def test_its_cells_are_short_and_define_at_most_one_formula(name):
    codes = [cell.source for cell in read(name).cells if cell.cell_type == "code"]
    assert all(len(code.splitlines()) <= 25 for code in codes)
    nodes = [node for code in codes for node in ast.walk(ast.parse(code))]
    assert sum(isinstance(node, (ast.FunctionDef, ast.ClassDef)) for node in nodes) <= 1


@every_notebook
def test_it_ends_with_a_word_on_what_is_weak(name):
    last = read(name).cells[-1]
    assert last.cell_type == "markdown" and len(last.source) > 100


@every_notebook
def test_an_unknown_parameter_is_refused_before_anything_is_executed(name, tmp_path):
    with pytest.raises(ValueError, match=rf"unknown parameter of {name} 'profil': did you mean 'profile'"):
        execute(name, tmp_path / "out.ipynb", {"profil": "quick"}, tmp_path / "log")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_notebook_offers_the_nearest(tmp_path):
    with pytest.raises(ValueError, match="unknown notebook '06-comparisn': did you mean '06-comparison'"):
        execute("06-comparisn", tmp_path / "out.ipynb", {}, tmp_path / "log")


# --- executed --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study's folders for the notebooks of this file, which build on each other's files; `run` executes one."""
    folder = tmp_path_factory.mktemp("study")

    def run(name, **parameters):
        execute(name, folder / f"{name}.ipynb", {"profile": "quick"} | parameters, folder / f"{name}.log")
        made = {path.name: path for path in notebooks.made_by(name, "quick")}
        for path in made.values():
            if path.suffix == ".png":
                assert min(Image.open(path).size) > 100 and np.asarray(Image.open(path).convert("L")).std() > 5
        return made

    with pytest.MonkeyPatch.context() as patch:
        move(patch, folder)
        patch.chdir(folder)
        yield SimpleNamespace(run=run, root=folder)


@pytest.fixture(scope="module")
def run_of_04(study):
    """One run, trained and measured by `04-train` as the grid has it done."""
    setting = profiles.run_settings("quick", method="baseline", epochs=1, n_train=200)
    (name,) = grid.ensure([setting], jobs=1)
    return SimpleNamespace(name=name, setting=setting, folder=paths.RUNS / name)


def test_01_covariance_writes_its_tables_and_figures(study):
    made = study.run("01-covariance", n_images=8, n_levels=2, n_draws=20_000, n_fractals=8)
    assert {"01-covariance.csv", "01-operations.csv"} < set(made) and len(made) >= 5
    table = pd.read_csv(made["01-operations.csv"])
    assert set(table["operation"]) == set(OPS["paper"])
    assert (table["n"] == 8).all() and (table["squared_change"] >= 0).all()


def test_02_fractals_shows_the_set_and_how_it_is_made(study):
    made = study.run("02-fractals", n_fractals=12, n_photographs=12)
    assert set(made) == {f"02-{what}.png" for what in (
        "chaos-game", "grey", "mixing-set", "spectra", "statistics", "preparation")}  # fmt: skip
    assert list((paths.CACHE / "fractals").glob("generated-12-*.npy"))


def test_03_layermix_shows_every_layer_and_the_grid_of_its_two_settings(study):
    made = study.run("03-layermix", n_fractals=4, seed=3)
    assert {"03-layermix-layers.png", "03-layermix-samples.png", "03-layermix-magnitude-beta.png"} < set(made)
    executed = json.loads((study.root / "03-layermix.ipynb").read_text())
    text = [out.get("text", "") for cell in executed["cells"] for out in cell.get("outputs", [])]
    assert any("median" in "".join(one) and "n = 21" in "".join(one) for one in text)


def test_04_train_leaves_a_finished_run_with_rows_and_its_executed_notebook(run_of_04):
    rows = results.read_rows("quick", [run_of_04.name])
    assert set(evaluation.BENCHMARKS) <= set(rows["benchmark"]) and rows[results.PROVENANCE].notna().all(axis=None)
    assert (rows["epochs"] == 1).all() and (rows["n_train"] == 200).all() and (rows["method"] == "baseline").all()
    kept = outcomes.read_outcomes(run_of_04.folder / "evaluations" / "clean.npz")
    (clean,) = rows.query("measure == 'clean_error'")["value"]
    assert clean == np.mean(kept["logits"].argmax(1) != kept["labels"])
    assert len(runs.history_of(run_of_04.name)) == 1
    executed = nbformat.read(run_of_04.folder / "train.ipynb", 4)
    assert any(cell.get("outputs") for cell in executed.cells)
    assert {path.name for path in run_of_04.folder.iterdir()} == {
        ".lock", "config.json", "checkpoint.safetensors", "done.json", "evaluations", "train.ipynb", "train.log"}  # fmt: skip


def test_04_train_is_not_executed_for_a_run_that_has_rows(run_of_04, monkeypatch):
    monkeypatch.setattr(notebooks, "execute", lambda *_: pytest.fail("executed again"))
    assert grid.ensure([run_of_04.setting], jobs=1) == [run_of_04.name]


def test_05_evaluate_draws_the_run_without_measuring_it_again(study, run_of_04):
    kept = {path: path.stat().st_mtime_ns for path in (run_of_04.folder / "evaluations").iterdir()}
    made = study.run("05-evaluate", run=run_of_04.name)
    assert {"05-evaluate-reliability.png", "05-evaluate-aurra.png"} <= set(made)
    assert {path: path.stat().st_mtime_ns for path in (run_of_04.folder / "evaluations").iterdir()} == kept


def test_06_comparison_makes_its_table_from_the_rows(study, run_of_04):
    template = results.read_rows("quick", [run_of_04.name]).astype(object).fillna("")
    for setting in profiles.comparison("quick"):
        name, seed = runs.resolve(**setting)[0].name, setting["seed"]
        value = {"baseline": 0.5, "layermix": 0.1}[setting["method"]] + seed / 10
        identity = {"run": name, "method": setting["method"], "seed": seed, "value": value}
        results.write_rows("quick", name, template.assign(**identity).to_dict("records"))
    made = study.run("06-comparison")
    assert "06-comparison.png" in made
    table = pd.read_csv(made["06-comparison.csv"], index_col=["benchmark", "measure"])
    assert table.loc[("clean", "clean_error"), ["baseline", "layermix"]].tolist() == [
        "60.0 ± 10.0 (n=3)", "20.0 ± 10.0 (n=3)"]  # fmt: skip
    assert (table["profile"] == "quick").all()


def test_08_methods_draws_every_method_and_measures_its_moments(study):
    made = study.run("08-methods", n_images=60, n_fractals=1, n_mixing=4)
    assert {"08-methods-photograph.png", "08-methods-dataset.png", "08-methods-moments.png"} < set(made)
    table = pd.read_csv(made["08-methods.csv"])
    assert set(table.loc[table["part"] == "method", "name"]) == set(METHODS)
    assert set(table.loc[table["part"] == "layermix operation", "name"]) == set(OPS["paper"])
    assert (table.loc[table["part"] == "method", ["n_samples", "n_images"]] == 60).all(axis=None)


# --- executing -------------------------------------------------------------------------------------------------------


@pytest.fixture
def own_notebooks(root, monkeypatch):
    """A folder of notebooks for the test: call it with a name and the code cells after the parameters."""
    monkeypatch.setattr(paths, "NOTEBOOKS", root / "notebooks")
    paths.NOTEBOOKS.mkdir()

    def write(name, *codes, parameters='profile: str = "quick"  # the profile\nn: int = 1  # a number'):
        first = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
        cells = [nbformat.v4.new_markdown_cell(f"# {name}"), first, *map(nbformat.v4.new_code_cell, codes)]
        metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), paths.NOTEBOOKS / f"{name}.ipynb")

    return write


def test_a_cell_that_fails_is_named_with_notebook_error_and_log_and_the_output_stays_away(own_notebooks, root):
    own_notebooks("20-fails", "# a comment\nprint('before')", "1 / (n - 1)", "print('never')")
    with pytest.raises(NotebookFailed) as caught:
        execute("20-fails", root / "out" / "20-fails.ipynb", {"n": 1}, root / "20.log")
    message = str(caught.value)
    assert (
        "20-fails failed in code cell " in message and "(1 / (n - 1)): ZeroDivisionError: division by zero" in message
    )
    assert str(root / "20.log") in message and "before" in (root / "20.log").read_text()
    assert [path.name for path in (root / "out").iterdir()] == ["20-fails.failed.ipynb"]
    execute("20-fails", root / "out" / "20-fails.ipynb", {"n": 2}, root / "20.log")
    assert [path.name for path in (root / "out").iterdir()] == ["20-fails.ipynb"]


def test_a_notebook_that_fails_keeps_the_last_good_copy(own_notebooks, root):
    (root / "20-fails.ipynb").write_text("the last good copy")
    own_notebooks("20-fails", "raise ValueError('no')")
    with pytest.raises(NotebookFailed, match="ValueError: no"):
        execute("20-fails", root / "20-fails.ipynb", {}, root / "20.log")
    assert (root / "20-fails.ipynb").read_text() == "the last good copy"


def test_a_kernel_that_is_killed_is_a_failed_notebook(own_notebooks, root):
    own_notebooks("20-dies", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(NotebookFailed, match="20-dies failed"):
        execute("20-dies", root / "20-dies.ipynb", {}, root / "20.log")
    assert not (root / "20-dies.ipynb").exists()


# An interrupted notebook: see test_cli, where Ctrl-C comes in the middle of 01.


@pytest.fixture
def counted(own_notebooks, monkeypatch):
    """A notebook `20-counted` that writes a figure, and the list of its executions."""
    own_notebooks("20-counted", "from lmlib import statistics")
    calls = []

    def execute(name, output, parameters, log):
        calls.append(parameters)
        output.write_text("{}")
        paths.write_text(paths.FIGURES / "quick" / "20-counted.png", "a figure")

    monkeypatch.setattr(notebooks, "execute", execute)
    return calls


def test_an_unchanged_notebook_is_not_executed_again(counted):
    assert refresh("20-counted", {"profile": "quick"})[1] is True
    seconds, now = refresh("20-counted", {"profile": "quick"})
    assert len(counted) == 1 and now is False and seconds < 60


def test_a_notebook_is_executed_again_when_what_it_made_is_gone(counted):
    refresh("20-counted", {"profile": "quick"})
    (paths.FIGURES / "quick" / "20-counted.png").unlink()
    assert refresh("20-counted", {"profile": "quick"})[1] is True
    (paths.CACHE / "executed" / "quick" / "20-counted.ipynb").unlink()
    assert refresh("20-counted", {"profile": "quick"})[1] is True


@pytest.mark.parametrize("damage", [lambda c: b"", lambda c: c[:-1], lambda c: c[:3] + bytes([c[3] ^ 1]) + c[4:]])
def test_a_changed_figure_or_table_is_named_and_made_again(counted, capsys, damage):
    refresh("20-counted", {"profile": "quick"})
    figure = paths.FIGURES / "quick" / "20-counted.png"
    figure.write_bytes(damage(figure.read_bytes()))
    assert refresh("20-counted", {"profile": "quick"})[1] is True
    assert "figures/quick/20-counted.png is missing or was changed: made again" in capsys.readouterr().out
    assert figure.read_text() == "a figure" and refresh("20-counted", {"profile": "quick"})[1] is False


def test_what_is_made_of_an_executed_notebook_is_part_of_what_it_made(counted, root):
    page = paths.FIGURES / "quick" / "20-counted.html"
    calls = [refresh("20-counted", {"profile": "quick"}, (), lambda executed: page.write_bytes(executed.read_bytes()))]
    page.write_text("")
    for _ in range(2):
        calls.append(refresh("20-counted", {"profile": "quick"}, (), lambda executed: page.write_text("again")))
    assert [now for _, now in calls] == [True, True, False] and page.read_text() == "again"


def test_two_studies_at_once_execute_a_notebook_once(counted, monkeypatch):
    slow = notebooks.execute
    monkeypatch.setattr(notebooks, "execute", lambda *given: (time.sleep(0.3), slow(*given)))
    done = []
    threads = [
        threading.Thread(target=lambda: done.append(refresh("20-counted", {"profile": "quick"})[1])) for _ in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [False, True] and len(counted) == 1


@pytest.mark.parametrize("content", ["", "{", "{}", '{"fingerprint": 3}'])
def test_a_damaged_stamp_only_means_that_the_notebook_is_executed_again(counted, content):
    refresh("20-counted", {"profile": "quick"})
    (paths.CACHE / "executed" / "quick" / "20-counted.json").write_text(content)
    assert refresh("20-counted", {"profile": "quick"})[1] is True


def test_other_parameters_cells_or_rows_execute_it_again(counted, own_notebooks, root):
    rows = root / "rows.csv"
    rows.write_text("1")
    refresh("20-counted", {"profile": "quick"}, [rows])
    assert refresh("20-counted", {"profile": "quick", "n": 2}, [rows])[1] is True
    rows.write_text("2")
    assert refresh("20-counted", {"profile": "quick", "n": 2}, [rows])[1] is True
    own_notebooks("20-counted", "from lmlib import statistics, names")
    assert refresh("20-counted", {"profile": "quick", "n": 2}, [rows])[1] is True
    assert refresh("20-counted", {"profile": "quick", "n": 2}, [rows])[1] is False


def test_a_failed_execution_is_repeated(counted, monkeypatch):
    refresh("20-counted", {"profile": "quick"})
    with monkeypatch.context() as patch:
        patch.setattr(notebooks, "execute", lambda *_: (_ for _ in ()).throw(NotebookFailed("20-counted failed")))
        with pytest.raises(NotebookFailed):
            refresh("20-counted", {"profile": "quick", "n": 2})
    assert refresh("20-counted", {"profile": "quick", "n": 2})[1] is True


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package that may be changed; `modules_used` looks into it."""
    copy = tmp_path / "copy" / "lmlib"
    shutil.copytree(Path(notebooks.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(notebooks, "__file__", str(copy / "notebooks.py"))
    return copy


@pytest.mark.parametrize(
    "changed, matters",
    [("statistics.py", True), ("random.py", True), ("explorer.py", False), ("gradcam.py", False)],
)
def test_a_notebook_changes_with_the_code_it_imports_directly_or_not(own_notebooks, package, changed, matters):
    own_notebooks("20-counted", "from lmlib import statistics")
    before = fingerprint("20-counted", {})
    assert fingerprint("20-counted", {}) == before
    file = package / changed
    file.write_text(file.read_text() + "\n# a change\n")
    assert (fingerprint("20-counted", {}) != before) == matters


def test_every_file_of_the_package_that_an_import_loads_is_among_those_used():
    source = "from lmlib import gradcam, grid, LayerMix\nfrom lmlib.explorer import Explorer\nimport lmlib.bench as b"
    program = (
        f"{source}\nimport sys\nprint(*(m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'lmlib'))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert len(loaded) > 20 and {Path(file) for file in loaded} <= modules_used(source)


def test_lines_for_the_shell_do_not_hinder_the_fingerprint(own_notebooks):
    own_notebooks("20-counted", "%matplotlib inline\n!ls\nfrom lmlib import random")
    assert len(fingerprint("20-counted", {})) == 64
