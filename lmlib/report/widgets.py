"""LayerMix and the other methods under sliders; no picture here is drawn through matplotlib.

From a slider's event to a new picture it takes a few milliseconds.
"""

import asyncio
import base64
import inspect
import io
from collections.abc import Mapping
from typing import Any

import ipywidgets as widgets
import numpy as np
import pandas as pd
import torch
from PIL import Image

from ..augment import METHODS, LayerMix
from ..augment.by_name import Drawn, draw
from ..images import as_float, as_tensor
from .plots import Images, tiles

QUIET_SECONDS = 0.012  # without an event, after which none waits: a kernel takes one in less
LONGEST_DELAY = 0.2  # seconds after which a picture is due although events go on


def png(images: torch.Tensor, n_columns: int, zoom: int) -> bytes:
    """Images (N, 3, H, W), float in [0, 1], as one PNG with `n_columns` of them side by side.

    A transparent gap lies between them; each of their pixels is `zoom` pixels wide.
    """
    page = tiles((images.clamp(0, 1) * 255).round().to(torch.uint8), n_columns)
    opaque = 255 - tiles(torch.zeros_like(images, dtype=torch.uint8), n_columns)[..., :1]
    page = np.concatenate([page, opaque], 2)
    file = io.BytesIO()
    Image.fromarray(page.repeat(zoom, 0).repeat(zoom, 1)).save(file, "PNG", compress_level=1)
    return file.getvalue()


class Debounced:
    """A widget that draws again when a control moves, for the newest values alone.

    A notebook shows the object itself, whose `widget` is what moves; a copy without a kernel shows
    `still()`, the picture that it opened with.
    A kernel takes events one after the other: while a picture is made, those of a fast drag queue
    up. An event therefore only schedules a drawing, which is made once the queue is empty.
    """

    widget: widgets.Widget
    scheduled: asyncio.TimerHandle | None = None
    deadline = 0.0  # of the scheduled drawing, by the event loop's clock

    def watch(self, *controls: widgets.Widget) -> None:
        """Draw again whenever one of the controls has another value."""
        for control in controls:
            control.observe(self.schedule, "value")

    def schedule(self, change: dict | None = None) -> None:
        """Draw soon, or at once where there is no event loop."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.update()
            return
        if self.scheduled is None:
            self.deadline = loop.time() + LONGEST_DELAY
        else:
            self.scheduled.cancel()
        self.scheduled = loop.call_at(min(loop.time() + QUIET_SECONDS, self.deadline), self.redraw)

    def redraw(self) -> None:
        """Make the scheduled drawing."""
        self.scheduled = None
        self.update()

    def update(self) -> None:
        """Draw for the current values of the controls."""
        raise NotImplementedError(f"{type(self).__name__} must define update")

    def still(self) -> bytes:
        """What is shown now, as a PNG."""
        raise NotImplementedError(f"{type(self).__name__} must define still")

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        picture = {"image/png": base64.b64encode(self.still()).decode()}
        return self.widget._repr_mimebundle_(**options) | picture | {"text/plain": repr(self)}


class GridExplorer(Debounced):
    """Sliders over the cells of Table 6: a cell's numbers, and draws of LayerMix with its settings.

    table: texts, indexed by (magnitude, beta), every combination, a column a measure; images: uint8
    (N, 3, H, W); mixing_set: as `LayerMix` takes it. The pictures are a row of the images, then
    `n_draws` rows of draws, which are the same in each cell.
    """

    n_draws = 3

    def __init__(self, table: pd.DataFrame, images: Images, mixing_set: Images) -> None:
        self.table, self.images, self.mixing_set = table, as_tensor(images), mixing_set
        magnitudes, betas = map(list, table.index.levels)
        self.magnitude = widgets.SelectionSlider(options=magnitudes, description="magnitude")
        self.beta = widgets.SelectionSlider(options=betas, description="beta")
        self.magnitude.value = magnitudes[-1]
        self.numbers, self.samples = widgets.HTML(), widgets.Image(format="png")
        self.watch(self.magnitude, self.beta)
        self.widget = widgets.VBox([self.magnitude, self.beta, self.numbers, self.samples])
        self.update()

    def update(self) -> None:
        """Show the cell that the sliders stand on."""
        cell, images = (self.magnitude.value, self.beta.value), as_float(self.images)
        self.numbers.value = self.table.loc[[cell]].to_html()
        layermix, index = LayerMix(self.mixing_set, *cell), np.arange(len(images))
        epochs = range(self.n_draws)
        draws = [layermix(images, seed=0, epoch=epoch, index=index) for epoch in epochs]
        self.samples.value = png(torch.cat([images, *draws]), len(images), 2)

    def still(self) -> bytes:
        return self.samples.value


class Gallery(Debounced):
    """Fig. 1 with a choice of method and seed: images, what they are mixed with, and the results.

    images: uint8 (N, 3, H, W), also the partners; n_samples: how many are shown, the first ones,
    again from the start where N is less; mixing_sets: as `draw` takes them; zoom: pixels a pixel.
    """

    def __init__(
        self, images: Images, mixing_sets: Mapping[str, Images], n_samples: int = 8, zoom: int = 3
    ) -> None:
        self.images, self.mixing_sets, self.zoom = as_tensor(images), mixing_sets, zoom
        self.index = np.arange(n_samples)
        self.method = widgets.Dropdown(options=list(METHODS), description="method")
        self.method.value = "layermix"
        self.seed = widgets.IntSlider(0, max=99, description="seed")
        self.caption, self.picture = widgets.HTML(), widgets.Image(format="png")
        self.watch(self.method, self.seed)
        controls = widgets.Box([self.method, self.seed], layout={"flex_flow": "row wrap"})
        self.widget = widgets.VBox([controls, self.caption, self.picture])
        self.update()

    def update(self) -> None:
        """Draw for the current values of the controls."""
        name, images = self.method.value, self.images[self.index % len(self.images)]
        keys = {"seed": self.seed.value, "index": self.index}
        drawn = draw(name, images, self.images, self.mixing_sets, **keys)
        rows = [one for one in (images, drawn.other, drawn.images) if one is not None]
        self.picture.value = png(torch.cat(list(map(as_float, rows))), len(self.index), self.zoom)
        self.caption.value = caption(name, drawn)

    def still(self) -> bytes:
        return self.picture.value


def caption(name: str, drawn: Drawn) -> str:
    """A method in HTML: what it does, what the rows are, and the weights of mixed labels."""
    if drawn.other is None:
        rows = "images, results"
    elif drawn.weight is None:
        rows = f"images, {'outliers' if name == 'oe' else 'mixing images'}, results"
    else:
        weights = ", ".join(f"{weight:.2f}" for weight in drawn.weight)
        rows = f"images, partners, results; own label's weight: {weights}"
    parameters = "".join(f"; {key} = {value}" for key, value in METHODS[name].parameters.items())
    summary = (inspect.getdoc(METHODS[name].build) or "").partition("\n")[0]
    return f"<b>{name}</b>{parameters}: {summary}<br>{rows}"
