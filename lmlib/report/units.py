"""The unit in which people read a measure, and its decimals."""

from collections.abc import Iterable

from ..metrics.intervals import summary

NOT_FRACTIONS = ("nll", "brier", "mt5d", "mt5d_paper_ten", "top5_distance")
"""Measures in their own unit; all others are fractions, shown in percent."""


def unit_of(measure: str, n_images: float = 0) -> tuple[int, int]:
    """What a measure is multiplied by for people, and its decimals.

    Percent with one decimal, or two on a full test set (`n_images` of 10,000 or more); those of
    `NOT_FRACTIONS` as they are, with three.
    """
    return (1, 3) if measure in NOT_FRACTIONS else (100, 2 if n_images >= 10_000 else 1)


def mean_and_spread(values: Iterable[float], measure: str) -> str:
    """One number a seed as "12.3 ± 0.2 (n=3)", or "12.3 (n=1)", in the unit of the measure."""
    (mean, std, n), (scale, digits) = summary(list(values)), unit_of(measure)
    spread = f" ± {std * scale:.{digits}f}" if n > 1 else ""
    return f"{mean * scale:.{digits}f}{spread} (n={n})"
