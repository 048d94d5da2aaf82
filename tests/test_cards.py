import base64
import io
import re

import numpy as np
import torch
from PIL import Image

from lmlib.report.cards import SHOWN, Card, card_html, cards_html, cards_picture, line_chart

IMAGE = torch.rand((3, 32, 32), generator=torch.Generator().manual_seed(0))
SEEN = {"plain": [("cat", 0.25), ("<dog>", 0.5)], "LayerMix": [("cat", 0.75), ("frog", 0.125)]}
CARD = Card("layer 1", "rotate −3.0° & <more>", IMAGE, SEEN, chosen=True)


def test_a_card_says_everything_and_escapes_it():
    text = card_html(CARD, "data:,")
    assert text.count("lm-bar") == 4 and 'class="lm-chosen"' in text
    assert "rotate −3.0° &amp; &lt;more&gt;" in text and "<more>" not in text
    assert 'alt="layer 1: rotate −3.0° &amp; &lt;more&gt;"' in text
    assert re.findall(r"width: (\d+)%", text) == ["25", "50", "75", "12"]
    assert "<dog>" not in text and "plain" in text and "LayerMix" in text


def test_small_images_are_enlarged_by_a_whole_factor():
    (address,) = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', cards_html([CARD]))
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(address))), float)
    expected = (IMAGE.permute(1, 2, 0) * 255).numpy().repeat(7, 0).repeat(7, 1)
    assert shown.shape == (224, 224, 3)
    assert np.abs(shown[3::7, 3::7] - expected[3::7, 3::7]).mean() < 12  # of 255: JPEG


def test_the_picture_holds_each_image_as_it_is_and_bars_as_long_as_their_shares():
    cards = [CARD, CARD._replace(title="layer 2", chosen=False, image=1 - IMAGE)]
    page = np.asarray(cards_picture(cards, "m = 8"))
    for left, card in ((12, cards[0]), (12 + SHOWN + 12, cards[1])):
        shown = page[12 : 12 + SHOWN, left : left + SHOWN]
        expected = (card.image.permute(1, 2, 0) * 255).round().byte().numpy()
        assert np.array_equal(shown[::7, ::7], expected)
        blue = (page[:, left : left + SHOWN] == (0, 0x72, 0xB2)).all(-1)[SHOWN + 20 :].sum(1)
        assert sorted(set(blue)) == [0, 18, 53]  # 25 and 75 % of 70 pixels, ends included


def test_a_chart_places_its_points_between_the_ends_of_its_axes():
    lines = [("layer 1", 'stroke="red"', (0, 5, 10), (0, 0.5, 1))]
    text = line_chart("confidence", "m", lines, (10, 1), mark=5)
    assert 'points="40.0,150.0 165.0,90.0 290.0,30.0"' in text
    assert 'd="M165.0 30V150"' in text and 'aria-label="confidence"' in text
    assert [f">{n}</text>" in text for n in ("0%", "50%", "100%", "10", "m", "layer 1")] == [
        True
    ] * 6
