"""Photographs of any size that stay on the disk: each is decoded when it is asked for, by Pillow.

A test image is the middle square of a picture whose short side was resized to 8/7 of its side; a
training image is a random-resized crop, drawn by its key from the size in the picture's header.
"""

import hashlib
import math
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps

from ..compiled import entry
from ..draws import Key, check_key, draw_key, integer, number_of, uniform
from ..elementary import exp
from ..pictures import FORMATS, describe_skipped, opened_picture
from .folder import class_folders
from .split import Split

CROP = number_of("random-resized crop")
SIZE = 224  # side of an image in pixels
SHARES = 0.08, 1.0  # of a picture's area that a crop may take
ASPECTS = 3 / 4, 4 / 3  # width by height of a crop
TRIES = 10
NUMBERED = re.compile(rb"ILSVRC2012_val_(\d{8})[._]")  # a published validation picture
Files = Mapping[str, list[tuple[str, int]]]
"""Class -> name below the class and size in bytes of each picture, sorted by name."""


@entry
def draw_crop(
    low: int, high: int, epoch: int, index: int, height: int, width: int
) -> tuple[int, int, int, int, bool]:
    """Top, left, height, width of a random-resized crop, and whether it is flipped.

    The share of the area is uniform, the aspect's logarithm too; of ten tries the first that lies
    in the picture, else its middle with the aspect clamped, as torchvision has it.
    """
    key = draw_key(low, high, epoch, index, 0)
    flipped = uniform(key, CROP, 4 * TRIES) < 0.5
    low_log, high_log = math.log(ASPECTS[0]), math.log(ASPECTS[1])
    for k in range(TRIES):
        share = SHARES[0] + (SHARES[1] - SHARES[0]) * uniform(key, CROP, 4 * k)
        aspect = exp(low_log + (high_log - low_log) * uniform(key, CROP, 4 * k + 1))
        area = height * width * share
        h, w = int(np.rint(math.sqrt(area / aspect))), int(np.rint(math.sqrt(area * aspect)))
        if 0 < h <= height and 0 < w <= width:
            top = integer(key, CROP, 4 * k + 2, height - h + 1)
            return top, integer(key, CROP, 4 * k + 3, width - w + 1), h, w, flipped
    h, w = height, width
    if width < ASPECTS[0] * height:
        h = int(np.rint(width / ASPECTS[0]))
    elif width > ASPECTS[1] * height:
        w = int(np.rint(height * ASPECTS[1]))
    return (height - h) // 2, (width - w) // 2, h, w, flipped


def central_view(picture: Image.Image, size: int) -> Image.Image:
    """The middle `size` x `size` pixels of a picture with its short side resized to 8/7 of that."""
    from torchvision.transforms.functional import center_crop, resize  # heavy

    return center_crop(resize(picture.convert("RGB"), size * 8 // 7), size)


def random_view(picture: Image.Image, size: int, key: Key) -> Image.Image:
    """The random-resized crop of a picture under the key of one sample, flipped or not."""
    width, height = picture.size
    drawn = draw_crop(key.low, key.high, key.epoch, int(key.index[0]), height, width)
    top, left, h, w, flipped = drawn
    crop = picture.crop((left, top, left + w, top + h)).convert("RGB")
    view = crop.resize((size, size), Image.Resampling.BILINEAR)
    return view.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flipped else view


@dataclass(frozen=True, eq=False)
class Pictures:
    """Picture files in the place of an array of images, uint8 (N, 3, size, size).

    `pictures[which]` decodes test images: of one position (3, size, size), of a slice or an array
    of them (n, 3, size, size). What cannot be decoded is a ValueError that names the file. It can
    be handed to other processes, and takes 40 bytes or so a picture.
    """

    root: Path
    names: np.ndarray  # bytes (N,): the place of each below the root
    size: int  # of an image in pixels
    upright: bool  # whether pictures are turned as EXIF says; ImageNet's never are

    def __len__(self) -> int:
        return len(self.names)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self), 3, self.size, self.size

    def path(self, position: int) -> Path:
        """The file at a position."""
        return self.root / os.fsdecode(self.names[position])

    def decoded(self, position: Any, view: Callable[[Image.Image], Image.Image]) -> np.ndarray:
        """A view of the picture at a position: uint8 (3, size, size).

        Raises ValueError, naming the file, where it cannot be decoded; OSError where the disk does
        not give it, which says nothing of the picture.
        """
        path = self.path(position)
        try:
            with opened_picture(path) as picture:
                # Pillow copies what is not turned, which takes as long as to decode it.
                if self.upright and picture.getexif().get(ExifTags.Base.Orientation, 1) != 1:
                    picture = ImageOps.exif_transpose(picture)
                image = view(picture)
        except ValueError as error:
            if getattr(error.__cause__, "errno", None):
                raise OSError(f"{path} cannot be read: {error}") from error
            raise ValueError(f"{path} cannot be decoded: {error}") from error
        return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))

    def __getitem__(self, which: Any) -> np.ndarray:
        if isinstance(which, (int, np.integer)):
            return self.decoded(which, partial(central_view, size=self.size))
        images = [self[position] for position in np.arange(len(self))[which]]
        return np.stack(images) if images else np.empty((0, *self.shape[1:]), np.uint8)

    def training_image(self, position: int, *, seed: int, epoch: int) -> np.ndarray:
        """The random-resized crop of a picture, uint8 (3, size, size): a function of these keys."""
        key = check_key(seed, epoch, [position])
        return self.decoded(position, partial(random_view, size=self.size, key=key))

    def part(self, which: np.ndarray) -> "Pictures":
        """The pictures at some positions."""
        return replace(self, names=self.names[which])

    def batches(self, which: np.ndarray, batch_size: int) -> Iterator[Any]:
        """Test images in the order of their positions `which`, a batch at a time.

        Each is a tensor, uint8 (b, 3, size, size); PyTorch's DataLoader decodes them in as many
        processes as PyTorch has threads. Raises ValueError as `decoded`.
        """
        import torch  # heavy, and listing files does without
        from torch.utils.data import DataLoader

        loader: Any = DataLoader(
            self,  # type: ignore[arg-type]  # it has what a Dataset has
            batch_size,
            sampler=which.tolist(),
            num_workers=torch.get_num_threads() if len(which) > batch_size else 0,
            generator=torch.Generator(),
        )
        return in_a_line(loader)


def in_a_line(loader: Iterable) -> Iterator[Any]:
    """What a DataLoader gives; of an error in one of its processes the sentence alone is raised."""
    try:
        yield from loader
    except (ValueError, OSError) as error:  # told with the whole traceback of the process
        kind, sentence = type(error), str(error).strip().splitlines()[-1]
        raise kind(sentence.removeprefix(f"{kind.__name__}: ")) from None


@dataclass(frozen=True, eq=False)
class PictureSplit(Split):
    """A part of a dataset whose images are `Pictures`."""

    images: Pictures

    @cached_property
    def index(self) -> np.ndarray:
        """What names each picture in draws, int64 (N,).

        It is its number less one where all of them are named as ILSVRC's validation pictures, so
        that a part of these, and what was made of them, agree; else its position.
        """
        numbers = []
        for name in self.images.names:
            if not (match := NUMBERED.search(name)):
                return super().index
            numbers.append(int(match[1]) - 1)
        return np.array(numbers, np.int64)

    @property
    def paths(self) -> list[Path]:
        """Where each picture lies."""
        return [self.images.path(position) for position in range(len(self))]


def list_files(folder: Path) -> tuple[list[tuple[str, int]], list[str]]:
    """The pictures below a folder, links followed: name below it and size in bytes, sorted by name.

    Returns them, and the names of files that are not hidden and, by their ending, no pictures.
    Raises ValueError for a link that leads nowhere.
    """
    endings = {end for end, kind in Image.registered_extensions().items() if kind in FORMATS}
    found, others, folders = [], [], [""]
    while folders:
        above = folders.pop()
        with os.scandir(folder / above) as entries:
            for item in entries:
                name = f"{above}{item.name}"
                if item.name.startswith("."):
                    continue
                if item.is_dir():
                    folders.append(f"{name}/")
                elif os.path.splitext(item.name)[1].lower() not in endings:  # noqa: PTH122
                    others.append(name)
                else:
                    found.append((name, size_of(item)))
    return sorted(found), others


def size_of(item: os.DirEntry) -> int:
    """The bytes of a file. Raises ValueError for a link that leads nowhere."""
    try:
        return item.stat().st_size
    except OSError as error:
        raise ValueError(f"{item.path} cannot be used: {error.strerror}") from error


def list_classes(root: Path, classes: Sequence[str]) -> tuple[dict[str, list], list[str]]:
    """The pictures of each class folder, as `list_files`, by several threads.

    Returns them by class, and what is no picture. Raises ValueError for a class without pictures.
    """
    with ThreadPoolExecutor(8) as pool:  # a disk in a network answers many at once
        listed = list(pool.map(lambda name: list_files(root / name), classes))
    found = {name: files for name, (files, _) in zip(classes, listed, strict=True)}
    if empty := [name for name, files in found.items() if not files]:
        raise ValueError(
            f"{root / empty[0]} holds no pictures, and {len(empty) - 1} other classes: "
            "every class needs some"
        )
    others = zip(classes, listed, strict=True)
    return found, [f"{name}/{other}" for name, (_, rest) in others for other in rest]


def split_of(
    root: Path, files: Files, *, size: int = SIZE, upright: bool = False, flat: bool = False
) -> tuple[PictureSplit, str]:
    """The pictures of some classes as a split, in the order of class and name, and their identity.

    flat: whether they lie in the root itself, not in class folders. The identity is a sha256 of
    classes, names and sizes in bytes, 64 hex digits: reading all pixels would take hours.
    """
    digest, names = hashlib.sha256(), list[bytes]()
    for label, listed in files.items():
        lines = "".join(f"{label}/{name} {n}\n" for name, n in listed)
        digest.update(os.fsencode(lines))
        below = "" if flat else f"{label}/"
        names += [os.fsencode(f"{below}{name}") for name, _ in listed]
    labels = np.repeat(np.arange(len(files)), [len(listed) for listed in files.values()])
    pictures = Pictures(root, np.array(names, np.bytes_), size, upright)
    return PictureSplit(pictures, labels.astype(np.int64)), digest.hexdigest()


def read_photographs(path: Path, size: int = SIZE) -> tuple[list[PictureSplit], list[str], str]:
    """A user's pictures: `train/<class>/` and `test/<class>/` (or `val/<class>/`), or test pictures
    alone, in `<class>/` or in the folder itself, which is then the one class.

    size: side of an image in pixels. Returns the training and the test split, the names of the
    classes and the identity of both, 64 hex digits. A warning names what is no picture. Raises
    ValueError for a folder that is not there, classes that differ, a class without pictures.
    """
    if not path.is_dir():
        raise ValueError(f"{path} is no folder: expected one with a folder of pictures a class")
    strays: list[str] = []
    if (path / "train").is_dir():
        parts, classes, entries = class_folders(path)
        strays = [entry.relative_to(path).as_posix() for entry in entries]
    else:
        classes = sorted(item.name for item in path.glob("[!.]*/"))
        parts = [path] if classes else [path.parent]
        classes = classes or [path.name]
    splits, identities = [], []
    for part in parts:
        files, others = list_classes(part, classes)
        strays += [(part / other).relative_to(path).as_posix() for other in others]
        split, identity = split_of(part, files, size=size, upright=True)
        splits.append(split)
        identities.append(identity)
    if strays:
        reasons = dict.fromkeys(strays, "no picture by its ending, or in no class folder")
        warnings.warn(describe_skipped(path, reasons), stacklevel=3)
    if len(splits) == 1:
        splits.insert(0, no_pictures(size))
    return splits, classes, hashlib.sha256(" ".join(identities).encode()).hexdigest()


def no_pictures(size: int = SIZE) -> PictureSplit:
    """The training split of a dataset that is there to be tested on."""
    return split_of(Path(), {}, size=size)[0]
