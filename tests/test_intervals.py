import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lmlib.metrics.intervals import (
    bootstrap_interval,
    holm,
    paired_difference,
    seeds_needed,
    summary,
    variance_shares,
)
from lmlib.report.published import published


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
        difference.mean == 0.5
        and difference.low == -np.inf
        and difference.high == np.inf
        and difference.p_value == 1
    )


def test_equal_differences_are_no_surer_than_a_single_one():
    difference = paired_difference({0: 0.5, 1: 0.45}, {0: 0.25, 1: 0.2})  # equal but for a rounding
    assert (difference.low, difference.high, difference.p_value) == (-np.inf, np.inf, 1)
    assert (difference.mean, difference.n) == (pytest.approx(0.25), 2)
    assert paired_difference({0: 0.5, 1: 0.5}, {0: 0.5, 1: 0.5}).p_value == 1


def test_no_shared_seed_raises():
    with pytest.raises(ValueError, match=r"one side has \[0\], the other \[1\]"):
        paired_difference({0: 1.0}, {1: 1.0})


def test_holm_of_a_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02], abs=1e-15)


def test_holm_never_exceeds_one_and_keeps_the_order_of_ties():
    assert (
        holm([0.9, 0.5, 0.5]).tolist() == [1, 1, 1]
        and holm([0.2]).tolist() == [0.2]
        and holm([]).tolist() == []
    )


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
    assert bootstrap_interval(copied, seed=0) == pytest.approx(
        bootstrap_interval(values, seed=0), abs=1e-12
    )


def test_the_shortcut_for_the_mean_changes_nothing():
    values = np.random.default_rng(0).random((40, 3, 2))
    slow = bootstrap_interval(values, lambda drawn: drawn.mean(), seed=5, n_resamples=100)
    assert bootstrap_interval(values, seed=5, n_resamples=100) == pytest.approx(slow, abs=1e-12)


def test_any_statistic_may_be_drawn():
    values = np.array([[0.0, 1.0], [1.0, 0.0]])
    low, high = bootstrap_interval(
        values, lambda drawn: drawn[:, 0].max() - drawn[:, 1].max(), seed=0
    )
    assert (low, high) == (-1, 1)


def test_bootstrap_is_keyed_by_its_seed():
    values = np.random.default_rng(0).random(30)
    assert (
        bootstrap_interval(values, seed=1)
        == bootstrap_interval(values, seed=1)
        != bootstrap_interval(values, seed=2)
    )
    with pytest.raises(TypeError, match="seed"):
        bootstrap_interval(values)


def test_bad_bootstrap_input_raises():
    with pytest.raises(ValueError, match="at least 2 of them, got 1"):
        bootstrap_interval([0.5], seed=0)
    with pytest.raises(ValueError, match="finite"):
        bootstrap_interval([0.5, np.nan], seed=0)
    with pytest.raises(ValueError, match="n_resamples"):
        bootstrap_interval([0.5, 0.6], seed=0, n_resamples=0)


def grid_of(values):
    """A DataFrame of `values`, (a, b) or (a, b, seeds), as variance_shares takes it."""
    values = np.asarray(values, float)
    a, b, *_ = np.indices(values.shape)
    return pd.DataFrame({"a": a.ravel(), "b": b.ravel(), "value": values.ravel()})


def test_variance_shares_of_a_grid_made_by_hand():
    # Rows move by 4, columns by 2, one corner by 2 more: squares 25, 9 and 1 of 35.
    table = variance_shares(grid_of([[0, 2], [4, 8]]), ["a", "b"])
    assert table.index.tolist() == ["a", "b", "rest"] and table["df"].tolist() == [1, 1, 1]
    assert table["share"].tolist() == pytest.approx([25 / 35, 9 / 35, 1 / 35], abs=1e-12)
    assert table["F"].tolist()[:2] == pytest.approx([25, 9], abs=1e-9) and math.isnan(
        table["F"]["rest"]
    )
    assert table["p_value"].tolist()[:2] == pytest.approx(
        2 / math.pi * np.arctan([1 / 5, 1 / 3]), abs=1e-12
    )  # F(1, 1)


def test_two_seeds_a_cell_separate_the_interaction_from_the_rest():
    values = np.array([[0, 2], [4, 8]])[..., None] + [
        -1,
        1,
    ]  # twice the squares above, and 8 within the cells
    table = variance_shares(grid_of(values), ["a", "b"])
    assert table.index.tolist() == ["a", "b", "a x b", "rest"] and table["df"].tolist() == [
        1,
        1,
        1,
        4,
    ]
    assert table["share"].tolist() == pytest.approx([50 / 78, 18 / 78, 2 / 78, 8 / 78], abs=1e-12)
    assert table["F"].tolist()[:3] == pytest.approx([25, 9, 1], abs=1e-9)


def test_one_factor_is_scipys_one_way_analysis():
    cells = grid_of(np.random.default_rng(0).normal(size=(3, 5)))
    expected = stats.f_oneway(*[group["value"] for _, group in cells.groupby("a")])
    assert tuple(variance_shares(cells, ["a"]).loc["a", ["F", "p_value"]]) == pytest.approx(
        tuple(expected), abs=1e-12
    )


def test_two_factors_are_least_squares_on_indicators():
    values = np.random.default_rng(1).normal(size=(4, 3))
    cells = grid_of(values)
    indicators = pd.get_dummies(cells[["a", "b"]].astype(str)).to_numpy(float)
    without_a = pd.get_dummies(cells[["b"]].astype(str)).to_numpy(float)
    full, less = (
        ((m @ np.linalg.pinv(m) @ values.ravel() - values.ravel()) ** 2).sum()
        for m in (indicators, without_a)
    )
    assert variance_shares(cells, ["a", "b"]).loc["a", "F"] == pytest.approx(
        (less - full) / 3 / (full / 6), rel=1e-10
    )


def test_erratum_7_follows_from_table_6_as_printed():
    cells = published(6).query("measure == 'mce' and label != 'mean (std)'")
    share, df, f, p_value = variance_shares(cells, ["beta"]).loc["beta"]
    assert (df, f, p_value) == pytest.approx(
        (2, 26.57, 1.7e-4), abs=6e-3
    ) and share == pytest.approx(0.855, abs=1e-3)
    assert p_value == pytest.approx(1.7e-4, abs=6e-6)


@pytest.mark.parametrize(
    "cells",
    [
        grid_of([[1, 2]]),
        grid_of([[1, 2], [3, 4]]).iloc[:3],
        pd.concat([grid_of(np.eye(2)), grid_of([[1, 2]])]),
    ],
)
def test_a_grid_with_holes_or_one_level_raises(cells):
    with pytest.raises(
        ValueError, match="at least two levels of each and every combination equally often"
    ):
        variance_shares(cells, ["a", "b"])


def test_a_constant_grid_has_no_variance_to_share():
    assert variance_shares(grid_of(np.ones((2, 2))), ["a", "b"])["share"].isna().all()


# |t| is sqrt(n) with n - 1 degrees of freedom. Printed tables of t, two-sided: 5 %: 2.571 (df 5),
# 2.447 (6); 1 %: 3.250 (9), 3.169 (10); 0.1 %: 4.073 (15), 4.015 (16).
@pytest.mark.parametrize(("n_comparisons", "expected"), [(1, 7), (5, 11), (50, 17)])
def test_seeds_needed_are_the_fewest_whose_t_is_beyond_the_corrected_level(n_comparisons, expected):
    assert seeds_needed(1.0, 1.0, n_comparisons) == expected
    assert seeds_needed(-0.01, 0.01, n_comparisons) == expected  # in another unit, of either sign


def test_without_a_spread_none_can_tell_and_a_small_difference_needs_more_than_a_thousand():
    assert np.isnan(seeds_needed(0.01, 0.0, 98)) and np.isnan(seeds_needed(0.01, np.nan, 98))
    assert seeds_needed(0.001, 1.0, 1) == np.inf
