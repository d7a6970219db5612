"""Where test cells and imports have to stand so that what they need is there when they run."""

from __future__ import annotations

import re

from nbformat import NotebookNode

from autograder.grading.rebuild.recognise import Definitions, checked, grade_id
from autograder.grading.rebuild.trusted import TrustedCell

IMPORT = re.compile(r"\s*((import|from)\s[^\n]*|#[^\n]*)?")


def answer_name(test: str) -> str:
    """The name of the cell that a test cell tests."""
    return test.removesuffix("-check")


def move_imports(cells: list[NotebookNode], trusted: dict[str, TrustedCell], notes: list[str]) -> None:
    """Move locked cells of nothing but imports above all other cells of the assignment, in place."""
    first = next((i for i, cell in enumerate(cells) if (n := grade_id(cell)) and not imports(trusted[n])), len(cells))
    late = [cell for cell in cells[first:] if (n := grade_id(cell)) and imports(trusted[n])]
    for cell in late:
        del cells[index_of(cells, cell)]
        notes.append(f"the cell '{grade_id(cell)}' stood below others that need it; it was moved to the top")
    cells[:0] = late


def imports(known: TrustedCell) -> bool:
    """Whether a trusted cell only imports, so that it can stand anywhere above the rest."""
    given = known.locked and not known.grade and known.cell_type == "code"
    return given and all(IMPORT.fullmatch(line) for line in known.source.splitlines())


def move_tests(
    cells: list[NotebookNode], trusted: dict[str, TrustedCell], definitions: Definitions, notes: list[str]
) -> None:
    """Move test cells that stand above what they test to just below it, in place."""
    for test in [c for c in cells if (n := grade_id(c)) and trusted[n].grade and not trusted[n].solution]:
        at = index_of(cells, test)
        if stands_well(cells, at, definitions):
            continue
        below = position_below(cells, test, definitions)
        if below > at:
            cells.insert(below, test)
            del cells[at]
            notes.append(f"the test '{grade_id(test)}' stood above its answer; it was moved below it")


def stands_well(cells: list[NotebookNode], at: int, definitions: Definitions) -> bool:
    """Whether the test at this index has its answer above it, and all its objects that are defined anywhere."""
    answer = answer_name(grade_id(cells[at]) or "")
    place = next((i for i, cell in enumerate(cells) if grade_id(cell) == answer), -1)
    if place > at:
        return False
    for name in checked(cells[at].source):
        # a definition that is not at the margin of the answer's own cell is one all the same
        inside = place >= 0 and re.search(rf"\b{name}\b", cells[place].source)
        places = [i for i, cell in enumerate(cells) if name in definitions(cell)]
        if not inside and places and places[0] > at:
            return False
    return True


def position_below(cells: list[NotebookNode], test: NotebookNode, definitions: Definitions) -> int:
    """The index just below a test's answer, or 0 if there is none.

    The answer is the cell of that name and, for objects that are not defined down to there, the last that defines
    them.
    """
    answer = answer_name(grade_id(test) or "")
    own = below = next((i + 1 for i, cell in enumerate(cells) if grade_id(cell) == answer), 0)
    for name in checked(test.source):
        places = [i + 1 for i, cell in enumerate(cells) if name in definitions(cell)]
        if places and places[0] > own:
            below = max(below, places[-1])
    return below


def index_of(cells: list[NotebookNode], cell: NotebookNode) -> int:
    """Where this very cell is; cells that look the same are others."""
    return next(i for i, other in enumerate(cells) if other is cell)
