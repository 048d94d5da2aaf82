import bounds
import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from reference import photographs

from lmlib.augment.geometry import NEAREST
from lmlib.augment.ops import apply_operation, draw_levels
from lmlib.augment.pillow_ops import AUGMIX_OPS, IPMIX_OPS, OPS, OVERLAPS
from lmlib.images import as_float, from_float

N = 20_000
UNIFORM = np.random.default_rng(0).random(N)
EVERY = AUGMIX_OPS | OVERLAPS | IPMIX_OPS
# Grey levels; sharpness rounds its smoothed image too.
TOLERANCE = {"equalize": 0, "posterize": 0, "solarize": 0, "mirror": 0, "invert": 0, "sharpness": 2}


def pillow(name, picture, level):
    """The operation as the repositories call Pillow, on a PIL image."""
    matrix = {
        "shear_x": (1, level, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, level, 1, 0),
        "translate_x": (1, 0, level, 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, level),
    }
    if name in matrix:
        return picture.transform(
            picture.size, Image.Transform.AFFINE, matrix[name], Image.Resampling.BILINEAR
        )
    if name in OVERLAPS:
        return getattr(ImageEnhance, name.title())(picture).enhance(level)
    if name == "rotate":
        return picture.rotate(level, Image.Resampling.BILINEAR)
    if name == "posterize":
        return ImageOps.posterize(picture, int(level))
    if name == "solarize":
        return ImageOps.solarize(picture, round(level * 255 + 0.5))
    return getattr(ImageOps, name)(picture)


def levels(name, magnitude, size=(32, 32)):
    """Levels for `UNIFORM`, all with a positive sign."""
    return draw_levels({name: EVERY[name]}, np.zeros(N, int), UNIFORM, np.ones(N), magnitude, size)


@pytest.mark.parametrize("size", [(32, 32), (31, 45), (224, 224)])
@pytest.mark.parametrize("name", EVERY)
def test_every_operation_agrees_with_pillow_to_the_rounding(name, size):
    images = photographs(size, 6)
    magnitude = (
        5 if name in OVERLAPS else 10
    )  # beyond a factor of 1, Pillow's rounding is magnified
    level = levels(name, magnitude, size)[:6] * np.array(
        [1, -1, 1, -1, 1, 1] if name.startswith(("r", "sh", "t")) else 1
    )
    done = from_float(apply_operation(EVERY[name], as_float(images), level), torch.uint8)
    for image, ours, drawn in zip(images, done, level, strict=True):
        expected = pillow(name, Image.fromarray(image.permute(1, 2, 0).numpy()), float(drawn))
        difference = np.abs(ours.permute(1, 2, 0).numpy().astype(int) - np.asarray(expected))
        assert difference.max() <= TOLERANCE.get(name, 1)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("magnitude", [1, 3, 10])
def test_levels_are_those_of_the_repositories(name, magnitude):
    drawn = (
        np.random.default_rng(0).random(N) * (magnitude - 0.1) + 0.1
    )  # uniform(low=0.1, high=magnitude)
    expected = {
        "posterize": [4 - int(x * 4 / 10) for x in drawn],
        "rotate": [int(x * 30 / 10) for x in drawn],
        "solarize": [(256 - int(x * 256 / 10) - 0.5) / 255 for x in drawn],
        "translate_x": [int(x * (45 / 3) / 10) for x in drawn],
        "translate_y": [int(x * (31 / 3) / 10) for x in drawn],
        **dict.fromkeys(("shear_x", "shear_y"), drawn * 0.3 / 10),
        **dict.fromkeys(OVERLAPS, drawn * 1.8 / 10 + 0.1),
    }.get(name, 0)
    np.testing.assert_allclose(
        levels(name, magnitude, (31, 45)), np.broadcast_to(expected, N), rtol=bounds.rounded(2)
    )


def test_at_magnitude_3_enhancement_only_weakens():
    for name in OVERLAPS:
        assert 0.118 <= levels(name, 3).min() < 0.12
        assert 0.639 < levels(name, 3).max() <= 0.64


def test_the_sets_are_those_of_the_repositories_and_the_overlapping_operations_are_marked():
    geometric = "shear_x shear_y translate_x translate_y"
    assert (
        list(AUGMIX_OPS) == f"autocontrast equalize posterize rotate solarize {geometric}".split()
    )
    assert list(OVERLAPS) == ["color", "contrast", "brightness", "sharpness"]
    assert list(OPS["all"]) == list(AUGMIX_OPS) + list(OVERLAPS)
    assert set(IPMIX_OPS) == set(AUGMIX_OPS) - {"autocontrast"} | {"mirror", "invert"}


def test_a_shear_leaves_the_top_left_corner_and_moves_the_far_side():
    image = torch.zeros(1, 3, 32, 32)
    image[..., 0] = 1
    sheared = apply_operation(AUGMIX_OPS["shear_x"], image, -0.5)[0, 0]
    assert sheared[0, 0] > 0.7
    assert sheared[30].argmax() == 15  # half a pixel a row


def test_a_pixel_outside_is_black_and_the_border_inside_is_not_darkened():
    moved = apply_operation(AUGMIX_OPS["translate_x"], torch.ones(1, 3, 8, 8), 2.5)
    assert moved[0, 0, 0].tolist() == [1, 1, 1, 1, 1, 0, 0, 0]


def test_nearest_sampling_makes_no_new_values():
    images = as_float(photographs((32, 32), 4))
    rotated = apply_operation(EVERY["rotate"]._replace(edge=NEAREST), images, [7.0, 45, -30, 90])
    assert all(
        np.isin(new, np.append(old, 0)).all()
        for new, old in zip(rotated.numpy(), images.numpy(), strict=True)
    )


@pytest.mark.parametrize("name", [name for name in EVERY if name not in ("mirror",)])
@pytest.mark.parametrize("side", [1, 2, 3])
def test_operations_take_images_of_any_size(name, side):
    image = torch.rand(2, 3, side, side)
    done = apply_operation(EVERY[name], image, levels(name, 3, (side, side))[:2])
    assert done.shape == image.shape
    assert torch.isfinite(done).all()
