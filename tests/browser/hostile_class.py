"""A course folder with one submission that tries everything, graded by plain nbgrader; and what a page shows of it."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import nbformat
from active_content import CODE, MARKDOWN, numbered
from nbformat.v4 import new_code_cell, new_markdown_cell, new_raw_cell
from playwright.sync_api import Browser, BrowserContext, Page
from watching import Watch, watched

from autograder.course import Course
from autograder.release import release

SOURCE = Path(__file__).resolve().parents[1] / "autograder" / "sources" / "attention.md"
STUDENT = "mallory"
NAME = "<script>HIT(900)</script><img src=x onerror=HIT(901)>"
# These stop nbconvert instead of acting on the page.
STOPS_NBCONVERT = ("attachment:gone", "[38m")
WITHOUT_OURS = """
steps = c.Autograde.autograde_preprocessors
c.Autograde.autograde_preprocessors = [step for step in steps if step.__name__ != "SanitiseOutputs"]
"""
IMPORTS = (
    "import sys\nfrom IPython.display import HTML, SVG, Javascript, Latex, Markdown, display\n"
    "import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show()"
)
# Elements within a student's part that are not on the list, and attributes and addresses that act. MathJax's own
# elements are made by the page.
LOOK = """() => {
  const faults = [], allowed = new Set(`a p em strong del s pre code span div img ul ol li blockquote hr br table thead
    tbody tr th td dl dt dd input h1 h2 h3 h4 h5 h6 b details summary kbd label button textarea i main`.split(/\\s+/));
  for (const one of document.querySelectorAll('#notebook *')) {
    if (one.closest('mjx-container')) continue;
    const tag = one.tagName.toLowerCase();
    if (!allowed.has(tag)) faults.push(`<${tag}> ${one.outerHTML.slice(0, 120)}`);
    for (const {name, value} of one.attributes) {
      if (name.startsWith('on')) faults.push(`${tag} ${name}=${value}`);
      if (['href', 'src', 'action', 'xlink:href', 'data', 'srcdoc'].includes(name) &&
          !/^(https?:\\/\\/|mailto:|#|data:image\\/(png|jpeg);base64,)/.test(value))
        faults.push(`${tag} ${name}=${value}`);
    }
  }
  return faults;
}"""


def hostile_notebook(course: Course, gentle: bool = False) -> nbformat.NotebookNode:
    """The released notebook with every vector in it; `gentle` leaves out those that stop nbconvert itself."""
    paper = nbformat.read(course.release("attention") / "attention.ipynb", as_version=4)
    paper = copy.deepcopy(paper)
    written = numbered(MARKDOWN)
    shown = numbered(CODE, 500)
    if gentle:
        written, shown = ([v for v in part if not any(s in v for s in STOPS_NBCONVERT)] for part in (written, shown))
    for cell in paper.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == "explain":
            cell.source = "My **answer** is $e^{x}$.\n\n" + written[0] + "\n\n" + written[7]
    paper.cells += [new_markdown_cell(vector) for vector in written]
    paper.cells += [new_code_cell(IMPORTS), *map(new_code_cell, shown)]
    if not gentle:
        paper.cells.append(new_raw_cell("<script>HIT(902)</script>", metadata={"raw_mimetype": "text/html"}))
        paper.cells[-2].metadata.update(tags=['"><script>HIT(903)</script>'], magics_language="html")
        paper.metadata["title"] = "</title><script>HIT(904)</script>"
        paper.metadata["widgets"] = {
            "application/vnd.jupyter.widget-state+json": {"state": {"</script><script>HIT(905)</script>": {}}}
        }
    return paper


@cache
def graded_by_nbgrader(folder: Path, ours: bool = True) -> Course:
    """A course in which nbgrader's own commands graded the hostile submission and made its feedback page.

    Made once for all tests, below `folder`. Without `ours` its configuration lacks the step that makes it harmless.
    """
    course = Course.at(folder / ("hostile" if ours else "unprotected") / "course")
    release(course, SOURCE)
    if not ours:
        with course.config_file.open("a") as file:
            file.write(WITHOUT_OURS)
    target = course.submitted(STUDENT, "attention")
    target.mkdir(parents=True)
    nbformat.write(hostile_notebook(course, gentle=not ours), target / "attention.ipynb")
    with course.gradebook() as gradebook:
        gradebook.add_student(STUDENT, first_name=NAME, last_name=NAME)
    for command in ("autograde", "generate_feedback"):
        done = subprocess.run(
            [str(Path(sys.executable).parent / "nbgrader"), command, "attention"],
            cwd=course.root, capture_output=True, text=True, env=os.environ,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
    return course


@contextmanager
def lured(browser: Browser) -> Iterator[tuple[BrowserContext, Watch, list[int]]]:
    """A context in which every page and frame has the function HIT, and the numbers that it was called with."""
    hits: list[int] = []
    with watched(browser, viewport={"width": 1200, "height": 1000}) as (context, watch):
        context.expose_function("HIT", lambda number: hits.append(number))
        context.on("page", lambda page: page.on("dialog", lambda dialog: (hits.append(-1), dialog.dismiss())))
        yield context, watch, hits


def settled(page: Page) -> None:
    """Wait until nothing is loaded any more and formulas, if there are any, are set."""
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(500)
