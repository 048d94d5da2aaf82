import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import pytest
from tiny import files_below

from lmlib import __main__ as cli
from lmlib import paths
from lmlib.files import write_text
from lmlib.study import rows as results
from lmlib.study.profiles import PROFILES

HEAVY = ("torch", "numpy", "pandas", "matplotlib", "papermill", "sklearn")
LOADED = (
    "import sys; from lmlib.__main__ import main; code = main(sys.argv[1:]); "
    "print('loaded', *sys.modules); sys.exit(code)"
)


class Usage:
    free = 3e8


def called(*words):
    """A call in a process of its own: exit code, errors, and the heavy packages it imported."""
    result = subprocess.run([sys.executable, "-c", LOADED, *words], capture_output=True, text=True)
    loaded = result.stdout.rpartition("loaded ")[2].split()
    return result.returncode, result.stderr, [name for name in HEAVY if name in loaded]


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["qick"], "unknown profile or command 'qick': did you mean 'quick'?"),
        (["cifar_cpu"], "did you mean 'cifar-cpu'?"),
        (["tests"], "did you mean 'test'?"),
        (["claen"], "unknown profile or command 'claen'"),
        (["quick", "paper"], "unknown notebook 'paper'"),
        (["quick", "04-layermx"], "unknown notebook '04-layermx': did you mean '04-layermix'?"),
        (["bench", "quick"], "unknown argument 'quick'; see --help"),
        (["report", "cifar"], "unknown profile 'cifar': did you mean 'cifar-cpu'?"),
        (["report", "-p", "m", "3"], "-p is for one notebook: ./run_all.sh PROFILE NOTEBOOK -p"),
        (["quick", "-p", "magnitude", "3"], "-p is for one notebook: ./run_all.sh PROFILE"),
        (["quick", "04", "-p", "magnitude"], "argument -p: expected 2 arguments; see --help"),
        (["quick", "04", "--jobs", "2"], "--jobs and --scheduler are for a whole profile"),
        (["quick", "--job", "0"], "--jobs must be at least 1, got 0"),
        (["quick", "--jobs", "0"], "--jobs must be at least 1, got 0"),
        (["quick", "--jobs", "two"], "argument --jobs: invalid int value: 'two'; see --help"),
        (["quick", "--jobs"], "argument --jobs: expected one argument; see --help"),
        (["quick", "--profile"], "unknown argument '--profile'; see --help"),
        (["clean", "everything"], "unknown argument 'everything'; see --help"),
    ],
    ids=" ".join,
)
def test_a_wrong_word_is_one_sentence_and_exit_code_2(root, capsys, words, sentence):
    assert cli.main(words) == 2
    said = capsys.readouterr()
    assert (
        said.err.startswith("error: ")
        and sentence in said.err
        and said.err.count("\n") == 1
        and said.out == ""
    )
    assert files_below(root) == {} and not paths.DATA.exists()


@pytest.mark.parametrize("word", ["claen", "lean", "clear", "cleanup", "lab", "explor", "help"])
def test_a_wrong_word_never_suggests_the_command_that_deletes(capsys, word):
    assert cli.main([word]) == 2
    assert "clean" not in capsys.readouterr().err.replace(f"'{word}'", "")


def test_a_wrong_word_is_answered_before_anything_heavy_is_imported():
    code, said, heavy = called("qick")
    assert (code, heavy) == (2, []) and "did you mean 'quick'" in said


def test_help_names_every_profile_and_command_and_imports_nothing_heavy():
    program = (
        "import sys, atexit; atexit.register(lambda: print('loaded', *sys.modules)); import runpy; "
    )
    program += "sys.argv = ['lmlib', '--help']; runpy.run_module('lmlib', run_name='__main__')"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    text, _, loaded = result.stdout.partition("loaded ")
    assert result.returncode == 0 and result.stderr == ""
    assert not set(HEAVY) & set(loaded.split())
    for profile in PROFILES.values():
        assert f"  {profile.name} " in text and profile.summary in text
    for command in cli.COMMANDS:
        assert f"\n  {command} " in text
    assert "--jobs N" in text


def test_without_a_word_the_profile_is_quick(monkeypatch):
    calls = []
    monkeypatch.setattr(cli, "study", lambda *arguments: calls.append(arguments))
    assert cli.main([]) == 0 and cli.main(["paper", "--jobs", "3"]) == 0
    assert calls == [("quick", None, None), ("paper", 3, None)]


def test_words_after_test_go_to_pytest(monkeypatch):
    calls = []
    monkeypatch.setattr(subprocess, "call", lambda command, cwd: calls.append(command) or 5)
    assert cli.main(["test", "-k", "name", "tests/test_cli.py", "-x"]) == 5
    assert calls == [[sys.executable, "-m", "pytest", "-k", "name", "tests/test_cli.py", "-x"]]


@pytest.mark.parametrize("error", [ValueError, RuntimeError, OSError])
def test_a_failure_is_a_sentence_and_exit_code_1(monkeypatch, capsys, error):
    def study(profile, jobs, scheduler):
        raise error("07-comparison failed in code cell 3")

    monkeypatch.setattr(cli, "study", study)
    assert cli.main(["quick"]) == 1
    assert capsys.readouterr().err == "\nerror: 07-comparison failed in code cell 3\n"


# --- a study --------------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_made_is_said_at_the_start(root, monkeypatch, capsys):
    (root / "file").write_text("")
    monkeypatch.setattr(paths, "DATA", root / "file" / "data")
    assert cli.main(["quick"]) == 1
    said = capsys.readouterr().err
    assert f"{root / 'file' / 'data'} cannot be written to" in said and "LMLIB_ROOT" in said


def test_a_file_in_a_folders_place_is_said_at_the_start(root, capsys):
    paths.FIGURES.write_text("")
    assert cli.main(["quick"]) == 1
    assert f"{paths.FIGURES} cannot be written to" in capsys.readouterr().err


def test_a_folder_without_permission_is_said_at_the_start(root, monkeypatch, capsys):
    monkeypatch.setattr(
        os, "access", lambda path, mode: path != paths.FIGURES
    )  # root may write anywhere
    assert cli.main(["quick"]) == 1
    said = capsys.readouterr().err
    assert (
        f"{paths.FIGURES} cannot be written to" in said and "give this user the permission" in said
    )


def test_a_disk_that_is_nearly_full_is_said_at_the_start(root, monkeypatch, capsys):
    monkeypatch.setattr(cli.shutil, "disk_usage", lambda path: Usage())
    assert cli.main(["quick"]) == 1
    assert "only 0.3 GB are free" in capsys.readouterr().err


@pytest.fixture
def executed(root, monkeypatch):
    """Calls of `execute`, whose stand-in writes an empty notebook and a figure, and no training."""
    from lmlib.study import grid, notebooks

    calls = []

    def execute(name, output, parameters, log, environment=None):
        calls.append((name, parameters, environment))
        notebooks.check_parameters(name, parameters)
        write_text(
            output, nbformat.writes(notebooks.nbformat.read(notebooks.find_notebook(name), 4))
        )
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in (environment or {}).items():
                patch.setenv(variable, value)
            write_text(paths.beside_canonical(paths.FIGURES / "quick" / f"{name}-figure.png"), "")

    monkeypatch.setattr(notebooks, "execute", execute)
    monkeypatch.setattr(grid, "ensure", lambda settings, **others: ["run"] * len(settings))
    monkeypatch.setattr("lmlib.report.site.thumbnail", lambda name, profile: "")
    return calls


def test_a_study_runs_every_notebook_writes_its_pages_and_ends_with_three_lines(executed, capsys):
    from lmlib.study import notebooks

    assert cli.main(["quick"]) == 0
    names = notebooks.names()
    calls = [(name, {"profile": "quick"}, None) for name in names]
    # Two at a time, in their order but for what the other one does; the report last.
    assert sorted(executed) == calls and executed[-1] == calls[-1] and len(names) == 21
    said = capsys.readouterr().out
    assert all(f"{name} ...\n" in said and f"{name}: 0 s\n" in said for name in names)
    page = paths.ROOT / "site" / "quick" / f"{names[-1]}.html"
    report, explorer, seconds = said.splitlines()[-3:]
    assert report == f"Report:   {page.as_uri()}" and "<title>" in page.read_text()
    assert explorer == "Explorer: ./run_all.sh explore" and re.fullmatch(
        r"Time:     \d+ s", seconds
    )
    executed.clear()
    assert cli.main(["quick"]) == 0 and executed == []
    assert capsys.readouterr().out.count(": unchanged\n") == len(names)


def test_a_report_executes_what_reads_rows_alone_without_training_and_study_finds_it_done(
    executed, capsys
):
    from lmlib.study import notebooks

    results.write_rows("quick", "a", [dict.fromkeys(results.COLUMNS, 0)])
    assert cli.main(["report", "quick"]) == 0
    done = [name for name, *_ in executed]
    drawn = [name for name in notebooks.names() if notebooks.metadata(name).get("rows_alone")]
    assert sorted(done) == drawn
    assert (
        all(parameters["jobs"] == -1 for _, parameters, _ in executed) and done[-1][3:] == "report"
    )
    executed.clear()
    assert cli.main(["report", "quick"]) == 0 and executed == []


def test_a_notebook_that_fails_ends_the_study_after_those_under_way(executed, monkeypatch, capsys):
    from lmlib.study import notebooks

    names, well = notebooks.names(), notebooks.execute

    def execute(name, *arguments, **options):
        if name == names[1]:
            raise notebooks.NotebookFailed(f"{name} failed in code cell 3")
        time.sleep(0.2)
        well(name, *arguments, **options)

    monkeypatch.setattr(notebooks, "execute", execute)
    assert cli.main(["quick"]) == 1
    assert f"error: {names[1]} failed in code cell 3" in capsys.readouterr().err
    done = [name for name, *_ in executed]
    assert names[0] in done and len(done) <= 3  # what had begun; all others have not


def test_a_profile_of_photographs_executes_its_one_notebook_and_leads_to_it(
    executed, monkeypatch, capsys
):
    index = paths.SITE / "photographs" / "index.html"
    monkeypatch.setattr("lmlib.report.site.write_site", lambda profile: index)
    assert cli.main(["photographs"]) == 0
    assert [(name, given["profile"]) for name, given, *_ in executed] == [
        ("19-imagenet", "photographs")
    ]
    assert "site/photographs/19-imagenet.html" in capsys.readouterr().out


def test_a_report_of_imagenet_executes_its_notebook_alone_without_training(executed, monkeypatch):
    index = paths.SITE / "imagenet-200" / "index.html"
    monkeypatch.setattr("lmlib.report.site.write_site", lambda profile: index)
    write_text(paths.RESULTS / "imagenet-200" / "rows" / "a.csv", "")
    assert cli.main(["report", "imagenet-200"]) == 0
    given = {"profile": "imagenet-200", "jobs": -1}
    assert [(name, parameters) for name, parameters, _ in executed] == [("19-imagenet", given)]


def test_a_report_without_rows_says_what_makes_them(root, capsys):
    assert cli.main(["report", "quick"]) == 1
    assert (
        "profile quick has no rows yet: `./run_all.sh quick` makes them" in capsys.readouterr().err
    )


def test_one_notebook_is_executed_by_name_or_number_and_its_files_are_printed(executed, capsys):
    for word in ("04", "04-layermix"):
        assert cli.main(["quick", word]) == 0
    assert executed == [("04-layermix", {"profile": "quick"}, None)]  # the second finds it done
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == [
        "figures/quick/04-layermix-figure.png",
        "data/cache/executed/quick/04-layermix.ipynb",
    ]


def test_changed_parameters_write_elsewhere_and_are_named(executed, capsys):
    assert cli.main(["quick", "04"]) == 0
    canonical = paths.FIGURES / "quick" / "04-layermix-figure.png"
    canonical.write_text("the study's")
    assert cli.main(["quick", "04", "-p", "magnitude", "3", "-p", "beta", "3.0"]) == 0
    assert executed[-1] == (
        "04-layermix",
        {"profile": "quick", "magnitude": 3, "beta": 3.0},
        {"LMLIB_CHANGED": "magnitude = 3"},  # beta is 3 in the notebook, too
    )
    assert canonical.read_text() == "the study's"
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == [
        "figures/quick/changed/04-layermix-figure-magnitude=3.png",
        "data/cache/executed/quick/04-layermix.changed.ipynb",
    ]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            ("magnitud", "3"),
            "unknown parameter of 04-layermix 'magnitud': did you mean 'magnitude'?",
        ),
        (("magnitude", "much"), "parameter magnitude of 04-layermix must be of type float"),
        (("magnitude", "true"), "parameter magnitude of 04-layermix must be of type float"),
        (("profile", "paper"), "the profile is the first word: ./run_all.sh paper 04-layermix"),
    ],
)
def test_a_wrong_parameter_is_refused_before_anything_is_executed(
    executed, capsys, given, sentence
):
    assert cli.main(["quick", "04", "-p", *given]) == 1
    assert sentence in capsys.readouterr().err and executed == []


@pytest.mark.parametrize("names", [(), ("01-a", "03-b"), ("01-a", "02-b", "02-b-Copy1")])
def test_a_copy_or_a_gap_among_the_notebooks_is_named_before_any_work(
    root, monkeypatch, capsys, names
):
    monkeypatch.setattr(paths, "NOTEBOOKS", root)
    for name in names:
        nbformat.write(nbformat.v4.new_notebook(), root / f"{name}.ipynb")
    assert cli.main(["quick"]) == 1
    message = capsys.readouterr().err
    assert "must hold one notebook for each number from 00 on, it holds" in message
    assert (", ".join(names) or "none") in message


def children_of(pid):
    """Every process below `pid`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found += [int(entry.parent.name), *children_of(int(entry.parent.name))]
    return found


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    "to_all", [False, True], ids=["to the process", "to its group, as a terminal does"]
)
def test_ctrl_c_keeps_what_is_finished_says_how_to_go_on_and_leaves_no_kernel(root, to_all):
    process = subprocess.Popen(
        [sys.executable, "-m", "lmlib", "quick", "--jobs", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        # a shell's background jobs ignore the signal
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    first = process.stdout.read(1)
    while "01-covariance ..." not in first:
        first += process.stdout.read(1) or pytest.fail(process.stderr.read())
    deadline = time.monotonic() + 60
    while (
        len(children := children_of(process.pid)) < 2 and time.monotonic() < deadline
    ):  # papermill and its kernel
        time.sleep(0.1)
    (os.killpg if to_all else os.kill)(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.endswith(
        "interrupted: what was finished stays; the same command goes on from there\n"
    )
    assert "Traceback" not in said
    folder = paths.CACHE / "executed" / "quick"
    assert not (folder / "01-covariance.ipynb").exists() and not list(folder.glob("*part*"))
    assert not (folder / "01-covariance.json").exists()
    while (
        any(map(alive, children)) and time.monotonic() < deadline
    ):  # a kernel looks for its parent once a second
        time.sleep(0.1)
    assert len(children) >= 2 and not any(map(alive, children))


# --- clean ----------------------------------------------------------------------------------------


def test_clean_removes_caches_and_what_quick_wrote_and_nothing_else(root, capsys):
    rows = [dict.fromkeys(results.COLUMNS, 0)]
    for profile, names in (("quick", "abd"), ("cifar-cpu", "bc")):
        for name in names:
            results.write_rows(profile, name, rows)
    gone = [
        "data/cache/cifar10.npz", "data/cache/executed/quick/07-comparison.ipynb",
        "data/results/quick/tables/06.csv",
        "figures/quick/06.png", "data/runs/a/checkpoint.safetensors",
        "data/runs/a/evaluations/c.npz",
        "data/runs/d/config.json", "data/runs/.grid/a/log", "site/quick/index.html",
    ]  # fmt: skip
    kept = [
        "data/raw/cifar-10-batches-py/data_batch_1", "data/raw/fractals/one.png",
        "data/results/cifar-cpu/tables/06.csv",
        "figures/cifar-cpu/06.png", "data/runs/b/checkpoint.safetensors",
        "data/runs/c/checkpoint.safetensors",
        "data/runs/e/config.json", "data/runs/a.set-aside-1/checkpoint.safetensors",
        "data/README.md", "notes.txt",
        "figures/mine.png", "data/mine/a.npz", "site/cifar-cpu/index.html",
    ]  # fmt: skip
    for name in gone + kept:
        write_text(root / name, "content")
    assert cli.main(["clean"]) == 0
    kept += ["data/results/cifar-cpu/rows/b.csv", "data/results/cifar-cpu/rows/c.csv"]
    kept += ["data/results/cifar-cpu/runs.csv"]
    assert sorted(files_below(root)) == sorted(kept)
    said = capsys.readouterr().out.splitlines()
    assert all(line.startswith("removed ") for line in said) and "removed data/runs/a" in said


def test_clean_removes_a_run_that_quick_left_unfinished_and_no_other(root):
    def executed(folder, text, name="train.ipynb"):
        write_text(paths.RUNS / folder / name, text)

    for profile in ("quick", "paper"):
        for name in ("train.ipynb", "train.failed.ipynb", "train.part-7.ipynb"):
            executed(
                profile,
                json.dumps({"metadata": {"papermill": {"parameters": {"profile": profile}}}}),
                name,
            )
    executed(
        "of-quick.set-aside-1",
        json.dumps({"metadata": {"papermill": {"parameters": {"profile": "quick"}}}}),
    )
    executed("by-hand", json.dumps({"metadata": {}}))
    executed("damaged", "{")
    assert cli.main(["clean"]) == 0
    assert sorted(folder.name for folder in paths.RUNS.iterdir()) == [
        "by-hand",
        "damaged",
        "of-quick.set-aside-1",
        "paper",
    ]


def test_clean_with_nothing_to_remove_says_nothing(root, capsys):
    assert cli.main(["clean"]) == 0
    assert capsys.readouterr().out == "" and files_below(root) == {}


# --- run_all.sh -----------------------------------------------------------------------------------

STAND_IN = """#!/bin/sh
case "$*" in
    "-m lmlib --check qick") exit 2 ;;
    "-m lmlib --check"*) ;;
    "-m lmlib with variables") echo "$LMLIB_ROOT|$LMLIB_IMAGENET|$LMLIB_PHOTOGRAPHS" ;;
    "-m lmlib"*) echo "$PWD|${LMLIB_ROOT:-unset}|$*" ;;
    "-m venv .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    "-m pip"*) echo "$*" >> pip; [ ! -e "${KILLED:-/no}" ] || exit 1 ;;
esac
"""
"""A Python that prints its folder, root and arguments, and notes what is installed."""


@pytest.fixture
def checkout(tmp_path):
    """A checkout whose environment is made, of `STAND_IN`."""
    folder = tmp_path / "a checkout"
    for python in (folder / ".venv" / "bin" / "python", tmp_path / "path" / "python3"):
        write_text(python, STAND_IN)
        python.chmod(0o755)
    for place in (folder, folder / ".venv"):
        shutil.copy(paths.SOURCE / "requirements.txt", place)
    shutil.copy(paths.SOURCE / "run_all.sh", folder)
    return folder


def started(command, folder, **variables):
    """The folder, root and arguments of the checkout's Python after a call from `folder`."""
    gone = ("CONDA_PREFIX", "VIRTUAL_ENV", "LMLIB_ROOT", "PYTHONPATH")
    variables |= {name: value for name, value in os.environ.items() if name not in gone} | variables
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.rstrip("\n").split("|")


@pytest.mark.parametrize("shell", [[], ["sh"], ["bash"], ["bash", "--posix"]], ids=" ".join)
def test_any_shell_starts_the_study_in_its_checkout_from_any_folder(checkout, tmp_path, shell):
    words = ["quick", "two words"]
    for folder, script in ((checkout, "./run_all.sh"), (tmp_path, checkout / "run_all.sh")):
        found = started([*shell, script, *words], folder, CDPATH=str(tmp_path))
        assert found == [str(checkout), "unset", "-m lmlib quick two words"]


@pytest.mark.parametrize("shell", [[], ["sh"]], ids=" ".join)
def test_a_link_to_a_link_starts_the_study_in_its_checkout(checkout, tmp_path, shell):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "first").symlink_to(Path("..") / "a checkout" / "run_all.sh")
    (tmp_path / "lm").symlink_to(tmp_path / "bin" / "first")
    for script in (tmp_path / "lm", "./lm", "bin/first"):
        assert started([*shell, script, "quick"], tmp_path)[0] == str(checkout)


def test_a_relative_root_is_where_the_caller_stands(checkout, tmp_path):
    def root(given):
        return started([checkout / "run_all.sh"], tmp_path, LMLIB_ROOT=given)[1]

    assert root("big") == str(tmp_path / "big")
    assert [root(given) for given in ("/big", "~/big", "")] == ["/big", "~/big", "unset"]


def test_folders_of_pictures_may_be_relative_too(checkout, tmp_path):
    given = {"LMLIB_ROOT": "", "LMLIB_IMAGENET": "a b/net", "LMLIB_PHOTOGRAPHS": "$HOME/x"}
    found = started([checkout / "run_all.sh", "with", "variables"], tmp_path, **given)
    assert found == ["", f"{tmp_path}/a b/net", f"{tmp_path}/$HOME/x"]


def install(checkout, *words, **variables):
    """A call where the first Python on the path is the stand-in: its exit code and output."""
    gone = ("CONDA_PREFIX", "VIRTUAL_ENV", "LMLIB_ROOT", "PYTHONPATH")
    given = {name: value for name, value in os.environ.items() if name not in gone}
    given["PATH"] = f"{checkout.parent / 'path'}{os.pathsep}{given['PATH']}"
    command = [checkout / "run_all.sh", *words]
    result = subprocess.run(command, env=given | variables, capture_output=True, text=True)
    return result.returncode, result.stdout


def test_an_environment_is_made_once_after_its_size_was_said(checkout):
    shutil.rmtree(checkout / ".venv")
    code, output = install(checkout, "quick")
    size, last = output.splitlines()
    assert code == 0 and last.endswith("|-m lmlib quick")
    assert size.startswith("Making .venv: on Linux about 3.3 GB to download")
    packages, own = (checkout / "pip").read_text().splitlines()
    assert packages.endswith("-r requirements.txt") and own.endswith("-e .")
    assert "Making" not in install(checkout, "quick")[1]


def test_a_wrong_word_or_a_question_makes_no_environment(checkout):
    shutil.rmtree(checkout / ".venv")
    assert install(checkout, "qick") == (2, "")
    assert install(checkout, "--help")[1].endswith("|-m lmlib --help\n")
    assert not (checkout / ".venv").exists() and not (checkout / "pip").exists()


def test_an_installation_that_was_cut_or_of_other_requirements_goes_on(checkout):
    stamp = checkout / ".venv" / "requirements.txt"
    for text in (None, "torch==1.0\n"):
        stamp.unlink(missing_ok=True)
        if text:
            stamp.write_text(text)
        write_text(checkout / "killed", "")
        code, output = install(checkout, KILLED=str(checkout / "killed"))
        assert code == 1 and output.count("\n") == 1  # its size alone
        (checkout / "killed").unlink()
        assert install(checkout)[0] == 0
        assert stamp.read_text() == (checkout / "requirements.txt").read_text()


@pytest.mark.parametrize("variable", ["CONDA_PREFIX", "VIRTUAL_ENV"])
def test_an_active_environment_is_used_where_it_has_the_packages(checkout, variable):
    active = checkout.parent / "active"
    shutil.copytree(checkout / ".venv", active)
    shutil.rmtree(checkout / ".venv")
    assert install(checkout, **{variable: str(active)})[1].endswith("|-m lmlib\n")
    assert not (checkout / ".venv").exists() and "--dry-run" in (checkout / "pip").read_text()


def test_the_words_are_checked_without_a_package():
    command = [sys.executable, "-S", "-m", "lmlib", "--check", "quick", "--jobs", "2"]
    result = subprocess.run(command, cwd=paths.SOURCE, capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_every_line_of_the_requirements_is_pinned():
    lines = (paths.SOURCE / "requirements.txt").read_text().splitlines()
    pins = [line for line in lines if line and line.lstrip()[0] != "#"]
    assert len(pins) > 50 and all(re.match(r"[\w.-]+==\d", pin) for pin in pins)


def test_explore_opens_a_copy_of_the_explorer_for_this_machine_and_who_has_the_token(tmp_path):
    browser = tmp_path / "browser"
    browser.write_text('#!/bin/sh\ncat "${1#file://}" > opened.part\nmv opened.part opened\n')
    browser.chmod(0o755)
    variables = os.environ | {"LMLIB_ROOT": str(tmp_path), "BROWSER": f"{browser} %s"}
    with subprocess.Popen(
        [sys.executable, "-m", "lmlib", "explore"],
        env=variables, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        try:
            address = server.stdout.readline().strip()
            base, _, token = re.fullmatch(
                r"(http://127.0.0.1:(\d+))/lab/.*=(\w{48})", address
            ).groups()
            deadline = time.time() + 90
            while not (tmp_path / "opened").exists():
                assert time.time() < deadline and server.poll() is None, server.communicate()
                time.sleep(0.2)
            assert "/lab/tree/00-explore.ipynb" in (tmp_path / "opened").read_text()
            listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()]
            port = f"{int(address.split(':')[2].split('/')[0]):04X}"
            assert f"0100007F:{port}" in listening and f"00000000:{port}" not in listening
            contents = f"{base}/api/contents/00-explore.ipynb"
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(contents)
            with urllib.request.urlopen(f"{contents}?token={token}") as answer:
                cells = json.load(answer)["content"]["cells"]
            assert token not in Path(f"/proc/{server.pid}/cmdline").read_text()
        finally:
            server.terminate()
    expected = nbformat.read(paths.NOTEBOOKS / "00-explore.ipynb", 4).cells
    assert [cell["source"] for cell in cells] == [cell.source for cell in expected]
