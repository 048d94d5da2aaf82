"""Mixup and CutMix: two training images in one, and how much of the label is whose."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from ..compiled import entry
from ..draws import generators_of, integers, uniforms, uniforms_of
from ..graphs import outside_graphs
from .base import Augmentation, Params, check_keys, check_range
from .colour import ONE, clip, identity
from .erasing import Box, centred_box
from .images import (
    NO_BYTES,
    NO_FLOATS,
    as_pixels,
    buffers,
    check_images,
    check_layout,
    describe,
    read,
    write,
)


class LabelMixing(Augmentation):
    """A method that mixes each image with a partner from the training set, and their labels with
    it.

    partners = method.partner_index(n_train, seed=0, epoch=0, index=index)
    images, weight = method(images, training_images[partners], seed=0, epoch=0, index=index)
    labels = weight * own + (1 - weight) * the partner's

    The partners' images are parameters, as another method's operations are: `sample` leaves them
    out, because they are not drawn but looked up, and `apply` takes what `with_partners` gives.
    Differs from the papers' programs: the partner is anyone in the training set, by key, not a
    neighbour in the batch, so that a sample does not depend on its batch; and each sample draws its
    own weight, where they draw one a batch.
    """

    mixes_labels = True

    def __init__(self, alpha=1.0):
        self.alpha = check_range("alpha", alpha, 0, 1000, low_open=True)

    @outside_graphs
    def partner_index(self, n_train, *, seed, epoch, index):
        """Each sample's partner: int64 (B,) in 0 .. n_train - 1; the same for both methods."""
        return integers(uniforms("partner", 1, seed=seed, epoch=epoch, index=index)[:, 0], n_train)

    def draw_share(self, key):
        """A share Beta(alpha, alpha) for each sample: float64 (B,)."""
        return np.array(
            [random.beta(self.alpha, self.alpha) for random in generators_of(key, "share")]
        )

    def with_partners(self, params, partners):
        """Drawn parameters with the partners' images, a tensor (B, 3, H, W), uint8 or float in [0,
        1].
        """
        return replace(params, partners=as_pixels(check_images(partners)))

    def arguments(self, params):
        partners = params.partners
        if partners is None:
            raise ValueError(
                "the parameters have no partners: pass method.with_partners(params, training_images[partner])"
            )
        own = replace(params, partners=None).arrays()[:-1]
        return *(
            (NO_FLOATS, partners) if partners.dtype == np.uint8 else (partners, NO_BYTES)
        ), *own

    def __call__(self, images, partners=None, *, seed=None, epoch=None, index=None, view=0):
        """Mix a batch with its partners: both (B, 3, H, W), uint8 or float in [0, 1], of one dtype.

        Returns the mixed images, of the same shape, dtype and device, and the weight of the own
        label, float32 (B,).
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
        mixed = self.apply(images, self.with_partners(params, partners))
        return mixed, torch.from_numpy(params.weight).to(images.device)

    def as_transform(self):
        raise ValueError(
            "a transform of one image has no partner to mix with: use the method on batches"
        )


@dataclass(frozen=True)
class MixupParams(Params):
    weight: np.ndarray  # float32 (B,): share of the own image and label
    partners: np.ndarray | None = None  # uint8 or float32 (B, 3, H, W): their images


@entry
def mixup_each(floats, bytes_, done, done_bytes, start, stop, partners, partner_bytes, weight):
    room = buffers(3, floats, bytes_)
    for k in range(start, stop):
        image, other = read(floats, bytes_, k, room[0]), read(partners, partner_bytes, k, room[1])
        own, its, mixed, w = image.reshape(-1), other.reshape(-1), room[2].reshape(-1), weight[k]
        for n in range(len(own)):
            mixed[n] = clip(w * own[n] + (ONE - w) * its[n])
        write(room[2], done, done_bytes, k)


class Mixup(LabelMixing):
    """w x + (1 - w) x', labels alike, w ~ Beta(alpha, alpha).

    alpha: 1 on CIFAR, 0.2 on ImageNet. Source: Zhang et al. 2018, Figure 1.
    """

    kernel = mixup_each

    def draw(self, size, key):
        return MixupParams(self.draw_share(key).astype(np.float32))


@dataclass(frozen=True)
class CutMixParams(Params):
    box: Box  # what the partner gives
    weight: np.ndarray  # float32 (B,): exact share of the pixels that stay
    partners: np.ndarray | None = None  # uint8 or float32 (B, 3, H, W): their images


@entry
def cutmix_each(
    floats,
    bytes_,
    done,
    done_bytes,
    start,
    stop,
    partners,
    partner_bytes,
    top,
    left,
    bottom,
    right,
    weight,
):
    room = buffers(3, floats, bytes_)
    for k in range(start, stop):
        mixed, other = (
            identity(read(floats, bytes_, k, room[0]), room[2]),
            read(partners, partner_bytes, k, room[1]),
        )
        for c in range(3):
            for y in range(max(top[k], 0), min(bottom[k], mixed.shape[1])):
                for x in range(max(left[k], 0), min(right[k], mixed.shape[2])):
                    mixed[c, y, x] = other[c, y, x]
        write(mixed, done, done_bytes, k)


class CutMix(LabelMixing):
    """A rectangle of the partner, of share 1 - Beta(alpha, alpha) before it is cut off at the
    border, in its own place.

    The label's weight is the share of pixels that stayed. Source: Yun et al. 2019, Algorithm A1;
    their code mixes half of the batches on CIFAR and all on ImageNet, here and in torchvision all.
    """

    kernel = cutmix_each

    def draw(self, size, key):
        side = np.sqrt(1 - self.draw_share(key)) / 2
        centre = uniforms_of(key, "cutmix/centre", 2)
        y, x = integers(centre[:, 0], size[0]), integers(centre[:, 1], size[1])
        height, width = (2 * (side * length).astype(int) for length in size)
        box = centred_box(y, x, height, width, size)
        return CutMixParams(box, (1 - box.area / (size[0] * size[1])).astype(np.float32))
