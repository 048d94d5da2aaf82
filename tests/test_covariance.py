import numpy as np
import pytest
import sympy as sp
import torch
from bounds import rounded

from lmlib import LayerMix
from lmlib.analysis.covariance import (
    change_by_operation,
    covariance_with_error,
    decompose,
    draw_mixture,
    iid_covariance,
    linearity_error,
    mean_with_error,
    mixture_covariance,
    pipeline_covariance,
    ratio_with_error,
    stage_outputs,
    weight_covariance,
)
from lmlib.augment.blend import draw_weights
from lmlib.augment.ops import OPS, PAPER, Operation

WEIGHTS = np.array([0.5, 0.5])
MEANS = np.array([[0.0, 0.0], [2.0, 4.0]])
VARIANCES = np.array([[1.0, 3.0], [5.0, 7.0]])
FRACTALS = np.random.default_rng(0).integers(0, 256, (5, 1, 10, 10), dtype=np.uint8)
IMAGES = torch.from_numpy(np.random.default_rng(1).random((6, 3, 8, 8), dtype=np.float32))


def test_the_covariance_of_a_mixture_is_the_one_found_by_hand():
    # Means 0 and 2 have variance 1, 0 and 4 have 4, and covariance 2; variances average to 3 and 5.
    assert mixture_covariance(WEIGHTS, MEANS, VARIANCES) == pytest.approx(
        np.array([[4, 2], [2, 9]])
    )


def test_the_covariance_of_a_mixture_is_that_of_its_enumerated_outcomes():
    # Each operation takes mean +- one standard deviation, so that 2 x 2 x 2 equally likely outcomes
    # are the whole distribution.
    signs = np.array([(1, 1), (1, -1), (-1, 1), (-1, -1)])
    outcomes = np.concatenate([MEANS[k] + signs * np.sqrt(VARIANCES[k]) for k in (0, 1)])
    assert mixture_covariance(WEIGHTS, MEANS, VARIANCES) == pytest.approx(
        np.cov(outcomes.T, ddof=0)
    )


def test_the_covariance_of_a_mixture_takes_symbols():
    p, u, v = sp.symbols("p u v")
    found = mixture_covariance(
        np.array([p, 1 - p]), np.array([[u, v], [0, 0]]), np.array([[0, 0], [0, 0]])
    )
    assert sp.simplify(found[0, 1] - p * (1 - p) * u * v) == 0


def test_the_diagonal_of_an_iid_pipeline_keeps_the_variance_between_operations():
    assert iid_covariance(WEIGHTS, MEANS, VARIANCES) == pytest.approx(np.diag([4, 9]))


@pytest.mark.parametrize(("shared", "exact"), [(True, mixture_covariance), (False, iid_covariance)])
def test_drawn_mixtures_have_the_exact_covariance(shared, exact):
    samples = draw_mixture(WEIGHTS, MEANS, VARIANCES, 20_000, shared=shared, seed=0)
    value, error = covariance_with_error(samples)
    assert (np.abs(value - exact(WEIGHTS, MEANS, VARIANCES)) < 4 * error).all()
    assert error.max() < 0.2


def test_a_covariance_estimate_is_numpys():
    samples = np.random.default_rng(0).random((7, 3))
    assert covariance_with_error(samples).value == pytest.approx(np.cov(samples.T))


def test_the_error_of_a_mean_is_its_standard_deviation_over_the_root_of_n():
    assert mean_with_error([1.0, 3.0]) == pytest.approx((2, 1))


def test_one_image_has_no_standard_error():
    with pytest.raises(ValueError, match="at least 2"):
        mean_with_error([1.0])


def test_the_error_of_a_ratio_is_zero_for_proportional_values_and_that_of_the_mean_for_a_constant():
    assert ratio_with_error([2.0, 6.0], [1.0, 3.0]) == pytest.approx((2, 0))
    assert ratio_with_error([1.0, 3.0], [2.0, 2.0]) == pytest.approx((1, 0.5))


def test_the_split_of_outputs_without_noise_is_the_one_found_by_hand():
    # Two images (0 and 6), two operations (-1 and +1), one stage, one pixel, every draw the same.
    outputs = [np.array([0.0, 6.0]).reshape(1, 2, 1, 1).repeat(3, 0) + shift for shift in (-1, 1)]
    parts = [part.mean() for part in decompose(outputs)]
    assert parts == pytest.approx([0, 1, 18, 1])


def test_an_operation_that_acts_against_itself_on_half_of_the_images_has_no_main_effect():
    # +-1 with the sign turned in every second image: 1 between operations, none of it alike on all;
    # -1 / 3 is the U-statistic of 4.
    sign = np.array([1.0, -1.0, 1.0, -1.0]).reshape(1, 4, 1, 1).repeat(2, 0)
    parts = decompose([sign, -sign])
    assert parts.between_operations.mean() == pytest.approx(1)
    assert parts.main_effect.mean() == pytest.approx(-1 / 3)


def synthetic_outputs(seed):
    """Images N(0, 4) + operation (0, 3) + its interaction with the image N(0, 1) + noise N(0, 9).

    Half of the noise is shared between stages.
    """
    generator = np.random.default_rng(seed)
    image, interaction = (
        generator.normal(0, 2, (1, 50, 1, 1)),
        generator.normal(0, 1, (2, 1, 50, 1, 1)),
    )
    common = generator.normal(0, np.sqrt(4.5), (2, 2, 50, 1, 1))
    own = generator.normal(0, np.sqrt(4.5), (2, 2, 50, 2, 1))
    return image + np.array([0, 3]).reshape(2, 1, 1, 1, 1) + interaction + common + own


def test_the_split_has_no_bias_from_few_draws():
    # Two images' interactions and their average: 1/2 of the interaction's variance joins each side.
    # Noise of 2 draws: none.
    parts = np.array(
        [[part.mean(0) for part in decompose(synthetic_outputs(seed))] for seed in range(200)]
    )
    expected = [
        [[9, 4.5], [4.5, 9]],
        np.full((2, 2), 2.25 + 0.5),
        np.full((2, 2), 4 + 0.5),
        np.full((2, 2), 2.25),
    ]
    value, error = mean_with_error(parts)
    assert (np.abs(value - expected) < 4 * error).all()
    assert error.max() < 0.15


@pytest.mark.parametrize("part", ["total", "main_effect"])
def test_the_standard_error_over_images_is_the_spread_of_repeated_estimates(part):
    estimates = [
        mean_with_error(getattr(decompose(synthetic_outputs(seed)), part)[:, 0, 1])
        for seed in range(200)
    ]
    value, error = np.array(estimates).T
    assert np.mean(error) == pytest.approx(value.std(ddof=1), rel=0.2)  # 4 / sqrt(2 * 200)


def test_the_split_of_one_draw_is_refused():
    with pytest.raises(ValueError, match="at least 2 draws of at least 2 images, got 1 of 4"):
        decompose([np.zeros((1, 4, 1, 1))])


def test_the_stages_are_those_of_the_pipeline():
    layermix = LayerMix(FRACTALS)
    outputs = stage_outputs(layermix, IMAGES, seed=3, epoch=5)
    params = layermix.sample((8, 8), seed=3, epoch=5, index=np.arange(6))
    first, third = (
        layermix.apply(IMAGES, type(params)(**{**vars(params), "layer": np.full(6, layer)}))
        for layer in (1, 3)
    )
    assert np.array_equal(outputs[:, 0], first.flatten(1))
    assert np.array_equal(outputs[:, 2], third.flatten(1))


def test_the_first_two_stages_of_a_forced_operation_are_two_levels_of_it():
    brightness = list(PAPER).index("brightness")
    outputs = stage_outputs(
        LayerMix(FRACTALS, magnitude=2), IMAGES * 0.5, brightness, seed=0, epoch=0
    )
    factors = (
        outputs[:, :2] / (IMAGES * 0.5).flatten(1)[:, None].numpy()
    )  # 0.82 to 1.18: nothing is clipped
    assert np.ptp(factors, axis=-1).max() <= 1.18 * rounded(
        4
    )  # a product there, a quotient here, each rounded both ways
    assert (np.abs(factors[..., 0] - 1) <= 0.18 + 1.18 * rounded(4)).all()
    assert (factors[:, 0, 0] != factors[:, 1, 0]).all()


def test_an_operation_without_a_level_has_no_variance_within_it(monkeypatch):
    monkeypatch.setitem(OPS, "paper", {name: PAPER[name] for name in ("grayscale", "autocontrast")})
    parts = pipeline_covariance(LayerMix(FRACTALS), IMAGES, n_draws=2, seed=0)
    assert parts.within[:, :2, :2] == pytest.approx(0, abs=1e-9)
    assert parts.between_operations[:, 0, 1] == pytest.approx(parts.between_operations[:, 0, 0])
    assert (parts.between_operations[:, 0, 1] > 0).all()


def test_two_factors_of_an_iid_pipeline_covary_through_the_image_alone(monkeypatch):
    dark, bright = (Operation("brightness", offset=factor) for factor in (0.5, 1))
    monkeypatch.setitem(OPS, "paper", {"dark": dark, "bright": bright})
    parts = pipeline_covariance(LayerMix(FRACTALS, shared=False), IMAGES, n_draws=400, seed=0)
    # Factors of 3/4 +- 1/4 make a variance of z**2 / 16 at each stage and no covariance between the
    # first two.
    expected = (IMAGES.numpy() ** 2).mean() / 16
    between_images = 0.75**2 * IMAGES.numpy().var(0, ddof=1).mean()
    (variance, _, _), (covariance, *_), _ = parts.within.mean(0)
    assert variance == pytest.approx(expected, rel=0.02)
    assert covariance == pytest.approx(0, abs=4 * expected / np.sqrt(6 * 400))
    assert parts.between_images.mean(0)[0, 1] == pytest.approx(between_images, abs=0.003)


def test_the_covariance_of_the_blend_weights_at_beta_3_is_known():
    expected = [
        [sp.Rational(1, 10), sp.Rational(-1, 16)],
        [sp.Rational(-1, 16), sp.Rational(1, 10)],
    ]
    assert weight_covariance(sp.Integer(3)).tolist() == expected


@pytest.mark.parametrize("beta", [0.5, 3, 10])
def test_the_moments_of_the_blend_weights_are_those_of_the_drawn_ones(beta):
    drawn = np.stack(
        draw_weights(*np.random.default_rng(0).random((3, 50_000)), beta), axis=1
    ).astype(float)
    mean, covariance = mean_with_error(drawn), covariance_with_error(drawn)
    assert (np.abs(mean.value - (1, 0)) < 4 * mean.standard_error).all()
    assert (
        np.abs(covariance.value - weight_covariance(beta)) < 4 * covariance.standard_error
    ).all()


def test_solarize_changes_a_black_and_white_image_by_one_on_its_white_half():
    images = torch.zeros(2, 3, 4, 4)
    images[:, :, :2] = 1
    change = change_by_operation({"solarize": PAPER["solarize"]}, images, 8, n_draws=3, seed=0)
    assert change == pytest.approx(np.full((1, 2), 0.5))


def test_nothing_geometric_changes_at_magnitude_zero():
    change = dict(zip(PAPER, change_by_operation(PAPER, IMAGES, 0, n_draws=2, seed=0), strict=True))
    assert (
        max(change[name].max() for name in ("rotate", "shear_x", "translate_y", "brightness"))
        < 1e-10
    )
    assert change["equalize"].min() > 0


def test_a_larger_magnitude_changes_more_on_the_same_draws():
    small, large = (
        change_by_operation({"b": PAPER["brightness"]}, IMAGES, m, n_draws=4, seed=0)
        for m in (2, 4)
    )
    assert large.mean() > 2 * small.mean()


def test_an_operation_that_twice_is_as_good_as_once_has_no_linearity_error():
    error, change = linearity_error({"grayscale": PAPER["grayscale"]}, IMAGES, 8, n_draws=2, seed=0)
    assert error == pytest.approx(0, abs=1e-7)
    assert (change > 0).all()


def test_multiplying_levels_is_off_by_the_square_of_half_of_what_they_add():
    # A factor 1 + d makes 0.5 + 0.5 d of 0.5, and 1 + d / 2 twice is d**2 / 4 more than it.
    half = torch.full((3, 3, 4, 4), 0.5)
    error, change = linearity_error({"brightness": PAPER["brightness"]}, half, 8, n_draws=1, seed=0)
    assert (change > 0).all()
    assert error == pytest.approx((0.5 * change) ** 2, rel=1e-3)
