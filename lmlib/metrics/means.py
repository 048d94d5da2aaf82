"""A mean over the files of a benchmark that says over how many of them it is."""

import numpy as np

from ..checks import check_name


class MeanOver(float):
    """A mean that knows over what it is: a float with `names` (those found), `missing` and `n` = len(names)."""

    def __new__(cls, value, names=(), missing=()):
        self = super().__new__(cls, value)
        self.names, self.missing, self.n = tuple(names), tuple(missing), len(names)
        return self


def mean_over(values, names, *, also_known=(), largest=1.0):
    """Mean over those of `names` that `values` has: MeanOver, a float that says over how many.

    values: mapping from a name to a number, or to one number per severity, in [0, largest]; names in `also_known` are
    left out. Raises ValueError for an unknown name, a value out of range, unequal numbers of severities, or no value.
    """
    means = severity_means(values, names, also_known=also_known, largest=largest)
    return MeanOver(
        np.mean(list(means.values())), means, [name for name in names if name not in means]
    )


def severity_means(values, names, *, also_known=(), largest=1.0):
    """The mean over severities of each of `names` that `values` has, as in `mean_over`: dict in the order of `names`."""
    values = dict(values)
    for name in values:
        check_name("corruption or perturbation", name, (*names, *also_known))
    found = {
        name: np.atleast_1d(np.asarray(values[name], float)) for name in names if name in values
    }
    if not found:
        raise ValueError(
            f"none of the {len(names)} names to average has a value: {', '.join(names)}."
        )
    counts = {value.size for value in found.values()}
    if len(counts) > 1:
        raise ValueError(
            f"every name must have as many severities as the others, got {sorted(counts)}."
        )
    for name, value in found.items():
        if not value.size or not ((value >= 0) & (value <= largest)).all():
            raise ValueError(
                f"{name} must lie in [0, {largest:g}], as a fraction and not in percent, got {value}."
            )
    return {name: value.mean() for name, value in found.items()}
