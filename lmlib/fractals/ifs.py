"""Random contractive iterated function systems, and the refusal of those that make no picture.

The systems are those of Anderson and Farrell, "Improving fractal pre-training" (WACV 2022): the
singular values of the affine maps are drawn under a constraint that makes the system contractive
and its attractor dense. Some maps are bent by the nonlinear variations of Draves and Reckase, "The
fractal flame algorithm" (2003).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np


def _bubble(x, y, r2):
    scale = 4 / (r2 + 4)
    return x * scale, y * scale


def _disc(x, y, r2):
    angle, r = np.arctan2(x, y) / np.pi, np.pi * np.sqrt(r2)
    return angle * np.sin(r), angle * np.cos(r)


def _eyefish(x, y, r2):
    scale = 2 / (np.sqrt(r2) + 1)
    return x * scale, y * scale


def _horseshoe(x, y, r2):
    r = np.sqrt(r2) + 1e-9
    return (x - y) * (x + y) / r, 2 * x * y / r


def _julia(x, y, r2):
    """A square root in the complex plane.

    The points come in random order, so that every second one can take the other root.
    """
    r, angle = np.sqrt(np.sqrt(r2)), np.arctan2(x, y) / 2
    r[::2] *= -1
    return r * np.cos(angle), r * np.sin(angle)


def _sinusoidal(x, y, r2):
    return np.sin(x), np.sin(y)


def _spherical(x, y, r2):
    scale = 1 / (r2 + 0.05)
    return x * scale, y * scale


def _swirl(x, y, r2):
    sine, cosine = np.sin(r2), np.cos(r2)
    return x * sine - y * cosine, x * cosine + y * sine


VARIATIONS = (_bubble, _disc, _eyefish, _horseshoe, _julia, _sinusoidal, _spherical, _swirl)
"""(x, y, x**2 + y**2) -> (x, y): those variations of Draves and Reckase that keep points bounded or
bring them back."""


@dataclass(frozen=True)
class System:
    """N maps p -> (1 - amount) q + amount * variation(q), with q = matrix p + offset.

    The third coordinate is the colour, in [0, 1]: every map halves it and pulls it towards the
    map's own position on the palette.
    """

    matrix: np.ndarray  # (N, 3, 3)
    offset: np.ndarray  # (N, 3)
    probability: np.ndarray  # (N,), sum 1
    variation: np.ndarray  # (N,) index into VARIATIONS
    amount: np.ndarray  # (N,) in [0, 1]; 0 is the affine map alone


def singular_values(rng: np.random.Generator, n_maps: int, total: float) -> np.ndarray:
    """Draw 1 >= s1 >= s2 >= 0 for each map such that sum(s1 + 2 * s2) = total: float64 (n_maps, 2).

    `total` is Anderson and Farrell's sigma factor. Each map leaves a feasible rest, 0 to 3 each, to
    the maps after it.
    """
    values = np.empty((n_maps, 2))
    for k in range(n_maps - 1):
        least = total - 3 * (n_maps - 1 - k)
        first = rng.uniform(max(0, least / 3), min(1, total))
        second = rng.uniform(max(0, (least - first) / 2), min(first, (total - first) / 2))
        values[k] = first, second
        total -= first + 2 * second
    second = rng.uniform(max(0, (total - 1) / 2), total / 3)
    values[-1] = total - 2 * second, second
    return values


def sample_system(rng: np.random.Generator) -> System:
    """Draw a random `System` of 2 to 8 maps from the NumPy generator `rng`."""
    n_maps = int(rng.integers(2, 9))
    values = singular_values(rng, n_maps, rng.uniform(5 + n_maps, 6 + n_maps) / 2)
    values = rng.permutation(values)
    left, right = rng.uniform(0, 2 * np.pi, (2, n_maps))
    signs = rng.choice([-1.0, 1.0], (n_maps, 2))
    matrix = np.zeros((n_maps, 3, 3))
    matrix[:, :2, :2] = rotation(left) * (values * signs)[:, None, :] @ rotation(right)
    matrix[:, 2, 2] = 0.5
    colour = rng.permutation(np.linspace(0, 1, n_maps))
    offset = np.concatenate([rng.uniform(-1, 1, (n_maps, 2)), colour[:, None] / 2], axis=1)
    weight = np.maximum(np.prod(values, 1), 0.02)
    nonlinear = rng.random() < 0.75
    amount = np.where(rng.random(n_maps) < 0.6, rng.uniform(0.3, 1, n_maps), 0) * nonlinear
    variation = rng.choice(rng.choice(len(VARIATIONS), 2), n_maps)
    return System(matrix, offset, weight / weight.sum(), variation, amount)


def rotation(angle: np.ndarray | float) -> np.ndarray:
    """Matrices (..., 2, 2) that turn the plane by `angle` (...) in radians."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)


def iterate(
    system: System, points: np.ndarray, rng: np.random.Generator, n_steps: int
) -> Iterator[np.ndarray]:
    """Yield `n_steps` generations of the chaos game, all chains at once.

    points: float64 (3, M), rows x, y and colour; each generation has the same shape. Choosing a map
    for each point means to shuffle the points and to give each map its share of them, so that every
    operation runs on a contiguous slice. One shuffle, turned by a random amount, serves all
    generations.
    """
    n_points = points.shape[1]
    shuffle = np.tile(rng.permutation(n_points), 2)
    ends = np.rint(np.cumsum(system.probability) * n_points).astype(int)
    turns = rng.integers(n_points, size=n_steps)
    with np.errstate(all="ignore"):  # what diverges is refused, or falls outside the frame
        for turn in turns:
            points = np.take(points, shuffle[turn : turn + n_points], axis=1)
            for k, (start, end) in enumerate(pairwise([0, *ends])):
                points[:, start:end] = _move(system, k, points[:, start:end])
            yield points


def _move(system: System, k: int, points: np.ndarray) -> np.ndarray:
    """Map number `k` of `system` at `points` (3, M)."""
    moved = system.matrix[k] @ points
    moved += system.offset[k][:, None]
    if amount := system.amount[k]:
        x, y = moved[:2]
        u, v = VARIATIONS[system.variation[k]](x, y, x * x + y * y)
        x += amount * (u - x)
        y += amount * (v - y)
    return moved


def why_degenerate(points: np.ndarray) -> str | None:
    """Say why the attractor sampled by `points` (2 or 3, M) makes no picture; None if it does.

    Judged on a 32 x 32 histogram of the central 96 % of the points, so that the verdict does not
    depend on the size drawn.
    """
    if not np.isfinite(points[:2]).all():
        return "it diverges"
    low, high = np.quantile(points[:2], [0.02, 0.98], axis=1)
    extent = high - low
    if not (extent.min() > 1e-3 and extent.max() < 1e3):
        return "it is a point, a line or unbounded"
    counts = cell_counts((points[:2] - low[:, None]) / extent[:, None], 32)
    mean = counts.mean()
    if (counts > 0).mean() < 0.15:
        return "it is empty or a curve"
    # The counts of a uniform square spread by the square root of their mean.
    if counts.std() < 0.75 * mean + np.sqrt(mean):
        return "it is nearly uniform"
    if np.sort(counts)[-4:].sum() > 0.5 * counts.sum():
        return "half of it is in four cells"
    return None


def cell_counts(unit: np.ndarray, side: int) -> np.ndarray:
    """How many of the points `unit` (2, M) fall in each cell of the unit square: (side * side,)."""
    column, row = np.floor(np.clip(unit, -1, 2) * side).astype(np.int64)
    inside = (column >= 0) & (column < side) & (row >= 0) & (row < side)
    return np.bincount(row[inside] * side + column[inside], minlength=side * side)


def attractor(rng: np.random.Generator) -> tuple[System, np.ndarray]:
    """Draw systems until one is not degenerate: the system and its settled points (3, 4096)."""
    while True:
        system = sample_system(rng)
        points = np.concatenate([rng.uniform(-1, 1, (2, 4096)), rng.random((1, 4096))])
        *_, settled = iterate(system, points, rng, n_steps=12)
        if why_degenerate(settled) is None:
            return system, settled
