"""What a class was given and why: a table of students by questions, and a reason for every point lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from autograder.course import Course
from autograder.grading.gradebook.grades import GradeEntry, read_entries
from autograder.grading.intake.collect import kept_aside
from autograder.grading.reports.reasons import explain_cells, question
from autograder.grading.run.journal import ASIDE, GRADED, read_state

WAITING = "not graded yet"


@dataclass(frozen=True)
class Mark:
    """What a student has for one question; `points` is None until a person has marked it."""

    points: float | None
    max_points: float
    manual: bool = False
    mistake: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Row:
    """One student: `status` is graded, for a person, or not graded yet; the reason and notes are sentences."""

    student: str
    status: str
    marks: dict[str, Mark] = field(default_factory=dict)
    penalty: float = 0.0
    problem: str = ""
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> float:
        """The sum of what is marked so far, less the penalty for being late."""
        return max(0.0, sum(mark.points or 0.0 for mark in self.marks.values()) - self.penalty)

    @property
    def max_total(self) -> float:
        return sum(mark.max_points for mark in self.marks.values())

    @property
    def unmarked(self) -> list[str]:
        """The questions that wait for a person."""
        return [name for name, mark in self.marks.items() if mark.manual]


def read_class(course: Course, assignment: str) -> list[Row]:
    """Every student of whom there is anything: from the gradebook, the autograded notebooks, and what is aside."""
    course.require(assignment)
    state = read_state(course, assignment)
    rows = {who: Row(who, ASIDE, problem=why) for who, why in kept_aside(course, assignment).items()}
    order = {name: place for place, name in enumerate(question_order(course, assignment))}
    graded = read_entries(course, assignment)
    handed_in = {p.parent.name for p in course.root.glob(f"submitted/*/{assignment}") if p.is_dir()}
    for student in handed_in | set(graded):
        entry = state.get(student)
        notebook = course.autograded(student, assignment) / f"{assignment}.ipynb"
        if entry and entry.status == ASIDE:
            rows[student] = Row(student, ASIDE, problem=entry.problem)
        elif student in graded and notebook.is_file():
            reasons = entry.reasons if entry else explain_notebook(notebook)
            entries = sorted(graded[student].entries, key=lambda found: order.get(found.name, len(order)))
            marks = {question(found.name): read_mark(found, *reasons.get(found.name, ("", ""))) for found in entries}
            notes = tuple(entry.notes) if entry else ()
            rows[student] = Row(student, GRADED, marks, graded[student].penalty, notes=notes)
        else:
            rows[student] = Row(student, WAITING, problem="it was handed in but not graded yet")
    return [rows[student] for student in sorted(rows)]


def read_mark(found: GradeEntry, mistake: str, reason: str) -> Mark:
    """The mark for one question, from nbgrader's grade and what is known of why points were lost."""
    marked = found.auto_score is not None or found.manual_score is not None
    points = float(found.score) if marked else None
    if points is not None and points >= found.max_score:
        mistake = reason = ""
    elif found.manual_score is not None:
        reason = "marked by hand"
    elif points == 0 and not reason:
        reason = "no answer was written"
    return Mark(points, float(found.max_score), bool(found.needs_manual_grade), mistake, reason)


def question_order(course: Course, assignment: str) -> list[str]:
    """The grade_ids of the assignment in the order of its notebook."""
    notebook = nbformat.read(course.release(assignment) / f"{assignment}.ipynb", as_version=4)
    return [m["grade_id"] for cell in notebook.cells if (m := cell.metadata.get("nbgrader", {})).get("grade")]


def explain_notebook(path: Path) -> dict[str, tuple[str, str]]:
    """The reasons for points lost in an autograded notebook, by test cell."""
    return explain_cells(nbformat.read(path, as_version=4).cells)
