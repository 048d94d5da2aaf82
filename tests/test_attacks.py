import numpy as np
import pytest
import torch
from torch import nn

from lmlib.models.attacks import pgd

EPSILON = 2 / 255
INDEX = np.arange(6)
ROUNDED = (
    1.6 * 2**-24
)  # up to three sums below 1, each rounded by at most 2**-25, and what smaller numbers add to it


class Linear(nn.Module):
    """Two classes, logits (0, w . x): the gradient's sign is that of w, everywhere, so the best perturbation is known."""

    def __init__(self, seed=0):
        super().__init__()
        weight = torch.from_numpy(
            np.random.default_rng(seed).choice([-1.0, 0.5, 2.0], 3 * 8 * 8)
        ).float()
        self.weight = nn.Parameter(weight)

    def forward(self, images):
        score = images.flatten(1) @ self.weight / 100
        return torch.stack([torch.zeros_like(score), score], dim=1)

    def best_direction(self, labels):
        """Against class 1 down its score, against class 0 up."""
        return torch.sign(self.weight).reshape(1, 3, 8, 8) * (1 - 2 * labels.float()).reshape(
            -1, 1, 1, 1
        )


def images_and_labels(low=0.1, high=0.9):
    images = torch.from_numpy(np.random.default_rng(1).uniform(low, high, (6, 3, 8, 8))).float()
    return images, torch.tensor([0, 1, 0, 1, 1, 0])


def small_network(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Flatten(),
            nn.Linear(288, 4),
        )


def test_strict_attack_on_a_linear_model_finds_the_best_perturbation():
    model = Linear()
    images, labels = images_and_labels()
    adversarial = pgd(model, images, labels, seed=0, index=INDEX)
    assert torch.allclose(
        adversarial, images + EPSILON * model.best_direction(labels), atol=ROUNDED, rtol=0
    )


def test_strict_attack_is_clamped_to_the_grey_range():
    model = Linear()
    images, labels = images_and_labels(0, 1)
    images[:, :, :4] = images[:, :, :4].round()  # black and white pixels
    adversarial = pgd(model, images, labels, seed=0, index=INDEX)
    best = (images + EPSILON * model.best_direction(labels)).clamp(0, 1)
    assert torch.allclose(adversarial, best, atol=ROUNDED, rtol=0)


def test_strict_attack_stays_within_epsilon_and_published_reaches_twice_as_far():
    model = small_network()
    images, labels = images_and_labels()
    strict = (pgd(model, images, labels, seed=0, index=INDEX) - images).abs()
    noisy = (pgd(model, images, labels, center="noisy", seed=0, index=INDEX) - images).abs()
    assert strict.max() <= EPSILON + ROUNDED
    assert 1.9 * EPSILON < noisy.max() <= 2 * EPSILON + ROUNDED
    assert 0.3 < (noisy > EPSILON + 1e-6).float().mean() < 0.7


def test_published_attack_on_a_linear_model_adds_epsilon_to_its_own_start():
    model = Linear()
    images, labels = images_and_labels()
    noisy = pgd(model, images, labels, center="noisy", seed=0, index=INDEX)
    start = noisy - EPSILON * model.best_direction(labels) - images
    assert start.abs().max() <= EPSILON + ROUNDED
    expected = EPSILON / np.sqrt(
        3
    )  # of a uniform draw; its square's standard error is 4 / sqrt(45 n) epsilon**2 / 2
    assert start.std().item() == pytest.approx(expected, rel=4 * 0.45 / np.sqrt(start.numel()))
    assert abs(start.mean().item()) < 4 * expected / np.sqrt(start.numel())


def test_a_smaller_budget_is_kept():
    images, labels = images_and_labels()
    adversarial = pgd(
        small_network(), images, labels, 0.5 / 255, step_size=0.125 / 255, seed=0, index=INDEX
    )
    assert (adversarial - images).abs().max() <= 0.5 / 255 + ROUNDED


def test_no_budget_returns_the_images():
    images, labels = images_and_labels()
    assert torch.equal(pgd(small_network(), images, labels, 0, seed=0, index=INDEX), images)


def test_one_step_moves_at_most_one_step_from_the_start():
    model = Linear()
    images, labels = images_and_labels()
    one = pgd(model, images, labels, steps=1, center="noisy", seed=0, index=INDEX)
    many = pgd(model, images, labels, center="noisy", seed=0, index=INDEX)
    assert torch.allclose(
        many - one, (EPSILON - 0.5 / 255) * model.best_direction(labels), atol=ROUNDED, rtol=0
    )


def test_the_start_is_named_by_seed_and_index_and_not_by_the_batch():
    model = Linear()
    images, labels = images_and_labels()
    attack = {"steps": 1, "center": "noisy", "seed": 3}
    whole = pgd(model, images, labels, index=INDEX + 100, **attack)
    order = torch.tensor([4, 0, 2])
    assert torch.equal(
        pgd(model, images[order], labels[order], index=order.numpy() + 100, **attack), whole[order]
    )
    assert not torch.equal(pgd(model, images, labels, index=INDEX, **attack), whole)
    assert not torch.equal(
        pgd(model, images, labels, index=INDEX + 100, **attack | {"seed": 4}), whole
    )


def test_uint8_images_are_divided_by_255():
    images = torch.from_numpy(
        np.random.default_rng(1).integers(0, 256, (6, 3, 8, 8), dtype=np.uint8)
    )
    labels = torch.zeros(6, dtype=torch.int64)
    from_bytes = pgd(Linear(), images, labels, seed=0, index=INDEX)
    assert from_bytes.dtype == torch.float32
    assert torch.equal(from_bytes, pgd(Linear(), images.float() / 255, labels, seed=0, index=INDEX))
    assert torch.equal(
        from_bytes, pgd(Linear(), images.numpy(), labels.numpy(), seed=0, index=INDEX)
    )


def test_modes_gradients_and_buffers_are_left_as_they_were():
    model = small_network().train()
    model[1].eval()
    model[0].weight.grad = torch.ones_like(model[0].weight)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    images, labels = images_and_labels()
    kept = images.clone()
    adversarial = pgd(model, images, labels, seed=0, index=INDEX)
    assert [module.training for module in model] == [
        True,
        False,
        True,
        True,
        True,
        True,
    ] and model.training
    assert (
        torch.equal(model[0].weight.grad, torch.ones_like(model[0].weight))
        and model[5].weight.grad is None
    )
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(images, kept) and not adversarial.requires_grad


def test_dropout_is_off_and_the_global_generator_untouched():
    images, labels = images_and_labels()
    state = torch.get_rng_state()
    first, second = (
        pgd(small_network().train(), images, labels, seed=0, index=INDEX) for _ in range(2)
    )
    assert torch.equal(first, second) and torch.equal(torch.get_rng_state(), state)


def test_modes_are_restored_after_a_failure():
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(5, 2)
    ).train()  # of another size: fails in its first pass
    images, labels = images_and_labels()
    with pytest.raises(RuntimeError):
        pgd(model, images, labels, seed=0, index=INDEX)
    assert model.training and model[1].training


@pytest.mark.parametrize(
    "context", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)]
)
def test_the_callers_context_changes_nothing(context):
    images, labels = images_and_labels()
    expected = pgd(small_network(), images, labels, seed=0, index=INDEX)
    model = small_network()
    with context():
        assert torch.equal(
            pgd(model, images.clone(), labels.clone(), seed=0, index=INDEX), expected
        )


def test_the_attack_raises_the_loss_above_that_of_random_noise():
    model = small_network().eval()
    images, labels = images_and_labels()
    noise = EPSILON * (
        2 * torch.from_numpy(np.random.default_rng(2).random((6, 3, 8, 8))).float() - 1
    )
    loss = nn.functional.cross_entropy
    with torch.no_grad():
        attacked = loss(model(pgd(model, images, labels, seed=0, index=INDEX)), labels)
        assert attacked > loss(model(images + noise), labels)


def test_a_diverged_network_raises():
    model = Linear()
    with torch.no_grad():
        model.weight[0] = float("nan")
    images, labels = images_and_labels()
    with pytest.raises(ValueError, match="NaN: the network diverged"):
        pgd(model, images, labels, seed=0, index=INDEX)


@pytest.mark.parametrize("wrong", [-100, -1, 2])
def test_a_label_that_is_no_class_of_the_model_is_refused(wrong):
    images, labels = images_and_labels()
    labels[3] = wrong
    with pytest.raises(ValueError, match=rf"labels must be integers in 0 \.\. 1, got {wrong}"):
        pgd(Linear(), images, labels, seed=0, index=INDEX)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (
            lambda images: images.mean((2, 3)),
            r"expected a torch\.nn\.Module that returns logits, got function",
        ),
        (nn.Identity(), r"returns logits \(1, K\), got \(1, 3, 8, 8\)"),
    ],
)
def test_a_model_that_gives_no_logits_is_named(model, words):
    images, labels = images_and_labels()
    with pytest.raises(ValueError, match=words):
        pgd(model, images, labels, seed=0, index=INDEX)


def test_a_model_that_returns_more_than_its_logits_is_named():
    class Pair(Linear):
        def forward(self, images):
            return super().forward(images), images

    images, labels = images_and_labels()
    with pytest.raises(ValueError, match="got tuple: wrap it in a module that returns them alone"):
        pgd(Pair(), images, labels, seed=0, index=INDEX)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_model_of_another_float_type_is_attacked_in_it(dtype):
    model, direction = Linear().to(dtype), Linear().best_direction
    images, labels = images_and_labels()
    adversarial = pgd(model, images, labels, seed=0, index=INDEX)
    assert adversarial.dtype == torch.float32
    assert torch.allclose(adversarial, images + EPSILON * direction(labels), atol=ROUNDED, rtol=0)


def test_a_model_whose_weights_were_made_in_inference_mode_is_named():
    with torch.inference_mode():
        model = Linear()
    images, labels = images_and_labels()
    with pytest.raises(
        ValueError, match=r"made under torch\.inference_mode\(\), .*make or load it outside"
    ):
        pgd(model, images, labels, seed=0, index=INDEX)


@pytest.mark.parametrize("index", [[], np.array([], int), torch.tensor([], dtype=torch.int64)])
def test_no_image_is_attacked_to_no_image(index):
    adversarial = pgd(
        small_network(),
        torch.zeros(0, 3, 8, 8),
        torch.zeros(0, dtype=torch.int64),
        seed=0,
        index=index,
    )
    assert adversarial.shape == (0, 3, 8, 8) and adversarial.dtype == torch.float32
    assert pgd(small_network(), torch.zeros(0, 3, 8, 8), [], seed=0, index=index).shape == (
        0,
        3,
        8,
        8,
    )


def test_numbers_and_keys_of_numpy_and_torch_are_those_of_python():
    images, labels = images_and_labels()
    expected = pgd(small_network(), images, labels, 0.01, 3, 0.005, seed=5, index=INDEX)
    budget = np.float64(0.01), np.int64(3), torch.tensor(0.005, dtype=torch.float64)
    for seed, index in ((np.int64(5), INDEX.tolist()), (torch.tensor(5), torch.from_numpy(INDEX))):
        found = pgd(
            small_network(), images, labels.to(torch.int16), *budget, seed=seed, index=index
        )
        assert torch.equal(found, expected)


def test_a_call_without_keys_names_them():
    images, labels = images_and_labels()
    with pytest.raises(TypeError, match="'seed' and 'index'"):
        pgd(Linear(), images, labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": torch.zeros(6, 8, 8)}, r"a tensor \(B, 3, H, W\).* got \(6, 8, 8\)"),
        ({"images": torch.full((6, 3, 8, 8), 2.0)}, r"float in \[0, 1\], got values from 2 to 2"),
        ({"images": torch.zeros((6, 3, 8, 8), dtype=torch.int32)}, "got dtype torch.int32"),
        ({"labels": torch.zeros(5, dtype=torch.int64)}, r"labels must be integers \(6,\)"),
        ({"labels": torch.zeros(6)}, "got torch.float32"),
        ({"index": np.arange(5)}, r"index must be integers \(6,\)"),
        ({"epsilon": 2}, "as 2/255"),
        ({"step_size": 0}, "fractions of the grey range"),
        ({"steps": 0}, "steps at least 1"),
        ({"steps": True}, "steps at least 1"),
        ({"steps": 2.5}, "steps at least 1"),
        ({"epsilon": True}, "as 2/255"),
        ({"index": np.arange(6) / 2}, "index must be a one-dimensional integer array"),
        ({"labels": torch.zeros(6, dtype=torch.bool)}, "got torch.bool"),
        ({"images": torch.zeros(6, 3, 8, 8).to_sparse()}, "sparse"),
        ({"images": torch.zeros(6, 3, 8, 8, device="meta")}, "meta device"),
        ({"labels": torch.zeros(6, dtype=torch.int64, device="meta")}, "meta device"),
        ({"center": "noise"}, "did you mean 'noisy'"),
    ],
)
def test_wrong_arguments_raise_a_sentence_before_any_work(change, message):
    images, labels = images_and_labels()
    arguments = {"images": images, "labels": labels, "seed": 0, "index": INDEX} | change
    with pytest.raises(ValueError, match=message):
        pgd(None, **arguments)
