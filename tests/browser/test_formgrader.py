"""Formgrader and JupyterLab over a submission that tries everything: nothing runs, nothing is loaded from outside."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hostile_class import LOOK, NAME, STUDENT, graded_by_nbgrader, lured, settled
from playwright.sync_api import Browser, BrowserContext, Page, expect

from autograder.course import Course

pytestmark = pytest.mark.browser
WAIT = 180_000


@contextmanager
def serving(course: Course) -> Iterator[str]:
    """The address of `autograder serve` on the course, with a configuration of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    beside = course.root.parent
    own = {name: str(beside / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTERLAB_SETTINGS_DIR")}
    command = [
        str(Path(sys.executable).parent / "autograder"),
        "serve",
        "--course",
        str(course.root),
        "--port",
        str(port),
    ]
    with (beside / "serve.log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--no-browser"], stdout=log, stderr=log, env={**os.environ, **own, "JUPYTER_TOKEN": "t"},
            start_new_session=True,
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(WAIT // 1000):
            try:
                urllib.request.urlopen(f"{address}/api?token=t", timeout=5).close()
                break
            except OSError:
                time.sleep(1)
        else:
            pytest.fail(f"the server did not start:\n{(beside / 'serve.log').read_text()}")
        yield address
    finally:
        os.killpg(server.pid, 15)
        server.wait(timeout=30)


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    return graded_by_nbgrader(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def server(course: Course) -> Iterator[str]:
    with serving(course) as address:
        yield address


def submission(course: Course) -> str:
    """Where formgrader shows the submission."""
    with course.gradebook() as gradebook:
        known = gradebook.find_submission_notebook("attention", "attention", STUDENT).id
    return f"formgrader/submissions/{known}/"


def signed_in(context: BrowserContext, address: str) -> Page:
    """A page of somebody whom the server lets in."""
    page = context.new_page()
    page.goto(f"{address}/api/me?token=t")
    return page


def test_a_submission_does_not_act_and_can_be_marked(course: Course, server: str, browser: Browser) -> None:
    with lured(browser) as (context, watch, hits):
        page = signed_in(context, server)
        page.goto(f"{server}/{submission(course)}")
        settled(page)
        assert hits == [] and watch.faults() == [] and page.evaluate(LOOK) == []
        assert page.locator("mjx-container").count() > 5 and page.evaluate("MathJax.loaded")
        body = page.inner_text("#notebook").replace("\u2060", "")
        assert "<img src=x onerror=HIT(7)>" in body and "… cut: 250,001 more characters" in body
        # the boxes for scores are those of the test's cells, although a heading of the student's bears their name
        box = page.locator("[id='softmax-check']")
        expect(box).to_have_attribute("placeholder", "0")
        box.fill("2")
        with page.expect_response(lambda r: "/api/grade/" in r.url and r.request.method == "PUT"):
            box.press("Tab")
    with course.gradebook() as gradebook:
        assert gradebook.find_grade("softmax-check", "attention", "attention", STUDENT).manual_score == 2


def test_the_same_submission_does_act_where_nothing_is_done_about_it(
    tmp_path_factory: pytest.TempPathFactory, browser: Browser
) -> None:
    unprotected = graded_by_nbgrader(tmp_path_factory.getbasetemp(), ours=False)
    with serving(unprotected) as address, lured(browser) as (context, watch, hits):
        page = signed_in(context, address)
        page.goto(f"{address}/{submission(unprotected)}")
        settled(page)
        assert len(set(hits)) > 20 and watch.outside


def test_names_do_not_act_on_any_page(course: Course, server: str, browser: Browser) -> None:
    with lured(browser) as (context, watch, hits):
        page = signed_in(context, server)
        page.goto(f"{server}/{submission(course)}")
        settled(page)
        page.locator(".glyphicon-eye-open").click()
        assert page.locator(".breadcrumb a.name-shown").inner_text().strip() == f"{NAME}, {NAME}"
        for path, named in (
            ("manage_students", True),
            (f"manage_students/{STUDENT}", False),
            (f"manage_students/{STUDENT}/attention", False),
            ("manage_submissions/attention", True),
            ("gradebook/attention/attention", False),
        ):
            page.goto(f"{server}/formgrader/{path}")
            settled(page)
            assert page.get_by_text(NAME if named else "attention").first.is_visible(), path
            assert hits == [] and watch.faults() == [], path


def test_the_notebook_does_not_act_in_jupyterlab(course: Course, server: str, browser: Browser) -> None:
    with lured(browser) as (context, watch, hits):
        page = signed_in(context, server)
        page.goto(f"{server}/lab/tree/autograded/{STUDENT}/attention/attention.ipynb")
        page.wait_for_selector(".jp-MarkdownCell", timeout=WAIT)
        for _ in range(60):  # JupyterLab makes a cell's page only when it comes into view
            page.locator(".jp-WindowedPanel-outer").evaluate("panel => panel.scrollBy(0, 700)")
            page.wait_for_timeout(150)
        page.wait_for_timeout(1000)
        loaded = [fault for fault in watch.outside if "ws://127.0.0.1:" not in fault]
        assert hits == [] and loaded == []
        text = page.inner_text(".jp-Notebook")
        assert "HIT(902)" in text  # the last cell has been seen
