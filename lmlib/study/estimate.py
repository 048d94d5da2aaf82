"""How long a study will take on this machine: measured for a minute before it starts, and before its mixing sets are made."""

import time
from collections import Counter

import torch

from ..models.losses import FORWARD_PASSES
from ..models.training import Trainer
from . import rows as results
from . import runs


def seconds_per_step(setting, budget):
    """Seconds of one training step of a run, batches included: after a first one, which may compile, as many as `budget` s hold.

    On a CPU, where nothing compiles, a first step that takes all of the budget is itself the answer.
    """
    config, dataset, _ = runs.check(**setting)
    torch.set_num_threads(config.threads)
    trainer = Trainer(config, dataset, runs.stand_in(config, dataset), runs.default_device())
    trainer.model.train()
    times, since = [time.perf_counter()], 0 if trainer.device.type == "cpu" else 1
    for step, batch in enumerate(trainer.batches.epoch(0)):
        float(trainer.step(step, *batch))  # waits for a GPU
        times.append(time.perf_counter())
        if times[-1] - times[since] > budget:
            break
    first = min(1, len(times) - 2)
    return (times[-1] - times[first]) / (len(times) - 1 - first)


def training_hours(settings, *, jobs):
    """Estimated hours to train the runs that `settings` name, `jobs` side by side; the measurements as {network: s per step}.

    Each network is timed with its first run's method, for an equal share of a minute; a JSD step counts three times, an OE step
    twice. Evaluation is not in it.
    """
    networks = {setting["network"]: setting | {"loss": "ce"} for setting in reversed(settings)}
    share, seconds = 60 / len(networks), 0
    measured = {network: seconds_per_step(setting, share) for network, setting in networks.items()}
    for setting in settings:
        config, dataset, _ = runs.check(**setting)
        n_steps = -(-len(config.training_index(dataset)) // config.batch_size)
        seconds += config.epochs * n_steps * measured[config.network] * FORWARD_PASSES[config.loss]
    return seconds / 3600 / jobs, measured


def surely_missing(profile, settings):
    """Those of `settings` that lack rows whatever their mixing sets are: for each label, as many as there are files too few."""
    left = Counter(file.stem.rpartition("-")[0] for file in results.row_files(profile))
    checked = ((setting, *runs.check(**setting, images=False)) for setting in settings)
    planned = {
        (config.name, wanted): (config.label, setting) for setting, config, _, wanted in checked
    }
    missing = []
    for label, setting in planned.values():
        left[label] -= 1
        if left[label] < 0:
            missing.append(setting)
    return missing


def announce(profile, settings, *, jobs):
    """Print the estimate for the missing runs of a profile, from a minute's measurement; `quick` is over in minutes without."""
    if profile == "quick":
        return
    for dataset in {setting["dataset"] for setting in settings}:
        runs.dataset_of(dataset)  # fetched if it is not here
    print(f"{len(settings)} runs are missing; measuring this machine for a minute ...", flush=True)
    hours, measured = training_hours(settings, jobs=jobs)
    steps = ", ".join(
        f"{network} {1000 * seconds:.0f} ms a step" for network, seconds in measured.items()
    )
    at_a_time = f"{hours:.1f} hours, {jobs} at a time ({steps})"
    print(
        f"Estimated training time of {profile}: {at_a_time}; evaluation comes on top.", flush=True
    )
