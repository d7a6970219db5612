"""A submission rebuilt for nbgrader: trusted cells from the gradebook, the student's own in between."""

from __future__ import annotations

from dataclasses import dataclass

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor

RESULT = "application/vnd.autograder.result+json"
DELETED_ANSWER = "*This question's cell was not in the notebook that was handed in.*"


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


def grade_id(cell: NotebookNode) -> str | None:
    """The cell's nbgrader id, if it has one that is a string."""
    meta = cell.metadata.get("nbgrader")
    name = meta.get("grade_id") if isinstance(meta, dict) else None
    return name if isinstance(name, str) else None


def restore(cells: list[NotebookNode], trusted: dict[str, TrustedCell]) -> tuple[list[NotebookNode], list[str]]:
    """Rebuild a submission's cells; returns them and, in sentences, what had to be put right.

    Known cells get their trusted metadata and type, locked ones their source. Of copies of one cell the last
    counts, as it does for Python. Missing test cells are added after their solution or at the end, missing locked
    ones at the top. Missing solution cells are not: the answer may stand in a cell that lost its metadata.
    """
    notes: list[str] = []
    names = known_names(cells, trusted)
    last = {name: index for index, name in enumerate(names) if name}
    rebuilt: list[NotebookNode] = []
    for index, (cell, name) in enumerate(zip(cells, names, strict=True)):
        if name is None or last[name] != index:
            cell.metadata = {}
            rebuilt.append(cell)
            if name:
                notes.append(f"the cell '{name}' occurs more than once; the last one was graded")
            continue
        known = trusted[name]
        if known.locked and cell.source != known.source:
            notes.append(f"the locked cell '{name}' had been edited; its original was used")
        if cell.cell_type != known.cell_type:
            notes.append(f"the cell '{name}' had become {cell.cell_type}; it was made {known.cell_type} again")
        rebuilt.append(build(known, known.source if known.locked else cell.source))
    for name, known in trusted.items():
        if name in last or not (known.grade or known.locked):
            continue
        notes.append(f"the cell '{name}' was missing; it was put back")
        at = position_after(rebuilt, name.removesuffix("-check")) if known.grade else 0
        rebuilt.insert(at, build(known, DELETED_ANSWER if known.solution else known.source))
    for index, cell in enumerate(rebuilt):
        cell["id"] = f"cell-{index}"
    return rebuilt, notes


def known_names(cells: list[NotebookNode], trusted: dict[str, TrustedCell]) -> list[str | None]:
    """For each cell the trusted cell it is: by its id or, where an editor dropped that, by a locked text."""
    locked = {cell.source.strip(): name for name, cell in trusted.items() if cell.locked}
    names = [name if (name := grade_id(cell)) in trusted else None for cell in cells]
    for index, cell in enumerate(cells):
        name = locked.get(cell.source.strip())
        if names[index] is None and cell.cell_type == "code" and name and name not in names:
            names[index] = name
    return names


def build(known: TrustedCell, source: str) -> NotebookNode:
    make = new_code_cell if known.cell_type == "code" else new_markdown_cell
    return make(source, metadata=known.metadata())


def position_after(cells: list[NotebookNode], name: str) -> int:
    """The index just after the cell with this id, or the end."""
    return next((i + 1 for i, cell in enumerate(cells) if grade_id(cell) == name), len(cells))


class RestoreCells(NbGraderPreprocessor):
    """nbgrader's first step on a submission: the notebook rebuilt from what the gradebook knows of it."""

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Replace the cells as `restore` says; nbgrader's own log gets a warning for each change."""
        where = resources["nbgrader"]
        with Gradebook(where["db_url"]) as gradebook:
            trusted = trusted_cells(gradebook, where["assignment"], where["notebook"])
        nb.cells, notes = restore(nb.cells, trusted)
        nb.nbformat, nb.nbformat_minor = 4, 5
        for note in notes:
            self.log.warning("%s: %s", where["student"], note)
        return nb, resources


class QuietTests(NbGraderPreprocessor):
    """After execution: what student code printed to stderr inside a check no longer counts as a failed check.

    nbgrader gives zero to a test cell with anything on stderr, be it a warning of a library. A check reports
    failures in its result.
    """

    def preprocess_cell(self, cell: NotebookNode, resources: dict, index: int) -> tuple[NotebookNode, dict]:
        """Turn stderr into stdout in a test cell that has a check's result."""
        if grade_id(cell) and any(RESULT in output.get("data", {}) for output in cell.get("outputs", [])):
            for output in cell.outputs:
                if output.output_type == "stream":
                    output.name = "stdout"
        return cell, resources
