"""The gradebook's one writer: a graded submission goes in as one transaction, then its folder into its place."""

from __future__ import annotations

import random
import sqlite3
import time
from contextlib import ExitStack
from types import TracebackType

import nbformat
from nbconvert.exporters import NotebookExporter
from nbformat import NotebookNode
from nbgrader.converters import Autograde
from nbgrader.preprocessors import AssignLatePenalties
from sqlalchemy import Engine, event, exc
from sqlalchemy.orm import Session
from traitlets.utils.importstring import import_item

from autograder.course import Course, CourseError
from autograder.grading.gradebook import folder
from autograder.grading.gradebook.files import Rules
from autograder.grading.gradebook.parts import Refused, complete, read_parts, refuse_unjudged
from autograder.grading.gradebook.rows import Graded, save, set_penalty

PATIENCE = 60.0  # seconds that another program may hold the gradebook


class Locked(CourseError):
    """Another program kept the gradebook locked for longer than we wait; nothing of the submission was written."""


class Writer:
    """Writes graded submissions of one assignment; used by one process of a run, as a context manager.

    Entering it heals what a killed run left in autograded/. A submission is done when `write` has returned: after a
    kill, or an exception, the same call again has the same effect as if nothing had happened.
    """

    def __init__(self, course: Course, assignment: str) -> None:
        self.course, self.assignment = course, assignment
        self.patience = PATIENCE

    def __enter__(self) -> Writer:
        with ExitStack() as stack:
            self.engine: Engine = stack.enter_context(self.course.gradebook()).engine
            lock_before_reading(self.engine)
            converter = Autograde(coursedir=self.course.coursedir(), config=self.course.config())
            self.create_student = converter.create_student
            self.penalties = late_penalties(converter)
            self.rules = Rules.of(converter, self.assignment)
            with Session(self.engine) as session:
                self.parts = read_parts(session, self.assignment)
            if self.assignment not in self.parts:
                raise CourseError(
                    f"The gradebook does not know '{self.assignment}'. "
                    f"Make it with `autograder release {self.assignment}`."
                )
            folder.heal(self.course.root / "autograded", self.assignment)
            self.open = stack.pop_all()
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.open.close()

    def write(self, student: str, notebook: NotebookNode, *, only: set[str] | None = None) -> None:
        """Record the grades of a finished notebook and put it, with the submission's other files, into autograded/.

        The rows become what nbgrader's `autograde` would have made of the same notebook. With `only`, the grades and
        comments of other cells stay as they are; the notebook is stored as it is given. Checksums and the kernel's
        name are filled in from the gradebook.

        Raises:
            Locked: the gradebook stayed locked.
            CourseError: the disk is full, the gradebook refused the grades, or a test cell has no valid result.
        """
        work = Graded(student, self.assignment, notebook, self.course.submitted(student, self.assignment), only)
        part = self.parts[self.assignment]
        complete(notebook, part)
        refuse_unjudged(notebook, part, only)
        target = self.course.autograded(student, self.assignment)
        text = nbformat.v4.writes(notebook) + "\n"
        content = text.encode("utf-8", "backslashreplace")
        folder.make(target, {f"{self.assignment}.ipynb": content}, work.handed_in, self.rules)
        try:
            self._commit(work)
        except BaseException:
            folder.discard(target)
            raise
        folder.put(target, self.rules)

    def _commit(self, work: Graded) -> None:
        """The transaction, tried again while another program is in the way."""
        began, pause = time.monotonic(), 0.05
        while True:
            try:
                with Session(self.engine, autoflush=False) as session, session.begin():
                    if read_parts(session, self.assignment) != self.parts:
                        raise CourseError(f"'{self.assignment}' was released anew during the run. Grade again.")
                    row = save(session, work, self.parts, self.create_student)
                    if self.penalties:
                        set_penalty(session, work, row, self.penalties)
                return
            except exc.DBAPIError as error:
                if not passes(error):
                    raise refusal(work.student, error) from error
                if time.monotonic() - began > self.patience:
                    raise Locked(
                        f"Another program has kept the gradebook locked for {self.patience:.0f} s, so the grades of "
                        f"'{work.student}' were not written. Close it, or wait until it is done, and grade again."
                    ) from error
            time.sleep(pause * random.uniform(0.5, 1))
            pause = min(2 * pause, 2.0)


def lock_before_reading(engine: Engine) -> None:
    """Make every transaction take the write lock first: what it has read then stays true until the commit."""
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def connect(connection: sqlite3.Connection, _: object) -> None:
            connection.isolation_level = None  # the driver would begin too late, with the first change
            # Short, so that Ctrl-C is heard: Python waits for SQLite's own waiting. `_commit` tries again.
            connection.execute("PRAGMA busy_timeout = 1000")
            if connection.execute("PRAGMA journal_mode").fetchone() == ("delete",):
                # For this connection only: emptying the journal spares a wait for the disk that deleting it takes.
                connection.execute("PRAGMA journal_mode = truncate")

    @event.listens_for(engine, "begin")
    def begin(connection) -> None:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        elif engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL lock_timeout = '2s'")

    engine.dispose()  # connections from before do not know of this


def passes(error: exc.DBAPIError) -> bool:
    """Whether another try may succeed: the lock, or the row that was just made, is another program's."""
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        busy = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
        return (getattr(cause, "sqlite_errorcode", None) or 0) & 0xFF in busy
    # Serialization failure, deadlock, lock not available, unique violation.
    state = getattr(cause, "sqlstate", None)
    return error.connection_invalidated or state in ("40001", "40P01", "55P03", "23505")


def refusal(student: str, error: exc.DBAPIError) -> CourseError:
    """What to raise, with a sentence, for what the database did not accept."""
    full = getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    if full or getattr(error.orig, "sqlstate", None) == "53100":
        return CourseError(f"The disk is full: the grades of '{student}' were not written. Make room and grade again.")
    if isinstance(error, (exc.DataError, exc.IntegrityError)):
        return Refused(f"The gradebook did not accept the grades of '{student}' ({error.orig}).")
    return CourseError(
        f"The gradebook did not accept the grades of '{student}' ({error.orig}). Nothing of them was written."
    )


def late_penalties(converter: Autograde) -> AssignLatePenalties | None:
    """nbgrader's step that assigns penalties, as the course has configured it, or None if it has removed it."""
    exporter = NotebookExporter(parent=converter, config=converter.config)
    for step in converter.autograde_preprocessors:
        step = import_item(step) if isinstance(step, str) else step
        if isinstance(step, type) and issubclass(step, AssignLatePenalties):
            step = step(parent=exporter)
        if isinstance(step, AssignLatePenalties) and step.enabled:
            return step
    return None
