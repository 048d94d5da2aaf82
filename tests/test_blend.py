import bounds
import numpy as np
import pytest
import torch
from reference import blend as by_hand
from reference import mask as hash_by_hand
from reference import noise, photographs
from scipy.stats import beta as beta_distribution
from scipy.stats import kstest

from lmlib.augment.blend import BLENDS, PROBABILITIES, blend, draw_weights
from lmlib.draws import random_words, uniforms

N = 50_000  # draws behind every statement on a distribution
KEYS = random_words("masks", 400, seed=0, index=[0])[0].astype(np.int64)


def weights(beta, n=N, seed=0):
    return draw_weights(*uniforms("weights", 3, seed=seed, index=np.arange(n)).T, beta)


def pairs(n=12, size=(13, 18), n_channels=3):
    """Pairs with blacks and whites among them, and drawn parameters: image, other, a, b, keep, key."""
    image, other = (
        photographs(size, n).float() / 255,
        noise(size, n, seed=1, n_channels=n_channels).float() / 255,
    )
    image[0], image[1], image[2, 0], image[3, :, ::2] = 0, 1, 0, 0
    other[0], other[1, 0], other[2], other[4, :, :, ::3] = 0, 0, 1, 0
    a, b = weights(3, n, seed=1)
    keep = uniforms("keep", 1, seed=0, index=np.arange(n))[:, 0].astype(np.float32)
    return (
        image,
        other,
        a,
        b,
        keep,
        random_words("mask", 1, seed=0, index=np.arange(n))[:, 0].astype(np.int64),
    )


def masks(keep, shape=(3, 8, 16)):
    """A mask for each of the 400 keys, all with one keep probability."""
    return hash_mask(KEYS, np.full(len(KEYS), keep, np.float32), shape)


def hash_mask(key, keep, shape):
    """The mask that a blend of white with black shows: (B, *shape) of 0 and 1."""
    white = torch.ones(len(key), 3, *shape[1:])
    kind = "mix_pixels" if shape[0] == 1 else "mix_elements"
    return blend(kind, white, torch.zeros_like(white), keep=keep, key=key).numpy()[:, : shape[0]]


def share(condition, expected):
    """Assert that a condition holds in the expected share of cases, within four standard errors."""
    assert abs(np.mean(condition) - expected) <= 4 * np.sqrt(
        expected * (1 - expected) / np.size(condition)
    )


# Weights


def test_on_average_the_image_has_weight_one_and_the_other_none_and_they_covary_by_minus_a_sixteenth():
    a, b = (values.astype(np.float64) for values in weights(3))
    product = (a - 1) * b
    for values, expected in ((a, 1), (b, 0), (product, -1 / 16)):
        assert abs(values.mean() - expected) <= 4 * values.std(ddof=1) / np.sqrt(N)


@pytest.mark.parametrize("beta", [0.5, 3, 5])
def test_one_coin_picks_the_branch_of_both_weights(beta):
    a, b = weights(beta)
    inside = b >= 0
    share(inside, 0.5)
    assert np.all(a[inside] <= 1)
    assert np.all(a[~inside] >= 1)


@pytest.mark.parametrize("beta", [0.5, 1, 3, 5])
def test_each_branch_has_the_beta_distributions_of_the_paper(beta):
    a, b = (values.astype(np.float64) for values in weights(beta))
    inside = b >= 0
    small, large = beta_distribution(1, beta), beta_distribution(beta, 1)
    for values, expected in (
        (a[inside], large),
        (b[inside], small),
        (a[~inside] - 1, small),
        (-b[~inside], small),
    ):
        assert kstest(values, expected.cdf).pvalue > 1e-4


def test_larger_beta_stays_nearer_the_image():
    spreads = [
        np.mean(np.abs(weights(beta)[0] - 1) + np.abs(weights(beta)[1]))
        for beta in (1, 2, 3, 5, 10)
    ]
    assert np.all(np.diff(spreads) < 0)


@pytest.mark.parametrize("beta", [1e-3, 1e-1, 1000])
def test_weights_stay_in_their_range_at_extreme_beta(beta):
    a, b = weights(beta)
    assert np.all((a > 0) & (a <= 2) & (np.abs(b) <= 1))


# Blends


def test_blends_have_the_probabilities_of_table_1():
    assert dict(zip(BLENDS, PROBABILITIES, strict=True)) == pytest.approx(
        {"add": 1 / 3, "multiply": 1 / 3, "mix_pixels": 1 / 6, "mix_elements": 1 / 6}
    )


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("kind", BLENDS)
def test_each_blend_agrees_with_its_formula_in_float64(kind, n_channels):
    image, other, *drawn = pairs(n_channels=n_channels)
    ours = blend(kind, image, other, *drawn)
    for k in range(len(image)):
        x, y, (a, b, *masked) = (
            image[k].double().numpy(),
            other[k].double().numpy(),
            (part[k] for part in drawn),
        )
        difference = np.abs(ours[k].numpy() - by_hand(kind, x, y, a, b, *masked))
        assert np.all(difference <= bounds.blended(kind, x, y, a, b))


def test_add_works_around_grey_so_that_a_grey_other_of_any_weight_only_changes_contrast():
    image, grey = torch.full((1, 3, 1, 1), 0.7), torch.full((1, 3, 1, 1), 0.5)
    mixed = blend("add", image, grey, 0.5, 0.9)
    assert mixed.flatten().tolist() == pytest.approx([0.6] * 3, rel=0, abs=bounds.rounded(6, 2))


@pytest.mark.parametrize("b", [-1.0, -0.3, 0.0, 0.3, 1.0])
@pytest.mark.parametrize("a", [1e-37, 0.5, 1.0, 2.0])
def test_multiply_is_finite_for_every_pair_of_black_and_white(a, b):
    image, other = (
        torch.tensor(values).view(1, 1, 1, 4)
        for values in ([0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0])
    )
    image, other = image.expand(1, 3, 1, 4), other.expand(1, 3, 1, 4)
    mixed = blend("multiply", image, other, a, b)[:, 0]
    assert torch.all((mixed >= 0) & (mixed <= 1))
    assert mixed.flatten()[:2].tolist() == [0, 0]  # black stays black


def test_mixing_takes_every_value_from_one_of_the_two_images():
    image, other, *drawn = pairs()
    for kind in ("mix_pixels", "mix_elements"):
        mixed = blend(kind, image, other, *drawn)
        assert torch.all((mixed == image) | (mixed == other))


def test_pixels_are_taken_with_all_channels_and_elements_one_by_one():
    black, white = torch.zeros(50, 3, 8, 8), torch.ones(50, 3, 8, 8)
    pixels, elements = (
        blend(kind, white, black, key=KEYS[:50]) for kind in ("mix_pixels", "mix_elements")
    )
    assert torch.equal(pixels, pixels[:, :1].expand(-1, 3, -1, -1))
    share((elements[:, 0] == elements[:, 1]).numpy(), 0.5)


def test_blends_of_a_batch_are_those_of_its_images_one_by_one():
    image, other, *drawn = pairs(24)
    for kind in BLENDS:
        together = blend(kind, image, other, *drawn)
        for k in range(24):
            alone = blend(kind, image[k, None], other[k, None], *(part[k] for part in drawn))
            assert torch.equal(together[k], alone[0])


def test_no_blend_writes_into_its_images():
    image, other, *drawn = pairs()
    before = image.clone(), other.clone()
    for kind in BLENDS:
        blend(kind, image, other, *drawn)
    assert torch.equal(image, before[0])
    assert torch.equal(other, before[1])


# Masks


@pytest.mark.parametrize("keep", [0.02, 0.3, 0.5, 0.97])
def test_a_mask_keeps_the_share_it_is_told(keep):
    share(masks(keep), keep)


def test_a_mask_that_keeps_nothing_or_all_does_so():
    assert not masks(0.0).any()
    assert masks(1.0).mean() > 1 - 1e-6


def test_a_mask_is_the_documented_hash():
    keep = np.linspace(0.01, 0.99, 20, dtype=np.float32)
    ours = hash_mask(KEYS[:20], keep, (3, 31, 45))
    for k in range(20):
        assert np.array_equal(ours[k], hash_by_hand(int(KEYS[k]), keep[k], (3, 31, 45)))


def test_a_mask_is_a_function_of_its_key_alone():
    keep = np.linspace(0.1, 0.9, len(KEYS))
    assert np.array_equal(
        hash_mask(KEYS, keep, (1, 5, 7))[::-1], hash_mask(KEYS[::-1], keep[::-1], (1, 5, 7))
    )


@pytest.mark.parametrize("step", [1, 2, 16, 128])
def test_places_of_a_mask_are_independent_of_their_neighbours(step):
    flat = masks(0.5).reshape(len(KEYS), -1)
    share(flat[:, step:] == flat[:, :-step], 0.5)


def test_masks_of_neighbouring_keys_are_independent():
    flat = hash_mask(np.arange(400), np.full(400, 0.3), (3, 8, 16))
    share(flat[1:] == flat[:-1], 0.3**2 + 0.7**2)
