import itertools
import math

import numpy as np
import pytest
import torch

from lmlib import metrics
from lmlib.names import (
    C_BAR_CORRUPTIONS,
    C_CORRUPTIONS,
    C_EXTRA,
    PERTURBATIONS_PAPER,
    PERTURBATIONS_SCRIPT,
)

RNG = np.random.default_rng(0)


def some_confidence(n, seed=0):
    rng = np.random.default_rng(seed)
    confidence = np.round(rng.beta(4, 1, n), 2)  # rounded: many ties, some exactly 1
    return confidence, rng.random(n) < confidence**2


# --- error, nll, brier ----------------------------------------------------------------------------


def test_error_counts_labels_outside_the_k_largest_logits():
    logits = [[3, 2, 1, 0], [0, 1, 2, 3], [1, 5, 0, 2], [0, 0, 0, 9]]
    labels = [0, 1, 3, 2]
    assert [metrics.error(logits, labels, k) for k in (1, 2, 3, 4, 9)] == [0.75, 0.5, 0.25, 0, 0]


def test_error_breaks_ties_as_argmax_does():
    logits = np.zeros((3, 3))
    assert metrics.error(logits, np.array([0, 1, 2])) == pytest.approx(2 / 3, abs=1e-15)
    assert metrics.error(logits, np.array([0, 1, 2]), k=2) == pytest.approx(1 / 3, abs=1e-15)


def test_error_agrees_with_sorting_each_row():
    logits, labels = RNG.integers(0, 6, (200, 12)).astype(float), RNG.integers(0, 12, 200)
    for k in (1, 5):
        wrong = [
            label not in sorted(range(12), key=lambda c: (-row[c], c))[:k]
            for row, label in zip(logits, labels, strict=True)
        ]
        assert metrics.error(logits, labels, k) == pytest.approx(sum(wrong) / 200, abs=1e-12)


def test_nll_and_brier_of_a_hand_made_example():
    logits = np.log([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]])
    labels = np.array([0, 1])
    assert metrics.nll(logits, labels) == pytest.approx((math.log(2) + math.log(5)) / 2, abs=1e-12)
    assert metrics.brier(logits, labels) == pytest.approx(
        (0.25 + 2 / 16 + 0.01 + 0.64 + 0.49) / 2, abs=1e-12
    )


def test_nll_and_brier_agree_with_loops():
    logits, labels = RNG.normal(0, 3, (50, 7)), RNG.integers(0, 7, 50)
    nll = brier = 0.0
    for row, label in zip(logits, labels, strict=True):
        exponentials = [math.exp(value) for value in row]
        p = [value / math.fsum(exponentials) for value in exponentials]
        nll -= math.log(p[label]) / 50
        brier += math.fsum((p[c] - (c == label)) ** 2 for c in range(7)) / 50
    assert metrics.nll(logits, labels) == pytest.approx(nll, abs=1e-12)
    assert metrics.brier(logits, labels) == pytest.approx(brier, abs=1e-12)


def test_nll_is_finite_and_exact_for_huge_logits():
    assert metrics.nll([[1e4, 0.0]], [1]) == 1e4


def test_brier_of_a_confident_mistake_is_two():
    assert metrics.brier([[1000.0, 0.0]], [1]) == 2


def test_tensors_and_arrays_give_the_same_numbers():
    logits, labels = RNG.normal(size=(40, 10)).astype(np.float32), RNG.integers(0, 10, 40)
    tensor = torch.from_numpy(logits).requires_grad_()
    for measure in (metrics.error, metrics.nll, metrics.brier):
        assert measure(tensor, torch.from_numpy(labels)) == measure(logits, labels)
    half = torch.from_numpy(logits).bfloat16()
    assert metrics.nll(half, labels) == metrics.nll(half.float().numpy(), labels)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_with_nan_or_inf_raise_and_count_the_rows(value):
    logits = np.zeros((4, 3))
    logits[1, 2] = logits[3, 0] = value
    for measure in (metrics.error, metrics.nll, metrics.brier, metrics.confidence_and_correct):
        with pytest.raises(ValueError, match="2 rows of logits hold NaN"):
            measure(logits, np.zeros(4, int))
    with pytest.raises(ValueError, match="NaN"):
        metrics.top5_distances(logits[None]).mean()


def test_a_class_masked_with_minus_infinity_is_allowed():
    assert metrics.nll([[0.0, 0.0, -np.inf]], [1]) == pytest.approx(math.log(2), abs=1e-15)


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((3, 2)), [0, 1], r"labels must be integers \(3,\)"),
        (np.zeros((2, 2)), [0.0, 1.0], "labels must be integers"),
        (np.zeros((2, 2)), [0, 2], r"labels must lie in 0 \.\. 1, got 0 \.\. 2"),
        (np.zeros((2, 2)), [-1, 1], r"got -1 \.\. 1"),
        (np.zeros(3), [0, 1, 1], r"logits must be \(N, K\)"),
        (np.zeros((0, 3)), np.zeros(0, int), "not empty"),
    ],
)
def test_wrong_logits_or_labels_raise_a_sentence(logits, labels, message):
    for measure in (metrics.error, metrics.nll, metrics.brier):
        with pytest.raises(ValueError, match=message):
            measure(logits, np.asarray(labels))


def test_k_below_one_raises():
    with pytest.raises(ValueError, match="k must be at least 1"):
        metrics.error(np.zeros((2, 2)), [0, 1], k=0)


# --- means over a benchmark -----------------------------------------------------------------------


def test_mce_is_the_plain_mean_of_fifteen_means_and_leaves_the_extra_out():
    errors = {
        name: np.full(5, i / 100) + np.arange(-2, 3) / 100
        for i, name in enumerate(C_CORRUPTIONS, 10)
    }
    errors |= dict.fromkeys(C_EXTRA, np.ones(5))
    assert metrics.mce(errors).value == pytest.approx(0.17, abs=1e-15)
    assert metrics.mce(errors).n == 15 and not metrics.mce(errors).missing
    assert metrics.mce_extra(errors).value == 1 and metrics.mce_extra(errors).n == 4


def test_severities_and_their_mean_give_the_same_mce():
    errors = {name: RNG.random(5) for name in C_CORRUPTIONS}
    assert metrics.mce(errors).value == pytest.approx(
        metrics.mce({k: v.mean() for k, v in errors.items()}).value, abs=1e-15
    )


def test_a_missing_corruption_is_named_and_the_mean_says_over_how_many():
    errors = dict.fromkeys(C_CORRUPTIONS, 0.2) | {"fog": 0.9}
    del errors["frost"]
    mean = metrics.mce(errors)
    assert mean.value == pytest.approx((13 * 0.2 + 0.9) / 14, abs=1e-15)
    assert mean.n == 14 and mean.missing == ("frost",) and "frost" not in mean.names


def test_without_brightness_is_over_fourteen():
    errors = dict.fromkeys(C_CORRUPTIONS, 0.25) | {"brightness": 1.0}
    mean = metrics.mce_without_brightness(errors)
    assert mean.value == 0.25 and mean.n == 14 and not mean.missing


def test_alexnet_itself_scores_one_and_half_its_error_one_half():
    assert metrics.mce_alexnet(metrics.ALEXNET_ERRORS).value == pytest.approx(1, abs=1e-15)
    halved = {name: np.full(5, value / 2) for name, value in metrics.ALEXNET_ERRORS.items()}
    assert metrics.mce_alexnet(halved).value == pytest.approx(0.5, abs=1e-15)


def test_alexnet_errors_stand_beside_their_corruptions():
    assert (
        metrics.ALEXNET_ERRORS["brightness"] == 0.564592
        and metrics.ALEXNET_ERRORS["jpeg_compression"] == 0.6065
    )
    assert list(metrics.ALEXNET_ERRORS) == list(C_CORRUPTIONS)


def test_mce_alexnet_refuses_part_of_the_severities():
    with pytest.raises(ValueError, match=r"five severities; got \[3\]"):
        metrics.mce_alexnet({"fog": [0.1, 0.2, 0.3]})


# ResNet-50's published errors over AlexNet's, in percent, in the order of C_CORRUPTIONS.
RESNET_50 = (
    79.8,
    81.6,
    82.6,
    74.7,
    88.6,
    78.0,
    79.9,
    77.8,
    74.8,
    66.1,
    56.6,
    71.4,
    84.8,
    76.9,
    76.8,
)


def test_resnet_50_has_a_normalised_mce_of_76_7_and_a_plain_one_of_60_8():
    pairs = zip(metrics.ALEXNET_ERRORS.items(), RESNET_50, strict=True)
    errors = {name: ratio / 100 * of_alexnet for (name, of_alexnet), ratio in pairs}
    assert 100 * metrics.mce_alexnet(errors).value == pytest.approx(76.7, abs=0.05)
    assert 100 * metrics.mce(errors).value == pytest.approx(60.8, abs=0.05)


def test_relative_mce_is_one_for_alexnet_and_half_where_corruptions_add_half_as_much():
    clean, errors = metrics.ALEXNET_CLEAN_ERROR, metrics.ALEXNET_ERRORS
    assert metrics.relative_mce(errors, clean).value == pytest.approx(1, abs=1e-14)
    half = {name: 0.2 + (error - clean) / 2 for name, error in errors.items()}
    assert metrics.relative_mce(half, 0.2).value == pytest.approx(0.5, abs=1e-14)
    assert metrics.relative_mce(dict.fromkeys(errors, 0.2), 0.2).value == 0
    one = metrics.relative_mce({"fog": [0.5, 0.6, 0.7, 0.8, 0.9], "spatter": 0.1}, 0.3)
    assert one.value == pytest.approx(0.4 / (0.819324 - 0.435)) and one.names == ("fog",)
    with pytest.raises(ValueError, match=r"five severities; got \[3\]"):
        metrics.relative_mce({"fog": [0.1, 0.2, 0.3]}, 0.1)


def test_the_unconfirmed_mfr_of_resnet_50_is_58_as_published():
    ratios = dict(zip(PERTURBATIONS_PAPER, (59, 58, 64, 72, 63, 62, 44, 52, 57, 48), strict=True))
    flips = {name: ratios[name] / 100 * metrics.ALEXNET_FLIPS[name] for name in ratios}
    mean = metrics.mfr_unconfirmed(flips | {"spatter": 0.9})
    assert mean.value == pytest.approx(0.579, abs=1e-12) and mean.n == 10
    assert metrics.mfp(flips, PERTURBATIONS_PAPER).value == pytest.approx(0.079, abs=5e-4)
    assert metrics.mfr_unconfirmed(metrics.ALEXNET_FLIPS).value == pytest.approx(1)


def test_another_c_bar_has_names_of_its_own():
    names = ("plasma_noise", "perlin_noise")
    assert metrics.mce_c_bar(
        {"plasma_noise": 0.2, "perlin_noise": 0.4}, names
    ).value == pytest.approx(0.3)
    both = metrics.mce_c_and_c_bar({"fog": 0.6}, {"plasma_noise": 0.2}, names)
    assert both.value == pytest.approx(0.4) and both.n == 2
    with pytest.raises(ValueError, match="unknown corruption or perturbation 'lines'"):
        metrics.mce_c_bar({"lines": 0.2}, names)


def test_c_and_c_bar_weigh_fifteen_to_ten():
    c, c_bar = dict.fromkeys((*C_CORRUPTIONS, *C_EXTRA), 0.3), dict.fromkeys(C_BAR_CORRUPTIONS, 0.5)
    mean = metrics.mce_c_and_c_bar(c, c_bar)
    assert mean.value == pytest.approx((15 * 0.3 + 10 * 0.5) / 25, abs=1e-15) and mean.n == 25
    assert metrics.mce_c_bar(c_bar).value == 0.5


def test_an_unknown_corruption_offers_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'gaussian_noise'"):
        metrics.mce({"gausian_noise": 0.1})


@pytest.mark.parametrize("value", [12.5, -0.1, np.nan, []])
def test_errors_in_percent_or_out_of_range_raise(value):
    with pytest.raises(ValueError, match="fog must lie in"):
        metrics.mce({"fog": value})


def test_no_corruption_at_all_raises():
    with pytest.raises(ValueError, match="none of the 15 names"):
        metrics.mce({"saturate": 0.1})


def test_different_numbers_of_severities_are_not_averaged():
    with pytest.raises(ValueError, match=r"as many severities as the others, got \[3, 5\]"):
        metrics.mce({"fog": [0.1] * 5, "snow": [0.1] * 3})


def test_mfp_counts_spatter_by_default_and_snow_on_demand():
    values = dict.fromkeys(PERTURBATIONS_SCRIPT, 0.1) | {"snow": 0.6, "shear": 0.9}
    assert metrics.mfp(values).value == pytest.approx(0.1, abs=1e-15)
    assert metrics.mfp(values, PERTURBATIONS_PAPER).value == pytest.approx(0.15, abs=1e-15)
    assert (
        set(PERTURBATIONS_SCRIPT) ^ set(PERTURBATIONS_PAPER) == {"spatter", "snow"}
        and metrics.mfp(values).n == 10
    )


def test_mt5d_reaches_eighteen_and_no_more():
    assert metrics.mt5d(dict.fromkeys(PERTURBATIONS_SCRIPT, 18.0)).value == 18
    with pytest.raises(ValueError, match=r"\[0, 18\]"):
        metrics.mt5d({"tilt": 18.5})


# --- consistency ----------------------------------------------------------------------------------


def test_flip_probability_of_two_hand_made_sequences():
    predictions = np.array([[0, 1, 1, 0, 0], [2, 2, 2, 2, 3]])
    assert metrics.flips(predictions).tolist() == [0.5, 0.25]
    assert metrics.flips(predictions).mean() == 0.375
    assert metrics.flips(predictions, noise=True).tolist() == [0.5, 0.25]
    assert metrics.flips(torch.tensor([[0, 1, 1, 1, 1]]), noise=True).mean() == 1
    assert metrics.flips(torch.tensor([[0, 1, 1, 1, 1]])).mean() == 0.25


@pytest.mark.parametrize("noise", [False, True])
def test_flip_probability_agrees_with_a_loop(noise):
    predictions = RNG.integers(0, 3, (30, 21))
    rates = [
        np.mean([row[t] != row[0 if noise else t - 1] for t in range(1, 21)]) for row in predictions
    ]
    assert metrics.flips(predictions, noise).mean() == pytest.approx(np.mean(rates), abs=1e-12)


@pytest.mark.parametrize("predictions", [np.zeros((3, 1), int), np.zeros(4, int), np.zeros((3, 4))])
def test_predictions_that_are_no_sequences_raise(predictions):
    with pytest.raises(ValueError, match="predictions must be integers"):
        metrics.flips(predictions).mean()


def test_no_sequences_raise():
    with pytest.raises(ValueError, match="predictions must be integers"):
        metrics.flips(np.zeros((0, 4), int))


def logits_of(ranking):
    """Logits whose descending order is `ranking`."""
    return -np.argsort(ranking).astype(float)


def distance(first, second):
    return metrics.top5_distances(np.stack([logits_of(first), logits_of(second)])[None]).mean()


def test_top5_distance_of_rankings_known_by_hand():
    start = list(range(10))
    assert distance(start, start) == 0
    assert distance(start, [1, 0, *range(2, 10)]) == 2  # the first two swapped
    assert distance(start, [0, 1, 2, 3, 4, 9, 8, 7, 6, 5]) == 0  # only ranks below five differ
    assert distance(start, [0, 1, 2, 3, 5, 4, 6, 7, 8, 9]) == 1  # the fifth leaves
    assert (
        distance(start, [5, 6, 7, 8, 9, 0, 1, 2, 3, 4]) == 15
    )  # all five leave: 5 + 4 + 3 + 2 + 1
    assert (
        distance(start, [4, 5, 6, 7, 8, 9, 0, 1, 2, 3]) == 18
    )  # the greatest: the fifth first, the others gone


def double_sum(reference, frame):
    """Hendrycks' sum over i <= 5 of the j between i and sigma(i) with 1 <= j - 1 <= 5."""
    order = sorted(range(len(reference)), key=lambda c: (-reference[c], c))
    rank = {c: r for r, c in enumerate(sorted(range(len(frame)), key=lambda c: (-frame[c], c)), 1)}
    total = 0
    for i in range(1, min(5, len(reference)) + 1):
        sigma = rank[order[i - 1]]
        total += sum(1 <= j - 1 <= 5 for j in range(min(i, sigma) + 1, max(i, sigma) + 1))
    return total


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("n_classes", [1, 2, 4, 5, 6, 10, 100])
def test_top5_distance_agrees_with_the_double_sum_ties_included(n_classes, noise):
    logits = RNG.integers(-4, 5, (12, 7, n_classes)).astype(np.float32)
    frames = [[double_sum(s[0 if noise else t - 1], s[t]) for t in range(1, 7)] for s in logits]
    assert metrics.top5_distances(logits, noise) == pytest.approx(
        np.mean(frames, axis=1), abs=1e-12
    )
    assert metrics.top5_distances(torch.from_numpy(logits), noise).mean() == pytest.approx(
        np.mean(frames), abs=1e-12
    )


def test_one_frame_has_no_distance():
    with pytest.raises(ValueError, match="at least 2 frames"):
        metrics.top5_distances(np.zeros((3, 1, 10))).mean()


# --- calibration ----------------------------------------------------------------------------------


def without_ties(confidence, correct):
    """Confidences, ascending, and how often the samples of each are right, with plain loops."""
    right = {
        c: [bool(r) for d, r in zip(confidence, correct, strict=True) if d == c] for c in confidence
    }
    return [(c, sum(right[c]) / len(right[c])) for c in sorted(confidence)]


def slow_calibration(confidence, correct, bin_size, last_bin, power):
    """Bins with plain loops: sort, cut into equal counts, the last takes the remainder."""
    pairs = without_ties(confidence, correct)
    n_bins = max(len(pairs) // bin_size, 1)
    total = 0.0
    for b in range(n_bins if last_bin else n_bins - 1):
        members = (
            pairs[b * bin_size :] if b == n_bins - 1 else pairs[b * bin_size : (b + 1) * bin_size]
        )
        gap = math.fsum(c for c, _ in members) / len(members) - math.fsum(
            r for _, r in members
        ) / len(members)
        total += len(members) / len(pairs) * abs(gap) ** power
    return total ** (1 / power)


@pytest.mark.parametrize("last_bin", [True, False])
@pytest.mark.parametrize(
    ("n", "bin_size"), [(1, 100), (7, 100), (100, 100), (250, 100), (1000, 100), (999, 13), (5, 1)]
)
def test_rms_and_mad_agree_with_plain_loops(n, bin_size, last_bin):
    confidence, correct = some_confidence(n)
    for measure, power in ((metrics.rms_calibration_error, 2), (metrics.mad_calibration_error, 1)):
        expected = slow_calibration(confidence, correct, bin_size, last_bin, power)
        assert measure(confidence, correct, bin_size, last_bin) == pytest.approx(
            expected, abs=1e-12
        )


def test_rms_of_two_bins_by_hand():
    confidence, correct = np.array([0.9, 0.5, 0.9, 0.5]), np.array([1, 1, 0, 1])
    assert metrics.rms_calibration_error(confidence, correct, bin_size=2) == pytest.approx(
        math.sqrt(0.205), abs=1e-15
    )
    published = metrics.rms_calibration_error(confidence, correct, bin_size=2, last_bin=False)
    assert published == pytest.approx(math.sqrt(0.125), abs=1e-15)
    assert metrics.mad_calibration_error(confidence, correct, bin_size=2) == pytest.approx(
        0.45, abs=1e-15
    )


def test_fewer_samples_than_two_bins_without_the_last_give_zero():
    confidence, correct = some_confidence(199)
    for n in (1, 99, 100, 199):
        assert metrics.rms_calibration_error(confidence[:n], correct[:n], last_bin=False) == 0
        assert metrics.rms_calibration_error(confidence[:n], correct[:n]) > 0


ORDERED = (
    metrics.rms_calibration_error,
    metrics.mad_calibration_error,
    metrics.aurra,
    lambda confidence, correct: metrics.rms_calibration_error(confidence, correct, last_bin=False),
    lambda confidence, correct: metrics.response_rate_accuracy(confidence, correct).tolist(),
)
"""The measures that sort by confidence."""


def test_equal_confidences_that_are_as_often_right_as_they_say_have_no_error():
    confidence, correct = np.full(1000, 0.7), np.r_[np.ones(700), np.zeros(300)]
    for shuffled in (correct, correct[::-1], np.random.default_rng(0).permutation(correct)):
        assert metrics.rms_calibration_error(confidence, shuffled) == 0
        assert metrics.mad_calibration_error(confidence, shuffled) == 0
        assert metrics.aurra(confidence, shuffled) == pytest.approx(0.7, abs=1e-12)


@pytest.mark.parametrize("correct", [[1, 1, 1, 0], [0, 1, 1, 1], [1, 0, 1, 1]])
def test_equal_confidences_share_what_is_right_among_them_in_each_bin(correct):
    confidence = np.full(4, 0.5)  # 3 of 4 are right in both bins, whoever stands in them
    assert metrics.rms_calibration_error(confidence, correct, bin_size=2) == 0.25
    assert metrics.rms_calibration_error(
        confidence, correct, bin_size=2, last_bin=False
    ) == math.sqrt(0.03125)
    assert metrics.mad_calibration_error(confidence, correct, bin_size=2) == 0.25


def test_a_tie_across_two_bins_by_hand():
    for right in ([0, 1, 0, 1], [0, 0, 1, 1]):
        # 0.2 wrong and 0.6 half right: 0.15 too sure; 0.6 half right and 0.9 right: 0.1 too sure,
        # 0.1 too little
        error = metrics.rms_calibration_error([0.2, 0.6, 0.6, 0.9], right, bin_size=2)
        assert error == pytest.approx(math.sqrt(0.15**2 / 2), abs=1e-15)
        assert metrics.aurra([0.2, 0.6, 0.6, 0.9], right) == pytest.approx(
            (1 + 1.5 / 2 + 2 / 3 + 2 / 4) / 4, abs=1e-15
        )


def test_accuracy_among_equal_confidences_is_the_mean_over_every_order_of_them():
    confidence, correct = [0.9, 0.5, 0.5, 0.5, 0.2], np.array([0, 1, 1, 0, 1])
    orders = [np.array([0, *tied, 4]) for tied in itertools.permutations([1, 2, 3])]
    curves = [np.cumsum(correct[order]) / np.arange(1, 6) for order in orders]
    expected = np.mean(curves, axis=0)
    assert metrics.response_rate_accuracy(confidence, correct) == pytest.approx(expected, abs=1e-15)
    assert metrics.aurra(confidence, correct) == pytest.approx(expected.mean(), abs=1e-15)


def test_the_order_of_the_images_changes_no_measure_by_a_bit():
    confidence, correct = some_confidence(1000)
    by_label = np.argsort(correct, kind="stable")  # as data that is sorted by class
    half = torch.from_numpy(confidence).bfloat16()
    for measure in ORDERED:
        for given in (confidence, half.double().numpy()):
            values = [
                measure(given[order], correct[order])
                for order in (by_label, by_label[::-1], np.arange(1000))
            ]
            assert values[0] == values[1] == values[2]


def test_noise_floor_of_equal_confidences_is_the_distance_of_their_mean():
    floor = metrics.rms_noise_floor(np.full(1000, 0.7), seed=0, n_draws=400)
    error = math.sqrt(
        0.7 * 0.3 / 1000
    )  # of the share that is right; its mean distance is sqrt(2 / pi) of it
    assert abs(floor - error * math.sqrt(2 / math.pi)) < 4 * error * math.sqrt(1 - 2 / math.pi) / 20


def test_a_perfect_and_sure_model_has_no_calibration_error():
    ones = np.ones(300)
    for measure in (metrics.rms_calibration_error, metrics.mad_calibration_error, metrics.ece):
        assert measure(ones, ones) == 0
    assert metrics.aurra(ones, ones) == 1


def test_noise_floor_is_what_calibrated_draws_score():
    confidence, _ = some_confidence(2000)
    rng = np.random.default_rng(1)
    scores = [
        metrics.rms_calibration_error(confidence, rng.random(2000) < confidence) for _ in range(400)
    ]
    floor = metrics.rms_noise_floor(confidence, seed=0, n_draws=400)
    assert abs(floor - np.mean(scores)) < 4 * math.sqrt(2) * np.std(scores) / 20


def test_noise_floor_is_keyed_and_does_not_depend_on_order():
    confidence, _ = some_confidence(500)
    floor = metrics.rms_noise_floor(confidence, seed=3, n_draws=20)
    assert floor == metrics.rms_noise_floor(
        torch.from_numpy(confidence[::-1].copy()), seed=3, n_draws=20
    )
    assert floor != metrics.rms_noise_floor(confidence, seed=4, n_draws=20)
    with pytest.raises(TypeError, match="seed"):
        metrics.rms_noise_floor(confidence)


def test_noise_floor_of_sure_predictions_is_zero():
    assert metrics.rms_noise_floor(np.ones(300), seed=0, n_draws=3) == 0


def test_reliability_bins_are_closed_above():
    diagram = metrics.reliability([0.0, 0.5, 0.5 + 1e-9, 1.0], [0, 1, 0, 1], n_bins=4)
    assert diagram.edges.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert diagram.n_samples.tolist() == [1, 1, 1, 1]
    assert diagram.accuracy.tolist() == [0, 1, 0, 1]
    assert diagram.confidence.tolist() == [0.0, 0.5, 0.5 + 1e-9, 1.0]


def test_an_empty_bin_has_no_accuracy_and_no_weight():
    diagram = metrics.reliability([0.9, 0.95], [1, 0], n_bins=2)
    assert (
        diagram.n_samples.tolist() == [0, 2]
        and np.isnan(diagram.accuracy[0])
        and np.isnan(diagram.confidence[0])
    )
    assert metrics.ece([0.9, 0.95], [1, 0], n_bins=2) == pytest.approx(0.425, abs=1e-15)


def test_ece_agrees_with_a_loop_over_bins():
    confidence, correct = some_confidence(700)
    expected = 0.0
    for b in range(15):
        low, high = np.linspace(0, 1, 16)[b], np.linspace(0, 1, 16)[b + 1]
        members = [i for i, c in enumerate(confidence) if low < c <= high or (b == 0 and c == 0)]
        expected += abs(math.fsum(confidence[members]) - math.fsum(correct[members])) / 700
    assert metrics.ece(confidence, correct) == pytest.approx(expected, abs=1e-12)


def test_aurra_of_three_samples_by_hand():
    assert metrics.aurra([0.5, 0.9, 0.7], [1, 1, 0]) == pytest.approx(
        (1 + 1 / 2 + 2 / 3) / 3, abs=1e-15
    )


def test_aurra_agrees_with_a_loop():
    confidence, correct = some_confidence(300)
    pairs = without_ties(confidence, correct)[::-1]
    curve = [sum(right for _, right in pairs[:n]) / n for n in range(1, 301)]
    assert metrics.aurra(torch.from_numpy(confidence), torch.from_numpy(correct)) == pytest.approx(
        math.fsum(curve) / 300, abs=1e-12
    )


def test_confidence_is_the_largest_softmax_probability():
    confidence, correct = metrics.confidence_and_correct(
        np.log([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]]), [1, 2]
    )
    assert confidence == pytest.approx([0.5, 0.6], abs=1e-15) and correct.tolist() == [True, False]
    assert confidence.dtype == np.float64


@pytest.mark.parametrize(
    ("confidence", "correct", "message"),
    [
        ([0.5, 0.6], [1], r"correct must be \(2,\)"),
        ([0.5, 60.0], [1, 0], r"confidence must lie in \[0, 1\]"),
        ([0.5, np.nan], [1, 0], r"confidence must lie in \[0, 1\]"),
        ([0.5, 0.6], [1, 2], "of 0 and 1"),
        ([], [], "not empty"),
        ([[0.5]], [[1]], r"confidence must be \(N,\)"),
    ],
)
def test_wrong_confidence_or_correct_raise_a_sentence(confidence, correct, message):
    for measure in (
        metrics.rms_calibration_error,
        metrics.mad_calibration_error,
        metrics.ece,
        metrics.aurra,
    ):
        with pytest.raises(ValueError, match=message):
            measure(confidence, correct)


@pytest.mark.parametrize("wrong", [True, 0.5, 100.0, "10", np.array([3])])
def test_a_size_that_is_no_whole_number_is_refused(wrong):
    with pytest.raises(
        ValueError, match=r"bin_size must be at least 1, got .*a whole number is expected"
    ):
        metrics.rms_calibration_error([0.5], [1], bin_size=wrong)
    with pytest.raises(ValueError, match="k must be at least 1, got"):
        metrics.error(np.zeros((2, 2)), [0, 1], k=wrong)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [(torch.eye(2).to_sparse(), "sparse .*to_dense"), (torch.eye(2, device="meta"), "meta device")],
)
def test_a_tensor_without_values_is_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        metrics.error(wrong, [0, 1])


def test_a_bin_of_no_samples_raises():
    with pytest.raises(ValueError, match="bin_size must be at least 1, got 0"):
        metrics.rms_calibration_error([0.5], [1], bin_size=0)
    with pytest.raises(ValueError, match="n_bins must be at least 1"):
        metrics.ece([0.5], [1], n_bins=0)
