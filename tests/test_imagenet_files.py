"""The official folders of ImageNet-C, C-bar and P: their layouts, and what is missing in them."""

import cv2
import numpy as np
import pytest
from PIL import Image

from lmlib import paths
from lmlib.corruptions.imagenet_files import (
    OfficialFile,
    list_cell,
    official_pictures,
    read_official_frames,
    read_official_picture,
)

CLASSES = "n01443537", "n01484850"
NUMBERS = {"n01443537": range(1, 100, 2), "n01484850": range(49_902, 50_001, 2)}


@pytest.fixture
def raw(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RAW", tmp_path)
    return tmp_path


def fill(cell, ending="JPEG"):
    """Empty files of fifty pictures in each of two classes."""
    for label, numbers in NUMBERS.items():
        (cell / label).mkdir(parents=True)
        for number in numbers:
            (cell / label / f"ILSVRC2012_val_{number:08d}.{ending}").touch()


@pytest.mark.parametrize(
    ("benchmark", "place", "name", "severity"),
    [
        ("imagenet_c", "ImageNet-C/fog/3", "fog", 3),
        ("imagenet_c", "ImageNet-C/weather/fog/3", "fog", 3),
        ("imagenet_c_bar", "ImageNet-C-Bar/plasma_noise/4", "plasma_noise", 4),
        ("imagenet_c_bar", "ImageNet-C-Bar/plasma_noise/9.25", "plasma_noise", 4),
        ("imagenet_c_bar", "ImageNet-C-Bar/sparkles/5.00", "sparkles", 4),
        ("imagenet_p", "ImageNet-P/rotate", "rotate", None),
        ("imagenet_p", "ImageNet-P/noise/shot_noise_2", "shot_noise_2", None),
    ],
)
def test_files_are_listed_by_class_and_number_in_every_layout(
    raw, benchmark, place, name, severity
):
    fill(raw / place, "mp4" if benchmark == "imagenet_p" else "JPEG")
    folder = official_pictures(benchmark)
    files = list_cell(folder, benchmark, name, severity, CLASSES)
    assert [(file.label, file.number) for file in files] == [
        (label, number) for label in CLASSES for number in NUMBERS[label]
    ]
    assert all(file.path.is_file() for file in files)
    assert list_cell(folder, benchmark, name, severity, CLASSES[1:]) == files[50:]


def test_a_level_of_c_bar_is_not_taken_for_a_severity(raw):
    fill(raw / "ImageNet-C-Bar" / "sparkles" / "5.00")
    with pytest.raises(ValueError, match="lacks sparkles at severity 5"):
        list_cell(raw / "ImageNet-C-Bar", "imagenet_c_bar", "sparkles", 5, CLASSES)


def test_without_a_folder_there_is_none(raw):
    assert official_pictures("imagenet_c") is None
    with pytest.raises(ValueError, match="did you mean 'imagenet_c_bar'"):
        official_pictures("imagenet_c_ba")


def test_a_missing_corruption_class_or_picture_is_a_sentence(raw):
    cell = raw / "ImageNet-C" / "fog" / "1"
    fill(cell)
    folder = official_pictures("imagenet_c")
    with pytest.raises(ValueError, match=r"lacks fog at severity 2, expected .*fog/2: unpack"):
        list_cell(folder, "imagenet_c", "fog", 2, CLASSES)
    with pytest.raises(ValueError, match=r"lacks the folders of 1 of 3 classes, n01440764"):
        list_cell(folder, "imagenet_c", "fog", 1, ["n01440764", *CLASSES])
    (cell / CLASSES[1] / "ILSVRC2012_val_00049902.JPEG").unlink()
    with pytest.raises(ValueError, match=r"n01484850 holds 49 of the 50 files"):
        list_cell(folder, "imagenet_c", "fog", 1, CLASSES)
    with pytest.raises(ValueError, match="did you mean 'fog'"):
        list_cell(folder, "imagenet_c", "frog", 1, CLASSES)


def test_other_files_beside_the_pictures_are_left_alone(raw):
    cell = raw / "ImageNet-C" / "fog" / "1"
    fill(cell)
    (cell / CLASSES[0] / "Thumbs.db").touch()
    files = list_cell(raw / "ImageNet-C", "imagenet_c", "fog", 1, CLASSES[:1])
    path = cell / CLASSES[0] / "ILSVRC2012_val_00000001.JPEG"
    assert files[0] == OfficialFile(path, CLASSES[0], 1) and len(files) == 50


def test_a_picture_is_read_as_pillow_has_it_and_its_size_is_checked(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    path = tmp_path / "ILSVRC2012_val_00000001.JPEG"
    Image.fromarray(pixels).save(path, quality=85)
    expected = np.asarray(Image.open(path)).transpose(2, 0, 1)
    assert np.array_equal(read_official_picture(path), expected)
    Image.new("L", (224, 224), 7).save(path)
    assert (read_official_picture(path) == 7).all()
    Image.new("RGB", (299, 299)).save(path)
    with pytest.raises(ValueError, match=r"val_00000001.JPEG is of \(299, 299\) pixels"):
        read_official_picture(path)
    path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"val_00000001.JPEG cannot be read"):
        read_official_picture(path)


def test_a_video_is_read_frame_by_frame_in_the_order_red_green_blue(tmp_path):
    path = tmp_path / "ILSVRC2012_val_00000001.mp4"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 1, (224, 224))
    for i in range(31):
        video.write(np.full((224, 224, 3), (20, 100, 60 + 5 * i), np.uint8))  # blue first
    video.release()
    frames = read_official_frames(path, 31)
    assert frames.shape == (31, 3, 224, 224) and frames.dtype == np.uint8
    red, green, blue = frames[:, :, 100, 100].astype(int).T
    assert np.abs(red - (60 + 5 * np.arange(31))).max() < 8
    assert np.abs(green - 100).max() < 8 and np.abs(blue - 20).max() < 8
    with pytest.raises(ValueError, match="expected 41 frames of 224 x 224"):
        read_official_frames(path, 41)


def test_what_is_no_video_is_a_sentence(tmp_path):
    path = tmp_path / "ILSVRC2012_val_00000001.mp4"
    path.write_bytes(b"no video")
    with pytest.raises(ValueError, match=r"val_00000001.mp4 holds a video of shape \(0,\)"):
        read_official_frames(path, 31)
