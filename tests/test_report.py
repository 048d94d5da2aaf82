import base64
import json
import math
from html.parser import HTMLParser

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from test_tables import frame, seeds

from lmlib import paths
from lmlib.report import tables
from lmlib.report.page import (
    EXHIBITS,
    contents,
    export,
    figures_of,
    markdown,
    markdown_table,
    read_cells,
    spent,
    status_of,
)
from lmlib.report.published import published
from lmlib.study import rows as results
from lmlib.study import runs

NOTEBOOKS = sorted(paths.NOTEBOOKS.glob("[0-9]*.ipynb"))
PIXEL = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc000000301010018dd8db00000000049454e44ae426082"
    )
).decode()
TABLE_3 = next(exhibit for exhibit in EXHIBITS if exhibit.name == "Table 3")


class Page(HTMLParser):
    """What a page is made of: its tags, and every address that a browser would load by itself."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.loaded, self.links, self.style = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        if tag == "a":
            self.links.append(attributes["href"])
        else:
            names = ("src", "href", "srcset", "data", "poster")
            self.loaded += [attributes[name] for name in names if name in attributes]
        self.style += attributes.get("style") or ""

    def handle_data(self, data):
        if self.tags and self.tags[-1] == "style":
            self.style += data


@pytest.fixture
def page(tmp_path):
    """An executed notebook with one of everything, exported: (text, what it is made of)."""
    picture = new_output(
        "display_data", {"image/png": PIXEL}, metadata={"image/png": {"alt": "one pixel"}}
    )
    text = new_output(
        "display_data",
        {"text/markdown": "see [nine](09-tables-3-4.ipynb), $x^2$", "text/plain": "nothing"},
    )
    table = pd.DataFrame({"error": [0.5]}).style.set_caption("a caption").to_html()
    outputs = [picture, text, new_output("display_data", {"text/html": table})]
    prose = (
        r"# A title & more"
        "\n\nLet $\\bar a_1 < b$ be, [the paper](https://arxiv.org/abs/2501.04861),\n\n$$\\frac{s}{\\sqrt n}$$"
    )
    notebook = new_notebook(
        cells=[new_markdown_cell(prose), new_code_cell("secret = 1", outputs=outputs)]
    )
    nbformat.write(notebook, tmp_path / "executed.ipynb")
    written = export(
        tmp_path / "executed.ipynb", tmp_path / "figures" / "quick" / "page.html"
    ).read_text()
    return written, Page(written)


def test_the_page_loads_nothing_from_a_server_or_a_file(page):
    _, made = page
    assert made.loaded and all(
        address.startswith("data:image/png;base64,") for address in made.loaded
    )
    assert not {"script", "link", "iframe", "object", "embed"} & set(made.tags)
    assert "url(" not in made.style and "@import" not in made.style


def test_the_page_holds_the_figure_the_table_and_its_title_and_not_the_code(page):
    text, made = page
    assert PIXEL in text and 'alt="one pixel"' in text and "a caption" in text
    assert "<title>A title &amp; more</title>" in text and "secret" not in text
    assert made.tags.count("img") == 1 and "table" in made.tags


def test_formulas_are_mathml_in_prose_and_in_outputs(page):
    text, made = page
    assert made.tags.count("math") == 3 and "$" not in text
    assert "<mfrac>" in text and "<msqrt>" in text and 'display="block"' in text


def test_links_to_notebooks_lead_to_the_notebooks_from_where_the_page_is(page, tmp_path):
    _, made = page
    assert (
        made.links[0] == "https://arxiv.org/abs/2501.04861"
    )  # in prose, followed by the reader alone
    target = (tmp_path / "figures" / "quick" / made.links[1]).resolve()
    assert target == paths.NOTEBOOKS / "09-tables-3-4.ipynb"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_formula_of_the_notebooks_can_be_converted(notebook):
    for cell in nbformat.read(notebook, 4).cells:
        if cell.cell_type == "markdown":
            made = markdown(cell.source)
            assert made.count("<math") == made.count("</math>") >= ("$" in cell.source)


def test_every_table_and_figure_of_the_paper_is_named_once_and_leads_to_a_notebook():
    wanted = [f"{kind} {n}" for kind in ("Table", "Fig.") for n in range(1, 10)]
    assert [exhibit.name for exhibit in EXHIBITS] == wanted
    for exhibit in EXHIBITS:
        imagenet = exhibit.name in ("Table 8", "Table 9", "Fig. 4")
        assert (paths.NOTEBOOKS / f"{exhibit.notebook}.ipynb").exists() != imagenet
        assert exhibit.status.startswith("not run: there is no ImageNet here") == imagenet
        assert bool(exhibit.status) != bool(exhibit.measured)


def test_a_table_that_is_not_made_says_the_command(root):
    assert status_of(TABLE_3, "quick") == "not made in profile quick: `./run_all.sh quick`"
    assert contents("quick").loc["Table 3", "status"].startswith("not made")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {},
            "at the paper's scale: cifar100, wrn-40-4, 100 epochs, n = 3; beside 1 of 18 printed rows",
        ),
        (
            {"epochs": 20},
            "at a smaller scale: cifar100, wrn-40-4, 20 epochs, n = 3; beside 1 of 18 printed rows",
        ),
        (
            {"subset": "500 stratified test images"},
            "at a smaller scale: cifar100, wrn-40-4, 100 epochs, n = 3; beside 1 of 18 printed rows",
        ),
    ],
)
def test_the_status_of_a_table_is_its_scale(root, changes, said):
    rows = frame(
        *seeds("layermix", (0.2, 0.21, 0.22), **changes),
        *seeds("layermix_released", (0.2, 0.2, 0.2), **changes),
    )
    found = tables.cells(rows, [tables.CLEAN], profile="paper", printed=published(4))
    results.save_table(found, "09-table-3-cifar100", profile="paper")
    assert status_of(TABLE_3, "paper") == said


def test_a_saved_table_reads_for_people_as_the_one_that_was_saved(root):
    rows = frame(*seeds("baseline", (0.2, 0.21, 0.22)), *seeds("cutout", (0.1,)))
    found = tables.cells(rows, [tables.CLEAN], profile="paper", printed=published(4))
    again = read_cells(results.save_table(found, "09-table-4-cifar100", profile="paper"))
    pd.testing.assert_frame_equal(tables.wide(again), tables.wide(found), check_dtype=False)
    assert tables.title(again, "Table 4", profile="paper") == tables.title(
        found, "Table 4", profile="paper"
    )


def test_the_figures_of_an_exhibit_are_those_that_were_drawn(root):
    assert figures_of(TABLE_3, "quick") == []
    drawn = paths.FIGURES / "quick" / "09-clean-and-mce.png"
    paths.write_text(drawn, "")
    assert figures_of(TABLE_3, "quick") == [drawn]


def test_the_cost_is_the_seconds_of_the_history_and_of_the_executed_notebook(own_run):
    name = own_run.config.name
    (row,) = spent([name]).to_dict("records")
    assert (
        row["training"] == pytest.approx(sum(epoch["seconds"] for epoch in runs.history_of(name)))
        and row["training"] > 0
    )
    assert math.isnan(row["in_all"])
    paths.write_text(
        own_run.config.folder / "train.ipynb",
        json.dumps({"metadata": {"papermill": {"duration": 7.5}}}),
    )
    assert spent([name])["in_all"].tolist() == [7.5]


@pytest.mark.parametrize("content", ["", '{"metadata": {', "{}", "[]"])
def test_a_damaged_file_costs_the_report_one_number_and_is_named(own_run, capsys, content):
    for file in (
        own_run.config.folder / "train.ipynb",
        own_run.config.folder / "checkpoint.safetensors",
    ):
        file.write_text(content)
    assert spent([own_run.config.name]).isna().all(axis=None)
    said = capsys.readouterr().out
    assert "train.ipynb is damaged (" in said and "checkpoint.safetensors is damaged (" in said


def test_the_cost_of_a_run_that_is_not_here_is_not_known(root):
    assert spent(["elsewhere"]).isna().all(axis=None)


def test_a_table_of_text_keeps_bars_and_links_in_their_cells():
    made = markdown(
        markdown_table(
            pd.DataFrame({"a": ["x | y"], "b": ["[n](n.ipynb)"]}, index=pd.Index(["1"], name="k"))
        )
    )
    assert made.count("<td") == 3 and "x | y" in made and '<a href="n.ipynb">n</a>' in made
