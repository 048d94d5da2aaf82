import asyncio
import base64
import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from jupyter_client.manager import start_new_kernel
from PIL import Image
from torch import nn

from lmlib import paths
from lmlib.augment.ops import OPS
from lmlib.models.pretrained import photograph
from lmlib.report import scene
from lmlib.report.explorer import UPLOADED, Explorer
from lmlib.report.scene import ANY


class Linear(nn.Module):
    """A network of ImageNet's size that costs nothing: logits are a function of the mean colour."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-9, 9, 3000).reshape(3, 1000).sin() * 20)

    def forward(self, images):
        return images.mean((2, 3)) @ self.weight


@pytest.fixture
def explorer(monkeypatch):
    monkeypatch.setattr(scene, "photograph_network", Linear)
    return Explorer("quick", n_fractals=2)


def test_it_opens_on_a_photograph_at_the_defaults_of_the_paper_with_a_level_to_move(explorer):
    assert (explorer.magnitude.value, explorer.beta.value) == (8, 3)
    assert explorer.image.value == "china" and explorer.scene.has_level()
    assert torch.equal(explorer.cards[0].image, photograph("china") / 255)


@pytest.mark.parametrize(
    "control, value",
    [
        ("magnitude", 7.5),
        ("beta", 2.5),
        ("image", "flower"),
        ("seed", 7),
        ("operation", ANY),
        ("blend", "mix_pixels"),
        ("shared", False),
        ("ops", "released"),
        ("layers", (1,)),
    ],
)
def test_a_control_that_moves_changes_what_is_shown_and_back_is_as_before(explorer, control, value):
    before = explorer.shown.value, explorer.operation.value
    moved, old = getattr(explorer, control), getattr(explorer, control).value
    moved.value = value
    assert explorer.shown.value != before[0] and str(explorer.scene) in explorer.said.value
    moved.value = old
    explorer.operation.value = before[1]
    assert explorer.shown.value == before[0]


def test_an_operation_of_the_other_set_is_left_when_the_set_changes(explorer):
    explorer.operation.value = "brightness"
    explorer.ops.value = "released"
    assert explorer.operation.value == ANY
    assert set(explorer.operation.options) == {ANY, *OPS["released"]}
    explorer.ops.value = "paper"
    assert "brightness" in explorer.operation.options


def test_stages_that_differ_draw_from_all_operations(explorer):
    explorer.shared.value = False
    assert explorer.operation.value == ANY and "IID" in explorer.said.value
    assert len(explorer.scene.layermix.table) == len(OPS["paper"])


def test_an_operation_without_a_level_is_said_to_have_none(explorer):
    assert "no level" not in explorer.said.value
    explorer.operation.value = "equalize"
    assert "no level: m changes nothing" in explorer.said.value


def test_the_die_brings_another_draw_and_compare_keeps_the_first(explorer):
    first = explorer.shown.value
    explorer.compare.value = True
    explorer.die.click()
    assert explorer.scene.seed == 7 and explorer.shown.value != first
    assert first in explorer.kept.value and "draw 6" in explorer.kept.value
    explorer.compare.value = False
    assert explorer.kept.value == ""


def upload(explorer, name, content):
    explorer.take({"new": (SimpleNamespace(name=name, content=memoryview(content)),)})


def test_a_picture_of_ones_own_is_shown_and_the_next_one_too(explorer):
    for shade in (50, 200):
        file = io.BytesIO()
        Image.new("RGB", (300, 240), (shade, 0, 0)).save(file, "PNG")
        upload(explorer, "own.png", file.getvalue())
        assert explorer.image.value == UPLOADED
        assert (explorer.cards[0].image[0] * 255).round().unique().tolist() == [shade]


def test_what_is_no_picture_is_refused_in_a_sentence_and_what_was_shown_stays(explorer):
    before = explorer.shown.value
    upload(explorer, "<notes>.txt", b"no picture")
    assert "&lt;notes&gt;.txt: not an image" in explorer.said.value
    assert explorer.shown.value == before


def test_images_of_a_dataset_are_chosen_by_number_and_keep_their_labels(explorer):
    explorer.image.value = "digits"
    assert explorer.number.max == 499 and explorer.number.layout.display == ""
    explorer.number.value = 3
    data = explorer.scene.source
    assert explorer.cards[0].image.shape == (3, 32, 32)
    assert explorer.cards[0].caption == data.classes[data.labels[3]]
    explorer.image.value = "china"
    assert explorer.number.value == 0 and explorer.number.layout.display == "none"


def test_a_dataset_that_is_not_here_is_named_and_the_next_choice_is_shown(
    explorer, monkeypatch, tmp_path
):
    monkeypatch.setattr(paths, "RESULTS", paths.SOURCE / "data" / "results")
    monkeypatch.setattr(paths, "RAW", tmp_path)
    explorer.image.value = "cifar10"
    assert "the images of cifar10 are not here" in explorer.said.value
    explorer.image.value = "flower"
    assert torch.equal(explorer.cards[0].image, photograph("flower") / 255)


def test_at_rest_come_the_charts_and_the_picture_to_save(explorer):
    assert 'aria-disabled="true"' in explorer.said.value
    asyncio.run(explorer.rest())
    address = explorer.said.value.partition("base64,")[2].partition('"')[0]
    assert base64.b64decode(address) == explorer.still()
    assert 'download="layermix.png"' in explorer.said.value
    assert explorer.charts.value.count("<svg") == 2 and explorer.charts.value.count("polyline") == 6


def test_the_pictures_need_no_matplotlib(explorer, monkeypatch):
    for name in ("matplotlib.figure.Figure.savefig", "matplotlib.pyplot.figure"):
        monkeypatch.setattr(name, lambda *_, **__: pytest.fail("a figure was drawn"))
    explorer.magnitude.value = 1
    explorer.still()


def test_a_copy_without_a_kernel_shows_the_picture_and_no_text_of_the_widget(explorer):
    bundle = explorer._repr_mimebundle_()
    assert base64.b64decode(bundle["image/png"]) == explorer.still()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert "VBox" not in bundle["text/plain"]


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
    assert explorer.scene.magnitude == 10


def test_a_drag_that_goes_on_is_followed_before_it_ends(explorer, monkeypatch):
    monkeypatch.setattr("lmlib.report.widgets.QUIET_SECONDS", 3600)  # no pause is long enough
    drawn = asyncio.run(drag(explorer, lambda: asyncio.sleep(0.05)))
    assert 1 < len(drawn) < 40 and drawn[0] < drawn[-1] == 10


def test_an_event_that_comes_alone_is_drawn(explorer):
    assert asyncio.run(drag(explorer, none_between, n_events=1)) == [0]


def test_an_event_ends_the_charts_that_were_being_made(explorer, monkeypatch):
    monkeypatch.setattr("lmlib.report.explorer.REST_SECONDS", 0)

    async def interrupted():
        explorer.update()
        first = explorer.resting
        await asyncio.sleep(0.05)  # it has begun, and pauses eleven times
        explorer.magnitude.value = 2
        while explorer.scheduled:
            await asyncio.sleep(0.01)
        await explorer.resting
        return first.cancelled() or first.done()

    explorer.charts.value = ""
    assert asyncio.run(interrupted())
    assert 'd="M90.0 30V150"' in explorer.charts.value  # the mark at m = 2


SLOW = f"""
import sys, time
sys.path[:0] = {sys.path!r}
import ipywidgets
from lmlib.report.widgets import Debounced
class Slow(Debounced):
    def __init__(self):
        self.slider, self.drawn = ipywidgets.FloatSlider(), []
        self.watch(self.slider)
    def update(self):
        time.sleep(1)
        self.drawn.append(self.slider.value)
explorer = Slow()
print(explorer.slider.comm.comm_id)"""


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
            "import asyncio\nwhile explorer.scheduled: await asyncio.sleep(0.05)\n"
            "print(*explorer.drawn)"
        )
        drawn = [float(value) for value in printed(waiting).split()]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert drawn[-1] == 10 and len(drawn) < len(values) / 2
