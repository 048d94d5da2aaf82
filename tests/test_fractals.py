import io
import warnings
import zipfile

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import v2

from lmlib import files, paths
from lmlib.fractals import mixing_sets as fractals
from lmlib.fractals.mixing_sets import import_images, mixing_set, prepare


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    return tmp_path / "cache" / "fractals"


def picture(width=50, height=40, seed=0, mode="RGB"):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def png(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def folder(tmp_path):
    """Three good images, one of them nested, and five files that are not."""
    path = tmp_path / "art"
    (path / "deep").mkdir(parents=True)
    picture(seed=1).save(path / "b.png")
    picture(40, 60, seed=2, mode="P").save(path / "a.png")
    picture(seed=3, mode="L").save(path / "deep" / "c.jpg")
    (path / "cut.png").write_bytes(png(picture())[:3000])
    (path / "notes.txt").write_text("not an image")
    (path / "page.png").write_text("<html>")
    (path / "program.eps").write_text(
        "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\nshowpage\n"
    )
    Image.fromarray(np.zeros((1, 500), np.uint8)).save(path / "strip.png")
    return path


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("size", [36, 256])
@pytest.mark.parametrize("shape", [(36, 36), (100, 57), (57, 100), (301, 300), (20, 90)])
def test_preparation_is_torchvisions_resize_crop_and_grayscale(shape, size, colour):
    image = picture(*shape)
    steps = [v2.Resize(size), v2.CenterCrop(size)] + [v2.Grayscale(1)] * (not colour)
    expected = np.asarray(v2.Compose(steps)(image))
    expected = expected.transpose(2, 0, 1) if colour else expected[None]
    prepared = prepare(image, size=size, colour=colour)
    assert prepared.dtype == np.uint8 and np.array_equal(prepared, expected)


def test_import_keeps_the_good_and_names_the_bad(folder):
    images, skipped = import_images(folder)
    assert images.shape == (3, 1, 36, 36) and images.dtype == np.uint8
    assert list(skipped) == ["cut.png", "notes.txt", "page.png", "program.eps", "strip.png"]
    assert "strip" in skipped["strip.png"] and "truncated" in skipped["cut.png"]
    assert all("not an image" in skipped[name] for name in ("notes.txt", "page.png", "program.eps"))


def test_import_is_sorted_by_name_and_the_same_from_a_folder_and_its_zip(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "art.zip", "w") as archive:
        for file in sorted(folder.rglob("*"), reverse=True):
            archive.write(file, file.relative_to(folder))
    images, skipped = import_images(folder)
    zipped, skipped_too = import_images(tmp_path / "art.zip")
    assert np.array_equal(images, zipped) and list(skipped) == list(skipped_too)
    for image, name in zip(images, ["a.png", "b.png", "deep/c.jpg"], strict=True):
        assert np.array_equal(image, prepare(Image.open(folder / name)))


def test_a_picture_with_too_many_pixels_is_refused_by_its_header(tmp_path):
    bomb = png(Image.new("1", (12_000, 12_000)))  # 144 million pixels in a few kilobytes
    assert len(bomb) < 100_000
    (tmp_path / "art").mkdir()
    (tmp_path / "art" / "bomb.png").write_bytes(bomb)
    picture().save(tmp_path / "art" / "good.png")
    images, skipped = import_images(tmp_path / "art")
    assert (
        len(images) == 1
        and "144000000 pixels" in skipped["bomb.png"]
        and "exceeds limit" in skipped["bomb.png"]
    )


def test_a_picture_of_16_bits_is_named_rather_than_clipped(tmp_path):
    Image.fromarray(np.full((40, 40), 40_000, np.uint16)).save(tmp_path / "deep.png")
    picture().save(tmp_path / "good.png")
    assert "8 bits" in import_images(tmp_path)[1]["deep.png"]


def test_a_source_without_images_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"expected images .* none can be read"):
        import_images(tmp_path / "empty")
    (tmp_path / "empty" / "notes.txt").write_text("words")
    with pytest.raises(ValueError, match=r"'notes.txt' \(not an image"):
        mixing_set(tmp_path / "empty")
    with pytest.raises(ValueError, match="'generate', which is not there"):
        mixing_set("generate")


def test_a_generated_set_says_what_it_is(cache):
    made = mixing_set(n_fractals=3, seed=5)
    assert made.images.shape == (3, 1, 36, 36) and made.images.dtype == np.uint8
    assert made.is_substitute and made.label == "3 generated fractals (a substitute), grey"
    (file,) = cache.iterdir()
    arrays, manifest = files.read_arrays(file)
    assert manifest == made.manifest and np.array_equal(arrays["images"], made.images)
    expected = {
        "source": "generated",
        "n_fractals": 3,
        "size": 36,
        "seed": 5,
        "colour": False,
        "substitute": True,
        "skipped": {},
    }
    assert expected.items() <= manifest.items() and "centre square" in manifest["preparation"]


def test_an_imported_set_is_cached_warns_of_what_it_skipped_and_is_no_substitute(
    folder, monkeypatch
):
    with pytest.warns(UserWarning, match=r"skipped 5 files .*'cut.png'"):
        made = mixing_set(folder, colour=True)
    assert (
        not made.is_substitute
        and made.label == "3 images imported from art, colour"
        and made.images.shape[1] == 3
    )
    monkeypatch.setattr(fractals, "import_images", lambda *a, **k: pytest.fail("read again"))
    assert np.array_equal(mixing_set(folder, colour=True).images, made.images)


def test_an_imported_set_is_read_again_when_its_source_changes(folder):
    with pytest.warns(UserWarning, match="skipped"):
        assert len(mixing_set(folder).images) == 3
        picture(seed=9).save(folder / "z.png")
        assert len(mixing_set(folder).images) == 4


def test_a_cached_set_is_read_and_not_drawn_again(monkeypatch):
    made = mixing_set(n_fractals=2)
    monkeypatch.setattr(fractals.flames, "generate", lambda *a, **k: pytest.fail("drawn again"))
    assert np.array_equal(mixing_set(n_fractals=2).images, made.images)
    with pytest.raises(pytest.fail.Exception):
        mixing_set(n_fractals=2, seed=1)


@pytest.mark.parametrize(
    "damage",
    [lambda b: b"", lambda b: b[:-1000], lambda b: b[:-100] + bytes([b[-100] ^ 1]) + b[-99:]],
    ids=["emptied", "cut", "flipped"],
)
def test_a_damaged_cache_is_named_and_made_again(cache, damage, logs):
    made = mixing_set(n_fractals=2)
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    with logs(f"{file.name} is damaged .*made again"):
        again = mixing_set(n_fractals=2)
    assert np.array_equal(again.images, made.images) and again.manifest == made.manifest
    assert file.read_bytes() == whole


def test_numbers_of_numpy_name_the_same_set(cache):
    made = mixing_set(n_fractals=2, seed=1)
    again = mixing_set(n_fractals=np.int64(2), seed=np.int64(1), size=np.int64(36))
    assert again.manifest == made.manifest and len(list(cache.iterdir())) == 1


def test_two_pictures_of_one_name_in_a_zip_are_both_imported(tmp_path):
    with zipfile.ZipFile(tmp_path / "art.zip", "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile's own, of the second name
        archive.writestr("a.png", png(picture(seed=1)))
        archive.writestr("a.png", png(picture(seed=2)))
    images, _ = import_images(tmp_path / "art.zip")
    assert np.array_equal(images, [prepare(picture(seed=1)), prepare(picture(seed=2))])
