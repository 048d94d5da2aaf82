"""Logarithm, exponential, cosine: polynomials of our own.

Those of a system's library differ in their last bit.
Those of float64 serve draws and are right to a few units in the last place
(tests/test_elementary.py has the bounds). Those of float32 serve pixels: without a branch, so that
a compiler does eight or sixteen at once.
"""

import math
from typing import Any

import numpy as np

from .compiled import compiled

LN_2 = math.log(2)
LN_2_HIGH = math.ldexp(math.floor(math.ldexp(LN_2, 32)), -32)  # a whole multiple of it is exact
# ln 2 - LN_2_HIGH, beyond float64's ln 2
LN_2_LOW = 1.9082149292705877e-10 - (LN_2_HIGH - 0.6931471803691238)


@compiled
def log(x: float) -> float:
    """The natural logarithm of x > 0: float64."""
    fraction, exponent = math.frexp(x)
    if fraction < 0.7071067811865476:
        fraction, exponent = 2 * fraction, exponent - 1
    s = (fraction - 1) / (fraction + 1)
    # log((1 + s) / (1 - s)) = 2 (s + s**3 / 3 + s**5 / 5 + ...), |s| < 0.172
    square, tail = s * s, 0.0
    for k in range(11, 0, -1):
        tail = (tail + 1 / (2 * k + 1)) * square
    return exponent * LN_2_HIGH + (2 * s + (2 * s * tail + exponent * LN_2_LOW))


@compiled
def expm1(x: float) -> float:
    """exp(x) - 1 for x <= 700: float64; as exact near 0 as elsewhere."""
    n = np.rint(max(x, -1000.0) / LN_2)
    rest = (max(x, -1000.0) - n * LN_2_HIGH) - n * LN_2_LOW
    series = 1.0
    for k in range(14, 1, -1):
        series = 1 + series * rest / k
    return math.ldexp(rest * series, int(n)) + (math.ldexp(1.0, int(n)) - 1)


@compiled
def exp(x: float) -> float:
    """exp(x) for x <= 700: float64."""
    return expm1(x) + 1


@compiled
def cos_sin(degrees: float) -> tuple[float, float]:
    """Cosine and sine of an angle in degrees, exact at multiples of 90: two float64."""
    quarter = np.rint(degrees / 90)
    x = (degrees - 90 * quarter) * (math.pi / 180)
    square, cosine, sine = x * x, 1.0, 1.0
    for k in range(9, 0, -1):
        cosine = 1 - cosine * square / ((2 * k - 1) * (2 * k))
        sine = 1 - sine * square / ((2 * k) * (2 * k + 1))
    turn, sine = int(quarter) % 4, sine * x
    if turn == 0:
        return cosine, sine
    if turn == 1:
        return -sine, cosine
    if turn == 2:
        return -cosine, -sine
    return sine, -cosine


ONE = np.float32(1)
ROOT_HALF = np.int32(0x3F3504F3)  # the bits of float32 sqrt(1/2)
LOG = tuple(np.float32(c) for c in (
    1.4426950216293335, -0.7213473320007324, 0.48091059923171997, -0.36070483922958374,
    0.2879183292388916, -0.23892034590244293, 0.21566985547542572, -0.20742103457450867,
    0.12614846229553223,
))  # fmt: skip
"""log2(1 + f) / f on sqrt(1/2) - 1 <= f <= sqrt(2) - 1, fitted at Chebyshev's points."""
EXP = tuple(np.float32(c) for c in (
    1.0, 0.6931471824645996, 0.24022650718688965, 0.05550327152013779, 0.00961802527308464,
    0.0013400432653725147, 0.00015469732170458883,
))  # fmt: skip
"""2**f on -1/2 <= f <= 1/2, likewise."""


@compiled
def log2(x: float) -> Any:
    """The binary logarithm of a normal x > 0: float32, off by at most 1e-7 or its last bit."""
    bits = np.float32(x).view(np.int32)
    exponent = np.int32((bits - ROOT_HALF) >> np.int32(23))
    f = np.int32(bits - np.int32(exponent << np.int32(23))).view(np.float32) - ONE
    p = LOG[8]
    p = LOG[7] + f * p
    p = LOG[6] + f * p
    p = LOG[5] + f * p
    p = LOG[4] + f * p
    p = LOG[3] + f * p
    p = LOG[2] + f * p
    p = LOG[1] + f * p
    p = LOG[0] + f * p
    return np.float32(exponent) + f * p


@compiled
def exp2(x: float) -> Any:
    """2**x for -126 <= x <= 126: float32, relatively off by at most 1.5e-7."""
    n = np.rint(x)
    f = x - n
    p = EXP[6]
    p = EXP[5] + f * p
    p = EXP[4] + f * p
    p = EXP[3] + f * p
    p = EXP[2] + f * p
    p = EXP[1] + f * p
    p = EXP[0] + f * p
    shifted = np.int32(np.int32(n) << np.int32(23))
    return np.int32(np.float32(p).view(np.int32) + shifted).view(np.float32)
