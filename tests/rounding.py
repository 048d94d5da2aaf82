"""How far apart two roundings of one number may stand: what the bounds of the tests are made of.

An operation rounds its result by a share of at most u, half the spacing at 1. Of n in a row, in whatever order and with or
without a fused multiply-add, at most n u / (1 - n u) of the sum of the magnitudes is left (Higham, Accuracy and Stability of
Numerical Algorithms, 2002, section 3.1): so such a bound holds on every processor. exp and log count for four, the most that
mathematical libraries leave. Formulas that are the same are compared in float64, whose roundings are too small to be mistaken
for a difference; there `pytest.approx` without a bound (1e-6) is 5 * 10**9 of them, where a hundred operations are made.
"""

import numpy as np
import torch


def gamma(n, dtype=torch.float32):
    """The largest relative error of `n` roundings in a row."""
    u = torch.finfo(dtype).eps / 2
    return n * u / (1 - n * u)


def map_bound(weight, features):
    """How far two roundings of a Grad-CAM map may stand apart: weight (C,), features (B, C, h, w), both float.

    The weights are means over places, the map a sum over channels, then resized (a mean of four, with two products each) and
    divided by its largest value.
    """
    terms = features * weight[:, None, None]
    peak = terms.sum(1).relu().amax((1, 2))
    n = features[0, 0].numel() + len(weight) + 16
    return 2 * gamma(n) * float((terms.abs().sum(1).amax((1, 2)) / peak).max())


def assert_same_bytes(result, expected, roundings=33, ties=0.0, at_most=1):
    """None of the bytes differs by more than `at_most` levels, and not more of them than rounding explains.

    A value that float32 rounds `roundings` times lies within 255 gamma(roundings) levels of the edge between two bytes, on
    either side of it, with a probability of twice that: this share may differ. (33 roundings: one byte in 1,000.)
    ties: the share of further values that lie on an edge themselves, because whole levels were weighed by simple fractions.
    """
    difference = np.abs(np.int64(result) - np.int64(expected))
    assert difference.max() <= at_most
    assert (difference > 0).mean() <= 2 * 255 * gamma(roundings) + ties
