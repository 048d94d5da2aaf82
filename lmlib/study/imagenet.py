"""ImageNet's benchmarks at 224 px: pictures decoded, corrupted or read as a network asks for them.

    bench = open_imagenet("imagenet_c", dataset)
    for images in bench.chunks("fog", 3, index): ...   # uint8 (b, 3, 224, 224)
    bench.provenance["fog"]                            # where they come from, in words

Nothing is kept, as a corrupted test set has a hundred gigabytes. What is made is made by as many
worker processes as PyTorch may use threads.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader
from torchvision.transforms.functional import resize

from .. import paths
from ..corruptions import LEVELS, NAMES, corrupt, perturb, recipe
from ..corruptions.files import why_no_frost
from ..corruptions.imagenet_files import (
    FOLDERS,
    list_cell,
    official_pictures,
    read_official_frames,
    read_official_picture,
)
from ..corruptions.recipe import SIZES, middle
from ..datasets.imagenet import NAMES as IMAGENETS
from ..datasets.imagenet import check_classes, classes_of, labels_in_1k
from ..datasets.load import Dataset
from ..datasets.photographs import PictureSplit, list_classes, split_of
from ..names import C_CORRUPTIONS, HARDER_NOISES, PERTURBATIONS_PAPER

SIZE = SIZES["imagenet"]
AS_THEY_ARE, RESIZED = "at 224 px", "central 196 px enlarged"
"""How the pictures of C and C-bar are shown, as rows say it."""
CHUNK = 32  # pictures that a network is shown at once; of sequences one, of 31 or 41 frames
OF_R = labels_in_1k(classes_of("imagenet-200"))
"""Which of ImageNet's 1,000 classes ImageNet-R has: int64 (200,), ascending."""
Reader = Callable[[int], np.ndarray]
"""From a position in the test set to a picture, uint8 (3, 224, 224), or frames (T, 3, 224, 224)."""


@dataclass(frozen=True, eq=False)
class PictureBenchmark:
    """The test pictures of a dataset under one benchmark. Make it with `open_imagenet`."""

    benchmark: str
    dataset: Dataset  # whose test images are `lmlib.datasets.photographs.Pictures`
    seed: int  # of what is generated
    resized: bool  # whether C and C-bar show the central 196 pixels, enlarged to 224
    folder: Path | None  # of the official files, None where images are made
    provenance: dict[str, str]  # by name that can be used: where it comes from
    missing: dict[str, str]  # by name that is left out: why, in a sentence

    @property
    def names(self) -> tuple[str, ...]:
        """What can be used, in the authors' order."""
        return tuple(self.provenance)

    def chunks(
        self, name: str, severity: int | None = None, select: np.ndarray | None = None
    ) -> Iterator[np.ndarray]:
        """The pictures under `name`, in order: uint8 (b, 3, 224, 224), or (b, T, 3, 224, 224).

        severity: 1 to 5, None for sequences; select: positions in the test set, all by default.
        Raises ValueError where official files are of other pictures than those of the dataset.
        """
        index = np.arange(len(self.dataset.test)) if select is None else select
        read: Reader = partial(self.sequence, name)
        if severity is not None:
            read = partial(self.picture, name, severity)
        if self.folder:
            files = self.official_files(self.folder, name, severity, index)
            read = partial(self.official, name, severity, files)
        return read_together(read, index, 1 if severity is None else CHUNK)

    def official_files(
        self, folder: Path, name: str, severity: int | None, index: np.ndarray
    ) -> dict[int, Path]:
        """The files of one corruption by the number, less 1, of the validation picture.

        index: positions in the test set. Raises ValueError where one of these has no file, or one
        of another class, as where the pictures do not have their published names.
        """
        classes = self.dataset.classes
        listed = list_cell(folder, self.benchmark, name, severity, classes)
        labels = {file.number - 1: file.label for file in listed}
        numbers, own = self.dataset.test.index[index], self.dataset.test.labels[index]
        remedy = "name the pictures in val/ as published, or take the folder away"
        if foreign := set(numbers.tolist()) - labels.keys():
            number = f"ILSVRC2012_val_{min(foreign) + 1:08d}"
            others = f"nor {len(foreign) - 1} others"
            raise ValueError(f"{folder} has no {number} of {self.dataset.name}, {others}: {remedy}")
        for n, label in zip(numbers.tolist(), own, strict=True):
            if labels[n] != classes[label]:
                number = f"ILSVRC2012_val_{n + 1:08d}"
                here = f"{classes[label]} in {self.dataset.name}"
                raise ValueError(f"{number} is of {labels[n]} in {folder}, of {here}: {remedy}")
        return {file.number - 1: file.path for file in listed}

    def official(
        self, name: str, severity: int | None, files: Mapping[int, Path], position: int
    ) -> np.ndarray:
        """One published picture of C or C-bar, or the frames of a video of P, as `chunks` has them.

        files: by the number, less 1, of the validation picture.
        """
        path = files[int(self.dataset.test.index[position])]
        if severity is None:
            entry, p = recipe(name, self.benchmark)
            return read_official_frames(path, *entry.frames(p))
        image = read_official_picture(path)
        return enlarged(image) if self.resized else image

    def picture(self, name: str, severity: int, position: int) -> np.ndarray:
        """One test picture under a corruption: uint8 (3, 224, 224)."""
        clean, index = self.dataset.test.images[position], self.dataset.test.index[[position]]
        made = corrupt(
            clean[None],
            name,
            severity=severity,
            benchmark=self.benchmark,
            seed=self.seed,
            index=index,
        )
        return enlarged(made[0]) if self.resized else made[0]

    def sequence(self, name: str, position: int) -> np.ndarray:
        """The frames of one test picture: uint8 (T, 3, 224, 224)."""
        whole = self.dataset.test.images.decoded(position, whole_view)[None]
        index = self.dataset.test.index[[position]]
        return perturb(whole, name, benchmark=self.benchmark, seed=self.seed, index=index)[0]


def open_imagenet(
    benchmark: str, dataset: Dataset, *, seed: int = 0, resized: bool = False
) -> PictureBenchmark:
    """What there is of "imagenet_c", "imagenet_c_bar" or "imagenet_p" for the test pictures.

    resized: whether C and C-bar are shown as the released programs of PixMix, IPMix and LayerMix
    show them: resized to 256 and cropped to 224, which is their centre enlarged by 8 / 7. For
    ImageNet the official files count where their folder is in data/raw. The harder noises of P are
    left out, as no mean counts them; so is, with a warning, frost where there are no photographs
    for it. Raises ValueError for an official folder that lacks what a mean counts, or classes.
    """
    names = [name for name in NAMES[benchmark] if name not in HARDER_NOISES]
    folder = official_pictures(benchmark) if dataset.name.startswith("imagenet-") else None
    missing = dict[str, str]()
    if folder:
        missing = absent(folder, benchmark, names, dataset.classes)
    elif "frost" in names and (reason := why_no_frost(SIZE)):
        missing["frost"] = reason
        problem = f"frost is left out, a mean is over the others only: {reason}"
        warnings.warn(f"{dataset.name}, {benchmark}: {problem}", stacklevel=2)
    shown = RESIZED if resized else AS_THEY_ARE
    made = f"official, {shown}" if folder else f"generated, JPEG 85, {shown}"
    if benchmark == "imagenet_p":
        made = "official videos" if folder else "generated, raw frames"
    provenance = {name: made for name in names if name not in missing}
    return PictureBenchmark(benchmark, dataset, seed, resized, folder, provenance, missing)


def absent(
    folder: Path, benchmark: str, names: Sequence[str], classes: Sequence[str]
) -> dict[str, str]:
    """What an official folder has not, and why, of what can be left out.

    That is the extra four of C, and of P all but the paper's ten: without spatter the mean over the
    script's ten is not made. Raises ValueError where it lacks another one, in whole or in part.
    """
    counted = {"imagenet_c": C_CORRUPTIONS, "imagenet_p": PERTURBATIONS_PAPER}
    missing = {}
    for name in names:
        try:
            for severity in LEVELS[benchmark]:
                list_cell(folder, benchmark, name, severity, classes)
        except ValueError as error:
            if name in counted.get(benchmark, names):
                raise
            missing[name] = str(error)
    return missing


def check_official(datasets: Iterable[str]) -> None:
    """Raise ValueError where a study of some datasets has official files of ImageNet in part."""
    for dataset in datasets:
        for benchmark in FOLDERS if dataset in IMAGENETS else ():
            if folder := official_pictures(benchmark):
                absent(folder, benchmark, NAMES[benchmark], classes_of(dataset))


def whole_view(picture: Image.Image) -> Image.Image:
    """A picture with its short side resized to 256 px, of which a test image is the middle."""
    return resize(picture.convert("RGB"), SIZE * 8 // 7)


def enlarged(image: np.ndarray) -> np.ndarray:
    """A picture, uint8 (3, 224, 224), resized to 256 px and cropped to its middle 224."""
    picture = Image.fromarray(image.transpose(1, 2, 0))
    picture = picture.resize((256, 256), Image.Resampling.BILINEAR)
    return middle(np.asarray(picture).transpose(2, 0, 1))


class OfClasses(nn.Module):
    """A network's logits of some of its classes alone: (B, len(classes)), in their order."""

    def __init__(self, model: nn.Module, classes: np.ndarray) -> None:
        super().__init__()
        self.model, self.classes = model, torch.from_numpy(classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model(images)[:, self.classes]


def renditions_folder() -> Path:
    """Where ImageNet-R lies if it is here, a folder of pictures for each of its 200 classes."""
    return paths.RAW / "imagenet-r"


def renditions() -> PictureSplit:
    """The pictures of ImageNet-R (Hendrycks et al. 2021), labels 0 to 199.

    Raises ValueError where a class has no folder or no pictures.
    """
    root, classes = renditions_folder(), classes_of("imagenet-200")
    check_classes(root, classes)
    return split_of(root, list_classes(root, classes)[0])[0]


class _Items(torch.utils.data.Dataset):
    """What a reader gives for each of some positions, as PyTorch's DataLoader wants it."""

    def __init__(self, read: Reader, index: np.ndarray) -> None:
        self.read, self.index = read, index

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, i: int) -> np.ndarray:
        return self.read(int(self.index[i]))


def read_together(read: Reader, index: np.ndarray, n_together: int) -> Iterator[np.ndarray]:
    """What `read` gives for the positions `index`, in order, `n_together` at a time as one array.

    By as many processes as PyTorch may use threads, where these are several and it is worth it.
    """
    n_workers = torch.get_num_threads() if len(index) > 2 * n_together else 0
    n_workers = n_workers if n_workers > 1 else 0
    yield from DataLoader(
        _Items(read, index), n_together, num_workers=n_workers, collate_fn=np.stack
    )
