"""Fig. 1: every method on the same image and the same mixing image, still and under widgets."""

import inspect
from typing import NamedTuple

import ipywidgets as widgets
import numpy as np
import torch

from ..augment import METHODS, build_method
from ..augment.base import as_float
from ..augment.ops import as_tensor
from .explorer import sheet


class Drawn(NamedTuple):
    """What a method made of images (B, 3, H, W), of their dtype, and with what."""

    images: torch.Tensor
    other: torch.Tensor | None  # partners, or mixing images (outliers), float32 (B, 3, H, W); None: mixed with nothing
    weight: torch.Tensor | None  # float32 (B,), the own label's share; None: labels stay


def draw(name, images, partners, mixing_sets, *, seed, epoch=0, index):
    """One method, by name and with its defaults, on a batch: `Drawn`.

    images: (B, 3, H, W), uint8 or float in [0, 1]; partners: (N, 3, H, W) of the same dtype, of which Mixup and CutMix take one
    for each image, by key; mixing_sets: {"grey": ..., "colour": ...} as the methods take them, of which each uses the one of its
    published rows. Under equal keys all methods mix with the same fractal, cut at the same place (LayerMix flips it too).
    """
    keys = {"seed": seed, "epoch": epoch, "index": index}
    method = build_method(name, mixing_set=mixing_sets[METHODS[name].fractals])
    if method.mixes_labels:
        partners = partners[torch.from_numpy(method.partner_index(len(partners), **keys))]
        mixed, weight = method(images, partners, **keys)
        return Drawn(mixed, partners, weight)
    other = None
    if METHODS[name].needs_mixing_set:
        size = tuple(images.shape[-2:])
        drawn = method.mixing.sample(size, **keys)
        other = method.mixing.crop(*drawn, size, images.device).expand(-1, 3, -1, -1)
    return Drawn(method(images, **keys), other, None)


class Gallery:
    """A choice of method and a slider for the seed; below them the images, what each is mixed with, and what the method makes.

    images: uint8 (N, 3, H, W), also the partners; shown are `n_samples` of them (the first ones, again from the start where N is
    less); mixing_sets as in `draw`. `widget` is what a notebook shows. No matplotlib.
    """

    def __init__(self, images, mixing_sets, *, n_samples=8, zoom=3):
        self.images, self.mixing_sets, self.zoom = as_tensor(images), mixing_sets, zoom
        self.index = np.arange(n_samples)
        self.method = widgets.Dropdown(options=list(METHODS), value="layermix", description="method")
        self.seed = widgets.IntSlider(0, min=0, max=99, description="seed")
        self.caption, self.picture = widgets.HTML(), widgets.Image(format="png")
        for control in (self.method, self.seed):
            control.observe(self.update, "value")
        self.widget = widgets.VBox([widgets.HBox([self.method, self.seed]), self.caption, self.picture])
        self.update()

    def update(self, change=None):
        """Draw for the controls as they stand."""
        name, images = self.method.value, self.images[self.index % len(self.images)]
        drawn = draw(name, images, self.images, self.mixing_sets, seed=self.seed.value, index=self.index)
        other = [] if drawn.other is None else [as_float(drawn.other)]
        rows = [as_float(images), *other, as_float(drawn.images)]
        self.picture.value = sheet(torch.cat(rows), len(self.index), self.zoom)
        self.caption.value = caption(name, drawn)


def caption(name, drawn):
    """A method in a line of HTML: what it does, what the rows are, and the weights of the labels where they are mixed."""
    if drawn.other is None:
        rows = "images, results"
    elif drawn.weight is None:
        rows = f"images, {'outliers' if name == 'oe' else 'mixing images'}, results"
    else:
        rows = f"images, partners, results; own label's weight: {', '.join(f'{weight:.2f}' for weight in drawn.weight)}"
    parameters = "".join(f"; {key} = {value}" for key, value in METHODS[name].parameters.items())
    return f"<b>{name}</b>{parameters}: {inspect.getdoc(METHODS[name].build).splitlines()[0]}<br>{rows}"
