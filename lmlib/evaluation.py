"""What a trained network is worth: outcomes per image, kept in the run's folder, and the rows made from them.

An outcome file holds what a benchmark showed image by image (confidence, right or wrong); measures are computed from it, so a
new measure needs no network. An evaluation is named by its run, benchmark, recipe version, subset and seed.
"""

import json
import zipfile
from dataclasses import dataclass

import numpy as np
import torch
from tqdm.auto import tqdm

from . import attacks, metrics, paths, results
from .corruptions import SEVERITIES
from .corruptions import VERSION as RECIPES_VERSION
from .corruptions.files import open_benchmark
from .datasets import stratified_subset
from .errors import check_name
from .names import C_BAR_CORRUPTIONS, C_CORRUPTIONS, C_EXTRA, PERTURBATIONS_PAPER, PERTURBATIONS_SCRIPT
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


def clean_outcomes(model, dataset, subset, done):
    """Logits float32 (n, K) and labels of the untouched images."""
    if not done:
        logits = predict(model, dataset.test.images[subset.index]).numpy()
        yield {"logits": logits, "labels": dataset.test.labels[subset.index]}


def corruption_outcomes(benchmark, names, severities):
    """Outcomes of CIFAR-C or C-bar: for each corruption confidence float32 and correct bool (S, n), NLL and Brier (S,)."""

    def measure(model, dataset, subset, done):
        images, labels = open_benchmark(benchmark, dataset), dataset.test.labels[subset.index]
        for name in names_left(images.names, names, done, benchmark):
            levels = []
            for severity in severities:
                chunks = images.chunks(name, severity, subset.index)
                logits = torch.cat([predict(model, chunk) for chunk in chunks]).numpy()
                confidence, correct = metrics.confidence_and_correct(logits, labels)
                levels.append(
                    (confidence.astype(np.float32), correct, metrics.nll(logits, labels), metrics.brier(logits, labels))
                )
            columns = zip(("confidence", "correct", "nll", "brier"), zip(*levels, strict=True), strict=True)
            outcome = {f"{name}/{what}": np.stack(values) for what, values in columns}
            yield outcome | {f"{name}/source": np.array(images.provenance[name])}

    return measure


def perturbation_outcomes(model, dataset, subset, done):
    """Outcomes of CIFAR-P: for each perturbation the flip probability and the top-5 distance of each sequence, float64 (n,)."""
    sequences = open_benchmark("cifar_p", dataset)
    for name in names_left(sequences.names, (*PERTURBATIONS_PAPER, "spatter"), done, "cifar_p"):
        flips, distances = [], []
        for chunk in sequences.chunks(name, select=subset.index):
            logits = predict(model, chunk.reshape(-1, *chunk.shape[2:])).numpy().reshape(*chunk.shape[:2], -1)
            flips.append(metrics.flips(logits.argmax(-1), noise="noise" in name))
            distances.append(metrics.top5_distances(logits, noise="noise" in name))
        outcome = {f"{name}/flips": np.concatenate(flips), f"{name}/distances": np.concatenate(distances)}
        yield outcome | {f"{name}/source": np.array(sequences.provenance[name])}


def attack_outcomes(model, dataset, subset, done):
    """Outcomes of PGD: for each budget of `ATTACKS` whether each image is still right, bool (n,)."""
    labels, device = dataset.test.labels[subset.index], next(model.parameters()).device
    for name in names_left(ATTACKS, ATTACKS, done, "pgd"):
        epsilon, center = ATTACKS[name]
        correct = []
        for start in range(0, len(labels), 250):
            index = subset.index[start : start + 250]
            images, truth = (
                torch.from_numpy(part[index]).to(device) for part in (dataset.test.images, dataset.test.labels)
            )
            budget = {"epsilon": epsilon, "step_size": epsilon / 4, "center": center}
            adversarial = attacks.pgd(model, images, truth, **budget, seed=SEED, index=index)
            correct.append(predict(model, adversarial).argmax(1).numpy() == truth.cpu().numpy())
        yield {f"{name}/correct": np.concatenate(correct)}


def names_left(available, wanted, done, benchmark):
    """The names that are wanted, to be had and not done, behind a progress bar."""
    names = [name for name in wanted if name in available]
    left = [name for name in names if not any(key.startswith(f"{name}/") for key in done)]
    return tqdm(left, desc=benchmark, initial=len(names) - len(left), total=len(names), leave=False, mininterval=2)


def row(measure, value, *, corruption="", severity="", low="", high="", over="", n=""):
    """One measured value, as a dict of the columns that the measure decides."""
    return {
        "measure": measure,
        "value": float(value),
        "corruption": corruption,
        "severity": severity,
        "low": low,
        "high": high,
        "over": over,
        "n": n,
    }


def mean_row(measure, mean, by_image):
    """A mean with its bootstrap interval: by_image (n, ...), everything seen of an image in one row, resampled together."""
    low, high = bootstrap_interval(by_image, seed=SEED)
    return row(measure, mean, low=low, high=high, over=getattr(mean, "n", ""), n=len(by_image))


def clean_rows(outcomes):
    """Clean error, top-1 and top-5, and calibration."""
    logits, labels = outcomes["logits"], outcomes["labels"]
    confidence, correct = metrics.confidence_and_correct(logits, labels)
    rows = [mean_row("clean_error", metrics.error(logits, labels), 1.0 - correct)]
    rows.append(row("top5_error", metrics.error(logits, labels, k=5), n=len(labels)))
    rows += [row(name, measure(confidence, correct), n=len(labels)) for name, measure in CALIBRATION.items()]
    return [
        *rows,
        row("nll", metrics.nll(logits, labels), n=len(labels)),
        row("brier", metrics.brier(logits, labels), n=len(labels)),
    ]


CALIBRATION = {
    "rms_calibration_error": metrics.rms_calibration_error,
    "rms_without_last_bin": lambda confidence, correct: metrics.rms_calibration_error(
        confidence, correct, last_bin=False
    ),
    "rms_noise_floor": lambda confidence, correct: metrics.rms_noise_floor(confidence, seed=SEED, n_draws=20),
    "mad_calibration_error": metrics.mad_calibration_error,
    "ece": metrics.ece,
    "aurra": metrics.aurra,
}
"""Measures of (confidence, correct). On C and C-bar: one value a corruption, its severities pooled, then the mean."""


def corruption_rows(means, names, severities):
    """Rows of C or C-bar: the error of each corruption and severity, and means over corruptions.

    means: measure -> function of {corruption: error per severity}; names: those that the calibration is averaged over.
    """

    def make_rows(outcomes):
        errors = {name: 1 - correct.mean(1) for name, correct in parts(outcomes, "correct").items()}
        n = next(iter(parts(outcomes, "correct").values())).shape[1]
        rows = [
            row("error", value, corruption=name, severity=severity, n=n)
            for name, values in errors.items()
            for severity, value in zip(severities, values, strict=True)
        ]
        for measure, mean in means.items():
            value = mean(errors)
            by_image = np.stack([1 - outcomes[f"{name}/correct"].mean(0) for name in value.names], axis=1)
            rows.append(mean_row(measure, value, by_image))
        found = [name for name in names if name in errors]
        for measure, function in CALIBRATION.items():
            values = [
                function(outcomes[f"{name}/confidence"].ravel(), outcomes[f"{name}/correct"].ravel()) for name in found
            ]
            rows.append(row(measure, np.mean(values), over=len(found), n=n))
        return rows + [
            row(measure, np.mean([outcomes[f"{name}/{measure}"].mean() for name in found]), over=len(found), n=n)
            for measure in ("nll", "brier")
        ]

    return make_rows


def parts(outcomes, what):
    """{name: array} of the outcomes called `<name>/<what>`."""
    return {key.rpartition("/")[0]: value for key, value in outcomes.items() if key.endswith(f"/{what}")}


def perturbation_rows(outcomes):
    """Rows of P: flip probability and top-5 distance of each perturbation, and the means over the script's and the paper's ten."""
    rows = []
    for what, single, mean, function in (
        ("flips", "flip_probability", "mfp", metrics.mfp),
        ("distances", "top5_distance", "mt5d", metrics.mt5d),
    ):
        by_name = parts(outcomes, what)
        rows += [row(single, values.mean(), corruption=name, n=len(values)) for name, values in by_name.items()]
        for suffix, ten in (("", PERTURBATIONS_SCRIPT), ("_paper_ten", PERTURBATIONS_PAPER)):
            value = function({name: values.mean() for name, values in by_name.items()}, ten)
            rows.append(mean_row(f"{mean}{suffix}", value, np.stack([by_name[name] for name in value.names], axis=1)))
    return rows


def attack_rows(outcomes):
    """Rows of PGD: the error under each budget."""
    return [mean_row(name, 1 - correct.mean(), 1.0 - correct) for name, correct in parts(outcomes, "correct").items()]


ATTACKS = {
    "pgd_error": (2 / 255, "clean"),
    "pgd_error_published": (2 / 255, "noisy"),
    "pgd_error_1_of_255": (1 / 255, "clean"),
    "pgd_error_half_of_255": (0.5 / 255, "clean"),
}
"""Measure -> (epsilon, center): strict, as the released programs do it (it reaches 4/255), and two smaller budgets."""

C_MEANS = {"mce": metrics.mce, "mce_without_brightness": metrics.mce_without_brightness, "mce_extra": metrics.mce_extra}
BENCHMARKS = ("clean", "c", "c_bar", "p", "pgd")


def benchmark_functions(benchmark, severities=SEVERITIES):
    """What measures a model on a benchmark (a generator of outcomes) and what makes rows of the outcomes."""
    return {
        "clean": (clean_outcomes, clean_rows),
        "c": (
            corruption_outcomes("cifar_c", C_CORRUPTIONS + C_EXTRA, severities),
            corruption_rows(C_MEANS, C_CORRUPTIONS, severities),
        ),
        "c_bar": (
            corruption_outcomes("cifar_c_bar", C_BAR_CORRUPTIONS, severities),
            corruption_rows({"mce": metrics.mce_c_bar}, C_BAR_CORRUPTIONS, severities),
        ),
        "p": (perturbation_outcomes, perturbation_rows),
        "pgd": (attack_outcomes, attack_rows),
    }[benchmark]


def evaluate(
    model, dataset, *, folder, benchmarks=BENCHMARKS, subset=None, sequences=None, attacked=None, severities=SEVERITIES
):
    """Measure a model on benchmarks: a list of rows (dicts with results.MEASURED), everything that Table 4 needs for a run.

    folder: where outcomes are kept, one file a benchmark, written anew after each corruption; what is there is not measured
    again, so that a call can be interrupted at any moment. subset, sequences, attacked: how many stratified test images for C and
    C-bar, P, PGD (None: all; clean is always measured on all). Severities other than all five are another quantity, and the
    subset's name says so. Raises ValueError where the logits hold NaN (the network diverged), and for unknown words.
    """
    sizes, rows, errors = {"clean": None, "p": sequences, "pgd": attacked}, [], {}
    for benchmark in benchmarks:
        check_name("benchmark", benchmark, BENCHMARKS)
        measure, make_rows = benchmark_functions(benchmark, severities)
        images = test_subset(dataset, sizes.get(benchmark, subset))
        name = images.name
        if benchmark.startswith("c_") or benchmark == "c":
            name += "" if tuple(severities) == SEVERITIES else f", severities {', '.join(map(str, severities))} alone"
        identity = {
            "benchmark": benchmark,
            "version": VERSION,
            "recipes": RECIPES_VERSION,
            "subset": name,
            "seed": SEED,
        }
        path = folder / f"{benchmark}.npz"
        outcomes = read_outcomes(path, identity) or {}
        for outcome in measure(model, dataset, images, set(outcomes)):
            outcomes |= outcome
            write_outcomes(path, identity, outcomes)
        source = " and ".join(sorted({str(value) for value in parts(outcomes, "source").values()})) or dataset.source
        columns = {"benchmark": benchmark, "subset": name, "source": source, "version": VERSION}
        rows += [columns | one for one in make_rows(outcomes)]
        errors[benchmark] = {
            corruption: 1 - correct.mean(1)
            for corruption, correct in parts(outcomes, "correct").items()
            if correct.ndim == 2
        }
        if benchmark == "c_bar" and "c" in errors:
            both = metrics.mce_c_and_c_bar(
                {k: v for k, v in errors["c"].items() if k in C_CORRUPTIONS}, errors["c_bar"]
            )
            rows.append(columns | {"benchmark": "c_and_c_bar"} | row("mce", both, over=both.n, n=len(images.index)))
    return rows


def profile_sizes(profile):
    """The arguments of `evaluate` that a profile decides."""
    profile = get_profile(profile)
    return {"subset": profile.subset, "sequences": profile.sequences, "attacked": profile.attacked}


def write_outcomes(path, identity, outcomes):
    """Keep the outcomes of a benchmark: one .npz with their identity, in one rename."""
    with paths.atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, identity=np.array(json.dumps(identity, sort_keys=True)), **outcomes)


def read_outcomes(path, identity=None):
    """The kept outcomes (of that identity, or any); None where there are none, or of another identity, or damaged (said)."""
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            outcomes = dict(file)
        found = json.loads(str(outcomes.pop("identity")))
        if identity is None or found == identity:
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
