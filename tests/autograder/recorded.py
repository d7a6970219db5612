"""A run whose outcomes were recorded: all that the coordinator does, in a second, and killed at any step of it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
from classroom import RIGHT, SOFTMAX, notebook

from autograder.course import Course
from autograder.grading.gradebook import folder, write
from autograder.grading.intake.collect import collect
from autograder.grading.run import grade, isolated, journal
from autograder.grading.run.worker import Outcome

WITHOUT_MAXIMUM = "def softmax(x, dim):\n    e = x.exp()\n    return e / e.sum(dim, keepdim=True)"
STUDENTS = {
    "ada": RIGHT,
    "bela": RIGHT | {"softmax": WITHOUT_MAXIMUM},
    "chidi": {"softmax": SOFTMAX},
    "dana": {},
    "emil": None,  # hands in another notebook
}
PLACES: dict[str, tuple[Any, str, bool]] = {
    "after the run has begun": (journal.Journal, "begin", True),
    "before a result is in the journal": (journal.Journal, "judged", False),
    "between the kept notebook and the journal": (journal, "write_durably", True),
    "after a result is in the journal": (journal.Journal, "judged", True),
    "while the folder is made": (folder, "regular_files", False),
    "before the commit": (write.Writer, "_commit", False),
    "between the commit and the renaming": (write.Writer, "_commit", True),
    "after the renaming": (folder, "put", True),
    "before a submission is settled": (journal.Journal, "graded", False),
    "after a submission is settled": (journal.Journal, "graded", True),
    "before the run ends": (journal.Journal, "end", False),
}


def hand_in(course: Course, where: Path, answers: dict[str, dict[str, str] | None] = STUDENTS) -> None:
    """Collect a notebook for each student."""
    where.mkdir(exist_ok=True)
    for student, given in answers.items():
        paper = notebook(course.release("attention"), given or {})
        if given is None:
            paper.cells = [nbformat.v4.new_code_cell("print('of another course')")]
        nbformat.write(paper, where / f"{student}.ipynb")
    collect(course, "attention", [where])


def record(course: Course) -> dict[str, dict[str, Any]]:
    """Grade the course's submissions in the sandbox; what came of each, as plain values."""
    outcomes: dict[str, dict[str, Any]] = {}
    real = isolated.run

    def recording(*arguments: Any, **options: Any) -> Iterator[Outcome]:
        for outcome in real(*arguments, **options):
            outcomes[outcome.student] = vars(outcome)
            yield outcome

    isolated.run = recording
    try:
        grade.grade(course, "attention", workers=2)
    finally:
        isolated.run = real
    return json.loads(json.dumps(outcomes))


def replay(outcomes: dict[str, dict[str, Any]], asked: list[str]) -> Callable[..., Iterator[Outcome]]:
    """Stands in for the run in the sandbox; students whom it is asked for are added to `asked`."""

    def run(job: Any, students: dict[str, str | None], processes: Any, **options: Any) -> Iterator[Outcome]:
        asked.extend(students)
        for student in students:
            yield Outcome(**outcomes[student])

    return run


def kill_at(place: Any, name: str, after: bool, count: int) -> None:
    """Have this process killed, as by `kill -9`, before or after the `count`-th call of a function."""
    real = getattr(place, name)
    calls = [0]

    def replacement(*arguments: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == count and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*arguments, **options)
        if calls[0] == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(place, name, replacement)


def grade_and_die(course: Course, outcomes: dict[str, dict[str, Any]], step: str, count: int = 1) -> int:
    """Grade with recorded outcomes in a process that is killed when it comes to a step; returns how it ended."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            kill_at(*PLACES[step], count)
            isolated.run = replay(outcomes, [])
            grade.grade(course, "attention")
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
