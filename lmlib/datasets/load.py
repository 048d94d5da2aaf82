"""The images: scikit-learn's digits (embedded), CIFAR-10, CIFAR-100, or a folder of class folders; in memory, uint8."""

import hashlib
import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from .. import paths
from ..archives import files_below
from ..checks import check_name
from ..draws import permutation
from ..pictures import NoPictureError, read_picture, skipped_words
from . import cifar as sources
from .fetch import fetch_dataset

VERSION = 1  # raised by hand when the pixels, labels, order or splits of a dataset change
NAMES = "digits", "cifar10", "cifar100"
PARTS = "train", "test"


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a dataset. images: uint8 (N, 3, H, W), contiguous; labels: int64 (N,), 0 .. n_classes - 1."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self):
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset in memory, with the base augmentation that suits it (`flip`, and `pad` pixels before a crop)."""

    name: str
    train: Split
    test: Split
    classes: tuple  # class names, in the order of the labels
    source: str  # where the pixels came from, for the record
    canonical: (
        bool  # whether images stand in the order as published: official corruption files need it
    )
    flip: bool  # whether a mirrored image is still of its class
    pad: int  # the random crop's padding in pixels
    hash: str  # `fingerprint` of the two splits
    address: str = ""  # what `load_dataset` takes to load it again; empty: its name

    @property
    def n_classes(self):
        return len(self.classes)

    @property
    def image_size(self):
        return self.train.images.shape[-1]


def load_dataset(name: str, *, root: Path = paths.DATA) -> Dataset:
    """Load a dataset by name: "digits", "cifar10", "cifar100" or "folder:/path/of/pictures". Returns a `Dataset`.

    root: the folder with `raw/` and `cache/`; CIFAR that is not there is fetched once, if there is a network. Raises
    ValueError for an unknown name, and for missing, damaged or foreign files (`data/README.md` says what goes where).
    """
    if str(name).startswith("folder:"):
        return folder(Path(absolute(name).removeprefix("folder:")))
    check_name("dataset", name, NAMES)
    return digits() if name == "digits" else cifar(name, root)


def absolute(name: str) -> str:
    """A dataset's name that means the same in every folder: `folder:pictures` with its path."""
    if not str(name).startswith("folder:"):
        return name
    return f"folder:{Path(name.removeprefix('folder:')).expanduser().absolute()}"


def _dataset(name, train, test, classes, source, *, canonical=True, flip=False, pad, address=""):
    known = (canonical, flip, pad, fingerprint(train, test), address)
    return Dataset(name, train, test, tuple(classes), source, *known)


def fingerprint(train, test):
    """The first 16 hex digits of the sha256 over shapes, pixel bytes and labels of two splits."""
    digest = hashlib.sha256()
    for split in (train, test):
        digest.update(repr(split.images.shape).encode())
        digest.update(split.images)
        digest.update(split.labels.astype("<i8"))
    return digest.hexdigest()[:16]


def digits():
    """scikit-learn's 1,797 handwritten digits, 8 x 8 in grey: 1,297 to train on, 500 to test, stratified, fixed.

    Grey values 0 .. 16 go to 0 .. 255 and the 8 x 8 image fills the 32 x 32 frame by bilinear interpolation (pixel
    centres aligned, border repeated), the same in the three channels. The weights are eighths, so that the result is
    exact, the same on every machine.
    Source: UCI "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak), test part.
    """
    from scipy import ndimage  # these two are not in the bare package, and needed here only
    from sklearn.datasets import load_digits

    bunch = load_digits()
    large = ndimage.zoom(bunch.images, (1, 4, 4), order=1, mode="nearest", grid_mode=True)
    grey = np.floor(large * (255 / 16) + 0.5).astype(np.uint8)
    images, labels = np.repeat(grey[:, None], 3, axis=1), bunch.target.astype(np.int64)
    test_index = stratified_subset(labels, 500, seed=0, purpose="digits split")
    train_index = np.setdiff1d(np.arange(len(labels)), test_index)
    train, test = (Split(images[index], labels[index]) for index in (train_index, test_index))
    return _dataset("digits", train, test, "0123456789", "scikit-learn's digits (embedded)", pad=4)


def cifar(name, root):
    """CIFAR-10 or CIFAR-100: from the source in `root/raw`, decoded once to one verified file in `root/cache`."""
    reader, files = sources.find(name, root / "raw")
    cache = root / "cache" / f"{name}.npz"
    seen = [
        [path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files if path.exists()
    ]
    dataset = _read_cache(name, cache, seen) if cache.exists() else None
    if dataset is None:
        if not files:
            fetch_dataset(name, root / "raw")
            return cifar(name, root)
        splits, canonical = sources.read(name, reader, files)
        train, test = (
            Split(np.ascontiguousarray(x.transpose(0, 3, 1, 2)), y) for x, y in splits.values()
        )
        source = f"{name} from {' and '.join(path.name for path in files)}"
        dataset = _cifar(name, train, test, source, canonical)
        _write_cache(cache, dataset, seen)
    if not dataset.canonical:
        print(
            f"{dataset.source}: not in canonical order, so that official corruption files cannot be used with it"
        )
    return dataset


def _cifar(name, train, test, source, canonical):
    return _dataset(
        name,
        train,
        test,
        sources.CIFAR[name].classes,
        source,
        canonical=canonical,
        flip=True,
        pad=4,
    )


def _write_cache(path, dataset, seen):
    """One .npz with the arrays and a manifest: their hash, the order, and the raw files they came from."""
    manifest = {key: getattr(dataset, key) for key in ("hash", "source", "canonical")}
    manifest |= {"files": seen, "version": VERSION}
    arrays = {
        f"{part}_{kind}": getattr(getattr(dataset, part), kind)
        for part in PARTS
        for kind in ("images", "labels")
    }
    with paths.as_cache(path), paths.atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(file, manifest=np.array(json.dumps(manifest)), **arrays)


def _read_cache(name, path, seen):
    """The cached dataset; None if it is of other raw files or an older version, or damaged, which is said."""
    try:
        with np.load(path, allow_pickle=False) as file:
            manifest = json.loads(str(file["manifest"]))
            if manifest["version"] != VERSION or seen not in ([], manifest["files"]):
                return None
            train, test = (
                Split(file[f"{split}_images"], file[f"{split}_labels"]) for split in PARTS
            )
        dataset = _cifar(name, train, test, manifest["source"], manifest["canonical"])
        if dataset.hash != manifest["hash"]:
            raise ValueError(f"checksum {dataset.hash}, expected {manifest['hash']}")
    except Exception as error:  # np.load may raise anything for what is truncated or foreign
        print(f"{path} is damaged ({error}): it is made again")
        return None
    return dataset


def folder(path: Path) -> Dataset:
    """Pictures of one square size in `train/<class>/` and `test/<class>/` (or `val/<class>/`).

    As torchvision's ImageFolder has them: folders within a class too, by folder and name. Each is
    read by `read_picture`; hidden files are left out, and what is no picture, which a warning says.
    Nothing is known of the pictures, so that they are never flipped, and cropped with a padding of
    an eighth of their size. Raises ValueError, naming the file, for a picture that cannot be read
    and for a link that leads nowhere.
    """
    held_out = "val" if (path / "val").is_dir() and not (path / "test").is_dir() else "test"
    parts = ("train", held_out)
    entries = {part: _visible(path / part) for part in parts}
    classes, others = ([one.name for one in entries[part] if one.is_dir()] for part in parts)
    if len(classes) < 2 or classes != others:
        odd = sorted(set(classes) ^ set(others)) or classes
        raise ValueError(
            f"{path} must hold `train` and `test` (or `val`), and both the same two or more class folders; see {odd[:5]}"
        )
    strays = [one for part in parts for one in entries[part] if not one.is_dir()]
    skipped = {one.relative_to(path).as_posix(): "in no class folder" for one in strays}
    files = {(part, name): _pictures(path / part / name) for part in parts for name in classes}
    size, splits = None, []
    for part in parts:
        images, labels = [], []
        for label, name in enumerate(tqdm(classes, desc=f"{path.name} {part}", leave=False)):
            for file in files[part, name]:
                try:
                    images.append(_picture(file, size))
                except NoPictureError as error:
                    skipped[file.relative_to(path).as_posix()] = str(error)
                    continue
                labels.append(label)
                size = images[0].shape[-1]
            if labels[-1:] != [label]:
                where = path / part / name
                raise ValueError(
                    f"{where} is empty of pictures: every class needs some in both parts"
                )
        splits.append(Split(np.stack(images), np.array(labels, dtype=np.int64)))
    if skipped:
        warnings.warn(skipped_words(path, skipped), stacklevel=3)
    given = {"source": f"pictures in {path}", "pad": size // 8, "address": f"folder:{path}"}
    return _dataset(f"folder-{path.name}", *splits, classes, **given)


def _visible(path):
    """What lies in a folder and is not hidden, nothing where there is no folder."""
    return sorted(entry for entry in path.glob("*") if not entry.name.startswith("."))


def _pictures(path):
    """The files of a class that are not hidden; ValueError where there is none."""
    names = [file.relative_to(path).as_posix() for file in files_below(path)]
    files = [path / name for name in names if "/." not in f"/{name}"]
    if not files:
        raise ValueError(f"{path} is empty: every class needs pictures in both parts")
    return files


def _picture(path, size):
    """One picture as uint8 (3, size, size); size None takes any square.

    Raises NoPictureError where neither the name nor the content is a picture's, else ValueError.
    """
    try:
        picture = read_picture(path)
        width, height = picture.size
        if width != height or size not in (None, width):
            expected = f"{size} x {size}" if size else "a square"
            raise ValueError(f"{width} x {height} pixels, expected {expected} as the first picture")
    except ValueError as error:
        named = path.suffix.lower() in Image.registered_extensions()
        if isinstance(error, NoPictureError) and not named:
            raise
        raise ValueError(f"{path} cannot be used: {error}") from error
    return np.ascontiguousarray(np.asarray(picture).transpose(2, 0, 1))


def validation_split(split, n, *, seed):
    """Set `n` images of a training split apart, stratified. Returns (train_index, validation_index), sorted int64.

    The two are disjoint and together the whole split. Raises ValueError unless 1 <= n < len(split).
    """
    if n == len(split):
        raise ValueError(
            f"a validation split of {n} leaves nothing to train on: the split has {len(split)} images"
        )
    validation = stratified_subset(split.labels, n, seed=seed, purpose="validation split")
    return np.setdiff1d(np.arange(len(split)), validation), validation


def stratified_subset(labels, n, *, seed, purpose="stratified subset"):
    """`n` fixed indices in which each class keeps its share. labels: integer (N,). Returns sorted int64 (n,).

    Shuffle by key (seed and purpose); the k-th image (k = 0, 1, ...) of a class of N gets the mark (k + 1/2) / N; the n lowest
    win. That is the method of Sainte-Laguë: shares as even as whole numbers allow. Equal marks go by the shuffle. Subsets of one
    key are nested: the n indices are among the n + 1. Raises ValueError unless 1 <= n <= N.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(f"labels must be an integer array (N,), got {labels.dtype} {labels.shape}")
    if not 1 <= n <= len(labels):
        raise ValueError(f"cannot take {n} of {len(labels)} images: choose 1 to {len(labels)}")
    shuffled = permutation(purpose, len(labels), seed=seed)
    _, inverse, counts = np.unique(labels[shuffled], return_inverse=True, return_counts=True)
    by_class = np.argsort(inverse, kind="stable")
    size = counts[inverse[by_class]]
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    winners = by_class[np.lexsort((by_class, (rank + 0.5) / size))[:n]]
    return np.sort(shuffled[winners])
