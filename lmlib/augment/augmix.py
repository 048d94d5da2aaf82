"""AugMix: chains of operations, mixed with each other and with the image."""

from dataclasses import dataclass

import numpy as np

from ..draws import integers, uniforms
from .base import Augmentation, Params, check_range
from .ops import per_image, to_device
from .pillow_ops import NINE, chain, draw_operations

WIDTH, DEPTH = 3, 3  # chains, and operations in one at most


def draw_convex(uniform):
    """Dirichlet(1, ..., 1): the k gaps that k - 1 uniform draws (B, k - 1) leave in [0, 1]. float32 (B, k)."""
    return np.diff(np.sort(uniform, axis=1), axis=1, prepend=0, append=1).astype(np.float32)


def run_chains(table, images, op, level, depth):
    """k chains of operations, each from the image itself: float32 (B, k, 3, H, W).

    op int and level float32 (B, k, T), depth int (B, k): how many of the T; all NumPy arrays.
    """
    owner = np.repeat(np.arange(len(images)), depth.shape[1])
    op, level = (drawn.reshape(-1, drawn.shape[-1]) for drawn in (op, level))
    return chain(table, images, owner, op, level, depth.ravel()).unflatten(0, depth.shape)


def mix_chains(images, chains, weight, m):
    """(1 - m) x + m (w_1 chain_1 + ... + w_k chain_k).

    chains: (B, k, 3, H, W), which is overwritten; weight (B, k) and m (B,): float32 NumPy arrays.
    """
    mixed = per_image(to_device(1 - m, images.device)) * images
    for w, changed in zip((m[:, None] * weight).T, chains.unbind(1), strict=True):
        mixed += changed.mul_(per_image(to_device(w, images.device)))
    return mixed.clamp_(0, 1)  # convex, but for the last bit


@dataclass(frozen=True)
class AugMixParams(Params):
    """What was drawn for B samples; k = 3 chains of at most T = 3 operations."""

    weight: np.ndarray  # float32 (B, k): of the chains, of sum 1
    m: np.ndarray  # float32 (B,): weight of the mixed chains; the image has the rest
    depth: np.ndarray  # int (B, k): operations in a chain, 1 to T
    op: np.ndarray  # int (B, k, T): positions in the table
    level: np.ndarray  # float32 (B, k, T): in the operation's unit


class AugMix(Augmentation):
    """Three chains of one to three operations, mixed by Dirichlet(1, 1, 1); that and the image, by Beta(1, 1).

    magnitude: its "severity" of the operations, 0.1 to 10. Its paper trains it with the loss `jsd`.
    Source: Hendrycks et al. 2020, Algorithm 1, and its code; here in floats, without rounding to 8 bits between operations.
    The nine operations are without those that overlap the test (torchvision's AugMix has them, and ten fixed levels).
    """

    table = NINE

    def __init__(self, magnitude=3):
        self.magnitude = check_range("magnitude", magnitude, 0.1, 10)

    def sample(self, size, *, seed, epoch, index, view=0):
        keys = {"seed": seed, "epoch": epoch, "index": index, "view": view}
        weight = draw_convex(uniforms("augmix/weight", WIDTH - 1, **keys))
        m = uniforms("augmix/m", 1, **keys)[:, 0].astype(np.float32)
        depth = 1 + integers(uniforms("augmix/depth", WIDTH, **keys), DEPTH)
        uniform = (
            uniforms("augmix/operation", 3 * WIDTH * DEPTH, **keys)
            .reshape(-1, 3, WIDTH, DEPTH)
            .swapaxes(0, 1)
        )
        op, level = draw_operations(self.table, uniform, self.magnitude, size)
        return AugMixParams(weight, m, depth, op, level)

    def change(self, images, params):
        chains = run_chains(self.table, images, params.op, params.level, params.depth)
        return mix_chains(images, chains, params.weight, params.m)
