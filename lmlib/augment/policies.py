"""AutoAugment, RandAugment and TrivialAugment: a few operations in a row, with levels from a table.

Operations, levels and policies are those of torchvision's transforms, nearest-neighbour sampling
included; they work here on floats, which only the end of a chain rounds. Brightness, color,
contrast and sharpness overlap the test corruptions.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..checks import check_name, check_range, check_whole
from ..compiled import inlined
from ..draws import Key, integers, uniforms_of
from .base import Augmentation
from .geometry import NEAREST
from .kernels import kernel
from .ops import (
    DOWN,
    HEIGHT,
    NEAREST_WHOLE,
    WIDTH,
    Operation,
    Table,
    as_records,
    chain,
    draw_levels,
)
from .params import Params, Size, per_sample

POLICIES = "cifar10", "imagenet"
ENHANCING = "brightness", "color", "contrast", "sharpness"
STRONGEST = 10  # levels below are for a position u in [0, 1] in their range, not for a magnitude


def operations(
    shear: float, move: float, turn: float, factor: float, bits: int,
    sides: tuple[int, int] = (0, 0),
) -> Table:  # fmt: skip
    """The table of a policy, from the ends of its ranges.

    move: pixels, or a share of the sides (along y, along x).
    """
    moved: dict[str, Any] = {"signed": True, "edge": NEAREST}
    return {
        "identity": Operation("identity"),
        "shear_x": Operation("shear_x", shear, **moved),  # tangent
        "shear_y": Operation("shear_y", shear, **moved),
        "translate_x": Operation("translate_x", move, side=sides[1], rounding=DOWN, **moved),
        "translate_y": Operation("translate_y", move, side=sides[0], rounding=DOWN, **moved),
        "rotate": Operation("rotate", turn, **moved),  # degrees
        **{name: Operation(name, factor, offset=1, signed=True) for name in ENHANCING},
        "posterize": Operation("posterize", bits, offset=8, scale=-1, rounding=NEAREST_WHOLE),
        # Half a grey level below the first whole value that is inverted, so that floats round as
        # 8-bit values do; with a bit more than the range, because a product that is whole may come
        # out below.
        "solarize": Operation(
            "solarize", 255 + 1e-6, 1e-6, offset=254.5, scale=-1, unit=255, rounding=DOWN
        ),
        "autocontrast": Operation("autocontrast"),
        "equalize": Operation("equalize"),
    }


RANDAUGMENT_OPS = operations(0.3, 150 / 331, 30, 0.9, 4, sides=(HEIGHT, WIDTH))
TRIVIALAUGMENT_OPS = operations(0.99, 32, 135, 0.99, 6)


@dataclass(frozen=True)
class PolicyParams(Params):
    """What was drawn for B samples: T operations, in the order of application."""

    op: np.ndarray = per_sample(int, "T")  # positions in the table
    level: np.ndarray = per_sample(float, "T")  # in the operation's unit


class Settings(NamedTuple):
    operations: np.ndarray


@inlined
def policy(image: np.ndarray, settings: Any, drawn: Any, k: int, room: np.ndarray) -> np.ndarray:
    """Some operations on one image, one after another."""
    return chain(settings.operations, drawn.op[k], drawn.level[k], drawn.op.shape[1], image, room)


class Policy(Augmentation):
    """T operations from `self.table`, one after another."""

    kernel, params, draws_compiled = kernel(policy, 2), PolicyParams, False
    table: Table

    def drawn(self, op: np.ndarray, position: np.ndarray, signs: np.ndarray, size: Size) -> Any:
        """The parameters for operations at a `position` in [0, 1] of their range.

        signs: a uniform draw each; all are (B, T).
        """
        signs, op = np.where(signs < 0.5, 1.0, -1.0), np.ascontiguousarray(op)
        level = draw_levels(self.table, op, position, signs, STRONGEST, size)
        return PolicyParams.Arrays(op, level)


class TrivialAugment(Policy):
    """One operation, at one of 31 levels, all equally likely.

    Source: Müller and Hutter 2021, the wide space.
    """

    table = TRIVIALAUGMENT_OPS

    def __init__(self) -> None:
        self.settings, self.sizes = Settings(as_records(self.table)), {"T": 1}

    def draw(self, size: Size, key: Key) -> Any:
        op, level, sign = uniforms_of(key, "trivialaugment", 3).T[..., None]
        return self.drawn(integers(op, len(self.table)), integers(level, 31) / 30, sign, size)


class RandAugment(Policy):
    """Some operations, each equally likely, all at one level.

    n_operations: how many; magnitude: the level, 0 to 30. Defaults of torchvision; the paper
    searches both for each network. Source: Cubuk et al. 2020, Figure 2.
    """

    table = RANDAUGMENT_OPS

    def __init__(self, n_operations: int = 2, magnitude: float = 9) -> None:
        self.n_operations = check_whole("n_operations", n_operations, 1, 100)
        self.magnitude = check_range("magnitude", magnitude, 0, 30)
        self.settings, self.sizes = Settings(as_records(self.table)), {"T": self.n_operations}

    def draw(self, size: Size, key: Key) -> Any:
        u = uniforms_of(key, "randaugment", 2 * self.n_operations)
        position = np.full((len(u), self.n_operations), self.magnitude / 30)
        return self.drawn(integers(u[:, 0::2], len(self.table)), position, u[:, 1::2], size)


class AutoAugment(Policy):
    """One of 25 learned pairs of operations, each operation with its own probability and level.

    policy: one of `POLICIES`, learned on that dataset. Source: Cubuk et al. 2019, appendix A, as
    torchvision has it.
    """

    table = dict(RANDAUGMENT_OPS) | {"invert": Operation("invert")}

    def __init__(self, policy: str = "cifar10") -> None:
        # torchvision is heavy, and the other methods do without.
        from torchvision.transforms import AutoAugment, AutoAugmentPolicy

        self.policy = check_name("policy", policy, POLICIES)
        self.settings, self.sizes = Settings(as_records(self.table)), {"T": 2}
        names = [name.replace("_", "") for name in self.table]
        pairs = [
            [(names.index(name.lower()), share, level or 0) for name, share, level in pair]
            for pair in AutoAugment(AutoAugmentPolicy(policy)).policies
        ]
        op, self.probability, level = np.moveaxis(np.array(pairs, float), -1, 0)
        self.op, self.position = op.astype(int), level / 9

    def draw(self, size: Size, key: Key) -> Any:
        u = uniforms_of(key, "autoaugment", 5)
        pair, identity = integers(u[:, 0], len(self.op)), list(self.table).index("identity")
        op = np.where(u[:, 1:3] < self.probability[pair], self.op[pair], identity)
        return self.drawn(op, self.position[pair], u[:, 3:5], size)
