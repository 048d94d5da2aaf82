"""The operations of AugMix, PixMix, IPMix and the policies: Pillow's 8-bit arithmetic, batched, with one level per image.

As in `ops`: `op(images, level) -> images`, float32 (B, 3, H, W) in [0, 1], level (B,). Where Pillow rounds to 8 bits after every
operation, these stay in floats, and agree with it to one grey level (sharpness, where it rounds twice, to two).

Sources: the augmentations of google-research/augmix, andyzoujm/pixmix and hzlsaber/IPMix.
"""

import numpy as np
import torch
from torch.nn.functional import grid_sample

from ..draws import integers
from . import ops
from .ops import (
    BITS,
    Operation,
    apply_operations,
    draw_levels,
    per_image,
    to_bytes,
    to_device,
    unused,
)


def affine(images, mode, *matrix):
    """Sample images at `matrix @ (x, y, 1)` as Pillow does: coordinates in pixels from the top left corner of the image.

    mode: "bilinear" or "nearest"; matrix: xx, xy, x0, yx, yy, y0, from output to input positions, each a tensor (B,) or a number,
    the same for all. A position outside gives zero, one inside is interpolated between pixels, never with the zeros around: a
    hard edge where that of `ops.affine` is soft.
    """
    height, width = images.shape[-2:]
    x = torch.arange(width, device=images.device, dtype=torch.float32) + 0.5
    y = torch.arange(height, device=images.device, dtype=torch.float32)[:, None] + 0.5
    matrix = [
        value.float()[:, None, None] if isinstance(value, torch.Tensor) else value
        for value in matrix
    ]
    grid = torch.empty(len(images), height, width, 2, device=images.device)
    for axis, n in enumerate((width, height)):
        along_x, along_y, offset = matrix[3 * axis : 3 * axis + 3]
        grid[..., axis] = (
            (along_x * x + (along_y * y + offset)).mul_(2 / n).sub_(1)
        )  # -1 to 1 from edge to edge
    inside = (grid >= -1) & (grid < 1)
    sampled = grid_sample(images, grid, mode=mode, padding_mode="border", align_corners=False)
    return sampled.mul_((inside[..., 0] & inside[..., 1])[:, None])


def rotate(images, level, mode="bilinear"):
    """Rotate by `level` degrees, counter-clockwise, about the centre."""
    height, width = images.shape[-2:]
    angle = torch.deg2rad(
        level.double()
    )  # double: the last bit of a float32 cosine depends on its place in the batch
    cos, sin, x, y = angle.cos(), angle.sin(), width / 2, height / 2
    return affine(images, mode, cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y)


def shear_x(images, level, mode="bilinear"):
    """Shear along x about the top left corner, not the centre; `level` is the tangent of the angle."""
    return affine(images, mode, 1, level, 0, 0, 1, 0)


def shear_y(images, level, mode="bilinear"):
    """Shear along y about the top left corner, not the centre; `level` is the tangent of the angle."""
    return affine(images, mode, 1, 0, 0, level, 1, 0)


def translate_x(images, level, mode="bilinear"):
    """Move to the left by `level` pixels."""
    return affine(images, mode, 1, 0, level, 0, 1, 0)


def translate_y(images, level, mode="bilinear"):
    """Move up by `level` pixels."""
    return affine(images, mode, 1, 0, 0, 0, 1, level)


def enhance(plain, images, level):
    """From a `plain` version of the images (level 0) to the images (1) and beyond, clipped. Not by `lerp`, which may fuse."""
    level = per_image(level)
    return (images * level + plain * (1 - level)).clamp_(0, 1)


def color(images, level):
    """Saturation: 0 is grey, 1 the image. Overlaps the test corruption `saturate`."""
    return enhance(ops.grayscale(images, level), images, level)


def contrast(images, level):
    """0 is the mean of the 8-bit luma everywhere, 1 the image. Overlaps the test corruption `contrast`."""
    luma = to_bytes(ops.grayscale(images, level)[:, 0])
    mean = luma.sum((-2, -1)) / (luma[0].numel() * BITS)  # a sum of integers: the same in any order
    return enhance(per_image(mean), images, level)


def sharpness(images, level):
    """0 is smoothed by (1 1 1, 1 5 1, 1 1 1) / 13 except at the border, 1 the image. Overlaps the blurring test corruptions."""
    rows = images[..., :-2, :] + images[..., 1:-1, :] + images[..., 2:, :]
    centre = images[..., 1:-1, 1:-1]
    smooth = (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * centre) / 13
    sharpened = images.clone()
    sharpened[..., 1:-1, 1:-1] = enhance(smooth, centre, level)
    return sharpened


def mirror(images, level):
    """Left to right; `level` is not used."""
    return images.flip(-1)


def invert(images, level):
    """The negative; `level` is not used."""
    return 1 - images


def identity(images, level):
    """The image itself; `level` is not used."""
    return images


def part(u, magnitude, maximum):
    """U(0.1, magnitude) * maximum / 10, the level of the three repositories."""
    return (0.1 + u * (magnitude - 0.1)) * maximum / 10


def whole(u, magnitude, maximum):
    """The same, rounded towards zero."""
    return np.trunc(part(u, magnitude, maximum))


NINE = {
    "autocontrast": Operation(ops.autocontrast, unused),
    "equalize": Operation(ops.equalize, unused),
    "posterize": Operation(ops.posterize, lambda u, sign, m, size: 4 - whole(u, m, 4)),  # bits
    "rotate": Operation(rotate, lambda u, sign, m, size: sign * whole(u, m, 30)),  # degrees
    # Half a grey level below Pillow's threshold, so that a float is inverted where its 8-bit value is.
    "solarize": Operation(
        ops.solarize, lambda u, sign, m, size: (256 - whole(u, m, 256) - 0.5) / BITS
    ),
    "shear_x": Operation(shear_x, lambda u, sign, m, size: sign * part(u, m, 0.3)),  # tangent
    "shear_y": Operation(shear_y, lambda u, sign, m, size: sign * part(u, m, 0.3)),
    "translate_x": Operation(
        translate_x, lambda u, sign, m, size: sign * whole(u, m, size[1] / 3)
    ),  # pixels
    "translate_y": Operation(translate_y, lambda u, sign, m, size: sign * whole(u, m, size[0] / 3)),
}
"""AugMix's and PixMix's operations. IPMix's authors count autocontrast as overlapping too, and leave it out."""

OVERLAPS = {  # at magnitude 3 factors of 0.12 to 0.64: only weaker
    function.__name__: Operation(function, lambda u, sign, m, size: part(u, m, 1.8) + 0.1)
    for function in (color, contrast, ops.brightness, sharpness)
}
"""The operations that overlap the test corruptions, marked so by all four repositories."""

TEN = {name: NINE[name] for name in NINE if name != "autocontrast"} | {
    "mirror": Operation(mirror, unused),
    "invert": Operation(invert, unused),
}
"""IPMix's operations."""

OPS = {"nine": NINE, "all": NINE | OVERLAPS, "released": ops.RELEASED}
"""The sets of PixMix: without and with the four that overlap the test, and the functions of the LayerMix release."""


def draw_operations(table, uniform, magnitude, size):
    """Operations, all as likely, and their levels, from three uniform draws (3, ...) each: positions in `table`, and float32."""
    op, level, sign = uniform
    op = integers(op, len(table))
    return op, draw_levels(table, op, level, np.where(sign < 0.5, 1.0, -1.0), magnitude, size)


def chain(table, images, chosen, op, level, depth):
    """Apply to each chosen image its operations, one after another.

    images float32 (B, 3, H, W); chosen int (N,), positions in `images`; op int and level float32 (N, T); depth int (N,), how many
    of the T: all but the images NumPy arrays. Returns float32 (N, 3, H, W).
    """
    changed = images.index_select(0, to_device(chosen, images.device))
    for step in range(op.shape[1]):
        (now,) = (depth > step).nonzero()
        changed = apply_operations(
            table, changed, now, op[now, step], level[now, step], within=True
        )
    return changed
