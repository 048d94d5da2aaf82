"""The training set as augmented batches, whose content depends on (seed, epoch, index) alone.

Arrays in memory are augmented here, some batches at a time; pictures on the disk by processes of
PyTorch's DataLoader, a batch each.
"""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.functional import one_hot
from torch.utils.data import DataLoader

from ..augment import FlipCrop
from ..augment.base import Augmentation
from ..datasets.load import Dataset
from ..datasets.photographs import Pictures, in_a_line
from ..draws import permutation
from ..images import as_float, as_tensor
from . import ranks

IMAGES_PER_CALL = {"cpu": 512, "cuda": 2048}
"""Images that are augmented in one call, at least a batch: it saves overhead, and changes nothing
else."""
log = logging.getLogger(__name__)
Augmented = tuple[list[torch.Tensor], torch.Tensor, torch.Tensor | None]
"""Views (each (n, 3, H, W)), targets and outliers of samples, on the host."""


class Batch(NamedTuple):
    """What one step trains on."""

    # (B, 3, H, W), or (3 B, 3, H, W) for JSD: clean, mix, mix; float32, or uint8 of pictures
    inputs: torch.Tensor
    targets: torch.Tensor  # int64 (B,) or float32 (B, K)
    outliers: torch.Tensor | None  # float32 (B, 3, H, W) for outlier exposure


class Batches:
    """The training set as augmented batches: their content depends on (seed, epoch, index) alone.

    config: a `lmlib.study.config.RunConfig`, of which loss, batch_size, seed and training_index are
    read; dataset: images uint8 (N, 3, H, W) and labels int64 (N,); method: what augments them after
    flip and crop, on the host; drop_last: whether a last batch that is not full is left out.
    Iterating `epoch(e)` gives each `Batch` of epoch `e` on `device`, of which each of several ranks
    gets its part; for a GPU a thread makes the next ones meanwhile.
    """

    def __init__(
        self,
        config: Any,
        dataset: Dataset,
        method: Augmentation,
        device: str | torch.device = "cpu",
        drop_last: bool = False,
    ) -> None:
        self.images = dataset.train.images
        if isinstance(self.images, np.ndarray):
            self.images = as_tensor(self.images)
        self.labels = as_tensor(dataset.train.labels)
        self.device, self.ranks = torch.device(device), ranks.current()
        self.index, self.base = config.training_index(dataset), FlipCrop(dataset.pad, dataset.flip)
        self.method: Any = method  # of some kinds, which mix labels or have outliers
        self.n_classes, self.drop_last = dataset.n_classes, drop_last
        self.loss, self.batch_size, self.seed = config.loss, config.batch_size, config.seed

    @property
    def n_steps(self) -> int:
        """The batches of an epoch."""
        n = len(self.index)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    @property
    def n_images(self) -> int:
        """The images of an epoch, over all ranks."""
        return min(len(self.index), self.n_steps * self.batch_size)

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from the step `first` on, in the order of that epoch."""
        blocks = self._blocks(epoch, first)
        if self.device.type == "cuda":
            blocks = prefetched(blocks)
        for sizes, (inputs, targets, outliers) in blocks:
            for stop, size in zip(np.cumsum(sizes), sizes, strict=True):
                piece = slice(stop - size, stop)
                views = torch.cat([view[piece] for view in inputs])
                others = None if outliers is None else outliers[piece].to(self.device)
                yield Batch(views.to(self.device), targets[piece].to(self.device), others)

    def _blocks(self, epoch: int, first: int) -> Iterator[tuple[list[int], Augmented]]:
        """Some batches at a time, on the host, with the number of images of each."""
        n_batches = max(1, IMAGES_PER_CALL[self.device.type] // self.batch_size)
        for start in range(first, self.n_steps, n_batches):
            steps = range(start, min(start + n_batches, self.n_steps))
            parts = [self.chosen(epoch, step) for step in steps]
            yield list(map(len, parts)), self.augmented(np.concatenate(parts), epoch)

    def chosen(self, epoch: int, step: int) -> np.ndarray:
        """The images of a step, of which this rank has its part: int64."""
        order = self.index[order_of(len(self.index), self.seed, epoch)]
        return self.ranks.part(order[step * self.batch_size : (step + 1) * self.batch_size])

    def augmented(self, index: np.ndarray, epoch: int) -> Augmented:
        """Views, targets and outliers of the samples `index`."""
        images, targets = self.plain(index, epoch)
        keys = {"seed": self.seed, "epoch": epoch, "index": index}
        if self.method.mixes_labels:
            others, labels = self.plain(self.partners(index, epoch), epoch)
            mixed, weight = self.method(images, others, **keys)
            share = weight[:, None]
            own, other = one_hot(targets, self.n_classes), one_hot(labels, self.n_classes)
            return [mixed], share * own + (1 - share) * other, None
        views = [self.method(images, **keys)]
        if self.loss == "jsd":
            views = [images, *views, self.method(images, **keys, view=1)]
        outliers = None
        if self.loss == "oe":
            outliers = self.method.outliers(tuple(images.shape[-2:]), **keys)
        return views, targets, outliers

    def partners(self, index: np.ndarray, epoch: int) -> np.ndarray:
        """The images that the samples `index` are mixed with."""
        keys = {"seed": self.seed, "epoch": epoch, "index": index}
        return self.index[self.method.partner_index(len(self.index), **keys)]

    def plain(self, index: np.ndarray, epoch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The images at `index` after flip and crop, and their labels."""
        images = self.images[torch.from_numpy(index)]
        images = self.base(images, seed=self.seed, epoch=epoch, index=index)
        return as_float(images), self.labels[torch.from_numpy(index)]


@lru_cache(maxsize=1)
def order_of(n: int, seed: int, epoch: int) -> np.ndarray:
    """The order of n training images in an epoch: int64 (n,)."""
    return permutation("training order", n, seed=seed, epoch=epoch)


def prefetched(items: Iterator) -> Iterator:
    """The same items; a thread makes each while the one before is in use."""
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(next, items, None)
        while (item := pending.result()) is not None:
            pending = pool.submit(next, items, None)
            yield item


class DecodedBatches(Batches):
    """The same of `Pictures`, as uint8: decoded, cut and augmented by a DataLoader's processes.

    There are as many as PyTorch has threads. A picture that cannot be decoded is left out of its
    batch; the log names it, and `skipped` holds it with the reason. Where the disk gives none, that
    is an OSError.
    """

    images: Pictures

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.skipped: dict[str, str] = {}
        self.cuts: dict[int, torch.Tensor] = {}
        self.augmented(np.arange(0), 0)  # what is compiled is compiled here, not in each process

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        loader: Any = DataLoader(
            self,  # type: ignore[arg-type]  # it has what a Dataset has
            batch_size=None,
            sampler=[(epoch, step) for step in range(first, self.n_steps)],
            num_workers=torch.get_num_threads(),
            pin_memory=self.device.type == "cuda",
            generator=torch.Generator(),  # no global one is read
        )
        for views, targets, outliers, skipped in in_a_line(loader):
            for path in skipped.keys() - self.skipped.keys():
                log.warning("%s; it is left out of the training", skipped[path])
            self.skipped |= skipped
            others = None if outliers is None else outliers.to(self.device)
            yield Batch(views.to(self.device), targets.to(self.device), others)

    def __getitem__(self, key: tuple[int, int]) -> tuple:
        """The batch of (epoch, step), on the host, and what was skipped: its path -> why."""
        epoch, index = key[0], self.chosen(*key)
        needed = [index, self.partners(index, epoch)] if self.method.mixes_labels else [index]
        self.cuts, skipped = {}, {}
        for position in np.unique(needed):
            try:
                image = self.images.training_image(position, seed=self.seed, epoch=epoch)
                self.cuts[position] = torch.from_numpy(image)
            except ValueError as error:
                skipped[str(self.images.path(position))] = str(error)
        whole = np.isin(needed, list(self.cuts)).all(axis=0)
        views, *rest = self.augmented(index[whole], epoch)
        return torch.cat(views), *rest, skipped

    def plain(self, index: np.ndarray, epoch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The crops at `index` that `__getitem__` has made, and their labels."""
        empty = torch.empty((0, *self.images.shape[1:]), dtype=torch.uint8)
        images = torch.stack([self.cuts[position] for position in index]) if len(index) else empty
        images = as_float(images) if self.loss == "oe" else images  # outliers are floats
        return images, self.labels[torch.from_numpy(index)]
