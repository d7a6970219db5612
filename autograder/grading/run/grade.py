"""Grade a class: find out what is new, run it in isolation, write what came of it, and remember all of it."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import nbformat
from nbgrader.api import Assignment, SubmittedAssignment
from sqlalchemy import select

from autograder.course import Course, CourseError
from autograder.grading.gradebook.rows import Refused
from autograder.grading.gradebook.write import PATIENCE, Locked, Writer
from autograder.grading.rebuild.trusted import TrustedCell, trusted_cells
from autograder.grading.run import isolated, plain, state
from autograder.grading.run.asked import configured_limits, find_exercise, refuse_other_tests, who
from autograder.grading.run.backup import back_up
from autograder.grading.run.journal import ASIDE, GRADED, Entry, Journal, Judged
from autograder.grading.run.lock import grading_lock
from autograder.grading.run.processes import Processes, choose
from autograder.grading.run.worker import Job, Outcome, questions
from autograder.sandbox.host import SandboxError
from autograder.sandbox.limits import Limits
from autograder.sandbox.tiers import NONE, Tier


@dataclass(frozen=True)
class Summary:
    """What one run did: how many were graded, were as before, and need a person; and how isolated it was."""

    graded: int
    unchanged: int
    aside: int
    seconds: float
    isolation: str


@dataclass(frozen=True)
class Watcher:
    """Who wants to know how a run goes.

    `start` is told the tier and how many submissions there are to run, `tick` each that ends, `look` now and then the
    busy workers and how many submissions wait.
    """

    start: Callable[[str, int], None] = lambda tier, total: None
    tick: Callable[[str], None] = lambda text: None
    look: Callable[[list[Any], int], None] = lambda members, waiting: None


@dataclass
class Run:
    """What the steps of one run share."""

    course: Course
    assignment: str
    processes: Processes
    limits: Limits
    trusted: dict[str, TrustedCell]
    journal: Journal
    watcher: Watcher
    todo: dict[str, str | None] = field(default_factory=dict)
    failed: int = 0
    entries: dict[str, Entry] = field(default_factory=dict)

    @property
    def tier(self) -> Tier | None:
        """The tier of its processes, None for plain nbgrader."""
        return self.processes.tier

    @property
    def isolation(self) -> str:
        """The name of the tier."""
        return self.tier.name if self.tier else NONE

    def cells_of(self, exercise: str | None) -> set[str] | None:
        """The test cells of an exercise, or None if all are meant."""
        if exercise is None:
            return None
        return {name for name, call in questions(self.trusted)[0].items() if call.exercise == exercise}

    def settle(self, outcome: Outcome, writer: Writer | None) -> None:
        """Write down what came of one submission; with a writer, put its grades into the gradebook first."""
        student = outcome.student
        reasons = {name: list(reason) for name, reason in outcome.reasons.items()}
        entry = replace(self.entries[student], notes=outcome.notes, reasons=reasons)
        if outcome.problem:
            # A fault of the grader's own is tried again by the next run; a fault of the work would only repeat.
            digest = "" if outcome.fault else entry.submission
            problem = f"infrastructure: {outcome.problem}" if outcome.fault else outcome.problem
            self.journal.graded(student, replace(entry, status=ASIDE, problem=problem, submission=digest))
            self.failed += 1
            self.watcher.tick(f"{student}  for a person: {problem}")
            return
        if writer:
            only = self.cells_of(self.todo[student])
            self.journal.judged(student, entry, outcome.notebook, only)
            if not self.write(writer, student, entry, outcome.notebook, only):
                return
        else:
            self.journal.graded(student, entry)
        replaced = state.digest_submission(self.course, student, self.assignment) != entry.submission
        again = "; another version was handed in meanwhile: grade again" if replaced else ""
        self.watcher.tick(f"{student}  {outcome.seconds:.1f} s{again}")

    def write(self, writer: Writer, student: str, entry: Entry, notebook: str, only: Collection[str] | None) -> bool:
        """Have judged results written; False if that had to be put off, or cannot be done for this student."""
        try:
            only = None if only is None else set(only)
            writer.write(student, nbformat.v4.reads(notebook), only=only)
        except Locked as error:
            # It is kept as it is judged, and the next run writes it. The others do not wait as long.
            writer.patience = 1.0
            self.watcher.tick(f"{student}  not written: {error}")
        except Refused as error:
            self.journal.graded(student, replace(entry, status=ASIDE, problem=f"not written: {error}", submission=""))
            self.watcher.tick(f"{student}  for a person: {error}")
        else:
            writer.patience = PATIENCE
            self.journal.graded(student, entry)
            return True
        self.failed += 1
        return False


def grade(
    course: Course,
    assignment: str,
    students: Iterable[str] = (),
    *,
    isolation: str | None = None,
    only: str | None = None,
    force: bool = False,
    workers: int | None = None,
    limits: Limits | None = None,
    watcher: Watcher | None = None,
    processes: Processes | None = None,
) -> Summary:
    """Grade what was handed in and is not graded yet, or has changed since; with `force`, all of it.

    Args:
        isolation: the tier that student code runs in; by default the best there is. "none" is plain nbgrader.
        only: an exercise that is graded anew for everybody, whatever else is as it was.
        limits: what a submission may use; by default what the course's configuration says.
        processes: what was begun for this run already, in the tier of `isolation`; the caller stops it.

    What a machine cannot grade is marked as being for a person and gets no score. A run that was cut short is taken
    up where it ended. Raises CourseError if the assignment is not released, a named student handed in nothing, or
    nobody has; if the tier is not to be had here; or if somebody else grades this assignment at the moment.
    """
    course.require(assignment)
    watcher = watcher or Watcher()
    began = time.monotonic()
    processes = processes or Processes(course, assignment, choose(isolation))
    tier, name = processes.tier, processes.name
    chosen = who(course, assignment, students)
    limits = limits or configured_limits(course, assignment)
    with ExitStack() as stack:
        stack.enter_context(grading_lock(course, assignment))
        with course.gradebook() as gradebook:
            trusted = trusted_cells(gradebook, assignment, assignment)
        journal = stack.enter_context(Journal(course, assignment))
        run = Run(course, assignment, processes, limits, trusted, journal, watcher)
        if tier:
            refuse_other_tests(trusted)
        exercise = find_exercise(only, trusted) if only else None
        writer = stack.enter_context(Writer(course, assignment)) if tier else None
        left_over = find_left_over(run) if tier else []
        if left_over:
            back_up(course, name)
            for student, judged, notebook in left_over:
                run.write(writer, student, judged.entry, notebook, judged.only)
        unchanged = sort_out(run, chosen, in_gradebook(course, assignment), exercise, force)
        if run.todo:
            if not left_over:
                back_up(course, name)
            watcher.start(run.isolation, len(run.todo))
            carry_out(run, workers or os.cpu_count() or 1, writer)
        journal.end()
    return Summary(len(run.todo) - run.failed, unchanged, run.failed, time.monotonic() - began, run.isolation)


def carry_out(run: Run, workers: int, writer: Writer | None) -> None:
    """Run the submissions, and settle each as it ends."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    seed = run.journal.begin(run.processes.name, secrets.token_hex(16), run.isolation, started)
    try:
        with contextlib.closing(outcomes(run, seed, workers)) as ended:
            for outcome in ended:
                run.settle(outcome, writer)
    except SandboxError as error:
        # an empty log has been removed
        where = f" The log is {run.processes.log}." if run.processes.log.exists() else ""
        raise CourseError(f"{str(error)[0].upper()}{str(error)[1:]}.{where}") from error


def outcomes(run: Run, seed: str, workers: int) -> Iterator[Outcome]:
    """What comes of each submission, in the tier of the run."""
    if run.tier is None:
        yield from plain.run(run.course, run.assignment, list(run.todo), run.trusted, seed=seed, workers=workers,
                             limit=run.limits.submission_seconds, log=run.processes.log)  # fmt: skip
        return
    released = nbformat.read(run.course.release(run.assignment) / f"{run.assignment}.ipynb", as_version=4)
    given = frozenset(cell.source for cell in released.cells)
    job = Job(run.course.root, run.assignment, run.trusted, given, run.limits, run.isolation)
    yield from isolated.run(job, run.todo, run.processes, seed=seed, workers=workers, look=run.watcher.look)


def in_gradebook(course: Course, assignment: str) -> set[str]:
    """The students of whom the gradebook has a submission of the assignment."""
    asked = select(SubmittedAssignment.student_id).join(Assignment).where(Assignment.name == assignment)
    with course.gradebook() as gradebook:
        return set(gradebook.db.execute(asked).scalars())


def find_left_over(run: Run) -> list[tuple[str, Judged, str]]:
    """What a run before had judged when it was cut short, and what is still the same work on the same assignment."""
    version = state.digest_assignment(run.course, run.assignment)
    return [
        (student, judged, notebook) for student, judged, notebook in run.journal.left_over()
        if judged.entry.assignment == version
        and judged.entry.submission == state.digest_submission(run.course, student, run.assignment)
    ]  # fmt: skip


def sort_out(run: Run, chosen: list[str], known: set[str], only: str | None, force: bool) -> int:
    """Note what is to be done, of some only the exercise `only`; returns how many are as they were."""
    version = state.digest_assignment(run.course, run.assignment)
    unchanged = 0
    for student in chosen:
        before = run.journal.entries.get(student)
        entry = run.entries[student] = Entry(
            GRADED, state.digest_submission(run.course, student, run.assignment), version, run.processes.name,
            state.digest_environment(), run.isolation,
        )  # fmt: skip
        same_work = before is not None and before.submission == entry.submission
        graded = same_work and before.status == GRADED and is_there(run, student, known)
        if only and graded and not force and is_same_release(before, entry):
            run.todo[student] = only
            continue
        done = graded or (same_work and before.status == ASIDE)
        if not force and done and is_as_good(before, entry):
            unchanged += 1
            continue
        run.todo[student] = None
    return unchanged


def is_as_good(before: Entry, now: Entry) -> bool:
    """Whether what was done then decides as what would be done now, and was at least as isolated."""
    same = (before.assignment, before.environment) == (now.assignment, now.environment)
    return same and (before.isolation != NONE or now.isolation == NONE)


def is_same_release(before: Entry, now: Entry) -> bool:
    """Whether of a submission graded before all but one exercise may stay: it has the same questions, and its tier."""
    same = before.assignment[: state.RELEASE] == now.assignment[: state.RELEASE]
    return same and (before.isolation == NONE) == (now.isolation == NONE)


def is_there(run: Run, student: str, known: set[str]) -> bool:
    """Whether the grades are still in the gradebook and the notebook in its place."""
    notebook = run.course.autograded(student, run.assignment) / f"{run.assignment}.ipynb"
    return student in known and notebook.is_file()
