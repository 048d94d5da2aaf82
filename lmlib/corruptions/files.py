"""A benchmark of a test set, chunk by chunk: its official files where they lie in data/raw, else images made by our recipes.

    bench = open_benchmark("cifar_c", dataset)
    for name in bench.names:                                        # bench.missing says what is left out, and why
        for images in bench.chunks(name, severity=3, select=index): ...   # uint8 (b, 3, 32, 32)
        bench.provenance[name]                                      # "official" or "generated"

Layouts are those of the authors: `<name>.npy`, uint8 (5 n, 32, 32, 3) severity by severity with `labels.npy` (5 n,), or
(n, T, 32, 32, 3) for CIFAR-P. They are memory-mapped; of a sequence file of 952 MB only the chunk in hand is ever in memory.
What is generated is made once: a whole test set in that layout, too, a subset of it chunk by chunk.
"""

import hashlib
import math
import shutil
import warnings
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from .. import paths
from ..checks import check_name
from . import LEVELS, NAMES, VERSION, frost, make, recipe
from .archives import unpack
from .recipe import SIZE

SUFFIXES = {"cifar_c": "C", "cifar_c_bar": "C-Bar", "cifar_p": "P"}
OFFICIAL_SETS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}
CHUNK = {
    "cifar_c": 512,
    "cifar_c_bar": 512,
    "cifar_p": 64,
}  # images at once: 1.5 MB of them, 6 MB of frames
ROOM = 2e9  # bytes that a whole test set's file leaves free on the disk


def folder_name(dataset_name, benchmark):
    """CIFAR-10-C and so on, as the authors name them; digits-C for other sets. Raises ValueError for an unknown benchmark."""
    check_name("benchmark", benchmark, NAMES)
    return f"{OFFICIAL_SETS.get(dataset_name, dataset_name)}-{SUFFIXES[benchmark]}"


@dataclass(frozen=True, eq=False)
class Benchmark:
    """The test images of one set under one benchmark. Make it with `open_benchmark`."""

    benchmark: str
    folder: Path  # of what is generated
    dataset: object  # whose test images they are made of
    seed: int  # of what is generated
    arrays: dict = field(repr=False)  # name: memory-mapped file, official or ours
    provenance: dict  # name: "official" or "generated", for the names that can be used
    missing: dict  # name: why it is left out, in a sentence

    @property
    def names(self):
        """What can be used, in the authors' order."""
        return tuple(self.provenance)

    def chunks(self, name, severity=None, select=None):
        """Yield the images `select` (integers (m,), positions in the test set; all by default) under `name`, in order.

        severity: 1 to 5, None for sequences. Yields uint8 (b, 3, 32, 32), or (b, T, 3, 32, 32).
        Raises ValueError for a name that is unknown or left out, and for a wrong severity or position.
        """
        recipe(name, self.benchmark, severity)
        if name in self.missing:
            raise ValueError(f"{name} is left out: {self.missing[name]}")
        n = len(self.dataset.test)
        select = np.arange(n) if select is None else np.asarray(select)
        if (
            select.ndim != 1
            or select.dtype.kind not in "iu"
            or (select.size and not 0 <= select.min() <= select.max() < n)
        ):
            raise ValueError(
                f"select must be positions 0 .. {n - 1} in the test set, an integer array (m,)"
            )
        if len(select) == n and name not in self.arrays:
            self._write(name)
        size = CHUNK[self.benchmark]
        return (
            self._chunk(name, severity, select[i : i + size], len(select) < n)
            for i in range(0, len(select), size)
        )

    def _write(self, name):
        """Write all images under `name` unless they are written; where that cannot be, say why."""
        shape = array_shape(name, self.benchmark, len(self.dataset.test))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            needed, free = math.prod(shape), shutil.disk_usage(self.folder).free
            if needed + ROOM > free and not (self.folder / f"{name}.npy").exists():
                raise ValueError(
                    f"{name} takes {needed / 1e9:.1f} GB in {self.folder}, and {free / 1e9:.1f} GB are free"
                )
            write(self.benchmark, self.dataset, seed=self.seed, names=[name])
            self.arrays[name] = read_array(self.folder / f"{name}.npy", shape)
        except (OSError, ValueError) as error:
            warnings.warn(f"{error}: images are made on the fly instead", stacklevel=3)

    def _chunk(self, name, severity, index, keep):
        if name in self.arrays:
            rows = index if severity is None else index + (severity - 1) * len(self.dataset.test)
            return np.ascontiguousarray(np.moveaxis(self.arrays[name][rows], -1, -3))
        images = self.dataset.test.images[index]
        make_it = partial(make, images, name, severity, self.benchmark, seed=self.seed, index=index)
        if not keep:
            return make_it()
        key = _origin(self.benchmark, images, self.seed) | {
            "index": index.tolist(),
            "severity": severity,
        }
        key |= {"photographs": frost.fingerprint(frost.textures())} if name == "frost" else {}
        return kept(self.folder / "subsets" / f"{name}-{paths.digest_of(key)}.npz", make_it)


def kept(path, make_it):
    """The array in the file `path`, or what `make_it()` gives, kept there: every network meets the same subset of images."""
    if path.exists():
        try:
            with np.load(path, allow_pickle=False) as file:
                return file["images"]  # zip's checksum is compared
        except Exception as error:  # np.load may raise anything for what is truncated or foreign
            print(f"{path} is damaged ({error}): made again")
    array = make_it()
    with paths.as_cache(path), paths.atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(file, images=array)
    return array


def open_benchmark(benchmark, dataset, *, seed=0):
    """What there is of a benchmark for the test images of a `lmlib.datasets.Dataset`: a `Benchmark`.

    First data/raw/<folder>, official (an archive <folder>.tar beside it is verified and unpacked); it must hold the test labels,
    and a file of it that is missing, short or foreign is left out and named. Without it everything is generated, and kept in
    data/cache/<folder>. Frost needs its photographs, fetched where there are none.
    What is left out is warned of and stands in `missing`. Raises ValueError for an unknown
    benchmark, images of another size, a broken archive, and an official folder without a file that
    can be used.
    """
    folder = folder_name(dataset.name, benchmark)
    images = dataset.test.images
    if images.shape[1:] != (3, SIZE, SIZE):
        raise ValueError(
            f"{dataset.name}: benchmarks are for images (N, 3, 32, 32), got {images.shape}"
        )
    given, arrays, missing = _official_folder(folder, dataset, benchmark), {}, {}
    if given is not None:
        arrays, missing = _read_all(given, NAMES[benchmark], benchmark, len(images))
        if not arrays:
            reason = next(iter(missing.values()))
            problem = f"{given} holds no file that can be used ({reason})"
            raise ValueError(f"{problem}: mend it, or take the folder away")
    elif benchmark == "cifar_c" and (reason := _no_frost()):
        missing["frost"] = reason
    origin = "generated" if given is None else "official"
    provenance = {name: origin for name in NAMES[benchmark] if name not in missing}
    for name, reason in missing.items():
        warnings.warn(
            f"{folder}: {name} is left out, a mean is over the others only: {reason}", stacklevel=2
        )
    return Benchmark(benchmark, paths.CACHE / folder, dataset, seed, arrays, provenance, missing)


def array_shape(name, benchmark, n):
    """Shape of the file of `name` for n test images."""
    n_frames = recipe(name, benchmark, LEVELS[benchmark][0])[0].n_frames
    rows = (n, n_frames) if n_frames else (len(LEVELS[benchmark]) * n,)
    return *rows, SIZE, SIZE, 3


def _read_all(folder, names, benchmark, n):
    """What can be read of a folder for n test images: {name: memory-mapped array}, and {name: why not} for the others."""
    arrays, reasons = {}, {}
    for name in names:
        try:
            arrays[name] = read_array(folder / f"{name}.npy", array_shape(name, benchmark, n))
        except ValueError as error:
            reasons[name] = str(error)
    return arrays, reasons


def read_array(path, shape, dtype=np.uint8):
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
        found = f"{array.dtype} {array.shape}"
        raise ValueError(f"{path} holds {found}, expected {dtype.__name__} {shape}")
    return array


def official(dataset_name: str, benchmark: str) -> Path | None:
    """The folder of official files in data/raw, or the archive to unpack there; None for neither.

    Raises ValueError for a folder that is there and holds none of the benchmark's files.
    """
    path = paths.RAW / folder_name(dataset_name, benchmark)
    archive = path.with_name(f"{path.name}.tar")
    if not path.is_dir():
        return archive if archive.is_file() else None
    if not any((path / f"{name}.npy").is_file() for name in NAMES[benchmark]):
        where = f"put {NAMES[benchmark][0]}.npy and the others there"
        if inner := sorted(path.rglob(f"{NAMES[benchmark][0]}.npy")):
            where = f"they lie in {inner[0].parent}: move them up"
        raise ValueError(f"{path} holds none of its files: {where}, or take the folder away")
    return path


def _official_folder(folder, dataset, benchmark):
    """The official folder of this test set, or None; one that is of another set or order is named in a warning."""
    path = official(dataset.name, benchmark)
    if path is None:
        return None
    if path.is_file():
        path = unpack(path)
    expected, reason = np.tile(dataset.test.labels, len(LEVELS[benchmark])), None
    if not dataset.canonical:
        reason = f"the images of {dataset.name} are not known to be in the published order"
    elif (path / "labels.npy").exists():
        try:
            if not np.array_equal(
                read_array(path / "labels.npy", expected.shape, np.integer), expected
            ):
                reason = "its labels.npy does not hold the labels of the test set"
        except ValueError as error:
            reason = str(error)
    elif benchmark != "cifar_p":
        warnings.warn(
            f"{path} has no labels.npy: the order of its images cannot be checked", stacklevel=3
        )
    if reason:
        warnings.warn(f"{path} is not used, images are generated instead: {reason}", stacklevel=3)
        return None
    return path


def _no_frost():
    """Why there are no frost photographs, fetched if need be; None if there are."""
    try:
        try:
            frost.textures()
        except (FileNotFoundError, ValueError):  # none, or the copy is damaged
            if frost.own().is_dir():
                raise
            print("frost: fetching its photographs (2 MB, once)", flush=True)
            frost.fetch()
            frost.textures()
    except (OSError, ValueError) as error:
        return str(error)


# --- what we write --------------------------------------------------------------------------------------------------


def write(benchmark, dataset, *, seed=0, names=None):
    """Generate a benchmark once and for all into data/cache/<folder>, in the official layout; returns the folder.

    Each file appears whole, and is then entered in `manifest.json` (recipe version, seed, sha256 of the clean images and of each
    file, its size and time of change); a call that was killed goes on with the file it was at. A file of another size or time is
    read again, and if its sha256 differs too, that is said and it is made again. A second call at the same time waits.
    names: all of the benchmark by default. Raises ValueError for a folder that holds another recipe, seed or set, and for unknown
    names; FileNotFoundError for frost without photographs.
    """
    folder, images = paths.CACHE / folder_name(dataset.name, benchmark), dataset.test.images
    names = (
        NAMES[benchmark]
        if names is None
        else [check_name("name", name, NAMES[benchmark]) for name in names]
    )
    with paths.locked(folder):
        manifest = _manifest(folder, benchmark, images, seed)
        for left in folder.glob(
            ".*.npy.*.part"
        ):  # by a call that was killed: nobody else writes here
            left.unlink()
        with paths.atomic_write(folder / "labels.npy") as temporary, temporary.open("wb") as file:
            np.save(file, np.tile(dataset.test.labels, len(LEVELS[benchmark])))
        for name in names:
            path, known = folder / f"{name}.npy", manifest["files"].get(name)
            found = _describe(path, name, known) if known and path.exists() else None
            if found and found is known:
                continue
            if found and found | {"changed_ns": 0} == known | {"changed_ns": 0}:  # a copy, say
                manifest["files"][name] = found
            else:
                if found:
                    print(
                        f"{path} is damaged, or of other photographs than there are (it is not the manifest's): made again"
                    )
                manifest["files"][name] = _make(path, name, benchmark, images, seed)
            paths.write_record(folder / "manifest.json", manifest)
    return folder


def _make(path, name, benchmark, images, seed):
    """Write the file of `name`; returns its entry in the manifest."""
    with paths.atomic_write(path) as temporary:
        with temporary.open("wb") as file:
            header = {
                "descr": "|u1",
                "fortran_order": False,
                "shape": array_shape(name, benchmark, len(images)),
            }
            np.lib.format.write_array_header_1_0(file, header)
            for made in _in_order(images, name, benchmark, seed):
                file.write(made.tobytes())
        return _describe(temporary, name)


def _in_order(images, name, benchmark, seed):
    """The rows of the file of `name`, chunk by chunk: uint8 (b, 32, 32, 3), or (b, T, 32, 32, 3)."""
    starts = range(0, len(images), CHUNK[benchmark])
    for severity, start in tqdm(list(product(LEVELS[benchmark], starts)), desc=name, leave=False):
        index = np.arange(start, min(start + CHUNK[benchmark], len(images)))
        yield np.moveaxis(
            make(images[index], name, severity, benchmark, seed=seed, index=index), -3, -1
        )


def _origin(benchmark, images, seed):
    digest = hashlib.sha256(np.ascontiguousarray(images)).hexdigest()
    return {
        "benchmark": benchmark,
        "version": VERSION,
        "seed": seed,
        "images": digest,
        "provenance": "generated",
    }


def _describe(path, name, known=None):
    """A file's entry in the manifest: that of `known` where its size and time of change are, else with the sha256 taken anew.

    So a file that nobody wrote to is not read: a test set has 14 GB of them.
    """
    entry = {"bytes": path.stat().st_size, "changed_ns": path.stat().st_mtime_ns}
    entry |= {"photographs": frost.fingerprint(frost.textures())} if name == "frost" else {}
    if known and entry.items() <= known.items():
        return known
    with path.open("rb") as file:
        return entry | {"sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _manifest(folder, benchmark, images, seed):
    """What `write` noted in a folder, or the beginning of it. Raises ValueError where that is damaged, or of other images."""
    path, origin = folder / "manifest.json", _origin(benchmark, images, seed)
    try:
        manifest = paths.read_record(path) if path.exists() else origin | {"files": {}}
    except ValueError as error:
        raise ValueError(f"{error}: move {folder} away") from error
    if not origin.items() <= manifest.items():
        raise ValueError(
            f"{folder} was made by another recipe, with another seed or from other images: move it away"
        )
    return manifest
