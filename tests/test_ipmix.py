import bounds
import numba
import numpy as np
import pytest
import torch
from reference import blend, mask, mixing_image, noise, photographs

from lmlib.augment import IPMix
from lmlib.augment.blend import BLENDS
from lmlib.augment.ipmix import through_bytes as compiled_through_bytes
from lmlib.augment.ops import apply_operation
from lmlib.augment.pillow_ops import IPMIX_OPS

KEYS = {"seed": 1, "epoch": 2}
through_bytes = numba.njit(lambda value: compiled_through_bytes(value))
N = 20_000
GREY, COLOUR = (noise((40, 52), 20, seed=c, n_channels=c) for c in (1, 3))
SIZES = (4, 8, 16, 32)


def unclipped(kind, x, y, a, b, keep, key):
    """Table 1 without the clip: float32, as the program's bytes are cut from float32 values."""
    if kind == "add":
        mixed = (a * (2 * x - 1) + b * (2 * y - 1) + 1) / 2
    elif kind == "multiply":
        mixed = 2 ** (a + b - 1) * x**a * np.maximum(y, 1e-37) ** b
    else:
        mixed = np.where(mask(key, keep, (1 if kind == "mix_pixels" else 3, *x.shape[1:])), x, y)
    return mixed.astype(np.float32)


def wrapped(values, error):
    """float32 values as bytes in [0, 1], and what is left of their error: none, or all where it decides the byte."""
    bytes_ = (values * np.float32(255)).clip(-(2**31), 2**31).astype(np.int64).astype(np.uint8)
    low, high = (np.floor(255 * (values.astype(np.float64) + off)) for off in (-error, error))
    return bytes_.astype(np.float32) / np.float32(255), (low != high).astype(float)


def ipmix(image, pictures, params, method):
    """IPMix's pseudo-code for one float32 image (3, H, W) and its drawn parameters, and the bound of each value."""
    functions = list(IPMIX_OPS.values())
    picture = mixing_image(pictures, params.picture, params.window, image.shape[1:])
    picture = np.broadcast_to(picture, image.shape).astype(np.float64)
    total, error = np.zeros(image.shape), np.full(image.shape, bounds.rounded(2 * method.k + 4))
    for i in range(method.k):
        mixed, off = image.clone(), np.zeros(image.shape)
        for step in range(params.depth[i]):
            drawn = params.steps[i, step]
            if not params.patches[i]:
                mixed = apply_operation(functions[drawn.op], mixed[None], drawn.level)[0]
                continue
            top, left, side = drawn.top, drawn.left, drawn.length
            square = (slice(None), slice(top, top + side), slice(left, left + side))
            part = (slice(None), slice(0, drawn.height), slice(0, drawn.width))
            weights = *map(float, (drawn.a, drawn.b, drawn.keep)), drawn.mask_key
            whole = (BLENDS[drawn.blend], mixed[square].double().numpy(), picture[square], *weights)
            moved = bounds.blended(*whole[:5], off[square], clip=not method.wrap)
            if method.wrap:
                patch, moved = wrapped(unclipped(*whole), moved)
            else:
                patch, moved = blend(*whole), moved + bounds.ROUNDING  # kept in float32
            mixed[square][part] = torch.from_numpy(patch[part]).float()
            off[square][part] = moved[part]
        total = total + float(params.weight[i]) * mixed.double().numpy()
        error = error + float(params.m) * float(params.weight[i]) * off
    return (1 - float(params.m)) * image.double().numpy() + float(params.m) * total, error


def drawn(**options):
    return IPMix(GREY, **options).sample((32, 32), **KEYS, index=np.arange(N))


def uniform(values, n):
    """Assert that integers 0 .. n - 1 are as likely."""
    share = np.bincount(np.ravel(values), minlength=n) / np.size(values)
    assert len(share) == n
    assert np.abs(share - 1 / n).max() < 4.5 * np.sqrt(1 / n / np.size(values))


@pytest.mark.parametrize("size", [(32, 32), (33, 45), (224, 224)])
@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_a_batch_agrees_with_the_pseudo_code_image_by_image(size, wrap, n_channels):
    n = 60 if size[0] < 224 else 4
    images, index = photographs(size, n).float() / 255, np.arange(n) * 3
    images[:2] = torch.tensor([0.0, 1.0])[:, None, None, None]
    pictures = noise((size[0] + 8, size[1] + 7), 5, n_channels=n_channels)
    method = IPMix(pictures, wrap=wrap, flips=True)
    params = method.sample(size, **KEYS, index=index)
    loop = [ipmix(image, pictures.numpy(), params[k], method) for k, image in enumerate(images)]
    expected, error = map(np.stack, zip(*loop, strict=True))
    assert np.all(np.abs(method(images, **KEYS, index=index).numpy() - expected) <= error)
    assert (error > 1 / 255 / 100).mean() < 0.01  # undecided


def test_values_wrap_around_as_bytes_and_1_2_becomes_50():
    values = np.float32([1.2, 1.0, 0.0, -0.1, 2.5, 256 / 255, 0.5, 1e30, np.inf])
    assert [round(through_bytes(value) * 255) for value in values] == [
        50,
        255,
        0,
        231,
        125,
        0,
        127,
        0,
        0,
    ]


def test_bytes_survive_the_way_there_and_back():
    values = np.arange(256, dtype=np.float32) / np.float32(255)
    assert [through_bytes(value) for value in values] == values.tolist()


def test_wrapping_changes_patches_and_clipping_does_not():
    images, index = photographs((32, 32), 100).float() / 255, np.arange(100)
    clipped, wrapped = (
        IPMix(COLOUR, wrap=wrap)(images, **KEYS, index=index) for wrap in (False, True)
    )
    assert 0.02 < ((clipped - wrapped).abs() > 0.02).float().mean() < 0.5


def test_chains_depths_operations_and_blends_are_uniform():
    params = drawn()
    uniform(params.depth, 4)
    uniform(params.steps.op, 10)
    uniform(params.steps.blend, 4)
    uniform(params.patches.astype(int), 2)
    assert params.weight.shape == (N, 3)
    np.testing.assert_allclose(params.weight.sum(1), 1, rtol=0, atol=bounds.rounded(5))


def test_patches_are_squares_of_four_sizes_or_rectangles_from_the_same_corner():
    steps = drawn().steps
    height, width = steps.height, steps.width
    share = [np.mean((height == length) & (width == length)) for length in SIZES]
    # A square of its size, or a rectangle of this or a larger size that happens to be one.
    for length, seen in zip(SIZES, share, strict=True):
        expected = 1 / 8 + sum(1 / 8 / (other - 1) ** 2 for other in SIZES if other >= length)
        assert abs(seen - expected) < 4.5 * np.sqrt(expected / height.size)
    assert height.min() == width.min() == 2
    assert (steps.top + steps.length <= 32).all()
    assert (steps.left + steps.length <= 32).all()
    assert (np.maximum(height, width) <= steps.length).all()


def test_the_corner_is_uniform_where_the_square_fits():
    steps = IPMix(GREY, patch_sizes=(8,)).sample((32, 40), **KEYS, index=np.arange(N)).steps
    uniform(steps.top, 25)
    uniform(steps.left, 33)


@pytest.mark.parametrize("k, t", [(1, 1), (4, 2)])
def test_chains_and_steps_can_be_set(k, t):
    params = drawn(k=k, t=t)
    assert params.steps.op.shape == (N, k, t)
    uniform(params.depth, t + 1)


def test_a_patch_larger_than_the_image_is_refused_before_any_image_is_touched():
    with pytest.raises(
        ValueError, match="a patch of 32 pixels does not fit into images of 28 x 28: choose 1 to 28"
    ):
        IPMix(GREY).sample((28, 28), **KEYS, index=np.arange(0))
    IPMix(GREY, patch_sizes=(4, 28)).sample((28, 28), **KEYS, index=np.arange(0))


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"k": 0}, "k must be a whole number from 1"),
        ({"t": 1.5}, "t must be a whole number"),
        ({"beta": -1}, r"beta must lie in \(0"),
        ({"magnitude": 11}, "magnitude must lie"),
        ({"patch_sizes": (1, 4)}, "each of patch_sizes must be a whole number from 2"),
        ({"patch_sizes": ()}, "patch_sizes"),
    ],
)
def test_an_option_out_of_range_is_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        IPMix(GREY, **options)
