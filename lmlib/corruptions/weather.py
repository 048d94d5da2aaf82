"""Weather of C: snow, frost, fog, spatter.

Constants: hendrycks/robustness, `make_cifar_c.py` and `make_imagenet_c.py` (Apache-2.0).
"""

import math
from typing import Any

import cv2
import numpy as np

from .blur import motion_frames, smooth, zoomed
from .frost import textures
from .recipe import Field, Recipe, by_name, integer, plane, to_bytes, to_float, uniform

WATER = np.array([175, 238, 238], np.float32) / np.float32(255)  # pale turquoise
MUD = np.array([63, 42, 20], np.float32) / np.float32(255)


def whiten(x: np.ndarray, mix: float) -> np.ndarray:
    """Mix of the image and a brighter grey one: x float (n, 3, height, width).

    The grey is computed in float32, as in the reference.
    """
    red, green, blue = x.astype(np.float32).swapaxes(0, 1)
    grey = red * np.float32(0.299) + green * np.float32(0.587) + blue * np.float32(0.114)
    return mix * x + (1 - mix) * np.maximum(x, (grey * np.float32(1.5) + np.float32(0.5))[:, None])


def snow_frames(
    images: np.ndarray, p: tuple, normal: np.ndarray, angle: np.ndarray, dtype: type[np.floating]
) -> np.ndarray:
    """Moving flakes over a whitened image, and the same flakes turned by 180 degrees.

    normal: (n, height, width); angle: (n, t), in degrees, one for each frame; dtype: of the
    whitened image, which in the reference is float32 in C and float64 in P. Returns (n, t, 3,
    height, width).
    """
    mean, std, zoom, threshold, radius, sigma, mix = p
    layer = zoomed(mean + std * normal, zoom)
    layer[layer < threshold] = 0
    flakes = motion_frames(to_bytes(layer)[:, None], (radius, sigma), angle) / 255.0
    white = whiten(to_float(images, dtype), mix)[:, None]
    return to_bytes(white + flakes + flakes[..., ::-1, ::-1])


def snow(images: np.ndarray, p: tuple, normal: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Moving flakes over a whitened image; normal: (n, side, side); angle: (n,), in degrees."""
    return snow_frames(images, p, normal, angle[:, None], np.float32)[:, 0]


def frost(
    images: np.ndarray, p: tuple[float, float], texture: np.ndarray, corner: np.ndarray
) -> np.ndarray:
    """image_weight x + frost_weight (a crop of a frost photograph), on the scale 0 to 255.

    texture: (n,), 0 to 4; corner: (n, 2) in [0, 1), the crop's row and column as a share of the
    offsets 0 .. k - 1 that fit: (offset + 1/2) / k stands for an offset drawn elsewhere. For 32
    pixels the photographs are reduced by five, for 224 they are not.
    Raises FileNotFoundError where the photographs are absent: nothing else would
    be comparable.
    """
    crops, (height, width) = np.empty(images.shape), images.shape[2:]
    pictures, (image_weight, frost_weight) = textures(height), p
    for crop, which, share in zip(crops, texture, corner, strict=True):
        picture = pictures[which]
        top, left = (share * (np.array(picture.shape[1:]) - (height, width))).astype(int)
        crop[...] = picture[:, top : top + height, left : left + width]
    return np.clip(image_weight * images + frost_weight * crops, 0, 255).astype(np.uint8)


def plasma(uniform: np.ndarray, decay: float) -> np.ndarray:
    """Diamond-square heights on a torus of 2**k x 2**k, scaled to [0, 1]: float64 (n, 2**k, 2**k).

    uniform: (n, 4**k - 1) in [0, 1); for each step 2**k, ..., 4, 2 the draws are those of the
    squares' centres, the mid-points along x, the mid-points along y. The reference multiplies a
    U(-w, w) by w once more, so that heights scale with w squared.
    """
    size = math.isqrt(uniform.shape[1] + 1)
    height = np.zeros((len(uniform), size, size))
    step, wobble, start = size, 100.0, 0
    while step >= 2:
        half = step // 2
        corners, side = height[:, ::step, ::step], size // step
        drawn = uniform[:, start : start + 3 * side**2].reshape(len(uniform), 3, side, side)
        jitter = wobble * (-wobble + 2 * wobble * drawn)
        total = corners + np.roll(corners, -1, axis=1)
        total += np.roll(total, -1, axis=2)
        height[:, half::step, half::step] = total / 4 + jitter[:, 0]
        centres = height[:, half::step, half::step]
        total = (centres + np.roll(centres, 1, axis=1)) + (corners + np.roll(corners, -1, axis=2))
        height[:, ::step, half::step] = total / 4 + jitter[:, 1]
        total = (centres + np.roll(centres, 1, axis=2)) + (corners + np.roll(corners, -1, axis=1))
        height[:, half::step, ::step] = total / 4 + jitter[:, 2]
        start, step, wobble = start + 3 * side**2, half, wobble / decay
    height -= height.min(axis=(1, 2), keepdims=True)
    return height / height.max(axis=(1, 2), keepdims=True)


def fog(images: np.ndarray, p: tuple[float, float], uniform: np.ndarray) -> np.ndarray:
    """Add a plasma fractal, the same for the three channels, and scale the sum back.

    uniform: (n, 1023) for 32 pixels, (n, 65535) for 224, which see a part of 256.
    """
    amount, decay = p
    x, (height, width) = to_float(images), images.shape[2:]
    brightest = x.max(axis=(1, 2, 3), keepdims=True)
    hazy = x + amount * plasma(uniform, decay)[:, None, :height, :width]
    return to_bytes(hazy * brightest / (brightest + amount))


def drops(
    normal: np.ndarray, mean: float, std: float, sigma: float, threshold: float
) -> np.ndarray:
    """Where a smoothed normal field (n, side, side) is high; 0 elsewhere."""
    layer = smooth(mean + std * normal, sigma)
    layer[layer < threshold] = 0
    return layer


def shine(layer: np.ndarray) -> np.ndarray:
    """Where drops of water shine: bytes (side, side) to float32 of this shape in [0, 1].

    Without a drop or an edge it is NaN everywhere.
    """
    distance = cv2.distanceTransform(255 - cv2.Canny(layer, 50, 150), cv2.DIST_L2, 5)
    distance = cv2.equalizeHist(cv2.blur(np.minimum(distance, 20), (3, 3)).astype(np.uint8))
    emboss = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
    bright = layer * cv2.blur(cv2.filter2D(distance, cv2.CV_8U, emboss), (3, 3)).astype(np.float32)
    top = bright.max()
    return bright / top if top > 0 else np.full_like(bright, np.nan)


def add_water(x: np.ndarray, layer: np.ndarray, strength: float) -> np.ndarray:
    """x + strength x shine of the drops x colour, in float32, to bytes.

    x: (n, 3, side, side); layer: (n, side, side). Without a drop or an edge the whole image is
    black: the reference divides by a maximum of zero there.
    """
    masks = np.stack([shine(one) for one in (layer * 255).astype(np.uint8)]) * np.float32(strength)
    wet = np.clip(x + masks[:, None] * WATER[:, None, None], 0, 1)
    return to_bytes(np.nan_to_num(wet, copy=False, nan=0.0))


def spatter(images: np.ndarray, p: tuple, normal: np.ndarray) -> np.ndarray:
    """Drops of water (severity 1 to 3) or mud (4, 5) where a smoothed normal field is high.

    normal: (n, side, side).
    """
    mean, std, sigma, threshold, strength, is_mud = p
    layer, x = drops(normal, mean, std, sigma, threshold), to_float(images, np.float32)
    if not is_mud:
        return add_water(x, layer, strength)
    mud = smooth((layer > threshold).astype(np.float32), strength)[:, None]
    mud[mud < 0.8] = 0
    return to_bytes(x * (1 - mud) + MUD[:, None, None] * mud)


def heights(p: Any, size: int) -> Field:
    """A uniform value in [0, 1) for each point but one of the smallest torus that holds `size`."""
    return uniform(0, 1, 4 ** (size - 1).bit_length() - 1)


WEATHER = by_name(
    Recipe(
        snow,
        cifar=(
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
        imagenet=(
            (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
            (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
            (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
            (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
        ),
        normal=plane,
        angle=uniform(-135, -45),
    ),
    Recipe(
        frost,
        cifar=((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
        imagenet=((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
        texture=integer(0, 5),  # the sixth photograph is never used
        corner=uniform(0, 1, 2),
    ),
    Recipe(
        fog,
        cifar=((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
        imagenet=((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
        uniform=heights,
    ),
    Recipe(
        spatter,
        cifar=(
            (0.62, 0.1, 0.7, 0.7, 0.5, 0),
            (0.65, 0.1, 0.8, 0.7, 0.5, 0),
            (0.65, 0.3, 1, 0.69, 0.5, 0),
            (0.65, 0.1, 0.7, 0.69, 0.6, 1),
            (0.65, 0.1, 0.5, 0.68, 0.6, 1),
        ),
        imagenet=(
            (0.65, 0.3, 4, 0.69, 0.6, 0),
            (0.65, 0.3, 3, 0.68, 0.6, 0),
            (0.65, 0.3, 2, 0.68, 0.5, 0),
            (0.65, 0.3, 1, 0.65, 1.5, 1),
            (0.67, 0.4, 1, 0.65, 1.5, 1),
        ),
        normal=plane,
    ),
)
