"""What a network does on a benchmark, image by image: measured once, kept in the run's folder.

An outcome file holds confidences and whether each image was right; every measure is computed from
them, so that a new measure needs no network. What measures a benchmark is a generator: what it
yields is written before it goes on.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from .. import metrics
from ..corruptions import SEVERITIES
from ..corruptions import VERSION as RECIPES_VERSION
from ..corruptions.files import Benchmark, open_benchmark
from ..datasets.load import Dataset
from ..datasets.photographs import Pictures
from ..datasets.split import stratified_subset
from ..files import DamagedFile, as_cache, read_arrays, write_arrays
from ..models.attacks import pgd
from ..models.prediction import EVAL_BATCH_SIZE, device_and_dtype, predict
from ..names import PERTURBATIONS_PAPER
from . import imagenet
from .imagenet import PictureBenchmark, open_imagenet

VERSION = 2  # raised by hand when outcomes change, together with that of the rows
SEED = 0  # of the benchmarks' draws: every network meets the same images

Outcomes = Mapping[str, Any]
"""Arrays by name; of a corruption named "<corruption>/<quantity>", its source a str."""


@dataclass(frozen=True)
class Subset:
    """The test images that a benchmark uses: `name` for tables, `index` int64 (n,) of positions."""

    name: str
    index: np.ndarray


def test_subset(dataset: Dataset, n: int | None) -> Subset:
    """The fixed, stratified subset of `n` test images; all for None or too large an `n`."""
    n_test = len(dataset.test)
    if n is None or n >= n_test:
        return Subset(f"all {n_test:,} test images", np.arange(n_test))
    index = stratified_subset(dataset.test.labels, n, seed=SEED)
    return Subset(f"{n:,} stratified test images", index)


def clean_outcomes(
    model: torch.nn.Module, dataset: Dataset, subset: Subset, done: Collection[str]
) -> Iterator[Outcomes]:
    """Logits float32 (n, K) and labels of the untouched images."""
    if not done:
        images, index = dataset.test.images, subset.index
        shown = images.part(index) if isinstance(images, Pictures) else images[index]
        logits = predict(model, shown).numpy()
        yield {"logits": logits, "labels": dataset.test.labels[subset.index]}


def opened(benchmark: str, dataset: Dataset, resized: bool = False) -> Benchmark | PictureBenchmark:
    """A benchmark of CIFAR, "cifar_c" say, or one of ImageNet, "imagenet_c" say, for a dataset."""
    if benchmark.startswith("imagenet"):
        return open_imagenet(benchmark, dataset, seed=SEED, resized=resized)
    return open_benchmark(benchmark, dataset, seed=SEED)


def corruption_outcomes(
    benchmark: str,
    model: torch.nn.Module,
    dataset: Dataset,
    subset: Subset,
    done: Collection[str],
    resized: bool = False,
) -> Iterator[Outcomes]:
    """Outcomes of C or C-bar, corruption by corruption, at the five severities.

    benchmark, resized: as of `opened`. confidence float32 and correct bool, (5, n) each; nll and
    brier (5,).
    """
    images = opened(benchmark, dataset, resized)
    labels = dataset.test.labels[subset.index]
    for name in with_progress(images.names, done, benchmark):
        levels: list[dict[str, Any]] = []
        for severity in SEVERITIES:
            chunks = images.chunks(name, severity, subset.index)
            logits = torch.cat([predict(model, chunk) for chunk in chunks]).numpy()
            confidence, correct = metrics.confidence_and_correct(logits, labels)
            levels.append(
                {
                    "confidence": confidence.astype(np.float32),
                    "correct": correct,
                    "nll": metrics.nll(logits, labels),
                    "brier": metrics.brier(logits, labels),
                }
            )
        stacked = {
            f"{name}/{quantity}": np.stack([level[quantity] for level in levels])
            for quantity in levels[0]
        }
        yield stacked | {f"{name}/source": images.provenance[name]}


def perturbation_outcomes(
    benchmark: str,
    model: torch.nn.Module,
    dataset: Dataset,
    subset: Subset,
    done: Collection[str],
) -> Iterator[Outcomes]:
    """Outcomes of P, perturbation by perturbation. benchmark: "cifar_p" or "imagenet_p".

    flips and distances, float64 (n,) each: the flip probability and the top-5 distance of each
    sequence.
    """
    sequences = opened(benchmark, dataset)
    names = [name for name in (*PERTURBATIONS_PAPER, "spatter") if name in sequences.names]
    for name in with_progress(names, done, benchmark):
        flips, distances, noise = [], [], "noise" in name
        for chunk in sequences.chunks(name, select=subset.index):
            logits = predict(model, chunk.reshape(-1, *chunk.shape[2:])).numpy()
            logits = logits.reshape(*chunk.shape[:2], -1)
            flips.append(metrics.flips(logits.argmax(-1), noise=noise))
            distances.append(metrics.top5_distances(logits, noise=noise))
        yield {
            f"{name}/flips": np.concatenate(flips),
            f"{name}/distances": np.concatenate(distances),
            f"{name}/source": sequences.provenance[name],
        }


def rendition_outcomes(
    model: torch.nn.Module, dataset: Dataset, subset: Subset, done: Collection[str]
) -> Iterator[Outcomes]:
    """Logits float32 (n, 200) and labels of the pictures of ImageNet-R.

    All of them, whatever the subset of the test images. A network of 1,000 classes is asked for its
    logits of the 200 alone.
    """
    if not done:
        renditions = imagenet.renditions()
        asked = imagenet.OfClasses(model, imagenet.OF_R) if dataset.n_classes > 200 else model
        logits = predict(asked, renditions.images).numpy()
        yield {"logits": logits, "labels": renditions.labels, "r/source": "official"}


ATTACKS = {
    "pgd_error": (2 / 255, "clean"),
    "pgd_error_published": (2 / 255, "noisy"),
    "pgd_error_1_of_255": (1 / 255, "clean"),
    "pgd_error_half_of_255": (0.5 / 255, "clean"),
}
"""Measure -> (epsilon, center): strict, as in the released programs (which reach 4/255), and two
smaller budgets."""


def attack_outcomes(
    model: torch.nn.Module, dataset: Dataset, subset: Subset, done: Collection[str]
) -> Iterator[Outcomes]:
    """Outcomes of PGD: for each of `ATTACKS` whether each image is still right, bool (n,)."""
    images, labels = dataset.test.images, dataset.test.labels
    size = EVAL_BATCH_SIZE[device_and_dtype(model)[0].type]
    for name in with_progress(ATTACKS, done, "pgd"):
        epsilon, center = ATTACKS[name]
        correct = []
        for start in range(0, len(subset.index), size):
            index = subset.index[start : start + size]
            budget: dict[str, Any] = {"epsilon": epsilon, "step_size": epsilon / 4}
            attacked = pgd(
                model, images[index], labels[index], center=center, seed=SEED, index=index, **budget
            )
            correct.append(predict(model, attacked).argmax(1).numpy() == labels[index])
        yield {f"{name}/correct": np.concatenate(correct)}


def with_progress(names: Iterable[str], done: Collection[str], benchmark: str) -> Iterable[str]:
    """Those of `names` that have no outcome in `done` yet, behind a progress bar."""
    names, measured = list(names), {key.partition("/")[0] for key in done}
    remaining = [name for name in names if name not in measured]
    initial = len(names) - len(remaining)
    bar = {"desc": benchmark, "total": len(names), "leave": False, "mininterval": 2}
    return tqdm(remaining, initial=initial, **bar)


def by_name(outcomes: Outcomes, quantity: str) -> dict[str, Any]:
    """{name: value} of the outcomes called "<name>/<quantity>"."""
    end = f"/{quantity}"
    return {key.removesuffix(end): outcomes[key] for key in outcomes if key.endswith(end)}


def measure_or_read(
    measure: Callable[[Collection[str]], Iterator[Outcomes]],
    path: Path,
    benchmark: str,
    subset: str,
    dataset: Dataset,
) -> dict[str, Any]:
    """The outcomes of a benchmark: those in `path`, and the rest as `measure` yields it.

    measure: function of the names of the outcomes that are there. The file is written after each
    part, so that a call can be interrupted at any moment. Raises ValueError that names the run.
    """
    identity = {"benchmark": benchmark, "subset": subset, "seed": SEED, "data": dataset.hash}
    identity |= {"version": VERSION, "recipes": RECIPES_VERSION}
    outcomes = read_outcomes(path, identity) or {}
    try:
        for part in measure(outcomes.keys()):
            outcomes |= part
            with as_cache(path):
                write_outcomes(path, identity, outcomes)
    except ValueError as error:  # logits that hold NaN, say
        run = path.parent.parent.name
        raise ValueError(f"run {run}, benchmark {benchmark}: {error}") from error
    return outcomes


def write_outcomes(path: Path, identity: Mapping[str, Any], outcomes: Outcomes) -> None:
    """Keep the outcomes of a benchmark: its arrays, and its texts beside the identity."""
    texts = {key: value for key, value in outcomes.items() if isinstance(value, str)}
    arrays = {key: value for key, value in outcomes.items() if key not in texts}
    # safetensors sorts its arrays; the order of the rows is that of the outcomes.
    record = {"identity": dict(identity), "texts": texts, "order": list(outcomes)}
    write_arrays(path, arrays, record)


def read_outcomes(path: Path, identity: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """The outcomes in a file, of that identity or, for None, of any.

    None where there is no file; also, with a printed line, where it is damaged or of another
    identity.
    """
    try:
        arrays, record = read_arrays(path)
    except FileNotFoundError:
        return None
    except DamagedFile as error:
        print(f"{error}: measured again")
        return None
    if identity is not None and record["identity"] != identity:
        print(f"{path} is of another recipe or subset: measured again")
        return None
    return {key: (arrays | record["texts"])[key] for key in record["order"]}
