"""LayerMix: Code Block 1 of the paper."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from ..checks import check_name, check_range
from ..compiled import inlined
from ..draws import integer, number_of, uniform, word
from .blend import BLENDS, PROBABILITIES, blending, draw_pair
from .kernels import kernel, key_of, three
from .ops import OPS, Table, as_records, draw_operation, operate
from .params import Limits, Params, Size, per_sample
from .windows import Mixing, MixingMethod, Window, draw_mixing_image, mixing_image

LAYER, OPERATION, LEVEL, SIGN, BLEND, WEIGHTS, KEEP, MASK = (
    number_of(f"layermix/{purpose}")
    for purpose in "layer operation level sign blend weights keep mask".split()
)


@dataclass(frozen=True)
class LayerMixParams(Params):
    """What was drawn for B samples, for each of three stages and of two blends."""

    layer: np.ndarray = per_sample(int)  # (B,): 1, 2 or 3
    # Positions in the table: one three times where the stages share it.
    op: np.ndarray = per_sample(int, 3)
    level: np.ndarray = per_sample(float, 3)  # in the operation's unit
    blend: np.ndarray = per_sample(int, 2)  # positions in BLENDS
    a: np.ndarray = per_sample(float, 2)  # weight of the image
    b: np.ndarray = per_sample(float, 2)  # weight of the other
    keep: np.ndarray = per_sample(float, 2)  # keep probability of a mask
    mask_key: np.ndarray = per_sample(int, 2)  # names a mask
    picture: np.ndarray = per_sample(int)  # (B,): which mixing image
    window: Window = per_sample(Window)  # where it is cut


class Settings(NamedTuple):
    operations: np.ndarray
    mixing: Mixing
    magnitude: float
    beta: float
    shared: bool
    layers: np.ndarray
    edges: np.ndarray  # cumulated probabilities of the blends but the last


@inlined
def draw(batch: Any, k: int, settings: Any, drawn: Any) -> None:
    """The parameters of the k-th sample."""
    key = key_of(batch, k, batch.view_index)
    drawn.layer[k] = settings.layers[integer(key, LAYER, 0, len(settings.layers))]
    for stage in range(3):
        which = uniform(key, OPERATION, 0 if settings.shared else stage)
        u = which, uniform(key, LEVEL, stage), uniform(key, SIGN, stage)
        drawn.op[k, stage], drawn.level[k, stage] = draw_operation(settings, batch, u)
    for n in range(2):
        u, kind = uniform(key, BLEND, n), 0
        while kind < 3 and u >= settings.edges[kind]:
            kind += 1
        drawn.blend[k, n] = kind
        drawn.a[k, n], drawn.b[k, n] = draw_pair(three(key, WEIGHTS, n, 2), settings.beta)
        drawn.keep[k, n] = uniform(key, KEEP, n)
        drawn.mask_key[k, n] = np.int64(word(key, MASK, n))
    draw_mixing_image(batch, k, settings.mixing, drawn)


@inlined
def layermix(image: np.ndarray, settings: Any, drawn: Any, k: int, room: np.ndarray) -> np.ndarray:
    """Code Block 1 for one image, float32 (3, H, W), with what was drawn for it."""
    operations, op, level = settings.operations, drawn.op[k], drawn.level[k]
    blend, a, b = drawn.blend[k], drawn.a[k], drawn.b[k]
    keep, mask = drawn.keep[k], drawn.mask_key[k]

    view = operate(operations[op[0]], image, level[0], room[0])
    if drawn.layer[k] == 1:
        return view

    second = operate(operations[op[1]], image, level[1], room[1])
    mixed = blending(blend[0], view, second, a[0], b[0], keep[0], mask[0], True, room[2])
    if drawn.layer[k] == 2:
        return mixed

    other = mixing_image(settings.mixing, drawn, k, room[1])
    mixed = blending(blend[1], mixed, other, a[1], b[1], keep[1], mask[1], True, room[0])
    return operate(operations[op[2]], mixed, level[2], room[2])


class LayerMix(MixingMethod):
    """One operation; a blend of two views of it; a blend with a mixing image, then it again.

    mixing_set: uint8 (F, 1 or 3, H', W'), at least as large as the images, None for 500 generated
    fractals of 36 pixels, drawn once on a machine (10 s), for images of 32; magnitude m: 0 to 10;
    beta: blending ratio, > 0, larger stays nearer the image; ops: "paper" (Table 2) or "released"
    (the program's functions); shared: one operation for all stages, or one drawn anew at each (the
    IID pipeline of Section 3.1); layers: which samples of Fig. 2 to draw from; probabilities: of
    the four `BLENDS`; flips: of the mixing image. Raises ValueError where one of these is out of
    range. Source: Code Block 1, Tables 1 and 2.
    """

    kernel, params = kernel(layermix, 3, draw), LayerMixParams

    def __init__(
        self, mixing_set: Any = None, magnitude: float = 8, beta: float = 3, ops: str = "paper",
        shared: bool = True, layers: Sequence[int] = (1, 2, 3),
        probabilities: Sequence[float] = PROBABILITIES, flips: bool = True,
    ) -> None:  # fmt: skip
        if mixing_set is None:
            # By name: notebooks that import LayerMix do not depend on a user's fractals by that.
            mixing_set = import_module("lmlib.fractals.mixing_sets").mixing_set()
        super().__init__(mixing_set, flips)
        self.magnitude = check_range("magnitude", magnitude, 0, 10)
        self.beta = check_range("beta", beta, 0, 1000, low_open=True)
        self.ops, self.shared = check_name("ops", ops, OPS), bool(shared)
        self.layers = tuple(check_name("layer", layer, (1, 2, 3)) for layer in layers)
        if not self.layers:
            raise ValueError("layers must name at least one of 1, 2, 3, got none")
        n, p = len(BLENDS), tuple(probabilities)
        if len(p) != n or min(p) < 0 or not np.isclose(sum(p), 1):
            raise ValueError(f"expected {n} blend probabilities that sum to 1, got {probabilities}")
        self.probabilities = p
        self.set_table(OPS[ops])

    def set_table(self, table: Table) -> None:
        """Draw from these operations."""
        # The last bin is open to the right, so that a rounded sum of probabilities loses nothing.
        layers, edges = np.array(self.layers), np.cumsum(self.probabilities, dtype=np.float64)[:-1]
        numbers = float(self.magnitude), float(self.beta), self.shared, layers, edges
        self.table = table
        self.settings = Settings(as_records(table), self.mixing.settings, *numbers)

    def limits(self, size: Size) -> Limits:
        return {**super().limits(size), "layer": (1, 3)}
