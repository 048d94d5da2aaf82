"""The operations of AugMix, PixMix and IPMix: Pillow's edges, and no rounding to 8 bits in between.

They agree with Pillow to one grey level (sharpness, where it rounds twice, to two).

Sources: the augmentations of google-research/augmix, andyzoujm/pixmix and hzlsaber/IPMix.
"""

from typing import Any

from .geometry import HARD
from .ops import DOWN, HEIGHT, RELEASED, WIDTH, Operation

# Levels are U(0.1, m) maximum / 10, whole ones rounded towards zero.
MOVED: dict[str, Any] = {"signed": True, "edge": HARD}
THIRD: dict[str, Any] = MOVED | {"maximum": 1 / 3, "start": 1 / 300, "rounding": DOWN}
AUGMIX_OPS = {
    "autocontrast": Operation("autocontrast"),
    "equalize": Operation("equalize"),
    "posterize": Operation("posterize", 4, 0.04, offset=4, scale=-1, rounding=DOWN),  # bits
    "rotate": Operation("rotate", 30, 0.3, rounding=DOWN, **MOVED),  # degrees
    # Half a grey level below Pillow's threshold, so that a float is inverted where its 8-bit value
    # is.
    "solarize": Operation("solarize", 256, 2.56, offset=255.5, scale=-1, unit=255, rounding=DOWN),
    "shear_x": Operation("shear_x", 0.3, 0.003, **MOVED),  # tangent
    "shear_y": Operation("shear_y", 0.3, 0.003, **MOVED),
    "translate_x": Operation("translate_x", side=WIDTH, **THIRD),  # pixels
    "translate_y": Operation("translate_y", side=HEIGHT, **THIRD),
}
"""AugMix's and PixMix's operations. IPMix's authors count autocontrast as overlapping too, and
leave it out.
"""

ENHANCING = "color", "contrast", "brightness", "sharpness"
OVERLAPS = {name: Operation(name, 1.8, 0.018, offset=0.1) for name in ENHANCING}
"""The operations that overlap the test corruptions, marked so by all four repositories. At
magnitude 3 factors of 0.12 to 0.64: only weaker.
"""

IPMIX_OPS = {name: AUGMIX_OPS[name] for name in AUGMIX_OPS if name != "autocontrast"} | {
    name: Operation(name) for name in ("mirror", "invert")
}
"""IPMix's operations."""

OPS = {"nine": AUGMIX_OPS, "all": AUGMIX_OPS | OVERLAPS, "released": RELEASED}
"""The sets of PixMix: without and with the four that overlap the test, and the functions of the
LayerMix release.
"""
