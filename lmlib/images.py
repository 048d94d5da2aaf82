"""Images as the library takes them: what is refused, and the ways to floats, arrays and back."""

from typing import Any

import numpy as np
import torch

from .checks import check_dense
from .compiled import entry

EXPECTED = "expected images as a tensor (B, 3, H, W), uint8 or float in [0, 1]"
ROUNDING = 2.0**-16
"""How far outside [0, 1] rounding alone may take a float32: a mean of n values with weights, as a
resize makes it, rounds n times by 2**-24, and 256 values are a large window."""


def describe(value: Any) -> str:
    """The shape and dtype of a value in words, for an error."""
    shaped = hasattr(value, "shape")
    return f"{tuple(value.shape)} {value.dtype}" if shaped else type(value).__name__


def check_images(images: torch.Tensor) -> torch.Tensor:
    """Return `images`, a tensor (B, 3, H, W), uint8 or float in [0, 1].

    Floats that a rounding took out of [0, 1] come back clamped, as in `check_values`. Raises
    ValueError for anything else.
    """
    check_layout(images)
    return check_values(images)


def check_layout(images: Any) -> None:
    """Raise ValueError unless `images` is a dense tensor (B, 3, H, W) of uint8 or float."""
    if not isinstance(images, torch.Tensor):
        raise ValueError(f"{EXPECTED}, got {describe(images)}")
    check_dense(images)
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape[2:]:
        raise ValueError(f"{EXPECTED}, got {describe(images)}")
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise ValueError(f"{EXPECTED}, got dtype {images.dtype}")


def check_values(images: torch.Tensor) -> torch.Tensor:
    """Return `images`, (B, 3, H, W) of uint8 or float, those a rounding took out of [0, 1] clamped.

    Raises ValueError where floats lie outside by more than `ROUNDING` or the spacing of their type.
    """
    if images.dtype == torch.uint8 or not len(images):
        return images
    if images.dtype == torch.float32 and images.device.type == "cpu" and within(as_pixels(images)):
        return images
    low, high = float(images.amin()), float(images.amax())  # quicker than aminmax on a CPU
    slack = max(ROUNDING, torch.finfo(images.dtype).eps)
    if low >= -slack and high <= 1 + slack:
        return images if low >= 0 and high <= 1 else images.clamp(0, 1)
    raise ValueError(  # NaN too
        f"{EXPECTED}, got values from {low:.7g} to {high:.7g}: clamp(0, 1) what a resize took "
        "out, or resize uint8; divide what goes up to 255; normalise afterwards"
    )


@entry
def within(images: np.ndarray) -> bool:
    """Whether all values lie in [0, 1]."""
    values, n_outside = images.reshape(-1), 0
    for n in range(len(values)):
        n_outside += not (values[n] >= 0 and values[n] <= 1)
    return n_outside == 0


def as_float(images: torch.Tensor) -> torch.Tensor:
    """uint8 or any float images as float32 in [0, 1], contiguous."""
    floats = images.to(torch.float32).contiguous()
    return floats.div_(255) if images.dtype == torch.uint8 else floats


def from_float(images: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """float32 images in [0, 1] as `dtype`: uint8 rounded to nearest, or a float type."""
    return (images * 255).round().to(dtype) if dtype == torch.uint8 else images.to(dtype)


def as_tensor(array: np.ndarray | torch.Tensor) -> torch.Tensor:
    """An array as a tensor of the same memory; of a copy where a tensor cannot have it.

    That is memory which runs backwards, and memory which is not to be written.
    """
    if isinstance(array, torch.Tensor):
        return array
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def as_pixels(images: torch.Tensor) -> np.ndarray:
    """Images as compiled functions take them: contiguous on the CPU, uint8 or float32."""
    images = images if images.dtype in (torch.uint8, torch.float32) else images.float()
    return np.ascontiguousarray(images.numpy(force=True))
