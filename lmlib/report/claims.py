"""The comparisons that each of the paper's claims comes down to: two sides of rows, the claimed sign, what was printed.

What is compared stands in `data/published/comparisons.toml`; here it becomes rows of a profile's size.
"""

import json
import tomllib
from itertools import product
from typing import NamedTuple

from .. import paths
from ..augment import METHODS
from ..study.plans import table_dataset
from ..study.profiles import get_profile
from ..study.runs import own_parameters
from .published import published
from .tables import PRINTED_AS, READING_OF, TABLE_4, Column, settings_of

SIGNS = {"lower": -1, "higher": 1, "alike": 0, "beside": -1}
RELEASED = " as released"  # ends the family of what the released reading decides


class Comparison(NamedTuple):
    """One difference, ours minus reference, that a claim has an opinion on."""

    claim: str
    family: str  # the table whose p values are adjusted together
    decides: bool  # whether the claim's verdict rests on it, or it only stands beside
    column: Column
    ours: dict  # what its rows have in the columns of `tables.described`; parameters: a tuple of cells to average over
    reference: dict
    sign: int  # claimed, of the difference: -1, 1, or 0 for "hardly any"
    printed: tuple  # the paper's (ours, reference); nan where it has none


def comparisons(profile):
    """All comparisons of a profile's size, claim by claim: list of `Comparison`."""
    rules = tomllib.loads((paths.PUBLISHED / "comparisons.toml").read_text(encoding="utf-8"))[
        "rule"
    ]
    return [comparison for rule in rules for comparison in compared(profile, **rule)]


def compared(profile, *, claim, ours, reference, table=None, each=({},), **claimed):
    """The comparisons of one rule of `comparisons.toml`, whose keys these are: list of `Comparison`."""
    titled = {column.title: column for column in TABLE_4}
    columns = [(name, titled[title]) for name, titles in claimed.items() for title in titles]
    found = []
    for (number, place), shared, (name, column), theirs, mine in product(
        places(profile, table), each, columns, reference, ours
    ):
        sides = [side(profile, **place | shared | one) for one in (mine, theirs)]
        family = f"Table {number}" if number else f"claim {claim}"
        family += RELEASED if sides[0]["method"] == "layermix_released" else ""
        decides = mine == ours[0] and name != "beside"
        printed = tuple(printed_value(number, column, one) for one in sides)
        found.append(Comparison(claim, family, decides, column, *sides, SIGNS[name], printed))
    return found


def places(profile, table):
    """Where a table is looked at: (its number, what both sides have there), for each of its datasets or networks."""
    sizes = get_profile(profile)
    if table == "3 and 4":
        return [
            (3 if dataset == "cifar10" else 4, {"dataset": dataset}) for dataset in sizes.datasets
        ]
    if table == 4:
        return [(4, {"dataset": sizes.datasets[-1]})]  # CIFAR-100 where there is more than one
    if table == 7:
        return [
            (7, {"network": network, "epochs": epochs})
            for network, epochs in dict.fromkeys(sizes.networks)
        ]
    return [(table, {"n_train": str(sizes.grid_n_train or "all")} if table == 6 else {})]


def side(profile, method="layermix", *, cells=({},), schedule=1, **changes):
    """What the rows of one side have: the profile's sizes and the method's own loss and fractals, but for `changes`."""
    sizes, row = get_profile(profile), METHODS[method]
    if isinstance(cells, str):
        cells = cells_at(sizes, *cells.split())
    return {
        "dataset": table_dataset(profile),
        "network": sizes.network,
        "epochs": schedule * sizes.epochs,
        "method": method,
        "parameters": tuple(
            json.dumps(own_parameters(cell, row.settings), sort_keys=True) for cell in cells
        ),
        "loss": row.loss,
        "fractals": row.fractals if row.needs_mixing_set else "none",
        "n_train": "all",
    } | changes


def cells_at(sizes, end, name):
    """The cells of Table 6 at the "highest" or "lowest" level of "magnitude" or "beta", over all levels of the other."""
    levels = {"magnitude": sizes.magnitudes, "beta": sizes.betas}
    levels[name] = [max(levels[name]) if end == "highest" else min(levels[name])]
    return [dict(zip(levels, cell, strict=True)) for cell in product(*levels.values())]


def printed_value(table, column, wanted):
    """The paper's value for a side (the mean over its cells), nan where the table has none."""
    if table is None:
        return float("nan")
    kept = {
        "measure": [PRINTED_AS.get(column.measure, column.measure)],
        "benchmark": [column.benchmark],
        "method": [READING_OF.get(wanted["method"], wanted["method"])],
        "jsd": [
            "",
            "yes" if wanted["loss"] == "jsd" else "no",
        ],  # empty where the table does not say
        "fractals": ["", wanted["fractals"]],
    } | {name: [wanted[name]] for name in ("dataset", "network", "epochs")}
    if table == 6:
        settings = [settings_of(wanted["method"], cell) for cell in wanted["parameters"]]
        kept |= {name: [one[name] for one in settings] for name in ("magnitude", "beta")}
    cells = published(table)
    return cells.loc[cells[list(kept)].isin(kept).all(axis=1), "value"].mean()


def labels_of(comparison):
    """What the two sides are, for people: the method, and what differs between them or from its own parameters."""
    sides = comparison.ours, comparison.reference
    names = ("dataset", "network", "epochs", "loss", "fractals", "n_train")
    differing = [name for name in names if comparison.ours[name] != comparison.reference[name]]
    own = sorted({key for side in sides for cell in side["parameters"] for key in json.loads(cell)})
    labels = []
    for side in sides:
        words = [
            f"{side[name]} epochs" if name == "epochs" else side[name]
            for name in differing
            if side[name] != "none"
        ]
        cells = [settings_of(side["method"], cell) for cell in side["parameters"]]
        words += [
            f"{key} {short(cells[0][key])}"
            for key in own
            if all(cell[key] == cells[0][key] for cell in cells)
        ]
        labels.append(", ".join([side["method"], *words]))
    return labels


def short(value):
    """A setting as text: numbers of a list to two digits."""
    return (
        " / ".join(f"{one:.2g}" for one in value) if isinstance(value, list | tuple) else str(value)
    )
