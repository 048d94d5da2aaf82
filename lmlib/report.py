"""The report: what the paper shows and where it is here, what it cost, and its export to one HTML file that loads nothing."""

import html
import json
import os
import re
from typing import NamedTuple

import nbformat
import pandas as pd
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from safetensors import safe_open

from . import paths
from .published import published
from .tables import READING_OF
from .verdicts import is_paper_scale


class Exhibit(NamedTuple):
    """A table or figure of the paper: where it is made here. Without `measured` its status does not depend on the profile."""

    name: str
    shows: str
    notebook: str
    figures: tuple = ()  # patterns of what it draws, in figures/<profile>
    measured: str = ""  # pattern of the tables that its numbers stand in, in data/results/<profile>/tables
    status: str = ""


DRAWN = "drawn anew: our draws, and generated fractals where nobody brought others, so not the paper's pictures"
NO_IMAGENET = "not run: there is no ImageNet here. What exists: "
ALEXNET = "the AlexNet-normalised mCE (`metrics.mce_alexnet`)"
PRINTED = "the printed numbers in `data/published`"
GRADCAM = (
    "at a smaller scale: this profile's networks on its own images, photographs through a pretrained EfficientNet-Lite0"
)
EXHIBITS = (
    Exhibit("Table 1", "the four blends", "03-layermix", status="only the code path: `lmlib/augment/blend.py`, tested by formula"),
    Exhibit("Table 2", "the operations", "03-layermix", status="only the code path: `lmlib/augment/ops.py`, in both readings"),
    Exhibit("Table 3", "four safety measures, CIFAR-10 and CIFAR-100", "09-tables-3-4", ("09-clean-and-mce",), "09-table-3-*"),
    Exhibit("Table 4", "all measures, CIFAR-100", "09-tables-3-4", (), "09-table-4-*"),
    Exhibit("Table 5", "JSD and grey fractals", "10-table-5", ("10-table-5*",), "10-table-5"),
    Exhibit("Table 6", "magnitude x beta", "11-table-6", ("11-table-6*",), "11-table-6"),
    Exhibit("Table 7", "networks", "12-table-7", ("12-table-7*",), "12-table-7"),
    Exhibit("Table 8", "ImageNet-200", "", status=f"{NO_IMAGENET}ResNet-50 and every method at 224 px, {ALEXNET}, {PRINTED}"),
    Exhibit("Table 9", "ImageNet-1K", "", status=f"{NO_IMAGENET}ResNet-50 and every method at 224 px, {PRINTED}"),
    Exhibit("Fig. 1", "every method on one image", "08-methods", ("08-methods-*",), status=DRAWN),
    Exhibit("Fig. 2", "the pipeline", "03-layermix", ("03-layermix-steps",), status=DRAWN),
    Exhibit("Fig. 3", "error by corruption, C", "13-heatmaps", ("13-fig-3-*",), "09-table-4-*"),
    Exhibit("Fig. 4", "error by corruption, ImageNet-200-C", "", status=f"{NO_IMAGENET}the recipes of CIFAR-C, {ALEXNET}"),
    Exhibit("Fig. 5", "error by corruption, C-bar", "13-heatmaps", ("13-fig-5-*",), "09-table-4-*"),
    Exhibit("Fig. 6", "grey fractals", "02-fractals", ("02-mixing-set",), status=DRAWN),
    Exhibit("Fig. 7", "samples of the three layers", "03-layermix", ("03-layermix-layers",), status=DRAWN),
    Exhibit("Fig. 8", "samples of LayerMix", "03-layermix", ("03-layermix-samples",), status=DRAWN),
    Exhibit("Fig. 9", "Grad-CAM", "14-gradcam", ("14-gradcam-*",), status=GRADCAM),
)  # fmt: skip


def figures_of(exhibit, profile):
    """The figures of an exhibit that were drawn for a profile: paths."""
    return [path for pattern in exhibit.figures for path in sorted((paths.FIGURES / profile).glob(f"{pattern}.png"))]


def tables_of(exhibit, profile):
    """The tables behind an exhibit, as the table notebooks saved them: {file's name: DataFrame as `tables.cells` makes it}."""
    files = sorted((paths.RESULTS / profile / "tables").glob(f"{exhibit.measured}.csv")) if exhibit.measured else []
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
    tables = tables_of(exhibit, profile)
    if not tables:
        return f"not made in profile {profile}: `./run_all.sh {profile}`"
    cells = pd.concat([table.reset_index() for table in tables.values()])
    sizes = {name: " and ".join(dict.fromkeys(cells[name].astype(str))) for name in ("dataset", "network", "epochs")}
    low, high = cells["n"].min(), cells["n"].max()
    scale = "at the paper's scale" if is_paper_scale(cells) else "at a smaller scale"
    substitute = "; substitute mixing set" if cells["mixing"].astype(str).str.contains("substitute").any() else ""
    seeds = f"n = {low}" if low == high else f"n = {low} to {high}"
    words = f"{scale}: {sizes['dataset']}, {sizes['network']}, {sizes['epochs']} epochs, {seeds}{substitute}"
    return words + beside(exhibit, tables)


def beside(exhibit, tables):
    """How many printed rows of a table have one of ours beside them, in words; other readings of a method do not count twice."""
    kind, _, number = exhibit.name.partition(" ")
    if kind != "Table":
        return ""
    printed = published(int(number)).query("label != 'mean (std)'")
    n_printed = len(printed.drop_duplicates(["dataset", "label", "jsd", "fractals", "epochs"]))
    n_ours = sum(
        table.set_index(table.reset_index()["method"].to_numpy(), append=True)
        .loc[lambda found: found["printed"].notna().to_numpy() & ~found.index.isin(READING_OF, level=-1)]
        .index.nunique()
        for table in tables.values()
    )
    return f"; beside {n_ours} of {n_printed} printed rows"


def contents(profile):
    """Every table and figure of the paper with its status, its notebook and its figures here: DataFrame, indexed by exhibit."""
    rows = [
        {
            "exhibit": exhibit.name,
            "shows": exhibit.shows,
            "status": status_of(exhibit, profile),
            "notebook": f"[{exhibit.notebook}]({exhibit.notebook}.ipynb)" if exhibit.notebook else "",
            "figures": len(figures_of(exhibit, profile)),
        }
        for exhibit in EXHIBITS
    ]
    return pd.DataFrame(rows).set_index("exhibit")


def spent(names):
    """What the runs took on the machine that has them, in seconds: DataFrame, indexed by run, nan where that is not known.

    training: the epochs of the run's history; in_all: the executed `04-train`, evaluation included; it holds the last attempt
    alone, so that of an interrupted or newly evaluated run is shorter than the whole.
    """
    rows = {}
    for name in names:
        folder, row = paths.RUNS / name, {"training": float("nan"), "in_all": float("nan")}
        kept = [folder / "checkpoint.safetensors", *paths.RESULTS.glob(f"*/weights/{name}.safetensors")]
        for file in [file for file in kept if file.exists()][:1]:
            with safe_open(file, framework="pt") as checkpoint:
                history = json.loads(checkpoint.metadata()["values"])["history"]
            row["training"] = sum(epoch["seconds"] for epoch in history)
        if (folder / "train.ipynb").exists():
            row["in_all"] = (
                json.loads((folder / "train.ipynb").read_text())["metadata"]["papermill"]["duration"] or row["in_all"]
            )
        rows[name] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def markdown_table(frame):
    """A DataFrame of text as a Markdown table, so that links, code and formulas in its cells are rendered."""
    frame = frame.reset_index().astype(str)
    lines = [frame.columns, ["---"] * frame.shape[1], *frame.to_numpy()]
    return "\n".join("| " + " | ".join(word.replace("|", "\\|") for word in line) + " |" for line in lines)


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
    return MarkdownWithMath(renderer=MathRenderer(escape=False, exclude_anchor_links=True)).render(source)


STYLE = """
body { max-width: 76em; margin: 2em auto; padding: 0 1.5em; font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a }
h1, h2, h3 { line-height: 1.2; margin-top: 1.6em } h1 { margin-top: 0 }
p, li { max-width: 48em } code, pre { font: 14px/1.4 ui-monospace, monospace; background: #f4f4f4; padding: 0 .2em }
pre { padding: .5em .8em; white-space: pre-wrap } img { max-width: 100%; height: auto }
table { border-collapse: collapse; font-size: 14px; margin: 1em 0 } caption { text-align: left; font-weight: bold; padding: .4em 0 }
caption { max-width: 68em }
th, td { text-align: left; vertical-align: top; padding: .25em .7em; border-bottom: 1px solid #ddd } thead th { border-color: #555 }
.output_subarea, .rendered_html { overflow-x: auto }
"""


def export(executed, path):
    """Write an executed notebook as one HTML file: figures embedded, formulas as MathML, no script, nothing from a server.

    executed: the notebook's path; its code is left out. Links to notebooks beside it point to `notebooks/` from where `path` is.
    """
    notebook = nbformat.read(executed, 4)
    exporter = HTMLExporter(
        template_name="basic", exclude_input=True, exclude_output_prompt=True, exclude_input_prompt=True
    )
    exporter.register_filter("markdown2html", markdown)
    body, _ = exporter.from_notebook_node(notebook)
    folder = os.path.relpath(paths.NOTEBOOKS, path.parent)
    body = re.sub(r'href="(\d\d-[\w-]+\.ipynb)"', rf'href="{folder}/\1"', body)
    title = next(
        (line[2:] for cell in notebook.cells for line in cell.source.splitlines() if line.startswith("# ")), path.stem
    )
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
    )
    paths.write_text(
        path,
        f'<!DOCTYPE html>\n<html lang="en">\n<head>{head}<style>{STYLE}</style></head>\n<body>{body}</body>\n</html>\n',
    )
    return path
