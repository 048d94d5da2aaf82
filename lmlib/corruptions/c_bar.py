"""The ten of CIFAR-10-C-bar, after facebookresearch/augmentation-corruption (MIT).

Five of them are also ImageNet's, whose other five stand in `patterns` and `caustics`.

A parameter is its severity number times a maximum over ten, `level`. Where the reference keeps a
seed that it expands with a legacy generator, the draws here are the expanded arrays. Coordinates
are (row, column); results are clipped and truncated.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.special import cosdg, sindg

from ..compiled import compiled, entry
from .recipe import (
    SIZES,
    Field,
    Recipe,
    bilinear,
    by_name,
    integer,
    normal,
    order,
    to_float,
    uniform,
)

TURN = 2 * np.pi
RAYS = 199  # at most
CELLS = 40  # checkerboard: four images wide, in cells of a tenth of one at least
SIZE = SIZES["cifar"]


def level(severity: float, maximum: float) -> float:
    """The reference's scale: severity 10 is the maximum."""
    return severity * maximum / 10


def truncate(values: np.ndarray) -> np.ndarray:
    """Values on the scale 0 to 255 to bytes."""
    return np.clip(values, 0, 255).astype(np.uint8)


def spectrum_noise(phases: np.ndarray, power: np.ndarray) -> np.ndarray:
    """Noise of unit deviation with a given spectrum: float64 (..., size, size).

    The other half of the phases is the first turned by 180 degrees, without the change of sign that
    a real signal needs.
    """
    waves = np.cos(phases) + np.sin(phases) * 1j
    spectrum = power * np.concatenate([waves, waves[..., ::-1, ::-1]], axis=-1)
    half = len(power) // 2
    noise = np.fft.ifft2(np.roll(spectrum, (half, half), axis=(-2, -1))).real
    return noise / noise.std(axis=(-2, -1), keepdims=True)


@lru_cache(maxsize=2)
def frequencies(size: int) -> np.ndarray:
    """The distance of each pixel from (size / 2, size / 2): (size, size)."""
    rows, columns = np.mgrid[:size, :size] - size / 2
    return np.sqrt(rows**2 + columns**2)


def blue_noise_sample(images: np.ndarray, severity: float, phases: np.ndarray) -> np.ndarray:
    """Pixels where blue noise is low become black; phases: (n, side, side / 2)."""
    noise = spectrum_noise(phases, frequencies(images.shape[-1]))
    return images * (noise > level(severity, 3) - 2.5)[:, None]


def brownish_noise(images: np.ndarray, severity: float, phases: np.ndarray) -> np.ndarray:
    """Add noise of power 1 / (f squared + 1), each channel its own.

    phases: (n, 3, side, side / 2).
    """
    noise = spectrum_noise(phases, 1 / (frequencies(images.shape[-1]) ** 2 + 1))
    return truncate(images + level(severity, 64) * noise)


def checkerboard_cutout(
    images: np.ndarray, severity: float, angle: np.ndarray, cell: np.ndarray, grid: np.ndarray
) -> np.ndarray:
    """Some cells of a turned checkerboard become grey 128.

    angle: (n,); cell: (n,), pixels; grid: uniform (n, 40, 40), of which the first 4 size // cell
    rows and columns are used.
    """
    out = images.copy()
    grey_cells(out, np.cos(angle), np.sin(angle), cell, grid < level(severity, 1))
    return out


@entry
def grey_cells(
    images: np.ndarray, cosine: np.ndarray, sine: np.ndarray, cell: np.ndarray, chosen: np.ndarray
) -> None:
    """Grey 128 in the chosen cells of every second square, in place.

    images: uint8 (n, 3, height, width); cosine, sine, cell: (n,); chosen: bool (n, ., .).
    """
    n, _, height, width = images.shape
    for i, y, x in np.ndindex(n, height, width):
        u = (cosine[i] * y + sine[i] * x) / cell[i]
        v = (-sine[i] * y + cosine[i] * x) / cell[i]
        n_cells = int(4 * height // cell[i])
        row, column = int(u) % n_cells, int(v) % n_cells
        if int(u % 2) == int(v % 2) and chosen[i, row, column]:
            images[i, :, y, x] = 128


def star(
    shape: tuple[int, ...],
    centre: np.ndarray,
    rays: np.ndarray,
    lengths: np.ndarray,
    exponent: float = 1,
) -> np.ndarray:
    """Weight of a star at each pixel: (n, height, width) in [0, 1].

    shape: (n, 3, height, width); centre: (n, 2), (row, column); rays: (n,); lengths: (n, 199), of
    which the first `rays` are used, pixels.
    """
    n, _, height, width = shape
    down = np.arange(height)[:, None] - centre[:, 0, None, None]
    right = np.arange(width) - centre[:, 1, None, None]
    turn = (np.arctan2(right, down) + np.pi) / TURN * rays[:, None, None]
    out = np.empty((n, height, width))
    fill_star(turn, np.array(centre), np.array(rays), np.array(lengths), float(exponent), out)
    return out


@entry
def fill_star(
    turn: np.ndarray,
    centre: np.ndarray,
    rays: np.ndarray,
    lengths: np.ndarray,
    exponent: float,
    out: np.ndarray,
) -> None:
    """What `star` returns, into out; turn: (n, height, width), in rays."""
    for i, y, x in np.ndindex(out.shape):
        ray = int(turn[i, y, x])
        share = turn[i, y, x] - ray
        near, far = lengths[i, ray % rays[i]], lengths[i, (ray + 1) % rays[i]]
        down, right = y - centre[i, 0], x - centre[i, 1]
        glow = (near + share * (far - near)) ** 2 / (down**2 + right**2 + 1e-4)
        if exponent != 1:
            glow = glow**exponent
        out[i, y, x] = min(max((1 - (share - 0.5) ** 2) * glow, 0.0), 1.0)


def inverse_sparkles(
    images: np.ndarray, severity: float, centre: np.ndarray, rays: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    """White outside one star; lengths: normal (n, 199)."""
    radius = images.shape[-1] / 4
    lengths = radius + 0.25 * radius * lengths
    weight = star(images.shape, centre, rays, lengths, level(severity, 65) / 50)
    return truncate(255 + weight[:, None] * (images - 255.0))


def sparkles(
    images: np.ndarray, severity: float, centre: np.ndarray, rays: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    """Five stars of white light; centre: (n, 5, 2); rays: (n, 5); lengths: normal (n, 5, 199)."""
    radius = level(severity, 0.1) * images.shape[-1]
    lengths = np.maximum(1, radius + 0.25 * radius * lengths)
    x = images
    for i in range(5):
        weight = star(images.shape, centre[:, i], rays[:, i], lengths[:, i])
        x = x.astype(np.float32).astype(np.float64)  # the reference rounds before each star
        x += weight[:, None] * (255.0 - x)
    return truncate(x)


@lru_cache(maxsize=5)
def _pinch_and_twirl(severity: float) -> tuple[np.ndarray, np.ndarray]:
    """Where each pixel of a 10 x 10 cell reads from, relative to the cell, for both signs.

    Returns rows and columns, (2, 10, 10) each.
    """
    amount = level(severity, 0.4) + 0.1
    down, right = np.mgrid[:10, :10] - 5.0
    distance = np.sqrt(down**2 + right**2)
    inside = (distance <= 5) & (distance > 0)
    q = np.where(inside, distance / 5, 1)
    stretch = np.sin(np.pi * 0.5 * q) ** -amount
    turn = np.array([-1, 1])[:, None, None] * level(severity, np.pi / 2) * (1 - q) ** 2
    y, x = down * stretch, right * stretch
    rows, columns = y * np.cos(turn) - x * np.sin(turn), y * np.sin(turn) + x * np.cos(turn)
    return 5 + np.where(inside, rows, down), 5 + np.where(inside, columns, right)


def pinch_and_twirl(images: np.ndarray, severity: float, clockwise: np.ndarray) -> np.ndarray:
    """Nine discs of radius 5, pinched and twirled.

    clockwise: (n, 3, 3) of 0 and 1, the first axis along columns of cells.
    """
    n, signs = len(images), clockwise.swapaxes(1, 2)
    rows, columns = np.tile(np.mgrid[:SIZE, :SIZE].astype(np.float64)[:, None], (1, n, 1, 1))
    for target, local in zip((rows, columns), _pinch_and_twirl(severity), strict=True):
        discs = target[:, :30, :30]
        discs[:] = discs // 10 * 10 + local[signs].transpose(0, 1, 3, 2, 4).reshape(n, 30, 30)
    return truncate(bilinear(images, rows, columns).astype(np.float32))


def ripple(
    images: np.ndarray, severity: float, wavelength: np.ndarray, phase: np.ndarray
) -> np.ndarray:
    """Sine waves along rows and columns, black outside; wavelength (pixels), phase: (n, 2)."""
    at = np.arange(SIZE)
    wave = np.sin(TURN * at / wavelength[..., None] + phase[..., None])
    down, right = (level(severity, 0.025) * SIZE * wave).swapaxes(0, 1)
    zero = np.zeros((SIZE, SIZE))
    rows, columns = (at + down)[:, :, None] + zero, (at + right)[:, None] + zero
    return truncate(bilinear(images, rows, columns))


def cubic_taps(position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The four coefficients that a cubic B-spline needs at a position (m,), and their weights.

    Coefficients are mirrored at the border. Returns two arrays (4, m). The arithmetic is SciPy's.
    """
    first = np.floor(position).astype(int)
    right = position - first
    left = 1 - right
    weights = [left * left * left / 6, *((t * t * (t - 2) * 3 + 4) / 6 for t in (right, left))]
    index = np.abs(first + np.arange(-1, 3)[:, None])
    index = np.where(index > SIZE - 1, 2 * (SIZE - 1) - index, index)
    return index, np.array([*weights, 1 - weights[0] - weights[1] - weights[2]])


def rotation(angle: float) -> tuple[np.ndarray, np.ndarray]:
    """SciPy's cubic `rotate` of spline coefficients by `angle` degrees, black outside.

    Returns the 16 coefficients that each pixel is made of and their weights, (1024, 16) both.
    """
    cosine, sine, middle = cosdg(angle), sindg(angle), (SIZE - 1) / 2
    offset = middle - cosine * middle - sine * middle, middle + sine * middle - cosine * middle
    y, x = np.mgrid[:SIZE, :SIZE].reshape(2, -1)
    rows, columns = cosine * y + sine * x + offset[0], -sine * y + cosine * x + offset[1]
    inside = (rows >= 0) & (rows <= SIZE - 1) & (columns >= 0) & (columns <= SIZE - 1)
    (top, down), (left, right) = cubic_taps(rows), cubic_taps(columns)
    sources, weights = top[:, None] * SIZE + left, inside * down[:, None] * right
    return sources.reshape(16, -1).T.copy(), weights.reshape(16, -1).T.copy()


@lru_cache(maxsize=5)
def rotations(severity: float) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """The 21 rotations of a circular motion blur: the weight of each, and what `rotation` gives."""
    steps = [2 * i / 20 - 1 for i in range(21)]
    return [(np.exp(-2 * u**2), *rotation(u * level(severity, 15))) for u in steps]


def circular_motion_blur(images: np.ndarray, severity: float) -> np.ndarray:
    """Mean of 21 rotations by up to level(15) degrees either way, weights exp(-2 u squared).

    Summed in float32, as in the reference.
    """
    splines = to_float(images, np.float32).astype(np.float64)
    for axis in (2, 3):
        splines = ndimage.spline_filter1d(splines, order=3, axis=axis, mode="mirror")
    pixels = np.ascontiguousarray(splines.reshape(-1, SIZE**2).T)
    total = np.zeros(pixels.shape, np.float32)
    for weight, sources, taps in rotations(severity):
        add_rotated(pixels, float(weight), sources, taps, total)
    total /= sum(weight for weight, _, _ in rotations(severity))
    return truncate(total * np.float32(255)).T.reshape(images.shape)


@entry
def add_rotated(
    pixels: np.ndarray, weight: float, sources: np.ndarray, taps: np.ndarray, total: np.ndarray
) -> None:
    """Add weight x (each pixel made of its taps, in float32), in place.

    pixels: float64 (m, planes); sources, taps: (m, 16); total: float32 (m, planes).
    """
    rotated = np.empty(pixels.shape[1])
    for m in range(len(pixels)):
        rotated[:] = 0.0
        for k in range(16):
            source, tap = pixels[sources[m, k]], taps[m, k]
            for n in range(len(rotated)):
                rotated[n] += tap * source[n]
        line = total[m]
        for n in range(len(rotated)):
            line[n] = np.float32(line[n] + weight * np.float64(np.float32(rotated[n])))


def lines(
    images: np.ndarray, severity: float, angle: np.ndarray, variation: np.ndarray, line: np.ndarray
) -> np.ndarray:
    """Grey lines of about one direction, anti-aliased, drawn one after another.

    angle, variation: (n,); line: uniform (n, lines, 3).
    """
    turns = angle[:, None] + TURN * variation[:, None] * (line[..., 2] - 0.5)
    middle, reach = SIZE * line[..., :2], SIZE * np.stack([np.cos(turns), np.sin(turns)], axis=-1)
    ends = np.concatenate([middle - reach, middle + reach], axis=-1).astype(np.int64)
    out = images.copy()
    for i, k in np.ndindex(ends.shape[:2]):
        draw_line(out[i], *ends[i, k])
    return out


@entry
def draw_line(image: np.ndarray, row: int, column: int, last_row: int, last_column: int) -> None:
    """An anti-aliased line of grey 128, in place, on bytes (3, height, width).

    After Zingl, "A rasterizing algorithm for drawing curves" (2012): `error` says on which side of
    the line the pixel lies and how far.
    """
    down, right = abs(last_row - row), abs(last_column - column)
    row_step, column_step = (1 if row < last_row else -1), (1 if column < last_column else -1)
    error, length = right - down, np.sqrt(float(down * down + right * right))
    if length == 0:
        length = 1.0
    while True:
        blend_grey(image, row, column, abs(error - right + down) / length)
        before, here = error, column
        if 2 * before >= -right:
            if column == last_column:
                break
            if before + down < length:
                blend_grey(image, row + row_step, column, abs(before + down) / length)
            error -= down
            column += column_step
        if 2 * before <= down:
            if row == last_row:
                break
            if right - before < length:
                blend_grey(image, row, here + column_step, abs(right - before) / length)
            error += right
            row += row_step


@compiled
def blend_grey(image: np.ndarray, row: int, column: int, distance: float) -> None:
    """Mix a pixel with grey 128, the more the nearer to the line it lies, unless it is outside."""
    if 0 <= row < image.shape[1] and 0 <= column < image.shape[2]:
        weight = 1.0 - distance
        for channel in range(3):
            image[channel, row, column] = np.uint8(
                (1.0 - weight) * image[channel, row, column] + weight * 128
            )


def transverse_chromatic_abberation(
    images: np.ndarray, severity: float, order: np.ndarray
) -> np.ndarray:
    """Each channel zoomed by its own scale, 1, 1 + h / 2 or 1 + h.

    order: (n, 3), which scale a channel gets. It is SciPy's cubic zoom without its prefilter, so
    that the channel of scale 1 is smoothed too; that rounds to bytes itself, and many values lie
    halfway between two bytes, so that the order of its products and sums is kept.
    """
    scales, out = 1 + level(severity, 0.5) * np.array([0, 0.5, 1]), np.empty_like(images)
    sides = np.rint(SIZE * scales).astype(int)[:, None]
    position = ((sides - SIZE) // 2 + np.arange(SIZE)) * ((SIZE - 1) / (sides - 1))
    sources, weights = (part.reshape(4, 3, SIZE) for part in cubic_taps(position.ravel()))
    fill_zooms(images, order, sources, weights, out)
    return out


@entry
def fill_zooms(
    images: np.ndarray, order: np.ndarray, sources: np.ndarray, weights: np.ndarray, out: np.ndarray
) -> None:
    """Bytes (n, 3, size, size) zoomed by cubic splines.

    order: (n, 3), the zoom of a channel; sources, weights: (4, 3, size), the taps of each zoom.
    """
    for i, channel, y, x in np.ndindex(images.shape):
        zoom, total = order[i, channel], 0.0
        for a in range(4):
            line = images[i, channel, sources[a, zoom, y]]
            for b in range(4):
                total += line[sources[b, zoom, x]] * weights[a, zoom, y] * weights[b, zoom, x]
        out[i, channel, y, x] = np.uint8(min(total + 0.5, 255.0))


def half(p: Any, size: int) -> Field:
    """The phases of half a spectrum."""
    return uniform(0, TURN, size, size // 2)


C_BAR = by_name(
    Recipe(
        blue_noise_sample,
        cifar=(0.7, 1.4, 2.1, 3.5, 4.2),
        imagenet=(0.8, 1.6, 2.4, 4, 5.6),
        phases=half,
    ),
    Recipe(
        brownish_noise,
        cifar=(2.5, 4, 5.5, 6.5, 7),
        imagenet=(1, 2, 3, 4, 5),
        phases=lambda p, size: uniform(0, TURN, 3, size, size // 2),
    ),
    Recipe(
        checkerboard_cutout,
        cifar=(1, 2, 3, 4, 5),
        imagenet=(2, 3, 4, 5, 6),
        angle=uniform(0, TURN),
        cell=lambda p, size: uniform(0.1 * size, 0.25 * size),
        grid=uniform(0, 1, CELLS, CELLS),
    ),
    Recipe(
        inverse_sparkles,
        cifar=(1, 1.5, 2.5, 4.5, 5),
        imagenet=(1, 2, 4, 9, 10),
        centre=lambda p, size: uniform(size / 4, size * 3 / 4, 2),
        rays=integer(50, 200),
        lengths=normal(RAYS),
    ),
    Recipe(
        sparkles,
        cifar=(0.7, 3.5, 5.6, 6.3, 7),
        imagenet=(1, 2, 3, 5, 6),
        centre=lambda p, size: uniform(0, size, 5, 2),
        rays=integer(50, 200, 5),
        lengths=normal(5, RAYS),
    ),
    Recipe(pinch_and_twirl, cifar=(5.5, 6, 6.5, 8.5, 10), clockwise=integer(0, 2, 3, 3)),
    Recipe(
        ripple,
        cifar=(5.5, 6, 6.5, 7.5, 8),
        wavelength=uniform(0.1 * SIZE, 0.3 * SIZE, 2),
        phase=uniform(0, TURN, 2),
    ),
    Recipe(circular_motion_blur, cifar=(2.8, 3.6, 4.4, 5.2, 6)),
    Recipe(
        lines,
        cifar=(0.5, 1, 1.5, 2, 2.5),
        angle=uniform(0, TURN),
        variation=uniform(0.1, 1),
        line=lambda p, size: uniform(0, 1, int(level(p, 1) * SIZE), 3),
    ),
    Recipe(transverse_chromatic_abberation, cifar=(1, 2, 5, 9, 10), order=order(3)),
)
