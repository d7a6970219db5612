"""The gradebook's rows for one graded submission: the same as nbgrader's `autograde` makes, in one transaction."""

from __future__ import annotations

import logging
import stat
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.api import Comment, Grade, Student, SubmittedAssignment, SubmittedNotebook, new_uuid
from nbgrader.preprocessors import AssignLatePenalties
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from autograder.grading.gradebook.parts import Part, Refused
from autograder.grading.rebuild.recognise import grade_id

log = logging.getLogger(__name__)
UNMARKED = {"auto_score": None, "manual_score": None, "needs_manual_grade": True}


@dataclass(frozen=True)
class Graded:
    """A submission that has been judged: the finished notebook, and the folder that was handed in."""

    student: str
    assignment: str
    notebook: NotebookNode
    handed_in: Path
    only: set[str] | None = None

    def concerns(self, name: str) -> bool:
        """Whether the cell's grade and comment are to be touched."""
        return self.only is None or name in self.only


def save(session: Session, work: Graded, parts: dict[str, Part], create_student: bool = True) -> SubmittedNotebook:
    """Create or update all that the gradebook has of a submission but the penalty; returns the notebook's row.

    Scores, comments and extra credit given by a person stay. A grade that a person had overridden is marked as
    waiting for one again, as is an answer that only a person can mark.
    """
    if session.get(Student, work.student) is None:
        if not create_student:
            raise Refused(
                f"The gradebook has no student '{work.student}', and Autograde.create_student is off. "
                f"Add the student with `nbgrader db student add {work.student}`."
            )
        session.add(Student(id=work.student))
        session.flush()
    own = parts[work.assignment]
    chosen = select(SubmittedAssignment).where(
        SubmittedAssignment.assignment_id == own.assignment_id, SubmittedAssignment.student_id == work.student
    )
    submission = session.scalars(chosen.with_for_update()).one_or_none()
    if submission is None:
        submission = SubmittedAssignment(id=new_uuid(), assignment_id=own.assignment_id, student_id=work.student)
        session.add(submission)
        session.flush()
    if timestamp := read_timestamp(work.handed_in):
        submission.timestamp = timestamp
    rows = {part.name: save_part(session, work, submission, part) for part in parts.values()}
    return rows[work.assignment]


def save_part(session: Session, work: Graded, submission: SubmittedAssignment, part: Part) -> SubmittedNotebook:
    """Create or update the rows of one notebook; one of which there is no file is worth nothing, as with nbgrader."""
    chosen = select(SubmittedNotebook).where(
        SubmittedNotebook.assignment_id == submission.id, SubmittedNotebook.notebook_id == part.id
    )
    row = session.scalars(chosen).one_or_none()
    known: dict[type, dict[str, dict]] = {Grade: {}, Comment: {}}
    if row is None:
        row = SubmittedNotebook(id=new_uuid(), assignment_id=submission.id, notebook_id=part.id)
        session.add(row)
        session.flush()
    else:
        known = {kind: read(session, kind, row.id) for kind in known}
    grades = {cell: dict(known[Grade].get(cell, UNMARKED)) for cell in part.graded.values()}
    comments = {cell: dict(known[Comment].get(cell, {"auto_comment": None})) for cell in part.commented.values()}
    if part.name == work.assignment:
        judge(work, part, grades, comments)
    elif not (work.handed_in / f"{part.name}.ipynb").exists():
        for grade in grades.values():
            grade.update(auto_score=0, needs_manual_grade=False)
    for kind, rows in ((Grade, grades), (Comment, comments)):
        new = [{"id": new_uuid(), "notebook_id": row.id, "cell_id": c, **r} for c, r in rows.items() if "id" not in r]
        changed = [r for c, r in rows.items() if "id" in r and r != known[kind][c]]
        for entry in changed:
            entry.pop("manual_score", None)  # a person's
        if new:
            session.execute(insert(kind.__table__), new)
        if changed:
            session.execute(update(kind), changed)
    return row


def read(session: Session, kind: type[Grade] | type[Comment], notebook: str) -> dict[str, dict]:
    """The rows of a submitted notebook by their cell's id, as far as grading has to do with them.

    They are locked until the commit, so that a person's mark that arrives now is seen or waits.
    """
    columns = [getattr(kind, name) for name in ("id", *(UNMARKED if kind is Grade else ["auto_comment"]))]
    found = session.execute(select(kind.cell_id, *columns).where(kind.notebook_id == notebook).with_for_update())
    return {row.cell_id: {key: value for key, value in row._asdict().items() if key != "cell_id"} for row in found}


def judge(work: Graded, part: Part, grades: dict[str, dict], comments: dict[str, dict]) -> None:
    """nbgrader's SaveAutoGrades on the rows of grades and comments, given by their cell's id."""
    for cell in work.notebook.cells:
        name = grade_id(cell)
        if name is None or not work.concerns(name):
            continue
        if utils.is_grade(cell) and name in part.graded:
            grade = grades[part.graded[name]]
            score, _ = utils.determine_grade(cell, log)
            grade.update(auto_score=score, needs_manual_grade=grade["manual_score"] is not None or score is None)
        if (utils.is_solution(cell) or utils.is_task(cell)) and name in part.commented:
            untouched = cell.metadata["nbgrader"].get("checksum") == utils.compute_checksum(cell)
            empty = untouched and not utils.is_task(cell)
            comments[part.commented[name]]["auto_comment"] = "No response." if empty else None


def set_penalty(session: Session, work: Graded, row: SubmittedNotebook, penalties: AssignLatePenalties) -> None:
    """The penalty for being late, by the course's own plugin, within 0 and the score."""
    row.late_submission_penalty = None
    session.flush()
    submission = row.assignment
    if submission.assignment.duedate is None or submission.total_seconds_late <= 0:
        return
    session.refresh(row, ["score"])
    penalties.init_plugin()
    try:
        penalty = penalties.plugin_inst.late_submission_penalty(work.student, row.score, submission.total_seconds_late)
    except Exception as error:  # the plugin is the course's own code
        raise Refused(
            f"The late penalty of '{work.student}' could not be computed: {type(penalties.plugin_inst).__name__} "
            f"raised {type(error).__name__}: {error}. Mend the plugin and grade again."
        ) from error
    if penalty is not None:
        row.late_submission_penalty = penalties._check_late_penalty(row, penalty)


def read_timestamp(folder: Path) -> datetime | None:
    """When the work was handed in, in UTC, or None if timestamp.txt is missing or says nothing that is a time."""
    path = folder / "timestamp.txt"
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(200).strip()
    except FileNotFoundError:
        return None
    try:
        return utils.parse_utc(text) if text else None
    except Exception:  # the parser raises what it happens to trip over: ValueError, OverflowError, TypeError
        log.warning("%s is not a time: %r", path, text)
        return None
