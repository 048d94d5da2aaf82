"""What compiled functions share: a batch, the names of its draws, and the loop over its images."""

from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

from ..compiled import compiled, entry, inlined
from ..draws import Key, draw_key, uniform
from .colour import BITS
from .params import Size


class Pixels(NamedTuple):
    """Images of either type for a compiled function, which so is compiled once."""

    values: np.ndarray  # uint8 (B, 3, H, W), or the bytes of float32: (B, 3, H, 4 W)
    floats: bool


def as_bytes(pixels: np.ndarray) -> Pixels:
    """Contiguous images, uint8 or float32 (B, 3, H, W), as `Pixels`."""
    floats = pixels.dtype == np.float32
    return Pixels(pixels.view(np.uint8) if floats else pixels, floats)


NO_PIXELS = Pixels(np.empty((0, 3, 1, 1), np.uint8), False)


@compiled
def read(pixels: Any, k: int, out: np.ndarray) -> np.ndarray:
    """The k-th image as float32 (3, H, W) in [0, 1], in `out` where it has to be converted."""
    source, values = pixels.values[k].reshape(-1), out.reshape(-1)
    if pixels.floats:
        return source.view(np.float32).reshape(out.shape)
    for n in range(len(source)):
        values[n] = np.float32(source[n]) / BITS
    return out


@compiled
def write(image: np.ndarray, batch: Any, k: int) -> None:
    """An image as the k-th that a batch makes: 8 bits are rounded to nearest."""
    source, result = image.reshape(-1), batch.result[k].reshape(-1)
    if batch.source.floats:
        values = result.view(np.float32)
        for n in range(len(source)):
            values[n] = source[n]
    else:
        for n in range(len(source)):
            result[n] = np.uint8(np.rint(source[n] * BITS))


class Batch(NamedTuple):
    """What a kernel works on: the names of its draws, and images in and out."""

    low: int  # half of the seed
    high: int
    epoch: int
    indices: np.ndarray  # int64 (B,)
    view_index: int
    height: int
    width: int
    draws: bool  # whether to draw, or to take what was drawn
    applies: bool  # whether to change images
    source: Pixels
    result: np.ndarray  # uint8: the bytes of the images that are made


@compiled
def three(key: Any, purpose: Any, n: int, step: Any) -> tuple:
    """Three uniform draws of a purpose: the n-th, and those one and two steps later."""
    first, second = uniform(key, purpose, n), uniform(key, purpose, n + step)
    return first, second, uniform(key, purpose, n + 2 * step)


def draws_of(key: Key, size: Size) -> Batch:
    """A batch without images, whose parameters are to be drawn."""
    height, width = size
    return Batch(*key, height, width, True, False, NO_PIXELS, NO_PIXELS.values)


@inlined
def key_of(batch: Any, k: int, view: Any) -> Any:
    """What names the draws of the k-th sample in a view."""
    return draw_key(batch.low, batch.high, batch.epoch, batch.indices[k], view)


N_BUFFERS = 0  # these three stand in `each` for a method's own, which `kernel` puts in
draw: Any = None
change: Any = None


def each(batch: Any, start: int, stop: int, settings: Any, drawn: Any) -> None:
    """What an augmentation does with samples start .. stop - 1 of a batch, one after another."""
    n_images = 1 + N_BUFFERS if batch.applies else 0
    room = np.empty((n_images, 3, batch.height, batch.width), np.float32)
    for k in range(start, stop):
        if batch.draws:
            draw(batch, k, settings, drawn)
        if batch.applies:
            image = read(batch.source, k, room[N_BUFFERS])
            write(change(image, settings, drawn, k, room), batch, k)


@compiled
def no_draw(batch: Any, k: int, settings: Any, drawn: Any) -> None:
    """For a method whose parameters are drawn outside of its kernel."""


def kernel(change: Any, n_buffers: int, draw: Any = no_draw) -> entry:
    """`each` with the functions of a method, compiled.

    draw(batch, k, settings, drawn) draws the parameters of the k-th sample; change(image, settings,
    drawn, k, room) returns the image, float32 (3, H, W), with these applied; room has `n_buffers`
    such images to write to. (In a closure, numba would not know the functions again in another
    process.)
    """
    names = globals() | {"draw": draw, "change": change, "N_BUFFERS": n_buffers}
    function = FunctionType(each.__code__, names)
    function.__module__, function.__name__ = change.__module__, f"{change.__name__}_each"
    function.__qualname__ = function.__name__
    return entry(function)
