"""From rows to a table beside the paper's: mean, spread and n, what is separated, what was printed, what deviates.

found = cells(rows, TABLE_3, profile=profile, printed=published(3))    # one row a cell, for machines: `results.save_table`
show(found, "Table 3", profile=profile)                                # one row a method, for people
"""

import json
from functools import cache
from numbers import Number
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..augment import METHODS
from ..checks import check_name
from ..corruptions import VERSION as RECIPES_VERSION
from ..metrics.intervals import paired_difference, summary
from ..study import measures
from .deviations import SETTINGS, honesty
from .differences import by_seed
from .plots import NOT_FRACTIONS, unit_of


class Column(NamedTuple):
    """A column of a table: a short title, and the measure on the benchmark that it shows."""

    title: str
    benchmark: str
    measure: str


CLEAN, MCE, MFP = (
    Column("clean", "clean", "clean_error"),
    Column("C mCE", "c", "mce"),
    Column("P mFP", "p", "mfp"),
)
PGD, PGD_PUBLISHED = (
    Column("PGD strict", "pgd", "pgd_error"),
    Column("PGD published", "pgd", "pgd_error_published"),
)
CLEAN_RMS, C_RMS = (
    Column(f"{title} RMS", title.lower(), "rms_calibration_error") for title in ("clean", "C")
)
TABLE_3 = (
    MCE,
    MFP,
    PGD,
    PGD_PUBLISHED,
    CLEAN_RMS,
    C_RMS,
)  # the paper's column of calibration mixes the last two
TABLE_4 = (
    CLEAN, MCE, Column("C-bar mCE", "c_bar", "mce"), MFP, Column("P mT5D", "p", "mt5d"), PGD, PGD_PUBLISHED,
    CLEAN_RMS, C_RMS, Column("C-bar RMS", "c_bar", "rms_calibration_error"),
)  # fmt: skip
BESIDE = (
    Column("C + C-bar mCE", "c_and_c_bar", "mce"), Column("C mCE of 14", "c", "mce_without_brightness"),
    Column("clean NLL", "clean", "nll"), Column("C NLL", "c", "nll"),
    Column("clean Brier", "clean", "brier"), Column("C Brier", "c", "brier"),
    Column("clean RMS floor", "clean", "rms_noise_floor"), Column("C RMS floor", "c", "rms_noise_floor"),
    Column("clean RMS, no last bin", "clean", "rms_without_last_bin"), Column("C RMS, no last bin", "c", "rms_without_last_bin"),
)  # fmt: skip
"""What a table also carries: see data/published/README.md."""

NOT_RANKED = ("rms_noise_floor", "aurra")  # of all others, lower is better
PRINTED_AS = {"pgd_error_published": "pgd_error", "rms_without_last_bin": "rms_calibration_error"}
"""Measures of the released program -> the name under which the paper prints their values."""
READING_OF = {"layermix_released": "layermix", "pixmix_k3": "pixmix", "pixmix_released": "pixmix"}
"""Method -> the method whose printed values it is another reading of."""


def described(rows):
    """Rows with what a table may be laid out by, read from their settings: jsd, fractals, magnitude, beta.

    jsd: "yes" or "no"; fractals: "none", "grey" or "colour"; magnitude and beta: nan where the method has none.
    Raises ValueError where rows were written by another version of the measures or of the recipes: they are never mixed.
    """
    current = (rows["version"] == measures.VERSION) & (rows["recipes"] == RECIPES_VERSION)
    other = rows.loc[~current, "run"].unique()
    if len(other):
        raise ValueError(
            f"{len(other)} runs were measured by another version of the measures or recipes, e.g. {other[0]}:"
            " `./run_all.sh` with their profile measures them again"
        )
    settings = [settings_of(*pair) for pair in zip(rows["method"], rows["parameters"], strict=True)]
    mixing = rows["mixing"].fillna("none")
    return rows.assign(
        n_train=[f"{n:.0f}" if n > 0 else "all" for n in pd.to_numeric(rows["n_train"])],
        mixing=mixing,
        jsd=np.where(rows["loss"] == "jsd", "yes", "no"),
        fractals=mixing.str.split(", ").str[-1],
        magnitude=[found.get("magnitude", np.nan) for found in settings],
        beta=[found.get("beta", np.nan) for found in settings],
    )


@cache
def settings_of(method, parameters):
    """All parameters of a method, those of a row (JSON) over the defaults."""
    return METHODS[method].settings | json.loads(parameters)


def cells(rows, columns, *, profile, by=("method",), printed=None):
    """One row a cell of a table: DataFrame, indexed by `by`, fractions; as `results.save_table` wants it.

    rows: of `results.read_rows`; columns: of `Column`; by: what makes a row of the table, of the columns of `described`;
    printed: cells of `published.published`, at most one for each row and column of the table. What comes out:
    title, benchmark, measure; mean, std, n over seeds; image_low, image_high: where n = 1, the 95 % bootstrap interval over
    test images; printed, and in profile `paper` the difference to it; mark, as in `marks`; deviations, and what they say
    in columns of their own. Raises ValueError where one row of the table would mix runs of different settings.
    """
    rows, by = described(rows), list(by)
    for name in by:
        check_name("column to lay a table out by", name, rows.columns)
    rows = rows[rows["corruption"].isna()]
    rows = rows.assign(
        **{name: rows[name].astype(object).where(rows[name].notna(), "") for name in by}
    )
    look_up = printed_cells(printed, by)
    paper, said, records = {place[:-2]: cell for place, cell in look_up.items()}, {}, []
    for key, group in rows.groupby(by, sort=False):
        check_one_setting(key, by, group)
        said[key] = honesty(group, columns, by, paper.get(place_of(by, key), {}))
    for column in columns:
        here = rows[(rows["benchmark"] == column.benchmark) & (rows["measure"] == column.measure)]
        marked = marks(by_seed(here, by), column.measure)
        for key, group in here.groupby(by, sort=False):
            place = (
                *place_of(by, key),
                column.benchmark,
                PRINTED_AS.get(column.measure, column.measure),
            )
            numbers = cell(
                column, group, profile, look_up.get(place, {"value": np.nan, "dataset": ""})
            )
            records.append(
                dict(zip(by, key, strict=True))
                | numbers
                | {"mark": marked.get(key, "")}
                | said[key]
            )
    if not records:
        titles = ", ".join(column.title for column in columns)
        raise ValueError(f"no rows of {titles}: `./run_all.sh {profile}` makes them")
    return pd.DataFrame(records).assign(profile=profile).set_index(by)


def check_one_setting(key, by, group):
    """Raise ValueError where the rows of one table row come from different settings or test images, or from two runs of a seed."""
    runs = group.drop_duplicates("run")
    mixed = [name for name in SETTINGS if runs[name].nunique(dropna=False) > 1]
    measured = (
        group.groupby(["benchmark", "measure"])[["over", "subset", "source"]]
        .nunique(dropna=False)
        .max()
    )
    mixed += list(measured.index[measured > 1])
    if mixed or runs["seed"].duplicated().any():
        what = f"settings ({', '.join(mixed)})" if mixed else "runs of one seed"
        raise ValueError(
            f"the table row {', '.join(map(str, key))} would mix several {what}: choose among the rows, or add to by={by}"
        )


def cell(column, group, profile, printed):
    """The numbers of one cell: mean, std, n; the interval over images where n = 1; the printed value and the difference."""
    found, one = column._asdict() | summary(group["value"])._asdict(), group.iloc[0]
    found |= {f"image_{end}": one[end] if found["n"] == 1 else np.nan for end in ("low", "high")}
    found |= {"printed": printed["value"], "printed_dataset": printed["dataset"]}
    if profile == "paper":
        found["difference"] = (
            found["mean"] - printed["value"] if printed["dataset"] == one["dataset"] else np.nan
        )
    return found | {
        "over": one["over"],
        "n_images": one["n"],
        "subset": one["subset"],
        "source": one["source"],
    }


def printed_cells(printed, by):
    """{place of the table's row, benchmark, measure: the printed cell}; ValueError where two cells compete for a place."""
    if printed is None:
        return {}
    names = [*by, "benchmark", "measure"]
    if printed.duplicated(names).any():
        raise ValueError(
            f"several printed cells have the same {', '.join(names)}: choose among them, e.g. one dataset"
        )
    return {
        place_of(names, (cell[name] for name in names)): cell for cell in printed.to_dict("records")
    }


def place_of(names, key):
    """A key as it is looked up: readings of a method under its printed name, numbers as text."""
    values = [
        "" if pd.isna(value) else f"{value:g}" if isinstance(value, Number) else value
        for value in key
    ]
    return tuple(
        READING_OF.get(value, value) if name == "method" else value
        for name, value in zip(names, values, strict=True)
    )


def marks(values, measure):
    """Which rows are best and second best where the seeds carry it: {key: "best" or "second"}, often empty.

    values: {key: {seed: value}}. The best is marked if its difference to every other row, paired by seed, has an interval off
    zero: at 95 % for all of them together, that is, p times the number of other rows (any of them might be the true
    best) below 0.05. The second is marked if the best is, and if it is separated likewise from all that remain. Fewer than
    two shared seeds, or differences without any spread, separate nothing.
    """
    if measure in NOT_RANKED:
        return {}
    ranked, marked = sorted(values, key=lambda key: np.mean(list(values[key].values()))), {}
    for mark, best in zip(("best", "second"), ranked[:-1], strict=False):
        behind = ranked[ranked.index(best) + 1 :]
        if not all(separated(values[best], values[key], len(ranked) - 1) for key in behind):
            break
        marked[best] = mark
    return marked


def separated(ours, theirs, n_compared):
    """Whether `ours` is lower than `theirs` ({seed: value}) by more than the seeds' spread, for `n_compared` comparisons."""
    if len(ours.keys() & theirs.keys()) < 2:
        return False
    difference = paired_difference(ours, theirs)
    return difference.mean < 0 and difference.std > 1e-9 and difference.p_value * n_compared < 0.05


def text(cell):
    """A cell for people: "12.3 ± 0.2 (n=3)", or with the interval over images "12.3 [10.1, 14.5] (n=1)"; in percent if a fraction.

    Decimals as in `plots.unit_of`. A superscript 1 or 2 marks the best and the second best.
    """
    scale, digits = unit_of(cell["measure"], cell["n_images"])
    mean, std, low, high = (
        f"{cell[name] * scale:.{digits}f}" for name in ("mean", "std", "image_low", "image_high")
    )
    spread = (
        f" ± {std}"
        if cell["n"] > 1
        else f" [{low}, {high}]"
        if np.isfinite(cell["image_low"])
        else ""
    )
    mark = {"best": " ¹", "second": " ²"}.get(cell["mark"], "")
    return f"{mean}{spread} (n={cell['n']}){mark}"


def wide(found):
    """The cells as one row a table row: DataFrame of text, columns (title, "ours", "paper" or "difference"), deviations last."""
    parts = {}
    for title, column in found.groupby("title", sort=False):
        scale, _ = unit_of(column["measure"].iloc[0])
        parts[title, "ours"] = column.apply(text, axis=1)
        if column["printed"].notna().any():
            datasets = " ".join(sorted(set(column["printed_dataset"]) - {""}))
            parts[title, f"paper: {datasets}"] = (
                (column["printed"] * scale).map("{:.2f}".format).str.removesuffix("0")
            )
        if "difference" in column and column["difference"].notna().any():
            parts[title, "difference"] = (column["difference"] * scale).map("{:+.2f}".format)
    parts["deviations", ""] = found["deviations"][~found.index.duplicated()]
    return pd.concat(parts, axis=1).fillna("").replace({"nan": "", "+nan": ""})


def distinct(values):
    """The different values in words, in order: "a and b"."""
    return " and ".join(map(str, dict.fromkeys(values)))


def n_in_words(n):
    """How many seeds: "n = 3", or "n = 1 to 3"."""
    return f"n = {min(n)}" + (f" to {max(n)}" if min(n) < max(n) else "")


def size_in_words(found):
    """What was trained and for how long: "cifar10, wrn-10-1, 6 epochs". found: rows or cells."""
    return f"{distinct(found['dataset'])}, {distinct(found['network'])}, {distinct(found['epochs'])} epochs"


def title(found, name, *, profile):
    """What every table says above itself: its name, the profile, data, network, epochs, n, units and marks."""
    plain, shown = found.reset_index(), set(found["measure"])
    seeds = f"{n_in_words(plain['n'])} seed{'s' if plain['n'].max() > 1 else ''}"
    single = " (n = 1: no spread; in brackets, for a mean over test images, its 95 % interval)"
    units = (
        "percent; NLL, Brier and mT5D in their own unit"
        if shown & set(NOT_FRACTIONS)
        else "percent"
    )
    marked = (
        "¹ best, ² second best" if plain["mark"].any() else "no best or second best is separated"
    )
    return (
        f"{name} · profile {profile}: {size_in_words(plain)}, {seeds}{single if plain['n'].min() == 1 else ' (± std)'} · {units}; "
        f"lower is better · {marked} at 95 %"
    )


def show(found, name, *, profile):
    """The table for people: a Styler of `wide` with `title` as its caption."""
    look = [
        {"selector": "caption", "props": "caption-side: top; text-align: left; font-weight: bold"}
    ]
    look += [{"selector": "td", "props": "white-space: nowrap; text-align: left"}]
    styler = (
        wide(found).style.set_caption(title(found, name, profile=profile)).set_table_styles(look)
    )
    return styler.set_properties(
        subset=[("deviations", "")], **{"min-width": "24em", "white-space": "normal"}
    )
