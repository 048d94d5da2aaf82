"""The official files of the benchmarks: their layout, how they are checked, how one is unpacked.

Layouts are those of the authors: `<name>.npy`, uint8 (5 n, 32, 32, 3), severity by severity, with
`labels.npy` (5 n,), or (n, T, 32, 32, 3) for CIFAR-P.

CIFAR-10-C and CIFAR-100-C: size and MD5 of Zenodo's records 2535967 and 3555552. CIFAR-10-P: the
MD5 that public loaders of record 2535967 agree on (four seen; the record itself was not, and no
size was found). CIFAR-10-C-Bar was never published as an archive, only as the program that makes
it, so that there is no checksum to hold one against: its arrays are checked by shape, type and
labels, as all are.
"""

import shutil
import tarfile
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from .. import paths
from ..checks import check_name
from ..files import lock, verify
from . import LEVELS, NAMES, recipe
from .recipe import SIZES

SUFFIXES = {"cifar_c": "C", "cifar_c_bar": "C-Bar", "cifar_p": "P"}
OFFICIAL_SETS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}
ARCHIVES: dict[str, tuple[int | None, str]] = {  # bytes, MD5
    "CIFAR-10-C.tar": (2_918_471_680, "56bf5dcef84df0e2308c6dcbcbbd8499"),
    "CIFAR-100-C.tar": (2_918_473_216, "11f0ed0f1191edbf9fa23466ae6021d3"),
    "CIFAR-10-P.tar": (None, "125d6775afc5846ea84584d7524dedff"),
}


def folder_name(dataset_name: str, benchmark: str) -> str:
    """CIFAR-10-C and so on, as the authors name them; digits-C for other sets.

    Raises ValueError for an unknown benchmark.
    """
    check_name("benchmark", benchmark, SUFFIXES)
    return f"{OFFICIAL_SETS.get(dataset_name, dataset_name)}-{SUFFIXES[benchmark]}"


def array_shape(name: str, benchmark: str, n: int) -> tuple[int, ...]:
    """Shape of the file of `name` for n test images."""
    entry, p = recipe(name, benchmark, LEVELS[benchmark][0])
    frames = entry.frames(p)
    rows = (n, *frames) if frames else (len(LEVELS[benchmark]) * n,)
    return *rows, SIZES["cifar"], SIZES["cifar"], 3


def read_array(path: Path, shape: tuple[int, ...], dtype: Any = np.uint8) -> np.ndarray:
    """Memory-map an array file. dtype: a type of NumPy, or a kind such as np.integer.

    Raises ValueError naming one that is missing, short, no array, or of another shape or type.
    """
    if not path.exists():
        raise ValueError(f"{path} is missing")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # np.load may raise anything for what is truncated or foreign
        raise ValueError(f"{path} is short or no array file ({error})") from error
    if array.shape != shape or not np.issubdtype(array.dtype, dtype):
        content = f"{array.dtype} {array.shape}"
        raise ValueError(f"{path} holds {content}, expected {dtype.__name__} {shape}")
    return array


def official_source(dataset_name: str, benchmark: str) -> Path | None:
    """The folder of official files in data/raw, or the archive to unpack there; None for neither.

    Raises ValueError for a folder that is there and holds none of the benchmark's files.
    """
    path = paths.RAW / folder_name(dataset_name, benchmark)
    archive = path.with_name(f"{path.name}.tar")
    if not path.is_dir():
        return archive if archive.is_file() else None
    if not any((path / f"{name}.npy").is_file() for name in NAMES[benchmark]):
        remedy = f"put {NAMES[benchmark][0]}.npy and the others there"
        if inner := sorted(path.rglob(f"{NAMES[benchmark][0]}.npy")):
            remedy = f"they lie in {inner[0].parent}: move them up"
        raise ValueError(f"{path} holds none of its files: {remedy}, or take the folder away")
    return path


def official_folder(dataset: Any, benchmark: str) -> Path | None:
    """The folder of official files for the test images of a `lmlib.datasets.Dataset`, or None.

    An archive is unpacked. A folder that is of other images or of another order is named in a
    warning and not used. Raises ValueError as `official_source` and `unpack` do.
    """
    path = official_source(dataset.name, benchmark)
    if path is None:
        return None
    if path.is_file():
        path = unpack(path)
    if dataset.published is None:
        reason = f"the published order of the images of {dataset.name} is not known"
        warnings.warn(f"{path} is not used, images are generated instead: {reason}", stacklevel=3)
        return None
    reason, in_order = "", dataset.test.labels[np.argsort(dataset.published)]
    labels = np.tile(in_order, len(LEVELS[benchmark]))
    if (path / "labels.npy").exists():
        try:
            if (read_array(path / "labels.npy", labels.shape, np.integer) != labels).any():
                reason = "its labels.npy does not hold the labels of the test set"
        except ValueError as error:
            reason = str(error)
    elif benchmark != "cifar_p":
        problem = "the order of its images cannot be checked"
        warnings.warn(f"{path} has no labels.npy: {problem}", stacklevel=3)
    if reason:
        warnings.warn(f"{path} is not used, images are generated instead: {reason}", stacklevel=3)
        return None
    return path


def unpack(archive: Path) -> Path:
    """Verify a tar and unpack the folder of its name beside it, whole or not at all.

    Returns the folder. Raises ValueError for an archive of another MD5, one that is broken, has no
    such folder or leads elsewhere, and where nothing can be written. One without a published MD5
    passes with a warning.
    """
    if archive.name in ARCHIVES:
        n_bytes, md5 = ARCHIVES[archive.name]
        verify(archive, "md5", md5, n_bytes)
    else:
        check = "its arrays are checked by shape, type and labels alone"
        warnings.warn(f"{archive.name}: no checksum was published; {check}", stacklevel=2)
    folder = archive.with_suffix("")
    try:
        with lock(paths.CACHE / folder.name):  # two runs may want it at once
            if not folder.is_dir():
                for remainder in archive.parent.glob(f".{folder.name}-*"):  # of a killed call
                    shutil.rmtree(remainder)
                with tempfile.TemporaryDirectory(
                    dir=archive.parent, prefix=f".{folder.name}-"
                ) as temporary:
                    shutil.unpack_archive(archive, temporary, "tar", filter="data")
                    (Path(temporary) / folder.name).rename(folder)
    except (tarfile.TarError, OSError) as error:
        problem = f"{archive} cannot be unpacked beside itself ({error})"
        raise ValueError(f"{problem}: fetch it again, make room, or unpack it by hand") from error
    return folder
