"""The official folders of ImageNet-C, C-bar and P, read where they lie.

    folder = official_pictures("imagenet_c")                  # data/raw/ImageNet-C, or None
    for file in list_cell(folder, "imagenet_c", "fog", 3, ["n01440764"]):
        read_official_picture(file.path)                      # uint8 (3, 224, 224)

Layouts are those of the authors. C: `<corruption>/<severity>/<class>/ILSVRC2012_val_*.JPEG`, also
below the names of its archives (blur, digital, ...). C-bar the same, with the number of the
severity or, as its program writes it, its level ("2.35"). P: `<perturbation>/<class>/*.mp4`. The
number in a name is the picture's number among the 50,000, of which a class has fifty.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from .. import paths
from ..checks import check_name
from ..pictures import read_picture
from . import recipe
from .recipe import SIZES

FOLDERS = {
    "imagenet_c": "ImageNet-C",
    "imagenet_c_bar": "ImageNet-C-Bar",
    "imagenet_p": "ImageNet-P",
}
"""Their names in data/raw; each can be a link."""
PER_CLASS = 50
NUMBERED = re.compile(r"ILSVRC2012_val_(\d{8})\.(JPEG|mp4)")
"""The name of a picture or a video, with its number."""


class OfficialFile(NamedTuple):
    """A picture or a video of a benchmark."""

    path: Path
    label: str  # the class, by its WordNet number
    number: int  # among the validation pictures, 1 to 50,000; less 1 it names the picture in draws


def official_pictures(benchmark: str) -> Path | None:
    """The folder of a benchmark of ImageNet in data/raw, None where there is none.

    Raises ValueError for an unknown benchmark.
    """
    check_name("benchmark", benchmark, FOLDERS)
    folder = paths.RAW / FOLDERS[benchmark]
    return folder if folder.is_dir() else None


def list_cell(
    folder: Path, benchmark: str, name: str, severity: int | None, classes: Iterable[str]
) -> list[OfficialFile]:
    """The files of some classes under one corruption at one severity, by class and name.

    severity: 1 to 5, None for sequences; classes: WordNet numbers. Raises ValueError for a
    corruption or a severity that is not there, for missing classes, and for a class in part.
    """
    place = cell_folder(folder, benchmark, name, severity)
    classes = list(classes)
    if missing := [label for label in classes if not (place / label).is_dir()]:
        named = f"{len(missing)} of {len(classes)} classes, {missing[0]} among them"
        raise ValueError(f"{place} lacks the folders of {named}: unpack the archive again")
    files = []
    for label in classes:
        names = sorted(path.name for path in (place / label).iterdir())
        matches = [match for one in names if (match := NUMBERED.fullmatch(one))]
        if len(matches) != PER_CLASS:
            problem = f"{len(matches)} of the {PER_CLASS} files that a class has"
            raise ValueError(f"{place / label} holds {problem}: unpack the archive again")
        files += [OfficialFile(place / label / one[0], label, int(one[1])) for one in matches]
    return files


def cell_folder(folder: Path, benchmark: str, name: str, severity: int | None) -> Path:
    """Where the classes of one corruption at one severity lie.

    Raises ValueError where there is no such folder.
    """
    _, p = recipe(name, benchmark, severity)
    inner = [""] if severity is None else [str(severity)]
    if benchmark == "imagenet_c_bar":
        inner.append(f"{p:.2f}")
    for place in (folder / name, *sorted(folder.glob(f"*/{name}"))):
        for one in inner:
            if (place / one).is_dir():
                return place / one
    expected = " or ".join(str(folder / name / one) for one in inner)
    raise ValueError(
        f"{folder} lacks {name}{f' at severity {severity}' if severity else ''}, expected "
        f"{expected}: unpack its archive, or take the folder away and images are made instead"
    )


def read_official_picture(path: Path) -> np.ndarray:
    """A picture of C or C-bar: uint8 (3, 224, 224).

    Raises ValueError, naming the file, for what is no picture of this size.
    """
    try:
        picture = read_picture(path)
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    side = SIZES["imagenet"]
    if picture.size != (side, side):
        raise ValueError(f"{path} is of {picture.size} pixels, expected {side} x {side}")
    return np.ascontiguousarray(np.asarray(picture).transpose(2, 0, 1))


def read_official_frames(path: Path, n_frames: int) -> np.ndarray:
    """The frames of a video of P: uint8 (n_frames, 3, 224, 224).

    Raises ValueError, naming the file, for what is no video of so many frames of this size.
    """
    video, frames = cv2.VideoCapture(str(path)), []
    while (read := video.read())[0]:
        frames.append(read[1][..., ::-1])  # blue comes first
    video.release()
    shape, side = np.shape(frames), SIZES["imagenet"]
    if shape != (n_frames, side, side, 3):
        expected = f"{n_frames} frames of {side} x {side} pixels"
        raise ValueError(f"{path} holds a video of shape {shape}, expected {expected}")
    return np.ascontiguousarray(np.stack(frames).transpose(0, 3, 1, 2))
