"""The benchmarks C, C-bar and P for any images, by their authors' recipes.

Those of CIFAR are for 32 x 32 pixels, those of ImageNet for 224 x 224.

    keys = {"seed": 0, "index": index}
    corrupt(images, "glass_blur", severity=3, **keys)       # one level of one corruption, CIFAR-C
    draws = draw("glass_blur", severity=3, **keys)          # its randomness, as arrays
    corrupt(images, "glass_blur", severity=3, draws=draws)  # pure
    perturb(images, "motion_blur", **keys)                  # a sequence of frames, CIFAR-P
    corrupt(photographs, "fog", severity=3, benchmark="imagenet_c", **keys)

What is drawn for an image depends on (seed, benchmark, corruption, severity, index) only. Sources:
hendrycks/robustness (Hendrycks & Dietterich, ICLR 2019) for C and P,
facebookresearch/augmentation-corruption (Mintun et al., NeurIPS 2021) for C-bar.
"""

from collections.abc import Mapping
from typing import Any, TypedDict, Unpack

import numpy as np
import torch

from ..checks import check_name, check_whole
from ..graphs import outside_graphs
from ..names import (
    C_BAR_CORRUPTIONS,
    C_CORRUPTIONS,
    C_EXTRA,
    HARDER_NOISES,
    IMAGENET_C_BAR_CORRUPTIONS,
    PERTURBATIONS,
)
from .blur import BLUR
from .c_bar import C_BAR
from .caustics import CAUSTICS
from .digital import DIGITAL, jpeg_compression
from .noise import NOISE
from .patterns import PATTERNS
from .recipe import SIZES, Field, Recipe, middle
from .sequences import SEQUENCES
from .weather import WEATHER

VERSION = 1
"""Raised by hand when a recipe changes its bytes."""

CHUNK = 2**20
"""Bytes that are made at once, so that what is in between (float64) stays in a cache."""

SEVERITIES = 1, 2, 3, 4, 5

NAMES = {
    "cifar_c": C_CORRUPTIONS + C_EXTRA,
    "cifar_c_bar": C_BAR_CORRUPTIONS,
    "cifar_p": PERTURBATIONS,
    "imagenet_c": C_CORRUPTIONS + C_EXTRA,
    "imagenet_c_bar": IMAGENET_C_BAR_CORRUPTIONS,
    "imagenet_p": PERTURBATIONS + HARDER_NOISES,
}
"""The names of each benchmark, in the order of its authors."""

SEQUENCE_BENCHMARKS = "cifar_p", "imagenet_p"
LEVELS = {one: (None,) if one in SEQUENCE_BENCHMARKS else SEVERITIES for one in NAMES}
"""The severities of each benchmark: sequences have none."""

TABLES = {
    "c": NOISE | BLUR | WEATHER | DIGITAL,
    "c_bar": C_BAR | PATTERNS | CAUSTICS,
    "p": SEQUENCES,
}
RECIPES = {
    benchmark: {name: TABLES[benchmark.partition("_")[2]][name] for name in names}
    for benchmark, names in NAMES.items()
}

Source = tuple[str, str, int | None]
"""Benchmark, corruption and severity."""


class Draws(dict[str, np.ndarray]):
    """The drawn arrays of one corruption by name, leading axis n, and what they are draws of."""

    def __init__(self, arrays: Mapping[str, np.ndarray], source: Source) -> None:
        super().__init__(arrays)
        self.source = source


def recipe(name: str, benchmark: str, severity: int | None = None) -> tuple[Recipe, Any]:
    """The Recipe of a name, and its parameters at a severity (None for sequences).

    Raises ValueError for unknown names and severities.
    """
    check_name("benchmark", benchmark, RECIPES)
    is_sequence = benchmark in SEQUENCE_BENCHMARKS
    check_name("perturbation" if is_sequence else "corruption", name, NAMES[benchmark])
    entry = RECIPES[benchmark][name]
    parameters = entry.parameters[family(benchmark)]
    if not is_sequence:
        return entry, parameters[check_whole("severity", severity, 1, 5) - 1]
    if severity is not None:
        problem = f"sequences of {benchmark} have no severity, got {severity!r}"
        raise ValueError(f"{problem}: leave it out")
    return entry, parameters[0]


def family(benchmark: str) -> str:
    """Whose benchmark it is: cifar or imagenet."""
    return benchmark.partition("_")[0]


@outside_graphs
def draw(
    name: str, *, severity: int | None = None, benchmark: str = "cifar_c", seed: int, index: Any
) -> Draws:
    """The randomness of one corruption for the images `index`.

    benchmark: a name of `NAMES` (for sequences no severity); seed: 0 to 2**64 - 1; index: integers
    (n,), the position in the whole original split, which for a picture of ImageNet is the number in
    ILSVRC2012_val_<number> minus 1. Returns arrays with leading axis n by name; deterministic
    corruptions have none. Raises ValueError for anything else.
    """
    entry, p = recipe(name, benchmark, severity)
    index = _check_key(name, seed, index)
    key = f"{benchmark}/{name}/{severity}".removesuffix("/None")
    fields = entry.fields(p, SIZES[family(benchmark)])
    arrays = {one: fields[one].draw(f"{key}/{one}", seed=seed, index=index) for one in fields}
    return Draws(arrays, (benchmark, name, severity))


class Chance(TypedDict, total=False):
    """What a random corruption is given: a seed and an index, or draws."""

    seed: int
    index: Any
    draws: Mapping[str, np.ndarray]


def corrupt(
    images: Any,
    name: str,
    *,
    severity: int,
    benchmark: str = "cifar_c",
    jpeg85: bool = True,
    **chance: Unpack[Chance],
) -> Any:
    """One corruption at one severity: uint8 (N, 3, side, side), NumPy or torch, in and out.

    benchmark: cifar_c (19 names) or cifar_c_bar (10), of 32 pixels a side; imagenet_c or
    imagenet_c_bar, of 224. jpeg85: whether pictures of ImageNet go through a JPEG file of quality
    85, as the official ones did: without it the noises are a third stronger. CIFAR's were never
    JPEGs. chance: either `seed` and `index` (N,), or `draws` from `draw`. Raises ValueError for
    other images, names, severities, keys and draws; FileNotFoundError for frost without
    photographs.
    """
    check_name("benchmark", benchmark, [one for one in NAMES if one not in SEQUENCE_BENCHMARKS])
    return make(images, name, severity, benchmark, jpeg85=jpeg85, **chance)


def perturb(images: Any, name: str, *, benchmark: str = "cifar_p", **chance: Unpack[Chance]) -> Any:
    """One sequence of frames: uint8 (N, 3, side, side) to (N, T, 3, side, side).

    benchmark: cifar_p, of 32 pixels and T = 16, 21 or 31; imagenet_p, of 224 and T = 31 or 41. As
    published, geometry acts on the whole picture, resized to a short side of 256 pixels, before its
    middle is cut out: imagenet_p takes images (N, 3, height, width) of 224 pixels and more, and
    gives their middle. Frames are as before the video files of the authors, whose compression
    changes them. Keys and errors as in `corrupt`.
    """
    check_name("benchmark", benchmark, SEQUENCE_BENCHMARKS)
    return make(images, name, None, benchmark, **chance)


@outside_graphs
def make(
    images: Any,
    name: str,
    severity: int | None,
    benchmark: str,
    *,
    seed: int | None = None,
    index: Any = None,
    draws: Mapping[str, np.ndarray] | None = None,
    jpeg85: bool = True,
) -> Any:
    """`corrupt` or `perturb`, as the benchmark asks (severity None for sequences)."""
    entry, p = recipe(name, benchmark, severity)
    size = SIZES[family(benchmark)]
    fields, arrays = entry.fields(p, size), _check_images(images, benchmark, size)
    n = len(arrays)
    if draws is not None:
        if seed is not None or index is not None:
            raise ValueError(f"{name}: give either draws, or seed and index, not both")
        draws = _check_draws(draws, fields, (benchmark, name, severity), n)
    elif fields:
        index = _check_key(name, seed, index)
        if index.shape != (n,):
            raise ValueError(f"index must name each of the {n} images, got shape {index.shape}")
    else:
        draws = {}
    arrays = arrays if entry.whole else middle(arrays)
    result = np.empty((n, *entry.frames(p), 3, size, size), np.uint8)
    n_together = max(1, CHUNK // max(1, result[:1].size))
    for part in (slice(start, start + n_together) for start in range(0, n, n_together)):
        if draws is None:
            drawn = draw(name, severity=severity, benchmark=benchmark, seed=seed, index=index[part])
        else:
            drawn = {key: array[part] for key, array in draws.items()}
        made = entry.apply(np.array(arrays[part], order="C"), p, **drawn)
        through_file = jpeg85 and family(benchmark) == "imagenet" and entry.n_frames is None
        result[part] = jpeg_compression(made, 85) if through_file else made
    return torch.from_numpy(result).to(images.device) if torch.is_tensor(images) else result


def _check_images(images: Any, benchmark: str, size: int) -> np.ndarray:
    array = images.detach().cpu().numpy() if torch.is_tensor(images) else images
    is_array = isinstance(array, np.ndarray)
    fits = is_array and array.dtype == np.uint8 and array.ndim == 4 and array.shape[1] == 3
    more = benchmark == "imagenet_p"
    if not fits or not (min(array.shape[2:]) >= size if more else array.shape[2:] == (size, size)):
        content = f"{array.dtype} {array.shape}" if is_array else type(array).__name__
        sides = f"{size} and more pixels a side" if more else f"(N, 3, {size}, {size})"
        expected = f"images must be uint8 {sides} for {benchmark}, NumPy or torch"
        raise ValueError(f"{expected}, got {content}: convert them first")
    return array


def _check_key(name: str, seed: int | None, index: Any) -> np.ndarray:
    if seed is None or index is None:
        reason = "so that no image's draws depend on its batch"
        raise ValueError(f"{name} is random: give seed and index, {reason}")
    return np.atleast_1d(np.asarray(index))


def _check_draws(
    draws: Mapping[str, np.ndarray], fields: Mapping[str, Field], source: Source, n: int
) -> dict[str, np.ndarray]:
    if (drawn_for := getattr(draws, "source", source)) != source:
        raise ValueError(f"these draws are of {drawn_for}, not of {source}: draw again")
    expected = {part: (n, *field.shape) for part, field in fields.items()}
    shapes = {part: np.shape(array) for part, array in draws.items()}
    if shapes != expected:
        raise ValueError(f"draws of {source} must have the shapes {expected}, got {shapes}")
    return {part: np.array(one, fields[part].dtype, order="C") for part, one in draws.items()}
