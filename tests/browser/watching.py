"""How the browser tests look at a page: what it asked for, what it complained of, and when it is ready."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route
from sphinx_external_toc.parsing import parse_toc_yaml

PAGES = [*parse_toc_yaml(Path(__file__).resolve().parents[2] / "book" / "_toc.yml"), "search"]


@dataclass
class Watch:
    """What a page did that it should not: requests outside the book, failed ones, complaints in the console."""

    outside: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)

    def faults(self) -> list[str]:
        return [*self.outside, *self.failed, *self.console]


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
        # a request is aborted when the page is left before it ends: nobody missed its answer
        page.on(
            "requestfailed", lambda r: r.failure != "net::ERR_ABORTED" and watch.failed.append(f"did not get {r.url}")
        )
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
