"""Feedback pages for students: nbgrader's own, made by warm processes side by side, and an index of them."""

from __future__ import annotations

import hashlib
import html
import json
import os
from collections.abc import Callable
from pathlib import Path

import nbconvert
import nbgrader
from nbgrader.converters import GenerateFeedback

from autograder.course import Course, put_environment_on_path
from autograder.grading.gradebook import folder
from autograder.grading.gradebook.files import Rules
from autograder.grading.gradebook.grades import Grades, read_grades
from autograder.grading.reports.feedback_pages import Task, is_made, make_pages
from autograder.grading.reports.report import Row
from autograder.grading.run.journal import GRADED

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Feedback: {title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }}
table {{ border-collapse: collapse }}
th, td {{ text-align: left; padding: .3rem .8rem; border-bottom: 1px solid #8888 }}
td.number, td:first-child {{ white-space: nowrap }}
td.number {{ text-align: right; font-variant-numeric: tabular-nums }}
</style></head><body><main>
<h1>Feedback: {title}</h1>
<table><thead><tr><th scope="col">Student</th><th scope="col">Points</th><th scope="col">Remarks</th></tr></thead>
<tbody>
{rows}
</tbody></table></main></body></html>
"""


def feedback(
    course: Course,
    assignment: str,
    rows: list[Row],
    force: bool = False,
    tick: Callable[[str], None] = lambda _: None,
    workers: int | None = None,
) -> dict[str, str]:
    """Make the feedback page of every graded student and an index; returns the students it failed for, and why.

    Pages whose notebook, grades and comments are as they were are left alone unless `force`.
    """
    put_environment_on_path()
    folder.heal(course.root / "feedback", assignment)
    grades = read_grades(course, assignment)
    rules = Rules.of(GenerateFeedback(coursedir=course.coursedir(), config=course.config()), assignment)
    tasks, failed = [], {}
    for row in rows:
        if row.status != GRADED:
            continue
        try:
            made_from = fingerprint(course, grades[row.student])
        except (OSError, KeyError):
            failed[row.student] = "there is no autograded notebook, or no grades of it; grade again"
            tick(f"{row.student}  failed: {failed[row.student]}")
            continue
        if not force and is_made(course, grades[row.student], made_from):
            tick(f"{row.student}  unchanged")
        else:
            tasks.append(Task(course, grades[row.student], rules, made_from))
    for student, problem in make_pages(course, tasks, workers or os.cpu_count() or 1):
        if problem:
            failed[student] = problem
        tick(student + (f"  failed: {problem}" if problem else ""))
    index = index_path(course, assignment)
    index.parent.mkdir(parents=True, exist_ok=True)
    draft = index.with_suffix(".new")
    draft.write_text(index_page(assignment, rows))
    draft.replace(index)
    return failed


def index_path(course: Course, assignment: str) -> Path:
    return course.root / "feedback" / f"{assignment}.html"


def fingerprint(course: Course, grades: Grades) -> str:
    """What a feedback page is made from: the autograded notebook and files, grades and comments, and by which nbgrader.

    Raises OSError if there is no autograded notebook.
    """
    graded = course.autograded(grades.student, grades.assignment)
    made_from = {
        "notebook": hashlib.sha256((graded / f"{grades.assignment}.ipynb").read_bytes()).hexdigest(),
        "files": sorted([str(p.relative_to(graded)), p.stat().st_size] for p in graded.rglob("*") if p.is_file()),
        "grades": [[name, *points] for name, points in sorted(grades.points.items())],
        "comments": sorted(grades.comments.items()),
        "penalty": grades.penalty,
        "unmarked": sorted(grades.unmarked),
        "versions": [nbgrader.__version__, nbconvert.__version__],
    }
    return json.dumps(made_from)


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
