"""Where a network looks: Grad-CAM (Selvaraju et al., ICCV 2017), by one hook.

Also how alike two maps are, and drawing them.
"""

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..augment.base import as_float, check_values
from .networks import plain
from .prediction import (
    DIVERGED,
    as_batch,
    check_classes,
    checked_tensor,
    device_and_dtype,
    gradient_mode,
    logits_of,
)


def gradcam(
    model: nn.Module,
    images: np.ndarray | torch.Tensor,
    class_index: int | np.ndarray | torch.Tensor,
    layer: nn.Module,
) -> torch.Tensor:
    """Grad-CAM maps of `class_index` at `layer`, resized to the images: float32 (B, H, W).

    model: any module, images (B, 3, H, W) to logits (B, K), its weights frozen or not; images:
    uint8 or float in [0, 1]; class_index: an int or int (B,); layer: the module inside `model`
    whose output (B, C, h, w) is weighted (`networks.last_conv_layer`). Maps lie in [0, 1] with
    largest value 1; one without evidence for the class is all zeros. The model runs in eval mode,
    whatever the caller's mode of torch; its modes, hooks and gradients do not change. Raises
    ValueError for a layer that the model does not run or without an output (B, C, h, w), for a
    wrong class, for images of another kind, and for a network that has diverged.
    """
    model = plain(model)
    pictures = check_values(as_batch(images))
    classes, n_images = checked_tensor("class_index", class_index), len(pictures)
    if classes.ndim and classes.shape != (n_images,):
        raise ValueError(f"class_index must be one or ({n_images},), got {tuple(classes.shape)}")
    with gradient_mode(model):
        if layer not in set(model.modules()):
            raise ValueError(
                "layer must be a module inside the model: look for it in model.named_modules()"
            )
        # Copies leave inference mode, in case the caller was in it.
        batch = as_float(pictures.to(device_and_dtype(model)[0])).clone()
        activation, logits = _activation_and_logits(model, batch, layer)
        check_classes("class_index", classes.reshape(-1), logits.shape[1])
        chosen = classes.to(logits.device).long().expand(n_images).clone()
        # Images do not meet in eval mode: of a sum of scores each has its own gradient.
        score = logits.gather(1, chosen[:, None]).sum()
        if score.isnan():
            raise ValueError(DIVERGED)
        (gradient,) = torch.autograd.grad(score, activation)
    weight = gradient.float().mean(dim=(2, 3), keepdim=True)
    maps = (weight * activation.detach().float()).sum(dim=1, keepdim=True).relu()
    maps = F.interpolate(maps, size=pictures.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    peak = maps.amax(dim=(1, 2), keepdim=True)
    return torch.where(peak > 0, maps / peak, 0)


def _activation_and_logits(
    model: nn.Module, images: torch.Tensor, layer: nn.Module
) -> tuple[torch.Tensor, torch.Tensor]:
    """The output of `layer`, as a leaf of the graph that ends in the logits, and the logits."""
    outputs: list[torch.Tensor] = []

    def keep(module: nn.Module, inputs: object, output: torch.Tensor) -> torch.Tensor:
        if not (torch.is_tensor(output) and output.ndim == 4):
            raise ValueError("layer must put out (B, C, h, w): choose one before the pooling")
        outputs.append(output.detach().requires_grad_())
        return outputs[-1].clone()  # the next module may write in place

    with layer.register_forward_hook(keep):
        logits = logits_of(model, images)
    if not outputs:
        raise ValueError(
            "the model did not run this layer: choose one between its images and its logits"
        )
    return outputs[-1], logits


def agreement(maps: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """How alike two maps are: Pearson's correlation over the pixels of each pair.

    maps, others: (B, H, W). Returns float64 (B,) in [-1, 1], 0 where one of the two is the same
    everywhere, as a map without evidence is.
    """
    flat = (one.flatten(1).double() for one in (maps, others))
    first, second = (one - one.mean(1, keepdim=True) for one in flat)
    return F.cosine_similarity(first, second, eps=1e-9).clamp(-1, 1)


def overlay(images: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """Maps glowing on their images, which are dimmed and grey.

    images: uint8 or float in [0, 1], (B, 3, H, W); maps: (B, H, W). Returns float64 (B, 3, H, W) in
    [0, 1].
    """
    images = images / 255 if images.dtype == torch.uint8 else images
    grey = 0.7 * images.mean(1, keepdim=True).cpu()
    colours = torch.from_numpy(matplotlib.colormaps["inferno"](maps.cpu().numpy())[..., :3])
    colours = colours.permute(0, 3, 1, 2)
    return torch.lerp(grey.expand_as(colours).double(), colours, 0.8 * maps.cpu().double()[:, None])
