"""Cutout and Random Erasing: a rectangle of one value, and the boxes that CutMix shares."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..checks import check_range, check_whole
from ..compiled import inlined
from ..draws import Key, integer, integers, number_of, uniform, uniforms_of
from ..elementary import exp, log
from .base import Augmentation
from .colour import identity
from .kernels import kernel, key_of
from .params import Params, Size, per_sample

SHAPE, PLACE, ATTEMPTS = number_of("random erasing/shape"), number_of("random erasing/place"), 10


@dataclass(frozen=True)
class Box(Params):
    """A rectangle for each sample: rows top .. bottom - 1, columns left .. right - 1, or empty."""

    top: np.ndarray = per_sample(int)  # (B,)
    left: np.ndarray = per_sample(int)
    bottom: np.ndarray = per_sample(int)
    right: np.ndarray = per_sample(int)

    @property
    def area(self) -> np.ndarray:
        """Pixels in it, int64 (B,)."""
        return (self.bottom - self.top) * (self.right - self.left)


def centred_box(y: np.ndarray, x: np.ndarray, height: Any, width: Any, size: Size) -> Box:
    """The box of `height` x `width` pixels around the pixel (y, x), cut off at the border.

    Arrays are int64 (B,), sides numbers or arrays; half of an even side lies before (y, x).
    """
    top, left = y - height // 2, x - width // 2
    bottom, right = np.minimum(top + height, size[0]), np.minimum(left + width, size[1])
    return Box(np.maximum(top, 0), np.maximum(left, 0), bottom, right)


def check_box(box: Any, size: Size) -> None:
    """Raise ValueError where boxes reach beyond images of `size`."""
    for low, high, n in ((box.top, box.bottom, size[0]), (box.left, box.right, size[1])):
        if not ((low >= 0) & (low <= high) & (high <= n)).all():
            raise ValueError(f"expected boxes in the images, from 0 to {n}: some reach beyond")


def check_patch(length: int, size: Size) -> None:
    """Raise ValueError where a square patch does not fit into images of `size` (height, width)."""
    if length > min(size):
        raise ValueError(
            f"a patch of {length} pixels does not fit into images of {size[0]} x {size[1]}: "
            f"choose 1 to {min(size)}"
        )


class Settings(NamedTuple):
    fill: float = 0.0
    probability: float = 0.0
    smallest: float = 1.0  # share of the image
    largest: float = 1.0
    widest: float = 1.0  # height / width
    tallest: float = 1.0


@inlined
def draw(batch: Any, k: int, settings: Any, box: Any) -> None:
    """The first of ten rectangles that fits into the image, in a random place, or none."""
    key, height, width = key_of(batch, k, batch.view_index), batch.height, batch.width
    low, high, tall, wide = log(settings.widest), log(settings.tallest), 0, 0
    for n in range(ATTEMPTS if uniform(key, PLACE, 0) < settings.probability else 0):
        share = settings.smallest + uniform(key, SHAPE, n) * (settings.largest - settings.smallest)
        pixels = height * width * share
        ratio = exp(low + uniform(key, SHAPE, ATTEMPTS + n) * (high - low))
        tall, wide = int(np.rint(np.sqrt(pixels * ratio))), int(np.rint(np.sqrt(pixels / ratio)))
        if 0 < tall < height and 0 < wide < width:
            break
        tall, wide = 0, 0
    box.top[k] = integer(key, PLACE, 1, height - tall + 1)
    box.left[k] = integer(key, PLACE, 2, width - wide + 1)
    box.bottom[k], box.right[k] = box.top[k] + tall, box.left[k] + wide


@inlined
def erase(image: np.ndarray, settings: Any, box: Any, k: int, room: np.ndarray) -> np.ndarray:
    """One image with its box filled."""
    erased = identity(image, room[0])
    erased[:, box.top[k] : box.bottom[k], box.left[k] : box.right[k]] = settings.fill
    return erased


class Erasing(Augmentation):
    """A box filled with one value."""

    kernel, params = kernel(erase, 1, draw), Box

    def check_params(self, arrays: Any, size: Size) -> None:
        check_box(arrays, size)


class Cutout(Erasing):
    """A square around a random pixel is blanked; what reaches over the border is cut off.

    length: its side in pixels, 16 for CIFAR-10 and 8 for CIFAR-100; fill: its value. ValueError if
    larger than the images. Source: DeVries and Taylor 2017. Their code fills with 0 after
    normalisation: the mean, here 0.5. Differs from their code: that erases twice half the length,
    rounded down: an odd one less a pixel.
    """

    draws_compiled = False

    def __init__(self, length: int = 16, fill: float = 0.5) -> None:
        self.length = check_whole("length", length, 1, 10**4)
        self.fill = check_range("fill", fill, 0, 1)
        self.settings = Settings(float(self.fill))

    def check_size(self, size: Size) -> None:
        check_patch(self.length, size)

    def draw(self, size: Size, key: Key) -> Any:
        y, x = (integers(u, n) for u, n in zip(uniforms_of(key, "cutout", 2).T, size, strict=True))
        return centred_box(y, x, self.length, self.length, size).arrays(len(y), {}, {})


class RandomErasing(Erasing):
    """With some probability, a rectangle of random area and aspect ratio is blanked.

    It lies inside the image. probability: of erasing at all; area: range of its share of the image;
    aspect: range of height / width, drawn evenly in the logarithm; fill: its value. Ten attempts
    are made to fit; if all fail, the image stays. Source: Zhong et al. 2017, with the defaults and
    rules of torchvision's RandomErasing. Differs from both: a rectangle that rounds to no pixel
    does not fit; they take it, and erase none.
    """

    def __init__(
        self, probability: float = 0.5, area: tuple[float, float] = (0.02, 0.33),
        aspect: tuple[float, float] = (0.3, 3.3), fill: float = 0.0,
    ) -> None:  # fmt: skip
        self.probability = check_range("probability", probability, 0, 1)
        self.fill, self.area, self.aspect = check_range("fill", fill, 0, 1), area, aspect
        if not 0 <= area[0] <= area[1] <= 1 or not 0 < aspect[0] <= aspect[1]:
            ranges = f"{area} and {aspect}"
            raise ValueError(f"area must be a range in [0, 1] and aspect one above 0, got {ranges}")
        self.settings = Settings(*map(float, (self.fill, self.probability, *area, *aspect)))
