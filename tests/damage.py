"""Each kind of file that a study writes is cut, changed in one byte or emptied; the study is started again until it ends well.

Each start is a fork of one process that has everything imported, and executes the notebooks' cells itself instead of a kernel.
"""

import os
import re
import shutil
import sys
import traceback
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import tiny_study
import torch

from lmlib import __main__ as cli
from lmlib import paths
from lmlib.report import page as report
from lmlib.study import grid, notebooks, profiles, runs

ABOUT = """n = {n} damages, one each (seed {seed}): {good} recovered, {said} gave a sentence.

The study is set back to just before the file is read (the run's rows are taken away, say), the file is damaged, and the study is
started until its exit code is 0. Recovered: rows, tables, figures, checkpoints, outcomes and caches are those of the undisturbed
study, and no file of the other runs was written again. The caches, CIFAR's too, are also tried byte by byte in
`tests/test_reliability.py`, checkpoints in `tests/test_runs.py`."""
SEED, STARTS = 20261122, 3
ROWS, RUN = "data/results/quick/rows/{run}.csv", "data/runs/{run}"
KINDS = {
    "checkpoint": (f"{RUN}/checkpoint.safetensors", [ROWS]),
    "configuration of a run": (f"{RUN}/config.json", [ROWS]),
    "record of its end": (f"{RUN}/done.json", [ROWS]),
    "outcomes of a benchmark": (f"{RUN}/evaluations/c.npz", [ROWS]),
    "rows of a run": (ROWS, []),
    "mixing set": ("data/cache/fractals/*.safetensors", []),
    "corrupted test images": (
        "data/cache/digits-C/subsets/fog-*.safetensors",
        [ROWS, f"{RUN}/evaluations/c.npz"],
    ),
    "executed notebook": ("data/cache/executed/quick/06-comparison.ipynb", []),
    "record of it": ("data/cache/executed/quick/06-comparison.json", []),
    "executed notebook of a run": (
        f"{RUN}/train.ipynb",
        ["data/cache/executed/quick/16-report.json"],
    ),
    "table": ("data/results/quick/tables/06-comparison.csv", []),
    "figure": ("figures/quick/06-comparison.png", []),
    "report": ("figures/quick/16-report.html", []),
}
"""Kind -> the file, and what is taken away so that the file is read again: as if the study had been killed just before that."""

REPORTED = (
    "executed notebook of a run",
    "report",
)  # what the report reads or is; it is left out of the other studies

DAMAGES = {
    "cut": lambda content, draws: content[: draws.integers(1, len(content))],
    "a byte": lambda content, draws: flipped(
        content, draws.integers(len(content)), draws.integers(1, 256)
    ),
    "empty": lambda content, draws: b"",
}


def flipped(content, position, bits):
    return content[:position] + bytes([content[position] ^ bits]) + content[position + 1 :]


def execute(name, output, parameters, log):
    """Stands for `notebooks.execute`: the cells of a notebook in this process."""
    notebooks.check_parameters(name, parameters)
    notebook, names = nbformat.read(notebooks.find_notebook(name), 4), {"__name__": "__main__"}
    for n, cell in enumerate([cell for cell in notebook.cells if cell.cell_type == "code"], 1):
        try:
            exec(cell.source, names)
        except Exception as error:
            raise notebooks.NotebookFailed(
                f"{name} failed in code cell {n}: {type(error).__name__}: {error}"
            ) from error
        names |= parameters if "parameters" in cell.metadata.get("tags", []) else {}
    plt.close("all")
    notebook.metadata["papermill"] = {"duration": 1.0}
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, output)


def study(root, names=tiny_study.NOTEBOOKS):
    """The study with these notebooks in a fork of this process: its exit code, and what it printed."""
    log = root / "log"
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            with log.open("w") as file:
                os.dup2(file.fileno(), 1), os.dup2(file.fileno(), 2)
            base = paths.ROOT
            for name, value in list(vars(paths).items()):
                if isinstance(value, Path) and name not in ("SOURCE", "NOTEBOOKS", "PUBLISHED"):
                    setattr(paths, name, root / value.relative_to(base))
            os.environ["LMLIB_ROOT"] = str(root)
            tiny_study.shrink()
            notebooks.execute, cli.NOTEBOOKS, cli.run_settings = (
                execute,
                names,
                profiles.run_settings,
            )
            code = cli.main(["quick", "--jobs", "1"])
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), log.read_text(errors="replace")


def said(output, root):
    """The sentence about the damage in what a study printed, from the file's name on; "nothing" where there is none."""
    for line in re.split(r"[\r\n]", output.replace(f"{root}/", "")):
        if re.search(r"damaged|altered|was changed|other columns|another configuration", line):
            line = re.sub(r"digits-wrn-10-1-\w+-e\d-s\d-\w{8}", "RUN", line)
            line = re.sub(
                r"set-aside-\d+",
                "set-aside-TIME",
                re.sub(r"^.*?(?=the cached|figures/|data/)", "", line),
            )
            return re.sub(
                r"again,.*", "again", line
            ).strip()  # what a notebook in this process prints would go on there
    return "nothing"


def one(whole, root, kind, how, draws, expected):
    """One file damaged, and the study started until it ends well: a row of the page, and whether it recovered."""
    pattern, gone = KINDS[kind]
    shutil.copytree(whole, root, copy_function=shutil.copy2)
    run = next(
        path.stem for path in sorted((root / "data/results/quick/rows").glob("*layermix*-s0-*.csv"))
    )
    (file, *_) = sorted(root.glob(pattern.format(run=run)))
    for name in gone:
        (root / name.format(run=run)).unlink()
    others = [
        path for path in (root / "data/runs").rglob("*") if path.is_file() and run not in path.parts
    ]
    before = {path: path.stat().st_mtime_ns for path in others}
    file.write_bytes(DAMAGES[how](file.read_bytes(), draws))
    sentence, trained, code, n = "nothing", False, 1, 0
    while code and n < STARTS:
        code, output = study(
            root, tiny_study.NOTEBOOKS if kind in REPORTED else tiny_study.NOTEBOOKS[:2]
        )
        n, trained = n + 1, trained or "trained in" in output
        sentence = said(output, root) if sentence == "nothing" else sentence
        if "move it away" in output:  # do as it says
            (root / "data/runs" / run).rename(root / "mine")
    found = tiny_study.contents(root)
    same = {kind: found[kind] == files for kind, files in expected.items()}
    untouched = all(
        path.exists() and path.stat().st_mtime_ns == then for path, then in before.items()
    )
    good = code == 0 and all(same.values()) and untouched
    if not good:
        print(
            f"{kind}, {how}: exit code {code}, {[name for name, fine in same.items() if not fine]} differ\n{output}"
        )
    again = "the run, anew" if trained else "no run"
    return [kind, how, sentence, str(n), again, "yes" if good else "NO"], good


def trial(folder):
    """Every kind of file with every damage, once: the page's table, and whether all recovered."""
    mpl.use("Agg")
    torch.set_num_threads(1)
    assert grid and profiles and report and runs.dataset_of("digits")  # before the forks
    whole, draws = folder / "whole", np.random.default_rng(SEED)
    tiny_study.prepare(whole)
    code, output = study(whole)
    if code:
        sys.exit(output)
    expected, rows = tiny_study.contents(whole), []
    for kind in KINDS:
        for how in DAMAGES:
            root = folder / "damaged"
            rows.append(one(whole, root, kind, how, draws, expected))
            print(" | ".join(rows[-1][0]), flush=True)
            shutil.rmtree(root)
    n_good = sum(good for _, good in rows)
    n_said = sum(row[2] != "nothing" for row, _ in rows)
    table = ["kind", "damage", "sentence", "starts", "trained again", "recovered"]
    lines = [table, ["---"] * len(table), *(row for row, _ in rows)]
    text = ABOUT.format(n=len(rows), seed=SEED, good=n_good, said=n_said)
    return f"{text}\n\n" + "\n".join(
        "| " + " | ".join(word.replace("|", "/") for word in line) + " |" for line in lines
    ), (n_good == n_said == len(rows))
