"""Executing notebooks through papermill: in a process of their own, atomically, and only when something changed."""

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

import nbformat
import papermill

from .. import paths
from ..checks import as_json, check_name
from ..fractals import mixing_sets as fractals
from . import runs

KEEPS_MEMORY = {"MALLOC_TRIM_THRESHOLD_": "2147483647", "MALLOC_MMAP_THRESHOLD_": "1073741824"}
"""Environment of a process that trains: without it glibc gives freed memory back after every step and faults it in again."""


class NotebookFailed(RuntimeError):
    """A notebook did not run to its end; the message names the notebook, the cell, the error and the log."""


def find_notebook(name):
    """The path of a notebook by name ("06-comparison"); raises ValueError with the nearest name otherwise."""
    known = {path.stem: path for path in sorted(paths.NOTEBOOKS.glob("[0-9]*.ipynb"))}
    return known[check_name("notebook", name, known)]


TYPES = {"int": int, "float": (int, float), "bool": bool, "str": str, "list": list, "dict": dict}
"""What the parameters cells say of a parameter -> what JSON makes of its value."""


def check_parameters(name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as JSON takes them, `errors.as_json`.

    Raises ValueError for one that the notebook's parameters cell does not have (papermill would only warn) or that is of
    another type than stands there; a bool is no number.
    """
    known, parameters = papermill.inspect_notebook(find_notebook(name)), as_json(dict(parameters))
    for parameter, value in parameters.items():
        check_name(f"parameter of {name}", parameter, known)
        kind = known[parameter]["inferred_type_name"]
        wrong_bool = isinstance(value, bool) and kind != "bool"
        if kind in TYPES and (wrong_bool or not isinstance(value, TYPES[kind])):
            raise ValueError(
                f"parameter {parameter} of {name} must be of type {kind}, got {value!r}"
            )
    return parameters


def execute(name, output, parameters, log):
    """Run a notebook from a fresh kernel with `parameters`; write the executed copy to `output`, what it prints to `log`.

    `output` appears only after the last cell, in one rename; a failed copy stands beside it as `<stem>.failed.ipynb`.
    Raises ValueError for an unknown notebook or parameter, NotebookFailed where a cell fails.
    """
    parameters = check_parameters(name, parameters)
    output, log = Path(output), Path(log)
    output.parent.mkdir(parents=True, exist_ok=True)
    for left in output.parent.glob(
        f"{output.stem}.part-*.ipynb"
    ):  # by one that was killed: the callers hold a lock
        left.unlink(missing_ok=True)
    part, failed = (
        output.with_name(f"{output.stem}.{word}.ipynb")
        for word in (f"part-{os.getpid()}", "failed")
    )
    command = [
        sys.executable,
        "-m",
        "papermill",
        find_notebook(name),
        part,
        "-y",
        json.dumps(parameters),
    ]
    command += ["--kernel", "python3", "--cwd", paths.ROOT, "--no-progress-bar", "--log-output"]
    quiet = {"PYDEVD_DISABLE_FILE_VALIDATION": "1", "PYTHONWARNINGS": "ignore::SyntaxWarning"}
    failed.unlink(missing_ok=True)
    try:
        with log.open("w") as file:
            streams = {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": subprocess.STDOUT}
            subprocess.run(command, **streams, env=os.environ | quiet | KEEPS_MEMORY, check=True)
        part.replace(output)
    except subprocess.CalledProcessError as error:
        raise NotebookFailed(f"{name} failed {where_it_failed(part, log)}; log: {log}") from error
    finally:  # also after Ctrl-C, which ends papermill: the kernel ends with its parent
        if part.exists():
            part.replace(failed)


def where_it_failed(path, log):
    """The cell and the error of a failed copy, in words; the last line of the log where it never began."""
    try:
        cells = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    except (OSError, ValueError):
        lines = log.read_text(errors="replace").strip().splitlines()
        return f"before its first cell ({lines[-1] if lines else 'no output'})"
    for n, cell in enumerate(cells, 1):
        for out in cell.outputs:
            if out.output_type == "error":
                first = next(
                    (
                        line
                        for line in cell.source.splitlines()
                        if line and not line.startswith("#")
                    ),
                    "",
                )
                return f"in code cell {n} ({first.strip()[:60]}): {out.ename}: {out.evalue}"
    return "without an error in a cell: its process was ended"


def modules_used(source):
    """The files of `lmlib` that a piece of Python imports, directly or through others: a set of paths."""
    finder = ModuleFinder([str(Path(__file__).resolve().parents[2])])
    finder.scan_code(compile(source, "cells", "exec"), finder.add_module("cells"))
    return {Path(module.__file__) for module in finder.modules.values() if module.__file__}


def fingerprint(name, parameters, inputs=()):
    """A hash of a notebook's cells, parameters, code and inputs (paths), and of the user's fractals where it may mix with them."""
    cells = nbformat.read(find_notebook(name), 4).cells
    code = "\n".join(
        re.sub(r"^\s*[%!].*$", "", cell.source, flags=re.M)
        for cell in cells
        if cell.cell_type == "code"
    )
    content = [[cell.source for cell in cells], as_json(parameters)]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    used, own = modules_used(code), runs.fractal_source()
    for file in [*sorted(used), *sorted(inputs)]:
        digest.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    if own != "generated" and Path(fractals.__file__).resolve() in used:
        digest.update(fractals.listing(own).encode())
    return digest.hexdigest()


def made_by(name, profile):
    """The figures and tables that a notebook has written for a profile: files that begin with its number."""
    folders = paths.FIGURES / profile, paths.RESULTS / profile / "tables"
    return sorted(
        file for folder in folders for file in folder.glob(f"{name[:3]}*") if file.is_file()
    )


def refresh(name, parameters, inputs=(), finish=None):
    """Execute a notebook unless its fingerprint is that of the last time and what it made is as it left it.

    finish: called with the path of the executed notebook, for what it cannot make itself. Another study's work on the same
    notebook is waited for, not repeated. Returns (seconds it took, whether it was executed now).
    """
    profile = parameters["profile"]
    folder = paths.CACHE / "executed" / profile
    record, executed, now = (
        folder / f"{name}.json",
        folder / f"{name}.ipynb",
        fingerprint(name, parameters, inputs),
    )
    with paths.locked(folder / ".locks" / name):
        last = last_time(record)
        files = last.get("files") if last.get("fingerprint") == now else None
        if files:
            changed = [
                file for file, digest in files.items() if digest_of(paths.ROOT / file) != digest
            ]
            if not changed:
                return last["seconds"], False
            print(f"{changed[0]} is missing or was changed: made again,", end=" ", flush=True)
        start = time.time()
        execute(name, executed, parameters, folder / f"{name}.log")
        if finish:
            finish(executed)
        seconds = time.time() - start
        files = {
            str(file.relative_to(paths.ROOT)): digest_of(file)
            for file in [executed, *made_by(name, profile)]
        }
        with paths.as_cache(record):
            paths.write_record(record, {"fingerprint": now, "seconds": seconds, "files": files})
    return seconds, True


def last_time(record):
    """What `refresh` recorded of a notebook, {} where there is nothing or it is damaged, which is said."""
    try:
        return paths.read_record(record) if record.exists() else {}
    except ValueError as error:
        print(f"{error}: executed again,", end=" ", flush=True)
        return {}


def digest_of(file):
    """The sha256 of a file's content, hex; None where there is no file."""
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None
