"""Counter-based draws: randomness as a function of its key, never a state.

A draw is named by (seed, purpose, epoch, index, view). Equal names give equal numbers on every
machine, for any batch size, order or number of workers, and a new purpose never shifts another's
draws.

Small draws come from Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
SC 2011), compiled: one at a time for a compiled sampler, or for a whole batch; large fields for one
image (noise of a corruption, a fractal) come from NumPy's generators, keyed in the same way.
"""

import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .checks import check_whole
from .compiled import compiled, entry
from .elementary import expm1, log

MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
MASK = np.uint64(0xFFFFFFFF)
SHIFT = np.uint64(32)
Words = tuple[np.uint64, np.uint64, np.uint64, np.uint64]
CompiledKey = tuple[np.uint64, np.uint64, np.uint64, np.uint64, np.uint64]


@compiled
def philox(
    c0: np.uint64, c1: np.uint64, c2: np.uint64, c3: np.uint64, k0: np.uint64, k1: np.uint64
) -> Words:
    """Philox4x32-10: four 32-bit words from a 128-bit counter and a 64-bit key.

    All are 32-bit words in uint64.
    """
    for _ in range(10):
        product0, product1 = MULTIPLIERS[0] * c0, MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (
            (product1 >> SHIFT) ^ c1 ^ k0,
            product1 & MASK,
            (product0 >> SHIFT) ^ c3 ^ k1,
            product0 & MASK,
        )
        k0, k1 = (k0 + WEYL[0]) & MASK, (k1 + WEYL[1]) & MASK
    return c0, c1, c2, c3


def number_of(purpose: str) -> np.uint64:
    """The number that stands for what is drawn: CRC-32, so that two names hardly ever meet."""
    return np.uint64(zlib.crc32(purpose.encode()))


class Key(NamedTuple):
    """What names the draws of a batch: the first five arguments of a compiled sampler."""

    low: int  # the seed's two halves of 32 bits
    high: int
    epoch: int
    index: np.ndarray  # type: ignore[assignment]  # int64 (B,); hides tuple's method
    view: int


@compiled
def draw_key(low: int, high: int, epoch: int, index: int, view: int) -> CompiledKey:
    """What names the draws of one sample, as `word` takes it; low, high: halves of the seed."""
    view_and_block = np.uint64(view) << np.uint64(16)
    return np.uint64(index), np.uint64(epoch), view_and_block, np.uint64(low), np.uint64(high)


@compiled
def word(key: CompiledKey, purpose: np.uint64, n: int) -> np.uint64:
    """The n-th 32-bit word of a purpose: uint64.

    The counter holds (index, epoch, view and block, purpose).
    """
    index, epoch, view, low, high = key
    return philox(index, epoch, view + np.uint64(n // 4), purpose, low, high)[n % 4]


@compiled
def uniform(key: CompiledKey, purpose: np.uint64, n: int) -> np.float64:
    """The n-th uniform draw of a purpose, in [0, 1), on the grid of 2**-32: float64."""
    return np.float64(word(key, purpose, n)) * 2.0**-32


@compiled
def integer(key: CompiledKey, purpose: np.uint64, n: int, ways: int) -> np.int64:
    """The n-th draw of a purpose as one of 0 .. ways - 1 (bias below ways / 2**32): int64."""
    return np.int64(uniform(key, purpose, n) * ways)


def check_key(seed: Any, epoch: Any, index: Any, view: Any = 0) -> Key:
    """The `Key` that these are.

    NumPy's and torch's whole numbers will do; a bool, a fraction or a text raise ValueError, as
    does a key out of range. An empty list is an index of no sample.
    """
    index = np.atleast_1d(np.asarray(index.cpu() if hasattr(index, "cpu") else index))
    if index.shape == (0,):
        index = index.astype(np.int64)  # NumPy takes an empty list for floats
    if index.ndim != 1 or index.dtype.kind not in "iu":
        content = f"shape {index.shape}, dtype {index.dtype}"
        raise ValueError(f"index must be a one-dimensional integer array, got {content}")
    if index.size and not (index.min() >= 0 and index.max() < 2**32):
        raise ValueError("index must lie in 0 .. 2**32 - 1")
    seed = check_whole("seed", seed, 0, 2**64 - 1)
    epoch, view = check_whole("epoch", epoch, 0, 2**32 - 1), check_whole("view", view, 0, 2**16 - 1)
    return Key(seed & 0xFFFFFFFF, seed >> 32, epoch, np.ascontiguousarray(index, np.int64), view)


@entry
def fill_words(
    low: int,
    high: int,
    epoch: int,
    index: np.ndarray,
    view: int,
    purpose: np.uint64,
    out: np.ndarray,
) -> None:
    """The first words of a purpose for each sample, into out: uint64 (B, n)."""
    for k in range(len(index)):
        key = draw_key(low, high, epoch, index[k], view)
        for n in range(out.shape[1]):
            out[k, n] = word(key, purpose, n)


def random_words(
    purpose: str, n: int, *, seed: int, epoch: int = 0, index: Any, view: int = 0
) -> np.ndarray:
    """`n` 32-bit words for each sample: uint64 (B, n).

    purpose: names what is drawn; seed: 0 to 2**64 - 1; epoch: 0 to 2**32 - 1; view: 0 to 65535;
    index: integer array (B,), each 0 to 2**32 - 1. Raises ValueError for a key out of range.
    """
    return random_words_of(check_key(seed, epoch, index, view), purpose, n)


def random_words_of(key: Key, purpose: str, n: int) -> np.ndarray:
    """The same under a `Key`."""
    out = np.empty((len(key.index), n), np.uint64)
    fill_words(*key, number_of(purpose), out)
    return out


def uniforms(
    purpose: str, n: int, *, seed: int, epoch: int = 0, index: Any, view: int = 0
) -> np.ndarray:
    """`n` uniform draws in [0, 1) for each sample, on the grid of 2**-32: float64 (B, n).

    Keys as in `random_words`.
    """
    return uniforms_of(check_key(seed, epoch, index, view), purpose, n)


def uniforms_of(key: Key, purpose: str, n: int) -> np.ndarray:
    """The same under a `Key`."""
    return random_words_of(key, purpose, n) * 2.0**-32


def integers(uniform: np.ndarray, n: int) -> np.ndarray:
    """Map uniform draws in [0, 1) to integers 0 .. n - 1: int64 of the same shape.

    The bias is below n / 2**32.
    """
    return (uniform * n).astype(np.int64)


@compiled
def beta_small(uniform: float, beta: float) -> float:
    """A draw of Beta(1, beta) from a uniform one, by inversion: 1 - (1 - u)**(1 / beta), in [0, 1).

    1 - beta_small(u, beta) is a draw of Beta(beta, 1).
    """
    return -expm1(log(1 - uniform) / beta)


def generators(
    purpose: str, *, seed: int, epoch: int = 0, index: Any, view: int = 0
) -> Iterator[np.random.Generator]:
    """One fresh NumPy generator for each sample, keyed like `random_words`.

    They are for large fields: normals, Poisson counts, points.
    """
    return generators_of(check_key(seed, epoch, index, view), purpose)


def generators_of(key: Key, purpose: str) -> Iterator[np.random.Generator]:
    """The same under a `Key`."""
    for four in random_words_of(key, purpose, 4):
        yield np.random.Generator(np.random.Philox(key=four[:2] << SHIFT | four[2:]))


def permutation(purpose: str, n: int, *, seed: int, epoch: int = 0) -> np.ndarray:
    """A permutation of 0 .. n - 1, named by its key: int64 (n,)."""
    high, low = random_words(purpose, 2, seed=seed, epoch=epoch, index=np.arange(n)).T
    return np.argsort(high << SHIFT | low, kind="stable")
