"""In JupyterLab: a widget and its Python object follow each other, and a failing check shows its table."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Browser, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

pytestmark = pytest.mark.browser
WAIT = 180_000  # a cold kernel imports torch: seconds when all is quiet, more on a busy machine
WIDGET = "from course_lib.widgets import AttentionPlane\nplane = AttentionPlane()\nplane"
ANSWER = "def softmax(x, dim):\n    e = x.exp()\n    return e / e.sum(dim, keepdim=True)"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def notebook(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """A notebook of four cells open in a JupyterLab of its own, all cells run."""
    cells = [
        WIDGET,
        "plane.temperature",
        f"from autograder.check import check\n{ANSWER}",
        'check("attention.softmax", softmax)',
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    content = new_notebook(cells=[new_code_cell(cell) for cell in cells], metadata={"kernelspec": kernel})
    (tmp_path / "work").mkdir()
    nbformat.write(content, tmp_path / "work" / "try.ipynb")
    port, bin_folder = free_port(), str(Path(sys.executable).parent)
    command = [
        shutil.which("jupyter", path=bin_folder), "lab", "--no-browser", "--allow-root", f"--port={port}",
        "--IdentityProvider.token=t", f"--ServerApp.root_dir={tmp_path / 'work'}",
    ]  # fmt: skip
    own = {name: str(tmp_path / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTERLAB_SETTINGS_DIR")}
    environment = {**os.environ, **own, "PATH": bin_folder + os.pathsep + os.environ["PATH"]}
    with (tmp_path / "lab.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    context = browser.new_context(viewport={"width": 1300, "height": 1100})
    try:
        page = context.new_page()
        wait_for(f"http://localhost:{port}/api?token=t", tmp_path / "lab.log")
        page.goto(f"http://localhost:{port}/lab/tree/try.ipynb?token=t")
        page.wait_for_selector(".jp-CodeCell .cm-content", timeout=WAIT)
        # before the notebook has its kernel, running cells does nothing
        page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=WAIT)
        for _ in range(3):
            page.click(".lm-MenuBar-item:has-text('Run')", timeout=WAIT)
            page.click(".lm-Menu-item:has-text('Run All Cells')", timeout=WAIT)
            with contextlib.suppress(PlaywrightTimeout):  # a kernel that was not quite there yet is asked once more
                page.wait_for_selector(".autograder-result", timeout=WAIT / 3)
                break
        yield page
    finally:
        context.close()
        server.terminate()
        server.wait(timeout=30)


def wait_for(address: str, log: Path) -> None:
    """Return when the server answers; fail with what it printed if it does not in good time."""
    for _ in range(WAIT // 1000):
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(1)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()}")


def run_cell(page: Page, index: int, text: str | None = None) -> None:
    page.locator(".jp-CodeCell .cm-content").nth(index).click()
    if text is not None:
        page.keyboard.press("Control+a")
        page.keyboard.insert_text(text)
    page.keyboard.press("Control+Enter")


def test_widget_and_check_are_alive(notebook: Page) -> None:
    slider = notebook.locator(".cw input[type=range]").first
    slider.wait_for(timeout=WAIT)
    table = notebook.locator(".autograder-result")
    table.wait_for(timeout=WAIT)
    assert "3 of 5 points" in table.inner_text() and "Subtract the row's largest score" in table.inner_text()

    before = float(slider.input_value())
    slider.focus()
    for _ in range(6):
        notebook.keyboard.press("ArrowRight")  # which JupyterLab would like to use for its own purposes
    moved = float(slider.input_value())
    assert moved == pytest.approx(before + 6 * 0.05)
    run_cell(notebook, 1)
    expect(notebook.locator(".jp-CodeCell").nth(1).locator(".jp-OutputArea-output")).to_have_text(
        f"{moved:g}", timeout=WAIT
    )
    run_cell(notebook, 1, "plane.temperature = 0.2")
    expect(slider).to_have_value("0.2", timeout=WAIT)
