"""AutoAugment, RandAugment and TrivialAugment: a few operations in a row, with levels from a table.

Operations, levels and policies are those of torchvision's transforms, nearest-neighbour sampling included; they work here on
floats, which only the end of a chain rounds. Brightness, color, contrast and sharpness overlap the test corruptions.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from ..checks import check_name
from ..draws import integers, uniforms
from .base import Augmentation, Params, check_range, check_whole
from .ops import (
    BITS,
    Operation,
    autocontrast,
    draw_levels,
    equalize,
    posterize,
    signed,
    solarize,
    unused,
)
from .pillow_ops import NINE, OVERLAPS, chain, identity, invert

POLICIES = "cifar10", "imagenet"
STRONGEST = (
    10  # levels below are for a position u in [0, 1] in their range; `signed` counts in tenths
)


def whole(level):
    """The level rounded towards zero."""
    return lambda *drawn: np.trunc(level(*drawn))


def operations(shear, move, turn, factor, bits):
    """The table of a policy, from the ends of its ranges. move: (height, width) -> pixels, (along y, along x)."""
    geometric = {
        "shear_x": signed(shear),  # tangent
        "shear_y": signed(shear),
        "translate_x": whole(signed(lambda size: move(size)[1])),  # pixels
        "translate_y": whole(signed(lambda size: move(size)[0])),
        "rotate": signed(turn),  # degrees
    }
    enhancing = "brightness", "color", "contrast", "sharpness"
    return (
        {"identity": Operation(identity, unused)}
        | {
            name: Operation(partial(NINE[name].function, mode="nearest"), level)
            for name, level in geometric.items()
        }
        | {
            name: Operation(OVERLAPS[name].function, lambda *drawn: 1 + signed(factor)(*drawn))
            for name in enhancing
        }
        | {
            "posterize": Operation(posterize, lambda u, sign, m, size: 8 - np.rint(u * bits)),
            # Half a grey level below the first whole value that is inverted, so that floats round as 8-bit values do.
            "solarize": Operation(
                solarize, lambda u, sign, m, size: (np.ceil(BITS - u * BITS - 1e-6) - 0.5) / BITS
            ),
            "autocontrast": Operation(autocontrast, unused),
            "equalize": Operation(equalize, unused),
        }
    )


STANDARD = operations(0.3, lambda size: (150 / 331 * size[0], 150 / 331 * size[1]), 30, 0.9, 4)
WIDE = operations(0.99, lambda size: (32, 32), 135, 0.99, 6)


@dataclass(frozen=True)
class PolicyParams(Params):
    op: np.ndarray  # int (B, T): positions in the table, in the order of application
    level: np.ndarray  # float32 (B, T): in the operation's unit


class Policy(Augmentation):
    """T operations from `self.table`, one after another."""

    def change(self, images, params):
        everyone, n_operations = np.arange(len(images)), params.op.shape[1]
        return chain(
            self.table,
            images,
            everyone,
            params.op,
            params.level,
            np.full(len(images), n_operations),
        )

    def drawn(self, op, position, signs, size):
        """The parameters for operations at a `position` in [0, 1] of their range and a uniform draw for the sign; all (B, T)."""
        return PolicyParams(
            op,
            draw_levels(
                self.table, op, position, np.where(signs < 0.5, 1.0, -1.0), STRONGEST, size
            ),
        )


class TrivialAugment(Policy):
    """One operation, at one of 31 levels, all equally likely. Source: Müller and Hutter 2021, the wide space."""

    table = WIDE

    def sample(self, size, *, seed, epoch, index, view=0):
        op, level, sign = uniforms(
            "trivialaugment", 3, seed=seed, epoch=epoch, index=index, view=view
        ).T[..., None]
        return self.drawn(integers(op, len(self.table)), integers(level, 31) / 30, sign, size)


class RandAugment(Policy):
    """Some operations, each equally likely, all at one level.

    n_operations: how many; magnitude: the level, 0 to 30. Defaults of torchvision; the paper searches both for each network.
    Source: Cubuk et al. 2020, Figure 2.
    """

    table = STANDARD

    def __init__(self, n_operations=2, magnitude=9):
        self.n_operations = check_whole("n_operations", n_operations, 1, 100)
        self.magnitude = check_range("magnitude", magnitude, 0, 30)

    def sample(self, size, *, seed, epoch, index, view=0):
        uniform = uniforms(
            "randaugment", 2 * self.n_operations, seed=seed, epoch=epoch, index=index, view=view
        )
        op, sign = uniform[:, 0::2], uniform[:, 1::2]
        return self.drawn(
            integers(op, len(self.table)), np.full_like(op, self.magnitude / 30), sign, size
        )


class AutoAugment(Policy):
    """One of 25 learned pairs of operations, each operation with its own probability and level.

    policy: one of `POLICIES`, found on that dataset. Source: Cubuk et al. 2019, appendix A, as torchvision has it.
    """

    table = STANDARD | {"invert": Operation(invert, unused)}

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

    def sample(self, size, *, seed, epoch, index, view=0):
        uniform = uniforms("autoaugment", 5, seed=seed, epoch=epoch, index=index, view=view)
        pair = integers(uniform[:, 0], len(self.op))
        op = np.where(
            uniform[:, 1:3] < self.probability[pair],
            self.op[pair],
            list(self.table).index("identity"),
        )
        return self.drawn(op, self.position[pair], uniform[:, 3:5], size)
