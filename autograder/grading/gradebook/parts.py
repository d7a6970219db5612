"""What the gradebook knows of an assignment's notebooks, and whether a graded one is fit to be written."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.api import Assignment, BaseCell, Notebook, SourceCell
from sqlalchemy import select
from sqlalchemy.orm import Session

from autograder.course import CourseError
from autograder.grading.rebuild.recognise import grade_id


class Refused(CourseError):
    """The grades of one student cannot be written, for a reason that concerns that student alone."""


@dataclass(frozen=True)
class Part:
    """One notebook of an assignment as the gradebook knows it; cells are kept by grade_id."""

    id: str
    assignment_id: str
    name: str
    kernelspec: str | None
    graded: dict[str, str]
    commented: dict[str, str]
    tasks: frozenset[str]
    checksums: dict[str, str | None]


def read_parts(session: Session, assignment: str) -> dict[str, Part]:
    """The assignment's notebooks by name; empty if the gradebook does not know it."""
    parts = {}
    found = select(Notebook.id, Notebook.assignment_id, Notebook.name, Notebook.kernelspec)
    for row in session.execute(found.join(Assignment).where(Assignment.name == assignment)).all():
        cells = session.execute(select(BaseCell.id, BaseCell.name, BaseCell.type).where(BaseCell.notebook_id == row.id))
        kinds: dict[str, dict[str, str]] = {"GradeCell": {}, "SolutionCell": {}, "TaskCell": {}}
        for cell in cells:
            kinds[cell.type][cell.name] = cell.id
        sources = session.execute(select(SourceCell.name, SourceCell.checksum).where(SourceCell.notebook_id == row.id))
        parts[row.name] = Part(
            *row,
            kinds["GradeCell"] | kinds["TaskCell"],
            kinds["SolutionCell"] | kinds["TaskCell"],
            frozenset(kinds["TaskCell"]),
            {name: checksum for name, checksum in sources},
        )
    return parts


def complete(notebook: NotebookNode, part: Part) -> None:
    """Fill in what nbgrader's OverwriteCells and OverwriteKernelspec take from the gradebook.

    Half a surrogate pair cannot be hashed or stored as text: it is written out as its escape.
    """
    if kernelspec := json.loads(part.kernelspec or "null"):
        notebook.metadata["kernelspec"] = NotebookNode(kernelspec)
    for cell in notebook.cells:
        cell.source = cell.source.encode("utf-8", "backslashreplace").decode()
        if (name := grade_id(cell)) in part.checksums:
            cell.metadata["nbgrader"]["checksum"] = part.checksums[name]


def refuse_unjudged(notebook: NotebookNode, part: Part, only: set[str] | None) -> None:
    """Raise CourseError where nbgrader would invent points or keep stale ones.

    It gives full marks to a test cell without a result, or with one that is no number from 0 to the cell's points,
    and leaves the score of a cell that is not there as it was.
    """
    cells = {name: cell for cell in notebook.cells if (name := grade_id(cell))}
    for name in part.graded:
        if name in part.tasks or (only is not None and name not in only):
            continue
        if name not in cells:
            raise Refused(f"The graded notebook has no cell '{name}'; nothing was written. Grade again.")
        cell = cells[name]
        if cell.cell_type == "code" and not utils.is_solution(cell) and not has_result(cell):
            raise Refused(f"The test cell '{name}' has no valid result; nothing was written. Grade again.")


def has_result(cell: NotebookNode) -> bool:
    """Whether the first thing in the outputs that counts for nbgrader is a failure, or points within bounds."""
    for output in cell.outputs:
        if output.output_type == "error" or (output.output_type == "stream" and output.name == "stderr"):
            return True
        if output.output_type == "execute_result":
            try:
                points = float(output.data["text/plain"])
            except (KeyError, TypeError, ValueError):
                return False
            return math.isfinite(points) and 0 <= points <= float(cell.metadata["nbgrader"]["points"])
    return False
