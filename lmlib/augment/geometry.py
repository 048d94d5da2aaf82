"""Rotation, shears, translations, mirror of one image.

They work by rows, so that these stay in the processor's cache.
Images are float32 (3, H, W). Positions are float64 and in pixels from the middle of the first one;
weights are float32. What lies between two pixels is bilinear; what happens at the edge is one of

SOFT     zeros beyond the image, which are interpolated with: torchvision's
HARD     a position outside gives zero, one inside is interpolated between pixels alone: Pillow's
NEAREST  a position outside gives zero, one inside the pixel it lies in
"""

from typing import Any

import numpy as np

from ..compiled import compiled
from ..elementary import cos_sin

SOFT, HARD, NEAREST = range(3)
ZERO, ONE = np.float32(0), np.float32(1)


@compiled
def taps(position: float, n: int, edge: int) -> tuple:
    """The two of n pixels on a line that a position lies between, and their weights.

    A pixel that does not exist has the weight 0.
    """
    if edge == NEAREST:
        position = np.floor(position + 0.5)
    first = int(np.floor(position))
    far = np.float32(position - first)
    near = ONE - far
    if edge == SOFT:
        near, far = near if 0 <= first < n else ZERO, far if -1 <= first < n - 1 else ZERO
    elif not -0.5 <= position < n - 0.5:
        near, far = ZERO, ZERO
    return min(max(first, 0), n - 1), min(max(first + 1, 0), n - 1), near, far


@compiled
def slide(row: np.ndarray, shift: Any, edge: int, out: np.ndarray) -> None:
    """out[x] = row[x + shift] for a row of pixels."""
    n = len(row)
    shift = np.floor(shift + 0.5) if edge == NEAREST else shift
    start = int(np.floor(shift))
    far = np.float32(shift - start)
    near = ONE - far
    low, high = min(max(-start, 0), n), max(min(n - 1 - start, n), 0)  # both taps are pixels
    for x in range(low):
        out[x] = ZERO
    left, right, between = row[low + start :], row[low + start + 1 :], out[low:]
    for x in range(high - low):
        between[x] = near * left[x] + far * right[x]
    for x in range(max(high, low), n):
        out[x] = ZERO
    for x in (-1 - start, n - 1 - start):  # between the edge and what lies beyond
        if 0 <= x < n:
            first, second, near, far = taps(x + shift, n, edge)
            out[x] = near * row[first] + far * row[second]


@compiled
def slide_rows(
    image: np.ndarray, start: float, step: Any, edge: int, out: np.ndarray
) -> np.ndarray:
    """Move row y of an image by start + step y: a pixel is what lies that much to its right."""
    for y in range(image.shape[1]):
        for c in range(3):
            slide(image[c, y], start + step * y, edge, out[c, y])
    return out


@compiled
def slide_columns(
    image: np.ndarray, start: float, step: Any, edge: int, out: np.ndarray
) -> np.ndarray:
    """Move column x of an image by start + step x: a pixel is what lies that much below."""
    height, width = image.shape[1:]
    (above, below), rows = np.empty((2, width), np.float32), np.empty(width, np.int64)
    for x in range(width):  # the weights of a column, but for its ends
        shift = start + step * x
        shift = np.floor(shift + 0.5) if edge == NEAREST else shift
        rows[x] = int(np.floor(shift))
        below[x] = np.float32(shift - rows[x])
        above[x] = ONE - below[x]
    highest, lowest = min(rows[0], rows[-1]), max(rows[0], rows[-1])
    for y in range(height):
        if y + highest >= 0 and y + lowest + 1 < height:
            for c in range(3):
                channel, result = image[c].reshape(-1), out[c, y]
                for x in range(width):
                    n = np.uint64((y + rows[x]) * width + x)
                    result[x] = above[x] * channel[n] + below[x] * channel[n + np.uint64(width)]
        else:
            for x in range(width):
                first, second, near, far = taps(y + (start + step * x), height, edge)
                for c in range(3):
                    out[c, y, x] = near * image[c, first, x] + far * image[c, second, x]
    return out


@compiled
def move_rows(image: np.ndarray, shift: Any, edge: int, out: np.ndarray) -> np.ndarray:
    """Each row is a mixture of the two that lie around it, `shift` below."""
    height, width = image.shape[1:]
    for y in range(height):
        first, second, near, far = taps(y + shift, height, edge)
        for c in range(3):
            above, below, result = image[c, first], image[c, second], out[c, y]
            for x in range(width):
                result[x] = near * above[x] + far * below[x]
    return out


@compiled
def rotate(image: np.ndarray, degrees: float, edge: int, out: np.ndarray) -> np.ndarray:
    """Rotate counter-clockwise about the centre."""
    height, width = image.shape[1:]
    cosine, sine = cos_sin(degrees)
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    (right, below), pixel = np.empty((2, width), np.float32), np.empty(width, np.int64)
    for y in range(height):
        start_x = middle_x - sine * (y - middle_y) - cosine * middle_x
        start_y = middle_y + cosine * (y - middle_y) - sine * middle_x
        low, high = 0, width  # between them, each position lies between four pixels of the image
        while low < width and not between(
            start_x + cosine * low, start_y + sine * low, width, height
        ):
            low += 1
        while high > low and not between(
            start_x + cosine * (high - 1), start_y + sine * (high - 1), width, height
        ):
            high -= 1
        for x in range(width):
            if low <= x < high:
                continue
            left, right_, w_left, w_right = taps(start_x + cosine * x, width, edge)
            above, below_, w_above, w_below = taps(start_y + sine * x, height, edge)
            for c in range(3):
                upper = w_left * image[c, above, left] + w_right * image[c, above, right_]
                lower = w_left * image[c, below_, left] + w_right * image[c, below_, right_]
                out[c, y, x] = w_above * upper + w_below * lower
        half = 0.5 if edge == NEAREST else 0.0
        for x in range(low, high):
            position_x, position_y = start_x + cosine * x + half, start_y + sine * x + half
            column, row = int(position_x), int(position_y)
            pixel[x] = row * width + column
            right[x], below[x] = position_x - column, position_y - row
        for c in range(3):
            channel, result = image[c].reshape(-1), out[c, y]
            if edge == NEAREST:
                for x in range(low, high):
                    result[x] = channel[np.uint64(pixel[x])]
                continue
            for x in range(low, high):
                n = np.uint64(pixel[x])
                m = n + np.uint64(width)
                upper = (ONE - right[x]) * channel[n] + right[x] * channel[n + np.uint64(1)]
                lower = (ONE - right[x]) * channel[m] + right[x] * channel[m + np.uint64(1)]
                result[x] = (ONE - below[x]) * upper + below[x] * lower
    return out


@compiled
def between(x: float, y: Any, width: int, height: int) -> bool:
    """Whether a position lies between four pixels of an image."""
    return 0 <= x < width - 1 and 0 <= y < height - 1


@compiled
def shear_x(image: np.ndarray, tangent: float, edge: int, out: np.ndarray) -> np.ndarray:
    """Shear along x: torchvision's (SOFT) about the centre, Pillow's about the top left corner."""
    y = 0.5 - image.shape[1] / 2 if edge == SOFT else 0.5
    return slide_rows(image, tangent * y, tangent, edge, out)


@compiled
def shear_y(image: np.ndarray, tangent: float, edge: int, out: np.ndarray) -> np.ndarray:
    """Shear along y, likewise."""
    x = 0.5 - image.shape[2] / 2 if edge == SOFT else 0.5
    return slide_columns(image, tangent * x, tangent, edge, out)


@compiled
def translate_x(image: np.ndarray, pixels: Any, edge: int, out: np.ndarray) -> np.ndarray:
    """Move along x: torchvision's (SOFT) to the right, Pillow's to the left."""
    return slide_rows(image, -pixels if edge == SOFT else pixels, 0.0, edge, out)


@compiled
def translate_y(image: np.ndarray, pixels: Any, edge: int, out: np.ndarray) -> np.ndarray:
    """Move along y: torchvision's (SOFT) down, Pillow's up."""
    return move_rows(image, -pixels if edge == SOFT else pixels, edge, out)


@compiled
def mirror(image: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Left to right."""
    width = image.shape[2]
    for c in range(3):
        for y in range(image.shape[1]):
            for x in range(width):
                out[c, y, x] = image[c, y, width - 1 - x]
    return out
