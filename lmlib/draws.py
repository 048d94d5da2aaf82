"""Counter-based draws: randomness as a function of its key, never a state.

A draw is named by (seed, purpose, epoch, index, view). Equal names give equal numbers on every
machine, for any batch size, order or number of workers, and a new purpose never shifts another's
draws.

Small draws for a whole batch come from Philox4x32-10 (Salmon et al., "Parallel random numbers: as
easy as 1, 2, 3", SC 2011), vectorised here; large fields for one image (noise of a corruption, a
fractal) come from NumPy's generators, keyed in the same way.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .checks import as_json

MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL = 0x9E3779B9, 0xBB67AE85
MASK = np.uint64(0xFFFFFFFF)
SHIFT = np.uint64(32)


def philox(counter: Sequence[Any], key: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Philox4x32-10: four 32-bit words from a 128-bit counter and a 64-bit key.

    counter: four uint64 arrays holding 32-bit words, which broadcast; key: two Python integers
    below 2**32. Returns four uint64 arrays of their common shape, holding 32-bit words.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        product0, product1 = MULTIPLIERS[0] * c0, MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (
            (product1 >> SHIFT) ^ c1 ^ np.uint64(k0),
            product1 & MASK,
            (product0 >> SHIFT) ^ c3 ^ np.uint64(k1),
            product0 & MASK,
        )
        k0, k1 = (k0 + WEYL[0]) & 0xFFFFFFFF, (k1 + WEYL[1]) & 0xFFFFFFFF
    return c0, c1, c2, c3


def words(
    purpose: str, n: int, *, seed: int, epoch: int = 0, index: Any, view: int = 0
) -> np.ndarray:
    """`n` 32-bit words for each sample: uint64 (B, n).

    purpose: names what is drawn; seed: 0 to 2**64 - 1; epoch: 0 to 2**32 - 1; view: 0 to 65535;
    index: integer array (B,), each 0 to 2**32 - 1. Raises ValueError for a key out of range.
    """
    return words_of({purpose: n}, seed=seed, epoch=epoch, index=index, view=view)[purpose]


def words_of(
    sizes: Mapping[str, int], *, seed: int, epoch: int = 0, index: Any, view: int = 0
) -> dict[str, np.ndarray]:
    """The `words` of several purposes at once, which is quicker.

    sizes: {purpose: n}. Returns {purpose: uint64 (B, n)}.
    """
    seed, epoch, index, view = check_key(seed, epoch, index, view)
    # The counter holds (index, epoch, view and block, purpose): two names never meet in one
    # counter, up to the CRC-32 of the purpose.
    n_blocks = [-(-n // 4) for n in sizes.values()]
    block = np.concatenate([np.arange(n, dtype=np.uint64) for n in n_blocks]) + np.uint64(
        view << 16
    )
    crc = np.repeat(
        np.array([zlib.crc32(purpose.encode()) for purpose in sizes], np.uint64), n_blocks
    )
    counter = index.astype(np.uint64)[:, None], np.uint64(epoch), block, crc
    drawn = np.stack(philox(counter, (seed & 0xFFFFFFFF, seed >> 32)), axis=-1).reshape(
        index.size, 4 * len(block)
    )
    starts = 4 * (np.cumsum(n_blocks) - n_blocks)
    return {
        purpose: drawn[:, start : start + n]
        for (purpose, n), start in zip(sizes.items(), starts, strict=True)
    }


def check_key(seed: Any, epoch: Any, index: Any, view: Any = 0) -> tuple[int, int, np.ndarray, int]:
    """A key as (seed, epoch, index, view): ints and an integer array (B,).

    NumPy's and torch's whole numbers will do; a bool, a fraction or a text raise ValueError, as
    does a key out of range. An empty list is an index of no sample.
    """
    index = np.atleast_1d(np.asarray(index.cpu() if hasattr(index, "cpu") else index))
    if index.shape == (0,):
        index = index.astype(np.int64)  # NumPy takes an empty list for floats
    if index.ndim != 1 or index.dtype.kind not in "iu":
        raise ValueError(
            f"index must be a one-dimensional integer array, got shape {index.shape}, dtype "
            f"{index.dtype}"
        )
    if index.size and not (index.min() >= 0 and index.max() < 2**32):
        raise ValueError("index must lie in 0 .. 2**32 - 1")
    numbers = [as_json(number) for number in (seed, epoch, view)]
    whole = all(isinstance(number, int) and not isinstance(number, bool) for number in numbers)
    limits = 2**64, 2**32, 2**16
    if not whole or not all(0 <= one < limit for one, limit in zip(numbers, limits, strict=True)):
        raise ValueError(
            "seed, epoch, view must be non-negative and below 2**64, 2**32, 2**16 (whole numbers); "
            f"got {seed}, {epoch}, {view}"
        )
    return numbers[0], numbers[1], index, numbers[2]


def uniforms(
    purpose: str, n: int, *, seed: int, epoch: int = 0, index: Any, view: int = 0
) -> np.ndarray:
    """`n` uniform draws in [0, 1) for each sample, on the grid of 2**-32: float64 (B, n).

    Keys as in `words`.
    """
    return words(purpose, n, seed=seed, epoch=epoch, index=index, view=view) * 2.0**-32


def integers(uniform: np.ndarray, n: int) -> np.ndarray:
    """Map uniform draws in [0, 1) to integers 0 .. n - 1: int64 of the same shape.

    The bias is below n / 2**32.
    """
    return (uniform * n).astype(np.int64)


def beta_small(uniform: np.ndarray, beta: float) -> np.ndarray:
    """Beta(1, beta) draws from uniform ones, by inversion: 1 - (1 - u)**(1 / beta), in [0, 1).

    1 - beta_small(u, beta) is a draw of Beta(beta, 1).
    """
    return -np.expm1(np.log1p(-uniform) / beta)


def generators(
    purpose: str, *, seed: int, epoch: int = 0, index: Any, view: int = 0
) -> Iterator[np.random.Generator]:
    """Yield one fresh NumPy generator for each sample, keyed like `words`.

    They are for large fields: normals, Poisson counts, points.
    """
    for key in words(purpose, 4, seed=seed, epoch=epoch, index=index, view=view):
        yield np.random.Generator(np.random.Philox(key=key[:2] << SHIFT | key[2:]))


def permutation(purpose: str, n: int, *, seed: int, epoch: int = 0) -> np.ndarray:
    """A permutation of 0 .. n - 1, named by its key: int64 (n,)."""
    high, low = words(purpose, 2, seed=seed, epoch=epoch, index=np.arange(n)).T
    return np.argsort(high << SHIFT | low, kind="stable")
