import math

import numpy as np
import pytest
import torch
from bounds import rounded
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from lmlib.models.losses import (
    LOSSES,
    check_loss,
    cross_entropy,
    jsd_consistency,
    jsd_loss,
    outlier_exposure_loss,
)

LABELS = torch.tensor([0, 3, 2, 2, 1])


def logits(*shape, seed=0, scale=3.0, dtype=torch.float32):
    return (scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))).to(dtype)


def views(seed=0, scale=3.0):
    return [logits(5, 4, seed=3 * seed + view, scale=scale) for view in range(3)]


def log_softmax_bound(given):
    """How far rounding may move a mean of log-softmax values: a difference, exp, a sum over K, log, a difference, a mean over B."""
    array = given.double().numpy()
    magnitude = np.abs(array - array.max(1, keepdims=True)).max(1) + math.log(array.shape[1])
    return rounded(10 + array.shape[1] + len(array)) * magnitude.mean()


def jsd_bound(*three):
    """How far rounding may move the consistency: each term is a probability times a difference of two logarithms.

    Down to a term are 13 roundings of log-softmax, 4 of exp, 3 of the mixture, 4 of its log, 2 of the term and 12 of the sums.
    """
    p = softmax(np.stack([one.double().numpy() for one in three]), axis=-1)
    mixture = p.mean(axis=0)
    assert mixture.min() > 1e-7  # where the released code clamps it and the definition does not
    return rounded(38) * (p * (np.abs(np.log(p)) + np.abs(np.log(mixture)))).sum(-1).mean()


def numpy_jsd(*three):
    """The definition, in float64, without the clamp: mean over images and views of sum p log(p / mixture)."""
    p = softmax(np.stack([one.double().numpy() for one in three]), axis=-1)
    return (p * np.log(p / p.mean(axis=0))).sum(axis=-1).mean()


def test_cross_entropy_of_hard_labels_agrees_with_the_formula():
    given_logits = logits(5, 4)
    expected = -log_softmax(given_logits.double().numpy(), axis=1)[
        np.arange(5), LABELS.numpy()
    ].mean()
    assert cross_entropy(given_logits, LABELS).item() == pytest.approx(
        expected, abs=log_softmax_bound(given_logits)
    )


def test_cross_entropy_of_soft_labels_agrees_with_the_formula():
    given_logits, soft = logits(5, 4), logits(5, 4, seed=1).softmax(dim=1)
    expected = (
        -(soft.double().numpy() * log_softmax(given_logits.double().numpy(), axis=1))
        .sum(axis=1)
        .mean()
    )
    bound = (
        log_softmax_bound(given_logits) + rounded(8) * expected
    )  # times a label, a sum over classes
    assert cross_entropy(given_logits, soft).item() == pytest.approx(expected, abs=bound)


def test_one_hot_labels_cost_what_hard_labels_cost():
    one_hot = torch.nn.functional.one_hot(LABELS, 4).double()
    hard, bound = (
        cross_entropy(logits(5, 4), LABELS),
        rounded(8),
    )  # products with 0 and 1, a sum over classes, a mean
    torch.testing.assert_close(cross_entropy(logits(5, 4), one_hot), hard, atol=0, rtol=bound)


def smoothed(given_logits, labels, smoothing):
    """The definition, in float64: labels (B,) or (B, K), of which `smoothing` goes to all classes."""
    n_classes = given_logits.shape[1]
    targets = labels.double().numpy() if labels.ndim == 2 else np.eye(n_classes)[labels.numpy()]
    targets = (1 - smoothing) * targets + smoothing / n_classes
    return -(targets * log_softmax(given_logits.double().numpy(), axis=1)).sum(axis=1).mean()


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.2, 1.0])
def test_smoothed_cross_entropy_agrees_with_the_formula(smoothing):
    given_logits, soft = logits(5, 4), logits(5, 4, seed=1).softmax(dim=1)
    for labels in (LABELS, soft):
        expected = smoothed(given_logits, labels, smoothing)
        # a few products more than without smoothing, and of the mean over all classes
        magnitudes = np.abs(log_softmax(given_logits.double().numpy(), axis=1)).mean()
        bound = 2 * log_softmax_bound(given_logits) + rounded(16) * (expected + magnitudes)
        found = cross_entropy(given_logits, labels, smoothing=smoothing).item()
        assert found == pytest.approx(expected, abs=bound)


def test_a_smoothing_of_one_asks_for_the_uniform_prediction_whatever_the_label():
    given_logits = logits(5, 4)
    first = cross_entropy(given_logits, LABELS, smoothing=1.0)
    other = cross_entropy(given_logits, LABELS.roll(1), smoothing=1.0)
    assert torch.equal(first, other)


@pytest.mark.parametrize("smoothing", [0.2, 0.5])
def test_smoothing_touches_the_clean_labels_of_jsd_and_the_labels_of_outlier_exposure(smoothing):
    three, outliers = views(), logits(7, 4, seed=9)
    clean = smoothed(three[0], LABELS, smoothing)
    bound = 2 * log_softmax_bound(three[0]) + rounded(16) * (clean + 3)
    found = jsd_loss(torch.cat(three), LABELS, smoothing=smoothing).item()
    expected = clean + 12 * numpy_jsd(*three)
    assert found == pytest.approx(expected, abs=12 * jsd_bound(*three) + 2 * bound)
    to_uniform = smoothed(outliers, torch.full((7, 4), 0.25), 0)
    found = outlier_exposure_loss(three[0], LABELS, outliers, smoothing=smoothing).item()
    bound += log_softmax_bound(outliers) + rounded(2) * (clean + to_uniform)
    assert found == pytest.approx(clean + 0.5 * to_uniform, abs=bound)


def test_without_smoothing_the_bytes_are_those_of_the_plain_loss():
    given_logits, soft = logits(5, 4), logits(5, 4, seed=1).softmax(dim=1)
    three, outliers = views(), logits(7, 4, seed=9)
    for labels in (LABELS, soft):
        plain = torch.nn.functional.cross_entropy(given_logits, labels)
        for known in ({}, {"smoothing": 0.0}):
            assert torch.equal(cross_entropy(given_logits, labels, **known), plain)
    clean = torch.nn.functional.cross_entropy(three[0], LABELS)
    jsd = clean + 12 * jsd_consistency(*three)
    assert torch.equal(jsd_loss(torch.cat(three), LABELS, smoothing=0.0), jsd)
    exposure = clean + 0.5 * -outliers.log_softmax(dim=1).mean()
    assert torch.equal(outlier_exposure_loss(three[0], LABELS, outliers, smoothing=0.0), exposure)


@pytest.mark.parametrize("seed", range(3))
def test_consistency_agrees_with_the_formula(seed):
    assert jsd_consistency(*views(seed)).item() == pytest.approx(
        numpy_jsd(*views(seed)), abs=jsd_bound(*views(seed))
    )


def test_consistency_of_identical_views_is_zero():
    # log p and the log of the mixture differ by exp, two sums, a third and log: of logarithms of which p log p is below 1
    assert jsd_consistency(*[logits(5, 4)] * 3).item() == pytest.approx(0, abs=rounded(15))


def test_consistency_does_not_depend_on_the_order_of_the_views():
    first, second, third = views()
    difference = jsd_consistency(first, second, third) - jsd_consistency(third, first, second)
    assert abs(difference.item()) <= 2 * jsd_bound(first, second, third)


def test_consistency_of_three_certain_and_different_views_is_log_3():
    certain = [100 * torch.eye(3)[[view]] for view in range(3)]
    assert jsd_consistency(*certain).item() == pytest.approx(
        math.log(3), rel=rounded(12)
    )  # a third, log, sums


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 1000))
def test_consistency_lies_between_zero_and_log_3(seed, scale):
    bound = (
        rounded(38) * 2 * (math.log(3) + math.log(4))
    )  # as in jsd_bound, p |log p| and p |log m| summed at their most
    assert -bound <= jsd_consistency(*views(seed, scale)).item() <= math.log(3) + bound


def test_mixture_is_clamped_at_1e_7():
    # Both views give class 1 a probability of exp(-30), far below the clamp: the term is p (log p - log 1e-7).
    view = torch.tensor([[0.0, -30.0]])
    p = softmax([0.0, -30.0])
    expected = p[0] * math.log(p[0]) + p[1] * (math.log(p[1]) - math.log(1e-7))
    # in float32 the log of the first, -1e-13, is 0; of the second remain all digits
    assert jsd_consistency(view, view, view).item() == pytest.approx(expected, abs=1.1 * p[1])


@pytest.mark.parametrize("jsd_weight", [12, 0, 3])
def test_jsd_loss_is_clean_cross_entropy_plus_weighted_consistency(jsd_weight):
    three = views()
    expected = cross_entropy(three[0], LABELS).item() + jsd_weight * numpy_jsd(*three)
    assert jsd_loss(torch.cat(three), LABELS, jsd_weight=jsd_weight).item() == pytest.approx(
        expected, abs=jsd_weight * jsd_bound(*three) + rounded(2) * expected
    )


def test_jsd_weight_is_the_papers_12():
    three = torch.cat(views())
    assert torch.equal(jsd_loss(three, LABELS), jsd_loss(three, LABELS, jsd_weight=12))


def test_labels_touch_the_clean_view_only():
    three = torch.cat(views()).requires_grad_()
    (jsd_loss(three, LABELS) - jsd_loss(three, LABELS.roll(1))).backward()
    assert three.grad[:5].abs().max() > 0.01
    assert three.grad[5:].abs().max() == 0


def test_jsd_with_soft_labels_is_refused():
    with pytest.raises(ValueError, match="jsd needs one class per image, got soft labels"):
        jsd_loss(torch.cat(views()), torch.full((5, 4), 0.25))


def test_jsd_with_two_views_is_refused():
    with pytest.raises(ValueError, match="three views of each image, got 10 for 5 labels"):
        jsd_loss(logits(10, 4), LABELS)


@pytest.mark.parametrize("weight", [0.5, 2])
def test_outlier_exposure_agrees_with_the_formula(weight):
    outliers = logits(7, 4, seed=9)
    array = outliers.double().numpy()
    to_uniform = -(array.mean(axis=1) - np.log(np.exp(array).sum(axis=1))).mean()
    expected = cross_entropy(logits(5, 4), LABELS).item() + weight * to_uniform
    assert outlier_exposure_loss(
        logits(5, 4), LABELS, outliers, weight=weight
    ).item() == pytest.approx(
        expected, abs=weight * log_softmax_bound(outliers) + rounded(2) * expected
    )


def test_outliers_cost_least_where_the_prediction_is_uniform():
    level, certain = torch.zeros(1, 4), torch.tensor([[9.0, 0, 0, 0]])
    clean = cross_entropy(logits(5, 4), LABELS).item()
    cost = outlier_exposure_loss(logits(5, 4), LABELS, level).item() - clean
    assert cost == pytest.approx(
        0.5 * math.log(4), abs=rounded(8) * (clean + math.log(4))
    )  # log, a mean, a sum, a difference
    assert outlier_exposure_loss(logits(5, 4), LABELS, certain).item() - clean > cost


def each_loss(given_logits):
    """Every loss of the same 15 logits, as a function of its name."""
    return {
        "ce": cross_entropy(given_logits[:5], LABELS),
        "jsd": jsd_loss(given_logits, LABELS),
        "oe": outlier_exposure_loss(given_logits[:5], LABELS, given_logits[5:]),
    }


def test_every_loss_of_the_table_is_tested_here():
    assert set(each_loss(logits(15, 4))) == set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("scale", [0.0, 1e-6, 200.0, 1e4, 1e30])
def test_losses_and_gradients_are_finite_for_any_logits(name, scale):
    given_logits = logits(15, 4, scale=scale).requires_grad_()
    loss = each_loss(given_logits)[name]
    loss.backward()
    assert loss.isfinite() and given_logits.grad.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_losses_compute_in_float32(name, dtype):
    half = logits(15, 4, dtype=dtype)
    loss = each_loss(half)[name]
    assert loss.dtype == torch.float32
    assert torch.equal(loss, each_loss(half.float())[name])


@pytest.mark.parametrize("name", LOSSES)
def test_autocast_changes_nothing(name):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = each_loss(logits(15, 4))[name]
    assert torch.equal(inside, each_loss(logits(15, 4))[name])


def test_jsd_gradient_agrees_with_finite_differences():
    three = logits(6, 3, seed=4, dtype=torch.float64)
    labels = torch.tensor([0, 2])
    gradient = torch.func.grad(lambda given: jsd_loss(given, labels))(three)
    weight = 12

    def reference(flat):
        given = torch.from_numpy(flat).view(6, 3)
        clean = -log_softmax(flat.reshape(6, 3)[:2], axis=1)[[0, 1], [0, 2]].mean()
        return clean + weight * numpy_jsd(*given.chunk(3))

    flat, step = three.numpy().ravel(), 1e-5
    shifts = step * np.eye(flat.size)
    differences = [
        (reference(flat + shift) - reference(flat - shift)) / (2 * step) for shift in shifts
    ]
    # the loss computes in float32: a gradient is p times logarithms and p again, twice jsd_bound's roundings
    bound = 2 * (weight * jsd_bound(*three.chunk(3)) + log_softmax_bound(three[:2]))
    np.testing.assert_allclose(gradient.numpy().ravel(), differences, atol=bound + step**2, rtol=0)


def test_unknown_loss_gets_the_nearest_name():
    with pytest.raises(ValueError, match="unknown loss 'jds': did you mean 'jsd'"):
        check_loss("jds", soft_labels=False)


def test_jsd_with_soft_labels_is_refused_before_training():
    with pytest.raises(ValueError, match="got soft labels"):
        check_loss("jsd", soft_labels=True)


def test_other_losses_take_soft_labels():
    assert check_loss("ce", soft_labels=True) == "ce"
    assert check_loss("oe", soft_labels=True) == "oe"
