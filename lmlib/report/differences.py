"""Differences paired by seed, with their interval and Holm's correction: in rows for machines, in words for people."""

import numpy as np
import pandas as pd

from ..metrics.intervals import holm, paired_difference
from .plots import unit_of

NUMBERS = ["n", "ours_mean", "reference_mean", "mean", "low", "high", "p_value", "std"]


def by_seed(rows, keys):
    """The values of each group of rows that `keys` (names of columns) make: {key, a tuple: {seed: mean over its rows}}."""
    means = rows.groupby([*keys, "seed"], sort=False)["value"].mean()
    return {
        key: group.droplevel(keys).to_dict() for key, group in means.groupby(level=keys, sort=False)
    }


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
            found = {
                "ours_mean": np.mean(list(ours.values())),
                "reference_mean": np.mean(list(reference.values())),
            }
            found |= paired_difference(ours, reference)._asdict()
        records.append(labels | found)
    return adjusted(pd.DataFrame(records).reindex(columns=[*pairs[0][0], *NUMBERS]))


def adjusted(table):
    """Differences with p_holm, adjusted within each `family` over those of two seeds or more, and `holds`.

    Tables of `compare_pairs` that share a family are adjusted together, once they stand below one another.
    """
    p_holm = table[table["n"] > 1].groupby("family")["p_value"].transform(holm)
    return table.assign(p_holm=p_holm, holds=p_holm.reindex(table.index) < 0.05)


def differences(rows, columns, by, pairs):
    """Differences between rows of a table, for each pair and column that both have: DataFrame of `compare_pairs`, fractions.

    rows: of `results.read_rows`, one a seed or several to average; columns: of `tables.Column`, whose fields stand in the result,
    too; by: the columns of `rows` that make a row of the table; pairs: (family, ours, reference), one or more, the last two as
    tuples of values of `by`. `by` of the result is ours; the columns ours and reference say wherein the two differ.
    """
    values = by_seed(rows, [*by, "benchmark", "measure"])
    found = []
    for family, *sides in pairs:
        differ = [
            n for n, (ours, reference) in enumerate(zip(*sides, strict=True)) if ours != reference
        ]
        words = [", ".join(str(side[n]) for n in differ) for side in sides]
        labels = {"family": family} | dict(
            zip([*by, "ours", "reference"], [*sides[0], *words], strict=True)
        )
        for column in columns:
            both = (values.get((*side, column.benchmark, column.measure), {}) for side in sides)
            found.append((labels | column._asdict(), *both))
    return compare_pairs(found).query("n > 0")


def difference_text(row):
    """A row of `compare_pairs` (with its `measure`) in percentage points or a distance's unit: "-1.2 [-2.0, -0.4] (n=3) *".

    The mean, its 95 % interval, the number of pairs (one has no interval); * where it holds.
    """
    scale, digits = unit_of(row["measure"])
    mean, low, high = (f"{row[name] * scale:+.{digits}f}" for name in ("mean", "low", "high"))
    interval = f" [{low}, {high}]" if row["n"] > 1 else ""
    return f"{mean}{interval} (n={row['n']}){' *' if row['holds'] else ''}"


def wide(table, index):
    """Differences for people: DataFrame of text, a row for what differs in the columns `index`, a column a measure's title."""
    words = [difference_text(row) for row in table.to_dict("records")]
    return (
        table.assign(words=words)
        .set_index([*index, "title"])["words"]
        .unstack(sort=False)
        .fillna("")
    )
