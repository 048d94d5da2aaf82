"""Windows of pictures: flip and crop, and the mixing image of a sample."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from ..compiled import compiled, entry, inlined
from ..draws import check_key, integer, number_of, uniform
from ..images import as_tensor, describe
from .base import Augmentation
from .blend import BLENDS
from .colour import BITS, ONE, ZERO
from .kernels import draws_of, kernel, key_of
from .params import Limits, Params, Size, per_sample

MIXING_IMAGE, FLIP_AND_CROP = number_of("mixing image"), number_of("flip and crop")


@dataclass(frozen=True)
class Window(Params):
    """Where a sample's window lies in its picture, and how it is flipped."""

    top: np.ndarray = per_sample(int)  # (B,)
    left: np.ndarray = per_sample(int)
    flip_y: np.ndarray = per_sample(bool)  # upside down
    flip_x: np.ndarray = per_sample(bool)


@compiled
def cut(
    picture: np.ndarray, window: Any, k: int, pad: int, white: Any, out: np.ndarray
) -> np.ndarray:
    """The k-th window of a picture (C, H', W') into out, float32 (C, H, W); zeros beyond it.

    pad: what the window's position counts in addition; white: the value that becomes 1.
    """
    height, width = out.shape[1:]
    top, left, flip_x = window.top[k] - pad, window.left[k] - pad, window.flip_x[k]
    low, high = min(max(-left, 0), width), max(min(picture.shape[2] - left, width), 0)
    for y in range(height):
        row = top + (height - 1 - y if window.flip_y[k] else y)
        for c in range(len(out)):
            values, inside = out[c, y], 0 <= row < picture.shape[1]
            if not inside or high - low < width:
                for x in range(width):
                    values[x] = ZERO
            if inside:
                source = picture[c, row, left + low : left + high]
                for x in range(high - low):
                    values[width - 1 - low - x if flip_x else low + x] = (
                        np.float32(source[x]) / white
                    )
    return out


@entry
def cut_each(pictures: np.ndarray, chosen: np.ndarray, window: Any, out: np.ndarray) -> None:
    for k in range(len(chosen)):
        cut(pictures[chosen[k]], window, k, 0, BITS, out[k])


def crop(pictures: Any, chosen: np.ndarray, window: Window, size: Size) -> torch.Tensor:
    """Cut and flip windows out of pictures, one for each sample.

    pictures: uint8 (F, C, H', W'), array or tensor; chosen: int (B,), which picture; window:
    `Window`; size: (height, width). Returns float32 (B, C, height, width) in [0, 1].
    """
    out = np.empty((len(chosen), pictures.shape[1], *size), np.float32)
    chosen, arrays = np.ascontiguousarray(chosen, np.int64), window.arrays(len(chosen), {}, {})
    cut_each(np.ascontiguousarray(pictures), chosen, arrays, out)
    return torch.from_numpy(out)


@compiled
def draw_window(
    batch: Any,
    k: int,
    purpose: Any,
    first: int,
    room_y: Any,
    room_x: Any,
    may_flip_y: Any,
    may_flip_x: Any,
    window: Any,
) -> None:
    """The k-th window, top and left in 0 .. room, both ends included, and its flips: for any view.

    first: the word of the purpose that it begins with.
    """
    key = key_of(batch, k, 0)
    window.top[k] = integer(key, purpose, first, room_y + 1)
    window.left[k] = integer(key, purpose, first + 1, room_x + 1)
    window.flip_y[k] = may_flip_y and uniform(key, purpose, first + 2) < 0.5
    window.flip_x[k] = may_flip_x and uniform(key, purpose, first + 3) < 0.5


class Mixing(NamedTuple):
    """A mixing set as kernels take it."""

    pictures: np.ndarray  # uint8 (F, 1 or 3, H', W')
    flips: bool


@dataclass(frozen=True)
class MixingParams(Params):
    """The mixing image of B samples: which picture, and where it is cut."""

    picture: np.ndarray = per_sample(int)  # (B,)
    window: Window = per_sample(Window)


@inlined
def draw_mixing_image(batch: Any, k: int, mixing: Any, arrays: Any) -> None:
    """A picture and a window of it for the k-th sample: the same for any view."""
    n, _, height, width = mixing.pictures.shape
    arrays.picture[k] = integer(key_of(batch, k, 0), MIXING_IMAGE, 0, n)
    room_y, room_x, flips = height - batch.height, width - batch.width, mixing.flips
    draw_window(batch, k, MIXING_IMAGE, 1, room_y, room_x, flips, flips, arrays.window)


@entry
def draw_mixing_images(batch: Any, mixing: Any, arrays: Any) -> None:
    for k in range(len(batch.indices)):
        draw_mixing_image(batch, k, mixing, arrays)


@inlined
def mixing_image(mixing: Any, arrays: Any, k: int, room: np.ndarray) -> np.ndarray:
    """The k-th mixing image: float32 (1 or 3, H, W), in the first channels of `room`."""
    pictures = mixing.pictures
    return cut(pictures[arrays.picture[k]], arrays.window, k, 0, BITS, room[: pictures.shape[1]])


class MixingImages:
    """The mixing set as an augmentation uses it: a random picture, a random crop, random flips.

    mixing_set: uint8 (F, 1 or 3, H', W'), NumPy array or tensor, or an object with such `.images`;
    flips: whether to flip, as the LayerMix paper does and PixMix does not. A sample's mixing image
    depends on (seed, epoch, index) and neither on the view (JSD's two mixes share it) nor on the
    method (so that methods can be compared on the same one).
    """

    def __init__(self, mixing_set: Any, flips: bool = True) -> None:
        pictures = getattr(mixing_set, "images", mixing_set)
        pictures = as_tensor(pictures) if isinstance(pictures, np.ndarray) else pictures
        shape: Any = getattr(pictures, "shape", ())
        kind = getattr(pictures, "dtype", None)
        if kind != torch.uint8 or len(shape) != 4 or shape[1] not in (1, 3) or not shape[0]:
            expected = "expected a mixing set of uint8 (F, 1 or 3, H, W) with F >= 1"
            raise ValueError(f"{expected}, got {describe(pictures)}")
        self.pictures, self.flips = pictures.cpu().contiguous().numpy(), bool(flips)
        self.settings = Mixing(self.pictures, self.flips)

    def __repr__(self) -> str:
        return f"{len(self.pictures)} pictures of {' x '.join(map(str, self.pictures.shape[1:]))}"

    def check_size(self, size: Size) -> None:
        """Raise ValueError where the pictures are smaller than `size` (height, width)."""
        height, width = self.pictures.shape[-2:]
        if height < size[0] or width < size[1]:
            raise ValueError(
                f"the mixing set of {height} x {width} pixels is smaller than the images of "
                f"{size[0]} x {size[1]}: prepare it at least as large"
            )

    def sample(self, size: Size, *, seed: int, epoch: int, index: Any) -> tuple[np.ndarray, Any]:
        """Picture int64 (B,) and `Window` for each sample; raises ValueError as `check_size`."""
        self.check_size(size)
        key = check_key(seed, epoch, index, 0)
        arrays = MixingParams.empty(len(key.index), {})
        draw_mixing_images(draws_of(key, size), self.settings, arrays)
        return arrays.picture, Window.of(arrays.window)

    def crop(self, picture: np.ndarray, window: Window, size: Size) -> torch.Tensor:
        """The mixing images: float32 (B, 1 or 3, height, width) in [0, 1]."""
        return crop(self.pictures, picture, window, size)

    def images(self, size: Size, *, seed: int, epoch: int, index: Any) -> torch.Tensor:
        """A mixing image for each sample: float32 (B, 3, height, width) in [0, 1]."""
        drawn = self.sample(size, seed=seed, epoch=epoch, index=index)
        return self.crop(*drawn, size).expand(-1, 3, -1, -1)


class FlipCropSettings(NamedTuple):
    pad: int
    flip: bool


@inlined
def draw_flip_crop(batch: Any, k: int, settings: Any, window: Any) -> None:
    """The window of the k-th sample in its padded image."""
    room_y = room_x = 2 * settings.pad
    draw_window(batch, k, FLIP_AND_CROP, 0, room_y, room_x, False, settings.flip, window)


@inlined
def flip_crop(
    image: np.ndarray, settings: Any, window: Any, k: int, room: np.ndarray
) -> np.ndarray:
    """One image, padded, cut and flipped."""
    return cut(image, window, k, settings.pad, ONE, room[0])


class FlipCrop(Augmentation):
    """The base augmentation: zero padding, a random crop of the original size, a horizontal flip.

    pad: pixels on each side; flip: whether flips keep the label (not for digits).
    """

    kernel, params = kernel(flip_crop, 1, draw_flip_crop), Window

    def __init__(self, pad: int = 4, flip: bool = True) -> None:
        self.pad, self.flip = pad, bool(flip)
        self.settings = FlipCropSettings(self.pad, self.flip)


class MixingMethod(Augmentation):
    """A method that mixes images with pictures of a mixing set."""

    def __init__(self, mixing_set: Any, flips: bool) -> None:
        self.mixing = MixingImages(mixing_set, flips)

    def check_size(self, size: Size) -> None:
        self.mixing.check_size(size)

    def limits(self, size: Size) -> Limits:
        pictures = {"picture": (0, len(self.mixing.pictures) - 1)}
        return {**super().limits(size), **pictures, "blend": (0, len(BLENDS) - 1)}

    def shown(self) -> Mapping[str, Any]:
        return {"mixing_set": self.mixing, "flips": self.mixing.flips} | vars(self)
