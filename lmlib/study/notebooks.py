"""Executing notebooks through papermill: in a process of their own, and only after a change."""

import ast
import hashlib
import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

import nbformat
import papermill

from .. import paths
from ..checks import as_json, check_name
from ..files import DamagedFile, as_cache, lock, read_json, write_json
from ..fractals import mixing_sets
from . import runs
from .plans import PLANS
from .profiles import get_profile

log = logging.getLogger(__name__)

MALLOC_SETTINGS = {
    "MALLOC_TRIM_THRESHOLD_": "2147483647",
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
}
"""The environment of a process that trains.

Without it glibc gives freed memory back after every step and faults it in again.
"""

PAPERMILL = """
import os, threading
threading.Thread(target=lambda: os.read(0, 1) or os._exit(1), daemon=True).start()
from papermill.cli import papermill
papermill()
"""
"""Papermill in a process that ends when its standard input does: with the one who started it."""

WATCH_SECONDS = 5.0
interrupted = threading.Event()
"""Set by Ctrl-C, which the main thread alone meets: it ends the notebooks of the others."""
WIDGET = "application/vnd.jupyter.widget-view+json"

TYPES: dict[str, Any] = {
    "int": int,
    "float": (int, float),
    "bool": bool,
    "str": str,
    "list": list,
    "dict": dict,
}
"""What a parameters cell says of a parameter -> what JSON makes of its value."""


class NotebookFailed(RuntimeError):
    """A notebook did not run to its end; the message names it, the cell, the error and the log."""


def names() -> list[str]:
    """The numbered notebooks, in order. Raises ValueError unless there is one for each number."""
    stems = sorted(path.stem for path in paths.NOTEBOOKS.glob("[0-9][0-9]-*.ipynb"))
    if not stems or [int(stem[:2]) for stem in stems] != list(range(len(stems))):
        raise ValueError(
            f"{paths.NOTEBOOKS} must hold one notebook for each number from 00 on, it holds "
            f"{', '.join(stems) or 'none'}: move copies away; `git checkout notebooks` brings back"
        )
    return stems


def find_notebook(name: str) -> Path:
    """The path of a notebook ("07-comparison"). Raises ValueError with the nearest name."""
    known = {path.stem: path for path in sorted(paths.NOTEBOOKS.glob("[0-9]*.ipynb"))}
    return known[check_name("notebook", name, known)]


def metadata(name: str) -> dict[str, Any]:
    """What a notebook says of itself: `lmlib` in its metadata, {} without.

    needs: the plan (a name in `plans.PLANS`) of the runs whose rows it reads; rows_alone: it reads
    no images and no weights, so that committed rows suffice; shows_the_others: it reads what the
    notebooks before it made. Raises ValueError for another key or plan.
    """
    about = nbformat.read(find_notebook(name), 4).metadata.get("lmlib", {})
    for key in about:
        check_name(f"metadata of {name}", key, ("needs", "rows_alone", "shows_the_others"))
    if "needs" in about:
        check_name("plan", about["needs"], PLANS)
    return dict(about)


def of_profile(profile: str) -> list[str]:
    """The notebooks that a profile executes: all, or those that need one of its `plans`."""
    plans = get_profile(profile).plans
    return [name for name in names() if not plans or metadata(name).get("needs") in plans]


def without_training(name: str) -> dict[str, Any]:
    """The parameters with which a notebook takes the rows there are, for those that have `jobs`."""
    return {"jobs": -1} if "jobs" in papermill.inspect_notebook(find_notebook(name)) else {}


def changed_text(name: str, parameters: Mapping[str, Any]) -> str:
    """Which parameters, of `check_parameters`, differ from a notebook's own, as "n = 1, m = 2".

    Which profile, and how many runs are trained side by side, does not count.
    """
    own = papermill.inspect_notebook(find_notebook(name))
    return ", ".join(
        f"{parameter} = {value}"
        for parameter, value in parameters.items()
        if parameter not in ("profile", "jobs")
        and value != ast.literal_eval(own[parameter]["default"])
    )


def check_parameters(name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as JSON takes them.

    Raises ValueError for one that the notebook's parameters cell does not have (papermill would
    only warn) or that is of another type than stands there; a bool is no number.
    """
    known, values = papermill.inspect_notebook(find_notebook(name)), as_json(dict(parameters))
    for parameter, value in values.items():
        check_name(f"parameter of {name}", parameter, known)
        kind = known[parameter]["inferred_type_name"]
        wrong_bool = isinstance(value, bool) and kind != "bool"
        if kind in TYPES and (wrong_bool or not isinstance(value, TYPES[kind])):
            raise ValueError(
                f"parameter {parameter} of {name} must be of type {kind}, got {value!r}"
            )
    return values


def execute(
    name: str,
    output: Path,
    parameters: Mapping[str, Any],
    log_file: Path,
    *,
    environment: Mapping[str, str] | None = None,
    watch: Callable[[], None] = lambda: None,
) -> None:
    """Run a notebook from a fresh kernel; what it prints goes to `log_file`.

    environment: variables for its process, which ends with this one, however this one ends; watch:
    called now and then meanwhile, and ends the notebook where it raises.
    The executed copy appears at `output` after the last cell, in one rename; a failed copy stands
    beside it as `<stem>.failed.ipynb`. Callers hold a lock on it. Raises ValueError for an unknown
    notebook or parameter, NotebookFailed where a cell fails.
    """
    values = json.dumps(check_parameters(name, parameters))
    output.parent.mkdir(parents=True, exist_ok=True)
    for stale in output.parent.glob(f"{output.stem}.part-*.ipynb"):  # of one that was killed
        stale.unlink()
    part = output.with_name(f"{output.stem}.part-{os.getpid()}.ipynb")
    failed = output.with_name(f"{output.stem}.failed.ipynb")
    failed.unlink(missing_ok=True)
    command = [sys.executable, "-c", PAPERMILL, str(find_notebook(name)), str(part), "-y", values]
    command += [
        "--cwd",
        str(paths.ROOT),
        *"--kernel python3 --no-progress-bar --log-output".split(),
    ]
    quiet = {"PYDEVD_DISABLE_FILE_VALIDATION": "1", "PYTHONWARNINGS": "ignore::SyntaxWarning"}
    variables = {**os.environ, **quiet, **MALLOC_SETTINGS, **(environment or {})}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stderr": subprocess.STDOUT}
    try:
        with (
            log_file.open("w") as file,
            subprocess.Popen(command, stdout=file, env=variables, **pipes) as process,
        ):
            try:
                while process.poll() is None:
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(WATCH_SECONDS)
                    if interrupted.is_set():
                        raise KeyboardInterrupt
                    watch()
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            raise NotebookFailed(f"{name} failed {failure(part, log_file)}; log: {log_file}")
        make_legible(part)
        part.replace(output)
    finally:  # also after Ctrl-C, which ends papermill: the kernel ends with its parent
        if part.exists():
            part.replace(failed)


def make_legible(executed: Path) -> None:
    """Take out of an executed notebook what only its kernel or its machine could show.

    That is progress bars, a widget but for its picture, and the way to the study's folder.
    """
    text = executed.read_text(encoding="utf-8")
    for folder in (paths.ROOT, paths.SOURCE):
        text = text.replace(json.dumps(f"{folder}/")[1:-1], "")
    notebook = nbformat.reads(text, 4)
    for cell in notebook.cells:
        kept = []
        for out in cell.get("outputs", ()):
            data = out.get("data", {})
            is_widget = WIDGET in data
            text = data.pop("text/plain", "-") if is_widget else out.get("text", "-")
            if "image/png" in data:
                data.pop(WIDGET, None)
            is_bar = re.search(r"\d%\|| \[\d\d:\d\d[<,]", text) or not text.strip()
            kept += [] if is_bar else [out]
        if cell.cell_type == "code":
            cell.outputs = kept
    nbformat.write(notebook, executed)


def failure(notebook: Path, log_file: Path) -> str:
    """The cell and the error of a failed copy; the log's last line where it never began."""
    try:
        cells = [cell for cell in nbformat.read(notebook, 4).cells if cell.cell_type == "code"]
    except (OSError, ValueError):
        lines = log_file.read_text(errors="replace").strip().splitlines()
        return f"before its first cell ({lines[-1] if lines else 'no output'})"
    for n, cell in enumerate(cells, 1):
        for out in cell.outputs:
            if out.output_type == "error":
                code = re.sub(r"^#.*\n+", "", cell.source, flags=re.M).partition("\n")[0]
                return f"in code cell {n} ({code.strip()[:60]}): {out.ename}: {out.evalue}"
    return "without an error in a cell: its process was ended"


def modules_used(source: str) -> set[Path]:
    """The files of `lmlib` that a piece of Python imports, directly or through others."""
    finder = ModuleFinder([str(Path(__file__).resolve().parents[2])])
    finder.scan_code(compile(source, "cells", "exec"), finder.add_module("cells"))
    files = (getattr(module, "__file__", None) for module in finder.modules.values())
    return {Path(file) for file in files if file}


def fingerprint(name: str, parameters: Mapping[str, Any], inputs: Iterable[Path] = ()) -> str:
    """A hash of a notebook's cells, parameters, code and inputs.

    Where it may mix with the user's fractals, of these, too. Runs trained side by side, `jobs`,
    change nothing that it shows.
    """
    parameters = {key: value for key, value in parameters.items() if key != "jobs"}
    cells = nbformat.read(find_notebook(name), 4).cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    used = modules_used(re.sub(r"^\s*[%!].*$", "", code, flags=re.M))  # no lines for the shell
    content = [[cell.source for cell in cells], as_json(dict(parameters))]
    total = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for file in [*sorted(used), *sorted(inputs)]:
        total.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    own = runs.fractal_source()
    if own != "generated" and Path(mixing_sets.__file__).resolve() in used:
        total.update(mixing_sets.listing(own).encode())
    return total.hexdigest()


def made_by(name: str, profile: str) -> list[Path]:
    """The figures and tables that a notebook wrote for a profile: they begin with its number."""
    folders = paths.FIGURES / profile, paths.RESULTS / profile / "tables"
    files = (file for folder in folders for file in folder.glob(f"{name[:3]}*"))
    return sorted(file for file in files if file.is_file())


def executed_copy(name: str, profile: str) -> Path:
    """Where the executed copy of a notebook lies, once there is one."""
    return paths.CACHE / "executed" / profile / f"{name}.ipynb"


def refresh(name: str, parameters: Mapping[str, Any], inputs: Iterable[Path] = ()) -> float | None:
    """Execute a notebook unless its fingerprint and what it made are those of the last time.

    Another study's work on the same notebook is waited for, not repeated. Returns the seconds that
    it took, None where nothing was to be done.
    """
    profile = parameters["profile"]
    executed = executed_copy(name, profile)
    folder, record = executed.parent, executed.with_suffix(".json")
    current = fingerprint(name, parameters, inputs)
    with lock(folder / ".locks" / name):
        try:
            last = read_json(record)
        except FileNotFoundError:
            last = {}
        except DamagedFile as error:
            log.warning("%s: %s is executed again", error, name)
            last = {}
        if last.get("fingerprint") == current:
            changed = [one for one, sha in last["files"].items() if sha256(paths.ROOT / one) != sha]
            if not changed:
                return None
            log.warning("%s is missing or was changed: made again", changed[0])
        start = time.time()
        execute(name, executed, parameters, folder / f"{name}.log")
        made = [executed, *made_by(name, profile)]
        files = {file.relative_to(paths.ROOT).as_posix(): sha256(file) for file in made}
        with as_cache(record):
            write_json(record, {"fingerprint": current, "files": files})
    return time.time() - start


def sha256(file: Path) -> str:
    """The sha256 of a file's content, hex; "" where there is no file."""
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
