"""Digital corruptions of C: colour, contrast, pixelate, JPEG, elastic transform.

Constants: hendrycks/robustness, `make_cifar_c.py` and `make_imagenet_c.py` (Apache-2.0).
"""

import math
from collections.abc import Callable
from io import BytesIO
from typing import Any

import cv2
import numpy as np
from PIL import Image

from ..compiled import entry
from .blur import smooth
from .recipe import Field, Recipe, bilinear, by_name, to_bytes, to_float, uniform

# Which of (value, low, falling, rising) red, green and blue are in each sixth of the hues; the
# seventh is where a hue just below 0 became 1.
SHADES = np.array([(0, 3, 1), (2, 0, 1), (1, 0, 3), (1, 2, 0), (3, 1, 0), (0, 1, 2), (0, 3, 1)])


def brightness(images: np.ndarray, amount: float) -> np.ndarray:
    """V + amount in HSV; hue and saturation stay."""
    out = np.empty_like(images)
    change_hsv(images, 1.0, 0.0, float(amount), out)
    return out


def saturate(images: np.ndarray, p: tuple[float, float]) -> np.ndarray:
    """factor S + offset in HSV. Grey pixels have hue 0, so that an offset tints them red."""
    out = np.empty_like(images)
    change_hsv(images, float(p[0]), float(p[1]), 0.0, out)
    return out


@entry
def change_hsv(
    images: np.ndarray, factor: float, offset: float, amount: float, out: np.ndarray
) -> None:
    """Bytes (n, 3, height, width) with factor S + offset and V + amount in place of S and V.

    The arithmetic is that of scikit-image's `rgb2hsv` and `hsv2rgb`.
    """
    n, _, height, width = images.shape
    for i, y, x in np.ndindex(n, height, width):
        red, green = images[i, 0, y, x] / 255.0, images[i, 1, y, x] / 255.0
        blue = images[i, 2, y, x] / 255.0
        value = max(red, green, blue)
        spread = value - min(red, green, blue)
        hue, saturation = 0.0, 0.0
        if spread > 0:
            saturation = spread / value
            hue = (green - blue) / spread
            if blue == value:
                hue = 4.0 + (red - green) / spread
            elif green == value:
                hue = 2.0 + (blue - red) / spread
            hue = hue / 6.0 % 1.0
        saturation = min(max(saturation * factor + offset, 0.0), 1.0)
        value = min(max(value + amount, 0.0), 1.0)
        sector = math.floor(hue * 6)
        share = hue * 6 - sector
        low, falling = value * (1 - saturation), value * (1 - share * saturation)
        shades = value, low, falling, value * (1 - (1 - share) * saturation)
        for channel in range(3):
            out[i, channel, y, x] = np.uint8(shades[SHADES[sector, channel]] * 255)


def contrast(images: np.ndarray, factor: float) -> np.ndarray:
    """(x - mean) factor + mean, the mean of each channel over the image.

    It is summed pixel by pixel, as NumPy does for (height, width, 3).
    """
    x = to_float(images)
    n_pixels = x[0, 0].size
    by_pixel = np.ascontiguousarray(x.reshape(-1, n_pixels).T)
    mean = (by_pixel.sum(axis=0) / n_pixels).reshape(-1, 3, 1, 1)
    return to_bytes((x - mean) * factor + mean)


def pixelate(images: np.ndarray, side: int) -> np.ndarray:
    """Box filter down to side x side, and back."""
    box = Image.Resampling.BOX

    def through_blocks(picture: Image.Image) -> Image.Image:
        return picture.resize((side, side), box).resize(picture.size, box)

    return by_picture(images, through_blocks)


def jpeg_compression(images: np.ndarray, quality: int) -> np.ndarray:
    """Through a JPEG file of this quality with Pillow's defaults (chroma halved both ways)."""

    def through_file(picture: Image.Image) -> Image.Image:
        file = BytesIO()
        picture.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return by_picture(images, through_file)


def by_picture(images: np.ndarray, change: Callable[[Image.Image], Any]) -> np.ndarray:
    """Each of uint8 (n, 3, height, width) as a Pillow image through `change`.

    `change` gives an image or an array (..., height, width, 3). Returns uint8 (n, ..., 3, height,
    width).
    """
    pictures = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    changed = [np.asarray(change(Image.fromarray(picture))) for picture in pictures]
    return np.moveaxis(np.stack(changed), -1, -3)


def elastic_transform(
    images: np.ndarray,
    p: tuple[float, float, float],
    jitter: np.ndarray,
    dx: np.ndarray,
    dy: np.ndarray,
) -> np.ndarray:
    """A random affine warp, then a smooth random displacement, each bilinear with mirrored borders.

    jitter: (n, 3, 2), pixels by which three points move, which for 32 pixels are (26, 26), (26, 6),
    (6, 6), for 224 (186, 186), (186, 38), (38, 38); dx, dy: (n, side, side) in [-1, 1). OpenCV
    before 5 rounded the coordinates of the warp to 1/32 pixel; we keep the exact ones.
    """
    alpha, sigma, _ = p
    height, width = images.shape[2:]
    reach = min(height, width) // 3
    corners = np.array([[reach, reach], [reach, -reach], [-reach, -reach]])
    points = (np.array([height, width]) // 2 + corners).astype(np.float32)
    warped = np.empty((len(images), height, width, 3), np.float32)
    for out, picture, shift in zip(
        warped, images.transpose(0, 2, 3, 1), jitter.astype(np.float32), strict=True
    ):
        warp = cv2.getAffineTransform(points, points + shift)
        x = to_float(picture, np.float32)
        cv2.warpAffine(x, warp, (width, height), dst=out, borderMode=cv2.BORDER_REFLECT_101)
    x = warped.transpose(0, 3, 1, 2)
    if alpha:
        rows, columns = np.mgrid[:height, :width]
        down, right = (
            (smooth(field, sigma, 3, "reflect") * alpha).astype(np.float32) for field in (dy, dx)
        )
        x = bilinear(x, rows + down, columns + right, "symmetric").astype(np.float32)
    return to_bytes(np.ascontiguousarray(x))


def shifts(p: Any, size: int) -> Field:
    """A uniform value in [-1, 1) for each pixel."""
    return uniform(-1, 1, size, size)


DIGITAL = by_name(
    Recipe(brightness, cifar=(0.05, 0.1, 0.15, 0.2, 0.3), imagenet=(0.1, 0.2, 0.3, 0.4, 0.5)),
    Recipe(
        saturate,
        cifar=((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
        imagenet=((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
    ),
    Recipe(contrast, cifar=(0.75, 0.5, 0.4, 0.3, 0.15), imagenet=(0.4, 0.3, 0.2, 0.1, 0.05)),
    Recipe(pixelate, cifar=(30, 28, 27, 24, 20), imagenet=(134, 112, 89, 67, 56)),
    Recipe(jpeg_compression, cifar=(80, 65, 58, 50, 40), imagenet=(25, 18, 15, 10, 7)),
    Recipe(
        # Alpha, sigma and jitter in pixels: 32 x (0, 0, .08) and so on; at 224 the reference has
        # 244 x (2, .7, .1) and so on.
        elastic_transform,
        cifar=(
            (0, 0, 2.56),
            (1.6, 6.4, 2.24),
            (2.56, 1.92, 1.92),
            (3.2, 1.28, 1.6),
            (3.2, 0.96, 0.96),
        ),
        imagenet=(
            (244 * 2, 244 * 0.7, 244 * 0.1),
            (244 * 2, 244 * 0.08, 244 * 0.2),
            (244 * 0.05, 244 * 0.01, 244 * 0.02),
            (244 * 0.07, 244 * 0.01, 244 * 0.02),
            (244 * 0.12, 244 * 0.01, 244 * 0.02),
        ),
        jitter=lambda p, size: uniform(-p[2], p[2], 3, 2),
        dx=shifts,
        dy=shifts,
    ),
)
