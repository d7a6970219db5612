"""A feedback page over a submission that tries everything: nothing runs, nothing is loaded, all of it can be read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from active_content import MARKDOWN, numbered
from bs4 import BeautifulSoup
from hostile_class import LOOK, STUDENT, graded_by_nbgrader, lured, settled
from playwright.sync_api import Browser

from autograder.course import Course

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    return graded_by_nbgrader(tmp_path_factory.getbasetemp())


def page_of(course: Course) -> Path:
    return course.feedback(STUDENT, "attention") / "attention.html"


def text_of(course: Course) -> str:
    """The page's text as it stands in the file, without the invisible signs that break what would act."""
    return BeautifulSoup(page_of(course).read_text(), "html.parser").get_text().replace("\u2060", "")


def test_nothing_acts(course: Course, browser: Browser) -> None:
    with lured(browser) as (context, watch, hits):
        page = context.new_page()
        page.goto(page_of(course).as_uri())
        settled(page)
        assert hits == [] and watch.faults() == [] and page.evaluate(LOOK) == []


def test_the_same_submission_does_act_where_nothing_is_done_about_it(
    tmp_path_factory: pytest.TempPathFactory, browser: Browser
) -> None:
    with lured(browser) as (context, watch, hits):
        page = context.new_page()
        page.goto(page_of(graded_by_nbgrader(tmp_path_factory.getbasetemp(), ours=False)).as_uri())
        settled(page)
        assert len(set(hits)) > 20 and watch.outside and page.evaluate(LOOK)


def test_what_the_student_wrote_can_be_read(course: Course) -> None:
    text = text_of(course)
    assert "My answer is $e^{x}$." in text
    told = [(f"HIT({number})", vector) for number, vector in enumerate(numbered(MARKDOWN))]
    links = "https://a.example"  # these stay links, with the rest of the address in them
    missing = [vector for hit, vector in told if hit in vector and links not in vector and hit not in text]
    assert missing == []


def test_outputs_are_shown_as_text_and_pictures_with_a_notice_of_what_is_not(course: Course, browser: Browser) -> None:
    text = text_of(course)
    for told in (
        "Output of the student's code, not of the grader:",
        "not shown, because it could act on a reader's page: text/html",
        "a picture is not shown: it is not valid base64",
        "a picture is not shown: it is not a valid PNG file",
        "… cut: 250,001 more characters; the limit is 50,000 bytes.",
        "[U+202E]gnitirw",
        "<img src=x onerror=HIT(526)>",
    ):
        assert told in text, told
    with lured(browser) as (context, _, _):
        page = context.new_page()
        page.goto(page_of(course).as_uri())
        settled(page)
        picture = page.get_by_alt_text("Picture from the student's code").first
        assert picture.evaluate("image => image.naturalWidth") > 100


def test_only_the_grader_s_tables_look_like_the_grader_s(course: Course, browser: Browser) -> None:
    with lured(browser) as (context, _, _):
        page = context.new_page()
        page.goto(page_of(course).as_uri())
        tables = page.locator(".autograder-result")
        assert tables.count() == 2
        assert "Checked by plain nbgrader, without isolation" in tables.first.inner_text()
        # a link at the top of the page leads to the test's cell, although a heading of the student's bears its name
        page.locator("#toc a").first.click()
        target = page.locator("[id='softmax-check'], a[name='softmax-check']")
        assert target.count() == 1 and target.evaluate("a => a.tagName") == "A"


def test_formulas_are_set_by_the_copy_beside_the_pages_and_else_shown_as_typed(
    course: Course, browser: Browser, tmp_path: Path
) -> None:
    alone = tmp_path / "a" / "b" / "attention.html"
    alone.parent.mkdir(parents=True)
    shutil.copy(page_of(course), alone)
    with lured(browser) as (context, watch, _):
        page = context.new_page()
        page.goto(page_of(course).as_uri())
        page.wait_for_selector("mjx-container", timeout=30_000)
        assert watch.faults() == []
        page.goto(alone.as_uri())
        settled(page)
        assert page.locator("mjx-container").count() == 0 and "$e^{x}$" in page.inner_text("body")
        assert watch.outside == []
