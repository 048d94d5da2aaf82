"""ImageNet's benchmarks in the study: pictures, outcomes, rows; networks judged on photographs."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.transforms import functional as tv

from lmlib import augment, metrics, paths
from lmlib.corruptions import corrupt, imagenet_files
from lmlib.datasets.imagenet import classes_of, labels_in_1k
from lmlib.datasets.load import load_dataset
from lmlib.metrics.calibration import rms_calibration_error
from lmlib.models.pretrained import imagenet_network
from lmlib.names import C_CORRUPTIONS, C_EXTRA, PERTURBATIONS_PAPER
from lmlib.report import tables
from lmlib.report.published import published
from lmlib.study import evaluation, imagenet, outcomes, photographs, plans, rows
from lmlib.study.profiles import PROFILES

pytestmark = pytest.mark.filterwarnings("ignore:.*frost is left out")
OF_R = labels_in_1k(classes_of("imagenet-200"))
OUTSIDE = int(np.setdiff1d(np.arange(1000), OF_R)[0])


def write_picture(path, grey=None, size=(300, 240), seed=0):
    """A picture of one grey level, or of noise that is smooth enough to survive a JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if grey is not None:
        return Image.new("RGB", size, (grey,) * 3).save(path)
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(path)


@pytest.fixture
def data(root, tmp_path):
    """Three pictures in two of ImageNet's classes, named as its validation pictures are."""
    places = {"n01440764": (3, 1), "n01443537": (7,)}
    for wnid, numbers in places.items():
        for number in numbers:
            write_picture(tmp_path / "own" / wnid / f"ILSVRC2012_val_{number:08}.png", seed=number)
    return load_dataset(f"photographs:{tmp_path / 'own'}")


# --- pictures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
def test_a_picture_is_corrupted_by_its_number_whatever_is_asked_for_with_it(
    data, monkeypatch, threads
):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(imagenet, "CHUNK", 1)  # three chunks, by processes where there are threads
    bench = imagenet.open_imagenet("imagenet_c_bar", data, seed=5)
    together = np.concatenate(list(bench.chunks("brownish_noise", 2, np.array([2, 0, 1]))))
    assert data.test.index.tolist() == [0, 2, 6]
    clean, key = data.test.images[[2, 0, 1]], {"seed": 5, "index": np.array([6, 0, 2])}
    same = corrupt(clean, "brownish_noise", severity=2, benchmark="imagenet_c_bar", **key)
    assert np.array_equal(together, same)
    assert bench.provenance["sparkles"] == "generated, JPEG 85, at 224 px"


def test_sequences_are_of_the_whole_picture_and_their_first_frame_is_its_middle(data):
    bench = imagenet.open_imagenet("imagenet_p", data)
    (frames,) = bench.chunks("gaussian_noise", select=np.array([1]))
    assert frames.shape == (1, 31, 3, 224, 224)
    assert np.array_equal(frames[0, 0], data.test.images[1])
    assert set(PERTURBATIONS_PAPER) < set(bench.names) and "gaussian_noise_2" not in bench.names
    assert set(bench.provenance.values()) == {"generated, raw frames"}


def test_the_resized_picture_is_the_one_that_torchvision_makes(data):
    image = data.test.images[0]
    picture = Image.fromarray(image.transpose(1, 2, 0))
    expected = tv.center_crop(tv.resize(picture, 256), 224)
    found = imagenet.enlarged(image)
    assert np.array_equal(found, np.asarray(expected).transpose(2, 0, 1))
    bench = imagenet.open_imagenet("imagenet_c", data, resized=True)
    plain = imagenet.open_imagenet("imagenet_c", data)
    of_one = bench.picture("brightness", 1, 0), plain.picture("brightness", 1, 0)
    assert np.array_equal(of_one[0], imagenet.enlarged(of_one[1]))
    assert bench.provenance["brightness"] == "generated, JPEG 85, central 196 px enlarged"


@pytest.fixture
def official(data, monkeypatch):
    """The same pictures as ImageNet's, and official files of one corruption: grey of the number."""
    monkeypatch.setattr(imagenet_files, "PER_CLASS", 2)
    monkeypatch.setattr(imagenet, "NAMES", {"imagenet_c": ("contrast", "spatter")})
    for severity in range(1, 6):
        for wnid, numbers in {"n01440764": (1, 3), "n01443537": (7, 9)}.items():
            for number in numbers:
                place = paths.RAW / "ImageNet-C" / "contrast" / str(severity) / wnid
                file = place / f"ILSVRC2012_val_{number:08}.JPEG"
                write_picture(file, grey=10 * number, size=(224, 224))
    return replace(data, name="imagenet-200")


def test_official_pictures_are_read_by_their_number_and_an_absent_extra_is_left_out(official):
    bench = imagenet.open_imagenet("imagenet_c", official)
    assert bench.provenance == {"contrast": "official, at 224 px"}
    assert "ImageNet-C lacks spatter at severity 1" in bench.missing["spatter"]
    (images,) = bench.chunks("contrast", 2, np.array([2, 0, 1]))
    assert images.mean((1, 2, 3)).tolist() == pytest.approx([70, 10, 30], abs=1)
    resized = imagenet.open_imagenet("imagenet_c", official, resized=True)
    assert resized.provenance == {"contrast": "official, central 196 px enlarged"}


def test_an_official_folder_without_what_a_mean_counts_is_refused(official, monkeypatch):
    monkeypatch.setattr(imagenet, "NAMES", {"imagenet_c": ("contrast", "fog")})
    with pytest.raises(ValueError, match="ImageNet-C lacks fog at severity 1"):
        imagenet.open_imagenet("imagenet_c", official)
    shutil.rmtree(paths.RAW / "ImageNet-C" / "contrast" / "4" / "n01443537")
    with pytest.raises(ValueError, match="4 lacks the folders of 1 of 2 classes, n01443537"):
        imagenet.open_imagenet("imagenet_c", official)


def test_official_files_of_other_pictures_are_refused(official):
    for cell in (paths.RAW / "ImageNet-C" / "contrast").iterdir():
        one = cell / "n01440764" / "ILSVRC2012_val_00000001.JPEG"
        one.rename(one.with_name("ILSVRC2012_val_00000002.JPEG"))
    bench = imagenet.open_imagenet("imagenet_c", official)
    with pytest.raises(ValueError, match="no ILSVRC2012_val_00000001 of imagenet-200, nor 0 other"):
        bench.chunks("contrast", 1)


def test_official_files_of_another_class_are_refused(official):
    # Without a plain number in their names, pictures count as 1, 2, 3, ... in the order of classes.
    test = replace(official.test, labels=official.test.labels[[2, 0, 1]])
    bench = imagenet.open_imagenet("imagenet_c", replace(official, test=test))
    with pytest.raises(
        ValueError, match=r"00000001 is of n01440764 in .*ImageNet-C, of n01443537 in imagenet-200"
    ):
        bench.chunks("contrast", 1)
    (image,) = bench.chunks("contrast", 1, np.array([1]))  # of a picture whose class is right
    assert image.mean() == pytest.approx(30, abs=1)


def test_official_files_in_part_are_named_before_anything_is_trained(root):
    imagenet.check_official(["imagenet-200", "cifar10"])
    (paths.RAW / "ImageNet-C").mkdir(parents=True)
    imagenet.check_official(["cifar10"])
    with pytest.raises(ValueError, match="ImageNet-C lacks gaussian_noise at severity 1"):
        imagenet.check_official(["imagenet-200", "cifar10"])


# --- rows by hand ---------------------------------------------------------------------------------


def value(found, measure, **keys):
    """The value of the one row of that measure that is of no single corruption."""
    (one,) = [one for one in found if one["measure"] == measure and one["corruption"] == ""]
    return one["value"]


def hand_made_c(n=8):
    """Outcomes of C in which AlexNet would have twice as many errors, at two confidences."""
    measured = {}
    for name in C_CORRUPTIONS + C_EXTRA:
        right = np.zeros((5, n), bool)
        right[:2] = True  # two severities without an error
        confidence = np.where(np.arange(5)[:, None] < 2, 0.75, 0.25) * np.ones((5, n))
        measured |= {f"{name}/correct": right, f"{name}/confidence": confidence}
        measured |= {f"{name}/nll": np.ones(5), f"{name}/brier": np.ones(5)}
    return measured


def test_rows_of_imagenet_c_have_the_error_by_cell_and_alexnets_share():
    means = evaluation.C_MEANS
    found = evaluation.imagenet_rows(means, C_CORRUPTIONS, hand_made_c(), whole=True)
    assert value(found, "mce") == pytest.approx(3 / 5)
    expected = np.mean([0.6 / error for error in metrics.ALEXNET_ERRORS.values()])
    assert value(found, "mce_alexnet") == pytest.approx(expected)
    assert value(found, "rms_by_cell") == pytest.approx(0.25)  # |0.75 - 1| and |0.25 - 0|
    assert value(found, "rms_by_cell_without_last_bin") == 0  # a cell of 8 is one bin
    pooled = rms_calibration_error(np.repeat([0.75, 0.25], [16, 24]), np.repeat([1, 0], [16, 24]))
    assert value(found, "rms_calibration_error") == pytest.approx(pooled)
    of_200 = evaluation.imagenet_rows(means, C_CORRUPTIONS, hand_made_c())
    assert "mce_alexnet" not in {one["measure"] for one in of_200}


def test_alexnets_errors_are_for_imagenets_own_thousand_classes(data):
    def is_judged(classes, name="photographs-own"):
        return evaluation.is_of_1000(replace(data, classes=tuple(classes), name=name))

    assert is_judged(classes_of("imagenet-1k"))
    assert not is_judged(classes_of("imagenet-200"))
    assert not is_judged(f"a{k}" for k in range(1000))
    assert not is_judged(classes_of("imagenet-1k"), f"own{evaluation.OWN_PREDICTION}")


def test_relative_mce_is_made_where_clean_and_corrupted_images_are_the_same():
    errors = {"clean": {}, "c": {name: np.full(5, 0.5) for name in C_CORRUPTIONS}}
    made = [{"benchmark": "clean", "n": 8, "value": 0.25}, {"benchmark": "c", "n": 8, "value": 0.5}]
    (one,) = evaluation.rows_of_two(made, errors, of_1000=True)
    expected = metrics.relative_mce(errors["c"], 0.25).value
    assert one["measure"] == "relative_mce" and one["value"] == pytest.approx(expected)
    assert evaluation.rows_of_two(made, errors, of_1000=False) == []
    made[0]["n"] = 9
    assert evaluation.rows_of_two(made, errors, of_1000=True) == []


def test_a_label_of_the_200_is_sought_among_their_logits_alone():
    labels = np.array([OF_R[0], OF_R[7], OUTSIDE])
    logits = np.zeros((3, 1000), np.float32)
    logits[:, OUTSIDE] = 9  # wrong among 1,000, not there among the 200
    logits[0, OF_R[0]], logits[1, OF_R[8]] = 5, 5
    found = evaluation.imagenet_clean_rows({"logits": logits, "labels": labels})
    assert value(found, "clean_error") == pytest.approx(2 / 3)
    (of_200,) = [one for one in found if one["measure"] == "error_of_200"]
    assert of_200["value"] == 1 / 2 and of_200["n"] == 2


class Levels(nn.Module):
    """Reads one of 200 grey levels; of 1,000 classes a foreign one is always the likeliest."""

    def __init__(self, n_classes):
        super().__init__()
        self.scale, self.n_classes = nn.Parameter(torch.tensor(1.0)), n_classes

    def forward(self, images):
        levels = (255 * images.mean((1, 2, 3))).round().long()
        logits = torch.zeros(len(images), self.n_classes)
        classes = levels if self.n_classes == 200 else torch.from_numpy(OF_R)[levels]
        logits.scatter_(1, classes[:, None], 5.0)
        if self.n_classes == 1000:
            logits[:, OUTSIDE] = 9
        return self.scale * logits


@pytest.mark.parametrize("n_classes", [200, 1000])
def test_renditions_are_judged_within_their_200_classes(root, n_classes):
    for label, wnid in enumerate(classes_of("imagenet-200")):
        write_picture(paths.RAW / "imagenet-r" / wnid / "art_0.png", grey=label, size=(16, 16))
    data = SimpleNamespace(n_classes=n_classes)
    (measured,) = outcomes.rendition_outcomes(Levels(n_classes), data, None, ())
    assert measured["logits"].shape == (200, 200)
    assert measured["labels"].tolist() == list(range(200))
    found = evaluation.rendition_rows(measured)
    assert value(found, "error") == value(found, "top5_error") == 0
    confidence = np.exp(5) / (np.exp(5) + 199)
    assert value(found, "rms_calibration_error") == pytest.approx(1 - confidence, abs=1e-6)
    assert "r" in evaluation.benchmarks_of("imagenet-200")
    assert "r" not in evaluation.benchmarks_of("photographs-own")


def test_renditions_without_a_class_are_refused_in_a_sentence(root):
    write_picture(paths.RAW / "imagenet-r" / "n01443537" / "art_0.png", grey=0)
    with pytest.raises(ValueError, match="lacks the folders of 199 of 200 classes"):
        imagenet.renditions()


# --- photographs ----------------------------------------------------------------------------------


@pytest.fixture
def few(monkeypatch):
    """A corruption or two of each benchmark, so that judging takes seconds."""
    names = {"imagenet_c": ("contrast", "spatter"), "imagenet_c_bar": ("checkerboard_cutout",)}
    monkeypatch.setattr(imagenet, "NAMES", names | {"imagenet_p": ("brightness",)})


def test_class_folders_of_imagenet_give_the_labels(root, data, few, monkeypatch):
    monkeypatch.setenv("LMLIB_PHOTOGRAPHS", data.address.partition(":")[2])
    found = photographs.photographs()
    assert found.test.labels.tolist() == [0, 0, 1] and found.n_classes == 1000
    assert found.name == "photographs-own"
    name = photographs.judge(found, "photographs", n=2)
    measured = rows.read_rows("photographs", [name])
    assert measured[rows.PROVENANCE].notna().all(axis=None)
    assert measured.groupby("benchmark")["n"].max().to_dict() == dict(
        clean=3, c=2, c_bar=2, p=2, c_and_c_bar=2
    )
    assert {"mce_alexnet", "mfr_unconfirmed", "rms_by_cell"} <= set(measured["measure"])
    assert evaluation.is_complete("imagenet-200", name) is False  # it wants all pictures
    kept = {path: path.stat().st_mtime_ns for path in paths.RUNS.rglob("*.safetensors")}
    assert photographs.judge(found, "photographs", n=2) == name and len(kept) == 4
    assert all(path.stat().st_mtime_ns == age for path, age in kept.items())  # nothing anew


def test_other_pictures_are_labelled_by_the_networks_own_word(root, tmp_path, few):
    for seed in (0, 1):
        write_picture(tmp_path / "holiday" / f"{seed}.png", seed=seed)
    found = photographs.photographs(str(tmp_path / "holiday"))
    assert found.name == "photographs-holiday-by-own-prediction"
    with torch.no_grad():
        said = imagenet_network()[0](torch.from_numpy(found.test.images[:]).float() / 255)
    assert found.test.labels.tolist() == said.argmax(1).tolist()
    measured = rows.read_rows("photographs", [photographs.judge(found, "photographs")])
    assert measured.query("measure == 'clean_error'")["value"].tolist() == [0]
    assert not {"mce_alexnet", "relative_mce", "error_of_200"} & set(measured["measure"])
    cells = tables.cells(measured, [tables.MCE], profile="photographs", by=("network",))
    assert cells["deviations"].item() == (
        "photographs-holiday-by-own-prediction for ImageNet; "
        "efficientnet-lite0 for resnet-50-pretrained; "
        "0 epochs for 90; recipe pretrained, label smoothing 0; C: 1 of 15 corruptions; "
        "C at 224 px, not resized; C generated"
    )


def test_without_a_folder_there_are_sixteen_crops_of_two_photographs(root, monkeypatch):
    monkeypatch.delenv("LMLIB_PHOTOGRAPHS", raising=False)
    files = sorted(photographs.crops().iterdir())
    assert [file.name for file in files][::8] == ["china-0.png", "flower-0.png"]
    assert len(files) == 16 and {Image.open(file).size for file in files} == {(320, 320)}


def test_one_photograph_is_refused_before_anything_is_measured(root, data):
    with pytest.raises(ValueError, match="at least 2 photographs are needed"):
        photographs.judge(data, "photographs", n=1)
    assert not paths.RUNS.exists()


def test_torchvisions_network_is_judged_on_200_classes_by_their_logits(monkeypatch):
    monkeypatch.setattr(photographs, "build_model", lambda name, **_: Levels(1000))
    images = torch.full((2, 3, 8, 8), 7 / 255)
    whole, part = (photographs.pretrained("resnet-50-pretrained", n) for n in (1000, 200))
    assert whole(images).argmax(1).tolist() == [OUTSIDE] * 2
    assert part(images).shape == (2, 200) and part(images).argmax(1).tolist() == [7, 7]


def test_a_folder_that_is_not_there_is_named(root):
    with pytest.raises(ValueError, match="nowhere is no folder"):
        photographs.photographs("nowhere")


# --- profiles and tables --------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "n_runs"), [("imagenet-200", 26), ("imagenet-1k", 5)])
def test_a_profile_of_imagenet_has_the_runs_of_its_table_and_no_others(name, n_runs):
    settings = plans.whole_study(name)
    assert settings == plans.imagenet(name) and len(settings) == n_runs
    for one in settings:
        parameters, black = one.get("parameters", {}), np.zeros((1, 3, 256, 256), np.uint8)
        method = augment.build_method(one["method"], mixing_set=black, **parameters)
        method.check_size((224, 224))
        if one["method"] == "ipmix":
            assert method.patch_sizes == [4, 8, 16, 32, 64, 224]
        assert one["network"] == "resnet-50-pretrained" and one["epochs"] == 90
    printed = set(published({"imagenet-200": 8, "imagenet-1k": 9}[name])["method"])
    assert printed <= {one["method"] for one in settings}


def test_other_profiles_have_no_runs_of_imagenet():
    assert plans.whole_study("photographs") == []
    assert all(plans.imagenet(name) == [] for name in PROFILES if "imagenet" not in name)


def test_table_8_has_the_printed_values_beside_each_of_its_columns():
    cells = published(8).query("method == 'cutmix'")
    shared = dict.fromkeys(rows.COLUMNS, "") | {"method": "cutmix", "parameters": "{}"}
    shared |= {
        "loss": "ce",
        "network": "resnet-50-pretrained",
        "epochs": 90,
        "recipe": "imagenet",
        "seed": 0,
    }
    shared |= {"dataset": "imagenet-200", "label_smoothing": 0.0, "n_train": np.nan, "run": "a"}
    shared |= {"version": evaluation.VERSION, "recipes": evaluation.RECIPES_VERSION, "n": 10_000}
    shared |= {"mixing": "none", "subset": "all 10,000 test images", "corruption": None}
    shared |= {"value": 0.25, "source": "official"}
    over = {"c": 15, "c_bar": 10}
    ours = [
        shared | column._asdict() | {"over": over.get(column.benchmark, np.nan)}
        for column in tables.TABLE_8
    ]
    found = tables.cells(pd.DataFrame(ours), tables.TABLE_8, profile="imagenet-200", printed=cells)
    assert found["printed"].tolist() == cells["value"].tolist() and len(found) == 12
    assert found["difference"].tolist() == pytest.approx((0.25 - cells["value"]).tolist())
    assert set(found["deviations"]) == {""}
