"""Projected gradient descent in the largest-change norm: how often a small, chosen perturbation changes the answer."""

import numpy as np
import torch
from torch import nn

from lmlib import random
from lmlib.augment.base import as_float, check_images
from lmlib.augment.ops import as_tensor
from lmlib.errors import check_name
from lmlib.models import eval_mode


def pgd(model, images, labels, epsilon=2 / 255, steps=20, step_size=0.5 / 255, center="clean", *, seed, index):
    """Untargeted PGD from a random start: adversarial images, float32 (B, 3, H, W) in [0, 1].

    images: uint8 or float in [0, 1], (B, 3, H, W); labels: integers (B,); index: integers (B,), positions in the whole
    split, which with `seed` name the start. epsilon, step_size: fractions of the grey range; for a smaller budget scale
    both. center="clean" stays within epsilon of the image; "noisy" projects around the noised start, so that the change
    reaches 2 epsilon, as in the released code of PixMix, IPMix and LayerMix. The gradient is taken in fp32 with the
    model in eval mode; its modes and its parameters' gradients are left as they were. Source: Madry et al. (2018).
    """
    clean, labels = _checked(images, labels, index, epsilon, steps, step_size)
    check_name("center", center, ("clean", "noisy"))
    fp32 = torch.autocast(clean.device.type, enabled=False)
    with eval_mode(model), torch.inference_mode(False), torch.enable_grad(), fp32:
        # Copies leave inference mode, in case the caller was in it.
        clean, labels = clean.clone(memory_format=torch.channels_last), labels.clone()
        adversarial = clean + epsilon * _start(clean, seed=seed, index=index)
        middle = clean if center == "clean" else adversarial
        low, high = middle - epsilon, middle + epsilon
        for _ in range(steps):
            adversarial = adversarial.detach().requires_grad_()
            loss = nn.functional.cross_entropy(model(adversarial).float(), labels, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, adversarial)
            adversarial = adversarial.detach() + step_size * gradient.sign()
            adversarial = adversarial.clamp(low, high).clamp(0, 1)
    if loss.isnan():
        raise ValueError("the model's logits hold NaN: the network diverged, retrain the run.")
    return adversarial


def _start(images, *, seed, index):
    """Uniform draws in [-1, 1), one field per image, keyed by (seed, index): float32 like `images`."""
    generators = random.generators("pgd start", seed=seed, index=index)
    fields = [generator.random(tuple(images.shape[1:]), dtype=np.float32) for generator in generators]
    return torch.from_numpy(2 * np.stack(fields) - 1).to(images.device)


def _checked(images, labels, index, epsilon, steps, step_size):
    images, labels = as_tensor(images), as_tensor(labels)
    images = check_images(images)
    if labels.shape != images.shape[:1] or labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(f"labels must be integers ({len(images)},), got {labels.dtype} {tuple(labels.shape)}.")
    if np.shape(index) != (len(images),) or not len(images):
        raise ValueError(f"index must be integers ({len(images)},), at least one, got shape {np.shape(index)}.")
    if not (0 <= epsilon <= 1 and 0 < step_size <= 1 and steps >= 1):
        raise ValueError(
            "epsilon and step_size must be fractions of the grey range, as 2/255, and steps at least 1; "
            f"got {epsilon}, {step_size}, {steps}."
        )
    return as_float(images), labels.to(images.device).long()
