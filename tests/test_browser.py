"""The widgets in a real JupyterLab, and the page without a kernel, in a headless Chromium.

A slider moves, the pictures change. The notebooks are `00-explore` with two fractals, and the
explorer's cell of 12 on a few small images, so that they open in seconds.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import nbformat
import pytest
from PIL import Image
from reference import noise, photographs

from lmlib import paths
from lmlib.fractals.mixing_sets import MixingSet
from lmlib.report.explorer_page import write_page
from lmlib.report.scene import Scene, Source

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None, reason="no Chromium here: install it (Debian: apt-get install chromium)"
    ),
]


SETUP = """import pandas as pd
from lmlib import fractals
from lmlib.study import runs
data = runs.dataset_of("digits")
mixing_set = fractals.mixing_set(n_fractals=4, size=36)
cells = pd.MultiIndex.from_product([(3, 5, 8), (1, 3, 5)], names=["magnitude", "beta"])
texts = pd.DataFrame({"mCE": [f"{m} and {b}" for m, b in cells]}, index=cells)"""
PICTURES = {"00-explore": ".lm-cards img >> nth=3", "12-table-6": "img.widget-image"}


def small_notebook(name):
    """A notebook with its explorer, and with little to wait for."""
    source = nbformat.read(paths.NOTEBOOKS / f"{name}.ipynb", 4)
    if name == "00-explore":
        (cell,) = [cell for cell in source.cells if "n_fractals: int = 12" in cell.source]
        cell.source = cell.source.replace("12", "2")
        return source
    (cell,) = [cell for cell in source.cells if "import GridExplorer" in cell.source]
    lines = [line.strip() for line in cell.source.splitlines() if "xplorer" in line]
    cells = [nbformat.v4.new_code_cell(text) for text in (SETUP, "\n".join(lines))]
    return nbformat.v4.new_notebook(cells=cells, metadata=source.metadata)


@contextmanager
def served(folder):
    """The address of a JupyterLab server for a folder, on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--port={port}", "--ServerApp.ip=127.0.0.1", "--LabApp.news_url="]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}"]
    names = "JUPYTER_CONFIG_DIR", "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR"
    variables = {name: str(folder / name.lower()) for name in names}
    variables |= os.environ | {"LMLIB_ROOT": str(folder)}
    with (folder / "lab.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=variables)
    try:
        address, deadline = f"http://127.0.0.1:{port}", time.time() + 120
        while True:
            try:
                status = f"{address}/api/status?token={token}"
                with urllib.request.urlopen(status, timeout=2) as answer:
                    json.load(answer)
                break
            except OSError:
                said = (folder / "lab.log").read_text()[-2000:]
                assert time.time() < deadline and server.poll() is None, said
                time.sleep(0.3)
        yield f"{address}/lab/tree/explorer.ipynb?token={token}"
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def lab(request, browser, tmp_path_factory):
    """A page of JupyterLab in which a notebook has run, and its name."""
    folder = tmp_path_factory.mktemp("lab")
    nbformat.write(small_notebook(request.param), folder / "explorer.ipynb")
    with served(folder) as address:
        page = browser.new_page(viewport={"width": 1400, "height": 1200})
        page.goto(address)
        page.locator(".jp-Notebook").wait_for(timeout=120_000)
        page.get_by_text("| Idle").wait_for(timeout=120_000)  # else it would ask for a kernel
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        page.locator(PICTURES[request.param]).wait_for(timeout=120_000)
        page.keyboard.press("Control+b")  # the list of files
        yield page, request.param
        page.close()


def handle_of(page, slider):
    return page.locator(".widget-slider", has_text=slider).locator(".noUi-handle").first


@pytest.mark.parametrize("lab", PICTURES, indirect=True)
def test_moving_the_magnitude_and_the_beta_slider_changes_the_picture(lab):
    page, name = lab
    picture = page.locator(PICTURES[name])
    seen = [picture.get_attribute("src")]
    for slider, key in (("magnitude", "ArrowLeft"), ("beta", "ArrowRight")):
        handle_of(page, slider).focus()
        for _ in range(2):
            page.keyboard.press(key)
        changed = "([selector, before]) => document.querySelector(selector).src !== before"
        selector = ".lm-cards figure:nth-child(4) img" if name == "00-explore" else PICTURES[name]
        page.wait_for_function(changed, arg=[selector, seen[-1]], timeout=60_000)
        page.wait_for_timeout(500)  # the last of the events
        seen.append(picture.get_attribute("src"))
    assert len(set(seen)) == 3


alone = pytest.mark.parametrize("lab", ["00-explore"], indirect=True)


@alone
def test_a_fast_drag_settles_on_the_newest_value_and_the_charts_follow(lab):
    explorer, _ = lab
    handle = handle_of(explorer, "magnitude")
    box, track = handle.bounding_box(), handle.locator("xpath=../..").bounding_box()
    y = box["y"] + box["height"] / 2
    explorer.mouse.move(box["x"] + box["width"] / 2, y)
    explorer.mouse.down()
    for k in range(41):
        explorer.mouse.move(track["x"] + track["width"] * (k if k < 20 else 40 - k) / 20, y)
    explorer.mouse.up()
    explorer.get_by_text("m = 0, ").wait_for(timeout=60_000)
    assert (
        explorer.locator(".lm-cards figcaption >> nth=1")
        .inner_text()
        .startswith("layer 1 rotate +0.0°; mean change 0.0%")
    )
    mark = "path[d='M40.0 30V150']"  # of the chart of confidence, at m = 0
    explorer.locator(f".lm-charts {mark}").wait_for(state="attached", timeout=120_000)


@alone
def test_the_picture_is_saved_and_the_code_copied_by_a_button(lab, tmp_path):
    explorer, _ = lab
    explorer.locator("a[download][href]").wait_for(timeout=120_000)
    with explorer.expect_download() as download:
        explorer.get_by_text("save the picture").click()
    download.value.save_as(tmp_path / "saved.png")
    assert Image.open(tmp_path / "saved.png").width > 6 * 224
    explorer.context.grant_permissions(["clipboard-read", "clipboard-write"])
    explorer.get_by_role("button", name="copy the code").click()
    explorer.get_by_role("button", name="copied").wait_for()
    copied = explorer.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("from lmlib import LayerMix\n") and "magnitude=0" in copied


CUT = """root => [...root.querySelectorAll('select, input, button, figure, figcaption, svg, label')]
    .filter(one => one.getClientRects().length)
    .filter(one => one.getBoundingClientRect().right > root.getBoundingClientRect().right + 1
        || (one.tagName === 'LABEL' && one.scrollWidth > one.clientWidth + 1))
    .map(one => one.outerHTML)"""


@alone
@pytest.mark.parametrize("width", [640, 990, 3840])
def test_nothing_of_the_explorer_is_cut_at_any_width(lab, width):
    explorer, _ = lab
    explorer.set_viewport_size({"width": width, "height": 1200})
    explorer.wait_for_timeout(300)
    root = explorer.locator(".jp-OutputArea-output:has(.lm-cards)")
    assert root.evaluate(CUT) == []


# --- without a kernel -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def static(browser, tmp_path_factory):
    """The page of one file, with two sliders of three values."""
    about = {"substitute": True, "colour": False, "n_fractals": 5}
    mixing_set = MixingSet(noise((36, 36), 5, n_channels=1).numpy(), about)
    scene = Scene(Source(photographs((32, 32), 2), [0, 0], ["photograph"], {}, mixing_set))
    folder = tmp_path_factory.mktemp("static")
    values = ["rotate", "brightness"], [0, 4, 8], [1, 3, 5]
    write_page(folder / "explore.html", scene, *values)
    context = browser.new_context(offline=True)
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((folder / "explore.html").as_uri())
    yield page
    assert errors == []
    context.close()


def sources(page):
    return page.locator("#cards img").evaluate_all("all => all.map(one => one.src)")


def test_a_slider_of_the_page_changes_the_layers_and_says_its_value(static):
    before = sources(static)
    static.focus("#beta")
    static.keyboard.press("ArrowRight")
    after = sources(static)
    assert [a != b for a, b in zip(before, after, strict=True)] == [
        False,
        False,
        True,
        True,
        False,
        False,
    ]
    assert static.locator("#beta + output").inner_text() == "5"
    static.focus("#magnitude")
    static.keyboard.press("Home")
    assert sources(static)[1] != after[1]
    assert "rotate +0.0°" in static.locator("figure >> nth=1").inner_text()
    static.select_option("#operation", label="brightness")
    assert "brightness factor 1.00" in static.locator("figure >> nth=1").inner_text()


def test_a_fast_drag_of_the_page_settles_on_the_newest_value(static):
    box = static.locator("#magnitude").bounding_box()
    y = box["y"] + box["height"] / 2
    static.mouse.move(box["x"] + 8, y)
    static.mouse.down()
    for k in range(60):
        static.mouse.move(box["x"] + 8 + (box["width"] - 16) * (k % 20) / 19, y)
    static.mouse.up()
    assert static.locator("#magnitude + output").inner_text() == "8"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 990, 1600])
def test_the_page_is_whole_at_any_width_light_and_dark(static, width, scheme):
    static.emulate_media(color_scheme=scheme)
    static.set_viewport_size({"width": width, "height": 844})
    assert static.evaluate("document.documentElement.scrollWidth") <= width
    assert static.locator("body").evaluate(CUT) == []
    colour = static.evaluate("getComputedStyle(document.body).color")
    assert colour == {"light": "rgb(0, 0, 0)", "dark": "rgb(255, 255, 255)"}[scheme]
    heights = static.locator("#cards figure").evaluate_all("all => all.map(one => one.offsetTop)")
    assert len(set(heights)) == {390: 3, 990: 1, 1600: 1}[width]
