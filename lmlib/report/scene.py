"""What the explorer shows: an image on its way through LayerMix, and what networks see in it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from .. import paths
from ..analysis.steps import LAYERS, pipeline_steps
from ..augment import LayerMix
from ..augment.blend import BLENDS, PROBABILITIES
from ..fractals.mixing_sets import MixingSet
from ..models.prediction import predict
from ..models.pretrained import CATEGORIES, SIZE, imagenet_network
from ..study import runs
from ..study.profiles import PROFILES

ANY = "any"  # of an operation, a blend: as it is drawn
BLEND_TITLES = dict(
    zip(
        BLENDS, ("arithmetic mean", "geometric mean", "pixel mixing", "element mixing"), strict=True
    )
)
"""The blends by their names in Table 1."""
OPS_TITLES = {"paper": "text", "released": "release"}
LEVELS = {
    "brightness": "factor {:.2f}", "posterize": "{:.0f} bits", "solarize": "threshold {:.2f}",
    "rotate": "{:+.1f}°", "shear_x": "tangent {:+.2f}", "shear_y": "tangent {:+.2f}",
    "translate_x": "{:+.1f} px", "translate_y": "{:+.1f} px",
}  # fmt: skip
"""The level of an operation in words, with its unit."""
ORDER = 0, *LAYERS, 2, 4  # of the cards, in `STEPS`
TITLES = "image", "layer 1", "layer 2", "layer 3", "second view", "fractal"
REMEMBERED = 1000  # images of which a source knows what the networks see in them


@dataclass(frozen=True, eq=False)
class Source:
    """Images, what they are mixed with, and who looks at them.

    images: uint8 (N, 3, H, W); labels: of each, None where it is what the first network sees in the
    untouched image; networks: by their titles, with logits of `classes`; there may be none.
    """

    images: torch.Tensor
    labels: Sequence[int] | np.ndarray | None
    classes: Sequence[str]
    networks: Mapping[str, nn.Module]
    mixing_set: MixingSet
    known: dict[bytes, np.ndarray] = field(default_factory=dict)

    def see(self, images: torch.Tensor) -> np.ndarray:
        """Probabilities of the classes: (networks, B, K). What was seen before is remembered."""
        keys = [hashlib.sha256(image.numpy().tobytes()).digest() for image in images]
        if len(self.known) > REMEMBERED:
            self.known.clear()
        new = [k for k, key in enumerate(keys) if key not in self.known]
        if new:
            seen = [predict(model, images[new]).softmax(1) for model in self.networks.values()]
            self.known.update(
                zip((keys[k] for k in new), torch.stack(seen, 1).numpy(), strict=True)
            )
        return np.stack([self.known[key] for key in keys], 1)


@lru_cache(maxsize=1)
def photograph_network() -> nn.Module:
    """EfficientNet-Lite0, in the layout of memory that takes half of the time on a CPU."""
    return imagenet_network()[0].to(memory_format=torch.channels_last)


def photograph_source(picture: torch.Tensor, n_fractals: int) -> Source:
    """A photograph, uint8 (3, 224, 224), under the network that was trained on ImageNet."""
    mixing_set = runs.mixing_set_of(n_fractals, SIZE, False)
    networks = {"EfficientNet-Lite0": photograph_network()}
    return Source(picture[None], None, CATEGORIES, networks, mixing_set)


def dataset_source(name: str, n_fractals: int) -> Source:
    """The test images of a dataset under `networks_of` it. Raises ValueError where none are here.

    Nothing is downloaded.
    """
    data = runs.dataset_or_placeholder(name)
    if not len(data.test.images):
        raise ValueError(f"the images of {name} are not here: data/README.md says how they come")
    images = torch.from_numpy(data.test.images)
    mixing_set = runs.mixing_set_of(n_fractals, data.image_size, False)
    return Source(images, data.test.labels, data.classes, networks_of(name), mixing_set)


def networks_of(dataset: str) -> dict[str, nn.Module]:
    """Plain training and LayerMix of the first profile that has both on a dataset, or neither."""
    for sizes in PROFILES.values():
        found: dict[str, str] = {}
        for title, method in (("plain training", "baseline"), ("LayerMix", "layermix")):
            names = f"{dataset}-{sizes.network}-{method}-e{sizes.epochs}-s{sizes.seeds[0]}-*"
            known = [path.stem for path in paths.RESULTS.glob(f"*/weights/{names}.safetensors")]
            known += [path.parent.name for path in paths.RUNS.glob(f"{names}/done.json")]
            found.update((title, name) for name in known if not runs.read_config(name).parameters)
        if len(found) == 2:
            return {title: runs.load_model(name) for title, name in found.items()}
    return {}


class Card(NamedTuple):
    """A picture, float32 (3, H, W) in [0, 1], with what is to be said of it.

    seen: for each network its (class, probability): the image's own class, then the likeliest two
    of the others; chosen: whether it is what training would get.
    """

    title: str
    caption: str
    image: torch.Tensor
    seen: Mapping[str, Sequence[tuple[str, float]]]
    chosen: bool = False


@dataclass(frozen=True)
class Scene:
    """An image of a source, the settings of LayerMix, and the seed that names the draw.

    operation, blend: one for all stages, or `ANY`, as drawn; the others as `LayerMix` takes them.
    """

    source: Source
    position: int = 0
    magnitude: float = 8
    beta: float = 3
    operation: str = "rotate"
    blend: str = "add"
    layers: tuple[int, ...] = (1, 2, 3)
    shared: bool = True
    ops: str = "paper"
    seed: int = 6  # a draw that shows every stage

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What `LayerMix` is called with, but for its defaults."""
        one = tuple(float(name == self.blend) for name in BLENDS)
        values = {
            "magnitude": (self.magnitude, 8), "beta": (self.beta, 3), "ops": (self.ops, "paper"),
            "shared": (self.shared, True), "layers": (self.layers, (1, 2, 3)),
            "probabilities": (PROBABILITIES if self.blend == ANY else one, PROBABILITIES),
        }  # fmt: skip
        return {name: value for name, (value, usual) in values.items() if value != usual}

    @cached_property
    def layermix(self) -> LayerMix:
        layermix = LayerMix(self.source.mixing_set, **self.settings)
        if self.operation != ANY:
            layermix.set_table({self.operation: layermix.table[self.operation]})
        return layermix

    @cached_property
    def image(self) -> torch.Tensor:
        return self.source.images[self.position : self.position + 1]

    @cached_property
    def drawn(self) -> Any:
        """What is drawn for the image, as `LayerMix.sample` gives it."""
        size = self.image.shape[-2], self.image.shape[-1]
        return self.layermix.sample(size, seed=self.seed, epoch=0, index=[0])

    @cached_property
    def steps(self) -> torch.Tensor:
        """The pictures of `pipeline_steps`."""
        return pipeline_steps(self.layermix, self.image, self.drawn)

    @cached_property
    def own(self) -> int:
        """The class of the image."""
        if self.source.labels is not None:
            return int(self.source.labels[self.position])
        return int(self.source.see(self.steps[:1])[0, 0].argmax())

    def cards(self) -> list[Card]:
        """The image, the three layers, the second view and the fractal."""
        images = self.steps[list(ORDER)]
        seen = self.source.see(images) if self.source.networks else np.empty((0, len(ORDER), 0))
        stop, parts = self.drawn.layer[0], zip(TITLES, self.captions(), images, strict=True)
        return [
            Card(title, caption.replace("-", "−"), image, self.likeliest(seen[:, n]), n == stop)
            for n, (title, caption, image) in enumerate(parts)
        ]

    def likeliest(self, seen: np.ndarray) -> dict[str, list[tuple[str, float]]]:
        """For each network, of probabilities (networks, K): the own class and two others."""
        found = {}
        for title, row in zip(self.source.networks, seen, strict=True):
            others = [k for k in np.argsort(-row, kind="stable")[:3] if k != self.own]
            found[title] = [
                (self.source.classes[k], float(row[k])) for k in (self.own, *others[:2])
            ]
        return found

    def captions(self) -> list[str]:
        """What is to be said of each card: operation and level, weights, mean change."""
        first, second, last = map(self.operation_text, range(3))
        views, fractal = ("layer 1", "second view"), ("layer 2", "fractal")
        moved = [f"mean change {change:.1%}" for change in self.changes().mean(1)]
        n, n_all = self.drawn.picture[0] + 1, len(self.source.mixing_set.images)
        return [
            self.source.classes[self.own],
            f"{first}; {moved[0]}",
            f"{self.blend_text(0, *views)}; {moved[1]}",
            f"{self.blend_text(1, *fractal)}, then {last}; {moved[2]}",
            second,
            f"number {n} of {n_all}, cut and flipped at random",
        ]

    def operation_text(self, stage: int) -> str:
        """The operation of a stage and its level, in words."""
        name, operation = list(self.layermix.table.items())[self.drawn.op[0, stage]]
        level = LEVELS.get(operation.function, "").format(self.drawn.level[0, stage] + 0.0)
        return f"{name} {level}".rstrip()

    def has_level(self) -> bool:
        """Whether the magnitude has a say in any of the drawn operations."""
        operations = list(self.layermix.table.values())
        return any(operations[k].function in LEVELS for k in self.drawn.op[0])

    def blend_text(self, n: int, image: str, other: str) -> str:
        """The n-th blend and its weights, in words."""
        drawn, kind = self.drawn, BLENDS[self.drawn.blend[0, n]]
        a, b = drawn.a[0, n], drawn.b[0, n]
        if kind == "add":
            expression = f"{a:.2f} × {image} {b:+.2f} × {other}"
        elif kind == "multiply":
            expression = f"{image} to the power {a:.2f}, {other} to {b:+.2f}"
        else:
            expression = f"{drawn.keep[0, n]:.0%} of {image}, whatever β is"
        return f"{BLEND_TITLES[kind]}: {expression}"

    def changes(self) -> np.ndarray:
        """How far each value of the three layers is from the image: (3, 3 H W), in [0, 1]."""
        return (self.steps[list(LAYERS)] - self.steps[0]).abs().flatten(1).numpy()

    def confidence(self, magnitude: float) -> np.ndarray:
        """The probability of the own class at another magnitude: (networks, 3), by layer."""
        steps = replace(self, magnitude=magnitude).steps
        return self.source.see(steps[list(LAYERS)])[:, :, self.own]

    def __str__(self) -> str:
        operation = f"{self.operation} operation" if self.operation == ANY else self.operation
        blend = BLEND_TITLES.get(self.blend, "any blend")
        kind = "shared" if self.shared else "IID"
        words = f"m = {self.magnitude:g}", f"β = {self.beta:g}", operation, blend, kind
        return ", ".join([*words, f"Table 2 of the {OPS_TITLES[self.ops]}", f"draw {self.seed}"])

    def snippet(self) -> str:
        """Python that makes images with these settings and this draw."""
        n, size = len(self.source.mixing_set.images), self.source.mixing_set.images.shape[-1]
        given = "".join(f", {name}={value!r}" for name, value in self.settings.items())
        lines = [
            "from lmlib import LayerMix",
            "from lmlib.fractals import mixing_set",
            "",
            f"layermix = LayerMix(mixing_set(n_fractals={n}, size={size}){given})",
            f"images = layermix(images, seed={self.seed}, epoch=0, index=range(len(images)))",
        ]
        if self.operation != ANY:
            table = f'{{"{self.operation}": layermix.table["{self.operation}"]}}'
            lines.insert(4, f"layermix.set_table({table})")
        return "\n".join(lines)
