"""A small network that is worth its seconds: airbench (Jordan 2024, arXiv 2404.00498).

Images in [-1, 1], (B, 3, 32, 32), go through a whitening convolution, three groups of two
convolutions, and one linear layer. `airbench-64` has the published width, 64 filters in the first
group and 256 in the others; `airbench-32` has half of it. Sizes and constants are those of the
paper's programs.
"""

from collections import OrderedDict

import numpy as np
import torch
from torch import nn

EIGENVALUE_FLOOR = 5e-4  # in units of the mean variance of a pixel
LOGIT_SCALE = 1 / 9
PATCH = 2  # side of the whitened patches in pixels


class DiracConv2d(nn.Conv2d):
    """A 3 x 3 convolution without bias that starts as the identity on its first outputs.

    `networks.initialise` draws the rest of its weights.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__(n_in, n_out, 3, padding=1, bias=False)


class WhiteningConv2d(nn.Conv2d):
    """24 filters of 2 x 2 pixels that are not trained, with a bias that is: see `whiten`."""

    def __init__(self) -> None:
        super().__init__(3, 2 * 3 * PATCH**2, PATCH)
        self.weight.requires_grad = False


class Group(nn.Sequential):
    """Convolution, max-pooling by 2, norm, GELU, convolution, norm, GELU: side S to S // 2."""

    def __init__(self, n_in: int, n_out: int) -> None:
        first = DiracConv2d(n_in, n_out), nn.MaxPool2d(2), norm(n_out), nn.GELU()
        super().__init__(*first, DiracConv2d(n_out, n_out), norm(n_out), nn.GELU())


def norm(n_channels: int) -> nn.BatchNorm2d:
    """Batch norm with a bias alone, whose running statistics follow the newest batches."""
    layer = nn.BatchNorm2d(n_channels, eps=1e-12, momentum=0.4)
    layer.weight.requires_grad = False
    return layer


def airbench(width: int, n_classes: int) -> nn.Sequential:
    """The network whose first group has `width` filters: images (B, 3, 32, 32) to logits (B, K)."""
    groups = [Group(24, width), Group(width, 4 * width), Group(4 * width, 4 * width)]
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts |= {
        "features": nn.Sequential(WhiteningConv2d(), nn.GELU(), *groups),
        "pool": nn.MaxPool2d(3),
    }
    linear = nn.Linear(4 * width, n_classes, bias=False)
    return nn.Sequential(parts | {"flatten": nn.Flatten(), "linear": linear, "scale": Scale()})


class Scale(nn.Module):
    """Logits divided by 9, with which the published learning rates go."""

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        return logits * LOGIT_SCALE


def whitening_layer(network: nn.Module) -> WhiteningConv2d | None:
    """The whitening convolution of an `airbench` network, None for another network."""
    return next((one for one in network.modules() if isinstance(one, WhiteningConv2d)), None)


def whiten(layer: WhiteningConv2d, images: np.ndarray) -> None:
    """Set the whitening convolution from training images, uint8 (N, 3, H, W), in any order.

    Its 24 filters are the 12 eigenvectors of the covariance of 2 x 2 patches, each divided by the
    root of its eigenvalue, and their negatives; its bias starts so that the mean patch gives 0.
    Sums are of whole numbers, so that they are exact and the order of images does not matter.
    """
    n, n_channels, height, width = images.shape
    sums = np.zeros(n_channels * PATCH**2, np.int64)
    products = np.zeros((len(sums), len(sums)), np.int64)
    for start in range(0, n, 500):
        windows = np.lib.stride_tricks.sliding_window_view(
            images[start : start + 500], (PATCH, PATCH), axis=(2, 3)
        )
        patches = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, len(sums)).astype(np.float64)
        sums += patches.sum(0).astype(np.int64)
        products += (patches.T @ patches).astype(np.int64)  # below 2^53: exact
    n_patches = n * (height - PATCH + 1) * (width - PATCH + 1)
    mean = sums / n_patches
    # Pixels reach the network as 2 x / 255 - 1.
    covariance = (products / n_patches - np.outer(mean, mean)) * (2 / 255) ** 2
    values, vectors = np.linalg.eigh(covariance)
    vectors *= np.sign(vectors[np.abs(vectors).argmax(0), np.arange(len(sums))])
    filters = (vectors / np.sqrt(values + EIGENVALUE_FLOOR * covariance.trace() / len(sums))).T
    filters = np.concatenate([filters, -filters])
    bias = -filters @ (2 / 255 * mean - 1)
    new = {"weight": filters.reshape(layer.weight.shape), "bias": bias}
    layer.load_state_dict({name: torch.from_numpy(values) for name, values in new.items()})
