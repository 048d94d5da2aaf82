"""PixMix: rounds of blending with a mixing image or with another view of the image."""

from dataclasses import dataclass

import numpy as np
import torch

from ..errors import check_name
from ..random import integers, uniforms
from .base import Augmentation, MixingImages, Params, Window, check_range, check_whole
from .blend import apply_blends, draw_weights
from .ops import draw_levels, to_device
from .peers_ops import OPS, chain


@dataclass(frozen=True)
class PixMixParams(Params):
    """What was drawn for B samples. The last axis of `augmented`, `op` and `level` is the picture: the start, then k rounds."""

    rounds: np.ndarray  # int (B,): 0 to k
    augmented: (
        np.ndarray
    )  # bool (B, 1 + k): an operation at the start; then: the other picture is the image, not the mixing image
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
        augmented, op = drawn[..., 0] < 0.5, integers(drawn[..., 1], len(self.table))
        sign = np.where(drawn[..., 3] < 0.5, 1.0, -1.0)
        level = draw_levels(self.table, op, drawn[..., 2], sign, self.magnitude, size)
        drawn = uniforms("pixmix/blend", 4 * self.k, **keys).reshape(-1, self.k, 4)
        a, b = draw_weights(drawn[..., 1], drawn[..., 2], drawn[..., 3], self.beta)
        picture, window = self.mixing.sample(size, seed=seed, epoch=epoch, index=index)
        return PixMixParams(rounds, augmented, op, level, integers(drawn[..., 0], 2), a, b, picture, window)

    def change(self, images, params):
        # Most rounds first: each round then works on a leading part of the batch.
        order = np.argsort(-params.rounds, kind="stable")
        mixed = self.views(images, params, order, 0, depth=params.augmented[order, 0].astype(int))
        for n in range(self.k):
            now = order[params.rounds[order] > n]
            if len(now):
                other = self.other(images, params, now, 1 + n)
                drawn = (getattr(params, name)[now, n] for name in ("blend", "a", "b"))
                unused = np.zeros(len(now), np.float32), np.zeros(len(now), np.int64)  # masks
                mixed = torch.cat([apply_blends(mixed[: len(now)], other, *drawn, *unused), mixed[len(now) :]])
        return mixed.index_select(0, to_device(np.argsort(order), images.device))

    def views(self, images, params, chosen, n, depth):
        """The original images of the chosen samples with the n-th operation, where depth is 1, or without."""
        return chain(self.table, images, chosen, params.op[chosen, n, None], params.level[chosen, n, None], depth)

    def other(self, images, params, now, n):
        """The other picture of samples `now` in round n = 1 ... k: the original image with an operation, or the mixing image."""
        is_view = params.augmented[now, n]
        views = self.views(images, params, now[is_view], n, depth=np.ones(is_view.sum(), int))
        rest = now[~is_view]
        mixing_image = self.mixing.crop(
            params.picture[rest], params.window[rest], tuple(images.shape[-2:]), images.device
        ).expand(-1, 3, -1, -1)
        place = np.argsort(np.argsort(~is_view, kind="stable"))
        return torch.cat([views, mixing_image]).index_select(0, to_device(place, images.device))
