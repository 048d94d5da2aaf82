from dataclasses import replace

import numpy as np
import pytest
import torch
from reference import noise, photographs
from torch import nn

from lmlib import fractals, paths
from lmlib.analysis.steps import LAYERS
from lmlib.augment.blend import BLENDS
from lmlib.augment.ops import OPS
from lmlib.fractals.mixing_sets import MixingSet
from lmlib.report.scene import (
    ANY,
    BLEND_TITLES,
    ORDER,
    TITLES,
    Scene,
    Source,
    dataset_source,
    networks_of,
)

IMAGES = photographs((32, 32), 8)
MIXING_SET = MixingSet(noise((36, 36), 5, n_channels=1).numpy(), {})
CLASSES = "red", "green", "blue", "none"


class Means(nn.Module):
    """Logits that can be seen in an image: the means of its channels, and 0.5."""

    def __init__(self, scale):
        super().__init__()
        self.scale, self.images = nn.Parameter(torch.tensor(scale)), 0

    def forward(self, images):
        self.images += len(images)
        means = images.mean((2, 3))
        return self.scale * torch.cat([means, torch.full((len(means), 1), 0.5)], 1)


@pytest.fixture
def source():
    networks = {"mild": Means(1.0), "steep": Means(20.0)}
    return Source(IMAGES, np.arange(8) % 4, CLASSES, networks, MIXING_SET)


SCENES = [
    {},
    {"magnitude": 4, "beta": 1.5, "seed": 3},
    {"operation": ANY, "blend": ANY, "shared": False, "ops": "released", "seed": 11},
    {"blend": "mix_elements", "layers": (2,), "position": 5},
    {"operation": "solarize", "blend": "multiply", "layers": (3,), "beta": 0.5},
]


@pytest.mark.parametrize("settings", SCENES)
def test_the_copied_code_makes_the_framed_picture(source, monkeypatch, settings):
    scene = Scene(source, **settings)
    asked = []

    def mixing_set(**options):
        asked.append(options)
        return MIXING_SET

    monkeypatch.setattr(fractals, "mixing_set", mixing_set)
    names = {"images": scene.image / 255}
    exec(scene.snippet(), names)
    assert asked == [{"n_fractals": 5, "size": 36}]
    (framed,) = [card for card in scene.cards() if card.chosen]
    assert torch.equal(names["images"][0], framed.image)
    assert framed.title in [f"layer {layer}" for layer in settings.get("layers", (1, 2, 3))]


def test_the_cards_are_the_image_its_layers_the_second_view_and_the_fractal(source):
    scene = Scene(source, position=2)
    cards = scene.cards()
    assert [card.title for card in cards] == list(TITLES)
    assert torch.equal(cards[0].image, IMAGES[2] / 255)
    assert all(
        torch.equal(card.image, scene.steps[k]) for card, k in zip(cards, ORDER, strict=True)
    )
    fractal = MIXING_SET.images[scene.drawn.picture[0]]
    assert set((cards[5].image * 255).round().byte().unique().tolist()) <= set(np.unique(fractal))


def test_a_slider_of_magnitude_at_zero_leaves_layer_one_alone_and_beta_never_moves_it(source):
    still = Scene(source, magnitude=0)
    assert torch.equal(still.cards()[1].image, still.cards()[0].image)
    assert "rotate +0.0°; mean change 0.0%" in still.cards()[1].caption
    first, second = (Scene(source, beta=beta).cards() for beta in (1, 5))
    moved = [not torch.equal(a.image, b.image) for a, b in zip(first, second, strict=True)]
    assert dict(zip(TITLES, moved, strict=True)) == dict.fromkeys(TITLES, False) | {
        "layer 2": True, "layer 3": True
    }  # fmt: skip


@pytest.mark.parametrize("ops", OPS)
def test_every_operation_is_named_with_its_level_and_unit(source, ops):
    for name in OPS[ops]:
        scene = Scene(source, operation=name, ops=ops, blend="mix_pixels")
        text, level = scene.cards()[1].caption, scene.drawn.level[0, 0]
        assert text.startswith(name) and scene.has_level() == any(
            c.isdigit() for c in text.split(";")[0]
        )
        if name == "rotate":
            assert text.startswith(f"rotate {level:+.1f}°".replace("-", "−"))
        if name == "brightness":
            assert text.startswith(f"brightness factor {level:.2f};")


@pytest.mark.parametrize("blend", BLENDS)
def test_every_blend_is_named_as_in_table_1_with_its_weights(source, blend):
    scene = Scene(source, blend=blend)
    second, third = (card.caption for card in scene.cards()[2:4])
    a, b, keep = (getattr(scene.drawn, name)[0] for name in ("a", "b", "keep"))
    assert second.startswith(BLEND_TITLES[blend]) and third.startswith(BLEND_TITLES[blend])
    if blend == "add":
        assert f"{a[0]:.2f} × layer 1 {b[0]:+.2f} × second view".replace("-", "−") in second
        assert f"{a[1]:.2f} × layer 2 {b[1]:+.2f} × fractal, then rotate".replace("-", "−") in third
    if blend == "mix_pixels":
        assert f"{keep[0]:.0%} of layer 1, whatever β is" in second


def test_bars_are_the_own_class_and_the_likeliest_others_of_each_network(source):
    card = Scene(source, position=1).cards()[0]
    means = torch.cat([(IMAGES[1] / 255).mean((1, 2)), torch.tensor([0.5])])
    for network, scale in (("mild", 1), ("steep", 20)):
        expected = dict(zip(CLASSES, (scale * means).softmax(0).tolist(), strict=True))
        (own, share), *others = card.seen[network]
        assert own == "green" and share == pytest.approx(expected["green"], abs=1e-5)
        del expected["green"]
        assert [name for name, _ in others] == sorted(expected, key=expected.get, reverse=True)[:2]
        assert [share for _, share in others] == pytest.approx(
            sorted(expected.values(), reverse=True)[:2], abs=1e-5
        )


def test_without_labels_the_own_class_is_what_the_first_network_sees_in_the_untouched_image(source):
    scene = Scene(replace(source, labels=None), position=3)
    means = [*(IMAGES[3] / 255).mean((1, 2)).tolist(), 0.5]
    assert scene.own == np.argmax(means)
    assert all(card.seen["mild"][0][0] == CLASSES[scene.own] for card in scene.cards())


def test_the_confidence_at_a_magnitude_is_that_of_the_cards_there(source):
    scene = Scene(source)
    found = scene.confidence(3)
    assert found.shape == (2, 3)
    cards = replace(scene, magnitude=3).cards()[1:4]
    expected = [[card.seen[name][0][1] for card in cards] for name in ("mild", "steep")]
    assert np.array_equal(found, np.float32(expected))


def test_a_network_sees_an_image_once(source):
    Scene(source).cards()
    assert source.networks["mild"].images == 6
    Scene(source, beta=1).cards()  # layers 2 and 3 are others
    assert source.networks["mild"].images == 8


def test_changes_are_those_of_the_layers(source):
    scene = Scene(source)
    expected = [(scene.steps[k] - scene.steps[0]).abs().mean().item() for k in LAYERS]
    assert scene.changes().mean(1) == pytest.approx(expected, abs=1e-6)
    assert f"mean change {expected[2]:.1%}" in scene.cards()[3].caption


def test_the_networks_of_cifar10_are_plain_training_and_layermix_as_committed(monkeypatch):
    monkeypatch.setattr(paths, "RESULTS", paths.SOURCE / "data" / "results")
    networks = networks_of("cifar10")
    assert list(networks) == ["plain training", "LayerMix"]
    logits = [model(torch.from_numpy(noise((32, 32), 2).numpy())) for model in networks.values()]
    assert logits[0].shape == (2, 10) and not torch.equal(*logits)


def test_a_dataset_without_its_images_is_refused_in_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "RESULTS", paths.SOURCE / "data" / "results")
    monkeypatch.setattr(paths, "RAW", tmp_path)
    with pytest.raises(ValueError, match="the images of cifar10 are not here"):
        dataset_source("cifar10", 2)
