"""The identity of a run: what a user sets, and the data that it stands for."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import augment, paths
from ..checks import as_json, check_range, check_whole
from ..datasets import load
from ..datasets.split import stratified_subset, validation_split
from ..fractals import mixing_sets
from ..models import networks, training
from ..models.recipes import default_recipe

VERSIONS = {
    "augment": augment.VERSION,
    "datasets": load.VERSION,
    "fractals": mixing_sets.VERSION,
    "models": networks.VERSION,
    "training": training.VERSION,
}
"""Raised by hand, each in its module, when numbers change: then a run is another run."""


@dataclass(frozen=True)
class RunConfig:
    """The identity of a run, in values of plain JSON. Raises ValueError for numbers out of range.

    mixing: the identity of the mixing set in its manifest, None where the method needs none;
    recipe: the way of training, of `models.recipes`; label_smoothing: the share of each label that
    is spread over all classes; n_train: how many stratified training images are used, None for all;
    n_validation: how many stratified images are held out of the training set.
    """

    dataset: str
    dataset_hash: str
    method: str
    parameters: dict[str, Any]
    mixing: dict[str, Any] | None
    loss: str
    precision: str
    threads: int
    compile: bool
    network: str
    epochs: int
    seed: int
    batch_size: int = 128
    learning_rate: float = 0.1
    weight_decay: float = 5e-4
    recipe: str = "paper"
    label_smoothing: float = 0.0
    n_train: int | None = None
    n_validation: int = 0
    versions: dict[str, int] = field(default_factory=lambda: dict(VERSIONS))

    def __post_init__(self) -> None:
        whole = {
            "epochs": (1, 10**6),
            "seed": (0, 2**63 - 1),
            "batch_size": (1, 10**6),
            "n_train": (0,),
            "n_validation": (0,),
        }
        for name, limits in whole.items():  # NumPy's numbers, say, are no JSON
            if getattr(self, name) is not None or name != "n_train":
                object.__setattr__(self, name, check_whole(name, getattr(self, name), *limits))
        for name in ("learning_rate", "weight_decay", "label_smoothing"):
            is_rate = name == "learning_rate"  # a rate of 0 would train nothing
            high = 1 if name == "label_smoothing" else np.inf
            value = check_range(name, getattr(self, name), 0, high, low_open=is_rate)
            object.__setattr__(self, name, value)

    @property
    def label(self) -> str:
        """What a reader wants to know of a run, as it begins its name."""
        parameters = "".join(
            f"-{name}={value!s}"
            for name, value in sorted(self.parameters.items())
            if np.isscalar(value)
        )
        loss = "" if self.loss == augment.METHODS[self.method].loss else f"-{self.loss}"
        recipe = "" if self.recipe == default_recipe(self.network) else f"-{self.recipe}"
        method = f"{self.method}{parameters}{loss}{recipe}"
        label = f"{self.dataset}-{self.network}-{method}-e{self.epochs}-s{self.seed}"
        return label.replace("/", "_")

    @property
    def name(self) -> str:
        """The label and a short hash of all fields."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:8]
        return f"{self.label}-{digest}"

    @property
    def folder(self) -> Path:
        """The folder of the run."""
        return paths.RUNS / self.name

    def training_index(self, dataset: load.Dataset) -> np.ndarray:
        """The training images of the run: sorted int64, positions in the original split."""
        index = np.arange(len(dataset.train))
        if self.n_validation:
            index, _ = validation_split(dataset.train, self.n_validation, seed=0)
        if self.n_train is None:
            return index
        return index[stratified_subset(dataset.train.labels[index], self.n_train, seed=0)]


def non_default_parameters(
    parameters: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """The parameters that differ from their defaults, equal values in one form.

    5 stands for 5.0 and a list for a tuple. A bool equals no number: `True` for 1 stays, so that
    whoever takes a number can refuse it.
    """

    def form(value: Any) -> Any:
        if isinstance(value, list):
            return [form(item) for item in value]
        return int(value) if isinstance(value, float) and value.is_integer() else value

    own = {name: form(as_json(value)) for name, value in parameters.items()}
    return {
        name: value
        for name, value in own.items()
        if json.dumps(value) != json.dumps(form(as_json(defaults[name])))
    }
