"""Without isolation: nbgrader's own autograde in worker processes; one that hangs or crashes costs only itself."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

import nbformat
import psutil

from autograder.course import Course, put_environment_on_path
from autograder.grading.rebuild.prepare import Unreadable, inspect
from autograder.grading.rebuild.trusted import TrustedCell
from autograder.grading.reports.reasons import explain_cells
from autograder.grading.run.worker import Outcome

TRIES = 4
FAULT = "the check itself failed"
# What a test cell may end in by the student's doing: nothing was defined, or it took too long.
STUDENTS_ERRORS = {"NameError", "CellTimeoutError", "KeyboardInterrupt"}
LOCKED = "another program kept the gradebook locked; grade again"
SLOW_START = "no Python process would start in time; grade again when the machine is less busy"
OWN_FAULTS = (FAULT, LOCKED, SLOW_START)


@dataclass(frozen=True)
class Done:
    """How the grading of one submission ended; `problem` is empty when its grades are in the gradebook.

    `again` marks a fault of the grader, not of the work: another try may succeed.
    """

    student: str
    problem: str
    log: str
    seconds: float
    again: bool = False


def run(
    course: Course,
    assignment: str,
    students: list[str],
    trusted: dict[str, TrustedCell],
    *,
    seed: str,
    workers: int,
    limit: float,
    log: Path,
) -> Iterator[Outcome]:
    """Grade the students' submissions, yielding each as it ends; what cannot be read is not given to nbgrader.

    `limit` is the most seconds one submission may take, start to end. Stopping the iteration early stops
    the workers and removes what they left half made.
    """
    readable: dict[str, list[str]] = {}
    for student in students:
        try:
            readable[student] = inspect(course.submitted(student, assignment), assignment, trusted)
        except Unreadable as error:
            yield Outcome(student, 0.0, problem=str(error))
    for done in run_readable(course, assignment, list(readable), seed=seed, workers=workers, limit=limit, log=log):
        with log.open("a") as file:
            file.write(f"--- {done.student}\n{done.log}\n")
        outcome = Outcome(done.student, done.seconds, problem=done.problem, fault=done.again,
                          notes=readable[done.student])  # fmt: skip
        if not done.problem:
            notebook = course.autograded(done.student, assignment) / f"{assignment}.ipynb"
            outcome.reasons = explain_cells(nbformat.read(notebook, as_version=4).cells)
        yield outcome


def run_readable(
    course: Course, assignment: str, students: list[str], *, seed: str, workers: int, limit: float, log: Path
) -> Iterator[Done]:
    """Give each submission to nbgrader, several at a time."""
    waiting = list(reversed(students))
    team = [Worker(course, assignment, seed, log) for _ in range(min(workers, len(students)))]
    try:
        while waiting or any(worker.student for worker in team):
            for worker in team:
                if waiting and not worker.student:
                    worker.give(waiting.pop())
            busy = [worker for worker in team if worker.student]
            ready = wait([worker.pipe for worker in busy], timeout=0.5)
            for worker in busy:
                if worker.pipe in ready:
                    yield worker.take()
                elif time.monotonic() - worker.since > limit:
                    yield worker.give_up(f"it took longer than the {limit:.0f} s that one submission may take")
    finally:
        for worker in team:
            worker.stop()


class Worker:
    """A process that grades one submission after another, replaced when it has to be killed."""

    def __init__(self, course: Course, assignment: str, seed: str, log: Path) -> None:
        self.course, self.assignment, self.seed, self.log = course, assignment, seed, log
        self.student, self.since = "", 0.0
        self._start()

    def _start(self) -> None:
        # Spawned, not forked: the parent may have run torch, whose threads a fork does not survive.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        arguments = (theirs, self.course, self.assignment, self.seed, str(self.log))
        self.process = context.Process(target=work, args=arguments, daemon=True)
        self.process.start()
        theirs.close()

    def give(self, student: str) -> None:
        self.student, self.since = student, time.monotonic()
        self.pipe.send(student)

    def take(self) -> Done:
        try:
            done = self.pipe.recv()
        except EOFError:
            return self.give_up("the process that graded it died; grade again", again=True)
        self.student = ""
        return done

    def give_up(self, problem: str, again: bool = False) -> Done:
        """Kill the process with its kernel, and start another for the next submission."""
        student, seconds = self.student, time.monotonic() - self.since
        self.stop()
        self._start()
        return Done(student, problem, "", seconds, again)

    def stop(self) -> None:
        """Kill the process and its kernels; remove the folder of a submission it was in the middle of."""
        kill_tree(self.process.pid)
        self.process.join()
        self.pipe.close()
        if self.student:
            remove_half_made(self.course, self.student, self.assignment)
            self.student = ""


def kill_tree(pid: int | None) -> None:
    """Kill a process and all its descendants: Jupyter's kernels lead sessions of their own."""
    try:
        parent = psutil.Process(pid)
        family = [*parent.children(recursive=True), parent]
    except psutil.NoSuchProcess:
        return
    for process in family:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family, timeout=5)


def remove_half_made(course: Course, student: str, assignment: str) -> None:
    """Remove an autograded folder: nbgrader takes one that exists for a finished one."""
    shutil.rmtree(course.autograded(student, assignment), ignore_errors=True)


def work(pipe: Connection, course: Course, assignment: str, seed: str, log: str) -> None:
    """The worker's own side: take a student's id, grade, answer, until there are no more."""
    os.setsid()  # Ctrl-C in the terminal is for the parent, which then stops us in good order
    sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    put_environment_on_path()
    os.environ["AUTOGRADER_SEED"] = seed
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # the workers share the cores already
    warnings.simplefilter("ignore")
    while True:
        try:
            student = pipe.recv()
        except EOFError:
            return
        started = time.monotonic()
        problem, text = grade_one(course, student, assignment)
        pipe.send(Done(student, problem, text, time.monotonic() - started, again=problem.startswith(OWN_FAULTS)))


def grade_one(course: Course, student: str, assignment: str) -> tuple[str, str]:
    """nbgrader's own autograde on one submission; returns why it failed, or "", and nbgrader's log."""
    from nbgrader.converters import Autograde
    from nbgrader.utils import capture_log

    for attempt in range(TRIES):
        folder = course.coursedir(assignment_id=assignment, student_id=student)
        converter = Autograde(coursedir=folder, config=course.config(), force=True)
        converter.log.setLevel(logging.INFO)
        result = capture_log(converter)
        text = result.get("log", "") + result.get("error", "")
        if result["success"]:
            fault = check_fault(course.autograded(student, assignment) / f"{assignment}.ipynb")
            if fault:
                remove_half_made(course, student, assignment)
            return fault, text
        remove_half_made(course, student, assignment)
        if "database is locked" not in text:
            break
        time.sleep(2.0**attempt)
    return explain(text), text


def check_fault(path: Path) -> str:
    """A sentence if a check of an autograded notebook raised, or "".

    A check catches whatever student code raises, so an error of its own is a fault of the grader, which must not
    become the zero that nbgrader made of it.
    """
    import nbformat

    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("grade"):
            for output in cell.outputs:
                if output.output_type == "error" and output.ename not in STUDENTS_ERRORS:
                    return (
                        f"{FAULT} in '{cell.metadata['nbgrader']['grade_id']}': {output.ename}: {output.evalue[:200]}"
                    )
    return ""


def explain(log: str) -> str:
    """The one sentence of nbgrader's log that says why a submission could not be graded."""
    if "DeadKernelError" in log or "Kernel died" in log:
        return "the Python process that ran it died (out of memory, or the code ended it)"
    if "Kernel didn't respond in" in log:
        return SLOW_START
    if "UnresponsiveKernelError" in log or "became unresponsive" in log:
        return "its code could not be interrupted"
    if "database is locked" in log:
        return LOCKED
    lines = [line for line in log.strip().splitlines() if line.strip() and "NbGraderException" not in line]
    errors = [line for line in lines if "Error" in line or "Exception" in line]
    return "nbgrader could not grade it: " + (errors or lines or ["no reason given"])[-1].strip()[:300]
