"""LayerMix: Code Block 1 of the paper."""

from dataclasses import dataclass

import numpy as np

from ..checks import check_name
from ..compiled import compiled, entry
from ..draws import draw_key, integer, number_of, uniform, word
from .base import Augmentation, Params, check_range
from .blend import BLENDS, PROBABILITIES, blending, draw_pair
from .colour import BITS
from .images import buffers, read, write
from .ops import OPS, as_records, draw_level, operate
from .windows import MixingImages, Window, cut

DRAWN = "layer", "operation", "level", "sign", "blend", "weights", "keep", "mask"
LAYER, OPERATION, LEVEL, SIGN, BLEND, WEIGHTS, KEEP, MASK = (
    number_of(f"layermix/{what}") for what in DRAWN
)


@dataclass(frozen=True)
class LayerMixParams(Params):
    """What was drawn for B samples. The last axis of `op` and `level` is the stage, that of the
    blends' arrays the blend.
    """

    layer: np.ndarray  # int (B,): 1, 2 or 3
    op: np.ndarray  # int (B, 3): positions in the table of operations; three times the same where the stages share it
    level: np.ndarray  # float32 (B, 3): in the operation's unit
    blend: np.ndarray  # int (B, 2): positions in BLENDS
    a: np.ndarray  # float32 (B, 2): weight of the image
    b: np.ndarray  # float32 (B, 2): weight of the other
    keep: np.ndarray  # float32 (B, 2): keep probability of a mask
    mask_key: np.ndarray  # int64 (B, 2): names a mask
    picture: np.ndarray  # int64 (B,): which mixing image
    window: Window  # where it is cut


@entry
def draw_layermix(
    low, high, epoch, index, view, operations, magnitude, height, width, shared, layers, edges, beta,
    layer, op, level, blend, a, b, keep, mask_key,
):  # fmt: skip
    for k in range(len(index)):
        key = draw_key(low, high, epoch, index[k], view)
        layer[k] = layers[integer(key, LAYER, 0, len(layers))]
        for stage in range(3):
            op[k, stage] = integer(key, OPERATION, 0 if shared else stage, len(operations))
            sign = 1.0 if uniform(key, SIGN, stage) < 0.5 else -1.0
            u = uniform(key, LEVEL, stage)
            level[k, stage] = draw_level(
                operations[op[k, stage]], u, sign, magnitude, height, width
            )
        for n in range(2):
            u, kind = uniform(key, BLEND, n), 0
            while kind < 3 and u >= edges[kind]:
                kind += 1
            blend[k, n] = kind
            branch, first, second = (
                uniform(key, WEIGHTS, n),
                uniform(key, WEIGHTS, 2 + n),
                uniform(key, WEIGHTS, 4 + n),
            )
            a[k, n], b[k, n] = draw_pair(branch, first, second, beta)
            keep[k, n] = uniform(key, KEEP, n)
            mask_key[k, n] = np.int64(word(key, MASK, n))


@compiled
def layermix(image, mixing_image, step, aug_fn, level, blend_fn, a, b, keep, mask_key, room):
    """Code Block 1 for one image, float32 (3, H, W), with what was drawn for it; `room` for two
    views and a mixture of them.
    """
    view = operate(aug_fn[0], image, level[0], room[0])
    if step == 1:
        return view

    second = operate(aug_fn[1], image, level[1], room[1])
    mixed = blending(blend_fn[0], view, second, a[0], b[0], keep[0], mask_key[0], True, room[2])
    if step == 2:
        return mixed

    mixed = blending(
        blend_fn[1], mixed, mixing_image, a[1], b[1], keep[1], mask_key[1], True, room[0]
    )
    return operate(aug_fn[2], mixed, level[2], room[1])


@entry
def layermix_each(
    floats, bytes_, done, done_bytes, start, stop, operations, pictures,
    layer, op, level, blend, a, b, keep, mask_key, picture, top, left, flip_y, flip_x,
):  # fmt: skip
    room = buffers(5, floats, bytes_)
    mixing_image = room[4, : pictures.shape[1]]
    for k in range(start, stop):
        image = read(floats, bytes_, k, room[3])
        if layer[k] == 3:
            cut(pictures[picture[k]], top[k], left[k], flip_y[k], flip_x[k], BITS, mixing_image)
        aug_fn = operations[op[k, 0]], operations[op[k, 1]], operations[op[k, 2]]
        changed = layermix(
            image,
            mixing_image,
            layer[k],
            aug_fn,
            level[k],
            blend[k],
            a[k],
            b[k],
            keep[k],
            mask_key[k],
            room,
        )
        write(changed, done, done_bytes, k)


class LayerMix(Augmentation):
    """One operation; a blend of two views of it; a blend with a mixing image, then the operation
    again.

    mixing_set: uint8 (F, 1 or 3, H', W'), at least as large as the images; magnitude m: 0 to 10;
    beta: blending ratio, > 0, larger stays nearer the image; ops: "paper" (Table 2) or "released"
    (the program's functions); shared: one operation for all stages, or one drawn anew at each (the
    IID pipeline of Section 3.1); layers: which samples of Fig. 2 to draw from; probabilities: of
    the four `BLENDS`; flips: of the mixing image. Raises ValueError where one of these is out of
    range. Source: Code Block 1, Tables 1 and 2.
    """

    kernel = layermix_each

    def __init__(
        self,
        mixing_set,
        magnitude=8,
        beta=3,
        ops="paper",
        shared=True,
        layers=(1, 2, 3),
        probabilities=PROBABILITIES,
        flips=True,
    ):
        self.mixing = MixingImages(mixing_set, flips)
        self.magnitude = check_range("magnitude", magnitude, 0, 10)
        self.beta = check_range("beta", beta, 0, 1000, low_open=True)
        self.ops = check_name("ops", ops, OPS)
        self.set_table(OPS[ops])
        self.shared = bool(shared)
        self.layers = tuple(check_name("layer", layer, (1, 2, 3)) for layer in layers)
        if not self.layers:
            raise ValueError("layers must name at least one of 1, 2, 3, got none")
        if (
            len(probabilities) != len(BLENDS)
            or min(probabilities) < 0
            or not np.isclose(sum(probabilities), 1)
        ):
            raise ValueError(
                f"expected {len(BLENDS)} blend probabilities that sum to 1, got {probabilities}"
            )
        self.probabilities = tuple(probabilities)
        self.choices = np.array(self.layers)
        # The last bin is open to the right, so that a rounded sum of the probabilities loses nothing.
        self.edges = np.cumsum(probabilities, dtype=np.float64)[:-1]

    def set_table(self, table):
        """Draw from these operations."""
        self.table, self.operations = table, as_records(table)

    def draw(self, size, key):
        n = len(key.index)
        layer, op, blend, mask_key = (
            np.empty(n, np.int64),
            np.empty((n, 3), np.int64),
            *np.empty((2, n, 2), np.int64),
        )
        level, (a, b, keep) = np.empty((n, 3), np.float32), np.empty((3, n, 2), np.float32)
        settings = (
            self.operations,
            float(self.magnitude),
            *size,
            self.shared,
            self.choices,
            self.edges,
            float(self.beta),
        )
        draw_layermix(*key, *settings, layer, op, level, blend, a, b, keep, mask_key)
        return LayerMixParams(
            layer, op, level, blend, a, b, keep, mask_key, *self.mixing.draw(size, key)
        )

    def arguments(self, params):
        return self.operations, self.mixing.pictures, *params.arrays()
