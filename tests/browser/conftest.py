"""The built book in Chromium, cut off from everything outside it."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from filelock import FileLock
from ipywidgets import DOMWidget
from ipywidgets.embed import embed_data
from playwright.sync_api import Browser, BrowserContext, Page, Route, sync_playwright

REPOSITORY = Path(__file__).resolve().parents[2]
HOST = REPOSITORY / "book" / "_ext" / "assets" / "afm-host.js"


@dataclass
class Watch:
    """What a page did that it should not: requests outside the book, failed ones, complaints in the console."""

    outside: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)

    def faults(self) -> list[str]:
        return [*self.outside, *self.failed, *self.console]


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


def chromium_path() -> str:
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if not found:
        pytest.fail(
            "The browser tests need Chromium. Install it (Debian and Ubuntu: apt-get install chromium) or put "
            "the path of one into the environment variable CHROMIUM; `pytest -m 'not browser'` does without.",
            pytrace=False,
        )
    return found


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


@contextmanager
def watched(browser: Browser, **options: object) -> Iterator[tuple[BrowserContext, Watch]]:
    """A browsing context that lets nothing out of this machine, and what its pages were caught at."""
    context, watch = browser.new_context(**options), Watch()

    def route(route: Route) -> None:
        address = route.request.url
        if address.startswith(("file://", "http://127.0.0.1:", "data:", "blob:")):
            route.continue_()
        else:
            watch.outside.append(f"asked for {address}")
            route.abort()

    def page(page: Page) -> None:
        page.on("websocket", lambda s: watch.outside.append(f"opened {s.url}"))
        page.on("requestfailed", lambda r: watch.failed.append(f"did not get {r.url}"))
        page.on("response", lambda r: r.status >= 400 and watch.failed.append(f"{r.status} for {r.url}"))
        page.on("pageerror", lambda e: watch.console.append(f"error: {e}"))
        page.on(
            "console",
            lambda m: m.type in ("error", "warning") and watch.console.append(f"{m.type}: {m.text}"),
        )

    context.route("**/*", route)
    context.on("page", page)
    yield context, watch
    context.close()


def settle(page: Page) -> None:
    """Wait until formulas are set and widgets alive, in so far as the page has any."""
    page.wait_for_function(
        """() => [...document.querySelectorAll('.math')].every((m) => m.querySelector('mjx-container'))
          && !document.querySelector('script[type="application/vnd.jupyter.widget-view+json"]')
          && [...document.querySelectorAll('.afm-view')].every((v) => v.dataset.ready)""",
        timeout=15_000,
    )


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
    import json

    return json.dumps(value).replace("</", "<\\/")
