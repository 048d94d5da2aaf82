"""Cutout and Random Erasing: a rectangle of one value, and the boxes that CutMix shares."""

from dataclasses import dataclass

import numpy as np

from ..compiled import compiled, entry
from ..draws import draw_key, integer, integers, number_of, uniform, uniforms_of
from ..elementary import exp, log
from .base import Augmentation, Params, check_range, check_whole
from .colour import identity
from .images import buffers, read, write

SHAPE, PLACE, ATTEMPTS = number_of("random erasing/shape"), number_of("random erasing/place"), 10


@dataclass(frozen=True)
class Box(Params):
    """A rectangle for each sample, int64 (B,): rows top .. bottom - 1, columns left .. right - 1;
    it may be empty.
    """

    top: np.ndarray
    left: np.ndarray
    bottom: np.ndarray
    right: np.ndarray

    @property
    def area(self):
        """Pixels in it, int64 (B,)."""
        return (self.bottom - self.top) * (self.right - self.left)


def centred_box(
    y: np.ndarray,
    x: np.ndarray,
    height: np.ndarray | int,
    width: np.ndarray | int,
    size: tuple[int, int],
) -> Box:
    """The box of `height` x `width` pixels around the pixel (y, x), cut off at the image's border.

    Arrays are int64 (B,); half of an even side lies before (y, x).
    """
    top, left = y - height // 2, x - width // 2
    return Box(
        np.maximum(top, 0),
        np.maximum(left, 0),
        np.minimum(top + height, size[0]),
        np.minimum(left + width, size[1]),
    )


def check_patch(length, size):
    """Raise ValueError where a square patch does not fit into images of `size` (height, width)."""
    if length > min(size):
        raise ValueError(
            f"a patch of {length} pixels does not fit into images of {size[0]} x {size[1]}: choose 1 to {min(size)}"
        )


@entry
def erase_each(floats, bytes_, done, done_bytes, start, stop, fill, top, left, bottom, right):
    room = buffers(2, floats, bytes_)
    for k in range(start, stop):
        changed = identity(read(floats, bytes_, k, room[0]), room[1])
        for c in range(3):
            for y in range(max(top[k], 0), min(bottom[k], changed.shape[1])):
                for x in range(max(left[k], 0), min(right[k], changed.shape[2])):
                    changed[c, y, x] = fill
        write(changed, done, done_bytes, k)


class Erasing(Augmentation):
    """A box filled with one value: `fill` in [0, 1], set by the subclass."""

    kernel = erase_each

    def arguments(self, params):
        return float(self.fill), *params.arrays()


class Cutout(Erasing):
    """A square around a random pixel is blanked; it may reach over the border, where it is cut off.

    length: its side in pixels, 16 for CIFAR-10 and 8 for CIFAR-100; fill: its value. ValueError if
    larger than the images. Source: DeVries and Taylor 2017. Their code fills with 0 after
    normalisation: the mean, here 0.5. Differs from their code: that erases twice half the length,
    rounded down: an odd one less a pixel.
    """

    def __init__(self, length=16, fill=0.5):
        self.length, self.fill = (
            check_whole("length", length, 1, 10**4),
            check_range("fill", fill, 0, 1),
        )

    def draw(self, size, key):
        check_patch(self.length, size)
        centre = uniforms_of(key, "cutout", 2)
        y, x = integers(centre[:, 0], size[0]), integers(centre[:, 1], size[1])
        return centred_box(y, x, self.length, self.length, size)


@compiled
def draw_rectangle(key, height, width, area, aspect):
    """The sides of the first of ten rectangles that fits into an image; (0, 0) if none does."""
    low, high = log(aspect[0]), log(aspect[1])
    for n in range(ATTEMPTS):
        pixels = height * width * (area[0] + uniform(key, SHAPE, n) * (area[1] - area[0]))
        ratio = exp(low + uniform(key, SHAPE, ATTEMPTS + n) * (high - low))
        tall, wide = int(np.rint(np.sqrt(pixels * ratio))), int(np.rint(np.sqrt(pixels / ratio)))
        if 0 < tall < height and 0 < wide < width:
            return tall, wide
    return 0, 0


@entry
def draw_rectangles(
    low,
    high,
    epoch,
    index,
    view,
    height,
    width,
    probability,
    area,
    aspect,
    top,
    left,
    bottom,
    right,
):
    for k in range(len(index)):
        key = draw_key(low, high, epoch, index[k], view)
        tall, wide = draw_rectangle(key, height, width, area, aspect)
        if not uniform(key, PLACE, 0) < probability:
            tall, wide = 0, 0
        top[k], left[k] = (
            integer(key, PLACE, 1, height - tall + 1),
            integer(key, PLACE, 2, width - wide + 1),
        )
        bottom[k], right[k] = top[k] + tall, left[k] + wide


class RandomErasing(Erasing):
    """With some probability, a rectangle of random area and aspect ratio, inside the image, is
    blanked.

    probability: of erasing at all; area: range of its share of the image; aspect: range of height /
    width, drawn evenly in the logarithm; fill: its value. Ten attempts are made to fit; if all
    fail, the image stays. Source: Zhong et al. 2017, with the defaults and rules of torchvision's
    RandomErasing. Differs from both: a rectangle that rounds to no pixel does not fit; they take
    it, and erase none.
    """

    def __init__(self, probability=0.5, area=(0.02, 0.33), aspect=(0.3, 3.3), fill=0.0):
        self.probability, self.fill = (
            check_range("probability", probability, 0, 1),
            check_range("fill", fill, 0, 1),
        )
        if not 0 <= area[0] <= area[1] <= 1 or not 0 < aspect[0] <= aspect[1]:
            raise ValueError(
                f"area must be a range in [0, 1] and aspect one above 0, got {area} and {aspect}"
            )
        self.area, self.aspect = area, aspect

    def draw(self, size, key):
        top, left, bottom, right = np.empty((4, len(key.index)), np.int64)
        area, aspect = np.array(self.area, float), np.array(self.aspect, float)
        draw_rectangles(
            *key, *size, float(self.probability), area, aspect, top, left, bottom, right
        )
        return Box(top, left, bottom, right)
