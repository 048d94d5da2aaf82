"""AugMix: chains of operations, mixed with each other and with the image."""

from dataclasses import dataclass

import numpy as np

from ..compiled import compiled, entry
from ..draws import draw_key, integer, number_of, uniform
from .base import Augmentation, Params, check_range
from .colour import ONE, clip
from .images import buffers, read, write
from .ops import as_records, chain, draw_operation
from .pillow_ops import AUGMIX_OPS

WIDTH, DEPTH = 3, 3  # chains, and operations in one at most
WEIGHT, SHARE, DEPTHS, OPERATION = (
    number_of(f"augmix/{what}") for what in ("weight", "m", "depth", "operation")
)


@compiled
def draw_convex(key, purpose, weight):
    """Dirichlet(1, ..., 1): the k gaps that k - 1 uniform draws leave in [0, 1], into weight,
    float32 (k,).
    """
    n, cuts = len(weight) - 1, np.ones(len(weight))
    for i in range(n):
        cuts[i] = uniform(key, purpose, i)
    cuts.sort()
    for i in range(n + 1):
        weight[i] = cuts[i] - (cuts[i - 1] if i else 0.0)


@compiled
def mix_into(mixed, image, weight):
    """Add weight times an image to what is mixed so far, float32 (3, H, W)."""
    total, source = mixed.reshape(-1), image.reshape(-1)
    for n in range(len(total)):
        total[n] += source[n] * weight


@compiled
def begin_mix(image, weight, mixed):
    """A mixture that begins with weight times an image."""
    total, source = mixed.reshape(-1), image.reshape(-1)
    for n in range(len(total)):
        total[n] = weight * source[n]


@compiled
def clip_mix(mixed):
    """A mixture that is convex but for the last bit, into [0, 1]."""
    total = mixed.reshape(-1)
    for n in range(len(total)):
        total[n] = clip(total[n])
    return mixed


@dataclass(frozen=True)
class AugMixParams(Params):
    """What was drawn for B samples; k = 3 chains of at most T = 3 operations."""

    weight: np.ndarray  # float32 (B, k): of the chains, of sum 1
    m: np.ndarray  # float32 (B,): weight of the mixed chains; the image has the rest
    depth: np.ndarray  # int (B, k): operations in a chain, 1 to T
    op: np.ndarray  # int (B, k, T): positions in the table
    level: np.ndarray  # float32 (B, k, T): in the operation's unit


@entry
def draw_augmix(
    low, high, epoch, index, view, operations, magnitude, height, width, weight, m, depth, op, level
):
    n = WIDTH * DEPTH
    for k in range(len(index)):
        key = draw_key(low, high, epoch, index[k], view)
        draw_convex(key, WEIGHT, weight[k])
        m[k] = uniform(key, SHARE, 0)
        for i in range(WIDTH):
            depth[k, i] = 1 + integer(key, DEPTHS, i, DEPTH)
            for step in range(DEPTH):
                at = DEPTH * i + step
                u, v, sign = (
                    uniform(key, OPERATION, at),
                    uniform(key, OPERATION, n + at),
                    uniform(key, OPERATION, 2 * n + at),
                )
                op[k, i, step], level[k, i, step] = draw_operation(
                    operations, u, v, sign, magnitude, height, width
                )


@compiled
def augmix(image, operations, weight, m, depth, op, level, room):
    """Algorithm 1 for one image, float32 (3, H, W), with what was drawn for it; room: (3, 3, H, W)."""
    mixed = room[2]
    begin_mix(image, ONE - m, mixed)
    for i in range(len(weight)):
        mix_into(mixed, chain(operations, op[i], level[i], depth[i], image, room), m * weight[i])
    return clip_mix(mixed)


@entry
def augmix_each(
    floats, bytes_, done, done_bytes, start, stop, operations, weight, m, depth, op, level
):
    room = buffers(4, floats, bytes_)
    for k in range(start, stop):
        image = read(floats, bytes_, k, room[3])
        write(
            augmix(image, operations, weight[k], m[k], depth[k], op[k], level[k], room),
            done,
            done_bytes,
            k,
        )


class AugMix(Augmentation):
    """Three chains of one to three operations, mixed by Dirichlet(1, 1, 1); that and the image, by
    Beta(1, 1).

    magnitude: its "severity" of the operations, 0.1 to 10. Its paper trains it with the loss `jsd`.
    Source: Hendrycks et al. 2020, Algorithm 1, and its code; here in floats, without rounding to 8
    bits between operations. The nine operations are without those that overlap the test
    (torchvision's AugMix has them, and ten fixed levels).
    """

    kernel, table, operations = augmix_each, AUGMIX_OPS, as_records(AUGMIX_OPS)

    def __init__(self, magnitude=3):
        self.magnitude = check_range("magnitude", magnitude, 0.1, 10)

    def draw(self, size, key):
        n = len(key.index)
        weight, m = np.empty((n, WIDTH), np.float32), np.empty(n, np.float32)
        depth, op, level = (
            np.empty((n, WIDTH, *more), kind)
            for more, kind in (((), int), ((DEPTH,), int), ((DEPTH,), np.float32))
        )
        draw_augmix(
            *key, self.operations, float(self.magnitude), *size, weight, m, depth, op, level
        )
        return AugMixParams(weight, m, depth, op, level)

    def arguments(self, params):
        return self.operations, *params.arrays()
