"""What every augmentation shares: keys, image checks, flip and crop, and the mixing image of a
sample.
"""

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..checks import check_dense, check_range, check_whole  # noqa: F401  (the methods take the last two from here)
from ..compiled import share
from ..draws import Key, check_key
from ..graphs import outside_graphs
from .images import (
    NO_BYTES,
    NO_FLOATS,
    as_pixels,
    check_images,
)

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


MASK, FIRST = 0xFFFFFFFF, np.zeros(1, np.int64)


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


class Baseline(Augmentation):
    """Flip and crop alone, which every method gets: the images as they are."""

    def draw(self, size, key):
        return Params()

    def changed(self, images: torch.Tensor, params: Params) -> torch.Tensor:
        return images.clone()

    def run(self, pixels: np.ndarray, params: Params) -> np.ndarray:
        return pixels.copy()
