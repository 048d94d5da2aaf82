"""The operations of AugMix, PixMix, IPMix and the policies: Pillow's edges in geometry, and no
rounding to 8 bits in between.

They agree with Pillow to one grey level (sharpness, where it rounds twice, to two).

Sources: the augmentations of google-research/augmix, andyzoujm/pixmix and hzlsaber/IPMix.
"""

from .geometry import HARD
from .ops import (
    AUTOCONTRAST,
    BRIGHTNESS,
    COLOR,
    CONTRAST,
    DOWN,
    EQUALIZE,
    HEIGHT,
    INVERT,
    MIRROR,
    POSTERIZE,
    RELEASED,
    ROTATE,
    SHARPNESS,
    SHEAR_X,
    SHEAR_Y,
    SOLARIZE,
    TRANSLATE_X,
    TRANSLATE_Y,
    WIDTH,
    Operation,
)

# Levels are U(0.1, m) maximum / 10, `whole` ones rounded towards zero.
AUGMIX_OPS = {
    "autocontrast": Operation(AUTOCONTRAST),
    "equalize": Operation(EQUALIZE),
    "posterize": Operation(POSTERIZE, 4, 0.04, offset=4, scale=-1, rounding=DOWN),  # bits
    "rotate": Operation(ROTATE, 30, 0.3, signed=True, rounding=DOWN, edge=HARD),  # degrees
    # Half a grey level below Pillow's threshold, so that a float is inverted where its 8-bit value is.
    "solarize": Operation(SOLARIZE, 256, 2.56, offset=255.5, scale=-1, unit=255, rounding=DOWN),
    "shear_x": Operation(SHEAR_X, 0.3, 0.003, signed=True, edge=HARD),  # tangent
    "shear_y": Operation(SHEAR_Y, 0.3, 0.003, signed=True, edge=HARD),
    "translate_x": Operation(
        TRANSLATE_X, 1 / 3, 1 / 300, signed=True, rounding=DOWN, side=WIDTH, edge=HARD
    ),  # pixels
    "translate_y": Operation(
        TRANSLATE_Y, 1 / 3, 1 / 300, signed=True, rounding=DOWN, side=HEIGHT, edge=HARD
    ),
}
"""AugMix's and PixMix's operations. IPMix's authors count autocontrast as overlapping too, and
leave it out.
"""

FACTORS = {"color": COLOR, "contrast": CONTRAST, "brightness": BRIGHTNESS, "sharpness": SHARPNESS}
OVERLAPS = {name: Operation(function, 1.8, 0.018, offset=0.1) for name, function in FACTORS.items()}
"""The operations that overlap the test corruptions, marked so by all four repositories. At
magnitude 3 factors of 0.12 to 0.64: only weaker.
"""

IPMIX_OPS = {name: AUGMIX_OPS[name] for name in AUGMIX_OPS if name != "autocontrast"} | {
    "mirror": Operation(MIRROR),
    "invert": Operation(INVERT),
}
"""IPMix's operations."""

OPS = {"nine": AUGMIX_OPS, "all": AUGMIX_OPS | OVERLAPS, "released": RELEASED}
"""The sets of PixMix: without and with the four that overlap the test, and the functions of the
LayerMix release.
"""
