"""The report: what of the paper is where, and the results in the README."""

import json
import logging
import math
import re
from collections.abc import Iterable
from html import escape
from pathlib import Path

import pandas as pd

from .. import paths
from ..augment import METHODS
from ..files import write_text
from ..study import runs
from ..study.profiles import MAIN_METHODS, PROFILES, get_profile
from ..study.rows import read_rows, row_files
from . import tables
from .deviations import SETTINGS
from .plots import COLOURS
from .published import published
from .verdicts import has_substitute, is_paper_scale

LOG = logging.getLogger(__name__)
EXHIBITS = pd.read_csv(paths.PUBLISHED / "exhibits.csv", keep_default_na=False).set_index("name")
"""The tables and figures of the paper: what each shows; notebook, where it is made here; figures,
the pattern of what that draws in figures/<profile>; measured, the pattern of the tables in
data/results/<profile>/tables that hold its numbers; status, for those without any; profile, which
makes it where not all do."""
README_BEGIN = "<!-- results: made by `./run_all.sh readme` from data/results, never by hand -->"
MADE = "Made by `./run_all.sh readme` from data/results, never by hand."
README_END = "<!-- end of results -->"
README_COLUMNS = (
    tables.CLEAN, tables.MCE, tables.C_BAR_MCE, tables.MFP, tables.PGD, tables.C_RMS
)  # fmt: skip
PLAIN_TITLES = {
    "clean": "clean",
    "C mCE": "15 corruptions",
    "C-bar mCE": "10 others",
    "P mFP": "flips",
    "PGD strict": "adversary",
    "C RMS": "miscalibration",
}
"""The titles of `README_COLUMNS` for who has not read the paper."""


def figures_of(exhibit: str, profile: str) -> list[Path]:
    """The figures of an exhibit that were drawn for a profile."""
    pattern = EXHIBITS.loc[exhibit, "figures"]
    return sorted((paths.FIGURES / profile).glob(f"{pattern}.png")) if pattern else []


def tables_of(exhibit: str, profile: str) -> list[pd.DataFrame]:
    """The tables behind an exhibit, of `tables.cells`, as the table notebooks saved them."""
    pattern = EXHIBITS.loc[exhibit, "measured"]
    files = (paths.RESULTS / profile / "tables").glob(f"{pattern}.csv") if pattern else []
    return [read_cells(file) for file in sorted(files)]


def read_cells(file: Path) -> pd.DataFrame:
    """The cells of a saved table, indexed as they were: by the columns before `title`."""
    table = pd.read_csv(file, dtype={"n_train": str, "parameters": str})
    texts = ["mark", "printed_dataset", "deviations"]
    table[texts] = table[texts].astype(object).fillna("")
    return table.set_index(list(table.columns[: table.columns.get_loc("title")]))


def status_of(exhibit: str, profile: str) -> str:
    """In words: at the paper's scale, at a smaller one (which), only the code path, or not run."""
    if status := EXHIBITS.loc[exhibit, "status"]:
        return status
    parts = [table.reset_index() for table in tables_of(exhibit, profile)]
    if not parts:
        maker = EXHIBITS.loc[exhibit, "profile"] or profile
        return f"not made in profile {profile}: `./run_all.sh {maker}`"
    cells = pd.concat(parts)
    scale = "at the paper's scale" if is_paper_scale(cells) else "at a smaller scale"
    text = f"{scale}: {tables.size_text(cells)}, {tables.n_text(cells['n'])}"
    text += "; substitute mixing set" if has_substitute(cells) else ""
    return text + coverage_text(exhibit, cells)


def coverage_text(exhibit: str, cells: pd.DataFrame) -> str:
    """How many printed rows of a table have one of ours beside them; readings count once."""
    kind, _, number = exhibit.partition(" ")
    if kind != "Table":
        return ""
    settings = ["dataset", "label", "jsd", "fractals", "epochs"]
    n_printed = len(published(int(number)).query("label != 'mean (std)'").drop_duplicates(settings))
    ours = cells[cells["printed"].notna() & ~cells["method"].isin(tables.READING_OF)]
    return f"; beside {len(ours.drop_duplicates(SETTINGS))} of {n_printed} printed rows"


def contents(profile: str) -> pd.DataFrame:
    """Every exhibit with what it shows, its status, its notebook and the number of its figures."""
    table = EXHIBITS[["shows"]].rename_axis("exhibit")
    notebook = EXHIBITS["notebook"].map(lambda name: f"[{name}]({name}.ipynb)" if name else "")
    status = [status_of(name, profile) for name in EXHIBITS.index]
    n_figures = [len(figures_of(name, profile)) for name in EXHIBITS.index]
    return table.assign(status=status, notebook=notebook, figures=n_figures)


def run_durations(names: Iterable[str]) -> pd.DataFrame:
    """Seconds that runs took on the machine that has them, indexed by run; nan if not known.

    training: the epochs of the run's history; in_all: the executed `05-train`, evaluation
    included. The latter is of the last attempt alone: that of an interrupted or newly evaluated
    run is shorter than the whole. A damaged file is named, and its duration not known.
    """
    seconds = {"training": training_seconds, "in_all": executed_seconds}
    rows = [[each(run) for each in seconds.values()] for run in names]
    return pd.DataFrame(rows, index=list(names), columns=list(seconds))


def training_seconds(run: str) -> float:
    """Seconds of the epochs in the history of a run, nan if it has no whole weights here."""
    present = runs.committed_weights(run) or (paths.RUNS / run / "checkpoint.safetensors").exists()
    try:
        return sum(epoch["seconds"] for epoch in runs.history_of(run)) if present else math.nan
    except ValueError as error:
        LOG.warning("how long the training of %s took is not known: %s", run, error)
        return math.nan


def executed_seconds(run: str) -> float:
    """Seconds that papermill took for the executed notebook of a run, nan if it did not end."""
    file = paths.RUNS / run / "train.ipynb"
    try:
        metadata = json.loads(file.read_text(encoding="utf-8"))["metadata"]
        return metadata["papermill"]["duration"] or math.nan
    except (ValueError, LookupError, TypeError) as error:
        LOG.warning("how long %s took is not known: %s is damaged (%s)", run, file, error)
    except FileNotFoundError:
        pass
    return math.nan


def markdown_table(frame: pd.DataFrame) -> str:
    """A table of text as Markdown, so that links, code and formulas in its cells are rendered."""
    frame = frame.reset_index().astype(str)
    lines = [frame.columns, ["---"] * frame.shape[1], *frame.to_numpy()]
    lines = [[text.replace("|", "\\|") for text in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def without_shared(frame: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """A table of text without the columns in which all rows agree, and these in a sentence."""
    same = [name for name in frame if len(frame) > 1 and frame[name].nunique() == 1]
    text = "; ".join(f"{name}: {frame[name].iloc[0]}" for name in same)
    return frame.drop(columns=same), f"*In all rows: {text}.*" if same else ""


def claims_strip(seen: pd.DataFrame) -> str:
    """The claims as small boxes in HTML: which way the differences go, how many, and n.

    seen: of `verdicts.summarise`. The sign is ✓ where all go as claimed, ✗ where none does.
    """
    boxes = []
    for claim, row in seen.iterrows():
        counted = re.match(r"(\d+) of (\d+) differences", row["seen"])
        n = re.search(r"\((n = [^)]*)\)", row["seen"])
        along, of = map(int, counted.groups()) if counted else (0, 0)
        sign, colour = ("·", "gray") if not of else ("~", COLOURS[1])
        if of and along in (0, of):
            sign, colour = ("✓", COLOURS[2]) if along else ("✗", COLOURS[5])
        words = f"{along} of {of}, {n[1]}" if counted and n else "not run"
        boxes.append(
            f'<a href="#{claim}" title="{escape(row["statement"])}" style="border-color: {colour}">'
            f"<b>{claim} {sign}</b> {words}<br>{escape(row['verdict'].partition(':')[0])}</a>"
        )
    return f'<div class="claims">{"".join(boxes)}</div>'


EARLIER = (
    "These runs are of an earlier version of this study and cannot be made again by this one; "
    "those of the profile's network replace them."
)
"""Said of rows that do not name their weights."""


def groups_of(profile: str) -> list[pd.DataFrame]:
    """The rows of methods as they are by default, for each dataset, network and schedule.

    Those of the profile's own network and schedule come first, those of an earlier version last.
    """
    rows, sizes = read_rows(profile), get_profile(profile)
    methods = rows["method"].map(METHODS)
    fractals = rows["mixing"].str.split(", ").str[-1]  # Table 5 has methods with the other kind
    own = fractals.eq("none") | fractals.eq([method.fractals for method in methods])
    rows = rows[own & rows["parameters"].eq("{}") & rows["n_train"].isna()]
    order = list(METHODS).index
    rows = rows.sort_values("method", key=lambda names: names.map(order), kind="stable")
    other = (rows["network"] != sizes.network) | (rows["epochs"] != sizes.epochs)
    rows = rows.assign(earlier=rows["weights"].isna(), other=other)
    by = ["earlier", "dataset", "other", "network", "epochs"]
    return [group for _, group in rows.groupby(by)]


def results_section(group: pd.DataFrame, profile: str) -> str:
    """One of `groups_of` as Markdown: its table, how it differs from the paper, its provenance."""
    cells = tables.cells(group, README_COLUMNS, profile=profile, by=("method", "loss"))
    names = ("precision", "machine", "device")
    machines = ", ".join(tables.distinct(group[name]) for name in names)
    mixing = tables.distinct(label for label in group["mixing"] if label != "none") or "none"
    made = f"commits {tables.distinct(sorted(group['commit'].str[:8]))}"
    made += f", finished {group['finished'].max()[:10]}"
    note = f" {EARLIER}" if group["earlier"].any() else ""
    return "\n\n".join(
        [
            f"**{tables.title(cells, 'Results', profile=profile)}**",
            markdown_table(tables.for_display(cells)),
            tables.deviations_text(cells),
            f"Mixing images: {mixing}. {machines}, {made}.{note}",
        ]
    )


def main_cells(profile: str) -> pd.DataFrame:
    """The paper's main methods on a profile's first dataset: cells of `README_COLUMNS`."""
    first = groups_of(profile)[0]
    loss = first["method"].map(lambda method: METHODS[method].loss)
    main = first[first["method"].isin(MAIN_METHODS) & first["loss"].eq(loss)]
    return tables.cells(main, README_COLUMNS, profile=profile)


def readme_section(profile: str) -> str:
    """The cells of `main_cells` as Markdown, and where all results of the profile are."""
    cells = main_cells(profile)
    size = f"{tables.size_text(cells)}, {tables.n_text(cells['n'])}"
    spread = "± its deviation over seeds" if cells["n"].max() > 1 else "of one seed"
    images = " [95 % interval over test images]" * bool(cells["image_low"].notna().any())
    caption = f"**{size}. Error in percent, {spread}{images}; lower is better.**"
    page = (paths.FIGURES / profile / "README.md").relative_to(paths.ROOT).as_posix()
    link = f"All methods, measures, networks and what deviates: [{page}]({page})."
    table = markdown_table(tables.for_display(cells).rename(columns=PLAIN_TITLES))
    return "\n\n".join(filter(None, [caption, table, headline(cells), link]))


def headline(cells: pd.DataFrame) -> str:
    """LayerMix minus plain training in one sentence, in points; "" where one of them is absent."""
    means = cells.set_index("title", append=True)["mean"].unstack() * 100
    if not {"baseline", "layermix"} <= set(means.index):
        return ""
    change = means.loc["layermix"] - means.loc["baseline"]
    titles = [column.title for column in README_COLUMNS if column.title in change]
    named = [f"{PLAIN_TITLES[title]} {change[title]:+.1f}" for title in titles]
    return f"LayerMix against plain training, in points: {', '.join(named)}."


def update_readme() -> None:
    """Write the results of all profiles with committed rows.

    All of them go to figures/<profile>/README.md, the main ones between the marks of README.md.
    """
    own = "quick", "photographs"  # of one machine, and of a user's pictures
    names = [name for name in PROFILES if name not in own and row_files(name)]
    for name in names:
        parts = [results_section(group, name) for group in groups_of(name)]
        text = "\n\n".join([f"# Results of the profile {name}", MADE, *parts])
        write_text(paths.FIGURES / name / "README.md", f"{text}\n")
    file = paths.SOURCE / "README.md"
    before, _, rest = file.read_text(encoding="utf-8").partition(README_BEGIN)
    after = rest.partition(README_END)[2]
    sections = [readme_section(name) for name in names]
    text = "\n\n".join([before + README_BEGIN, *sections, README_END]) + after
    write_text(file, text)
