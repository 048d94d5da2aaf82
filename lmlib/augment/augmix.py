"""AugMix: chains of operations, mixed with each other and with the image."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..checks import check_range
from ..compiled import compiled, inlined
from ..draws import integer, number_of, uniform
from .base import Augmentation
from .colour import ONE, clip
from .kernels import kernel, key_of, three
from .ops import as_records, chain, draw_operation
from .params import Limits, Params, Size, per_sample
from .pillow_ops import AUGMIX_OPS

WIDTH, DEPTH = 3, 3  # chains, and operations in one at most
WEIGHT, SHARE, DEPTHS, OPERATION = (
    number_of(f"augmix/{purpose}") for purpose in "weight m depth operation".split()
)


@compiled
def draw_convex(key: Any, purpose: Any, weight: np.ndarray) -> None:
    """Dirichlet(1, ..., 1) into weight, float32 (k,): the k gaps that k - 1 uniform draws leave."""
    n = len(weight) - 1
    cuts = np.ones(n + 1)
    for i in range(n):  # sorted as they come
        u, place = uniform(key, purpose, i), i
        while place > 0 and cuts[place - 1] > u:
            cuts[place] = cuts[place - 1]
            place -= 1
        cuts[place] = u
    for i in range(n + 1):
        weight[i] = cuts[i] - (cuts[i - 1] if i else 0.0)


@compiled
def begin_mix(image: np.ndarray, weight: Any, mixed: np.ndarray) -> None:
    """A mixture, float32 (3, H, W), that begins with weight times an image."""
    total, source = mixed.reshape(-1), image.reshape(-1)
    for n in range(len(total)):
        total[n] = weight * source[n]


@compiled
def mix_into(mixed: np.ndarray, image: np.ndarray, weight: Any) -> None:
    """Add weight times an image to a mixture."""
    total, source = mixed.reshape(-1), image.reshape(-1)
    for n in range(len(total)):
        total[n] += source[n] * weight


@compiled
def clip_mix(mixed: np.ndarray) -> np.ndarray:
    """A mixture that is convex but for the last bit, into [0, 1]."""
    total = mixed.reshape(-1)
    for n in range(len(total)):
        total[n] = clip(total[n])
    return mixed


@dataclass(frozen=True)
class AugMixParams(Params):
    """What was drawn for B samples; k = 3 chains of at most T = 3 operations."""

    weight: np.ndarray = per_sample(float, WIDTH)  # of the chains, of sum 1
    m: np.ndarray = per_sample(float)  # weight of the mixed chains; the image has the rest
    depth: np.ndarray = per_sample(int, WIDTH)  # operations in a chain, 1 to T
    op: np.ndarray = per_sample(int, WIDTH, DEPTH)  # positions in the table
    level: np.ndarray = per_sample(float, WIDTH, DEPTH)  # in the operation's unit


class Settings(NamedTuple):
    operations: np.ndarray
    magnitude: float


@inlined
def draw(batch: Any, k: int, settings: Any, drawn: Any) -> None:
    """The parameters of the k-th sample."""
    key = key_of(batch, k, batch.view_index)
    draw_convex(key, WEIGHT, drawn.weight[k])
    drawn.m[k] = uniform(key, SHARE, 0)
    for i in range(WIDTH):
        drawn.depth[k, i] = 1 + integer(key, DEPTHS, i, DEPTH)
    for n in range(WIDTH * DEPTH):
        i, step = n // DEPTH, n % DEPTH
        u = three(key, OPERATION, n, WIDTH * DEPTH)
        drawn.op[k, i, step], drawn.level[k, i, step] = draw_operation(settings, batch, u)


@inlined
def augmix(image: np.ndarray, settings: Any, drawn: Any, k: int, room: np.ndarray) -> np.ndarray:
    """Algorithm 1 for one image, float32 (3, H, W), with what was drawn for it."""
    mixed, m, weight = room[2], drawn.m[k], drawn.weight[k]
    begin_mix(image, ONE - m, mixed)
    for i in range(WIDTH):
        op, level, depth = drawn.op[k, i], drawn.level[k, i], drawn.depth[k, i]
        mix_into(mixed, chain(settings.operations, op, level, depth, image, room), m * weight[i])
    return clip_mix(mixed)


class AugMix(Augmentation):
    """Three chains of one to three operations, mixed by Dirichlet(1, 1, 1); and with the image.

    The share of the image is drawn from Beta(1, 1). magnitude: its "severity" of the operations,
    0.1 to 10. Its paper trains it with the loss `jsd`. Source: Hendrycks et al. 2020, Algorithm 1,
    and its code; here in floats, without rounding to 8 bits between operations. The nine operations
    are without those that overlap the test (torchvision's AugMix has them, and ten fixed levels).
    """

    kernel, params, table = kernel(augmix, 3, draw), AugMixParams, AUGMIX_OPS

    def __init__(self, magnitude: float = 3) -> None:
        self.magnitude = check_range("magnitude", magnitude, 0.1, 10)
        self.settings = Settings(as_records(self.table), float(self.magnitude))

    def limits(self, size: Size) -> Limits:
        return {**super().limits(size), "depth": (1, DEPTH)}
