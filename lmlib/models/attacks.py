"""Projected gradient descent in the largest-change norm.

It tells how often a small, chosen perturbation changes the answer.
"""

import numpy as np
import torch
from torch import nn

from ..augment.base import as_float, check_values
from ..checks import check_name, check_range, check_whole
from ..draws import check_key, generators
from .prediction import (
    DIVERGED,
    as_batch,
    check_classes,
    checked_tensor,
    device_and_dtype,
    gradient_mode,
    logits_of,
)


def pgd(
    model: nn.Module,
    images: np.ndarray | torch.Tensor,
    labels: np.ndarray | torch.Tensor,
    epsilon: float = 2 / 255,
    steps: int = 20,
    step_size: float = 0.5 / 255,
    center: str = "clean",
    *,
    seed: int,
    index: np.ndarray | torch.Tensor,
) -> torch.Tensor:
    """Untargeted PGD from a random start: adversarial images on the model's device.

    images: uint8 or float in [0, 1], (B, 3, H, W); labels: integers (B,), classes of the model;
    index: integers (B,), positions in the whole split, which with `seed` name the start; epsilon,
    step_size: fractions of the grey range; for a smaller budget scale both. center="clean" stays
    within epsilon of the image; "noisy" projects around the noised start, so that the change
    reaches 2 epsilon, as in the released code of PixMix, IPMix and LayerMix.

    The gradient is taken without autocast, the model in eval mode and in its own float type; its
    modes and its parameters' gradients are left as they were. Returns float32 (B, 3, H, W) in
    [0, 1]. Raises ValueError for arguments that do not fit and for a network that has diverged.
    Source: Madry et al. (2018).
    """
    pictures, classes, positions = _checked(images, labels, index)
    epsilon, step_size, steps = _budget(epsilon, step_size, steps)
    check_name("center", center, ("clean", "noisy"))
    with gradient_mode(model):
        # Copies leave inference mode, in case the caller was in it.
        clean = as_float(pictures.to(device_and_dtype(model)[0]))
        clean = clean.clone(memory_format=torch.channels_last)
        classes = classes.to(clean.device).clone()
        adversarial = clean + epsilon * _start(clean, seed=seed, index=positions)
        middle = clean if center == "clean" else adversarial
        low, high = middle - epsilon, middle + epsilon
        check_classes("labels", classes, n_classes=logits_of(model, clean[:1]).shape[1])
        for _ in range(steps):
            adversarial = adversarial.detach().requires_grad_()
            logits = logits_of(model, adversarial)
            loss = nn.functional.cross_entropy(logits, classes, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, adversarial)
            adversarial = adversarial.detach() + step_size * gradient.sign()
            adversarial = adversarial.clamp(low, high).clamp(0, 1)
    if loss.isnan():
        raise ValueError(DIVERGED)
    return adversarial


def _start(images: torch.Tensor, *, seed: int, index: np.ndarray) -> torch.Tensor:
    """Uniform draws in [-1, 1), one field an image, keyed by (seed, index): float32."""
    fields = np.empty(tuple(images.shape), np.float32)
    draws = generators("pgd start", seed=seed, index=index)
    for field, generator in zip(fields, draws, strict=True):
        generator.random(out=field, dtype=np.float32)
    return torch.from_numpy(2 * fields - 1).to(images.device)


def _checked(
    images: object, labels: object, index: np.ndarray | torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """The images and int64 labels as tensors, the index as an array, before a model is asked.

    Raises ValueError for what does not fit.
    """
    batch, classes = check_values(as_batch(images)), checked_tensor("labels", labels)
    expected = f"must be integers ({len(batch)},), got"
    is_whole = not classes.is_floating_point() and classes.dtype != torch.bool
    if classes.shape != batch.shape[:1] or not is_whole:
        raise ValueError(f"labels {expected} {classes.dtype} {tuple(classes.shape)}.")
    if np.shape(index) != (len(batch),):
        raise ValueError(f"index {expected} shape {tuple(np.shape(index))}.")
    return batch, classes.long(), check_key(0, 0, index).index


def _budget(epsilon: float, step_size: float, steps: int) -> tuple[float, float, int]:
    """The three as plain numbers. Raises ValueError."""
    try:
        epsilon = check_range("epsilon", epsilon, 0, 1)
        return (
            epsilon,
            check_range("step_size", step_size, 0, 1, low_open=True),
            check_whole("steps", steps, 1),
        )
    except ValueError as error:
        raise ValueError(
            "epsilon and step_size must be fractions of the grey range, as 2/255, and steps at "
            f"least 1; got {epsilon}, {step_size}, {steps}."
        ) from error
