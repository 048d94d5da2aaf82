"""Fig. 1: every method on the same image and the same mixing image, still and under widgets."""

import inspect

import ipywidgets as widgets
import numpy as np
import torch

from ..augment import METHODS
from ..augment.by_name import draw
from ..augment.images import as_float, as_tensor
from .explorer import sheet


class Gallery:
    """A choice of method and a slider for the seed; below them the images, what each is mixed with, and what the method makes.

    images: uint8 (N, 3, H, W), also the partners; shown are `n_samples` of them (the first ones, again from the start where N is
    less); mixing_sets as in `draw`. `widget` is what a notebook shows. No matplotlib.
    """

    def __init__(self, images, mixing_sets, *, n_samples=8, zoom=3):
        self.images, self.mixing_sets, self.zoom = as_tensor(images), mixing_sets, zoom
        self.index = np.arange(n_samples)
        self.method = widgets.Dropdown(
            options=list(METHODS), value="layermix", description="method"
        )
        self.seed = widgets.IntSlider(0, min=0, max=99, description="seed")
        self.caption, self.picture = widgets.HTML(), widgets.Image(format="png")
        for control in (self.method, self.seed):
            control.observe(self.update, "value")
        self.widget = widgets.VBox(
            [widgets.HBox([self.method, self.seed]), self.caption, self.picture]
        )
        self.update()

    def update(self, change=None):
        """Draw for the controls as they stand."""
        name, images = self.method.value, self.images[self.index % len(self.images)]
        drawn = draw(
            name, images, self.images, self.mixing_sets, seed=self.seed.value, index=self.index
        )
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
