"""The built book in Chromium, cut off from everything outside it."""

from __future__ import annotations

import functools
import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from ipywidgets import DOMWidget
from ipywidgets.embed import embed_data
from playwright.sync_api import Browser, Page, sync_playwright
from watching import chromium_path, settle, watched

REPOSITORY = Path(__file__).resolve().parents[2]
HOST = REPOSITORY / "book" / "_ext" / "assets" / "afm-host.js"
LOAD = """async (source) => {
  window.w = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
}"""


@pytest.fixture(scope="session")
def book() -> Path:
    """The folder of the built book: built by its own command, which takes seconds if nothing has changed."""
    build = REPOSITORY / "book" / "_build"
    build.mkdir(exist_ok=True)
    with FileLock(build / "tests.lock"):
        done = subprocess.run(
            [sys.executable, REPOSITORY / "book" / "build.py"], capture_output=True, text=True, cwd=REPOSITORY
        )
    assert done.returncode == 0, f"the book does not build:\n{done.stdout}\n{done.stderr}"
    return build / "html"


@pytest.fixture(scope="session")
def served(book: Path) -> Iterator[str]:
    """The book's address on a web server of this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Requests are watched in the browser."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(book)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = chromium_path()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def script(browser: Browser) -> Iterator[Callable]:
    """Loads a widget's script: ``script(Widget)(expression, given)`` is JavaScript in which ``w`` holds its exports."""
    with watched(browser) as (context, _):

        def loaded(widget: type) -> Callable:
            page = context.new_page()
            page.evaluate(LOAD, str(widget._esm))
            return lambda expression, given=None: page.evaluate(f"(given) => {expression}", given)

        yield loaded


@pytest.fixture(scope="module")
def load(script: Callable) -> Callable:
    """Loads a widget's script: ``load(Widget)(name, *given)`` calls one of its exported functions."""

    def loaded(widget: type) -> Callable:
        evaluate = script(widget)
        return lambda name, *given: evaluate(f"w.{name}(...given)", list(given))

    return loaded


@pytest.fixture
def alone(browser: Browser, tmp_path: Path):
    """Shows a widget on a page of its own, through the book's host, without a kernel: ``alone(widget) -> Page``."""
    with watched(browser, viewport={"width": 1000, "height": 900}) as (context, watch):

        def show(widget: DOMWidget) -> Page:
            data = embed_data(views=[widget], drop_defaults=False)
            state = {"version_major": 2, "version_minor": 0, "state": data["manager_state"]["state"]}
            (tmp_path / "page.html").write_text(
                "<!doctype html><html lang=en><meta charset=utf8><title>widget</title><body>"
                f'<script type="application/vnd.jupyter.widget-state+json">{json_in_page(state)}</script>'
                '<script type="application/vnd.jupyter.widget-view+json">'
                f"{json_in_page(data['view_specs'][0])}</script>"
                f"<script>{HOST.read_text()}</script></body></html>",
                encoding="utf8",
            )
            page = context.new_page()
            page.goto((tmp_path / "page.html").as_uri())
            settle(page)
            return page

        yield show
    assert not watch.faults()


def json_in_page(value: object) -> str:
    return json.dumps(value).replace("</", "<\\/")
