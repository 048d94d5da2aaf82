"""What only a machine with a GPU can tell: `pytest -m cuda`, the first part of `./run_all.sh gpu`."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import TINY

from lmlib.augment import METHODS, build_method
from lmlib.models.attacks import pgd
from lmlib.models.networks import build_model
from lmlib.models.prediction import predict
from lmlib.models.training import Trainer
from lmlib.study import gpu, runs

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]
IMAGES = np.random.default_rng(0).integers(0, 256, (16, 3, 32, 32), dtype=np.uint8)
NETWORKS = [("wrn-10-1", "paper"), ("airbench-16", "airbench")]


def states_equal(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(one[name].cpu(), other[name].cpu()) for name in one
    )


@pytest.mark.parametrize(
    "name", [name for name, method in METHODS.items() if not method.build.mixes_labels]
)
def test_images_on_a_gpu_are_those_of_the_host(name):
    fractals = np.random.default_rng(1).integers(0, 256, (5, 3, 36, 36), dtype=np.uint8)
    method, keys = build_method(name, mixing_set=fractals), {"seed": 1, "epoch": 2}
    images = torch.from_numpy(IMAGES)
    there = method(images.cuda(), **keys, index=np.arange(16))
    assert there.is_cuda
    assert torch.equal(there.cpu(), method(images, **keys, index=np.arange(16)))


def test_the_weights_of_a_gpu_load_on_a_cpu():
    model, other = (build_model("wrn-10-1", n_classes=10, seed=seed) for seed in (0, 1))
    other.load_state_dict(model.cuda().state_dict())
    assert states_equal(model.state_dict(), other.state_dict())


@pytest.mark.parametrize("loss", ["ce", "jsd"])
def test_batches_of_a_gpu_are_those_of_the_host(root, loss):
    config, data, method = runs.resolve(**TINY, loss=loss)
    here, there = (Trainer(config, data, method, on).batches for on in ("cpu", "cuda"))
    for one, other in zip(here.epoch(1), there.epoch(1), strict=True):
        assert other.inputs.is_cuda and torch.equal(one.inputs, other.inputs.cpu())
        assert torch.equal(one.targets, other.targets.cpu())


@pytest.mark.parametrize(("network", "recipe"), NETWORKS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_resumed_training_ends_with_the_bytes_of_one_that_was_not_stopped(
    root, network, recipe, precision
):
    config, data, method = runs.resolve(**TINY | {"network": network, "epochs": 3})
    assert config.recipe == recipe
    config, states = replace(config, precision=precision), []
    whole = Trainer(config, data, method, "cuda")
    whole.run(
        lambda tensors, values: states.append(({n: t.clone() for n, t in tensors.items()}, values))
    )
    resumed = Trainer(config, data, method, "cuda")
    resumed.restore(*states[0])
    resumed.run(lambda *_: None)
    assert states_equal(whole.model.state_dict(), resumed.model.state_dict())


def test_a_compiled_model_learns(root):
    config, data, method = runs.resolve(**TINY | {"epochs": 4})
    trainer = Trainer(replace(config, compile=True, precision="bf16"), data, method, "cuda")
    trainer.run(lambda *_: None)
    assert trainer.history[-1]["loss"] < trainer.history[0]["loss"]


def test_logits_and_attacks_of_a_gpu_are_close_to_those_of_a_cpu():
    model = build_model("airbench-16", n_classes=10)
    with torch.no_grad():
        model.train()(torch.from_numpy(IMAGES))  # running statistics
    here = predict(model, IMAGES)
    attacked = pgd(model, IMAGES, here.argmax(1), index=np.arange(16))
    model.cuda()
    assert torch.allclose(here, predict(model, IMAGES), atol=1e-3)
    there = pgd(model, IMAGES, here.argmax(1), index=np.arange(16))
    assert there.is_cuda and (attacked - there.cpu()).abs().max() < 5 / 255


def test_the_speed_of_a_training_is_measured(root, monkeypatch):
    monkeypatch.setitem(gpu.SPEEDS, "airbench-64", 3)
    speed = gpu.training_speed("airbench-64")
    assert speed["images/s"] > 0 and 0 <= speed["share waiting"] <= 1
