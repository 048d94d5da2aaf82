"""AutoAugment, RandAugment and TrivialAugment: a few operations in a row, with levels from a table.

Operations, levels and policies are those of torchvision's transforms, nearest-neighbour sampling included; they work here on
floats, which only the end of a chain rounds. Brightness, color, contrast and sharpness overlap the test corruptions.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from ..errors import check_name
from ..random import integers, uniforms
from .base import Augmentation, Params, check_range, check_whole
from .ops import BITS, Operation, autocontrast, draw_levels, equalize, posterize, signed, solarize, unused
from .peers_ops import NINE, OVERLAPS, chain, identity, invert

STRONGEST = 10  # levels below are for a position u in [0, 1] in their range; `signed` counts in tenths


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
        | {name: Operation(partial(NINE[name].function, mode="nearest"), level) for name, level in geometric.items()}
        | {name: Operation(OVERLAPS[name].function, lambda *drawn: 1 + signed(factor)(*drawn)) for name in enhancing}
        | {
            "posterize": Operation(posterize, lambda u, sign, m, size: 8 - np.rint(u * bits)),
            # Half a grey level below the first whole value that is inverted, so that floats round as 8-bit values do.
            "solarize": Operation(solarize, lambda u, sign, m, size: (np.ceil(BITS - u * BITS - 1e-6) - 0.5) / BITS),
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
        return chain(self.table, images, everyone, params.op, params.level, np.full(len(images), n_operations))

    def drawn(self, op, position, signs, size):
        """The parameters for operations at a `position` in [0, 1] of their range and a uniform draw for the sign; all (B, T)."""
        return PolicyParams(
            op, draw_levels(self.table, op, position, np.where(signs < 0.5, 1.0, -1.0), STRONGEST, size)
        )


class TrivialAugment(Policy):
    """One operation, at one of 31 levels, all equally likely. Source: Müller and Hutter 2021, the wide space."""

    table = WIDE

    def sample(self, size, *, seed, epoch, index, view=0):
        op, level, sign = uniforms("trivialaugment", 3, seed=seed, epoch=epoch, index=index, view=view).T[..., None]
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
        uniform = uniforms("randaugment", 2 * self.n_operations, seed=seed, epoch=epoch, index=index, view=view)
        op, sign = uniform[:, 0::2], uniform[:, 1::2]
        return self.drawn(integers(op, len(self.table)), np.full_like(op, self.magnitude / 30), sign, size)


class AutoAugment(Policy):
    """One of 25 learned pairs of operations, each operation with its own probability and level.

    policy: one of `POLICIES`. Source: Cubuk et al. 2019, appendix A.
    """

    table = STANDARD | {"invert": Operation(invert, unused)}

    def __init__(self, policy="cifar10"):
        names = list(self.table)
        pairs = POLICIES[check_name("policy", policy, POLICIES)]
        op, self.probability, level = np.moveaxis(
            [[(names.index(name), probability, level) for name, probability, level in pair] for pair in pairs], -1, 0
        )
        self.op, self.position = op.astype(int), level / 9

    def sample(self, size, *, seed, epoch, index, view=0):
        uniform = uniforms("autoaugment", 5, seed=seed, epoch=epoch, index=index, view=view)
        pair = integers(uniform[:, 0], len(self.op))
        op = np.where(uniform[:, 1:3] < self.probability[pair], self.op[pair], list(self.table).index("identity"))
        return self.drawn(op, self.position[pair], uniform[:, 3:5], size)


# (operation, probability, level 0 to 9), twice; level 0 where the operation has none.
POLICIES = {
    "cifar10": (
        (("invert", 0.1, 0), ("contrast", 0.2, 6)),
        (("rotate", 0.7, 2), ("translate_x", 0.3, 9)),
        (("sharpness", 0.8, 1), ("sharpness", 0.9, 3)),
        (("shear_y", 0.5, 8), ("translate_y", 0.7, 9)),
        (("autocontrast", 0.5, 0), ("equalize", 0.9, 0)),
        (("shear_y", 0.2, 7), ("posterize", 0.3, 7)),
        (("color", 0.4, 3), ("brightness", 0.6, 7)),
        (("sharpness", 0.3, 9), ("brightness", 0.7, 9)),
        (("equalize", 0.6, 0), ("equalize", 0.5, 0)),
        (("contrast", 0.6, 7), ("sharpness", 0.6, 5)),
        (("color", 0.7, 7), ("translate_x", 0.5, 8)),
        (("equalize", 0.3, 0), ("autocontrast", 0.4, 0)),
        (("translate_y", 0.4, 3), ("sharpness", 0.2, 6)),
        (("brightness", 0.9, 6), ("color", 0.2, 8)),
        (("solarize", 0.5, 2), ("invert", 0.0, 0)),
        (("equalize", 0.2, 0), ("autocontrast", 0.6, 0)),
        (("equalize", 0.2, 0), ("equalize", 0.6, 0)),
        (("color", 0.9, 9), ("equalize", 0.6, 0)),
        (("autocontrast", 0.8, 0), ("solarize", 0.2, 8)),
        (("brightness", 0.1, 3), ("color", 0.7, 0)),
        (("solarize", 0.4, 5), ("autocontrast", 0.9, 0)),
        (("translate_y", 0.9, 9), ("translate_y", 0.7, 9)),
        (("autocontrast", 0.9, 0), ("solarize", 0.8, 3)),
        (("equalize", 0.8, 0), ("invert", 0.1, 0)),
        (("translate_y", 0.7, 9), ("autocontrast", 0.9, 0)),
    ),
    "imagenet": (
        (("posterize", 0.4, 8), ("rotate", 0.6, 9)),
        (("solarize", 0.6, 5), ("autocontrast", 0.6, 0)),
        (("equalize", 0.8, 0), ("equalize", 0.6, 0)),
        (("posterize", 0.6, 7), ("posterize", 0.6, 6)),
        (("equalize", 0.4, 0), ("solarize", 0.2, 4)),
        (("equalize", 0.4, 0), ("rotate", 0.8, 8)),
        (("solarize", 0.6, 3), ("equalize", 0.6, 0)),
        (("posterize", 0.8, 5), ("equalize", 1.0, 0)),
        (("rotate", 0.2, 3), ("solarize", 0.6, 8)),
        (("equalize", 0.6, 0), ("posterize", 0.4, 6)),
        (("rotate", 0.8, 8), ("color", 0.4, 0)),
        (("rotate", 0.4, 9), ("equalize", 0.6, 0)),
        (("equalize", 0.0, 0), ("equalize", 0.8, 0)),
        (("invert", 0.6, 0), ("equalize", 1.0, 0)),
        (("color", 0.6, 4), ("contrast", 1.0, 8)),
        (("rotate", 0.8, 8), ("color", 1.0, 2)),
        (("color", 0.8, 8), ("solarize", 0.8, 7)),
        (("sharpness", 0.4, 7), ("invert", 0.6, 0)),
        (("shear_x", 0.6, 5), ("equalize", 1.0, 0)),
        (("color", 0.4, 0), ("equalize", 0.6, 0)),
        (("equalize", 0.4, 0), ("solarize", 0.2, 4)),
        (("solarize", 0.6, 5), ("autocontrast", 0.6, 0)),
        (("invert", 0.6, 0), ("equalize", 1.0, 0)),
        (("color", 0.6, 4), ("contrast", 1.0, 8)),
        (("equalize", 0.8, 0), ("equalize", 0.6, 0)),
    ),
}
"""The learned policies."""
