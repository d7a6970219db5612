"""Which cell of a submission is which cell of the assignment, also where an editor or a hand changed the ids."""

from __future__ import annotations

import re
from collections import Counter

from nbformat import NotebookNode

from autograder.grading.rebuild.trusted import TrustedCell

DEFINITION = re.compile(r"(?m)^(?:async[ \t]+)?(?:def|class)[ \t]+([^\W\d]\w*)")
ASSIGNMENT = re.compile(r"(?m)^([^\W\d]\w*)[ \t]*(?::[^=\n]*)?=(?!=)")
CHECK = re.compile(r"""check\(\s*["'][\w.-]+["']\s*((?:,\s*\w+\s*)*),?\s*\)""")


class Definitions:
    """What the cells of one submission define or assign at their left margin, each looked at once."""

    def __init__(self) -> None:
        self.seen: dict[str, frozenset[str]] = {}

    def __call__(self, cell: NotebookNode) -> frozenset[str]:
        """The names; none for a cell that is not code. The code need not be valid Python."""
        if cell.cell_type != "code":
            return frozenset()
        if cell.source not in self.seen:
            self.seen[cell.source] = defined(cell.source) | frozenset(ASSIGNMENT.findall(cell.source))
        return self.seen[cell.source]


def defined(source: str) -> frozenset[str]:
    """The functions and classes that a text defines at its left margin."""
    return frozenset(DEFINITION.findall(source))


def checked(source: str) -> list[str]:
    """The names that a trusted test cell hands to `check`."""
    found = CHECK.fullmatch(source.strip())
    return re.findall(r"\w+", found[1]) if found else []


def grade_id(cell: NotebookNode) -> str | None:
    """The cell's nbgrader id, if it has one that is a string."""
    meta = cell.metadata.get("nbgrader")
    name = meta.get("grade_id") if isinstance(meta, dict) else None
    return name if isinstance(name, str) else None


def wanted_names(trusted: dict[str, TrustedCell]) -> dict[str, frozenset[str]]:
    """For each answer of code what it has to define and no other one has."""
    names = {n: defined(c.source) for n, c in trusted.items() if c.solution and c.cell_type == "code"}
    often = Counter(name for found in names.values() for name in found)
    return {cell: frozenset(name for name in found if often[name] == 1) for cell, found in names.items()}


def recognise(cells: list[NotebookNode], trusted: dict[str, TrustedCell], definitions: Definitions) -> list[str | None]:
    """For each cell the name of the trusted cell it is, or None; copies of one cell all get its name.

    An id counts, unless the cell's text shows that it is another question's answer (ids swapped). A cell without an
    id is known by a locked cell's text or, if no cell has that id, by what it defines.
    """
    wanted = wanted_names(trusted)
    names = [name if (name := grade_id(cell)) in trusted else None for cell in cells]
    unswap(names, cells, trusted, wanted, definitions)
    locked = {cell.source.strip(): name for name, cell in trusted.items() if cell.locked}
    have = set(names)
    for index, cell in enumerate(cells):
        if names[index] is None and cell.cell_type == "code":
            name = locked.get(cell.source.strip())
            if name and name not in have:
                names[index] = name
                have.add(name)
    for name, needed in wanted.items():
        if name in have:
            continue
        stub = trusted[name].source.strip()
        shares = [
            (len(needed & definitions(cell)), cell.source.strip() != stub, index)
            for index, cell in enumerate(cells)
            if names[index] is None and cell.cell_type == "code"
        ]
        share, _, index = max(shares, default=(0, False, 0))
        if share:
            names[index] = name
    return names


def unswap(
    names: list[str | None],
    cells: list[NotebookNode],
    trusted: dict[str, TrustedCell],
    wanted: dict[str, frozenset[str]],
    definitions: Definitions,
) -> None:
    """Put right, in place, ids that stand on another question's answer, or a test's id on an answer."""
    owner = {name: cell for cell, found in wanted.items() for name in found}
    right: dict[int, str] = {}
    for index, (cell, name) in enumerate(zip(cells, names, strict=True)):
        if name is None or not (trusted[name].solution or trusted[name].locked):
            continue
        owners = {owner[n] for n in definitions(cell) if n in owner}
        # an answer that also defines another one's names as helpers is still that answer
        if len(owners) == 1 and owners != {name} and wanted[other := next(iter(owners))] <= definitions(cell):
            right[index] = other
    for index, other in right.items():
        vacated, names[index] = names[index], other
        for place, name in enumerate(names):
            # what held the id that belongs here gets the one that was taken from here
            if name == other and place not in right and not wanted[other] & definitions(cells[place]):
                names[place] = vacated
