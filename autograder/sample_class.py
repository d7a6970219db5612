"""A class of made-up students: right, wrong in every known way, half done, broken. The same every time."""

from __future__ import annotations

import copy
import itertools
import textwrap
from collections.abc import Callable
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograder import checks
from autograder.course import Course, CourseError
from autograder.exercise import Exercise
from autograder.release import write_if_changed

FIRST = "ada bela chidi dana emil farah goro hanna ivo jun kaya lev mina nuri olga pia quinn rana sami tara".split()
LAST = "abara bruun castro demir eklund fofana grau haddad ito jansen kovac lindt mora njoroge okoye petrov".split()
ESSAYS = (
    "The largest score is subtracted first, so exp never sees a large number; the quotient stays the same.",
    "Because otherwise it gives nan.",
    "I am not sure, but I think that it makes training faster.",
)

Change = Callable[[NotebookNode], None]


class Sheet:
    """One student's notebook in the making, started from the released one."""

    def __init__(self, released: NotebookNode) -> None:
        self.notebook = copy.deepcopy(released)

    def cell(self, grade_id: str) -> NotebookNode:
        """The cell with this nbgrader id."""
        return next(c for c in self.notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == grade_id)

    def answer(self, answers: dict[str, str]) -> Sheet:
        """Write these sources into the solution cells with these ids."""
        for grade_id, source in answers.items():
            self.cell(grade_id).source = source.rstrip("\n")
        return self

    def essay(self, text: str) -> Sheet:
        """Answer every question that a person marks with `text`."""
        for cell in self.notebook.cells:
            if cell.cell_type == "markdown" and cell.metadata.get("nbgrader", {}).get("grade"):
                cell.source = text
        return self

    def change(self, edit: Change) -> Sheet:
        """Do something to the notebook as a whole."""
        edit(self.notebook)
        return self

    def text(self) -> str:
        return nbformat.writes(self.notebook) + "\n"


def hand_in(course: Course, assignment: str) -> Path:
    """Write the class's notebooks as they would be handed in; returns their folder.

    Raises:
        CourseError: the assignment has not been released, or has no checks.
    """
    course.require(assignment)
    try:
        exercises = [checks.load(name) for name in checks.names(assignment)]
    except ValueError as error:
        raise CourseError(f"{error}.") from error
    released = nbformat.read(course.release(assignment) / f"{assignment}.ipynb", as_version=4)
    source = nbformat.read(course.source(assignment) / f"{assignment}.ipynb", as_version=4)
    folder = course.root / "handed-in" / assignment
    texts = [text for _, text in sheets(released, source, exercises)]
    for name, text in zip(student_names(len(texts)), texts, strict=True):
        write_if_changed(folder / f"{name}.ipynb", text)
    return folder


def student_names(count: int) -> list[str]:
    """That many different made-up names."""
    names = [f"{first}-{LAST[(7 * i + i // len(LAST)) % len(LAST)]}" for i, first in enumerate(FIRST * 3)]
    return list(dict.fromkeys(names))[:count]


def sheets(released: NotebookNode, source: NotebookNode, exercises: list[Exercise]) -> list[tuple[str, str]]:
    """What each student hands in, as (what it shows, the file's text)."""
    present = {c.metadata["nbgrader"]["grade_id"]: c.source for c in source.cells if "nbgrader" in c.metadata}
    exercises = [e for e in exercises if e.objects[0] in present]
    right = {e.objects[0]: present[e.objects[0]] for e in exercises}
    first, last = exercises[0], exercises[-1]
    essays = itertools.cycle(ESSAYS)

    def sheet(answers: dict[str, str]) -> Sheet:
        return Sheet(released).answer(answers).essay(next(essays))

    def spoilt(exercise: Exercise, body: str) -> dict[str, str]:
        return right | {exercise.objects[0]: functions(exercise, body)}

    # The slow one first, so that it is graded beside the others and not after them.
    made = [("an endless loop", sheet(spoilt(first, "while True:\n    pass")))]
    made.append(("the model solution", sheet(right)))
    for which in range(3):
        others = {e.objects[0]: e.variants[which % len(e.variants)].source for e in exercises if e.variants}
        made.append((f"right in another way ({which + 1})", sheet(right | others)))
    made += [(", ".join(known), sheet(right | answers)) for known, answers in deal_mistakes(exercises)]
    half = dict(list(right.items())[: (len(right) + 1) // 2])
    made += [
        ("half finished, no essay", Sheet(released).answer(half)),
        ("untouched", Sheet(released)),
        ("an exception", sheet(spoilt(first, "return undefined_name"))),
        ("an exception late in the notebook", sheet(spoilt(last, "raise ValueError('no idea')"))),
        ("a syntax error", sheet(right | {first.objects[0]: f"def {first.objects[0]}(x, dim:\n    return x"})),
        ("prints and warns", sheet(noisy(right))),
        ("deleted a test cell", sheet(right).change(lambda nb: drop(nb, f"{first.objects[0]}-check"))),
        ("edited a test cell", sheet(half).change(lambda nb: rewrite(nb, f"{last.objects[0]}-check", "100.0"))),
        ("copied a cell with its id", sheet(right).change(lambda nb: double(nb, first.objects[0]))),
        ("lost all metadata in another editor", sheet(right).change(strip)),
        ("ends Python", sheet(right | {last.objects[0]: "import os\n\nos._exit(0)"})),
    ]
    whole = [(what, paper.text()) for what, paper in made]
    return [*whole, ("a file cut short", whole[1][1][: len(whole[1][1]) // 3])]


def deal_mistakes(exercises: list[Exercise]) -> list[tuple[list[str], dict[str, str]]]:
    """Every known mistake dealt out to as few students as will do, at most one an exercise to each."""
    hands: list[tuple[list[str], dict[str, str]]] = [([], {}) for _ in range(max(len(e.mistakes) for e in exercises))]
    # Each exercise goes on where the one before ended, so that the hands are of even size.
    turns = itertools.cycle(hands)
    for exercise in exercises:
        for mistake, (names, answers) in zip(exercise.mistakes, turns, strict=False):
            names.append(f"{exercise.name}: {mistake.name}")
            answers[exercise.objects[0]] = mistake.source
    return [hand for hand in hands if hand[0]]


def functions(exercise: Exercise, body: str) -> str:
    """Code that defines what the exercise asks for as functions with this body."""
    block = textwrap.indent(body, "    ")
    return "\n\n\n".join(f"def {name}(*args, **options):\n{block}" for name in exercise.objects)


def noisy(right: dict[str, str]) -> dict[str, str]:
    """Right answers whose first one also prints to stdout and stderr when it is called."""
    name = next(iter(right))
    wrapper = f"""

import sys
import warnings

quiet_{name} = {name}


def {name}(*args, **options):
    print("called with", len(args), "arguments")
    print("careful", file=sys.stderr)
    warnings.warn("this is only a warning")
    return quiet_{name}(*args, **options)"""
    return right | {name: right[name] + wrapper}


def position(notebook: NotebookNode, grade_id: str) -> int:
    return next(i for i, c in enumerate(notebook.cells) if c.metadata.get("nbgrader", {}).get("grade_id") == grade_id)


def drop(notebook: NotebookNode, grade_id: str) -> None:
    del notebook.cells[position(notebook, grade_id)]


def rewrite(notebook: NotebookNode, grade_id: str, source: str) -> None:
    notebook.cells[position(notebook, grade_id)].source = source


def double(notebook: NotebookNode, grade_id: str) -> None:
    index = position(notebook, grade_id)
    twin = copy.deepcopy(notebook.cells[index])
    twin["id"] = f"{twin['id']}-copy"
    notebook.cells.insert(index, twin)


def strip(notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
