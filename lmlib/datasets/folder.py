"""A folder of class folders as a dataset in memory."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from ..pictures import NoPictureError, describe_skipped, files_below, read_picture
from .split import Split


def read_folder(path: Path) -> tuple[list[Split], list[str]]:
    """Pictures of one square size in `train/<class>/` and `test/<class>/` (or `val/<class>/`).

    As torchvision's ImageFolder has them: folders within a class too, by folder and name. Each is
    read by `read_picture`; hidden files are left out, and what is no picture, which a warning says.
    Returns the training and the test split, and the names of the classes. Raises ValueError, naming
    the file, for a picture that cannot be read and for a link that leads nowhere.
    """
    parts, classes, strays = class_folders(path)
    skipped = {one.relative_to(path).as_posix(): "in no class folder" for one in strays}
    files = {part / name: _class_files(part / name) for part in parts for name in classes}
    size, splits = None, []
    for part in parts:
        images, labels = [], []
        for label, name in enumerate(tqdm(classes, desc=f"{path.name} {part.name}", leave=False)):
            for file in files[part / name]:
                try:
                    images.append(_read_square(file, size))
                except NoPictureError as error:
                    skipped[file.relative_to(path).as_posix()] = str(error)
                    continue
                labels.append(label)
                size = images[0].shape[-1]
            if label not in labels:
                problem = "is empty of pictures: every class needs some in both parts"
                raise ValueError(f"{part / name} {problem}")
        splits.append(Split(np.stack(images), np.array(labels, dtype=np.int64)))
    if skipped:
        warnings.warn(describe_skipped(path, skipped), stacklevel=3)
    return splits, classes


def class_folders(path: Path) -> tuple[list[Path], list[str], list[Path]]:
    """The folders `train` and `test` (or `val`) in a folder, and the classes that both hold.

    The third are the entries beside the class folders. Hidden ones do not count. Raises ValueError
    where the classes of both differ, or are fewer than two.
    """
    held_out = "val" if (path / "val").is_dir() and not (path / "test").is_dir() else "test"
    parts = [path / "train", path / held_out]
    entries = [_visible(part) for part in parts]
    classes, others = ([one.name for one in part if one.is_dir()] for part in entries)
    if len(classes) < 2 or classes != others:
        odd = sorted(set(classes) ^ set(others)) or classes
        expected = "must hold `train` and `test` (or `val`), and both the same two or more classes"
        raise ValueError(f"{path} {expected}, a folder each; see {odd[:5]}")
    return parts, classes, [one for part in entries for one in part if not one.is_dir()]


def _visible(path: Path) -> list[Path]:
    return sorted(entry for entry in path.glob("*") if not entry.name.startswith("."))


def _class_files(path: Path) -> list[Path]:
    """The files of a class that are not hidden; ValueError where there is none."""
    names = [file.relative_to(path).as_posix() for file in files_below(path)]
    files = [path / name for name in names if "/." not in f"/{name}"]
    if not files:
        raise ValueError(f"{path} is empty: every class needs pictures in both parts")
    return files


def _read_square(path: Path, size: int | None) -> np.ndarray:
    """One picture as uint8 (3, size, size); size None takes any square.

    Raises NoPictureError where neither the name nor the content is a picture's, else ValueError.
    """
    try:
        picture = read_picture(path)
        width, height = picture.size
        if width != height or size not in (None, width):
            expected = f"{size} x {size} as the first picture" if size else "a square"
            problem = f"{width} x {height} pixels, expected {expected}"
            raise ValueError(f"{problem}; 'photographs:/path' takes pictures of any size")
    except ValueError as error:
        named = path.suffix.lower() in Image.registered_extensions()
        if isinstance(error, NoPictureError) and not named:
            raise
        raise ValueError(f"{path} cannot be used: {error}") from error
    return np.ascontiguousarray(np.asarray(picture).transpose(2, 0, 1))
