"""Caustic refraction, of ImageNet-C-bar: an image seen through lit water.

After facebookresearch/augmentation-corruption (MIT).
"""

import numpy as np

from .blur import smooth
from .c_bar import level
from .recipe import Recipe, bilinear, by_name, to_bytes, to_float, uniform

TURN = 6.28318530718  # as the reference has it
REFRACTION = 4  # the refractive index of its water
FLAT = 1 - 1e-3  # the cosine from which on a surface does not refract


def light(size: tuple[int, int], time: np.ndarray, wavelength: np.ndarray) -> np.ndarray:
    """The pattern of light on the ground: float64 (n, height, width) in [0, 1].

    time: (n,), where in its course it is; wavelength: (n,), pixels after which it repeats.
    """
    rows, columns = np.ogrid[: size[0], : size[1]]
    time, wavelength = time[:, None, None], wavelength[:, None, None]
    y, x = ((at / wavelength) % 1 * TURN - 250 for at in (rows, columns))
    down, right, total = y, x, np.ones((len(time), *size))
    for k in range(5):
        t = time * (1 - 3.5 / (k + 1))
        down, right = (
            y + (np.cos(t - down) + np.sin(t + right)),
            x + (np.sin(t - right) + np.cos(t + down)),
        )
        along_y, along_x = np.sin(down + t) / 0.005, np.cos(right + t) / 0.005
        total += 1 / np.sqrt((y / along_y) ** 2 + (x / along_x) ** 2)
    bright = np.abs(1.17 - (total / 5) ** 1.4)
    return np.clip(bright**8, 0, 1)


def differences(field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The next pixel minus the one before, down and right, with 0 outside of (n, height, width)."""
    padded = np.pad(field, ((0, 0), (1, 1), (1, 1)))
    return (
        padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1],
        padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2],
    )


def caustic_refraction(
    images: np.ndarray, severity: float, time: np.ndarray, wavelength: np.ndarray
) -> np.ndarray:
    """Light as `light` has it on an image that its waves refract, black beyond the border.

    The slope of the light is taken for that of the water; rays are bent as on their way into it,
    and their shifts rounded to three decimals, as in the reference.
    """
    height, width = images.shape[2:]
    down, right = differences(smooth(light((height, width), time, wavelength), 1, mode="reflect"))
    cosine = 1 / np.sqrt(down**2 + right**2 + 1)
    refracts = cosine < FLAT
    angle = np.arccos(np.where(refracts, cosine, 0))
    bent = np.sin(angle - np.arcsin(np.sin(angle) / REFRACTION)) / np.sin(angle) * cosine
    length = np.where(refracts, bent * level(severity, 0.5 * height), 0)
    rows, columns = np.mgrid[:height, :width]
    rows, columns = rows + np.round(down * length, 3), columns + np.round(right * length, 3)
    x = bilinear(to_float(images, np.float32), rows, columns)
    shine = level(severity, 2)
    x += (-right * shine)[:, None]
    x += (down * shine)[:, None]
    return to_bytes(x)


CAUSTICS = by_name(
    Recipe(
        caustic_refraction,
        imagenet=(2.35, 3.2, 4.9, 6.6, 9.15),
        time=uniform(0.5, 2),
        wavelength=lambda p, size: uniform(0.75 * size, 1.25 * size),
    ),
)
