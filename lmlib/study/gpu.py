"""A quarter of an hour of one GPU: `./run_all.sh gpu`. Each part is whole before the next begins.

The tests that need CUDA; the speed of trainings that the host feeds; the profile `gpu`, seed by
seed; and, while time is left, the first epochs of the paper's own network.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from .. import augment, paths
from ..datasets.load import Dataset
from ..datasets.split import Split
from ..models.recipes import RECIPES, default_recipe
from ..models.training import Batch, Trainer, reproducible
from . import grid, plans, rows, runs
from .profiles import MAIN_METHODS, get_profile

BUDGET = 12 * 60  # seconds
SPEEDS = {"wrn-40-4": 60, "airbench-64": 60, "resnet-50": 10}  # network -> timed batches
N_SEEN = {32: 20_000, 224: 1000}  # images of an epoch by their size
FIRST_EPOCHS = """
from lmlib.study import plans, runs
runs.train(*runs.resolve(**plans.run_settings("paper")))
"""


def run(jobs: int | None = None) -> None:
    """All parts within `BUDGET` seconds; jobs: runs side by side.

    Raises ValueError where there is no CUDA.
    """
    if not torch.cuda.is_available():
        raise ValueError(
            "gpu is for a machine with CUDA, and PyTorch finds none here: `./run_all.sh cifar-cpu` "
            "is for CPUs"
        )
    start = time.monotonic()
    print(f"On {torch.cuda.get_device_name()}, within {BUDGET // 60} minutes:", flush=True)
    command = [sys.executable, "-m", "pytest", "-m", "cuda", "tests"]
    passed = subprocess.call(command, cwd=paths.SOURCE) == 0
    print(f"tests that need CUDA: {'passed' if passed else 'FAILED, see above'}", flush=True)
    speeds = pd.DataFrame([training_speed(network) for network in SPEEDS])
    rows.save_table(speeds.set_index("network"), "gpu-speed", profile="gpu")
    print(speeds.to_string(index=False), flush=True)
    longest = 0.0
    for seed in get_profile("gpu").seeds:
        tick = time.monotonic()
        if tick - start + longest > BUDGET:
            print(f"no time is left for seed {seed}: the same command goes on with it")
            return
        variants = [{"method": method} for method in MAIN_METHODS]
        grid.ensure(plans.with_seeds("gpu", variants, [seed]), jobs=jobs or 3)
        longest = max(longest, time.monotonic() - tick)
        print(f"seed {seed}: {time.monotonic() - tick:.0f} s", flush=True)
    papers_network(BUDGET - (time.monotonic() - start))


def training_speed(network: str) -> dict[str, float | str]:
    """Images/s of a network trained with LayerMix on noise, and the share of time that it waits.

    Everything is as in a run: the host augments, bf16, the batch size of the recipe.
    """
    size = 224 if network == "resnet-50" else 32
    dataset, recipe = noise_dataset(size), RECIPES[default_recipe(network)]
    settings = plans.run_settings("gpu", network="airbench-64", dataset="cifar10", epochs=1)
    config, _, _ = runs.resolve_without_mixing_set(**settings, images=False)
    config = replace(
        config,
        network=network,
        recipe=default_recipe(network),
        batch_size=recipe.batch_size,
        learning_rate=1e-3,
    )
    black = np.zeros((100, 3, size * 8 // 7, size * 8 // 7), np.uint8)
    method = augment.build_method("layermix", mixing_set=black)
    trainer = Trainer(config, dataset, method, runs.default_device())
    trainer.model.train()
    waited, times = 0.0, []
    with reproducible(config.threads):
        for n, (seconds, batch) in enumerate(timed(endless(trainer))):
            float(trainer.step(0, *batch))  # waits for the GPU
            times.append(time.perf_counter())
            waited += seconds if n > 5 else 0  # the first steps choose kernels
            if n == 5 + SPEEDS[network]:
                break
    took, n_images = times[-1] - times[5], config.batch_size * SPEEDS[network]
    return {"network": network, "images/s": n_images / took, "share waiting": waited / took}


def endless(trainer: Trainer) -> Iterator[Batch]:
    """The batches of one epoch after the other."""
    epoch = 0
    while True:
        yield from trainer.batches.epoch(epoch)
        epoch += 1


def timed(items: Iterator[Batch]) -> Iterator[tuple[float, Batch]]:
    """Each item with the seconds that it was waited for."""
    while True:
        tick = time.perf_counter()
        item = next(items)
        yield time.perf_counter() - tick, item


def noise_dataset(size: int) -> Dataset:
    """Images of noise, `size` x `size` pixels, in ten classes: their speed is that of others."""
    draws = np.random.default_rng(0)
    images = draws.integers(0, 256, (N_SEEN[size], 3, size, size), dtype=np.uint8)
    split = Split(images, np.arange(len(images)) % 10)
    few = Split(images[:10], split.labels[:10])
    return Dataset(
        "noise", split, few, tuple("0123456789"), "generated", None, flip=True, pad=4, hash=""
    )


def papers_network(seconds: float) -> None:
    """Train the paper's run of LayerMix for `seconds`, and say how many hours all of it takes.

    What it trained is kept: `./run_all.sh paper` goes on from there.
    """
    config, _, _ = runs.resolve_without_mixing_set(**plans.run_settings("paper"), images=False)
    if seconds < 60:
        print(f"no time is left for {config.network}")
        return
    with suppress(subprocess.TimeoutExpired):
        subprocess.run([sys.executable, "-c", FIRST_EPOCHS], timeout=seconds, check=False)
    # The hash in the name is of the mixing set too, which takes minutes to draw: the child's work.
    checkpoints = list(paths.RUNS.glob(f"{config.label}-*/checkpoint.safetensors"))
    if not checkpoints:
        print(f"{config.network}: no epoch ended within {seconds:.0f} s")
        return
    newest = max(checkpoints, key=lambda path: path.stat().st_mtime)
    history = pd.DataFrame(runs.history_of(newest.parent.name))
    rows.save_table(history.set_index("epoch"), "gpu-wrn-40-4", profile="gpu")
    mean = history["seconds"].tail(3).mean()
    print(
        f"{config.network}: {len(history)} epochs, {mean:.1f} s each, test error "
        f"{history['test_error'].iloc[-1]:.3f}; {config.epochs} epochs take "
        f"{config.epochs * mean / 3600:.1f} hours"
    )
