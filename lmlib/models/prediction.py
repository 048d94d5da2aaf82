"""One way to ask a network: images that are checked, in eval mode, for logits that are checked.

Training, evaluation, attacks and Grad-CAM all ask here, so that what one of them refuses or
converts the others do too.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from ..checks import check_dense, check_name, check_whole
from ..datasets.photographs import Pictures
from ..images import as_float, as_tensor, check_layout, check_values, describe

EVAL_BATCH_SIZE = {"cpu": 125, "cuda": 2000}  # without gradients: more only take memory
PRECISIONS = "fp32", "bf16"
DIVERGED = "the model's logits hold NaN: the network diverged, retrain the run."


def precision_context(precision: str, device: torch.device) -> torch.autocast:
    """Autocast to bfloat16 for "bf16", none for "fp32". Raises ValueError for another word."""
    enabled = check_name("precision", precision, PRECISIONS) == "bf16"
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[nn.Module]:
    """The model in eval mode; afterwards each of its modules is in the mode it was in.

    Raises ValueError for what is no module, a function say.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(
            f"expected a torch.nn.Module that returns logits, got {describe(model)}: wrap it in one"
        )
    modes = {module: module.training for module in model.modules()}
    try:
        yield model.eval()
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def gradient_mode(model: nn.Module) -> Iterator[nn.Module]:
    """The model in eval mode and fp32, with gradients, whichever mode of torch the caller is in.

    Raises ValueError for a model whose weights were made under `torch.inference_mode()`.
    """
    with eval_mode(model), torch.inference_mode(False), torch.enable_grad():
        if any(tensor.is_inference() for tensor in (*model.parameters(), *model.buffers())):
            raise ValueError(
                "the model's weights were made under torch.inference_mode(), through which no "
                "gradient goes: make or load it outside"
            )
        with precision_context("fp32", device_and_dtype(model)[0]):
            yield model


def device_and_dtype(model: nn.Module) -> tuple[torch.device, torch.dtype]:
    """The device and float type of the model's first weight: the CPU and float32 for one without.

    Raises ValueError for a model on the meta device, which has no weights.
    """
    weights = (one for one in (*model.parameters(), *model.buffers()) if one.is_floating_point())
    first = next(weights, torch.empty(0))
    if first.is_meta:
        raise ValueError("the model is on the meta device and has no weights: load them first")
    return first.device, first.dtype


def checked_tensor(name: str, values: object) -> torch.Tensor:
    """A tensor as it is; an array of any layout and byte order, or its like, as a tensor.

    Raises ValueError for what holds no numbers.
    """
    if isinstance(values, torch.Tensor):
        check_dense(values)
        return values
    array = np.asarray(values)
    if not array.size and not isinstance(values, np.ndarray):
        array = array.astype(np.int64)  # NumPy takes an empty list for floats
    try:
        return as_tensor(array.astype(array.dtype.newbyteorder("="), copy=False))
    except TypeError as error:
        raise ValueError(
            f"{name} must be an array or tensor of numbers, got dtype {array.dtype}"
        ) from error


def as_batch(images: object) -> torch.Tensor:
    """Images (N, 3, H, W), uint8 or float, an array or a tensor, as a tensor on their device.

    Raises ValueError for another shape or dtype. Whether floats lie in [0, 1] is asked where they
    are used.
    """
    batch = checked_tensor("images", images)
    check_layout(batch)
    return batch


def check_classes(name: str, classes: torch.Tensor, n_classes: int) -> None:
    """Raise ValueError unless all of `classes`, integers of any type, lie in 0 .. n_classes - 1."""
    if classes.dtype == torch.bool or classes.is_floating_point() or classes.is_complex():
        raise ValueError(f"{name} must be integers in 0 .. {n_classes - 1}, got {classes.dtype}")
    outside = classes[(classes.long() < 0) | (classes.long() >= n_classes)]
    if len(outside):
        raise ValueError(f"{name} must be integers in 0 .. {n_classes - 1}, got {int(outside[0])}")


def logits_of(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """The model's logits, float32 (B, K), of images (B, 3, H, W), float32 in [0, 1], on its device.

    The images reach it in its own float type. Raises ValueError where it returns anything but
    (B, K).
    """
    logits = model(images.to(device_and_dtype(model)[1], memory_format=torch.channels_last))
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != len(images):
        raise ValueError(
            f"expected a model that returns logits ({len(images)}, K), got "
            f"{describe(logits)}: wrap it in a module that returns them alone"
        )
    return logits.float()


def chunks(images: torch.Tensor | Pictures, size: int) -> Iterable[torch.Tensor]:
    """Images in order, `size` at a time; of `Pictures`, which are large, no more than 250."""
    if isinstance(images, Pictures):
        return images.batches(np.arange(len(images)), min(size, 250))
    return (images[start : start + size] for start in range(0, max(len(images), 1), size))


@torch.no_grad()
def predict(
    model: nn.Module,
    images: np.ndarray | torch.Tensor | Pictures,
    precision: str = "fp32",
    batch_size: int | None = None,
) -> torch.Tensor:
    """Logits float32 (N, K) on the CPU, in eval mode; of no image (0, K).

    images: uint8 or float in [0, 1], (N, 3, H, W), array or tensor, or `Pictures`, which are
    decoded a batch at a time; precision: "fp32" or "bf16"; batch_size: images in one forward pass.
    The modes of the model's modules are left as they were.
    Raises ValueError for images of another shape, dtype or range, and for a model that does not
    return logits.
    """
    pictures, logits = images if isinstance(images, Pictures) else as_batch(images), []
    with eval_mode(model):
        device, _ = device_and_dtype(model)
        size = EVAL_BATCH_SIZE[device.type] if batch_size is None else batch_size
        size = check_whole("batch_size", size, 1)
        with precision_context(precision, device):
            for chunk in chunks(pictures, size):
                batch = check_values(chunk.to(device))
                logits.append(logits_of(model, as_float(batch)).cpu())
    return torch.cat(logits)
