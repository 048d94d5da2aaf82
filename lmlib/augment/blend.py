"""The four blends of Table 1 and their draws: `blend(image, other, ...) -> image`, then the caller clips to [0, 1].

Images are float32 (B, 3, H, W) in [0, 1]. Larger beta stays nearer the first image.
"""

import math
from functools import lru_cache, partial

import numpy as np
import torch

from ..draws import beta_small
from .ops import by_kind, per_image

SMALLEST = 1e-37  # as in PixMix: keeps the geometric mean finite where the other image is black


def draw_weights(branch, first, second, beta):
    """Blend weights (a, b), the conic combination of PixMix, from three uniform draws each (B,).

    One coin picks the branch for both: (Beta(beta, 1), Beta(1, beta)) or (1 + Beta(1, beta), -Beta(1, beta)).
    E[a] = 1 and E[b] = 0. Returns two float32 arrays (B,); a in (0, 2), b in (-1, 1).
    """
    small, other = beta_small(first, beta), beta_small(second, beta)
    inside = branch < 0.5
    a = np.where(inside, np.maximum(1 - small, SMALLEST), 1 + small)
    return a.astype(np.float32), np.where(inside, other, -other).astype(np.float32)


def add(image, other, a, b):
    """Arithmetic mean on [-1, 1]: a x + b y + (1 - a - b) / 2. Table 1 leaves the last term out; the released code has it."""
    a, b = per_image(a), per_image(b)
    return (a * image).add_((b * other).add_((1 - a - b) / 2))


def multiply(image, other, a, b):
    """Geometric mean: 2**(a + b - 1) x**a max(y, 1e-37)**b; 0 where x = 0. Above 1 in places: IPMix lets those wrap.

    In logarithms, which are quicker than powers, but ten times as slow at log(0) and where exp leaves its range: it meets neither.
    """
    a, b = per_image(a), per_image(b)
    log_other = other.clamp(min=SMALLEST).log_().mul_(b).add_((a + b - 1) * math.log(2))
    log_mixed = image.clamp(min=SMALLEST).log_().mul_(a).add_(log_other)
    return log_mixed.clamp_(-80, 80).exp_().mul_(image.sign())


def hash_mask(key, keep, shape):
    """A mask that keeps each place with probability `keep`: a pure function of a key.

    key int (B,), each 0 to 2**32 - 1; keep float32 (B,) in [0, 1]; shape (C, H, W). Returns float32 (B, C, H, W) of 0 and 1.
    The hash is Wellons' lowbias32 on the key xor a Weyl sequence of the place (32-bit arithmetic that wraps).
    """
    # A shift of an xor is the xor of the shifts: the first round is done on key and places apart. The key's low 32 bits count.
    h = fold(key.to(torch.int32), 16)[:, None] ^ place_words(math.prod(shape), key.device)
    shifted = torch.empty_like(h)
    h *= 0x7FEB352D
    fold(h, 15, shifted)
    h *= 0x846CA68B - (1 << 32)
    fold(h, 16, shifted)
    # Signed words are uniform on [-2**31, 2**31); a threshold in float64 has every bit of `keep`.
    threshold = (keep.double() * 2.0**32 - 2.0**31).clamp_(max=2.0**31 - 1).to(torch.int32)
    return shifted.view(torch.float32).copy_(h.lt_(threshold[:, None])).view(-1, *shape)


@lru_cache(maxsize=8)
def place_words(n, device):
    """The Weyl sequence, folded: int32 (n,), the k-th is (k + 1) times the golden ratio of 2**32."""
    return fold(
        torch.arange(1, n + 1, device=device, dtype=torch.int32) * (0x9E3779B9 - (1 << 32)), 16
    )


def fold(h, bits, shifted=None):
    """h ^= h >> bits as if unsigned, in place; int32. shifted: a tensor like it to work in."""
    return h.bitwise_xor_(
        torch.bitwise_right_shift(h, bits, out=shifted).bitwise_and_((1 << 32 - bits) - 1)
    )


BLENDS = ("add", "multiply", "mix_pixels", "mix_elements")
PROBABILITIES = (1 / 3, 1 / 3, 1 / 6, 1 / 6)
"""Table 1: the released list is add, multiply, add, multiply, pixels, elements."""


def blend(kind, image, other, a, b, keep=None, key=None, clip=True):
    """One of `BLENDS` for a whole group of images. a, b, keep float32 (B,), key int64 (B,); `mix_` alone needs the last two.

    In [0, 1] if `clip`.
    """
    if kind.startswith("mix"):  # never leaves [0, 1]
        n_channels = 1 if kind == "mix_pixels" else image.shape[1]
        return torch.lerp(other, image, hash_mask(key, keep, (n_channels, *image.shape[-2:])))
    blended = (add if kind == "add" else multiply)(image, other, a, b)
    return blended.clamp_(0, 1) if clip else blended


def apply_blends(image, other, kind, *drawn, clip=True, within=False):
    """Blend each pair by its own kind: float32 (B, 3, H, W), in [0, 1] if `clip`.

    image, other: pairs of a tensor (M, 3, H, W), of other (M, 1 or 3, H, W), and int (B,), which of its rows; kind: int (B,),
    positions in `BLENDS`; drawn: a, b, keep, key of `blend`, (B,), NumPy arrays; within: as in `by_kind`.
    """
    return by_kind(
        [partial(blend, name, clip=clip) for name in BLENDS],
        kind,
        [image, other],
        *drawn,
        within=within,
    )
