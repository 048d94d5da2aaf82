import asyncio
import io
import sys

import numpy as np
import pytest
import torch
from jupyter_client.manager import start_new_kernel
from PIL import Image
from reference import noise, photographs

from lmlib import LayerMix
from lmlib.augment.blend import BLENDS
from lmlib.augment.ops import OPS
from lmlib.report.widgets import STEPS, Explorer, pipeline_steps

IMAGES, FRACTALS = photographs((32, 32), 8), noise((36, 36), 5, n_channels=1)
GEOMETRIC = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")


@pytest.fixture
def explorer():
    return Explorer(IMAGES, FRACTALS)


def shown(explorer):
    return explorer.steps.value, explorer.samples.value


def pictures(png, n_columns, zoom=3):
    """The pictures of a PNG without the white gaps around them: uint8 (n, 3, 32, 32)."""
    page = np.asarray(Image.open(io.BytesIO(png)))[::zoom, ::zoom]
    n = n_columns * (page.shape[0] // 34)
    tiles = [page[34 * (k // n_columns) :, 34 * (k % n_columns) :][1:33, 1:33] for k in range(n)]
    return np.stack(tiles).transpose(0, 3, 1, 2)


@pytest.mark.parametrize(
    "control, value",
    [
        ("magnitude", 2),
        ("beta", 1),
        ("image", 5),
        ("seed", 7),
        ("ops", "released"),
        ("layer", 3),
        ("shared", False),
    ],
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
    for control, value in (
        (explorer.magnitude, 1),
        (explorer.beta, 9),
        (explorer.seed, 5),
        (explorer.image, 2),
    ):
        old, control.value = control.value, value
        assert shown(explorer) != before
        control.value = old
    assert shown(explorer) == before == shown(Explorer(IMAGES, FRACTALS))


def test_an_operation_of_the_other_set_is_left_when_the_set_changes(explorer):
    explorer.operation.value = "grayscale"
    explorer.ops.value = "released"
    assert explorer.operation.value == "any" and set(explorer.operation.options) == {
        "any",
        *OPS["released"],
    }
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
        assert torch.equal(steps[-1:], layermix.apply(image.float() / 255, params))


@pytest.mark.parametrize("layer, step", [(1, 1), (2, 3)])
def test_layers_one_and_two_are_the_second_and_fourth_step(layer, step):
    layermix = LayerMix(FRACTALS, layers=(layer,))
    for index in range(10):
        image = IMAGES[index % 8 : index % 8 + 1]
        params = layermix.sample((32, 32), seed=1, epoch=0, index=np.array([index]))
        steps = pipeline_steps(layermix, image, params)
        assert torch.equal(steps[step], layermix.apply(image.float() / 255, params)[0])


def test_the_samples_are_those_of_layermix_with_the_settings_of_the_sliders(explorer):
    explorer.magnitude.value, explorer.beta.value, explorer.seed.value = 4, 5, 11
    images = (IMAGES[:1].float() / 255).repeat(16, 1, 1, 1)
    expected = LayerMix(FRACTALS, magnitude=4, beta=5)(
        images, seed=11, epoch=0, index=np.arange(1, 17)
    )
    assert np.array_equal(
        pictures(explorer.samples.value, 8), (expected * 255).round().byte().numpy()
    )


def test_the_pictures_need_no_matplotlib(explorer, monkeypatch):
    monkeypatch.setattr(
        "matplotlib.figure.Figure.savefig", lambda *_, **__: pytest.fail("a figure was drawn")
    )
    monkeypatch.setattr(
        "matplotlib.pyplot.figure", lambda *_, **__: pytest.fail("a figure was drawn")
    )
    explorer.magnitude.value = 1


async def drag(explorer, moves, n_events=40):
    """Move the magnitude as a kernel's events do, one after the other; returns what was drawn."""
    drawn, update = [], explorer.update
    explorer.update = lambda: (drawn.append(explorer.magnitude.value), update())
    for value in np.linspace(0, 10, n_events).round(1):
        explorer.magnitude.value = value
        await moves()
    while explorer.scheduled:
        await asyncio.sleep(0.01)
    return drawn


async def none_between():
    pass


def test_of_events_that_wait_for_one_another_the_newest_alone_is_drawn(explorer):
    assert asyncio.run(drag(explorer, none_between)) == [10]
    assert shown(explorer) == shown(at_magnitude(10))


def at_magnitude(value):
    explorer = Explorer(IMAGES, FRACTALS)
    explorer.magnitude.value = value
    return explorer


def test_a_drag_that_goes_on_is_followed_before_it_ends(explorer, monkeypatch):
    monkeypatch.setattr(
        "lmlib.report.widgets.QUIET_SECONDS", 3600
    )  # so that no pause is long enough
    drawn = asyncio.run(drag(explorer, lambda: asyncio.sleep(0.05)))
    assert 1 < len(drawn) < 40 and drawn[0] < drawn[-1] == 10


def test_an_event_that_comes_alone_is_drawn(explorer):
    assert asyncio.run(drag(explorer, none_between, n_events=1)) == [0]


SLOW = f"""
import sys, time
sys.path[:0] = {sys.path!r}
import numpy as np
from lmlib.report.widgets import Explorer
images, mixing_set = np.zeros((2, 3, 32, 32), np.uint8), np.zeros((2, 1, 36, 36), np.uint8)
explorer, drawn = Explorer(images, mixing_set), []
def update():
    time.sleep(1)
    drawn.append(explorer.magnitude.value)
explorer.update = update
print(explorer.magnitude.comm.comm_id)"""


def test_a_kernel_draws_the_newest_of_the_values_that_queued_up_while_it_drew():
    """Messages as a front end sends them: 40 values come while the first picture takes a second."""
    manager, client = start_new_kernel(kernel_name="python3")

    def printed(code):
        said = []
        client.execute_interactive(
            code, timeout=120, output_hook=lambda message: said.append(message["content"])
        )
        assert not any("ename" in content for content in said), said
        return "".join(content.get("text", "") for content in said).strip()

    try:
        comm = printed(SLOW)
        values = np.linspace(0, 10, 41).round(2).tolist()
        for value in values:
            state = {"method": "update", "state": {"value": value}, "buffer_paths": []}
            client.shell_channel.send(
                client.session.msg("comm_msg", {"comm_id": comm, "data": state})
            )
        waiting = (
            "import asyncio\nwhile explorer.scheduled: await asyncio.sleep(0.05)\nprint(*drawn)"
        )
        drawn = [float(value) for value in printed(waiting).split()]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert drawn[-1] == 10 and len(drawn) < len(values) / 2
