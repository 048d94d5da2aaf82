"""Executing notebooks through papermill: in a process of their own, atomically, and only when something changed."""

import ast
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import papermill

from . import paths
from .errors import check_name


class NotebookFailed(RuntimeError):
    """A notebook did not run to its end; the message names the notebook, the cell, the error and the log."""


def find_notebook(name):
    """The path of a notebook by name ("06-comparison"); raises ValueError with the nearest name otherwise."""
    known = {path.stem: path for path in sorted(paths.NOTEBOOKS.glob("[0-9]*.ipynb"))}
    return known[check_name("notebook", name, known)]


def check_parameters(name, parameters):
    """Raise ValueError for a parameter that the notebook's parameters cell does not have (papermill would only warn)."""
    known = papermill.inspect_notebook(find_notebook(name))
    for parameter in parameters:
        check_name(f"parameter of {name}", parameter, known)


def execute(name, output, parameters, log):
    """Run a notebook from a fresh kernel with `parameters`; write the executed copy to `output`, what it prints to `log`.

    `output` appears only after the last cell, in one rename; a failed copy stands beside it as `<stem>.failed.ipynb`.
    Raises ValueError for an unknown notebook or parameter, NotebookFailed where a cell fails.
    """
    check_parameters(name, parameters)
    output, log = Path(output), Path(log)
    output.parent.mkdir(parents=True, exist_ok=True)
    part, failed = (output.with_name(f"{output.stem}.{word}.ipynb") for word in (f"part-{os.getpid()}", "failed"))
    command = [sys.executable, "-m", "papermill", find_notebook(name), part, "-y", json.dumps(parameters)]
    command += ["--kernel", "python3", "--cwd", paths.ROOT, "--no-progress-bar", "--log-output"]
    quiet = {"PYDEVD_DISABLE_FILE_VALIDATION": "1", "PYTHONWARNINGS": "ignore::SyntaxWarning"}
    with log.open("w") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, env=os.environ | quiet, stdin=subprocess.DEVNULL
        )
        try:
            status = process.wait()
        finally:  # also after Ctrl-C: the kernel ends with its parent
            if process.poll() is None:
                process.terminate()
                process.wait()
            if process.returncode:
                failed.unlink(missing_ok=True)
                if part.exists():
                    part.replace(failed)
    if status:
        raise NotebookFailed(f"{name} failed {where_it_failed(failed, log)}; log: {log}")
    failed.unlink(missing_ok=True)
    part.replace(output)


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
                first = next((line for line in cell.source.splitlines() if line and not line.startswith("#")), "")
                return f"in code cell {n} ({first.strip()[:60]}): {out.ename}: {out.evalue}"
    return "without an error in a cell: its process was ended"


def modules_used(source, seen=None):
    """The files of `lmlib` that a piece of Python imports, directly or through others: a set of paths."""
    seen = set() if seen is None else seen
    package = Path(__file__).resolve().parent
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names = [module, *(f"{module}.{alias.name}".strip(".") for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            # Relative or not, what can be a file of the package counts; a name too many only costs a run too many.
            tail = name.removeprefix("lmlib").strip(".").replace(".", "/")
            for candidate in (
                package / f"{tail}.py",
                package / tail / "__init__.py",
                *(package.glob(f"*/{tail}.py") if tail else ()),
            ):
                if candidate.is_file() and candidate not in seen:
                    seen.add(candidate)
                    modules_used(candidate.read_text(), seen)
    return seen


def fingerprint(name, parameters, inputs=()):
    """A hash of a notebook's cells, its parameters, the code it imports and the files it reads."""
    cells = nbformat.read(find_notebook(name), 4).cells
    code = "\n".join(re.sub(r"^\s*[%!].*$", "", cell.source, flags=re.M) for cell in cells if cell.cell_type == "code")
    digest = hashlib.sha256(json.dumps([[cell.source for cell in cells], parameters], sort_keys=True).encode())
    for file in [*sorted(modules_used(code)), *sorted(inputs)]:
        digest.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def made_by(name, profile):
    """The figures and tables that a notebook has written for a profile: files that begin with its number."""
    folders = paths.FIGURES / profile, paths.RESULTS / profile / "tables"
    return sorted(file for folder in folders for file in folder.glob(f"{name[:3]}*") if file.is_file())


def refresh(name, parameters, inputs=()):
    """Execute a notebook unless its fingerprint is that of the last time and what it made is still there.

    Returns (seconds it took, whether it was executed now).
    """
    profile = parameters["profile"]
    folder = paths.CACHE / "executed" / profile
    stamp, now = folder / f"{name}.json", fingerprint(name, parameters, inputs)
    try:
        last = json.loads(stamp.read_text())
    except (OSError, ValueError):
        last = {}
    unchanged = last.get("fingerprint") == now and all((paths.ROOT / file).exists() for file in last["made"])
    if unchanged and (folder / f"{name}.ipynb").exists():
        return last["seconds"], False
    start = time.time()
    folder.mkdir(parents=True, exist_ok=True)
    execute(name, folder / f"{name}.ipynb", parameters, folder / f"{name}.log")
    seconds = time.time() - start
    made = [str(file.relative_to(paths.ROOT)) for file in made_by(name, profile)]
    paths.write_json(stamp, {"fingerprint": now, "seconds": seconds, "made": made})
    return seconds, True
