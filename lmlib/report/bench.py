"""Speed, side by side: the augmentations beside a loop over torchvision's functionals and beside
other libraries, a DataLoader, training steps; and what every corruption costs.

The programs of a table are timed in one process, one after the other in each round, so that a busy
machine slows all of them alike.
"""

import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module, util
from math import atan, degrees
from pathlib import Path
from textwrap import fill
from timeit import timeit
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from PIL import Image
from scipy import ndimage
from sklearn.datasets import load_sample_image
from torch.utils.benchmark import Timer
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2 as transforms
from torchvision.transforms.v2 import functional as tv
from tqdm.auto import tqdm

from .. import paths
from ..augment import METHODS, LayerMix, build_method
from ..augment.blend import PROBABILITIES
from ..corruptions import LEVELS, NAMES, make
from ..corruptions.recipe import SIZES
from ..models.batches import IMAGES_PER_CALL, DecodedBatches
from ..models.training import Trainer
from ..study import runs
from ..study.plans import run_settings
from . import plots

Program = Callable[[int], Any]
"""A function of the number of the round, which works on one batch."""
Programs = dict[tuple[str, int], Program]
"""Programs by (name, threads)."""
BILINEAR = transforms.InterpolationMode.BILINEAR
TRANSFORMS = ("layermix", "pixmix", "ipmix", "augmix")
"""Methods that are timed as a transform of single images, too."""
TORCHVISION = "AugMix AutoAugment RandAugment TrivialAugmentWide RandomErasing".split()
REFERENCE = {end: f"reference's {end} ms (measured elsewhere)" for end in ("least", "most")}
"""Columns: milliseconds of the reference programs over severities, on one thread, measured once on
another machine: an order of magnitude. The noises of CIFAR-P were not timed: NaN."""


def race(programs: Programs, n_repeats: int, *, batch: int, size: int = 32) -> pd.DataFrame:
    """The speed of programs side by side: one row a program, in images/s.

    n_repeats: rounds, in each of which every program is timed once, after two calls to warm up;
    batch: images a call; size: side in pixels. Columns: size, batch, program, threads, median and
    best over the rounds, and ratio, of the median to that of the first program. Some of
    torchvision's transforms draw from the global generator: its state is restored.
    """
    seconds = {key: list[float]() for key in programs}
    with torch.random.fork_rng(devices=[]):
        for number in tqdm(range(n_repeats), desc=f"{size} px, batch {batch}"):
            for key, program in programs.items():
                names = {"program": program, "number": number}
                timer = Timer("program(number)", globals=names, num_threads=key[1])
                seconds[key].append(timer.timeit(1).mean)
    speeds = {key: batch / np.array(times) for key, times in seconds.items()}
    rows = [(size, batch, *key, np.median(each), each.max()) for key, each in speeds.items()]
    table = pd.DataFrame(rows, columns="size batch program threads median best".split())
    return table.assign(ratio=table["median"] / table["median"][0])


affine = partial(tv.affine, angle=0, scale=1, interpolation=BILINEAR)
LOOP_OPERATIONS: tuple[Callable[[torch.Tensor, float], torch.Tensor], ...] = (
    lambda image, u: tv.equalize(image),
    lambda image, u: tv.rgb_to_grayscale(image, num_output_channels=3),
    lambda image, u: tv.autocontrast(image),
    lambda image, u: tv.adjust_brightness(image, 1 + 0.9 * u),
    lambda image, u: tv.posterize(image, 4 - int(4 * abs(u))),
    lambda image, u: tv.solarize(image, 1 - abs(u)),
    lambda image, u: tv.rotate(image, 30 * u, BILINEAR),
    lambda image, u: affine(image, translate=[0, 0], shear=[degrees(atan(0.3 * u)), 0]),
    lambda image, u: affine(image, translate=[0, 0], shear=[0, degrees(atan(0.3 * u))]),
    lambda image, u: affine(image, translate=[0.33 * u * image.shape[-1], 0], shear=[0, 0]),
    lambda image, u: affine(image, translate=[0, 0.33 * u * image.shape[-2]], shear=[0, 0]),
)
"""Functions of an image and u, uniform in [-0.8, 0.8]: a signed level at magnitude 8."""


class Loop:
    """LayerMix as Code Block 1 has it, one float image at a time: the reference for speed.

    mixing_set: uint8 (F, 1, H', W'). Written with torchvision v2's functionals as one would from
    the paper, neither tuned nor slowed: single draws by NumPy, masks by torch; masks multiply, and
    with `torch.where` the loop takes as long.
    """

    def __init__(self, mixing_set: torch.Tensor) -> None:
        self.mixing_set, self.random = mixing_set, np.random.default_rng(0)
        self.torch_random = torch.Generator().manual_seed(0)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """The augmented images. images: float (B, 3, H, W) in [0, 1]."""
        return torch.stack([self.layermix(image) for image in images])

    def layermix(self, image: torch.Tensor) -> torch.Tensor:
        """One augmented image, (3, H, W)."""
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

    def mixing_image(self, height: int, width: int) -> torch.Tensor:
        """A window of a mixing image, flipped at random: float (1, height, width) in [0, 1]."""
        picture = self.mixing_set[self.random.integers(len(self.mixing_set))]
        top = self.random.integers(picture.shape[1] - height + 1)
        left = self.random.integers(picture.shape[2] - width + 1)
        picture = picture[:, top : top + height, left : left + width]
        flips = [axis for axis in (1, 2) if self.random.random() < 0.5]
        return (picture.flip(flips) if flips else picture).float() / 255

    def blend(self, image: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """Both images blended in one of the four ways, in [0, 1]."""
        kind = self.random.choice(4, p=PROBABILITIES)
        if kind >= 2:
            shape = (1 if kind == 2 else 3, *image.shape[-2:])
            mask = (torch.rand(shape, generator=self.torch_random) < self.random.random()).float()
            return mask * image + (1 - mask) * other
        first, second = self.random.beta(3, 1), self.random.beta(1, 3)
        a, b = (first, second) if self.random.random() < 0.5 else (2 - first, -second)
        if kind == 0:
            return (a * image + b * other + (1 - a - b) / 2).clamp(0, 1)
        return (2 ** (a + b - 1) * image**a * other.clamp(min=1e-37) ** b).clamp(0, 1)


def other_libraries() -> dict[str, Callable[[torch.Tensor], Any]]:
    """What comes nearest in kornia and albumentations, where they are installed.

    Returns {name: function of an image, uint8 (3, H, W)}.
    """
    nearest = dict[str, Callable[[torch.Tensor], Any]]()
    if util.find_spec("kornia"):
        kornia = import_module("kornia.augmentation.auto").RandAugment(n=2, m=9)
        nearest["kornia RandAugment"] = lambda image: kornia(image[None].float() / 255)
    if util.find_spec("albumentations"):
        library = import_module("albumentations")
        operations = [getattr(library, name)() for name in ("Equalize", "Solarize", "Affine")]
        some = library.SomeOf(operations, n=2)
        nearest["albumentations SomeOf"] = lambda image: some(image=image.permute(1, 2, 0).numpy())
    return nearest


def in_batches(name: str, images: torch.Tensor, mixing_set: torch.Tensor) -> Program:
    """A method on a batch, as a function of the epoch, its partners, if it has any, included."""
    method, index = build_method(name, mixing_set=mixing_set), np.arange(len(images))

    def call(epoch: int) -> Any:
        keys: dict[str, Any] = {"seed": 0, "epoch": epoch, "index": index}
        if not method.mixes_labels:
            return method(images, **keys)
        return method(images, images[method.partner_index(len(images), **keys)], **keys)

    return call


def one_by_one(transform: Callable[[torch.Tensor], Any], images: torch.Tensor) -> Program:
    """A transform on one image after the other, as a DataLoader's worker calls it."""
    return lambda epoch: [transform(image) for image in images]


def bench_augmentation(*, n_repeats: int, size: int, batch: int) -> pd.DataFrame:
    """Every method, and what it is compared with, on noise: the table of `race`.

    The first row is the loop over torchvision. Batches are of floats, single images uint8; a copy
    and a conversion to floats are the limit.
    """
    random = np.random.default_rng(0)
    images = torch.from_numpy(random.integers(0, 256, (batch, 3, size, size), dtype=np.uint8))
    side = size * 36 // 32
    mixing_set = torch.from_numpy(random.integers(0, 256, (64, 1, side, side), dtype=np.uint8))
    floats, loop = images.float() / 255, Loop(mixing_set)
    programs: Programs = {("loop over torchvision", 1): lambda _: loop(floats)}
    for name in METHODS:
        programs[f"{name} in batches", 1] = in_batches(name, floats, mixing_set)
    programs["layermix in batches", 2] = programs["layermix in batches", 1]
    singles = {
        f"{name} as transform": build_method(name, mixing_set=mixing_set).as_transform()
        for name in TRANSFORMS
    } | {f"torchvision {name}": getattr(transforms, name)() for name in TORCHVISION}
    for name, transform in (singles | other_libraries()).items():
        programs[name, 1] = one_by_one(transform, images)
    programs["limit: a copy", 1] = lambda epoch: images.clone()
    programs["limit: to float", 1] = lambda epoch: images.float()
    return race(programs, n_repeats, size=size, batch=batch)


def bench_loader(*, n_repeats: int, n_images: int = 64, size: int = 224) -> pd.DataFrame:
    """A DataLoader with two workers from a folder of JPEGs to batches, without and with LayerMix.

    Returns the table of `race`.
    """
    random, side = np.random.default_rng(0), size * 8 // 7
    mixing_set = random.integers(0, 256, (16, 1, side, side), dtype=np.uint8)
    usual = [transforms.PILToTensor(), transforms.RandomCrop(size)]
    mixed = [*usual, LayerMix(mixing_set).as_transform()]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "class").mkdir()
        for k in range(n_images):
            smooth = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
            picture = smooth.resize((size * 5 // 4, size * 5 // 4))
            picture.save(Path(folder) / "class" / f"{k}.jpg", quality=90)
        programs: Programs = {}
        for name, steps in {"DataLoader": usual, "DataLoader, LayerMix": mixed}.items():
            data = ImageFolder(folder, transforms.Compose(steps))
            loader = DataLoader(data, batch_size=16, num_workers=2, persistent_workers=True)
            programs[name, 1] = partial(lambda loader, epoch: sum(map(len, loader)), loader)
        return race(programs, n_repeats, size=size, batch=n_images)


def bench_pictures(*, n_repeats: int, n_images: int = 256) -> pd.DataFrame:
    """A training's batches at 224 px from a folder of JPEGs of 500 x 375: the table of `race`.

    Decoded, cut and mixed by LayerMix, in one process and in two. The pictures are pieces of a
    photograph, 75 kB each.
    """
    random, photograph = np.random.default_rng(0), Image.fromarray(load_sample_image("china.jpg"))
    with tempfile.TemporaryDirectory() as folder:
        for k in range(n_images):
            file = Path(folder) / ("test" if k < 2 else "train") / str(k % 2) / f"{k}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            left, top = random.integers(0, (141, 53))
            photograph.crop((left, top, left + 500, top + 375)).save(file, quality=95)
        settings = {"dataset": f"photographs:{folder}", "network": "resnet-18", "n_fractals": 16}
        resolved = runs.resolve(**run_settings("quick", **settings, batch_size=64))
        batches, name = DecodedBatches(*resolved), "pictures to batches, LayerMix"

        def epoch(number: int) -> int:
            return sum(len(batch.targets) for batch in batches.epoch(number))

        programs: Programs = {(name, n_processes): epoch for n_processes in (1, 2)}
        return race(programs, n_repeats, size=batches.images.size, batch=len(batches.index))


def bench_steps(*, n_repeats: int) -> pd.DataFrame:
    """Training steps of the profile `quick`, bare and with LayerMix: the table of `race`.

    As many steps are timed together as a training augments batches in one call, so that a row with
    augmentation has its whole cost: the crop (digits are not flipped) and LayerMix, twice for JSD.
    """
    programs: Programs = {}
    for loss in ("ce", "jsd"):
        config, dataset, method = runs.resolve(**run_settings("quick", loss=loss, n_fractals=64))
        trainer = Trainer(config, dataset, method)
        batches, n_images = trainer.batches, IMAGES_PER_CALL["cpu"]
        batches.index = batches.index[:n_images]  # an epoch of whole batches
        for kind, fixed in {"bare": list(batches.epoch(0)), "LayerMix": None}.items():
            name = f"step with {loss}, {kind}"
            programs[name, config.threads] = partial(train, trainer, fixed)
    return race(programs, n_repeats, batch=n_images)


def train(trainer: Trainer, batches: Iterable | None, epoch: int) -> None:
    """One step on each of the batches, which are those of the epoch where None are given.

    Steps are counted from 0, as at the start of a training.
    """
    trainer.model.train()
    for step, batch in enumerate(batches or trainer.batches.epoch(epoch)):
        trainer.step(step, *batch)


def bench_corruptions(n: int = 200, family: str = "cifar") -> pd.DataFrame:
    """Milliseconds that every generator takes for an image, or for a sequence of frames.

    n: smooth pictures that are timed, and an eighth as many sequences; family: cifar, of 32 pixels
    a side, or imagenet, of 224. Columns: benchmark, name, ms (mean over severities, draws included,
    and for ImageNet the JPEG file), and those of `REFERENCE`. Frost is left out and named where its
    photographs are absent.
    """
    noise = np.random.default_rng(0).uniform(size=(n, 3, SIZES[family], SIZES[family]))
    smooth = ndimage.gaussian_filter(noise, (0, 0, 3, 3))
    images = (255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)
    rows = []
    benchmarks = [benchmark for benchmark in NAMES if benchmark.startswith(family)]
    generators = [(benchmark, name) for benchmark in benchmarks for name in NAMES[benchmark]]
    for benchmark, name in tqdm(generators, desc="corruptions"):
        some = images[: max(1, n // 8)] if LEVELS[benchmark] == (None,) else images
        try:
            rows.append((benchmark, name, milliseconds(some, name, benchmark)))
        except FileNotFoundError as error:
            print(f"{name} is left out: {error}")
    reference = pd.read_csv(paths.PUBLISHED / "generator_ms.csv").rename(columns=REFERENCE)
    return pd.DataFrame(rows, columns=["benchmark", "name", "ms"]).merge(reference, how="left")


def milliseconds(images: np.ndarray, name: str, benchmark: str) -> float:
    """Milliseconds an image, mean over severities, each after a call on one image to warm up."""
    index, seconds = np.arange(len(images)), []
    for severity in LEVELS[benchmark]:
        call = partial(make, name=name, severity=severity, benchmark=benchmark, seed=0)
        call(images[:1], index=index[:1])
        seconds.append(timeit(partial(call, images, index=index), number=1))
    return float(1000 * np.mean(seconds) / len(images))


def draw_corruptions(table: pd.DataFrame) -> Figure:
    """The table of `bench_corruptions`: ours as dots, the reference's range as lines."""
    panels = table.groupby("benchmark", sort=False)
    figure, axes = plt.subplots(1, len(panels), figsize=(10, 6), squeeze=False)
    for axis, (benchmark, part) in zip(axes.flat, panels, strict=True):
        least, most = (part[name] for name in REFERENCE.values())
        names = [fill(name.replace("_", " "), 20) for name in part["name"]]
        look: dict[str, Any] = {"color": plots.COLOURS[1], "linewidth": 6}
        axis.hlines(names, least, most, label="the reference programs, measured elsewhere", **look)
        axis.plot(least, names, "|", color=plots.COLOURS[1], markersize=11, markeredgewidth=3)
        axis.plot(part["ms"], names, "o", color=plots.COLOURS[0], markersize=7, label="ours, here")
        unit = "ms a sequence" if LEVELS[benchmark] == (None,) else "ms an image"
        axis.set(xscale="log", title=benchmark, xlabel=unit)
        axis.invert_yaxis()
        axis.grid(axis="x", color="0.9")
        axis.set_axisbelow(True)
    legend = axes[0, 0].get_legend_handles_labels()
    figure.legend(*legend, loc="outside lower center", ncols=2, fontsize=11)
    return figure


def main(n_repeats: int = 7) -> None:
    """Time everything and print two tables: speeds, and corruptions. Minutes on two cores."""
    print(f"Images/s over {n_repeats} rounds; ratios are to the first row of each group.")
    small, large = {"size": 32, "batch": 512}, {"size": 224, "batch": 32}
    tables = [bench_augmentation(n_repeats=n_repeats, **one) for one in (small, large)]
    loaders = bench_loader, bench_pictures, bench_steps
    tables += [bench(n_repeats=n_repeats) for bench in loaders]
    speeds = pd.concat(tables).round({"median": 1, "best": 1, "ratio": 2})
    print(speeds.to_string(index=False), end="\n\n", flush=True)
    costs = pd.concat([bench_corruptions(), bench_corruptions(8, "imagenet")])
    print(costs.round(3).to_string(index=False))
