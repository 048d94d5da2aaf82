"""Any method by its name on a batch, with what it mixed the images with."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from . import METHODS, build_method


class Drawn(NamedTuple):
    """What a method made of images (B, 3, H, W), of their dtype, and with what."""

    images: torch.Tensor
    other: torch.Tensor | None  # partners, or mixing images or outliers as float32 (B, 3, H, W)
    weight: torch.Tensor | None  # float32 (B,), the own label's share; None: labels stay


def draw(
    name: str, images: torch.Tensor, partners: torch.Tensor, mixing_sets: Mapping[str, Any], *,
    seed: int, epoch: int = 0, index: Any,
) -> Drawn:  # fmt: skip
    """One method, by name and with its defaults, on a batch: `Drawn`.

    images: (B, 3, H, W), uint8 or float in [0, 1]; partners: (N, 3, H, W) of the same dtype, of
    which Mixup and CutMix take one for each image, by key; mixing_sets: {"grey": ..., "colour":
    ...} as the methods take them, of which each uses the one of its published rows. Under equal
    keys all methods mix with the same fractal, cut at the same place (LayerMix flips it too).
    """
    keys = {"seed": seed, "epoch": epoch, "index": index}
    method = build_method(name, mixing_set=mixing_sets[METHODS[name].fractals])
    if method.mixes_labels:
        partners = partners[torch.from_numpy(method.partner_index(len(partners), **keys))]
        mixed, weight = method(images, partners, **keys)
        return Drawn(mixed, partners, weight)
    other = None
    if METHODS[name].needs_mixing_set:
        other = method.mixing.images(tuple(images.shape[-2:]), **keys).to(images.device)
    return Drawn(method(images, **keys), other, None)
