"""Training one network: batches by key, one step, one checkpoint an epoch.

Flip and crop come first, then the method, all batched and keyed; what a step does with the
gradients is the recipe's (`recipes`).
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.functional import one_hot
from tqdm.auto import tqdm

from ..augment import FlipCrop
from ..augment.base import Augmentation
from ..datasets.load import Dataset
from ..draws import permutation, random_words
from ..images import as_float, as_tensor
from .airbench import whiten, whitening_layer
from .losses import cross_entropy, jsd_loss, outlier_exposure_loss
from .networks import build_model, plain
from .prediction import precision_context, predict
from .recipes import RECIPES

VERSION = 1  # raised by hand when the numbers of a training change
IMAGES_PER_CALL = {"cpu": 512, "cuda": 2048}
"""Images that are augmented in one call, at least a batch: it saves overhead, and changes nothing
else."""
LOG_SECONDS = 60  # between two lines in a log, where no progress bar is seen


class Batch(NamedTuple):
    """What one step trains on."""

    inputs: torch.Tensor  # float32 (B, 3, H, W), or (3 B, 3, H, W) for JSD: clean, mix, mix
    targets: torch.Tensor  # int64 (B,) or float32 (B, K)
    outliers: torch.Tensor | None  # float32 (B, 3, H, W) for outlier exposure


@contextmanager
def reproducible(threads: int) -> Iterator[None]:
    """Train with `threads` CPU threads and the same kernels after a restart, then undo both."""
    cudnn = torch.backends.cudnn
    before = torch.get_num_threads(), cudnn.deterministic, cudnn.benchmark
    try:
        torch.set_num_threads(threads)
        cudnn.deterministic, cudnn.benchmark = True, False
        yield
    finally:
        torch.set_num_threads(before[0])
        cudnn.deterministic, cudnn.benchmark = before[1:]


class Batches:
    """The training set as augmented batches: their content depends on (seed, epoch, index) alone.

    config: a `lmlib.study.config.RunConfig`, of which loss, batch_size, seed and training_index are
    read; dataset: images uint8 (N, 3, H, W) and labels int64 (N,); method: what augments them after
    flip and crop, on the host. Iterating `epoch(e)` gives each `Batch` of epoch `e` on `device`;
    for a GPU a thread makes the next ones meanwhile.
    """

    def __init__(
        self,
        config: Any,
        dataset: Dataset,
        method: Augmentation,
        device: str | torch.device = "cpu",
    ) -> None:
        self.images = as_tensor(dataset.train.images)
        self.labels = as_tensor(dataset.train.labels)
        self.device = torch.device(device)
        self.index, self.base = config.training_index(dataset), FlipCrop(dataset.pad, dataset.flip)
        self.method: Any = method  # of some kinds, which mix labels or have outliers
        self.n_classes = dataset.n_classes
        self.loss, self.batch_size, self.seed = config.loss, config.batch_size, config.seed
        self.n_steps = -(-len(self.index) // self.batch_size)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch, in the order of that epoch."""
        blocks = self._blocks(epoch)
        if self.device.type == "cuda":
            blocks = prefetched(blocks)
        for inputs, targets, outliers in blocks:
            for first in range(0, len(targets), self.batch_size):
                piece = slice(first, first + self.batch_size)
                views = torch.cat([view[piece] for view in inputs])
                others = None if outliers is None else outliers[piece].to(self.device)
                yield Batch(views.to(self.device), targets[piece].to(self.device), others)

    def _blocks(self, epoch: int) -> Iterator["Augmented"]:
        """Some batches at a time, on the host."""
        n = len(self.index)
        order = self.index[permutation("training order", n, seed=self.seed, epoch=epoch)]
        n_batches = max(1, IMAGES_PER_CALL[self.device.type] // self.batch_size)
        for start in range(0, n, n_batches * self.batch_size):
            yield self.augmented(order[start : start + n_batches * self.batch_size], epoch)

    def augmented(self, index: np.ndarray, epoch: int) -> "Augmented":
        """Views, targets and outliers of the samples `index`."""
        images, targets = self._flipped_and_cropped(index, epoch)
        keys = {"seed": self.seed, "epoch": epoch, "index": index}
        if self.method.mixes_labels:
            partner = self.index[self.method.partner_index(len(self.index), **keys)]
            others, labels = self._flipped_and_cropped(partner, epoch)
            mixed, weight = self.method(as_float(images), as_float(others), **keys)
            share = weight[:, None]
            own, other = one_hot(targets, self.n_classes), one_hot(labels, self.n_classes)
            return [mixed], share * own + (1 - share) * other, None
        views = [self.method(as_float(images), **keys)]
        if self.loss == "jsd":
            views = [as_float(images), *views, self.method(as_float(images), **keys, view=1)]
        outliers = None
        if self.loss == "oe":
            outliers = self.method.outliers(tuple(images.shape[-2:]), **keys)
        return views, targets, outliers

    def _flipped_and_cropped(
        self, index: np.ndarray, epoch: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The images at `index` after the base augmentation, and their labels."""
        position = torch.from_numpy(index)
        images = self.base(self.images[position], seed=self.seed, epoch=epoch, index=index)
        return images, self.labels[position]


Augmented = tuple[list[torch.Tensor], torch.Tensor, torch.Tensor | None]
"""Views (each (n, 3, H, W)), targets and outliers of samples, on the host."""


def prefetched(items: Iterator[Augmented]) -> Iterator[Augmented]:
    """The same items; a thread makes each while the one before is in use."""
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(next, items, None)
        while (item := pending.result()) is not None:
            pending = pool.submit(next, items, None)
            yield item


def batch_loss(
    model: torch.nn.Module, loss: str, batch: Batch, smoothing: float = 0.0
) -> torch.Tensor:
    """The loss of one batch, a float32 scalar; smoothing: of its labels."""
    inputs, targets, outliers = batch
    if loss == "jsd":
        return jsd_loss(model(inputs), targets, smoothing=smoothing)
    if outliers is None:
        return cross_entropy(model(inputs), targets, smoothing=smoothing)
    logits = model(torch.cat([inputs, outliers]))
    logits, of_outliers = logits[: len(inputs)], logits[len(inputs) :]
    return outlier_exposure_loss(logits, targets, of_outliers, smoothing=smoothing)


class Trainer:
    """A model, its optimiser and its batches; `run` trains the epochs that are missing."""

    def __init__(
        self,
        config: Any,
        dataset: Dataset,
        method: Augmentation,
        device: str | torch.device = "cpu",
    ) -> None:
        self.config, self.device = config, torch.device(device)
        self.batches, self.test = Batches(config, dataset, method, self.device), dataset.test
        model = build_model(
            config.network,
            n_classes=dataset.n_classes,
            image_size=dataset.image_size,
            seed=config.seed,
        )
        if (layer := whitening_layer(model)) is not None:
            whiten(layer, dataset.train.images[self.batches.index])
        self.model: Any = model.to(self.device).to(memory_format=torch.channels_last)
        if config.compile and self.device.type == "cuda":
            self.model = torch.compile(self.model)
        self.optimizer = RECIPES[config.recipe].optimizer(
            self.model,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            epochs=config.epochs,
            steps_per_epoch=self.batches.n_steps,
        )
        self.epoch = 0
        self.history: list[dict[str, Any]] = []

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """What the next epoch depends on: tensors by name, and a dict of plain values."""
        tensors = {f"model.{name}": value for name, value in plain(self.model).state_dict().items()}
        tensors |= self.optimizer.state()
        step = self.epoch * self.batches.n_steps
        return tensors, {"epoch": self.epoch, "step": step, "history": self.history}

    def restore(self, tensors: Mapping[str, torch.Tensor], values: Mapping[str, Any]) -> None:
        """Resume from a `state`. Raises ValueError for the weights of another network."""
        load_weights(self.model, tensors)
        self.optimizer.restore(tensors)
        self.epoch, self.history = values["epoch"], list(values["history"])

    def step(
        self,
        step: int,
        inputs: torch.Tensor,
        targets: torch.Tensor,
        outliers: torch.Tensor | None,
    ) -> torch.Tensor:
        """One step of the recipe on a `Batch`; returns the loss.

        step: counted from the start of the training.
        """
        config = self.config
        batch = Batch(inputs.contiguous(memory_format=torch.channels_last), targets, outliers)
        # Dropout takes no generator: it draws from the global one, which is seeded from the key
        # here and restored afterwards.
        devices = [self.device] if self.device.type == "cuda" else []
        with (
            torch.random.fork_rng(devices=devices),
            precision_context(config.precision, self.device),
        ):
            torch.random.default_generator.manual_seed(dropout_seed(config.seed, step))
            if devices:
                torch.cuda.manual_seed(dropout_seed(config.seed, step))
            loss = batch_loss(self.model, config.loss, batch, config.label_smoothing)
        self.model.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step(step)
        return loss.detach()

    def run(
        self,
        save: Callable[[dict[str, torch.Tensor], dict[str, Any]], None],
        label: str = "",
    ) -> None:
        """Train until `config.epochs`; `save(tensors, values)` is called after each epoch.

        Raises FloatingPointError as soon as the loss of a batch is not finite. Ctrl-C between two
        saves loses one epoch.
        """
        n_steps = self.batches.n_steps
        total, first = self.config.epochs * n_steps, self.epoch * n_steps
        with tqdm(total=total, initial=first, desc=label, unit="step", mininterval=2) as progress:
            logged = time.perf_counter()
            while self.epoch < self.config.epochs:
                start, losses = time.perf_counter(), []
                self.model.train()
                for n, batch in enumerate(self.batches.epoch(self.epoch)):
                    losses.append(self.step(self.epoch * n_steps + n, *batch))
                    progress.update()
                    if n % 50 == 0 or n == n_steps - 1:
                        check_finite(losses, self.epoch, n)
                    if time.perf_counter() - logged > LOG_SECONDS:
                        logged, loss = time.perf_counter(), float(losses[-1])
                        progress.write(
                            f"{label}: step {progress.n:,} of {total:,}, loss {loss:.3f}"
                        )
                images, labels = self.test.images, self.test.labels
                entry = {
                    "epoch": self.epoch,
                    "loss": float(torch.stack(losses).double().mean()),
                    "test_error": error_of(self.model, images, labels, self.config.precision),
                    "seconds": time.perf_counter() - start,
                }
                self.history.append(entry)
                self.epoch += 1
                progress.set_postfix(
                    {name: f"{entry[name]:.3f}" for name in ("loss", "test_error")}
                )
                save(*self.state())


def dropout_seed(seed: int, step: int) -> int:
    """The seed of one step's dropout."""
    return int(random_words("dropout", 1, seed=seed, index=[step])[0, 0])


def check_finite(losses: list[torch.Tensor], epoch: int, step: int) -> None:
    """Raise FloatingPointError where the latest losses are not finite numbers."""
    if not torch.isfinite(torch.stack(losses[-51:])).all():
        raise FloatingPointError(
            f"the loss is no longer a finite number (epoch {epoch + 1}, by step {step + 1}): "
            "the last finished epoch is kept; lower the learning rate or use precision fp32"
        )


def load_weights(model: torch.nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Load the `model.` part of a state into a model on any device, whichever of both was wrapped.

    The prefixes that torch.compile and DistributedDataParallel put before names do not count.
    Raises ValueError, and loads nothing, where the names or shapes are not those of the model.
    """

    def bare(name: str) -> str:
        return re.sub(r"^(module\.)+", "", name.removeprefix("model.").replace("_orig_mod.", ""))

    given = {bare(name): value for name, value in tensors.items() if name.startswith("model.")}
    expected = model.state_dict()
    names = {bare(name): name for name in expected}
    missing, foreign = sorted(names.keys() - given), sorted(given.keys() - names)
    reshaped = sorted(
        name for name in names.keys() & given if given[name].shape != expected[names[name]].shape
    )
    if missing or foreign or reshaped:
        raise ValueError(
            f"the weights are of another network: of {len(names)} tensors {len(missing)} are "
            f"missing, {len(reshaped)} have another shape, and {len(foreign)} are foreign "
            f"({(missing or foreign or reshaped)[0]}, say): build the network that they were "
            "trained in"
        )
    model.load_state_dict({names[name]: value for name, value in given.items()})


def error_of(
    model: torch.nn.Module, images: np.ndarray, labels: np.ndarray, precision: str = "fp32"
) -> float:
    """The share of images that the model gets wrong, in [0, 1]."""
    return float((predict(model, images, precision).argmax(1).numpy() != labels).mean())
