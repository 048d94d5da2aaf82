"""One part of a dataset, and choices from it that keep the share of each class."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..draws import permutation


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a dataset.

    images: uint8 (N, 3, H, W), contiguous, or `photographs.Pictures` in its place; labels: int64
    (N,), 0 .. n_classes - 1.
    """

    images: Any
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def index(self) -> np.ndarray:
        """What names each image in draws, int64 (N,): its position."""
        return np.arange(len(self))


def in_content_order(split: Split) -> tuple[Split, np.ndarray, str]:
    """A split sorted by the sha256 of each image and label, so that its source does not matter.

    Returns the sorted split, the order int64 (N,), of which entry i is where image i of it stood,
    and the checksum of the content in any order: 16 hex digits.
    """
    digests = [
        hashlib.sha256(image.tobytes() + int(label).to_bytes(8, "little")).digest()
        for image, label in zip(split.images, split.labels, strict=True)
    ]
    order = np.array(sorted(range(len(digests)), key=digests.__getitem__), np.int64)
    checksum = hashlib.sha256(b"".join(sorted(digests))).hexdigest()[:16]
    return Split(split.images[order], split.labels[order]), order, checksum


def validation_split(split: Split, n: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Set `n` images of a training split apart, stratified.

    Returns (train_index, validation_index), sorted int64, disjoint and together the whole split.
    Raises ValueError unless 1 <= n < len(split).
    """
    if n == len(split):
        problem = f"the split has {len(split)} images"
        raise ValueError(f"a validation split of {n} leaves nothing to train on: {problem}")
    validation = stratified_subset(split.labels, n, seed=seed, purpose="validation split")
    return np.setdiff1d(np.arange(len(split)), validation), validation


def stratified_subset(
    labels: np.ndarray, n: int, *, seed: int, purpose: str = "stratified subset"
) -> np.ndarray:
    """`n` fixed indices in which each class keeps its share: sorted int64 (n,).

    labels: integers (N,). They are shuffled by the key (seed and purpose); the k-th image, k = 0, 1
    and so on, of a class of N gets the mark (k + 1/2) / N, and the n lowest marks win. That is the
    method of Sainte-Laguë: shares as even as whole numbers allow. Equal marks go by the shuffle.
    Subsets of one key are nested: the n indices are among the n + 1. Raises ValueError unless
    1 <= n <= N.
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
