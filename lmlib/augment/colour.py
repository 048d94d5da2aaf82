"""Operations on the values of pixels: one image, float32 (3, H, W) in [0, 1], at a time.

The arithmetic is that of torchvision v2's functionals; where Pillow rounds to 8 bits after every
operation, these stay in floats. Operations that are defined on 8-bit values (posterize, equalize)
round to them first.
"""

from typing import Any

import numpy as np

from ..compiled import compiled

BITS = np.float32(255)
ZERO, ONE = np.float32(0), np.float32(1)
RED, GREEN, BLUE = np.float32(0.2989), np.float32(0.587), np.float32(0.114)


@compiled
def clip(value: Any) -> Any:
    """A value into [0, 1]."""
    return min(max(value, ZERO), ONE)


@compiled
def identity(image: np.ndarray, out: np.ndarray) -> np.ndarray:
    """The image itself."""
    source, result = image.reshape(-1), out.reshape(-1)
    for n in range(len(source)):
        result[n] = source[n]
    return out


@compiled
def luma(image: np.ndarray, n: int) -> Any:
    """The grey value of the n-th pixel of an image (3, H W)."""
    return image[0, n] * RED + image[1, n] * GREEN + image[2, n] * BLUE


@compiled
def grayscale(image: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Luma of the image in all three channels."""
    source, result = image.reshape(3, -1), out.reshape(3, -1)
    for n in range(source.shape[1]):
        result[0, n] = result[1, n] = result[2, n] = luma(source, n)
    return out


@compiled
def brightness(image: np.ndarray, factor: Any, out: np.ndarray) -> np.ndarray:
    """Multiply by a factor, and clip. Overlaps the test corruption `brightness`."""
    source, result, factor = image.reshape(-1), out.reshape(-1), np.float32(factor)
    for n in range(len(source)):
        result[n] = clip(source[n] * factor)
    return out


@compiled
def autocontrast(image: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Stretch each channel to [0, 1]; a flat channel stays."""
    for c in range(3):
        source, result = image[c].reshape(-1), out[c].reshape(-1)
        # From 0 to 1 the bits of floats are in their order, and a compiler finds extremes of
        # integers eight at a time.
        bits = source.view(np.int32)
        low = high = bits[0]
        for n in range(len(bits)):
            low, high = min(low, bits[n]), max(high, bits[n])
        least, most = np.int32(low).view(np.float32), np.int32(high).view(np.float32)
        flat = most - least < np.float32(1e-30)
        least, scale = (ZERO, ONE) if flat else (least, ONE / (most - least))
        for n in range(len(source)):
            result[n] = clip((source[n] - least) * scale)
    return out


@compiled
def posterize(image: np.ndarray, bits: Any, out: np.ndarray) -> np.ndarray:
    """Keep the highest `bits` (rounded down) of the 8-bit value."""
    step = np.float32(2 ** (8 - int(bits)))
    part = ONE / step  # exact: a power of two
    source, result = image.reshape(-1), out.reshape(-1)
    for n in range(len(source)):
        result[n] = np.floor(np.rint(source[n] * BITS) * part) * step / BITS
    return out


@compiled
def solarize(image: np.ndarray, threshold: Any, out: np.ndarray) -> np.ndarray:
    """Invert the values at or above the threshold."""
    source, result, threshold = image.reshape(-1), out.reshape(-1), np.float32(threshold)
    for n in range(len(source)):
        result[n] = ONE - source[n] if source[n] >= threshold else source[n]
    return out


@compiled
def equalize(image: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Equalize the histogram of each channel of the 8-bit image."""
    table, n_pixels = np.empty(256, np.float32), image.shape[1] * image.shape[2]
    values = np.empty(n_pixels, np.uint8)
    for c in range(3):
        source, result = image[c].reshape(-1), out[c].reshape(-1)
        histogram = np.zeros(256, np.int64)
        for n in range(n_pixels):
            values[n] = np.uint8(np.rint(source[n] * BITS))
        for n in range(n_pixels):
            histogram[values[n]] += 1
        last = 255
        while histogram[last] == 0:
            last -= 1
        # The step leaves out the pixels of the highest value present; a step of zero (a flat
        # channel, or nearly) keeps the image.
        step = (n_pixels - histogram[last]) // 255
        below = 0
        for value in range(256):
            equal = min((below + step // 2) // step, 255) if step else value
            table[value] = np.float32(equal) / BITS
            below += histogram[value]
        for n in range(n_pixels):
            result[n] = table[values[n]]
    return out


@compiled
def enhance(plain: Any, value: Any, factor: Any) -> Any:
    """From a `plain` value (factor 0) to the image's own (1) and beyond, clipped."""
    return clip(value * factor + plain * (ONE - factor))


@compiled
def color(image: np.ndarray, factor: Any, out: np.ndarray) -> np.ndarray:
    """Saturation: 0 is grey, 1 the image. Overlaps the test corruption `saturate`."""
    source, result, factor = image.reshape(3, -1), out.reshape(3, -1), np.float32(factor)
    for n in range(source.shape[1]):
        grey = luma(source, n)
        for c in range(3):
            result[c, n] = enhance(grey, source[c, n], factor)
    return out


@compiled
def contrast(image: np.ndarray, factor: Any, out: np.ndarray) -> np.ndarray:
    """Contrast: 0 is the mean of the 8-bit luma everywhere, 1 the image.

    Overlaps the test corruption `contrast`.
    """
    pixels, total = image.reshape(3, -1), 0
    for n in range(pixels.shape[1]):
        total += int(np.rint(luma(pixels, n) * BITS))
    mean = np.float32(total / (pixels.shape[1] * 255))
    source, result, factor = image.reshape(-1), out.reshape(-1), np.float32(factor)
    for n in range(len(source)):
        result[n] = enhance(mean, source[n], factor)
    return out


@compiled
def sharpness(image: np.ndarray, factor: Any, out: np.ndarray) -> np.ndarray:
    """Sharpness: 0 is smoothed by (1 1 1, 1 5 1, 1 1 1) / 13 except at the border, 1 the image.

    Overlaps the blurring test corruptions.
    """
    height, width = image.shape[1:]
    factor, four, thirteen = np.float32(factor), np.float32(4), np.float32(13)
    identity(image, out)
    rows = np.empty(width, np.float32)
    for c in range(3):
        for y in range(1, height - 1):
            above, here, below, result = image[c, y - 1], image[c, y], image[c, y + 1], out[c, y]
            for x in range(width):
                rows[x] = above[x] + here[x] + below[x]
            for x in range(1, width - 1):
                smooth = (rows[x - 1] + rows[x] + rows[x + 1] + four * here[x]) / thirteen
                result[x] = enhance(smooth, here[x], factor)
    return out


@compiled
def invert(image: np.ndarray, out: np.ndarray) -> np.ndarray:
    """The negative."""
    source, result = image.reshape(-1), out.reshape(-1)
    for n in range(len(source)):
        result[n] = ONE - source[n]
    return out
