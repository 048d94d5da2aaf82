"""Pictures with bars, as HTML for a browser and as one picture; charts as SVG."""

import base64
import html
import io
from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import numpy as np
import torch
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from .plots import COLOURS, pixels
from .scene import Card

OWN, OTHER = COLOURS[0], COLOURS[5]  # bars of the own class, and of others
STYLE = """<style>
.widget-html-content {min-width: 0}
.lm-cards {display: grid; grid-template-columns: repeat(auto-fit, minmax(145px, 1fr)); gap: 12px;
  max-width: 1900px; font: 13px/1.35 system-ui, sans-serif}
.lm-cards figure {margin: 0}
.lm-cards img {display: block; width: 100%; aspect-ratio: 1; border-radius: 4px}
.lm-cards .lm-chosen img {box-shadow: 0 0 0 3px #0072B2}
.lm-cards figcaption {margin: 5px 0 3px; min-height: 5.4em}
.lm-cards small {opacity: .75; font-size: 12px}
.lm-bar {display: grid; grid-template-columns: 1fr 28% 3em; gap: 4px; align-items: center}
.lm-bar span {overflow: hidden; text-overflow: ellipsis; white-space: nowrap}
.lm-bar i {height: 9px; border-radius: 2px}
.lm-bar b {font-weight: normal; text-align: right}
.lm-charts {display: flex; flex-wrap: wrap; gap: 12px}
.lm-charts svg {flex: 1 1 300px; max-width: 480px; font: 11px system-ui, sans-serif}
</style>"""
SHOWN = 224  # pixels that a small image is enlarged to, at most


def as_picture(image: torch.Tensor) -> Image.Image:
    """An image, float (3, H, W) in [0, 1], for Pillow; a small one enlarged by a whole factor."""
    array = (pixels(image) * 255).round().astype(np.uint8)
    zoom = max(SHOWN // len(array), 1)
    return Image.fromarray(array.repeat(zoom, 0).repeat(zoom, 1))


def data_uri(picture: Image.Image, kind: str, **options: Any) -> str:
    """A picture as the address of itself; kind: a format of Pillow; options: of its encoder."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def card_html(card: Card, address: str) -> str:
    """A card as HTML; address: of its picture."""
    said, text = html.escape(card.title), html.escape(card.caption)
    parts = [f'<img src="{address}" alt="{said}: {text}">']
    parts.append(f"<figcaption><b>{said}</b> <small>{text}</small></figcaption>")
    for network, seen in card.seen.items():
        parts.append(f"<small>{html.escape(network)}</small>" if len(card.seen) > 1 else "")
        for n, (name, share) in enumerate(seen):
            bar = f'<i style="width: {share:.0%}; background: {OTHER if n else OWN}"></i>'
            label = f'<span title="{html.escape(name)}">{html.escape(name)}</span>'
            parts.append(f'<div class="lm-bar">{label}{bar}<b>{share:.0%}</b></div>')
    kind = ' class="lm-chosen"' if card.chosen else ""
    return f"<figure{kind}>{''.join(parts)}</figure>"


def cards_html(cards: Sequence[Card]) -> str:
    """Cards side by side, as many as the window is wide for."""
    addresses = [data_uri(as_picture(card.image), "JPEG", quality=90) for card in cards]
    shown = map(card_html, cards, addresses)
    return f'{STYLE}<div class="lm-cards">{"".join(shown)}</div>'


def cards_picture(cards: Sequence[Card], footer: str) -> Image.Image:
    """Cards side by side as one picture, on white, with a line below that says the settings."""
    fonts = font_manager.findfont("DejaVu Sans"), font_manager.findfont("DejaVu Sans:bold")
    small, bold = ImageFont.truetype(fonts[0], 12), ImageFont.truetype(fonts[1], 14)
    captions = [wrap(card.caption, 32) for card in cards]
    n_lines, step = max(map(len, captions)), SHOWN + 12
    n_bars = max(sum(len(seen) + 1 for seen in card.seen.values()) for card in cards)
    bars = SHOWN + 40 + 16 * n_lines
    height = bars + 16 * n_bars + 34
    page = Image.new("RGB", (step * len(cards) + 12, height), "white")
    pen = ImageDraw.Draw(page)
    for n, (card, lines) in enumerate(zip(cards, captions, strict=True)):
        left, y = 12 + n * step, bars
        if card.chosen:
            pen.rectangle((left - 3, 9, left + SHOWN + 2, SHOWN + 14), fill=OWN)
        page.paste(as_picture(card.image).resize((SHOWN, SHOWN)), (left, 12))
        pen.text((left, SHOWN + 18), card.title, "black", bold)
        pen.text((left, SHOWN + 36), "\n".join(lines), "#444444", small, spacing=2)
        for network, seen in card.seen.items():
            pen.text((left, y), network, "#444444", small)
            for k, (name, share) in enumerate(seen):
                y += 16
                pen.text((left, y), name[:16], "black", small)
                box = left + 112, y + 3, left + 112 + 70 * share, y + 12
                pen.rectangle(box, fill=OTHER if k else OWN)
                pen.text((left + SHOWN, y), f"{share:.0%}", "black", small, anchor="ra")
            y += 16
    pen.text((12, height - 24), footer, "#444444", small)
    return page


Line = tuple[str, str, Sequence[float] | np.ndarray, Sequence[float] | np.ndarray]
"""A line of a chart: its name, its look in SVG, and its points (x, y)."""


def line_chart(
    title: str,
    x_label: str,
    lines: Sequence[Line],
    ends: tuple[float, float],
    mark: float | None = None,
) -> str:
    """Lines as SVG; ends: of the axes, which begin at 0, y a fraction; mark: where x is now."""
    right, top = ends

    def place(x: float, y: float) -> str:
        return f"{40 + 250 * x / right:.1f},{150 - 120 * y / top:.1f}"

    parts = [f'<text x="40" y="14" font-weight="bold">{title}</text>']
    parts.append(f'<text x="165" y="182" text-anchor="middle">{x_label}</text>')
    for y in (0, top / 2, top):
        height = 150 - 120 * y / top
        parts.append(f'<path d="M40 {height}H290" stroke="currentColor" opacity=".2"/>')
        parts.append(f'<text x="36" y="{height + 4}" text-anchor="end">{y:.0%}</text>')
    for x in np.linspace(0, right, 6):
        at = place(x, 0).partition(",")[0]
        parts.append(f'<text x="{at}" y="166" text-anchor="middle">{x:g}</text>')
    if mark is not None:
        now = place(mark, 0).partition(",")[0]
        parts.append(f'<path d="M{now} 30V150" stroke="currentColor" stroke-dasharray="2 3"/>')
    for n, (name, look, xs, ys) in enumerate(lines):
        points = " ".join(map(place, xs, ys))
        parts.append(f'<polyline points="{points}" fill="none" stroke-width="2" {look}/>')
        parts.append(f'<path d="M298 {34 + 16 * n}h16" stroke-width="2" {look}/>')
        parts.append(f'<text x="318" y="{38 + 16 * n}">{name}</text>')
    shapes = "".join(parts)
    kind = f'viewBox="0 0 430 190" role="img" aria-label="{title}" fill="currentColor"'
    return f"<svg {kind}>{shapes}</svg>"
