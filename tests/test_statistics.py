import math

import numpy as np
import pytest
from scipy import stats

from lmlib.statistics import bootstrap_interval, holm, paired_difference, summary


def test_summary_uses_the_sample_standard_deviation():
    assert summary([1, 2, 4]) == pytest.approx((7 / 3, math.sqrt(7 / 3), 3), abs=1e-15)


def test_one_seed_has_no_spread():
    mean, std, n = summary([0.25])
    assert mean == 0.25 and math.isnan(std) and n == 1


@pytest.mark.parametrize("values", [[], [0.1, np.nan], [[0.1]]])
def test_a_summary_of_nothing_or_nan_raises(values):
    with pytest.raises(ValueError, match="values must be finite numbers"):
        summary(values)


def test_paired_difference_is_the_paired_t_test():
    ours, theirs = {0: 0.30, 1: 0.31, 2: 0.295}, {2: 0.320, 1: 0.325, 0: 0.322}
    difference = paired_difference(ours, theirs)
    reference = stats.ttest_rel([ours[s] for s in range(3)], [theirs[s] for s in range(3)])
    low, high = reference.confidence_interval(0.95)
    expected = (-0.062 / 3, low, high, reference.pvalue)
    assert difference[:4] == pytest.approx(expected, abs=1e-12) and difference.n == 3


def test_three_seeds_use_the_tabulated_t_of_two_degrees_of_freedom():
    difference = paired_difference({0: 1.0, 1: 2.0, 2: 3.0}, {0: 0.0, 1: 0.0, 2: 0.0})
    assert difference.high - difference.mean == pytest.approx(4.302653 / math.sqrt(3), abs=1e-6)


def test_only_shared_seeds_are_paired():
    assert paired_difference({0: 1.0, 1: 2.0, 7: 9.0}, {1: 1.0, 0: 1.0, 8: 0.0}).n == 2


def test_one_pair_leaves_the_interval_open():
    difference = paired_difference({0: 1.0}, {0: 0.5})
    assert (
        difference.mean == 0.5 and difference.low == -np.inf and difference.high == np.inf and difference.p_value == 1
    )


def test_differences_without_spread_are_certain():
    assert paired_difference({0: 0.5, 1: 0.5}, {0: 0.25, 1: 0.25}).p_value == 0
    assert paired_difference({0: 0.5, 1: 0.5}, {0: 0.5, 1: 0.5}).p_value == 1


def test_no_shared_seed_raises():
    with pytest.raises(ValueError, match=r"one side has \[0\], the other \[1\]"):
        paired_difference({0: 1.0}, {1: 1.0})


def test_holm_of_a_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02], abs=1e-15)


def test_holm_never_exceeds_one_and_keeps_the_order_of_ties():
    assert holm([0.9, 0.5, 0.5]).tolist() == [1, 1, 1] and holm([0.2]).tolist() == [0.2] and holm([]).tolist() == []


def test_holm_rejects_exactly_what_its_step_down_procedure_rejects():
    rng = np.random.default_rng(0)
    for _ in range(200):
        p = rng.random(6) ** 3
        rejected, m = set(), len(p)
        for step, i in enumerate(sorted(range(m), key=lambda i: p[i])):
            if p[i] * (m - step) > 0.05:
                break
            rejected.add(i)
        assert set(np.flatnonzero(holm(p) <= 0.05)) == rejected


@pytest.mark.parametrize("p_values", [[0.1, np.nan], [1.5], [-0.1], [[0.1]]])
def test_p_values_out_of_range_raise(p_values):
    with pytest.raises(ValueError, match="p values must be"):
        holm(p_values)


def test_bootstrap_interval_has_the_width_of_the_standard_error():
    values = np.random.default_rng(0).normal(size=400)
    low, high = bootstrap_interval(values, seed=0, n_resamples=4000)
    half = 1.96 * values.std() / 20
    # a 2.5 % quantile of 4000 draws has a standard error near .042 standard errors of the mean
    assert low == pytest.approx(values.mean() - half, abs=4 * 0.042 * values.std() / 20)
    assert high == pytest.approx(values.mean() + half, abs=4 * 0.042 * values.std() / 20)


def test_copies_of_an_image_do_not_narrow_the_interval():
    values = np.random.default_rng(0).random(50)
    copied = np.repeat(values[:, None], 75, axis=1).reshape(50, 15, 5)
    assert bootstrap_interval(copied, seed=0) == pytest.approx(bootstrap_interval(values, seed=0), abs=1e-12)


def test_the_shortcut_for_the_mean_changes_nothing():
    values = np.random.default_rng(0).random((40, 3, 2))
    slow = bootstrap_interval(values, lambda drawn: drawn.mean(), seed=5, n_resamples=100)
    assert bootstrap_interval(values, seed=5, n_resamples=100) == pytest.approx(slow, abs=1e-12)


def test_any_statistic_may_be_drawn():
    values = np.array([[0.0, 1.0], [1.0, 0.0]])
    low, high = bootstrap_interval(values, lambda drawn: drawn[:, 0].max() - drawn[:, 1].max(), seed=0)
    assert (low, high) == (-1, 1)


def test_bootstrap_is_keyed_by_its_seed():
    values = np.random.default_rng(0).random(30)
    assert (
        bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1) != bootstrap_interval(values, seed=2)
    )
    with pytest.raises(TypeError, match="seed"):
        bootstrap_interval(values)


def test_a_wider_level_gives_a_wider_interval():
    values = np.random.default_rng(0).random(30)
    narrow, wide = bootstrap_interval(values, seed=1, level=0.5), bootstrap_interval(values, seed=1, level=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_bad_bootstrap_input_raises():
    with pytest.raises(ValueError, match="at least 2 of them, got 1"):
        bootstrap_interval([0.5], seed=0)
    with pytest.raises(ValueError, match="finite"):
        bootstrap_interval([0.5, np.nan], seed=0)
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        bootstrap_interval([0.5, 0.6], seed=0, level=95)
    with pytest.raises(ValueError, match="n_resamples"):
        bootstrap_interval([0.5, 0.6], seed=0, n_resamples=0)
