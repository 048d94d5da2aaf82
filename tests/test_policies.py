import re

import bounds
import numpy as np
import pytest
import torch
from reference import noise, photographs
from torchvision.transforms import InterpolationMode
from torchvision.transforms import v2 as transforms

from lmlib.augment import AutoAugment, RandAugment, TrivialAugment
from lmlib.augment.ops import apply_operation, draw_levels
from lmlib.augment.policies import RANDAUGMENT_OPS, TRIVIALAUGMENT_OPS
from lmlib.images import as_float, from_float

KEYS = {"seed": 1, "epoch": 2}
N = 20_000
SIZES = [(32, 32), (31, 45), (224, 224)]
SPACES = {  # ours, torchvision's class, bins, positions drawn
    "autoaugment": (AutoAugment.table, transforms.AutoAugment, 10),
    "randaugment": (RANDAUGMENT_OPS, transforms.RandAugment, 31),
    "trivialaugment": (TRIVIALAUGMENT_OPS, transforms.TrivialAugmentWide, 31),
}
# Grey levels: torchvision rounds the grey image down before it blends, and the result after.
TOLERANCE = {"equalize": 0, "posterize": 0, "solarize": 0, "color": 2, "contrast": 2}


def theirs(name):
    """Torchvision's name of an operation: shear_x is ShearX."""
    return {"autocontrast": "AutoContrast"}.get(name, name.title().replace("_", ""))


def reference(name, image, level):
    """Torchvision's operation on one uint8 image at our level, with our signs: positive moves left and up."""
    transform = transforms.RandAugment()
    if name in ("brightness", "color", "contrast", "sharpness"):
        level = level - 1
    if name.startswith("translate"):
        level = -level
    if name == "solarize":
        level = round(level * 255 + 0.5) / 255
    return transform._apply_image_or_video_transform(
        image, theirs(name), level, InterpolationMode.NEAREST, {torch.Tensor: None}
    )


def clear(name, value, size):
    """1 where the nearest neighbour of a rotated or sheared position is clear, 0 halfway between two pixels: (H, W)."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    cos, sin = np.cos(np.deg2rad(value)), np.sin(np.deg2rad(value))
    x0, y0 = size[1] / 2, size[0] / 2
    moved = {
        "shear_x": (x + value * y, y),
        "shear_y": (x, y + value * x),
        "rotate": (x0 + cos * (x - x0) - sin * (y - y0), y0 + sin * (x - x0) + cos * (y - y0)),
    }.get(name, (0.5, 0.5))
    return torch.from_numpy(
        np.all(
            [np.abs(p - np.round(p)) > 1e-3 for p in np.broadcast_arrays(*moved, x)[:2]], axis=0
        ).astype(int)
    )


def drawn(table, name, position, size, sign=1.0):
    return draw_levels(
        {name: table[name]}, np.zeros(1, int), np.array([position]), np.array([sign]), 10, size
    )[0]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("space", SPACES)
def test_operations_and_levels_are_those_of_torchvision(space, size):
    table, reference_class, bins = SPACES[space]
    their_space = reference_class._AUGMENTATION_SPACE
    assert {theirs(name) for name in table} - {"Identity"} == set(their_space) - {"Identity"}
    for name in table:
        if name == "identity":
            continue
        magnitudes, signed = their_space[theirs(name)]
        magnitudes = magnitudes(bins, *size)
        ours = np.array([drawn(table, name, k / (bins - 1), size) for k in range(bins)])
        if magnitudes is None:
            assert not ours.any()
            continue
        expected = magnitudes.double().numpy()
        if name.startswith("translate"):
            expected = np.trunc(
                np.round(expected, 4)
            )  # in float32, half of 32 pixels comes out below 16
        if name == "solarize":  # the same 8-bit values lie at or above the threshold
            expected = (np.ceil(np.round(expected * 255, 4)) - 0.5) / 255
        if name in ("brightness", "color", "contrast", "sharpness"):
            expected = 1 + expected
        # Their table is float32: two ends, a step, its multiple and a sum, before and after it goes around 1.
        np.testing.assert_allclose(
            ours, expected, rtol=0, atol=bounds.rounded(8, np.abs(expected).max())
        )
        flipped = drawn(table, name, 1, size, -1.0)
        assert (flipped != ours[-1]) == signed


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("space", ["autoaugment", "trivialaugment"])
def test_every_operation_agrees_with_torchvision_at_every_level(space, size):
    table, _, bins = SPACES[space]
    images = torch.cat([photographs(size, 1), noise(size, 1)])
    steps = range(0, bins, 1 if size[0] < 224 else 5)
    for name in set(table) - {"identity"}:
        for sign in (-1.0, 1.0):
            level = [drawn(table, name, k / (bins - 1), size, sign) for k in steps]
            for value in np.unique(level):
                done = from_float(
                    apply_operation(table[name], as_float(images), value), torch.uint8
                )
                expected = reference(name, images, float(value))
                difference = (done.int() - expected.int()).abs() * clear(name, float(value), size)
                assert difference.max() <= TOLERANCE.get(name, 1), (name, value)


# Rows of appendix A of Cubuk et al. 2019: (operation, probability, level 0 to 9), twice.
APPENDIX = {
    "cifar10": {
        0: (("invert", 0.1, 0), ("contrast", 0.2, 6)),
        5: (("shear_y", 0.2, 7), ("posterize", 0.3, 7)),
        14: (("solarize", 0.5, 2), ("invert", 0.0, 0)),
        24: (("translate_y", 0.7, 9), ("autocontrast", 0.9, 0)),
    },
    "imagenet": {
        0: (("posterize", 0.4, 8), ("rotate", 0.6, 9)),
        17: (("sharpness", 0.4, 7), ("invert", 0.6, 0)),
        18: (("shear_x", 0.6, 5), ("equalize", 1.0, 0)),
        24: (("equalize", 0.8, 0), ("equalize", 0.6, 0)),
    },
}


@pytest.mark.parametrize("policy", APPENDIX)
def test_the_policies_are_those_of_the_appendix(policy):
    method = AutoAugment(policy)
    names = list(method.table)
    assert len(method.op) == 25
    for k, pair in APPENDIX[policy].items():
        for n, (name, probability, level) in enumerate(pair):
            assert (names[method.op[k, n]], method.probability[k, n], method.position[k, n] * 9) == (
                name, probability, level
            )  # fmt: skip


@pytest.mark.parametrize("size", [(32, 32), (224, 224)])
@pytest.mark.parametrize(
    "method",
    [AutoAugment(), AutoAugment("imagenet"), RandAugment(3, 14), TrivialAugment()],
    ids=repr,
)
def test_the_chain_agrees_with_a_loop_of_torchvisions_operations(method, size):
    n = 60 if size[0] < 224 else 8
    images, index = photographs(size, n), np.arange(n)
    params = method.sample(size, **KEYS, index=index)
    done, names = method(images, **KEYS, index=index), list(method.table)
    expected = images.clone()
    for k in range(n):
        for op, level in zip(params.op[k], params.level[k], strict=True):
            if names[op] != "identity":
                expected[k] = reference(names[op], expected[k], float(level))
    # Torchvision rounds after every operation, so that a value may fall into another bin of the next one.
    difference = (done.int() - expected.int()).abs()
    assert (difference > 2).float().mean() < 0.1
    assert (difference.flatten(1).median(1).values <= 3).float().mean() > 0.95


def test_randaugment_draws_every_operation_alike_at_one_level():
    params = RandAugment(2, 9).sample((32, 32), **KEYS, index=np.arange(N))
    n = len(RANDAUGMENT_OPS)
    share = np.bincount(params.op.ravel(), minlength=n) / (2 * N)
    assert np.abs(share - 1 / n).max() < 4.5 * np.sqrt(1 / n / (2 * N))
    turned = params.level[params.op == list(RANDAUGMENT_OPS).index("rotate")]
    np.testing.assert_allclose(np.abs(turned), 9, rtol=bounds.ROUNDING)
    assert abs((turned > 0).mean() - 0.5) < 4 * np.sqrt(0.25 / len(turned))


def test_trivialaugment_draws_one_operation_and_31_levels_alike():
    params = TrivialAugment().sample((32, 32), **KEYS, index=np.arange(N))
    assert params.op.shape == (N, 1)
    share = np.bincount(params.op.ravel(), minlength=len(TRIVIALAUGMENT_OPS)) / N
    assert np.abs(share - 1 / len(TRIVIALAUGMENT_OPS)).max() < 4.5 * np.sqrt(
        1 / len(TRIVIALAUGMENT_OPS) / N
    )
    turned = np.round(
        np.abs(params.level[params.op == list(TRIVIALAUGMENT_OPS).index("rotate")]) / 4.5
    ).astype(int)
    share = np.bincount(turned, minlength=31) / len(turned)
    assert np.abs(share - 1 / 31).max() < 4.5 * np.sqrt(1 / 31 / len(turned))


def test_autoaugment_draws_pairs_alike_and_each_operation_with_its_probability():
    method = AutoAugment()
    params, names = method.sample((32, 32), **KEYS, index=np.arange(N)), list(method.table)
    for name in ("posterize", "rotate", "invert", "equalize"):
        expected = (method.probability * (method.op == names.index(name))).sum() / 25
        share = (params.op == names.index(name)).sum() / N
        assert abs(share - expected) < 4.5 * np.sqrt(expected / N)


@pytest.mark.parametrize(
    "build, sentence",
    [
        (lambda: AutoAugment("cifar"), "unknown policy 'cifar': did you mean 'cifar10'"),
        (lambda: RandAugment(magnitude=31), r"magnitude must lie in \[0, 30\]"),
        (lambda: RandAugment(n_operations=0), "n_operations must be a whole number from 1"),
    ],
)
def test_an_option_out_of_range_is_refused(build, sentence):
    with pytest.raises(ValueError, match=re.compile(sentence)):
        build()
