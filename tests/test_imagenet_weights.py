"""Networks at 224 px: their colours, and weights that a user hands in."""

import hashlib

import numpy as np
import pytest
import torch
from torchvision.models import get_model_weights, resnet18
from torchvision.transforms.v2 import functional

from lmlib import paths
from lmlib.datasets.load import load_dataset
from lmlib.models import imagenet_weights
from lmlib.models.networks import build_model
from lmlib.models.recipes import RECIPES, default_recipe
from lmlib.models.training import load_weights
from lmlib.study import runs


@pytest.fixture
def handed_in(root, monkeypatch):
    """A file of random weights of ResNet-18 that stands for torchvision's, and its network."""
    torch.manual_seed(0)
    network, path = resnet18(), paths.RAW / "new.pth"
    path.parent.mkdir(parents=True)
    torch.save(network.state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path = path.rename(path.with_name(f"resnet18-{digest[:8]}.pth"))
    monkeypatch.setitem(imagenet_weights.FILES, "resnet-18", path.name)
    return network, path


def test_the_files_are_those_that_torchvision_publishes():
    for network, file in imagenet_weights.FILES.items():
        weights = get_model_weights(network.replace("-", ""))["IMAGENET1K_V1"]
        assert weights.url == f"{imagenet_weights.ADDRESS}/{file}"


def test_a_network_at_224_normalises_by_the_colours_of_imagenet():
    torch.manual_seed(0)
    model = build_model("resnet-18", n_classes=3, image_size=224).eval()
    images = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    usual = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    expected = functional.normalize(images.float() / 255, *usual)
    assert torch.allclose(model.normalised(images.float() / 255), expected, atol=1e-6)
    with torch.no_grad():
        assert torch.allclose(model(images), model.network(expected), atol=1e-4)
    assert model.network.conv1.kernel_size == (7, 7)
    assert build_model("resnet-18", n_classes=3).network.conv1.kernel_size == (3, 3)


def test_a_pretrained_network_keeps_its_last_layer_for_1000_classes_alone(handed_in):
    expected = handed_in[0].state_dict()
    whole = build_model("resnet-18-pretrained", n_classes=1000, image_size=224).network.state_dict()
    assert all(torch.equal(whole[name], value) for name, value in expected.items())
    part = build_model("resnet-18-pretrained", n_classes=200, image_size=224, seed=5)
    fresh = build_model("resnet-18", n_classes=200, image_size=224, seed=5).network.state_dict()
    for name, value in part.network.state_dict().items():
        assert torch.equal(value, (fresh if name.startswith("fc.") else expected)[name])


def test_weights_that_are_missing_or_foreign_are_refused_before_anything_else(handed_in, tmp_path):
    _, path = handed_in
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ValueError, match="is incomplete or foreign: it has SHA256"):
        build_model("resnet-18-pretrained", n_classes=1000, image_size=224)
    path.unlink()
    with pytest.raises(ValueError, match=r"put https://download.pytorch.org/models/resnet18-"):
        build_model("resnet-18-pretrained", n_classes=1000, image_size=224)
    folder = tmp_path / "pictures"
    for name in ("train/a", "train/b", "test/a", "test/b"):
        (folder / name).mkdir(parents=True)
        (folder / name / "1.jpg").touch()  # which nobody has opened yet
    settings = {"profile": "quick", "dataset": f"photographs:{folder}", "epochs": 1, "seed": 0}
    settings |= {"network": "resnet-18-pretrained", "method": "baseline"}
    with pytest.raises(ValueError, match=r"put https://download.pytorch.org/models/resnet18-"):
        runs.resolve(**settings)
    load_dataset("digits")


def test_a_head_of_1000_classes_does_not_fit_200():
    thousand, some = (build_model("resnet-18", n_classes=n, image_size=224) for n in (1000, 200))
    tensors = {f"model.{name}": value for name, value in thousand.state_dict().items()}
    with pytest.raises(ValueError, match="for 1,000 classes, and 200 are expected"):
        load_weights(some, tensors)


def test_the_two_recipes_are_the_papers_text_and_its_program():
    assert default_recipe("resnet-50-pretrained") == "imagenet"
    text, program = RECIPES["imagenet"], RECIPES["imagenet_released"]
    assert (text.batch_size, text.learning_rate, text.weight_decay) == (256, 0.01, 5e-4)
    assert (program.batch_size, program.learning_rate, program.weight_decay) == (128, 0.01, 5e-4)
    assert (text.optimizer.drop_last, program.optimizer.drop_last) == (False, True)
    for recipe, floor in ((text, 1e-6), (program, 2e-6)):
        model, settings = torch.nn.Linear(1, 1), {"learning_rate": 0.01, "weight_decay": 0}
        optimizer = recipe.optimizer(model, **settings, epochs=90, steps_per_epoch=10)
        rates = [optimizer.rate(0.01, step) for step in (0, 450, 900)]
        assert rates == pytest.approx([0.01, (0.01 + floor) / 2, floor], rel=1e-12)
        assert (optimizer.sgd.defaults["momentum"], optimizer.sgd.defaults["nesterov"]) == (
            0.9,
            True,
        )
    assert np.isclose(program.optimizer.last_rate, 1e-6 * 256 / program.batch_size)
