"""Parameters that somebody made by hand: each that does not fit gets a sentence, none is read."""

from dataclasses import replace

import numpy as np
import pytest
from reference import noise

from lmlib.augment import METHODS, build_method

N, SIZE = 6, (32, 40)
IMAGES = noise(SIZE, N)
PICTURES = noise((36, 44), 5)


def drawn(name, **settings):
    """A method and its parameters for a few images."""
    method = build_method(name, mixing_set=PICTURES, **settings)
    params = method.sample(SIZE, seed=1, epoch=2, index=np.arange(N))
    return method, method.with_partners(params, IMAGES) if method.mixes_labels else params


def changed(array, value):
    """A copy of an array with another last value."""
    array = array.copy()
    array.reshape(-1)[-1] = value
    return array


@pytest.mark.parametrize("name", METHODS)
def test_what_was_drawn_is_taken(name):
    method, params = drawn(name)
    assert method.apply(IMAGES, params).shape == IMAGES.shape


@pytest.mark.parametrize(
    "name, field, value, sentence",
    [
        ("layermix", "op", 11, "expected op from 0 to 10, got 0 to 11"),
        ("layermix", "op", -1, "expected op from 0 to 10, got -1"),
        ("layermix", "layer", 4, "expected layer from 1 to 3"),
        ("layermix", "blend", 4, "expected blend from 0 to 3"),
        ("layermix", "picture", 5, "expected picture from 0 to 4"),
        ("layermix", "level", np.nan, "expected level from -1000000.0 to 1000000.0, got nan"),
        ("layermix", "level", 1e30, "expected level from -1000000.0 to 1000000.0"),
        ("pixmix", "rounds", 5, "expected rounds from 0 to 4"),
        ("pixmix", "blend", 2, "expected blend from 0 to 1"),
        ("augmix", "depth", 4, "expected depth from 1 to 3"),
        ("ipmix", "depth", 4, "expected depth from 0 to 3"),
        ("randaugment", "op", 14, "expected op from 0 to 13"),
        ("cutout", "bottom", 33, "expected boxes in the images, from 0 to 32"),
        ("random_erasing", "left", -1, "expected boxes in the images, from 0 to 40"),
    ],
)
def test_a_value_beyond_what_it_indexes_is_refused(name, field, value, sentence):
    method, params = drawn(name)
    wrong = replace(params, **{field: changed(getattr(params, field), value)})
    with pytest.raises(ValueError, match=sentence):
        method.apply(IMAGES, wrong)


@pytest.mark.parametrize(
    "field, value", [("top", 29), ("left", -1), ("length", 41), ("height", 33), ("width", -1)]
)
def test_a_patch_beyond_its_square_or_the_image_is_refused(field, value):
    method, params = drawn("ipmix", patch_sizes=(4,))
    steps = replace(params.steps, **{field: changed(getattr(params.steps, field), value)})
    with pytest.raises(ValueError, match="expected patches in their squares, and these in"):
        method.apply(IMAGES, replace(params, steps=steps))


def test_a_box_of_cutmix_beyond_the_image_is_refused():
    method, params = drawn("cutmix")
    wrong = replace(params, box=replace(params.box, right=changed(params.box.right, 41)))
    with pytest.raises(ValueError, match="expected boxes in the images, from 0 to 40"):
        method.apply(IMAGES, wrong)


def test_partners_of_another_shape_are_refused():
    method, params = drawn("mixup")
    with pytest.raises(ValueError, match="expected partners like the images"):
        method.apply(IMAGES, method.with_partners(params, IMAGES[:, :, 1:]))


def test_an_array_of_another_shape_or_kind_is_refused():
    method, params = drawn("layermix")
    with pytest.raises(ValueError, match=r"expected op of shape \(6, 3\), got \(6, 2\)"):
        method.apply(IMAGES, replace(params, op=params.op[:, :2]))
    with pytest.raises(TypeError, match="Cannot cast array data"):
        method.apply(IMAGES, replace(params, op=params.op + 0.5))


def test_a_window_beyond_its_picture_gives_zeros():
    method, params = drawn("layermix", layers=(3,), probabilities=(1, 0, 0, 0))
    far = replace(params.window, top=params.window.top + 1000, left=params.window.left - 1000)
    black = build_method("layermix", mixing_set=PICTURES * 0, layers=(3,))
    expected = black.apply(IMAGES, params)
    assert np.array_equal(method.apply(IMAGES, replace(params, window=far)), expected)
