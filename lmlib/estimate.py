"""How long a study will take on this machine: measured for a minute before it starts."""

import time

import torch

from . import runs
from .training import Trainer

VIEWS = {"ce": 1, "jsd": 3, "oe": 2}
"""Forward passes of one step: a JSD step sees the clean image and two mixes, an OE step an outlier for each image."""


def seconds_per_step(setting, budget):
    """Seconds of one training step of a run, batches included: after a first one, which may compile, as many as `budget` s hold."""
    config, dataset, method = runs.resolve(**setting)
    torch.set_num_threads(config.threads)
    trainer = Trainer(config, dataset, method, runs.default_device())
    trainer.model.train()
    times, start = [], time.perf_counter()
    for step, batch in enumerate(trainer.batches.epoch(0)):
        float(trainer.step(step, *batch))  # waits for a GPU
        times.append(time.perf_counter())
        if times[-1] - times[0] > budget:
            break
    steps = len(times) - 1
    return (times[-1] - times[0]) / steps if steps else times[0] - start


def training_hours(settings, *, jobs, minutes=1.0):
    """Estimated hours to train the runs that `settings` name, `jobs` side by side; the measurements as {network: s per step}.

    Each network is timed with its first run's method, for an equal share of `minutes`; a JSD step counts three times, an OE step
    twice. Evaluation is not in it.
    """
    networks = {}
    for setting in settings:
        networks.setdefault(setting["network"], setting)
    share = 60 * minutes / len(networks)
    measured = {network: seconds_per_step({**setting, "loss": "ce"}, share) for network, setting in networks.items()}
    seconds = 0
    for setting in settings:
        config, dataset, _ = runs.resolve(**setting)
        n_steps = -(-len(config.training_index(dataset)) // config.batch_size)
        seconds += config.epochs * n_steps * measured[config.network] * VIEWS[config.loss]
    return seconds / 3600 / jobs, measured


def announce(profile, settings, *, jobs):
    """Print the estimate for the missing runs of a profile, from a minute's measurement."""
    print(f"{len(settings)} runs are missing; measuring this machine for a minute ...", flush=True)
    hours, measured = training_hours(settings, jobs=jobs)
    steps = ", ".join(f"{network} {1000 * seconds:.0f} ms a step" for network, seconds in measured.items())
    print(
        f"Estimated training time of {profile}: {hours:.1f} hours, {jobs} at a time ({steps}); evaluation comes on top.",
        flush=True,
    )
