"""Windows of pictures: flip and crop, and the mixing image of a sample."""

from dataclasses import dataclass

import numpy as np
import torch

from ..compiled import compiled, entry
from ..draws import check_key, draw_key, integer, number_of, uniform
from .base import Augmentation, Params, as_compiled
from .colour import BITS, ONE, ZERO
from .images import as_tensor, buffers, describe, read, write


@compiled
def cut(picture, top, left, flip_y, flip_x, white, out):
    """A window of a picture (C, H', W') into out, float32 (C, H, W); white: the value that becomes
    1. Beyond the picture it is 0.
    """
    height, width = out.shape[1:]
    low, high = min(max(-left, 0), width), max(min(picture.shape[2] - left, width), 0)
    for y in range(height):
        row = top + (height - 1 - y if flip_y else y)
        for c in range(len(out)):
            done = out[c, y]
            if row < 0 or row >= picture.shape[1] or low >= high:
                for x in range(width):
                    done[x] = ZERO
                continue
            source = picture[c, row, left + low : left + high]
            if flip_x:
                for x in range(high - low):
                    done[width - 1 - low - x] = np.float32(source[x]) / white
            else:
                inside = done[low:high]
                for x in range(high - low):
                    inside[x] = np.float32(source[x]) / white
            for x in range(low):
                done[width - 1 - x if flip_x else x] = ZERO
            for x in range(high, width):
                done[width - 1 - x if flip_x else x] = ZERO
    return out


@entry
def cut_each(pictures, chosen, top, left, flip_y, flip_x, out):
    for k in range(len(chosen)):
        cut(pictures[chosen[k]], top[k], left[k], flip_y[k], flip_x[k], BITS, out[k])


def crop(pictures, chosen, window, size):
    """Cut and flip windows out of pictures, one for each sample.

    pictures: uint8 (F, C, H', W'), array or tensor; chosen: int (B,), which picture; window:
    `Window`; size: (height, width). Returns float32 (B, C, height, width) in [0, 1], a tensor.
    """
    out = np.empty((len(chosen), pictures.shape[1], *size), np.float32)
    cut_each(np.ascontiguousarray(pictures), as_compiled(chosen), *window.arrays(), out)
    return torch.from_numpy(out)


@dataclass(frozen=True)
class Window(Params):
    """Where a sample's window lies and how it is flipped: top, left int64 (B,); flip_y (upside
    down), flip_x bool (B,).
    """

    top: np.ndarray
    left: np.ndarray
    flip_y: np.ndarray
    flip_x: np.ndarray


@entry
def draw_windows(
    low, high, epoch, index, view, purpose, n_pictures, room_y, room_x, may_flip_y, may_flip_x,
    picture, top, left, flip_y, flip_x,
):  # fmt: skip
    """A picture, if there is a choice, and a window with top and left in 0 .. room, both ends
    included, and its flips: for any view.
    """
    first = 1 if n_pictures else 0
    for k in range(len(index)):
        key = draw_key(low, high, epoch, index[k], 0)
        picture[k] = integer(key, purpose, 0, n_pictures)
        top[k] = integer(key, purpose, first, room_y + 1)
        left[k] = integer(key, purpose, first + 1, room_x + 1)
        flip_y[k] = may_flip_y and uniform(key, purpose, first + 2) < 0.5
        flip_x[k] = may_flip_x and uniform(key, purpose, first + 3) < 0.5


def drawn_windows(purpose, n_pictures, room, may_flip, key):
    """Picture int64 (B,), 0 where there is no choice, and `Window` for each sample. room, may_flip:
    along (y, x).
    """
    n = len(key.index)
    (picture, top, left), (flip_y, flip_x) = (
        np.empty((3, n), np.int64),
        np.empty((2, n), np.bool_),
    )
    draw_windows(*key, purpose, n_pictures, *room, *may_flip, picture, top, left, flip_y, flip_x)
    return picture, Window(top, left, flip_y, flip_x)


MIXING_IMAGE, FLIP_AND_CROP = number_of("mixing image"), number_of("flip and crop")


class MixingImages:
    """The mixing set as an augmentation uses it: a random picture, a random crop, random flips.

    mixing_set: uint8 (F, 1 or 3, H', W'), NumPy array or tensor, or an object with such `.images`;
    flips: whether to flip, as the LayerMix paper does and PixMix does not. A sample's mixing image
    depends on (seed, epoch, index) and neither on the view (JSD's two mixes share it) nor on the
    method (so that methods can be compared on the same one).
    """

    def __init__(self, mixing_set, flips=True):
        pictures = getattr(mixing_set, "images", mixing_set)
        pictures = as_tensor(pictures) if isinstance(pictures, np.ndarray) else pictures
        kind, shape = getattr(pictures, "dtype", None), getattr(pictures, "shape", ())
        if kind != torch.uint8 or len(shape) != 4 or shape[1] not in (1, 3) or not shape[0]:
            raise ValueError(
                "expected a mixing set of uint8 (F, 1 or 3, H, W) with F >= 1, got "
                + describe(pictures)
            )
        self.pictures, self.flips = pictures.cpu().contiguous().numpy(), bool(flips)

    def __repr__(self) -> str:
        return f"{len(self.pictures)} pictures of {' x '.join(map(str, self.pictures.shape[1:]))}"

    def sample(self, size, *, seed, epoch, index):
        """Picture int64 (B,) and `Window` for each sample; raises ValueError where the pictures are
        smaller than `size`.
        """
        return self.draw(size, check_key(seed, epoch, index, 0))

    def draw(self, size, key):
        """The same for a `Key` that has been checked."""
        room = self.pictures.shape[2] - size[0], self.pictures.shape[3] - size[1]
        if min(room) < 0:
            raise ValueError(
                f"the mixing set of {self.pictures.shape[2]} x {self.pictures.shape[3]} pixels is "
                f"smaller than the images of {size[0]} x {size[1]}: prepare it at least as large"
            )
        return drawn_windows(MIXING_IMAGE, len(self.pictures), room, (self.flips, self.flips), key)

    def crop(self, picture, window, size):
        """The mixing images: float32 (B, 1 or 3, height, width) in [0, 1]."""
        return crop(self.pictures, picture, window, size)


@entry
def flip_crop(floats, bytes_, done, done_bytes, start, stop, pad, top, left, flip_y, flip_x):
    room = buffers(2, floats, bytes_)
    image, out = room[0], room[1]
    for k in range(start, stop):
        image = read(floats, bytes_, k, image)
        cut(image, top[k] - pad, left[k] - pad, flip_y[k], flip_x[k], ONE, out)
        write(out, done, done_bytes, k)


class FlipCrop(Augmentation):
    """The base augmentation: zero padding and a random crop of the original size, then a random
    horizontal flip.

    pad: pixels on each side; flip: whether flips keep the label (not for digits).
    """

    kernel = flip_crop

    def __init__(self, pad=4, flip=True):
        self.pad, self.flip = pad, bool(flip)

    def draw(self, size, key):
        return drawn_windows(
            FLIP_AND_CROP, 0, (2 * self.pad, 2 * self.pad), (False, self.flip), key
        )[1]

    def arguments(self, params):
        return self.pad, *params.arrays()
