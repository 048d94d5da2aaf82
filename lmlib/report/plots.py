"""Drawing: the look of every figure, pictures in a grid, and the one way to save."""

import matplotlib.pyplot as plt
import numpy as np
from skimage.util import montage

from .. import paths

STYLE = {
    "figure.dpi": 110,
    "savefig.dpi": 150,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "legend.frameon": False,
    "image.interpolation": "nearest",
}
plt.rcParams.update(STYLE)

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
"""Okabe and Ito's colours, which colour-blind readers tell apart."""


def save(figure, name, *, profile):
    """Save a figure as figures/<profile>/<name>.png, in one rename; `name` begins with its notebook's. Returns the path."""
    path = paths.FIGURES / profile / f"{name}.png"
    with paths.atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
    return path


def pixels(image):
    """An image for `imshow`: (H, W, 3) or (H, W) in [0, 1], from uint8 or float (3 or 1, H, W), tensor or array."""
    image = np.asarray(image)
    image = image / 255 if image.dtype == np.uint8 else image
    return image[0] if image.shape[0] == 1 else image.transpose(1, 2, 0)


def show_images(images, titles=None, n_columns=8, size=1.1):
    """A contact sheet of images (N, 1 or 3, H, W), uint8 or float in [0, 1]; a title each, or none. Returns the figure.

    size: side of one picture in inches.
    """
    n_columns = min(n_columns, len(images))
    n_rows = -(-len(images) // n_columns)
    height = size * n_rows * (1.25 if titles is not None else 1)
    figure, axes = plt.subplots(
        n_rows, n_columns, figsize=(size * n_columns, height), squeeze=False
    )
    for axis in axes.flat:
        axis.axis("off")
    for position, (axis, image) in enumerate(zip(axes.flat, images, strict=False)):
        axis.imshow(pixels(image), cmap="gray", vmin=0, vmax=1)
        if titles is not None:
            axis.set_title(titles[position], fontsize=7)
    return figure


NOT_FRACTIONS = ("nll", "brier", "mt5d", "mt5d_paper_ten", "top5_distance")
"""Measures in their own unit; all others are fractions, shown in percent."""


def unit_of(measure, n_images=0):
    """What a measure is multiplied by for people, and its decimals.

    Percent with one decimal, two on a full test set (n_images of 10,000 or more), but for those of `NOT_FRACTIONS`: three.
    """
    return (1, 3) if measure in NOT_FRACTIONS else (100, 2 if n_images >= 10_000 else 1)


def mean_and_spread(values, measure):
    """Text of a cell: "12.3 ± 0.2 (n=3)", or "12.3 (n=1)"; in percent unless the measure is one of `NOT_FRACTIONS`."""
    scale, digits = unit_of(measure)
    values = np.asarray(values, float) * scale
    spread = f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{values.mean():.{digits}f}{spread} (n={len(values)})"


def bars_by_method(axis, rows):
    """Mean and standard deviation over seeds of one measure by method, every seed a dot, in percent. Draws on `axis`.

    rows: DataFrame with columns method and value (fractions), one row a seed.
    """
    values = 100 * rows["value"]
    bars = values.groupby(rows["method"], sort=False).agg(["mean", "std"]).fillna(0)
    axis.bar(
        bars.index, bars["mean"], yerr=bars["std"], color=COLOURS, width=0.6, alpha=0.75, capsize=4
    )
    axis.plot(rows["method"], values, "k.", markersize=4)
    axis.tick_params(axis="x", rotation=30 if len(bars) > 4 else 0)
    axis.set_ylim(bottom=0)


def tiles(images, n_columns):
    """Images (N, 3, H, W), uint8 or float, as one picture (rows (H + 2), columns (W + 2), 3), each in a white frame of a pixel."""
    images = np.asarray(images)
    white, shape = 255 if images.dtype == np.uint8 else 1, (-(-len(images) // n_columns), n_columns)
    return montage(images, [white] * 3, grid_shape=shape, padding_width=2, channel_axis=1)[
        1:-1, 1:-1
    ]


def mosaic(axis, images, rows=(), columns=()):
    """Draw images (R, C, 3, H, W), uint8 or float in [0, 1], close together as one picture, with a label a row and a column."""
    images = np.asarray(images)
    height, width = images.shape[-2] + 2, images.shape[-1] + 2
    axis.imshow(tiles(images.reshape(-1, *images.shape[2:]), images.shape[1]))
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0, labelbottom=False, labeltop=True)
    axis.set_yticks((np.arange(len(rows)) + 0.5) * height, rows)
    axis.set_xticks((np.arange(len(columns)) + 0.5) * width, columns)
