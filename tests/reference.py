"""What the augmentation is compared with: torchvision's functionals and the blends in NumPy, for one image."""

import math

import numpy as np
import torch
from bounds import ON_BYTES
from sklearn.datasets import load_sample_image
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tv

SIZES = ((32, 32), (31, 45), (224, 224))


def photographs(size, n=6, seed=0):
    """Windows of a real photograph: uint8 (n, 3, *size)."""
    photo = torch.tensor(load_sample_image("china.jpg")).permute(2, 0, 1)
    random = np.random.default_rng(seed)
    corners = random.integers(
        0, (photo.shape[1] - size[0] + 1, photo.shape[2] - size[1] + 1), (n, 2)
    )
    return torch.stack([photo[:, y : y + size[0], x : x + size[1]] for y, x in corners])


def noise(size, n=6, seed=0, n_channels=3):
    """uint8 (n, n_channels, *size) with every value as likely."""
    return torch.from_numpy(
        np.random.default_rng(seed).integers(0, 256, (n, n_channels, *size), dtype=np.uint8)
    )


def affine(image, angle=0.0, translate=(0, 0), shear=(0.0, 0.0)):
    return tv.affine(
        image,
        angle,
        list(translate),
        1.0,
        [math.degrees(math.atan(s)) for s in shear],
        InterpolationMode.BILINEAR,
    )


def on_bytes(functional):
    """A functional that is defined on 8-bit values, for a float image."""
    return lambda image, level: (
        functional((image * 255).round().to(torch.uint8), level).to(image.dtype) / 255
    )


TORCHVISION = {  # name -> (float image (3, H, W), level) -> image
    "equalize": on_bytes(lambda image, level: tv.equalize(image)),
    "grayscale": lambda image, level: tv.rgb_to_grayscale(image, num_output_channels=3),
    "autocontrast": lambda image, level: tv.autocontrast(image),
    "brightness": lambda image, level: tv.adjust_brightness(image, level),
    "posterize": on_bytes(lambda image, level: tv.posterize(image, int(level))),
    "posterize_increasing": on_bytes(lambda image, level: tv.posterize(image, int(level))),
    "solarize": lambda image, level: tv.solarize(image, level),
    "solarize_increasing": lambda image, level: tv.solarize(image, level),
    "rotate": lambda image, level: tv.rotate(image, level, InterpolationMode.BILINEAR),
    "shear_x": lambda image, level: affine(image, shear=(level, 0)),
    "shear_y": lambda image, level: affine(image, shear=(0, level)),
    "translate_x": lambda image, level: affine(image, translate=(level, 0)),
    "translate_y": lambda image, level: affine(image, translate=(0, level)),
}


def exact(name, image, level):
    """The operation on a float32 image (3, H, W) in float64, but for those that are defined on bytes."""
    return TORCHVISION[name](image if name in ON_BYTES else image.double(), level).double()


def mask(key, keep, shape):
    """The documented hash in unsigned arithmetic: lowbias32 of key xor a Weyl sequence of the place; 1 where below keep."""
    h = np.uint32(key) ^ (np.arange(1, np.prod(shape) + 1, dtype=np.uint64) * 0x9E3779B9).astype(
        np.uint32
    )
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x7FEB352D)
    h = (h ^ (h >> np.uint32(15))) * np.uint32(0x846CA68B)
    h = h ^ (h >> np.uint32(16))
    # The package compares signed words: the order of the words shifted by half their range.
    return ((h ^ np.uint32(2**31)).astype(np.float64) < np.float64(keep) * 2**32).reshape(shape)


def blend(kind, x, y, a, b, keep, key):
    """Table 1 in float64 for one pair of images (3, H, W), y with 1 or 3 channels; a x + b y is taken on [-1, 1]."""
    a, b = np.float64(a), np.float64(b)
    if kind == "add":
        mixed = (a * (2 * x - 1) + b * (2 * y - 1) + 1) / 2
    elif kind == "multiply":
        mixed = 2 ** (a + b - 1) * x**a * np.maximum(y, 1e-37) ** b
    else:
        m = mask(key, keep, (1 if kind == "mix_pixels" else 3, *x.shape[1:]))
        mixed = m * x + (1 - m) * y
    return np.clip(mixed, 0, 1)


def mixing_image(pictures, picture, window, size):
    """One crop of one picture with its flips, float32 in [0, 1]: slices, as one would write it for one image."""
    cut = pictures[picture][
        :, window.top : window.top + size[0], window.left : window.left + size[1]
    ]
    cut = cut[:, ::-1] if window.flip_y else cut
    return (cut[:, :, ::-1] if window.flip_x else cut) / np.float32(255)
