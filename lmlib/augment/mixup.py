"""Mixup and CutMix: two training images in one, and how much of the label is whose."""

from dataclasses import dataclass

import numpy as np
import torch

from ..draws import generators, integers, uniforms
from .base import (
    Augmentation,
    Params,
    as_float,
    check_images,
    check_keys,
    check_layout,
    check_range,
    describe,
    from_float,
    outside_graphs,
)
from .erasing import Box, centred_box
from .ops import per_image, to_device


class LabelMixing(Augmentation):
    """A method that mixes each image with a partner from the training set, and their labels with it.

    partners = method.partner_index(n_train, seed=0, epoch=0, index=index)
    images, weight = method(images, training_images[partners], seed=0, epoch=0, index=index)
    labels = weight * own + (1 - weight) * the partner's

    Differs from the papers' programs: the partner is anyone in the training set, by key, not a neighbour in the batch, so that a
    sample does not depend on its batch; and each sample draws its own weight, where they draw one a batch.
    """

    mixes_labels = True

    def __init__(self, alpha=1.0):
        self.alpha = check_range("alpha", alpha, 0, 1000, low_open=True)

    @outside_graphs
    def partner_index(self, n_train, *, seed, epoch, index):
        """Each sample's partner: int64 (B,) in 0 .. n_train - 1; the same for both methods."""
        return integers(uniforms("partner", 1, seed=seed, epoch=epoch, index=index)[:, 0], n_train)

    def draw_share(self, **keys):
        """A share Beta(alpha, alpha) for each sample: float64 (B,)."""
        return np.array(
            [random.beta(self.alpha, self.alpha) for random in generators("share", **keys)]
        )

    def apply(self, images, partners, params):
        """Pure: images and partners (B, 3, H, W) to mixed images and the own label's weight, float32 (B,)."""
        own, other = (as_float(check_images(part)) for part in (images, partners))
        mixed = self.change(own, other, params)
        return from_float(mixed, images.dtype), to_device(params.weight, images.device)

    def __call__(self, images, partners=None, *, seed=None, epoch=None, index=None, view=0):
        """Mix a batch with its partners: both (B, 3, H, W), uint8 or float in [0, 1], of one dtype.

        Returns the mixed images, of the same shape, dtype and device, and the weight of the own label, float32 (B,).
        """
        check_layout(images)
        if not isinstance(partners, torch.Tensor) or (partners.shape, partners.dtype) != (
            images.shape,
            images.dtype,
        ):
            raise ValueError(
                f"expected partners like the images, {describe(images)}, got {describe(partners)}: pass the training images "
                "at method.partner_index(n_train, ...)"
            )
        index = check_keys(seed, epoch, index, len(images))
        params = self.sample(
            tuple(images.shape[-2:]), seed=seed, epoch=epoch, index=index, view=view
        )
        return self.apply(images, partners, params)

    def as_transform(self):
        raise ValueError(
            "a transform of one image has no partner to mix with: use the method on batches"
        )


@dataclass(frozen=True)
class MixupParams(Params):
    weight: np.ndarray  # float32 (B,): share of the own image and label


class Mixup(LabelMixing):
    """w x + (1 - w) x', labels alike, w ~ Beta(alpha, alpha).

    alpha: 1 on CIFAR, 0.2 on ImageNet. Source: Zhang et al. 2018, Figure 1.
    """

    def sample(self, size, *, seed, epoch, index, view=0):
        weight = self.draw_share(seed=seed, epoch=epoch, index=index, view=view)
        return MixupParams(weight.astype(np.float32))

    def change(self, images, partners, params):
        weight = per_image(to_device(params.weight, images.device))
        return (weight * images + (1 - weight) * partners).clamp_(0, 1)


@dataclass(frozen=True)
class CutMixParams(Params):
    box: Box  # what the partner gives
    weight: np.ndarray  # float32 (B,): exact share of the pixels that stay


class CutMix(LabelMixing):
    """A rectangle of the partner, of share 1 - Beta(alpha, alpha) before it is cut off at the border, in its own place.

    The label's weight is the share of pixels that stayed. Source: Yun et al. 2019, Algorithm A1; their code mixes half of the
    batches on CIFAR and all on ImageNet, here and in torchvision all.
    """

    def sample(self, size, *, seed, epoch, index, view=0):
        keys = {"seed": seed, "epoch": epoch, "index": index, "view": view}
        side = np.sqrt(1 - self.draw_share(**keys)) / 2
        centre = uniforms("cutmix/centre", 2, **keys)
        y, x = integers(centre[:, 0], size[0]), integers(centre[:, 1], size[1])
        height, width = (2 * (side * length).astype(int) for length in size)
        box = centred_box(y, x, height, width, size)
        return CutMixParams(box, (1 - box.area / (size[0] * size[1])).astype(np.float32))

    def change(self, images, partners, params):
        return torch.lerp(images, partners, params.box.mask(images.shape[-2:], images.device))
