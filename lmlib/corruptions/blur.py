"""Blurs of C: gaussian, glass, defocus, motion, zoom.

Constants: hendrycks/robustness, `make_cifar_c.py` and `make_imagenet_c.py` (Apache-2.0). Motion
blur is ImageMagick 6's `MotionBlurImage` at 16 bits a channel, followed by its PNG writer, which
truncates to 8 bits.
"""

from functools import lru_cache

import cv2
import numpy as np
from scipy import ndimage

from ..compiled import entry
from .recipe import Field, Recipe, by_name, integer, to_bytes, to_float, uniform

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


def glass_blur(images: np.ndarray, p: tuple[float, int, int], offset: np.ndarray) -> np.ndarray:
    """Blur, truncate to bytes, copy each pixel from a neighbour drawn at random, blur.

    offset: (n, iterations, rows, columns, 2), the offsets (dx, dy) of the pixels in the middle of
    the image, from the first on, which is the last that the scan reaches. The reference means to
    swap pixels, but both sides of its assignment are views of one array: the partner keeps its
    value.
    """
    sigma, _, _ = p
    x = to_bytes(smooth(to_float(images), sigma))
    copy_neighbours(x, offset)
    return to_bytes(smooth(to_float(x), sigma))


@entry
def copy_neighbours(images: np.ndarray, offset: np.ndarray) -> None:
    """The scan of glass blur, from the last pixel to the first, in place.

    images: uint8 (n, c, height, width); offset: int8 (n, iterations, rows, columns, 2), whose rows
    and columns end one pixel nearer to the last of the image than they begin to the first.
    """
    n, n_steps, n_rows, n_columns, _ = offset.shape
    top = (images.shape[2] - n_rows) // 2 + 1
    left = (images.shape[3] - n_columns) // 2 + 1
    for i, channel, step in np.ndindex(n, images.shape[1], n_steps):
        plane = images[i, channel]
        for h in range(n_rows - 1, -1, -1):
            for w in range(n_columns - 1, -1, -1):
                dx, dy = offset[i, step, h, w, 0], offset[i, step, h, w, 1]
                plane[top + h, left + w] = plane[top + h + dy, left + w + dx]


def defocus_blur(images: np.ndarray, p: tuple[float, float]) -> np.ndarray:
    """Correlation with a disk, softened by a small Gaussian.

    The border is mirrored without its edge pixel.
    """
    weights, rows, columns = disk(*p)
    reach = max(rows.max(), columns.max()) // 2
    padded = np.pad(to_float(images), [(0, 0)] * 2 + [(reach, reach)] * 2, mode="reflect")
    total = np.zeros((len(images), 1, *images.shape[1:]))
    rows, columns = (np.tile(taps, (len(images), 1, 1)) for taps in (rows, columns))
    add_shifted(padded, weights, rows, columns, total)
    return to_bytes(total[:, 0])


@lru_cache(maxsize=8)
def disk(radius: float, alias_sigma: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights of a softened disk and their rows and columns in a square about it, (k,) each.

    Weights that SciPy's correlation leaves out are left out.
    """
    reach, side = (8, 3) if radius <= 8 else (10, 5)
    squared = np.arange(-reach, reach + 1) ** 2
    sharp = (squared[:, None] + squared <= radius**2).astype(np.float32)
    kernel = cv2.GaussianBlur(sharp / sharp.sum(), (side, side), sigmaX=alias_sigma)
    rows, columns = np.nonzero(kernel > np.finfo(np.float64).eps)
    margin = min(rows.min(), columns.min())
    return kernel[rows, columns].astype(np.float64), rows - margin, columns - margin


def motion_taps(
    radius: int, sigma: float, angle: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights (k,), row and column offsets (..., k) of ImageMagick's motion blur, k = 2 radius + 1.

    angle: (...), in degrees. The blur is one-sided: the weights fall from the pixel itself
    outwards, so that the image also shifts.
    """
    k = np.arange(2 * radius + 1)
    weights = np.exp(-k * k / (2.0 * sigma * sigma)) / (np.sqrt(2.0 * np.pi) * sigma)
    x, y = (len(k) * f(np.pi * np.asarray(angle)[..., None] / 180.0) for f in (np.cos, np.sin))
    along = np.hypot(x, y)
    rows, columns = (np.ceil(k * part / along - 0.5).astype(int) for part in (y, x))
    return weights / weights.sum(), rows, columns


def motion_frames(images: np.ndarray, p: tuple[int, float], angle: np.ndarray) -> np.ndarray:
    """Motion blurs of bytes (n, c, height, width), one for each angle (n, t): (n, t, c, ...).

    angle: in degrees. Edge pixels are repeated beyond the border.
    """
    radius, sigma = p
    reach = [(0, 0)] * 2 + [(2 * radius, 2 * radius)] * 2
    padded = np.pad(images, reach, mode="edge").astype(np.float64) * BYTE_TO_16_BIT
    weights, rows, columns = motion_taps(radius, sigma, angle)
    n, c, height, width = images.shape
    total = np.zeros((n, angle.shape[1], c, height, width))
    add_shifted(padded, weights, rows + 2 * radius, columns + 2 * radius, total)
    total += 0.5
    return (total.astype(np.int64) // BYTE_TO_16_BIT).astype(np.uint8)


@entry
def add_shifted(
    padded: np.ndarray, weights: np.ndarray, rows: np.ndarray, columns: np.ndarray, out: np.ndarray
) -> None:
    """Add weights[k] x a plane from (rows[k], columns[k]) on, tap by tap.

    padded: float64 (n, c, ., .); weights: (k,); rows, columns: (n, t, k); out: (n, t, c, height,
    width).
    """
    for i, t, channel, y in np.ndindex(out.shape[:-1]):
        line = out[i, t, channel, y]
        for k in range(len(weights)):
            left, weight = columns[i, t, k], weights[k]
            source = padded[i, channel, y + rows[i, t, k], left : left + len(line)]
            for x in range(len(line)):
                line[x] += weight * source[x]


def motion_blur(images: np.ndarray, p: tuple[int, float], angle: np.ndarray) -> np.ndarray:
    """Motion blur, each image in its own direction; angle: (n,), in degrees."""
    return motion_frames(images, p, angle[:, None])[:, 0]


@lru_cache(maxsize=64)
def zoom_taps(factor: float, size: int) -> tuple[np.ndarray, np.ndarray]:
    """One axis of the reference's clipped zoom of `size` pixels to as many.

    Crop the middle, zoom linearly, crop `size` again. Corners stay corners; the second crop starts
    at (m - size) // 2, which is off the centre for odd m. Returns the first of the two pixels that
    each is made of, (size,), and their weights (size, 2).
    """
    crop = int(np.ceil(size / factor))
    start = (size - crop) // 2
    zoomed = ndimage.zoom(np.eye(size)[start : start + crop], (factor, 1), order=1)
    trim = (len(zoomed) - size) // 2
    matrix = zoomed[trim : trim + size]
    first = np.minimum((matrix != 0).argmax(axis=1), size - 2)
    return first, np.take_along_axis(matrix, first[:, None] + [0, 1], axis=1)


def zoomed(planes: np.ndarray, factor: float) -> np.ndarray:
    """Planes (..., size, size) zoomed by a factor about their middle: float64."""
    out, size = np.empty(planes.shape), planes.shape[-1]
    shape = -1, size, size
    fill_zoomed(planes.reshape(shape), *zoom_taps(factor, size), out.reshape(shape))
    return out


@entry
def fill_zoomed(
    planes: np.ndarray, first: np.ndarray, weights: np.ndarray, out: np.ndarray
) -> None:
    """Each pixel from two rows of two columns; planes, out: float64 (m, size, size)."""
    size = len(first)
    line = np.empty(size)
    for i, y in np.ndindex(len(planes), size):
        upper, lower = planes[i, first[y]], planes[i, first[y] + 1]
        for x in range(size):
            line[x] = weights[y, 0] * upper[x] + weights[y, 1] * lower[x]
        for x in range(size):
            left = first[x]
            out[i, y, x] = line[left] * weights[x, 0] + line[left + 1] * weights[x, 1]


def zoom_blur(images: np.ndarray, p: tuple[float, float]) -> np.ndarray:
    """Mean of the image and its zooms by np.arange(1, end, step), whose first is the image again.

    Summed in float32, as in the reference.
    """
    x, factors = to_float(images, np.float32), np.arange(1, *p)
    source = x.astype(np.float64)
    total = np.zeros(x.shape, np.float32)
    for factor in factors:
        total += zoomed(source, factor).astype(np.float32)
    return to_bytes((x + total) / np.float32(len(factors) + 1))


def glass_offsets(p: tuple[float, int, int], size: int) -> Field:
    """Offsets -reach .. reach - 1 along x and y, of all pixels that are `reach` from the border."""
    _, reach, n_steps = p
    side = size - 2 * reach
    return integer(-reach, reach, n_steps, side, side, 2, dtype=np.int8)


BLUR = by_name(
    Recipe(gaussian_blur, cifar=(0.4, 0.6, 0.7, 0.8, 1), imagenet=(1, 2, 3, 4, 6)),
    Recipe(
        glass_blur,  # sigma, reach in pixels, times
        cifar=((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
        imagenet=((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
        offset=glass_offsets,
    ),
    Recipe(
        defocus_blur,
        cifar=((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
        imagenet=((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    ),
    Recipe(
        motion_blur,
        cifar=((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
        imagenet=((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
        angle=uniform(-45, 45),
    ),
    Recipe(
        zoom_blur,  # end and step of the factors
        cifar=((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
        imagenet=((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
    ),
)
