"""Logarithm, exponential and cosine of our own, beside those of mpmath and of NumPy in float64."""

import math

import mpmath
import numba
import numpy as np
import pytest

from lmlib import elementary


def from_python(function):
    """A compiled function, which compiled functions call, as Python can call it."""
    return numba.njit(lambda x: function(x))


cos_sin, exp, exp2, expm1, log, log2 = (
    from_python(getattr(elementary, name)) for name in "cos_sin exp exp2 expm1 log log2".split()
)

RANDOM = np.random.default_rng(0)
NEAR_ONE = 1 - RANDOM.integers(1, 1000, 500) * 2.0**-32
GRID = [*RANDOM.random(2000), *NEAR_ONE, *(2.0**-k for k in range(1, 33))]  # what a draw may be
NEGATIVE = [*-(10.0 ** RANDOM.uniform(-12, 2.8, 2000)), *-30 * RANDOM.random(2000), -1e5, 0.0]


def off_by(ours, exact):
    """The error in units of the last place of the exact value."""
    return float(abs(mpmath.mpf(float(ours)) - exact) / mpmath.mpf(math.ulp(float(exact))))


def test_the_logarithm_of_every_draw_is_right_to_two_units_in_the_last_place():
    with mpmath.workdps(40):
        assert max(off_by(log(float(x)), mpmath.log(float(x))) for x in GRID) < 2
    assert log(1.0) == 0


def test_the_exponential_less_one_is_right_to_two_units_in_the_last_place():
    with mpmath.workdps(400):  # exp(-1000) - 1 differs from -1 far behind the point
        assert max(off_by(expm1(float(x)), mpmath.expm1(float(x))) for x in NEGATIVE if x) < 2
    assert expm1(0.0) == 0 and expm1(-1e5) == -1 and exp(0.0) == 1


def test_cosine_and_sine_are_right_to_two_roundings_and_exact_at_quarter_turns():
    with mpmath.workdps(40):
        for degrees in RANDOM.uniform(-200, 200, 2000):
            radians = mpmath.radians(float(degrees))
            for ours, exact in zip(
                cos_sin(degrees), (mpmath.cos(radians), mpmath.sin(radians)), strict=True
            ):
                assert abs(ours - exact) < 2 * 2.0**-53
    assert [cos_sin(90.0 * k) for k in range(-1, 4)] == [(0, -1), (1, 0), (0, 1), (-1, 0), (0, -1)]


def test_the_logarithm_of_a_pixel_is_off_by_1e_7_or_a_last_bit():
    x = np.exp2(RANDOM.uniform(-122, 0, 20_000)).astype(np.float32)
    x = np.append(
        x,
        [
            np.float32(1),
            np.float32(1e-37),
            *(np.arange(1, 256, dtype=np.float32) / np.float32(255)),
        ],
    )
    exact = np.log2(x.astype(np.float64))
    off = np.abs([log2(value) for value in x] - exact)
    assert np.all(off <= 1e-7 + np.spacing(np.abs(exact).astype(np.float32)))
    assert log2(np.float32(1)) == 0 and log2(np.float32(0.25)) == -2


@pytest.mark.parametrize("low, high", [(-126, 126), (-1, 1)])
def test_the_exponential_for_pixels_is_off_by_a_share_of_one_and_a_half_e_7(low, high):
    x = RANDOM.uniform(low, high, 20_000).astype(np.float32)
    exact = np.exp2(x.astype(np.float64))
    assert np.max(np.abs([exp2(value) for value in x] - exact) / exact) <= 1.5e-7
    assert exp2(np.float32(0)) == 1 and exp2(np.float32(-3)) == 0.125
