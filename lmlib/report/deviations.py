"""What a row of a table must say beside its numbers: how its runs and its test images differ from the paper's."""

import json
from functools import cache

import numpy as np

from ..augment import METHODS, build_method
from ..models.losses import FORWARD_PASSES
from ..names import C_BAR_CORRUPTIONS, C_CORRUPTIONS

SETTINGS = [
    "dataset",
    "network",
    "method",
    "parameters",
    "loss",
    "epochs",
    "n_train",
    "mixing",
    "precision",
]
SHORT = {"clean": "clean", "c": "C", "c_bar": "C-bar", "p": "P", "pgd": "PGD"}
"""The benchmarks as people read them; what is made of two of them needs no word of its own."""
COUNTED = {"c": len(C_CORRUPTIONS), "c_bar": len(C_BAR_CORRUPTIONS)}


@cache
def trains_on_brightness(method, parameters="{}"):
    """Whether brightness, which the corruptions of C hold too, is among a method's operations. parameters: a row's, JSON."""
    built = build_method(
        method, mixing_set=np.zeros((1, 3, 36, 36), np.uint8), **json.loads(parameters)
    )
    return "brightness" in getattr(built, "table", {})


def honesty(group, columns, by, paper):
    """What a table row carries beside its numbers, for machines in columns, and for people in `deviations`: a dict.

    group: the rows of one table row, as `tables.described` makes them; columns: those of the table; by: what it is laid out by;
    paper: a printed cell of the same table row (`published.published`), empty where there is none.
    """
    run = group.iloc[0]
    said = {name: run[name] for name in SETTINGS if name not in by}
    said |= {"forward_passes": FORWARD_PASSES[run["loss"]]}
    said |= {"trains_on_brightness": trains_on_brightness(run["method"], run["parameters"])}
    words = [*setting_deviations(run, by, paper), *test_deviations(group, columns)]
    if said["trains_on_brightness"]:
        means = group[group["benchmark"] == "c"].groupby("measure")["value"].mean() * 100
        mce = (
            ": mCE {mce:.1f} over 15, {mce_without_brightness:.1f} over 14".format(**means)
            if "mce" in means
            else ""
        )
        words.append(f"trains on brightness{mce}")
    return said | {"deviations": "; ".join(words)}


def setting_deviations(run, by, paper):
    """In words, how a run was trained otherwise than the paper's (WRN-40-4 and 100 epochs where it has no such row)."""
    method, n_passes = METHODS[run["method"]], FORWARD_PASSES[run["loss"]]
    network, epochs = paper.get("network", "wrn-40-4"), paper.get("epochs", 100)
    other_fractals = "fractals" not in by and run["fractals"] not in ("none", method.fractals)
    other_loss = not {"jsd", "loss"} & set(by) and run["loss"] != (method.published_loss or "ce")
    published = (
        f"published {method.published_loss}" if method.published_loss else "the paper does not say"
    )
    said = (
        not run["dataset"].startswith("cifar") and f"{run['dataset']} for CIFAR",
        run["network"] != network and f"{run['network']} for {network}",
        run["epochs"] != epochs and f"{run['epochs']} epochs for {epochs}",
        run["n_train"] != "all" and f"{int(run['n_train']):,} training images",
        "substitute" in run["mixing"] and "substitute mixing set",
        run["loss"] == "oe"
        and "outliers are the colour mixing set, a substitute for the withdrawn set",
        other_fractals and f"{run['fractals']} mixing set, published {method.fractals}",
        other_loss and f"loss {run['loss']}, {published}",
        n_passes > 1 and f"{n_passes} forward passes an image",
    )
    return [words for words in said if words]


def test_deviations(group, columns):
    """In words, which benchmarks were measured on fewer images or corruptions than all, and which on generated ones."""
    shown = group[group["benchmark"].isin({column.benchmark for column in columns} & set(SHORT))]
    shown = shown.drop_duplicates("benchmark").assign(
        name=lambda rows: rows["benchmark"].map(SHORT)
    )
    partial = shown[~shown["subset"].str.match(r"all [\d,]+ test images$")]
    words = [
        f"{', '.join(part['name'])}: {subset}"
        for subset, part in partial.groupby("subset", sort=False)
    ]
    means = group[(group["measure"] == "mce") & group["benchmark"].isin(shown["benchmark"])]
    for benchmark, over in means.groupby("benchmark", sort=False)["over"].min().items():
        if over < COUNTED[benchmark]:
            words.append(f"{SHORT[benchmark]}: {over:.0f} of {COUNTED[benchmark]} corruptions")
    generated = shown.loc[shown["source"].str.contains("generated"), "name"]
    return words + ([f"{', '.join(generated)} generated"] if len(generated) else [])
