"""What a corruption is: the fields it draws, and a pure function of images, parameters and draws.

Pixels follow the reference everywhere: bytes become x / 255, results are clipped and **truncated**
to bytes, never rounded.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..compiled import entry
from ..draws import generators, integers, uniforms

SIZES = {"cifar": 32, "imagenet": 224}
"""Pixels a side: the constants of a benchmark are for its size only."""
SMALL_FIELD = 64
"""Values an image up to which Philox draws for a batch at once; above, one generator an image is
faster."""


@dataclass(frozen=True)
class Field:
    """One array that a corruption draws for each image.

    Make it with `normal`, `uniform`, `integer` or `order`. of_generator: from a NumPy generator to
    the array of one image; of_uniforms: from uniform draws (n, *shape) in [0, 1) to the arrays of n
    images.
    """

    shape: tuple[int, ...]
    dtype: type[np.generic]
    of_generator: Callable[[np.random.Generator], Any] | None
    of_uniforms: Callable[[np.ndarray], np.ndarray] | None = None

    def draw(self, purpose: str, *, seed: int, index: np.ndarray) -> np.ndarray:
        """The draws of the images `index` (n,), keyed by (purpose, seed, index): (n, *shape)."""
        size = math.prod(self.shape)
        if self.of_uniforms and (self.of_generator is None or size <= SMALL_FIELD):
            drawn = uniforms(purpose, size, seed=seed, index=index)
            return self.of_uniforms(drawn.reshape(len(index), *self.shape)).astype(self.dtype)
        assert self.of_generator is not None
        each = [self.of_generator(one) for one in generators(purpose, seed=seed, index=index)]
        return np.array(each, self.dtype).reshape(len(index), *self.shape)


def normal(*shape: int, dtype: Any = np.float64) -> Field:
    """Standard normal values."""
    return Field(shape, dtype, lambda generator: generator.standard_normal(shape, dtype=dtype))


def uniform(low: float, high: float, *shape: int) -> Field:
    """Uniform values in [low, high)."""

    def scaled(drawn: Any) -> Any:
        return low + (high - low) * drawn

    return Field(shape, np.float64, lambda generator: scaled(generator.random(shape)), scaled)


def integer(low: int, high: int, *shape: int, dtype: Any = np.int64) -> Field:
    """Integers low .. high - 1, equally likely."""
    return Field(
        shape,
        dtype,
        lambda generator: generator.integers(low, high, shape, dtype=dtype),
        lambda drawn: low + integers(drawn, high - low),
    )


def order(n: int) -> Field:
    """A permutation of 0 .. n - 1."""
    return Field((n,), np.int64, None, lambda drawn: drawn.argsort(axis=-1, kind="stable"))


class Recipe:
    """One corruption or sequence, of CIFAR's benchmark, of ImageNet's, or of both.

    apply(images, p, **draws) -> uint8: pure; images uint8 (n, 3, height, width), p an entry of
    `parameters`. cifar, imagenet: the parameters of either, one entry for each severity (a single
    one for a sequence). draws: a Field, or a function (p, size) -> Field, by the name that `apply`
    takes; deterministic recipes draw nothing. n_frames: frames of a sequence, or a function of p;
    None for a corruption. whole: whether a sequence of ImageNet-P acts on whole pictures, of which
    its frames show the middle.
    """

    def __init__(
        self,
        apply: Callable[..., np.ndarray],
        cifar: Sequence[Any] | None = None,
        imagenet: Sequence[Any] | None = None,
        *,
        n_frames: int | Callable[[Any], int] | None = None,
        whole: bool = False,
        **draws: Field | Callable[[Any, int], Field],
    ) -> None:
        both = {"cifar": cifar, "imagenet": imagenet}
        self.apply, self.draws, self.n_frames, self.whole = apply, draws, n_frames, whole
        self.parameters = {family: one for family, one in both.items() if one is not None}

    def fields(self, p: Any, size: int) -> dict[str, Field]:
        """What is drawn for images of `size` pixels at the parameters `p`: {name: Field}."""
        return {
            name: drawn(p, size) if callable(drawn) else drawn for name, drawn in self.draws.items()
        }

    def frames(self, p: Any) -> tuple[int, ...]:
        """The number of frames at the parameters `p`, as a part of a shape; () for a corruption."""
        if self.n_frames is None:
            return ()
        return (self.n_frames(p) if callable(self.n_frames) else self.n_frames,)


def by_name(*recipes: Recipe) -> dict[str, Recipe]:
    """A table of recipes by the names of their functions."""
    return {recipe.apply.__name__: recipe for recipe in recipes}


def corner(images: np.ndarray) -> tuple[int, int]:
    """The row and column where the middle of images (..., height, width) begins.

    It is that of torchvision's `CenterCrop`: of two offsets that are as near the even one.
    """
    top, left = (max(0, round((side - SIZES["imagenet"]) / 2)) for side in images.shape[-2:])
    return top, left


def middle(images: np.ndarray) -> np.ndarray:
    """The middle 224 x 224 pixels of images (..., height, width), where they are larger."""
    (top, left), size = corner(images), SIZES["imagenet"]
    return images[..., top : top + size, left : left + size]


def plane(p: Any, size: int) -> Field:
    """A standard normal value for each pixel."""
    return normal(size, size)


def to_float(images: np.ndarray, dtype: Any = np.float64) -> np.ndarray:
    """Bytes to [0, 1], divided in `dtype` as the reference does."""
    return np.divide(images, dtype(255), dtype=dtype)


def to_bytes(values: np.ndarray) -> np.ndarray:
    """Values to bytes: clip to [0, 1], times 255, truncate. Overwrites `values`."""
    np.clip(values, 0, 1, out=values)
    values *= 255
    return values.astype(np.uint8)


def bilinear(
    images: np.ndarray, rows: np.ndarray, columns: np.ndarray, mode: str = "constant"
) -> np.ndarray:
    """Sample planes (n, c, height, width) at points between pixels: float64 of the same shape.

    rows, columns: float64 (n, height, width), positions in the image. mode: what lies beyond the
    border, as in `np.pad`; by default black. The order of the operations is that of C-bar's
    reference (columns first, weights 1 - p + floor p), on which the truncation of flat regions
    depends.
    """
    outside = [
        max(-at.min(), at.max() - at.shape[axis + 1], 0) for axis, at in enumerate((rows, columns))
    ]
    pad = int(max(outside)) + 3
    border = [(0, 0)] * 2 + [(pad, pad)] * 2
    padded = np.pad(images.astype(np.float64), border, mode)  # type: ignore[call-overload]
    out = np.empty(images.shape)
    fill_bilinear(padded, rows, columns, pad, out)
    return out


@entry
def fill_bilinear(
    padded: np.ndarray, rows: np.ndarray, columns: np.ndarray, pad: int, out: np.ndarray
) -> None:
    """What `bilinear` returns, into out; padded: with `pad` pixels of border."""
    for i, y, x in np.ndindex(rows.shape):
        row, column = rows[i, y, x], columns[i, y, x]
        top, left = math.floor(row), math.floor(column)
        first, second = 1.0 - column + left, 1.0 - (left + 1) + column
        upper_weight, lower_weight = 1.0 - row + top, 1.0 - (top + 1) + row
        top, left = int(top) + pad, int(left) + pad
        for channel in range(out.shape[1]):
            plane = padded[i, channel]
            upper = plane[top, left] * first + plane[top, left + 1] * second
            lower = plane[top + 1, left] * first + plane[top + 1, left + 1] * second
            out[i, channel, y, x] = upper * upper_weight + lower * lower_weight
