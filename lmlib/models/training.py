"""Training one network: batches by key, one step, one checkpoint an epoch.

Settings of the paper and its code: SGD with Nesterov momentum 0.9, learning rate 0.1 to 1e-6 by a cosine per step, no warm-up,
weight decay 5e-4, batches of 128. Flip and crop come first, then the method, all batched and keyed.
"""

import math
import re
import time
from collections.abc import Mapping

import torch
from torch.nn.functional import one_hot
from tqdm.auto import tqdm

from ..augment import FlipCrop
from ..augment.base import as_float
from ..augment.ops import to_device
from ..draws import permutation, words
from .losses import cross_entropy, jsd_loss, outlier_exposure_loss
from .networks import build_model, plain
from .prediction import precision_context, predict

VERSION = 1  # raised by hand when the numbers of a training change
MOMENTUM = 0.9
LAST_RATE = 1e-6
BLOCK = {
    "cpu": 4,
    "cuda": 16,
}  # batches that are augmented in one call: it saves overhead and changes nothing else


def learning_rate(step, n_steps, first):
    """The cosine schedule: `first` at step 0, falling to 1e-6 after the last of `n_steps`."""
    return LAST_RATE + (first - LAST_RATE) * (1 + math.cos(math.pi * step / n_steps)) / 2


SAYS_EVERY = 60  # seconds between two lines in a log, where no bar is seen


class Batches:
    """The training set as augmented batches: what is in them depends on (seed, epoch, index) alone.

    split: images uint8 (N, 3, H, W) and labels int64 (N,) as tensors on the device; index: int64 (n,), which of them to train on;
    method: an `Augmentation`; loss: "ce", "jsd" or "oe". Iterating `epoch(e, first_step)` gives (inputs, targets, outliers):
    inputs float32 (B, 3, H, W), or (3 B, ...) for JSD: clean, mix, mix; targets int64 (B,) or float32 (B, K); outliers or None.
    """

    def __init__(self, config, dataset, method, device="cpu"):
        self.images, self.labels = (
            to_device(part, device) for part in (dataset.train.images, dataset.train.labels)
        )
        self.index, self.base = config.training_index(dataset), FlipCrop(dataset.pad, dataset.flip)
        self.method, self.n_classes = method, dataset.n_classes
        self.loss, self.batch_size, self.seed = config.loss, config.batch_size, config.seed
        self.n_steps = -(-len(self.index) // self.batch_size)

    def epoch(self, epoch):
        order = self.index[
            permutation("training order", len(self.index), seed=self.seed, epoch=epoch)
        ]
        block = BLOCK[self.images.device.type] * self.batch_size
        for start in range(0, len(order), block):
            index = order[start : start + block]
            inputs, targets, outliers = self.augmented(index, epoch)
            for first in range(0, len(index), self.batch_size):
                piece = slice(first, first + self.batch_size)
                views = [view[piece] for view in inputs]
                yield (
                    torch.cat(views),
                    targets[piece],
                    None if outliers is None else outliers[piece],
                )

    def augmented(self, index, epoch):
        """Views, targets and outliers of the samples `index`."""
        keys = {"seed": self.seed, "epoch": epoch, "index": index}
        place = torch.from_numpy(index).to(self.images.device)
        images, targets = self.base(self.images[place], **keys), self.labels[place]
        if self.method.mixes_labels:
            partner = self.index[self.method.partner_index(len(self.index), **keys)]
            place = torch.from_numpy(partner).to(self.images.device)
            other = self.base(self.images[place], seed=self.seed, epoch=epoch, index=partner)
            mixed, weight = self.method(as_float(images), as_float(other), **keys)
            own, others = (
                one_hot(targets, self.n_classes),
                one_hot(self.labels[place], self.n_classes),
            )
            return [mixed], weight[:, None] * own + (1 - weight[:, None]) * others, None
        if self.loss == "jsd":
            images = as_float(images)
            return (
                [images, self.method(images, **keys), self.method(images, **keys, view=1)],
                targets,
                None,
            )
        outliers = (
            self.method.outliers(tuple(images.shape[-2:]), **keys, device=images.device)
            if self.loss == "oe"
            else None
        )
        return [self.method(as_float(images), **keys)], targets, outliers


def batch_loss(model, loss, inputs, targets, outliers):
    """The loss of one batch, a float32 scalar."""
    if loss == "jsd":
        return jsd_loss(model(inputs), targets)
    if loss == "oe":
        logits = model(torch.cat([inputs, outliers]))
        return outlier_exposure_loss(logits[: len(inputs)], targets, logits[len(inputs) :])
    return cross_entropy(model(inputs), targets)


class Trainer:
    """A model, its optimiser and its batches; `run` trains the epochs that are missing.

    config: a `runs.RunConfig`; dataset: a `Dataset`; method: an `Augmentation`; device: a torch device.
    """

    def __init__(self, config, dataset, method, device="cpu"):
        self.config, self.device = config, torch.device(device)
        torch.backends.cudnn.deterministic = True  # the same kernels after a restart
        torch.backends.cudnn.benchmark = False
        self.batches, self.test = Batches(config, dataset, method, self.device), dataset.test
        model = build_model(
            config.network,
            n_classes=dataset.n_classes,
            image_size=dataset.image_size,
            seed=config.seed,
        )
        self.model = model.to(self.device, memory_format=torch.channels_last)
        if config.compile and self.device.type == "cuda":
            self.model = torch.compile(self.model)
        self.optimizer = torch.optim.SGD(
            self.model.parameters(),
            lr=config.learning_rate,
            momentum=MOMENTUM,
            weight_decay=config.weight_decay,
            nesterov=True,
        )
        self.epoch, self.history = 0, []

    def state(self):
        """Everything that the next epoch depends on: tensors by name, and a dict of plain values."""
        tensors = {f"model.{name}": value for name, value in plain(self.model).state_dict().items()}
        names = {parameter: name for name, parameter in plain(self.model).named_parameters()}
        for parameter, state in self.optimizer.state.items():
            tensors[f"momentum.{names[parameter]}"] = state["momentum_buffer"]
        return tensors, {
            "epoch": self.epoch,
            "step": self.epoch * self.batches.n_steps,
            "history": self.history,
        }

    def restore(self, tensors, values):
        """Go on from a `state`."""
        load_weights(self.model, tensors)
        for name, parameter in plain(self.model).named_parameters():
            if f"momentum.{name}" in tensors:
                buffer = torch.empty_like(parameter)  # the parameter's memory format
                self.optimizer.state[parameter]["momentum_buffer"] = buffer.copy_(
                    tensors[f"momentum.{name}"]
                )
        self.epoch, self.history = values["epoch"], list(values["history"])

    def step(self, step, inputs, targets, outliers):
        """One step of SGD at the learning rate of `step`, counted from the start of the training. Returns the loss."""
        config = self.config
        rate = learning_rate(step, config.epochs * self.batches.n_steps, config.learning_rate)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        # Dropout takes no generator: it draws from the global one, which is set from the key and given back afterwards.
        devices = [self.device] if self.device.type == "cuda" else []
        with (
            torch.random.fork_rng(devices=devices),
            precision_context(config.precision, self.device),
        ):
            torch.random.default_generator.manual_seed(dropout_seed(config.seed, step))
            if devices:
                torch.cuda.manual_seed(dropout_seed(config.seed, step))
            loss = batch_loss(self.model, config.loss, inputs, targets, outliers)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def run(self, save, label=""):
        """Train until `config.epochs`; `save(tensors, values)` is called after each epoch.

        Raises FloatingPointError as soon as the loss of a batch is not finite. Ctrl-C between two saves loses one epoch.
        """
        n_steps = self.batches.n_steps
        total = self.config.epochs * n_steps
        said = time.perf_counter()
        with tqdm(
            total=total, initial=self.epoch * n_steps, desc=label, unit="step", mininterval=2
        ) as progress:
            while self.epoch < self.config.epochs:
                start, losses = time.perf_counter(), []
                self.model.train()
                for n, batch in enumerate(self.batches.epoch(self.epoch)):
                    losses.append(self.step(self.epoch * n_steps + n, *batch))
                    progress.update()
                    if n % 50 == 0 or n == n_steps - 1:
                        check_finite(losses, self.epoch, n)
                    if time.perf_counter() - said > SAYS_EVERY:
                        said = time.perf_counter()
                        progress.write(
                            f"{label}: step {progress.n:,} of {total:,}, loss {float(losses[-1]):.3f}"
                        )
                error = error_of(
                    self.model, self.test.images, self.test.labels, self.config.precision
                )
                mean_loss = float(torch.stack(losses).double().mean())
                seconds = time.perf_counter() - start
                self.history.append(
                    {
                        "epoch": self.epoch,
                        "loss": mean_loss,
                        "test_error": error,
                        "seconds": seconds,
                    }
                )
                self.epoch += 1
                progress.set_postfix(loss=f"{mean_loss:.3f}", test_error=f"{error:.3f}")
                save(*self.state())


def dropout_seed(seed, step):
    """The seed of one step's dropout."""
    return int(words("dropout", 1, seed=seed, index=[step])[0, 0])


def check_finite(losses, epoch, step):
    """Raise FloatingPointError where the latest losses are not finite numbers."""
    if not torch.isfinite(torch.stack(losses[-51:])).all():
        raise FloatingPointError(
            f"the loss is no longer a finite number (epoch {epoch + 1}, by step {step + 1}): the last finished epoch is kept; "
            "lower the learning rate or use precision fp32"
        )


def load_weights(model: torch.nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Load the `model.` part of a state into a model on any device, whichever of the two was wrapped.

    What torch.compile and DistributedDataParallel put before names does not count. Raises ValueError, and
    loads nothing, where the names or shapes are not those of the model.
    """

    def bare(name):
        return re.sub(r"^(module\.)+", "", name.removeprefix("model.").replace("_orig_mod.", ""))

    given = {bare(name): value for name, value in tensors.items() if name.startswith("model.")}
    names, wanted = {bare(name): name for name in model.state_dict()}, model.state_dict()
    missing, foreign = sorted(names.keys() - given), sorted(given.keys() - names)
    other = [
        name for name in names.keys() & given if given[name].shape != wanted[names[name]].shape
    ]
    if missing or foreign or other:
        first = (missing or foreign or sorted(other))[0]
        raise ValueError(
            f"the weights are of another network: of {len(names)} tensors {len(missing)} are missing, {len(other)} have "
            f"another shape, and {len(foreign)} are foreign ({first}, say): build the network that they were trained in"
        )
    model.load_state_dict({names[name]: value for name, value in given.items()})


def error_of(model, images, labels, precision="fp32"):
    """The share of images that the model gets wrong, in [0, 1]."""
    return float((predict(model, images, precision).argmax(1).numpy() != labels).mean())
