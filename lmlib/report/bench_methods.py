"""How fast every method is, on one thread, beside the baseline and beside torchvision's own transform where there is one."""

import numpy as np
import torch
from torchvision.transforms import v2 as transforms

from ..augment import METHODS, build_method
from .timing import goal, race, show

GOAL, RATIO = 5_000, 4
"""Images/s on one thread at 32 px, batch 512, that every mixing method should reach, or else this many times its per-image form."""
MIXING = tuple(name for name in METHODS if "mix" in name)

TORCHVISION = {
    "random_erasing": transforms.RandomErasing,
    "autoaugment": transforms.AutoAugment,
    "randaugment": transforms.RandAugment,
    "trivialaugment": transforms.TrivialAugmentWide,
    "augmix": transforms.AugMix,
    "mixup": transforms.MixUp,
    "cutmix": transforms.CutMix,
}
"""Method -> torchvision's transform. The last two take a whole batch, with one weight for all of it; the others one image."""


def ours(name, images, mixing_set):
    """One call of the method on a batch, as a function of the epoch. Partners, where it takes them, are gathered in the call."""
    method, index = build_method(name, mixing_set=mixing_set), np.arange(len(images))

    def call(epoch):
        keys = {"seed": 0, "epoch": epoch, "index": index}
        if method.mixes_labels:
            partner = torch.from_numpy(method.partner_index(len(images), **keys))
            return method(images, images[partner], **keys)
        return method(images, **keys)

    return call


def torchvisions(name, images):
    """The same with torchvision's transform, on the whole batch as floats or on one uint8 image after the other."""
    if name in ("mixup", "cutmix"):
        transform, labels = (
            TORCHVISION[name](num_classes=10),
            torch.zeros(len(images), dtype=torch.int64),
        )
        floats = images.float() / 255
        return lambda epoch: transform(floats, labels)
    transform = TORCHVISION[name]()
    return lambda epoch: torch.stack([transform(image) for image in images])


def bench_methods(n_repeats, *, batch=512):
    """Images per second of every method on one thread, on noise at 32 px: a DataFrame, one row a method.

    n_repeats: rounds, each of which times everything once; batch: images a call, float ones for ours and for Mixup and CutMix,
    uint8 ones for torchvision's other transforms, which is what they take.
    Columns: method, batch, median and best in images/s over the rounds, torchvision (its median, NaN where it has none),
    ratio of the medians. A mixing set is grey; outliers are not drawn.
    """
    random = np.random.default_rng(0)
    images = torch.from_numpy(random.integers(0, 256, (batch, 3, 32, 32), dtype=np.uint8))
    mixing_set, floats = (
        random.integers(0, 256, (64, 1, 36, 36), dtype=np.uint8),
        images.float() / 255,
    )
    programs = {(name, 1): ours(name, floats, mixing_set) for name in METHODS}
    programs |= {(f"torchvision {name}", 1): torchvisions(name, images) for name in TORCHVISION}
    speeds = race(programs, n_repeats, batch=batch).set_index("program")
    theirs = speeds["median"].reindex([f"torchvision {name}" for name in METHODS]).to_numpy()
    table = (
        speeds.loc[list(METHODS), ["batch", "median", "best"]].rename_axis("method").reset_index()
    )
    return table.assign(torchvision=theirs, ratio=table["median"] / theirs)


def section_methods(n_repeats=5):
    """Every method on one thread, beside torchvision's transform where there is one."""
    table = bench_methods(n_repeats)
    show(table, torchvision=0)
    return goals(table)


def goals(table):
    """A sentence for each mixing method that is below `GOAL`, and one for the rest."""
    mixing = table[table["method"].isin(MIXING)]
    slow = mixing[mixing["median"] < GOAL]
    fast = f"{len(mixing) - len(slow)} of {len(mixing)} mixing methods: {GOAL:,} images/s or more on 1 thread"
    return [f"met     {fast}"] + [
        goal(
            f"{row.method}, {row.median:,.0f} images/s: times its per-image form (nan: it has none)",
            row.ratio,
            RATIO,
        )
        for row in slow.itertuples()
    ]
