"""On paper: every widget leaves a plain figure, and nothing is cut off at the right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from watching import PAGES, settle, watched

pytestmark = pytest.mark.browser
SHEET = 717  # what an A4 sheet has between Chromium's margins, in its pixels
# what ends to the right of the sheet, or has more in it than can be seen without scrolling
CUT = """(sheet) => [...document.querySelectorAll('article *')].filter((e) => {
  // of a formula its frame counts: inside are pieces, and a copy for screen readers, that are not seen
  if (e.closest('mjx-container *, span.math, .visually-hidden, svg *') || !e.getClientRects().length) return false;
  const hides = getComputedStyle(e).overflowX !== 'visible' && e.scrollWidth > e.clientWidth + 1;
  return hides || e.getBoundingClientRect().right > sheet + 1;
}).map((e) => `${e.tagName} ${e.getAttribute('class')}: ${e.textContent.trim().slice(0, 60)}`)"""


@pytest.fixture(scope="module")
def printed(browser: Browser, book: Path) -> Iterator:
    """``printed(name)`` is a page of the book as it is laid out for paper."""
    with watched(browser, viewport={"width": SHEET, "height": 1000}) as (context, watch):
        page = context.new_page()

        def show(name: str) -> Page:
            page.goto(f"{book.as_uri()}/{name}.html")
            settle(page)
            page.emulate_media(media="print")
            return page

        yield show
        assert not watch.faults()


@pytest.mark.parametrize("name", [name for name in PAGES if name != "search"])
def test_nothing_is_cut_off_at_the_right(printed, name: str) -> None:
    page = printed(name)
    assert page.locator("h1:visible").count() == 1 and page.locator(".bd-sidebar-primary").is_hidden()
    assert page.evaluate(CUT, SHEET) == []


@pytest.mark.parametrize("name", [name for name in PAGES if name.startswith("chapters/")])
def test_widgets_leave_plain_figures(printed, name: str) -> None:
    page = printed(name)
    widgets = page.locator(".afm-view.cw, .afm-view .cw").all()
    assert widgets
    for widget in widgets:
        drawings = [d for d in widget.locator("svg, canvas, table").all() if d.is_visible()]
        assert drawings and max(d.bounding_box()["width"] for d in drawings) > 100
        assert widget.locator(".cw-status").is_visible() and widget.locator(".cw-status").inner_text().strip()
        # what can be pressed, moved or typed into has no use on paper
        assert not [c for c in widget.locator("input, select, button, textarea, .cw-help").all() if c.is_visible()]


def test_a_chapter_becomes_a_pdf(printed) -> None:
    page = printed("chapters/vit")
    assert page.pdf(format="A4").count(b"/Type /Page\n") >= 8
