"""The profile `paper` at tiny size: its plans, methods, networks and schedules, on noise.

`shrink` changes `lmlib` in one process; `shrink_children` has every kernel started from here do it.
A run is two steps of its last epoch; C and C-bar are measured on two images, a sequence has three
frames and an attack two steps.
"""

import os
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lmlib import paths
from lmlib.corruptions import files
from lmlib.datasets import cifar
from lmlib.datasets.split import Split, in_content_order
from lmlib.models import training
from lmlib.models.recipes import RECIPES
from lmlib.study import outcomes
from lmlib.study.profiles import PROFILES

SIZES = {"train": 64, "test": 12}
CUSTOMISE = """import sys
if any("ipykernel" in argument for argument in sys.orig_argv):
    sys.path.append({folder!r})
    import pytest, tiny_paper
    tiny_paper.shrink(pytest.MonkeyPatch())
"""


def noise(name: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images uint8 (N, 32, 32, 3) and labels of both splits, in place of CIFAR's."""
    n_classes = len(cifar.CIFAR[name].classes)
    arrays = {}
    for seed, (part, n) in enumerate(SIZES.items()):
        images = np.random.default_rng((seed, n_classes)).integers(0, 256, (n, 32, 32, 3), np.uint8)
        arrays[part] = images, np.arange(n) % n_classes
    return arrays


def shrink(patch: pytest.MonkeyPatch) -> None:
    """Make the profile and what it reads and does tiny, in this process."""
    sizes = {"n_fractals": 10, "subset": 2, "sequences": 2, "attacked": 2, "threads": 1}
    patch.setitem(PROFILES, "paper", replace(PROFILES["paper"], **sizes, compile=False))
    patch.setitem(RECIPES, "paper", RECIPES["paper"]._replace(batch_size=8))
    for part, n in SIZES.items():
        patch.setitem(cifar.SHAPES, part, (n, 32, 32, 3))
    for name, known in list(cifar.CIFAR.items()):
        content = {}
        for part, (images, labels) in noise(name).items():
            content[part] = in_content_order(Split(images.transpose(0, 3, 1, 2), labels))[2]
        patch.setitem(cifar.CIFAR, name, replace(known, content=content))

    epoch, run, make, pgd = (
        training.Batches.epoch, training.Trainer.run, files.make, outcomes.pgd
    )  # fmt: skip

    def last_epoch(trainer, save, label=""):
        trainer.epoch = max(trainer.epoch, trainer.config.epochs - 1)
        run(trainer, save, label)

    def first_frames(images, name, severity, benchmark, **key):
        made = make(images, name, severity, benchmark, **key)
        return made[:, :3] if benchmark == "cifar_p" else made

    patch.setattr(
        training.Batches, "epoch", lambda batches, n, first: islice(epoch(batches, n, first), 2)
    )
    patch.setattr(training.Trainer, "run", last_epoch)
    patch.setattr(files, "make", first_frames)
    patch.setattr(outcomes, "pgd", lambda *images, **budget: pgd(*images, **budget, steps=2))


def shrink_children(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Have every kernel started from this process call `shrink` before its first cell."""
    tests = str(Path(__file__).parent)
    (folder / "sitecustomize.py").write_text(CUSTOMISE.format(folder=tests))
    patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)


def write_raw() -> None:
    """Put the noise, and photographs for frost, where a user puts CIFAR."""
    paths.RAW.mkdir(parents=True)
    for name in cifar.CIFAR:
        for part, (images, labels) in noise(name).items():
            np.savez(paths.RAW / f"{name}_{part}.npz", images=images, labels=labels)
    (paths.RAW / "frost").mkdir()
    pictures = np.random.default_rng(0).integers(0, 256, (5, 200, 200, 3), np.uint8)
    for i, picture in enumerate(pictures, 1):
        Image.fromarray(picture).save(paths.RAW / "frost" / f"frost{i}.png")
