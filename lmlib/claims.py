"""The comparisons that each of the paper's claims comes down to: two sides of rows, the claimed sign, what was printed.

C11 compares images and not runs: `verdicts.layers_seen` reads it from the table of `15-ablations`.
"""

import json
from functools import lru_cache
from typing import NamedTuple

from .augment import METHODS
from .profiles import MIXERS, get_profile, table_dataset
from .published import published
from .runs import own_parameters
from .tables import (
    CLEAN,
    CLEAN_RMS,
    MCE,
    MFP,
    PGD,
    PGD_PUBLISHED,
    PRINTED_AS,
    READING_OF,
    TABLE_3,
    TABLE_4,
    Column,
    settings_of,
)

READINGS = ("layermix_released", "layermix")
"""Which operations made the paper's tables is not known; the released program's are the likelier, so theirs decide."""
RELEASED = " as released"  # ends the family of what the released reading decides
C_RMS, (C_BAR, MT5D) = TABLE_3[-1], [column for column in TABLE_4 if column.title in ("C-bar mCE", "P mT5D")]


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


def side(profile, method, *, cells=({},), **changes):
    """What the rows of one side have: the profile's sizes and the method's own loss and fractals, but for `changes`."""
    sizes, row = get_profile(profile), METHODS[method]
    parameters = tuple(json.dumps(own_parameters(cell, row.settings), sort_keys=True) for cell in cells)
    return {
        "dataset": table_dataset(profile),
        "network": sizes.network,
        "epochs": sizes.epochs,
        "method": method,
        "parameters": parameters,
        "loss": row.loss,
        "fractals": row.fractals if row.needs_mixing_set else "none",
        "n_train": "all",
    } | changes


@lru_cache(maxsize=16)
def cells_of(table):
    """`published`, read once."""
    return published(table)


def printed_value(table, column, wanted):
    """The paper's value for a side (the mean over its cells), nan where the table has none."""
    if table is None:
        return float("nan")
    cells, method = cells_of(table), READING_OF.get(wanted["method"], wanted["method"])
    found = cells[
        (cells["measure"] == PRINTED_AS.get(column.measure, column.measure)) & (cells["benchmark"] == column.benchmark)
    ]
    for name in ("dataset", "network", "epochs"):
        found = found[(found[name] == wanted[name]).fillna(False)]
    found = found[found["method"] == method]
    for name, value in (("jsd", "yes" if wanted["loss"] == "jsd" else "no"), ("fractals", wanted["fractals"])):
        found = found[found[name].isin(["", value])]
    if table == 6:
        settings = [settings_of(wanted["method"], one) for one in wanted["parameters"]]
        pairs = {(one["magnitude"], one["beta"]) for one in settings}
        found = found[found.set_index(["magnitude", "beta"]).index.isin(pairs)]
    return found["value"].mean()


def compare(claim, table, column, ours, reference, sign=-1, *, decides=True):
    """A `Comparison`; table: the number of the paper's table, or None for a claim of its text."""
    family = f"Table {table}" if table else f"claim {claim}"
    printed = printed_value(table, column, ours), printed_value(table, column, reference)
    reading = RELEASED if ours["method"] == READINGS[0] else ""
    return Comparison(claim, family + reading, decides, column, ours, reference, sign, printed)


def leads(profile, claim, datasets, columns, references):
    """LayerMix, in both readings, against other methods on Tables 3 and 4."""
    return [
        compare(
            claim,
            3 if dataset == "cifar10" else 4,
            column,
            side(profile, reading, dataset=dataset),
            side(profile, reference, dataset=dataset),
            decides=reading == READINGS[0] and column != PGD_PUBLISHED,
        )
        for dataset in datasets
        for column in columns
        for reference in references
        for reading in READINGS
    ]


def of_tables_3_and_4(profile):
    """C1 to C5."""
    every, rivals = get_profile(profile).datasets, ("pixmix", "ipmix", "augmix")
    hundred = [dataset for dataset in every if dataset == "cifar100"] or every[:1]
    return [
        *leads(profile, "C1", every, [MCE], rivals),
        *leads(profile, "C2", hundred, [C_BAR, MFP, MT5D], rivals),
        *leads(profile, "C3", every, [CLEAN_RMS, C_RMS], rivals),
        *leads(profile, "C4", every, [PGD, PGD_PUBLISHED], ["baseline"]),
        *leads(profile, "C5", hundred, [CLEAN], ["baseline"]),
    ]


def of_table_5(profile):
    """C6 and C7."""
    grey = [
        compare("C6", 5, column, *(side(profile, method, fractals=kind) for kind in ("grey", "colour")), sign)
        for method in MIXERS
        for column, sign in ((MCE, -1), (PGD, 1))
    ]
    with_jsd, longer = (
        side(profile, "layermix", loss="jsd"),
        side(profile, "layermix", epochs=3 * get_profile(profile).epochs),
    )
    without = side(profile, "layermix")
    jsd = [
        compare("C7", 5, column, with_jsd, plain) for column in (CLEAN, MCE, PGD) for plain in (without, longer)
    ]  # three views a step: three times as long is the equal compute
    return grey + jsd


def of_table_6(profile):
    """C8: the largest level of magnitude, and of beta, minus the smallest, over all levels of the other."""
    sizes, table = get_profile(profile), []
    size = {"n_train": str(sizes.grid_n_train)} if sizes.grid_n_train else {}
    for name, other, levels, others in (
        ("magnitude", "beta", sizes.magnitudes, sizes.betas),
        ("beta", "magnitude", sizes.betas, sizes.magnitudes),
    ):
        ours, reference = (
            side(profile, "layermix", cells=[{name: level, other: value} for value in others], **size)
            for level in (max(levels), min(levels))
        )
        table += [compare("C8", 6, column, ours, reference, 0) for column in (CLEAN, MCE, PGD, CLEAN_RMS, MFP)]
    return table


def of_table_7(profile):
    """C9, network by network."""
    return [
        compare(
            "C9", 7, column, *(side(profile, method, network=network, epochs=epochs) for method in ("layermix", rival))
        )
        for network, epochs in dict.fromkeys(get_profile(profile).networks)
        for column in (MCE, MFP)
        for rival in ("pixmix", "ipmix")
    ]


def of_the_text(profile):
    """C10 and C12, which the paper argues with and does not show: no printed values."""
    shared = [
        compare(
            "C10",
            None,
            column,
            *(side(profile, method, cells=[{"magnitude": m}]) for method in ("layermix", "layermix_iid")),
        )
        for m in (3, 5, 8)
        for column in (CLEAN, MCE)
    ]
    means, masks = ([{"probabilities": list(p)}] for p in ((0.5, 0.5, 0, 0), (0, 0, 0.5, 0.5)))
    # Section 3.3: means are for clean accuracy, masks for robustness, and the weights are a balance of the two.
    ours = side(profile, "layermix")
    balance = [
        compare("C12", None, CLEAN, ours, side(profile, "layermix", cells=masks)),
        compare("C12", None, MCE, ours, side(profile, "layermix", cells=means)),
    ]
    return shared + balance


def comparisons(profile):
    """All comparisons of a profile's size, claim by claim: list of `Comparison`."""
    parts = (of_tables_3_and_4, of_table_5, of_table_6, of_table_7, of_the_text)
    return [comparison for part in parts for comparison in part(profile)]


def labels_of(comparison):
    """What the two sides are, for people: the method, and what differs between them or from its own parameters."""
    sides = comparison.ours, comparison.reference
    names = ("dataset", "network", "epochs", "loss", "fractals", "n_train")
    differing = [name for name in names if comparison.ours[name] != comparison.reference[name]]
    own = sorted({key for side in sides for cell in side["parameters"] for key in json.loads(cell)})
    labels = []
    for side in sides:
        words = [
            f"{side[name]} epochs" if name == "epochs" else side[name] for name in differing if side[name] != "none"
        ]
        cells = [settings_of(side["method"], cell) for cell in side["parameters"]]
        words += [f"{key} {short(cells[0][key])}" for key in own if all(cell[key] == cells[0][key] for cell in cells)]
        labels.append(", ".join([side["method"], *words]))
    return labels


def short(value):
    """A setting as text: numbers of a list to two digits."""
    return " / ".join(f"{one:.2g}" for one in value) if isinstance(value, list | tuple) else str(value)
