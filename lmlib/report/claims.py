"""The comparisons that each claim of the paper comes down to, read from comparisons.toml.

Each has two sides of rows, the claimed sign of their difference, and what was printed of both.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
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
    printed: tuple[float, ...]  # the paper's (ours, reference); nan where it has none


def comparisons(profile: str) -> list[Comparison]:
    """All comparisons at the size of a profile, claim by claim."""
    rules = tomllib.loads((paths.PUBLISHED / "comparisons.toml").read_text(encoding="utf-8"))
    return [one for rule in rules["rule"] for one in comparisons_of(profile, **rule)]


def comparisons_of(
    profile: str,
    *,
    claim: str,
    ours: Sequence[dict],
    reference: Sequence[dict],
    table: int | str | None = None,
    each: Sequence[dict] = ({},),
    **claimed: list[str],
) -> list[Comparison]:
    """The comparisons of one rule of comparisons.toml, whose keys are the arguments."""
    columns = {column.title: column for column in TABLE_4}
    signs = [(name, columns[title]) for name, titles in claimed.items() for title in titles]
    compared = []
    for (number, scope), shared, (name, column), theirs, mine in product(
        table_scopes(profile, table), each, signs, reference, ours
    ):
        sides = [side(profile, **scope | shared | one) for one in (mine, theirs)]
        family = f"Table {number}" if number else f"claim {claim}"
        family += " as released" if sides[0]["method"] == "layermix_released" else ""
        decides = mine == ours[0] and name != "beside"
        printed = tuple(printed_value(number, column, one) for one in sides)
        compared.append(
            Comparison(claim, family, decides, column, sides[0], sides[1], SIGNS[name], printed)
        )
    return compared


def table_scopes(profile: str, table: int | str | None) -> list[tuple[int | None, dict]]:
    """The parts of a table: (its number, the settings both sides share), by dataset or network."""
    sizes = get_profile(profile)
    if table == "3 and 4":
        return [(3 if name == "cifar10" else 4, {"dataset": name}) for name in sizes.datasets]
    if table == 4:
        return [(4, {"dataset": sizes.datasets[-1]})]  # CIFAR-100 where there is more than one
    if table == 7:
        networks = dict.fromkeys(sizes.networks)
        return [(7, {"network": network, "epochs": epochs}) for network, epochs in networks]
    return [(table if isinstance(table, int) else None, {})]


def side(
    profile: str,
    method: str = "layermix",
    *,
    cells: str | Sequence[dict] = ({},),
    schedule: int = 1,
    **changes: Any,
) -> dict[str, Any]:
    """What the rows of a side have: the profile's sizes, the method's loss and fractals, `changes`.

    The keys are columns of `tables.described`; parameters is a tuple of cells to average over.
    """
    sizes, row = get_profile(profile), METHODS[method]
    if isinstance(cells, str):
        cells = cells_at(sizes, *cells.split())
    parameters = [non_default_parameters(cell, row.settings) for cell in cells]
    return {
        "dataset": table_dataset(profile),
        "network": sizes.network,
        "epochs": schedule * sizes.epochs,
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
        values = {name: one[name] for name in differing if one[name] != "none"}
        texts = [f"{value} epochs" if name == "epochs" else value for name, value in values.items()]
        cells = [settings_of(one["method"], cell) for cell in one["parameters"]]
        shared = [key for key in keys if all(cell[key] == cells[0][key] for cell in cells)]
        labels.append(
            ", ".join([one["method"], *texts, *(f"{key} {short(cells[0][key])}" for key in shared)])
        )
    return labels


def short(value: Any) -> str:
    """A setting as text, the numbers of a list with two digits."""
    return " / ".join(f"{n:.2g}" for n in value) if isinstance(value, list | tuple) else str(value)
