"""Outlier exposure: the images as they are, and outliers beside them whose predictions the loss
`oe` makes uniform.
"""

from ..graphs import outside_graphs
from .base import Baseline
from .windows import MixingImages


class OutlierExposure(Baseline):
    """Flip and crop alone, with one outlier for each image.

    mixing_set: where outliers come from, uint8 (F, 1 or 3, H', W'), at least as large as the
    images; flips: of the outliers. Differs from the paper: its outliers, 80 Million Tiny Images,
    were withdrawn, and pictures of the colour mixing set are a substitute; it takes two outliers
    for each image. Source: Hendrycks et al. 2019, weight 0.5.
    """

    def __init__(self, mixing_set, flips=True):
        self.mixing = MixingImages(mixing_set, flips)

    def draw(self, size, key):
        self.mixing.draw(size, key)  # raises where the pictures are too small
        return super().draw(size, key)

    @outside_graphs
    def outliers(self, size, *, seed, epoch, index, device="cpu"):
        """A keyed outlier for each sample: float32 (B, 3, height, width) in [0, 1], on `device`."""
        picture, window = self.mixing.sample(size, seed=seed, epoch=epoch, index=index)
        return self.mixing.crop(picture, window, size).expand(-1, 3, -1, -1).to(device)
