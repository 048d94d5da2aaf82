"""torchvision's first weights of ResNet-18 and ResNet-50 for ImageNet, handed in as files.

`IMAGENET1K_V1`: 69.76 and 76.13 % right on the validation pictures, as the paper's networks start.
The second ones of ResNet-50 were trained otherwise. torchvision would download them; a study takes
them from data/raw alone, and reads them once their checksum begins as their names say.
"""

from functools import cache
from pathlib import Path
from typing import Any

import torch

from .. import paths
from ..files import verify

FILES = {"resnet-18": "resnet18-f37072fd.pth", "resnet-50": "resnet50-0676ba61.pth"}
ADDRESS = "https://download.pytorch.org/models"
N_CLASSES = 1000


def check(network: str) -> Path:
    """The file of a network's weights, of "resnet-18" or "resnet-50", held against its checksum.

    The sha256 begins with the eight digits in its name. Raises ValueError where it is missing or
    another.
    """
    path = paths.RAW / FILES[network]
    if not path.exists():
        raise ValueError(
            f"the ImageNet weights of {network} are missing: put {ADDRESS}/{path.name} into "
            f"{path.parent}, the file or a link to it"
        )
    return _verified(path, path.stat().st_mtime_ns)


@cache
def _verified(path: Path, changed: int) -> Path:
    verify(path, "sha256", path.stem.rpartition("-")[2])
    return path


def load(model: Any, network: str) -> None:
    """Load the weights into torchvision's network: all, or all but a last layer of other classes.

    Nothing is unpickled before the checksum matched. Raises ValueError as `check`.
    """
    weights = torch.load(check(network), weights_only=True, map_location="cpu")
    if model.fc.out_features != N_CLASSES:
        weights |= {f"fc.{name}": value for name, value in model.fc.state_dict().items()}
    model.load_state_dict(weights)
