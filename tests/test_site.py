import base64
import io
import re
from html.parser import HTMLParser

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from lmlib import paths
from lmlib.files import write_text
from lmlib.report.site import MATHJAX, illustrated, write_page, write_site
from lmlib.study import notebooks

NAMES = ["09-tables", "10-report"]


def png(side, noise=False):
    """A PNG of `side` pixels, black or noise, as base64."""
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8) * noise
    data = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(data, "png")
    return base64.b64encode(data.getvalue()).decode()


class Page(HTMLParser):
    """What a page is made of: its tags, its links, and every address that a browser would load."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.loaded, self.links, self.alt = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        if tag == "a":
            self.links += [attributes["href"]] * (attributes.get("class") != "anchor-link")
        else:
            names = ("src", "href", "srcset", "data", "poster")
            self.loaded += [attributes[name] for name in names if name in attributes]
        self.alt += [attributes["alt"]] if "alt" in attributes else []


def notebook_of(*outputs, about=None):
    prose = (
        "# A title & more\n\nLet $\\bar a_1 < b$ be, [it](https://arxiv.org/abs/2501.04861), "
        "[nine](09-tables.ipynb) and `10-report`\n\n$$\\frac{s}{\\sqrt n}$$\n\n"
        + "\n\n".join(f"## Section {n}" for n in (1, 2, 3))
    )
    code = new_code_cell("folded = 'in a cell that saves \"09-picture\"'", outputs=list(outputs))
    return new_notebook(cells=[new_markdown_cell(prose), code], metadata={"lmlib": about or {}})


@pytest.fixture
def page(tmp_path):
    """A notebook with a figure and a table as a page: (text, what it is made of)."""
    table = pd.DataFrame({"error": [0.5]}).style.set_caption("a caption").to_html()
    outputs = [{"image/png": png(1)}, {"text/html": table}]
    notebook = notebook_of(*(new_output("display_data", one) for one in outputs))
    write_page(notebook, tmp_path / "09-tables.html", NAMES)
    text = (tmp_path / "09-tables.html").read_text()
    return text, Page(text)


def test_a_page_loads_the_program_for_formulas_and_nothing_else(page):
    _, made = page
    assert made.loaded == [MATHJAX, f"data:image/png;base64,{png(1)}"]
    assert not {"link", "iframe", "object", "embed"} & set(made.tags)


def test_a_page_has_its_title_its_figure_under_its_name_its_table_and_its_code_folded(page):
    text, made = page
    assert "<title>A title & more</title>" in text and "a caption" in text
    assert made.alt == ["09-picture"]
    folded = text[text.index("<details>") : text.index("</details>")]
    assert "folded" in folded and text.count("<details>") == 1


def test_formulas_stay_as_they_are_for_mathjax(page):
    text, _ = page
    assert r"$\bar a_1 &lt; b$" in text and r"\frac{s}{\sqrt n}" in text


def test_names_of_notebooks_lead_to_their_pages_and_sections_to_their_place(page):
    text, made = page
    assert (
        made.links.count("09-tables.html") == 1 and "https://arxiv.org/abs/2501.04861" in made.links
    )
    assert made.links.count("10-report.html") == 2  # in the bar, and in the prose
    assert made.links.count("index.html") == 1 and "09-tables.ipynb" not in text
    assert [link for link in made.links if link.startswith("#")] == [
        f"#Section-{n}" for n in (1, 2, 3)
    ]


def test_the_report_shows_no_code(tmp_path):
    write_page(notebook_of(about={"shows_the_others": True}), tmp_path / "10-report.html", NAMES)
    text = (tmp_path / "10-report.html").read_text()
    assert "folded" not in text and "<details>" not in text


def test_a_large_figure_becomes_lighter_and_keeps_its_shape(tmp_path):
    figure = new_output("display_data", {"image/png": png(1700, noise=True)})
    write_page(notebook_of(figure), tmp_path / "09-tables.html", NAMES)
    (data,) = re.findall(
        r"data:image/webp;base64,([^\"]+)", (tmp_path / "09-tables.html").read_text()
    )
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (1600, 1600)


@pytest.fixture
def two(root, monkeypatch):
    """Two notebooks, of which the second was executed; a figure of each in figures/quick."""
    monkeypatch.setattr(paths, "NOTEBOOKS", root / "notebooks")
    for number, word in enumerate(("first", "second")):
        name = f"0{number}-{word}"
        cells = [new_markdown_cell(f"# 0{number} {word}\n\nIt claims {word}.\n\nReads ...")]
        cells += [new_code_cell(f'save(figure, "{name}-picture")')]
        file = paths.NOTEBOOKS / f"{name}.ipynb"
        write_text(file, nbformat.writes(new_notebook(cells=cells)))
        Image.new("RGB", (900, 600)).save(notebook_figure(f"{name}-picture"))
    executed = notebooks.executed_copy("01-second", "quick")
    write_text(executed, nbformat.writes(nbformat.read(file, 4)))
    return root


def notebook_figure(name):
    path = paths.FIGURES / "quick" / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_a_notebook_that_was_not_executed_shows_the_figures_there_are_and_says_so(two):
    notebook = illustrated("00-first", "quick")
    assert (
        "Not executed" in notebook.cells[1].source and "profile quick" in notebook.cells[1].source
    )
    (output,) = notebook.cells[2].outputs
    picture = base64.b64decode(output.data["image/png"])
    assert picture == notebook_figure("00-first-picture").read_bytes()
    assert nbformat.read(paths.NOTEBOOKS / "00-first.ipynb", 4).cells[1].outputs == []


def test_a_site_has_a_page_a_notebook_and_an_index_with_every_claim_and_a_small_figure(two):
    index = write_site("quick")
    assert sorted(file.name for file in index.parent.iterdir()) == [
        "00-first.html",
        "01-second.html",
        "index.html",
    ]
    text, made = index.read_text(), Page(index.read_text())
    assert "It claims first." in text and "It claims second." in text and "Reads" not in text
    assert {"00-first.html", "01-second.html"} <= set(made.links)
    for source in made.loaded[1:]:
        picture = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
        assert picture.size == (390, 260)
    assert len(made.loaded) == 3 and "explore.html" not in made.links
    assert "Not executed" in (index.parent / "00-first.html").read_text()
    assert "Not executed" not in (index.parent / "01-second.html").read_text()


def test_the_explorers_page_is_part_of_the_site_where_there_is_one(two):
    write_text(paths.FIGURES / "quick" / "explore.html", "<p>sliders</p>")
    index = write_site("quick")
    assert (index.parent / "explore.html").read_text() == "<p>sliders</p>"
    assert "explore.html" in Page(index.read_text()).links
