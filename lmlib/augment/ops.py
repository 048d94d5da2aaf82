"""The operations: `op(images, level) -> images`, and how a level is drawn.

Images are float32 (B, 3, H, W) in [0, 1]; a level is one float per image, (B,), in the unit of its operation. The arithmetic is
that of torchvision v2's functionals (the reference in the tests), batched with one level per image. Operations that are defined
on 8-bit values (posterize, equalize) round to them first.

Sources: Table 2 of the LayerMix paper (`PAPER`), the twelve functions of its released program (`RELEASED`). Where the text
gives a range but no reading, `PAPER` takes AugMix's and timm's increasing forms: a larger magnitude is a stronger change.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import grid_sample

BITS = 255.0


def to_bytes(images):
    """Float images in [0, 1] as 8-bit values: int32 of the same shape, contiguous, rounded to nearest."""
    return (images * BITS).round_().to(torch.int32, memory_format=torch.contiguous_format)


def per_image(values):
    """(B,) as (B, 1, 1, 1), to meet images."""
    return values.view(-1, 1, 1, 1)


def affine(images, *matrix):
    """Sample images at `matrix @ (x, y, 1)`, coordinates in pixels from the centre: bilinear, zero outside.

    matrix: xx, xy, x0, yx, yy, y0, from output to input positions, each a tensor (B,) or a number, the same for all. Products and
    sums per pixel, so that an image does not depend on its batch (a batched matrix product does), in torchvision's order and with
    its fused multiply-add, here by way of float64: a float32 position is off by up to 2e-5 pixels at 224 px, which shows in the
    image unless both round alike. What one of x and y alone decides is computed for a row or a column, not for every pixel.
    """
    height, width = images.shape[-2:]
    x, y = from_centre(width, images.device), from_centre(height, images.device)[:, None]
    grid = torch.empty(len(images), 2, height, width, device=images.device)
    for axis, side in enumerate((width, height)):
        along_x, along_y, offset = (
            scaled(value, side / 2) for value in matrix[3 * axis : 3 * axis + 3]
        )
        if along_y is None:
            position = along_x * x
        elif along_x is None:
            position = along_y * y
        else:
            position = (along_x * x).double() + along_y * y.double()
        grid[:, axis] = position if offset is None else position.float() + offset
    moved = grid_sample(
        images, grid.movedim(1, -1), mode="bilinear", padding_mode="zeros", align_corners=False
    )
    return moved.clamp_(max=1)  # four weights may add up to one and a last bit


@lru_cache(maxsize=8)
def from_centre(n, device):
    """The middles of n pixels, in pixels from the centre: float32 (n,)."""
    return torch.arange(n, device=device, dtype=torch.float32) + 0.5 - n / 2


def scaled(value, half):
    """value / half: float32 (B, 1, 1), or a number; None for the number 0."""
    if isinstance(value, torch.Tensor):
        return value.to(torch.float32)[:, None, None] / half
    return float(np.float32(value / half)) if value else None


def rotate(images, level):
    """Rotate by `level` degrees, counter-clockwise, about the centre."""
    angle = torch.deg2rad(
        level.double()
    )  # double: the last bit of a float32 cosine depends on its place in the batch
    cos, sin = angle.cos(), angle.sin()
    return affine(images, cos, -sin, 0, sin, cos, 0)


def shear_x(images, level):
    """Shear along x about the centre; `level` is the tangent of the angle."""
    return affine(images, 1, level, 0, 0, 1, 0)


def shear_y(images, level):
    """Shear along y about the centre; `level` is the tangent of the angle."""
    return affine(images, 1, 0, 0, level, 1, 0)


def translate_x(images, level):
    """Move to the right by `level` pixels, which need not be whole."""
    return affine(images, 1, 0, -level, 0, 1, 0)


def translate_y(images, level):
    """Move down by `level` pixels, which need not be whole."""
    return affine(images, 1, 0, 0, 0, 1, -level)


def grayscale(images, level):
    """Luma of the image in all three channels; `level` is not used."""
    red, green, blue = images.unbind(1)
    grey = red * 0.2989 + green * 0.587 + blue * 0.114
    return torch.stack([grey, grey, grey], 1)


def brightness(images, level):
    """Multiply by the factor `level`, and clip. Overlaps the test corruption `brightness`."""
    return (images * per_image(level)).clamp_(0, 1)


def autocontrast(images, level):
    """Stretch each channel to [0, 1]; a flat channel stays; `level` is not used."""
    low, high = images.amin((-2, -1), keepdim=True), images.amax((-2, -1), keepdim=True)
    flat = (high - low < 1e-30).to(
        images.dtype
    )  # or so nearly flat that the scale would be infinite
    low = low * (1 - flat)
    return (images - low).mul_(1 / ((high - low) * (1 - flat) + flat)).clamp_(0, 1)


def posterize(images, level):
    """Keep the highest `level` bits (rounded down) of the 8-bit value."""
    step = per_image(torch.exp2(8 - level.trunc()).round())
    return (
        (images * BITS).round_().mul_(1 / step).floor_().mul_(step).div_(BITS)
    )  # 1 / step is exact: a power of two


def solarize(images, level):
    """Invert the values at or above the threshold `level`."""
    inverted = torch.ge(
        images, per_image(level), out=torch.empty_like(images)
    )  # 0 or 1: bool masks are slow on a CPU
    return torch.sub(images, inverted, out=inverted).abs_()


def equalize(images, level):
    """Equalize the histogram of each channel of the 8-bit image; `level` is not used."""
    n_rows, n_pixels = images.shape[0] * images.shape[1], images.shape[2] * images.shape[3]
    row = torch.arange(0, n_rows * 256, 256, device=images.device, dtype=torch.int32)[:, None]
    place = to_bytes(images).view(n_rows, -1).add_(row).view(-1)
    histogram = torch.bincount(place, minlength=n_rows * 256).view(n_rows, 256)
    up_to = histogram.cumsum(1)
    below, up_to = (
        (up_to - histogram).double(),
        up_to.double(),
    )  # whole numbers; a CPU divides them faster so
    # The step leaves out the pixels of the highest value present; a step of zero (a flat channel, or nearly) keeps the image.
    unfinished = torch.lt(up_to, n_pixels, out=torch.empty_like(up_to))
    step = up_to.mul_(unfinished).amax(1, keepdim=True).div_(255).trunc_()
    table = below.add_((step / 2).trunc_()).div_(step.clamp(min=1)).trunc_().clamp_(max=255)
    values = torch.arange(256, device=images.device, dtype=table.dtype)
    table = torch.lerp(values, table, step.clamp(max=1)).to(images.dtype).div_(BITS)
    return table.view(-1).index_select(0, place).view(images.shape)


class Operation(NamedTuple):
    """An operation and how its level is drawn."""

    function: object
    level: (
        object  # (uniform (B,), sign (B,) of +-1, magnitude 0 to 10, (height, width)) -> level (B,)
    )


def unused(uniform, sign, magnitude, size):
    return np.zeros_like(uniform)


def signed(maximum, start=0):
    """+- U(start, maximum * m / 10); both in the unit of the operation, `maximum` or a function of (height, width)."""

    def level(uniform, sign, magnitude, size):
        end = (maximum(size) if callable(maximum) else maximum) * magnitude / 10
        return sign * (start + uniform * (end - start))

    return level


PAPER = {
    "equalize": Operation(equalize, unused),
    "grayscale": Operation(grayscale, unused),
    "autocontrast": Operation(autocontrast, unused),
    "brightness": Operation(
        brightness, lambda *drawn: 1 + signed(0.9)(*drawn)
    ),  # factor 0.1 to 1.9
    "posterize": Operation(
        posterize, lambda u, sign, m, size: np.maximum(4 - np.floor(u * 0.4 * m), 1)
    ),  # bits
    "solarize": Operation(solarize, lambda u, sign, m, size: 1 - u * m / 10),  # threshold
    "rotate": Operation(rotate, signed(30)),  # degrees
    "shear_x": Operation(shear_x, signed(0.3)),  # tangent
    "shear_y": Operation(shear_y, signed(0.3)),
    "translate_x": Operation(translate_x, signed(lambda size: 0.33 * size[1])),  # pixels
    "translate_y": Operation(translate_y, signed(lambda size: 0.33 * size[0])),
}
"""The eleven operations of Table 2."""


def from_a_tenth(u, maximum, m):
    """U(0.1, maximum * m / 10) as the released program draws it: the 0.1 is in the operation's own unit, and the ends may swap."""
    return 0.1 + u * (maximum * m / 10 - 0.1)


RELEASED = {
    "equalize": Operation(equalize, unused),
    "posterize": Operation(
        posterize, lambda u, sign, m, size: np.trunc(from_a_tenth(u, 4, m))
    ),  # 0 bits: black
    "posterize_increasing": Operation(
        posterize, lambda u, sign, m, size: 4 - np.trunc(from_a_tenth(u, 4, m))
    ),
    "solarize": Operation(solarize, lambda u, sign, m, size: from_a_tenth(u, 1, m)),
    "solarize_increasing": Operation(
        solarize, lambda u, sign, m, size: 0.1 + u * ((1 - m) / 10 - 0.1)
    ),
    "autocontrast": Operation(autocontrast, unused),
    "grayscale": Operation(grayscale, unused),
    "rotate": Operation(rotate, signed(30, 0.1)),
    "shear_x": Operation(shear_x, signed(0.3, 0.1)),
    "shear_y": Operation(shear_y, signed(0.3, 0.1)),
    "translate_x": Operation(translate_x, signed(lambda size: int(0.33 * size[1]), 0.1)),
    "translate_y": Operation(translate_y, signed(lambda size: int(0.33 * size[0]), 0.1)),
}
"""The twelve functions of the released program, with its quirks: a posterize that can leave nothing, a solarize that is milder
at larger m, an inversion for most of `solarize_increasing`."""

OPS = {"paper": PAPER, "released": RELEASED}


def draw_levels(table, op, uniform, sign, magnitude, size):
    """Levels for drawn operations: op int (B,), positions in `table`; uniform (B,) in [0, 1); sign (B,) of +-1. float32 (B,)."""
    level = np.zeros(op.shape, np.float32)
    for k, operation in enumerate(table.values()):
        chosen = op == k
        level[chosen] = operation.level(uniform[chosen], sign[chosen], magnitude, size)
    return level


def apply_operations(table, images, chosen, op, level, within=False):
    """Apply to each chosen image its own operation at its own level.

    table: one of `OPS`; images float32 (B, 3, H, W); chosen int (N,), positions in `images`, in the order wanted; op int (N,) and
    level float32 (N,): all but the images NumPy arrays. Returns float32 (N, 3, H, W); `within` returns all images, the
    changed ones in their places: what was given may be overwritten, or not be what is returned.
    """
    return by_kind(
        [operation.function for operation in table.values()],
        op,
        [(images, chosen)],
        level,
        within=within,
    )


def by_kind(functions, kind, pictures, *drawn, within=False):
    """What `functions[kind[k]]` makes for each sample k; a function is called once, for all of its kind.

    kind: int (N,); pictures: pairs of a tensor (M, C, H, W) and int (N,), which of its rows is the sample's; drawn: what else a
    function gets, (N,). All but the tensors of images are NumPy arrays. Returns (N, 3, H, W), in order, or with `within` the first
    tensor with its rows changed, which may be overwritten. Without, a function that returned its input would share its memory with
    what is returned.
    """
    kinds, (first, place) = set(kind.tolist()), pictures[0]
    done, place = (first, place) if within else (None, np.arange(len(kind)))
    if done is None and len(kinds) != 1:
        done = first.new_empty(len(kind), *first.shape[1:])
    for k in kinds:
        alike = (kind == k).nonzero()[0] if len(kinds) > 1 else slice(None)
        rows = (take(images, where[alike]) for images, where in pictures)
        changed = functions[k](*rows, *(to_device(part[alike], first.device) for part in drawn))
        done = changed if done is None else put(done, place[alike], changed)
    return done


def take(images, chosen):
    """Rows of a tensor, (N, ...), in the order of `chosen`, int (N,), a NumPy array: a view where they are a run or all one."""
    run = as_run(chosen)
    if run:
        return images[run]
    if chosen[0] == chosen[-1] and (chosen == chosen[0]).all():
        return images[chosen[0]].expand(len(chosen), *images.shape[1:])
    return images.index_select(0, to_device(chosen, images.device))


def put(images, chosen, rows):
    """`images` with rows written into it at the places `chosen`; `rows` themselves where they are all of it."""
    run = as_run(chosen)
    if run and rows.shape == images.shape:
        return rows
    if run:
        images[run] = rows
        return images
    return images.index_copy_(0, to_device(chosen, images.device), rows)


def as_run(chosen):
    """Positions that follow one another, at least one, as a slice; None where they do not."""
    start, n = int(chosen[0]), len(chosen)
    ends_meet = int(chosen[-1]) == start + n - 1
    return (
        slice(start, start + n)
        if ends_meet and (n < 3 or (chosen[1:] > chosen[:-1]).all())
        else None
    )


def as_tensor(array: np.ndarray | torch.Tensor) -> torch.Tensor:
    """An array as a tensor of the same memory; of a copy where a tensor cannot have it.

    That is memory which runs backwards, and memory which is not to be written.
    """
    if isinstance(array, torch.Tensor):
        return array
    return torch.from_numpy(np.require(array, requirements="CW"))


def to_device(array: np.ndarray | torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """An array as a tensor on `device`."""
    return as_tensor(array).to(device)
