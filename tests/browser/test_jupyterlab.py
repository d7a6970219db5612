"""In JupyterLab: each widget and its Python object follow each other, and a failing check shows its table."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Browser, Locator, Page, expect

from course_lib import widgets

pytestmark = pytest.mark.browser
WAIT = 180_000  # a cold kernel imports torch: seconds when all is quiet, more on a busy machine
SETUP = """import torch
from course_lib.siren import Siren
from course_lib.widgets import *
torch.manual_seed(0)
attention = (2 * torch.randn(3, 2, 2, 10, 10)).softmax(-1)
patches = torch.rand(2, 1, 6, 6), attention, ["one", "two"]
words = "a time night the wren".split()"""


class Move(NamedTuple):
    """How a widget is made and moved, and what its trait is before and after."""

    made: str
    control: str
    key: str
    trait: str
    before: float
    after: float


MOVES = {
    "AlibiHeads": Move("AlibiHeads()", ".cw-place", "ArrowRight", "query", 20, 21),
    "AttentionPlane": Move("AttentionPlane()", ".cw-temperature", "ArrowRight", "temperature", 1, 1.05),
    "BPEMerges": Move('BPEMerges("aaabdaaabac")', ".cw-step", "Enter", "steps", 0, 1),
    "CacheSteps": Move("CacheSteps(words, prompt=2, step=1)", ".cw-step", "ArrowRight", "step", 1, 2),
    "FieldZoom": Move("FieldZoom(Siren(2, 8, 2, 1), side=8)", ".cw-at-row", "ArrowLeft", "row", 0, -0.02),
    "GramClusters": Move("GramClusters()", ".cw-step", "Enter", "steps", 0, 1),
    "MaskedAttentionMap": Move("MaskedAttentionMap()", ".cw-temperature", "ArrowLeft", "temperature", 1, 0.95),
    "MixingMatrix": Move('MixingMatrix(kind="attention")', ".cw-temperature", "ArrowRight", "temperature", 0.5, 0.6),
    "NextToken": Move(
        'NextToken(words, ["Once"], torch.arange(5.0)[None])', ".cw-temperature", "ArrowRight", "temperature", 1, 1.05
    ),
    "PatchAttention": Move("PatchAttention(*patches)", ".cw-layer", "ArrowRight", "layer", 1, 2),
    "PatchTokens": Move(
        "PatchTokens(torch.rand(3, 12, 18), patch=6)", ".cw-picture [data-index='0']", "ArrowDown", "token", 0, 3
    ),
    "RandomSiren": Move("RandomSiren()", ".cw-omega", "ArrowRight", "omega", 30, 31),
    "RolloutMask": Move("RolloutMask(*patches)", ".cw-layer", "ArrowRight", "layer", 1, 2),
    "RotaryDistance": Move("RotaryDistance()", ".cw-query-place", "ArrowRight", "query_place", 20, 21),
}
ANSWER = "def softmax(x, dim):\n    e = x.exp()\n    return e / e.sum(dim, keepdim=True)"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def notebook(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """A notebook open in a JupyterLab of its own, all run: setup, a cell a widget, a free one, an answer, its check."""
    cells = [
        SETUP,
        *(f"{name} = {move.made}\n{name}" for name, move in MOVES.items()),
        "'free'",
        f"from autograder.check import check\n{ANSWER}",
        'check("attention.softmax", softmax)',
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    content = new_notebook(cells=[new_code_cell(cell) for cell in cells], metadata={"kernelspec": kernel})
    (tmp_path / "work").mkdir()
    # else only the cells in sight are drawn
    settings = tmp_path / "JUPYTERLAB_SETTINGS_DIR" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    (settings / "tracker.jupyterlab-settings").write_text(json.dumps({"windowingMode": "none"}))
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
        asked = answer_dialogs(page)
        wait_for(f"http://localhost:{port}/api?token=t", tmp_path / "lab.log")
        page.goto(f"http://localhost:{port}/lab/tree/try.ipynb?token=t")
        page.wait_for_selector(".jp-CodeCell .cm-content", timeout=WAIT)
        # before the notebook has its kernel, running cells does nothing
        page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=WAIT)
        for _ in range(3):
            page.click(".lm-MenuBar-item:has-text('Run')", timeout=WAIT)
            page.click(".lm-Menu-item:has-text('Run All Cells')", timeout=WAIT)
            with contextlib.suppress(AssertionError):  # a kernel that was not quite there yet is asked once more
                expect(page.locator(".autograder-result")).to_be_visible(timeout=WAIT / 3)
                break
        else:
            pytest.fail(
                f"The notebook did not run to its end. Dialogs met: {asked}\n{(tmp_path / 'lab.log').read_text()}"
            )
        yield page
    finally:
        context.close()
        server.terminate()
        server.wait(timeout=30)


def answer_dialogs(page: Page) -> list[str]:
    """Accept each dialog that comes in the way, as a slow machine makes JupyterLab ask; returns the list of them."""
    asked: list[str] = []

    def accept(dialog: Locator) -> None:
        asked.append(dialog.inner_text())
        dialog.locator(".jp-mod-accept").click()

    page.add_locator_handler(page.locator(".jp-Dialog").first, accept)
    return asked


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


def ask(page: Page, text: str, last: str) -> str:
    """Run the free cell with this text, and wait until it has printed ``last``; returns all that it prints."""
    index = len(MOVES) + 1
    run_cell(page, index, f"{text}\nprint({last!r})")
    output = page.locator(".jp-CodeCell").nth(index).locator(".jp-OutputArea-output")
    expect(output).to_contain_text(last, timeout=WAIT)
    return output.inner_text()


def test_widgets_and_check_are_alive(notebook: Page) -> None:
    assert MOVES.keys() == set(widgets.__all__)
    table = notebook.locator(".autograder-result")
    table.wait_for(timeout=WAIT)
    assert "3 of 5 points" in table.inner_text() and "Subtract the row's largest score" in table.inner_text()

    shown = {}
    for i, (name, move) in enumerate(MOVES.items(), 1):
        widget = notebook.locator(".jp-CodeCell").nth(i).locator(".cw")
        widget.wait_for(timeout=WAIT)
        shown[name] = widget.inner_text()
        widget.locator(move.control).first.focus()
        notebook.keyboard.press(move.key)  # JupyterLab would like to use the arrows for its own purposes
        assert widget.inner_text() != shown[name], f"{name} shows the same after {move.key}"
    traits = ", ".join(f"{name}.{move.trait}" for name, move in MOVES.items())
    told = ask(notebook, f"print({traits})", "read").split()
    expected = {name: pytest.approx(move.after) for name, move in MOVES.items()}
    assert dict(zip(MOVES, map(float, told[:-1]), strict=True)) == expected

    back = "\n".join(f"{name}.{move.trait} = {move.before}" for name, move in MOVES.items())
    ask(notebook, back, "set back")
    for i, (name, text) in enumerate(shown.items(), 1):
        widget = notebook.locator(".jp-CodeCell").nth(i).locator(".cw")
        expect(widget, f"{name} does not follow Python").to_have_text(text, timeout=WAIT, use_inner_text=True)
