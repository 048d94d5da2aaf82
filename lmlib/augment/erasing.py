"""Cutout and Random Erasing: a rectangle of one value, and the boxes that CutMix and IPMix share."""

from dataclasses import dataclass

import numpy as np
import torch

from ..draws import integers, uniforms
from .base import Augmentation, Params, check_range, check_whole
from .ops import to_device


@dataclass(frozen=True)
class Box(Params):
    """A rectangle for each sample, int64 (B,): rows top .. bottom - 1, columns left .. right - 1; it may be empty."""

    top: np.ndarray
    left: np.ndarray
    bottom: np.ndarray
    right: np.ndarray

    @property
    def area(self):
        """Pixels in it, int64 (B,)."""
        return (self.bottom - self.top) * (self.right - self.left)

    def mask(self, size, device):
        """float32 (B, 1, height, width): 1 inside, 0 outside."""
        y, x = np.arange(size[0]), np.arange(size[1])
        rows = to_device((y >= self.top[:, None]) & (y < self.bottom[:, None]), device)
        columns = to_device((x >= self.left[:, None]) & (x < self.right[:, None]), device)
        return (rows[:, None, :, None] & columns[:, None, None, :]).to(torch.float32)


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


class Erasing(Augmentation):
    """A box filled with one value: `fill` in [0, 1], set by the subclass."""

    def change(self, images, params):
        mask = params.mask(images.shape[-2:], images.device)
        return torch.lerp(
            images, torch.full_like(mask, self.fill), mask
        )  # exact where the weight is 0 or 1


class Cutout(Erasing):
    """A square around a random pixel is blanked; it may reach over the border, where it is cut off.

    length: its side in pixels, 16 for CIFAR-10 and 8 for CIFAR-100; fill: its value. ValueError if larger than the images.
    Source: DeVries and Taylor 2017. Their code fills with 0 after normalisation: the mean, here 0.5.
    Differs from their code: that erases twice half the length, rounded down: an odd one less a pixel.
    """

    def __init__(self, length=16, fill=0.5):
        self.length, self.fill = (
            check_whole("length", length, 1, 10**4),
            check_range("fill", fill, 0, 1),
        )

    def sample(self, size, *, seed, epoch, index, view=0):
        check_patch(self.length, size)
        centre = uniforms("cutout", 2, seed=seed, epoch=epoch, index=index, view=view)
        y, x = integers(centre[:, 0], size[0]), integers(centre[:, 1], size[1])
        return centred_box(y, x, self.length, self.length, size)


class RandomErasing(Erasing):
    """With some probability, a rectangle of random area and aspect ratio, inside the image, is blanked.

    probability: of erasing at all; area: range of its share of the image; aspect: range of height / width, drawn evenly in the
    logarithm; fill: its value. Ten attempts are made to fit; if all fail, the image stays.
    Source: Zhong et al. 2017, with the defaults and rules of torchvision's RandomErasing.
    Differs from both: a rectangle that rounds to no pixel does not fit; they take it, and erase none.
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

    def sample(self, size, *, seed, epoch, index, view=0):
        keys = {"seed": seed, "epoch": epoch, "index": index, "view": view}
        shape = uniforms("random erasing/shape", 20, **keys).reshape(-1, 2, 10)
        area = size[0] * size[1] * (self.area[0] + shape[:, 0] * (self.area[1] - self.area[0]))
        low, high = np.log(self.aspect)
        aspect = np.exp(low + shape[:, 1] * (high - low))
        height, width = (
            np.rint(np.sqrt(area * aspect)).astype(int),
            np.rint(np.sqrt(area / aspect)).astype(int),
        )
        fits = (height > 0) & (width > 0) & (height < size[0]) & (width < size[1])
        coin, y, x = uniforms("random erasing/place", 3, **keys).T
        chosen = np.arange(len(fits)), fits.argmax(1)  # the first attempt that fits
        erased = fits[chosen] & (coin < self.probability)
        height, width = height[chosen] * erased, width[chosen] * erased
        top, left = integers(y, size[0] - height + 1), integers(x, size[1] - width + 1)
        return Box(top, left, top + height, left + width)
