"""Grades as a CSV file that any spreadsheet reads, and that cannot smuggle a formula into one."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from autograder.course import CourseError
from autograder.grading.reports.report import Row
from autograder.grading.run.journal import GRADED

FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def safe(value: object) -> object:
    """A cell's value: numbers as they are; text that a spreadsheet would take for a formula behind a '."""
    if isinstance(value, str) and (value.lstrip().startswith(FORMULA) or value[:1] in ("\t", "\r", "\n")):
        return "'" + value
    return value


def wide(rows: list[Row]) -> list[list[object]]:
    """One line a student: points by question, total, what waits for a person, why there is no grade."""
    questions = list(dict.fromkeys(name for row in rows for name in row.marks))
    head = ["student", "status", *questions, "late_penalty", "total", "max_total", "to_mark_by_hand", "problem"]
    lines: list[list[object]] = [head]
    for row in rows:
        marks = [row.marks.get(name) for name in questions]
        given = [mark.points if mark and mark.points is not None else "" for mark in marks]
        # Work that has no grade yet has an empty total: a zero would be a lie.
        sums = [row.penalty, row.total, row.max_total] if row.status == GRADED else ["", "", ""]
        lines.append([row.student, row.status, *given, *sums, " ".join(row.unmarked), row.problem])
    return lines


def long(rows: list[Row]) -> list[list[object]]:
    """One line a student and question, with the known mistake's name and the reason for points lost."""
    lines: list[list[object]] = [
        ["student", "status", "question", "points", "max_points", "to_mark_by_hand", "mistake", "reason"]
    ]
    for row in rows:
        for name, mark in row.marks.items():
            given = "" if mark.points is None else mark.points
            by_hand = "yes" if mark.manual else "no"
            lines.append([row.student, row.status, name, given, mark.max_points, by_hand, mark.mistake, mark.reason])
        if not row.marks:
            lines.append([row.student, row.status, "", "", "", "", "", row.problem])
    return lines


def as_csv(lines: list[list[object]]) -> str:
    """The lines as CSV text, quoted where needed."""
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerows([[safe(value) for value in line] for line in lines])
    return out.getvalue()


def write_csv(lines: list[list[object]], path: Path) -> None:
    """Write the CSV file; CourseError if that is not possible."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The byte order mark tells spreadsheets that names are in UTF-8.
        path.write_text(as_csv(lines), encoding="utf-8-sig", newline="")
    except OSError as error:
        raise CourseError(f"{path} cannot be written ({error.strerror}). Name another file with --to.") from error
