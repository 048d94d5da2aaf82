"""Differences paired by seed, with their interval and Holm's correction, as rows and as text."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from ..metrics.intervals import holm, paired_difference, summary
from .units import unit_of

BySeed = Mapping[int, float]
RowPairs = Iterable[tuple[str, tuple, tuple]]
NUMBERS = ["n", "ours_mean", "reference_mean", "mean", "low", "high", "p_value", "std"]


def by_seed(rows: pd.DataFrame, keys: Sequence[str]) -> dict[tuple, dict[int, float]]:
    """The values of each group of rows that the columns `keys` make: {key: {seed: mean}}."""
    means = rows.groupby([*keys, "seed"], sort=False)["value"].mean()
    groups = means.groupby(level=list(keys), sort=False)
    return {key: group.droplevel(list(keys)).to_dict() for key, group in groups}


def compare_pairs(pairs: Sequence[tuple[Mapping[str, Any], BySeed, BySeed]]) -> pd.DataFrame:
    """Ours minus the reference for each pair, one or more: a row each, in the unit of the values.

    pairs: (labels, ours, reference). Of the labels, `family` names the comparisons whose p values
    are adjusted together. Columns: the labels; n, the number of shared seeds (0: nothing else is
    known); ours_mean and reference_mean over these; mean, low, high (95 %), p_value and std of the
    difference; p_holm and holds, as in `adjusted`.
    """
    records = []
    for labels, ours, reference in pairs:
        shared = [seed for seed in ours if seed in reference]
        record = {**labels, "n": len(shared)}
        if shared:
            record |= paired_difference(ours, reference)._asdict()
            record["ours_mean"] = summary([ours[seed] for seed in shared]).mean
            record["reference_mean"] = summary([reference[seed] for seed in shared]).mean
        records.append(record)
    return adjusted(pd.DataFrame(records).reindex(columns=[*pairs[0][0], *NUMBERS]))


def adjusted(table: pd.DataFrame) -> pd.DataFrame:
    """Differences with p_holm and whether it is below 0.05, `holds`.

    The p values of each `family` are adjusted together, those of one seed left out. Adjust tables
    that share a family once they stand below one another.
    """
    p_holm = table[table["n"] > 1].groupby("family")["p_value"].transform(holm)
    return table.assign(p_holm=p_holm, holds=p_holm.reindex(table.index) < 0.05)


def compare_rows(
    rows: pd.DataFrame, columns: Iterable[Any], by: Sequence[str], pairs: RowPairs
) -> pd.DataFrame:
    """Differences between rows of a table, for each pair and column that both have, as fractions.

    rows: as `read_rows` gives them; several of a seed are averaged. columns: of `tables.Column`,
    whose fields stand in the result. by: the columns of `rows` that make a row of the table.
    pairs: (family, ours, reference), one or more, the last two as values of `by`. What comes out
    is that of `compare_pairs`: `by` is ours; the columns ours and reference say how both differ.
    """
    values = by_seed(rows, [*by, "benchmark", "measure"])
    compared = []
    for family, ours, reference in pairs:
        both = list(zip(ours, reference, strict=True))
        labels = {"family": family, **dict(zip(by, ours, strict=True))}
        labels["ours"] = ", ".join(str(one) for one, other in both if one != other)
        labels["reference"] = ", ".join(str(other) for one, other in both if one != other)
        for column in columns:
            measure = column.benchmark, column.measure
            sides = (values.get((*side, *measure), {}) for side in (ours, reference))
            compared.append((labels | column._asdict(), *sides))
    return compare_pairs(compared).query("n > 0")


def difference_text(row: Mapping[str, Any]) -> str:
    """A row of `compare_pairs` as "-1.2 [-2.0, -0.4] (n=3) *", in percent or its own unit.

    The mean, its 95 % interval where its pairs spread, the number of pairs, and * where the
    difference holds.
    """
    scale, digits = unit_of(row["measure"])
    mean, low, high = (f"{row[name] * scale:+.{digits}f}" for name in ("mean", "low", "high"))
    interval = f" [{low}, {high}]" if math.isfinite(row["low"]) else ""
    return f"{mean}{interval} (n={row['n']}){' *' if row['holds'] else ''}"


def counted_text(table: pd.DataFrame) -> str:
    """Rows of `compare_rows` as words: how often ours is lower, how far, and how many hold.

    Each column has the range of its differences, in percent or its own unit. Differences of one
    pair of seeds have no interval, and where there are no others, the words say so.
    """
    parts = []
    for title, part in table.groupby("title", sort=False):
        scale, digits = unit_of(part["measure"].iloc[0])
        ends = sorted({part["mean"].min() * scale, part["mean"].max() * scale})
        between = " to ".join(f"{end:+.{digits}f}" for end in ends)
        parts.append(f"{title} in {(part['mean'] < 0).sum()} of {len(part)} ({between})")
    words, tested = f"lower in {', '.join(parts)}.", table[table["n"] > 1]
    if tested.empty:
        return f"{words} Each is of one pair of seeds, so none is told from luck."
    held = tested[tested["holds"]]
    holds = f"{len(held)} of {len(tested)} with an interval hold after Holm's correction"
    return f"{words} {holds}, {(held['mean'] < 0).sum()} of them lower."


def for_display(table: pd.DataFrame, index: Sequence[str]) -> pd.DataFrame:
    """Differences as text: a row for what differs in the columns `index`, a column a measure."""
    texts = [difference_text(row) for row in table.to_dict("records")]
    table = table.assign(text=texts).set_index([*index, "title"])
    return table["text"].unstack(sort=False).fillna("")
