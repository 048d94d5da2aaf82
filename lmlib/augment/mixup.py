"""Mixup and CutMix: two training images in one, and how much of the label is whose."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ..checks import check_range
from ..compiled import inlined
from ..draws import Key, generators_of, integers, uniforms, uniforms_of
from ..graphs import outside_graphs
from ..images import as_pixels, as_tensor, check_images, check_layout, describe
from .base import Augmentation, check_keys
from .colour import ONE, clip, identity
from .erasing import Box, centred_box, check_box
from .kernels import as_bytes, kernel, read
from .params import Params, Size, per_sample


class LabelMixing(Augmentation):
    """A method that mixes each image with a partner from the training set, and their labels too.

    partners = method.partner_index(n_train, seed=0, epoch=0, index=index)
    images, weight = method(images, training_images[partners], seed=0, epoch=0, index=index)
    labels = weight * own + (1 - weight) * the partner's

    The partners' images are parameters, as another method's operations are: `sample` leaves them
    out, because they are not drawn but looked up, and `apply` takes what `with_partners` gives.
    Differs from the papers' programs: the partner is anyone in the training set, by key, not a
    neighbour in the batch, so that a sample does not depend on its batch; and each sample draws its
    own weight, where they draw one a batch. alpha: of Beta(alpha, alpha), > 0. These draws are
    NumPy's, whose last bit depends on the logarithm of the system's library.
    """

    mixes_labels, draws_compiled = True, False

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = check_range("alpha", alpha, 0, 1000, low_open=True)

    @outside_graphs
    def partner_index(self, n_train: int, *, seed: int, epoch: int, index: Any) -> np.ndarray:
        """Each sample's partner: int64 (B,) in 0 .. n_train - 1; the same for both methods."""
        return integers(uniforms("partner", 1, seed=seed, epoch=epoch, index=index)[:, 0], n_train)

    def draw_share(self, key: Key) -> np.ndarray:
        """A share Beta(alpha, alpha) for each sample: float64 (B,)."""
        return np.array([rng.beta(self.alpha, self.alpha) for rng in generators_of(key, "share")])

    def with_partners(self, params: Any, partners: Any) -> Any:
        """Drawn parameters with the partners' images, (B, 3, H, W), uint8 or float in [0, 1]."""
        return replace(params, partners=as_pixels(check_images(partners)))

    def settings_of(self, params: Any, images: torch.Tensor) -> Any:
        if params.partners is None:
            raise ValueError(
                "the parameters have no partners: pass method.with_partners(params, "
                "training_images[partner])"
            )
        self.check_partners(images, params.partners.shape, describe(params.partners))
        return as_bytes(as_pixels(as_tensor(params.partners)))

    def check_partners(self, images: torch.Tensor, shape: Any, came: str) -> None:
        """Raise ValueError where partners have not the shape of the images."""
        if tuple(shape) != tuple(images.shape):
            raise ValueError(
                f"expected partners like the images, {describe(images)}, got {came}: "
                "pass the training images at method.partner_index(n_train, ...)"
            )

    def __call__(
        self, images: torch.Tensor, partners: torch.Tensor | None = None, *,
        seed: int | None = None, epoch: int | None = None, index: Any = None, view: int = 0,
    ) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
        """Mix a batch with its partners: both (B, 3, H, W), uint8 or float in [0, 1], of one dtype.

        Returns the mixed images, of the same shape, dtype and device, and the weight of the own
        label, float32 (B,).
        """
        check_layout(images)
        alike = getattr(partners, "dtype", None) == images.dtype
        shape: Any = getattr(partners, "shape", ()) if alike else ()
        self.check_partners(images, shape, describe(partners))
        key = check_keys(seed, epoch, index, view, len(images))
        params = self.params.of(self.draw((images.shape[-2], images.shape[-1]), key))
        mixed = self.apply(images, self.with_partners(params, partners))
        return mixed, torch.from_numpy(params.weight).to(images.device)

    def as_transform(self) -> Any:
        raise ValueError("a transform of one image has no partner to mix with: use it on batches")


@dataclass(frozen=True)
class MixupParams(Params):
    """What was drawn for B samples, and the images of their partners."""

    weight: np.ndarray = per_sample(float)  # share of the own image and label
    partners: np.ndarray | None = None  # uint8 or float32 (B, 3, H, W)


@inlined
def mixup(image: np.ndarray, partners: Any, drawn: Any, k: int, room: np.ndarray) -> np.ndarray:
    """One image and its partner, mixed."""
    own, other = image.reshape(-1), read(partners, k, room[0]).reshape(-1)
    mixed, w = room[1].reshape(-1), drawn.weight[k]
    for n in range(len(own)):
        mixed[n] = clip(w * own[n] + (ONE - w) * other[n])
    return room[1]


class Mixup(LabelMixing):
    """w x + (1 - w) x', labels alike, w ~ Beta(alpha, alpha).

    alpha: 1 on CIFAR, 0.2 on ImageNet. Source: Zhang et al. 2018, Figure 1.
    """

    kernel, params = kernel(mixup, 2), MixupParams

    def draw(self, size: Size, key: Key) -> Any:
        return MixupParams.Arrays(self.draw_share(key).astype(np.float32))


@dataclass(frozen=True)
class CutMixParams(Params):
    """What was drawn for B samples, and the images of their partners."""

    box: Box = per_sample(Box)  # what the partner gives
    weight: np.ndarray = per_sample(float)  # exact share of the pixels that stay
    partners: np.ndarray | None = None  # uint8 or float32 (B, 3, H, W)


@inlined
def cutmix(image: np.ndarray, partners: Any, drawn: Any, k: int, room: np.ndarray) -> np.ndarray:
    """One image with the box of its partner."""
    mixed, other, box = identity(image, room[0]), read(partners, k, room[1]), drawn.box
    for c in range(3):
        for y in range(box.top[k], box.bottom[k]):
            for x in range(box.left[k], box.right[k]):
                mixed[c, y, x] = other[c, y, x]
    return mixed


class CutMix(LabelMixing):
    """A rectangle of the partner, of share 1 - Beta(alpha, alpha), in its own place.

    The share is that before the rectangle is cut off at the border; the label's weight is the share
    of pixels that stayed. Source: Yun et al. 2019, Algorithm A1; their code mixes half of the
    batches on CIFAR and all on ImageNet, here and in torchvision all.
    """

    kernel, params = kernel(cutmix, 2), CutMixParams

    def draw(self, size: Size, key: Key) -> Any:
        half = np.sqrt(1 - self.draw_share(key)) / 2
        centre = uniforms_of(key, "cutmix/centre", 2).T
        y, x = (integers(u, n) for u, n in zip(centre, size, strict=True))
        height, width = (2 * (half * n).astype(int) for n in size)
        box = centred_box(y, x, height, width, size)
        weight = (1 - box.area / (size[0] * size[1])).astype(np.float32)
        return CutMixParams.Arrays(box.arrays(len(y), {}, {}), weight)

    def check_params(self, arrays: Any, size: Size) -> None:
        check_box(arrays.box, size)
