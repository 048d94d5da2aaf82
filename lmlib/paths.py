"""Where things are: one place for every folder."""

import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .checks import as_json

SOURCE = Path(__file__).resolve().parent.parent
NOTEBOOKS = SOURCE / "notebooks"
PUBLISHED = SOURCE / "data" / "published"  # the paper's tables, which `LMLIB_ROOT` does not move

if _moved := os.environ.get("LMLIB_ROOT"):
    _moved = str(Path(_moved).expanduser().resolve())
    os.environ["LMLIB_ROOT"] = _moved  # children stand in other folders
ROOT = Path(_moved or (SOURCE if NOTEBOOKS.is_dir() else Path.home() / ".cache" / "lmlib"))
"""The study's folder: `LMLIB_ROOT`, else this checkout, else a cache of the bare package.

The tests set `LMLIB_ROOT`, and users with a larger disk.
"""
DATA = ROOT / "data"
RAW = DATA / "raw"  # what a user puts there or a download brings: never deleted by us
CACHE = DATA / "cache"  # what can be made again
RUNS = DATA / "runs"  # one folder a run
RESULTS = DATA / "results"  # tidy rows, one folder a profile
FIGURES = ROOT / "figures"  # one folder a profile


@contextmanager
def atomic_write(path):
    """Yield a temporary path in the folder of `path`; on success it becomes `path` in one rename.

    A reader sees the old file or the new one, never a part; after a failure nothing is left behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def as_cache(path: str | Path) -> Iterator[None]:
    """What is written to `path` in here can be made again: where that fails, a warning says so."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        warnings.warn(f"{path} cannot be kept ({reason}): it will be made again", stacklevel=3)


def locked(folder):
    """Hold a folder alone: another process waits here. The lock goes with the process."""
    from .files import lock  # a package, which the check of the words does without

    return lock(folder)


def write_text(path, text):
    """Write `text` to `path` atomically, as UTF-8."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path, value):
    """Write `value` to `path` atomically, as indented JSON with sorted keys."""
    write_text(path, json.dumps(as_json(value), indent=1, sort_keys=True) + "\n")


def write_record(path, record):
    """Write a dict to `path` atomically, as JSON with a checksum in it."""
    write_json(path, record | {"checksum": digest_of(record)})


def read_record(path):
    """The dict that `write_record` wrote; older files have no checksum.

    Raises ValueError that names a damaged file.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict):
            raise ValueError("no object")
        if record.pop("checksum", digest_of(record)) != digest_of(record):
            raise ValueError("its checksum does not match its content")
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error})") from error
    return record


def digest_of(record):
    """The first 16 hex digits of the sha256 of a value as JSON."""
    return hashlib.sha256(json.dumps(as_json(record), sort_keys=True).encode()).hexdigest()[:16]
