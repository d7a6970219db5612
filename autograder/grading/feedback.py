"""Feedback pages for students: nbgrader's own, and an index of them."""

from __future__ import annotations

import hashlib
import html
import json
import logging
from collections.abc import Callable
from pathlib import Path

from autograder.course import Course, put_environment_on_path
from autograder.grading.report import Row
from autograder.grading.state import GRADED

STAMP = ".made-from.json"

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Feedback: {title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }}
table {{ border-collapse: collapse }}
th, td {{ text-align: left; padding: .3rem .8rem; border-bottom: 1px solid #8888 }}
td.number {{ text-align: right; font-variant-numeric: tabular-nums }}
</style></head><body><main>
<h1>Feedback: {title}</h1>
<table><thead><tr><th scope="col">Student</th><th scope="col">Points</th><th scope="col">Remarks</th></tr></thead>
<tbody>
{rows}
</tbody></table></main></body></html>
"""


def feedback(
    course: Course, assignment: str, rows: list[Row], force: bool = False, tick: Callable[[str], None] = lambda _: None
) -> dict[str, str]:
    """Make the feedback page of every graded student and an index; returns the students it failed for, and why.

    Pages whose notebook, grades and comments are as they were are left alone unless `force`.
    """
    put_environment_on_path()
    failed = {}
    for row in rows:
        if row.status != GRADED:
            continue
        made_from = fingerprint(course, assignment, row.student)
        stamp = course.feedback(row.student, assignment) / STAMP
        if not force and stamp.is_file() and stamp.read_text() == made_from:
            tick(f"{row.student}  unchanged")
            continue
        problem = make_page(course, assignment, row.student)
        if problem:
            failed[row.student] = problem
        else:
            stamp.write_text(made_from)
        tick(row.student + (f"  failed: {problem}" if problem else ""))
    index = index_path(course, assignment)
    index.parent.mkdir(parents=True, exist_ok=True)
    index.write_text(index_page(assignment, rows))
    return failed


def index_path(course: Course, assignment: str) -> Path:
    return course.root / "feedback" / f"{assignment}.html"


def make_page(course: Course, assignment: str, student: str) -> str:
    """nbgrader's generate_feedback for one student; returns why it failed, or ""."""
    from nbgrader.converters import GenerateFeedback
    from nbgrader.utils import capture_log

    folder = course.coursedir(assignment_id=assignment, student_id=student)
    converter = GenerateFeedback(coursedir=folder, config=course.config(), force=True)
    converter.log.setLevel(logging.WARNING)
    result = capture_log(converter)
    if result["success"]:
        return ""
    lines = (result.get("log") or result["error"]).strip().splitlines()
    return lines[-1] if lines else "nbgrader gave no reason"


def fingerprint(course: Course, assignment: str, student: str) -> str:
    """What a feedback page is made from: the autograded notebook, and the grades and comments by hand."""
    notebook = course.autograded(student, assignment) / f"{assignment}.ipynb"
    with course.gradebook() as gradebook:
        submission = gradebook.find_submission(assignment, student)
        by_hand = [
            [grade.name, grade.score, grade.max_score]
            for part in submission.notebooks
            for grade in sorted(part.grades, key=lambda g: g.name)
        ]
        comments = [
            [comment.name, comment.comment]
            for part in submission.notebooks
            for comment in sorted(part.comments, key=lambda c: c.name)
        ]
        penalty = submission.late_submission_penalty
    digest = hashlib.sha256(notebook.read_bytes()).hexdigest()
    return json.dumps({"notebook": digest, "grades": by_hand, "comments": comments, "penalty": penalty})


def index_page(assignment: str, rows: list[Row]) -> str:
    """The page that lists every student's feedback."""
    lines = []
    for row in rows:
        name = html.escape(row.student)
        if row.status == GRADED:
            link = f'<a href="{name}/{html.escape(assignment)}/{html.escape(assignment)}.html">{name}</a>'
            score = f"{row.total:g} / {row.max_total:g}"
            remark = "written answers to mark: " + ", ".join(row.unmarked) if row.unmarked else ""
        else:
            link, score, remark = name, "–", f"{row.status}: {row.problem}"
        lines.append(f'<tr><td>{link}</td><td class="number">{score}</td><td>{html.escape(remark)}</td></tr>')
    return PAGE.format(title=html.escape(assignment), rows="\n".join(lines))
