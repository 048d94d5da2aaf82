"""What a network does on a benchmark, image by image: measured once, kept in the run's folder.

An outcome file holds confidences and whether each image was right; every measure is computed from it, so that a new measure
needs no network. A measuring function is a generator: what it yields is written before it goes on.
"""

import json
from dataclasses import dataclass

import numpy as np
import torch
from tqdm.auto import tqdm

from .. import metrics, paths
from ..corruptions.files import open_benchmark
from ..datasets.split import stratified_subset
from ..models import attacks
from ..models.prediction import PREDICTED, predict
from ..names import PERTURBATIONS_PAPER

VERSION = 2  # raised by hand when outcomes change, together with that of the measures
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
    return Subset(
        f"{n:,} stratified test images", stratified_subset(dataset.test.labels, n, seed=SEED)
    )


def clean_outcomes(model, dataset, subset, done):
    """Logits float32 (n, K) and labels of the untouched images."""
    if not done:
        logits = predict(model, dataset.test.images[subset.index]).numpy()
        yield {"logits": logits, "labels": dataset.test.labels[subset.index]}


def corruption_outcomes(benchmark, severities, model, dataset, subset, done):
    """Outcomes of CIFAR-C or C-bar: for each corruption confidence float32 and correct bool (S, n), NLL and Brier (S,)."""
    images, labels = (
        open_benchmark(benchmark, dataset, seed=SEED),
        dataset.test.labels[subset.index],
    )
    for name in names_left(images.names, images.names, done, benchmark):
        levels = []
        for severity in severities:
            logits = torch.cat(
                [predict(model, chunk) for chunk in images.chunks(name, severity, subset.index)]
            ).numpy()
            confidence, correct = metrics.confidence_and_correct(logits, labels)
            level = {"confidence": confidence.astype(np.float32), "correct": correct}
            levels.append(
                level | {"nll": metrics.nll(logits, labels), "brier": metrics.brier(logits, labels)}
            )
        outcome = {
            f"{name}/{what}": np.stack([level[what] for level in levels]) for what in levels[0]
        }
        yield outcome | {f"{name}/source": np.array(images.provenance[name])}


def perturbation_outcomes(model, dataset, subset, done):
    """Outcomes of CIFAR-P: for each perturbation the flip probability and the top-5 distance of each sequence, float64 (n,)."""
    sequences = open_benchmark("cifar_p", dataset, seed=SEED)
    for name in names_left(sequences.names, (*PERTURBATIONS_PAPER, "spatter"), done, "cifar_p"):
        flips, distances = [], []
        for chunk in sequences.chunks(name, select=subset.index):
            logits = (
                predict(model, chunk.reshape(-1, *chunk.shape[2:]))
                .numpy()
                .reshape(*chunk.shape[:2], -1)
            )
            flips.append(metrics.flips(logits.argmax(-1), noise="noise" in name))
            distances.append(metrics.top5_distances(logits, noise="noise" in name))
        outcome = {
            f"{name}/flips": np.concatenate(flips),
            f"{name}/distances": np.concatenate(distances),
        }
        yield outcome | {f"{name}/source": np.array(sequences.provenance[name])}


ATTACKS = {
    "pgd_error": (2 / 255, "clean"),
    "pgd_error_published": (2 / 255, "noisy"),
    "pgd_error_1_of_255": (1 / 255, "clean"),
    "pgd_error_half_of_255": (0.5 / 255, "clean"),
}
"""Measure -> (epsilon, center): strict, as the released programs do it (it reaches 4/255), and two smaller budgets."""


def attack_outcomes(model, dataset, subset, done):
    """Outcomes of PGD: for each budget of `ATTACKS` whether each image is still right, bool (n,)."""
    labels, device = dataset.test.labels[subset.index], next(model.parameters()).device
    size = PREDICTED[device.type]
    for name in names_left(ATTACKS, ATTACKS, done, "pgd"):
        epsilon, center = ATTACKS[name]
        correct = []
        for start in range(0, len(labels), size):
            index = subset.index[start : start + size]
            images, truth = (
                torch.from_numpy(part[index]).to(device)
                for part in (dataset.test.images, dataset.test.labels)
            )
            budget = {"epsilon": epsilon, "step_size": epsilon / 4, "center": center}
            adversarial = attacks.pgd(model, images, truth, **budget, seed=SEED, index=index)
            correct.append(predict(model, adversarial).argmax(1).numpy() == truth.cpu().numpy())
        yield {f"{name}/correct": np.concatenate(correct)}


def names_left(available, wanted, done, benchmark):
    """The names that are wanted, to be had and not done, behind a progress bar."""
    names = [name for name in wanted if name in available]
    left = [name for name in names if not any(key.startswith(f"{name}/") for key in done)]
    return tqdm(
        left,
        desc=benchmark,
        initial=len(names) - len(left),
        total=len(names),
        leave=False,
        mininterval=2,
    )


def parts(outcomes, what):
    """{name: array} of the outcomes called `<name>/<what>`."""
    return {
        key.rpartition("/")[0]: value for key, value in outcomes.items() if key.endswith(f"/{what}")
    }


def write_outcomes(path, identity, outcomes):
    """Keep the outcomes of a benchmark: one .npz with their identity and names, in one rename."""
    identity = json.dumps(identity | {"names": sorted(outcomes)}, sort_keys=True)
    with paths.atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, identity=np.array(identity), **outcomes)


def read_outcomes(path, identity=None):
    """The kept outcomes (of that identity, or any); None where there are none, or of another identity, or damaged (said)."""
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            outcomes = dict(file)
        found = json.loads(str(outcomes.pop("identity")))
        if found.pop("names", sorted(outcomes)) != sorted(
            outcomes
        ):  # older files do not name theirs
            raise ValueError("outcomes are missing")
        if identity is None or found == identity:
            return outcomes
        print(f"{path} is of another recipe or subset: measured again")
    except Exception as error:  # np.load may raise anything for what is truncated or foreign
        print(f"{path} is damaged ({error}): measured again")
    return None
