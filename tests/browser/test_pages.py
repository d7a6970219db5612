"""Every page of the book, from a server and from the disk: complete, quiet, and in touch with nothing outside."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser
from watching import PAGES, settle, watched

pytestmark = pytest.mark.browser
REPOSITORY = Path(__file__).resolve().parents[2]
CHAPTER = REPOSITORY / "book" / "chapters" / "attention.md"


@pytest.fixture(params=["server", "disk"])
def address(request: pytest.FixtureRequest, book: Path, served: str) -> str:
    return served if request.param == "server" else f"{book.as_uri()}/"


@pytest.mark.parametrize("name", PAGES)
def test_page_is_complete_and_quiet(browser: Browser, address: str, name: str) -> None:
    with watched(browser, viewport={"width": 1280, "height": 900}) as (context, watch):
        page = context.new_page()
        page.goto(f"{address}{name}.html")
        settle(page)
        assert not page.locator("mjx-merror, [data-mml-node=merror]").count(), "a formula has an error"
        assert page.locator("h1:visible").count() == 1
        assert watch.faults() == []


@pytest.mark.parametrize("name", PAGES)
def test_page_fits_a_phone(browser: Browser, book: Path, name: str) -> None:
    with watched(browser, viewport={"width": 390, "height": 844}) as (context, _):
        page = context.new_page()
        page.goto(f"{book.as_uri()}/{name}.html")
        settle(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_formulas_are_set_where_there_are_any(browser: Browser, book: Path) -> None:
    with watched(browser) as (context, _):
        page = context.new_page()
        page.goto(f"{book.as_uri()}/notation.html")
        settle(page)
        assert page.locator("mjx-container").count() > 10
        # a formula without its fonts has no width to speak of
        assert page.locator("div.math mjx-container mjx-math").first.bounding_box()["width"] > 100


@pytest.mark.parametrize("word, page_name", [("equivariant", "Notation"), ("entropy", "Glossary")])
def test_search_from_the_disk(browser: Browser, book: Path, word: str, page_name: str) -> None:
    with watched(browser) as (context, watch):
        page = context.new_page()
        page.goto(f"{book.as_uri()}/index.html")
        page.keyboard.press("Control+k")
        page.keyboard.type(word)
        page.keyboard.press("Enter")
        hit = page.locator("#search-results li a", has_text=page_name)
        hit.first.wait_for(timeout=10_000)
        hit.first.click()
        assert word in page.locator("article").inner_text().lower()
        assert watch.faults() == []


def test_dark_and_light_follow_the_system(browser: Browser, book: Path) -> None:
    backgrounds = {}
    for scheme in ("light", "dark"):
        with watched(browser, color_scheme=scheme) as (context, _):
            page = context.new_page()
            page.goto(f"{book.as_uri()}/index.html")
            backgrounds[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
    light, dark = (sum(map(int, backgrounds[s][4:-1].split(","))) for s in ("light", "dark"))
    assert light > 700 and dark < 120


def test_chapter_offers_its_notebook(browser: Browser, served: str) -> None:
    with watched(browser, accept_downloads=True) as (context, _):
        page = context.new_page()
        page.goto(f"{served}chapters/attention.html")
        link = page.locator("a.btn-download-notebook-button[href$='.ipynb']")
        assert link.count() == 1
        response = context.request.get(page.evaluate("(a) => a.href", link.element_handle()))
        notebook = response.json()
        code = [c for c in notebook["cells"] if c["cell_type"] == "code"]
        assert len(code) == CHAPTER.read_text().count("```{code-cell}") > 0
        assert notebook["metadata"]["kernelspec"]["name"] == "python3"


def test_assignment_is_shown_as_handed_out_and_can_be_fetched(browser: Browser, served: str) -> None:
    with watched(browser) as (context, _):
        page = context.new_page()
        page.goto(f"{served}assignments/attention.html")
        assert page.locator("div.cell_input").count() >= 9
        assert page.locator("div.cell_output").count() == 0
        page.goto(f"{served}assignments/index.html")
        links = page.locator("article a.download").all()
        assert len(links) == len(list((REPOSITORY / "solutions").glob("*.md")))
        for link in links:
            response = context.request.get(page.evaluate("(a) => a.href", link.element_handle()))
            assert response.json()["nbformat"] == 4
