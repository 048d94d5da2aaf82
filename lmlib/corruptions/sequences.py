"""The sequences of CIFAR-P and ImageNet-P: frames of an image as a perturbation grows or moves.

Constants and order: hendrycks/robustness, `make_cifar_p.py` and `make_imagenet_p.py` (Apache-2.0).
Geometry is that of torchvision 0.2, as when the benchmarks were made: its centre lies half a pixel
right of and below the middle, and its shear has another matrix than today's. On ImageNet it acts on
the whole picture, of which the frames show the middle 224 x 224. Frames are uint8 (n, T, 3, side,
side).
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
from PIL import Image
from scipy import ndimage

from ..compiled import entry
from . import digital, weather
from .blur import motion_frames, smooth
from .digital import by_picture
from .noise import gaussian_noise, shot_noise, speckle_noise
from .recipe import Field, Recipe, corner, middle, normal, plane, to_bytes, to_float, uniform
from .weather import add_water, drops

N_FRAMES = 31


def after_clean(noise: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Frame 0 clean, then 30 frames of independent `noise` of C.

    Its draws are (n, 30, 3, side, side).
    """

    def sequence(images: np.ndarray, p: float, **draws: np.ndarray) -> np.ndarray:
        images = images[:, None]
        return np.concatenate([images, noise(images, p, **draws)], axis=1)

    return sequence


def motion_blur(images: np.ndarray, p: tuple[int, float, Sequence[float]]) -> np.ndarray:
    """The direction of the blur turns up to 0 degrees, from frame to frame by the same angle."""
    radius, sigma, angles = p
    return motion_frames(images, (radius, sigma), np.tile(angles, (len(images), 1)))


def snow(images: np.ndarray, p: tuple, normal: np.ndarray) -> np.ndarray:
    """Flakes whose motion blur turns from -150 to -30 degrees, over a whitened image.

    normal: (n, side, side).
    """
    angles = np.tile(4 * np.arange(N_FRAMES) - 150, (len(images), 1))
    return weather.snow_frames(images, p, normal, angles, np.float64)


def brightness(images: np.ndarray, step: float) -> np.ndarray:
    """V + step (i - 15) percent in HSV.

    No frame is the clean image: the HSV round trip and the truncation change it.
    """
    frames = [digital.brightness(images, (i - 15) * step / 100) for i in range(N_FRAMES)]
    return np.stack(frames, axis=1)


def gaussian_blur(images: np.ndarray, p: tuple[float, float, float]) -> np.ndarray:
    """Gaussian filters of sigma `first` + `step` i, cut at `truncate` sigma."""
    (first, step, truncate), x = p, to_float(images)
    sigmas = [first + step * i for i in range(N_FRAMES)]
    return np.stack([to_bytes(smooth(x, sigma, truncate)) for sigma in sigmas], axis=1)


def spatter(images: np.ndarray, p: tuple, normal: np.ndarray) -> np.ndarray:
    """Drops of water that run down; normal: (n, side, side).

    A frame without a drop or an edge is black, as in the reference.
    """
    mean, std, sigma, threshold, strength, run = p
    layer, x = drops(normal, mean, std, sigma, threshold), to_float(images, np.float32)
    frames = []
    for _ in range(N_FRAMES):
        frames.append(add_water(x, layer, strength))
        layer = ndimage.convolve1d(layer, run, axis=1, mode="constant", origin=-1)
    return np.stack(frames, axis=1)


def inverse_affine(
    height: int, width: int, *, angle: float = 0, scale: float = 1, shear: float = 0
) -> tuple[float, ...]:
    """The six numbers Pillow wants, output to input, of a map of height x width pixels.

    angle, shear: in degrees. Forward: (cos a, -sin(a + shear); sin a, cos(a + shear)) times scale,
    about (width / 2 + 1/2, height / 2 + 1/2), which today is half a pixel less. Today's torchvision
    shears without the cosine.
    """
    a, s = math.radians(angle), math.radians(shear)
    x, y = width * 0.5 + 0.5, height * 0.5 + 0.5
    size = 1.0 / scale / (math.cos(a + s) * math.cos(a) + math.sin(a + s) * math.sin(a))
    xx, xy, yx, yy = (
        size * value for value in (math.cos(a + s), math.sin(a + s), -math.sin(a), math.cos(a))
    )
    return xx, xy, xx * -x + xy * -y + x, yx, yy, yx * -x + yy * -y + y


def geometry(images: np.ndarray, maps: Sequence[dict[str, float]]) -> np.ndarray:
    """One frame for each map of `inverse_affine`, bilinear, black outside the picture."""
    out = np.empty((len(images), len(maps), *middle(images).shape[1:]), np.uint8)
    height, width = images.shape[2:]
    warps = [inverse_affine(height, width, **one) for one in maps]
    fill_warped(images, np.array(warps), *corner(images), out)
    return out


@entry
def fill_warped(
    images: np.ndarray, warps: np.ndarray, first_row: int, first_column: int, out: np.ndarray
) -> None:
    """Pillow's bilinear affine transform of each of the images by each of the warps, or a part.

    images: uint8 (n, c, height, width); warps: (t, 6); out: uint8 (n, t, c, rows, columns), what
    the transformed image has there from (first_row, first_column) on.
    """
    n, n_frames, channels, rows, columns = out.shape
    height, width = images.shape[2:]
    for t in range(n_frames):
        xx, xy, x_offset = warps[t, 0], warps[t, 1], warps[t, 2]
        yx, yy, y_offset = warps[t, 3], warps[t, 4], warps[t, 5]
        for y in range(rows):
            for x in range(columns):
                x_in, y_in = first_column + x + 0.5, first_row + y + 0.5
                column = xx * x_in + xy * y_in + x_offset
                row = yx * x_in + yy * y_in + y_offset
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


def zoom_blur(images: np.ndarray, maps: Sequence[dict[str, float]]) -> np.ndarray:
    """Frame i is the mean of the image and its first i zooms.

    It comes from a running float32 sum, as in the reference.
    """
    zooms, images = geometry(images, maps), middle(images)
    frames, total = [images], to_float(images, np.float32)
    for i in range(1, N_FRAMES):
        total += to_float(zooms[:, i - 1], np.float32)
        frames.append((total / np.float32(i + 1) * np.float32(255)).astype(np.uint8))
    return np.stack(frames, axis=1)


def translate(images: np.ndarray, shifts: Sequence[int]) -> np.ndarray:
    """Moves along a row by whole pixels, black where nothing was."""
    reach = max(map(abs, shifts))
    padded = np.pad(images, ((0, 0), (0, 0), (0, 0), (reach, reach)))
    moved = [padded[..., reach - shift :][..., : images.shape[-1]] for shift in shifts]
    return np.stack([middle(one) for one in moved], axis=1)


def tilt(images: np.ndarray, step: float) -> np.ndarray:
    """Turns by step (i - 15) degrees, OpenCV's linear warp, black outside the picture."""
    height, width = images.shape[2:]
    warps = [perspective(height, width, step * (i - 15)) for i in range(N_FRAMES)]

    def warped(picture: Image.Image) -> list[np.ndarray]:
        pixels = np.asarray(picture)
        return [cv2.warpPerspective(pixels, warp, picture.size) for warp in warps]

    return middle(by_picture(images, warped))


def perspective(height: int, width: int, degrees: float) -> np.ndarray:
    """Turn about both axes in front of a camera whose focal length is the diagonal; matrix (3, 3).

    The first matrix puts the image at depth 1, not 0, so that 0 degrees shrinks it by f / (1 + f):
    .978 for 32 pixels.
    """
    focal, turn = np.sqrt(height**2 + width**2), np.deg2rad(degrees)
    c, s = np.cos(turn), np.sin(turn)
    lift = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1], [0, 0, 1]])
    about_x = np.array([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1]])
    about_y = np.array([[c, 0, -s, 0], [0, 1, 0, 0], [s, 0, c, 0], [0, 0, 0, 1]])
    away = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, focal], [0, 0, 0, 1]])
    project = np.array([[focal, 0, width / 2, 0], [0, focal, height / 2, 0], [0, 0, 1, 0]])
    return project @ away @ about_x @ about_y @ lift


def _sequence(
    apply: Callable[..., np.ndarray],
    cifar: Any,
    imagenet: Any,
    n_frames: int | Callable[[Any], int] = N_FRAMES,
    **others: Any,
) -> Recipe:
    """A sequence of both benchmarks, or of ImageNet's alone where `cifar` is None."""
    both = None if cifar is None else (cifar,), (imagenet,)
    return Recipe(apply, *both, n_frames=n_frames, **others)


def _normals(p: Any, size: int) -> Field:
    return normal(30, 3, size, size)


def _small_normals(p: Any, size: int) -> Field:
    return normal(30, 3, size, size, dtype=np.float32)


def _uniforms(p: Any, size: int) -> Field:
    return uniform(0, 1, 30, 3, size, size)


_gaussian = partial(_sequence, after_clean(gaussian_noise), normal=_small_normals)
_shot = partial(_sequence, after_clean(shot_noise), uniform=_uniforms)
_speckle = partial(_sequence, after_clean(speckle_noise), normal=_normals)
_moved = partial(_sequence, whole=True)

SEQUENCES = {
    "gaussian_noise": _gaussian(0.02, 0.03),
    "gaussian_noise_2": _gaussian(None, 0.05),
    "gaussian_noise_3": _gaussian(None, 0.08),
    "shot_noise": _shot(700, 300),
    "shot_noise_2": _shot(None, 120),
    "shot_noise_3": _shot(None, 60),
    "motion_blur": _sequence(
        motion_blur,
        (6, 1.8, [9 * (i - 20) for i in range(21)]),
        (10, 3, [4 * (i - 30) for i in range(31)]),
        n_frames=lambda p: len(p[2]),
    ),
    "zoom_blur": _moved(zoom_blur, *2 * ([{"scale": 1 + 0.004 * i} for i in range(1, 31)],)),
    "spatter": _sequence(
        spatter,
        (0.6, 0.265, 1.75, 0.7, 0.6, (0.2, 0.8)),
        (0.65, 0.27, 3.7, 0.69, 0.6, (0.05, 0.1, 0.15, 0.7)),
        normal=plane,
    ),
    "brightness": _sequence(brightness, 1.5, 2),
    "translate": _moved(translate, range(-7, 9), range(-20, 21), n_frames=len),
    "rotate": _moved(geometry, *2 * ([{"angle": i - 15} for i in range(31)],)),
    "tilt": _moved(tilt, 0.75, 1),
    "scale": _moved(
        geometry,
        [{"scale": (i * 2 + 70) / 100} for i in range(31)],
        [{"scale": (i * 2.5 + 40) / 100} for i in range(31)],
    ),
    "snow": _sequence(
        snow, (0.05, 0.3, 2, 0.5, 10, 2, 0.85), (0.05, 0.3, 3, 0.5, 14, 4, 0.85), normal=plane
    ),
    "speckle_noise": _speckle(0.05, 0.05),
    "speckle_noise_2": _speckle(None, 0.1),
    "speckle_noise_3": _speckle(None, 0.15),
    "gaussian_blur": _sequence(gaussian_blur, (0.3, 0.015, 7.0), (0.25, 0.035, 6.0)),
    "shear": _moved(geometry, *2 * ([{"shear": i - 15} for i in range(31)],)),
}
