"""Differences paired by seed, with their interval and Holm's correction: in rows for machines, in words for people."""

import numpy as np
import pandas as pd

from .plots import unit_of
from .statistics import holm, paired_difference

NUMBERS = ["n", "ours_mean", "reference_mean", "mean", "low", "high", "p_value", "std"]


def compare_pairs(pairs):
    """Ours minus the reference for each pair: DataFrame, one row each, in the unit of the values.

    pairs: (labels, ours, reference), one or more; labels: a dict, of which `family` names the comparisons whose p values are
    adjusted together; ours, reference: {seed: value}. What comes out: the labels; n, the shared seeds (0: nothing else is known);
    ours_mean, reference_mean; mean, low, high (95 %), p_value, std of the difference; p_holm, where there are two seeds or more;
    holds: whether that is below 0.05.
    """
    records = []
    for labels, ours, reference in pairs:
        found = {"n": 0}
        if ours.keys() & reference.keys():
            found = {"ours_mean": np.mean(list(ours.values())), "reference_mean": np.mean(list(reference.values()))}
            found |= paired_difference(ours, reference)._asdict()
        records.append(labels | found)
    table = pd.DataFrame(records).reindex(columns=[*pairs[0][0], *NUMBERS])
    table["p_holm"] = table[table["n"] > 1].groupby("family")["p_value"].transform(holm)
    return table.assign(holds=table["p_holm"] < 0.05)


def difference_text(row):
    """A row of `compare_pairs` (with its `measure`) in percentage points or a distance's unit: "-1.2 [-2.0, -0.4] (n=3) *".

    The mean, its 95 % interval, the number of pairs (one has no interval); * where it holds.
    """
    scale, digits = unit_of(row["measure"])
    mean, low, high = (f"{row[name] * scale:+.{digits}f}" for name in ("mean", "low", "high"))
    interval = f" [{low}, {high}]" if row["n"] > 1 else ""
    return f"{mean}{interval} (n={row['n']}){' *' if row['holds'] else ''}"
