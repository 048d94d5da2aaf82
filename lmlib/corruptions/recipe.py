"""What a corruption is: the fields it draws, and a pure function of images, parameters and draws.

Pixels follow the reference everywhere: bytes become x / 255, results are clipped and **truncated** to bytes, never rounded.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .. import draws as random

SIZE = 32  # pixels; the constants of the CIFAR benchmarks are for this size only
SMALL_FIELD = 64  # values an image up to which Philox draws a batch at once; above, a generator an image is faster


@dataclass(frozen=True)
class Field:
    """One array that a corruption draws for each image. Make it with `normal`, `uniform`, `integer` or `order`."""

    shape: tuple
    dtype: type
    of_generator: Callable | None  # a NumPy generator to the array of one image
    of_uniforms: Callable | None = (
        None  # uniform draws (n, *shape) in [0, 1) to the arrays of n images
    )

    def draw(self, purpose, *, seed, index):
        """The draws of the images `index` (n,): array (n, *shape), keyed by (purpose, seed, index)."""
        size = math.prod(self.shape)
        if self.of_uniforms and size <= SMALL_FIELD:
            drawn = random.uniforms(purpose, size, seed=seed, index=index)
            return self.of_uniforms(drawn.reshape(len(index), *self.shape)).astype(self.dtype)
        drawn = np.empty((len(index), *self.shape), self.dtype)
        for row, generator in zip(
            drawn, random.generators(purpose, seed=seed, index=index), strict=True
        ):
            row[...] = self.of_generator(generator)
        return drawn


def normal(*shape, dtype=np.float64):
    """Standard normal values."""
    return Field(shape, dtype, lambda generator: generator.standard_normal(shape, dtype=dtype))


def uniform(low, high, *shape):
    """Uniform values in [low, high)."""

    def scaled(drawn):
        return low + (high - low) * drawn

    return Field(shape, np.float64, lambda generator: scaled(generator.random(shape)), scaled)


def integer(low, high, *shape, dtype=np.int64):
    """Integers low .. high - 1, equally likely."""
    return Field(
        shape,
        dtype,
        lambda generator: generator.integers(low, high, shape, dtype=dtype),
        lambda drawn: low + random.integers(drawn, high - low),
    )


def order(n):
    """A permutation of 0 .. n - 1."""
    return Field((n,), np.int64, None, lambda drawn: drawn.argsort(axis=-1, kind="stable"))


@dataclass(frozen=True)
class Recipe:
    """One corruption or sequence.

    apply(images, p, **draws) -> uint8: pure; images uint8 (n, 3, 32, 32), p one entry of `parameters`.
    parameters: one entry for each severity (a single one for a sequence).
    draws: {name: Field, or a function p -> Field}; deterministic recipes draw nothing.
    n_frames: frames of a sequence, None for a corruption. chunk: images worked on at once, which bounds the memory.
    """

    apply: Callable
    parameters: tuple
    draws: dict = field(default_factory=dict)
    n_frames: int | None = None
    chunk: int = 128

    def fields(self, p):
        """What is drawn at the parameters `p`: {name: Field}."""
        return {name: drawn(p) if callable(drawn) else drawn for name, drawn in self.draws.items()}


def to_float(images, dtype=np.float64):
    """Bytes to [0, 1], divided in `dtype` as the reference does."""
    return np.divide(images, dtype(255), dtype=dtype)


def to_bytes(values):
    """Values to bytes: clip to [0, 1], times 255, truncate. Overwrites `values`."""
    np.clip(values, 0, 1, out=values)
    values *= 255
    return values.astype(np.uint8)


def bilinear(padded, rows, columns, pad):
    """Sample planes at points between pixels.

    padded: float (n, c, 32 + 2 pad, 32 + 2 pad), the border already made; rows, columns: float (n, 32, 32), positions in the
    unpadded image, within `pad` - 1 of it. Returns float64 (n, c, 32, 32). The order of the operations is that of C-bar's
    reference (columns first, weights 1 - p + floor p), on which the truncation of flat regions depends.
    """
    n, c, _, width = padded.shape
    top, left = np.floor(rows), np.floor(columns)
    corner = ((top + pad) * width + left + pad).astype(np.int64).reshape(n, 1, -1)
    flat = padded.reshape(n, c, -1)

    def tap(offset):
        return np.take_along_axis(flat, corner + offset, axis=2).reshape(n, c, *rows.shape[1:])

    first, second = (1.0 - columns + left)[:, None], (1.0 - (left + 1) + columns)[:, None]
    upper = tap(0) * first + tap(1) * second
    lower = tap(width) * first + tap(width + 1) * second
    return upper * (1.0 - rows + top)[:, None] + lower * (1.0 - (top + 1) + rows)[:, None]
