"""Generated fractals: iterated function systems drawn in the manner of fractal art.

After Draves and Reckase, "The fractal flame algorithm" (2003): every point carries a colour,
brightness is the logarithm of the density, and the blur is wide where points are few. A picture is
a stack of one to three systems (`ifs`), from a close-up that fills the frame to whole attractors.
"""

import functools

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from ..draws import generators
from .ifs import System, attractor, cell_counts, iterate, rotation

VERSION = 2  # raise it when the pictures change, here or in `ifs`
MARGIN = 1.25  # width of the canvas over the picture's, so that a blur sees what lies outside
N_POINTS_MIN, N_POINTS_PER_PIXEL = 96_000, 12  # points of one layer
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R 601, as in Pillow's L

View = tuple[np.ndarray, float, np.ndarray]
"""A frame in the plane: its centre (2,), its half-width, and the matrix (2, 2) of its turn."""


def sample_view(rng: np.random.Generator, points: np.ndarray, zoom: float) -> View:
    """Choose the frame for an attractor sampled by `points` (2 or 3, M).

    The frame spans `zoom` of the attractor's extent; the closer it looks, the nearer it lies to one
    of the points.
    """
    low, high = np.quantile(points[:2], [0.05, 0.95], axis=1)
    anchor = np.clip(points[:2, rng.integers(points.shape[1])], low, high)
    centre = zoom * (low + high) / 2 + (1 - zoom) * anchor
    half_width = zoom * np.sqrt(np.prod(high - low)) / 2
    return centre, half_width, rotation(rng.uniform(0, 2 * np.pi))


def coverage(points: np.ndarray, view: View) -> float:
    """The share of the frame's 8 x 8 cells that hold a point of `points` (2 or 3, M), in [0, 1]."""
    centre, half_width, turn = view
    unit = turn @ (points[:2] - centre[:, None]) / (2 * half_width) + 0.5
    return (cell_counts(unit, 8) > 0).mean()


def scene(rng: np.random.Generator, zoom: float) -> tuple[System, np.ndarray, View]:
    """Draw systems and frames until the attractor covers 60 % of the frame.

    Returns the system, its settled points (3, M) and the frame.
    """
    while True:
        system, points = attractor(rng)
        view = sample_view(rng, points, zoom)
        if coverage(points, view) >= 0.6:
            return system, points, view


def density(
    system: System,
    points: np.ndarray,
    view: View,
    rng: np.random.Generator,
    side: int,
    n_points: int,
    n_fold: int,
) -> np.ndarray:
    """Histograms of the attractor over the frame: point count and summed colour.

    n_fold: the frame is turned by 1 / n_fold of a circle from generation to generation, which makes
    a rosette. Returns float64 (2, side, side).
    """
    centre, half_width, turn = view
    # Copies of the points part at once, because each goes through other maps.
    points = np.tile(points, 4 if n_points > 400_000 else 2)
    n_steps, n_batch, total = -(-n_points // points.shape[1]), 4, np.zeros((2, side * side))
    batch = np.empty((3, n_batch, points.shape[1]))
    turns = rotation(2 * np.pi * np.arange(n_fold) / n_fold)
    frames = turns @ turn * (side / (2 * MARGIN * half_width))
    for step, moved in enumerate(iterate(system, points, rng, n_batch * -(-n_steps // n_batch))):
        frame = frames[step % n_fold]
        batch[:2, step % n_batch] = frame @ moved[:2] + (side / 2 - frame @ centre)[:, None]
        batch[2, step % n_batch] = moved[2]
        if step % n_batch == n_batch - 1:
            inside = ((batch[:2] >= 0) & (batch[:2] < side)).all(0)
            column, row, colour = batch[:, inside]
            cell = row.astype(np.int64) * side + column.astype(np.int64)
            total[0] += np.bincount(cell, minlength=side * side)
            total[1] += np.bincount(cell, colour, minlength=side * side)
    return total.reshape(2, side, side)


@functools.cache
def _gaussians(side: int, sigmas: tuple[float, ...]) -> np.ndarray:
    """Fourier transforms of Gaussians with standard deviations `sigmas`, in pixels.

    Returns float64 (len(sigmas), side, side // 2 + 1).
    """
    squared = np.fft.fftfreq(side)[:, None] ** 2 + np.fft.rfftfreq(side)[None] ** 2
    return np.exp(-2 * np.pi**2 * np.square(sigmas)[:, None, None] * squared)


def smooth(histogram: np.ndarray, sigmas: tuple[float, ...]) -> np.ndarray:
    """Blur each pixel just as wide as it takes to find 30 points: (2, side, side), in and out.

    sigmas: increasing standard deviations in pixels. From wide to narrow, a finer blur takes over
    where it holds enough points.
    """
    spectra = np.fft.rfft2(histogram) * _gaussians(histogram.shape[-1], sigmas)[:, None]
    blurred = np.maximum(np.fft.irfft2(spectra, s=histogram.shape[1:]), 0)
    result = blurred[-1]
    for sigma, finer in zip(sigmas[-2::-1], blurred[-2::-1], strict=True):
        # The points under the finer kernel, as the wider one estimates them.
        n_points = result[0] * 4 * np.pi * sigma**2
        result += (n_points / (n_points + 30)) * (finer - result)
    return result


def sample_palette(rng: np.random.Generator) -> np.ndarray:
    """Draw a cosine palette (I. Quilez): colour(t) = base + swing * cos(2 pi (rate t + phase)).

    Returns float64 (4, 3), the rows base, swing, rate and phase.
    """
    base = rng.uniform(0.4, 0.7) + rng.uniform(-0.15, 0.15, 3)
    swing = rng.uniform(0.1, 0.4, 3)
    rate = rng.uniform(0.3, 1.2) * rng.uniform(0.8, 1.2, 3)
    return np.stack([base, swing, rate, rng.random() + rng.uniform(-0.2, 0.2, 3)])


def paint(palette: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Colours of `value` (...) on `palette` (4, 3): float64 (..., 3) in [0, 1]."""
    base, swing, rate, phase = palette
    return np.clip(base + swing * np.cos(2 * np.pi * (value[..., None] * rate + phase)), 0, 1)


def draw_layer(
    rng: np.random.Generator, point_rng: np.random.Generator, size: int, zoom: float, focus: float
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one system: its colours (size, size, 3) and its opacity (size, size).

    focus: the narrowest blur as a share of the frame, for what lies in the background. Both results
    are float64 in [0, 1].
    """
    system, points, view = scene(rng, zoom)
    n_fold = int(rng.choice([1, 1, 1, 2, 3, 4, 5, 6]))
    palette, bands, contrast = sample_palette(rng), rng.uniform(0, 0.5), 10 ** rng.uniform(0, 1.5)
    fine = 2 if size < 128 else 1  # small pictures are drawn at twice the side and averaged
    side = 2 * int(np.ceil(MARGIN * size * fine / 2))
    n_points = max(N_POINTS_MIN, N_POINTS_PER_PIXEL * (size * fine) ** 2)
    histogram = density(system, points, view, point_rng, side, n_points, n_fold)
    blur = np.maximum(0.6, side * np.array([focus, 0.008 + focus, 0.025 + focus, 0.08 + focus]))
    count, colour = smooth(histogram, tuple(blur))
    edge = (side - size * fine) // 2
    inner = slice(edge, edge + size * fine)
    count, colour = count[inner, inner], colour[inner, inner]
    tone = np.log1p(contrast * count / count.mean())
    tone = np.clip(tone / np.quantile(tone, 0.995), 0, 1)
    rgb = paint(palette, colour / np.maximum(count, 1e-9) + bands * tone)
    rgb = rgb * (0.35 + 0.65 * tone[..., None]) * shade(rng, size * fine)[..., None]
    stacked = np.concatenate([rgb, tone[..., None]], -1)
    stacked = stacked.reshape(size, fine, size, fine, 4).mean((1, 3))
    return stacked[..., :3], stacked[..., 3]


def shade(rng: np.random.Generator, side: int) -> np.ndarray:
    """Light that falls off from a random point in or near the frame: (side, side) in (0, 1]."""
    centre, reach = rng.uniform(-0.2, 1.2, 2), rng.uniform(0.3, 1.0)
    position = (np.arange(side) + 0.5) / side
    squared = (position[:, None] - centre[0]) ** 2 + (position - centre[1]) ** 2
    return 0.5 + 0.5 * np.exp(-squared / (2 * reach**2))


def draw(index: int, *, seed: int, size: int) -> np.ndarray:
    """Fractal number `index` under `seed`: float64 (size, size, 3) in [0, 1]."""
    (rng,) = generators("fractal", seed=seed, index=np.array([index]))
    (point_rng,) = generators("fractal points", seed=seed, index=np.array([index]))
    n_layers = int(rng.choice([1, 2, 2, 3]))
    zooms = np.geomspace(rng.uniform(0.12, 0.35), rng.uniform(0.4, 0.8), n_layers)
    blurs = np.linspace(0, rng.choice([0, 0, 0.01, 0.02]), n_layers)[::-1]  # the front is sharp
    layers = (draw_layer(rng, point_rng, size, *layer) for layer in zip(zooms, blurs, strict=True))
    rgb, opacity = next(layers)
    picture = rgb * (0.3 + 0.7 * opacity[..., None])
    for rgb, opacity in layers:
        picture += opacity[..., None] * (rgb - picture)
    return tone_map(picture, rng.uniform(0.0, 0.1), rng.uniform(0.85, 1), rng.uniform(0.25, 0.55))


def tone_map(picture: np.ndarray, black: float, white: float, median: float) -> np.ndarray:
    """Set the grey range of `picture` (..., 3), in [0, 1].

    The 1 % and 99 % quantiles go to `black` and `white`, the median near `median`: grey values are
    stretched and raised to a power between 0.4 and 2.5. Colours keep their hue and become paler
    where they would leave [0, 1].
    """
    grey = picture @ LUMA
    low, middle, high = np.quantile(grey, [0.01, 0.5, 0.99])
    stretched = np.clip((grey - low) / max(high - low, 1e-9), 0, 1)
    middle = np.clip((middle - low) / max(high - low, 1e-9), 0.02, 0.98)
    power = np.clip(np.log((median - black) / (white - black)) / np.log(middle), 0.4, 2.5)
    target = (black + (white - black) * stretched**power)[..., None]
    chroma = (picture - grey[..., None]) * (target / np.maximum(grey, 1e-3)[..., None])
    room = np.minimum((1 - target) / np.maximum(chroma.max(-1, keepdims=True), 1e-9), 1)
    return np.clip(target + room * chroma, 0, 1)


def generate(n: int, *, size: int = 36, seed: int = 0, colour: bool = False) -> np.ndarray:
    """Draw `n` fractals: uint8 (n, 1, size, size), or (n, 3, size, size) with `colour`.

    Fractal number i is a pure function of (seed, i, size); the grey picture is the coloured one in
    Pillow's L. About 20 ms each at 36 px and 150 ms at 256 px on one core. Raises ValueError for n
    below 1 or size below 8.
    """
    if n < 1 or size < 8:
        expected = "expected n of at least 1 and size of at least 8 pixels"
        raise ValueError(f"{expected}, got n = {n}, size = {size}")
    images = np.empty((n, 3 if colour else 1, size, size), np.uint8)
    for index in tqdm(range(n), desc=f"fractals, {size} px", disable=n < 50):
        picture = np.rint(255 * draw(index, seed=seed, size=size)).astype(np.uint8)
        grey = np.asarray(Image.fromarray(picture).convert("L"))
        images[index] = picture.transpose(2, 0, 1) if colour else grey
    return images
