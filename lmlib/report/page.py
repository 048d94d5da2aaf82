"""The report: what the paper shows and where it is here, what it cost, and its export to one HTML file that loads nothing."""

import html
import json
import math
import os
import re

import nbformat
import pandas as pd
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from safetensors import SafetensorError, safe_open

from .. import paths
from ..study import runs
from .deviations import SETTINGS
from .published import published
from .tables import READING_OF, n_in_words, size_in_words
from .verdicts import is_paper_scale

LISTED = pd.read_csv(paths.PUBLISHED / "exhibits.csv", keep_default_na=False)
EXHIBITS = tuple(LISTED.itertuples(index=False, name="Exhibit"))
"""The tables and figures of the paper: name, what it shows, its notebook here, figures (pattern of what that draws, in
figures/<profile>), measured (pattern of the tables that its numbers stand in, in data/results/<profile>/tables) and status; without
`measured` the status does not depend on the profile."""


def figures_of(exhibit, profile):
    """The figures of an exhibit that were drawn for a profile: paths."""
    return (
        sorted((paths.FIGURES / profile).glob(f"{exhibit.figures}.png")) if exhibit.figures else []
    )


def tables_of(exhibit, profile):
    """The tables behind an exhibit, as the table notebooks saved them: {file's name: DataFrame as `tables.cells` makes it}."""
    files = (
        sorted((paths.RESULTS / profile / "tables").glob(f"{exhibit.measured}.csv"))
        if exhibit.measured
        else []
    )
    return {file.stem: read_cells(file) for file in files}


def read_cells(file):
    """Cells of a table from their file: DataFrame, indexed as it was (by the columns before `title`)."""
    table = pd.read_csv(file, dtype={"n_train": str, "parameters": str})
    words = ["mark", "printed_dataset", "deviations"]
    table[words] = table[words].astype(object).fillna("")
    return table.set_index(list(table.columns[: table.columns.get_loc("title")]))


def status_of(exhibit, profile):
    """In words: at the paper's scale, at a smaller one (which), only the code path, or not run, and why."""
    if exhibit.status:
        return exhibit.status
    tables = [table.reset_index() for table in tables_of(exhibit, profile).values()]
    if not tables:
        return f"not made in profile {profile}: `./run_all.sh {profile}`"
    cells = pd.concat(tables)
    scale = "at the paper's scale" if is_paper_scale(cells) else "at a smaller scale"
    substitute = (
        "; substitute mixing set" if cells["mixing"].str.contains("substitute").any() else ""
    )
    return f"{scale}: {size_in_words(cells)}, {n_in_words(cells['n'])}{substitute}{beside(exhibit, cells)}"


def beside(exhibit, cells):
    """How many printed rows of a table have one of ours beside them, in words; other readings of a method do not count twice."""
    kind, _, number = exhibit.name.partition(" ")
    if kind != "Table":
        return ""
    settings = ["dataset", "label", "jsd", "fractals", "epochs"]
    n_printed = len(published(int(number)).query("label != 'mean (std)'").drop_duplicates(settings))
    ours = cells[cells["printed"].notna() & ~cells["method"].isin(READING_OF)]
    n_ours = len(ours.drop_duplicates(SETTINGS))
    return f"; beside {n_ours} of {n_printed} printed rows"


def contents(profile):
    """Every table and figure of the paper with its status, its notebook and its figures here: DataFrame, indexed by exhibit."""
    linked = [
        f"[{exhibit.notebook}]({exhibit.notebook}.ipynb)" if exhibit.notebook else ""
        for exhibit in EXHIBITS
    ]
    status = [status_of(exhibit, profile) for exhibit in EXHIBITS]
    n_figures = [len(figures_of(exhibit, profile)) for exhibit in EXHIBITS]
    table = pd.DataFrame(
        {"exhibit": LISTED["name"], "shows": LISTED["shows"], "status": status, "notebook": linked}
    )
    return table.assign(figures=n_figures).set_index("exhibit")


def spent(names):
    """What the runs took on the machine that has them, in seconds: DataFrame, indexed by run, nan where that is not known.

    training: the epochs of the run's history; in_all: the executed `04-train`, evaluation included; it holds the last attempt
    alone, so that of an interrupted or newly evaluated run is shorter than the whole. A damaged file is named, and not known.
    """
    rows = {name: {"training": math.nan, "in_all": math.nan} for name in names}
    for name, row in rows.items():
        own = paths.RUNS / name / "checkpoint.safetensors"
        kept = own if own.exists() else runs.committed_weights(name)
        executed = paths.RUNS / name / "train.ipynb"
        for column, file, seconds in (
            ("training", kept, training_seconds),
            ("in_all", executed, executed_seconds),
        ):
            try:
                row[column] = seconds(file) if file and file.exists() else math.nan
            except (ValueError, LookupError, TypeError, SafetensorError) as error:
                print(f"{file} is damaged ({error}): how long it took is not known")
    return pd.DataFrame.from_dict(rows, orient="index")


def training_seconds(checkpoint):
    """Seconds of the epochs in a checkpoint's history. Its tensors, which take long for large networks, are not read."""
    with safe_open(checkpoint, framework="pt") as file:
        return sum(epoch["seconds"] for epoch in json.loads(file.metadata()["values"])["history"])


def executed_seconds(notebook):
    """Seconds that papermill took for an executed notebook, nan if it did not come to its end."""
    return (
        json.loads(notebook.read_text(encoding="utf-8"))["metadata"]["papermill"]["duration"]
        or math.nan
    )


def markdown_table(frame):
    """A DataFrame of text as a Markdown table, so that links, code and formulas in its cells are rendered."""
    frame = frame.reset_index().astype(str)
    lines = [frame.columns, ["---"] * frame.shape[1], *frame.to_numpy()]
    return "\n".join(
        "| " + " | ".join(word.replace("|", "\\|") for word in line) + " |" for line in lines
    )


class MathRenderer(IPythonRenderer):
    """Markdown to HTML with formulas as MathML, which browsers draw by themselves."""

    def block_math(self, body):
        return convert(body.strip(), display="block")

    def inline_math(self, body):
        return convert(body.strip())

    def latex_environment(self, name, body):
        return convert(rf"\begin{{{name}}}{body}\end{{{name}}}", display="block")


def markdown(source):
    """Markdown as HTML, formulas as MathML."""
    return MarkdownWithMath(renderer=MathRenderer(escape=False, exclude_anchor_links=True)).render(
        source
    )


PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title><style>
{style}</style></head>
<body>{body}</body>
</html>
"""


def export(executed, path):
    """Write an executed notebook as one HTML file: figures embedded, formulas as MathML, no script, nothing from a server.

    executed: the notebook's path; its code is left out. Links to notebooks beside it point to `notebooks/` from where `path` is.
    """
    notebook = nbformat.read(executed, 4)
    without = {"exclude_input": True, "exclude_input_prompt": True, "exclude_output_prompt": True}
    exporter = HTMLExporter(template_name="basic", **without)
    exporter.register_filter("markdown2html", markdown)
    body, _ = exporter.from_notebook_node(notebook)
    folder = os.path.relpath(paths.NOTEBOOKS, path.parent)
    body = re.sub(r'href="(\d\d-[\w-]+\.ipynb)"', rf'href="{folder}/\1"', body)
    title = next(
        (cell.source.splitlines()[0].removeprefix("# ") for cell in notebook.cells), path.stem
    )
    style = (paths.NOTEBOOKS / "report.css").read_text(encoding="utf-8")
    paths.write_text(path, PAGE.format(title=html.escape(title), style=style, body=body))
    return path
