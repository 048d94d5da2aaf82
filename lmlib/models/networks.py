"""The networks of the paper's tables, by name: `build_model("wrn-40-4", n_classes=100)`.

Every network takes images in [0, 1] and normalises them itself, so that attacks, corruptions and
people see pixels.
"""

import math
import re
from collections import OrderedDict

import numpy as np
import torch
from torch import nn

from ..checks import check_name, check_whole
from ..draws import generators
from . import imagenet_weights
from .airbench import DiracConv2d, airbench

VERSION = 1  # raised by hand when weights or outputs change

AT_32 = """airbench-16 airbench-32 airbench-64 wrn-10-1 wrn-16-1 wrn-16-2 wrn-28-10 wrn-40-4
resnet-18 resnext-29""".split()
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's red, green and blue in [0, 1], as all programs have them."""
PRETRAINED = "-pretrained"
NETWORKS = dict.fromkeys(AT_32, 32) | {"resnet-50": 224}
"""Network -> side of its images in pixels.

Any other `wrn-<depth>-<widen>` with depth = 6 n + 4, and any `airbench-<width>`, works too, at 32,
and `resnet-18` also at 224, as it was made for ImageNet. With `-pretrained` behind their names
`resnet-18` and `resnet-50` start from the weights of `imagenet_weights`, at 224.
"""


class Classifier(nn.Module):
    """A network with its normalisation inside.

    images: uint8, or float in [0, 1], (B, 3, H, W); returns logits (B, K). Raises ValueError for
    other dtypes.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.dtype == torch.uint8:
            images = images.float() / 255
        elif not images.is_floating_point():
            raise ValueError(
                f"images must be uint8 or float in [0, 1], got {images.dtype}: convert them first"
            )
        return self.network(self.normalised(images))

    def normalised(self, images: torch.Tensor) -> torch.Tensor:
        """Images in [0, 1] with mean and std 0.5 in every channel."""
        return images * 2 - 1


class PhotographClassifier(Classifier):
    """The same with the mean and the std of ImageNet's colours, as networks at 224 px have it."""

    def normalised(self, images: torch.Tensor) -> torch.Tensor:
        """Images in [0, 1] by the mean and std of each channel."""
        mean, std = (images.new_tensor(one)[:, None, None] for one in (MEAN, STD))
        return (images - mean) / std


def build_model(name: str, *, n_classes: int, image_size: int = 32, seed: int = 0) -> Classifier:
    """The network `name` with fresh weights, on the CPU, in training mode.

    It takes images (B, 3, S, S) to logits (B, K); one that was trained on ImageNet before keeps its
    last layer where K is 1,000. name: one of `NETWORKS` or of the families named
    there; n_classes: K, at least 2; image_size: S, the side in pixels; seed: names the weights,
    which are the same bytes on every machine. No global generator is read or set. Raises ValueError
    for an unknown name, an impossible depth, another image size than the network's, n_classes < 2,
    and for a file of weights that is missing or foreign.
    """
    check_network(name, image_size)
    n_classes = check_whole("n_classes", n_classes, 2)
    with torch.device("meta"):  # no memory and no draws: the weights come in `initialise`
        kind = PhotographClassifier if image_size == 224 else Classifier
        model = kind(_network(name.removesuffix(PRETRAINED), n_classes, image_size))
    model.to_empty(device="cpu")
    initialise(model, seed=seed)
    if name.endswith(PRETRAINED):
        imagenet_weights.load(model.network, name.removesuffix(PRETRAINED))
    return model


def check_network(name: str, image_size: int) -> None:
    """Raise ValueError for an unknown network, and for one of images of another side in pixels."""
    wide, pretrained = _wide(name), [f"{one}{PRETRAINED}" for one in imagenet_weights.FILES]
    if not wide:
        if not _width(name):
            check_name("network", name, [*NETWORKS, *pretrained])
    elif wide[0] < 10 or wide[0] % 6 != 4 or wide[1] < 1:
        raise ValueError(
            f"a WRN's depth is 10, 16, 22, ... (6 n + 4) and its widen factor at least 1, "
            f"got '{name}'"
        )
    expected = (32, 224) if name == "resnet-18" else (NETWORKS.get(name, 32),)
    expected = (224,) if name in pretrained else expected
    if image_size not in expected:
        sides = " or ".join(map(str, expected))
        raise ValueError(
            f"{name} takes images of {sides} px, got {image_size} px: choose another network"
        )


def n_parameters(model: nn.Module) -> int:
    """How many trained numbers the model has."""
    return sum(one.numel() for one in model.parameters() if one.requires_grad)


def plain(model: nn.Module) -> nn.Module:
    """The module itself without the wrappers of torch.compile and of several GPUs.

    Its state dict has the same keys either way, so use it to save and load.
    """
    while True:
        if isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        elif isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            model = model.module
        else:
            return model


def last_conv_layer(model: nn.Module) -> nn.Module:
    """Grad-CAM's layer of a `build_model` network, whose output (B, C, h, w) is pooled."""
    parts = dict(plain(model).named_modules())
    return parts.get("network.features") or parts["network.layer4"]


def initialise(model: nn.Module, *, seed: int) -> None:
    """Set every weight as the Torch releases of ResNet, WRN and ResNeXt do, keyed layer by layer.

    Convolutions: normal, variance 2 / (kernel area * output channels) (He et al. 2015, "fan out");
    batch norm: 1 and 0; linear: uniform within 1 / sqrt(inputs), bias 0. Convolutions of airbench:
    the identity on the first outputs, the others uniform within 1 / sqrt(9 inputs), as PyTorch
    starts them.
    """
    layers = [module for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    draws = generators("initial weights", seed=seed, index=np.arange(len(layers)))
    for layer, generator in zip(layers, draws, strict=True):
        n_out, n_in, *kernel = shape = tuple(layer.weight.shape)
        if isinstance(layer, DiracConv2d):
            bound = np.float32(1 / (3 * math.sqrt(n_in)))
            values = bound * (2 * generator.random(shape, np.float32) - 1)
            same = np.arange(min(n_in, n_out))
            values[same] = 0
            values[same, same, 1, 1] = 1
        elif isinstance(layer, nn.Conv2d):
            spread = np.float32(math.sqrt(2 / (n_out * math.prod(kernel))))
            values = spread * generator.standard_normal(shape, np.float32)
        else:
            values = (2 * generator.random(shape, np.float32) - 1) / np.float32(math.sqrt(n_in))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
        layer.weight.data.copy_(torch.from_numpy(values))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()


def _network(name: str, n_classes: int, image_size: int) -> nn.Module:
    wide, width = _wide(name), _width(name)
    if wide:
        return _wide_resnet(*wide, n_classes)
    return airbench(width, n_classes) if width else _resnet(name, n_classes, image_size)


def _wide(name: str) -> tuple[int, int] | None:
    """Depth and widen factor of a wide residual network, None for another name."""
    match = re.fullmatch(r"wrn-(\d+)-(\d+)", str(name))
    return (int(match[1]), int(match[2])) if match else None


def _width(name: str) -> int | None:
    """The width of an airbench network, None for another name."""
    match = re.fullmatch(r"airbench-([1-9]\d*)", str(name))
    return int(match[1]) if match else None


def _wide_resnet(depth: int, widen: int, n_classes: int) -> nn.Sequential:
    """Wide residual network with pre-activation (Zagoruyko & Komodakis 2016).

    Its stages have 16, 32 and 64 channels times `widen`.
    """
    dropout = 0.3 if depth >= 28 else 0.0  # the paper's have it, the small ones for a CPU do not
    layers: list[nn.Module] = [_conv(3, 16, 3)]
    n_in = 16
    for n_out, stride in ((16 * widen, 1), (32 * widen, 2), (64 * widen, 2)):
        for block in range((depth - 4) // 6):
            layers.append(_WideBlock(n_in, n_out, stride if block == 0 else 1, dropout))
            n_in = n_out
    features = nn.Sequential(*layers, nn.BatchNorm2d(n_in), nn.ReLU(inplace=True))
    parts: OrderedDict[str, nn.Module] = OrderedDict(features=features)
    parts |= {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    return nn.Sequential(parts | {"linear": nn.Linear(n_in, n_classes)})


class _WideBlock(nn.Module):
    """norm, relu, conv, norm, relu, dropout, conv, plus a shortcut.

    The shortcut is a 1 x 1 convolution where the width changes.
    """

    def __init__(self, n_in: int, n_out: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.activate = nn.Sequential(nn.BatchNorm2d(n_in), nn.ReLU(inplace=True))
        between = [nn.BatchNorm2d(n_out), nn.ReLU(inplace=True)]
        between += [nn.Dropout(dropout)] if dropout else []
        self.branch = nn.Sequential(_conv(n_in, n_out, 3, stride), *between, _conv(n_out, n_out, 3))
        self.shortcut = _conv(n_in, n_out, 1, stride) if n_in != n_out else None

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        activated = self.activate(features)
        shortcut = features if self.shortcut is None else self.shortcut(activated)
        return shortcut + self.branch(activated)


def _conv(n_in: int, n_out: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(n_in, n_out, size, stride, padding=size // 2, bias=False)


def _resnet(name: str, n_classes: int, image_size: int) -> nn.Module:
    """torchvision's ResNet (He et al. 2016) or ResNeXt (Xie et al. 2017).

    For 32 px it has a 3 x 3 stem and no first pooling.
    """
    # Heavy, and the wide networks do without.
    from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

    if name == "resnet-50":
        return ResNet(Bottleneck, [3, 4, 6, 3], n_classes)
    if name == "resnet-18":
        network = ResNet(BasicBlock, [2, 2, 2, 2], n_classes)
        if image_size == 224:
            return network
    else:  # 4x32d, in three stages: torchvision's fourth is taken out
        network = ResNet(Bottleneck, [3, 3, 3, 1], groups=4, width_per_group=32)
        network.add_module("layer4", nn.Identity())
        network.fc = nn.Linear(1024, n_classes)
    network.conv1 = _conv(3, 64, 3)
    network.add_module("maxpool", nn.Identity())
    return network
