"""Pictures of formgrader and of feedback pages, taken with Chromium, small enough for a page of the book."""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page, sync_playwright

WIDTH = 1040
TOKEN = "term"


@contextmanager
def browser_page() -> Iterator[Page]:
    """A page of Chromium in light colours; it must be on the path, or named by the variable CHROMIUM."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if path is None:
        raise FileNotFoundError("The pictures need Chromium: install it, or put its path into the variable CHROMIUM.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser.new_page(viewport={"width": WIDTH, "height": 700}, color_scheme="light")
        browser.close()


@contextmanager
def served(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Run `autograder serve`, given up to its port; yields formgrader's address and the first line that it printed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "serve.log"
    settings = dict.fromkeys(("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"), str(folder / "jupyter"))
    with log.open("w") as out:
        server = subprocess.Popen(
            [*command, str(port)],
            cwd=folder,
            env=environment | settings | {"JUPYTER_TOKEN": TOKEN},
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    address = f"http://localhost:{port}"
    try:
        for _ in range(120):
            if server.poll() is not None:
                raise RuntimeError(f"autograder serve ended:\n{log.read_text()}")
            try:
                urllib.request.urlopen(f"{address}/api?token={TOKEN}", timeout=5).close()
                break
            except OSError:
                time.sleep(1)
        yield f"{address}/formgrader", log.read_text().splitlines()[0].replace(str(port), "8888")
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def enter(page: Page, address: str) -> None:
    """Sign in, so that the addresses after this one need no token."""
    page.goto(f"{address}?token={TOKEN}")
    page.wait_for_load_state("networkidle")


def picture(shot: bytes, path: Path) -> None:
    """Write a screenshot with 64 colours, a quarter of its weight and for flat pages not to be told apart."""
    image = Image.open(io.BytesIO(shot)).convert("RGB").quantize(64, dither=Image.Dither.NONE)
    image.save(path, optimize=True)


def keep(page: Page, path: Path, *, height: int | None = None, part: Locator | None = None, margin: int = 0) -> None:
    """Keep what the page shows as a picture: its first `height` pixels, or one `part` with a margin around it."""
    clip = {"x": 0, "y": 0, "width": WIDTH, "height": height or 700}
    if part is not None:
        # in the page, wherever the window has been scrolled to
        x, y, width, height = part.evaluate(
            "(el) => {const r = el.getBoundingClientRect(); return [r.x + scrollX, r.y + scrollY, r.width, r.height]}"
        )
        clip = {"x": max(0, x - margin), "y": max(0, y - margin), "width": width + 2 * margin}
        clip["height"] = height + 2 * margin
    picture(page.screenshot(clip=clip, full_page=True), path)


def set_due_date(page: Page, address: str, assignment: str, when: str, shot: Path) -> None:
    """Give an assignment a due date in formgrader's own dialogue, and keep a picture of it."""
    page.goto(address)
    row = page.locator("tr", has_text=assignment)
    row.locator(".edit a").click()
    dialogue = page.locator("#edit-assignment-modal .modal-content")
    dialogue.wait_for()
    page.wait_for_timeout(600)  # it slides in
    dialogue.locator(".modal-duedate").fill(when)
    dialogue.locator(".modal-timezone").fill("+0000")
    keep(page, shot, part=dialogue, margin=12)
    dialogue.locator("button.save").click()
    row.locator(".duedate", has_text=when[:10]).wait_for()


def mark_written_answers(
    page: Page, address: str, assignment: str, question: str, marks: dict[str, tuple[float, str]],
    pictured: str, shot: Path,
) -> int:  # fmt: skip
    """Mark one question of every submission by what its answer begins with; returns how many were marked.

    ``marks`` holds points and a comment for each beginning; of the first answer that begins as ``pictured`` does,
    a picture is kept.
    """
    page.goto(f"{address}/gradebook/{assignment}/{assignment}")
    page.wait_for_load_state("networkidle")
    links = page.locator("tbody a[href*='/submissions/']").evaluate_all("(all) => all.map((a) => a.href)")
    marked = 0
    for link in dict.fromkeys(links):
        page.goto(link)
        page.wait_for_load_state("networkidle")
        cell = page.locator(f".nbgrader_cell:has(#{question})")
        said = cell.locator(".rendered_html").inner_text()
        for beginning, (points, comment) in marks.items():
            if beginning in said:
                for box, value in ((f"#{question}-comment", comment), (f"#{question}", f"{points:g}")):
                    with page.expect_response(lambda answer: answer.request.method == "PUT"):
                        cell.locator(box).fill(value)
                        cell.locator(box).blur()
                if beginning == pictured and not shot.exists():
                    page.wait_for_timeout(1500)  # the tick that says "saved" fades out
                    keep(page, shot, part=cell, margin=16)
                marked += 1
    return marked
