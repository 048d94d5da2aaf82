"""The images that our recipes make of a test set: made once, and kept in data/cache.

What is kept is named by what made it: recipe version, seed, clean images and, for frost, the
photographs. A whole test set is kept in the official layout, a subset chunk by chunk.
"""

import hashlib
import logging
import math
import shutil
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from .. import files, paths
from . import LEVELS, VERSION, frost, make
from .official import array_shape, folder_name

CHUNK = {"cifar_c": 512, "cifar_c_bar": 512, "cifar_p": 64}
"""Images made at once: 1.5 MB of them, 6 MB of frames."""

log = logging.getLogger(__name__)

ROOM = 2e9  # bytes that the file of a whole test set leaves free on the disk


def _origin(name: str, benchmark: str, images: np.ndarray, seed: int) -> dict[str, Any]:
    """What decides the images that are made."""
    digest = hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()
    origin = {"benchmark": benchmark, "version": VERSION, "seed": int(seed), "images": digest}
    if name == "frost":
        origin["photographs"] = frost.fingerprint()
    return origin


def cached_chunk(
    name: str, severity: int | None, benchmark: str, dataset: Any, index: np.ndarray, *, seed: int
) -> np.ndarray:
    """The test images `index` (m,) under `name`, so that every network meets the same subset.

    Returns uint8 (m, 3, 32, 32), or (m, T, 3, 32, 32) for a sequence.
    """
    images = dataset.test.images[index]
    key = _origin(name, benchmark, images, seed) | {"index": index.tolist(), "severity": severity}
    folder = paths.CACHE / folder_name(dataset.name, benchmark) / "subsets"
    path = folder / f"{name}-{files.digest(key)[:16]}.safetensors"

    def make_images() -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return {"images": make(images, name, severity, benchmark, seed=seed, index=index)}, key

    return files.cached_arrays(path, make_images)[0]["images"]


def whole_file(name: str, benchmark: str, dataset: Any, *, seed: int) -> Path:
    """The file of all test images under `name`, in the official layout, made unless it is there.

    It appears whole, beside a record of its origin, size, time and sha256. A file that is not what
    its record says is named in the log and made again. A second call at the same time waits.
    Raises OSError where there is no room, FileNotFoundError for frost without photographs.
    """
    images = dataset.test.images
    origin, shape = (
        _origin(name, benchmark, images, seed),
        array_shape(name, benchmark, len(images)),
    )
    shared = {key: value for key, value in origin.items() if key != "photographs"}
    parent = paths.CACHE / folder_name(dataset.name, benchmark)
    folder = parent / f"seed{seed}-{files.digest(shared)[:8]}"
    path = folder / f"{name}.npy"
    with files.lock(folder):
        if _is_whole(path, origin):
            return path
        for part in folder.glob(".*.part"):  # of a call that was killed: nobody else writes here
            part.unlink()
        needed, free = math.prod(shape), shutil.disk_usage(folder).free
        if needed + ROOM > free:
            problem = f"{name} takes {needed / 1e9:.1f} GB in {folder}"
            raise OSError(f"{problem}, and {free / 1e9:.1f} GB are free")
        with files.atomic_write(folder / "labels.npy") as temporary, temporary.open("wb") as file:
            np.save(file, np.tile(dataset.test.labels, len(LEVELS[benchmark])))
        with files.atomic_write(path) as temporary, temporary.open("wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            starts = range(0, len(images), CHUNK[benchmark])
            for severity, start in tqdm([*product(LEVELS[benchmark], starts)], desc=name):
                index = np.arange(start, min(start + CHUNK[benchmark], len(images)))
                made = make(images[index], name, severity, benchmark, seed=seed, index=index)
                file.write(np.moveaxis(made, -3, -1).tobytes())
        record = {"origin": origin, "state": _state(path), "digest": _sha256(path)}
        files.write_json(path.with_suffix(".json"), record)
    return path


def _is_whole(path: Path, origin: dict[str, Any]) -> bool:
    """Whether a file is what its record says; its bytes are read only if its time is another's."""
    try:
        record = files.read_json(path.with_suffix(".json"))
        is_same = record["state"] == _state(path) or record["digest"] == _sha256(path)
        if record["origin"] == origin and is_same:
            return True
    except FileNotFoundError:
        return False
    except files.DamagedFile:
        pass
    problem = "is damaged, or of other photographs than there are"
    log.warning("%s %s: it is made again", path, problem)
    return False


def _state(path: Path) -> list[int]:
    return [path.stat().st_size, path.stat().st_mtime_ns]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
