"""The comparisons that each claim of the paper comes down to, read from comparisons.toml.

Each has two sides of rows, the claimed sign of their difference, and what was printed of both.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from .. import paths
from ..augment import METHODS
from ..study.config import non_default_parameters
from ..study.plans import table_dataset
from ..study.profiles import Profile, get_profile
from .published import published
from .tables import PRINTED_AS, READING_OF, TABLE_4, Column, settings_of

SIGNS = {"lower": -1, "higher": 1, "alike": 0, "beside": -1}


class Comparison(NamedTuple):
    """One difference, ours minus reference, that a claim has an opinion on."""

    claim: str
    family: str  # the table whose p values are adjusted together
    decides: bool  # whether the claim's verdict rests on it, or it only stands beside
    column: Column
    ours: dict[str, Any]  # of `side`
    reference: dict[str, Any]
    sign: int  # claimed, of the difference: -1, 1, or 0 for "hardly any"
    printed: tuple[float, float]  # the paper's (ours, reference); nan where it has none


def comparisons(profile: str) -> list[Comparison]:
    """All comparisons at the size of a profile, claim by claim."""
    rules = tomllib.loads((paths.PUBLISHED / "comparisons.toml").read_text(encoding="utf-8"))
    return [one for rule in rules["rule"] for one in comparisons_of(profile, rule)]


def comparisons_of(profile: str, rule: Mapping[str, Any]) -> Iterator[Comparison]:
    """The comparisons of one rule of comparisons.toml, which explains its keys."""
    columns = {column.title: column for column in TABLE_4}
    claimed = [(kind, columns[title]) for kind in SIGNS for title in rule.get(kind, ())]
    scopes, each = table_scopes(profile, rule.get("table")), rule.get("each", [{}])
    every = product(scopes, each, claimed, rule["reference"], rule["ours"])
    for (table, scope), shared, (kind, column), second, first in every:
        ours, reference = (side(profile, **scope | shared | one) for one in (first, second))
        family = f"Table {table}" if table else f"claim {rule['claim']}"
        family += " as released" if ours["method"] == "layermix_released" else ""
        decides = first == rule["ours"][0] and kind != "beside"
        printed = printed_value(table, column, ours), printed_value(table, column, reference)
        labels = rule["claim"], family, decides, column
        yield Comparison(*labels, ours, reference, SIGNS[kind], printed)


def table_scopes(profile: str, table: Any) -> list[tuple[int | None, dict[str, Any]]]:
    """The parts of a table: (its number, the settings both sides share), by dataset or network.

    table: of a rule, a number or "3 and 4", or None.
    """
    sizes = get_profile(profile)
    if table in (4, "3 and 4"):  # Table 4 is of CIFAR-100, where there is more than one set
        names = sizes.datasets[-1:] if table == 4 else sizes.datasets
        three = () if table == 4 else ("cifar10",)
        return [(3 if name in three else 4, {"dataset": name}) for name in names]
    if table == 7:
        networks = dict.fromkeys(sizes.networks)
        return [(7, {"network": network, "epochs": epochs}) for network, epochs in networks]
    return [(table, {})]


def side(profile: str, method: str = "layermix", **changes: Any) -> dict[str, Any]:
    """What the rows of a side have: the profile's sizes, the method's loss and fractals, `changes`.

    changes: settings, and of a rule's keys `cells`, which the parameters are averaged over, and
    `schedule`, times the profile's epochs. The keys of the result are columns of
    `tables.described`; its parameters are a tuple of cells.
    """
    sizes, row = get_profile(profile), METHODS[method]
    cells: str | Sequence[dict] = changes.pop("cells", [{}])
    cells = cells_at(sizes, *cells.split()) if isinstance(cells, str) else cells
    parameters = [non_default_parameters(cell, row.settings) for cell in cells]
    return {
        "dataset": table_dataset(profile),
        "network": sizes.network,
        "epochs": changes.pop("schedule", 1) * sizes.epochs,
        "method": method,
        "parameters": tuple(json.dumps(one, sort_keys=True) for one in parameters),
        "loss": row.loss,
        "fractals": row.fractals if row.needs_mixing_set else "none",
        "n_train": "all",
    } | changes


def cells_at(sizes: Profile, end: str, name: str) -> list[dict]:
    """The cells of Table 6 at the "highest" or "lowest" level of "magnitude" or "beta"."""
    levels = {"magnitude": sizes.magnitudes, "beta": sizes.betas}
    levels[name] = (max(levels[name]) if end == "highest" else min(levels[name]),)
    return [dict(zip(levels, cell, strict=True)) for cell in product(*levels.values())]


def printed_value(table: int | None, column: Column, side: Mapping[str, Any]) -> float:
    """The paper's value for a side, averaged over its cells; nan where the table has none."""
    if table is None:
        return float("nan")
    allowed = {name: [side[name]] for name in ("dataset", "network", "epochs")} | {
        "measure": [PRINTED_AS.get(column.measure, column.measure)],
        "benchmark": [column.benchmark],
        "method": [READING_OF.get(side["method"], side["method"])],
        "jsd": ["", "yes" if side["loss"] == "jsd" else "no"],  # "": the table does not say
        "fractals": ["", side["fractals"]],
    }
    if table == 6:
        settings = [settings_of(side["method"], cell) for cell in side["parameters"]]
        allowed |= {name: [one[name] for one in settings] for name in ("magnitude", "beta")}
    cells = published(table)
    return cells.loc[cells[list(allowed)].isin(allowed).all(axis=1), "value"].mean()


def labels_of(comparison: Comparison) -> list[str]:
    """The two sides for people: the method, and the settings in which they differ."""
    both = comparison.ours, comparison.reference
    names = [name for name in both[0] if name not in ("method", "parameters")]
    differing = [name for name in names if both[0][name] != both[1][name]]
    keys = sorted({key for one in both for cell in one["parameters"] for key in json.loads(cell)})
    labels = []
    for one in both:
        texts = [one["method"]]
        for name in differing:
            text = f"{one[name]} epochs" if name == "epochs" else one[name]
            texts += [text] if text != "none" else []
        first, *others = (settings_of(one["method"], cell) for cell in one["parameters"])
        shared = [key for key in keys if all(cell[key] == first[key] for cell in others)]
        labels.append(", ".join([*texts, *(f"{key} {short(first[key])}" for key in shared)]))
    return labels


def short(value: Any) -> str:
    """A setting as text, the numbers of a list with two digits."""
    return " / ".join(f"{n:.2g}" for n in value) if isinstance(value, list | tuple) else str(value)
