"""The widgets in a real JupyterLab and a headless Chromium: a slider moves, the picture changes.

The notebook is made of the explorer cells of 04 and 12 on a few small images, so that it opens in
seconds.
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

import nbformat
import pytest

from lmlib import paths

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


SETUP = """from lmlib import fractals
from lmlib.study import runs
data = runs.dataset_of("digits")
small_set = mixing_set = fractals.mixing_set(n_fractals=4, size=36)"""
TEXTS = """import pandas as pd
cells = pd.MultiIndex.from_product([(3, 5, 8), (1, 3, 5)], names=["magnitude", "beta"])
texts = pd.DataFrame({"mCE": [f"{m} and {b}" for m, b in cells]}, index=cells)"""


def explorer_notebook(name, path):
    """The lines of a notebook that show its explorer, after what they need."""
    source = nbformat.read(paths.NOTEBOOKS / f"{name}.ipynb", 4)
    (cell,) = [
        cell
        for cell in source.cells
        if cell.cell_type == "code" and "explorer.widget" in cell.source
    ]
    lines = [line for line in cell.source.splitlines() if "xplorer" in line]
    cells = [nbformat.v4.new_code_cell(text) for text in (SETUP, TEXTS, "\n".join(lines))]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=source.metadata), path)


@pytest.fixture(params=["04-layermix", "12-table-6"])
def lab(request, tmp_path):
    """The address of a JupyterLab server on a free port, with the notebook in its folder."""
    explorer_notebook(request.param, tmp_path / "explorer.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        f"--port={port}",
        "--ServerApp.ip=127.0.0.1",
    ]
    command += [
        f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={tmp_path}",
        "--LabApp.news_url=",
    ]
    folders = {
        name: str(tmp_path / name.lower())
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")
    }
    with (tmp_path / "lab.log").open("w") as log:
        server = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            env=os.environ | folders | {"LMLIB_ROOT": str(tmp_path)},
        )
    try:
        address, deadline = f"http://127.0.0.1:{port}", time.time() + 120
        while True:
            try:
                with urllib.request.urlopen(
                    f"{address}/api/status?token={token}", timeout=2
                ) as answer:
                    json.load(answer)
                break
            except OSError:
                assert time.time() < deadline and server.poll() is None, (
                    tmp_path / "lab.log"
                ).read_text()[-2000:]
                time.sleep(0.3)
        yield f"{address}/lab/tree/explorer.ipynb?token={token}"
    finally:
        server.terminate()
        server.wait(20)


def press(page, slider, key, times):
    """Move a slider with the keyboard, as a person may."""
    handle = page.locator(".widget-slider", has_text=slider).locator(".noUi-handle").first
    handle.focus()
    for _ in range(times):
        handle.press(key)


def test_moving_the_magnitude_and_the_beta_slider_changes_the_picture(lab):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        try:
            page = browser.new_page(viewport={"width": 1400, "height": 1200})
            page.goto(lab)
            page.locator(".jp-Notebook").wait_for(timeout=120_000)
            page.get_by_text("| Idle").wait_for(
                timeout=120_000
            )  # the kernel: earlier, JupyterLab would ask which one
            page.get_by_role("menuitem", name="Run", exact=True).click()
            page.get_by_text("Run All Cells", exact=True).click()
            picture = page.locator("img.widget-image").last
            picture.wait_for(timeout=120_000)
            seen = [picture.get_attribute("src")]
            for slider, key in (("magnitude", "ArrowLeft"), ("beta", "ArrowRight")):
                press(page, slider, key, 2)
                changed = "([picture, before]) => picture.src !== before"
                page.wait_for_function(
                    changed, arg=[picture.element_handle(), seen[-1]], timeout=30_000
                )
                page.wait_for_timeout(500)  # the last of the events
                seen.append(picture.get_attribute("src"))
        finally:
            browser.close()
    assert len(set(seen)) == 3
