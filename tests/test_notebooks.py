import ast
import base64
import io
import json
import logging
import re
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import papermill
import pytest
import torch
from PIL import Image
from tiny import move

from lmlib import files, paths
from lmlib.augment import METHODS
from lmlib.augment.ops import OPS
from lmlib.names import C_BAR_CORRUPTIONS, C_CORRUPTIONS
from lmlib.study import evaluation, grid, notebooks, outcomes, plans, profiles, runs
from lmlib.study import rows as results
from lmlib.study.notebooks import (
    MALLOC_SETTINGS,
    NotebookFailed,
    check_parameters,
    execute,
    fingerprint,
    modules_used,
    refresh,
)
from lmlib.study.plans import run_settings

NOTEBOOKS = sorted(path.stem for path in paths.NOTEBOOKS.glob("[0-9]*.ipynb"))
METHOD_ORDER = profiles.get_profile("quick").methods
MEASURED_ANEW = (
    "baseline",
    "pixmix",
    "layermix",
)  # methods whose weights the executed notebooks find
IN_THE_REPORT = ("10", "11", "12", "13")
SMALL = {
    "00-explore": {"n_fractals": 2},
    "01-covariance": {"n_images": 8, "n_levels": 2, "n_draws": 20_000, "n_fractals": 8},
    "02-blends-and-levels": {"n_images": 8, "n_levels": 2, "n_draws": 20_000},
    "03-fractals": {"source": "generated", "n_fractals": 12, "n_photographs": 12},
    "04-layermix": {"n_fractals": 4, "seed": 3, "operations": ["rotate"]},
    "08-benchmarks": {"n_images": 20, "n_sequences": 6, "n_attacked": 8, "n_timed": 2},
    "09-methods": {"n_images": 60, "n_fractals": 1, "n_mixing": 4},
    "15-gradcam": {"n_images": 12, "photographs": ["china"]},
    "18-layers": {"n_images": 20},
}
"""The parameters of the executed notebooks, over their defaults."""
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
    assert list(found) == names and all(
        one["help"] and one["inferred_type_name"] != "None" for one in found.values()
    )


@every_notebook
def test_its_metadata_names_the_plan_of_its_rows(name):
    about = notebooks.metadata(name)
    code = "\n".join(cell.source for cell in read(name).cells if cell.cell_type == "code")
    reads_rows = "read_rows" in code or "grid.ensure" in code or name == "05-train"
    assert reads_rows == ("needs" in about)
    plan = f"plans.{about.get('needs')}("
    assert not reads_rows or name == "05-train" or plan in code
    assert ("shows_the_others" in about) == (name == notebooks.names()[-1])


@pytest.mark.parametrize(
    ("about", "words"), [({"need": "table_5"}, "'need'"), ({"needs": "table_8"}, "'table_8'")]
)
def test_an_unknown_key_or_plan_in_the_metadata_is_named(own_notebooks, about, words):
    own_notebooks("21-says", about=about)
    with pytest.raises(ValueError, match=f"{words}: did you mean"):
        notebooks.metadata("21-says")


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
    with pytest.raises(
        ValueError, match=rf"unknown parameter of {name} 'profil': did you mean 'profile'"
    ):
        execute(name, tmp_path / "out.ipynb", {"profil": "quick"}, tmp_path / "log")
    assert list(tmp_path.iterdir()) == []


def test_parameters_of_numpy_and_torch_are_those_of_python():
    given = {
        "epochs": np.int64(3),
        "seed": torch.tensor(2),
        "parameters": {"beta": np.float32(0.5), "k": (1, 2)},
    }
    expected = {"epochs": 3, "seed": 2, "parameters": {"beta": 0.5, "k": [1, 2]}}
    assert check_parameters("05-train", given) == expected
    assert fingerprint("05-train", given) == fingerprint("05-train", expected)
    assert run_settings("quick", **given) == run_settings("quick", **expected)
    json.dumps(run_settings("quick", **given))


@pytest.mark.parametrize(
    ("name", "parameter", "value", "kind"),
    [
        ("05-train", "epochs", True, "int"),
        ("05-train", "seed", 1.5, "int"),
        ("05-train", "seed", "1", "int"),
        ("05-train", "parameters", [5], "dict"),
        ("05-train", "method", 3, "str"),
        ("09-methods", "seed", np.True_, "int"),
        ("04-layermix", "magnitude", True, "float"),
        ("16-ablations", "train_absent", 1, "bool"),
    ],
)
def test_a_parameter_of_another_type_is_refused_before_anything_is_executed(
    name, parameter, value, kind, tmp_path
):
    with pytest.raises(
        ValueError, match=f"parameter {parameter} of {name} must be of type {kind}, got"
    ):
        execute(name, tmp_path / "out.ipynb", {parameter: value}, tmp_path / "log")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_notebook_offers_the_nearest(tmp_path):
    with pytest.raises(
        ValueError, match="unknown notebook '07-comparisn': did you mean '07-comparison'"
    ):
        execute("07-comparisn", tmp_path / "out.ipynb", {}, tmp_path / "log")


# --- executed --------------------------------------------------------------------------------------------------------


def own_pictures(folder, n):
    """A folder of `n` pictures of the user's, noise, which are prepared in no time."""
    folder.mkdir(parents=True)
    for k, picture in enumerate(
        np.random.default_rng(0).integers(0, 256, (n, 40, 40, 3), np.uint8)
    ):
        Image.fromarray(picture).resize((300, 300)).save(folder / f"{k}.png")


@pytest.fixture(scope="module")
def study(tmp_path_factory, request):
    """A study's folders for the notebooks of this file, which build on each other's files.

    `start` has a notebook executed, two side by side, if a test of its number is to run; `result` waits for it and gives the
    files that it wrote, {name: path}, and everything that it shows as one text.
    """
    folder, futures = tmp_path_factory.mktemp("study"), {}
    asked = {item.name[5:7] for item in request.session.items if item.path == request.path}
    asked |= set(IN_THE_REPORT) if "20" in asked else set()
    pool = ThreadPoolExecutor(2)

    def start(name, **parameters):
        parameters = {"profile": "quick"} | SMALL.get(name, {}) | parameters
        if name[:2] in asked:
            futures[name] = pool.submit(
                execute, name, folder / f"{name}.ipynb", parameters, folder / f"{name}.log"
            )

    def result(name):
        futures[name].result()
        made = {path.name: path for path in notebooks.made_by(name, "quick")}
        for path in made.values():
            if path.suffix == ".png":
                assert (
                    min(Image.open(path).size) > 100
                    and np.asarray(Image.open(path).convert("L")).std() > 5
                )
        text = shown(folder / f"{name}.ipynb")
        assert "PosixPath" not in text and str(folder) not in text and "VBox(" not in text
        return made, text

    with pytest.MonkeyPatch.context() as patch:
        move(patch, folder)
        patch.chdir(folder)
        own_pictures(paths.RAW / "fractals", 6)
        runs.mixing_set_of.cache_clear()  # of what other tests mix with
        for name in ("00-explore", "01-covariance", "02-blends-and-levels", "03-fractals",
                     "04-layermix", "09-methods", "19-imagenet"):  # fmt: skip
            start(name)
        yield SimpleNamespace(start=start, result=result, folder=folder)
        pool.shutdown(cancel_futures=True)
    runs.mixing_set_of.cache_clear()


def shown(path):
    """Everything that an executed notebook shows, as one text."""
    outputs = [
        out
        for cell in nbformat.read(path, 4).cells
        if cell.cell_type == "code"
        for out in cell.outputs
    ]
    kinds = ("text/plain", "text/html", "text/markdown")
    return "\n".join(
        text
        for out in outputs
        for text in (out.get("text", ""), *(out.get("data", {}).get(k, "") for k in kinds))
    )


@pytest.fixture(scope="module")
def run_of_04(study):
    """One run, trained and measured by `05-train` as the grid has it done."""
    setting = plans.run_settings("quick", method="baseline", epochs=1, n_train=200)
    (name,) = grid.ensure([setting], jobs=1)
    study.start("06-evaluate", run=name)
    return SimpleNamespace(name=name, setting=setting, folder=paths.RUNS / name)


CLEAN_ERROR = {"baseline": 0.5, "layermix": 0.1}  # and a tenth more for each seed


@pytest.fixture(scope="module")
def all_runs(study, run_of_04):
    """The runs of `quick` as if trained elsewhere: {name: setting}, with rows, and three of them with weights, as committed.

    The rows are those of `run_of_04`, scaled by method, setting and seed; the clean errors are made by hand.
    """
    measured = (
        results.read_rows("quick", [run_of_04.name])[results.MEASURED].astype(object).fillna("")
    )
    tensors, values = runs.load_checkpoint(run_of_04.folder / "checkpoint.safetensors")
    values["finished"] = runs.finished(run_of_04.name)
    named = grid.named_settings(plans.whole_study("quick"))
    for name, setting in named.items():
        config, rows = runs.resolve(**setting)[0], measured.copy()
        bend = (
            config.parameters.get("magnitude", 8) * config.parameters.get("beta", 3) - 24
        ) / 1000
        part = 1 - METHOD_ORDER.index(setting["method"]) / 50 - setting["seed"] ** 2 / 200 - bend
        for column in ("value", "low", "high"):
            rows[column] = [value if value == "" else value * part for value in rows[column]]
        by_hand = CLEAN_ERROR.get(setting["method"], 0.3) + setting["seed"] / 10 + bend
        rows.loc[rows["measure"] == "clean_error", "value"] = by_hand
        evaluation.record("quick", config, rows.to_dict("records"), values["finished"])
        if setting["method"] in MEASURED_ANEW and setting["seed"] == 0 and not config.parameters:
            weights = paths.RESULTS / "quick" / "weights" / f"{name}.safetensors"
            runs.save_checkpoint(weights, tensors, values | {"config": asdict(config)})
    for name in ("07-comparison", "08-benchmarks", "10-tables-3-4", "11-table-5", "12-table-6", "13-table-7", "14-heatmaps",
                 "15-gradcam", "16-ablations", "17-release", "18-layers"):  # fmt: skip
        study.start(name)
    return named


def test_01_covariance_writes_its_table_and_figures(study):
    made, _ = study.result("01-covariance")
    assert set(made) == {"01-covariance.csv", *(f"01-{what}.png" for what in ("mixture", "stages", "two-stages"))}  # fmt: skip
    parts = pd.read_csv(made["01-covariance.csv"])
    assert set(parts["pipeline"]) == {"shared", "IID"} and (parts["n"] == 8).all()


def test_02_blends_and_levels_writes_its_table_and_figures(study):
    made, _ = study.result("02-blends-and-levels")
    figures = ("diversity", "linearity", "missing-term", "once-twice", "weights")
    assert set(made) == {"02-operations.csv", *(f"02-{what}.png" for what in figures)}
    table = pd.read_csv(made["02-operations.csv"])
    assert set(table["operation"]) == set(OPS["paper"])
    assert (table["n"] == 8).all() and (table["squared_change"] >= 0).all()


def test_03_fractals_shows_the_set_and_how_it_is_made(study):
    made, _ = study.result("03-fractals")
    assert set(made) == {f"03-{what}.png" for what in (
        "chaos-game", "grey", "mixing-set", "spectra", "statistics", "preparation")}  # fmt: skip
    assert list((paths.CACHE / "fractals").glob("generated-12-*.safetensors"))


def test_04_layermix_shows_every_layer_and_the_grid_of_its_two_settings(study):
    made, text = study.result("04-layermix")
    assert {
        "04-layermix-layers.png",
        "04-layermix-samples.png",
        "04-layermix-magnitude-beta.png",
    } < set(made)
    folder = paths.FIGURES / "quick"
    assert (folder / "explore.html").stat().st_size > 1e5 and "explore.html: 0." in text
    assert Image.open(folder / "explore.webp").n_frames > 10 and "42 pictures" in text


def test_00_explore_runs_without_a_browser_and_leaves_a_picture(study):
    made, _ = study.result("00-explore")
    (output,) = [
        out
        for cell in nbformat.read(study.folder / "00-explore.ipynb", 4).cells
        if cell.cell_type == "code"
        for out in cell.outputs
        if "image/png" in out.get("data", {})
    ]
    picture = Image.open(io.BytesIO(base64.b64decode(output["data"]["image/png"])))
    assert made == {} and picture.width > 6 * 224 and list(output["data"]) == ["image/png"]


def test_05_train_leaves_a_finished_run_with_rows_and_its_executed_notebook(run_of_04):
    rows = results.read_rows("quick", [run_of_04.name])
    assert set(evaluation.BENCHMARKS) <= set(rows["benchmark"]) and rows[
        results.PROVENANCE
    ].notna().all(axis=None)
    assert (
        (rows["epochs"] == 1).all()
        and (rows["n_train"] == 200).all()
        and (rows["method"] == "baseline").all()
    )
    kept = outcomes.read_outcomes(run_of_04.folder / "evaluations" / "clean.safetensors")
    (clean,) = rows.query("measure == 'clean_error'")["value"]
    assert clean == np.mean(kept["logits"].argmax(1) != kept["labels"])
    assert len(runs.history_of(run_of_04.name)) == 1
    executed = nbformat.read(run_of_04.folder / "train.ipynb", 4)
    assert any(cell.get("outputs") for cell in executed.cells)
    assert {path.name for path in run_of_04.folder.iterdir()} == {
        ".lock", "config.json", "checkpoint.safetensors", "done.json", "evaluations", "train.ipynb", "train.log"}  # fmt: skip


def test_05_train_is_not_executed_for_a_run_that_has_rows(run_of_04, monkeypatch):
    monkeypatch.setattr(notebooks, "execute", lambda *_: pytest.fail("executed again"))
    assert grid.ensure([run_of_04.setting], jobs=1) == [run_of_04.name]


def test_06_evaluate_draws_the_run_without_measuring_it_again(study, run_of_04):
    kept = {path: path.stat().st_mtime_ns for path in (run_of_04.folder / "evaluations").iterdir()}
    made, _ = study.result("06-evaluate")
    assert {"06-evaluate-reliability.png", "06-evaluate-aurra.png"} <= set(made)
    assert {
        path: path.stat().st_mtime_ns for path in (run_of_04.folder / "evaluations").iterdir()
    } == kept


def test_07_comparison_makes_its_table_from_the_rows(study, all_runs):
    made, _ = study.result("07-comparison")
    assert "07-comparison.png" in made
    table = pd.read_csv(made["07-comparison.csv"], index_col=["benchmark", "measure"])
    assert table.loc[("clean", "clean_error"), ["baseline", "layermix"]].tolist() == [
        "55.0 ± 7.1 (n=2)", "15.0 ± 7.1 (n=2)"]  # fmt: skip
    assert (table["profile"] == "quick").all()


def test_08_benchmarks_measures_every_trap_with_committed_weights_alone(study, all_runs):
    two = [
        name
        for name in all_runs
        if name.endswith("s0", 0, -9) and re.search("-(baseline|layermix)-e", name)
    ]
    assert len(two) == 2 and not any((paths.RUNS / name).exists() for name in two)
    made, _ = study.result("08-benchmarks")
    assert set(made) == {"08-benchmarks.csv", *(f"08-{what}.png" for what in (
        "c", "c-bar", "p", "reference", "glass", "calibration", "pgd", "black", "cost"))}  # fmt: skip
    table = pd.read_csv(made["08-benchmarks.csv"])
    assert set(table["trap"]) == {"truncation", "glass blur", "last bin", "PGD", "black frames"}
    assert (
        set(table["method"].dropna()) == {"baseline", "layermix"}
        and (table["profile"] == "quick").all()
    )
    assert (table.loc[table["trap"] == "PGD", "n"] == 8).all()
    assert (table.query("quantity == 'change of error if swapped'")["n"] == 20).all()
    nothing = table[
        table["quantity"].str.fullmatch(
            "RMS calibration error of 1[05]0 predictions, without the last"
        )
    ]
    assert len(nothing) == 4 and (nothing["value"] == 0).all()  # one bin, and that is left out
    assert all((paths.RUNS / name / "evaluations" / "c.safetensors").exists() for name in two)


def test_09_methods_draws_every_method_and_measures_its_moments(study):
    made, _ = study.result("09-methods")
    assert {"09-methods-photograph.png", "09-methods-dataset.png", "09-methods-moments.png"} < set(
        made
    )
    table = pd.read_csv(made["09-methods.csv"])
    assert set(table.loc[table["part"] == "method", "name"]) == set(METHODS)
    assert set(table.loc[table["part"] == "layermix operation", "name"]) == set(OPS["paper"])
    assert (table.loc[table["part"] == "method", ["n_samples", "n_images"]] == 60).all(axis=None)


def says_what_it_is(table, text, name, replicated):
    """Assert what holds for every table of `quick`: title and rows name the profile, single seeds are marked, no difference to the
    paper's value is printed. replicated: which rows have every seed."""
    assert f"{name} · profile quick: digits, wrn-10-1, 10 epochs, " in text
    assert (table["profile"] == "quick").all() and not any(
        "difference" in column for column in table
    )
    assert (table["n"] == np.where(replicated, 2, 1)).all()
    with_interval = table["title"].isin(["clean", "C mCE", "P mFP", "PGD strict", "PGD published"])
    assert ((table["n"] == 1) == table["image_low"].notna())[with_interval].all()
    assert "]</small><br><small>(n=1)</small>" in text and "Grey: printed" not in text


def test_10_tables_3_and_4_have_every_method_with_its_n_and_the_printed_values_beside(
    study, all_runs
):
    made, text = study.result("10-tables-3-4")
    assert set(made) == {
        "10-clean-and-mce.png",
        "10-layermix-minus.csv",
        "10-table-3-digits.csv",
        "10-table-4-digits.csv",
    }
    for number in (3, 4):
        table = pd.read_csv(made[f"10-table-{number}-digits.csv"])
        says_what_it_is(table, text, f"Table {number}, digits", table["method"].isin(CLEAN_ERROR))
        assert set(table["method"]) == set(METHOD_ORDER)
        for title in {3: ["C mCE", "P mFP", "PGD strict"], 4: ["clean", "C-bar mCE", "P mT5D"]}[
            number
        ]:
            assert table.loc[table["title"] == title, "method"].is_unique
    clean = table[table["title"] == "clean"].set_index("method")
    assert clean.loc["baseline", ["mean", "std", "n"]].tolist() == pytest.approx(
        [0.55, 0.5**0.5 / 10, 2]
    )
    assert (
        clean.loc["pixmix", ["mean", "n"]].tolist() == pytest.approx([0.3, 1])
        and clean["mark"].isna().all()
    )
    assert clean.loc["baseline", "printed"] == pytest.approx(0.213)  # Table 4: 21.3 %
    assert set(pd.read_csv(made["10-layermix-minus.csv"])["reference"]) == {
        "baseline"
    }  # no other has two seeds


def test_11_table_5_says_which_of_its_rows_this_profile_has_not(study, all_runs):
    made, text = study.result("11-table-5")
    assert set(made) == {
        "11-table-5.csv",
        "11-table-5-differences.csv",
        "11-table-5-published.png",
        "11-table-5-compute.png",
    }
    table = pd.read_csv(made["11-table-5.csv"])
    says_what_it_is(table, text, "Table 5", table["method"].isin(CLEAN_ERROR))
    assert set(table["method"]) == {"baseline", *profiles.MIXERS} and set(table["jsd"]) == {"no"}
    assert (
        "13 of the 17 rows of Table 5 are not in profile quick: `./run_all.sh paper` makes them"
        in text
    )
    assert (
        pd.read_csv(made["11-table-5-differences.csv"]).empty
        and "0 differences in profile quick" in text
    )


def test_12_table_6_has_its_cells_and_how_the_variance_splits(study, all_runs):
    made, text = study.result("12-table-6")
    assert set(made) == {
        "12-table-6.csv",
        "12-table-6-variance.csv",
        "12-table-6.png",
        "12-table-6-variance.png",
    }
    table = pd.read_csv(made["12-table-6.csv"])
    says_what_it_is(table, text, "Table 6", (table["magnitude"] == 8) & (table["beta"] == 3))
    assert set(zip(table["magnitude"], table["beta"], strict=True)) == {
        (5, 3),
        (5, 5),
        (8, 3),
        (8, 5),
    }
    shares = pd.read_csv(made["12-table-6-variance.csv"], index_col=[0, 1])["share"].unstack()
    assert len(shares) == 5 and set(shares) == {
        "magnitude",
        "beta",
        "rest",
    }  # with one seed no interaction of its own
    assert shares.sum(axis=1).to_numpy() == pytest.approx(1)


def test_13_table_7_pairs_layermix_with_the_others_by_seed(study, all_runs):
    made, text = study.result("13-table-7")
    assert set(made) == {"13-table-7.csv", "13-table-7-differences.csv", "13-table-7.png"}
    table = pd.read_csv(made["13-table-7.csv"])
    says_what_it_is(table, text, "Table 7", table["method"].isin(CLEAN_ERROR))
    assert set(table["method"]) == {"baseline", *profiles.MIXERS} and set(table["network"]) == {
        "wrn-10-1"
    }
    differences = pd.read_csv(made["13-table-7-differences.csv"]).set_index(["reference", "title"])
    clean = differences.xs("clean", level="title")
    assert clean["n"].to_dict() == {"baseline": 2, "pixmix": 1, "ipmix": 1}
    assert clean.loc["baseline", "mean"] == pytest.approx(-0.4) and np.isinf(
        clean.loc["pixmix", "low"]
    )


def test_14_heatmaps_show_every_corruption_of_every_method(study, all_runs):
    made, text = study.result("14-heatmaps")
    assert set(made) == {"14-errors.csv", "14-layermix-minus-baseline.csv", *(
        f"14-{what}-digits.png" for what in ("fig-3", "fig-5", "severity"))}  # fmt: skip
    table = pd.read_csv(made["14-errors.csv"])
    corruptions = table["corruption"].unique()
    assert (
        len(table) == len(METHOD_ORDER) * len(corruptions) * 5 and table["mean"].between(0, 1).all()
    )
    assert {*C_CORRUPTIONS, *C_BAR_CORRUPTIONS} - set(corruptions) <= {
        "frost"
    }  # its photographs may not be here
    assert (table["n"] == np.where(table["method"].isin(CLEAN_ERROR), 2, 1)).all()
    assert (
        "profile quick: digits, wrn-10-1, 10 epochs; 50 stratified test images, corruptions generated"
        in text
    )
    helped = pd.read_csv(made["14-layermix-minus-baseline.csv"])
    assert set(helped["corruption"]) == set(corruptions) and (helped["n"] == 2).all()


def test_15_gradcam_maps_the_networks_whose_weights_are_here_and_names_the_others(study, all_runs):
    made, text = study.result("15-gradcam")
    figures = {f"15-gradcam-{end}.png" for end in ("224", "methods", "photographs")}
    assert set(made) == {"15-gradcam.csv", *figures}
    table = pd.read_csv(made["15-gradcam.csv"]).set_index("method")
    assert (
        set(table.index) == set(MEASURED_ANEW)
        and (table["n"] == 12).all()
        and (table["networks"] == 1).all()
    )
    assert (table["low"] <= table["agreement"]).all() and (
        table["agreement"] <= table["high"]
    ).all()
    assert (
        table["agreement"].nunique() == 1 and (table["profile"] == "quick").all()
    )  # one network under three names
    assert text.count("left out: digits-wrn-10-1-") == len(METHOD_ORDER) - len(MEASURED_ANEW)


def test_16_ablations_compare_what_is_there_and_name_what_is_absent(study, all_runs):
    made, text = study.result("16-ablations")
    compared = {"shared"}  # the others need methods that this profile has not
    assert set(made) == {*(f"16-ablations-{what}.csv" for what in ("differences", *compared)),
                         "16-ablations-differences.png"}  # fmt: skip
    assert "IID, m = 3 ABSENT" in text and "nothing to compare in profile quick" in text
    differences = pd.read_csv(made["16-ablations-differences.csv"])
    assert (
        set(differences["ablation"]) == compared
        and (differences["n"] == 1).all()
        and not differences["holds"].any()
    )


def test_17_release_measures_every_choice_on_every_run_that_has_what_it_needs(study, all_runs):
    made, text = study.result("17-release")
    assert set(made) == {"17-release.csv", "17-release.png"}
    choices = pd.read_csv(made["17-release.csv"], index_col=0)
    assert choices.loc["PGD: published - strict", "n"] == len(all_runs)
    assert choices.loc["clean error: best on test - last epoch", "n"] == len(MEASURED_ANEW)
    assert f"{len(MEASURED_ANEW)} of {len(all_runs)} runs have their history here" in text


def test_18_layers_measures_every_pipeline_on_the_same_images(study, all_runs):
    made, text = study.result("18-layers")
    assert set(made) == {"18-layers.csv", "18-layers.png"}
    diversity = pd.read_csv(made["18-layers.csv"], index_col=0)
    assert (
        len(diversity) == 12 and (diversity["n"] == 20).all() and (diversity["networks"] == 1).all()
    )
    assert (diversity["diversity"] > 0).all() and "no history of: LayerMix" not in text


def test_19_imagenet_has_the_printed_tables_and_a_network_judged_on_photographs(study):
    made, text = study.result("19-imagenet")
    assert set(made) == {f"19-photographs{end}" for end in (".csv", "-errors.png", "-shown.png")}
    assert "no ImageNet rows here" in text and "16 photographs, 2 of them corrupted" in text
    for words in ("Table 8, as printed", "43.34", "76.7%", "60.8%", "by-own-prediction"):
        assert words in text
    table = pd.read_csv(made["19-photographs.csv"]).set_index("title")
    assert (table["network"] == "efficientnet-lite0").all() and table.loc["clean", "mean"] == 0
    assert table.loc[["C mCE", "C-bar mCE", "P mFP"], "n_images"].tolist() == [2, 2, 2]


def test_20_report_has_every_claim_without_a_verdict_and_every_table(study, all_runs):
    for name in NOTEBOOKS:
        if name[:2] in IN_THE_REPORT:
            study.result(name)
    study.start("20-report")
    made, text = study.result("20-report")
    assert set(made) == {"20-claims.csv", "20-comparisons.csv"}
    claims = pd.read_csv(made["20-claims.csv"]).set_index("claim")
    assert (
        list(claims.index) == [f"C{n}" for n in range(1, 13)]
        and (claims["profile"] == "quick").all()
    )
    assert claims["verdict"].str.startswith(("no verdict", "not run")).all()
    assert "0 of 12 claims have a verdict in profile quick" in text
    for name in (
        "Table 3, digits",
        "Table 4, digits",
        "Table 5, digits",
        "Table 6, digits",
        "Table 7, digits",
    ):
        assert f"{name} · profile quick: digits" in text
    assert f"{len(all_runs)} runs" in text and not re.search(
        r'level1 col\d+"[^>]*>difference', text
    )


# --- executing -------------------------------------------------------------------------------------------------------


@pytest.fixture
def own_notebooks(root, monkeypatch):
    """A folder of notebooks for the test: call it with a name and the code cells after the parameters."""
    monkeypatch.setattr(paths, "NOTEBOOKS", root / "notebooks")
    paths.NOTEBOOKS.mkdir()

    def write(
        name,
        *codes,
        parameters='profile: str = "quick"  # the profile\nn: int = 1  # a number',
        about=None,
    ):
        first = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
        cells = [
            nbformat.v4.new_markdown_cell(f"# {name}"),
            first,
            *map(nbformat.v4.new_code_cell, codes),
        ]
        metadata = {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "lmlib": about or {},
        }
        nbformat.write(
            nbformat.v4.new_notebook(cells=cells, metadata=metadata),
            paths.NOTEBOOKS / f"{name}.ipynb",
        )

    return write


def test_a_cell_that_fails_is_named_with_notebook_error_and_log_and_the_output_stays_away(
    own_notebooks, root
):
    own_notebooks("20-fails", "# a comment\nprint('before')", "1 / (n - 1)", "print('never')")
    with pytest.raises(NotebookFailed) as caught:
        execute("20-fails", root / "out" / "20-fails.ipynb", {"n": 1}, root / "21.log")
    message = str(caught.value)
    assert (
        "20-fails failed in code cell " in message
        and "(1 / (n - 1)): ZeroDivisionError: division by zero" in message
    )
    assert str(root / "21.log") in message and "before" in (root / "21.log").read_text()
    assert [path.name for path in (root / "out").iterdir()] == ["20-fails.failed.ipynb"]
    (root / "out" / "20-fails.part-7.ipynb").write_text("of a process that was killed")
    execute("20-fails", root / "out" / "20-fails.ipynb", {"n": 2}, root / "21.log")
    assert [path.name for path in (root / "out").iterdir()] == ["20-fails.ipynb"]


def test_a_notebook_that_fails_keeps_the_last_good_copy(own_notebooks, root):
    (root / "20-fails.ipynb").write_text("the last good copy")
    own_notebooks("20-fails", "raise ValueError('no')")
    with pytest.raises(NotebookFailed, match="ValueError: no"):
        execute("20-fails", root / "20-fails.ipynb", {}, root / "21.log")
    assert (root / "20-fails.ipynb").read_text() == "the last good copy"


def test_a_kernel_keeps_its_freed_memory_and_the_bench_too(own_notebooks, root):
    own_notebooks(
        "21-says",
        "import os\nprint('found', *(os.environ[name] for name in os.environ if 'MALLOC_' in name))",
    )
    execute("21-says", root / "21-says.ipynb", {}, root / "21.log")
    assert all(value in (root / "21.log").read_text() for value in MALLOC_SETTINGS.values())
    assert (
        " ".join(f"{name}={value}" for name, value in MALLOC_SETTINGS.items())
        in (Path(__file__).parent.parent / "run_all.sh").read_text()
    )


def test_a_kernel_that_is_killed_is_a_failed_notebook(own_notebooks, root):
    own_notebooks("20-dies", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(NotebookFailed, match="20-dies failed"):
        execute("20-dies", root / "20-dies.ipynb", {}, root / "21.log")
    assert not (root / "20-dies.ipynb").exists()


# An interrupted notebook: see test_cli, where Ctrl-C comes in the middle of 01.


@pytest.fixture
def counted(own_notebooks, monkeypatch):
    """A notebook `20-counted` that writes a figure, and the list of its executions."""
    own_notebooks("20-counted", "from lmlib.metrics import intervals")
    calls = []

    def execute(name, output, parameters, log):
        calls.append(parameters)
        output.write_text("{}")
        files.write_text(paths.FIGURES / "quick" / "20-counted.png", "a figure")

    monkeypatch.setattr(notebooks, "execute", execute)
    return calls


def test_an_unchanged_notebook_is_not_executed_again(counted):
    assert refresh("20-counted", {"profile": "quick"}) >= 0
    assert refresh("20-counted", {"profile": "quick"}) is None and len(counted) == 1


def test_a_notebook_is_executed_again_when_what_it_made_is_gone(counted):
    refresh("20-counted", {"profile": "quick"})
    (paths.FIGURES / "quick" / "20-counted.png").unlink()
    assert refresh("20-counted", {"profile": "quick"}) is not None
    (paths.CACHE / "executed" / "quick" / "20-counted.ipynb").unlink()
    assert refresh("20-counted", {"profile": "quick"}) is not None


@pytest.mark.parametrize(
    "damage", [lambda c: b"", lambda c: c[:-1], lambda c: c[:3] + bytes([c[3] ^ 1]) + c[4:]]
)
def test_a_changed_figure_or_table_is_named_and_made_again(counted, caplog, damage):
    refresh("20-counted", {"profile": "quick"})
    figure = paths.FIGURES / "quick" / "20-counted.png"
    figure.write_bytes(damage(figure.read_bytes()))
    assert refresh("20-counted", {"profile": "quick"}) is not None
    assert "figures/quick/20-counted.png is missing or was changed: made again" in caplog.text
    assert figure.read_text() == "a figure" and refresh("20-counted", {"profile": "quick"}) is None


def test_how_many_runs_go_side_by_side_does_not_execute_a_notebook_again(counted):
    refresh("20-counted", {"profile": "quick"})
    assert refresh("20-counted", {"profile": "quick", "jobs": -1}) is None and len(counted) == 1


def test_an_executed_copy_has_no_progress_bars_and_no_text_in_a_widgets_place(own_notebooks, root):
    own_notebooks(
        "20-shows",
        "import ipywidgets\nfrom tqdm import tqdm\nfrom tqdm.auto import tqdm as auto",
        "for _ in tqdm(range(3)): pass",
        "for _ in auto(range(3), desc='steps'): pass",
        "print('kept')\nipywidgets.VBox([ipywidgets.IntSlider()])",
    )
    execute("20-shows", root / "20-shows.ipynb", {}, root / "20.log")
    cells = nbformat.read(root / "20-shows.ipynb", 4).cells
    assert [len(cell.outputs) for cell in cells if cell.cell_type == "code"][2:] == [0, 0, 2]
    text = shown(root / "20-shows.ipynb")
    assert text.strip() == "kept"
    (widget,) = [out for out in cells[-1].outputs if out.output_type != "stream"]
    assert list(widget.data) == ["application/vnd.jupyter.widget-view+json"]


@every_notebook
def test_a_notebook_that_reads_rows_alone_can_be_told_not_to_train(name):
    if notebooks.metadata(name).get("rows_alone"):
        assert notebooks.without_training(name) == {"jobs": -1}
        code = "\n".join(cell.source for cell in read(name).cells if cell.cell_type == "code")
        assert not re.search(r"runs\.(dataset_of|load_model|resolve)\(|load_dataset", code)


def test_two_studies_at_once_execute_a_notebook_once(counted, monkeypatch):
    slow = notebooks.execute
    monkeypatch.setattr(notebooks, "execute", lambda *given: (time.sleep(0.3), slow(*given)))
    done = []
    threads = [
        threading.Thread(
            target=lambda: done.append(refresh("20-counted", {"profile": "quick"}) is not None)
        )
        for _ in "ab"
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
    assert refresh("20-counted", {"profile": "quick"}) is not None


def test_other_parameters_cells_or_rows_execute_it_again(counted, own_notebooks, root):
    rows = root / "rows.csv"
    rows.write_text("1")
    refresh("20-counted", {"profile": "quick"}, [rows])
    assert refresh("20-counted", {"profile": "quick", "n": 2}, [rows]) is not None
    rows.write_text("2")
    assert refresh("20-counted", {"profile": "quick", "n": 2}, [rows]) is not None
    own_notebooks("20-counted", "from lmlib import names\nfrom lmlib.metrics import intervals")
    assert refresh("20-counted", {"profile": "quick", "n": 2}, [rows]) is not None
    assert refresh("20-counted", {"profile": "quick", "n": 2}, [rows]) is None


def test_a_failed_execution_is_repeated(counted, monkeypatch):
    refresh("20-counted", {"profile": "quick"})
    with monkeypatch.context() as patch:
        patch.setattr(
            notebooks,
            "execute",
            lambda *_: (_ for _ in ()).throw(NotebookFailed("20-counted failed")),
        )
        with pytest.raises(NotebookFailed):
            refresh("20-counted", {"profile": "quick", "n": 2})
    assert refresh("20-counted", {"profile": "quick", "n": 2}) is not None


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package that may be changed; `modules_used` looks into it."""
    copy = tmp_path / "copy" / "lmlib"
    shutil.copytree(
        Path(notebooks.__file__).parent.parent, copy, ignore=shutil.ignore_patterns("__pycache__")
    )
    monkeypatch.setattr(notebooks, "__file__", str(copy / "study" / "notebooks.py"))
    return copy


@pytest.mark.parametrize(
    "changed, matters",
    [
        ("metrics/intervals.py", True),
        ("draws.py", True),
        ("report/widgets.py", False),
        ("models/gradcam.py", False),
    ],
)
def test_a_notebook_changes_with_the_code_it_imports_directly_or_not(
    own_notebooks, package, changed, matters
):
    own_notebooks("20-counted", "from lmlib.metrics import intervals")
    before = fingerprint("20-counted", {})
    assert fingerprint("20-counted", {}) == before
    file = package / changed
    file.write_text(file.read_text() + "\n# a change\n")
    assert (fingerprint("20-counted", {}) != before) == matters


def test_every_file_of_the_package_that_an_import_loads_is_among_those_used():
    source = "from lmlib import LayerMix\nfrom lmlib.models import gradcam\nfrom lmlib.study import grid\n"
    source += "from lmlib.report.explorer import Explorer\nimport lmlib.report.bench as b"
    program = f"{source}\nimport sys\nprint(*(m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'lmlib'))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert len(loaded) > 20 and {Path(file) for file in loaded} <= modules_used(source)


@pytest.mark.parametrize(
    "name", ["03-fractals", "04-layermix", "09-methods", "12-table-6", "15-gradcam", "18-layers"]
)
def test_the_fractals_that_a_user_brings_changes_or_takes_away_execute_a_notebook_that_mixes_again(
    root, name
):
    fingerprints = [fingerprint(name, {})]
    own_pictures(paths.RAW / "fractals", 3)
    fingerprints.append(fingerprint(name, {}))
    assert fingerprint(name, {}) == fingerprints[-1]
    own_pictures(paths.RAW / "fractals" / "more", 1)
    fingerprints.append(fingerprint(name, {}))
    (paths.RAW / "fractals" / "1.png").write_bytes(b"another")
    fingerprints.append(fingerprint(name, {}))
    assert len(set(fingerprints)) == 4
    shutil.rmtree(paths.RAW / "fractals")
    assert fingerprint(name, {}) == fingerprints[0]


def test_a_notebook_that_does_not_mix_is_left_alone_when_a_user_brings_fractals(own_notebooks):
    own_notebooks("20-counted", "from lmlib.metrics import intervals")
    before = fingerprint("20-counted", {})
    own_pictures(paths.RAW / "fractals", 1)
    assert fingerprint("20-counted", {}) == before


def test_lines_for_the_shell_do_not_hinder_the_fingerprint(own_notebooks):
    own_notebooks("20-counted", "%matplotlib inline\n!ls\nfrom lmlib import draws")
    assert len(fingerprint("20-counted", {})) == 64
