"""What every augmentation shares: drawn parameters, and how a batch is drawn for and changed."""

import inspect
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..compiled import share
from ..draws import Key, check_key
from ..graphs import outside_graphs
from ..images import as_pixels, check_images
from .kernels import Batch, as_bytes, draws_of
from .params import Limits, Params, Size, Sizes

if TYPE_CHECKING:
    from .transform import AugmentationTransform

SHARED = 2**15  # values below which a batch is not worth a second thread


class Augmentation:
    """`sample` draws, `apply` is pure; a call does both.

    A subclass has `params`, its class of parameters, and a `kernel`, see there. `settings` is a
    tuple of arrays and numbers that its functions take, `sizes` has what `params` names.
    """

    mixes_labels = False  # whether it takes a partner image too, and returns the own label's share
    params: type[Params] = Params
    kernel: Any = None
    settings: Any = ()
    sizes: Sizes = MappingProxyType({})
    draws_compiled = True  # whether the kernel draws; else the subclass has a `draw`

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in {"sample", "apply", "__call__"} & vars(cls).keys():
            setattr(cls, name, outside_graphs(vars(cls)[name]))

    def check_size(self, size: Size) -> None:
        """Raise ValueError where the method does not work on images of that size."""

    def limits(self, size: Size) -> Limits:
        """The range of what indexes an array, for images of that size."""
        return {"op": (0, len(self.table) - 1)} if hasattr(self, "table") else {}

    def check_params(self, arrays: Any, size: Size) -> None:
        """Raise ValueError for parameters in their limits that do not fit one another."""

    @outside_graphs
    def sample(self, size: Size, *, seed: int, epoch: int, index: Any, view: int = 0) -> Any:
        """The drawn parameters for images of `size` (height, width): `Params` of B samples.

        seed, epoch, view: integers; index: int (B,), each sample's position in the whole original
        split.
        """
        key = check_key(seed, epoch, index, view)
        self.check_size(size)
        return self.params.of(self.draw(size, key))

    def draw(self, size: Size, key: Key) -> Any:
        """The same as arrays, for a `Key` and a size that have been checked."""
        arrays = self.params.empty(len(key.index), self.sizes)
        self.kernel(draws_of(key, size), 0, len(key.index), self.settings, arrays)
        return arrays

    @outside_graphs
    def apply(self, images: torch.Tensor, params: Any) -> torch.Tensor:
        """Apply drawn parameters: (B, 3, H, W), uint8 or float in [0, 1], to the same. Pure.

        Shape, dtype and device stay. The work is done on the CPU: images on another device travel
        there and back, in about 1 ms for a thousand of 32 pixels. No gradient flows through it.
        Raises ValueError where parameters do not fit the images or the method.
        """
        images = check_images(images)
        size = images.shape[-2], images.shape[-1]
        arrays = params.arrays(len(images), self.sizes, self.limits(size))
        self.check_params(arrays, size)
        pixels = self.changed(
            as_pixels(images), NO_KEY, arrays, False, self.settings_of(params, images)
        )
        return torch.from_numpy(pixels).to(images.device, images.dtype)

    def settings_of(self, params: Any, images: torch.Tensor) -> Any:
        """The settings of the kernel for some parameters and images."""
        return self.settings

    @outside_graphs
    def __call__(
        self, images: torch.Tensor, *,
        seed: int | None = None, epoch: int | None = None, index: Any = None, view: int = 0,
    ) -> Any:  # fmt: skip
        """Augment a batch: (B, 3, H, W), uint8 or float in [0, 1], to the same shape and dtype.

        What happens to a sample is a function of (seed, epoch, index, view) alone: index is an int
        array or tensor (B,). Floats that a rounding took out of [0, 1] are clamped. The device is
        that of the images, the work is done on the CPU, see `apply`. Raises ValueError for images
        of another shape, dtype or range, and for missing keys.
        """
        images = check_images(images)
        key = check_keys(seed, epoch, index, view, len(images))
        return torch.from_numpy(self.run(as_pixels(images), key)).to(images.device, images.dtype)

    def alone(self, image: torch.Tensor, seed: int) -> torch.Tensor:
        """One image (3, H, W), as a call with the epoch 0 and the index [0] makes it."""
        key = Key(seed & 0xFFFFFFFF, seed >> 32, 0, FIRST, 0)
        if image.dtype == torch.uint8 and image.device.type == "cpu" and image.numel():
            try:
                pixels = np.ascontiguousarray(image.numpy()[None])
            except RuntimeError:  # of a kind that holds no values: the checks say which
                pass
            else:
                return torch.from_numpy(self.run(pixels, key)[0])
        images = check_images(image[None])
        result = torch.from_numpy(self.run(as_pixels(images), key))
        return result.to(images.device, images.dtype)[0]

    def run(self, pixels: np.ndarray, key: Key) -> np.ndarray:
        """What a call makes of contiguous pixels (B, 3, H, W), uint8 or float32."""
        n, _, height, width = pixels.shape
        size = height, width
        self.check_size(size)
        if not self.draws_compiled:
            return self.changed(pixels, key, self.draw(size, key), False, self.settings)
        if n > 1:
            arrays = self.params.empty(n, self.sizes)
            return self.changed(pixels, key, arrays, True, self.settings)
        try:
            arrays = self.spare.pop()
        except IndexError:
            arrays = self.params.empty(1, self.sizes)
        result = self.changed(pixels, key, arrays, True, self.settings)
        self.spare.append(arrays)
        return result

    @cached_property
    def spare(self) -> list:
        """Arrays for the parameters of one image, which no call is using: a dozen takes 5 us."""
        return []

    def changed(self, pixels: np.ndarray, key: Key, arrays: Any, draws: bool, settings: Any) -> Any:
        """Pixels with drawn parameters applied, or drawn and applied, by all threads of PyTorch."""
        result = np.empty_like(pixels)
        source, made = as_bytes(pixels), as_bytes(result).values
        batch = Batch(*key, pixels.shape[2], pixels.shape[3], draws, True, source, made)
        n_threads = torch.get_num_threads() if pixels.size > SHARED else 1

        def work(start: int, stop: int) -> None:
            self.kernel.direct(batch, start, stop, settings, arrays)

        share(n_threads, len(pixels), work)
        return result

    def as_transform(self) -> "AugmentationTransform":
        """The augmentation as a torchvision v2 transform, for a pipeline of your own."""
        from .transform import AugmentationTransform  # torchvision is heavy, batches do without

        return AugmentationTransform(self)

    def collate(self, samples: Any) -> Any:
        """The `collate_fn` of a DataLoader: samples as batches, the images augmented at once.

        See `transform.collate`.
        """
        from .transform import collate

        return collate(self, samples)

    def shown(self) -> Mapping[str, Any]:
        """The settings by the name of their parameter."""
        return vars(self)

    def __repr__(self) -> str:
        """The method with its settings, as it is built."""
        held = self.shown()
        names = (name for name in inspect.signature(type(self)).parameters if name in held)
        return f"{type(self).__name__}({', '.join(f'{name}={held[name]!r}' for name in names)})"


def check_keys(seed: Any, epoch: Any, index: Any, view: Any, n_images: int) -> Key:
    """The `Key` of a batch; raise ValueError, with the reason, where one is missing or misfits."""
    keys = {"seed": seed, "epoch": epoch, "index": index}
    missing = ", ".join(name for name, key in keys.items() if key is None)
    if missing:
        raise ValueError(
            f"missing {missing}: a draw is a function of (seed, epoch, index), so that runs can be "
            "repeated; pass seed=, epoch= and index= (each sample's position in its split), or use "
            "as_transform()"
        )
    if np.shape(index) != (n_images,):
        shape = tuple(np.shape(index))
        raise ValueError(f"expected index of shape ({n_images},), one for each image, got {shape}")
    return check_key(seed, epoch, index, view)


FIRST = np.zeros(1, np.int64)
NO_KEY = Key(0, 0, 0, FIRST, 0)  # of parameters that were drawn before


class Baseline(Augmentation):
    """Flip and crop alone, which every method gets: the images as they are."""

    def draw(self, size: Size, key: Key) -> Any:
        return self.params.Arrays()

    def changed(self, pixels: np.ndarray, *rest: Any) -> np.ndarray:
        return pixels.copy()
