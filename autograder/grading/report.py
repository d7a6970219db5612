"""What a class was given and why: a table of students by questions, and a reason for every point lost."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograder.course import Course
from autograder.grading.collect import kept_aside
from autograder.grading.restore import RESULT
from autograder.grading.state import ASIDE, GRADED, read_state

WAITING = "not graded yet"
FILE_NAME = re.compile(r"\((?:<[^>]*>|\S+\.py), (?=line )")  # a cell's temporary file says nothing to a reader


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
    order = question_order(course, assignment)
    with course.gradebook() as gradebook:
        graded = {s.student.id: s for s in gradebook.assignment_submissions(assignment)}
        handed_in = {p.parent.name for p in course.root.glob(f"submitted/*/{assignment}") if p.is_dir()}
        for student in sorted(handed_in | set(graded)):
            entry = state.get(student)
            notebook = course.autograded(student, assignment) / f"{assignment}.ipynb"
            if entry and entry.status == ASIDE:
                rows[student] = Row(student, ASIDE, problem=entry.problem)
            elif student in graded and notebook.is_file():
                submission = graded[student]
                reasons = explain_notebook(notebook)
                marks = {
                    name: mark
                    for part in submission.notebooks
                    for name, mark in read_marks(part.grades, reasons, order)
                }
                rows[student] = Row(
                    student,
                    GRADED,
                    marks,
                    submission.late_submission_penalty or 0.0,
                    notes=tuple(entry.notes) if entry else (),
                )
            else:
                rows[student] = Row(student, WAITING, problem="it was handed in but not graded yet")
    return [rows[student] for student in sorted(rows)]


def read_marks(grades: list, reasons: dict[str, tuple[str, str]], order: list[str]) -> list[tuple[str, Mark]]:
    """The marks of one submission in the assignment's order, from nbgrader's grades."""
    marks = []
    for grade in sorted(grades, key=lambda g: order.index(g.name) if g.name in order else len(order)):
        mistake, reason = reasons.get(grade.name, ("", ""))
        waits = bool(grade.needs_manual_grade)
        marked = grade.auto_score is not None or grade.manual_score is not None
        points = float(grade.score) if marked else None
        if points is not None and points >= grade.max_score:
            mistake = reason = ""
        elif grade.manual_score is not None:
            reason = "marked by hand"
        elif points == 0 and not reason:
            reason = "no answer was written"
        marks.append((question(grade.name), Mark(points, float(grade.max_score), waits, mistake, reason)))
    return marks


def question(grade_id: str) -> str:
    """The name of a question for people: its test cell's id without the ending."""
    return grade_id.removesuffix("-check")


def question_order(course: Course, assignment: str) -> list[str]:
    """The grade_ids of the assignment in the order of its notebook."""
    notebook = nbformat.read(course.release(assignment) / f"{assignment}.ipynb", as_version=4)
    return [m["grade_id"] for cell in notebook.cells if (m := cell.metadata.get("nbgrader", {})).get("grade")]


def explain_notebook(path: Path) -> dict[str, tuple[str, str]]:
    """For each test cell of an autograded notebook the known mistake's name and the reason for points lost."""
    notebook = nbformat.read(path, as_version=4)
    cells = {
        cell.metadata["nbgrader"]["grade_id"]: cell
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("grade_id")
    }
    return {
        name: explain_cell(cell, cells.get(question(name)))
        for name, cell in cells.items()
        if cell.metadata["nbgrader"].get("grade")
    }


def explain_cell(cell: NotebookNode, answer: NotebookNode | None) -> tuple[str, str]:
    """The known mistake's name and a sentence for one test cell, given the answer's cell above it."""
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stderr":
            return "", f"the code wrote to stderr, which nbgrader counts as a failure: {short(output.text)}"
        if output.output_type == "execute_result" and RESULT in output.data:
            return explain_result(output.data[RESULT])
        if output.output_type == "error":
            return "", explain_error(output, answer)
    return "", "the check gave no result"


def explain_result(result: dict) -> tuple[str, str]:
    """The known mistake's name and the first failed case of a check's own record."""
    mistake = str(result.get("mistake") or "")
    failed = [case for case in result.get("cases", []) if case.get("status") != "pass"]
    if not failed:
        return "", ""
    if all(case.get("status") == "unwritten" for case in failed) and len(failed) == len(result["cases"]):
        return "", "not written yet"
    if mistake:
        return mistake, str(result.get("advice") or mistake)
    more = f" ({len(failed) - 1} more cases failed)" if len(failed) > 1 else ""
    return "", short(f"{failed[0].get('title')}: {failed[0].get('message')}", 300) + more


def explain_error(output: NotebookNode, answer: NotebookNode | None) -> str:
    """Why a test cell ended in an error: its own, or that of the cell which should have defined the answer."""
    if output.ename == "CellTimeoutError":
        return "timeout: the check did not end within the time that a cell may take"
    before = [o for o in answer.outputs if o.output_type == "error"] if answer is not None else []
    if output.ename == "NameError" and answer is None:
        return f"its cell is missing ({short(output.evalue)})"
    if output.ename == "NameError" and before:
        if any(o.ename == "CellTimeoutError" for o in before):
            return "timeout: the cell that defines it did not end"
        return f"its cell stops with {before[0].ename}: {short(FILE_NAME.sub('(', before[0].evalue))}"
    return f"{output.ename}: {short(output.evalue)}"


def short(text: str, most: int = 160) -> str:
    """One line of printable text, without the colours of a terminal."""
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    line = " ".join("".join(c if c.isprintable() else " " for c in plain).split())
    return line if len(line) <= most else line[: most - 1] + "…"
