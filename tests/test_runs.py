import json
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import TINY, files_below, move

from lmlib import paths
from lmlib.datasets.load import from_splits
from lmlib.datasets.split import Split
from lmlib.files import read_json, write_json, write_text
from lmlib.models.prediction import predict
from lmlib.models.training import Trainer
from lmlib.study import outcomes, profiles, rows, runs
from lmlib.study.config import VERSIONS, RunConfig

PLAIN = TINY | {"method": "baseline"}
CHECKPOINT = "checkpoint.safetensors"


def name_of(**settings):
    return runs.resolve(**TINY | settings)[0].name


# --- identity --------------------------------------------------------------------------------------------------------


def test_a_runs_name_says_what_it_is_and_is_a_folders_name(root):
    name = name_of(parameters={"magnitude": 5}, seed=4, loss="jsd")
    assert name.startswith("digits-wrn-10-1-layermix-magnitude=5-jsd-e2-s4-")
    assert name == Path(name).name and len(name.rpartition("-")[2]) == 8


def test_equal_settings_are_one_run(root):
    first = runs.resolve(**TINY)[0]
    runs.dataset_of.cache_clear()
    runs.mixing_set_of.cache_clear()
    assert runs.resolve(**TINY)[0] == first and runs.resolve(**TINY)[0].name == first.name


@pytest.mark.parametrize(
    "setting",
    [
        {"method": "layermix_iid"},
        {"parameters": {"magnitude": 5}},
        {"parameters": {"beta": 4}},
        {"parameters": {"layers": [1, 2]}},
        {"loss": "jsd"},
        {"network": "wrn-16-1"},
        {"epochs": 3},
        {"seed": 1},
        {"batch_size": 64},
        {"learning_rate": 0.05},
        {"weight_decay": 1e-4},
        {"recipe": "airbench"},
        {"label_smoothing": 0.1},
        {"n_train": 201},
        {"n_train": None},
        {"n_validation": 10},
        {"n_fractals": 21},
        {"fractals": "colour"},
    ],
    ids=str,
)
def test_each_setting_makes_another_run(root, setting):
    assert name_of(**setting) != name_of()


@pytest.mark.parametrize("seed", range(2))
def test_images_in_another_order_are_the_same_run_on_the_same_images(root, monkeypatch, seed):
    settings = PLAIN | {"n_train": 40, "n_validation": 30}
    config, digits, method = runs.resolve(**settings)
    draws, parts = np.random.default_rng(seed), []
    for part in (digits.train, digits.test):
        order = draws.permutation(len(part))
        parts.append(Split(part.images[order], part.labels[order]))
    shuffled = from_splits("digits", parts, digits.classes, "shuffled")
    monkeypatch.setattr(runs, "dataset_of", lambda name: shuffled)
    again, data, _ = runs.resolve(**settings)
    assert again == config and again.name == config.name
    for one, other in zip(
        Trainer(config, digits, method).batches.epoch(0),
        Trainer(again, data, method).batches.epoch(0),
        strict=True,
    ):
        assert torch.equal(one.inputs, other.inputs) and torch.equal(one.targets, other.targets)
    first, second = (outcomes.test_subset(one, 30) for one in (digits, data))
    assert np.array_equal(first.index, second.index)
    assert np.array_equal(digits.test.images[first.index], data.test.images[second.index])


@pytest.mark.parametrize(
    "setting", [{"precision": "bf16"}, {"threads": 2}, {"compile": True}], ids=str
)
def test_each_setting_of_the_profile_that_changes_numbers_makes_another_run(
    root, monkeypatch, setting
):
    before = name_of()
    monkeypatch.setitem(profiles.PROFILES, "quick", replace(profiles.PROFILES["quick"], **setting))
    assert name_of() != before


@pytest.mark.parametrize("module", VERSIONS)
def test_a_module_whose_numbers_changed_makes_another_run(root, monkeypatch, module):
    before = name_of()
    monkeypatch.setitem(VERSIONS, module, VERSIONS[module] + 1)
    assert name_of() != before


def test_other_pixels_under_the_same_name_make_another_run(root, monkeypatch):
    before, data = name_of(), runs.dataset_of("digits")
    monkeypatch.setattr(runs, "dataset_of", lambda name: replace(data, hash="another"))
    assert name_of() != before


@pytest.mark.parametrize(
    "setting",
    [
        {"parameters": {"magnitude": 8}},
        {"parameters": {"magnitude": 8.0, "beta": 3.0}},
        {"parameters": {"ops": "paper", "shared": True, "flips": True}},
        {"parameters": {"layers": [1, 2, 3]}},
        {"loss": "ce"},
        {"batch_size": 128, "learning_rate": 0.1, "weight_decay": 5e-4, "n_validation": 0},
    ],
    ids=str,
)
def test_a_default_given_explicitly_is_the_same_run(root, setting):
    assert name_of(**setting) == name_of()


def test_a_whole_number_is_the_same_run_with_and_without_its_point(root):
    assert name_of(parameters={"magnitude": 5.0}) == name_of(parameters={"magnitude": 5})


def test_how_big_the_benchmarks_are_is_no_matter_of_the_run(root, monkeypatch):
    before = name_of()
    monkeypatch.setitem(
        profiles.PROFILES, "quick", replace(profiles.PROFILES["quick"], subset=3, attacked=7)
    )
    assert name_of() == before


def test_commit_device_and_packages_are_recorded_and_do_not_name_the_run(own_run, monkeypatch):
    finished = json.loads((own_run.config.folder / "done.json").read_text())
    assert {"commit", "device", "machine", "packages", "python", "finished"} <= set(finished)
    monkeypatch.setattr(runs, "environment", lambda: {"commit": "another", "device": "another"})
    monkeypatch.setattr(runs, "default_device", lambda: torch.device("cuda"))
    assert name_of() == own_run.config.name


def test_the_training_images_are_a_stratified_choice_without_those_held_out(root):
    config, data, _ = runs.resolve(**PLAIN | {"n_validation": 300, "n_train": 200})
    without, _, _ = runs.resolve(**PLAIN | {"n_validation": 300, "n_train": None})
    index, everything = config.training_index(data), without.training_index(data)
    assert len(index) == len(set(index)) == 200 and len(everything) == len(data.train) - 300
    assert set(index) <= set(everything)
    assert np.ptp(np.bincount(data.train.labels[index])) <= 2


# --- bad settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"profile": "qick"}, "did you mean 'quick'"),
        ({"method": "layermx"}, "did you mean 'layermix'"),
        ({"dataset": "cifar01"}, "did you mean 'cifar10'"),
        ({"network": "resnet18"}, "did you mean 'resnet-18'"),
        ({"network": "wrn-11-1"}, "depth is 10, 16, 22"),
        ({"network": "resnet-50"}, "takes images of 224 px, got 32 px"),
        ({"parameters": {"magnitde": 5}}, "did you mean 'magnitude'"),
        ({"parameters": {"magnitude": 11}}, r"magnitude must lie in \[0, 10\], got 11"),
        ({"parameters": {"beta": 0}}, "beta must lie in"),
        ({"loss": "jds"}, "did you mean 'jsd'"),
        ({"method": "mixup", "loss": "jsd"}, "jsd needs one class per image"),
        ({"fractals": "color"}, "did you mean 'colour'"),
        ({"epochs": 0}, "epochs must be .*got 0"),
        ({"epochs": 1.5}, "epochs must be .*got 1.5"),
        ({"seed": -1}, "seed must be .*got -1"),
        ({"seed": 0.5}, "seed must be .*got 0.5"),
        ({"batch_size": 0}, "batch_size must be .*got 0"),
        ({"learning_rate": 0}, "learning_rate must .*got 0"),
        ({"learning_rate": float("nan")}, "learning_rate must .*got nan"),
        ({"weight_decay": -1}, "weight_decay must .*got -1"),
        ({"n_train": 5000}, "cannot take 5000 of 1297 images"),
        ({"n_train": 1000, "n_validation": 1000}, "cannot take 1000 of 297 images"),
        ({"n_validation": 1297}, "leaves nothing to train on"),
        ({"n_validation": -1}, "n_validation must be .*got -1"),
    ],
    ids=str,
)
def test_a_bad_setting_is_one_sentence_before_any_work(root, settings, words):
    with pytest.raises(ValueError, match=words) as caught:
        runs.resolve(**TINY | settings)
    assert "\n" not in str(caught.value)
    assert files_below(root) == {}


def test_without_a_profile_or_a_method_there_is_no_run():
    with pytest.raises(TypeError, match="method"):
        runs.resolve(**{key: value for key, value in TINY.items() if key != "method"})


# --- the folder ------------------------------------------------------------------------------------------------------


def train(own_run):
    return runs.train(own_run.config, own_run.data, own_run.method)


def test_a_finished_run_is_not_trained_again(own_run, monkeypatch):
    before = files_below(paths.RUNS)
    monkeypatch.setattr(Trainer, "step", lambda *_: pytest.fail("a step of training"))
    model = train(own_run)
    assert not model.training and files_below(paths.RUNS) == before


def test_a_folder_of_another_configuration_is_refused_and_not_touched(own_run):
    file = own_run.config.folder / "config.json"
    write_json(file, read_json(file) | {"epochs": 7, "seed": 3})
    before = files_below(paths.RUNS)
    with pytest.raises(
        ValueError, match=r"another configuration \(epochs, seed differ\): move it away"
    ):
        train(own_run)
    assert files_below(paths.RUNS) == before


@pytest.mark.parametrize(
    "content", [b"", b'{"epochs": 2', b"\xff\xfe\x00", b"[]", b"null", b"3"], ids=str
)
def test_a_damaged_configuration_is_named_and_written_anew_and_nothing_is_trained_again(
    own_run, content, monkeypatch, capsys
):
    file = own_run.config.folder / "config.json"
    before = files_below(own_run.config.folder)
    file.write_bytes(content)
    monkeypatch.setattr(Trainer, "step", lambda *_: pytest.fail("a step of training"))
    train(own_run)
    assert "config.json is damaged (" in capsys.readouterr().out
    assert files_below(own_run.config.folder) == before


def flipped(content, position):
    return content[:position] + bytes([content[position] ^ 0xFF]) + content[position + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda c: b"",
        lambda c: c[:5],
        lambda c: c[: len(c) // 2],
        lambda c: c[:-1],
        lambda c: flipped(c, len(c) // 2),
    ],
    ids=["empty", "five bytes", "half", "one byte short", "one byte flipped"],
)
def test_a_damaged_checkpoint_sets_the_run_aside_and_the_next_start_trains_anew(own_run, damage):
    file = own_run.config.folder / CHECKPOINT
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    before = files_below(own_run.config.folder)
    with pytest.raises(
        ValueError, match=rf"{CHECKPOINT} is damaged .*set aside as .*Start again"
    ) as caught:
        train(own_run)
    assert "\n" not in str(caught.value)
    (aside,) = paths.RUNS.iterdir()
    assert files_below(aside) == before
    train(own_run)
    anew, original = (runs.load_checkpoint(folder / own_run.config.name / CHECKPOINT)[0] for folder in (
        paths.RUNS, own_run.root / "data" / "runs"))  # fmt: skip
    assert all(torch.equal(anew[name], original[name]) for name in original)
    assert files_below(aside) == before


def test_a_byte_flipped_anywhere_in_a_checkpoint_is_found(own_run, tmp_path):
    content, file = (own_run.config.folder / CHECKPOINT).read_bytes(), tmp_path / "flipped"
    n_header = 8 + int.from_bytes(content[:8], "little")
    tensors, values = runs.load_checkpoint(own_run.config.folder / CHECKPOINT)
    draws = np.random.default_rng(0)
    for position in [
        *range(8),
        *draws.integers(8, n_header, 60),
        *draws.integers(n_header, len(content), 20),
    ]:
        file.write_bytes(flipped(content, position))
        try:
            found, found_values = runs.load_checkpoint(file)
        except ValueError as error:
            assert str(file) in str(error)
        else:  # a byte that holds nothing, such as a blank
            assert found_values == values and all(
                torch.equal(found[name], tensors[name]) for name in tensors
            )


def test_a_loaded_model_predicts_what_the_trained_one_did_in_eval_mode(own_run):
    model, images = runs.load_model(own_run.config.name), own_run.data.test.images[:100]
    assert not any(module.training for module in model.modules())
    assert torch.equal(predict(model, images), predict(own_run.model, images))


def test_a_model_of_a_damaged_checkpoint_is_refused_and_the_file_left_alone(own_run):
    file = own_run.config.folder / CHECKPOINT
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ValueError, match=f"{CHECKPOINT} is damaged"):
        runs.load_model(own_run.config.name)
    assert file.stat().st_size == 1000


def test_a_checkpoint_that_is_not_there_is_not_called_damaged(tmp_path):
    for path in (tmp_path / "none.safetensors", tmp_path):  # a folder is no damaged file either
        with pytest.raises(OSError) as caught:
            runs.load_checkpoint(path)
        assert str(path) in str(caught.value) and "damaged" not in str(caught.value)


def test_a_checkpoint_keeps_values_of_numpy_and_torch(tmp_path):
    runs.save_checkpoint(
        tmp_path / "one", {}, {"epoch": np.int64(3), "loss": [np.float32(0.5), torch.tensor(2)]}
    )
    assert runs.load_checkpoint(tmp_path / "one")[1] == {"epoch": 3, "loss": [0.5, 2]}


def test_numbers_of_numpy_and_torch_name_the_same_run_as_pythons(root):
    plain = {
        "seed": 1,
        "epochs": 3,
        "n_train": 50,
        "n_validation": 10,
        "learning_rate": 0.25,
        "batch_size": 16,
    }
    parameters = {"magnitude": 5, "beta": 2.5, "shared": False}
    expected = runs.resolve_without_mixing_set(**TINY | plain, parameters=parameters)[0]
    for library in (np.array, torch.tensor, lambda value: np.array(value)[()]):
        given = {name: library(value) for name, value in plain.items()}
        found = runs.resolve_without_mixing_set(
            **TINY | given, parameters={name: library(value) for name, value in parameters.items()}
        )[0]
        assert found.name == expected.name
        assert json.dumps(asdict(found), sort_keys=True) == json.dumps(
            asdict(expected), sort_keys=True
        )


@pytest.mark.parametrize(
    "name", ["seed", "epochs", "n_train", "n_validation", "batch_size", "learning_rate"]
)
@pytest.mark.parametrize("wrong", [True, "1", [1], torch.tensor(True)], ids=repr)
def test_a_bool_or_a_text_is_no_number_of_a_run(root, name, wrong):
    with pytest.raises(ValueError, match=f"^{name} must"):
        runs.resolve_without_mixing_set(**TINY | {name: wrong})


@pytest.mark.parametrize(
    ("method", "name"), [("layermix", "magnitude"), ("pixmix", "k"), ("ipmix", "t")]
)
def test_a_bool_is_no_number_of_a_method(root, method, name):
    with pytest.raises(ValueError, match=f"^{name} must .*got True"):
        runs.resolve_without_mixing_set(**TINY | {"method": method}, parameters={name: True})


def test_an_unknown_run_offers_the_nearest(own_run):
    name = own_run.config.name
    with pytest.raises(ValueError, match=f"did you mean '{name}'"):
        runs.load_model(name[:-1] + "x")


def test_the_configuration_of_a_run_reads_back(own_run):
    found = runs.read_config(own_run.config.name)
    assert found.name == own_run.config.name
    assert asdict(found) == json.loads(json.dumps(asdict(own_run.config)))


def test_an_unfinished_run_goes_on_and_is_only_then_done(own_run):
    (own_run.config.folder / "done.json").unlink()
    _, values = runs.load_checkpoint(own_run.config.folder / CHECKPOINT)
    train(own_run)
    assert json.loads((own_run.config.folder / "done.json").read_text())["packages"][
        "torch"
    ] == version("torch")
    assert runs.load_checkpoint(own_run.config.folder / CHECKPOINT)[1] == values


@pytest.mark.parametrize(
    "damage",
    [lambda c: b"", lambda c: c[:-9], lambda c: c.replace(b"20", b"19", 1), lambda c: b"[]"],
)
def test_a_damaged_record_of_the_end_is_said_and_written_anew_and_nothing_is_trained_again(
    own_run, damage, monkeypatch, capsys
):
    file = own_run.config.folder / "done.json"
    file.write_bytes(damage(file.read_bytes()))
    others = {
        name: content
        for name, content in files_below(paths.RUNS).items()
        if "done.json" not in name
    }
    with pytest.raises(ValueError, match=r"done.json is damaged \("):
        runs.finished(own_run.config.name)
    monkeypatch.setattr(Trainer, "step", lambda *_: pytest.fail("a step of training"))
    train(own_run)
    assert (
        "done.json is damaged (" in (said := capsys.readouterr().out)
        and "written anew, dated now" in said
    )
    assert runs.finished(own_run.config.name)["packages"]["torch"] == version("torch")
    assert others.items() <= files_below(paths.RUNS).items()


def test_history_has_every_epoch_with_its_loss_error_and_seconds(own_run):
    history = runs.history_of(own_run.config.name)
    assert [entry["epoch"] for entry in history] == [0, 1]
    assert all(
        0 <= entry["test_error"] <= 1 and entry["loss"] > 0 and entry["seconds"] > 0
        for entry in history
    )


TOGETHER = """
import json, os, sys
from lmlib.models import training
from lmlib.study import runs
config, data, method = runs.resolve(**json.loads(sys.argv[1]))
step = training.Trainer.step
def counted(self, *arguments):
    os.write(log, f"{os.getpid()}\\n".encode())
    return step(self, *arguments)
training.Trainer.step = counted
log = os.open(sys.argv[2], os.O_CREAT | os.O_APPEND | os.O_WRONLY)
pids = [os.fork() for _ in range(1)]
runs.train(config, data, method)
if pids[0] == 0:
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1]))
"""


def test_two_processes_that_want_the_same_run_train_it_once(root):
    log = root / "steps"
    settings = PLAIN | {"batch_size": 50}
    command = [sys.executable, "-c", TOGETHER, json.dumps(settings), log]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    steps = log.read_text().split()
    assert (
        len(steps) == 2 * 4 and len(set(steps)) == 1
    )  # two epochs of four batches, all by one process
    assert result.stdout.count("trained in") == 1


def test_a_run_moved_to_another_root_is_the_same_run(own_run, monkeypatch):
    name = own_run.config.name
    shutil.move(paths.RUNS, paths.ROOT / "elsewhere")
    monkeypatch.setattr(paths, "RUNS", paths.ROOT / "elsewhere")
    assert runs.read_config(name).folder == paths.ROOT / "elsewhere" / name
    assert runs.load_model(name) is not None


# --- committed weights -----------------------------------------------------------------------------------------------


COMMITTED = sorted((Path(__file__).parents[1] / "data" / "results").glob("*/weights/*.safetensors"))


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_the_committed_weights_load_and_their_configuration_names_their_file(path):
    tensors, values = runs.load_checkpoint(path)
    assert RunConfig(**values["config"]).name == path.stem
    assert values["history"] and all(tensor.isfinite().all() for tensor in tensors.values())


def test_a_run_whose_weights_are_committed_is_taken_from_them_and_not_trained_again(
    own_run, capsys
):
    config, images = own_run.config, own_run.data.test.images[:100]
    runs.keep_weights("cifar-cpu", config)
    finished, expected = runs.finished(config.name), predict(own_run.model, images)
    committed = runs.committed_weights(config.name)
    written = committed.stat().st_mtime_ns
    shutil.rmtree(config.folder)
    model = train(own_run)
    assert (
        torch.equal(predict(model, images), expected) and not (config.folder / CHECKPOINT).exists()
    )
    assert f"{config.name}: taken from its committed weights" in capsys.readouterr().out
    assert runs.finished(config.name) == finished and runs.history_of(config.name)
    runs.keep_weights("cifar-cpu", config)  # as 04 does at its end
    assert committed.stat().st_mtime_ns == written
    assert runs.read_config(config.name).name == config.name


def test_weights_of_the_first_seed_are_kept_and_rows_name_the_hash_of_all(own_run):
    runs.keep_weights("cifar-cpu", replace(own_run.config, seed=1))
    assert not list(paths.RESULTS.rglob("*.safetensors"))
    expected = runs.weights_digest(own_run.model)
    assert runs.finished(own_run.config.name)["weights"] == expected
    with torch.no_grad():
        next(runs.load_model(own_run.config.name).parameters()).add_(1)
    assert runs.weights_digest(runs.load_model(own_run.config.name)) == expected


def test_where_and_when_a_run_was_trained_is_not_asked_before_it_is_finished(own_run):
    (own_run.config.folder / "done.json").unlink()
    with pytest.raises(ValueError, match=f"run {own_run.config.name} is not finished"):
        runs.finished(own_run.config.name)


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"dataset": "digits"}'])
def test_a_damaged_configuration_is_named_when_it_is_read(own_run, content):
    (own_run.config.folder / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        runs.read_config(own_run.config.name)


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"n_fractals": -3}, {"batch_size": 0}, {"learning_rate": 0}], ids=str
)
def test_numbers_out_of_range_are_refused_before_a_dataset_is_fetched(root, monkeypatch, wrong):
    monkeypatch.setattr(runs, "dataset_of", lambda name: pytest.fail("the dataset was asked for"))
    with pytest.raises(ValueError, match=next(iter(wrong))):
        runs.resolve_without_mixing_set(**TINY | {"dataset": "cifar10"} | wrong)


def test_a_number_out_of_range_in_a_configuration_names_the_run(own_run):
    file = own_run.config.folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"epochs": 0}))
    with pytest.raises(ValueError, match=f"run {own_run.config.name}: its config.json is damaged"):
        runs.read_config(own_run.config.name)


# --- pictures of one's own -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def on_pictures(tmp_path_factory):
    """A run on three classes of pictures in a folder, trained for an epoch."""
    folder = tmp_path_factory.mktemp("own")
    pictures, draws = folder / "plain [v2]", np.random.default_rng(0)
    for part, n in (("train", 8), ("test", 4)):
        for name in ("ant", "bee", "cat"):
            (pictures / part / name).mkdir(parents=True)
            for i in range(n):
                pixels = draws.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(pictures / part / name / f"{i}.png")
    threads = torch.get_num_threads()
    settings = PLAIN | {"dataset": f"folder:{pictures}", "epochs": 1}
    with pytest.MonkeyPatch.context() as patch:
        move(patch, folder)
        config, data, method = runs.resolve(**settings | {"n_train": None})
        runs.train(config, data, method)
    torch.set_num_threads(threads)
    return SimpleNamespace(root=folder, pictures=pictures, name=config.name, data=data)


@pytest.fixture
def own_pictures(root, on_pictures):
    """The run and its pictures in the test's own folders; nothing is kept of other tests' in memory."""
    shutil.copytree(on_pictures.root / "data" / "runs", paths.RUNS)
    runs.dataset_of.cache_clear()
    yield on_pictures
    runs.dataset_of.cache_clear()


def logits_of(name):
    return predict(runs.load_model(name), np.zeros((1, 3, 32, 32), np.uint8))


def test_a_run_on_pictures_in_a_folder_is_opened_again_with_its_images(own_pictures):
    model, data = runs.load_model(own_pictures.name), runs.data_of(own_pictures.name)
    assert (data.hash, data.classes) == (own_pictures.data.hash, ("ant", "bee", "cat"))
    assert predict(model, data.test.images).shape == (12, 3)


def test_a_model_whose_pictures_are_gone_is_loaded_and_they_are_asked_back(own_pictures):
    away = own_pictures.pictures.with_name("away")
    own_pictures.pictures.rename(away)
    try:
        assert logits_of(own_pictures.name).shape == (1, 3)
        with pytest.raises(ValueError, match=r"plain \[v2\]', which cannot be had .*: put them"):
            runs.data_of(own_pictures.name)
    finally:
        away.rename(own_pictures.pictures)


def test_other_pictures_in_the_folder_of_a_run_are_not_taken_for_its_own(own_pictures):
    file = own_pictures.pictures / "test" / "cat" / "0.png"
    whole = file.read_bytes()
    Image.new("RGB", (32, 32)).save(file)
    try:
        with pytest.raises(ValueError, match="others lie there: hash"):
            runs.data_of(own_pictures.name)
    finally:
        file.write_bytes(whole)


def test_committed_weights_know_their_pictures_too(own_pictures):
    runs.keep_weights("cifar-cpu", runs.read_config(own_pictures.name))
    shutil.rmtree(paths.RUNS)
    assert runs.committed_weights(own_pictures.name) and runs.is_finished(own_pictures.name)
    assert runs.data_of(own_pictures.name).hash == own_pictures.data.hash
    assert logits_of(own_pictures.name).shape == (1, 3)


def without_data(name):
    """Take away what a checkpoint says of its images, as older ones say nothing."""
    tensors, values = runs.load_checkpoint(runs.find_checkpoint(name))
    del values["data"]
    runs.save_checkpoint(runs.find_checkpoint(name), tensors, values)


def test_an_older_run_on_a_set_with_a_name_is_opened_by_it(own_run):
    without_data(own_run.config.name)
    assert runs.load_model(own_run.config.name) is not None
    assert runs.data_of(own_run.config.name).hash == own_run.data.hash


def test_an_older_run_on_pictures_says_that_it_did_not_record_them(own_pictures):
    without_data(own_pictures.name)
    with pytest.raises(ValueError, match=r"where its pictures 'folder-plain \[v2\]' lay"):
        runs.load_model(own_pictures.name)


def test_committed_weights_of_cifar_are_loaded_without_its_images(own_run, monkeypatch):
    monkeypatch.setattr(runs, "dataset_of", lambda name: pytest.fail("the images were asked for"))
    config = replace(own_run.config, dataset="cifar10")
    tensors, values = runs.load_checkpoint(runs.find_checkpoint(own_run.config.name))
    values |= {"config": asdict(config)}
    del values["data"]
    file = paths.RESULTS / "cifar-cpu" / "weights" / f"{config.name}.safetensors"
    runs.save_checkpoint(file, tensors, values)
    rows.write_rows("cifar-cpu", config.name, [dict.fromkeys(rows.COLUMNS, 0)])
    model = runs.load_model(config.name)
    assert predict(model, own_run.data.test.images[:2]).shape == (2, 10)


def test_the_hash_of_the_committed_rows_mixing_sets_names_their_runs_undrawn(root, monkeypatch):
    monkeypatch.setattr(runs, "mixing_set_of", lambda *_: pytest.fail("a mixing set was drawn"))
    write_text(paths.RESULTS / "cifar-cpu" / "rows" / "cifar10-any.csv", "")  # its images are away
    settings = {"profile": "cifar-cpu", "dataset": "cifar10", "network": "airbench-32"}
    name = runs.name_of(**settings, method="layermix", epochs=16, seed=0)
    assert name == "cifar10-airbench-32-layermix-e16-s0-04f1b2b2"
    with pytest.raises(pytest.fail.Exception, match="was drawn"):
        runs.name_of(**settings, method="layermix", epochs=16, seed=0, n_fractals=77)


def test_a_name_is_that_of_the_configuration_with_its_mixing_set(root):
    assert runs.name_of(**TINY) == name_of() != runs.name_of(**PLAIN) == name_of(method="baseline")
