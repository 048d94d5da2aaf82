"""Blurs of CIFAR-C: gaussian, glass, defocus, motion, zoom.

Constants: hendrycks/robustness, `make_cifar_c.py` (Apache-2.0). Motion blur is ImageMagick 6's
`MotionBlurImage` at 16 bits a channel, followed by its PNG writer, which truncates to 8 bits.
"""

from functools import lru_cache

import cv2
import numpy as np
from scipy import ndimage

from .recipe import SIZE, Recipe, by_name, integer, to_bytes, to_float, uniform

BYTE_TO_16_BIT = 257


def smooth(
    planes: np.ndarray, sigma: float, truncate: float = 4.0, mode: str = "nearest"
) -> np.ndarray:
    """Gaussian filter of the last two axes; by default as scikit-image's `gaussian`.

    There edge pixels are repeated beyond the border.
    """
    return ndimage.gaussian_filter(planes, sigma, axes=(-2, -1), mode=mode, truncate=truncate)


def gaussian_blur(images: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian filter, channels apart."""
    return to_bytes(smooth(to_float(images), sigma))


def glass_blur(images: np.ndarray, p: tuple[float, int], offset: np.ndarray) -> np.ndarray:
    """Blur, truncate to bytes, copy each pixel from a neighbour drawn at random, blur.

    offset: (n, iterations, 30, 30, 2), entries -1 or 0; offset[:, :, h - 2, w - 2] = (dx, dy) of
    the pixel (h, w), h, w = 2 .. 31. The reference means to swap pixels, but both sides of its
    assignment are views of one array: the partner keeps its value. Its scan visits a pixel before
    any of its sources, so that an iteration is one gather; rows and columns 0 and 1 stay.
    """
    sigma, _ = p
    x = to_bytes(smooth(to_float(images), sigma))
    n, steps = len(x), offset.shape[1]
    source = np.tile(np.arange(SIZE * SIZE).reshape(SIZE, SIZE), (n, steps, 1, 1))
    source[:, :, 2:, 2:] += offset[..., 1].astype(np.int64) * SIZE + offset[..., 0]
    for step in range(steps):
        flat = source[:, step].reshape(n, 1, SIZE * SIZE)
        x = np.take_along_axis(x.reshape(n, 3, SIZE * SIZE), flat, axis=2)
    return to_bytes(smooth(to_float(x.reshape(images.shape)), sigma))


def defocus_blur(images: np.ndarray, p: tuple[float, float]) -> np.ndarray:
    """Correlation with a small disk, softened by a 3 x 3 Gaussian.

    The border is mirrored without its edge pixel.
    """
    return to_bytes(ndimage.correlate(to_float(images), _disk(*p)[None, None], mode="mirror"))


@lru_cache(maxsize=8)
def _disk(radius: float, alias_sigma: float) -> np.ndarray:
    reach = np.arange(-8, 9)
    disk = (reach[:, None] ** 2 + reach**2 <= radius**2).astype(np.float32)
    kernel = cv2.GaussianBlur(disk / disk.sum(), (3, 3), sigmaX=alias_sigma)
    # Beyond two pixels it is zero for every radius used here (<= 1.5).
    return kernel[6:11, 6:11].astype(np.float64)


def motion_taps(
    radius: int, sigma: float, angle: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, row and column offsets of ImageMagick's motion blur, (2 radius + 1,) each.

    angle: in degrees. The blur is one-sided: the weights fall from the pixel itself outwards, so
    that the image also shifts.
    """
    k = np.arange(2 * radius + 1)
    weights = np.exp(-k * k / (2.0 * sigma * sigma)) / (np.sqrt(2.0 * np.pi) * sigma)
    x, y = (len(k) * f(np.pi * angle / 180.0) for f in (np.cos, np.sin))
    along = np.hypot(x, y)
    rows, columns = (np.ceil(k * part / along - 0.5).astype(int) for part in (y, x))
    return weights / weights.sum(), rows, columns


def moved(planes: np.ndarray, radius: int, sigma: float, angle: float) -> np.ndarray:
    """Motion blur of bytes (..., 32, 32) in one direction: the sum of shifted planes.

    Edge pixels are repeated beyond the border.
    """
    reach = 2 * radius
    pad = [(0, 0)] * (planes.ndim - 2) + [(reach, reach)] * 2
    padded = np.pad(planes.astype(np.float64) * BYTE_TO_16_BIT, pad, mode="edge")
    total = np.zeros(planes.shape)
    for weight, row, column in zip(*motion_taps(radius, sigma, angle), strict=True):
        top, left = reach + row, reach + column
        total += weight * padded[..., top : top + SIZE, left : left + SIZE]
    return ((total + 0.5).astype(np.int64) // BYTE_TO_16_BIT).astype(np.uint8)


def motion_blur(planes: np.ndarray, p: tuple[int, float], angle: np.ndarray) -> np.ndarray:
    """Motion blur of bytes (n, ..., 32, 32), each with its own angle (n,) in degrees."""
    radius, sigma = p
    return np.stack([moved(one, radius, sigma, a) for one, a in zip(planes, angle, strict=True)])


@lru_cache(maxsize=64)
def zoom_matrix(factor: float) -> np.ndarray:
    """One axis of the reference's clipped zoom as a matrix (32, 32).

    Crop the middle, zoom linearly, crop 32 again. Corners stay corners; the second crop starts at
    (m - 32) // 2, which is off the centre for odd m.
    """
    crop = int(np.ceil(SIZE / factor))
    start = (SIZE - crop) // 2
    zoomed = ndimage.zoom(np.eye(SIZE)[start : start + crop], (factor, 1), order=1)
    trim = (len(zoomed) - SIZE) // 2
    return zoomed[trim : trim + SIZE]


def zoom_blur(images: np.ndarray, end: float) -> np.ndarray:
    """Mean of the image and its zooms by np.arange(1, end, 0.01), whose first is the image again.

    Summed in float32, as in the reference.
    """
    x, factors = to_float(images, np.float32), np.arange(1, end, 0.01)
    source = x.astype(np.float64)
    total = np.zeros(x.shape, np.float32)
    for matrix in map(zoom_matrix, factors):
        total += (matrix @ source @ matrix.T).astype(np.float32)
    return to_bytes((x + total) / np.float32(len(factors) + 1))


BLUR = by_name(
    Recipe(gaussian_blur, (0.4, 0.6, 0.7, 0.8, 1)),
    Recipe(
        glass_blur,
        ((0.05, 1), (0.25, 1), (0.4, 1), (0.25, 2), (0.4, 2)),
        offset=lambda p: integer(-1, 1, p[1], 30, 30, 2, dtype=np.int8),
    ),
    Recipe(defocus_blur, ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))),
    Recipe(motion_blur, ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)), angle=uniform(-45, 45)),
    Recipe(zoom_blur, (1.06, 1.11, 1.16, 1.21, 1.26)),
)
