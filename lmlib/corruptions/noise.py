"""Noise of CIFAR-C: gaussian, shot, impulse, speckle.

Constants and order: hendrycks/robustness, `make_cifar_c.py` (Apache-2.0). Images may have further
axes that the draws extend, as the frames of CIFAR-P do.
"""

from functools import lru_cache

import numpy as np
from scipy.special import pdtr

from .recipe import SIZE, Recipe, by_name, normal, to_bytes, to_float, uniform

IMAGE = 3, SIZE, SIZE


def gaussian_noise(images: np.ndarray, sigma: float, normal: np.ndarray) -> np.ndarray:
    """x + sigma N in the precision of N, each channel its own; normal: (n, 3, 32, 32)."""
    return to_bytes(to_float(images, normal.dtype.type) + sigma * normal)


def speckle_noise(images: np.ndarray, sigma: float, normal: np.ndarray) -> np.ndarray:
    """x + x sigma N; normal: (n, 3, 32, 32)."""
    x = to_float(images)
    return to_bytes(x + x * (sigma * normal))


def impulse_noise(
    images: np.ndarray, amount: float, hit: np.ndarray, salt: np.ndarray
) -> np.ndarray:
    """A value with hit <= amount becomes 1 where salt <= 1/2, else 0.

    hit, salt: uniform (n, 3, 32, 32), so that specks are coloured.
    """
    return np.where(hit <= amount, np.where(salt <= 0.5, np.uint8(255), np.uint8(0)), images)


def shot_noise(images: np.ndarray, photons: float, uniform: np.ndarray) -> np.ndarray:
    """Poisson(photons x) / photons.

    The count is the quantile of `uniform` (n, 3, 32, 32): the smallest k with P(K <= k) >= it.
    Pixels are sorted by their grey level, so that each of the 256 distributions is searched once.
    """
    level = np.broadcast_to(images, uniform.shape).ravel()
    order, ends = np.argsort(level, kind="stable"), np.cumsum(np.bincount(level, minlength=256))
    count = np.empty(uniform.shape, np.int32)
    for cdf, pixels in zip(_poisson_cdf(photons), np.split(order, ends[:-1]), strict=True):
        count.ravel()[pixels] = np.searchsorted(cdf, uniform.ravel()[pixels])
    return to_bytes(count / photons)


@lru_cache(maxsize=8)
def _poisson_cdf(photons: float) -> np.ndarray:
    """P(K <= k) of Poisson(photons x) for each grey level: (256, k)."""
    rate = to_float(np.arange(256)) * photons
    # Ten standard deviations: no draw below 1 lies beyond.
    k = np.arange(int(photons + 10 * np.sqrt(photons) + 20))
    cdf = pdtr(k, rate[:, None])
    cdf[:, -1] = 1
    return cdf


NOISE = by_name(
    Recipe(gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10), normal=normal(*IMAGE)),
    Recipe(shot_noise, (500, 250, 100, 75, 50), uniform=uniform(0, 1, *IMAGE)),
    Recipe(
        impulse_noise,
        (0.01, 0.02, 0.03, 0.05, 0.07),
        hit=uniform(0, 1, *IMAGE),
        salt=uniform(0, 1, *IMAGE),
    ),
    Recipe(speckle_noise, (0.06, 0.1, 0.12, 0.16, 0.2), normal=normal(*IMAGE)),
)
