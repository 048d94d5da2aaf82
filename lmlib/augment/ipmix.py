"""IPMix: chains of operations on the image and chains of patches mixed with a mixing image, mixed
as in AugMix.
"""

from dataclasses import dataclass

import numpy as np

from ..compiled import compiled, entry
from ..draws import draw_key, integer, number_of, uniform, word
from .augmix import begin_mix, clip_mix, draw_convex, mix_into
from .base import Augmentation, Params, check_range, check_whole
from .blend import BLENDS, blending, draw_pair
from .colour import BITS, ONE, identity
from .erasing import check_patch
from .images import buffers, read, write
from .ops import as_records, chain, draw_operation
from .pillow_ops import IPMIX_OPS
from .windows import MixingImages, Window, cut

DRAWN = "weight", "m", "kind", "depth", "operation", "patch", "blend", "mask"
WEIGHT, SHARE, KIND, DEPTH, OPERATION, PATCH, BLEND, MASK = (
    number_of(f"ipmix/{what}") for what in DRAWN
)
BYTE, FARTHEST = np.float32(256), np.float32(2.0**32)


@dataclass(frozen=True)
class IPMixSteps(Params):
    """What was drawn for every step of every chain: (B, k, t) each. A step uses what its chain is
    made of.
    """

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


@entry
def draw_ipmix(
    low, high, epoch, index, view, operations, magnitude, size_y, size_x, beta, patch_sizes, weight, m, patches, depth,
    op, level, length, top, left, height, width, blend, a, b, keep, mask_key,
):  # fmt: skip
    k, t = op.shape[1:]
    for s in range(len(index)):
        key = draw_key(low, high, epoch, index[s], view)
        draw_convex(key, WEIGHT, weight[s])
        m[s] = uniform(key, SHARE, 0)
        for i in range(k):
            patches[s, i] = uniform(key, KIND, i) < 0.5
            depth[s, i] = integer(key, DEPTH, i, t + 1)
            for n in range(t):
                at = s, i, n
                step = i * t + n
                u, v, sign = (uniform(key, OPERATION, 3 * step), uniform(key, OPERATION, 3 * step + 1),
                              uniform(key, OPERATION, 3 * step + 2))  # fmt: skip
                op[at], level[at] = draw_operation(
                    operations, u, v, sign, magnitude, size_y, size_x
                )
                # A square that fits, and as the patch the square or a rectangle from its corner, with probability 1/2.
                side = patch_sizes[integer(key, PATCH, 6 * step, len(patch_sizes))]
                top[at] = integer(key, PATCH, 6 * step + 1, size_y - side + 1)
                left[at] = integer(key, PATCH, 6 * step + 2, size_x - side + 1)
                square = uniform(key, PATCH, 6 * step + 3) < 0.5
                length[at] = side
                height[at] = side if square else 2 + integer(key, PATCH, 6 * step + 4, side - 1)
                width[at] = side if square else 2 + integer(key, PATCH, 6 * step + 5, side - 1)
                blend[at] = integer(key, BLEND, 5 * step, len(BLENDS))
                u, v, w = (uniform(key, BLEND, 5 * step + 1), uniform(key, BLEND, 5 * step + 2),
                           uniform(key, BLEND, 5 * step + 3))  # fmt: skip
                a[at], b[at] = draw_pair(u, v, w, beta)
                keep[at] = uniform(key, BLEND, 5 * step + 4)
                mask_key[at] = np.int64(word(key, MASK, step))


@compiled
def through_bytes(value):
    """To 8 bits and back as the program does it, towards zero and without a clip: 1.2 becomes 306,
    which wraps around to 50.
    """
    whole = np.trunc(
        min(max(value * BITS, -FARTHEST), FARTHEST)
    )  # beyond, a float32 is a multiple of 256 anyway
    return (whole - np.floor(whole / BYTE) * BYTE) / BITS


@compiled
def square_of(image, top, left, length):
    """A copy of a square of an image: float32 (C, length, length)."""
    square = np.empty((len(image), length, length), np.float32)
    for c in range(len(image)):
        for y in range(length):
            for x in range(length):
                square[c, y, x] = image[c, top + y, left + x]
    return square


@compiled
def mix_patch(
    image, mixing_image, top, left, length, height, width, blend, a, b, keep, mask_key, wrap
):
    """Blend a square of an image, float32 (3, H, W), with that of the mixing image, and put the
    patch in its place.
    """
    square, other = (
        square_of(image, top, left, length),
        square_of(mixing_image, top, left, length),
    )
    blended = blending(blend, square, other, a, b, keep, mask_key, not wrap, np.empty_like(square))
    for c in range(3):
        for y in range(height):
            for x in range(width):
                value = blended[c, y, x]
                image[c, top + y, left + x] = through_bytes(value) if wrap else value


@entry
def ipmix_each(
    floats, bytes_, done, done_bytes, start, stop, operations, pictures, wrap, weight, m, patches, depth,
    op, level, length, top, left, height, width, blend, a, b, keep, mask_key, picture, y, x, flip_y, flip_x,
):  # fmt: skip
    room = buffers(6, floats, bytes_)
    mixed, mixing_image, patched = room[2], room[4, : pictures.shape[1]], room[5]
    for s in range(start, stop):
        image = read(floats, bytes_, s, room[3])
        cut(pictures[picture[s]], y[s], x[s], flip_y[s], flip_x[s], BITS, mixing_image)
        begin_mix(image, ONE - m[s], mixed)
        for i in range(weight.shape[1]):
            if patches[s, i]:
                changed = identity(image, patched)
                for n in range(depth[s, i]):
                    at = s, i, n
                    square = top[at], left[at], length[at], height[at], width[at]
                    mix_patch(
                        changed,
                        mixing_image,
                        *square,
                        blend[at],
                        a[at],
                        b[at],
                        keep[at],
                        mask_key[at],
                        wrap,
                    )
            else:
                changed = chain(operations, op[s, i], level[s, i], depth[s, i], image, room)
            mix_into(mixed, changed, m[s] * weight[s, i])
        write(clip_mix(mixed), done, done_bytes, s)


class IPMix(Augmentation):
    """Chains from the image, each of operations or of patches, mixed by Dirichlet(1, ..., 1); that
    and the image, by Beta(1, 1).

    mixing_set: uint8 (F, 1 or 3, H', W'), at least as large as the images; k: chains; t: steps in
    one at most; beta: blending ratio, > 0; magnitude: its "severity" of the operations, 0.1 to 10;
    patch_sizes: sides in pixels, >= 2; wrap: let values outside [0, 1] of a blended patch wrap
    around as the program does (about a tenth of those of add and multiply), else clip them; flips:
    of the mixing image, which IPMix does not do. Settings for ImageNet: k = 4, beta = 4, magnitude
    1. Source: Huang et al. 2023, Algorithm 1, and its code; here in floats, rounded to 8 bits by
    `wrap` only. Its code trains with the loss `jsd`, the LayerMix paper's main tables without. No
    operation overlaps the test; its authors leave autocontrast out.
    """

    kernel, table, operations = ipmix_each, IPMIX_OPS, as_records(IPMIX_OPS)

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
        self.wrap = bool(wrap)

    def draw(self, size, key):
        check_patch(max(self.patch_sizes), size)
        n, k = len(key.index), self.k
        weight, m = np.empty((n, k), np.float32), np.empty(n, np.float32)
        patches, depth = np.empty((n, k), np.bool_), np.empty((n, k), np.int64)
        kinds = (
            (name, np.float32 if name in ("level", "a", "b", "keep") else np.int64)
            for name in IPMixSteps.__annotations__
        )
        steps = IPMixSteps(**{name: np.empty((n, k, self.t), kind) for name, kind in kinds})
        settings = (
            self.operations,
            float(self.magnitude),
            *size,
            float(self.beta),
            np.array(self.patch_sizes),
        )
        draw_ipmix(*key, *settings, weight, m, patches, depth, *steps.arrays())
        return IPMixParams(weight, m, patches, depth, steps, *self.mixing.draw(size, key))

    def arguments(self, params):
        return self.operations, self.mixing.pictures, self.wrap, *params.arrays()
