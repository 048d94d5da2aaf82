"""IPMix: chains of operations on the image and chains of patches mixed with a mixing image, mixed as in AugMix."""

from dataclasses import dataclass

import numpy as np
import torch

from ..random import integers, uniforms, words
from .augmix import draw_convex, mix_chains
from .base import Augmentation, MixingImages, Params, Window, check_range, check_whole
from .blend import BLENDS, apply_blends, draw_weights
from .cutout import Box, check_patch
from .ops import BITS, draw_levels, to_device
from .peers_ops import TEN, chain


@dataclass(frozen=True)
class IPMixParams(Params):
    """What was drawn for B samples; k chains of at most t steps, the last axes of every array but the first and last ones."""

    weight: np.ndarray  # float32 (B, k): of the chains, of sum 1
    m: np.ndarray  # float32 (B,): weight of the mixed chains; the image has the rest
    patches: np.ndarray  # bool (B, k): a chain of patches, not of operations
    depth: np.ndarray  # int (B, k): steps in a chain, 0 to t
    op: np.ndarray  # int (B, k, t): positions in the table
    level: np.ndarray  # float32 (B, k, t): in the operation's unit
    box: Box  # (B, k, t): where a patch lies
    blend: np.ndarray  # int (B, k, t): positions in BLENDS
    a: np.ndarray  # float32 (B, k, t): weight of the image
    b: np.ndarray  # float32 (B, k, t): weight of the mixing image
    keep: np.ndarray  # float32 (B, k, t): keep probability of a mask
    mask_key: np.ndarray  # int64 (B, k, t): names a mask
    picture: np.ndarray  # int64 (B,): which mixing image
    window: Window  # where it is cut


def draw_box(uniform, patch_sizes, size):
    """A patch from six uniform draws (..., 6): a square, top left where it fits, or a rectangle from the same corner, p = 1/2."""
    length = np.array(patch_sizes)[integers(uniform[..., 0], len(patch_sizes))]
    top = integers(uniform[..., 1], size[0] - length + 1)
    left = integers(uniform[..., 2], size[1] - length + 1)
    square = uniform[..., 3] < 0.5
    height, width = (np.where(square, length, 2 + integers(uniform[..., n], length - 1)) for n in (4, 5))
    return Box(top, left, top + height, left + width)


def through_bytes(images):
    """To 8 bits and back as the program does it, towards zero and without a clip: 1.2 becomes 306, which wraps around to 50."""
    values = (images * BITS).clamp_(-(2.0**32), 2.0**32).trunc_()  # beyond, a float32 is a multiple of 256 anyway
    return values.remainder_(256).div_(BITS)


class IPMix(Augmentation):
    """Chains from the image, each of operations or of patches, mixed by Dirichlet(1, ..., 1); that and the image, by Beta(1, 1).

    mixing_set: uint8 (F, 1 or 3, H', W'), at least as large as the images; k: chains; t: steps in one at most; beta: blending
    ratio, > 0; magnitude: its "severity" of the operations, 0.1 to 10; patch_sizes: sides in pixels, >= 2; wrap: let values outside
    [0, 1] of a blended patch wrap around as the program does (about a tenth of those of add and multiply), else clip them;
    flips: of the mixing image, which IPMix does not do. Settings for ImageNet: k = 4, beta = 4, magnitude 1.
    Source: Huang et al. 2023, Algorithm 1, and its code; here in floats, rounded to 8 bits by `wrap` only. Its code trains with the
    loss `jsd`, the LayerMix paper's main tables without. No operation overlaps the test; its authors leave autocontrast out.
    """

    table = TEN

    def __init__(self, mixing_set, k=3, t=3, beta=3, magnitude=3, patch_sizes=(4, 8, 16, 32), wrap=False, flips=False):
        self.mixing = MixingImages(mixing_set, flips)
        self.k, self.t = (check_whole(name, value, 1, 100) for name, value in (("k", k), ("t", t)))
        self.beta = check_range("beta", beta, 0, 1000, low_open=True)
        self.magnitude = check_range("magnitude", magnitude, 0.1, 10)
        self.patch_sizes = [check_whole("each of patch_sizes", length, 2, 10**4) for length in patch_sizes]
        if not self.patch_sizes:
            raise ValueError("patch_sizes must name at least one size, got none")
        self.wrap = wrap

    def sample(self, size, *, seed, epoch, index, view=0):
        check_patch(max(self.patch_sizes), size)
        keys = {"seed": seed, "epoch": epoch, "index": index, "view": view}

        def draw(purpose, n):  # for every step of every chain
            return uniforms(f"ipmix/{purpose}", self.k * self.t * n, **keys).reshape(-1, self.k, self.t, n)

        weight = draw_convex(uniforms("ipmix/weight", self.k - 1, **keys))
        m = uniforms("ipmix/m", 1, **keys)[:, 0].astype(np.float32)
        patches = uniforms("ipmix/kind", self.k, **keys) < 0.5
        depth = integers(uniforms("ipmix/depth", self.k, **keys), self.t + 1)
        op, level, sign = np.moveaxis(draw("operation", 3), -1, 0)
        op = integers(op, len(self.table))
        level = draw_levels(self.table, op, level, np.where(sign < 0.5, 1.0, -1.0), self.magnitude, size)
        box = draw_box(draw("patch", 6), self.patch_sizes, size)
        blend, branch, first, second, keep = np.moveaxis(draw("blend", 5), -1, 0)
        a, b = draw_weights(branch, first, second, self.beta)
        mask_key = words("ipmix/mask", self.k * self.t, **keys).astype(np.int64).reshape(-1, self.k, self.t)
        picture, window = self.mixing.sample(size, seed=seed, epoch=epoch, index=index)
        drawn = box, integers(blend, len(BLENDS)), a, b, keep.astype(np.float32), mask_key
        return IPMixParams(weight, m, patches, depth, op, level, *drawn, picture, window)

    def change(self, images, params):
        mixing_image = self.mixing.crop(params.picture, params.window, tuple(images.shape[-2:]), images.device)
        chains = (self.chain(images, mixing_image, params, i) for i in range(self.k))
        return mix_chains(images, chains, params.weight, params.m)

    def chain(self, images, mixing_image, params, i):
        """The i-th chain of every sample, of operations or of patches."""
        is_patches = params.patches[:, i]
        of_patches, of_operations = np.flatnonzero(is_patches), np.flatnonzero(~is_patches)
        operated = chain(
            self.table,
            images,
            of_operations,
            *(part[of_operations, i] for part in (params.op, params.level, params.depth)),
        )
        patched = self.patch_chain(images, mixing_image, params, of_patches, i)
        place = np.argsort(np.concatenate([of_operations, of_patches]))
        return torch.cat([operated, patched]).index_select(0, to_device(place, images.device))

    def patch_chain(self, images, mixing_image, params, chosen, i):
        """Patches of the chosen samples, one after another, blended with the mixing image's patch at the same place."""
        deepest_first = np.argsort(-params.depth[chosen, i], kind="stable")
        order = chosen[deepest_first]
        place = to_device(order, images.device)
        mixed, mixing_image = images.index_select(0, place), mixing_image.index_select(0, place)
        for step in range(self.t):
            now = order[params.depth[order, i] > step]
            if len(now):
                drawn = (getattr(params, name)[now, i, step] for name in ("blend", "a", "b", "keep", "mask_key"))
                patch = apply_blends(mixed[: len(now)], mixing_image[: len(now)], *drawn, clip=not self.wrap)
                mask = params.box[now, i, step].mask(images.shape[-2:], images.device)
                patch = torch.lerp(mixed[: len(now)], through_bytes(patch) if self.wrap else patch, mask)
                mixed = torch.cat([patch, mixed[len(now) :]])
        return mixed.index_select(0, to_device(np.argsort(deepest_first), images.device))
