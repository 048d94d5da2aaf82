"""What a trained network is worth: from its outcomes to rows, with bootstrap intervals."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import metrics, paths
from ..checks import check_name
from ..corruptions import SEVERITIES
from ..corruptions import VERSION as RECIPES_VERSION
from ..corruptions.official import folder_name
from ..datasets.imagenet import classes_of
from ..datasets.load import Dataset
from ..datasets.photographs import Pictures
from ..metrics import PartialMean
from ..metrics.intervals import bootstrap_interval
from ..names import (
    C_BAR_CORRUPTIONS,
    C_CORRUPTIONS,
    IMAGENET_C_BAR_CORRUPTIONS,
    PERTURBATIONS_PAPER,
    PERTURBATIONS_SCRIPT,
)
from . import imagenet, outcomes, rows
from .config import RunConfig
from .outcomes import SEED, Outcomes, by_name
from .profiles import get_profile

VERSION = 2  # raised by hand when the rows change: a number in them, or which there are
BENCHMARKS = "clean", "c", "c_bar", "p", "pgd"
PICTURES = "imagenet-", "photographs-"
"""How the names of sets begin that are measured on ImageNet's benchmarks."""
OWN_PREDICTION = "-by-own-prediction"
"""How the name of a set ends that is labelled by what the network says of clean images."""
DECIDED = "measure value corruption severity low high over n".split()  # by the measure itself
CALIBRATION: dict[str, Callable[..., float]] = {
    "rms_calibration_error": metrics.rms_calibration_error,
    "rms_without_last_bin": partial(metrics.rms_calibration_error, last_bin=False),
    "rms_noise_floor": lambda confidence, correct: metrics.rms_noise_floor(
        confidence, seed=SEED, n_draws=20
    ),
    "mad_calibration_error": metrics.mad_calibration_error,
    "ece": metrics.ece,
    "aurra": metrics.aurra,
}
"""Measures of (confidence, correct). On C and C-bar one value a corruption, severities pooled, then
the mean."""
C_MEANS = {
    "mce": metrics.mce,
    "mce_without_brightness": metrics.mce_without_brightness,
    "mce_extra": metrics.mce_extra,
}
C_BAR_MEANS = {"mce": metrics.mce_c_bar}
IMAGENET_C_BAR_MEANS = {"mce": partial(metrics.mce_c_bar, names=IMAGENET_C_BAR_CORRUPTIONS)}
BY_CELL: dict[str, Callable[..., float]] = {
    "rms_by_cell": metrics.rms_calibration_error,
    "rms_by_cell_without_last_bin": partial(metrics.rms_calibration_error, last_bin=False),
}
"""Of ImageNet-C and C-bar: the mean of one value a corruption and severity, as published."""

Row = dict[str, Any]


def row(measure: str, value: float, **columns: Any) -> Row:
    """One measured value: the columns that the measure decides, empty where it leaves them open."""
    return dict.fromkeys(DECIDED, "") | {"measure": measure, "value": float(value)} | columns


def mean_row(measure: str, value: float, by_image: np.ndarray, **columns: Any) -> Row:
    """A mean with its bootstrap interval.

    by_image: (n, ...), everything seen of an image in one row, which is resampled together.
    """
    low, high = bootstrap_interval(by_image, seed=SEED)
    return row(measure, value, low=low, high=high, n=len(by_image), **columns)


def clean_rows(measured: Outcomes) -> list[Row]:
    """Clean error, top-1 and top-5, and calibration."""
    logits, labels = measured["logits"], measured["labels"]
    confidence, correct = metrics.confidence_and_correct(logits, labels)
    values = {"top5_error": metrics.error(logits, labels, k=5)}
    values |= {name: measure(confidence, correct) for name, measure in CALIBRATION.items()}
    values |= {"nll": metrics.nll(logits, labels), "brier": metrics.brier(logits, labels)}
    clean_error = mean_row("clean_error", metrics.error(logits, labels), 1.0 - correct)
    return [clean_error, *(row(name, value, n=len(labels)) for name, value in values.items())]


def imagenet_clean_rows(measured: Outcomes) -> list[Row]:
    """Those of `clean_rows` with 1,000 classes, and the error within ImageNet-R's 200."""
    found, logits, labels = clean_rows(measured), measured["logits"], measured["labels"]
    inside = np.isin(labels, imagenet.OF_R)
    if inside.any():
        of_200 = np.searchsorted(imagenet.OF_R, labels[inside])
        within = logits[inside][:, imagenet.OF_R]
        found.append(row("error_of_200", metrics.error(within, of_200), n=len(of_200)))
    return found


def rendition_rows(measured: Outcomes) -> list[Row]:
    """Rows of ImageNet-R: those of `clean_rows`, whose first is called `error` here."""
    first, *others = clean_rows(measured)
    return [first | {"measure": "error"}, *others]


def corruption_rows(
    means: Mapping[str, Callable[..., PartialMean]], names: Sequence[str], measured: Outcomes
) -> list[Row]:
    """Rows of C or C-bar: the error of each corruption and severity, and means over corruptions.

    means: measure -> function of {corruption: error per severity}; names: the corruptions that
    the calibration is averaged over.
    """
    correct, confidence = by_name(measured, "correct"), by_name(measured, "confidence")
    errors = {name: 1 - right.mean(1) for name, right in correct.items()}
    n = next(iter(correct.values())).shape[1]
    found = [
        row("error", value, corruption=name, severity=severity, n=n)
        for name, values in errors.items()
        for severity, value in zip(SEVERITIES, values, strict=True)
    ]
    for measure, mean_of in means.items():
        mean = mean_of(errors)
        by_image = np.stack([1 - correct[name].mean(0) for name in mean.names], axis=1)
        found.append(mean_row(measure, mean.value, by_image, over=mean.n))
    names = [name for name in names if name in errors]
    values = {
        measure: [function(confidence[name].ravel(), correct[name].ravel()) for name in names]
        for measure, function in CALIBRATION.items()
    }
    for measure in ("nll", "brier"):
        values[measure] = [measured[f"{name}/{measure}"].mean() for name in names]
    return found + [
        row(measure, float(np.mean(value)), over=len(names), n=n)
        for measure, value in values.items()
    ]


def imagenet_rows(
    means: Mapping[str, Callable[..., PartialMean]],
    names: Sequence[str],
    measured: Outcomes,
    whole: bool = False,
) -> list[Row]:
    """Rows of ImageNet-C or C-bar: those of `corruption_rows`, and RMS errors by cell.

    whole: whether it is C with all 1,000 classes, for which there are AlexNet's errors.
    """
    found = corruption_rows(means, names, measured)
    correct, confidence = by_name(measured, "correct"), by_name(measured, "confidence")
    names = [name for name in names if name in correct]
    for measure, function in BY_CELL.items():
        cells = [
            pair for name in names for pair in zip(confidence[name], correct[name], strict=True)
        ]
        value = float(np.mean([function(*cell) for cell in cells]))
        found.append(row(measure, value, over=len(names), n=len(cells[0][0])))
    if whole:
        mean = metrics.mce_alexnet({name: 1 - right.mean(1) for name, right in correct.items()})
        found.append(row("mce_alexnet", mean.value, over=mean.n, n=len(cells[0][0])))
    return found


def perturbation_rows(measured: Outcomes) -> list[Row]:
    """Rows of P: flip probability and top-5 distance, each alone and over two choices of ten.

    The means are over the ten perturbations of the script and over those of the paper. Where only
    one of the two lists is whole, as in published videos without spatter, the other has no mean.
    """
    found, tens = [], {"": PERTURBATIONS_SCRIPT, "_paper_ten": PERTURBATIONS_PAPER}
    for quantity, single, measure, mean_of in (
        ("flips", "flip_probability", "mfp", metrics.mfp),
        ("distances", "top5_distance", "mt5d", metrics.mt5d),
    ):
        sequences = by_name(measured, quantity)
        means = {name: values.mean() for name, values in sequences.items()}
        n = len(next(iter(sequences.values())))
        found += [row(single, value, corruption=name, n=n) for name, value in means.items()]
        whole = {suffix: ten for suffix, ten in tens.items() if set(ten) <= set(means)}
        for suffix, ten in (whole or tens).items():
            mean = mean_of(means, ten)
            by_image = np.stack([sequences[name] for name in mean.names], axis=1)
            found.append(mean_row(f"{measure}{suffix}", mean.value, by_image, over=mean.n))
    return found


def imagenet_sequence_rows(measured: Outcomes) -> list[Row]:
    """Those of `perturbation_rows`, and the mFR with its unconfirmed constants."""
    flips = by_name(measured, "flips")
    mean = metrics.mfr_unconfirmed({name: values.mean() for name, values in flips.items()})
    n = len(next(iter(flips.values())))
    return [*perturbation_rows(measured), row("mfr_unconfirmed", mean.value, over=mean.n, n=n)]


def attack_rows(measured: Outcomes) -> list[Row]:
    """Rows of PGD: the error under each budget."""
    attacks = by_name(measured, "correct").items()
    return [mean_row(name, 1 - correct.mean(), 1.0 - correct) for name, correct in attacks]


Measures = dict[str, tuple[Callable[..., Iterator[Outcomes]], Callable[..., list[Row]]]]
MEASURES: Measures = {
    "clean": (outcomes.clean_outcomes, clean_rows),
    "c": (
        partial(outcomes.corruption_outcomes, "cifar_c"),
        partial(corruption_rows, C_MEANS, C_CORRUPTIONS),
    ),
    "c_bar": (
        partial(outcomes.corruption_outcomes, "cifar_c_bar"),
        partial(corruption_rows, C_BAR_MEANS, C_BAR_CORRUPTIONS),
    ),
    "p": (partial(outcomes.perturbation_outcomes, "cifar_p"), perturbation_rows),
    "pgd": (outcomes.attack_outcomes, attack_rows),
}
"""Benchmark -> what measures a model on it, and what makes rows of the outcomes."""


def measures_of(dataset: Dataset, resized: bool) -> Measures:
    """`MEASURES`, or those of ImageNet's benchmarks for a set of pictures.

    resized: as of `imagenet.open_imagenet`. AlexNet's errors are of 1,000 classes and of no others.
    """
    if not is_of_pictures(dataset):
        return MEASURES
    whole = is_of_1000(dataset)
    corrupted = partial(outcomes.corruption_outcomes, resized=resized)
    return {
        "clean": (outcomes.clean_outcomes, imagenet_clean_rows if whole else clean_rows),
        "c": (
            partial(corrupted, "imagenet_c"),
            partial(imagenet_rows, C_MEANS, C_CORRUPTIONS, whole=whole),
        ),
        "c_bar": (
            partial(corrupted, "imagenet_c_bar"),
            partial(imagenet_rows, IMAGENET_C_BAR_MEANS, IMAGENET_C_BAR_CORRUPTIONS),
        ),
        "p": (
            partial(outcomes.perturbation_outcomes, "imagenet_p"),
            imagenet_sequence_rows if whole else perturbation_rows,
        ),
        "r": (outcomes.rendition_outcomes, rendition_rows),
    }


def evaluate(
    model: torch.nn.Module,
    dataset: Dataset,
    *,
    folder: Path,
    benchmarks: Sequence[str] | None = None,
    subset: int | None = None,
    sequences: int | None = None,
    attacked: int | None = None,
    resized: bool = False,
) -> list[Row]:
    """Measure a model on benchmarks: rows with `rows.MEASURED`, all that Table 4 needs of a run.

    folder: where outcomes are kept, one file a benchmark, written after each corruption; what is
    there is not measured again. benchmarks: None for those of `benchmarks_of`. subset, sequences,
    attacked: how many stratified test images for C and C-bar, P, PGD (None: all; clean and R are
    always measured on all). resized: as of `imagenet.open_imagenet`. Raises ValueError where the
    logits hold NaN (the network diverged), and for an unknown benchmark.
    """
    sizes, made, errors = subset_sizes(subset, sequences, attacked), [], {}
    names, measures = benchmarks or benchmarks_of(dataset.name), measures_of(dataset, resized)
    for benchmark in [check_name("benchmark", name, measures) for name in names]:
        images = outcomes.test_subset(dataset, sizes.get(benchmark))
        measure, make_rows = measures[benchmark]
        kept = f"{benchmark}-resized" if resized and benchmark in ("c", "c_bar") else benchmark
        measured = outcomes.measure_or_read(
            partial(measure, model, dataset, images),
            folder / f"{kept}.safetensors",
            kept,
            images.name,
            dataset,
        )
        sources = sorted(set(by_name(measured, "source").values()))
        common = {
            "benchmark": benchmark,
            "subset": images.name,
            "source": " and ".join(sources) or dataset.source,
            "version": VERSION,
            "recipes": RECIPES_VERSION,
        }
        made += [common | one for one in make_rows(measured)]
        correct = by_name(measured, "correct")
        errors[benchmark] = {name: 1 - right.mean(-1) for name, right in correct.items()}
    return made + rows_of_two(made, errors, is_of_1000(dataset))


def rows_of_two(
    made: Sequence[Row], errors: Mapping[str, Mapping[str, Any]], of_1000: bool
) -> list[Row]:
    """What is made of two benchmarks: the mean over C and C-bar, and ImageNet's relative mCE.

    made: the rows of each; errors: benchmark -> corruption -> errors by severity; of_1000: whether
    AlexNet's errors apply. The relative mCE needs clean and corrupted images to be the same.
    """
    found: list[Row] = []
    first = {one["benchmark"]: one for one in reversed(made)}
    if {"c", "c_bar"} <= set(errors):
        both = metrics.mce_c_and_c_bar(errors["c"], errors["c_bar"], tuple(errors["c_bar"]))
        common = first["c_bar"] | {"benchmark": "c_and_c_bar"}
        found.append(common | row("mce", both.value, over=both.n, n=common["n"]))
    if of_1000 and {"clean", "c"} <= set(errors) and first["c"]["n"] == first["clean"]["n"]:
        mean = metrics.relative_mce(errors["c"], first["clean"]["value"])
        found.append(first["c"] | row("relative_mce", mean.value, over=mean.n, n=first["c"]["n"]))
    return found


def check_benchmarks(dataset: Dataset) -> None:
    """Raise ValueError where a benchmark cannot be measured or a mean would be over nothing.

    For use before a training, which takes hours: what `evaluate` would say after it.
    """
    if is_of_pictures(dataset):
        for benchmark in ("imagenet_c", "imagenet_c_bar", "imagenet_p"):
            outcomes.opened(benchmark, dataset)
        if "r" in benchmarks_of(dataset.name):
            imagenet.renditions()
        return
    tens = PERTURBATIONS_SCRIPT, PERTURBATIONS_PAPER
    means: dict[str, list[Callable[..., PartialMean]]] = {
        "cifar_c": [*C_MEANS.values()],
        "cifar_c_bar": [*C_BAR_MEANS.values()],
        "cifar_p": [partial(metrics.mfp, names=ten) for ten in tens],
    }
    for benchmark, functions in means.items():
        names = outcomes.opened(benchmark, dataset).names
        for mean_of in functions:
            try:
                mean_of(dict.fromkeys(names, 0.0))
            except ValueError as error:
                folder = paths.RAW / folder_name(dataset.name, benchmark)
                raise ValueError(f"{folder}: {error} Add them, or take the folder away") from error


def is_of_pictures(dataset: Dataset) -> bool:
    """Whether the test images of a set are photographs on the disk, for ImageNet's benchmarks."""
    return isinstance(dataset.test.images, Pictures)


def is_of_1000(dataset: Dataset) -> bool:
    """Whether a set is labelled with ImageNet's 1,000 classes, which AlexNet's errors are of."""
    labelled = not dataset.name.endswith(OWN_PREDICTION)
    return is_of_pictures(dataset) and dataset.classes == classes_of("imagenet-1k") and labelled


def benchmarks_of(dataset: str) -> tuple[str, ...]:
    """The benchmarks that runs on a dataset are measured on, by its name.

    ImageNet-R is among them where it lies in data/raw: nobody can generate it.
    """
    if not dataset.startswith(PICTURES):
        return BENCHMARKS
    renditions = dataset.startswith("imagenet") and imagenet.renditions_folder().is_dir()
    return ("clean", "c", "c_bar", "p", *(["r"] if renditions else []))


def subset_sizes(
    subset: int | None, sequences: int | None, attacked: int | None
) -> dict[str, int | None]:
    """How many test images each benchmark is measured on (None: all)."""
    return dict(zip(BENCHMARKS, (None, subset, subset, sequences, attacked), strict=True))


def profile_sizes(profile: str) -> dict[str, Any]:
    """The arguments of `evaluate` that a profile decides."""
    sizes = get_profile(profile)
    chosen = {"subset": sizes.subset, "sequences": sizes.sequences, "attacked": sizes.attacked}
    return chosen | ({"resized": True} if sizes.resized else {})


def record(
    profile: str, config: RunConfig, measured: Sequence[Row], finished: Mapping[str, Any]
) -> None:
    """Add the run's identity and provenance to measured rows and write them.

    finished: what `runs.finished` says of the run. Of several ranks the column `device` says how
    many, since batch norm is of each rank's part.
    """
    known = asdict(config) | dict(finished)
    if worlds := finished.get("ranks"):
        known["device"] = f"{' or '.join(map(str, worlds))} ranks on {known['device']}"
    known |= {"run": config.name, "n_train": config.n_train or ""}
    known |= {"parameters": json.dumps(config.parameters, sort_keys=True)}
    known |= {"mixing": config.mixing["label"] if config.mixing else "none"}
    known |= {"commit": finished["commit"][:12], "torch": finished["packages"]["torch"]}
    of_the_run = {name: known[name] for name in rows.OF_THE_RUN}
    rows.write_rows(profile, config.name, [of_the_run | one for one in measured])


def is_complete(profile: str, run: str) -> bool:
    """Whether the rows of a run hold every benchmark, in this version of what made them.

    Each must be on as many images as the profile wants. Rows that are damaged are named.
    """
    try:
        found = rows.read_rows(profile, [run])
    except ValueError as error:
        if rows.rows_file(profile, run).exists():
            print(error)
        return False
    wanted = get_profile(profile)
    sizes = subset_sizes(wanted.subset, wanted.sequences, wanted.attacked)
    counts = found.groupby("benchmark")["n"].max().to_dict()
    n_clean, expected = counts.get("clean", 0), {"r": counts.get("r", 0)}  # R has its own number
    expected |= {name: min(size or np.inf, n_clean) for name, size in sizes.items()}
    names = benchmarks_of(str(found["dataset"].iloc[0]))
    current = (found["version"] == VERSION) & (found["recipes"] == RECIPES_VERSION)
    return bool(current.all()) and all(counts.get(name) == expected[name] for name in names)
