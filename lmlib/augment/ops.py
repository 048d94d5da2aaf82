"""The operations as data, name -> what it does and how its level is drawn; and how one is applied.

Sources: Table 2 of the LayerMix paper (`PAPER`), the twelve functions of its released program
(`RELEASED`). Where the text gives a range but no reading, `PAPER` takes AugMix's and timm's
increasing forms: a larger magnitude is a stronger change.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from ..compiled import compiled, entry, inlined
from . import colour, geometry
from .geometry import SOFT

FUNCTIONS = (
    "identity equalize grayscale autocontrast brightness posterize solarize rotate shear_x shear_y "
    "translate_x translate_y color contrast sharpness mirror invert"
).split()
(
    IDENTITY, EQUALIZE, GRAYSCALE, AUTOCONTRAST, BRIGHTNESS, POSTERIZE, SOLARIZE, ROTATE, SHEAR_X,
    SHEAR_Y, TRANSLATE_X, TRANSLATE_Y, COLOR, CONTRAST, SHARPNESS, MIRROR, INVERT,
) = range(len(FUNCTIONS))  # fmt: skip
HEIGHT, WIDTH = 1, 2  # the side that a maximum is a share of
DOWN, NEAREST_WHOLE = 1, 2  # how a level is rounded: towards zero, or to the nearest whole number


class Operation(NamedTuple):
    """An operation, and its level: (offset + scale * round(start + u (end - start))) / unit.

    end = still + maximum m / 10; u: uniform in [0, 1); m: the magnitude, 0 to 10. The level is in
    the unit of its operation: degrees, a tangent, pixels, bits, a threshold, a factor.
    """

    function: str  # one of FUNCTIONS
    maximum: float = 0.0
    start: float = 0.0
    still: float = 0.0
    offset: float = 0.0
    scale: float = 1.0
    unit: float = 1.0
    signed: bool = False  # the sign of the scale is a coin
    rounding: int = 0  # 0, DOWN or NEAREST_WHOLE
    side: int = 0  # HEIGHT or WIDTH: `maximum` and `start` are shares of it
    whole: bool = False  # or `maximum` alone is, rounded down to whole pixels
    least: float = -np.inf  # of a level
    edge: int = SOFT  # of a geometric operation


Table = Mapping[str, Operation]
RECORD = np.dtype([(name, np.float64) for name in Operation._fields])


def as_records(table: Table) -> np.ndarray:
    """A table of operations as compiled functions take it: records (K,)."""
    rows = [(FUNCTIONS.index(operation.function), *operation[1:]) for operation in table.values()]
    return np.array(rows, RECORD)


PAPER = {
    "equalize": Operation("equalize"),
    "grayscale": Operation("grayscale"),
    "autocontrast": Operation("autocontrast"),
    "brightness": Operation("brightness", 0.9, offset=1, signed=True),  # factor 0.1 to 1.9
    "posterize": Operation("posterize", 4, offset=4, scale=-1, rounding=DOWN, least=1),  # bits
    "solarize": Operation("solarize", 1, offset=1, scale=-1),  # threshold
    "rotate": Operation("rotate", 30, signed=True),  # degrees
    "shear_x": Operation("shear_x", 0.3, signed=True),  # tangent
    "shear_y": Operation("shear_y", 0.3, signed=True),
    "translate_x": Operation("translate_x", 0.33, signed=True, side=WIDTH),  # pixels
    "translate_y": Operation("translate_y", 0.33, signed=True, side=HEIGHT),
}
"""The eleven operations of Table 2."""

# The 0.1 is in the operation's own unit, and where a maximum is below it the ends swap.
RELEASED = {
    "equalize": PAPER["equalize"],
    "posterize": Operation("posterize", 4, 0.1, rounding=DOWN),  # 0 bits: black
    "posterize_increasing": Operation("posterize", 4, 0.1, offset=4, scale=-1, rounding=DOWN),
    "solarize": Operation("solarize", 1, 0.1),
    "solarize_increasing": Operation("solarize", -1, 0.1, still=0.1),
    "autocontrast": PAPER["autocontrast"],
    "grayscale": PAPER["grayscale"],
    "rotate": Operation("rotate", 30, 0.1, signed=True),
    "shear_x": Operation("shear_x", 0.3, 0.1, signed=True),
    "shear_y": Operation("shear_y", 0.3, 0.1, signed=True),
    "translate_x": Operation("translate_x", 0.33, 0.1, signed=True, side=WIDTH, whole=True),
    "translate_y": Operation("translate_y", 0.33, 0.1, signed=True, side=HEIGHT, whole=True),
}
"""The twelve functions of the released program, with its quirks: a posterize that can leave
nothing, a solarize that is milder at larger m, an inversion for most of `solarize_increasing`.
"""

OPS = {"paper": PAPER, "released": RELEASED}


@compiled
def draw_level(operation: Any, u: Any, sign: Any, magnitude: Any, size: Any) -> float:
    """The level of one operation from a uniform draw and a sign of +-1: float64."""
    maximum, start = operation["maximum"], operation["start"]
    if operation["side"]:
        side = size[0] if operation["side"] == HEIGHT else size[1]
        maximum = np.floor(maximum * side) if operation["whole"] else maximum * side
        start = start if operation["whole"] else start * side
    level = start + u * (operation["still"] + maximum * magnitude / 10 - start)
    if operation["rounding"] == DOWN:
        level = np.trunc(level)
    elif operation["rounding"] == NEAREST_WHOLE:
        level = np.rint(level)
    level = sign * level if operation["signed"] else level
    level = (operation["offset"] + operation["scale"] * level) / operation["unit"]
    return max(level, operation["least"])


@compiled
def operate(operation: Any, image: np.ndarray, level: Any, out: np.ndarray) -> np.ndarray:
    """One operation on one image, float32 (3, H, W) in [0, 1]; out: another array, returned."""
    function, edge, level = int(operation["function"]), int(operation["edge"]), np.float64(level)
    if function == EQUALIZE:
        return colour.equalize(image, out)
    if function == GRAYSCALE:
        return colour.grayscale(image, out)
    if function == AUTOCONTRAST:
        return colour.autocontrast(image, out)
    if function == BRIGHTNESS:
        return colour.brightness(image, level, out)
    if function == POSTERIZE:
        return colour.posterize(image, level, out)
    if function == SOLARIZE:
        return colour.solarize(image, level, out)
    if function == ROTATE:
        return geometry.rotate(image, level, edge, out)
    if function == SHEAR_X:
        return geometry.shear_x(image, level, edge, out)
    if function == SHEAR_Y:
        return geometry.shear_y(image, level, edge, out)
    if function == TRANSLATE_X:
        return geometry.translate_x(image, level, edge, out)
    if function == TRANSLATE_Y:
        return geometry.translate_y(image, level, edge, out)
    if function == COLOR:
        return colour.color(image, level, out)
    if function == CONTRAST:
        return colour.contrast(image, level, out)
    if function == SHARPNESS:
        return colour.sharpness(image, level, out)
    if function == MIRROR:
        return geometry.mirror(image, out)
    if function == INVERT:
        return colour.invert(image, out)
    return colour.identity(image, out)


@inlined
def draw_operation(settings: Any, batch: Any, three: Any) -> tuple:
    """An operation and its level from three uniform draws: its position in the table, float64."""
    operations, (which, level, sign) = settings.operations, three
    op, sign = int(which * len(operations)), 1.0 if sign < 0.5 else -1.0
    size = batch.height, batch.width
    return op, draw_level(operations[op], level, sign, settings.magnitude, size)


@inlined
def chain(
    operations: Any, op: Any, level: Any, depth: int, image: np.ndarray, room: np.ndarray
) -> np.ndarray:
    """The first `depth` of some operations on one image, one after another.

    room: float32 (2 or more, 3, H, W), of which the first two are written to.
    """
    for step in range(depth):
        image = operate(operations[op[step]], image, level[step], room[step % 2])
    return image


@entry
def draw_each_level(
    operations: Any, op: Any, uniform: np.ndarray, sign: Any, magnitude: Any, size: Any, level: Any
) -> None:
    for k in range(len(op)):
        level[k] = draw_level(operations[op[k]], uniform[k], sign[k], magnitude, size)


def draw_levels(
    table: Table, op: np.ndarray, uniform: np.ndarray, sign: np.ndarray, magnitude: float,
    size: tuple[int, ...],
) -> np.ndarray:  # fmt: skip
    """Levels for drawn operations, float32 like op.

    op: int, positions in `table`; uniform in [0, 1) and sign of +-1 of the same shape; magnitude: 0
    to 10; size: (height, width).
    """
    level, kinds = np.empty(op.shape, np.float32), ((op, int), (uniform, float), (sign, float))
    drawn = (np.ascontiguousarray(part, kind).ravel() for part, kind in kinds)
    draw_each_level(as_records(table), *drawn, float(magnitude), tuple(size), level.reshape(-1))
    return level


@entry
def operate_on_each(operations: Any, images: np.ndarray, level: Any, out: np.ndarray) -> None:
    for k in range(len(images)):
        operate(operations[0], images[k], level[k], out[k])


def apply_operation(operation: Operation, images: Any, level: Any) -> torch.Tensor:
    """One operation on each image at its own level: float32 (B, 3, H, W) in [0, 1] to the same.

    operation: an `Operation`; images: array or tensor; level: a number for all, or float (B,), in
    the operation's unit.
    """
    images = np.ascontiguousarray(images, np.float32)
    level = np.ascontiguousarray(np.broadcast_to(np.asarray(level, np.float32), len(images)))
    out = np.empty_like(images)
    operate_on_each(as_records({"": operation}), images, level, out)
    return torch.from_numpy(out)
