"""A copy of photographs with small training pictures."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from small_imagenet import CLASSES, picture
from torchvision.transforms import functional

from lmlib.datasets.load import load_photographs
from lmlib.datasets.shrink import main, shrink


@pytest.fixture
def large(own_photos):
    """The pictures of a class are larger than the copy's."""
    for k in range(3):
        picture(k, (400 + 20 * k, 300)).save(own_photos / "train" / CLASSES[0] / f"{k}.JPEG")
    return own_photos


def test_training_pictures_get_a_short_side_of_256_and_keep_their_aspect(large, tmp_path):
    assert shrink(large, tmp_path / "copy") == {}
    original, copy = load_photographs(large), load_photographs(tmp_path / "copy")
    assert copy.train.images.names.tolist() == original.train.images.names.tolist()
    for position in range(12):
        first, second = (Image.open(one.train.images.path(position)) for one in (original, copy))
        expected = functional.resize(first, 256) if min(first.size) > 256 else first
        assert second.size == expected.size
        difference = np.asarray(second).astype(float) - np.asarray(expected)
        # What JPEG of quality 90 takes, of 255; nothing from what is copied.
        assert (
            (np.abs(difference).mean() < 6) if first.size != second.size else not difference.any()
        )
    assert np.array_equal(copy.test.images[:], original.test.images[:])
    assert copy.hash != original.hash


def test_what_is_there_is_not_written_again_and_what_is_missing_is(large, tmp_path):
    shrink(large, tmp_path / "copy")
    files = sorted((tmp_path / "copy" / "train").rglob("*.JPEG"))
    times = [file.stat().st_mtime_ns for file in files]
    files[5].unlink()
    shrink(large, tmp_path / "copy")
    again = [file.stat().st_mtime_ns for file in files]
    assert [one == other for one, other in zip(times, again, strict=True)] == [True] * 5 + [
        False
    ] + [True] * 6


def test_a_picture_that_cannot_be_decoded_is_named_and_left_out(large, tmp_path, capsys):
    (large / "train" / CLASSES[1] / "1.JPEG").write_bytes(b"\xff\xd8")
    assert main([str(large), str(tmp_path / "copy")]) == 0
    assert f"left out: {CLASSES[1]}/1.JPEG (" in capsys.readouterr().out
    assert len(load_photographs(tmp_path / "copy").train) == 11


def test_too_little_room_is_said_before_much_is_written(large, tmp_path, monkeypatch, capsys):
    usage = SimpleNamespace(free=10**8)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert main([str(large), str(tmp_path / "copy")]) == 1
    assert "needs about 1.0 GB for 12 pictures, and 0.1 GB are free" in capsys.readouterr().err
    assert main([str(tmp_path), str(tmp_path / "copy")]) == 1
    assert "has no folder train" in capsys.readouterr().err


@pytest.mark.parametrize("given", [[], ["one"], ["one", "two", "three"]])
def test_other_than_two_folders_is_a_sentence(given, capsys):
    assert main(given) == 1
    said = capsys.readouterr().err
    assert said == f"error: expected two folders, the pictures' and the copy's, got {len(given)}\n"
