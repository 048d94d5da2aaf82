"""Noise of C: gaussian, shot, impulse, speckle.

Constants and order: hendrycks/robustness, `make_cifar_c.py` and `make_imagenet_c.py` (Apache-2.0).
Images may have further axes that the draws extend, as the frames of CIFAR-P do.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import pdtr

from ..compiled import entry
from .recipe import Field, Recipe, by_name, normal, to_bytes, to_float, uniform


def gaussian_noise(images: np.ndarray, sigma: float, normal: np.ndarray) -> np.ndarray:
    """x + sigma N in the precision of N, each channel its own; normal: (n, 3, side, side)."""
    return to_bytes(to_float(images, normal.dtype.type) + sigma * normal)


def speckle_noise(images: np.ndarray, sigma: float, normal: np.ndarray) -> np.ndarray:
    """x + x sigma N; normal: (n, 3, side, side)."""
    x = to_float(images)
    return to_bytes(x + x * (sigma * normal))


def impulse_noise(
    images: np.ndarray, amount: float, hit: np.ndarray, salt: np.ndarray
) -> np.ndarray:
    """A value with hit <= amount becomes 1 where salt <= 1/2, else 0.

    hit, salt: uniform (n, 3, side, side), so that specks are coloured.
    """
    return np.where(hit <= amount, np.where(salt <= 0.5, np.uint8(255), np.uint8(0)), images)


def shot_noise(images: np.ndarray, photons: float, uniform: np.ndarray) -> np.ndarray:
    """Poisson(photons x) / photons.

    The count is the quantile of `uniform` (n, 3, side, side): the smallest k with P(K <= k) >= it,
    so that (P(K < k) + P(K <= k)) / 2 stands for a count k that was drawn elsewhere.
    """
    levels = np.array(np.broadcast_to(images, uniform.shape))
    out = np.empty(uniform.shape, np.uint8)
    cdf, start = _poisson(photons)
    values = to_bytes(np.arange(cdf.shape[1]) / photons)
    fill_quantiles(levels.ravel(), uniform.ravel(), cdf, start, values, out.ravel())
    return out


@lru_cache(maxsize=8)
def _poisson(photons: float) -> tuple[np.ndarray, np.ndarray]:
    """P(K <= k) of Poisson(photons x) for each grey level, (256, k), and where to look for a count.

    The second is (256, 64): the quantile of each sixty-fourth.
    """
    rate = to_float(np.arange(256)) * photons
    # Ten standard deviations: no draw below 1 lies beyond.
    k = np.arange(int(photons + 10 * np.sqrt(photons) + 20))
    cdf = pdtr(k, rate[:, None])
    cdf[:, -1] = 1
    return cdf, np.stack([np.searchsorted(one, np.arange(64) / 64) for one in cdf])


@entry
def fill_quantiles(
    levels: np.ndarray,
    uniform: np.ndarray,
    cdf: np.ndarray,
    start: np.ndarray,
    values: np.ndarray,
    out: np.ndarray,
) -> None:
    """values[k] of the smallest k with cdf[level, k] >= the uniform draw, for each of the pixels.

    levels, uniform, out: (m,); cdf: (256, k); start: (256, 64), where to begin; values: (k,).
    """
    for m in range(len(levels)):
        level, draw = levels[m], uniform[m]
        k = start[level, int(draw * 64)]
        while cdf[level, k] < draw:
            k += 1
        out[m] = values[k]


def normals(p: Any, size: int) -> Field:
    """A standard normal value for each channel of each pixel."""
    return normal(3, size, size)


def uniforms(p: Any, size: int) -> Field:
    """A uniform value in [0, 1) for each channel of each pixel."""
    return uniform(0, 1, 3, size, size)


NOISE = by_name(
    Recipe(
        gaussian_noise,
        cifar=(0.04, 0.06, 0.08, 0.09, 0.10),
        imagenet=(0.08, 0.12, 0.18, 0.26, 0.38),
        normal=normals,
    ),
    Recipe(
        shot_noise,
        cifar=(500, 250, 100, 75, 50),
        imagenet=(60, 25, 12, 5, 3),
        uniform=uniforms,
    ),
    Recipe(
        impulse_noise,
        cifar=(0.01, 0.02, 0.03, 0.05, 0.07),
        imagenet=(0.03, 0.06, 0.09, 0.17, 0.27),
        hit=uniforms,
        salt=uniforms,
    ),
    Recipe(
        speckle_noise,
        cifar=(0.06, 0.1, 0.12, 0.16, 0.2),
        imagenet=(0.15, 0.2, 0.35, 0.45, 0.6),
        normal=normals,
    ),
)
