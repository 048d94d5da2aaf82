"""What can be claimed of a number: its spread over seeds, its interval, whether it differs."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from .. import draws
from ..checks import check_whole

LEVEL = 0.95  # of every interval
NO_SPREAD = 1e-9  # what roundings leave between equal differences


class Summary(NamedTuple):
    """Mean, sample standard deviation (n - 1; nan when n = 1) and n."""

    mean: float
    std: float
    n: int


def summary(values: ArrayLike) -> Summary:
    """Mean, std and n of one number per seed. values: (n,), n >= 1, finite."""
    array = _finite("values", values, ndim=1)
    std = array.std(ddof=1) if array.size > 1 else np.nan
    return Summary(float(array.mean()), float(std), array.size)


class Difference(NamedTuple):
    """A mean difference of pairs, its 95 % interval, its p value, the spread of the pairs and n."""

    mean: float
    low: float
    high: float
    p_value: float  # two-sided
    std: float
    n: int


def paired_difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Difference:
    """`ours` minus `theirs`, paired by seed, by Student's t over the pairs.

    Both are {seed: number} or a Series; seeds that only one of them has are left out. One pair has
    no spread, and equal ones (of a measure in steps, say) show none: the interval is unbounded and
    the p value 1. Raises ValueError if no seed is shared.
    """
    ours, theirs = dict(ours), dict(theirs)
    shared = [seed for seed in ours if seed in theirs]
    if not shared:
        raise ValueError(
            f"no shared seed to pair: one side has {sorted(ours)}, the other {sorted(theirs)}."
        )
    mean, std, n = summary([ours[seed] - theirs[seed] for seed in shared])
    if n == 1 or std <= NO_SPREAD:
        return Difference(mean, -np.inf, np.inf, 1.0, std, n)
    student, error = stats.t(n - 1), std / np.sqrt(n)
    half = float(student.ppf((1 + LEVEL) / 2) * error)
    p_value = 2 * float(student.sf(abs(mean) / error))
    return Difference(mean, mean - half, mean + half, p_value, std, n)


def holm(p_values: ArrayLike) -> np.ndarray:
    """Holm's step-down adjustment of the p values of one table: float64 (k,), in the same order.

    p_values: (k,) in [0, 1], k >= 0. An adjusted value below 0.05 rejects at a family-wise level of
    5 %. Source: Holm (1979).
    """
    p_values = np.asarray(p_values, float)
    if p_values.ndim != 1 or not ((p_values >= 0) & (p_values <= 1)).all():
        raise ValueError(f"p values must be (k,) in [0, 1], got {p_values}.")
    order = np.argsort(p_values, kind="stable")
    steps = np.maximum.accumulate(p_values[order] * np.arange(len(order), 0, -1))
    return np.minimum(steps, 1)[np.argsort(order)]


def seeds_needed(difference: float, std: float, n_comparisons: int) -> float:
    """Pairs of seeds with which a mean difference of that size holds after Holm's correction.

    std: of the paired differences, in the unit of `difference`; n_comparisons: in the family, of
    which this one counts as the first, that is the strictest. The smallest n for which Student's t
    over n pairs has p < 0.05 / n_comparisons; inf above a thousand, nan where no spread was seen.
    """
    if not std > NO_SPREAD:
        return np.nan
    n = np.arange(2, 1001)
    p_values = 2 * stats.t.sf(abs(difference) * np.sqrt(n) / std, n - 1)
    enough = n[p_values * n_comparisons < 1 - LEVEL]
    return float(enough[0]) if len(enough) else np.inf


class Interval(NamedTuple):
    """A two-sided interval."""

    low: float
    high: float


def bootstrap_interval(
    values_by_image: ArrayLike,
    statistic: Callable[[np.ndarray], float] = np.mean,
    *,
    seed: int,
    n_resamples: int = 1000,
) -> Interval:
    """95 % percentile bootstrap interval with images as clusters, keyed by `seed`.

    values_by_image: (n_images, ...), n_images >= 2, finite; everything seen of one image, in all
    its corruptions and frames, is in its row and is drawn together. statistic: array of that shape
    -> number. Source: Efron and Tibshirani (1993).
    """
    values = _finite("values_by_image", values_by_image)
    n_images = len(values)
    if n_images < 2:
        raise ValueError(f"a bootstrap over images needs at least 2 of them, got {n_images}.")
    if statistic is np.mean:  # of the means of the rows: the same, and quicker
        values = values.reshape(n_images, -1).mean(axis=1)
    index = np.arange(check_whole("n_resamples", n_resamples, 1))
    generators = draws.generators("bootstrap", seed=seed, index=index)
    drawn = (random.integers(n_images, size=n_images) for random in generators)
    estimates = [statistic(values[position]) for position in drawn]
    low, high = np.quantile(estimates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


def variance_shares(cells: pd.DataFrame, factors: Sequence[str]) -> pd.DataFrame:
    """Analysis of variance of a complete grid: columns share (of the variance), df, F, p_value.

    cells: a column `value` and one for each factor, every combination of their levels equally
    often. One row for the main effect of each factor, one for the interaction where there are two
    factors or more and several rows a combination, and the rest, which every F is against. With one
    row a combination the rest holds the interaction too: the two cannot be told apart. Raises
    ValueError for a factor of one level and for a grid with holes.
    """
    value, by_cell = cells["value"], cells.groupby(list(factors))["value"]
    levels, sizes = [cells[factor].nunique() for factor in factors], by_cell.size()
    if min(levels) < 2 or len(sizes) != np.prod(levels) or sizes.nunique() > 1:
        raise ValueError(
            f"an analysis of variance over {factors} needs at least two levels of each and every "
            f"combination equally often, got {levels} levels and {sizes.min()} to {sizes.max()} "
            f"rows in {len(sizes)} combinations."
        )
    means = {factor: cells.groupby(factor)["value"].transform("mean") for factor in factors}
    squares = {factor: mean.var(ddof=0) for factor, mean in means.items()}
    df = {factor: level - 1 for factor, level in zip(factors, levels, strict=True)}
    if len(factors) > 1 and sizes.iloc[0] > 1:
        interaction = " x ".join(factors)
        squares[interaction] = by_cell.transform("mean").var(ddof=0) - sum(squares.values())
        df[interaction] = len(sizes) - 1 - sum(df.values())
    squares["rest"] = value.var(ddof=0) - sum(squares.values())
    df["rest"] = len(value) - 1 - sum(df.values())
    table = pd.DataFrame({"squares": squares, "df": df})
    table["share"], variance = table["squares"] / value.var(ddof=0), table["squares"] / table["df"]
    table["F"] = (variance / variance["rest"]).drop("rest")
    table["p_value"] = stats.f.sf(table["F"], table["df"], df["rest"])
    return table[["share", "df", "F", "p_value"]]


def _finite(name: str, values: ArrayLike, ndim: int | None = None) -> np.ndarray:
    array = np.asarray(values, float)
    if array.ndim != (ndim or max(array.ndim, 1)) or not array.size or not np.isfinite(array).all():
        raise ValueError(
            f"{name} must be finite numbers, at least one, got {array.shape}: {array.ravel()[:5]}."
        )
    return array
