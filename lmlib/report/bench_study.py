"""What someone waits for: a training step with augmentation or with JSD, corrupted images, the explorer, fractals."""

from functools import partial
from timeit import timeit

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from ..augment import METHODS
from ..fractals.flames import generate
from ..models.training import IMAGES_PER_CALL, Trainer
from ..study import runs
from ..study.plans import run_settings
from . import bench_corruptions as corruptions
from . import plots
from .explorer import Explorer
from .gallery import Gallery
from .timing import goal, n_threads, race, show

SHARE, JSD, TRAINING, RESPONSE = 1 / 5, 3.2, 80, 100
"""At most: a batch's LayerMix in training steps, and a JSD step in plain steps; at least: speed with augmentation in % of the bare
step's; at most: ms from an event to a picture."""


def bench_steps(*, n_repeats):
    """Training steps of the profile `quick` (WRN-10-1, batch 128, fp32, one thread): a DataFrame, one row a kind of step.

    n_repeats: rounds, each of which times every row once. As many steps are timed together as a training augments batches in one
    call, so that a row with augmentation has its whole cost: the crop (digits are not flipped), LayerMix, twice for JSD. The
    last row is LayerMix alone, on images of 8 bits.
    Columns: step, ms (median a step), images/s, and "of the bare step" (ratio of the medians).
    """
    programs = {}
    for loss in ("ce", "jsd"):
        config, dataset, method = runs.resolve(**run_settings("quick", loss=loss, n_fractals=64))
        trainer = Trainer(config, dataset, method)
        batches, n_images = trainer.batches, IMAGES_PER_CALL["cpu"]
        batches.index = batches.index[:n_images]  # an epoch of whole batches
        fixed = list(batches.epoch(0))
        programs[f"{loss}, bare", config.threads] = partial(
            train, trainer, lambda epoch, fixed=fixed: fixed
        )
        programs[f"{loss}, with LayerMix", config.threads] = partial(train, trainer, batches.epoch)
    images, index = batches.images[batches.index], batches.index
    programs["LayerMix alone", config.threads] = lambda epoch: method(
        images, seed=0, epoch=epoch, index=index
    )
    speeds = race(programs, n_repeats, batch=n_images)
    ms = 1000 * config.batch_size / speeds["median"]
    columns = {
        "step": speeds["program"],
        "ms": ms,
        "images/s": speeds["median"],
        "of the bare step": ms / ms[0],
    }
    return pd.DataFrame(columns)


def train(trainer, batches, epoch):
    """One step on each of the batches of an epoch; steps are counted from 0, as at the start of a training."""
    trainer.model.train()
    for step, batch in enumerate(batches(epoch)):
        trainer.step(step, *batch)


def bench_widgets():
    """Milliseconds from a control's event to the new picture at 32 px, one thread: a DataFrame, one row a control.

    Columns: widget, control, median and slowest in ms, and n, the number of events.
    """
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (16, 3, 32, 32), dtype=np.uint8)
    grey, colour = (random.integers(0, 256, (16, n, 36, 36), dtype=np.uint8) for n in (1, 3))
    explorer, gallery = Explorer(images, grey), Gallery(images, {"grey": grey, "colour": colour})
    magnitudes, betas = np.linspace(0, 10, 21), np.linspace(0.5, 10, 20)
    events = {
        ("explorer", "magnitude"): (explorer.magnitude, magnitudes),
        ("explorer", "beta"): (explorer.beta, betas),
        ("explorer", "seed"): (explorer.seed, range(1, 21)),
        ("explorer", "image"): (explorer.image, range(1, 16)),
        ("explorer", "operation"): (explorer.operation, explorer.operation.options[1:]),
        ("gallery", "method"): (gallery.method, METHODS),
    }
    rows = []
    with n_threads(1):
        for (widget, name), (control, values) in events.items():
            ms = [
                1000 * timeit(partial(setattr, control, "value", value), number=1)
                for value in values
            ]
            rows.append([widget, name, np.median(ms), max(ms), len(ms)])
    return pd.DataFrame(rows, columns=["widget", "control", "median", "slowest", "n"])


def bench_fractals(*, n_repeats):
    """Generated fractals per second, one process, others in each round, as their costs differ: a DataFrame as `race` gives it."""

    def program(size, n):
        return {("fractals", 1): lambda number: generate(n, size=size, seed=number)}

    return pd.concat(
        race(program(size, n), n_repeats, size=size, batch=n) for size, n in ((36, 8), (256, 2))
    )


def draw_corruptions(table):
    """Milliseconds of each generator, ours a dot, the reference's range a line, one panel a benchmark. Returns the figure."""
    benchmarks = list(dict.fromkeys(table["benchmark"]))
    figure, axes = plt.subplots(1, len(benchmarks), figsize=(11, 4))
    for axis, benchmark in zip(axes, benchmarks, strict=True):
        part = table[table["benchmark"] == benchmark]
        least, most = (part[name] for name in corruptions.REFERENCE.values())
        axis.hlines(part["name"], least, most, color=plots.COLOURS[1], linewidth=4)
        axis.plot(least, part["name"], "|", color=plots.COLOURS[1], markersize=9)
        axis.plot(part["ms"], part["name"], "o", color=plots.COLOURS[0], markersize=5)
        axis.set(
            xscale="log",
            title=benchmark,
            xlabel=f"ms a{' sequence' if benchmark == 'cifar_p' else 'n image'}",
        )
        axis.invert_yaxis()
    figure.suptitle("dots: ours; lines: the reference programs, measured elsewhere", fontsize=10)
    return figure


def section_steps(n_repeats=7):
    """Training steps of the profile quick: cross-entropy and JSD, bare and with LayerMix."""
    table = bench_steps(n_repeats=n_repeats)
    show(table, **{"images/s": 0})
    steps = table.set_index("step")["of the bare step"]
    percent = 100 / steps["ce, with LayerMix"]
    return [
        goal(
            "LayerMix's share of a training step on 1 thread",
            steps["LayerMix alone"],
            SHARE,
            at_most=True,
            digits=2,
        ),
        goal(
            "a JSD step, augmentation aside, in plain steps",
            steps["jsd, bare"],
            JSD,
            at_most=True,
            digits=2,
        ),
        goal("training with crop and LayerMix, % of the bare step's speed", percent, TRAINING),
    ]


def section_corruptions():
    """Every corruption, milliseconds an image (a sequence for CIFAR-P), beside the reference's, which was measured elsewhere."""
    print(
        f"drawn: {plots.save(draw_corruptions(corruptions.bench()), 'bench-corruptions', profile='quick')}"
    )
    return []


def section_widgets():
    """The widgets of 03-layermix and 08-methods: from an event to the new picture."""
    table = bench_widgets()
    show(table, median=1, slowest=1)
    slowest = table.loc[table["widget"] == "explorer", "median"].max()
    return [
        goal("the explorer at 32 px, slowest control's median, ms", slowest, RESPONSE, at_most=True)
    ]


def section_fractals(n_repeats=5):
    """Generated fractals per second, a few in each round."""
    show(bench_fractals(n_repeats=n_repeats), median=2, best=2)
    return []
