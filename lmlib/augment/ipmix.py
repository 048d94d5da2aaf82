"""IPMix: chains of operations and chains of patches, mixed as in AugMix."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..checks import check_range, check_whole
from ..compiled import compiled, inlined
from ..draws import integer, number_of, uniform, word
from .augmix import begin_mix, clip_mix, draw_convex, mix_into
from .blend import BLENDS, blending, draw_pair
from .colour import BITS, ONE, identity
from .erasing import check_patch
from .kernels import kernel, key_of, three
from .ops import as_records, chain, draw_operation
from .params import Limits, Params, Size, per_sample
from .pillow_ops import IPMIX_OPS
from .windows import Mixing, MixingMethod, Window, draw_mixing_image, mixing_image

WEIGHT, SHARE, KIND, DEPTH, OPERATION, PATCH, BLEND, MASK = (
    number_of(f"ipmix/{purpose}")
    for purpose in "weight m kind depth operation patch blend mask".split()
)
BYTE, FARTHEST = np.float32(256), np.float32(2.0**32)


@dataclass(frozen=True)
class IPMixSteps(Params):
    """What was drawn for every step of every chain. A step uses what its chain is made of."""

    op: np.ndarray = per_sample(int, "k", "t")  # positions in the table
    level: np.ndarray = per_sample(float, "k", "t")  # in the operation's unit
    length: np.ndarray = per_sample(int, "k", "t")  # side of the square that a patch is cut from
    top: np.ndarray = per_sample(int, "k", "t")  # where square and patch begin
    left: np.ndarray = per_sample(int, "k", "t")
    height: np.ndarray = per_sample(int, "k", "t")  # of the patch
    width: np.ndarray = per_sample(int, "k", "t")
    blend: np.ndarray = per_sample(int, "k", "t")  # positions in BLENDS
    a: np.ndarray = per_sample(float, "k", "t")  # weight of the image
    b: np.ndarray = per_sample(float, "k", "t")  # weight of the mixing image
    keep: np.ndarray = per_sample(float, "k", "t")  # keep probability of a mask
    mask_key: np.ndarray = per_sample(int, "k", "t")  # names a mask


@dataclass(frozen=True)
class IPMixParams(Params):
    """What was drawn for B samples; k chains of at most t steps."""

    weight: np.ndarray = per_sample(float, "k")  # of the chains, of sum 1
    m: np.ndarray = per_sample(float)  # weight of the mixed chains; the image has the rest
    patches: np.ndarray = per_sample(bool, "k")  # a chain of patches, not of operations
    depth: np.ndarray = per_sample(int, "k")  # steps in a chain, 0 to t
    steps: IPMixSteps = per_sample(IPMixSteps)
    picture: np.ndarray = per_sample(int)  # which mixing image
    window: Window = per_sample(Window)  # where it is cut


class Settings(NamedTuple):
    operations: np.ndarray
    mixing: Mixing
    magnitude: float
    beta: float
    patch_sizes: np.ndarray
    wrap: bool


@inlined
def draw_patch(key: Any, step: Any, at: Any, sizes: Any, batch: Any, steps: Any) -> None:
    """A square that fits, and as the patch the square or a rectangle from its corner."""
    side = sizes[integer(key, PATCH, 6 * step, len(sizes))]
    square = uniform(key, PATCH, 6 * step + 3) < 0.5
    steps.length[at] = side
    steps.top[at] = integer(key, PATCH, 6 * step + 1, batch.height - side + 1)
    steps.left[at] = integer(key, PATCH, 6 * step + 2, batch.width - side + 1)
    steps.height[at] = side if square else 2 + integer(key, PATCH, 6 * step + 4, side - 1)
    steps.width[at] = side if square else 2 + integer(key, PATCH, 6 * step + 5, side - 1)


@inlined
def draw(batch: Any, s: int, settings: Any, drawn: Any) -> None:
    """The parameters of the s-th sample."""
    key = key_of(batch, s, batch.view_index)
    steps, n_steps = drawn.steps, drawn.steps.op.shape[2]
    draw_convex(key, WEIGHT, drawn.weight[s])
    drawn.m[s] = uniform(key, SHARE, 0)
    for i in range(len(drawn.weight[s])):
        drawn.patches[s, i] = uniform(key, KIND, i) < 0.5
        drawn.depth[s, i] = integer(key, DEPTH, i, n_steps + 1)
        for n in range(n_steps):
            at, step = (s, i, n), i * n_steps + n
            u = three(key, OPERATION, 3 * step, 1)
            steps.op[at], steps.level[at] = draw_operation(settings, batch, u)
            draw_patch(key, step, at, settings.patch_sizes, batch, steps)
            steps.blend[at] = integer(key, BLEND, 5 * step, len(BLENDS))
            u = three(key, BLEND, 5 * step + 1, 1)
            steps.a[at], steps.b[at] = draw_pair(u, settings.beta)
            steps.keep[at] = uniform(key, BLEND, 5 * step + 4)
            steps.mask_key[at] = np.int64(word(key, MASK, step))
    draw_mixing_image(batch, s, settings.mixing, drawn)


@compiled
def through_bytes(value: Any) -> Any:
    """To 8 bits and back as the program does it, towards zero and without a clip.

    1.2 becomes 306, which wraps around to 50.
    """
    # Beyond FARTHEST, a float32 is a multiple of 256 anyway.
    whole = np.trunc(min(max(value * BITS, -FARTHEST), FARTHEST))
    return (whole - np.floor(whole / BYTE) * BYTE) / BITS


@inlined
def mix_patch(image: np.ndarray, picture: np.ndarray, steps: Any, at: Any, wrap: bool) -> None:
    """Blend a square of an image with that of the mixing image, and put the patch in its place."""
    top, left, length = steps.top[at], steps.left[at], steps.length[at]
    rows, columns = slice(top, top + length), slice(left, left + length)
    square, other = image[:, rows, columns].copy(), picture[:, rows, columns].copy()
    a, b, keep, mask = steps.a[at], steps.b[at], steps.keep[at], steps.mask_key[at]
    out = np.empty_like(square)
    blended = blending(steps.blend[at], square, other, a, b, keep, mask, not wrap, out)
    for c in range(3):
        for y in range(steps.height[at]):
            for x in range(steps.width[at]):
                value = blended[c, y, x]
                image[c, top + y, left + x] = through_bytes(value) if wrap else value


@inlined
def ipmix(image: np.ndarray, settings: Any, drawn: Any, s: int, room: np.ndarray) -> np.ndarray:
    """Algorithm 1 for one image, float32 (3, H, W), with what was drawn for it."""
    mixed, picture = room[2], mixing_image(settings.mixing, drawn, s, room[3])
    m, weight, depth, steps = drawn.m[s], drawn.weight[s], drawn.depth[s], drawn.steps
    begin_mix(image, ONE - m, mixed)
    for i in range(len(weight)):
        if drawn.patches[s, i]:
            end = identity(image, room[0])
            for n in range(depth[i]):
                mix_patch(end, picture, steps, (s, i, n), settings.wrap)
        else:
            op, level = steps.op[s, i], steps.level[s, i]
            end = chain(settings.operations, op, level, depth[i], image, room)
        mix_into(mixed, end, m * weight[i])
    return clip_mix(mixed)


class IPMix(MixingMethod):
    """Chains from the image, each of operations or of patches, mixed by Dirichlet(1, ..., 1).

    Their mixture and the image are mixed by Beta(1, 1). mixing_set: uint8 (F, 1 or 3, H', W'), at
    least as large as the images; k: chains; t: steps in one at most; beta: blending ratio, > 0;
    magnitude: its "severity" of the operations, 0.1 to 10; patch_sizes: sides in pixels, >= 2;
    wrap: let values outside [0, 1] of a blended patch wrap around as the program does (about a
    tenth of those of add and multiply), else clip them; flips: of the mixing image, which IPMix
    does not do. Settings for ImageNet: k = 4, beta = 4, magnitude 1. Source: Huang et al. 2023,
    Algorithm 1, and its code; here in floats, rounded to 8 bits by `wrap` only. Its code trains
    with the loss `jsd`, the LayerMix paper's main tables without. No operation overlaps the test;
    its authors leave autocontrast out.
    """

    kernel, params, table = kernel(ipmix, 4, draw), IPMixParams, IPMIX_OPS

    def __init__(
        self, mixing_set: Any, k: int = 3, t: int = 3, beta: float = 3, magnitude: float = 3,
        patch_sizes: Sequence[int] = (4, 8, 16, 32), wrap: bool = False, flips: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(mixing_set, flips)
        self.k, self.t = check_whole("k", k, 1, 100), check_whole("t", t, 1, 100)
        self.beta = check_range("beta", beta, 0, 1000, low_open=True)
        self.magnitude = check_range("magnitude", magnitude, 0.1, 10)
        self.patch_sizes = [check_whole("each of patch_sizes", n, 2, 10**4) for n in patch_sizes]
        if not self.patch_sizes:
            raise ValueError("patch_sizes must name at least one size, got none")
        self.wrap, self.sizes = bool(wrap), {"k": self.k, "t": self.t}
        numbers = float(self.magnitude), float(self.beta), np.array(self.patch_sizes), self.wrap
        self.settings = Settings(as_records(self.table), self.mixing.settings, *numbers)

    def check_size(self, size: Size) -> None:
        check_patch(max(self.patch_sizes), size)
        super().check_size(size)

    def limits(self, size: Size) -> Limits:
        return {**super().limits(size), "depth": (0, self.t)}

    def check_params(self, arrays: Any, size: Size) -> None:
        steps = arrays.steps
        for corner, side, n in (
            (steps.top, steps.height, size[0]),
            (steps.left, steps.width, size[1]),
        ):
            inside = (corner >= 0) & (corner + steps.length <= n)
            if not (inside & (side >= 0) & (side <= steps.length)).all():
                raise ValueError(f"expected patches in their squares, and these in {n} pixels")
