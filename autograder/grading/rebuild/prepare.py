"""Make of a handed-in folder what can be run and graded, or say why a person has to look at it."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from nbformat import NotebookNode

from autograder.grading.intake.found import printable
from autograder.grading.rebuild.beside import files_beside
from autograder.grading.rebuild.notebook import MAX_BYTES, Unreadable, read_bytes, read_cells
from autograder.grading.rebuild.recognise import Definitions, defined, grade_id, recognise
from autograder.grading.rebuild.restore import restore
from autograder.grading.rebuild.trusted import TrustedCell

__all__ = ["MAX_BYTES", "Prepared", "Unreadable", "inspect", "prepare"]

STUDENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,99}")
OF_ROOM = re.compile(r"""\bcheck\(\s*["'](\w+)\.""")


@dataclass(frozen=True)
class Prepared:
    """A submission ready to be run.

    `cells` are rebuilt (see `restore`) and without outputs; `notes` say in sentences what had to be put right;
    `files` are what was handed in beside the notebook, by relative name.
    """

    cells: list[NotebookNode]
    notes: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)


def prepare(folder: Path, assignment: str, trusted: dict[str, TrustedCell]) -> Prepared:
    """Read a handed-in folder ``submitted/<student>/<assignment>``.

    The notebook is read once; nothing is written. Time and memory are bounded by the limits of
    `autograder.grading.rebuild.notebook` and `autograder.grading.rebuild.beside`, whatever the files hold.

    Raises:
        Unreadable: no notebook that can be read, or one of another assignment; the message is a sentence.
    """
    if not STUDENT.fullmatch(folder.parent.name):
        raise Unreadable("the folder's name cannot be a student's id (use letters, digits, _ . @ and -)")
    try:
        # kept open, so that all is read from one and the same folder even if a newer one takes its place meanwhile
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise Unreadable(f"the folder cannot be opened ({error.strerror})") from None
    try:
        name, cells, notes = find_notebook(handle, assignment, trusted)
        files, left_out = files_beside(handle, name)
    finally:
        os.close(handle)
    rebuilt, restored = restore(cells, trusted)
    return Prepared(rebuilt, [*notes, *restored, *version_note(restored, trusted), *left_out], files)


def find_notebook(
    folder: int, assignment: str, trusted: dict[str, TrustedCell]
) -> tuple[str, list[NotebookNode], list[str]]:
    """The name, cells and notes of the assignment's notebook: the one of its name, else the only one of its content."""
    expected = f"{assignment}.ipynb"
    names = sorted(os.listdir(folder))
    if expected in names:
        cells, notes = read_cells(read_bytes(expected, folder=folder))
        refuse_foreign(cells, assignment, trusted)
        return expected, cells, notes
    found = []
    problem = ""
    for name in [name for name in names if name.lower().endswith(".ipynb")][:20]:
        try:
            cells, notes = read_cells(read_bytes(name, folder=folder))
            refuse_foreign(cells, assignment, trusted)
        except Unreadable as error:
            problem = f"there is no {expected}, and {printable(name)} cannot be taken for it: {error}"
        else:
            found.append((name, cells, [f"{printable(name)} was taken for {expected}", *notes]))
    if len(found) == 1:
        return found[0]
    if found:
        raise Unreadable(f"there is no {expected} in it, but {len(found)} other notebooks of this assignment")
    others = ", ".join(printable(name) for name in names[:10]) or "nothing"
    raise Unreadable(problem or f"there is no {expected} in it, but {others}")


def refuse_foreign(cells: list[NotebookNode], assignment: str, trusted: dict[str, TrustedCell]) -> None:
    """Raise Unreadable unless some of these cells are the assignment's questions, or half of its answers.

    Two assignments may ask for a function of the same name, so that a name alone says little.
    """
    questions = {name for name, cell in trusted.items() if cell.grade or cell.solution}
    if any(grade_id(cell) in questions for cell in cells):
        return
    known = {name for name in recognise(cells, trusted, Definitions()) if name in questions}
    answers = {name for name in questions if trusted[name].solution and defined(trusted[name].source)}
    if known - answers or 2 * len(known & answers) >= len(answers) > 0:
        return
    rooms = Counter(room for cell in cells for room in OF_ROOM.findall(cell.source[:100_000]))
    which = f"that of '{rooms.most_common(1)[0][0]}'" if rooms and assignment not in rooms else "another notebook"
    raise Unreadable(f"it has none of the cells of '{assignment}': {which} was handed in")


def version_note(restored: list[str], trusted: dict[str, TrustedCell]) -> list[str]:
    """A sentence if most questions were not in the notebook: it may be another year's."""
    tests = [name for name, cell in trusted.items() if cell.grade]
    gone = sum(f"the cell '{name}' was missing; it was put back" in restored for name in tests)
    if 2 * gone <= len(tests):
        return []
    return [f"{gone} of the assignment's {len(tests)} questions were not in it: it may be another year's version"]


def inspect(folder: Path, assignment: str, trusted: dict[str, TrustedCell]) -> list[str]:
    """Check one handed-in folder before nbgrader itself grades it; returns notes, raises Unreadable.

    Raises:
        Unreadable: as `prepare`, and for what nbgrader cannot take: links or devices beside the notebook (it would
            copy what they point at), or a notebook of another name.
    """
    odd = [p for p in folder.rglob("*") if not stat.S_ISREG(m := p.lstat().st_mode) and not stat.S_ISDIR(m)]
    if odd or folder.is_symlink():
        raise Unreadable(f"there is a link or a device beside it: {printable(odd[0].name if odd else folder.name)}")
    prepared = prepare(folder, assignment, trusted)
    if not (folder / f"{assignment}.ipynb").is_file():
        raise Unreadable(f"its notebook is not called {assignment}.ipynb")
    return prepared.notes
