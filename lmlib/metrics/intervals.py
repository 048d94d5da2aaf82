"""What may be said about a number: its spread over seeds, its interval, and whether a difference holds."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from .. import draws as random
from ..checks import check_whole

LEVEL = 0.95  # of every interval


class Summary(NamedTuple):
    """Mean, sample standard deviation (n - 1; nan when n = 1) and n."""

    mean: float
    std: float
    n: int


def summary(values):
    """Mean, std and n of one number per seed: Summary. values: (n,), n >= 1, finite."""
    values = _finite("values", values)
    return Summary(
        float(values.mean()),
        float(values.std(ddof=1)) if values.size > 1 else float("nan"),
        values.size,
    )


class Difference(NamedTuple):
    """Mean difference, its 95 % t interval, the two-sided p value, the standard deviation of the differences and n pairs."""

    mean: float
    low: float
    high: float
    p_value: float
    std: float
    n: int


def paired_difference(ours, theirs):
    """`ours` minus `theirs`, paired by seed: Difference, by Student's t over the pairs.

    ours, theirs: mappings from a seed to a number; seeds that only one of them has are left out (n says what stayed).
    One pair has no spread: its interval is unbounded and its p value 1. Raises ValueError when no seed is shared.
    """
    ours, theirs = dict(ours), dict(theirs)
    shared = [seed for seed in ours if seed in theirs]
    if not shared:
        raise ValueError(
            f"no shared seed to pair: one side has {sorted(ours)}, the other {sorted(theirs)}."
        )
    mean, std, n = summary([ours[seed] - theirs[seed] for seed in shared])
    if n == 1:
        return Difference(mean, -np.inf, np.inf, 1.0, std, n)
    standard_error = std / np.sqrt(n)
    half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1) * standard_error)
    if standard_error > 0:
        p_value = float(2 * stats.t.sf(abs(mean) / standard_error, n - 1))
    else:
        p_value = float(mean == 0)
    return Difference(mean, mean - half, mean + half, p_value, std, n)


def holm(p_values):
    """Holm's step-down adjustment of the p values of one table: (k,), in the order given. Holm (1979).

    p_values: (k,) in [0, 1], k >= 0. An adjusted value below 0.05 rejects at a family-wise level of 5 %.
    """
    p_values = np.asarray(p_values, float)
    if p_values.ndim != 1 or not ((p_values >= 0) & (p_values <= 1)).all():
        raise ValueError(f"p values must be (k,) in [0, 1], got {p_values}.")
    order = np.argsort(p_values, kind="stable")
    steps = np.maximum.accumulate(p_values[order] * np.arange(len(order), 0, -1))
    return np.minimum(steps, 1)[np.argsort(order)]


class Interval(NamedTuple):
    """A two-sided interval."""

    low: float
    high: float


def bootstrap_interval(values_by_image, statistic=np.mean, *, seed, n_resamples=1000):
    """95 % percentile bootstrap interval with images as clusters: Interval.

    values_by_image: (n_images, ...), n_images >= 2, finite; everything seen of one image, in all its corruptions and
    frames, is in its row and is drawn together. statistic: array of that shape -> number (for the mean a row is
    averaged first: the same, and quicker). Keyed by `seed`. Source: Efron and Tibshirani (1993).
    """
    values = _finite("values_by_image", values_by_image, ndim=None)
    n_images = len(values)
    if n_images < 2:
        raise ValueError(f"a bootstrap over images needs at least 2 of them, got {n_images}.")
    n_resamples = check_whole("n_resamples", n_resamples, 1)
    if statistic is np.mean:
        values = values.reshape(n_images, -1).mean(axis=1)
    generators = random.generators("bootstrap", seed=seed, index=np.arange(n_resamples))
    estimates = [
        statistic(values[generator.integers(n_images, size=n_images)]) for generator in generators
    ]
    tail = (1 - LEVEL) / 2
    return Interval(*(float(bound) for bound in np.quantile(estimates, [tail, 1 - tail])))


def variance_shares(cells, factors):
    """Analysis of variance of a complete grid: DataFrame with columns share (of the variance), df, F and p_value.

    cells: DataFrame with a column `value` and one for each factor, every combination of their levels equally often.
    One row for the main effect of each factor; for the interaction where there are two factors or more and several rows a
    combination; and the rest, which every F is against. With one row a combination the rest holds the interaction too: the
    two cannot be told apart. Raises ValueError for a factor of one level and for a grid with holes.
    """
    value, by_cell = cells["value"], cells.groupby(factors)["value"]
    levels, sizes = [cells[factor].nunique() for factor in factors], by_cell.size()
    if min(levels) < 2 or len(sizes) != np.prod(levels) or sizes.nunique() > 1:
        raise ValueError(
            f"an analysis of variance over {factors} needs at least two levels of each and every combination equally often, "
            f"got {levels} levels and {sizes.min()} to {sizes.max()} rows in {len(sizes)} combinations."
        )
    squares = {
        factor: cells.groupby(factor)["value"].transform("mean").var(ddof=0) for factor in factors
    }
    df = {factor: level - 1 for factor, level in zip(factors, levels, strict=True)}
    if len(factors) > 1 and sizes.iloc[0] > 1:
        squares[" x ".join(factors)] = by_cell.transform("mean").var(ddof=0) - sum(squares.values())
        df[" x ".join(factors)] = len(sizes) - 1 - sum(df.values())
    squares["rest"], df["rest"] = (
        value.var(ddof=0) - sum(squares.values()),
        len(value) - 1 - sum(df.values()),
    )
    table = pd.DataFrame({"squares": squares, "df": df})
    variance = table["squares"] / table["df"]
    table["share"], table["F"] = (
        table["squares"] / value.var(ddof=0),
        (variance / variance["rest"]).drop("rest"),
    )
    table["p_value"] = stats.f.sf(table["F"], table["df"], table.loc["rest", "df"])
    return table[["share", "df", "F", "p_value"]]


def _finite(name, values, ndim=1):
    values = np.asarray(values, float)
    if (
        values.ndim != (ndim or max(values.ndim, 1))
        or not values.size
        or not np.isfinite(values).all()
    ):
        raise ValueError(
            f"{name} must be finite numbers, at least one, got {values.shape}: {values.ravel()[:5]}."
        )
    return values
