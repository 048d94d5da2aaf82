"""LayerMix under sliders: from a slider's event to a new picture without matplotlib, in a few milliseconds."""

import asyncio
import io

import ipywidgets as widgets
import numpy as np
import torch
from PIL import Image

from ..augment import LayerMix
from ..augment.blend import BLENDS, PROBABILITIES, blend
from ..augment.images import as_float, as_tensor
from ..augment.ops import OPS, apply_operation
from .plots import tiles

MOMENT = 0.012  # seconds without an event after which none waits: a kernel takes one in a few milliseconds
PATIENCE = 0.2  # seconds after which a picture is due although events go on
STEPS = (
    "image",
    "operation",
    "the same again",
    "blend",
    "mixing image",
    "blend",
    "operation: layer 3",
)
"""What `pipeline_steps` shows, after Fig. 2 of the paper; layer 1 is its second picture, layer 2 its fourth."""


def pipeline_steps(layermix, image, params):
    """Every intermediate picture of one image on its way through the three layers: float32 (7, 3, H, W), titled by `STEPS`.

    image: (1, 3, H, W), uint8 or float in [0, 1]; params: as `layermix.sample` gives them for it.
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


def sheet(images, n_columns, zoom):
    """Images (N, 3, H, W), float in [0, 1], as one PNG (bytes): a white gap between them, each pixel `zoom` pixels wide."""
    page, file = tiles((images.clamp(0, 1) * 255).round().to(torch.uint8), n_columns), io.BytesIO()
    Image.fromarray(page.repeat(zoom, 0).repeat(zoom, 1)).save(file, "PNG", compress_level=1)
    return file.getvalue()


class Follower:
    """What draws again when a control moves. Of events that wait for one another the newest values alone are drawn.

    A kernel takes events one after the other: while a picture is made, those of a fast drag queue up. So an event only asks
    for a drawing, which comes when the queue is empty, and what is drawn then is as the controls stand.
    """

    asked = None  # the drawing that is still to come
    latest = 0.0  # when it comes at the latest, by the event loop's clock

    def follow(self, *controls: widgets.Widget) -> None:
        """Draw again whenever one of the controls has another value."""
        for control in controls:
            control.observe(self.ask, "value")

    def ask(self, change: dict | None = None) -> None:
        """Draw soon, or at once where nobody takes events (a program without an event loop)."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.update()
            return
        if self.asked is None:
            self.latest = loop.time() + PATIENCE
        else:
            self.asked.cancel()
        self.asked = loop.call_at(min(loop.time() + MOMENT, self.latest), self.answer)

    def answer(self) -> None:
        """Draw what was asked for."""
        self.asked = None
        self.update()

    def update(self) -> None:
        """Draw for the controls as they stand."""
        raise NotImplementedError(f"{type(self).__name__} must define update")


class Explorer(Follower):
    """Sliders for magnitude and beta, choices of layer, operation, blend, image and seed; two pictures that follow them.

    images: uint8 (N, 3, H, W); mixing_set as `LayerMix` takes it. `widget` is what a notebook shows. The draws stay the same
    while a slider moves, so a picture changes by the slider alone.
    """

    def __init__(self, images, mixing_set, *, n_samples=16, zoom=3):
        self.images, self.mixing_set = as_tensor(images), mixing_set
        self.n_samples, self.zoom = n_samples, zoom
        slider = {"style": {"description_width": "80px"}, "layout": {"width": "380px"}}
        self.magnitude = widgets.FloatSlider(
            8, min=0, max=10, step=0.5, description="magnitude", **slider
        )
        self.beta = widgets.FloatSlider(3, min=0.5, max=10, step=0.5, description="beta", **slider)
        self.image = widgets.IntSlider(0, min=0, max=len(images) - 1, description="image", **slider)
        self.seed = widgets.IntSlider(0, min=0, max=99, description="seed", **slider)
        self.ops = widgets.Dropdown(options=list(OPS), description="ops")
        self.operation = widgets.Dropdown(options=["any", *OPS["paper"]], description="operation")
        self.blend = widgets.Dropdown(options=["any", *BLENDS], description="blend")
        self.layer = widgets.Dropdown(options=["any", 1, 2, 3], description="layer")
        self.shared = widgets.Checkbox(True, description="one operation for all stages")
        self.caption = widgets.HTML()
        self.steps, self.samples = widgets.Image(format="png"), widgets.Image(format="png")
        self.ops.observe(self.list_operations, "value")
        sliders = (self.magnitude, self.beta, self.image, self.seed)
        choices = (self.ops, self.operation, self.blend, self.layer, self.shared)
        self.follow(*sliders, *choices)
        controls = widgets.HBox([widgets.VBox(sliders), widgets.VBox(choices)])
        self.widget = widgets.VBox([controls, self.caption, self.steps, self.samples])
        self.update()

    def list_operations(self, change):
        """Offer the operations of the chosen set."""
        self.operation.options = ["any", *OPS[self.ops.value]]

    def layermix(self):
        """The `LayerMix` that the controls describe."""
        every, one_blend = (
            OPS[self.ops.value],
            tuple(float(name == self.blend.value) for name in BLENDS),
        )
        layermix = LayerMix(
            self.mixing_set,
            magnitude=self.magnitude.value,
            beta=self.beta.value,
            ops=self.ops.value,
            shared=self.shared.value,
            layers=(1, 2, 3) if self.layer.value == "any" else (self.layer.value,),
            probabilities=PROBABILITIES if self.blend.value == "any" else one_blend,
        )
        name = self.operation.value
        layermix.set_table(every if name == "any" else {name: every[name]})
        return layermix

    def update(self):
        """Draw both pictures for the controls as they stand."""
        layermix, size = self.layermix(), tuple(self.images.shape[-2:])
        image = self.images[self.image.value : self.image.value + 1]
        keys = {"seed": self.seed.value, "epoch": 0}
        params = layermix.sample(size, **keys, index=[0])
        self.steps.value = sheet(pipeline_steps(layermix, image, params), len(STEPS), self.zoom)
        index = np.arange(1, self.n_samples + 1)
        samples = layermix(as_float(image).repeat(self.n_samples, 1, 1, 1), **keys, index=index)
        self.samples.value = sheet(samples, 8, self.zoom)
        name = list(layermix.table)[params.op[0, 0]]
        blends = ", then ".join(BLENDS[k] for k in params.blend[0])
        self.caption.value = f"<b>{name}</b>; blends: {blends}. Above: {' &rarr; '.join(STEPS)}. Below: {self.n_samples} samples."


class GridExplorer(Follower):
    """Sliders over the cells of Table 6: a cell's numbers, and what LayerMix with its magnitude and beta makes of the images.

    table: DataFrame of texts, indexed by (magnitude, beta), every combination, a column a measure; images: uint8 (N, 3, H, W);
    mixing_set as `LayerMix` takes it. The pictures are a row of the images, then `n_draws` rows of draws, the same in each cell.
    """

    def __init__(self, table, images, mixing_set, *, n_draws=3, zoom=2):
        self.table, self.images, self.mixing_set = table, as_tensor(images), mixing_set
        self.n_draws, self.zoom = n_draws, zoom
        magnitudes, betas = map(list, table.index.levels)
        self.magnitude = widgets.SelectionSlider(
            options=magnitudes, value=magnitudes[-1], description="magnitude"
        )
        self.beta = widgets.SelectionSlider(options=betas, description="beta")
        self.numbers, self.samples = widgets.HTML(), widgets.Image(format="png")
        self.follow(self.magnitude, self.beta)
        self.widget = widgets.VBox([self.magnitude, self.beta, self.numbers, self.samples])
        self.update()

    def update(self):
        """Show the cell that the sliders stand on."""
        cell = self.magnitude.value, self.beta.value
        self.numbers.value = self.table.loc[[cell]].to_html()
        layermix, index = LayerMix(self.mixing_set, *cell), np.arange(len(self.images))
        draws = [
            layermix(as_float(self.images), seed=0, epoch=epoch, index=index)
            for epoch in range(self.n_draws)
        ]
        self.samples.value = sheet(
            torch.cat([as_float(self.images), *draws]), len(self.images), self.zoom
        )
