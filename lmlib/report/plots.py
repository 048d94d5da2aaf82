"""Drawing: the look of every figure, pictures in a grid, and the one way to save."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import paths
from ..files import atomic_write

Images = np.ndarray | torch.Tensor
ImageList = Images | Sequence[Images]

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
"""Okabe and Ito's colours, which colour-blind readers tell apart."""


def set_style() -> None:
    """Give all figures of this process the look of the study; notebooks that draw call it."""
    plt.rc("figure", dpi=110, **{"constrained_layout.use": True})
    plt.rc("savefig", dpi=150)
    plt.rc("axes", titlesize=10, **{"spines.top": False, "spines.right": False})
    plt.rc("legend", frameon=False)
    plt.rc("image", interpolation="nearest")


def save(figure: Figure, name: str, *, profile: str) -> Path:
    """Save a figure as figures/<profile>/<name>.png, in one rename, and return the path.

    `name` begins with that of its notebook. Parameters that were changed stand in the figure's
    title, and it is saved elsewhere: `paths.beside_canonical`.
    """
    path = paths.beside_canonical(paths.FIGURES / profile / f"{name}.png")
    if changed := paths.changed_parameters():
        figure.suptitle("\n".join(filter(None, [figure.get_suptitle(), changed])), fontsize=10)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
    return path


def pixels(image: Images) -> np.ndarray:
    """An image for `imshow`: (H, W, 3) or (H, W) in [0, 1].

    image: (3 or 1, H, W), uint8 or float in [0, 1].
    """
    image = np.asarray(image)
    image = image / 255 if image.dtype == np.uint8 else image
    return image[0] if image.shape[0] == 1 else image.transpose(1, 2, 0)


def show_images(
    images: ImageList, titles: Sequence[str] | None = None, n_columns: int = 8, size: float = 1.1
) -> Figure:
    """A contact sheet of images (N, 1 or 3, H, W), uint8 or float in [0, 1]; a title each, or none.

    size: side of one picture in inches.
    """
    n_columns = min(n_columns, len(images))
    n_rows = -(-len(images) // n_columns)
    inches = size * n_columns, size * n_rows * (1.25 if titles is not None else 1)
    figure, axes = plt.subplots(n_rows, n_columns, figsize=inches, squeeze=False)
    for position, axis in enumerate(axes.flat):
        axis.axis("off")
        if position < len(images):
            axis.imshow(pixels(images[position]), cmap="gray", vmin=0, vmax=1)
            axis.set_title("" if titles is None else titles[position], fontsize=7)
    return figure


def bars_by_method(axis: Axes, rows: pd.DataFrame) -> None:
    """Draw mean and standard deviation of a fraction by method, in percent, with a dot a seed.

    rows: columns method and value, one row a seed.
    """
    values = 100 * rows["value"]
    bars = values.groupby(rows["method"], sort=False).agg(["mean", "std"]).fillna(0)
    look: dict[str, Any] = {"color": COLOURS, "width": 0.6, "alpha": 0.75, "capsize": 4}
    axis.bar(bars.index, bars["mean"], yerr=bars["std"], **look)
    axis.plot(rows["method"], values, "k.", markersize=4)
    axis.tick_params(axis="x", rotation=30 if len(bars) > 4 else 0)
    axis.set_ylim(bottom=0)


def tiles(images: Images, n_columns: int) -> np.ndarray:
    """Images (N, 3, H, W), uint8 or float in [0, 1], row by row in one picture (h, w, 3).

    Each has a white frame of a pixel; the picture has `n_columns` of them side by side.
    """
    images = np.asarray(images)
    white, n_rows = 255 if images.dtype == np.uint8 else 1, -(-len(images) // n_columns)
    widths = [(0, n_rows * n_columns - len(images)), (0, 0), (1, 1), (1, 1)]
    framed = np.pad(images, widths, constant_values=white)
    grid = framed.reshape(n_rows, n_columns, *framed.shape[1:]).transpose(0, 3, 1, 4, 2)
    return grid.reshape(n_rows * framed.shape[2], n_columns * framed.shape[3], 3)


def mosaic(
    axis: Axes, images: Images, rows: Sequence[str] = (), columns: Sequence[str] = ()
) -> None:
    """Draw images (R, C, 3, H, W), uint8 or float in [0, 1], as one picture with labelled edges."""
    images = np.asarray(images)
    height, width = images.shape[-2] + 2, images.shape[-1] + 2
    axis.imshow(tiles(images.reshape(-1, *images.shape[2:]), images.shape[1]))
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0, labelbottom=False, labeltop=True)
    axis.set_yticks((np.arange(len(rows)) + 0.5) * height, rows)
    axis.set_xticks((np.arange(len(columns)) + 0.5) * width, columns)
