"""How fast the augmentation is: beside a per-image loop over torchvision's functionals; and all that `./run_all.sh bench` times.

Everything in a table is timed in one process, round-robin, so that a busy machine slows all rows alike.
"""

import math
import os
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms import v2 as transforms
from torchvision.transforms.v2 import functional as tv

from ..augment import LayerMix
from ..augment.blend import PROBABILITIES
from . import bench_methods, bench_study, plots
from .timing import goal, race, show

GOALS = {32: 4.0, 224: 1.5}
"""Side in pixels -> how many times the loop's speed LayerMix should reach on one thread."""


def affine(image, translate=(0, 0), shear=(0, 0)):
    return tv.affine(
        image,
        angle=0,
        translate=list(translate),
        scale=1,
        shear=list(shear),
        interpolation=InterpolationMode.BILINEAR,
    )


LOOP_OPERATIONS = (  # (image, u uniform in [-0.8, 0.8]: a signed level at magnitude 8)
    lambda image, u: tv.equalize(image),
    lambda image, u: tv.rgb_to_grayscale(image, num_output_channels=3),
    lambda image, u: tv.autocontrast(image),
    lambda image, u: tv.adjust_brightness(image, 1 + 0.9 * u),
    lambda image, u: tv.posterize(image, 4 - int(4 * abs(u))),
    lambda image, u: tv.solarize(image, 1 - abs(u)),
    lambda image, u: tv.rotate(image, 30 * u, interpolation=InterpolationMode.BILINEAR),
    lambda image, u: affine(image, shear=(math.degrees(math.atan(0.3 * u)), 0)),
    lambda image, u: affine(image, shear=(0, math.degrees(math.atan(0.3 * u)))),
    lambda image, u: affine(image, translate=(0.33 * u * image.shape[-1], 0)),
    lambda image, u: affine(image, translate=(0, 0.33 * u * image.shape[-2])),
)


class Loop:
    """LayerMix as Code Block 1 has it, one float image at a time, with torchvision v2's functionals: the reference for speed.

    mixing_set: uint8 tensor (F, 1, H', W'). Written as one would from the paper, neither tuned nor slowed: single draws by NumPy,
    masks by torch; masks multiply, and with `torch.where` the loop takes as long.
    """

    def __init__(self, mixing_set):
        self.mixing_set, self.random = mixing_set, np.random.default_rng(0)
        self.torch_random = torch.Generator().manual_seed(0)

    def __call__(self, images):
        return torch.stack([self.layermix(image) for image in images])

    def layermix(self, image):
        step = self.random.integers(3)
        operation = LOOP_OPERATIONS[self.random.integers(len(LOOP_OPERATIONS))]
        mixed = operation(image, self.random.uniform(-0.8, 0.8))
        if step == 0:
            return mixed
        mixed = self.blend(mixed, operation(image, self.random.uniform(-0.8, 0.8)))
        if step == 1:
            return mixed
        mixed = self.blend(mixed, self.mixing_image(*image.shape[-2:]))
        return operation(mixed, self.random.uniform(-0.8, 0.8))

    def mixing_image(self, height, width):
        picture = self.mixing_set[self.random.integers(len(self.mixing_set))]
        top = self.random.integers(picture.shape[1] - height + 1)
        left = self.random.integers(picture.shape[2] - width + 1)
        picture = picture[:, top : top + height, left : left + width]
        flips = [axis for axis in (1, 2) if self.random.random() < 0.5]
        return (picture.flip(flips) if flips else picture).float() / 255

    def blend(self, image, other):
        kind = self.random.choice(4, p=PROBABILITIES)
        if kind >= 2:
            shape = (1 if kind == 2 else 3, *image.shape[-2:])
            mask = (torch.rand(shape, generator=self.torch_random) < self.random.random()).float()
            return mask * image + (1 - mask) * other
        first, second = self.random.beta(3, 1), self.random.beta(1, 3)
        a, b = (first, second) if self.random.random() < 0.5 else (2 - first, -second)
        if kind == 0:
            mixed = a * image + b * other + (1 - a - b) / 2
        else:
            mixed = 2 ** (a + b - 1) * image**a * other.clamp(min=1e-37) ** b
        return mixed.clamp(0, 1)


def bench_augmentation(*, n_repeats, size, batch):
    """Images per second of LayerMix and of what it is compared with, on noise: a DataFrame, one row a program.

    n_repeats: rounds, each of which times every row once; size: side in pixels; batch: images a call.
    Columns: size, batch, program, threads, median and best in images/s over the rounds, ratio of the medians to the loop's.
    """
    random = np.random.default_rng(0)
    images = torch.from_numpy(random.integers(0, 256, (batch, 3, size, size), dtype=np.uint8))
    side = size * 36 // 32
    mixing_set = torch.from_numpy(random.integers(0, 256, (64, 1, side, side), dtype=np.uint8))
    floats, index = images.float() / 255, np.arange(batch)
    layermix, loop, augmix = LayerMix(mixing_set), Loop(mixing_set), transforms.AugMix()
    programs = {
        ("loop over torchvision", 1): lambda epoch: loop(floats),
        ("torchvision AugMix", 1): lambda epoch: torch.stack([augmix(image) for image in images]),
        ("LayerMix", 1): lambda epoch: layermix(floats, seed=0, epoch=epoch, index=index),
        ("LayerMix", 2): lambda epoch: layermix(floats, seed=0, epoch=epoch, index=index),
        ("LayerMix on uint8", 1): lambda epoch: layermix(images, seed=0, epoch=epoch, index=index),
    }
    table = race(programs, n_repeats, size=size, batch=batch)
    return table.assign(ratio=table["median"] / table["median"][0])


def section_layermix(n_repeats=7):
    """LayerMix beside a per-image loop and torchvision's AugMix."""
    tables = [
        bench_augmentation(n_repeats=n_repeats, size=size, batch=batch)
        for size, batch in ((32, 512), (224, 32))
    ]
    for table in tables:
        show(table)
    print(f"drawn: {plots.save(draw(tables), 'bench', profile='quick')}")
    ratios = pd.concat(tables).set_index(["program", "threads", "size"])["ratio"]["LayerMix", 1]
    return [
        goal(f"LayerMix at {size} px on 1 thread, times the loop", ratios[size], GOALS[size])
        for size in GOALS
    ]


def draw(tables):
    """Bars of images/s, one panel a table; the whiskers reach the best round. Returns the figure."""
    figure, axes = plt.subplots(1, len(tables), figsize=(4.5 * len(tables), 3))
    for axis, table in zip(axes, tables, strict=True):
        names = [
            f"{row.program}, {row.threads} thread{'s' * (row.threads > 1)}"
            for row in table.itertuples()
        ]
        whiskers = [np.zeros(len(table)), table["best"] - table["median"]]
        bars = axis.barh(
            names, table["median"], xerr=whiskers, color=plots.COLOURS[0], alpha=0.75, capsize=3
        )
        axis.bar_label(bars, [f"{ratio:.1f}x" for ratio in table["ratio"]], padding=3)
        axis.margins(x=0.2)
        axis.set(
            title=f"{table['size'].iloc[0]} px, batch {table['batch'].iloc[0]}", xlabel="images/s"
        )
        axis.invert_yaxis()
    return figure


SECTIONS = (
    section_layermix,
    bench_methods.section_methods,
    bench_study.section_steps,
    bench_study.section_corruptions,
    bench_study.section_widgets,
    bench_study.section_fractals,
)


def main():
    """Run every section, draw its figures as figures/quick/bench*.png, then print the goals. Minutes on two cores."""
    goals, start = [], time.time()
    print("Rows of a table are timed round-robin in one process: medians and best rounds.")
    for number, section in enumerate(SECTIONS, 1):
        title = section.__doc__.splitlines()[0]
        print(f"\n[{number}/{len(SECTIONS)}] {title} Load {os.getloadavg()[0]:.1f}.", flush=True)
        goals += section()
    print("\nGoals:", *goals, sep="\n  ")
    print(f"{time.time() - start:.0f} s; load at the end {os.getloadavg()[0]:.1f}")
