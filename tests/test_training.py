import copy
import json
import random
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from bounds import rounded
from small_imagenet import CLASSES
from tiny import TINY

from lmlib import paths
from lmlib.augment import METHODS, Baseline, build_method
from lmlib.datasets.load import Split, load_dataset, load_photographs
from lmlib.images import as_float
from lmlib.models import training
from lmlib.models.batches import IMAGES_PER_CALL, Batches
from lmlib.models.networks import build_model, plain
from lmlib.models.recipes import PaperOptimizer
from lmlib.models.training import Trainer
from lmlib.study import profiles, runs

SMALL = TINY | {"method": "baseline"}
KEYS = {"seed": 3, "epoch": 1}
MIXERS = [name for name, row in METHODS.items() if row.build.mixes_labels]


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (5, 1, 36, 36), dtype=np.uint8)


def batches(digits, method, index, *, loss="ce", batch_size=128, flip=False, seed=3):
    return batches_of(
        replace(digits, flip=flip), method, index, loss=loss, batch_size=batch_size, seed=seed
    )


def batches_of(dataset, method, index, **settings):
    """The batches of some training images; settings: loss, batch_size and seed."""
    return Batches(
        SimpleNamespace(training_index=lambda dataset: index, **settings), dataset, method
    )


def whole_epoch(found, epoch=1):
    """Inputs, targets and outliers of an epoch in one piece."""
    parts = zip(*found.epoch(epoch), strict=True)
    return [torch.cat(part) if part[0] is not None else None for part in parts]


# --- the schedule and the optimiser ----------------------------------------------------------------------------------


def papers_rate(n_steps, step):
    """The learning rate of a training of `n_steps` that starts from 0.1."""
    model, settings = torch.nn.Linear(1, 1), {"learning_rate": 0.1, "weight_decay": 0}
    return PaperOptimizer(model, **settings, epochs=n_steps, steps_per_epoch=1).rate(0.1, step)


def test_learning_rate_falls_from_a_tenth_over_its_middle_to_a_millionth():
    assert papers_rate(100, 0) == 0.1
    assert papers_rate(100, 50) == pytest.approx((0.1 + 1e-6) / 2, rel=1e-12)
    assert papers_rate(100, 100) == 1e-6


def test_learning_rate_is_torchs_cosine_at_every_step():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=40, eta_min=1e-6)
    for step in range(40):
        assert papers_rate(40, step) == pytest.approx(schedule.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        schedule.step()


def test_every_step_of_a_training_has_the_rate_of_its_place_in_all_epochs(root):
    trainer = Trainer(*runs.resolve(**SMALL))
    rates = []
    trainer.optimizer.sgd.register_step_pre_hook(
        lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"])
    )
    trainer.run(lambda *_: None)
    # 200 images are 2 batches; 2 epochs
    assert rates == [papers_rate(4, step) for step in range(4)]


def test_the_optimiser_is_the_papers(root):
    config, data, method = runs.resolve(**SMALL)
    trainer = Trainer(config, data, method)
    (group,) = trainer.optimizer.sgd.param_groups
    assert type(trainer.optimizer) is PaperOptimizer
    assert isinstance(trainer.optimizer.sgd, torch.optim.SGD)
    assert (group["lr"], group["momentum"], group["nesterov"], group["dampening"]) == (
        0.1,
        0.9,
        True,
        0,
    )
    assert (group["weight_decay"], config.batch_size) == (5e-4, 128)
    assert len(group["params"]) == len(list(trainer.model.parameters()))


# --- batches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, loss", [*((name, METHODS[name].loss) for name in METHODS), ("layermix", "jsd")]
)
def test_a_sample_depends_neither_on_its_batch_nor_on_the_block_it_was_made_in(
    digits, pictures, name, loss, monkeypatch
):
    colour = np.repeat(pictures, 3, axis=1) if name == "oe" else pictures
    method, index = build_method(name, mixing_set=colour), np.arange(100, 124)

    def views(batch_size):
        found = batches(digits, method, index, loss=loss, batch_size=batch_size)
        inputs, targets, outliers = zip(*found.epoch(1), strict=True)
        n_views = 3 if loss == "jsd" else 1
        inputs = [
            torch.cat(part)
            for part in zip(*(batch.chunk(n_views) for batch in inputs), strict=True)
        ]
        return [*inputs, torch.cat(targets), *([torch.cat(outliers)] if loss == "oe" else [])]

    together = views(128)
    monkeypatch.setitem(IMAGES_PER_CALL, "cpu", 1)
    for batch_size in (128, 5):
        for one, other in zip(views(batch_size), together, strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("name", ["baseline", "layermix", "mixup"])
def test_a_sample_alone_is_the_same_as_in_its_batch(digits, pictures, name):
    found = batches(digits, build_method(name, mixing_set=pictures), np.arange(50))
    (together,), targets, _ = found.augmented(np.arange(20), 1)
    (alone,), target, _ = found.augmented(np.array([13]), 1)
    assert torch.equal(alone[0], together[13]) and torch.equal(target[0], targets[13])


def test_an_epoch_holds_each_training_image_exactly_once_in_an_order_of_its_own():
    images = (
        torch.arange(40 * 3, dtype=torch.uint8).view(40, 3, 1, 1).expand(40, 3, 4, 4).contiguous()
    )
    train, index = (
        Split(images.numpy(), np.arange(40)),
        np.arange(1, 40, 3),
    )  # a label names its image
    dataset = SimpleNamespace(train=train, pad=0, flip=False, n_classes=40)
    found = batches_of(dataset, Baseline(), index, loss="ce", batch_size=4, seed=0)
    orders = []
    for epoch in range(3):
        inputs, targets, _ = whole_epoch(found, epoch)
        assert sorted(targets.tolist()) == index.tolist()
        assert torch.equal(inputs, as_float(images[targets]))
        orders.append(targets.tolist())
    assert orders[0] != orders[1] != orders[2]
    assert [len(targets) for _, targets, _ in found.epoch(0)] == [4, 4, 4, 1]


def test_another_seed_or_epoch_gives_other_pictures_of_the_same_images(digits):
    index = np.arange(30)
    (first,), _, _ = batches(digits, Baseline(), index).augmented(index, 0)
    (next_epoch,), _, _ = batches(digits, Baseline(), index).augmented(index, 1)
    (next_seed,), _, _ = batches(digits, Baseline(), index, seed=4).augmented(index, 0)
    assert not torch.equal(first, next_epoch) and not torch.equal(first, next_seed)


def windows(image, pad=4):
    """Every window of the image, padded with zeros: float (81, 3, 32, 32)."""
    padded = torch.nn.functional.pad(as_float(torch.from_numpy(image)), (pad,) * 4)
    return torch.stack(
        [padded[:, y : y + 32, x : x + 32] for y in range(2 * pad + 1) for x in range(2 * pad + 1)]
    )


def test_digits_are_cropped_and_never_flipped(root, digits):
    trainer = Trainer(*runs.resolve(**SMALL))
    index, kept_in_place = np.arange(60), 0
    (inputs,), _, _ = trainer.batches.augmented(index, 0)
    for n in index:
        assert (windows(digits.train.images[n]) == inputs[n]).flatten(1).all(1).any()
        kept_in_place += torch.equal(inputs[n], as_float(torch.from_numpy(digits.train.images[n])))
    assert kept_in_place < 10  # one in 81 stays where it was


def test_where_flips_keep_the_label_about_half_of_the_images_are_flipped(digits):
    index = np.arange(200)
    (inputs,), _, _ = batches(digits, Baseline(), index, flip=True).augmented(index, 0)
    flipped = 0
    for n in index:
        if not (windows(digits.train.images[n]) == inputs[n]).flatten(1).all(1).any():
            flipped += 1
            assert (
                (windows(digits.train.images[n][:, :, ::-1].copy()) == inputs[n])
                .flatten(1)
                .all(1)
                .any()
            )
    assert abs(flipped - 100) < 4 * 50**0.5


def test_jsd_trains_on_the_clean_image_and_two_different_mixes(digits, pictures):
    index = np.arange(40)
    found = batches(digits, build_method("layermix", mixing_set=pictures), index, loss="jsd")
    ((inputs, targets, _),) = found.epoch(1)
    clean, one, other = inputs.chunk(3)
    plain, labels, _ = next(iter(batches(digits, Baseline(), index).epoch(1)))
    assert torch.equal(clean, plain) and torch.equal(targets, labels)
    for first, second in ((clean, one), (clean, other), (one, other)):
        assert ((first - second).abs().flatten(1).amax(1) > 0.02).float().mean() > 0.8


@pytest.mark.parametrize("name", MIXERS)
def test_labels_of_mixed_images_sum_to_one_and_name_two_classes_at_most(digits, name):
    index = np.arange(300)
    (mixed,), targets, _ = batches(digits, build_method(name), index).augmented(index, 1)
    assert targets.shape == (300, 10) and torch.allclose(
        targets.sum(1), torch.ones(300), atol=rounded(2), rtol=0
    )
    assert (targets >= 0).all() and ((targets > 0).sum(1) <= 2).all()
    assert ((targets > 0).sum(1) == 2).float().mean() > 0.5
    assert mixed.amin() >= 0 and mixed.amax() <= 1


def test_a_mixup_batch_is_its_images_and_their_partners_by_the_weight_in_the_labels(digits):
    index, method = np.arange(100, 150), build_method("mixup")
    found = batches(digits, method, index)
    (mixed,), targets, _ = found.augmented(index, 1)
    partner = index[
        method.partner_index(50, **KEYS, index=index)
    ]  # among the run's own images, none held out
    own, other = (
        as_float(found.base(found.images[torch.from_numpy(k)], **KEYS, index=k))
        for k in (index, partner)
    )
    labels = digits.train.labels
    for n in np.flatnonzero(labels[index] != labels[partner]):
        weight = targets[n, labels[index[n]]]
        # two products and two sums here, and there at most the same; the weight itself is rounded once
        expected = weight * own[n] + (1 - weight) * other[n]
        assert torch.allclose(mixed[n], expected, atol=2 * rounded(4) + rounded(1), rtol=0)
        assert targets[n, labels[partner[n]]] == pytest.approx(1 - float(weight), abs=rounded(1))


# --- a training ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["wrn-10-1", "airbench-8"])
def test_a_training_that_goes_on_within_an_epoch_ends_with_the_same_bytes(
    root, network, monkeypatch
):
    resolved = runs.resolve(**TINY | {"network": network, "batch_size": 64})
    whole, states = Trainer(*resolved), []
    monkeypatch.setattr(training, "SAVE_SECONDS", -1)
    whole.run(lambda tensors, values: states.append(copy.deepcopy((tensors, values))))
    assert [values["step"] for _, values in states] == list(range(1, 9))  # 2 epochs of 4 steps
    runs.save_checkpoint(root / "checkpoint", *states[5])
    again = Trainer(*resolved)
    again.restore(*runs.load_checkpoint(root / "checkpoint"))
    again.run(lambda *_: None)
    expected, found = whole.state()[0], again.state()[0]
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    for one, other in zip(again.history, whole.history, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


def test_a_training_says_how_many_pictures_it_left_out(root, own_photos, monkeypatch):
    file = own_photos / "train" / CLASSES[0] / "1.JPEG"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    monkeypatch.setattr(runs, "dataset_of", lambda name: load_photographs(own_photos, 32))
    settings = TINY | {"dataset": "photographs:there", "n_train": None, "method": "baseline"}
    trainer = Trainer(*runs.resolve(**settings | {"batch_size": 1}))
    trainer.run(lambda *_: None)
    assert [entry["n_skipped"] for entry in trainer.history] == [1, 1]
    assert np.isfinite([entry["loss"] for entry in trainer.history]).all()


def test_a_test_picture_that_cannot_be_decoded_is_said_before_the_first_step(
    root, own_photos, monkeypatch
):
    (own_photos / "val" / CLASSES[1] / "1.JPEG").write_bytes(b"\xff\xd8")
    monkeypatch.setattr(runs, "dataset_of", lambda name: load_photographs(own_photos, 32))
    settings = TINY | {"dataset": "photographs:there", "n_train": None, "method": "baseline"}
    trainer = Trainer(*runs.resolve(**settings))
    monkeypatch.setattr(Trainer, "step", lambda *_: pytest.fail("a step was made"))
    with pytest.raises(ValueError, match=r"^\S*/1.JPEG cannot be decoded: [^\n]*$"):
        trainer.run(lambda *_: None)
    with pytest.raises(ValueError, match=r"^\S*/1.JPEG cannot be decoded: [^\n]*$"):
        list(trainer.test.images.batches(np.arange(6), 2))  # by processes


def test_fewer_images_than_a_whole_batch_are_refused_where_the_last_is_left_out(
    root,
    photos,
    monkeypatch,
):
    monkeypatch.setattr(runs, "dataset_of", lambda name: load_photographs(photos, 32))
    settings = TINY | {"dataset": "photographs:there", "n_train": None, "method": "baseline"}
    resolved = runs.resolve(**settings | {"recipe": "imagenet_released"})
    with pytest.raises(ValueError, match="has 12 images to train on, too few for a batch"):
        Trainer(*resolved)
    tested = load_photographs(photos / "val", 32)
    with pytest.raises(ValueError, match="photographs-val has 0 images to train on"):
        Trainer(resolved[0], tested, resolved[2])


def killed(folder, settings, deaths):
    """How each life ended, and the final state of the undisturbed and of the killed training."""
    program = Path(__file__).with_name("killed.py")
    command = [sys.executable, program, folder, json.dumps(settings), json.dumps(deaths)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    name = runs.resolve(**settings)[0].name
    states = [
        runs.load_checkpoint(folder / which / name / "checkpoint.safetensors")
        for which in ("undisturbed", "killed")
    ]
    assert all(
        (folder / which / name / "done.json").exists() for which in ("undisturbed", "killed")
    )
    return json.loads(result.stdout.splitlines()[-1]), *states


def assert_same_end(undisturbed, survivor):
    (tensors, values), (others, other_values) = undisturbed, survivor
    assert tensors.keys() == others.keys() and any(name.startswith("momentum.") for name in tensors)
    for name, tensor in tensors.items():
        assert torch.equal(tensor, others[name]), name
    for found in (values, other_values):
        assert all(entry.pop("seconds") > 0 for entry in found["history"])
    assert values == other_values


def test_a_training_killed_at_random_moments_ends_as_if_nothing_had_happened(root):
    moments = random.Random()
    deaths = [[when, moments.uniform(0, 0.9)] for when in ("after", "saved", "saved", "saved")]
    print("killed", deaths)
    ends, *states = killed(root, TINY | {"epochs": 8, "n_train": 128, "batch_size": 32}, deaths)
    assert ends == [9, 9, 9, 9, 0]
    assert_same_end(*states)
    assert [entry["epoch"] for entry in states[0][1]["history"]] == list(range(8))


def test_a_network_with_dropout_killed_within_an_epoch_or_a_save_ends_as_if_nothing_had_happened(
    root,
):
    settings = SMALL | {"network": "wrn-28-1", "n_train": 32, "batch_size": 16}
    deaths = [["rename", 1, "before"], ["rename", 1, "after"], ["step", 2]]
    ends, *states = killed(root, settings, deaths)
    assert ends == [9, 9, 9, 0]
    assert_same_end(*states)


def test_a_network_with_averaged_weights_killed_within_an_epoch_or_a_save_ends_as_if_nothing_had_happened(
    root,
):
    settings = SMALL | {"network": "airbench-8", "n_train": 64, "batch_size": 16, "epochs": 5}
    # Four steps an epoch: averages fall into every epoch, and the whitening ends after the third.
    deaths = [["rename", 1, "before"], ["step", 6], ["rename", 1, "after"], ["step", 3]]
    ends, *states = killed(root, settings, deaths)
    assert ends == [9, 9, 9, 9, 0]
    assert any(name.startswith("average.") for name in states[0][0])
    assert_same_end(*states)


@pytest.mark.parametrize("loss", ["ce", "jsd", "oe"])
def test_a_step_minimises_the_loss_with_the_smoothing_of_the_run(root, loss):
    settings = TINY | {"method": "oe" if loss == "oe" else "layermix", "loss": loss, "n_train": 20}
    losses = []
    for smoothing in (0.0, 0.2, 0.4):
        trainer = Trainer(*runs.resolve(**settings, label_smoothing=smoothing))
        trainer.model.train()
        losses.append(float(trainer.step(0, *next(trainer.batches.epoch(0)))))
    # A smoothed label is a mean of two labels, and so is its loss.
    assert losses[1] == pytest.approx((losses[0] + losses[2]) / 2, abs=rounded(100, losses[0]))
    assert len(set(losses)) == 3


def one_step(settings, change=lambda trainer: None):
    trainer = Trainer(*runs.resolve(**settings))
    change(trainer)
    trainer.model.train()
    loss = trainer.step(0, *next(trainer.batches.epoch(0)))
    return loss, torch.cat(
        [parameter.detach().flatten() for parameter in trainer.model.parameters()]
    )


DROPOUT = SMALL | {"network": "wrn-28-1", "n_train": 16}


def test_dropout_is_drawn_from_the_key_of_the_step_alone(root, monkeypatch):
    _, first = one_step(DROPOUT)
    torch.manual_seed(99)
    _, again = one_step(DROPOUT)
    assert torch.equal(first, again)
    monkeypatch.setattr(training, "dropout_seed", lambda seed, step: 7)
    assert not torch.equal(first, one_step(DROPOUT)[1])


def test_every_step_has_a_dropout_of_its_own():
    assert (
        len({training.dropout_seed(seed, step) for seed in range(5) for step in range(50)}) == 250
    )


def test_a_step_leaves_the_global_generators_alone(root):
    trainer = Trainer(*runs.resolve(**DROPOUT))
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    trainer.model.train()
    trainer.step(0, *next(trainer.batches.epoch(0)))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert random.getstate() == before[2]


def test_a_loss_that_is_not_finite_stops_the_run_in_a_sentence_and_keeps_the_last_epoch(
    root, monkeypatch
):
    config, data, method = runs.resolve(**SMALL | {"epochs": 3})
    real, calls = training.batch_loss, iter(range(100))
    with monkeypatch.context() as patch:
        patch.setattr(
            training, "batch_loss", lambda *a: real(*a) * (float("nan") if next(calls) >= 3 else 1)
        )
        with pytest.raises(
            FloatingPointError,
            match=r"epoch 2, .*last finished epoch is kept.*lower the learning rate",
        ):
            runs.train(config, data, method)
    tensors, values = runs.load_checkpoint(config.folder / "checkpoint.safetensors")
    assert values["epoch"] == 1 and all(
        torch.isfinite(value.float()).all() for value in tensors.values()
    )
    assert not (config.folder / "done.json").exists()
    runs.train(config, data, method)
    assert [entry["epoch"] for entry in runs.history_of(config.name)] == [0, 1, 2]


def test_a_training_that_diverges_by_itself_is_stopped_before_anything_is_saved(root):
    config, data, method = runs.resolve(**SMALL | {"learning_rate": 1e30})
    with pytest.raises(FloatingPointError):
        runs.train(config, data, method)
    assert not (config.folder / "checkpoint.safetensors").exists()


def test_threads_and_kernels_are_those_of_the_run_while_it_trains_and_the_users_afterwards(
    root, monkeypatch
):
    monkeypatch.setitem(profiles.PROFILES, "quick", replace(profiles.PROFILES["quick"], threads=2))
    torch.set_num_threads(1)
    cudnn, seen = torch.backends.cudnn, []
    monkeypatch.setattr(cudnn, "benchmark", True)
    step = Trainer.step

    def watched(self, *batch):
        seen.append((torch.get_num_threads(), cudnn.deterministic, cudnn.benchmark))
        return step(self, *batch)

    monkeypatch.setattr(Trainer, "step", watched)
    config, data, method = runs.resolve(**SMALL | {"epochs": 1, "n_train": 10})
    runs.train(config, data, method)
    assert seen == [(2, True, False)]
    assert torch.get_num_threads() == 1 and cudnn.benchmark and not cudnn.deterministic


@pytest.mark.parametrize("precision, dtype", [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_precision_is_that_of_the_profile(root, monkeypatch, precision, dtype):
    monkeypatch.setitem(
        profiles.PROFILES, "quick", replace(profiles.PROFILES["quick"], precision=precision)
    )
    trainer, seen = Trainer(*runs.resolve(**SMALL | {"n_train": 10})), []
    trainer.model.network.linear.register_forward_hook(
        lambda module, inputs, output: seen.append(output.dtype)
    )
    loss = trainer.step(0, *next(trainer.batches.epoch(0)))
    assert seen == [dtype] and loss.dtype == torch.float32


def test_a_line_now_and_then_says_where_a_training_stands(root, monkeypatch, capsys):
    config, data, method = runs.resolve(**SMALL | {"epochs": 1, "n_train": 48, "batch_size": 16})
    monkeypatch.setattr(training, "LOG_SECONDS", 0)
    runs.train(config, data, method)
    found = re.findall(rf"{config.name}: step (\d) of 3, loss (\d\.\d+)", capsys.readouterr().out)
    assert [step for step, _ in found] == ["1", "2", "3"]
    mean = runs.history_of(config.name)[0]["loss"]
    assert sum(float(loss) for _, loss in found) / 3 == pytest.approx(
        mean, abs=5.1e-4
    )  # three decimals are printed


def test_a_few_epochs_on_digits_learn(root):
    config, data, method = runs.resolve(**SMALL | {"epochs": 3, "n_train": 600, "batch_size": 16})
    model = runs.train(config, data, method)
    error = training.error_of(model, data.test.images, data.test.labels)
    assert error < 0.4  # chance is 0.9
    history = runs.history_of(config.name)
    assert history[-1]["loss"] < history[0]["loss"] / 2
    bf16 = training.error_of(model, data.test.images, data.test.labels, config.precision)
    assert history[-1]["test_error"] == bf16


@pytest.mark.parametrize("method, loss", [*((name, None) for name in METHODS), ("layermix", "jsd")])
def test_a_training_with_every_method_goes_through(root, method, loss):
    config, data, built = runs.resolve(
        **TINY | {"method": method, "loss": loss, "n_train": 16, "batch_size": 8, "epochs": 1}
    )
    before = Trainer(config, data, built).state()[0]
    runs.train(config, data, built)
    assert np.isfinite(runs.history_of(config.name)[0]["loss"])
    after = runs.load_checkpoint(config.folder / "checkpoint.safetensors")[0]
    assert not any(torch.equal(after[name], before[name]) for name in before if "weight" in name)


def test_predictions_leave_the_mode_of_the_model_and_do_not_depend_on_the_batch(trained):
    images = trained.data.test.images[:30]
    model = build_model("wrn-10-1", n_classes=10).double().train()
    running = model.state_dict()["network.features.1.activate.0.running_mean"].clone()
    one, other = (training.predict(model, images, batch_size=n) for n in (500, 7))
    assert model.training and torch.equal(
        model.state_dict()["network.features.1.activate.0.running_mean"], running
    )
    assert one.dtype == torch.float32
    assert torch.allclose(
        one, other, atol=0, rtol=rounded(2)
    )  # the same in float64 but for its rounding, then rounded once


@pytest.mark.parametrize(
    "wrapped", ["", "module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod.module."]
)
def test_weights_of_a_wrapped_model_are_those_of_the_model(wrapped):
    model, other = (build_model("wrn-10-1", n_classes=10, seed=seed) for seed in (0, 1))
    training.load_weights(
        other, {f"model.{wrapped}{name}": value for name, value in model.state_dict().items()}
    )
    assert all(
        torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items()
    )


@pytest.mark.parametrize(
    "wrap", [torch.nn.DataParallel, lambda model: torch.compile(model, backend="eager")]
)
def test_weights_go_into_a_wrapped_model_and_its_state_has_bare_names(wrap):
    model, other = (build_model("wrn-10-1", n_classes=10, seed=seed) for seed in (0, 1))
    wrapped = wrap(other)
    training.load_weights(
        wrapped, {f"model.{name}": value for name, value in model.state_dict().items()}
    )
    assert plain(wrapped) is other and plain(torch.nn.DataParallel(wrapped)) is other
    assert all(
        torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items()
    )


def test_a_part_that_was_compiled_alone_has_its_own_names():
    model, other = (build_model("wrn-10-1", n_classes=10, seed=seed) for seed in (0, 1))
    expected = {name: value.clone() for name, value in model.state_dict().items()}
    model.network = torch.compile(model.network, backend="eager")
    training.load_weights(
        other, {f"model.{name}": value for name, value in model.state_dict().items()}
    )
    assert all(torch.equal(value, expected[name]) for name, value in other.state_dict().items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: {}, r"of \d+ tensors \d+ are missing"),
        (
            lambda w: {name.removeprefix("model."): value for name, value in w.items()},
            r"are missing",
        ),
        (
            lambda w: w | {"model.more": torch.zeros(1)},
            r"0 are missing, 0 have .*, and 1 are foreign \(more, say\)",
        ),
        (
            lambda w: w | {"model.network.linear.bias": torch.zeros(5)},
            r"1 have another shape.*network\.linear\.bias",
        ),
    ],
)
def test_weights_of_another_network_are_one_sentence_and_nothing_is_loaded(change, words):
    model = build_model("wrn-10-1", n_classes=10)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    weights = {f"model.{name}": value + 1 for name, value in before.items()}
    with pytest.raises(ValueError, match=words) as caught:
        training.load_weights(model, change(weights))
    assert "\n" not in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_an_interrupted_save_leaves_no_checkpoint_in_pieces(root, monkeypatch):
    config, data, method = runs.resolve(**SMALL)
    runs.train(config, data, method)
    path = config.folder / "checkpoint.safetensors"
    before, (tensors, values) = path.read_bytes(), runs.load_checkpoint(path)
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        runs.save_checkpoint(path, tensors, values | {"epoch": 9})
    assert path.read_bytes() == before and paths.RUNS in path.parents
