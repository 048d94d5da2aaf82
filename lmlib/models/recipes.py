"""Ways of training a network, by name: what a step does once the gradients are there.

`paper`: SGD with a cosine, as in the paper and its code. `airbench`: SGD with a triangle and an
average of the weights, tuned for few epochs (Jordan 2024, arXiv 2404.00498). `imagenet`: as the
paper's text has it for a network that was trained before, `imagenet_released`: as its program has
it. All minimise the mean loss of a batch.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

from .airbench import whitening_layer
from .networks import PRETRAINED, plain


class PaperOptimizer:
    """SGD with Nesterov momentum 0.9; the rate falls to 1e-6 by a cosine per step, no warm-up.

    model: may be wrapped by torch.compile; epochs and steps_per_epoch: of the whole training.
    """

    momentum = 0.9
    last_rate = 1e-6
    drop_last = False  # whether a last batch that is not full is left out

    def __init__(
        self,
        model: nn.Module,
        *,
        learning_rate: float,
        weight_decay: float,
        epochs: int,
        steps_per_epoch: int,
    ) -> None:
        self.model, self.n_steps = plain(model), epochs * steps_per_epoch
        self.steps_per_epoch = steps_per_epoch
        groups = self.groups(learning_rate, weight_decay)
        self.sgd = torch.optim.SGD(groups, momentum=self.momentum, nesterov=True)
        self.first_rates = [group["lr"] for group in self.sgd.param_groups]

    def groups(self, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
        """The parameters, with the rate that the schedule starts from and their decay."""
        parameters = [one for one in self.model.parameters() if one.requires_grad]
        return [{"params": parameters, "lr": learning_rate, "weight_decay": weight_decay}]

    def rate(self, first: float, step: int) -> float:
        """The learning rate at `step`: `first` at 0, 1e-6 after the last."""
        half = (1 + math.cos(math.pi * step / self.n_steps)) / 2
        return self.last_rate + (first - self.last_rate) * half

    def step(self, step: int) -> None:
        """Change the weights by the gradients; `step` counts from the start of the training."""
        for group, first in zip(self.sgd.param_groups, self.first_rates, strict=True):
            group["lr"] = self.rate(first, step)
        self.sgd.step()

    def named(self) -> Iterable[tuple[str, nn.Parameter]]:
        """The trained parameters by name."""
        return ((name, one) for name, one in self.model.named_parameters() if one.requires_grad)

    def state(self) -> dict[str, torch.Tensor]:
        """What the next step depends on beside the weights."""
        states = {name: self.sgd.state.get(one, {}) for name, one in self.named()}
        return {f"momentum.{n}": s["momentum_buffer"] for n, s in states.items() if s}

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Go on from a `state`; other tensors in it are left alone."""
        for name, parameter in self.named():
            if f"momentum.{name}" in tensors:
                buffer = torch.empty_like(parameter)  # the parameter's memory format
                buffer.copy_(tensors[f"momentum.{name}"])
                self.sgd.state[parameter]["momentum_buffer"] = buffer


class ReleasedImageNetOptimizer(PaperOptimizer):
    """The same in whole batches, down to twice the rate: 1e-6 times 256 by the batch size of 128.

    Source: the program that the authors of LayerMix released for ImageNet.
    """

    last_rate = 2e-6
    drop_last = True


class AirbenchOptimizer(PaperOptimizer):
    """SGD with Nesterov momentum 0.85 whose weights are drawn to their average now and then.

    The rate rises from 0.2 of its peak over the first 23 % of the steps and falls to 0.07 of it.
    Biases of batch norm learn 64 times as fast, and decay as much as all others. Every five steps
    the weights move to a running average, which forgets less and less. The bias of the whitening
    layer is trained for three epochs.
    """

    momentum = 0.85
    start, peak, end = 0.2, 0.23, 0.07  # rate at step 0; when it is 1; after the last step
    bias_scale = 64
    average_every = 5
    whitening_epochs = 3

    def __init__(self, model: nn.Module, **settings: Any) -> None:
        super().__init__(model, **settings)
        layer = whitening_layer(self.model)
        self.whitening_bias = None if layer is None else layer.bias
        self.average = {name: one.clone() for name, one in self._averaged()}

    def _averaged(self) -> Iterable[tuple[str, torch.Tensor]]:
        """Weights and running statistics, detached, by name."""
        tensors = self.model.state_dict().items()
        return ((name, one) for name, one in tensors if one.is_floating_point())

    def groups(self, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
        norms = [one for one in self.model.modules() if isinstance(one, nn.BatchNorm2d)]
        biases = [one.bias for one in norms]
        known = {id(one) for one in biases}
        others = [one for _, one in self.named() if id(one) not in known]
        scale = self.bias_scale
        slow = {"params": others, "lr": learning_rate, "weight_decay": weight_decay}
        fast = {"lr": scale * learning_rate, "weight_decay": weight_decay / scale}
        return [slow, {"params": biases} | fast]

    def rate(self, first: float, step: int) -> float:
        done = step / self.n_steps
        if done < self.peak:
            return first * (self.start + (1 - self.start) * done / self.peak)
        return first * (1 + (self.end - 1) * (done - self.peak) / (1 - self.peak))

    def step(self, step: int) -> None:
        if step >= self.whitening_epochs * self.steps_per_epoch and self.whitening_bias is not None:
            self.whitening_bias.grad = None
        super().step(step)
        is_due = (step + 1) % self.average_every == 0
        if is_due or step + 1 == self.n_steps:  # the last weights are the average
            share = 0.95**self.average_every * ((step + 1) / self.n_steps) ** 3
            for name, weights in self._averaged():
                self.average[name].lerp_(weights, 1 - share if is_due else 0)
                weights.copy_(self.average[name])

    def state(self) -> dict[str, torch.Tensor]:
        return super().state() | {f"average.{name}": one for name, one in self.average.items()}

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        super().restore(tensors)
        for name, average in self.average.items():
            average.copy_(tensors[f"average.{name}"])


class Recipe(NamedTuple):
    """A way of training: its optimiser, and what a run may set otherwise."""

    optimizer: type[PaperOptimizer]
    batch_size: int
    learning_rate: float  # at the peak of the schedule
    weight_decay: float  # as a multiple of the weights that is added to their gradient
    label_smoothing: float = 0.0


RECIPES = {
    "paper": Recipe(PaperOptimizer, 128, 0.1, 5e-4),
    # Published: rate 1.5 (11.5 a thousand steps of summed losses) and smoothing 0.2. Half the rate
    # does as well without smoothing, and leaves networks calibrated: see README.md.
    "airbench": Recipe(AirbenchOptimizer, 1024, 0.75, 0.0153 / 11.5),
    "imagenet": Recipe(PaperOptimizer, 256, 0.01, 5e-4),
    "imagenet_released": Recipe(ReleasedImageNetOptimizer, 128, 0.01, 5e-4),
}


def default_recipe(network: str) -> str:
    """The recipe that a network is trained by unless a run says otherwise."""
    if network.endswith(PRETRAINED):
        return "imagenet"
    return "airbench" if network.startswith("airbench-") else "paper"
