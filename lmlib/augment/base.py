"""What every augmentation shares: keys, image checks, flip and crop, and the mixing image of a
sample.
"""

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..checks import check_dense, check_range, check_whole  # noqa: F401  (the methods take the last two from here)
from ..compiled import compiled, entry, share
from ..draws import Key, check_key, draw_key, integer, number_of, uniform
from ..graphs import outside_graphs
from .colour import BITS, ONE, ZERO
from .ops import as_tensor

if TYPE_CHECKING:
    from .transform import AugmentationTransform

SHARED = 2**15  # values below which a batch is not worth a second thread


@dataclass(frozen=True)
class Params:
    """Drawn parameters: NumPy arrays whose leading axis is the sample. `params[chosen]` are those
    of some samples.
    """

    def __getitem__(self, chosen):
        return type(self)(
            **{name: value[chosen] for name, value in vars(self).items() if value is not None}
        )

    def arrays(self):
        """The fields, those of nested parameters too: a list."""
        found = []
        for value in vars(self).values():
            if isinstance(value, Params):
                found += value.arrays()
            else:
                found.append(value)
        return found

    def checked(self, n_samples):
        """The same as compiled functions take it; raises ValueError where an array is not of that
        many samples.
        """
        fields = {}
        for name, value in vars(self).items():
            if isinstance(value, Params):
                fields[name] = value.checked(n_samples)
            elif value is not None:
                if len(value) != n_samples:
                    raise ValueError(
                        f"expected {name} of {n_samples} samples, one for each image, got {len(value)}"
                    )
                fields[name] = as_compiled(value)
        return type(self)(**fields)

    def every(self, name: str) -> np.ndarray:
        """The field of that name, here or in nested parameters; empty where there is none."""
        nested = (value.every(name) for value in vars(self).values() if isinstance(value, Params))
        return next((found for found in (vars(self).get(name), *nested) if found is not None), NONE)


NONE = np.empty(0, np.int64)
WIDTHS = {
    "i": np.int64,
    "u": np.int64,
    "f": np.float32,
    "b": np.bool_,
}  # of a parameter, by its kind


def as_compiled(array):
    """An array of parameters as compiled functions take it: contiguous, of the one type of its
    kind.
    """
    images = array.dtype == np.uint8 and array.ndim == 4
    return np.ascontiguousarray(array, np.uint8 if images else WIDTHS[array.dtype.kind])


class Augmentation:
    """`sample` draws, `apply` is pure; a call does both. Subclasses give `draw`, and `kernel` with
    its `arguments`.
    """

    mixes_labels = (
        False  # whether it takes a partner image too, and returns the share of the own label
    )
    kernel = None
    """An `entry`: (source, bytes, done, done_bytes, start, stop, *arguments) changes images start
    .. stop - 1. Images come as float32 or uint8 (B, 3, H, W), see `read`.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in {"sample", "apply", "__call__"} & vars(cls).keys():
            setattr(cls, name, outside_graphs(vars(cls)[name]))

    @outside_graphs
    def sample(self, size, *, seed, epoch, index, view=0):
        """The drawn parameters for images of `size` (height, width): `Params` of B samples.

        seed, epoch, view: integers; index: int (B,), each sample's position in the whole original
        split.
        """
        return self.draw(size, check_key(seed, epoch, index, view))

    def draw(self, size, key):
        """The same for a `Key` that has been checked."""
        raise NotImplementedError(f"{type(self).__name__} must define draw")

    def arguments(self, params):
        """What the kernel needs beside the images: a tuple of arrays and numbers, of the same types
        for any parameters.
        """
        raise NotImplementedError(f"{type(self).__name__} must define arguments")

    @outside_graphs
    def apply(self, images, params):
        """Apply drawn parameters: (B, 3, H, W), uint8 or float in [0, 1], to the same shape, dtype
        and device. Pure.

        It works on the CPU: images of another device travel there and back, 1 ms for some thousand
        small ones. No gradient flows back through it.
        """
        images, params = check_images(images), params.checked(len(images))
        mixing = getattr(self, "mixing", None)
        for name, n in (
            ("op", len(getattr(self, "table", ()))),
            ("picture", len(mixing.pictures) if mixing else 0),
        ):
            places = params.every(name)
            if places.size and not 0 <= places.min() <= places.max() < n:
                raise ValueError(
                    f"expected {name} from 0 to {n - 1}, got {places.min()} to {places.max()}: take "
                    "parameters from the sample() of this method"
                )
        return self.changed(images, params)

    @outside_graphs
    def __call__(self, images, *, seed=None, epoch=None, index=None, view=0):
        """Augment a batch: (B, 3, H, W), uint8 or float in [0, 1]; returns the same shape, dtype
        and device.

        What happens to a sample is a function of (seed, epoch, index, view) alone: index is an int
        array or tensor (B,). Floats that a rounding took out of [0, 1] are clamped. Raises
        ValueError for images of another shape, dtype or range, and for missing keys.
        """
        images = check_images(images)
        index = check_keys(seed, epoch, index, len(images))
        params = self.sample(
            tuple(images.shape[-2:]), seed=seed, epoch=epoch, index=index, view=view
        )
        return self.changed(images, params)

    def alone(self, image: torch.Tensor, seed: int) -> torch.Tensor:
        """One image (3, H, W), as a call with the epoch 0 and the index [0] makes it."""
        key = Key(seed & MASK, seed >> 32, 0, FIRST, 0)
        if image.dtype == torch.uint8 and image.device.type == "cpu" and image.numel():
            try:
                pixels = image.numpy()[None]  # a third of the checks' time goes by
            except RuntimeError:  # of a kind that holds no values: the checks say which
                pass
            else:
                return torch.from_numpy(
                    self.run(np.ascontiguousarray(pixels), self.draw(pixels.shape[2:], key))[0]
                )
        images = check_images(image[None])
        return self.changed(images, self.draw(tuple(image.shape[-2:]), key))[0]

    def changed(self, images: torch.Tensor, params: Params) -> torch.Tensor:
        """`apply` for images and parameters that have been checked."""
        return torch.from_numpy(self.run(as_pixels(images), params)).to(images.device, images.dtype)

    def run(self, pixels: np.ndarray, params: Params) -> np.ndarray:
        """The same for a contiguous array, uint8 or float32 (B, 3, H, W)."""
        done, arguments = np.empty(pixels.shape, pixels.dtype), self.arguments(params)
        if pixels.dtype == np.uint8:
            arrays = NO_FLOATS, pixels, NO_FLOATS, done
        else:
            arrays = pixels, NO_BYTES, done, NO_BYTES
        n_threads = torch.get_num_threads() if pixels.size > SHARED else 1
        share(
            n_threads,
            len(pixels),
            lambda start, stop: self.kernel(*arrays, start, stop, *arguments),
        )
        return done

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


def as_pixels(images):
    """Images as compiled functions take them: a contiguous array on the CPU, uint8 or float32."""
    images = images if images.dtype in (torch.uint8, torch.float32) else images.float()
    return np.ascontiguousarray(images.numpy(force=True))


MASK, FIRST = 0xFFFFFFFF, np.zeros(1, np.int64)
NO_FLOATS, NO_BYTES = np.empty((0, 3, 1, 1), np.float32), np.empty((0, 3, 1, 1), np.uint8)


@compiled
def read(floats, bytes_, k, out):
    """The k-th image as float32 (3, H, W) in [0, 1]: of whichever batch is not empty; `out` is for
    what has to be converted.
    """
    if len(floats):
        return floats[k]
    source, done = bytes_[k].reshape(-1), out.reshape(-1)
    for n in range(len(source)):
        done[n] = np.float32(source[n]) / BITS
    return out


@compiled
def write(image, floats, bytes_, k):
    """An image as the k-th of whichever batch is not empty: 8 bits are rounded to nearest."""
    source = image.reshape(-1)
    if len(floats):
        done = floats[k].reshape(-1)
        for n in range(len(source)):
            done[n] = source[n]
    else:
        rounded = bytes_[k].reshape(-1)
        for n in range(len(source)):
            rounded[n] = np.uint8(np.rint(source[n] * BITS))


@compiled
def buffers(n, floats, bytes_):
    """Room for `n` images like those of whichever batch is not empty: float32 (n, 3, H, W)."""
    height, width = floats.shape[2:] if len(floats) else bytes_.shape[2:]
    return np.empty((n, 3, height, width), np.float32)


def describe(value):
    """The shape and dtype of a value in words, for an error."""
    return (
        f"{tuple(value.shape)} {value.dtype}" if hasattr(value, "shape") else type(value).__name__
    )


EXPECTED = "expected images as a tensor (B, 3, H, W), uint8 or float in [0, 1]"


def check_images(images: torch.Tensor) -> torch.Tensor:
    """Return `images`, a tensor (B, 3, H, W), uint8 or float in [0, 1].

    Floats that a rounding took out of [0, 1] come back clamped, as in `check_values`. Raises
    ValueError for anything else.
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
    if images.dtype == torch.uint8 or not len(images):
        return images
    if images.dtype == torch.float32 and images.device.type == "cpu" and within(as_pixels(images)):
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


@entry
def within(images):
    """Whether all values lie in [0, 1]."""
    values, n_outside = images.reshape(-1), 0
    for n in range(len(values)):
        n_outside += not (values[n] >= ZERO and values[n] <= ONE)
    return n_outside == 0


def check_keys(seed, epoch, index, n_images):
    """The index as an integer array (B,); raise ValueError, with the reason, where a key is missing
    or does not fit.
    """
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
    return check_key(seed, epoch, index).index


def as_float(images):
    """uint8 or any float images as float32 in [0, 1], contiguous."""
    done = images.to(torch.float32).contiguous()
    return done.div_(255) if images.dtype == torch.uint8 else done


def from_float(images, dtype):
    """float32 images in [0, 1] as `dtype`: uint8 rounded to nearest, or a float type."""
    return (images * 255).round().to(dtype) if dtype == torch.uint8 else images.to(dtype)


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
                f"expected a mixing set of uint8 (F, 1 or 3, H, W) with F >= 1, got {describe(pictures)}"
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
                f"the mixing set of {self.pictures.shape[2]} x {self.pictures.shape[3]} pixels is smaller than the images of "
                f"{size[0]} x {size[1]}: prepare it at least as large"
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


class Baseline(Augmentation):
    """Flip and crop alone, which every method gets: the images as they are."""

    def draw(self, size, key):
        return Params()

    def changed(self, images: torch.Tensor, params: Params) -> torch.Tensor:
        return images.clone()

    def run(self, pixels: np.ndarray, params: Params) -> np.ndarray:
        return pixels.copy()
