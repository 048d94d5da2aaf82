"""How much a method changes images: four moments of each sample, and their means with standard errors."""

import numpy as np
import pandas as pd

from ..augment import METHODS, build_method
from ..augment.by_name import draw
from ..augment.images import as_tensor

MOMENTS = ("mean_absolute_change", "share_changed", "mean", "spread")
PIECE = 256  # images that are measured at once: what a processor's cache holds


def moments(images, changed):
    """The four moments of each changed image beside its original: DataFrame with `MOMENTS`, B rows, all in [0, 1].

    images, changed: uint8 (B, 3, H, W). The mean absolute change of a value; the share of pixels of which at least one channel
    changed; mean and spread (population standard deviation) of the values of the changed image.
    """
    images, changed = images.flatten(2).float(), changed.flatten(2).float()
    difference, values = (changed - images).abs_(), changed.flatten(1)
    columns = (
        difference.mean((1, 2)) / 255,
        (difference.amax(1) > 0).float().mean(1),
        values.mean(1) / 255,
        values.std(1, correction=0) / 255,
    )
    return pd.DataFrame(
        {name: column.double().numpy() for name, column in zip(MOMENTS, columns, strict=True)}
    )


def sample_moments(name, images, mixing_sets, *, n_samples, seed):
    """Moments of `n_samples` samples of a method: DataFrame with `MOMENTS` and image (its position); for LayerMix layer and
    operation too (the first stage's, which the others share unless the pipeline is IID).

    images: uint8 (N, 3, H, W), also the partners; mixing_sets as in `gallery.draw`. Epoch 0 takes every image once, epoch 1
    again, and so on until there are enough.
    """
    images, frames = as_tensor(images), []
    method, size = (
        build_method(name, mixing_set=mixing_sets[METHODS[name].fractals]),
        tuple(images.shape[-2:]),
    )
    for epoch, start in enumerate(range(0, n_samples, len(images))):
        index = np.arange(min(len(images), n_samples - start))
        batch, keys = images[: len(index)], {"seed": seed, "epoch": epoch, "index": index}
        changed = draw(name, batch, images, mixing_sets, **keys).images
        frame = pd.concat(
            moments(*pair) for pair in zip(batch.split(PIECE), changed.split(PIECE), strict=True)
        )
        if hasattr(method, "layers"):
            params = method.sample(size, **keys)
            frame = frame.assign(
                layer=params.layer, operation=np.array(list(method.table))[params.op[:, 0]]
            )
        frames.append(frame.assign(image=index))
    return pd.concat(frames, ignore_index=True)


def cluster_mean(values, clusters):
    """Mean of values (n,) and its standard error where values of one cluster (n,) hang together: two floats.

    The error is that of independent clusters, of any sizes: sqrt(G / (G - 1) sum_g (sum_i (x_i - mean))^2) / n for G clusters;
    nan for one cluster. Source: Liang and Zeger (1986), for a mean.
    """
    values = np.asarray(values, float)
    _, position = np.unique(clusters, return_inverse=True)
    sums = np.bincount(position, values - values.mean())
    error = (
        np.sqrt((sums**2).sum() * len(sums) / (len(sums) - 1)) / len(values)
        if len(sums) > 1
        else np.nan
    )
    return float(values.mean()), float(error)


def moments_table(samples, by):
    """Means of `MOMENTS` for each value of a column, or of a list of columns: DataFrame, groups in the order of appearance.

    Columns: each mean, its standard error ("<name>_se", images as clusters), n_samples and n_images.
    """
    rows = {}
    for key, group in samples.groupby(by, sort=False):
        row = {}
        for name in MOMENTS:
            row[name], row[f"{name}_se"] = cluster_mean(group[name], group["image"])
        rows[key] = row | {"n_samples": len(group), "n_images": group["image"].nunique()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(by)
