"""LayerMix: Code Block 1 of the paper, for one image step by step, and for a whole batch at once."""

from dataclasses import dataclass
from itertools import islice

import numpy as np

from ..checks import check_name
from ..draws import integers, words_of
from .base import Augmentation, MixingImages, Params, Window, check_range
from .blend import BLENDS, PROBABILITIES, apply_blends, blend, draw_weights
from .ops import OPS, apply_operations, draw_levels, to_device

DRAWN = {
    "layer": 1,
    "operation": 3,
    "level": 3,
    "sign": 3,
    "blend": 2,
    "weights": 6,
    "keep": 2,
    "mask": 2,
}
"""What is drawn for a sample, and how many numbers each takes."""


@dataclass(frozen=True)
class LayerMixParams(Params):
    """What was drawn for B samples. The last axis of `op` and `level` is the stage, that of the blends' arrays the blend."""

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


class LayerMix(Augmentation):
    """One operation; a blend of two views of it; a blend with a mixing image, then the operation again.

    mixing_set: uint8 (F, 1 or 3, H', W'), at least as large as the images; magnitude m: 0 to 10; beta: blending ratio, > 0, larger
    stays nearer the image; ops: "paper" (Table 2) or "released" (the program's functions); shared: one operation for all stages,
    or one drawn anew at each (the IID pipeline of Section 3.1); layers: which samples of Fig. 2 to draw from;
    probabilities: of the four `BLENDS`; flips: of the mixing image.
    Raises ValueError where one of these is out of range. Source: Code Block 1, Tables 1 and 2.
    """

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
        self.shared = shared
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

    @property
    def table(self):
        """The operations by name: not stored, so that a method can be pickled for a DataLoader's workers."""
        return OPS[self.ops]

    def sample(self, size, *, seed, epoch, index, view=0):
        keys = {"seed": seed, "epoch": epoch, "index": index, "view": view}
        *uniform, mask_key = words_of(
            {f"layermix/{what}": n for what, n in DRAWN.items()}, **keys
        ).values()
        layer, op, level, sign, blend, weights, keep = (drawn * 2.0**-32 for drawn in uniform)
        layer = np.array(self.layers)[integers(layer[:, 0], len(self.layers))]
        op = integers(op, len(self.table))
        if self.shared:
            op = np.repeat(op[:, :1], 3, axis=1)
        level = draw_levels(
            self.table, op, level, np.where(sign < 0.5, 1.0, -1.0), self.magnitude, size
        )
        # The last bin is open to the right, so that a rounded sum of the probabilities loses nothing.
        blend = np.searchsorted(np.cumsum(self.probabilities)[:-1], blend, side="right")
        weights = weights.reshape(-1, 3, 2)
        a, b = draw_weights(weights[:, 0], weights[:, 1], weights[:, 2], self.beta)
        keep, mask_key = keep.astype(np.float32), mask_key.astype(np.int64)
        picture, window = self.mixing.sample(size, seed=seed, epoch=epoch, index=index)
        return LayerMixParams(layer, op, level, blend, a, b, keep, mask_key, picture, window)

    def change(self, images, params):
        if len(images) != 1:
            return self.change_many(images, params)
        n_steps = {1: 1, 2: 3, 3: 6}[
            params.layer[0]
        ]  # grouping by kind would take a twentieth of the time at 224 px
        *_, changed = islice(self.steps(images, params), n_steps)
        return changed

    def steps(self, image, params):
        """Code Block 1 for one image, (1, 3, H, W): yields both views, their blend, the mixing image, the blend with it, the end.

        Layer 1 is the first of them, layer 2 the third, layer 3 the last; `params.layer` does not count.
        """
        functions = [operation.function for operation in self.table.values()]
        (op,), (blends,) = params.op, params.blend
        drawn = (params.level, params.a, params.b, params.keep, params.mask_key)
        level, *weights = (to_device(part[0], image.device) for part in drawn)

        def blended(images, other, n):
            return blend(BLENDS[blends[n]], images, other, *(part[n : n + 1] for part in weights))

        yield (first := functions[op[0]](image, level[:1]))
        same = op[0] == op[1] and params.level[0, 0] == params.level[0, 1]  # as without a level
        yield (second := first if same else functions[op[1]](image, level[1:2]))
        yield (mixed := blended(first, second, 0))
        yield (
            mixing_image := self.mixing.crop(
                params.picture, params.window, tuple(image.shape[-2:]), image.device
            )
        )
        yield (mixed := blended(mixed, mixing_image, 1))
        yield functions[op[2]](mixed, level[2:])

    def change_many(self, images, params):
        """The same for a batch: a function is called once for all the samples that take it at a stage."""
        n, more = len(images), params.layer >= 2
        # A second view is made where it differs: an operation without a level gives the same again.
        differs = (params.op[:, 0] != params.op[:, 1]) | (params.level[:, 0] != params.level[:, 1])
        (second,), (again,), (third,) = (
            more.nonzero(),
            (more & differs).nonzero(),
            (params.layer == 3).nonzero(),
        )
        first, other = np.arange(n), np.arange(n)  # where a sample's views are among all views
        other[again] = np.arange(n, n + len(again))
        op, level = (
            np.concatenate([part[:, 0], part[again, 1]]) for part in (params.op, params.level)
        )
        views = apply_operations(self.table, images, np.concatenate([first, again]), op, level)

        mixed = views[:n]
        if len(second):
            drawn = drawn_blend(params, second, 0)
            mixed = apply_blends((mixed, second), (views, other[second]), *drawn, within=True)

        if len(third):
            cut = params.picture[third], params.window[third]
            mixing_image = self.mixing.crop(*cut, tuple(images.shape[-2:]), images.device)
            drawn = drawn_blend(params, third, 1)
            mixed = apply_blends(
                (mixed, third), (mixing_image, first[: len(third)]), *drawn, within=True
            )
            drawn = params.op[third, 2], params.level[third, 2]
            mixed = apply_operations(self.table, mixed, third, *drawn, within=True)
        return mixed


def drawn_blend(params, chosen, n):
    """What `apply_blends` needs for the n-th blend (0 or 1) of the chosen samples."""
    return (getattr(params, name)[chosen, n] for name in ("blend", "a", "b", "keep", "mask_key"))
