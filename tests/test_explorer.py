import io

import numpy as np
import pytest
import torch
from PIL import Image
from reference import noise, photographs

from lmlib import LayerMix
from lmlib.augment.blend import BLENDS
from lmlib.augment.ops import OPS
from lmlib.explorer import STEPS, Explorer, pipeline_steps

IMAGES, FRACTALS = photographs((32, 32), 8), noise((36, 36), 5, n_channels=1)
GEOMETRIC = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")


@pytest.fixture
def explorer():
    return Explorer(IMAGES, FRACTALS)


def shown(explorer):
    return explorer.steps.value, explorer.samples.value


def pictures(png, n_columns, zoom=3):
    """The pictures on a sheet: uint8 (n, 3, 32, 32); each pixel is `zoom` wide, with a white gap around each picture."""
    page = np.asarray(Image.open(io.BytesIO(png)))[::zoom, ::zoom]
    n = n_columns * (page.shape[0] // 34)
    tiles = [page[34 * (k // n_columns) :, 34 * (k % n_columns) :][1:33, 1:33] for k in range(n)]
    return np.stack(tiles).transpose(0, 3, 1, 2)


@pytest.mark.parametrize(
    "control, value",
    [("magnitude", 2), ("beta", 1), ("image", 5), ("seed", 7), ("ops", "released"), ("layer", 3), ("shared", False)],
)
def test_a_control_that_moves_changes_the_pictures(explorer, control, value):
    explorer.seed.value = 3
    before = shown(explorer)
    getattr(explorer, control).value = value
    assert shown(explorer) != before


@pytest.mark.parametrize("ops", OPS)
def test_each_operation_can_be_seen_alone(explorer, ops):
    explorer.ops.value = ops
    seen = set()
    for name in OPS[ops]:
        explorer.operation.value = name
        assert f"<b>{name}</b>" in explorer.caption.value
        seen.add(explorer.steps.value)
    assert len(seen) == len(OPS[ops])


@pytest.mark.parametrize("blend", BLENDS)
def test_each_blend_can_be_seen_alone(explorer, blend):
    explorer.blend.value = blend
    assert f"blends: {blend}, then {blend}" in explorer.caption.value


def test_the_same_controls_give_the_same_bytes_wherever_the_sliders_were_before(explorer):
    before = shown(explorer)
    for control, value in ((explorer.magnitude, 1), (explorer.beta, 9), (explorer.seed, 5), (explorer.image, 2)):
        old, control.value = control.value, value
        assert shown(explorer) != before
        control.value = old
    assert shown(explorer) == before == shown(Explorer(IMAGES, FRACTALS))


def test_an_operation_of_the_other_set_is_left_when_the_set_changes(explorer):
    explorer.operation.value = "grayscale"
    explorer.ops.value = "released"
    assert explorer.operation.value == "any" and set(explorer.operation.options) == {"any", *OPS["released"]}
    explorer.ops.value = "paper"
    assert "grayscale" in explorer.operation.options


@pytest.mark.parametrize("operation", GEOMETRIC)
def test_at_magnitude_zero_a_geometric_operation_at_layer_one_shows_the_image(explorer, operation):
    explorer.operation.value, explorer.layer.value, explorer.magnitude.value = operation, 1, 0
    image = IMAGES[0].numpy()
    steps = pictures(explorer.steps.value, len(STEPS))
    assert np.array_equal(steps[0], image) and np.array_equal(steps[1], image)
    assert all(np.array_equal(sample, image) for sample in pictures(explorer.samples.value, 8))
    explorer.magnitude.value = 8
    assert not np.array_equal(pictures(explorer.samples.value, 8)[0], image)


def test_the_first_picture_is_the_chosen_image(explorer):
    explorer.image.value = 6
    assert np.array_equal(pictures(explorer.steps.value, len(STEPS))[0], IMAGES[6].numpy())


@pytest.mark.parametrize("ops", OPS)
def test_the_steps_end_with_what_layermix_gives_for_layer_three(ops):
    layermix = LayerMix(FRACTALS, ops=ops, layers=(3,))
    for index in range(30):
        image = IMAGES[index % 8 : index % 8 + 1]
        params = layermix.sample((32, 32), seed=1, epoch=0, index=np.array([index]))
        steps = pipeline_steps(layermix, image, params)
        assert steps.shape == (len(STEPS), 3, 32, 32)
        assert torch.allclose(steps[-1:], layermix.apply(image.float() / 255, params), atol=1e-6)


@pytest.mark.parametrize("layer, step", [(1, 1), (2, 3)])
def test_layers_one_and_two_are_the_second_and_fourth_step(layer, step):
    layermix = LayerMix(FRACTALS, layers=(layer,))
    for index in range(10):
        image = IMAGES[index % 8 : index % 8 + 1]
        params = layermix.sample((32, 32), seed=1, epoch=0, index=np.array([index]))
        steps = pipeline_steps(layermix, image, params)
        assert torch.allclose(steps[step], layermix.apply(image.float() / 255, params)[0], atol=1e-6)


def test_the_samples_are_those_of_layermix_with_the_settings_of_the_sliders(explorer):
    explorer.magnitude.value, explorer.beta.value, explorer.seed.value = 4, 5, 11
    images = (IMAGES[:1].float() / 255).repeat(16, 1, 1, 1)
    expected = LayerMix(FRACTALS, magnitude=4, beta=5)(images, seed=11, epoch=0, index=np.arange(1, 17))
    assert np.array_equal(pictures(explorer.samples.value, 8), (expected * 255).round().byte().numpy())


def test_the_pictures_need_no_matplotlib(explorer, monkeypatch):
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda *_, **__: pytest.fail("a figure was drawn"))
    monkeypatch.setattr("matplotlib.pyplot.figure", lambda *_, **__: pytest.fail("a figure was drawn"))
    explorer.magnitude.value = 1
