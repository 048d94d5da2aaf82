"""A benchmark of a test set, chunk by chunk: its official files, else images that we make.

    bench = open_benchmark("cifar_c", dataset)
    for name in bench.names:                                # bench.missing says what is left out
        for images in bench.chunks(name, severity=3, select=index): ...   # uint8 (b, 3, 32, 32)
        bench.provenance[name]                              # "official" or "generated"

Official files are memory-mapped: of a sequence file of 952 MB only the chunk in hand is ever in
memory. What our recipes make is made once: each chunk is kept in data/cache, under the name of what
made it (recipe version, seed, clean images and, for frost, the photographs).
"""

import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import paths
from ..files import cached_arrays, digest
from . import NAMES, VERSION, frost, make, recipe
from .official import array_shape, folder_name, official_folder, read_array
from .recipe import SIZES

CHUNK = {"cifar_c": 512, "cifar_c_bar": 512, "cifar_p": 64}
"""Images in a chunk: 1.5 MB of them, 6 MB of frames."""

ROOM = 2 * 10**9  # bytes that are to stay free on the disk


@dataclass(frozen=True, eq=False)
class Benchmark:
    """The test images of one set under one benchmark. Make it with `open_benchmark`."""

    benchmark: str
    dataset: Any  # the `lmlib.datasets.Dataset` whose test images they are made of
    seed: int  # of what is generated
    arrays: dict[str, np.ndarray] = field(repr=False)  # the official files by name, memory-mapped
    provenance: dict[str, str]  # by name that can be used: "official" or "generated"
    missing: dict[str, str]  # by name that is left out: why, in a sentence

    @property
    def names(self) -> tuple[str, ...]:
        """What can be used, in the authors' order."""
        return tuple(self.provenance)

    def chunks(
        self, name: str, severity: int | None = None, select: np.ndarray | None = None
    ) -> Iterator[np.ndarray]:
        """The images under `name`, in order: uint8 (b, 3, 32, 32), or (b, T, 3, 32, 32), each.

        severity: 1 to 5, None for sequences. select: integers (m,), positions in the test set; all
        by default. Raises ValueError for a name that is unknown or left out, and for a wrong
        severity or position.
        """
        recipe(name, self.benchmark, severity)
        if name in self.missing:
            raise ValueError(f"{name} is left out: {self.missing[name]}")
        n = len(self.dataset.test)
        whole = np.arange(n)
        select = whole if select is None else np.asarray(select)
        if select.ndim != 1 or select.dtype.kind not in "iu" or not np.isin(select, whole).all():
            expected = f"positions 0 .. {n - 1} in the test set, an integer array (m,)"
            raise ValueError(f"select must be {expected}")
        size = CHUNK[self.benchmark]
        starts = range(0, len(select), size)
        return (self._chunk(name, severity, select[start : start + size]) for start in starts)

    def _chunk(self, name: str, severity: int | None, index: np.ndarray) -> np.ndarray:
        if name in self.arrays:
            if self.provenance[name] == "official":
                index = self.dataset.published[index]
            rows = index if severity is None else index + (severity - 1) * len(self.dataset.test)
            return np.ascontiguousarray(np.moveaxis(self.arrays[name][rows], -1, -3))
        images = np.ascontiguousarray(self.dataset.test.images[index])
        key = {"benchmark": self.benchmark, "version": VERSION, "seed": int(self.seed)}
        key |= {"severity": severity, "index": index.tolist()}
        key["images"] = hashlib.sha256(images.data).hexdigest()
        if name == "frost":
            key["photographs"] = frost.fingerprint()

        def make_images() -> tuple[dict[str, np.ndarray], dict[str, Any]]:
            made = make(images, name, severity, self.benchmark, seed=self.seed, index=index)
            return {"images": made}, key

        folder = paths.CACHE / folder_name(self.dataset.name, self.benchmark) / "subsets"
        path = folder / f"{name}-{digest(key)[:16]}.safetensors"
        return cached_arrays(path, make_images, ROOM)[0]["images"]


def open_benchmark(benchmark: str, dataset: Any, *, seed: int = 0) -> Benchmark:
    """What there is of a benchmark for the test images of a `lmlib.datasets.Dataset`.

    First data/raw/<folder>, official (an archive <folder>.tar beside it is verified and unpacked);
    it must hold the test labels, and a file of it that is missing, short or foreign is left out and
    named. Without it everything is generated, and kept in data/cache/<folder>. Frost needs its
    photographs, fetched where there are none. What is left out is warned of and stands in
    `missing`. Raises ValueError for an unknown benchmark, images of another size, a broken archive,
    and an official folder without a file that can be used.
    """
    folder_title, images = folder_name(dataset.name, benchmark), dataset.test.images
    if images.shape[1:] != (3, SIZES["cifar"], SIZES["cifar"]):
        expected = "benchmarks are for images (N, 3, 32, 32)"
        raise ValueError(f"{dataset.name}: {expected}, got {images.shape}")
    folder = official_folder(dataset, benchmark)
    arrays: dict[str, np.ndarray] = {}
    missing: dict[str, str] = {}
    if folder is not None:
        for name in NAMES[benchmark]:
            try:
                shape = array_shape(name, benchmark, len(images))
                arrays[name] = read_array(folder / f"{name}.npy", shape)
            except ValueError as error:
                missing[name] = str(error)
        if not arrays:
            problem = f"{folder} holds no file that can be used ({next(iter(missing.values()))})"
            raise ValueError(f"{problem}: mend it, or take the folder away")
    elif benchmark == "cifar_c" and (reason := why_no_frost()):
        missing["frost"] = reason
    origin = "generated" if folder is None else "official"
    provenance = {name: origin for name in NAMES[benchmark] if name not in missing}
    for name, reason in missing.items():
        problem = f"{name} is left out, a mean is over the others only: {reason}"
        warnings.warn(f"{folder_title}: {problem}", stacklevel=2)
    return Benchmark(benchmark, dataset, seed, arrays, provenance, missing)


def why_no_frost(size: int = SIZES["cifar"]) -> str | None:
    """Why frost has no photographs for `size` pixels, fetched if need be; None if it has them."""
    try:
        try:
            frost.textures(size)
        except (FileNotFoundError, ValueError):  # none, or the copy is damaged
            if frost.own().is_dir():
                raise
            frost.fetch()
    except (OSError, ValueError) as error:
        return str(error)
    return None
