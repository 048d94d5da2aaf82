"""An augmentation as a torchvision v2 transform, or on whole batches, for somebody else's pipeline.

Its keys are drawn from torch's generator, which a DataLoader seeds in each worker: the one place of
the package that reads a global generator.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch.utils.data import default_collate
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from ..graphs import outside_graphs
from ..images import describe
from .base import Augmentation


class AugmentationTransform(v2.Transform):
    """The image of a sample, augmented; whatever else is in the sample passes by.

    A sample is an image, several arguments such as (image, label), a dict, or any nesting of these.
    An image is a tensor or `tv_tensors.Image` (..., 3, H, W), uint8 or float in [0, 1], or an RGB
    PIL image, and comes out as what it was. Of plain tensors the first counts as the image, as
    torchvision has it. One key a call is drawn. Several images of a sample share it; each of a
    batch (B, 3, H, W) has a draw of its own under it, by its position, and the first of them that
    of a lone one. Raises ValueError for a sample without an image, for images of another shape,
    mode, dtype or range, and for boxes, masks and videos, which an augmented image would leave
    behind.
    """

    def __init__(self, augmentation: Augmentation) -> None:
        super().__init__()
        self.augmentation = augmentation

    @outside_graphs
    def forward(self, *inputs: Any) -> Any:
        """The sample with its image augmented."""
        image = inputs[0] if len(inputs) == 1 else None
        if type(image) is torch.Tensor and image.ndim == 3 and len(image) == 3:
            return self.augmentation.alone(image, int(torch.randint(2**62, ())))  # the short way
        return super().forward(*inputs)

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        """Raise ValueError for what would not follow the image, and where there is no image."""
        for value in flat_inputs:
            if isinstance(value, tv_tensors.TVTensor) and not isinstance(value, tv_tensors.Image):
                raise ValueError(
                    f"expected an image and its label, got {type(value).__name__} beside it, "
                    f"which would not follow what {type(self.augmentation).__name__} does to the "
                    "image: leave it out of the sample"
                )
        if not any(isinstance(value, (torch.Tensor, PIL.Image.Image)) for value in flat_inputs):
            came = ", ".join(map(describe, flat_inputs)) or "nothing"
            raise ValueError(
                "expected an image tensor (3, H, W), a tv_tensors.Image or a PIL image in the "
                f"sample, got {came}: put ToImage() or ToTensor() before this"
            )

    def make_params(self, flat_inputs: list[Any]) -> dict[str, int]:
        """One key of the draws for the whole sample."""
        return {"seed": int(torch.randint(2**62, ()))}

    def transform(self, inpt: Any, params: dict[str, int]) -> Any:
        """The image `inpt`, augmented under the key in `params`, as what it was."""
        if isinstance(inpt, PIL.Image.Image):
            if inpt.mode != "RGB":
                raise ValueError(
                    f"expected an RGB picture, got one of mode {inpt.mode}: put RGB() before this"
                )
            return functional.to_pil_image(self.augmented(functional.pil_to_tensor(inpt), **params))
        image = self.augmented(inpt.as_subclass(torch.Tensor), **params)
        return tv_tensors.wrap(image, like=inpt) if isinstance(inpt, tv_tensors.Image) else image

    def augmented(self, image: torch.Tensor, seed: int) -> torch.Tensor:
        """An image tensor (..., 3, H, W), augmented: the same shape and dtype."""
        if image.ndim < 3 or image.shape[-3] != 3:
            raise ValueError(
                f"expected an image tensor (3, H, W) or a batch (B, 3, H, W), got "
                f"{describe(image)}: put the image before other tensors of a sample, or ToImage() "
                "or ToTensor() before this"
            )
        batch = image[None].flatten(0, -4)
        augmented = self.augmentation(batch, seed=seed, epoch=0, index=np.arange(len(batch)))
        return augmented.reshape(image.shape)

    def extra_repr(self) -> str:
        """The method and its settings."""
        return repr(self.augmentation)


def collate(augmentation: Augmentation, samples: Sequence[Any]) -> list[Any]:
    """Samples (image, label, ...) as a list of batches, of which the images are augmented.

    An image is a tensor (3, H, W), uint8 or float in [0, 1]; what stands beside it is put together
    as PyTorch does it. One key a batch is drawn, under which each image has a draw of its own: by
    far the fastest way in a DataLoader. Raises ValueError for samples without an image in front,
    and for a method that mixes labels, as that needs a partner for each sample.
    """
    if augmentation.mixes_labels:
        name = type(augmentation).__name__
        raise ValueError(f"{name} mixes labels, too: call it on a batch and its partners")
    is_bare = isinstance(samples[0], torch.Tensor | PIL.Image.Image)
    first = samples[0] if is_bare else samples[0][0]
    if not isinstance(first, torch.Tensor):
        raise ValueError(
            f"expected samples (image, label) with an image tensor (3, H, W), got "
            f"{describe(first)} in front: let the dataset end with ToImage() or ToTensor()"
        )
    images, *others = default_collate([(one,) if is_bare else one for one in samples])
    seed, index = int(torch.randint(2**62, ())), np.arange(len(images))
    return [augmentation(images, seed=seed, epoch=0, index=index), *others]
