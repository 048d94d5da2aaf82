"""The one writer and reader of our own files: what was cut, flipped or emptied is named."""

import hashlib
import json

import numpy as np
import pytest

from lmlib.files import (
    DamagedFile,
    atomic_write,
    lock,
    read_arrays,
    read_json,
    verify,
    write_arrays,
    write_json,
)  # fmt: skip

RECORD = {"name": "a run", "epoch": 3, "history": [{"loss": 0.5}]}
ARRAYS = {
    "images": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
    "right": np.array([True, False]),
    "loss": np.array(0.1),
}


def written(tmp_path, kind):
    """A file of each kind, and the function that reads it."""
    path = tmp_path / f"file.{kind}"
    if kind == "json":
        write_json(path, RECORD)
        return path, read_json
    write_arrays(path, ARRAYS, RECORD)
    return path, read_arrays


def test_a_record_comes_back_as_it_was(tmp_path):
    path, read = written(tmp_path, "json")
    assert read(path) == RECORD


def test_arrays_and_their_record_come_back_as_they_were(tmp_path):
    path, read = written(tmp_path, "safetensors")
    arrays, record = read(path)
    assert record == RECORD
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert np.array_equal(arrays[name], array)


def test_an_empty_array_comes_back_empty(tmp_path):
    write_arrays(tmp_path / "file", {"none": np.empty((0, 3), np.float32)}, {})
    assert read_arrays(tmp_path / "file")[0]["none"].shape == (0, 3)


def test_arrays_of_another_layout_are_written_as_their_values(tmp_path):
    transposed = ARRAYS["images"].transpose(2, 0, 1)
    write_arrays(tmp_path / "file", {"images": transposed}, {})
    assert np.array_equal(read_arrays(tmp_path / "file")[0]["images"], transposed)


@pytest.mark.parametrize("kind", ["json", "safetensors"])
def test_a_file_that_was_cut_anywhere_is_named(tmp_path, kind):
    path, read = written(tmp_path, kind)
    whole = path.read_bytes().rstrip()
    for n in range(len(whole)):
        path.write_bytes(whole[:n])
        with pytest.raises(DamagedFile, match=f"{path.name} is damaged"):
            read(path)


@pytest.mark.parametrize("kind", ["json", "safetensors"])
def test_a_flipped_bit_is_named_or_changes_nothing_that_is_read(tmp_path, kind):
    path, read = written(tmp_path, kind)
    whole, before = path.read_bytes(), repr(read(path))
    named = 0
    for n in range(len(whole)):
        path.write_bytes(whole[:n] + bytes([whole[n] ^ 1]) + whole[n + 1 :])
        try:
            assert repr(read(path)) == before  # another white space, say
        except DamagedFile:
            named += 1
    assert named > len(whole) / 2


def test_a_missing_file_is_missing_and_not_damaged(tmp_path):
    for read in (read_json, read_arrays):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "none")


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_lock_is_held_by_one_and_given_back(tmp_path):
    with lock(tmp_path / "folder") as held:
        assert held.is_locked
    with lock(tmp_path / "folder"):
        pass


def test_a_foreign_file_is_held_against_its_published_checksum_and_stays(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    verify(path, "sha256", hashlib.sha256(b"content").hexdigest())
    with pytest.raises(
        ValueError, match=r"incomplete or foreign: it has MD5 .* 7 bytes, expected 00 and 9 bytes"
    ):
        verify(path, "md5", "00", 9)
    assert path.read_bytes() == b"content"


def test_a_record_is_json_that_people_can_read(tmp_path):
    path, _ = written(tmp_path, "json")
    assert json.loads(path.read_text())["name"] == "a run"


def test_the_same_arrays_and_record_are_the_same_bytes(tmp_path):
    for name in "abcdefgh":
        write_arrays(tmp_path / name, {"x": np.arange(3), "y": np.arange(2)}, {"k": 1})
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_a_record_that_would_lose_an_entry_to_its_checksum_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'sha256' is the name of the checksum"):
        write_json(tmp_path / "a.json", {"sha256": "of something else"})
    assert not list(tmp_path.iterdir())
