"""The images, in memory as uint8: `load_dataset(name)`.

scikit-learn's digits (embedded), CIFAR-10, CIFAR-100, or a folder of class folders; and, on the
disk, ImageNet or a folder of photographs.
"""

import hashlib
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import files, paths
from ..checks import check_name
from . import cifar, imagenet
from .folder import read_folder
from .photographs import SIZE, read_photographs
from .split import Split, in_content_order, stratified_subset

VERSION = 2  # raised by hand when the pixels, labels, order or splits of a dataset change
NAMES = "digits", "cifar10", "cifar100"


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset with the base augmentation that suits it.

    Each split is in the order of its content, or of its names where pictures stay on the disk, so
    that a run is the same run whichever source its images came from.
    """

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]  # in the order of the labels
    source: str  # where the pixels came from, for the record
    published: np.ndarray | None  # of each test image, its position in the published test set
    flip: bool  # whether a mirrored image is still of its class
    pad: int  # the random crop's padding in pixels
    hash: str  # of both splits, 16 hex digits: of images and labels, or of names and sizes
    address: str = ""  # what `load_dataset` takes to load it again; empty: its name

    @property
    def n_classes(self) -> int:
        return len(self.classes)

    @property
    def image_size(self) -> int:
        """Height and width of an image in pixels."""
        return self.train.images.shape[-1]


def load_dataset(name: str) -> Dataset:
    """Load a dataset by name: "digits", "cifar10", "cifar100", "folder:/path/of/pictures",
    "imagenet-200", "imagenet-1k" or "photographs:/path/of/pictures".

    CIFAR is read from data/raw, and fetched once where it is not there and there is a network. Of
    a folder's small square pictures nothing is known, so that they are never flipped, and cropped
    with a padding of an eighth of their size. ImageNet and photographs of any size stay on the
    disk (`photographs`) and are images of 224 px. Raises ValueError for an unknown name, and for
    missing, damaged or foreign files (`data/README.md` says what goes where).
    """
    kind, _, path = absolute(name).partition(":")
    if kind == "folder":
        return _load_folder(Path(path))
    if kind == "photographs":
        return load_photographs(Path(path))
    check_name("dataset", name, [*NAMES, *imagenet.NAMES])
    if name in imagenet.NAMES:
        return _load_imagenet(name)
    return _load_digits() if name == "digits" else _load_cifar(name)


def absolute(name: str) -> str:
    """A dataset's name that means the same in every folder: `folder:pictures` with its path."""
    kind, separator, path = str(name).partition(":")
    if kind not in ("folder", "photographs") or not separator:
        return name
    return f"{kind}:{Path(path).expanduser().absolute()}"


def combined_hash(checksums: Iterable[str]) -> str:
    """The hash of a dataset from the checksums of its two splits: 16 hex digits."""
    return hashlib.sha256(" ".join(checksums).encode()).hexdigest()[:16]


def from_splits(
    name: str, splits: Iterable[Split], classes: Iterable[str], source: str, **fields: Any
) -> Dataset:
    """A dataset of a training and a test split, the latter in the order of its official files.

    fields: others of `Dataset`.
    """
    (train, _, first), (test, order, second) = map(in_content_order, splits)
    defaults: dict[str, Any] = {"published": order, "flip": False, "pad": 4}
    checksum = combined_hash([first, second])
    return Dataset(name, train, test, tuple(classes), source, hash=checksum, **defaults | fields)


def _load_folder(path: Path) -> Dataset:
    """Pictures of one square size, in memory."""
    splits, classes = read_folder(path)
    address, source = f"folder:{path}", f"pictures in {path}"
    pad = splits[0].images.shape[-1] // 8
    title = f"folder-{path.name}"
    return from_splits(title, splits, classes, source, pad=pad, address=address)


def load_photographs(path: Path, size: int = SIZE) -> Dataset:
    """Pictures of any size that stay on the disk; size: side of an image in pixels."""
    (train, test), classes, identity = read_photographs(path, size)
    return Dataset(
        f"photographs-{path.name}", train, test, tuple(classes), f"pictures in {path}", None,
        flip=True, pad=0, hash=identity[:16], address=f"photographs:{path}",
    )  # fmt: skip


def _load_imagenet(name: str) -> Dataset:
    """ImageNet or its 200 classes: names and sizes are read, pictures when they are needed."""
    (train, test), classes, identities, root = imagenet.read(name)
    checksum = combined_hash(identities)
    return Dataset(
        name, train, test, classes, f"pictures in {root}", test.index, flip=True, pad=0,
        hash=checksum,
    )  # fmt: skip


def _load_digits() -> Dataset:
    """scikit-learn's 1,797 handwritten digits, 8 x 8 in grey: 1,297 to train on, 500 to test.

    The split is stratified and fixed. Grey values 0 .. 16 go to 0 .. 255, and the 8 x 8 image fills
    the 32 x 32 frame by bilinear interpolation (pixel centres aligned, border repeated), the same
    in the three channels. The weights are eighths, so that the result is exact, the same on every
    machine. Source: UCI "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak), test part.
    """
    from scipy import ndimage  # these two are not in the bare package, and needed here only
    from sklearn.datasets import load_digits

    bunch = load_digits()
    large = ndimage.zoom(bunch.images, (1, 4, 4), order=1, mode="nearest", grid_mode=True)
    grey = np.floor(large * (255 / 16) + 0.5).astype(np.uint8)
    images, labels = np.repeat(grey[:, None], 3, axis=1), bunch.target.astype(np.int64)
    test_index = stratified_subset(labels, 500, seed=0, purpose="digits split")
    train_index = np.setdiff1d(np.arange(len(labels)), test_index)
    splits = [Split(images[index], labels[index]) for index in (train_index, test_index)]
    return from_splits("digits", splits, "0123456789", "scikit-learn's digits (embedded)")


def _load_cifar(name: str) -> Dataset:
    """CIFAR-10 or CIFAR-100 from data/raw, decoded once to one file in data/cache."""
    reader, sources = cifar.find(name, paths.RAW)
    cache = paths.CACHE / f"{name}.safetensors"
    arrays, record = _read_cache(cache, sources)
    if not arrays:
        if reader is None:
            cifar.fetch(name, paths.RAW)
            return _load_cifar(name)
        decoded, published = cifar.read(name, reader, sources)
        source = f"{name} from {' and '.join(path.name for path in sources)}"
        record = {"source": source, "version": VERSION, "files": _states(sources)}
        for part, split in decoded.items():
            arrays |= {f"{part}_images": split.images, f"{part}_labels": split.labels}
        if published is not None:
            arrays["published"] = published
        with files.as_cache(cache):
            files.write_arrays(cache, arrays, record)
    train, test = (
        Split(arrays[f"{part}_images"], arrays[f"{part}_labels"]) for part in cifar.SHAPES
    )
    source, published = record["source"], arrays.get("published")
    if published is None:
        problem = "the published order is not known, and official corruption files need it"
        warnings.warn(f"{source}: {problem}", stacklevel=3)
    return Dataset(name, train, test, source=source, published=published, **cifar_facts(name))


def cifar_facts(name: str) -> dict[str, Any]:
    """What is known of CIFAR-10 or CIFAR-100 without its files: fields of `Dataset`."""
    known = cifar.CIFAR[name]
    checksum = combined_hash(known.content[part] for part in cifar.SHAPES)
    return {"classes": known.classes, "flip": True, "pad": 4, "hash": checksum}


def _read_cache(cache: Path, sources: list[Path]) -> tuple[dict[str, np.ndarray], dict]:
    """The arrays and the record in a cache; empty if it is damaged or of other raw files."""
    try:
        arrays, record = files.read_arrays(cache)
        if record["version"] == VERSION and (not sources or record["files"] == _states(sources)):
            return arrays, record
    except FileNotFoundError:
        pass
    except files.DamagedFile as error:
        warnings.warn(f"{error}: it is made again", stacklevel=4)
    return {}, {}


def _states(sources: list[Path]) -> list[list]:
    """Name, size and time of change of the raw files that are there."""
    return [
        [path.name, path.stat().st_size, path.stat().st_mtime_ns]
        for path in sources
        if path.exists()
    ]
