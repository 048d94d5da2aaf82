"""The sequences of CIFAR-P: the frames of one image under a growing or moving perturbation.

Constants and order: hendrycks/robustness, `make_cifar_p.py` (Apache-2.0), difficulty 1; geometry
about (16.5, 16.5) and with the shear of torchvision 0.2, as when the benchmark was made. Frames are
uint8 (n, T, 3, 32, 32).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from PIL import Image
from scipy import ndimage

from ..compiled import entry
from . import digital, weather
from .blur import motion_frames, smooth
from .digital import by_picture
from .noise import IMAGE, gaussian_noise, shot_noise, speckle_noise
from .recipe import SIZE, Field, Recipe, normal, to_bytes, to_float, uniform
from .weather import add_water, drops

N_FRAMES = 31
CENTRE = SIZE * 0.5 + 0.5  # torchvision of 2018; today it is 16


def after_clean(noise: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Frame 0 clean, then 30 frames of independent `noise` of CIFAR-C.

    Its draws are (n, 30, 3, 32, 32).
    """

    def sequence(images: np.ndarray, p: float, **draws: np.ndarray) -> np.ndarray:
        images = images[:, None]
        return np.concatenate([images, noise(images, p, **draws)], axis=1)

    return sequence


def motion_blur(images: np.ndarray, p: tuple[int, float, Sequence[float]]) -> np.ndarray:
    """The direction of the blur turns from -180 to 0 degrees in 21 frames."""
    radius, sigma, angles = p
    return motion_frames(images, (radius, sigma), np.tile(angles, (len(images), 1)))


def snow(images: np.ndarray, p: tuple, normal: np.ndarray) -> np.ndarray:
    """Flakes whose motion blur turns from -150 to -30 degrees, over a whitened image.

    normal: (n, 32, 32).
    """
    angles = np.tile(4 * np.arange(N_FRAMES) - 150, (len(images), 1))
    return weather.snow_frames(images, p, normal, angles, np.float64)


def brightness(images: np.ndarray, step: float) -> np.ndarray:
    """V + step (i - 15) % in HSV.

    No frame is the clean image: the HSV round trip and the truncation change it.
    """
    frames = [digital.brightness(images, (i - 15) * step / 100) for i in range(N_FRAMES)]
    return np.stack(frames, axis=1)


def gaussian_blur(images: np.ndarray, sigmas: Sequence[float]) -> np.ndarray:
    """Gaussian filters of growing sigma, cut at 7 sigma."""
    x = to_float(images)
    return np.stack([to_bytes(smooth(x, sigma, truncate=7.0)) for sigma in sigmas], axis=1)


def spatter(images: np.ndarray, p: tuple, normal: np.ndarray) -> np.ndarray:
    """Drops of water that run down; normal: (n, 32, 32).

    A frame without a drop or an edge is black, as in the reference.
    """
    mean, std, sigma, threshold, strength = p
    layer, x = drops(normal, mean, std, sigma, threshold), to_float(images, np.float32)
    frames = []
    for _ in range(N_FRAMES):
        frames.append(add_water(x, layer, strength))
        layer = ndimage.convolve1d(layer, [0.2, 0.8], axis=1, mode="constant", origin=-1)
    return np.stack(frames, axis=1)


def inverse_affine(angle: float = 0, scale: float = 1, shear: float = 0) -> tuple[float, ...]:
    """The six numbers Pillow wants, output to input, about CENTRE: angle and shear in degrees.

    Forward: (cos a, -sin(a + shear); sin a, cos(a + shear)) times scale. Today's torchvision shears
    without the cosine.
    """
    a, s = math.radians(angle), math.radians(shear)
    size = 1.0 / scale / (math.cos(a + s) * math.cos(a) + math.sin(a + s) * math.sin(a))
    xx, xy, yx, yy = (
        size * value for value in (math.cos(a + s), math.sin(a + s), -math.sin(a), math.cos(a))
    )
    x_offset, y_offset = (a * -CENTRE + b * -CENTRE + CENTRE for a, b in ((xx, xy), (yx, yy)))
    return xx, xy, x_offset, yx, yy, y_offset


def geometry(images: np.ndarray, warps: Sequence[tuple[float, ...]]) -> np.ndarray:
    """One frame for each affine warp, bilinear, black outside."""
    out = np.empty((len(images), len(warps), *images.shape[1:]), np.uint8)
    fill_warped(images, np.array(warps), out)
    return out


@entry
def fill_warped(images: np.ndarray, warps: np.ndarray, out: np.ndarray) -> None:
    """Pillow's bilinear affine transform of each of the images by each of the warps.

    images: uint8 (n, c, height, width); warps: (t, 6); out: uint8 (n, t, c, height, width).
    """
    n, n_frames, channels, height, width = out.shape
    for t in range(n_frames):
        xx, xy, x_offset = warps[t, 0], warps[t, 1], warps[t, 2]
        yx, yy, y_offset = warps[t, 3], warps[t, 4], warps[t, 5]
        for y in range(height):
            for x in range(width):
                column = xx * (x + 0.5) + xy * (y + 0.5) + x_offset
                row = yx * (x + 0.5) + yy * (y + 0.5) + y_offset
                inside = 0 <= column < width and 0 <= row < height
                left, top = math.floor(column - 0.5), math.floor(row - 0.5)
                right_share, lower_share = column - 0.5 - left, row - 0.5 - top
                left, right = max(left, 0), min(left + 1, width - 1)
                top, bottom = max(top, 0), min(top + 1, height - 1)
                for i in range(n):
                    for channel in range(channels):
                        value = 0.0
                        if inside:
                            plane = images[i, channel]
                            upper, lower = float(plane[top, left]), float(plane[bottom, left])
                            upper += (plane[top, right] - upper) * right_share
                            lower += (plane[bottom, right] - lower) * right_share
                            value = upper + (lower - upper) * lower_share
                        out[i, t, channel, y, x] = np.uint8(value)


def zoom_blur(images: np.ndarray, warps: Sequence[tuple[float, ...]]) -> np.ndarray:
    """Frame i is the mean of the image and its first i zooms.

    It comes from a running float32 sum, as in the reference.
    """
    zooms = geometry(images, warps)
    frames, total = [images], to_float(images, np.float32)
    for i in range(1, N_FRAMES):
        total += to_float(zooms[:, i - 1], np.float32)
        frames.append((total / np.float32(i + 1) * np.float32(255)).astype(np.uint8))
    return np.stack(frames, axis=1)


def translate(images: np.ndarray, shifts: Sequence[int]) -> np.ndarray:
    """Moves along a row by whole pixels, black where nothing was."""
    width = images.shape[-1]
    padded = np.pad(images, ((0, 0), (0, 0), (0, 0), (width, width)))
    return np.stack([padded[..., width - shift : 2 * width - shift] for shift in shifts], axis=1)


def tilt(images: np.ndarray, warps: Sequence[np.ndarray]) -> np.ndarray:
    """One frame for each perspective (3, 3), OpenCV's linear warp, black outside."""

    def warped(picture: Image.Image) -> list[np.ndarray]:
        pixels = np.asarray(picture)
        return [cv2.warpPerspective(pixels, warp, picture.size) for warp in warps]

    return by_picture(images, warped)


def perspective(degrees: float) -> np.ndarray:
    """Turn about both axes in front of a camera of focal length 32 sqrt 2; matrix (3, 3).

    The first matrix puts the image at depth 1, not 0, so that 0 degrees shrinks it by f / (1 + f) =
    .978.
    """
    half, focal, turn = SIZE / 2, SIZE * np.sqrt(2), np.deg2rad(degrees)
    c, s = np.cos(turn), np.sin(turn)
    lift = np.array([[1, 0, -half], [0, 1, -half], [0, 0, 1], [0, 0, 1]])
    about_x = np.array([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1]])
    about_y = np.array([[c, 0, -s, 0], [0, 1, 0, 0], [s, 0, c, 0], [0, 0, 0, 1]])
    away = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, focal], [0, 0, 0, 1]])
    project = np.array([[focal, 0, half, 0], [0, focal, half, 0], [0, 0, 1, 0]])
    return project @ away @ about_x @ about_y @ lift


def _sequence(
    apply: Callable[..., np.ndarray], p: Any, n_frames: int = N_FRAMES, **draws: Field
) -> Recipe:
    return Recipe(apply, (p,), n_frames, **draws)


SEQUENCES = {
    "gaussian_noise": _sequence(
        after_clean(gaussian_noise), 0.02, normal=normal(30, *IMAGE, dtype=np.float32)
    ),
    "shot_noise": _sequence(after_clean(shot_noise), 700, uniform=uniform(0, 1, 30, *IMAGE)),
    "motion_blur": _sequence(motion_blur, (6, 1.8, [9 * (i - 20) for i in range(21)]), n_frames=21),
    "zoom_blur": _sequence(zoom_blur, [inverse_affine(scale=1 + 0.004 * i) for i in range(1, 31)]),
    "spatter": _sequence(spatter, (0.6, 0.265, 1.75, 0.7, 0.6), normal=normal(SIZE, SIZE)),
    "brightness": _sequence(brightness, 1.5),
    "translate": _sequence(translate, range(-7, 9), n_frames=16),
    "rotate": _sequence(geometry, [inverse_affine(angle=i - 15) for i in range(31)]),
    "tilt": _sequence(tilt, [perspective(0.75 * (i - 15)) for i in range(31)]),
    "scale": _sequence(geometry, [inverse_affine(scale=(i * 2 + 70) / 100) for i in range(31)]),
    "snow": _sequence(snow, (0.05, 0.3, 2, 0.5, 10, 2, 0.85), normal=normal(SIZE, SIZE)),
    "speckle_noise": _sequence(after_clean(speckle_noise), 0.05, normal=normal(30, *IMAGE)),
    "gaussian_blur": _sequence(gaussian_blur, [0.3 + 0.015 * i for i in range(31)]),
    "shear": _sequence(geometry, [inverse_affine(shear=i - 15) for i in range(31)]),
}
