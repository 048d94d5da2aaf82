"""IPMix: chains of operations on the image and chains of patches mixed with a mixing image, mixed as in AugMix."""

from dataclasses import dataclass

import numpy as np
import torch

from ..draws import integers, uniforms, words
from .augmix import draw_convex, mix_chains, run_chains
from .base import Augmentation, MixingImages, Params, Window, check_range, check_whole
from .blend import BLENDS, apply_blends, draw_weights
from .erasing import Box, check_patch
from .ops import BITS, to_device
from .pillow_ops import TEN, draw_operations


@dataclass(frozen=True)
class IPMixSteps(Params):
    """What was drawn for every step of every chain: (B, k, t) each. A step uses what its chain is made of."""

    op: np.ndarray  # int: positions in the table
    level: np.ndarray  # float32: in the operation's unit
    length: np.ndarray  # int: side of the square that a patch is cut from
    top: np.ndarray  # int: where square and patch begin
    left: np.ndarray
    height: np.ndarray  # int: of the patch
    width: np.ndarray
    blend: np.ndarray  # int: positions in BLENDS
    a: np.ndarray  # float32: weight of the image
    b: np.ndarray  # float32: weight of the mixing image
    keep: np.ndarray  # float32: keep probability of a mask
    mask_key: np.ndarray  # int64: names a mask


@dataclass(frozen=True)
class IPMixParams(Params):
    """What was drawn for B samples; k chains of at most t steps."""

    weight: np.ndarray  # float32 (B, k): of the chains, of sum 1
    m: np.ndarray  # float32 (B,): weight of the mixed chains; the image has the rest
    patches: np.ndarray  # bool (B, k): a chain of patches, not of operations
    depth: np.ndarray  # int (B, k): steps in a chain, 0 to t
    steps: IPMixSteps
    picture: np.ndarray  # int64 (B,): which mixing image
    window: Window  # where it is cut


def draw_patch(uniform, patch_sizes, size):
    """From six uniform draws (6, ...): a square that fits, and as the patch the square or a rectangle from its corner, p = 1/2."""
    which, y, x, coin, *sides = uniform
    length = np.array(patch_sizes)[integers(which, len(patch_sizes))]
    top, left = integers(y, size[0] - length + 1), integers(x, size[1] - length + 1)
    height, width = (np.where(coin < 0.5, length, 2 + integers(side, length - 1)) for side in sides)
    return length, top, left, height, width


def through_bytes(images):
    """To 8 bits and back as the program does it, towards zero and without a clip: 1.2 becomes 306, which wraps around to 50."""
    values = (
        (images * BITS).clamp_(-(2.0**32), 2.0**32).trunc_()
    )  # beyond, a float32 is a multiple of 256 anyway
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

    def __init__(
        self,
        mixing_set,
        k=3,
        t=3,
        beta=3,
        magnitude=3,
        patch_sizes=(4, 8, 16, 32),
        wrap=False,
        flips=False,
    ):
        self.mixing = MixingImages(mixing_set, flips)
        self.k, self.t = (check_whole(name, value, 1, 100) for name, value in (("k", k), ("t", t)))
        self.beta = check_range("beta", beta, 0, 1000, low_open=True)
        self.magnitude = check_range("magnitude", magnitude, 0.1, 10)
        self.patch_sizes = [
            check_whole("each of patch_sizes", length, 2, 10**4) for length in patch_sizes
        ]
        if not self.patch_sizes:
            raise ValueError("patch_sizes must name at least one size, got none")
        self.wrap = wrap

    def sample(self, size, *, seed, epoch, index, view=0):
        check_patch(max(self.patch_sizes), size)
        keys = {"seed": seed, "epoch": epoch, "index": index, "view": view}

        def draw(purpose, n):  # n numbers for every step of every chain: (n, B, k, t)
            drawn = uniforms(f"ipmix/{purpose}", self.k * self.t * n, **keys)
            return np.moveaxis(drawn.reshape(-1, self.k, self.t, n), -1, 0)

        weight = draw_convex(uniforms("ipmix/weight", self.k - 1, **keys))
        m = uniforms("ipmix/m", 1, **keys)[:, 0].astype(np.float32)
        patches = uniforms("ipmix/kind", self.k, **keys) < 0.5
        depth = integers(uniforms("ipmix/depth", self.k, **keys), self.t + 1)
        op, level = draw_operations(self.table, draw("operation", 3), self.magnitude, size)
        patch = draw_patch(draw("patch", 6), self.patch_sizes, size)
        blend, *weights, keep = draw("blend", 5)
        a, b = draw_weights(*weights, self.beta)
        mask_key = (
            words("ipmix/mask", self.k * self.t, **keys)
            .astype(np.int64)
            .reshape(-1, self.k, self.t)
        )
        picture, window = self.mixing.sample(size, seed=seed, epoch=epoch, index=index)
        blend, keep = integers(blend, len(BLENDS)), keep.astype(np.float32)
        steps = IPMixSteps(op, level, *patch, blend, a, b, keep, mask_key)
        return IPMixParams(weight, m, patches, depth, steps, picture, window)

    def change(self, images, params):
        mixing_image = self.mixing.crop(
            params.picture, params.window, tuple(images.shape[-2:]), images.device
        )
        depth = np.where(params.patches, 0, params.depth)  # those of patches are the image as yet
        chains = run_chains(self.table, images, params.steps.op, params.steps.level, depth)
        for step in range(self.t):
            goes_on = params.patches & (params.depth > step)
            for length in np.unique(self.patch_sizes):
                now = (
                    goes_on & (params.steps.length[..., step] == length)
                ).nonzero()  # (whose, which of the k chains)
                if len(now[0]):
                    self.mix_patches(chains, mixing_image, now, params.steps[*now, step], length)
        return mix_chains(images, chains, params.weight, params.m)

    def mix_patches(self, chains, mixing_image, now, drawn, length):
        """Blend patches in squares of one length with those of the mixing image, and write them into `chains[now]`."""
        device, side, corner = chains.device, np.arange(length), np.zeros(len(drawn.op), int)
        y, x = (to_device(start[:, None] + side, device) for start in (drawn.top, drawn.left))
        y, x = y[:, :, None], x[:, None, :]
        whose, which = (to_device(part, device)[:, None, None] for part in now)
        pixels, others = chains.movedim(2, -1), mixing_image.movedim(1, -1)
        square, other = (
            pixels[whose, which, y, x].movedim(-1, 1),
            others[whose, y, x].movedim(-1, 1),
        )
        weights = drawn.blend, drawn.a, drawn.b, drawn.keep, drawn.mask_key
        everyone = np.arange(len(square))
        blended = apply_blends((square, everyone), (other, everyone), *weights, clip=not self.wrap)
        blended = through_bytes(blended) if self.wrap else blended
        patch = Box(corner, corner, drawn.height, drawn.width).mask((length, length), device)
        pixels[whose, which, y, x] = torch.lerp(square, blended, patch).movedim(1, -1)
