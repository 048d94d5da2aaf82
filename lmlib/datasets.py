"""The images: scikit-learn's digits (embedded), CIFAR-10, CIFAR-100, or a folder of class folders; in memory, uint8."""

import hashlib
from dataclasses import dataclass

import numpy as np

from lmlib import paths
from lmlib.errors import check_name
from lmlib.random import permutation

VERSION = 1  # raised by hand when the pixels, labels, order or splits of a dataset change
NAMES = "digits", "cifar10", "cifar100"


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
    canonical: bool  # whether images stand in the order as published: official corruption files need it
    flip: bool  # whether a mirrored image is still of its class
    pad: int  # the random crop's padding in pixels
    hash: str  # `fingerprint` of the two splits

    @property
    def n_classes(self):
        return len(self.classes)

    @property
    def image_size(self):
        return self.train.images.shape[-1]


def load_dataset(name, *, root=paths.DATA):
    """Load a dataset by name: "digits", "cifar10", "cifar100" or "folder:/path/of/pictures". Returns a `Dataset`.

    root: the folder with `raw/` and `cache/`. Raises ValueError for an unknown name, and for missing or damaged files.
    """
    check_name("dataset", name, NAMES)
    return digits()


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
    from sklearn.datasets import load_digits  # takes a second, needed here only

    bunch = load_digits()
    position = (np.arange(32) + 0.5) / 4 - 0.5
    weights = np.stack([np.interp(position, np.arange(8), row) for row in np.eye(8)], axis=1)  # (32, 8)
    grey = np.floor(weights @ bunch.images @ weights.T * (255 / 16) + 0.5).astype(np.uint8)
    images, labels = np.repeat(grey[:, None], 3, axis=1), bunch.target.astype(np.int64)
    test_index = _stratified(labels, 500, "digits split", seed=0)
    train_index = np.setdiff1d(np.arange(len(labels)), test_index)
    train, test = (Split(images[index], labels[index]) for index in (train_index, test_index))
    classes, source = tuple("0123456789"), "scikit-learn's digits (embedded)"
    return Dataset("digits", train, test, classes, source, True, False, 4, fingerprint(train, test))


def stratified_subset(labels, n, *, seed):
    """`n` fixed indices in which each class keeps its share. labels: integer (N,). Returns sorted int64 (n,).

    Subsets of one seed are nested: the n indices are among the n + 1. Raises ValueError unless 1 <= n <= N.
    """
    return _stratified(labels, n, "stratified subset", seed)


def validation_split(split, n, *, seed):
    """Set `n` images of a training split apart, stratified. Returns (train_index, validation_index), sorted int64.

    The two are disjoint and together the whole split. Raises ValueError unless 1 <= n < len(split).
    """
    if n == len(split):
        raise ValueError(f"a validation split of {n} leaves nothing to train on: the split has {len(split)} images")
    validation = _stratified(split.labels, n, "validation split", seed)
    return np.setdiff1d(np.arange(len(split)), validation), validation


def _stratified(labels, n, purpose, seed):
    """Shuffle by key; the k-th image (k = 0, 1, ...) of a class of N gets the mark (k + 1/2) / N; the n lowest win.

    That is the method of Sainte-Laguë: shares as even as whole numbers allow. Equal marks go by the shuffle.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels must be a one-dimensional integer array, got shape {labels.shape}, dtype {labels.dtype}"
        )
    if not 1 <= n <= len(labels):
        raise ValueError(f"cannot take {n} of {len(labels)} images: choose 1 to {len(labels)}")
    shuffled = permutation(purpose, len(labels), seed=seed)
    _, inverse, counts = np.unique(labels[shuffled], return_inverse=True, return_counts=True)
    by_class = np.argsort(inverse, kind="stable")
    size = counts[inverse[by_class]]
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    winners = by_class[np.lexsort((by_class, (rank + 0.5) / size))[:n]]
    return np.sort(shuffled[winners])
