"""How much a method changes images: moments of each sample, their means and standard errors."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike

from ..augment import METHODS, LayerMix, build_method
from ..augment.by_name import draw
from ..images import as_tensor

MOMENTS = ("mean_absolute_change", "share_changed", "mean", "spread")
PIECE = 256  # images that are measured at once: what a processor's cache holds


def moments(images: torch.Tensor, changed: torch.Tensor) -> pd.DataFrame:
    """The moments of each changed image beside its original: columns `MOMENTS`, B rows, in [0, 1].

    images, changed: uint8 (B, 3, H, W). The moments are the mean absolute change of a value, the
    share of pixels of which at least one channel changed, and the mean and the spread (population
    standard deviation) of the values of the changed image.
    """
    images, changed = images.flatten(2).float(), changed.flatten(2).float()
    difference, values = (changed - images).abs_(), changed.flatten(1)
    columns = {
        "mean_absolute_change": difference.mean((1, 2)) / 255,
        "share_changed": (difference.amax(1) > 0).float().mean(1),
        "mean": values.mean(1) / 255,
        "spread": values.std(1, correction=0) / 255,
    }
    return pd.DataFrame({name: column.double().numpy() for name, column in columns.items()})


def sample_moments(
    name: str, images: Any, mixing_sets: Mapping[str, Any], *, n_samples: int, seed: int
) -> pd.DataFrame:
    """Moments of `n_samples` samples of a method: columns `MOMENTS` and image, its position.

    LayerMix has the columns layer and operation too: that of the first stage, which the others
    share unless the pipeline is IID. images: uint8 (N, 3, H, W), also the partners; mixing_sets: as
    `augment.by_name.draw` takes them. Epoch 0 takes every image once, epoch 1 takes them again, and
    so on until there are enough.
    """
    images, frames = as_tensor(images), []
    method = build_method(name, mixing_set=mixing_sets[METHODS[name].fractals])
    for epoch, start in enumerate(range(0, n_samples, len(images))):
        index = np.arange(min(len(images), n_samples - start))
        keys: dict[str, Any] = {"seed": seed, "epoch": epoch, "index": index}
        batch = images[: len(index)]
        changed = draw(name, batch, images, mixing_sets, **keys).images
        pieces = zip(batch.split(PIECE), changed.split(PIECE), strict=True)
        frame = pd.concat(moments(*pair) for pair in pieces).assign(image=index)
        if isinstance(method, LayerMix):
            params = method.sample(tuple(images.shape[-2:]), **keys)
            operation = np.array(list(method.table))[params.op[:, 0]]
            frame = frame.assign(layer=params.layer, operation=operation)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def cluster_mean(values: ArrayLike, clusters: ArrayLike) -> tuple[float, float]:
    """Mean of values (n,) and its standard error where values of one cluster depend on each other.

    clusters: the cluster of each value, (n,), of any sizes and independent of one another. For G of
    them the error is sqrt(G / (G - 1) sum_g (sum_i (x_i - mean))^2) / n, and nan for one. Source:
    Liang and Zeger (1986), for a mean.
    """
    values = np.asarray(values, float)
    _, position = np.unique(clusters, return_inverse=True)
    sums = np.bincount(position, values - values.mean())
    if len(sums) == 1:
        return float(values.mean()), np.nan
    error = np.sqrt((sums**2).sum() * len(sums) / (len(sums) - 1)) / len(values)
    return float(values.mean()), float(error)


def moments_table(samples: pd.DataFrame, by: str | list[str]) -> pd.DataFrame:
    """Means of `MOMENTS` for each value of a column, or of columns, in the order of appearance.

    Columns: each mean, its standard error ("<name>_se", images as clusters), n_samples, n_images.
    """
    rows = {}
    for key, group in samples.groupby(by, sort=False):
        row: dict[str, float] = {}
        for name in MOMENTS:
            row[name], row[f"{name}_se"] = cluster_mean(group[name], group["image"])
        rows[key] = row | {"n_samples": len(group), "n_images": group["image"].nunique()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(by)
