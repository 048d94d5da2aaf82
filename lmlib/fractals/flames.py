"""Generated fractals: iterated function systems drawn in the manner of fractal art.

After Draves and Reckase, "The fractal flame algorithm" (2003): a colour carried by every point, brightness as the logarithm of the
density, and a blur that is wide where points are few. A picture is a stack of one to three systems (`ifs`), from a close-up that
fills the frame to whole attractors.
"""

import functools

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from .. import draws as random
from .ifs import attractor, cell_counts, iterate, rotation

VERSION = 2  # raise it when the pictures change, here or in `ifs`
MARGIN = (
    1.25  # the canvas is this much wider than the picture, so that a blur sees what lies outside
)
N_POINTS_MIN, N_POINTS_PER_PIXEL = 96_000, 12  # points of one layer
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R 601, as in Pillow's L


def sample_view(rng, points, zoom):
    """Choose the frame: centre (2,), half-width, and the matrix (2, 2) of its turn.

    The frame spans `zoom` of the attractor's extent and lies the nearer to one of its points the closer it looks.
    """
    low, high = np.quantile(points[:2], [0.05, 0.95], axis=1)
    anchor = np.clip(points[:2, rng.integers(points.shape[1])], low, high)
    centre = zoom * (low + high) / 2 + (1 - zoom) * anchor
    half_width = zoom * np.sqrt(np.prod(high - low)) / 2
    return centre, half_width, rotation(rng.uniform(0, 2 * np.pi))


def coverage(points, view):
    """The share of the frame's 8 x 8 cells that hold a point of `points` (2 or 3, M), in [0, 1]."""
    centre, half_width, turn = view
    return (
        cell_counts(turn @ (points[:2] - centre[:, None]) / (2 * half_width) + 0.5, 8) > 0
    ).mean()


def scene(rng, zoom, least=0.6):
    """Draw systems and frames until the attractor covers `least` of the frame: system, settled points (3, M), view."""
    while True:
        system, points = attractor(rng)
        view = sample_view(rng, points, zoom)
        if coverage(points, view) >= least:
            return system, points, view


def density(system, points, view, rng, side, n_points, n_fold):
    """Histograms of the attractor over the frame: point count and summed colour, float64 (2, side, side).

    n_fold: the frame is turned by 1 / n_fold of a circle from generation to generation, which makes a rosette.
    """
    centre, half_width, turn = view
    points = np.tile(
        points, 4 if n_points > 400_000 else 2
    )  # copies part at once: each goes through other maps
    n_steps, n_batch, total = -(-n_points // points.shape[1]), 4, np.zeros((2, side * side))
    batch = np.empty((3, n_batch, points.shape[1]))
    frames = (
        rotation(2 * np.pi * np.arange(n_fold) / n_fold) @ turn * (side / (2 * MARGIN * half_width))
    )
    for step, moved in enumerate(iterate(system, points, rng, n_batch * -(-n_steps // n_batch))):
        frame = frames[step % n_fold]
        batch[:2, step % n_batch] = frame @ moved[:2] + (side / 2 - frame @ centre)[:, None]
        batch[2, step % n_batch] = moved[2]
        if step % n_batch == n_batch - 1:
            inside = ((batch[:2] >= 0) & (batch[:2] < side)).all(0)
            column, row, colour = batch[:, inside]
            cell = row.astype(np.int64) * side + column.astype(np.int64)
            total += (
                np.bincount(cell, minlength=side * side),
                np.bincount(cell, colour, minlength=side * side),
            )
    return total.reshape(2, side, side)


@functools.cache
def _gaussians(side, sigmas):
    """Fourier transforms of Gaussians with standard deviations `sigmas` (pixels): (len(sigmas), side, side // 2 + 1)."""
    squared = np.fft.fftfreq(side)[:, None] ** 2 + np.fft.rfftfreq(side)[None] ** 2
    return np.exp(-2 * np.pi**2 * np.square(sigmas)[:, None, None] * squared)


def smooth(histogram, sigmas, enough=30):
    """Blur each pixel just as wide as it takes to find `enough` points: (2, side, side) -> the same.

    sigmas: increasing standard deviations in pixels. From wide to narrow, a finer blur takes over where it holds enough points.
    """
    spectra = np.fft.rfft2(histogram) * _gaussians(histogram.shape[-1], sigmas)[:, None]
    blurred = np.maximum(np.fft.irfft2(spectra, s=histogram.shape[1:]), 0)
    result = blurred[-1]
    for sigma, finer in zip(sigmas[-2::-1], blurred[-2::-1], strict=True):
        found = (
            result[0] * 4 * np.pi * sigma**2
        )  # points under the finer kernel, as the wider one estimates them
        result += (found / (found + enough)) * (finer - result)
    return result


def sample_palette(rng):
    """Draw a cosine palette (I. Quilez): colour(t) = base + swing * cos(2 pi (rate t + phase)); float64 (4, 3)."""
    base = rng.uniform(0.4, 0.7) + rng.uniform(-0.15, 0.15, 3)
    swing = rng.uniform(0.1, 0.4, 3)
    rate = rng.uniform(0.3, 1.2) * rng.uniform(0.8, 1.2, 3)
    return np.stack([base, swing, rate, rng.random() + rng.uniform(-0.2, 0.2, 3)])


def paint(palette, value):
    """Colours of `value` (...) on `palette` (4, 3): float64 (..., 3) in [0, 1]."""
    base, swing, rate, phase = palette
    return np.clip(base + swing * np.cos(2 * np.pi * (value[..., None] * rate + phase)), 0, 1)


def draw_layer(rng, point_rng, size, zoom, focus):
    """Draw one system: its colours float64 (size, size, 3) and its opacity (size, size), both in [0, 1].

    focus: the narrowest blur as a share of the frame, for what lies in the background.
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
    count, colour = (
        part[edge : edge + size * fine, edge : edge + size * fine] for part in (count, colour)
    )
    tone = np.log1p(contrast * count / count.mean())
    tone = np.clip(tone / np.quantile(tone, 0.995), 0, 1)
    rgb = paint(palette, colour / np.maximum(count, 1e-9) + bands * tone) * (
        0.35 + 0.65 * tone[..., None]
    )
    rgb *= shade(rng, size * fine)[..., None]
    stacked = np.concatenate([rgb, tone[..., None]], -1)
    stacked = stacked.reshape(size, fine, size, fine, 4).mean((1, 3))
    return stacked[..., :3], stacked[..., 3]


def shade(rng, side):
    """Light that falls off from a random place of the frame or its border: float64 (side, side) in (0, 1]."""
    centre, reach = rng.uniform(-0.2, 1.2, 2), rng.uniform(0.3, 1.0)
    place = (np.arange(side) + 0.5) / side
    squared = (place[:, None] - centre[0]) ** 2 + (place - centre[1]) ** 2
    return 0.5 + 0.5 * np.exp(-squared / (2 * reach**2))


def draw(index, *, seed, size):
    """Fractal number `index` under `seed`: float64 (size, size, 3) in [0, 1]."""
    (rng,) = random.generators("fractal", seed=seed, index=np.array([index]))
    (point_rng,) = random.generators("fractal points", seed=seed, index=np.array([index]))
    n_layers = int(rng.choice([1, 2, 2, 3]))
    zooms = np.geomspace(rng.uniform(0.12, 0.35), rng.uniform(0.4, 0.8), n_layers)
    blurs = np.linspace(0, rng.choice([0, 0, 0.01, 0.02]), n_layers)[::-1]  # the front is sharp
    picture = None
    for zoom, focus in zip(zooms, blurs, strict=True):
        rgb, opacity = draw_layer(rng, point_rng, size, zoom, focus)
        opacity = opacity[..., None]
        picture = (
            rgb * (0.3 + 0.7 * opacity) if picture is None else picture + opacity * (rgb - picture)
        )
    return tone_map(picture, rng.uniform(0.0, 0.1), rng.uniform(0.85, 1), rng.uniform(0.25, 0.55))


def tone_map(picture, black, white, median):
    """Set the grey range of `picture` (..., 3): its 1 % and 99 % quantiles go to `black` and `white`, its median near `median`.

    Grey values are stretched and raised to a power between 0.4 and 2.5; colours keep their hue and pale as far as [0, 1] asks.
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


def generate(n, *, size=36, seed=0, colour=False):
    """Draw `n` fractals: uint8 (n, 1, size, size), or (n, 3, size, size) with `colour`.

    Fractal number i is a pure function of (seed, i, size); the grey picture is the coloured one in Pillow's L. About 20 ms
    each at 36 px and 150 ms at 256 px on one core. Raises ValueError for n below 1 or size below 8.
    """
    if n < 1 or size < 8:
        raise ValueError(
            f"expected n of at least 1 and size of at least 8 pixels, got n = {n}, size = {size}"
        )
    images = np.empty((n, 3 if colour else 1, size, size), np.uint8)
    for index in tqdm(range(n), desc=f"fractals, {size} px", disable=n < 50):
        picture = np.rint(255 * draw(index, seed=seed, size=size)).astype(np.uint8)
        images[index] = (
            picture.transpose(2, 0, 1) if colour else Image.fromarray(picture).convert("L")
        )
    return images
