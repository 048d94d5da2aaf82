"""Outlier exposure: the images as they are, and outliers beside them.

The loss `oe` makes the predictions for outliers uniform.
"""

from typing import Any

import torch

from ..graphs import outside_graphs
from .base import Baseline
from .params import Size
from .windows import MixingMethod


class OutlierExposure(Baseline, MixingMethod):
    """Flip and crop alone, with one outlier for each image.

    mixing_set: where outliers come from, uint8 (F, 1 or 3, H', W'), at least as large as the
    images; flips: of the outliers. Differs from the paper: its outliers, 80 Million Tiny Images,
    were withdrawn, and pictures of the colour mixing set are a substitute; it takes two outliers
    for each image. Source: Hendrycks et al. 2019, weight 0.5.
    """

    def __init__(self, mixing_set: Any, flips: bool = True) -> None:
        super().__init__(mixing_set, flips)

    @outside_graphs
    def outliers(
        self, size: Size, *, seed: int, epoch: int, index: Any, device: Any = "cpu"
    ) -> torch.Tensor:
        """A keyed outlier for each sample: float32 (B, 3, height, width) in [0, 1], on `device`."""
        return self.mixing.images(size, seed=seed, epoch=epoch, index=index).to(device)
