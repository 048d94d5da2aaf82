"""What a trained network is worth: outcomes per image, kept in the run's folder, and the rows made from them.

An outcome file holds what a benchmark showed image by image (confidence, right or wrong); measures are computed from it, so a
new measure needs no network. An evaluation is named by its run, benchmark, recipe version, subset and seed.
"""

import json
import zipfile
from dataclasses import dataclass

import numpy as np

from . import metrics, paths, results
from .datasets import stratified_subset
from .profiles import get_profile
from .statistics import bootstrap_interval
from .training import predict

VERSION = 1  # raised by hand when the numbers of a measure change
SEED = 0  # of the benchmarks' draws: every network meets the same images


@dataclass(frozen=True)
class Subset:
    """Which test images a benchmark uses: `name` for tables, `index` int64 (n,), positions in the test set."""

    name: str
    index: np.ndarray


def test_subset(dataset, n):
    """The fixed, stratified subset of `n` test images; all of them for None or where there are no more than n."""
    n_test = len(dataset.test)
    if n is None or n >= n_test:
        return Subset(f"all {n_test:,} test images", np.arange(n_test))
    return Subset(f"{n:,} stratified test images", stratified_subset(dataset.test.labels, n, seed=SEED))


def clean_outcomes(model, dataset, subset):
    """Logits float32 (n, K) and labels of the untouched images."""
    return {
        "logits": predict(model, dataset.test.images[subset.index]).numpy(),
        "labels": dataset.test.labels[subset.index],
    }


def clean_rows(outcomes):
    """Clean error and calibration from `clean_outcomes`: a list of rows."""
    logits, labels = outcomes["logits"], outcomes["labels"]
    confidence, correct = metrics.confidence_and_correct(logits, labels)
    interval = bootstrap_interval(1.0 - correct, seed=SEED)
    rows = [row("clean_error", metrics.error(logits, labels), low=interval.low, high=interval.high)]
    rows.append(row("clean_error_top5", metrics.error(logits, labels, k=5)))
    rows += calibration_rows(confidence, correct, prefix="clean")
    rows += [row("clean_nll", metrics.nll(logits, labels)), row("clean_brier", metrics.brier(logits, labels))]
    return [one | {"n": len(labels)} for one in rows]


def calibration_rows(confidence, correct, prefix):
    """RMS calibration error in full, as published, and its noise floor; MAD, ECE, AURRA."""
    return [
        row(f"{prefix}_rms", metrics.rms_calibration_error(confidence, correct)),
        row(f"{prefix}_rms_published", metrics.rms_calibration_error(confidence, correct, last_bin=False)),
        row(f"{prefix}_rms_noise_floor", metrics.rms_noise_floor(confidence, seed=SEED)),
        row(f"{prefix}_mad", metrics.mad_calibration_error(confidence, correct)),
        row(f"{prefix}_ece", metrics.ece(confidence, correct)),
        row(f"{prefix}_aurra", metrics.aurra(confidence, correct)),
    ]


def row(measure, value, *, corruption="", severity="", low="", high=""):
    """One measured value, as a dict of the columns that the measure decides."""
    return {
        "measure": measure,
        "value": value,
        "corruption": corruption,
        "severity": severity,
        "low": low,
        "high": high,
    }


BENCHMARKS = {"clean": (clean_outcomes, clean_rows)}
"""Benchmark -> (outcomes of a model, rows of outcomes)."""


def benchmark_subset(dataset, profile, benchmark):
    """The images of a benchmark in a profile: all for the clean error, the profile's subset otherwise."""
    sizes = {"clean": None, "p": profile.sequences, "pgd": profile.attacked}
    return test_subset(dataset, sizes.get(benchmark, profile.subset))


def evaluate(model, dataset, *, profile, folder, benchmarks=tuple(BENCHMARKS)):
    """Measure a model on benchmarks: a list of rows (dicts with results.MEASURED), everything that Table 4 needs for a run.

    folder: where outcomes are kept, one file a benchmark; what is there is not measured again, so a run can be interrupted
    between two benchmarks. Raises ValueError where the logits hold NaN (the network diverged).
    """
    profile, rows = get_profile(profile), []
    for benchmark in benchmarks:
        measure, make_rows = BENCHMARKS[benchmark]
        subset = benchmark_subset(dataset, profile, benchmark)
        identity = {
            "benchmark": benchmark,
            "version": VERSION,
            "subset": subset.name,
            "seed": SEED,
            "data": dataset.hash,
        }
        path = folder / f"{benchmark}-{len(subset.index)}.npz"
        outcomes = read_outcomes(path, identity)
        if outcomes is None:
            outcomes = measure(model, dataset, subset)
            write_outcomes(path, identity, outcomes)
        columns = {"benchmark": benchmark, "subset": subset.name, "version": VERSION, "source": dataset.source}
        rows += [columns | one for one in make_rows(outcomes)]
    return rows


def write_outcomes(path, identity, outcomes):
    """Keep the outcomes of a benchmark: one .npz with their identity, in one rename."""
    with paths.atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, identity=np.array(json.dumps(identity, sort_keys=True)), **outcomes)


def read_outcomes(path, identity):
    """The kept outcomes of that identity; None where there are none, or they are of another identity, or damaged (said)."""
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            outcomes = dict(file)
        if json.loads(str(outcomes.pop("identity"))) == identity:
            return outcomes
        print(f"{path} is of another recipe or subset: measured again")
    except (ValueError, OSError, KeyError, EOFError, zipfile.BadZipFile, zipfile.zlib.error) as error:
        print(f"{path} is damaged ({error}): measured again")
    return None


def record(profile, config, rows, finished):
    """Add the run's identity and provenance to measured rows and write them: the run's CSV in the profile's results.

    finished: the content of the run's done.json.
    """
    identity = {
        "run": config.name,
        "dataset": config.dataset,
        "network": config.network,
        "method": config.method,
        "parameters": json.dumps(config.parameters, sort_keys=True),
        "loss": config.loss,
        "epochs": config.epochs,
        "n_train": config.n_train or "",
        "seed": config.seed,
    }
    provenance = {
        "mixing": config.mixing["label"] if config.mixing else "none",
        "precision": config.precision,
        "threads": config.threads,
        "commit": finished["commit"][:12],
        "device": finished["device"],
        "machine": finished["machine"],
        "torch": finished["packages"]["torch"],
        "finished": finished["finished"],
    }
    results.write_rows(profile, config.name, [identity | one | provenance for one in rows])


def is_complete(profile, run):
    """Whether the rows of a run hold every benchmark, in this version of the measures."""
    try:
        rows = results.read_rows(profile, [run])
    except ValueError:
        return False
    return set(BENCHMARKS) <= set(rows["benchmark"]) and (rows["version"] == VERSION).all()
