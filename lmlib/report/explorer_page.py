"""The explorer without a kernel: a page of one file with pictures made before, and an animation."""

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

from PIL import Image

from ..files import atomic_write, digest, write_text
from .cards import STYLE, as_picture, card_html, cards_picture, data_uri
from .scene import Scene

TEMPLATE = Path(__file__).with_name("explorer.html")
SIDE = 192  # pixels of a picture in the page
WIDTH = 830  # pixels of the animation, that of a page on GitHub
FRAME_MS = 250


def write_page(
    path: Path,
    scene: Scene,
    operations: Sequence[str],
    magnitudes: Sequence[float],
    betas: Sequence[float],
) -> Path:
    """Write sliders over every combination of the settings, over a scene, as one HTML file.

    It opens at the settings of the scene, which are among them. Raises ValueError where not.
    """
    values = list(operations), list(magnitudes), list(betas)
    first = [values[0].index(scene.operation), values[1].index(scene.magnitude)]
    known: dict[tuple, str] = {}  # a layer that β does not change is one picture
    scenes = []
    for operation, magnitude, beta in product(*values):
        shown = replace(scene, operation=operation, magnitude=magnitude, beta=beta)
        keys = [(*card[:2], digest({}, {"image": card.image.numpy()})) for card in shown.cards()]
        for key, card in zip(keys, shown.cards(), strict=True):
            if key not in known:
                picture = as_picture(card.image).resize((SIDE, SIDE))
                address = data_uri(picture, "WEBP", quality=60, method=4)
                known[key] = card_html(card._replace(chosen=False), address)
        scenes.append([list(known).index(key) for key in keys])
    data = {"values": values, "first": [*first, values[2].index(scene.beta)]}
    text = json.dumps(data | {"cards": list(known.values()), "scenes": scenes}, ensure_ascii=False)
    note = (
        f"One draw of many; it opens at {scene}. The bars are what "
        f"{' and '.join(scene.source.networks)} sees: "
        f"the image's own class, then the likeliest two of the others. The fractals are "
        f"{scene.source.mixing_set.label}."
    )
    page = TEMPLATE.read_text(encoding="utf-8")
    for name, part in (("STYLE", STYLE), ("NOTE", note), ("DATA", text.replace("</", "<\\/"))):
        page = page.replace(name, part, 1)
    write_text(path, page)
    return path


def write_animation(path: Path, scenes: Sequence[Scene]) -> Path:
    """Write the image and the layers of some scenes, one after the other, as a moving WebP."""
    pages = [cards_picture(scene.cards()[:4], f"LayerMix: {scene}") for scene in scenes]
    height = max(page.height for page in pages)
    frames = []
    for page in pages:
        frame = Image.new("RGB", (page.width, height), "white")
        frame.paste(page)
        frames.append(frame.resize((WIDTH, WIDTH * height // page.width), Image.Resampling.LANCZOS))
    options = {"duration": FRAME_MS, "loop": 0, "quality": 60, "method": 4}
    with atomic_write(path) as file:
        frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:], **options)
    return path
