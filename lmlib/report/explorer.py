"""The explorer: controls over an image on its way through LayerMix, and what networks see in it."""

import asyncio
import base64
import html
import io
from contextlib import suppress
from typing import Any

import ipywidgets as widgets
import numpy as np

from ..augment.blend import BLENDS
from ..augment.ops import OPS
from ..models.pretrained import PHOTOGRAPHS, photograph, squared
from ..pictures import read_picture
from ..study.profiles import get_profile
from .cards import cards_html, cards_picture, line_chart
from .plots import COLOURS
from .scene import ANY, BLEND_TITLES, OPS_TITLES, Scene, dataset_source, photograph_source
from .widgets import Debounced

UPLOADED = "your own"
REST_SECONDS = 0.4  # without an event, after which the charts are made
MAGNITUDES = range(11)  # of the chart
LABEL: dict[str, Any] = {"style": {"description_width": "90px"}}
ROW = 'style="display: flex; flex-wrap: wrap; gap: 8px; align-items: center; line-height: 1.3"'
BUTTON = 'class="jupyter-button" style="width: auto; text-decoration: none"'
COPY = "navigator.clipboard.writeText(this.dataset.code); this.textContent = 'copied'"


class Explorer(Debounced):
    """An image, its three layers, the second view and the fractal under controls.

    profile: whose datasets can be chosen beside the photographs, and CIFAR; n_fractals: the size of
    the mixing set. A notebook shows the explorer itself. The draw stays the same while a slider
    moves, so that the slider alone changes a picture. Once the controls rest, charts follow: the
    networks' confidence over the magnitude, and how far each layer is from the image.
    """

    def __init__(self, profile: str, n_fractals: int = 12) -> None:
        self.n_fractals = n_fractals
        pictures = {name: photograph(name) for name in PHOTOGRAPHS}
        self.sources = {name: photograph_source(pictures[name], n_fractals) for name in pictures}
        datasets = dict.fromkeys((*get_profile(profile).datasets, "cifar10", "cifar100"))
        self.image = dropdown("image", [*PHOTOGRAPHS, *datasets])
        narrow: dict[str, Any] = {"layout": {"width": "190px"}, **LABEL}
        self.number = widgets.BoundedIntText(0, 0, 0, description="number", **narrow)
        self.upload = widgets.FileUpload(accept="image/*", description=UPLOADED)
        self.seed = widgets.BoundedIntText(6, 0, 10**6, description="draw", **narrow)
        self.die = widgets.Button(description="another draw", icon="random")
        self.compare = widgets.ToggleButton(description="compare", icon="thumb-tack")
        half: dict[str, Any] = {"step": 0.5, "max": 10, "layout": {"width": "330px"}, **LABEL}
        self.magnitude = widgets.FloatSlider(8, min=0, description="magnitude m", **half)
        self.beta = widgets.FloatSlider(3, min=0.5, description="beta β", **half)
        self.operation = dropdown("operation", [ANY, *OPS["paper"]], "rotate")
        blends = [(ANY, ANY), *((title, name) for name, title in BLEND_TITLES.items())]
        self.blend = dropdown("blend", blends, BLENDS[0])
        self.shared = dropdown("stages", [("one operation", True), ("one each (IID)", False)])
        self.ops = dropdown("Table 2", [(title, name) for name, title in OPS_TITLES.items()])
        layers = [("gets any layer", (1, 2, 3)), *((f"gets layer {k}", (k,)) for k in (1, 2, 3))]
        self.layers = dropdown("training", layers)
        self.said, self.shown, self.kept, self.charts = (widgets.HTML() for _ in range(4))
        self.resting: asyncio.Task | None = None
        self.connect()
        self.update()

    def connect(self) -> None:
        """Lay the controls out, and say what follows when one moves."""
        sliders = self.magnitude, self.beta
        chosen = self.operation, self.blend, self.shared, self.ops, self.layers
        others = self.image, self.number, self.upload, self.seed, self.die, self.compare
        rows, wrapping = (others, sliders, chosen), {"flex_flow": "row wrap"}
        boxes = [widgets.Box(row, layout=wrapping) for row in rows]
        self.widget = widgets.VBox([*boxes, self.said, self.shown, self.kept, self.charts])
        self.die.on_click(lambda _: self.seed.set_trait("value", (self.seed.value + 1) % 10**6))
        self.ops.observe(self.list_operations, "value")
        self.shared.observe(self.list_operations, "value")
        self.upload.observe(self.take, "value")
        self.compare.observe(self.keep, "value")
        self.watch(self.image, self.number, self.seed, *sliders, *chosen)

    def list_operations(self, change: dict) -> None:
        """Offer the operations of the chosen set, and choose any where one is not among them.

        Where each stage has one of its own, any, too.
        """
        before, names = self.operation.value, [ANY, *OPS[self.ops.value]]
        self.operation.options = names
        self.operation.value = before if before in names and self.shared.value else ANY

    def take(self, change: dict) -> None:
        """Show what was uploaded, or say why it cannot be read."""
        file = change["new"][0]
        try:
            picture = squared(read_picture(io.BytesIO(file.content)))
        except ValueError as error:
            self.said.value = html.escape(f"{file.name}: {error}")
            return
        self.sources[UPLOADED] = photograph_source(picture, self.n_fractals)
        self.image.options = [*dict.fromkeys((*self.image.options, UPLOADED))]
        self.image.value = UPLOADED
        self.schedule()  # the second upload, too

    def keep(self, change: dict) -> None:
        """Keep what is shown below what comes next, or let it go."""
        self.kept.value = f"<p>{self.scene}</p>{self.shown.value}" if change["new"] else ""

    def schedule(self, change: dict | None = None) -> None:
        """Draw soon; charts of earlier values are not needed any more."""
        if self.resting:
            self.resting.cancel()
        super().schedule(change)

    def update(self) -> None:
        """Show the cards for the current values of the controls, and charts once they rest."""
        name = self.image.value
        if name not in self.sources:
            self.said.value = f"The images of {name} are being read ..."  # may take half a minute
            try:
                self.sources[name] = dataset_source(name, self.n_fractals)
            except ValueError as error:
                self.said.value = html.escape(str(error))
                return
        source = self.sources[name]
        self.number.max = len(source.images) - 1
        self.number.layout.display = "" if self.number.max else "none"
        settings = "magnitude beta operation blend layers shared ops seed".split()
        values = {setting: getattr(self, setting).value for setting in settings}
        self.scene = Scene(source, self.number.value, **values)
        self.cards = self.scene.cards()
        self.shown.value = cards_html(self.cards)
        self.say("")
        with suppress(RuntimeError):  # without an event loop nobody waits for charts
            self.resting = asyncio.get_running_loop().create_task(self.rest())

    def say(self, address: str) -> None:
        """The settings in words, with buttons; address: of the picture to save, once it is made."""
        code, levels = html.escape(self.scene.snippet()), self.scene.has_level()
        words = "" if levels else " (this operation has no level: m changes nothing)"
        link = f'href="{address}" download="layermix.png"' if address else 'aria-disabled="true"'
        self.said.value = (
            f"<div {ROW}><span>{self.scene}{words}</span><a {BUTTON} {link}>save the picture</a>"
            f'<button {BUTTON} data-code="{code}" onclick="{COPY}">copy the code</button></div>'
        )

    def still(self) -> bytes:
        """The cards as one PNG with the settings below."""
        file = io.BytesIO()
        cards_picture(self.cards, f"LayerMix: {self.scene}").save(file, "PNG")
        return file.getvalue()

    async def rest(self) -> None:
        """Make the picture to save and the charts, with pauses in which an event may end it."""
        await asyncio.sleep(REST_SECONDS)
        scene, networks = self.scene, list(self.scene.source.networks)
        self.say(f"data:image/png;base64,{base64.b64encode(self.still()).decode()}")
        charts, found = [self.histogram()], []
        for magnitude in MAGNITUDES if networks else ():
            await asyncio.sleep(0.005)
            found.append(scene.confidence(magnitude))
        if found:
            charts.insert(0, self.confidences(np.array(found)))
        self.charts.value = f'<div class="lm-charts">{"".join(charts)}</div>'

    def confidences(self, found: np.ndarray) -> str:
        """The chart of the own class's probability: (magnitudes, networks, 3)."""
        lines = []
        for n, network in enumerate(self.scene.source.networks):
            for k in range(3):
                name = f"layer {k + 1}" if found.shape[1] == 1 else f"{k + 1}, {network}"
                lines.append((name, look(k, n), MAGNITUDES, found[:, n, k]))
        own = html.escape(self.scene.source.classes[self.scene.own])
        title, ends = f"confidence: {own}", (MAGNITUDES[-1], 1)
        return line_chart(title, "magnitude m", lines, ends, self.scene.magnitude)

    def histogram(self) -> str:
        """The chart of how far the values of each layer are from the image."""
        changes, edges = self.scene.changes(), np.linspace(0, 1, 21)
        shares = [np.histogram(row, edges)[0] / row.size for row in changes]
        lines = [(f"layer {k + 1}", look(k), edges[:-1] + 0.025, shares[k]) for k in range(3)]
        title = "how far values are from the image"
        return line_chart(title, "change of a value", lines, (1, float(np.max(shares))))


def dropdown(description: str, options: list, value: Any = None) -> widgets.Dropdown:
    """A list of which `value` is chosen, or the first."""
    first = {} if value is None else {"value": value}
    return widgets.Dropdown(
        options=options, description=description, layout={"width": "250px"}, **LABEL, **first
    )


def look(layer: int, network: int = 0) -> str:
    """The stroke of a layer's line, 0 to 2, dashed for the second of two networks."""
    return f'stroke="{COLOURS[layer]}" stroke-dasharray="{"5 3" if network else "none"}"'
