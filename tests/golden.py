"""The witness: checksums of what the library draws and makes. `python tests/golden.py` makes golden.json anew.

golden.json has a section for each `VERSION` of the library, and in it:

    version     the VERSION of which its checksums are
    exact       name -> sha256 of bytes that are the same on every machine
    processor   name -> {platform: sha256}: the processor, PyTorch or BLAS may move the last bits
    numbers     name -> [value, tolerance]: what holds on a platform without a checksum

A call adds the checksums of this platform to those of others, and drops all that are of another VERSION.
"""

import hashlib
import json
import os
import platform
import re
import sys
import tempfile
import warnings
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from reference import noise, photographs
from tiny import TINY, move

from lmlib import augment, corruptions, paths
from lmlib.augment import METHODS, build_method
from lmlib.corruptions import C_BAR_CORRUPTIONS, C_CORRUPTIONS, C_EXTRA, PERTURBATIONS
from lmlib.datasets import load as datasets
from lmlib.fractals import flames
from lmlib.fractals import mixing_sets as fractals
from lmlib.models import networks as models
from lmlib.models import training
from lmlib.study import evaluation, runs

FILE = Path(__file__).with_name("golden.json")
KEYS = {"seed": 7, "epoch": 3}
SIZES = {(32, 32): 24, (33, 47): 24, (224, 224): 3}  # (height, width) -> images
LIMITS = "ONEDNN_MAX_CPU_ISA", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS"  # what chooses other kernels


def sha256(value):
    """The checksum of shapes, dtypes and bytes: of an array, a tensor, a dict or dataclass of them, or plain JSON."""
    digest = hashlib.sha256()
    if is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, dict):
        for name in value:
            digest.update(f"{name} {sha256(value[name])}".encode())
    elif isinstance(value, (np.ndarray, torch.Tensor)):
        array = (
            value.detach().cpu().contiguous().numpy() if isinstance(value, torch.Tensor) else value
        )
        digest.update(f"{array.dtype.newbyteorder('<')} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    else:
        digest.update(json.dumps(value).encode())
    return digest.hexdigest()


def platform_name():
    """What the last bits of PyTorch's numbers depend on: its version, the kernels it chose, the processor, the threads."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        model = found[1] if found else model
    limits = [f"{name}={os.environ[name]}" for name in LIMITS if name in os.environ]
    capability = torch.backends.cpu.get_cpu_capability()
    return ", ".join([f"torch {torch.__version__}", capability, model, *limits])


def pictures(size, dtype):
    """Photographs and noise, with black, white and flat images among them."""
    n = SIZES[size]
    images = torch.cat([photographs(size, n - n // 2), noise(size, n // 2)])
    if n > 3:
        images[0], images[1], images[2] = 0, 255, 77
    return images if dtype == "uint8" else images.float() / 255


def augmented(method, images, index):
    """What a method makes of images: a tensor, and with label mixing a dict of images and weights."""
    if not method.mixes_labels:
        return method(images, **KEYS, index=index)
    partners = images[method.partner_index(len(images), **KEYS, index=index)]
    images, weight = method(images, partners, **KEYS, index=index)
    return {"images": images, "weight": weight}


def augmentations():
    """Every method at three sizes, uint8 and float, and its draws."""
    mixing = {size: noise((size[0] + 8, size[1] + 8), 5, n_channels=3) for size in SIZES}
    for name in METHODS:
        for size in SIZES:
            method = build_method(name, mixing_set=mixing[size])
            index = np.arange(SIZES[size]) * 5 + 1
            label = f"{name} {size[0]}x{size[1]}"
            yield f"draws {label}", method.sample(size, **KEYS, index=index), "exact"
            for dtype in ("uint8", "float32"):
                made = augmented(method, pictures(size, dtype), index)
                yield f"{label} {dtype}", made, "exact"
    crop = augment.FlipCrop()
    yield "flip and crop", crop(pictures((32, 32), "uint8"), **KEYS, index=np.arange(24)), "exact"


def corrupted():
    """Every corruption at every severity, every sequence; frost with textures that are noise."""
    images, index = noise((32, 32), 1).numpy(), np.array([3, 0, 41])
    images = np.concatenate([photographs((32, 32), 2).numpy(), images])
    for benchmark, names in (
        ("cifar_c", C_CORRUPTIONS + C_EXTRA),
        ("cifar_c_bar", C_BAR_CORRUPTIONS),
    ):
        for name in names:
            for severity in corruptions.SEVERITIES:
                keys = {"severity": severity, "benchmark": benchmark, "seed": 5, "index": index}
                yield (
                    f"{benchmark} {name} {severity}",
                    corruptions.corrupt(images, name, **keys),
                    "exact",
                )
    for name in PERTURBATIONS:
        yield f"cifar_p {name}", corruptions.perturb(images, name, seed=5, index=index), "exact"


def generated():
    """Pictures of the generated mixing set."""
    for size, colour in ((36, False), (36, True), (256, False)):
        made = flames.generate(2 if size > 36 else 4, size=size, seed=0, colour=colour)
        yield f"generated {size} px {'colour' if colour else 'grey'}", made, "exact"


def prepared():
    """The preparation of photographs, wide and high, by Pillow's resize."""
    photograph = photographs((200, 300), 1)[0].permute(1, 2, 0).numpy()
    for label, array in (("wide", photograph), ("high", photograph.transpose(1, 0, 2))):
        for colour in (False, True):
            made = fractals.prepare(Image.fromarray(array), size=36, colour=colour)
            yield f"prepared {label} {'colour' if colour else 'grey'}", made, "exact"


def data():
    """The embedded digits: pixels, labels, split."""
    digits = datasets.load_dataset("digits")
    for part in ("train", "test"):
        yield f"digits {part}", getattr(digits, part), "exact"


def networks():
    """The initial weights of every network."""
    for name, size in models.NETWORKS.items():
        weights = models.build_model(name, n_classes=10, image_size=size, seed=1).state_dict()
        yield f"initial weights {name}", dict(weights), "exact"


def trained():
    """One step and one epoch in fp32 and bf16, of two small networks on digits, each by its recipe.

    A step's loss is a mean over a batch: 1e-3 allows bf16's rounding (2**-8) to differ in a few of 128 terms, and fp32's
    by far. An epoch of four steps at a rate of 0.1 enlarges that: its mean loss is held to 5 %.
    """
    for precision in ("fp32", "bf16"):
        for loss, method in (("ce", "layermix"), ("jsd", "augmix")):
            settings = TINY | {"method": method, "loss": loss, "n_train": 512, "epochs": 1}
            config, dataset, augmentation = runs.resolve(**settings)
            config = runs.replace(config, precision=precision)
            torch.set_num_threads(1)
            yield from step_and_epoch(f"{method} {loss} {precision}", config, dataset, augmentation)
        settings = TINY | {"network": "airbench-8", "batch_size": 64, "n_train": 512, "epochs": 1}
        config, dataset, augmentation = runs.resolve(**settings)
        config = runs.replace(config, precision=precision)
        yield from step_and_epoch(f"airbench layermix {precision}", config, dataset, augmentation)


def step_and_epoch(label, config, dataset, augmentation):
    """The state after one step and after one epoch of a run, with the loss of each."""
    trainer = training.Trainer(config, dataset, augmentation)
    loss = float(trainer.step(0, *next(iter(trainer.batches.epoch(0)))))
    yield f"a step {label}", dict(trainer.state()[0]), (loss, 1e-3)
    trainer = training.Trainer(config, dataset, augmentation)
    trainer.run(lambda tensors, values: None)
    mean_loss = trainer.history[0]["loss"]
    yield f"an epoch {label}", dict(trainer.state()[0]), (mean_loss, 0.05 * mean_loss)


def measured():
    """The rows of one tiny run, trained for four steps, on a small part of every benchmark.

    Where training rounds otherwise, a decision between two nearly equal logits may fall otherwise:
    three of the images in a mean, or a tenth of a value that is no share.
    """
    config, dataset, method = runs.resolve(**TINY | {"n_train": 512, "epochs": 1})
    torch.set_num_threads(1)
    trainer = training.Trainer(config, dataset, method)
    trainer.run(lambda tensors, values: None)
    sizes = {"subset": 20, "sequences": 4, "attacked": 10}
    with tempfile.TemporaryDirectory() as folder:
        rows = evaluation.evaluate(trainer.model.eval(), dataset, folder=Path(folder), **sizes)
    for row in rows:
        label = " ".join(
            str(row[key]) for key in ("benchmark", "corruption", "severity", "measure")
        )
        tolerance = max(3 / row["n"], 0.1 * abs(row["value"]))
        yield f"row {label}", {"value": row["value"], "n": row["n"]}, (row["value"], tolerance)


SECTIONS = {
    "augment": (augment, augmentations),
    "corruptions": (corruptions, corrupted),
    "flames": (flames, generated),
    "fractals": (fractals, prepared),
    "datasets": (datasets, data),
    "models": (models, networks),
    "training": (training, trained),
    "measures": (evaluation, measured),
}
"""Module whose VERSION belongs to a section -> what makes its entries: (name, value, kind)."""


def values_of(value):
    """What a tolerance is held against: the mean of images, for a dict of them that of the first."""
    value = next(iter(value.values())) if isinstance(value, dict) else value
    mean = float(value.double().mean())
    return mean / 255 if value.dtype == torch.uint8 else mean


def witness(section):
    """The entries of a section on this platform: {name: (kind, checksum, number, tolerance)}; folders of its own."""
    threads = torch.get_num_threads()
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory() as folder,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        move(patch, Path(folder))
        write_textures()
        made = {}
        for name, value, kind in SECTIONS[section][1]():
            if kind == "exact":
                made[name] = (kind, sha256(value), None, None)
            else:
                number, tolerance = kind if isinstance(kind, tuple) else (values_of(value), kind)
                made[name] = ("processor", sha256(value), number, tolerance)
    torch.set_num_threads(threads)
    return made


def write_textures():
    """Noise in the place of the frost photographs, whose licence and download the witness does without."""
    folder = paths.RAW / "frost"
    folder.mkdir(parents=True)
    for i in range(1, 6):
        pixels = np.random.default_rng(i).integers(0, 256, (200, 240, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"frost{i}.png")


def section_of(entries, version, known):
    """A section as it is kept: the checksums of this platform beside those of others of the same version."""
    known = known if known.get("version") == version else {}
    kept = {"version": version, "exact": {}, "processor": {}, "numbers": {}}
    for name, (kind, checksum, number, tolerance) in entries.items():
        if kind == "exact":
            kept["exact"][name] = checksum
            continue
        others = known.get("processor", {}).get(name, {})
        kept["processor"][name] = others | {platform_name(): checksum}
        kept["numbers"][name] = [number, tolerance]
    return kept


def main(names):
    """Make sections of golden.json anew: those named, or all."""
    known = json.loads(FILE.read_text()) if FILE.exists() else {}
    for section in names or SECTIONS:
        version = SECTIONS[section][0].VERSION
        known[section] = section_of(witness(section), version, known.get(section, {}))
        print(
            f"{section}: {len(known[section]['exact'])} exact, {len(known[section]['processor'])} by processor"
        )
    FILE.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
