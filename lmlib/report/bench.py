"""How fast the augmentation is: beside a per-image loop over torchvision's functionals; and all that `./run_all.sh bench` times.

Everything in a table is timed in one process, round-robin, so that a busy machine slows all rows alike.
"""

import math
import os
import tempfile
import time
from collections.abc import Callable
from importlib import util
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import InterpolationMode
from torchvision.transforms import v2 as transforms
from torchvision.transforms.v2 import functional as tv

from ..augment import LayerMix, build_method
from ..augment.blend import PROBABILITIES
from . import bench_methods, bench_study, plots
from .timing import goal, race, show

GOALS = (
    (32, "layermix in batches", "loop over torchvision", 20),
    (32, "layermix as transform", "torchvision AugMix", 15),
    (32, "layermix as transform", "torchvision TrivialAugment", 3),
    (32, "augmix in batches", "torchvision AugMix", 20),
    (224, "layermix as transform", "loop over torchvision", 3),
    (224, "layermix as transform", "torchvision AugMix", 6),
)
"""Side in pixels, program, what it is compared with, and how many times that's speed it should reach on one thread."""


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


COMPILED = ("layermix", "pixmix", "ipmix", "augmix")
THEIRS = {
    "torchvision AugMix": transforms.AugMix,
    "torchvision RandAugment": transforms.RandAugment,
    "torchvision TrivialAugment": transforms.TrivialAugmentWide,
}


def installed() -> dict[str, Callable]:
    """What comes nearest in kornia and albumentations, where they are installed: name -> function of an image, uint8 (3, H, W)."""
    found = {}
    if util.find_spec("kornia"):
        from kornia.augmentation import auto

        kornia = auto.RandAugment(n=2, m=9)
        found["kornia RandAugment"] = lambda image: kornia(image[None].float() / 255)
    if util.find_spec("albumentations"):
        import albumentations

        some = albumentations.SomeOf(
            [albumentations.Equalize(), albumentations.Solarize(), albumentations.Affine()], n=2
        )
        found["albumentations SomeOf"] = lambda image: some(image=image.permute(1, 2, 0).numpy())
    return found


def bench_augmentation(*, n_repeats: int, size: int, batch: int) -> pd.DataFrame:
    """Images per second of the augmentations and of what they are compared with, on noise: one row a program.

    n_repeats: rounds, each of which times every row once; size: side in pixels; batch: images a
    call. A transform takes one uint8 image after the other, as a DataLoader's worker does. Columns:
    size, batch, program, threads, median and best in images/s over the rounds, ratio of the medians
    to the loop's.
    """
    random = np.random.default_rng(0)
    images = torch.from_numpy(random.integers(0, 256, (batch, 3, size, size), dtype=np.uint8))
    side = size * 36 // 32
    mixing_set = torch.from_numpy(random.integers(0, 256, (64, 1, side, side), dtype=np.uint8))
    floats, index, loop = images.float() / 255, np.arange(batch), Loop(mixing_set)
    programs = {("loop over torchvision", 1): lambda epoch: loop(floats)}
    one_by_one = {name: build() for name, build in THEIRS.items()} | installed()
    for name in COMPILED:
        method = build_method(name, mixing_set=mixing_set)
        one_by_one[f"{name} as transform"] = method.as_transform()
        for threads in (1, 2) if name == "layermix" else (1,):
            programs[f"{name} in batches", threads] = lambda epoch, method=method: method(
                images, seed=0, epoch=epoch, index=index
            )
    for name, transform in one_by_one.items():
        programs[name, 1] = lambda epoch, transform=transform: [transform(one) for one in images]
    programs["limit: a copy", 1] = lambda epoch: images.clone()
    programs["limit: to float", 1] = lambda epoch: images.float()
    table = race(programs, n_repeats, size=size, batch=batch)
    return table.assign(ratio=table["median"] / table["median"][0])


def bench_loader(*, n_repeats: int, n_images: int = 64, size: int = 224) -> pd.DataFrame:
    """Images per second of a DataLoader with two workers, from a folder of JPEGs to batches: a row without LayerMix, one with it."""
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "class").mkdir()
        for k in range(n_images):
            smooth = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            picture = Image.fromarray(smooth).resize((size * 5 // 4, size * 5 // 4))
            picture.save(Path(folder) / "class" / f"{k}.jpg", quality=90)
        mixing_set = random.integers(0, 256, (16, 1, size * 8 // 7, size * 8 // 7), dtype=np.uint8)
        usual = [transforms.PILToTensor(), transforms.RandomCrop(size)]
        programs = {}
        for name, more in (
            ("DataLoader", []),
            ("DataLoader, LayerMix", [LayerMix(mixing_set).as_transform()]),
        ):
            data = ImageFolder(folder, transforms.Compose(usual + more))
            loader = DataLoader(data, batch_size=16, num_workers=2, persistent_workers=True)
            programs[name, 1] = lambda epoch, loader=loader: sum(
                len(images) for images, _ in loader
            )
        table = race(programs, n_repeats, size=size, batch=n_images)
    return table.assign(ratio=table["median"] / table["median"][0])


def section_layermix(n_repeats: int = 7) -> list[str]:
    """LayerMix, PixMix, IPMix and AugMix beside a per-image loop and torchvision's transforms, and in a DataLoader."""
    tables = [
        bench_augmentation(n_repeats=n_repeats, size=size, batch=batch)
        for size, batch in ((32, 512), (224, 32))
    ]
    tables.append(bench_loader(n_repeats=n_repeats))
    for table in tables:
        show(table)
    print(f"drawn: {plots.save(draw(tables), 'bench', profile='quick')}")
    speeds = pd.concat(tables).set_index(["size", "program", "threads"])["median"]
    found = []
    for size, program, other, times in GOALS:
        ratio = speeds[size, program, 1] / speeds[size, other, 1]
        found.append(goal(f"{program}, {size} px, times {other}", ratio, times))
    for name in ("pixmix", "ipmix"):
        speed = speeds[32, f"{name} in batches", 1]
        found.append(
            goal(f"{name} in batches, 32 px, images/s on 1 thread", speed, 12_000, digits=0)
        )
    two = speeds[32, "layermix in batches", 2] / speeds[32, "layermix in batches", 1]
    return [*found, goal("two threads, in one (where two cores are idle)", two, 1.7)]


def draw(tables):
    """Bars of images/s, one panel a table; the whiskers reach the best round. Returns the figure."""
    figure, axes = plt.subplots(1, len(tables), figsize=(5.5 * len(tables), 4))
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
