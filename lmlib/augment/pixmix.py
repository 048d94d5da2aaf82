"""PixMix: rounds of blending with a mixing image or with another view of the image."""

from dataclasses import dataclass

import numpy as np

from ..checks import check_name
from ..compiled import compiled, entry
from ..draws import draw_key, integer, number_of, uniform
from .base import Augmentation, Params, check_range, check_whole
from .blend import blending, draw_pair
from .colour import BITS
from .images import buffers, read, write
from .ops import as_records, draw_operation, operate
from .pillow_ops import OPS
from .windows import MixingImages, Window, cut

ROUNDS, OPERATION, BLEND = (
    number_of(f"pixmix/{what}") for what in ("rounds", "operation", "blend")
)


@dataclass(frozen=True)
class PixMixParams(Params):
    """What was drawn for B samples. The last axis of `augmented`, `op` and `level` is the picture:
    the start, then k rounds.
    """

    rounds: np.ndarray  # int (B,): 0 to k
    augmented: (
        np.ndarray
    )  # bool (B, 1 + k): start with an operation; then: blend with a view, not the mixing image
    op: np.ndarray  # int (B, 1 + k): positions in the table
    level: np.ndarray  # float32 (B, 1 + k): in the operation's unit
    blend: np.ndarray  # int (B, k): 0 add, 1 multiply
    a: np.ndarray  # float32 (B, k): weight of the image
    b: np.ndarray  # float32 (B, k): weight of the other picture
    picture: np.ndarray  # int64 (B,): which mixing image
    window: Window  # where it is cut


@entry
def draw_pixmix(
    low,
    high,
    epoch,
    index,
    view,
    operations,
    magnitude,
    height,
    width,
    beta,
    rounds,
    augmented,
    op,
    level,
    blend,
    a,
    b,
):
    for s in range(len(index)):
        key, k = draw_key(low, high, epoch, index[s], view), blend.shape[1]
        rounds[s] = integer(key, ROUNDS, 0, k + 1)
        for n in range(1 + k):
            coin, which, position, sign = (uniform(key, OPERATION, 4 * n), uniform(key, OPERATION, 4 * n + 1),
                                           uniform(key, OPERATION, 4 * n + 2), uniform(key, OPERATION, 4 * n + 3))  # fmt: skip
            augmented[s, n] = coin < 0.5
            op[s, n], level[s, n] = draw_operation(
                operations, which, position, sign, magnitude, height, width
            )
        for n in range(k):
            branch, first, second = (uniform(key, BLEND, 4 * n + 1), uniform(key, BLEND, 4 * n + 2),
                                     uniform(key, BLEND, 4 * n + 3))  # fmt: skip
            blend[s, n] = integer(key, BLEND, 4 * n, 2)
            a[s, n], b[s, n] = draw_pair(branch, first, second, beta)


@compiled
def pixmix(image, mixing_image, operations, rounds, augmented, op, level, blend, a, b, room):
    """PixMix's pseudo-code for one image, float32 (3, H, W), with what was drawn for it; room: (3,
    3, H, W).
    """
    mixed = operate(operations[op[0]], image, level[0], room[0]) if augmented[0] else image
    for n in range(rounds):
        if augmented[n + 1]:
            other = operate(operations[op[n + 1]], image, level[n + 1], room[2])
        else:
            other = mixing_image
        mixed = blending(blend[n], mixed, other, a[n], b[n], 1.0, 0, True, room[(n + 1) % 2])
    return mixed


@entry
def pixmix_each(
    floats, bytes_, done, done_bytes, start, stop, operations, pictures,
    rounds, augmented, op, level, blend, a, b, picture, top, left, flip_y, flip_x,
):  # fmt: skip
    room = buffers(5, floats, bytes_)
    mixing_image = room[4, : pictures.shape[1]]
    for k in range(start, stop):
        image = read(floats, bytes_, k, room[3])
        cut(pictures[picture[k]], top[k], left[k], flip_y[k], flip_x[k], BITS, mixing_image)
        drawn = rounds[k], augmented[k], op[k], level[k], blend[k], a[k], b[k]
        write(pixmix(image, mixing_image, operations, *drawn, room), done, done_bytes, k)


class PixMix(Augmentation):
    """The image or a view of it, blended up to k times with the mixing image or a fresh view, each
    with probability 1/2.

    mixing_set: uint8 (F, 1 or 3, H', W'), at least as large as the images; k: rounds at most; beta:
    blending ratio, > 0; magnitude: its "severity" of the operations, 0.1 to 10; ops: "all" as in
    its recipes, "nine" without the four that overlap the test corruptions, "released" for the
    functions of the LayerMix program; flips: of the mixing image, which PixMix does not do.
    Settings for ImageNet: k = 4, beta = 4, magnitude 1. The text of the LayerMix paper has k = 3.
    Source: Hendrycks et al. 2022, Figure 2, and its code; here in floats, without rounding to 8
    bits after an operation.
    """

    kernel = pixmix_each

    def __init__(self, mixing_set, k=4, beta=3, magnitude=3, ops="all", flips=False):
        self.mixing = MixingImages(mixing_set, flips)
        self.k = check_whole("k", k, 1, 100)
        self.beta = check_range("beta", beta, 0, 1000, low_open=True)
        self.magnitude = check_range("magnitude", magnitude, 0.1, 10)
        self.ops = check_name("ops", ops, OPS)
        self.table = OPS[ops]
        self.operations = as_records(self.table)

    def draw(self, size, key):
        n, k = len(key.index), self.k
        rounds, augmented = np.empty(n, np.int64), np.empty((n, 1 + k), np.bool_)
        op, level = np.empty((n, 1 + k), np.int64), np.empty((n, 1 + k), np.float32)
        blend, (a, b) = np.empty((n, k), np.int64), np.empty((2, n, k), np.float32)
        settings = self.operations, float(self.magnitude), *size, float(self.beta)
        draw_pixmix(*key, *settings, rounds, augmented, op, level, blend, a, b)
        return PixMixParams(rounds, augmented, op, level, blend, a, b, *self.mixing.draw(size, key))

    def arguments(self, params):
        return self.operations, self.mixing.pictures, *params.arrays()
