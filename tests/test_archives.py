import io
import tarfile
import zipfile

import numpy as np
import pytest

from lmlib.fractals import archives


def read(path):
    """Name -> bytes, or the error's text, of every member."""
    result = {}
    for name, opened in archives.members(path):
        try:
            with opened() as file:
                result[name] = file.read()
        except Exception as error:
            result[name] = str(error)
    return result


def write_tar(path, files, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def write_zip(path, files, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


FILES = {"a.png": b"one", "deep/er/b.png": b"two"}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_gives_its_files_however_it_is_packed(tmp_path, mode):
    assert read(write_tar(tmp_path / "set.any", FILES, mode)) == FILES


def test_a_zip_and_a_folder_give_the_same_files(tmp_path):
    assert read(write_zip(tmp_path / "set.zip", FILES)) == FILES
    folder = tmp_path / "set"
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    assert read(folder) == FILES


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_names_that_point_outside_write_nothing(tmp_path, write):
    inside = tmp_path / "inside"
    inside.mkdir()
    path = write(inside / "set", {"../outside.png": b"x", "/tmp/lmlib-outside.png": b"y"})
    assert set(read(path).values()) == {b"x", b"y"}
    assert [file.name for file in tmp_path.rglob("*")] == ["inside", "set"]


def test_links_and_devices_in_a_tar_are_named_and_not_followed(tmp_path):
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        for name, kind in (
            ("link.png", tarfile.SYMTYPE),
            ("hard.png", tarfile.LNKTYPE),
            ("null.png", tarfile.CHRTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/hostname"
            archive.addfile(info)
    assert set(read(tmp_path / "set.tar").values()) == {"a link or a device, not a file"}


@pytest.mark.parametrize("pack", ["zip", "w", "w:gz"])
def test_an_archive_cut_short_is_refused_in_a_sentence(tmp_path, pack):
    files = {"a.png": b"one", "b.png": np.random.default_rng(0).bytes(40_000)}
    path = tmp_path / "set.any"
    write_zip(path, files) if pack == "zip" else write_tar(path, files, pack)
    path.write_bytes(path.read_bytes()[:-20_000])
    with pytest.raises(ValueError, match="damaged"):
        list(archives.members(path))


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 cut short", b"\x1f\x8b no gzip", b"plain text" * 100]
)
def test_what_is_no_archive_is_refused_in_a_sentence(tmp_path, content):
    path = tmp_path / "set.zip"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"expected a .* got '.*set\.zip'"):
        list(archives.members(path))


def test_a_path_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match="which is not there"):
        list(archives.members(tmp_path / "none"))
