"""The processes of a run that take long to start: the sandbox, the judge, and the one that workers are forked from.

This module loads little, so that a command can begin them first and load all else that a run needs meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Collection
from datetime import UTC, datetime
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from autograder.course import Course, CourseError
from autograder.grading.run import state
from autograder.grading.run.journal import read_state
from autograder.sandbox import temporary, tiers, view
from autograder.sandbox.tiers import NONE, Tier

JUDGE = """
from autograder.loading import quickly

with quickly():
    from autograder.grading.run.judging import main
main()
"""


def choose(isolation: str | None) -> Tier | None:
    """The tier, None for the one called "none"; CourseError if it is not to be had here."""
    if isolation == NONE:
        return None
    try:
        tier, why = tiers.choose(isolation)
    except ValueError as error:
        raise CourseError(f"{error}.") from error
    if tier is None:
        raise CourseError(
            f"{why} Nothing was graded. `autograder doctor` says what would help; `--isolation none` grades without, "
            "as plain nbgrader does: student code then runs as you and can read and change what you can."
        )
    return tier


class JudgeProcess:
    """The judge's process of a run; a context manager. It answers once it has been told the seed."""

    def __init__(self, assignment: str, log: Path) -> None:
        self.assignment = assignment
        self.folder = temporary.folder("judge")
        self.path = str(self.folder / "j")
        self.log, self.seed = log, ""
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(256)
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start it, or another one if it has died."""
        if self.process is not None and self.process.poll() is None:
            return
        environment = dict(os.environ, PYTHONPATH=str(view.PACKAGE.parent))
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        command = [sys.executable, "-c", JUDGE, str(self.listener.fileno()), self.assignment]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, pass_fds=[self.listener.fileno()], stdin=subprocess.PIPE, stdout=log, stderr=log,
                start_new_session=True, env=environment,
            )  # fmt: skip
        if self.seed:
            self.tell(self.seed)

    def tell(self, seed: str) -> None:
        """The seed that it draws with; another one that is started later is told the same."""
        self.seed = seed
        with contextlib.suppress(BrokenPipeError):  # it has died: the next `start` sees that
            self.process.stdin.write(seed.encode() + b"\n")
            self.process.stdin.close()

    def __enter__(self) -> JudgeProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.listener.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Processes:
    """What a run in a tier needs running; a context manager that stops all of it at its end.

    `name` is the run's, and `log` its log in the course folder.
    """

    def __init__(self, course: Course, assignment: str, tier: Tier | None) -> None:
        self.assignment, self.tier = assignment, tier
        self.name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        self.log = course.runs(assignment) / f"{self.name}.log"
        self.sandbox: Any = None
        self.open = contextlib.ExitStack()

    def begin(self) -> None:
        """Start what is not started yet, without waiting; all of it loads what it needs at the same time."""
        if self.sandbox is not None:
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.sandbox = self.tier.make(self.assignment).begin()
        self.open.callback(self.sandbox.stop)
        self.judge = self.open.enter_context(JudgeProcess(self.assignment, self.log))
        forkserver.set_forkserver_preload(["autograder.grading.run.worker"])
        forkserver.ensure_running()

    def revive(self) -> None:
        """Start again what has died."""
        self.judge.start()
        if not self.sandbox.alive():
            self.sandbox.restart()

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self.open.close()
        with contextlib.suppress(FileNotFoundError):
            if not self.log.stat().st_size:  # it has nothing to tell
                self.log.unlink()


def something_waits(course: Course, assignment: str, students: Collection[str] = ()) -> bool:
    """Whether somebody, or one of `students`, has handed in what the journal does not know: there is work to run."""
    known = read_state(course, assignment)
    handed_in = course.handed_in(assignment)
    return any(
        student not in known or known[student].submission != state.digest_submission(course, student, assignment)
        for student in sorted(handed_in.intersection(students) if students else handed_in)
    )
