"""The ten of CIFAR-10-C-bar, after facebookresearch/augmentation-corruption (MIT).

A parameter is its severity number times a maximum over ten, `level`. Where the reference keeps a
seed that it expands with a legacy generator, the draws here are the expanded arrays. Coordinates
are (row, column); results are clipped and truncated.
"""

from functools import lru_cache

import numpy as np
from scipy import ndimage
from scipy.sparse import csr_array
from scipy.special import cosdg, sindg
from skimage.draw import line_aa

from .recipe import SIZE, Recipe, bilinear, by_name, integer, normal, order, to_float, uniform

ROWS, COLUMNS = np.mgrid[:SIZE, :SIZE]
TURN = 2 * np.pi
RAYS = 199  # at most
CELLS = 40  # checkerboard: 4 x 32 px in cells of at least 3.2 px


def level(severity: float, maximum: float) -> float:
    """The reference's scale: severity 10 is the maximum."""
    return severity * maximum / 10


def truncate(values: np.ndarray) -> np.ndarray:
    """Values on the scale 0 to 255 to bytes."""
    return np.clip(values, 0, 255).astype(np.uint8)


def spectrum_noise(phases: np.ndarray, power: np.ndarray) -> np.ndarray:
    """Noise of unit deviation with a given spectrum: float64 (..., 32, 32).

    The other half of the phases is the first turned by 180 degrees, without the change of sign that
    a real signal needs.
    """
    phases = np.concatenate([phases, phases[..., ::-1, ::-1]], axis=-1)
    spectrum = power * (np.cos(phases) + np.sin(phases) * 1j)
    noise = np.fft.ifft2(np.roll(spectrum, (SIZE // 2, SIZE // 2), axis=(-2, -1))).real
    return noise / noise.std(axis=(-2, -1), keepdims=True)


RADIUS = np.sqrt((ROWS - SIZE / 2) ** 2 + (COLUMNS - SIZE / 2) ** 2)


def blue_noise_sample(images: np.ndarray, severity: float, phases: np.ndarray) -> np.ndarray:
    """Pixels where blue noise is low become black; phases: (n, 32, 16)."""
    return images * (spectrum_noise(phases, RADIUS) > level(severity, 3) - 2.5)[:, None]


def brownish_noise(images: np.ndarray, severity: float, phases: np.ndarray) -> np.ndarray:
    """Add noise of power 1 / (f squared + 1), each channel its own; phases: (n, 3, 32, 16)."""
    return truncate(images + level(severity, 64) * spectrum_noise(phases, 1 / (RADIUS**2 + 1)))


def checkerboard_cutout(
    images: np.ndarray, severity: float, angle: np.ndarray, cell: np.ndarray, grid: np.ndarray
) -> np.ndarray:
    """Some cells of a turned checkerboard become grey 128.

    angle: (n,); cell: (n,), pixels; grid: uniform (n, 40, 40), of which the first 128 // cell rows
    and columns are used.
    """
    cosine, sine, size = (values[:, None, None] for values in (np.cos(angle), np.sin(angle), cell))
    u = (cosine * ROWS + sine * COLUMNS) / size
    v = (-sine * ROWS + cosine * COLUMNS) / size
    cells = (4 * SIZE // size).astype(np.int64)
    i, j = (
        np.where(w.astype(np.int64) < 0, w.astype(np.int64) + cells, w.astype(np.int64))
        for w in (u, v)
    )
    chosen = grid[np.arange(len(grid))[:, None, None], i, j] < level(severity, 1)
    grey = chosen & ((u % 2).astype(np.int64) == (v % 2).astype(np.int64))
    return np.where(grey[:, None], np.uint8(128), images)


def sparkle(
    centre: np.ndarray, rays: np.ndarray, lengths: np.ndarray, exponent: float = 1
) -> np.ndarray:
    """Weight of a star at each pixel: (n, 32, 32) in [0, 1].

    centre: (n, 2), (row, column); rays: (n,); lengths: (n, 199), of which the first `rays` are
    used, pixels.
    """
    down, right = ROWS - centre[:, 0, None, None], COLUMNS - centre[:, 1, None, None]
    rays = rays[:, None, None]
    turn = (np.arctan2(right, down) + np.pi) / TURN * rays
    i = turn.astype(np.int64)
    share = turn - i
    near, far = (
        np.take_along_axis(lengths, (k % rays).reshape(len(lengths), -1), axis=1)
        for k in (i, i + 1)
    )
    length = (near + share.reshape(near.shape) * (far - near)).reshape(share.shape)
    glow = (length**2 / (down**2 + right**2 + 1e-4)) ** exponent
    return np.clip((1 - (share - 0.5) ** 2) * glow, 0, 1)


def inverse_sparkles(
    images: np.ndarray, severity: float, centre: np.ndarray, rays: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    """White outside one star; lengths: normal (n, 199)."""
    weight = sparkle(centre, rays, 8 + 0.25 * 8 * lengths, level(severity, 65) / 50)
    return truncate(255 + weight[:, None] * (images - 255.0))


def sparkles(
    images: np.ndarray, severity: float, centre: np.ndarray, rays: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    """Five stars of white light; centre: (n, 5, 2); rays: (n, 5); lengths: normal (n, 5, 199)."""
    radius = level(severity, 0.1) * SIZE
    lengths = np.maximum(1, radius + 0.25 * radius * lengths)
    x = images
    for star in range(5):
        x = x.astype(np.float32).astype(np.float64)  # the reference rounds before each star
        weight = sparkle(centre[:, star], rays[:, star], lengths[:, star])
        x = x + weight[:, None] * (255.0 - x)
    return truncate(x)


@lru_cache(maxsize=5)
def _pinch_and_twirl(severity: float) -> tuple[np.ndarray, np.ndarray]:
    """Where each pixel of a 10 x 10 cell reads from, relative to the cell, for both signs.

    Returns rows and columns, (2, 10, 10) each.
    """
    amount = level(severity, 0.4) + 0.1
    down, right = np.mgrid[:10, :10] - 5.0
    distance = np.sqrt(down**2 + right**2)
    moved = (distance <= 5) & (distance > 0)
    q = np.where(moved, distance / 5, 1)
    stretch = np.sin(np.pi * 0.5 * q) ** -amount
    turn = np.array([-1, 1])[:, None, None] * level(severity, np.pi / 2) * (1 - q) ** 2
    y, x = down * stretch, right * stretch
    rows, columns = y * np.cos(turn) - x * np.sin(turn), y * np.sin(turn) + x * np.cos(turn)
    return 5 + np.where(moved, rows, down), 5 + np.where(moved, columns, right)


def pinch_and_twirl(images: np.ndarray, severity: float, clockwise: np.ndarray) -> np.ndarray:
    """Nine discs of radius 5, pinched and twirled.

    clockwise: (n, 3, 3) of 0 and 1, the first axis along columns of cells.
    """
    n, signs = len(images), clockwise.swapaxes(1, 2)
    rows, columns = (
        np.broadcast_to(grid, (n, SIZE, SIZE)).astype(np.float64) for grid in (ROWS, COLUMNS)
    )
    for target, local in zip((rows, columns), _pinch_and_twirl(severity), strict=True):
        discs = target[:, :30, :30]
        discs[:] = discs // 10 * 10 + local[signs].transpose(0, 1, 3, 2, 4).reshape(n, 30, 30)
    padded = np.pad(images.astype(np.float64), ((0, 0), (0, 0), (2, 2), (2, 2)))
    return truncate(bilinear(padded, rows, columns, 2).astype(np.float32))


def ripple(
    images: np.ndarray, severity: float, wavelength: np.ndarray, phase: np.ndarray
) -> np.ndarray:
    """Sine waves along rows and columns, black outside; wavelength (pixels), phase: (n, 2)."""
    wave = (
        level(severity, 0.025)
        * SIZE
        * np.sin(TURN * np.arange(SIZE) / wavelength[..., None] + phase[..., None])
    )
    padded = np.pad(images.astype(np.float64), ((0, 0), (0, 0), (3, 3), (3, 3)))
    return truncate(bilinear(padded, ROWS + wave[:, 0, :, None], COLUMNS + wave[:, 1, None], 3))


def _rotation(angle: float) -> csr_array:
    """SciPy's cubic `rotate` of spline coefficients by `angle` degrees, black outside.

    Returns a sparse matrix (1024, 1024).
    """
    cosine, sine, middle = cosdg(angle), sindg(angle), (SIZE - 1) / 2
    offset = middle - cosine * middle - sine * middle, middle + sine * middle - cosine * middle
    rows = (cosine * ROWS + sine * COLUMNS + offset[0]).ravel()
    columns = (-sine * ROWS + cosine * COLUMNS + offset[1]).ravel()
    inside = (rows >= 0) & (rows <= SIZE - 1) & (columns >= 0) & (columns <= SIZE - 1)
    (top, down), (left, right) = (_cubic_taps(position) for position in (rows, columns))
    source = (top[:, None] * SIZE + left).reshape(16, -1)
    weights = (inside * down[:, None] * right).reshape(16, -1)
    pixel = np.broadcast_to(np.arange(SIZE**2), source.shape)
    return csr_array((weights.ravel(), (pixel.ravel(), source.ravel())), shape=(SIZE**2, SIZE**2))


def _cubic_taps(position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The four coefficients that a cubic B-spline needs at a position (m,), and their weights.

    Coefficients are mirrored at the border. Returns two arrays (4, m).
    """
    first = np.floor(position).astype(int)
    t = position - first
    weights = [
        (1 - t) ** 3 / 6,
        (4 - 6 * t**2 + 3 * t**3) / 6,
        (1 + 3 * t + 3 * t**2 - 3 * t**3) / 6,
        t**3 / 6,
    ]
    index = np.abs(first + np.arange(-1, 3)[:, None])
    return np.where(index > SIZE - 1, 2 * (SIZE - 1) - index, index), np.array(weights)


@lru_cache(maxsize=5)
def _circular_motion_blur(severity: float) -> tuple[np.ndarray, list[csr_array]]:
    steps = np.array([2 * i / 20 - 1 for i in range(21)])
    return np.exp(-2 * steps**2), [_rotation(step * level(severity, 15)) for step in steps]


def circular_motion_blur(images: np.ndarray, severity: float) -> np.ndarray:
    """Mean of 21 rotations by up to level(15) degrees either way, weights exp(-2 u squared).

    Summed in float32, as in the reference.
    """
    weights, rotations = _circular_motion_blur(severity)
    splines = to_float(images, np.float32).astype(np.float64)
    for axis in (2, 3):
        splines = ndimage.spline_filter1d(splines, order=3, axis=axis, mode="mirror")
    pixels = np.ascontiguousarray(splines.reshape(-1, SIZE**2).T)
    total = np.zeros(pixels.shape, np.float32)
    for weight, rotation in zip(weights, rotations, strict=True):
        total += weight * (rotation @ pixels).astype(np.float32)
    total /= sum(weights)
    return truncate(total * np.float32(255)).T.reshape(images.shape)


def lines(
    images: np.ndarray, severity: float, angle: np.ndarray, variation: np.ndarray, line: np.ndarray
) -> np.ndarray:
    """Grey lines of about one direction, anti-aliased, drawn one after another.

    angle, variation: (n,); line: uniform (n, lines, 3).
    """
    out = images.transpose(0, 2, 3, 1).copy()
    for picture, mean_angle, spread, drawn in zip(out, angle, variation, line, strict=True):
        for row, column, turn in drawn:
            a = mean_angle + TURN * spread * (turn - 0.5)
            dy, dx = np.cos(a) * SIZE, np.sin(a) * SIZE
            ends = SIZE * row - dy, SIZE * column - dx, SIZE * row + dy, SIZE * column + dx
            rows, columns, weight = line_aa(*(int(end) for end in ends))
            seen = (rows >= 0) & (columns >= 0) & (rows < SIZE) & (columns < SIZE)
            rows, columns, weight = rows[seen], columns[seen], weight[seen, None]
            picture[rows, columns] = (1.0 - weight) * picture[rows, columns] + weight * 128
    return np.ascontiguousarray(out.transpose(0, 3, 1, 2))


def transverse_chromatic_abberation(
    images: np.ndarray, severity: float, order: np.ndarray
) -> np.ndarray:
    """Each channel zoomed by its own scale, 1, 1 + h / 2 or 1 + h.

    order: (n, 3), which scale a channel gets. It is SciPy's cubic zoom without its prefilter, so
    that the channel of scale 1 is smoothed too; that rounds to bytes itself, and many values lie
    halfway between two bytes, so that SciPy is called for each plane.
    """
    h = level(severity, 0.5)
    scales = np.array([1.0, 1.0 + h / 2, 1.0 + h])[order]
    out = np.empty(images.shape, np.uint8)
    for plane in np.ndindex(scales.shape):
        zoomed = ndimage.zoom(images[plane], scales[plane], prefilter=False)
        edge = (len(zoomed) - SIZE) // 2
        out[plane] = zoomed[edge : edge + SIZE, edge : edge + SIZE]
    return out


C_BAR = by_name(
    Recipe(blue_noise_sample, (0.7, 1.4, 2.1, 3.5, 4.2), phases=uniform(0, TURN, SIZE, SIZE // 2)),
    Recipe(brownish_noise, (2.5, 4, 5.5, 6.5, 7), phases=uniform(0, TURN, 3, SIZE, SIZE // 2)),
    Recipe(
        checkerboard_cutout,
        (1, 2, 3, 4, 5),
        angle=uniform(0, TURN),
        cell=uniform(0.1 * SIZE, 0.25 * SIZE),
        grid=uniform(0, 1, CELLS, CELLS),
    ),
    Recipe(
        inverse_sparkles,
        (1, 1.5, 2.5, 4.5, 5),
        centre=uniform(8, 24, 2),
        rays=integer(50, 200),
        lengths=normal(RAYS),
    ),
    Recipe(
        sparkles,
        (0.7, 3.5, 5.6, 6.3, 7),
        centre=uniform(0, SIZE, 5, 2),
        rays=integer(50, 200, 5),
        lengths=normal(5, RAYS),
    ),
    Recipe(pinch_and_twirl, (5.5, 6, 6.5, 8.5, 10), clockwise=integer(0, 2, 3, 3)),
    Recipe(
        ripple,
        (5.5, 6, 6.5, 7.5, 8),
        wavelength=uniform(0.1 * SIZE, 0.3 * SIZE, 2),
        phase=uniform(0, TURN, 2),
    ),
    Recipe(circular_motion_blur, (2.8, 3.6, 4.4, 5.2, 6)),
    Recipe(
        lines,
        (0.5, 1, 1.5, 2, 2.5),
        angle=uniform(0, TURN),
        variation=uniform(0.1, 1),
        line=lambda p: uniform(0, 1, int(level(p, 1) * SIZE), 3),
    ),
    Recipe(transverse_chromatic_abberation, (1, 2, 5, 9, 10), order=order(3)),
)
