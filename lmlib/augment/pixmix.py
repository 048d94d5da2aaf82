"""PixMix: rounds of blending with a mixing image or with another view of the image."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..checks import check_name, check_range, check_whole
from ..compiled import inlined
from ..draws import integer, number_of, uniform
from .blend import blending, draw_pair
from .kernels import kernel, key_of, three
from .ops import as_records, draw_operation, operate
from .params import Limits, Params, Size, per_sample
from .pillow_ops import OPS
from .windows import Mixing, MixingMethod, Window, draw_mixing_image, mixing_image

ROUNDS, OPERATION, BLEND = (number_of(f"pixmix/{it}") for it in ("rounds", "operation", "blend"))


@dataclass(frozen=True)
class PixMixParams(Params):
    """What was drawn for B samples, for 1 + k pictures (the start, then k rounds) and k blends."""

    rounds: np.ndarray = per_sample(int)  # 0 to k
    # Whether to start with an operation; then: to blend with a view, not the mixing image.
    augmented: np.ndarray = per_sample(bool, "1 + k")
    op: np.ndarray = per_sample(int, "1 + k")  # positions in the table
    level: np.ndarray = per_sample(float, "1 + k")  # in the operation's unit
    blend: np.ndarray = per_sample(int, "k")  # 0 add, 1 multiply
    a: np.ndarray = per_sample(float, "k")  # weight of the image
    b: np.ndarray = per_sample(float, "k")  # weight of the other picture
    picture: np.ndarray = per_sample(int)  # which mixing image
    window: Window = per_sample(Window)  # where it is cut


class Settings(NamedTuple):
    operations: np.ndarray
    mixing: Mixing
    magnitude: float
    beta: float


@inlined
def draw(batch: Any, k: int, settings: Any, drawn: Any) -> None:
    """The parameters of the k-th sample."""
    key = key_of(batch, k, batch.view_index)
    n_rounds = drawn.blend.shape[1]
    drawn.rounds[k] = integer(key, ROUNDS, 0, n_rounds + 1)
    for n in range(1 + n_rounds):
        drawn.augmented[k, n] = uniform(key, OPERATION, 4 * n) < 0.5
        u = three(key, OPERATION, 4 * n + 1, 1)
        drawn.op[k, n], drawn.level[k, n] = draw_operation(settings, batch, u)
    for n in range(n_rounds):
        drawn.blend[k, n] = integer(key, BLEND, 4 * n, 2)
        u = three(key, BLEND, 4 * n + 1, 1)
        drawn.a[k, n], drawn.b[k, n] = draw_pair(u, settings.beta)
    draw_mixing_image(batch, k, settings.mixing, drawn)


@inlined
def pixmix(image: np.ndarray, settings: Any, drawn: Any, k: int, room: np.ndarray) -> np.ndarray:
    """PixMix's pseudo-code for one image, float32 (3, H, W), with what was drawn for it."""
    operations, op, level = settings.operations, drawn.op[k], drawn.level[k]
    blend, a, b = drawn.blend[k], drawn.a[k], drawn.b[k]
    picture, mixed = mixing_image(settings.mixing, drawn, k, room[3]), image
    if drawn.augmented[k, 0]:
        mixed = operate(operations[op[0]], image, level[0], room[0])
    for n in range(drawn.rounds[k]):
        other = picture
        if drawn.augmented[k, n + 1]:
            other = operate(operations[op[n + 1]], image, level[n + 1], room[2])
        mixed = blending(blend[n], mixed, other, a[n], b[n], 1.0, 0, True, room[(n + 1) % 2])
    return mixed


class PixMix(MixingMethod):
    """The image or a view of it, blended up to k times with the mixing image or a fresh view.

    Each is as likely. mixing_set: uint8 (F, 1 or 3, H', W'), at least as large as the images; k:
    rounds at most; beta: blending ratio, > 0; magnitude: its "severity" of the operations, 0.1 to
    10; ops: "all" as in its recipes, "nine" without the four that overlap the test corruptions,
    "released" for the functions of the LayerMix program; flips: of the mixing image, which PixMix
    does not do. Settings for ImageNet: k = 4, beta = 4, magnitude 1. The text of the LayerMix paper
    has k = 3. Source: Hendrycks et al. 2022, Figure 2, and its code; here in floats, without
    rounding to 8 bits after an operation.
    """

    kernel, params = kernel(pixmix, 4, draw), PixMixParams

    def __init__(
        self, mixing_set: Any, k: int = 4, beta: float = 3, magnitude: float = 3, ops: str = "all",
        flips: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(mixing_set, flips)
        self.k = check_whole("k", k, 1, 100)
        self.beta = check_range("beta", beta, 0, 1000, low_open=True)
        self.magnitude = check_range("magnitude", magnitude, 0.1, 10)
        self.ops = check_name("ops", ops, OPS)
        self.table, self.sizes = OPS[ops], {"k": self.k, "1 + k": 1 + self.k}
        numbers = float(self.magnitude), float(self.beta)
        self.settings = Settings(as_records(self.table), self.mixing.settings, *numbers)

    def limits(self, size: Size) -> Limits:
        return {**super().limits(size), "rounds": (0, self.k), "blend": (0, 1)}
