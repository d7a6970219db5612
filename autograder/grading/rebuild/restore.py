"""A submission rebuilt: trusted cells from the gradebook, the student's own in between."""

from __future__ import annotations

from nbformat import NotebookNode
from nbformat.notebooknode import from_dict

from autograder.grading.rebuild.placing import answer_name, move_imports, move_tests, position_below
from autograder.grading.rebuild.recognise import Definitions, recognise
from autograder.grading.rebuild.trusted import TrustedCell

DELETED_ANSWER = "*This question's cell was not in the notebook that was handed in.*"


def restore(cells: list[NotebookNode], trusted: dict[str, TrustedCell]) -> tuple[list[NotebookNode], list[str]]:
    """Rebuild a submission's cells; returns them and, in sentences, what had to be put right.

    Known cells get their trusted metadata and type, locked ones their source; nothing else of a cell is kept but its
    type, its source and a markdown cell's attachments. The student's order stays, with three exceptions:

    - a test cell that stands above the answer it tests is moved to just below it;
    - a locked cell of imports that stands below other code of the assignment is moved to the top;
    - missing test cells are added below their answer or at the end, missing locked ones at the top.

    Of copies of an answer the last counts, as it does for Python, but unwritten copies are left out; of copies of a
    test cell the first below its answer. Missing answers are not put back: they may stand in a cell of another name.
    """
    definitions = Definitions()
    names = recognise(cells, trusted, definitions)
    chosen, notes = choose(names, cells, trusted)
    rebuilt: list[NotebookNode] = []
    for index, (cell, name) in enumerate(zip(cells, names, strict=True)):
        if name is None or chosen[name] != index:
            if name is None or not is_stub(cell, trusted[name]):
                rebuilt.append(bare(cell))
            continue
        known = trusted[name]
        if known.locked and cell.source.strip() != known.source.strip():
            notes.append(f"the locked cell '{name}' had been edited; its original was used")
        if cell.cell_type != known.cell_type:
            notes.append(f"the cell '{name}' had become {cell.cell_type}; it was made {known.cell_type} again")
        rebuilt.append(build(known, known.source if known.locked else cell.source, cell.get("attachments")))
    move_imports(rebuilt, trusted, notes)
    move_tests(rebuilt, trusted, definitions, notes)
    put_back(rebuilt, [trusted[name] for name in trusted if name not in chosen], definitions, notes)
    for index, cell in enumerate(rebuilt):
        cell["id"] = f"cell-{index}"
    return rebuilt, notes


def choose(
    names: list[str | None], cells: list[NotebookNode], trusted: dict[str, TrustedCell]
) -> tuple[dict[str, int], list[str]]:
    """For each known name the index of the cell that counts, and a note for each that there is more than once."""
    places: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        if name:
            places.setdefault(name, []).append(index)
    notes = []
    chosen = {}
    # answers first: which copy of a test counts depends on where its answer is
    for name in sorted(places, key=lambda name: not trusted[name].solution):
        found = places[name]
        chosen[name] = found[-1]
        if len(found) == 1:
            continue
        if trusted[name].solution:
            written = [index for index in found if not is_stub(cells[index], trusted[name])]
            chosen[name] = written[-1] if written else found[-1]
            which = "the last one" + (" with an answer" if 0 < len(written) < len(found) else "")
        elif trusted[name].grade:
            below = chosen.get(answer_name(name), -1)
            chosen[name] = next((index for index in found if index > below), found[-1])
            which = "the first one below its answer" if below >= 0 else "one"
        else:
            chosen[name] = found[0]
            which = "the first one"
        notes.append(f"the cell '{name}' occurs more than once; {which} was graded")
    return chosen, notes


def is_stub(cell: NotebookNode, known: TrustedCell) -> bool:
    """Whether this is the answer's cell as it was released, with nothing written in it."""
    return known.solution and cell.source.strip() == known.source.strip()


def build(known: TrustedCell, source: str, attachments: object = None) -> NotebookNode:
    """A cell of the assignment with its trusted metadata."""
    return make(known.cell_type, source, known.metadata(), attachments)


def bare(cell: NotebookNode) -> NotebookNode:
    """A student's own cell, without metadata and outputs."""
    return make(cell.cell_type, cell.source, {}, cell.get("attachments"))


def make(kind: str, source: str, metadata: dict[str, object], attachments: object = None) -> NotebookNode:
    # nbformat's own makers validate each cell, which takes longer than all the rest here
    cell = NotebookNode(cell_type=kind, id="", metadata=from_dict(metadata), source=source)
    if kind == "code":
        cell.update(execution_count=None, outputs=[])
    elif kind == "markdown" and attachments:
        cell["attachments"] = attachments
    return cell


def put_back(cells: list[NotebookNode], missing: list[TrustedCell], definitions: Definitions, notes: list[str]) -> None:
    """Add the missing tests, locked cells and questions for a person, in place."""
    top = 0
    for known in missing:
        if known.grade:
            cell = build(known, DELETED_ANSWER if known.solution else known.source)
            cells.insert(position_below(cells, cell, definitions) or len(cells), cell)
        elif known.locked:
            cells.insert(top, build(known, known.source))
            top += 1
        else:
            continue
        notes.append(f"the cell '{known.name}' was missing; it was put back")
