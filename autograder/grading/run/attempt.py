"""Run a prepared submission to its end, whatever it does: cells in order, probes at the test cells, fresh starts."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from nbformat import NotebookNode

from autograder.grading.rebuild.recognise import grade_id
from autograder.grading.reports.reasons import FILE_NAME
from autograder.sandbox.host import Box
from autograder.sandbox.limits import Limits
from autograder.sandbox.session import Ended, Session

MAX_STARTS = 6


@dataclass(frozen=True)
class Call:
    """What a test cell asks: the exercise's name and the names of the objects to look at."""

    exercise: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Question:
    """The requests of an exercise's check, and the texts of the modules that they need."""

    requests: list[bytes]
    sources: dict[str, str]


@dataclass
class Answer:
    """What came back for one test cell: a reply to each case in order, and why the rest of them have none."""

    replies: list[bytes] = field(default_factory=list)
    lost: dict[str, str] | None = None


class Opener(Protocol):
    """Opens a box for one attempt."""

    def __call__(self, limits: Limits) -> Box: ...


def parse_call(source: str) -> Call | None:
    """The call in a test cell of the one line ``check("room.name", object, …)``, or None if it is another text."""
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return None
    match body:
        case [ast.Expr(ast.Call(ast.Name("check"), [ast.Constant(str(exercise)), *arguments], []))]:
            if arguments and all(isinstance(a, ast.Name) for a in arguments):
                return Call(exercise, tuple(a.id for a in arguments))
    return None


def is_test(cell: NotebookNode) -> bool:
    """Whether this is a locked test cell with points, by its restored metadata."""
    meta = cell.metadata.get("nbgrader", {})
    return cell.cell_type == "code" and bool(meta.get("grade")) and not meta.get("solution")


class Attempt:
    """One submission on its way through boxes; afterwards `answers` by grade_id and `outputs` by cell are there."""

    def __init__(
        self,
        cells: list[NotebookNode],
        files: dict[str, bytes],
        limits: Limits,
        ask: Callable[[str], Question],
        tick: Callable[[str], None] = lambda _: None,
        only: str | None = None,
    ) -> None:
        self.cells, self.files, self.limits, self.ask, self.tick = cells, files, limits, ask, tick
        self.answers: dict[str, Answer] = {}
        self.outputs: dict[int, list[Any]] = {}
        self.fatal: dict[int, Ended] = {}
        self.box: Box | None = None
        self.calls = {i: call for i, cell in enumerate(cells) if is_test(cell) and (call := parse_call(cell.source))}
        self.wanted = {i for i, call in self.calls.items() if only in (None, call.exercise)}
        self.until = time.monotonic() + limits.submission_seconds

    def run(self, open_box: Opener) -> None:
        """Run all of it, in a fresh box after each death, without the cells that killed the ones before.

        Raises SandboxError for a fault of the machine.
        """
        for _ in range(MAX_STARTS):
            self.box = open_box(self.limits)
            session = Session(self.box, self.limits, self.until, lambda: self.tick(""))
            try:
                if self._once(session):
                    return
            finally:
                session.close()
            if time.monotonic() > self.until:
                break
        used_up = f"timeout: the {self.limits.submission_seconds:g} s for the whole notebook were used up"
        many = f"crash: its Python process ended {MAX_STARTS} times, and was not started again"
        late = time.monotonic() > self.until
        why = {"status": "timeout", "message": used_up} if late else {"status": "crash", "message": many}
        for index in self.wanted:
            self.answers.setdefault(grade_id(self.cells[index]), Answer([], why))

    def _once(self, session: Session) -> bool:
        """Go through all cells in one process; False if it ended before what is asked for was answered."""
        last = max(self.wanted, default=-1)
        at = -1
        try:
            if self.files:
                session.put_files(self.files)
            for at, cell in enumerate(self.cells):
                if cell.cell_type != "code" or at in self.fatal or not cell.source.strip():
                    continue
                self.tick(f"cell {at + 1} of {len(self.cells)}")
                if at not in self.calls:
                    outputs, _ = session.cell(cell.source)
                    self.outputs.setdefault(at, outputs)
                elif at in self.wanted and grade_id(cell) not in self.answers:
                    self._probe(session, at)
        except Ended as end:
            if at < 0:
                self.files = {}  # they do not fit in: go on without them
            elif at in self.wanted:
                return at == last  # the question has its reason, and is not asked again
            else:
                self.fatal[at] = end
            return at > last
        return True

    def _probe(self, session: Session, at: int) -> None:
        call = self.calls[at]
        question = self.ask(call.exercise)
        answer = self.answers[grade_id(self.cells[at])] = Answer()
        try:
            for reply in session.probe(list(call.names), question.sources, question.requests):
                if isinstance(reply, str):
                    answer.lost = self._why_missing(reply, at)
                else:
                    answer.replies.append(reply)
        except Ended as end:
            answer.lost = {"status": end.status, "message": str(end)}
            raise

    def _why_missing(self, name: str, at: int) -> dict[str, str]:
        """Why the name that a test cell asks for is not there: what became of the cell that should define it."""
        own = (grade_id(self.cells[at]) or "").removesuffix("-check")
        index = next((i for i, cell in enumerate(self.cells) if grade_id(cell) == own), None)
        status, start = "missing", f"`{name}` is not defined"
        if index is None:
            why = "its cell is missing from the notebook"
        elif index in self.fatal:
            status, why = self.fatal[index].status, f"its cell was left out: {self.fatal[index]}"
        elif errors := [o for o in self.outputs.get(index, []) if isinstance(o, dict) and o.get("ename")]:
            message = FILE_NAME.sub("(", str(errors[-1].get("evalue"))[:1000])
            why = f"its cell stops with {errors[-1]['ename']}: {message}"[:300]
            if errors[-1]["ename"] == "TimeLimit":
                status, why = "timeout", f"timeout: its cell did not end within {self.limits.cell_seconds:g} seconds"
        else:
            why = "no cell before the check defines it"
        return {"status": status, "message": f"{start}: {why}"}
