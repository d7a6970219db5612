"""Run a student's notebook from start to end and gather what its checks say, without a browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

from autograder import checks
from autograder.course import CourseError
from autograder.grading.reports.reasons import short
from autograder.lint import meta
from autograder.result import MIME, as_text, headline
from autograder.verdict import Verdict

CALL = re.compile(r"""(?m)^\s*check\(\s*["']([\w.]+)["']""")
CELL_SECONDS = 120


@dataclass(frozen=True)
class Outcome:
    """What became of one check of a notebook: its verdict, or why there is none."""

    exercise: str
    verdict: Verdict | None
    problem: str = ""

    @property
    def passed(self) -> bool:
        """Whether every case passed."""
        return self.verdict is not None and all(case.status == "pass" for case in self.verdict.cases)

    def as_text(self) -> str:
        """The check's table for a terminal, or the sentence that stands in for it."""
        return as_text(self.verdict) if self.verdict else f"{self.exercise}: no result, {self.problem}"


def check_notebook(
    path: Path,
    *,
    seconds: float = CELL_SECONDS,
    start: Callable[[int], None] = lambda _: None,
    tick: Callable[[str], None] = lambda _: None,
) -> tuple[list[Outcome], int]:
    """Run the notebook at ``path`` in a Python process of its own, beside it; the file is left as it is.

    A cell that raises, or computes for longer than ``seconds``, ends alone and the next one runs. ``start`` is told
    the number of code cells, ``tick`` what each of them was. Returns the outcome of each check in order, and how many
    questions are left to a person. Raises CourseError if the file is no notebook, asks for no check, or its Python
    process dies.
    """
    notebook = read(path)
    calls = [call for cell in notebook.cells if cell.cell_type == "code" for call in CALL.findall(cell.source)]
    if not calls:
        raise CourseError(f'{path} has no line check("…"): it is not an assignment of this course.')
    start(sum(cell.cell_type == "code" and bool(cell.source.strip()) for cell in notebook.cells))
    execute(notebook, path.resolve().parent, seconds, tick)
    by_hand = sum(bool(meta(cell).get("grade")) for cell in notebook.cells if cell.cell_type == "markdown")
    return outcomes(notebook), by_hand


def read(path: Path) -> NotebookNode:
    """The notebook in ``path``, an .ipynb or a text that jupytext knows; raises CourseError otherwise."""
    if not path.is_file():
        raise CourseError(f"There is no file {path}.")
    try:
        notebook = jupytext.read(path)
        nbformat.validate(notebook)
    except Exception as error:  # jupytext lets its parsers' own exceptions through
        raise CourseError(f"{path} cannot be read as a notebook: {short(str(error))}") from error
    return notebook


def execute(notebook: NotebookNode, folder: Path, seconds: float, tick: Callable[[str], None]) -> None:
    """Run all cells in a fresh kernel whose working folder is ``folder``, filling in their outputs."""
    from nbclient import NotebookClient
    from nbclient.exceptions import DeadKernelError

    last = "its first cell"

    def done(cell: NotebookNode, cell_index: int) -> None:
        nonlocal last
        last = f"the cell {short(cell.source.strip() or 'without text', 50)!r}"
        tick(short(cell.source.strip().split("\n")[0], 50))

    client = NotebookClient(
        notebook, timeout=seconds, interrupt_on_timeout=True, allow_errors=True, kernel_name="python3",
        resources={"metadata": {"path": str(folder)}}, on_cell_complete=done,
        extra_arguments=["--log-level=ERROR"],  # ipykernel warns that it talks over TCP, on this machine only
    )  # fmt: skip
    try:
        client.execute()
    except DeadKernelError as error:
        raise CourseError(
            f"The notebook's Python process ended soon after {last}: out of memory, or exit()."
        ) from error


def outcomes(notebook: NotebookNode) -> list[Outcome]:
    """What each check of an executed notebook said, the last word on each exercise counting."""
    found: dict[str, Outcome] = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            records = [record for output in cell.outputs if (record := output.get("data", {}).get(MIME))]
            verdicts = {verdict.exercise: verdict for verdict in map(Verdict.of, records)}
            for name in CALL.findall(cell.source):
                problem = "" if name in verdicts else why_none(cell)
                found[name] = Outcome(name, verdicts.get(name), problem)
    return list(found.values())


def why_none(cell: NotebookNode) -> str:
    """Why the check in a cell has not answered."""
    errors = [output for output in cell.outputs if output.output_type == "error"]
    if not errors:
        return "its cell shows none: its last line must be the check, and it must come to an end"
    error = errors[0]
    missing = re.match(r"name '(\w+)' is not defined", error.evalue)
    if error.ename == "NameError" and missing:
        return f"for `{missing[1]}` is not defined: its cell was not run to the end, or calls it otherwise"
    return f"for its cell stops with {error.ename}: {short(error.evalue)}"


def summary(found: list[Outcome], by_hand: int) -> str:
    """The points of each exercise in a line, their sum, and what is not counted in it."""
    lines = [headline(o.verdict) if o.verdict else o.as_text() for o in found]
    had = sum(o.verdict.points if o.verdict else 0.0 for o in found)
    full = sum(checks.load(o.exercise).points for o in found)
    lines.append(f"{had:g} of {full:g} points, {sum(o.passed for o in found)} of {len(found)} exercises complete.")
    if by_hand:
        lines.append(f"{by_hand} written answer{'s are' if by_hand > 1 else ' is'} marked by a person.")
    return "\n".join(lines)
