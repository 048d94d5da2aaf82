import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from reference import noise, photographs
from torch import nn

from lmlib.fractals.mixing_sets import MixingSet
from lmlib.report.explorer_page import WIDTH, write_animation, write_page
from lmlib.report.scene import Scene, Source

MIXING_SET = MixingSet(noise((36, 36), 5, n_channels=1).numpy(), {
    "substitute": True, "colour": False, "n_fractals": 5
})  # fmt: skip
VALUES = ["rotate", "brightness"], [0, 8], [1, 3, 5]


class Means(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(9.0))

    def forward(self, images):
        return self.scale * images.mean((2, 3))


@pytest.fixture(scope="module")
def scene():
    network = {"a network </script>": Means()}
    classes = "red", "green", "blue"
    return Scene(Source(photographs((32, 32), 2), None, classes, network, MIXING_SET))


@pytest.fixture(scope="module")
def page(scene, tmp_path_factory):
    return write_page(tmp_path_factory.mktemp("page") / "explore.html", scene, *VALUES)


def content(page):
    text = page.read_text(encoding="utf-8")
    found = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    return json.loads(found[0])


def test_the_page_has_every_combination_with_its_own_words(page, scene):
    data = content(page)
    assert data["values"] == [list(part) for part in VALUES] and data["first"] == [0, 1, 1]
    assert len(data["scenes"]) == 12
    for n, (operation, magnitude, beta) in enumerate(
        (o, m, b) for o in VALUES[0] for m in VALUES[1] for b in VALUES[2]
    ):
        made = Scene(scene.source, operation=operation, magnitude=magnitude, beta=beta)
        shown = [data["cards"][k] for k in data["scenes"][n]]
        for card, text in zip(made.cards(), shown, strict=True):
            assert f"<b>{card.title}</b> <small>{card.caption}</small>" in text
            assert text.count("lm-bar") == 3


def test_what_beta_does_not_change_is_in_the_page_once(page):
    data = content(page)
    scenes = np.array(data["scenes"]).reshape(2, 2, 3, 6)
    assert len(np.unique(scenes[..., 0])) == len(np.unique(scenes[..., 5])) == 1
    assert (scenes[:, :, :, (1, 4)] == scenes[:, :, :1, (1, 4)]).all()
    # at m = 0 layer 2 is the same blend of the image with itself for both operations
    assert len(data["cards"]) == 2 + 2 * 4 + 2 * 12 - 3
    assert len(set(data["cards"])) == len(data["cards"])


def test_the_page_asks_for_nothing_else(page):
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)=\\?"(?!data:)', text)
    assert not re.findall(r"https?://|url\(|@import|fetch\(", text)


def test_the_page_says_what_it_shows_and_that_the_fractals_are_generated(page):
    text = page.read_text(encoding="utf-8")
    assert (
        "One draw of many; it opens at m = 8, β = 3, rotate" in text
        and "5 generated fractals (a substitute), grey" in text
    )


def test_the_same_scene_gives_the_same_bytes(page, scene, tmp_path):
    again = write_page(tmp_path / "again.html", scene, *VALUES)
    assert again.read_bytes() == page.read_bytes()


def test_settings_that_the_page_would_not_open_at_are_refused_before_any_work(scene, tmp_path):
    with pytest.raises(ValueError, match="8"):
        write_page(tmp_path / "page.html", scene, ["rotate"], [1, 2], [3])
    assert not list(tmp_path.iterdir())


def test_the_animation_has_a_frame_for_each_scene(scene, tmp_path):
    scenes = [Scene(scene.source, beta=beta) for beta in (1, 3, 9)]
    with Image.open(write_animation(tmp_path / "a.webp", scenes)) as animation:
        assert (animation.n_frames, animation.width) == (3, WIDTH)
        frames = []
        for k in range(3):
            animation.seek(k)
            frames.append(np.asarray(animation.convert("RGB"), float))
    assert np.abs(frames[0] - frames[2]).mean() > 0.5
