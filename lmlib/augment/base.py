"""What every augmentation shares: keys, image checks, flip and crop, and the mixing image of a sample."""

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..checks import check_dense, check_range, check_whole  # noqa: F401  (the methods take the last two from here)
from ..draws import check_key, integers, uniforms
from ..graphs import outside_graphs
from .ops import BITS, as_tensor, put, take, to_device

if TYPE_CHECKING:
    from .transform import AugmentationTransform


@dataclass(frozen=True)
class Params:
    """Drawn parameters: NumPy arrays whose leading axis is the sample. `params[chosen]` are those of some samples."""

    def __getitem__(self, chosen):
        return type(self)(**{name: value[chosen] for name, value in vars(self).items()})


class Augmentation:
    """`sample` draws, `apply` is pure; a call does both. Subclasses give `sample` and `change`."""

    mixes_labels = (
        False  # whether it takes a partner image too, and returns the share of the own label
    )

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in {"sample", "apply", "__call__"} & vars(cls).keys():
            setattr(cls, name, outside_graphs(vars(cls)[name]))

    def sample(self, size, *, seed, epoch, index, view=0):
        """The drawn parameters for images of `size` (height, width): `Params` of B samples.

        seed, epoch, view: integers; index: int (B,), each sample's position in the whole original split.
        """
        raise NotImplementedError(f"{type(self).__name__} must define sample")

    def change(self, images, params):
        """The change itself: float32 (B, 3, H, W) in [0, 1] to the same. Must neither write into `images` nor return them."""
        raise NotImplementedError(f"{type(self).__name__} must define change")

    @outside_graphs
    def apply(self, images, params):
        """Apply drawn parameters: (B, 3, H, W), uint8 or float in [0, 1], to the same shape, dtype and device. Pure.

        No gradient flows back through it.
        """
        check_layout(images)
        n = max(1, len(images)) if images.is_cuda else piece_size(*images.shape[-2:])
        done = torch.empty_like(images, memory_format=torch.contiguous_format)
        with torch.inference_mode():  # nothing is noted for a gradient: a twentieth of the time
            for start in range(0, len(images), n):
                chosen = slice(start, start + n)
                piece = check_values(images[chosen])
                done[chosen] = from_float(
                    self.change(as_float(piece), params[chosen]), images.dtype
                )
        return done

    @outside_graphs
    def __call__(self, images, *, seed=None, epoch=None, index=None, view=0):
        """Augment a batch: (B, 3, H, W), uint8 or float in [0, 1]; returns the same shape, dtype and device.

        What happens to a sample is a function of (seed, epoch, index, view) alone: index is an int array or tensor (B,).
        Floats that a rounding took out of [0, 1] are clamped.
        Raises ValueError for images of another shape, dtype or range, and for missing keys.
        """
        check_layout(images)
        index = check_keys(seed, epoch, index, len(images))
        return self.apply(
            images,
            self.sample(tuple(images.shape[-2:]), seed=seed, epoch=epoch, index=index, view=view),
        )

    def as_transform(self) -> "AugmentationTransform":
        """The augmentation as a torchvision v2 transform, for a pipeline of your own."""
        from .transform import AugmentationTransform  # torchvision is heavy, and batches do without

        return AugmentationTransform(self)

    def __repr__(self) -> str:
        """The method with its settings, as it is built."""
        held = vars(self)
        if "mixing" in held:
            held = {"mixing_set": self.mixing, "flips": self.mixing.flips} | held
        names = [name for name in inspect.signature(type(self)).parameters if name in held]
        return f"{type(self).__name__}({', '.join(f'{name}={held[name]!r}' for name in names)})"


def piece_size(height, width):
    """How many images a CPU works on at once: what one operation writes, the next still finds in the cache.

    2**19 pixels, in which each operation has its share; a few large images would have nothing in common: one at a time.
    """
    n = 2**19 // (height * width)
    return n if n > 16 else 1


def describe(value):
    """The shape and dtype of a value in words, for an error."""
    return (
        f"{tuple(value.shape)} {value.dtype}" if hasattr(value, "shape") else type(value).__name__
    )


EXPECTED = "expected images as a tensor (B, 3, H, W), uint8 or float in [0, 1]"


def check_images(images: torch.Tensor) -> torch.Tensor:
    """Return `images`, a tensor (B, 3, H, W), uint8 or float in [0, 1].

    Floats that a rounding took out of [0, 1] come back clamped, as in `check_values`. Raises ValueError
    for anything else.
    """
    check_layout(images)
    return check_values(images)


def check_layout(images):
    """Raise ValueError unless `images` is a dense tensor (B, 3, H, W) of uint8 or float."""
    if isinstance(images, torch.Tensor):
        check_dense(images)
    if (
        not isinstance(images, torch.Tensor)
        or images.ndim != 4
        or images.shape[1] != 3
        or 0 in images.shape[2:]
    ):
        raise ValueError(f"{EXPECTED}, got {describe(images)}")
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise ValueError(f"{EXPECTED}, got dtype {images.dtype}")


ROUNDING = 2.0**-16
"""How far outside [0, 1] rounding alone may take a float32: a mean of n values with weights, as a
resize makes it, rounds n times by 2**-24, and 256 values are a large window."""


def check_values(images: torch.Tensor) -> torch.Tensor:
    """Return `images`, (B, 3, H, W) of uint8 or float, those a rounding took out of [0, 1] clamped.

    Raises ValueError where floats lie outside by more than `ROUNDING` or the spacing of their type.
    """
    if images.dtype == torch.uint8 or not len(images) or surely_in_range(images):
        return images
    low, high = float(images.amin()), float(images.amax())  # quicker than aminmax on a CPU
    if low >= 0 and high <= 1:
        return images
    slack = max(ROUNDING, torch.finfo(images.dtype).eps)
    if low >= -slack and high <= 1 + slack:
        return images.clamp(0, 1)
    raise ValueError(  # NaN too
        f"{EXPECTED}, got values from {low:.7g} to {high:.7g}: clamp(0, 1) what a resize took out, or "
        "resize uint8; divide what goes up to 255; normalise afterwards"
    )


def surely_in_range(images):
    """Whether one pass over the bits says that images lie in [0, 1]: a CPU's float32, without a negative zero.

    Read as unsigned integers the bits of floats from 0 to 1 are in order, and those of all others, NaN too, lie above.
    """
    if images.dtype != torch.float32 or images.device.type != "cpu":
        return False
    return images.detach().resolve_neg().numpy().view(np.uint32).max() <= np.float32(1).view(
        np.uint32
    )


def check_keys(seed, epoch, index, n_images):
    """The index as an integer array (B,); raise ValueError, with the reason, where a key is missing or does not fit."""
    missing = [
        name for name, key in (("seed", seed), ("epoch", epoch), ("index", index)) if key is None
    ]
    if missing:
        raise ValueError(
            f"missing {', '.join(missing)}: a draw is a function of (seed, epoch, index), so that runs can be repeated; "
            "pass seed=, epoch= and index= (each sample's position in its split), or use as_transform()"
        )
    if np.shape(index) != (n_images,):
        raise ValueError(
            f"expected index of shape ({n_images},), one for each image, got {tuple(np.shape(index))}"
        )
    return check_key(seed, epoch, index)[2]


def as_float(images):
    """uint8 or any float images as float32 in [0, 1], contiguous."""
    done = images.to(torch.float32).contiguous()
    return done.div_(BITS) if images.dtype == torch.uint8 else done


def from_float(images, dtype):
    """float32 images in [0, 1] as `dtype`: uint8 rounded to nearest, or a float type."""
    if dtype != torch.uint8:
        return images.to(dtype)
    return (
        (images * BITS).round_().to(torch.int16).to(torch.uint8)
    )  # by way of int16: three times as fast on a CPU


def crop(pictures, chosen, window, size):
    """Cut and flip windows out of pictures, one for each sample.

    pictures: (F, C, H', W') tensor; chosen: int (B,), which picture; window: `Window`; size: (height, width).
    Returns (B, C, height, width) of the same dtype: rows gathered by where they begin, then those to be flipped sideways flipped.
    """
    n_channels, full_height, full_width = pictures.shape[1:]
    if not len(chosen):
        return pictures.new_empty(0, n_channels, *size)
    y = np.arange(size[0])
    rows = window.top[:, None] + np.where(window.flip_y[:, None], size[0] - 1 - y, y)
    channels = chosen[:, None] * n_channels + np.arange(n_channels)
    start = (channels[:, :, None] * full_height + rows[:, None]) * full_width + window.left[
        :, None, None
    ]
    every_row = pictures.reshape(-1).unfold(0, size[1], 1)
    cut = every_row.index_select(0, to_device(start.ravel(), pictures.device)).view(
        *start.shape, size[1]
    )
    flipped = np.flatnonzero(window.flip_x)
    return put(cut, flipped, take(cut, flipped).flip(-1)) if len(flipped) else cut


@dataclass(frozen=True)
class Window(Params):
    """Where a sample's window lies and how it is flipped: top, left int64 (B,); flip_y (upside down), flip_x bool (B,)."""

    top: np.ndarray
    left: np.ndarray
    flip_y: np.ndarray
    flip_x: np.ndarray


def draw_window(uniform, room, flip_y, flip_x):
    """A window from four uniform draws (B, 4): top and left in 0 .. room (both ends included), and coins where it may flip."""
    top, left = integers(uniform[:, 0], room[0] + 1), integers(uniform[:, 1], room[1] + 1)
    return Window(top, left, flip_y & (uniform[:, 2] < 0.5), flip_x & (uniform[:, 3] < 0.5))


class MixingImages:
    """The mixing set as an augmentation uses it: a random picture, a random crop, random flips.

    mixing_set: uint8 (F, 1 or 3, H', W'), NumPy array or tensor, or an object with such `.images`; flips: whether to flip, as the
    LayerMix paper does and PixMix does not. A sample's mixing image depends on (seed, epoch, index) and neither on the view
    (JSD's two mixes share it) nor on the method (so that methods can be compared on the same one).
    """

    def __init__(self, mixing_set, flips=True):
        pictures = getattr(mixing_set, "images", mixing_set)
        pictures = as_tensor(pictures) if isinstance(pictures, np.ndarray) else pictures
        kind, shape = getattr(pictures, "dtype", None), getattr(pictures, "shape", ())
        if kind != torch.uint8 or len(shape) != 4 or shape[1] not in (1, 3) or not shape[0]:
            raise ValueError(
                f"expected a mixing set of uint8 (F, 1 or 3, H, W) with F >= 1, got {describe(pictures)}"
            )
        self.pictures, self.flips = pictures.contiguous(), bool(flips)

    def __repr__(self) -> str:
        return f"{len(self.pictures)} pictures of {' x '.join(map(str, self.pictures.shape[1:]))}"

    def sample(self, size, *, seed, epoch, index):
        """Picture int64 (B,) and `Window` for each sample; raises ValueError where the pictures are smaller than `size`."""
        room = self.pictures.shape[2] - size[0], self.pictures.shape[3] - size[1]
        if min(room) < 0:
            raise ValueError(
                f"the mixing set of {self.pictures.shape[2]} x {self.pictures.shape[3]} pixels is smaller than the images of "
                f"{size[0]} x {size[1]}: prepare it at least as large"
            )
        uniform = uniforms("mixing image", 5, seed=seed, epoch=epoch, index=index)
        return integers(uniform[:, 0], len(self.pictures)), draw_window(
            uniform[:, 1:], room, self.flips, self.flips
        )

    def crop(self, picture, window, size, device):
        """The mixing images: float32 (B, 1 or 3, height, width) in [0, 1]."""
        self.pictures = self.pictures.to(device)
        return as_float(crop(self.pictures, picture, window, size))


class FlipCrop(Augmentation):
    """The base augmentation: zero padding and a random crop of the original size, then a random horizontal flip.

    pad: pixels on each side; flip: whether flips keep the label (not for digits).
    """

    def __init__(self, pad=4, flip=True):
        self.pad, self.flip = pad, bool(flip)

    def sample(self, size, *, seed, epoch, index, view=0):
        uniform = uniforms("flip and crop", 4, seed=seed, epoch=epoch, index=index)
        return draw_window(uniform, (2 * self.pad, 2 * self.pad), False, self.flip)

    def apply(self, images, params):
        padded = torch.nn.functional.pad(check_images(images), [self.pad] * 4)
        return crop(padded, np.arange(len(images)), params, tuple(images.shape[-2:]))


class Baseline(Augmentation):
    """Flip and crop alone, which every method gets: the images as they are."""

    def sample(self, size, *, seed, epoch, index, view=0):
        return Params()

    def apply(self, images, params):
        return check_images(images).clone()
