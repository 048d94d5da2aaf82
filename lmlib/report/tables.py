"""From rows to a table beside the paper's: mean, spread and n, what is separated, what deviates.

table = cells(rows, TABLE_3, profile=profile, printed=published(3)) # one row a cell, to save
show(table, "Table 3", profile=profile)                             # one row a method, to read
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from numbers import Number
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from IPython.display import HTML

from ..augment import METHODS
from ..checks import check_name
from ..corruptions import VERSION as RECIPES_VERSION
from ..metrics.intervals import paired_difference, summary
from ..study.evaluation import VERSION as ROWS_VERSION
from .deviations import SETTINGS, row_deviations
from .differences import by_seed
from .units import NOT_FRACTIONS, unit_of


class Column(NamedTuple):
    """A column of a table: a short title, and the measure on the benchmark that it shows."""

    title: str
    benchmark: str
    measure: str


CLEAN = Column("clean", "clean", "clean_error")
MCE = Column("C mCE", "c", "mce")
C_BAR_MCE = Column("C-bar mCE", "c_bar", "mce")
MFP = Column("P mFP", "p", "mfp")
MT5D = Column("P mT5D", "p", "mt5d")
PGD = Column("PGD strict", "pgd", "pgd_error")
PGD_PUBLISHED = Column("PGD published", "pgd", "pgd_error_published")
CLEAN_RMS = Column("clean RMS", "clean", "rms_calibration_error")
C_RMS = Column("C RMS", "c", "rms_calibration_error")
C_BAR_RMS = Column("C-bar RMS", "c_bar", "rms_calibration_error")
# The paper's column of calibration in Table 3 mixes the last two.
TABLE_3 = (MCE, MFP, PGD, PGD_PUBLISHED, CLEAN_RMS, C_RMS)
TABLE_4 = (CLEAN, MCE, C_BAR_MCE, MFP, MT5D, PGD, PGD_PUBLISHED, CLEAN_RMS, C_RMS, C_BAR_RMS)
BESIDE = (
    Column("C + C-bar mCE", "c_and_c_bar", "mce"),
    Column("C mCE of 14", "c", "mce_without_brightness"),
    Column("clean NLL", "clean", "nll"),
    Column("C NLL", "c", "nll"),
    Column("clean Brier", "clean", "brier"),
    Column("C Brier", "c", "brier"),
    Column("clean RMS floor", "clean", "rms_noise_floor"),
    Column("C RMS floor", "c", "rms_noise_floor"),
    Column("clean RMS, no last bin", "clean", "rms_without_last_bin"),
    Column("C RMS, no last bin", "c", "rms_without_last_bin"),
)
"""What a table also carries: see data/published/README.md."""

R = Column("R", "r", "error")
TABLE_8 = (
    CLEAN,
    Column("clean top-5", "clean", "top5_error"),
    MCE,
    C_BAR_MCE,
    R,
    Column("R top-5", "r", "top5_error"),
    MFP,
    MT5D,
    Column("clean RMS, no last bin", "clean", "rms_without_last_bin"),
    Column("C RMS, by cell", "c", "rms_by_cell_without_last_bin"),
    Column("C-bar RMS, by cell", "c_bar", "rms_by_cell_without_last_bin"),
    Column("R RMS, no last bin", "r", "rms_without_last_bin"),
)
"""Of Table 9, too, which has no P. Calibration is as the released programs measure it."""
BESIDE_TABLE_8 = (
    Column("C mCE, AlexNet = 100", "c", "mce_alexnet"),
    Column("C relative mCE", "c", "relative_mce"),
    Column("P mFP, paper's ten", "p", "mfp_paper_ten"),
    Column("P mT5D, paper's ten", "p", "mt5d_paper_ten"),
    Column("P mFR, unconfirmed", "p", "mfr_unconfirmed"),
    Column("clean, within R's 200", "clean", "error_of_200"),
    Column("clean RMS", "clean", "rms_calibration_error"),
    Column("C RMS", "c", "rms_calibration_error"),
    Column("C mCE of 14", "c", "mce_without_brightness"),
)

GREY = 'style="color: gray"'
NOT_RANKED = ("rms_noise_floor", "aurra")  # of all others, lower is better
PRINTED_AS = {
    "pgd_error_published": "pgd_error",
    "rms_without_last_bin": "rms_calibration_error",
    "rms_by_cell_without_last_bin": "rms_calibration_error",
}
"""Measures of the released program, and the name under which the paper prints their values."""
OF_THE_PAPER = "paper", "imagenet-200", "imagenet-1k"
"""Profiles of the paper's own size, whose cells have a difference to the printed ones."""
READING_OF = {"layermix_released": "layermix", "pixmix_k3": "pixmix", "pixmix_released": "pixmix"}
"""Methods, and the method whose printed values each is another reading of."""


def described(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with what a table may be laid out by: jsd, fractals, magnitude, beta.

    jsd: "yes" or "no"; fractals: "none", "grey" or "colour"; magnitude and beta: nan where the
    method has none. Raises ValueError where rows were written by another version of the measures
    or of the recipes: these are never mixed.
    """
    current = rows["version"].eq(ROWS_VERSION) & rows["recipes"].eq(RECIPES_VERSION)
    if len(other := rows.loc[~current, "run"].unique()):
        runs = f"{len(other)} runs were measured by another version of the measures or recipes"
        remedy = "`./run_all.sh` with their profile measures them again"
        raise ValueError(f"{runs}, e.g. {other[0]}: {remedy}")
    settings = [settings_of(*pair) for pair in zip(rows["method"], rows["parameters"], strict=True)]
    mixing = rows["mixing"].fillna("none")
    return rows.assign(
        n_train=[f"{n:.0f}" if n > 0 else "all" for n in pd.to_numeric(rows["n_train"])],
        mixing=mixing,
        jsd=np.where(rows["loss"] == "jsd", "yes", "no"),
        fractals=mixing.str.split(", ").str[-1],
        magnitude=[values.get("magnitude", np.nan) for values in settings],
        beta=[values.get("beta", np.nan) for values in settings],
    )


@cache
def settings_of(method: str, parameters: str) -> dict[str, Any]:
    """All parameters of a method: those of a row, which are JSON, over the defaults."""
    return METHODS[method].settings | json.loads(parameters)


def cells(
    rows: pd.DataFrame,
    columns: Sequence[Column],
    *,
    profile: str,
    by: Sequence[str] = ("method",),
    printed: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row a cell of a table, indexed by `by`, as fractions.

    rows: as `read_rows` gives them; by: the columns of `described` that make a row of the table;
    printed: cells of `published`, at most one for each row and column of the table. Columns:
    title, benchmark, measure; mean, std, n over seeds; image_low and image_high, the 95 %
    bootstrap interval over test images, where n = 1; printed, and in `OF_THE_PAPER` the
    difference to it; mark, as in `marks`; those of `row_deviations`. Raises ValueError where one
    row of the table would mix runs of different settings, and where there are no rows.
    """
    rows, by = described(rows), list(by)
    for name in by:
        check_name("column to lay a table out by", name, rows.columns)
    rows = rows[rows["corruption"].isna()].astype(dict.fromkeys(by, object))
    rows = rows.fillna(dict.fromkeys(by, ""))
    printed_cells = printed_by_key(printed, by)
    printed_rows = {key[:-2]: cell for key, cell in printed_cells.items()}
    deviations, records = {}, []
    for key, group in rows.groupby(by, sort=False):
        check_one_setting(key, by, group)
        deviations[key] = row_deviations(group, columns, by, printed_rows.get(row_key(by, key), {}))
    for column in columns:
        same = rows[rows["benchmark"].eq(column.benchmark) & rows["measure"].eq(column.measure)]
        mark_of = marks(by_seed(same, by), column.measure)
        printed_as = column.benchmark, PRINTED_AS.get(column.measure, column.measure)
        for key, group in same.groupby(by, sort=False):
            printed_cell = printed_cells.get((*row_key(by, key), *printed_as), {})
            numbers = cell(column, group, profile, printed_cell)
            mark = {"mark": mark_of.get(key, "")}
            records.append(dict(zip(by, key, strict=True)) | numbers | mark | deviations[key])
    if not records:
        titles = ", ".join(column.title for column in columns)
        raise ValueError(f"no rows of {titles}: `./run_all.sh {profile}` makes them")
    return pd.DataFrame(records).assign(profile=profile).set_index(by)


def check_one_setting(key: tuple, by: Sequence[str], group: pd.DataFrame) -> None:
    """Raise ValueError where one table row mixes settings, test images, or two runs of a seed."""
    runs = group.drop_duplicates("run")
    images = group.groupby(["benchmark", "measure"])[["over", "subset", "source"]]
    settings = runs[SETTINGS].nunique(dropna=False), images.nunique(dropna=False).max()
    mixed = [name for n in settings for name in n.index[n > 1]]
    if mixed or runs["seed"].duplicated().any():
        what = f"settings ({', '.join(mixed)})" if mixed else "runs of one seed"
        row = f"the table row {', '.join(map(str, key))}"
        raise ValueError(f"{row} would mix several {what}: choose rows, or add to by={by}")


def cell(
    column: Column, group: pd.DataFrame, profile: str, printed: Mapping[str, Any]
) -> dict[str, Any]:
    """The numbers of one cell: mean, std, n, the interval over images, what the paper printed."""
    one, values = group.iloc[0], column._asdict() | summary(group["value"])._asdict()
    values |= {f"image_{end}": one[end] if values["n"] == 1 else np.nan for end in ("low", "high")}
    values["printed"] = printed.get("value", np.nan)
    values["printed_dataset"] = printed.get("dataset", "")
    if profile in OF_THE_PAPER:
        comparable = values["printed_dataset"] == one["dataset"]
        values["difference"] = values["mean"] - values["printed"] if comparable else np.nan
    values |= {"over": one["over"], "n_images": one["n"]}
    return values | {"subset": one["subset"], "source": one["source"]}


def printed_by_key(printed: pd.DataFrame | None, by: Sequence[str]) -> dict[tuple, dict[str, Any]]:
    """Printed cells by (`row_key`, benchmark, measure). Raises ValueError where two share a key."""
    if printed is None:
        return {}
    names = [*by, "benchmark", "measure"]
    if printed.duplicated(names).any():
        shared = ", ".join(names)
        raise ValueError(f"several printed cells have the same {shared}: choose, e.g., a dataset")
    return {row_key(names, map(one.get, names)): one for one in printed.to_dict("records")}


def row_key(names: Iterable[str], values: Iterable[Any]) -> tuple[str, ...]:
    """A key that ours and the printed rows share: numbers as text, readings by their method."""
    texts = []
    for name, value in zip(names, values, strict=True):
        text = f"{value:g}" if isinstance(value, Number) else value
        text = READING_OF.get(text, text) if name == "method" else text
        texts.append("" if pd.isna(value) else text)
    return tuple(texts)


def marks(values: Mapping[Any, Mapping[int, float]], measure: str) -> dict[Any, str]:
    """Which rows are best and second best where the seeds carry it: {key: mark}, often empty.

    values: {key: {seed: value}}. The best is marked if its difference to every other row, paired
    by seed, is separated from zero at 95 % for all of them together: p times the number of other
    rows (any of them might be the true best) is below 0.05. The second is marked if the best is,
    and if it is separated likewise from all that remain. Fewer than two shared seeds, or
    differences without any spread, separate nothing.
    """
    if measure in NOT_RANKED:
        return {}
    ranked = sorted(values, key=lambda key: np.mean(list(values[key].values())))
    marked: dict[Any, str] = {}
    for rank, (mark, key) in enumerate(zip(("best", "second"), ranked[:-1], strict=False)):
        for other in ranked[rank + 1 :]:
            if len(values[key].keys() & values[other].keys()) < 2:
                return marked
            difference = paired_difference(values[key], values[other])
            p_value = difference.p_value * (len(ranked) - 1)
            if difference.mean >= 0 or p_value >= 0.05:
                return marked
        marked[key] = mark
    return marked


def text(cell: pd.Series) -> str:
    """A cell for people: "12.3 ± 0.2", or "12.3 [10.1, 14.5]" over images where n = 1.

    In the unit and with the decimals of `unit_of`; the best is bold and the second best in italics,
    as Markdown has them.
    """
    scale, digits = unit_of(cell["measure"], cell["n_images"])
    numbers = cell[["mean", "std", "image_low", "image_high"]] * scale
    mean, std, low, high = (f"{number:.{digits}f}" for number in numbers)
    interval = f" [{low}, {high}]" if np.isfinite(cell["image_low"]) else ""
    mark = {"best": "**", "second": "*"}.get(cell["mark"], "")
    return f"{mark}{mean}{mark}{f' ± {std}' if cell['n'] > 1 else interval}"


def for_display(table: pd.DataFrame) -> pd.DataFrame:
    """The cells as text, one row a table row and one column a title.

    A cell says its n only where n is not the same in the whole table.
    """
    several, parts = table["n"].nunique() > 1, {}
    for title, column in table.groupby("title", sort=False):
        parts[title] = column.apply(text, axis=1)
        parts[title] += column["n"].map(" (n={})".format) if several else ""
    return pd.concat(parts, axis=1).fillna("")


def printed_text(cell: pd.Series) -> str:
    """The paper's value for people, and in profile `paper` our difference to it: "20.7 (-0.30)"."""
    scale, _ = unit_of(cell["measure"])
    if not np.isfinite(cell["printed"]):
        return ""
    value = f"{cell['printed'] * scale:.2f}".removesuffix("0")
    difference = cell.get("difference", np.nan) * scale
    return f"{value} ({difference:+.2f})" if np.isfinite(difference) else value


def deviations_text(table: pd.DataFrame) -> str:
    """How the rows of a table differ from the paper's: what all share, then what single ones do."""
    labels = row_labels(table)
    texts = dict(zip(labels, table["deviations"].str.split("; "), strict=True))
    texts = {label: [one for one in row if one] for label, row in texts.items()}
    first = next(iter(texts.values()))
    shared = [one for one in first if all(one in row for row in texts.values())]
    rows_of: dict[str, list[str]] = {}
    for label, row in texts.items():
        if own := "; ".join(one for one in row if one not in shared):
            rows_of.setdefault(own, []).append(label)
    lines = ["; ".join(shared)] * bool(shared)
    lines += [f"{', '.join(labels)}: {own}" for own, labels in rows_of.items()]
    return f"Not as in the paper: {'. '.join(lines)}." if lines else "All as in the paper."


def row_labels(table: pd.DataFrame) -> pd.Index:
    """The rows of a table by name: what it is laid out by, as far as the rows differ in it."""
    index = table.index.to_frame(index=False)
    differing = [name for name in index if index[name].nunique() > 1] or list(index)[:1]
    labels = [" · ".join(map(str, row)) for row in index[differing].to_numpy()]
    return pd.Index(labels, name=" · ".join(map(str, differing)))


def distinct(values: Iterable[Any]) -> str:
    """The different values, in order: "a and b"."""
    return " and ".join(map(str, dict.fromkeys(values)))


def n_text(n: Iterable[int]) -> str:
    """How many seeds: "n = 3", or "n = 1 to 3"."""
    return f"n = {min(n)}" + (f" to {max(n)}" if min(n) < max(n) else "")


def size_text(table: pd.DataFrame) -> str:
    """What was trained and for how long, of rows or cells: "cifar10, wrn-10-1, 6 epochs"."""
    sizes = [distinct(table[name]) for name in ("dataset", "network", "epochs")]
    return f"{', '.join(sizes)} epochs"


def title(table: pd.DataFrame, name: str, *, profile: str) -> str:
    """The caption of a table: its name, the profile, data, network, epochs, n, units, marks."""
    plain = table.reset_index()
    single = "n = 1: no spread; in brackets, for a mean over test images, its 95 % interval"
    spread = single if plain["n"].min() == 1 else "± std"
    seeds = f"{n_text(plain['n'])} seed{'s' if plain['n'].max() > 1 else ''} ({spread})"
    own_unit = "; NLL, Brier and mT5D in their own unit"
    units = own_unit if plain["measure"].isin(NOT_FRACTIONS).any() else ""
    marked = "bold: best, italics: second best"
    ranks = marked if plain["mark"].any() else "no best or second best is separated"
    size = f"{name} · profile {profile}: {size_text(plain)}, {seeds}"
    return f"{size} · percent{units}; lower is better · {ranks} at 95 %"


def show(table: pd.DataFrame, name: str, *, profile: str) -> HTML:
    """The table for people: `title` above it, and below it how it differs from the paper.

    The paper's value stands small below ours, but for digits, which it has not.
    """
    sizes = size_text(table.reset_index())
    shown = for_display(table).replace(r"\*\*(.*?)\*\*", r"<b>\1</b>", regex=True)
    shown = shown.replace(r"\*(.*?)\*", r"<i>\1</i>", regex=True)
    shown = shown.replace(r" (\[.*?\]|\(n=\d+\))", r"<br><small>\1</small>", regex=True)
    for title_, column in table.groupby("title", sort=False):
        beside = column.apply(printed_text, axis=1) if "digits" not in sizes else ""
        small = pd.Series(beside, column.index).reindex(shown.index, fill_value="")
        small = small.map(lambda value: f"<br><small {GREY}>{value}</small>" * bool(value))
        shown[title_] += small
    datasets = distinct(one for one in table["printed_dataset"] if one)
    is_beside = shown.apply(lambda column: column.str.contains(GREY, regex=False).any()).any()
    notes = [f"Grey: printed in the paper, {datasets}."] * bool(is_beside)
    labels = row_labels(shown)
    labelled = shown.set_axis(labels).rename_axis(index=None, columns=labels.name)
    caption = f"<caption><b>{title(table, name, profile=profile)}</b></caption>"
    html = labelled.to_html(escape=False, border=0, classes="results")
    html = html.replace("<thead>", f"{caption}<thead>", 1)
    notes.append(deviations_text(table))
    return HTML(f'{html}<p class="note"><small>{" ".join(notes)}</small></p>')
