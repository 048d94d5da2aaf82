"""Training one network: batches by key, one step, a checkpoint an epoch and every few minutes.

Flip and crop come first, then the method, all batched and keyed (`batches`); what a step does with
the gradients is the recipe's (`recipes`). Several processes can train together (`ranks`).
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.nn.parallel import DistributedDataParallel
from tqdm.auto import tqdm

from ..augment.base import Augmentation
from ..datasets.load import Dataset
from ..datasets.photographs import Pictures
from ..draws import random_words
from . import ranks
from .airbench import whiten, whitening_layer
from .batches import Batch, Batches, DecodedBatches
from .losses import cross_entropy, jsd_loss, outlier_exposure_loss
from .networks import build_model, plain
from .prediction import precision_context, predict
from .recipes import RECIPES

VERSION = 1  # raised by hand when the numbers of a training change
LOG_SECONDS = 60  # between two lines in a log, where no progress bar is seen
SAVE_SECONDS = 300  # between two checkpoints within an epoch


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
    """A model, its optimiser and its batches; `run` trains the epochs that are missing.

    Of several ranks each has one, and all make the same calls. Raises ValueError where there are
    fewer training images than the recipe wants.
    """

    def __init__(
        self,
        config: Any,
        dataset: Dataset,
        method: Augmentation,
        device: str | torch.device = "cpu",
    ) -> None:
        self.config, self.device, self.ranks = config, torch.device(device), ranks.current()
        recipe, self.test = RECIPES[config.recipe], dataset.test
        of_pictures = isinstance(dataset.train.images, Pictures)
        kind = DecodedBatches if of_pictures else Batches
        self.batches = kind(config, dataset, method, self.device, recipe.optimizer.drop_last)
        if not self.batches.n_steps:
            n = len(self.batches.index)
            raise ValueError(f"{dataset.name} has {n} images to train on, too few for a batch")
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
        self.optimizer = recipe.optimizer(
            self.model,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            epochs=config.epochs,
            steps_per_epoch=self.batches.n_steps,
        )
        # The wrapper adds up gradients; it is not asked for predictions, which each rank makes of
        # as many images as it has.
        several = self.ranks.world > 1
        self.forward: Any = DistributedDataParallel(self.model) if several else self.model
        self.epoch, self.n_done = 0, 0  # epochs; steps of the next one
        self.losses: list[torch.Tensor] = []  # of these steps
        self.n_seen: Any = 0  # images in them, over all ranks
        self.started = self.seconds = 0.0  # when they were begun; what they took
        self.history: list[dict[str, Any]] = []

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """What the next step depends on: tensors by name, and a dict of plain values."""
        tensors = {f"model.{name}": value for name, value in plain(self.model).state_dict().items()}
        tensors |= self.optimizer.state()
        step = self.epoch * self.batches.n_steps + self.n_done
        values = {"epoch": self.epoch, "step": step, "history": self.history}
        if self.n_done:
            tensors["losses"] = torch.stack(self.losses)
            values |= {"n_seen": int(self.n_seen), "seconds": self.seconds}
        return tensors, values

    def restore(self, tensors: Mapping[str, torch.Tensor], values: Mapping[str, Any]) -> None:
        """Resume from a `state`. Raises ValueError for the weights of another network."""
        load_weights(self.model, tensors)
        self.optimizer.restore(tensors)
        self.epoch, self.history = values["epoch"], list(values["history"])
        self.n_done = values["step"] - self.epoch * self.batches.n_steps
        if self.n_done:
            self.losses = list(tensors["losses"].to(self.device))
            self.n_seen, self.seconds = values["n_seen"], values["seconds"]

    def step(
        self,
        step: int,
        inputs: torch.Tensor,
        targets: torch.Tensor,
        outliers: torch.Tensor | None,
    ) -> torch.Tensor:
        """One step of the recipe on a `Batch`; returns the loss, over all ranks.

        step: counted from the start of the training.
        """
        config, n = self.config, len(targets)
        if not n:  # whose pictures cannot be decoded: a black one that counts for nothing
            inputs = inputs.new_zeros((3 if config.loss == "jsd" else 1, *inputs.shape[1:]))
            targets = targets.new_zeros((1, *targets.shape[1:]))
            outliers = None if outliers is None else inputs
        batch = Batch(inputs.contiguous(memory_format=torch.channels_last), targets, outliers)
        # Dropout takes no generator: it draws from the global one, which is seeded from the key
        # here and restored afterwards.
        devices = [self.device] if self.device.type == "cuda" else []
        seed = dropout_seed(config.seed, step) + self.ranks.rank
        with (
            torch.random.fork_rng(devices=devices),
            precision_context(config.precision, self.device),
        ):
            torch.random.default_generator.manual_seed(seed)
            if devices:
                torch.cuda.manual_seed(seed)
            loss = batch_loss(self.forward, config.loss, batch, config.label_smoothing)
        self.model.zero_grad(set_to_none=True)
        total, n_all = loss.detach(), torch.tensor(n)
        if self.ranks.world > 1 or not n:
            loss, total, n_all = self._weighted(loss, n)
        loss.backward()
        self.n_seen = self.n_seen + n_all
        self.optimizer.step(step)
        return total

    def _weighted(
        self, loss: torch.Tensor, n: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """A rank's loss with the weight of its n images; the mean loss, and the images, of all.

        The gradients, of which the ranks take the mean, are then those of the whole batch.
        """
        own = torch.stack([loss.detach() * n, torch.full_like(loss, n)])
        summed, n_all = self.ranks.total(own)
        n_all_or_one = n_all.clamp(min=1)
        return loss * (n * self.ranks.world / n_all_or_one), summed / n_all_or_one, n_all

    def run(
        self,
        save: Callable[[dict[str, torch.Tensor], dict[str, Any]], None],
        label: str = "",
    ) -> None:
        """Train until `config.epochs`; `save(tensors, values)` is called after each epoch.

        It is also called every few minutes within one, so that Ctrl-C loses no more than these.
        Raises FloatingPointError as soon as the loss of a batch is not finite, and ValueError,
        before the first, where a test picture cannot be decoded.
        """
        if isinstance(self.test.images, Pictures) and not self.epoch + self.n_done:
            for _ in self.test.images.batches(self.ranks.part(np.arange(len(self.test))), 250):
                pass  # an epoch may take hours, and they are needed after it
        n_steps = self.batches.n_steps
        total, first = self.config.epochs * n_steps, self.epoch * n_steps + self.n_done
        bar = {"total": total, "initial": first, "unit": "step", "mininterval": 2}
        with tqdm(desc=label, disable=self.ranks.rank > 0, **bar) as progress:
            while self.epoch < self.config.epochs:
                self._train_epoch(progress, save, label)
                entry = {
                    "epoch": self.epoch,
                    "loss": float(torch.stack(self.losses).double().mean()),
                    "test_error": self.test_error(),
                    "seconds": time.perf_counter() - self.started,
                }
                if n_skipped := self.batches.n_images - int(self.n_seen):
                    entry["n_skipped"] = n_skipped  # pictures that could not be decoded
                if self.ranks.world > 1:
                    entry["ranks"] = self.ranks.world
                self.history.append(entry)
                self.epoch, self.n_done, self.n_seen, self.seconds = self.epoch + 1, 0, 0, 0.0
                self.losses = []
                progress.set_postfix(
                    {name: f"{entry[name]:.3f}" for name in ("loss", "test_error")}
                )
                save(*self.state())

    def _train_epoch(self, progress: Any, save: Callable[..., None], label: str) -> None:
        """The steps that are missing of an epoch."""
        n_steps = self.batches.n_steps
        self.started = time.perf_counter() - self.seconds
        logged = saved = time.perf_counter()
        self.forward.train()
        for n, batch in enumerate(self.batches.epoch(self.epoch, self.n_done), self.n_done):
            self.losses.append(self.step(self.epoch * n_steps + n, *batch))
            self.n_done = n + 1
            progress.update()
            if n % 50 == 0 or self.n_done == n_steps:
                check_finite(self.losses, self.epoch, n)
            now = time.perf_counter()
            if now - logged > LOG_SECONDS and not progress.disable:
                logged, loss = now, float(self.losses[-1])
                progress.write(
                    f"{label}: step {progress.n:,} of {progress.total:,}, loss {loss:.3f}"
                )
            if now - saved > SAVE_SECONDS and self.n_done < n_steps:
                check_finite(self.losses, self.epoch, n)
                saved, self.seconds = now, now - self.started
                save(*self.state())

    def test_error(self) -> float:
        """The share of test images that the model gets wrong, each asked once by one rank."""
        own, n_wrong, images = self.ranks.part(np.arange(len(self.test))), 0.0, self.test.images
        if len(own):
            some = images.part(own) if isinstance(images, Pictures) else images[own]
            error = error_of(self.model, some, self.test.labels[own], self.config.precision)
            n_wrong = round(error * len(own))
        total = self.ranks.total(torch.tensor(float(n_wrong), device=self.device))
        return float(total) / len(self.test)


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
    head = "network.fc.weight"
    is_head = [name.startswith("network.fc.") for name in reshaped]
    if reshaped and all(is_head) and not missing and not foreign:
        numbers = f"{len(given[head]):,} classes, and {len(expected[names[head]]):,} are expected"
        raise ValueError(
            f"the weights are for {numbers}: build the network for as many, or train a last layer"
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
    model: torch.nn.Module,
    images: np.ndarray | Pictures,
    labels: np.ndarray,
    precision: str = "fp32",
) -> float:
    """The share of images that the model gets wrong, in [0, 1]."""
    return float((predict(model, images, precision).argmax(1).numpy() != labels).mean())
