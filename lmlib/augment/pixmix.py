"""PixMix: rounds of blending with a mixing image or with another view of the image."""

from dataclasses import dataclass

import numpy as np

from ..checks import check_name
from ..draws import integers, uniforms
from .base import Augmentation, MixingImages, Params, Window, check_range, check_whole
from .blend import apply_blends, draw_weights
from .ops import apply_operations
from .pillow_ops import OPS, draw_operations


@dataclass(frozen=True)
class PixMixParams(Params):
    """What was drawn for B samples. The last axis of `augmented`, `op` and `level` is the picture: the start, then k rounds."""

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


class PixMix(Augmentation):
    """The image or a view of it, blended up to k times with the mixing image or a fresh view, each with probability 1/2.

    mixing_set: uint8 (F, 1 or 3, H', W'), at least as large as the images; k: rounds at most; beta: blending ratio, > 0; magnitude:
    its "severity" of the operations, 0.1 to 10; ops: "all" as in its recipes, "nine" without the four that overlap the test
    corruptions, "released" for the functions of the LayerMix program; flips: of the mixing image, which PixMix does not do.
    Settings for ImageNet: k = 4, beta = 4, magnitude 1. The text of the LayerMix paper has k = 3.
    Source: Hendrycks et al. 2022, Figure 2, and its code; here in floats, without rounding to 8 bits after an operation.
    """

    def __init__(self, mixing_set, k=4, beta=3, magnitude=3, ops="all", flips=False):
        self.mixing = MixingImages(mixing_set, flips)
        self.k = check_whole("k", k, 1, 100)
        self.beta = check_range("beta", beta, 0, 1000, low_open=True)
        self.magnitude = check_range("magnitude", magnitude, 0.1, 10)
        self.ops = check_name("ops", ops, OPS)

    @property
    def table(self):
        """The operations by name: not stored, so that a method can be pickled for a DataLoader's workers."""
        return OPS[self.ops]

    def sample(self, size, *, seed, epoch, index, view=0):
        keys = {"seed": seed, "epoch": epoch, "index": index, "view": view}
        rounds = integers(uniforms("pixmix/rounds", 1, **keys)[:, 0], self.k + 1)
        drawn = uniforms("pixmix/operation", 4 * (1 + self.k), **keys).reshape(-1, 1 + self.k, 4)
        augmented, *uniform = np.moveaxis(drawn, -1, 0)
        op, level = draw_operations(self.table, uniform, self.magnitude, size)
        blend, *weights = np.moveaxis(
            uniforms("pixmix/blend", 4 * self.k, **keys).reshape(-1, self.k, 4), -1, 0
        )
        a, b = draw_weights(*weights, self.beta)
        picture, window = self.mixing.sample(size, seed=seed, epoch=epoch, index=index)
        return PixMixParams(
            rounds, augmented < 0.5, op, level, integers(blend, 2), a, b, picture, window
        )

    def change(self, images, params):
        mixing_image = self.mixing.crop(
            params.picture, params.window, tuple(images.shape[-2:]), images.device
        )
        (now,) = params.augmented[:, 0].nonzero()
        start = params.op[now, 0], params.level[now, 0]
        mixed = apply_operations(self.table, images.clone(), now, *start, within=True)
        for n in range(self.k):
            goes_on, augmented = params.rounds > n, params.augmented[:, 1 + n]
            (with_view,), (with_picture,) = (
                (goes_on & augmented).nonzero(),
                (goes_on & ~augmented).nonzero(),
            )
            drawn = params.op[with_view, 1 + n], params.level[with_view, 1 + n]
            views = apply_operations(self.table, images, with_view, *drawn)
            mixed = self.blend(mixed, with_view, (views, np.arange(len(views))), params, n)
            mixed = self.blend(mixed, with_picture, (mixing_image, with_picture), params, n)
        return mixed

    @staticmethod
    def blend(mixed, chosen, other, params, n):
        """`mixed` with the n-th blend at rows `chosen`; other: a pair of a tensor and int (N,), which of its rows."""
        drawn = (getattr(params, name)[chosen, n] for name in ("blend", "a", "b"))
        return apply_blends((mixed, chosen), other, *drawn, within=True)
