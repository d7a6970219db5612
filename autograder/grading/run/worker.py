"""A worker of a run: reads submissions, has them run in boxes and judged, and sends finished notebooks back.

It has no gradebook and no torch, decodes nothing that a submission's process sent but small capped messages, and can
be killed and replaced at any moment.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from autograder.grading.rebuild.flags import flags
from autograder.grading.rebuild.prepare import Unreadable, prepare
from autograder.grading.rebuild.recognise import grade_id
from autograder.grading.rebuild.trusted import TrustedCell
from autograder.grading.reports.reasons import explain_cells
from autograder.grading.run.attempt import Attempt, Call, Question, is_test, parse_call
from autograder.grading.sanitise.notebook import clean_notebook
from autograder.grading.sanitise.outputs import Budget
from autograder.sandbox.channel import Channel, ChannelError
from autograder.sandbox.host import Box, SandboxError
from autograder.sandbox.limits import Limits

SLOW_AFTER = 15.0
SAY_EVERY = 0.2
JUDGE_SECONDS = 300.0


@dataclass(frozen=True)
class Job:
    """What all submissions of a run have in common; it is handed to each worker once.

    `given` are the texts of the released notebook's cells; `tier` is printed above every result, `address` opens
    boxes, `judge` is the path of the judge's socket.
    """

    root: Path
    assignment: str
    trusted: dict[str, TrustedCell]
    given: frozenset[str]
    limits: Limits
    tier: str
    address: Any = None
    judge: str = ""

    def submitted(self, student: str) -> Path:
        """The folder with a student's work."""
        return self.root / "submitted" / student / self.assignment

    def results_before(self, student: str) -> dict[str, list[NotebookNode]]:
        """The results that a student's test cells have from an earlier run, by grade_id."""
        path = self.root / "autograded" / student / self.assignment / f"{self.assignment}.ipynb"
        cells = nbformat.read(path, as_version=4).cells if path.is_file() else []
        return {grade_id(cell): cell.outputs for cell in cells if is_test(cell) and cell.outputs}


@dataclass
class Outcome:
    """What came of one submission: a notebook with results, or why there is none.

    `fault` marks a fault of the machine or the grader: the same work may be tried again, in this run unless it is
    `lasting`.
    """

    student: str
    seconds: float
    notebook: str = ""
    problem: str = ""
    fault: bool = False
    lasting: bool = False
    digest: str = ""
    notes: list[str] = field(default_factory=list)
    reasons: dict[str, tuple[str, str]] = field(default_factory=dict)


class CheckFailed(SandboxError):
    """A check raised where it judges: a fault of the course's own, which another try will not mend."""


class JudgeClient:
    """Asks the judge's process; requests are asked for once an exercise."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.questions: dict[str, Question] = {}
        self.channel: Channel | None = None

    def question(self, exercise: str) -> Question:
        """The requests of an exercise's check."""
        if exercise not in self.questions:
            head, blobs = self._ask({"do": "requests", "exercise": exercise}, [])
            self.questions[exercise] = Question(blobs, head["sources"])
        return self.questions[exercise]

    def output(self, call: Call, replies: list[bytes], lost: dict[str, str] | None, heading: str) -> NotebookNode:
        """The result of a test cell, as the output that stands in it."""
        asked = {"do": "verdict", "exercise": call.exercise, "lost": lost, "heading": heading}
        return nbformat.from_dict(self._ask(asked, replies)[0]["output"])

    def _ask(self, head: dict[str, Any], blobs: list[bytes]) -> tuple[dict[str, Any], list[bytes]]:
        try:
            if self.channel is None:
                sock = socket.socket(socket.AF_UNIX)
                sock.connect(self.path)
                self.channel = Channel(sock)
            self.channel.send(head, blobs, JUDGE_SECONDS)
            said, parts = self.channel.receive(time.monotonic() + JUDGE_SECONDS)
        except (OSError, ChannelError) as error:
            self.channel = None
            raise SandboxError(f"the judge does not answer ({error})") from error
        if "failed" in said:
            raise CheckFailed(f"the check of '{head['exercise']}' itself failed ({said['failed']}): mend it")
        return said, parts


def grade(
    job: Job, student: str, only: str | None, judge: JudgeClient, tell: Callable[[dict[str, Any]], None]
) -> Outcome:
    """Grade one submission, or of one graded before the exercise `only`; never raises for what it holds."""
    began = time.monotonic()
    outcome = Outcome(student, 0.0)
    try:
        prepared = prepare(job.submitted(student), job.assignment, job.trusted)
        reporter = Reporter(student, tell)
        attempt = Attempt(prepared.cells, prepared.files, job.limits, judge.question, reporter.look, only)
        mode = "plots" if any("matplotlib" in cell.source for cell in prepared.cells) else "cells"

        def open_box(limits: Limits) -> Box:
            reporter.box = job.address.open(limits, mode)
            if reporter.slow:
                reporter.box.be_nice()
            return reporter.box

        attempt.run(open_box)
        notebook = finish(job, attempt, judge, job.results_before(student) if only else {})
        outcome.notebook = json.dumps(notebook)
        outcome.notes = [*prepared.notes, *flags(prepared.cells, job.assignment)]
        outcome.reasons = explain_cells(notebook.cells)
    except Unreadable as error:
        outcome.problem = str(error)
    except SandboxError as error:
        outcome.problem, outcome.fault = f"{error}; grade again", True
        outcome.lasting = isinstance(error, CheckFailed)
    except Exception as error:  # of the grader's own making: it must cost neither the worker nor the student
        traceback.print_exc()
        what = f"{type(error).__name__}: {error}"[:200]
        outcome.problem, outcome.fault, outcome.lasting = f"the grader failed at it ({what})", True, True
    outcome.digest = hashlib.sha256(outcome.notebook.encode("utf-8", "surrogatepass")).hexdigest()
    outcome.seconds = time.monotonic() - began
    return outcome


def finish(job: Job, attempt: Attempt, judge: JudgeClient, before: dict[str, list[NotebookNode]]) -> NotebookNode:
    """The notebook as it will be kept: judged results in the test cells, everything else cleaned."""
    heading = f"The grader's result (isolation: {job.tier})"
    results = set()
    for index, cell in enumerate(attempt.cells):
        if index in attempt.wanted:
            name = grade_id(cell)
            answer = attempt.answers[name]
            cell.outputs = [judge.output(attempt.calls[index], answer.replies, answer.lost, heading)]
            results.add(name)
        elif index in attempt.calls:
            cell.outputs = before.get(grade_id(cell), [])
            results.add(grade_id(cell))
        elif cell.cell_type == "code":
            cell.outputs = list(shown(attempt, index))
    budget = Budget(text_per_cell=int(job.limits.output_kb * 1000))
    # what a student's process claims to have shown need not be valid: it is cleaned before anything validates it
    notebook = NotebookNode(cells=attempt.cells, metadata=NotebookNode())
    return clean_notebook(notebook, budget, trusted=results, given=job.given)


def shown(attempt: Attempt, index: int) -> list[Any]:
    """The untrusted outputs of a student's cell, and sentences for what is missing of them."""
    outputs = list(attempt.outputs.get(index, []))
    if outputs and isinstance(outputs[-1], dict) and outputs[-1].get("output_type") == "notice":
        dropped = outputs.pop().get("dropped")
        limit = attempt.limits.output_kb
        text = f"\nThe output limit of {limit} kB was reached: {dropped} more characters were left out.\n"
        outputs.append({"output_type": "stream", "name": "stderr", "text": text})
    if index in attempt.fatal:
        text = f"The Python process ended in this cell ({attempt.fatal[index]}). The others were run without it.\n"
        outputs.append({"output_type": "stream", "name": "stderr", "text": text})
    return outputs


class Reporter:
    """Tells the coordinator how far a submission is, and when it has become one that others need not wait for."""

    def __init__(self, student: str, tell: Callable[[dict[str, Any]], None]) -> None:
        self.student, self.tell = student, tell
        self.began = time.monotonic()
        self.said = 0.0
        self.slow = False
        self.box: Box | None = None

    def look(self, state: str) -> None:
        """Called before every cell with where it is, and now and then with nothing while one runs."""
        now = time.monotonic()
        if not self.slow and now - self.began > SLOW_AFTER:
            self.slow = True
            self.tell({"slow": self.student})
            os.nice(10)
            if self.box:
                self.box.be_nice()
        if state and now - self.said > SAY_EVERY:
            self.said = now
            self.tell({"state": state, "student": self.student})


def work(pipe: Connection, job: Job, log: str) -> None:
    """The worker's own side: take a student's id, grade, answer, until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is for the parent
    sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    warnings.simplefilter("ignore")
    judge = JudgeClient(job.judge)

    def tell(message: dict[str, Any]) -> None:
        pipe.send_bytes(json.dumps(message).encode())

    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            asked = json.loads(pipe.recv_bytes())
            tell({"done": vars(grade(job, asked["student"], asked["only"], judge, tell))})


def questions(trusted: dict[str, TrustedCell]) -> tuple[dict[str, Call], list[str]]:
    """The calls of an assignment's test cells by grade_id, and the names of those that are no line `check(…)`."""
    cells = {name: nbformat.v4.new_code_cell(c.source, metadata=c.metadata()) for name, c in trusted.items()
             if c.cell_type == "code"}  # fmt: skip
    tests = {name: parse_call(cell.source) for name, cell in cells.items() if is_test(cell)}
    return {n: c for n, c in tests.items() if c}, [n for n, c in tests.items() if not c]
