"""The cells of an assignment as the gradebook knows them: the only ones that are believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it takes a second to import, and workers have no use for it
    from nbgrader.api import Gradebook


@dataclass(frozen=True)
class TrustedCell:
    """A cell of the assignment as the gradebook knows it."""

    name: str
    cell_type: str
    source: str
    locked: bool
    grade: bool
    solution: bool
    points: float

    def metadata(self) -> dict[str, object]:
        """nbgrader's metadata for this cell, whatever the student's copy says."""
        nbgrader = {
            "grade_id": self.name,
            "grade": self.grade,
            "solution": self.solution,
            "locked": self.locked,
            "task": False,
            "schema_version": 3,
            "cell_type": self.cell_type,
        }
        return {"nbgrader": nbgrader | ({"points": self.points} if self.grade else {})}


def trusted_cells(gradebook: Gradebook, assignment: str, notebook: str) -> dict[str, TrustedCell]:
    """The assignment's own cells by grade_id."""
    entry = gradebook.find_notebook(notebook, assignment)
    points = {cell.name: float(cell.max_score) for cell in entry.grade_cells}
    solutions = {cell.name for cell in entry.solution_cells}
    return {
        cell.name: TrustedCell(
            cell.name,
            cell.cell_type,
            cell.source,
            cell.locked,
            cell.name in points,
            cell.name in solutions,
            points.get(cell.name, 0.0),
        )
        for cell in entry.source_cells
    }
