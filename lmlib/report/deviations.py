"""What a table row says beside its numbers: how its runs and images differ from the paper's."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from ..augment import METHODS, build_method
from ..models.losses import FORWARD_PASSES
from ..models.networks import PRETRAINED
from ..names import C_BAR_CORRUPTIONS, C_CORRUPTIONS, PERTURBATIONS_PAPER
from ..study.evaluation import PICTURES
from ..study.imagenet import AS_THEY_ARE

SETTINGS = (
    "dataset network method parameters loss recipe label_smoothing epochs n_train mixing precision"
).split()
BENCHMARK_TITLES = dict(clean="clean", c="C", c_bar="C-bar", p="P", r="R", pgd="PGD")
"""The benchmarks as people read them; what is made of two of them needs no title of its own."""
N_COUNTED = {
    "c": len(C_CORRUPTIONS),
    "c_bar": len(C_BAR_CORRUPTIONS),
    "p": len(PERTURBATIONS_PAPER),
}
"""How many corruptions, or perturbations of P, the mean of a benchmark counts."""
ON_IMAGENET = {
    "ipmix": "patches mixed with fractals alone, IPMix's program for ImageNet half the time with "
    "the image under one more operation",
    "random_erasing": "erased to black, published to the mean colour",
}
"""Methods that deviate from the programs of ImageNet whatever their settings are."""


@cache
def trains_on_brightness(method: str, parameters: str = "{}") -> bool:
    """Whether a method, with the parameters of a row (JSON), trains on a corruption of C."""
    black = np.zeros((1, 3, 36, 36), np.uint8)
    built = build_method(method, mixing_set=black, **json.loads(parameters))
    return "brightness" in getattr(built, "table", {})


def row_deviations(
    group: pd.DataFrame, columns: Iterable[Any], by: Sequence[str], printed: Mapping[str, Any]
) -> dict[str, Any]:
    """What a table row carries beside its numbers: its settings, and `deviations` in words.

    group: the rows of one table row, as `tables.described` makes them; columns: those of the
    table; by: what it is laid out by, which is not repeated; printed: a printed cell of the same
    table row, empty where there is none.
    """
    run = group.iloc[0]
    brightness = trains_on_brightness(run["method"], run["parameters"])
    texts = [*setting_deviations(run, by, printed), *image_deviations(group, columns)]
    if brightness:
        means = group[group["benchmark"] == "c"].groupby("measure")["value"].mean() * 100
        both = ": mCE {mce:.1f} over 15, {mce_without_brightness:.1f} over 14"
        texts.append(f"trains on brightness{both.format(**means) if 'mce' in means else ''}")
    return {name: run[name] for name in SETTINGS if name not in by} | {
        "forward_passes": FORWARD_PASSES[run["loss"]],
        "trains_on_brightness": brightness,
        "deviations": "; ".join(texts),
    }


def setting_deviations(
    run: Mapping[str, Any], by: Sequence[str], printed: Mapping[str, Any]
) -> list[str]:
    """How a run was trained otherwise than the paper's.

    Where the paper has no such row, it is held against WRN-40-4 and 100 epochs or, of photographs,
    ResNet-50 with ImageNet weights and 90.
    """
    method, n_passes = METHODS[run["method"]], FORWARD_PASSES[run["loss"]]
    photographs = str(run["dataset"]).startswith(PICTURES)
    data, *size = ("ImageNet", "resnet-50", 90) if photographs else ("CIFAR", "wrn-40-4", 100)
    network, epochs = printed.get("network", size[0]), printed.get("epochs", size[1])
    network += PRETRAINED if photographs else ""  # as the paper's text says of all of them
    other_fractals = "fractals" not in by and run["fractals"] not in ("none", method.fractals)
    other_loss = not {"jsd", "loss"} & set(by) and run["loss"] != (method.published_loss or "ce")
    published = f"published {method.published_loss}"
    loss = published if method.published_loss else "the paper does not say"
    n_train = run["n_train"] if run["n_train"] == "all" else f"{int(run['n_train']):,}"
    outliers = "outliers are the colour mixing set, a substitute for the withdrawn set"
    own_recipe = "imagenet" if photographs else "paper"
    recipe = f"recipe {run['recipe']}, label smoothing {run['label_smoothing']:g}"
    deviations = {
        f"{run['dataset']} for {data}": not run["dataset"].startswith(("cifar", "imagenet")),
        f"{run['network']} for {network}": run["network"] != network,
        f"{run['epochs']} epochs for {epochs}": run["epochs"] != epochs,
        recipe: run["recipe"] != own_recipe or run["label_smoothing"] > 0,
        f"{n_train} training images": n_train != "all",
        "substitute mixing set": "substitute" in run["mixing"],
        outliers: run["loss"] == "oe",
        f"{run['fractals']} mixing set, published {method.fractals}": other_fractals,
        f"loss {run['loss']}, {loss}": other_loss,
        f"{n_passes} forward passes an image": n_passes > 1,
        ON_IMAGENET.get(run["method"], ""): photographs and run["method"] in ON_IMAGENET,
    }
    return [text for text, applies in deviations.items() if applies]


def image_deviations(group: pd.DataFrame, columns: Iterable[Any]) -> list[str]:
    """Which benchmarks have fewer images or corruptions than all, and which generated ones."""
    shown = {column.benchmark for column in columns} & set(BENCHMARK_TITLES)
    rows = group[group["benchmark"].isin(shown)]
    images = rows.drop_duplicates("benchmark")
    images = images.assign(title=images["benchmark"].map(BENCHMARK_TITLES))
    partial = images[~images["subset"].str.fullmatch(r"all [\d,]+ test images")]
    subsets = partial.groupby("subset", sort=False)["title"].agg(", ".join)
    deviations = [f"{titles}: {subset}" for subset, titles in subsets.items()]
    means = rows[rows["measure"].isin(["mce", "mfp"])].groupby("benchmark", sort=False)
    for name, n in means["over"].min().items():
        kind = "perturbations" if name == "p" else "corruptions"
        if n < N_COUNTED[name]:
            deviations.append(f"{BENCHMARK_TITLES[name]}: {n:.0f} of {N_COUNTED[name]} {kind}")
    generated = images.loc[images["source"].str.contains("generated"), "title"]
    shown = images.loc[images["source"].str.contains(AS_THEY_ARE), "title"]
    deviations += [f"{', '.join(shown)} {AS_THEY_ARE}, not resized"] if len(shown) else []
    return deviations + ([f"{', '.join(generated)} generated"] if len(generated) else [])
