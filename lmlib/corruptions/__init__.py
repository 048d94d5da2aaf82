"""CIFAR-C, CIFAR-C-bar and CIFAR-P for any set of 32 x 32 images, by the recipes of their authors, keyed and batched.

    corrupt(images, "glass_blur", severity=3, benchmark="cifar_c", seed=0, index=index)   # one level of one corruption
    draws = draw("glass_blur", n=len(images), severity=3, seed=0, index=index)            # its randomness, as arrays
    corrupt(images, "glass_blur", severity=3, draws=draws)                                # pure
    perturb(images, "motion_blur", seed=0, index=index)                                   # a sequence of frames, CIFAR-P

What is drawn for an image depends on (seed, benchmark, corruption, severity, index) only. Sources: hendrycks/robustness
(Hendrycks & Dietterich, ICLR 2019) for C and P, facebookresearch/augmentation-corruption (Mintun et al., NeurIPS 2021) for C-bar.
"""

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
from .recipe import SIZE
from .weather import WEATHER

VERSION = 1
"""Raised by hand when a recipe changes its bytes."""

SEVERITIES = 1, 2, 3, 4, 5

NAMES = {
    "cifar_c": C_CORRUPTIONS + C_EXTRA,
    "cifar_c_bar": C_BAR_CORRUPTIONS,
    "cifar_p": PERTURBATIONS,
}
"""The names of each benchmark, in the order of its authors."""

LEVELS = {"cifar_c": SEVERITIES, "cifar_c_bar": SEVERITIES, "cifar_p": (None,)}
"""The severities of each benchmark: sequences have none."""

RECIPES = {"cifar_c": NOISE | BLUR | WEATHER | DIGITAL, "cifar_c_bar": C_BAR, "cifar_p": SEQUENCES}


class Draws(dict):
    """The drawn arrays of one corruption by name, leading axis n; `source` is (benchmark, corruption, severity)."""

    def __init__(self, arrays, source):
        super().__init__(arrays)
        self.source = source


def recipe(name, benchmark, severity=None):
    """The Recipe of a name and its parameters at a severity (None for cifar_p). Raises ValueError for unknown words."""
    check_name("benchmark", benchmark, RECIPES)
    check_name("perturbation" if benchmark == "cifar_p" else "corruption", name, NAMES[benchmark])
    found = RECIPES[benchmark][name]
    if benchmark == "cifar_p":
        if severity is not None:
            raise ValueError(
                f"sequences of cifar_p have no severity, got {severity!r}: leave it out"
            )
        return found, found.parameters[0]
    return found, found.parameters[check_whole("severity", severity, 1, 5) - 1]


@outside_graphs
def draw(name, *, n=None, severity=None, benchmark="cifar_c", seed, index):
    """The randomness of one corruption for the images `index`: Draws, a dict of arrays with leading axis n.

    benchmark: cifar_c, cifar_c_bar or cifar_p (no severity); seed: 0 to 2**64 - 1; index: integers (n,), the position in the
    whole original split. Deterministic corruptions give an empty dict. Raises ValueError for anything else.
    """
    found, p = recipe(name, benchmark, severity)
    index = _check_key(name, seed, index, n)
    key = f"{benchmark}/{name}/{severity}" if severity else f"{benchmark}/{name}"
    arrays = {
        what: field.draw(f"{key}/{what}", seed=seed, index=index)
        for what, field in found.fields(p).items()
    }
    return Draws(arrays, (benchmark, name, severity))


def corrupt(images, name, *, severity, benchmark="cifar_c", seed=None, index=None, draws=None):
    """One corruption at one severity: uint8 (N, 3, 32, 32), NumPy or torch, in and out.

    benchmark: cifar_c (19 names) or cifar_c_bar (10); either `seed` and `index` (N,), or `draws` from `draw`.
    Raises ValueError for other images, names, severities, keys and draws; FileNotFoundError for frost without photographs.
    """
    check_name("benchmark", benchmark, ("cifar_c", "cifar_c_bar"))
    return make(images, name, severity, benchmark, seed=seed, index=index, draws=draws)


def perturb(images, name, *, seed=None, index=None, draws=None):
    """One sequence of CIFAR-P: uint8 (N, 3, 32, 32) to (N, T, 3, 32, 32), T = 16, 21 or 31. Keys and errors as in `corrupt`."""
    return make(images, name, None, "cifar_p", seed=seed, index=index, draws=draws)


@outside_graphs
def make(images, name, severity, benchmark, *, seed=None, index=None, draws=None):
    """`corrupt` or `perturb`, as the benchmark asks (severity None for sequences)."""
    found, p = recipe(name, benchmark, severity)
    fields, arrays = found.fields(p), _check_images(images)
    n = len(arrays)
    if draws is not None:
        if seed is not None or index is not None:
            raise ValueError(f"{name}: give either draws, or seed and index, not both")
        draws = _check_draws(draws, fields, (benchmark, name, severity), n)
    elif fields:
        index = _check_key(name, seed, index, n)
    else:
        draws = {}
    frames = () if found.n_frames is None else (found.n_frames,)
    result = np.empty((n, *frames, *arrays.shape[1:]), np.uint8)
    for start in range(0, n, found.chunk):
        part = slice(start, start + found.chunk)
        if draws is None:
            drawn = draw(name, severity=severity, benchmark=benchmark, seed=seed, index=index[part])
        else:
            drawn = {what: array[part] for what, array in draws.items()}
        result[part] = found.apply(np.ascontiguousarray(arrays[part]), p, **drawn)
    return (
        torch.from_numpy(result).to(images.device) if isinstance(images, torch.Tensor) else result
    )


def _check_images(images):
    array = images.detach().cpu().numpy() if isinstance(images, torch.Tensor) else images
    if (
        not isinstance(array, np.ndarray)
        or array.dtype != np.uint8
        or array.shape[1:] != (3, SIZE, SIZE)
    ):
        what = (
            f"{array.dtype} {array.shape}"
            if isinstance(array, np.ndarray)
            else type(array).__name__
        )
        raise ValueError(
            f"images must be uint8 (N, 3, 32, 32), NumPy or torch, got {what}: convert them first"
        )
    return array


def _check_key(name, seed, index, n):
    if seed is None or index is None:
        raise ValueError(
            f"{name} is random: give seed and index, so that no image's draws depend on its batch"
        )
    index = np.atleast_1d(np.asarray(index))
    if n is not None and index.shape != (n,):
        raise ValueError(f"index must name each of the {n} images, got shape {index.shape}")
    return index


def _check_draws(draws, fields, source, n):
    if getattr(draws, "source", source) != source:
        raise ValueError(f"these draws are of {draws.source}, not of {source}: draw again")
    expected = {what: (n, *field.shape) for what, field in fields.items()}
    got = {what: np.shape(array) for what, array in draws.items()}
    if got != expected:
        raise ValueError(f"draws of {source} must have the shapes {expected}, got {got}")
    return {what: np.ascontiguousarray(array, fields[what].dtype) for what, array in draws.items()}
