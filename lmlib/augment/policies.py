"""AutoAugment, RandAugment and TrivialAugment: a few operations in a row, with levels from a table.

Operations, levels and policies are those of torchvision's transforms, nearest-neighbour sampling
included; they work here on floats, which only the end of a chain rounds. Brightness, color,
contrast and sharpness overlap the test corruptions.
"""

from dataclasses import dataclass

import numpy as np

from ..checks import check_name
from ..compiled import entry
from ..draws import integers, uniforms_of
from .base import Augmentation, Params, check_range, check_whole
from .geometry import NEAREST
from .images import buffers, read, write
from .ops import (
    AUTOCONTRAST,
    DOWN,
    EQUALIZE,
    HEIGHT,
    IDENTITY,
    INVERT,
    NEAREST_WHOLE,
    POSTERIZE,
    ROTATE,
    SHEAR_X,
    SHEAR_Y,
    SOLARIZE,
    TRANSLATE_X,
    TRANSLATE_Y,
    WIDTH,
    Operation,
    as_records,
    chain,
    draw_levels,
)
from .pillow_ops import FACTORS

POLICIES = "cifar10", "imagenet"
ENHANCING = "brightness", "color", "contrast", "sharpness"
STRONGEST = 10  # levels below are for a position u in [0, 1] in their range, not for a magnitude


def operations(shear, move, turn, factor, bits, sides=(0, 0)):
    """The table of a policy, from the ends of its ranges. move: pixels, or a share of the sides
    (along y, along x).
    """
    moved = {"signed": True, "rounding": DOWN, "edge": NEAREST}
    return (
        {
            "identity": Operation(IDENTITY),
            "shear_x": Operation(SHEAR_X, shear, signed=True, edge=NEAREST),  # tangent
            "shear_y": Operation(SHEAR_Y, shear, signed=True, edge=NEAREST),
            "translate_x": Operation(TRANSLATE_X, move, side=sides[1], **moved),  # pixels
            "translate_y": Operation(TRANSLATE_Y, move, side=sides[0], **moved),
            "rotate": Operation(ROTATE, turn, signed=True, edge=NEAREST),  # degrees
        }
        | {name: Operation(FACTORS[name], factor, offset=1, signed=True) for name in ENHANCING}
        | {
            "posterize": Operation(POSTERIZE, bits, offset=8, scale=-1, rounding=NEAREST_WHOLE),
            # Half a grey level below the first whole value that is inverted, so that floats round as 8-bit values do; with a bit
            # more than the range, because a product that is whole may come out below.
            "solarize": Operation(
                SOLARIZE, 255 + 1e-6, 1e-6, offset=254.5, scale=-1, unit=255, rounding=DOWN
            ),
            "autocontrast": Operation(AUTOCONTRAST),
            "equalize": Operation(EQUALIZE),
        }
    )


RANDAUGMENT_OPS = operations(0.3, 150 / 331, 30, 0.9, 4, sides=(HEIGHT, WIDTH))
TRIVIALAUGMENT_OPS = operations(0.99, 32, 135, 0.99, 6)


@dataclass(frozen=True)
class PolicyParams(Params):
    op: np.ndarray  # int (B, T): positions in the table, in the order of application
    level: np.ndarray  # float32 (B, T): in the operation's unit


@entry
def policy_each(floats, bytes_, done, done_bytes, start, stop, operations, op, level):
    room = buffers(3, floats, bytes_)
    for k in range(start, stop):
        image = read(floats, bytes_, k, room[2])
        write(chain(operations, op[k], level[k], op.shape[1], image, room), done, done_bytes, k)


class Policy(Augmentation):
    """T operations from `self.table`, one after another."""

    kernel = policy_each

    def arguments(self, params):
        return as_records(self.table), *params.arrays()

    def drawn(self, op, position, signs, size):
        """The parameters for operations at a `position` in [0, 1] of their range and a uniform draw
        for the sign; all (B, T).
        """
        signs, op = np.where(signs < 0.5, 1.0, -1.0), np.ascontiguousarray(op)
        return PolicyParams(op, draw_levels(self.table, op, position, signs, STRONGEST, size))


class TrivialAugment(Policy):
    """One operation, at one of 31 levels, all equally likely. Source: Müller and Hutter 2021, the
    wide space.
    """

    table = TRIVIALAUGMENT_OPS

    def draw(self, size, key):
        op, level, sign = uniforms_of(key, "trivialaugment", 3).T[..., None]
        return self.drawn(integers(op, len(self.table)), integers(level, 31) / 30, sign, size)


class RandAugment(Policy):
    """Some operations, each equally likely, all at one level.

    n_operations: how many; magnitude: the level, 0 to 30. Defaults of torchvision; the paper
    searches both for each network. Source: Cubuk et al. 2020, Figure 2.
    """

    table = RANDAUGMENT_OPS

    def __init__(self, n_operations=2, magnitude=9):
        self.n_operations = check_whole("n_operations", n_operations, 1, 100)
        self.magnitude = check_range("magnitude", magnitude, 0, 30)

    def draw(self, size, key):
        uniform = uniforms_of(key, "randaugment", 2 * self.n_operations)
        op, sign = uniform[:, 0::2], uniform[:, 1::2]
        return self.drawn(
            integers(op, len(self.table)), np.full_like(op, self.magnitude / 30), sign, size
        )


class AutoAugment(Policy):
    """One of 25 learned pairs of operations, each operation with its own probability and level.

    policy: one of `POLICIES`, found on that dataset. Source: Cubuk et al. 2019, appendix A, as
    torchvision has it.
    """

    table = RANDAUGMENT_OPS | {"invert": Operation(INVERT)}

    def __init__(self, policy="cifar10"):
        from torchvision.transforms import (  # heavy, and the other methods do without
            AutoAugment,
            AutoAugmentPolicy,
        )

        self.policy = check_name("policy", policy, POLICIES)
        pairs = AutoAugment(AutoAugmentPolicy(policy)).policies
        names = [name.replace("_", "") for name in self.table]
        drawn = [
            (names.index(name.lower()), share, level or 0)
            for pair in pairs
            for name, share, level in pair
        ]
        op, self.probability, level = np.moveaxis(np.reshape(drawn, (-1, 2, 3)), -1, 0)
        self.op, self.position = op.astype(int), level / 9

    def draw(self, size, key):
        uniform = uniforms_of(key, "autoaugment", 5)
        pair = integers(uniform[:, 0], len(self.op))
        op = np.where(
            uniform[:, 1:3] < self.probability[pair],
            self.op[pair],
            list(self.table).index("identity"),
        )
        return self.drawn(op, self.position[pair], uniform[:, 3:5], size)
