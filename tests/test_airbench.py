"""The network airbench: what its whitening does, how it starts, how many weights it has."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from bounds import ROUNDING
from torch import nn

from lmlib.augment import Baseline
from lmlib.datasets.load import from_splits
from lmlib.datasets.split import Split
from lmlib.models.airbench import EIGENVALUE_FLOOR, DiracConv2d, whiten, whitening_layer
from lmlib.models.networks import build_model, check_network, last_conv_layer, n_parameters
from lmlib.models.training import Trainer


def photographs(n, seed=0):
    """Correlated noise, uint8 (n, 3, 12, 12): neighbours and colours are alike, as in pictures."""
    draws = np.random.default_rng(seed)
    images = draws.integers(0, 256, (n, 3, 13, 13)).astype(float)
    images = (images[..., 1:, 1:] + images[..., :-1, 1:] + images[..., 1:, :-1]) / 3
    return np.uint8(0.6 * images + 0.3 * images[:, :1] + 0.1 * images[:, 1:2])


def patches_of(images):
    """All 2 x 2 patches as the network sees them, in [-1, 1]: float64 (n, 12)."""
    normalised = torch.from_numpy(images).double() * (2 / 255) - 1
    return nn.functional.unfold(normalised, 2).transpose(1, 2).reshape(-1, 12).numpy()


def whitened(images):
    """The whitening layer of a fresh network, set from images."""
    layer = whitening_layer(build_model("airbench-8", n_classes=10))
    whiten(layer, images)
    return layer


def tiny_model(name="airbench-8", **settings):
    return build_model(name, **{"n_classes": 10} | settings).double().eval()


# --- whitening


@pytest.mark.parametrize("n", [40, 1203])  # within one piece and over several
def test_whitened_patches_have_mean_zero_and_the_identity_but_for_the_floor(n):
    images = photographs(n)
    layer = whitened(images)
    filters = layer.weight.detach().double().reshape(24, 12).numpy()[:12]
    bias, patches = layer.bias.detach().double().numpy()[:12], patches_of(images)
    covariance = np.cov(patches.T, bias=True)
    values = np.linalg.eigvalsh(covariance)
    expected = np.diag(values / (values + EIGENVALUE_FLOOR * values.mean()))
    # A filter is rounded to float32, and stands twice in each product.
    bound = 2.1 * ROUNDING * (np.abs(filters) @ np.abs(covariance) @ np.abs(filters).T)
    assert (np.abs(filters @ covariance @ filters.T - expected) <= bound).all()
    of_the_mean = 1.1 * ROUNDING * (np.abs(filters) @ np.abs(patches.mean(0)) + np.abs(bias))
    assert (np.abs(patches.mean(0) @ filters.T + bias) <= of_the_mean).all()
    assert np.diag(expected).min() > 0.9  # so that the identity is not far


def test_the_layer_whitens_the_patches_where_it_meets_them():
    images = photographs(60)
    layer = whitened(images).double()
    with torch.no_grad():
        outputs = layer(torch.from_numpy(images).double() * (2 / 255) - 1)[:, :12]
    outputs = outputs.transpose(0, 1).flatten(1).numpy()
    covariance = np.cov(outputs, bias=True)
    assert np.abs(outputs.mean(1)).max() < 1e-5
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 1e-5
    assert np.diag(covariance).min() > 0.9 and np.diag(covariance).max() < 1 + 1e-5


def test_the_other_twelve_filters_are_the_negatives():
    layer = whitened(photographs(30))
    assert torch.equal(layer.weight[12:], -layer.weight[:12])
    assert torch.equal(layer.bias[12:], -layer.bias[:12])


def test_a_pixel_that_says_nothing_is_divided_by_the_floor_not_by_zero():
    grey = np.repeat(photographs(50)[:, :1], 3, axis=1)  # eight of twelve eigenvalues are zero
    layer = whitened(grey)
    values = np.linalg.eigvalsh(np.cov(patches_of(grey).T, bias=True))
    longest = layer.weight.detach().double().reshape(24, 12).norm(dim=1).max()
    assert float(longest) == pytest.approx((EIGENVALUE_FLOOR * values.mean()) ** -0.5, rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_whitening_does_not_depend_on_the_order_of_the_images(seed):
    images = photographs(700)
    first = whitened(images)
    other = whitened(images[np.random.default_rng(seed).permutation(700)])
    assert torch.equal(first.weight, other.weight) and torch.equal(first.bias, other.bias)


def test_a_network_is_whitened_by_the_images_that_it_trains_on_alone():
    images, index = photographs(30), np.arange(5, 20)
    config, dataset, method = training(images, index)
    layer = whitening_layer(Trainer(config, dataset, method).model)
    own, all_of_them = whitened(dataset.train.images[index]), whitened(dataset.train.images)
    assert torch.equal(layer.weight, own.weight) and torch.equal(layer.bias, own.bias)
    assert not torch.equal(layer.weight, all_of_them.weight)


def test_only_an_airbench_network_is_whitened():
    assert whitening_layer(build_model("wrn-10-1", n_classes=10)) is None
    assert whitening_layer(build_model("resnet-18", n_classes=10)) is None
    assert whitening_layer(nn.Linear(3, 3)) is None


# --- how it starts


def test_the_first_outputs_of_each_convolution_reproduce_its_inputs():
    model = build_model("airbench-8", n_classes=10, seed=3)
    convolutions = [one for one in model.modules() if isinstance(one, DiracConv2d)]
    shapes = [(one.in_channels, one.out_channels) for one in convolutions]
    assert shapes == [(24, 8), (8, 8), (8, 32), (32, 32), (32, 32), (32, 32)]
    for layer in convolutions:
        n = min(layer.in_channels, layer.out_channels)
        given = torch.randn(2, layer.in_channels, 7, 7, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            assert torch.equal(layer(given)[:, :n], given[:, :n])


def test_the_other_outputs_start_uniform_within_a_third_of_the_root_of_the_inputs():
    model = build_model("airbench-16", n_classes=10)
    layer = last_conv_layer(model)[3][0]  # 16 inputs, 64 outputs
    drawn = layer.weight.detach()[16:]
    limit, n = 1 / math.sqrt(9 * 16), drawn.numel()
    assert drawn.abs().max() <= limit and drawn.abs().max() > 0.99 * limit
    assert abs(drawn.mean()) < 5 * limit / math.sqrt(3 * n)
    assert abs(3 * drawn.var() / limit**2 - 1) < 5 * math.sqrt(0.8 / n)


@pytest.mark.parametrize("name", ["airbench-8", "airbench-32"])
def test_weights_of_a_key_are_the_same_bytes_twice_and_of_another_key_others(name):
    first, again, other = (build_model(name, n_classes=10, seed=seed) for seed in (5, 5, 6))
    pairs = zip(first.state_dict().items(), again.state_dict().items(), strict=True)
    assert all(a == b and torch.equal(one, two) for (a, one), (b, two) in pairs)
    for one, two in zip(first.modules(), other.modules(), strict=True):
        if isinstance(one, (nn.Conv2d, nn.Linear)):
            is_identity = isinstance(one, DiracConv2d) and one.in_channels >= one.out_channels
            assert torch.equal(one.weight, two.weight) == is_identity


# --- its size and form


@pytest.mark.parametrize(("width", "n_classes"), [(1, 2), (8, 10), (32, 10), (64, 100)])
def test_trained_weights_are_as_many_as_counted_by_hand(width, n_classes):
    four = 4 * width
    count = 24  # the bias of the whitening, whose filters are not trained
    count += 9 * (24 * width + width * width) + 2 * width  # two convolutions, two biases of norms
    count += 9 * (width * four + four * four) + 2 * four
    count += 9 * (four * four + four * four) + 2 * four
    count += four * n_classes
    assert n_parameters(build_model(f"airbench-{width}", n_classes=n_classes)) == count


def test_the_published_width_has_two_million_weights():
    assert n_parameters(build_model("airbench-64", n_classes=10)) == 1_971_352


def test_logits_are_a_ninth_of_the_linear_layer_of_the_largest_features():
    model, seen = tiny_model(n_classes=7), []
    last_conv_layer(model).register_forward_hook(lambda *given: seen.append(given[2]))
    images = torch.rand(3, 3, 32, 32, dtype=torch.float64, generator=torch.manual_seed(1))
    with torch.no_grad():
        logits = model(images)
    (features,) = seen
    assert features.shape == (3, 32, 3, 3) and logits.shape == (3, 7)
    expected = features.amax((2, 3)) @ model.network.linear.weight.T / 9
    torch.testing.assert_close(logits, expected, rtol=1e-12, atol=1e-12)


def test_the_parts_stand_in_the_order_of_the_paper():
    whitening, gelu, *groups = last_conv_layer(build_model("airbench-8", n_classes=10))
    assert (whitening.kernel_size, whitening.padding, whitening.stride) == ((2, 2), (0, 0), (1, 1))
    assert isinstance(gelu, nn.GELU) and len(groups) == 3
    for group in groups:
        kinds = "DiracConv2d MaxPool2d BatchNorm2d GELU DiracConv2d BatchNorm2d GELU".split()
        assert [type(part).__name__ for part in group] == kinds


def test_running_statistics_take_four_tenths_of_the_newest_batch():
    model = build_model("airbench-8", n_classes=10).double().train()
    norm, seen = last_conv_layer(model)[2][2], []
    norm.register_forward_pre_hook(lambda module, given: seen.append(given[0].detach()))
    images = torch.rand(4, 3, 32, 32, dtype=torch.float64, generator=torch.manual_seed(2))
    model(images), model(1 - images)
    first, second = (given.mean((0, 2, 3)) for given in seen)
    torch.testing.assert_close(norm.running_mean, 0.6 * 0.4 * first + 0.4 * second)
    assert norm.eps == 1e-12


@pytest.mark.parametrize("name", ["airbench-0", "airbench-08", "airbench-", "airbench-x"])
def test_an_impossible_width_gets_the_nearest_name(name):
    with pytest.raises(ValueError, match=f"unknown network '{name}': did you mean 'airbench-"):
        build_model(name, n_classes=10)


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match="airbench-8 takes images of 32 px, got 224 px"):
        check_network("airbench-8", 224)


# --- what is trained


def training(images, index, **changes):
    """A configuration, a dataset of these images and its plain augmentation."""
    large = np.pad(images, [(0, 0), (0, 0), (10, 10), (10, 10)], mode="reflect")
    split = Split(large, np.arange(len(images)) % 3)
    dataset = from_splits("noise", (split, split), "abc", "drawn")
    settings = {
        "network": "airbench-8", "epochs": 5, "seed": 0, "loss": "ce", "precision": "fp32",
        "compile": False, "batch_size": 8, "learning_rate": 1.5, "weight_decay": 1e-3,
        "recipe": "airbench", "label_smoothing": 0.2, "training_index": lambda dataset: index,
    }  # fmt: skip
    return SimpleNamespace(**settings | changes), dataset, Baseline()


@pytest.mark.parametrize("recipe", ["airbench", "paper"])
def test_scales_of_norms_and_whitening_filters_do_not_move_in_a_training(recipe):
    trainer = Trainer(*training(photographs(24), np.arange(24), recipe=recipe, epochs=2))
    fixed = {n: p for n, p in trainer.model.named_parameters() if not p.requires_grad}
    norms = [f"network.features.{g}.{i}.weight" for g in (2, 3, 4) for i in (2, 5)]
    assert set(fixed) == {"network.features.0.weight", *norms}
    before = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
    trainer.run(lambda *_: None)
    for name, value in trainer.model.named_parameters():
        assert torch.equal(value, before[name]) == (name in fixed), name
    assert all((fixed[name] == 1).all() for name in norms)


def test_a_training_learns_what_the_images_say():
    images = photographs(90)
    images[:, :, 3:9, 3:9] = 100 * (np.arange(90) % 3)[:, None, None, None]
    trainer = Trainer(*training(images, np.arange(90), epochs=6, batch_size=30))
    trainer.run(lambda *_: None)
    assert trainer.history[-1]["test_error"] < 0.1  # chance is two thirds
    assert trainer.history[-1]["loss"] < trainer.history[0]["loss"]
