"""Ways of training: rates by hand, and the whole update beside a plain one in ten lines."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import TINY
from torch import nn

from lmlib.models.airbench import whiten, whitening_layer
from lmlib.models.networks import build_model
from lmlib.models.recipes import RECIPES, AirbenchOptimizer, PaperOptimizer, default_recipe
from lmlib.models.training import Trainer
from lmlib.study import runs

SETTINGS = {"learning_rate": 1.5, "weight_decay": 0.0153 / 11.5}
TINY_AIRBENCH = TINY | {"method": "baseline", "network": "airbench-8", "batch_size": 32}


def model_of(width=4):
    """A whitened network in float64, whose arithmetic is compared."""
    model = build_model(f"airbench-{width}", n_classes=3, seed=1)
    whiten(whitening_layer(model), np.random.default_rng(0).integers(0, 256, (9, 3, 8, 8)))
    return model.double().train()


def airbench_optimizer(model, epochs=6, steps_per_epoch=2, **changes):
    sizes = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
    return AirbenchOptimizer(model, **SETTINGS | sizes | changes)


# --- the constants and the schedule


def test_the_rate_is_half_the_published_one_and_the_decay_the_same_share_of_it():
    # Summed over 1,024 images: 11.5 / (1024 (1 + 1 / (1 - .85))), decay .0153 of it an image.
    recipe = RECIPES["airbench"]
    scale = 1024 * (1 + 1 / (1 - 0.85))
    # Half of it, as labels are not smoothed.
    assert recipe.learning_rate == pytest.approx(1024 * 11.5 / scale / 2, rel=1e-12)
    decay = recipe.learning_rate * recipe.weight_decay
    assert decay == pytest.approx(0.0153 * 1024 / scale / 2, rel=1e-12)
    assert (recipe.batch_size, recipe.label_smoothing) == (1024, 0)
    assert RECIPES["paper"] == (PaperOptimizer, 128, 0.1, 5e-4, 0.0)


def test_the_triangle_rises_from_a_fifth_and_falls_to_seven_hundredths():
    optimizer = airbench_optimizer(model_of(), epochs=100, steps_per_epoch=2)
    # 23 % of 200 steps are 46; halfway up and halfway down lie 23 and 123.
    by_hand = {0: 0.2, 23: 0.6, 46: 1, 123: 0.535, 200: 0.07}
    for step, share in by_hand.items():
        assert optimizer.rate(1.5, step) == pytest.approx(1.5 * share, rel=1e-12), step
    rates = [optimizer.rate(1.5, step) for step in range(201)]
    assert max(rates) == rates[46] and np.all(np.diff(rates[:47]) > 0)
    assert np.all(np.diff(rates[46:]) < 0)


def test_biases_of_norms_learn_64_times_as_fast_and_decay_as_much():
    model = model_of()
    slow, fast = airbench_optimizer(model).sgd.param_groups
    biases = {id(one.bias) for one in model.modules() if isinstance(one, nn.BatchNorm2d)}
    assert len(biases) == 6 and {id(one) for one in fast["params"]} == biases
    trained = [one for one in model.parameters() if one.requires_grad]
    assert {id(one) for one in slow["params"]} == {id(one) for one in trained} - biases
    assert len(slow["params"]) + len(fast["params"]) == len(trained)
    assert (slow["lr"], fast["lr"]) == (1.5, 96)
    for group in (slow, fast):
        assert group["lr"] * group["weight_decay"] == pytest.approx(1.5 * 0.0153 / 11.5, rel=1e-12)
        assert (group["momentum"], group["nesterov"], group["dampening"]) == (0.85, True, 0)


def test_a_network_has_a_recipe_of_its_own():
    assert [default_recipe(name) for name in ("airbench-7", "wrn-16-2", "resnet-50")] == [
        "airbench",
        "paper",
        "paper",
    ]


# --- the update


def plain_step(weights, gradients, momenta, average, step, n_steps, whitening_steps):
    """One step of airbench as its paper has it, on dicts of tensors by name, in place.

    gradients: of the trained weights alone; `weights` holds running statistics, too.
    """
    rate = 1.5 * np.interp(step / n_steps, [0, 0.23, 1], [0.2, 1, 0.07])
    for name, gradient in gradients.items():
        if name == "network.features.0.bias" and step >= whitening_steps:
            continue
        scale = 64 if name.endswith("bias") and not name.endswith("features.0.bias") else 1
        pull = gradient + 0.0153 / 11.5 / scale * weights[name]
        momenta[name] = 0.85 * momenta.get(name, 0) + pull
        weights[name] -= rate * scale * (pull + 0.85 * momenta[name])
    if (step + 1) % 5 == 0:
        memory = 0.95**5 * ((step + 1) / n_steps) ** 3
        for name in average:
            average[name] = memory * average[name] + (1 - memory) * weights[name]
            weights[name].copy_(average[name])
    if step + 1 == n_steps:
        for name in average:
            weights[name].copy_(average[name])


@pytest.mark.parametrize(
    "epochs, last_is_due", [(6, False), (5, True)], ids=["12 steps", "10 steps"]
)
def test_the_update_is_that_of_a_plain_program(epochs, last_is_due):
    model, n_steps = model_of(), 2 * epochs
    assert (n_steps % 5 == 0) == last_is_due
    reference = copy.deepcopy(model)
    optimizer = airbench_optimizer(model, epochs=epochs)
    weights = {n: t for n, t in reference.state_dict().items() if t.is_floating_point()}
    average, momenta = {name: value.clone() for name, value in weights.items()}, {}
    draws = torch.Generator().manual_seed(3)
    for step in range(n_steps):
        images = torch.rand(5, 3, 32, 32, dtype=torch.float64, generator=draws)
        labels = torch.randint(3, (5,), generator=draws)
        for one in (model, reference):
            one.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(one(images), labels, label_smoothing=0.2).backward()
        optimizer.step(step)
        named = reference.named_parameters()
        gradients = {name: one.grad for name, one in named if one.requires_grad}
        with torch.no_grad():
            plain_step(weights, gradients, momenta, average, step, n_steps, whitening_steps=6)
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                torch.testing.assert_close(value, weights[name], rtol=1e-9, atol=1e-9, msg=name)
    for name, value in optimizer.average.items():
        assert torch.equal(value, model.state_dict()[name])  # the weights end as the average


def test_the_bias_of_the_whitening_learns_for_three_epochs_and_is_averaged_once_more(root):
    config, data, method = runs.resolve(**TINY_AIRBENCH | {"epochs": 5, "n_train": 128})
    trainer, moved = Trainer(config, data, method), {}
    bias, step = whitening_layer(trainer.model).bias, trainer.optimizer.step

    def watched(n):
        before = bias.detach().clone()
        step(n)
        moved[n] = not torch.equal(before, bias)

    trainer.optimizer.step = watched
    trainer.run(lambda *_: None)
    # Four steps an epoch: it learns in steps 0 to 11, and step 14 moves it to its average.
    assert [n for n in range(20) if moved[n]] == [*range(12), 14]


def test_every_trained_weight_takes_part(root):
    trainer = Trainer(*runs.resolve(**TINY_AIRBENCH | {"n_train": 32}))
    trainer.model.train()
    before = {name: one.detach().clone() for name, one in trainer.model.named_parameters()}
    trainer.step(0, *next(trainer.batches.epoch(0)))
    for name, one in trainer.model.named_parameters():
        assert torch.equal(one, before[name]) != one.requires_grad, name


def test_a_state_that_was_restored_goes_on_as_if_nothing_had_happened():
    first, images = model_of(), torch.rand(5, 3, 32, 32, dtype=torch.float64)
    optimizer, labels = airbench_optimizer(first), torch.tensor([0, 1, 2, 0, 1])

    def steps(model, optimizer, numbers):
        for step in numbers:
            model.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step(step)

    steps(first, optimizer, range(7))  # of which one was an average, and the whitening has ended
    second = build_model("airbench-4", n_classes=3, seed=9).double().train()
    second.load_state_dict(first.state_dict())
    resumed = airbench_optimizer(second)
    resumed.restore({name: value.clone() for name, value in optimizer.state().items()})
    steps(first, optimizer, range(7, 12)), steps(second, resumed, range(7, 12))
    for (name, one), other in zip(
        first.state_dict().items(), second.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name


# --- the recipe of a run


def resolved(root, **changes):
    settings = TINY | {"method": "baseline"} | changes
    return runs.resolve(**settings)[0]


def test_a_run_has_what_its_recipe_says_unless_it_says_otherwise(root):
    known = {}
    for network, recipe in (("airbench-8", None), ("wrn-10-1", None), ("airbench-8", "paper")):
        config = resolved(root, network=network, recipe=recipe)
        known[network, recipe] = (
            config.recipe,
            config.batch_size,
            config.learning_rate,
            config.weight_decay,
            config.label_smoothing,
        )
    assert known["airbench-8", None] == ("airbench", 1024, 0.75, 0.0153 / 11.5, 0)
    assert known["wrn-10-1", None] == ("paper", 128, 0.1, 5e-4, 0)
    assert known["airbench-8", "paper"] == known["wrn-10-1", None]
    config = resolved(root, network="airbench-8", label_smoothing=0.1, batch_size=64)
    assert (config.label_smoothing, config.batch_size, config.learning_rate) == (0.1, 64, 0.75)


def test_a_recipe_that_is_not_the_networks_own_stands_in_the_name_of_the_run(root):
    own, other = resolved(root, recipe="paper"), resolved(root, recipe="airbench")
    assert own.label == "digits-wrn-10-1-baseline-e2-s0" and own == resolved(root)
    assert other.label == "digits-wrn-10-1-baseline-airbench-e2-s0"
    smooth = replace(own, label_smoothing=0.1)
    assert smooth.label == own.label and smooth.name != own.name


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipe": "airbanch"}, "unknown recipe 'airbanch': did you mean 'airbench'"),
        ({"label_smoothing": 1.5}, "label_smoothing must"),
        ({"label_smoothing": -0.1}, "label_smoothing must"),
    ],
)
def test_an_impossible_recipe_or_smoothing_is_one_sentence(root, changes, words):
    with pytest.raises(ValueError, match=words):
        resolved(root, **changes)
