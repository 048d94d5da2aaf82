"""What a trained network is worth: one call measures it on every benchmark, another writes its rows."""

import json
from dataclasses import asdict
from functools import partial

import numpy as np

from .. import metrics, paths
from ..checks import check_name
from ..corruptions import SEVERITIES
from ..corruptions import VERSION as RECIPES_VERSION
from ..corruptions.files import open_benchmark
from ..corruptions.official import folder_name
from ..datasets.load import Dataset
from ..names import C_BAR_CORRUPTIONS, C_CORRUPTIONS, PERTURBATIONS_PAPER, PERTURBATIONS_SCRIPT
from . import outcomes
from . import rows as results
from .measures import VERSION, attack_rows, clean_rows, corruption_rows, perturbation_rows, row
from .profiles import get_profile

C_MEANS = {
    "mce": metrics.mce,
    "mce_without_brightness": metrics.mce_without_brightness,
    "mce_extra": metrics.mce_extra,
}
C_BAR_MEANS = {"mce": metrics.mce_c_bar}
BENCHMARKS = ("clean", "c", "c_bar", "p", "pgd")


def benchmark_functions(benchmark, severities=SEVERITIES):
    """What measures a model on a benchmark (a generator of outcomes) and what makes rows of the outcomes."""
    if benchmark in ("c", "c_bar"):
        means, names = (
            (C_MEANS, C_CORRUPTIONS) if benchmark == "c" else (C_BAR_MEANS, C_BAR_CORRUPTIONS)
        )
        measure = partial(outcomes.corruption_outcomes, f"cifar_{benchmark}", severities)
        return measure, partial(corruption_rows, means, names, severities)
    return {
        "clean": (outcomes.clean_outcomes, clean_rows),
        "p": (outcomes.perturbation_outcomes, perturbation_rows),
        "pgd": (outcomes.attack_outcomes, attack_rows),
    }[benchmark]


def evaluate(
    model,
    dataset,
    *,
    folder,
    benchmarks=BENCHMARKS,
    subset=None,
    sequences=None,
    attacked=None,
    severities=SEVERITIES,
):
    """Measure a model on benchmarks: a list of rows (dicts with results.MEASURED), everything that Table 4 needs for a run.

    folder: where outcomes are kept, one file a benchmark, written anew after each corruption; what is there is not measured
    again, so that a call can be interrupted at any moment. subset, sequences, attacked: how many stratified test images for C and
    C-bar, P, PGD (None: all; clean is always measured on all). Severities other than all five are another quantity, and the
    subset's name says so. Raises ValueError where the logits hold NaN (the network diverged), and for unknown words.
    """
    sizes, rows, errors = subset_sizes(subset, sequences, attacked), [], {}
    for benchmark in [check_name("benchmark", name, BENCHMARKS) for name in benchmarks]:
        images = outcomes.test_subset(dataset, sizes[benchmark])
        name = images.name
        if tuple(severities) != SEVERITIES and benchmark in ("c", "c_bar"):
            name += f", severities {', '.join(map(str, severities))} alone"
        measure, make_rows = benchmark_functions(benchmark, severities)
        measure, file = partial(measure, model, dataset, images), folder / f"{benchmark}.npz"
        found = resumed(measure, file, benchmark, name, dataset)
        source = (
            " and ".join(sorted(set(map(str, outcomes.parts(found, "source").values()))))
            or dataset.source
        )
        columns = {"benchmark": benchmark, "subset": name, "source": source}
        columns |= {"version": VERSION, "recipes": RECIPES_VERSION}
        rows += [columns | one for one in make_rows(found)]
        errors[benchmark] = {
            name: 1 - correct.mean(-1) for name, correct in outcomes.parts(found, "correct").items()
        }
    if {"c", "c_bar"} <= set(errors):
        both = metrics.mce_c_and_c_bar(errors["c"], errors["c_bar"])
        columns = next(one for one in rows if one["benchmark"] == "c_bar") | {
            "benchmark": "c_and_c_bar"
        }
        rows.append(columns | row("mce", both, over=both.n, n=columns["n"]))
    return rows


def check_benchmarks(dataset: Dataset) -> None:
    """Raise ValueError where a benchmark cannot be measured or a mean would be over nothing.

    For use before a training, which takes hours: what `evaluate` would say after it.
    """
    tens = PERTURBATIONS_SCRIPT, PERTURBATIONS_PAPER
    means = {
        "cifar_c": C_MEANS.values(),
        "cifar_c_bar": C_BAR_MEANS.values(),
        "cifar_p": [partial(metrics.mfp, names=ten) for ten in tens],
    }
    for benchmark, functions in means.items():
        names = open_benchmark(benchmark, dataset, seed=outcomes.SEED).names
        for mean in functions:
            try:
                mean(dict.fromkeys(names, 0.0))
            except ValueError as error:
                folder = paths.RAW / folder_name(dataset.name, benchmark)
                raise ValueError(f"{folder}: {error} Add them, or take the folder away") from error


def resumed(measure, path, benchmark, subset, dataset):
    """The outcomes of a benchmark: what `path` keeps of them, and the rest as `measure` yields it, written after each part.

    measure: function of the names that are done, a generator of dicts of arrays.
    """
    identity = {
        "benchmark": benchmark,
        "subset": subset,
        "seed": outcomes.SEED,
        "data": dataset.hash,
    }
    identity |= {"version": outcomes.VERSION, "recipes": RECIPES_VERSION}
    kept = outcomes.read_outcomes(path, identity) or {}
    try:
        for part in measure(set(kept)):
            kept |= part
            with paths.as_cache(path):
                outcomes.write_outcomes(path, identity, kept)
    except ValueError as error:  # logits that hold NaN, say
        raise ValueError(
            f"run {path.parent.parent.name}, benchmark {benchmark}: {error}"
        ) from error
    return kept


def subset_sizes(subset, sequences, attacked):
    """How many test images each benchmark is measured on (None: all)."""
    return dict(zip(BENCHMARKS, (None, subset, subset, sequences, attacked), strict=True))


def profile_sizes(profile):
    """The arguments of `evaluate` that a profile decides."""
    profile = get_profile(profile)
    return {"subset": profile.subset, "sequences": profile.sequences, "attacked": profile.attacked}


def record(profile, config, rows, finished):
    """Add the run's identity and provenance to measured rows and write them: the run's CSV in the profile's results.

    finished: what `runs.finished` says of the run.
    """
    known = asdict(config) | finished | {"run": config.name, "n_train": config.n_train or ""}
    known |= {"parameters": json.dumps(config.parameters, sort_keys=True)}
    known |= {"mixing": config.mixing["label"] if config.mixing else "none"}
    known |= {"commit": finished["commit"][:12], "torch": finished["packages"]["torch"]}
    of_the_run = {name: known[name] for name in (*results.IDENTITY, *results.PROVENANCE)}
    results.write_rows(profile, config.name, [of_the_run | one for one in rows])


def is_complete(profile, run):
    """Whether the rows of a run hold every benchmark, on as many images as the profile wants, in this version of what made them."""
    try:
        rows = results.read_rows(profile, [run])
    except ValueError as error:
        if results.rows_file(profile, run).exists():
            print(error)
        return False
    found, sizes = (
        rows.groupby("benchmark")["n"].max().to_dict(),
        subset_sizes(**profile_sizes(profile)),
    )
    wanted = {name: min(sizes[name] or np.inf, found.get("clean", 0)) for name in BENCHMARKS}
    current = (rows["version"] == VERSION) & (rows["recipes"] == RECIPES_VERSION)
    return current.all() and wanted.items() <= found.items()
