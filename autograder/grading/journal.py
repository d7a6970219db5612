"""What has become of every submission, written down so that a kill at any moment loses nothing and repeats nothing.

One file an assignment, one JSON record a line, each on disk before the next step is taken:

- ``run``: a run began, with its secret seed, its tier and its time. A run that was cut short is taken up with its seed.
- ``judged``: a submission has its results; the finished notebook is kept beside the journal until it is written.
- ``graded``: they are in the gradebook and the notebook is in autograded/. Or the status says why a person must look.
- ``end``: the run came to its end.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from autograder.course import Course

GRADED, ASIDE = "graded", "for a person"


@dataclass(frozen=True)
class Entry:
    """The last grading of one student's submission; `problem` is the reason where a person must look.

    `submission`, `assignment` and `environment` are hashes of what decided about the scores; `isolation` is the tier
    it ran in; `reasons` says by test cell which known mistake it was and why points were lost.
    """

    status: str
    submission: str
    assignment: str
    run: str
    environment: str = ""
    isolation: str = ""
    problem: str = ""
    notes: list[str] = field(default_factory=list)
    reasons: dict[str, list[str]] = field(default_factory=dict)


class Journal:
    """The journal of one assignment, opened by one grader at a time; a context manager."""

    def __init__(self, course: Course, assignment: str) -> None:
        self.folder = course.runs(assignment)
        self.path = self.folder / "journal.jsonl"
        self.entries: dict[str, Entry] = {}
        self.pending: dict[str, tuple[Entry, str]] = {}
        self.unfinished: dict[str, Any] | None = None

    def __enter__(self) -> Journal:
        self.folder.mkdir(parents=True, exist_ok=True)
        for record in records(self.path):
            self._take(record)
        self.file = open_private(self.path)
        if self.path.stat().st_size and not ends_in_newline(self.path):
            self.file.write(b"\n")  # the last record was cut short: it says nothing, and must not spoil the next
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def _take(self, record: dict[str, Any]) -> None:
        kind, student = record.get("kind"), record.get("student")
        if kind == "run":
            self.unfinished = record
        elif kind == "end":
            self.unfinished = None
        elif kind == "judged":
            self.pending[student] = Entry(**record["entry"]), record["digest"]
        elif kind == "graded":
            self.pending.pop(student, None)
            self.entries[student] = Entry(**record["entry"])

    def begin(self, run: str, seed: str, isolation: str, started: str) -> str:
        """A run begins; returns its seed: the one of the run before, if that was cut short."""
        seed = self.unfinished["seed"] if self.unfinished else seed
        self._write({"kind": "run", "run": run, "seed": seed, "isolation": isolation, "started": started})
        return seed

    def judged(self, student: str, entry: Entry, notebook: str) -> None:
        """A submission has its results: from now on it need not be run again."""
        path = self.kept(student)
        path.parent.mkdir(exist_ok=True)
        data = notebook.encode("utf-8", "surrogatepass")
        write_durably(path, data)
        digest = hashlib.sha256(data).hexdigest()
        self._write({"kind": "judged", "student": student, "entry": asdict(entry), "digest": digest})

    def graded(self, student: str, entry: Entry) -> None:
        """All of a submission is written, or it is for a person."""
        self._write({"kind": "graded", "student": student, "entry": asdict(entry)})
        self.kept(student).unlink(missing_ok=True)

    def end(self) -> None:
        """The run has come to its end."""
        self._write({"kind": "end"})

    def left_over(self) -> Iterator[tuple[str, Entry, str]]:
        """What was judged and not written, with the finished notebooks; a notebook that is damaged is left out."""
        for student, (entry, digest) in list(self.pending.items()):
            try:
                data = self.kept(student).read_bytes()
            except OSError:
                continue
            if hashlib.sha256(data).hexdigest() == digest:
                yield student, entry, data.decode("utf-8", "surrogatepass")

    def kept(self, student: str) -> Path:
        """Where a finished notebook waits for being written."""
        return self.folder / "judged" / f"{student}.ipynb"

    def _write(self, record: dict[str, Any]) -> None:
        self.file.write(json.dumps(record, separators=(",", ":")).encode() + b"\n")
        self.file.flush()
        os.fsync(self.file.fileno())
        self._take(record)


def records(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a journal; a line that was cut short is none, and an absent file has none."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        for line in file:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                yield record


def read_state(course: Course, assignment: str) -> dict[str, Entry]:
    """The last entry of every student."""
    path = course.runs(assignment) / "journal.jsonl"
    return {r["student"]: Entry(**r["entry"]) for r in records(path) if r.get("kind") == "graded"}


def open_private(path: Path) -> Any:
    """A file to append to that only its owner can read: it holds seeds."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def ends_in_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def write_durably(path: Path, data: bytes) -> None:
    """Replace a file in one step: a kill leaves the old one or the new one."""
    draft = path.with_suffix(".new")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
