"""Every intermediate picture on the way through LayerMix: Fig. 2 of the paper, box by box."""

from typing import Any

import torch

from ..augment import LayerMix
from ..augment.blend import BLENDS, blend
from ..augment.ops import apply_operation
from ..images import as_float

STEPS = (
    "image", "operation", "the same again", "blend", "mixing image", "blend", "operation: layer 3"
)  # fmt: skip
"""What `pipeline_steps` shows, after Fig. 2 of the paper: layer 1 is its second picture, layer 2
its fourth."""
LAYERS = 1, 3, 6
"""Where the three layers are in `STEPS`."""


def pipeline_steps(layermix: LayerMix, image: torch.Tensor, params: Any) -> torch.Tensor:
    """Every intermediate picture of an image on its way through LayerMix: float32 (7, 3, H, W).

    image: (1, 3, H, W), uint8 or float in [0, 1]; params: as `layermix.sample` gives them for it.
    `STEPS` has the titles.
    """
    image, operations = as_float(image), list(layermix.table.values())
    ops, levels = (operations[k] for k in params.op[0]), params.level[0]
    kinds = (BLENDS[k] for k in params.blend[0])
    weights = zip(params.a[0], params.b[0], params.keep[0], params.mask_key[0], strict=True)
    first, second = (apply_operation(next(ops), image, level) for level in levels[:2])
    mixed = blend(next(kinds), first, second, *next(weights))
    size = tuple(image.shape[-2:])
    mixing_image = layermix.mixing.crop(params.picture, params.window, size).expand_as(image)
    again = blend(next(kinds), mixed, mixing_image, *next(weights))
    last = apply_operation(next(ops), again, levels[2])
    return torch.cat([image, first, second, mixed, mixing_image, again, last])
