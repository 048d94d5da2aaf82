"""How far a float32 result may lie from the exact one: the roundings of its arithmetic, added up.

They hold on every processor, whichever of its instructions a library takes: a fused multiply-add
rounds once where two operations round twice, and another order of a sum rounds as often. (What
grows with the square of a count is left out: below 1,000 roundings less than a tenth of one.) An
exp or log counts for four, the most that a mathematical library leaves. Formulas that must be the
same are compared in float64, whose roundings are too small to be mistaken for a difference; there
`pytest.approx` without a bound, 1e-6, is 9 * 10**9 of them.
"""

import numpy as np

ROUNDING = 2.0**-24
"""The largest error of one operation in float32, as a share of its result."""

ON_BYTES = ("equalize", "posterize", "posterize_increasing")
"""Operations that give whole 8-bit values: the same ones everywhere."""

SAMPLING = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")


def rounded(n: int, largest: float = 1.0) -> float:
    """The error of a result that is rounded `n` times, each time from at most `largest`."""
    return n * ROUNDING * largest


def position(size: tuple[int, int]) -> float:
    """The error, in pixels, of where an image of `size` (height, width) is sampled.

    Eight roundings of numbers that no side exceeds: two of a coefficient, one of its product with a
    coordinate, two of sums (coefficients are at most 1, coordinates half a side), and three on the
    way from [-1, 1] to pixels.
    """
    return rounded(8, max(size))


def sampled(size: tuple[int, int]) -> float:
    """The error of a bilinear sample, of images of `size` with values in [0, 1].

    Along each axis it moves by at most 1 a pixel; the four weights, their products and the sum
    round six times. About 3e-5 for 32 pixels and 2e-4 for 224.
    """
    return 2 * position(size) + rounded(6)


def operation(name: str, size: tuple[int, int]) -> float:
    """The error of an operation of LayerMix on images of `size`.

    Those that work on one pixel round four times at most: a weighted sum of three channels, or a
    difference, a range, its inverse and a product.
    """
    if name in ON_BYTES:
        return 0.0
    return sampled(size) if name in SAMPLING else rounded(4)


def blended(kind, x, y, a, b, error_x=0.0, error_y=0.0, clip=True) -> np.ndarray:
    """The error of a blend of x and y, float64 arrays that are off by up to `error_x` and
    `error_y`.

    The sum rounds six times numbers of at most 2. In the geometric mean, a sum of logarithms, each
    term is rounded five times (by two a logarithm and an exponential, whose last bit may be wrong),
    the constant eight times; what errs there is a share of the result. It grows with x, and with y
    where b is positive. A masked mix takes one or the other. clip: whether the blend is clipped to
    [0, 1].
    """
    a, b = np.float64(a), np.float64(b)
    if kind == "add":
        return abs(a) * error_x + abs(b) * error_y + rounded(6, 2)
    if kind != "multiply":
        return np.maximum(error_x, error_y) + np.zeros(x.shape)

    def mean(off_x, off_y):
        moved_x, moved_y = np.maximum(x + off_x, 0), np.maximum(y + off_y, 1e-37)
        return np.minimum(2 ** (a + b - 1) * moved_x**a * moved_y**b, 1 if clip else np.inf)

    sign = 1 if b > 0 else -1
    middle = mean(0, 0)
    moved = np.maximum(
        mean(error_x, sign * error_y) - middle, middle - mean(-error_x, -sign * error_y)
    )
    terms = a * np.abs(np.log(np.maximum(x, 1e-37))) + abs(b) * np.abs(np.log(np.maximum(y, 1e-37)))
    return moved + (middle + moved) * (rounded(5) * terms + rounded(12))


def map_bound(weight, features) -> float:
    """How far two roundings of a Grad-CAM map may stand apart: weight (C,), features (B, C, h, w).

    The weights are means over places, the map a sum over channels, then resized (a mean of four,
    with two products each) and divided by its largest value.
    """
    terms = features * weight[:, None, None]
    peak = terms.sum(1).relu().amax((1, 2))
    n = features[0, 0].numel() + len(weight) + 16
    return 2 * rounded(n) * float((terms.abs().sum(1).amax((1, 2)) / peak).max())


def assert_same_bytes(result, expected, roundings=33, ties=0.0, at_most=1):
    """No byte differs by more than `at_most` levels, and no more of them than rounding explains.

    A value that is rounded `roundings` times lies within 255 rounded(roundings) levels of the edge
    between two bytes, on either side of it, with a probability of twice that: this share may
    differ. (33 roundings: one byte in 1,000.) ties: the share of further values that lie on an edge
    themselves, because whole levels were weighed by simple fractions.
    """
    difference = np.abs(np.int64(result) - np.int64(expected))
    assert difference.max() <= at_most
    assert (difference > 0).mean() <= 2 * 255 * rounded(roundings) + ties
