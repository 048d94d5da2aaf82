"""CIFAR-C, CIFAR-C-bar and CIFAR-P for any set of 32 x 32 images, by their authors' recipes.

    keys = {"seed": 0, "index": index}
    corrupt(images, "glass_blur", severity=3, **keys)       # one level of one corruption, CIFAR-C
    draws = draw("glass_blur", severity=3, **keys)          # its randomness, as arrays
    corrupt(images, "glass_blur", severity=3, draws=draws)  # pure
    perturb(images, "motion_blur", **keys)                  # a sequence of frames, CIFAR-P

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
from ..names import C_BAR_CORRUPTIONS, C_CORRUPTIONS, C_EXTRA, PERTURBATIONS
from .blur import BLUR
from .c_bar import C_BAR
from .cifar_p import SEQUENCES
from .digital import DIGITAL
from .noise import NOISE
from .recipe import SIZE, Field, Recipe
from .weather import WEATHER

VERSION = 1
"""Raised by hand when a recipe changes its bytes."""

CHUNK = 2**20
"""Bytes that are made at once, so that what is in between (float64) stays in a cache."""

SEVERITIES = 1, 2, 3, 4, 5

NAMES = dict(cifar_c=C_CORRUPTIONS + C_EXTRA, cifar_c_bar=C_BAR_CORRUPTIONS, cifar_p=PERTURBATIONS)
"""The names of each benchmark, in the order of its authors."""

LEVELS = {"cifar_c": SEVERITIES, "cifar_c_bar": SEVERITIES, "cifar_p": (None,)}
"""The severities of each benchmark: sequences have none."""

RECIPES = dict(cifar_c=NOISE | BLUR | WEATHER | DIGITAL, cifar_c_bar=C_BAR, cifar_p=SEQUENCES)

Source = tuple[str, str, int | None]
"""Benchmark, corruption and severity."""


class Draws(dict[str, np.ndarray]):
    """The drawn arrays of one corruption by name, leading axis n, and what they are draws of."""

    def __init__(self, arrays: Mapping[str, np.ndarray], source: Source) -> None:
        super().__init__(arrays)
        self.source = source


def recipe(name: str, benchmark: str, severity: int | None = None) -> tuple[Recipe, Any]:
    """The Recipe of a name, and its parameters at a severity (None for cifar_p).

    Raises ValueError for unknown names and severities.
    """
    check_name("benchmark", benchmark, RECIPES)
    check_name("perturbation" if benchmark == "cifar_p" else "corruption", name, NAMES[benchmark])
    entry = RECIPES[benchmark][name]
    if benchmark != "cifar_p":
        return entry, entry.parameters[check_whole("severity", severity, 1, 5) - 1]
    if severity is not None:
        raise ValueError(f"sequences of cifar_p have no severity, got {severity!r}: leave it out")
    return entry, entry.parameters[0]


@outside_graphs
def draw(
    name: str, *, severity: int | None = None, benchmark: str = "cifar_c", seed: int, index: Any
) -> Draws:
    """The randomness of one corruption for the images `index`.

    benchmark: cifar_c, cifar_c_bar or cifar_p (no severity); seed: 0 to 2**64 - 1; index: integers
    (n,), the position in the whole original split. Returns arrays with leading axis n by name;
    deterministic corruptions have none. Raises ValueError for anything else.
    """
    entry, p = recipe(name, benchmark, severity)
    index = _check_key(name, seed, index)
    key, fields = f"{benchmark}/{name}/{severity}".removesuffix("/None"), entry.fields(p)
    arrays = {one: fields[one].draw(f"{key}/{one}", seed=seed, index=index) for one in fields}
    return Draws(arrays, (benchmark, name, severity))


class Chance(TypedDict, total=False):
    """What a random corruption is given: a seed and an index, or draws."""

    seed: int
    index: Any
    draws: Mapping[str, np.ndarray]


def corrupt(
    images: Any, name: str, *, severity: int, benchmark: str = "cifar_c", **chance: Unpack[Chance]
) -> Any:
    """One corruption at one severity: uint8 (N, 3, 32, 32), NumPy or torch, in and out.

    benchmark: cifar_c (19 names) or cifar_c_bar (10); chance: either `seed` and `index` (N,), or
    `draws` from `draw`. Raises ValueError for other images, names, severities, keys and draws;
    FileNotFoundError for frost without photographs.
    """
    check_name("benchmark", benchmark, ("cifar_c", "cifar_c_bar"))
    return make(images, name, severity, benchmark, **chance)


def perturb(images: Any, name: str, **chance: Unpack[Chance]) -> Any:
    """One sequence of CIFAR-P: uint8 (N, 3, 32, 32) to (N, T, 3, 32, 32), T = 16, 21 or 31.

    Keys and errors as in `corrupt`.
    """
    return make(images, name, None, "cifar_p", **chance)


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
) -> Any:
    """`corrupt` or `perturb`, as the benchmark asks (severity None for sequences)."""
    entry, p = recipe(name, benchmark, severity)
    fields, arrays = entry.fields(p), _check_images(images)
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
    frames = () if entry.n_frames is None else (entry.n_frames,)
    result = np.empty((n, *frames, *arrays.shape[1:]), np.uint8)
    size = max(1, CHUNK // max(1, result[:1].size))
    for part in (slice(start, start + size) for start in range(0, n, size)):
        if draws is None:
            drawn = draw(name, severity=severity, benchmark=benchmark, seed=seed, index=index[part])
        else:
            drawn = {key: array[part] for key, array in draws.items()}
        result[part] = entry.apply(np.array(arrays[part], order="C"), p, **drawn)
    return torch.from_numpy(result).to(images.device) if torch.is_tensor(images) else result


def _check_images(images: Any) -> np.ndarray:
    array = images.detach().cpu().numpy() if torch.is_tensor(images) else images
    is_array = isinstance(array, np.ndarray)
    if not is_array or array.dtype != np.uint8 or array.shape[1:] != (3, SIZE, SIZE):
        content = f"{array.dtype} {array.shape}" if is_array else type(array).__name__
        expected = "images must be uint8 (N, 3, 32, 32), NumPy or torch"
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
