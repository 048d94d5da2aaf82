"""Four of ImageNet-C-bar: waves, rings, plasma and clouds over an image.

After facebookresearch/augmentation-corruption (MIT). As in `c_bar`, a parameter is a share of its
maximum, and where the reference keeps a seed the draws here are what it expands it to.
"""

from typing import Any

import numpy as np

from ..compiled import compiled, entry
from .c_bar import TURN, level, truncate
from .recipe import Field, Recipe, by_name, integer, uniform

LATTICE = 256  # points of the noise `clouds`, after which it repeats


def grid(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The row and the column of each pixel, (height, 1) and (1, width)."""
    rows, columns = np.ogrid[: images.shape[2], : images.shape[3]]
    return rows, columns


def single_frequency_greyscale(
    images: np.ndarray, severity: float, frequency: np.ndarray, phase: np.ndarray
) -> np.ndarray:
    """Add one sine wave, the same in all channels.

    frequency: (n, 2), radians a pixel along a row and along a column; phase: (n,).
    """
    rows, columns = grid(images)
    along, down = frequency.T[..., None, None]
    wave = np.sin(columns * along + rows * down + phase[:, None, None])
    return truncate(images + level(severity, 196) * wave[:, None])


def cocentric_sine_waves(
    images: np.ndarray,
    severity: float,
    centre: np.ndarray,
    petals: np.ndarray,
    amplitude: np.ndarray,
    width: np.ndarray,
) -> np.ndarray:
    """Add rings about a centre, whose radius waves with the angle.

    Across a ring the light rises as a saw-tooth. centre: (n, 2), (column, row); petals: (n,), waves
    a turn, where a fraction leaves a seam; amplitude, width: (n,), pixels.
    """
    rows, columns = grid(images)
    petals, amplitude, width = (one[:, None, None] for one in (petals, amplitude, width))
    right, down = columns - centre[:, 0, None, None], rows - centre[:, 1, None, None]
    angle = np.arctan2(right, down) * petals
    radius = np.sqrt(right**2 + down**2) + np.sin(angle) * amplitude
    return truncate(images + (level(severity, 128) * (radius % width / width - 0.5))[:, None])


def plasma_noise(
    images: np.ndarray,
    severity: float,
    time: np.ndarray,
    iterations: np.ndarray,
    sharpness: np.ndarray,
    scale: np.ndarray,
) -> np.ndarray:
    """Blend with a plasma of sine waves, which darkens: its mean is 0, not grey.

    time: (n,), where in its course it is; iterations: (n,), times that the plane is folded;
    sharpness: (n,); scale: (n,), pixels.
    """
    share = level(severity, 64)
    noise = np.empty(images.shape)
    for i, out in enumerate(noise):
        fold(*grid(images), time[i], int(iterations[i]), sharpness[i], scale[i], out)
    return truncate((1 - share / 255) * images + share * noise)


def fold(
    rows: np.ndarray,
    columns: np.ndarray,
    time: float,
    iterations: int,
    sharpness: float,
    scale: float,
    out: np.ndarray,
) -> None:
    """The three channels of a plasma in [-1, 1], into out: (3, height, width)."""
    x, y = columns / scale, rows / scale
    frequency, slowness, smallness = 1.0, 1.0, 1.0
    for _ in range(iterations):
        right = np.cos(y * frequency + time / slowness) / smallness
        down = np.sin(x * frequency + time / slowness) / smallness
        x, y = x + (right + -down * 0.3), y + (down + right * 0.3)
        frequency, slowness, smallness = (
            frequency * 1.93,
            slowness * 1.15,
            smallness * (2.25 - sharpness),
        )
    out[0] = np.sin(x - time)
    out[1] = np.sin((x + y + np.sin(time)) * 0.5)
    out[2] = np.sin(y + time)


def perlin_noise(
    images: np.ndarray, severity: float, gradient: np.ndarray, partner: np.ndarray
) -> np.ndarray:
    """Blend with clouds: five octaves of gradient noise, the coarsest of 32 pixels a cell.

    gradient: integers (n, 256, 2), -256 to 255, the directions at the points of a lattice; partner:
    integers (n, 256), 0 to 255, with which of the points 255, ..., 0 changes place in turn. Where a
    direction is (0, 0), the reference divides by zero: pixels near that point are black.
    """
    share, n = level(severity, 0.5), len(images)
    slopes = gradient / LATTICE
    with np.errstate(invalid="ignore"):
        slopes = slopes / np.sqrt((slopes**2).sum(axis=-1, keepdims=True))
    places = np.tile(np.arange(LATTICE), (n, 1))
    for one, swaps in zip(places, partner, strict=True):
        for point, other in zip(range(LATTICE - 1, -1, -1), swaps, strict=True):
            one[point], one[other] = one[other], one[point]
    noise = np.empty((n, 1, *images.shape[2:]))
    fill_clouds(slopes, places, noise[:, 0])
    # In the reference the product is of float32, the sum of float64.
    blend = (1 - share) * images.astype(np.float32) + 255 * share * noise
    return truncate(np.nan_to_num(blend, copy=False, nan=0.0))


@entry
def fill_clouds(slopes: np.ndarray, places: np.ndarray, out: np.ndarray) -> None:
    """Half and half of the turbulence, clipped to [0, 1], into out: (n, height, width).

    slopes: (n, 256, 2); places: (n, 256), a permutation.
    """
    for i, row, column in np.ndindex(out.shape):
        turbulence = 0.0
        for octave in range(5):
            finer = 2.0**octave
            noise = gradient_noise(slopes[i], places[i], finer * row / 32, finer * column / 32)
            turbulence += abs(noise) / finer
        # A comparison with NaN is false, so that NaN stays.
        value = 0.5 * turbulence + 0.5
        out[i, row, column] = 1.0 if value > 1.0 else value


@compiled
def gradient_noise(slopes: np.ndarray, places: np.ndarray, x: float, y: float) -> float:
    """Perlin's noise of 1985 at (x, y) >= 0, in cells."""
    left, top = int(x), int(y)
    u, v = x - left, y - top
    first, second = places[left % LATTICE], places[(left + 1) % LATTICE]
    upper, lower = top % LATTICE, (top + 1) % LATTICE
    near, far = u * u * (3.0 - 2.0 * u), v * v * (3.0 - 2.0 * v)
    a = slopes[places[(first + upper) % LATTICE]]
    b = slopes[places[(second + upper) % LATTICE]]
    c = slopes[places[(first + lower) % LATTICE]]
    d = slopes[places[(second + lower) % LATTICE]]
    left_slope, right_slope = u * a[0] + v * a[1], (u - 1.0) * b[0] + v * b[1]
    above = left_slope + near * (right_slope - left_slope)
    left_slope, right_slope = u * c[0] + (v - 1.0) * c[1], (u - 1.0) * d[0] + (v - 1.0) * d[1]
    below = left_slope + near * (right_slope - left_slope)
    return 1.5 * (above + far * (below - above))


def _frequencies(generator: np.random.Generator) -> np.ndarray:
    """The larger in [-pi, pi), the smaller within it, in either order."""
    larger = generator.uniform(-np.pi, np.pi)
    return generator.permutation([larger, generator.uniform(-abs(larger), abs(larger))])


def _up_to_a_tenth(p: Any, size: int) -> Field:
    return uniform(0, size / 10)


PATTERNS = by_name(
    Recipe(
        single_frequency_greyscale,
        imagenet=(1, 1.5, 2, 4.5, 5),
        frequency=Field((2,), np.float64, _frequencies),
        phase=uniform(0, TURN),
    ),
    Recipe(
        cocentric_sine_waves,
        imagenet=(3, 5, 8, 9, 10),
        centre=lambda p, size: uniform(0, size, 2),
        petals=uniform(0, 10),
        amplitude=_up_to_a_tenth,
        width=_up_to_a_tenth,
    ),
    Recipe(
        plasma_noise,
        imagenet=(4.75, 7, 8.5, 9.25, 10),
        time=uniform(0, 6 * np.pi),
        iterations=integer(4, 7),
        sharpness=uniform(0.5, 1),
        scale=lambda p, size: uniform(0.075 * size, 0.2 * size),
    ),
    Recipe(
        perlin_noise,
        imagenet=(4.6, 5.2, 5.8, 7.6, 8.8),
        gradient=integer(-LATTICE, LATTICE, LATTICE, 2),
        partner=integer(0, LATTICE, LATTICE),
    ),
)
