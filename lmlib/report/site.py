"""The study as a folder of pages: an index, the report, each notebook with its code folded.

A page is one file: style and pictures are in it, and only formulas (MathJax) need a network.
"""

import base64
import io
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import nbformat
from jinja2 import DictLoader
from nbconvert import HTMLExporter
from nbformat.v4 import new_markdown_cell, new_notebook, new_output
from PIL import Image
from pygments.formatters import HtmlFormatter

from .. import paths
from ..files import write_text
from ..study import notebooks
from ..study.profiles import get_profile

FOLDED = """{%- extends 'basic/index.html.j2' -%}
{%- block input -%}<details><summary>code</summary>{{ super() }}</details>{%- endblock -%}"""
MATHJAX = "https://cdn.jsdelivr.net/npm/mathjax@3.2.2/es5/tex-mml-chtml.js"
FORMULAS = 'MathJax = {tex: {inlineMath: [["$", "$"]], tags: "none"}}'
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
<script>{formulas}</script><script async src="{mathjax}"></script>
</head><body>
<nav class="bar">{bar}</nav>
{contents}<main>{body}</main>
</body></html>
"""
STYLE = Path(__file__).with_name("site.css")
NOT_EXECUTED = (
    "*Not executed for these pages, as it reads images or weights that are not here. Its figures "
    "are the committed ones of profile {profile}, where there are any.*"
)


def write_site(profile: str) -> Path:
    """Write the pages of a profile to site/<profile>/ and return the path of its index.

    A notebook without an executed copy shows its prose, its code and the figures there are.
    """
    folder, names = paths.SITE / profile, notebooks.names()
    for name in names:
        executed = notebooks.executed_copy(name, profile)
        here = executed.exists()
        notebook = nbformat.read(executed, 4) if here else illustrated(name, profile)
        write_page(notebook, folder / f"{name}.html", names)
    explorer = paths.FIGURES / profile / "explore.html"
    if explorer.exists():
        shutil.copy(explorer, folder / "explore.html")
    index = new_notebook(cells=[new_markdown_cell(index_text(profile, names, explorer.exists()))])
    write_page(index, folder / "index.html", names)
    return folder / "index.html"


def index_text(profile: str, names: list[str], has_explorer: bool) -> str:
    """The index in Markdown: report, explorer, every notebook with its claim and a figure."""
    text = [
        f"# LayerMix, rebuilt and measured\n\nProfile {profile}: {get_profile(profile).summary}.",
        f"**[The report]({names[-1]}.html)**: every table and figure, claim by claim.",
    ]
    if has_explorer:
        text.append("**[The explorer](explore.html)**: two sliders, and what they do to an image.")
    text.append("## The notebooks")
    for name in names:
        title, claim = opening(notebooks.find_notebook(name))
        text.append(f"{thumbnail(name, profile)}\n\n**[{title}]({name}.html)** {claim}")
    return "\n\n".join(text)


def opening(file: Path) -> tuple[str, str]:
    """The title of a notebook and its claim: the first two paragraphs of its opening cell."""
    title, claim, *_ = nbformat.read(file, 4).cells[0].source.split("\n\n")
    return title.removeprefix("# "), claim


def thumbnail(name: str, profile: str) -> str:
    """The first figure of a notebook as a small picture in HTML, "" where there is none."""
    figures = [file for file in notebooks.made_by(name, profile) if file.suffix == ".png"]
    if not figures:
        return ""
    picture, data = Image.open(figures[0]).convert("RGB"), io.BytesIO()
    picture.thumbnail((400, 260))
    picture.save(data, "webp", quality=75)
    source = f"data:image/webp;base64,{base64.b64encode(data.getvalue()).decode()}"
    return f'<a href="{name}.html"><img class="thumbnail" alt="" src="{source}"></a>'


def illustrated(name: str, profile: str) -> nbformat.NotebookNode:
    """A notebook as committed, with the figures of a profile below the cells that name them."""
    notebook = nbformat.read(notebooks.find_notebook(name), 4)
    for cell in notebook.cells:
        for figure in re.findall(r'"(\d\d-[\w-]+)"', cell.source):
            file = paths.FIGURES / profile / f"{figure}.png"
            if cell.cell_type == "code" and file.exists():
                picture = {"image/png": base64.b64encode(file.read_bytes()).decode()}
                cell.outputs.append(new_output("display_data", picture))
    note = new_markdown_cell(NOT_EXECUTED.format(profile=profile))
    notebook.cells.insert(1, note)
    return notebook


def write_page(notebook: nbformat.NotebookNode, path: Path, names: list[str]) -> None:
    """Write a notebook as one HTML file: code folded, formulas left to MathJax.

    names: the notebooks that have a page beside it, to which their names in the prose lead. The
    report's code is left out.
    """
    about = notebook.metadata.get("lmlib", {})
    exporter = HTMLExporter(
        template_name="basic",
        template_file="folded",
        extra_loaders=[DictLoader({"folded": FOLDED})],
        embed_images=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_input="shows_the_others" in about,
    )
    for cell in notebook.cells:  # a figure is called by the name of its file
        names_here = re.findall(r'"(\d\d-[\w{}-]+)"', cell.source) or [path.stem]
        for out in cell.get("outputs", ()):
            if "image/png" in out.get("data", {}):
                out.metadata.setdefault("image/png", {}).setdefault("alt", names_here[0])
    body, _ = exporter.from_notebook_node(notebook)
    for name in names:
        body = body.replace(f'href="{name}.ipynb"', f'href="{name}.html"')
        body = body.replace(
            f"<code>{name}</code>", f'<a href="{name}.html"><code>{name}</code></a>'
        )
    body = re.sub(r"data:image/png;base64,([^\"]+)", lighter, body)
    title = notebook.cells[0].source.partition("\n")[0].removeprefix("# ")
    parts = {"title": title, "style": style(), "formulas": FORMULAS, "mathjax": MATHJAX}
    bar = neighbours(path.stem, names)
    write_text(path, PAGE.format(**parts, bar=bar, contents=contents_of(body), body=body))


def lighter(source: re.Match) -> str:
    """The address of an embedded PNG, of one above 100 kB as a WebP at most 1,600 px wide."""
    if len(source[1]) < 130_000:
        return source[0]
    picture, data = Image.open(io.BytesIO(base64.b64decode(source[1]))).convert("RGB"), io.BytesIO()
    picture.thumbnail((1600, 6000))
    picture.save(data, "webp", quality=85)
    return f"data:image/webp;base64,{base64.b64encode(data.getvalue()).decode()}"


def style() -> str:
    """The style of every page, its code in light and dark included."""
    light, dark = (HtmlFormatter(style=name) for name in ("default", "github-dark"))
    in_dark = f"@media (prefers-color-scheme: dark) {{{dark.get_style_defs('.highlight')}}}"
    code = light.get_style_defs(".highlight") + in_dark
    return code + STYLE.read_text(encoding="utf-8")


def neighbours(name: str, names: list[str]) -> str:
    """Links to the page before, the index and the page after, as HTML."""
    pages = ["index", *names]
    at = pages.index(name)
    around: Iterable[str] = dict.fromkeys(["index", *pages[max(at - 1, 0) : at + 2], names[-1]])
    return " · ".join(f'<a href="{one}.html">{one}</a>' for one in around if one != name)


def contents_of(body: str) -> str:
    """The sections of a page as a list of links, as HTML; "" for fewer than three."""
    found = re.findall(r'<h2 id="([^"]+)">(.*?)<a class="anchor-link"', body, re.S)
    items = "".join(f'<li><a href="#{key}">{text}</a></li>' for key, text in found)
    return f'<nav class="contents"><ul>{items}</ul></nav>\n' if len(found) > 2 else ""
