"""One reader for whoever brings a picture: datasets, fractals, photographs, frost."""

import io
import os
import struct
import warnings
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from lmlib import paths
from lmlib.corruptions import frost
from lmlib.datasets.folder import read_folder
from lmlib.datasets.load import load_dataset
from lmlib.fractals.mixing_sets import import_images, prepare
from lmlib.models.pretrained import photograph
from lmlib.pictures import NoPictureError, read_picture, rgb

SIZE = 200  # every reader takes a square of it; frost keeps every fifth pixel
UPRIGHT = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
UPRIGHT[:100, :100] = 0  # no symmetry


def as_dataset(folder):
    """The picture as the first of a dataset: (3, 200, 200)."""
    for part in ("train", "test"):
        for name in ("first", "second"):
            (folder / part / name).mkdir(parents=True)
            Image.new("RGB", (SIZE, SIZE)).save(folder / part / name / "z.png")
    os.link(folder / "one", folder / "train" / "first" / "a.png")
    (train, _), _ = read_folder(folder)
    return train.images[0]


def as_fractal(folder):
    (folder / "art").mkdir()
    os.link(folder / "one", folder / "art" / "a.png")
    Image.new("RGB", (SIZE, SIZE)).save(folder / "art" / "z.png")
    images, skipped = import_images(folder / "art", size=SIZE, colour=True)
    if skipped:
        raise ValueError(f"skipped {skipped}")
    return images[0]


def as_photograph(folder):
    return photograph(folder / "one", size=SIZE).numpy()


def as_frost(folder):
    (folder / "raw" / "frost").mkdir(parents=True)
    for i in range(1, 6):
        os.link(folder / "one", folder / "raw" / "frost" / f"frost{i}.png")
    return frost.textures()[0]


READERS = [as_dataset, as_fractal, as_photograph, as_frost]


@pytest.fixture(params=READERS, ids=lambda reader: reader.__name__)
def read(request, tmp_path, monkeypatch):
    """A function from the content of a picture's file to what one of the readers makes."""
    monkeypatch.setattr(paths, "RAW", tmp_path / "raw")
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")

    def read(content):
        (tmp_path / "one").write_bytes(content)
        return request.param(tmp_path)

    return read


def saved(image, form="PNG", **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def same(found, pixels):
    """Whether a reader found these pixels (200, 200, 3), or every fifth of them."""
    pixels = pixels.transpose(2, 0, 1)
    return np.array_equal(found, pixels if found.shape == pixels.shape else pixels[:, 2::5, 2::5])


ORIENTATIONS = {  # EXIF's number: what a camera did to the upright picture
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.transpose(1, 0, 2),
    6: lambda x: np.rot90(x, 1),
    7: lambda x: x[::-1, ::-1].transpose(1, 0, 2),
    8: lambda x: np.rot90(x, -1),
}


@pytest.mark.parametrize("number", ORIENTATIONS)
def test_a_picture_stands_upright_as_its_orientation_says(read, number):
    exif = Image.Exif()
    exif[0x0112] = number
    stored = Image.fromarray(np.ascontiguousarray(ORIENTATIONS[number](UPRIGHT)))
    assert same(read(saved(stored, exif=exif)), UPRIGHT)


def test_an_alpha_channel_is_dropped_whatever_it_says(read):
    alpha = np.random.default_rng(1).integers(0, 256, (SIZE, SIZE, 1), dtype=np.uint8)
    assert same(read(saved(Image.fromarray(np.concatenate([UPRIGHT, alpha], 2)))), UPRIGHT)


def test_a_palette_gives_its_colours_with_and_without_transparency(read):
    index = np.random.default_rng(1).integers(0, 4, (SIZE, SIZE), dtype=np.uint8)
    palette = np.array([[255, 0, 0], [0, 9, 0], [1, 2, 3], [70, 80, 90]], np.uint8)
    image = Image.fromarray(index).convert("P")
    image.putpalette(palette.tobytes())
    assert same(read(saved(image, transparency=0)), palette[index])


@pytest.mark.parametrize("mode", ["L", "LA", "1"])
def test_grey_gets_three_equal_channels(read, mode):
    grey = (UPRIGHT[..., 0] > 99) * np.uint8(255)
    stored = Image.fromarray(grey).convert(mode)
    assert same(read(saved(stored)), np.repeat(grey[..., None], 3, 2))


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32], ids=lambda kind: kind.__name__)
def test_grey_of_more_than_8_bits_is_refused_rather_than_turned_white(read, kind):
    image = Image.fromarray(np.full((SIZE, SIZE), 40_000, kind))
    with pytest.raises(ValueError, match="more than 8 bits a channel"):
        read(saved(image, "TIFF"))


def chunk(kind, content):
    crc = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def test_colours_of_16_bits_keep_their_upper_8(read):
    deep = (UPRIGHT.astype(np.uint16) * 256 + 77).astype(">u2")
    rows = [b"\0" + row.tobytes() for row in deep]
    header = struct.pack(">IIBBBBB", SIZE, SIZE, 16, 2, 0, 0, 0)
    content = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"".join(rows)))]
    assert same(read(b"\x89PNG\r\n\x1a\n" + b"".join(content) + chunk(b"IEND", b"")), UPRIGHT)


def test_the_first_frame_of_several_is_read(read):
    frames = [Image.new("RGB", (SIZE, SIZE), (value, 0, 0)) for value in (255, 0)]
    content = saved(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    assert same(read(content), np.asarray(frames[0]))


@pytest.mark.parametrize("keep", [0, 40, 5000, -30])
def test_a_picture_that_is_cut_short_is_refused(read, keep):
    content = saved(Image.fromarray(UPRIGHT))
    with pytest.raises(ValueError, match=r"truncated|not an image|broken"):
        read(content[:keep])


def test_a_bomb_is_refused_by_its_header(read):
    content = saved(Image.new("1", (12_000, 12_000)))
    with pytest.raises(ValueError, match="144000000 pixels"):
        read(content)


@pytest.mark.parametrize("content", [b"<html>", b"%!PS-Adobe-3.0 EPSF-3.0\nshowpage\n"])
def test_what_is_no_picture_is_refused_under_a_pictures_name(read, content):
    with pytest.raises(ValueError, match="not an image"):
        read(content)


def test_whoever_asks_is_told_no_picture_from_a_damaged_one(tmp_path):
    with pytest.raises(NoPictureError):
        read_picture(io.BytesIO(b"words"))
    with pytest.raises(ValueError, match="truncated") as caught:
        read_picture(io.BytesIO(saved(Image.fromarray(UPRIGHT))[:5000]))
    assert not isinstance(caught.value, NoPictureError)


def test_a_pil_image_is_made_upright_and_refused_by_the_same_rule():
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.open(io.BytesIO(saved(Image.fromarray(np.rot90(UPRIGHT, 1).copy()), exif=exif)))
    assert np.array_equal(rgb(image), UPRIGHT)
    assert np.array_equal(prepare(image, size=SIZE, colour=True), UPRIGHT.transpose(2, 0, 1))
    with pytest.raises(ValueError, match="more than 8 bits"):
        prepare(Image.fromarray(np.full((SIZE, SIZE), 40_000, np.uint16)))


def test_a_link_that_leads_nowhere_and_a_pipe_are_named_at_once(tmp_path):
    (tmp_path / "link.png").symlink_to("gone.png")
    with pytest.raises(ValueError, match=r"a link to 'gone\.png', which is not there"):
        read_picture(tmp_path / "link.png")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match="no regular file"):
        read_picture(tmp_path / "pipe.png")


# --- nothing is left out in silence ---------------------------------------------------------------


@pytest.fixture
def classes(tmp_path):
    """Two classes with two pictures each in both parts, told apart by their red."""
    for p, part in enumerate(("train", "test")):
        for c, name in enumerate(("cat", "dog")):
            for i in range(2):
                put(tmp_path / part / name / f"{i}.png", 100 * p + 10 * c + i)
    return tmp_path


def put(path, red):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 16), (red, 0, 0)).save(path)


def reds(folder):
    (train, _), _ = read_folder(folder)
    return train.images[:, 0, 0, 0].tolist()


def test_folders_within_a_class_are_read_in_the_order_of_imagefolder(classes):
    put(classes / "train" / "cat" / "0" / "z.png", 50)
    put(classes / "train" / "cat" / "b" / "deep" / "er.png", 51)
    put(classes / "elsewhere" / "linked.png", 52)
    (classes / "train" / "dog" / "more").symlink_to(classes / "elsewhere")
    expected = ImageFolder(classes / "train").samples
    assert len(expected) == 7
    assert reds(classes) == [Image.open(path).getpixel((0, 0))[0] for path, _ in expected]
    (train, _), _ = read_folder(classes)
    assert train.labels.tolist() == [label for _, label in expected]


def test_what_is_no_picture_is_skipped_and_named_and_hidden_files_are_not_asked(classes):
    expected = load_dataset(f"folder:{classes}").hash
    (classes / "train" / "cat" / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (classes / "test" / "dog" / "notes.txt").write_text("words")
    (classes / "train" / "loose.png").write_text("in no class")
    (classes / "train" / "cat" / ".ipynb_checkpoints").mkdir()
    (classes / "train" / "cat" / ".ipynb_checkpoints" / "0.png").write_text("a copy")
    with pytest.warns(UserWarning) as caught:
        assert load_dataset(f"folder:{classes}").hash == expected
    (said,) = [str(one.message) for one in caught]
    assert said.startswith(f"skipped 3 files of {classes}: ") and "checkpoints" not in said
    for name in ("train/cat/Thumbs.db", "test/dog/notes.txt", "train/loose.png"):
        assert repr(name) in said


def test_a_class_of_nothing_but_other_files_is_named(classes):
    for file in (classes / "test" / "dog").iterdir():
        file.unlink()
    (classes / "test" / "dog" / "Thumbs.db").write_bytes(b"words")
    with pytest.raises(ValueError, match="test/dog is empty of pictures"):
        load_dataset(f"folder:{classes}")


def test_a_picture_without_an_ending_is_a_picture(classes):
    (classes / "train" / "cat" / "1.png").rename(classes / "train" / "cat" / "one")
    assert reds(classes) == [0, 1, 10, 11]


def test_a_dangling_link_in_a_class_is_named(classes):
    (classes / "train" / "cat" / "5.png").symlink_to(classes / "gone.png")
    with pytest.raises(ValueError, match=r"cat/5\.png cannot be used: a link to .*gone\.png"):
        load_dataset(f"folder:{classes}")


def test_a_link_back_to_a_folder_above_is_named(classes):
    (classes / "train" / "cat" / "loop").symlink_to(classes / "train")
    with pytest.raises(ValueError, match="cat/loop leads back to a folder above it"):
        load_dataset(f"folder:{classes}")


def test_fractals_behind_links_are_imported_and_dangling_ones_named(tmp_path):
    put(tmp_path / "art" / "a.png", 1)
    put(tmp_path / "elsewhere" / "b.png", 2)
    (tmp_path / "art" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "art" / "c.png").symlink_to("gone.png")
    images, skipped = import_images(tmp_path / "art", colour=True)
    assert images[:, 0, 0, 0].tolist() == [1, 2]
    assert skipped == {"c.png": "a link to 'gone.png', which is not there"}


def test_a_zip_with_members_of_one_name_loses_none(tmp_path):
    with zipfile.ZipFile(tmp_path / "art.zip", "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's own, of the duplicates
        for red in (1, 2, 3):
            archive.writestr("a.png", saved(Image.new("RGB", (16, 16), (red, 0, 0))))
        archive.writestr("a.png (2)", saved(Image.new("RGB", (16, 16), (4, 0, 0))))
        archive.writestr("words", "one")
        archive.writestr("words", "two")
    images, skipped = import_images(tmp_path / "art.zip", colour=True)
    assert sorted(images[:, 0, 0, 0].tolist()) == [1, 2, 3, 4]
    assert list(skipped) == ["words", "words (2)"]
