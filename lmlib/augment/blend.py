"""The four blends of Table 1 and their draws. Larger beta stays nearer the first image."""

from typing import Any

import numpy as np
import torch

from ..compiled import compiled, entry
from ..draws import beta_small
from ..elementary import exp2, log2

BLENDS = ("add", "multiply", "mix_pixels", "mix_elements")
ADD, MULTIPLY, MIX_PIXELS, MIX_ELEMENTS = range(4)
PROBABILITIES = (1 / 3, 1 / 3, 1 / 6, 1 / 6)
"""Table 1: the released list is add, multiply, add, multiply, pixels, elements."""

# As in PixMix: keeps the geometric mean finite where the other image is black.
SMALLEST = np.float32(1e-37)
ZERO, ONE, TWO, STEEPEST = np.float32(0), np.float32(1), np.float32(2), np.float32(115)
GOLDEN, FIRST, SECOND = np.uint32(0x9E3779B9), np.uint32(0x7FEB352D), np.uint32(0x846CA68B)
BITS_15, BITS_16, SIGN_BIT = np.uint32(15), np.uint32(16), np.uint32(1 << 31)


@compiled
def draw_pair(three: Any, beta: Any) -> tuple:
    """Blend weights (a, b), the conic combination of PixMix, from three uniform draws.

    One coin picks the branch for both: (Beta(beta, 1), Beta(1, beta)) or (1 + Beta(1, beta),
    -Beta(1, beta)). E[a] = 1 and E[b] = 0. a in (0, 2), b in (-1, 1).
    """
    branch, small, other = three[0], beta_small(three[1], beta), beta_small(three[2], beta)
    if branch < 0.5:
        return np.float32(max(1 - small, 1e-37)), np.float32(other)
    return np.float32(1 + small), np.float32(-other)


@compiled
def add(
    image: np.ndarray, other: np.ndarray, a: Any, b: Any, least: Any, most: Any, out: np.ndarray
) -> np.ndarray:
    """Arithmetic mean on [-1, 1]: a x + b y + (1 - a - b) / 2.

    Table 1 leaves the last term out; the released code has it.
    """
    grey = (ONE - a - b) / TWO
    for c in range(3):
        source, second = image[c].reshape(-1), other[c % len(other)].reshape(-1)
        result = out[c].reshape(-1)
        for n in range(len(source)):
            result[n] = min(max(a * source[n] + (b * second[n] + grey), least), most)
    return out


@compiled
def multiply(
    image: np.ndarray, other: np.ndarray, a: Any, b: Any, most: Any, out: np.ndarray
) -> np.ndarray:
    """Geometric mean: 2**(a + b - 1) x**a max(y, 1e-37)**b; 0 where x = 0.

    It is above 1 in places: IPMix lets those wrap.
    """
    logs = np.empty(image.shape[1] * image.shape[2], np.float32)
    for c in range(3):
        source, result = image[c].reshape(-1), out[c].reshape(-1)
        if c < len(other):
            second = other[c].reshape(-1)
            for n in range(len(second)):
                logs[n] = b * log2(max(second[n], SMALLEST)) + (a + b - ONE)
        for n in range(len(source)):
            power = a * log2(max(source[n], SMALLEST)) + logs[n]
            mixed = min(exp2(min(max(power, -STEEPEST), STEEPEST)), most)
            result[n] = mixed if source[n] > ZERO else ZERO
    return out


@compiled
def hash_word(key: Any, n: int) -> Any:
    """Wellons' lowbias32 on a key xor the n-th number of a Weyl sequence: uint32.

    It is cut back to 32 bits at each step, as a compiler widens it.
    """
    h = np.uint32(key ^ np.uint32(np.uint32(n + 1) * GOLDEN))
    h = np.uint32(np.uint32(h ^ (h >> BITS_16)) * FIRST)
    h = np.uint32(np.uint32(h ^ (h >> BITS_15)) * SECOND)
    return np.uint32(h ^ (h >> BITS_16) ^ SIGN_BIT)  # the order of signed words


@compiled
def mix(
    image: np.ndarray, other: np.ndarray, keep: Any, key: Any, n_channels: int, out: np.ndarray
) -> np.ndarray:
    """Each value from one of the two images, from the first with probability `keep`.

    n_channels: 1 where all channels come from the same image, 3 where each has its own choice.
    A pure function of the key, 0 to 2**32 - 1: the mask has a hashed word for each place of
    (n_channels, H, W).
    """
    limit, key = np.uint32(min(np.ceil(np.float64(keep) * 2.0**32), 2.0**32 - 1)), np.uint32(key)
    n_pixels = image.shape[1] * image.shape[2]
    for c in range(3):
        source, second = image[c].reshape(-1), other[c % len(other)].reshape(-1)
        result = out[c].reshape(-1)
        first = (c % n_channels) * n_pixels
        for n in range(n_pixels):
            result[n] = source[n] if hash_word(key, first + n) < limit else second[n]
    return out


@compiled
def blending(
    kind: Any,
    image: np.ndarray,
    other: np.ndarray,
    a: Any,
    b: Any,
    keep: Any,
    key: Any,
    clip: bool,
    out: np.ndarray,
) -> np.ndarray:
    """One of `BLENDS`, by its position: float32 (3, H, W) in [0, 1], other (1 or 3, H, W).

    out: another array, which is written to and returned; in [0, 1] if `clip`.
    """
    least, most = (ZERO, ONE) if clip else (np.float32(-np.inf), np.float32(np.inf))
    if kind == ADD:
        return add(image, other, a, b, least, most, out)
    if kind == MULTIPLY:
        return multiply(image, other, a, b, most, out)
    return mix(image, other, keep, key, 1 if kind == MIX_PIXELS else 3, out)


@entry
def blend_each(
    kind: Any,
    image: np.ndarray,
    other: np.ndarray,
    a: Any,
    b: Any,
    keep: Any,
    key: Any,
    clip: bool,
    out: np.ndarray,
) -> None:
    for k in range(len(image)):
        blending(kind, image[k], other[k], a[k], b[k], keep[k], key[k], clip, out[k])


def blend(
    kind: str, image: Any, other: Any, a: Any = 1.0, b: Any = 0.0, keep: Any = 0.5, key: Any = 0,
    clip: bool = True,
) -> torch.Tensor:  # fmt: skip
    """One of `BLENDS` for each pair of images: float32 (B, 3, H, W) in [0, 1] to the same.

    image, other: arrays or tensors, other (B, 1 or 3, H, W); a, b: weights, of the first two;
    keep: probability, and key: 0 to 2**32 - 1, of the `mix_`. Each a number or (B,). The result is
    in [0, 1] if `clip`.
    """
    image, other = (np.ascontiguousarray(part, np.float32) for part in (image, other))
    kinds = ((a, np.float32), (b, np.float32), (keep, np.float32), (key, np.int64))
    drawn = [
        np.ascontiguousarray(np.broadcast_to(np.asarray(part, dtype), len(image)))
        for part, dtype in kinds
    ]
    out = np.empty_like(image)
    blend_each(BLENDS.index(kind), image, other, *drawn, clip, out)
    return torch.from_numpy(out)


@entry
def draw_each_pair(branch: Any, first: Any, second: Any, beta: Any, a: Any, b: Any) -> None:
    for k in range(len(branch)):
        a[k], b[k] = draw_pair((branch[k], first[k], second[k]), beta)


def draw_weights(
    branch: np.ndarray, first: np.ndarray, second: np.ndarray, beta: float
) -> tuple[np.ndarray, np.ndarray]:
    """Blend weights (a, b) from three uniform draws (B,) each, see `draw_pair`: float32 (B,)."""
    a, b = np.empty((2, len(branch)), np.float32)
    uniform = (np.ascontiguousarray(u, float) for u in (branch, first, second))
    draw_each_pair(*uniform, float(beta), a, b)
    return a, b
