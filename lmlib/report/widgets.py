"""LayerMix and the other methods under sliders; no picture here is drawn through matplotlib.

From a slider's event to a new picture it takes a few milliseconds.
"""

import asyncio
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
from ..augment.blend import BLENDS, PROBABILITIES, blend
from ..augment.by_name import Drawn, draw
from ..augment.ops import OPS, apply_operation
from ..images import as_float, as_tensor
from .plots import Images, tiles

SETTINGS = ("magnitude", "beta", "ops", "shared")
"""Parameters of LayerMix that have a control of the same name."""
QUIET_SECONDS = 0.012  # without an event, after which none waits: a kernel takes one in less
LONGEST_DELAY = 0.2  # seconds after which a picture is due although events go on
STEPS = (
    "image", "operation", "the same again", "blend", "mixing image", "blend", "operation: layer 3"
)  # fmt: skip
"""What `pipeline_steps` shows, after Fig. 2 of the paper: layer 1 is its second picture, layer 2
its fourth."""


def pipeline_steps(layermix: LayerMix, image: torch.Tensor, params: Any) -> torch.Tensor:
    """Every intermediate picture of an image on its way through LayerMix: float32 (7, 3, H, W).

    image: (1, 3, H, W), uint8 or float in [0, 1]; params: as `layermix.sample` gives them for it.
    `STEPS` has the titles.
    """
    image, operations = as_float(image), list(layermix.table.values())
    ops, levels = (operations[k] for k in params.op[0]), params.level[0]
    kinds = (BLENDS[k] for k in params.blend[0])
    weights = zip(params.a[0], params.b[0], params.keep[0], params.mask_key[0], strict=True)
    first, second = (apply_operation(next(ops), image, level) for level in levels[:2])
    mixed = blend(next(kinds), first, second, *next(weights))
    size = tuple(image.shape[-2:])
    mixing_image = layermix.mixing.crop(params.picture, params.window, size).expand_as(image)
    again = blend(next(kinds), mixed, mixing_image, *next(weights))
    last = apply_operation(next(ops), again, levels[2])
    return torch.cat([image, first, second, mixed, mixing_image, again, last])


def png(images: torch.Tensor, n_columns: int, zoom: int) -> bytes:
    """Images (N, 3, H, W), float in [0, 1], as one PNG with `n_columns` of them side by side.

    A white gap lies between them; each of their pixels is `zoom` pixels wide.
    """
    page = tiles((images.clamp(0, 1) * 255).round().to(torch.uint8), n_columns)
    file = io.BytesIO()
    Image.fromarray(page.repeat(zoom, 0).repeat(zoom, 1)).save(file, "PNG", compress_level=1)
    return file.getvalue()


class Debounced:
    """A widget that draws again when a control moves, for the newest values alone.

    A kernel takes events one after the other: while a picture is made, those of a fast drag queue
    up. An event therefore only schedules a drawing, which is made once the queue is empty.
    """

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


class Explorer(Debounced):
    """Controls of LayerMix, and two pictures that follow them: the steps of one image, and samples.

    images: uint8 (N, 3, H, W); mixing_set: as `LayerMix` takes it. A notebook shows `widget`. The
    draws stay the same while a slider moves, so that the slider alone changes a picture.
    """

    n_samples = 16

    def __init__(self, images: Images, mixing_set: Images) -> None:
        self.images, self.mixing_set = as_tensor(images), mixing_set
        wide: dict[str, Any] = {
            "style": {"description_width": "80px"}, "layout": {"width": "380px"}
        }  # fmt: skip
        half = wide | {"step": 0.5, "max": 10}
        self.magnitude = widgets.FloatSlider(8, min=0, description="magnitude", **half)
        self.beta = widgets.FloatSlider(3, min=0.5, description="beta", **half)
        self.image = widgets.IntSlider(0, max=len(images) - 1, description="image", **wide)
        self.seed = widgets.IntSlider(0, max=99, description="seed", **wide)
        self.ops = widgets.Dropdown(options=list(OPS), description="ops")
        self.operation = widgets.Dropdown(options=["any"], description="operation")
        listed = (self.ops, "value"), (self.operation, "options")
        self.linked = widgets.dlink(*listed, lambda ops: ["any", *OPS[ops]])
        self.blend = widgets.Dropdown(options=["any", *BLENDS], description="blend")
        self.layer = widgets.Dropdown(options=["any", 1, 2, 3], description="layer")
        self.shared = widgets.Checkbox(True, description="one operation for all stages")
        self.caption = widgets.HTML()
        self.steps, self.samples = widgets.Image(format="png"), widgets.Image(format="png")
        sliders = self.magnitude, self.beta, self.image, self.seed
        choices = self.ops, self.operation, self.blend, self.layer, self.shared
        self.watch(*sliders, *choices)
        controls = widgets.HBox([widgets.VBox(sliders), widgets.VBox(choices)])
        self.widget = widgets.VBox([controls, self.caption, self.steps, self.samples])
        self.update()

    def layermix(self) -> LayerMix:
        """The `LayerMix` that the controls describe."""
        one_blend = tuple(float(name == self.blend.value) for name in BLENDS)
        settings: dict[str, Any] = {name: getattr(self, name).value for name in SETTINGS}
        settings["layers"] = (1, 2, 3) if self.layer.value == "any" else (self.layer.value,)
        settings["probabilities"] = PROBABILITIES if self.blend.value == "any" else one_blend
        layermix = LayerMix(self.mixing_set, **settings)
        if self.operation.value != "any":
            layermix.set_table({self.operation.value: layermix.table[self.operation.value]})
        return layermix

    def update(self) -> None:
        """Draw both pictures for the current values of the controls."""
        layermix, n = self.layermix(), self.n_samples
        image = self.images[self.image.value : self.image.value + 1]
        keys = {"seed": self.seed.value, "epoch": 0}
        params = layermix.sample(tuple(image.shape[-2:]), **keys, index=[0])
        self.steps.value = png(pipeline_steps(layermix, image, params), len(STEPS), 3)
        samples = layermix(as_float(image).repeat(n, 1, 1, 1), **keys, index=np.arange(1, n + 1))
        self.samples.value = png(samples, 8, 3)
        name = list(layermix.table)[params.op[0, 0]]
        blends = ", then ".join(BLENDS[k] for k in params.blend[0])
        shown = f"Above: {' &rarr; '.join(STEPS)}. Below: {n} samples."
        self.caption.value = f"<b>{name}</b>; blends: {blends}. {shown}"


class GridExplorer(Debounced):
    """Sliders over the cells of Table 6: a cell's numbers, and draws of LayerMix with its settings.

    table: texts, indexed by (magnitude, beta), every combination, a column a measure; images: uint8
    (N, 3, H, W); mixing_set: as `LayerMix` takes it. The pictures are a row of the images, then
    `n_draws` rows of draws, which are the same in each cell. A notebook shows `widget`.
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


class Gallery(Debounced):
    """Fig. 1 with a choice of method and seed: images, what they are mixed with, and the results.

    images: uint8 (N, 3, H, W), also the partners; n_samples: how many are shown, the first ones,
    again from the start where N is less; mixing_sets: as `draw` takes them; zoom: pixels a pixel.
    A notebook shows `widget`.
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
        controls = widgets.HBox([self.method, self.seed])
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
