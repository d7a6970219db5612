"""What the gradebook says of each submission, read for a whole class in a few queries."""

from __future__ import annotations

from dataclasses import dataclass, field

from nbgrader.api import (
    Assignment,
    BaseCell,
    Comment,
    Grade,
    GradeCell,
    Notebook,
    Student,
    SubmittedAssignment,
    SubmittedNotebook,
    TaskCell,
)
from sqlalchemy import select

from autograder.course import Course


@dataclass(frozen=True)
class Grades:
    """The grades of one submitted notebook: points and maximum, and comments, by grade_id; the penalty for being late.

    They are what nbgrader's pages show: a person's points and words come before the machine's. `unmarked` are those
    that wait for a person and have no points at all.
    """

    student: str
    assignment: str
    points: dict[str, tuple[float, float]] = field(default_factory=dict)
    comments: dict[str, str | None] = field(default_factory=dict)
    max_score: float = 0.0
    penalty: float | None = None
    unmarked: set[str] = field(default_factory=set)

    @property
    def score(self) -> float:
        """All points together, before the penalty."""
        return sum(points for points, _ in self.points.values())


def read_grades(course: Course, assignment: str) -> dict[str, Grades]:
    """The grades of everybody whose work on the assignment is in the gradebook, by student."""
    with course.gradebook() as gradebook:
        ask = gradebook.db.execute
        maximum = dict(ask(select(GradeCell.id, GradeCell.max_score)).all())
        maximum |= dict(ask(select(TaskCell.id, TaskCell.max_score)).all())
        of_assignment = (Assignment.name == assignment, Notebook.name == assignment)
        cells = ask(select(BaseCell.id).join(Notebook).join(Assignment).where(*of_assignment)).scalars()
        total = sum(maximum.get(cell) or 0.0 for cell in cells)
        found = ask(
            select(SubmittedNotebook.id, Student.id, SubmittedNotebook.late_submission_penalty)
            .join(SubmittedAssignment, SubmittedAssignment.id == SubmittedNotebook.assignment_id)
            .join(Student, Student.id == SubmittedAssignment.student_id)
            .join(Notebook, Notebook.id == SubmittedNotebook.notebook_id)
            .join(Assignment, Assignment.id == Notebook.assignment_id)
            .where(*of_assignment)
        )
        grades = {row: Grades(who, assignment, max_score=total, penalty=penalty) for row, who, penalty in found}
        waits = (Grade.needs_manual_grade, Grade.auto_score, Grade.manual_score)
        for kind, values in ((Grade, (Grade.score, *waits)), (Comment, (Comment.comment,))):
            rows = ask(
                select(kind.notebook_id, kind.cell_id, BaseCell.name, *values)
                .join(BaseCell, BaseCell.id == kind.cell_id)
                .join(Notebook, Notebook.id == BaseCell.notebook_id)
                .join(Assignment, Assignment.id == Notebook.assignment_id)
                .where(*of_assignment)
            )
            for row, cell, name, held, *marks in rows:
                if row not in grades:  # it came in since the first question
                    continue
                if kind is Grade:
                    grades[row].points[name] = (float(held), float(maximum.get(cell) or 0.0))
                    if marks == [True, None, None]:
                        grades[row].unmarked.add(name)
                else:
                    grades[row].comments[name] = held
    return {entry.student: entry for entry in grades.values()}


@dataclass(frozen=True)
class GradeEntry:
    """nbgrader's grade of one cell; a score is None where nobody, or no machine, has given one."""

    name: str
    auto_score: float | None
    manual_score: float | None
    score: float
    max_score: float
    needs_manual_grade: bool


@dataclass
class Entries:
    """The grades of one student's submission with all its notebooks, and the penalty for being late."""

    penalty: float = 0.0
    entries: list[GradeEntry] = field(default_factory=list)


def read_entries(course: Course, assignment: str) -> dict[str, Entries]:
    """The grades of everybody whose work on the assignment is in the gradebook, by student."""
    found: dict[str, Entries] = {}
    with course.gradebook() as gradebook:
        ask = gradebook.db.execute
        maximum = dict(ask(select(GradeCell.id, GradeCell.max_score)).all())
        maximum |= dict(ask(select(TaskCell.id, TaskCell.max_score)).all())
        submissions = (
            select(SubmittedAssignment.student_id, SubmittedNotebook.id, SubmittedNotebook.late_submission_penalty)
            .join(Assignment, Assignment.id == SubmittedAssignment.assignment_id)
            .outerjoin(SubmittedNotebook, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
            .where(Assignment.name == assignment)
        )
        owners = {}
        for student, notebook, penalty in ask(submissions):
            owners[notebook] = found.setdefault(student, Entries())
            owners[notebook].penalty += penalty or 0.0
        grades = (
            select(Grade.notebook_id, Grade.cell_id, BaseCell.name, Grade.auto_score, Grade.manual_score, Grade.score,
                   Grade.needs_manual_grade)
            .join(BaseCell, BaseCell.id == Grade.cell_id)
            .join(Notebook, Notebook.id == BaseCell.notebook_id)
            .join(Assignment, Assignment.id == Notebook.assignment_id)
            .where(Assignment.name == assignment)
        )  # fmt: skip
        for notebook, cell, name, auto, manual, score, needed in ask(grades):
            most = float(maximum.get(cell) or 0.0)
            owners[notebook].entries.append(GradeEntry(name, auto, manual, score, most, needed))
    return found
