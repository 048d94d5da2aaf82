import io

import numpy as np
import pytest
import torch
from PIL import Image
from reference import noise, photographs

from lmlib.augment import METHODS, build_method
from lmlib.augment.by_name import draw
from lmlib.report.widgets import Gallery

IMAGES = photographs((32, 32), 8)
SETS = {kind: noise((36, 36), 5, n_channels=n) for kind, n in (("grey", 1), ("colour", 3))}
KEYS = {"seed": 4, "epoch": 1, "index": np.arange(8)}
MIXING = [name for name, method in METHODS.items() if method.needs_mixing_set]
every_method = pytest.mark.parametrize("name", METHODS)


@pytest.fixture
def gallery():
    return Gallery(IMAGES, SETS, n_samples=6, zoom=2)


def rows(gallery):
    """The rows of the picture: uint8 (n rows, 6, 3, 32, 32)."""
    page = np.asarray(Image.open(io.BytesIO(gallery.picture.value)).convert("RGB"))[::2, ::2]
    return page.reshape(-1, 34, 6, 34, 3)[:, 1:-1, :, 1:-1].transpose(0, 2, 4, 1, 3)


@every_method
def test_what_is_drawn_is_the_method_with_its_defaults_and_the_mixing_set_of_its_published_rows(
    name,
):
    drawn = draw(name, IMAGES, IMAGES, SETS, **KEYS)
    method = build_method(name, mixing_set=SETS[METHODS[name].fractals])
    if method.mixes_labels:
        partners = IMAGES[method.partner_index(8, **KEYS)]
        expected, weight = method(IMAGES, partners, **KEYS)
        assert torch.equal(drawn.other, partners) and torch.equal(drawn.weight, weight)
    else:
        expected = method(IMAGES, **KEYS)
        assert drawn.weight is None and (drawn.other is None) == (name not in MIXING)
    assert torch.equal(drawn.images, expected)


@pytest.mark.parametrize("size", [(32, 32), (224, 224)])
def test_every_method_mixes_with_the_same_fractal_under_equal_keys_but_for_flips_and_grey(size):
    images, sets = photographs(size, 2), {"colour": noise((230, 240), 3)}
    sets["grey"] = sets["colour"][:, :1]
    others = {
        name: draw(name, images, images, sets, seed=0, index=[0, 1]).other[:, 0] for name in MIXING
    }
    for other in others.values():
        flips = [other.flip(axes) if axes else other for axes in ((), (1,), (2,), (1, 2))]
        assert any(torch.equal(flipped[0], others["pixmix"][0]) for flipped in flips)


def test_mixup_is_the_stated_share_of_the_image_and_its_partner():
    drawn = draw("mixup", IMAGES, IMAGES, SETS, **KEYS)
    share = drawn.weight[:, None, None, None]
    expected = share * IMAGES + (1 - share) * drawn.other
    assert (drawn.images - expected).abs().max() <= 0.5 + 1e-3


def test_the_rows_are_the_images_what_they_mix_with_and_the_results(gallery):
    for name in ("layermix", "mixup", "oe", "cutout"):
        gallery.method.value, gallery.seed.value = name, 7
        drawn = draw(name, IMAGES[:6], IMAGES, SETS, seed=7, index=np.arange(6))
        shown = rows(gallery)
        assert np.array_equal(shown[0], IMAGES[:6].numpy()) and np.array_equal(
            shown[-1], drawn.images.numpy()
        )
        assert len(shown) == (2 if drawn.other is None else 3)
        if drawn.other is not None:
            other = (
                drawn.other
                if drawn.other.dtype == torch.uint8
                else (drawn.other * 255).round().byte()
            )
            assert np.array_equal(shown[1], other.numpy())


def test_one_image_is_shown_with_as_many_draws():
    gallery = Gallery(IMAGES[:1], SETS, n_samples=6, zoom=2)
    shown = rows(gallery)
    assert (shown[0] == IMAGES[0].numpy()).all()
    assert len({image.tobytes() for image in shown[-1]}) > 3  # some operations have no level


@every_method
def test_every_method_can_be_chosen_and_says_its_name(gallery, name):
    gallery.method.value = name
    assert gallery.caption.value.startswith(f"<b>{name}</b>")
    assert ("own label's weight" in gallery.caption.value) == (name in ("mixup", "cutmix"))


def test_another_seed_changes_the_picture_and_back_is_as_before(gallery):
    before = gallery.picture.value
    gallery.seed.value = 5
    assert gallery.picture.value != before
    gallery.seed.value = 0
    assert gallery.picture.value == before


def test_the_picture_needs_no_matplotlib(gallery, monkeypatch):
    monkeypatch.setattr(
        "matplotlib.figure.Figure.savefig", lambda *_, **__: pytest.fail("a figure was drawn")
    )
    monkeypatch.setattr(
        "matplotlib.pyplot.figure", lambda *_, **__: pytest.fail("a figure was drawn")
    )
    gallery.method.value = "pixmix"


def test_the_gaps_between_the_pictures_are_transparent_and_nothing_else(gallery):
    page = np.asarray(Image.open(io.BytesIO(gallery.picture.value)))[::2, ::2]
    opaque = page.reshape(-1, 34, 6, 34, 4)[..., 3]
    assert (opaque[:, 1:-1, :, 1:-1] == 255).all() and (opaque[:, [0, -1]] == 0).all()
