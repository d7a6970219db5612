"""Grade a class: check what was handed in, run it through nbgrader, and remember what came of it."""

from __future__ import annotations

import os
import platform
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from autograder.course import Course, CourseError
from autograder.grading import state as states
from autograder.grading.collect import kept_aside
from autograder.grading.prepare import Unreadable, inspect
from autograder.grading.restore import trusted_cells
from autograder.grading.run import run
from autograder.grading.state import ASIDE, GRADED, Entry

SUBMISSION_LIMIT = 900.0
ISOLATION = "none"


@dataclass(frozen=True)
class Outcome:
    """What one run did: how many were graded, were as before, and need a person."""

    graded: int
    unchanged: int
    aside: int
    seconds: float


def grade(
    course: Course,
    assignment: str,
    students: Iterable[str] = (),
    *,
    force: bool = False,
    workers: int | None = None,
    limit: float = SUBMISSION_LIMIT,
    start: Callable[[int], None] = lambda _: None,
    tick: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Grade what was handed in and is not graded yet, or has changed since; with `force`, all of it.

    `start` is told how many submissions there are to run, `tick` is told each that ends. What a machine cannot
    grade is marked as being for a person and gets no score.

    Raises:
        CourseError: the assignment is not released, a named student handed in nothing, or nobody has.
    """
    course.require(assignment)
    began = time.monotonic()
    everyone = {p.parent.name for p in course.root.glob(f"submitted/*/{assignment}")}
    chosen = sorted(set(students) or everyone)
    if not everyone and not kept_aside(course, assignment):
        raise CourseError(
            f"Nobody has handed in '{assignment}' yet. Bring notebooks in with `autograder collect {assignment} PATH`."
        )
    if missing := sorted(set(chosen) - everyone):
        raise CourseError(f"Nothing of '{assignment}' was handed in by: {', '.join(missing)}.")
    state = states.read_state(course, assignment)
    version = states.digest_assignment(course, assignment)
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    with course.gradebook() as gradebook:
        trusted = trusted_cells(gradebook, assignment, assignment)
        known = {submission.student.id for submission in gradebook.assignment_submissions(assignment)}
    todo: list[str] = []
    unchanged = unreadable = failed = 0
    for student in chosen:
        entry = Entry(GRADED, states.digest_submission(course, student, assignment), version, name)
        if not force and is_done(course, assignment, student, state.get(student), entry, student in known):
            unchanged += 1
            continue
        try:
            notes = inspect(course.submitted(student, assignment), assignment, trusted)
        except Unreadable as error:
            state[student] = replace(entry, status=ASIDE, problem=str(error))
            unreadable += 1
            continue
        state[student] = replace(entry, notes=notes)
        todo.append(student)
    # Until a submission is graded nothing says that it is: an interrupted run is taken up by the next one.
    entries = {student: state.pop(student) for student in todo}
    states.write_state(course, assignment, state)
    if todo:
        failed = run_all(course, assignment, todo, entries, state, workers, limit, start, tick, name)
    return Outcome(len(todo) - failed, unchanged, unreadable + failed, time.monotonic() - began)


def run_all(
    course: Course,
    assignment: str,
    todo: list[str],
    entries: dict[str, Entry],
    state: dict[str, Entry],
    workers: int | None,
    limit: float,
    start: Callable[[int], None],
    tick: Callable[[str], None],
    name: str,
) -> int:
    """Run the submissions, writing down each as it ends; returns how many of them need a person."""
    seed = secrets.token_hex(16)
    record = {
        "assignment": assignment, "started": datetime.now(UTC).isoformat(timespec="seconds"), "seed": seed,
        "isolation": ISOLATION, "python": platform.python_version(), "students": {},
    }  # fmt: skip
    folder = course.runs(assignment)
    folder.mkdir(parents=True, exist_ok=True)
    start(len(todo))
    count = workers or os.cpu_count() or 1
    failed = 0
    for done in run(course, assignment, todo, seed=seed, workers=count, limit=limit, log=folder / f"{name}.log"):
        entry = entries[done.student]
        if done.problem:
            # A fault of the grader's own is tried again by the next run; a fault of the work would only repeat.
            entry = replace(
                entry, status=ASIDE, problem=done.problem, submission="" if done.again else entry.submission
            )
            failed += 1
        state[done.student] = entry
        states.write_state(course, assignment, state)
        record["students"][done.student] = {"seconds": round(done.seconds, 2), "problem": done.problem}
        states.write_json(folder / f"{name}.json", record)
        with (folder / f"{name}.log").open("a") as log:
            log.write(f"--- {done.student}\n{done.log}\n")
        tick(f"{done.student}  " + (f"for a person: {done.problem}" if done.problem else f"{done.seconds:.0f} s"))
    return failed


def is_done(
    course: Course, assignment: str, student: str, before: Entry | None, now: Entry, in_gradebook: bool
) -> bool:
    """Whether the same bytes were graded before with the same assignment, and the result is still there."""
    if before is None or (before.submission, before.assignment) != (now.submission, now.assignment):
        return False
    if before.status == ASIDE:
        return True
    notebook = course.autograded(student, assignment) / f"{assignment}.ipynb"
    return in_gradebook and notebook.is_file()
