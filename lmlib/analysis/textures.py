"""What a mixing set looks like in numbers: power by frequency, contours and their dimension."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage
from skimage.measure import block_reduce


def radial_power_spectrum(image: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies and the mean power of a grey `image` (H, W) at each: float64 (K,) both.

    Frequencies are in cycles per pixel, from 1 / min(H, W) to just below 1/2. The mean is
    subtracted and a Hann window applied, so that the edges, which do not meet, add no cross of
    power. Raises ValueError for an image below 8 x 8 pixels.
    """
    image = _grey(image)
    height, width = image.shape
    window = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[None, 1:-1]
    centred = (image - np.average(image, weights=window)) * window
    power = np.abs(np.fft.fft2(centred)) ** 2 / (window**2).sum()
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    shortest = min(height, width)
    ring = np.rint(radius * shortest).astype(int)
    rings = np.arange(1, (shortest + 1) // 2)
    return rings / shortest, ndimage.mean(power, ring, rings)


def spectrum_slope(image: ArrayLike) -> float:
    """Slope of log power against log frequency of a grey `image` (H, W).

    It is 0 for white noise and about -2 for photographs. Least squares over the frequencies from
    2 / min(H, W) up; the first is left out, as the window blurs the mean into it.
    """
    frequency, power = radial_power_spectrum(image)
    return float(np.polyfit(np.log(frequency[1:]), np.log(np.maximum(power[1:], 1e-12)), 1)[0])


def contour(image: ArrayLike) -> np.ndarray:
    """The pixels of a grey `image` (H, W) that cross its median to the right or below: bool (H, W).

    A smooth picture's contour is a few curves; of white noise it is three pixels in four.
    """
    image = _grey(image)
    bright = image > np.median(image)
    mask = np.zeros(bright.shape, bool)
    mask[:, :-1] |= bright[:, :-1] != bright[:, 1:]
    mask[:-1] |= bright[:-1] != bright[1:]
    return mask


def box_counting_dimension(mask: ArrayLike) -> float:
    """Box-counting dimension of the true pixels of `mask` (H, W).

    It is 2 for a filled area, 1 for a line, 0 for a point: minus the least-squares slope of log
    N(s) against log s for boxes of side s = 1, 2, 4, ... up to a quarter of the shorter side, laid
    from the corner; boxes that reach over the border count what they hold. Raises ValueError for an
    empty mask or one below 8 x 8 pixels.
    """
    mask = np.asarray(mask, bool)
    if mask.ndim != 2 or min(mask.shape) < 8 or not mask.any():
        got = f"{mask.shape}, {mask.sum()} true"
        raise ValueError(f"expected a mask (H, W), at least 8 x 8, with a true pixel, got {got}")
    sides = 2 ** np.arange(int(np.log2(min(mask.shape) / 4)) + 1)
    counts = [block_reduce(mask, int(side), np.max).sum() for side in sides]
    return -float(np.polyfit(np.log(sides), np.log(counts), 1)[0])


def _grey(image: ArrayLike) -> np.ndarray:
    grey = np.asarray(image, np.float64)
    if grey.ndim != 2 or min(grey.shape) < 8:
        raise ValueError(f"expected one grey image (H, W), at least 8 x 8, got {grey.shape}")
    return grey
