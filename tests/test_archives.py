import gzip
import io
import tarfile
import zipfile

import pytest

from lmlib import archives


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


def test_a_zip_bomb_is_refused_by_its_ratio_and_its_neighbour_is_read(tmp_path):
    path = write_zip(
        tmp_path / "bomb.zip", {"bomb.png": bytes(10**6), "good.png": b"good"}, zipfile.ZIP_DEFLATED
    )
    found = read(path)
    assert found["good.png"] == b"good" and "more than 100 times" in found["bomb.png"]


def test_a_large_file_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "N_BYTES_MAX", 1000)
    for path in (
        write_zip(tmp_path / "a.zip", {"big": bytes(1001)}),
        write_tar(tmp_path / "a.tar", {"big": bytes(1001)}),
    ):
        assert read(path)["big"] == "1,001 bytes unpacked, more than 1,000"


def test_a_tar_bomb_stops_and_the_rest_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "N_BYTES_MAX", 20_000)
    path = write_tar(
        tmp_path / "bomb.tar.gz",
        {"good.png": b"good", "bomb.png": bytes(10**7), "late.png": b"late"},
        "w:gz",
    )
    found = read(path)
    assert found["good.png"] == b"good" and "more than 20,000" in found["bomb.png"]
    assert (
        "more than 100 times its size" in found["the rest of bomb.tar.gz"]
        and "late.png" not in found
    )


def test_a_tar_whose_header_claims_a_huge_name_stops_too(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "N_BYTES_MAX", 20_000)
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 10**7
    with gzip.open(tmp_path / "a.tar.gz", "wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT) + bytes(10**7))
    with pytest.raises(ValueError, match="more than 100 times"):
        list(archives.members(tmp_path / "a.tar.gz"))


def test_a_tar_cut_short_gives_what_came_before(tmp_path):
    path = write_tar(
        tmp_path / "set.tar.gz", {"a.png": b"one", "b.png": bytes(range(256)) * 400}, "w:gz"
    )
    path.write_bytes(path.read_bytes()[:-200])
    found = read(path)
    assert found["a.png"] == b"one" and any("the rest of set.tar.gz" in name for name in found)


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
