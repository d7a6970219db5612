"""What has become of every submission, written down so that a kill at any moment loses nothing and repeats nothing.

One file an assignment, one JSON record a line, each on disk before the next step is taken:

- ``run``: a run began, with its secret seed, its tier and its time. A run that was cut short is taken up with its seed.
- ``judged``: a submission has its results; the finished notebook is kept beside the journal until it is written.
- ``graded``: they are in the gradebook and the notebook is in autograded/. Or the status says why a person must look.
- ``end``: the run came to its end.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autograder.course import Course, CourseError
from autograder.grading.disk import open_private, write_durably
from autograder.grading.run.entry import (
    ASIDE,
    GRADED,
    Entry,
    Judged,
    as_line,
    graded_record,
    judged_record,
    records,
)

__all__ = ["ASIDE", "GRADED", "Entry", "Journal", "Judged", "read_state", "records"]

# a journal with so many more records than students is written anew without those that later ones replace
SPARE = 5000


class Journal:
    """The journal of one assignment, opened by one grader at a time; a context manager."""

    def __init__(self, course: Course, assignment: str) -> None:
        self.folder = course.runs(assignment)
        self.path = self.folder / "journal.jsonl"
        self.entries: dict[str, Entry] = {}
        self.pending: dict[str, Judged] = {}
        self.runs: list[dict[str, Any]] = []
        self.unfinished: dict[str, Any] | None = None

    def __enter__(self) -> Journal:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            count = sum(self._take(record) for record in records(self.path))
            if count > SPARE + len(self.runs) + len(self.entries) + len(self.pending):
                self._shorten()
            self.file = open_private(self.path)
        except PermissionError as error:
            raise not_ours(self.path) from error
        if self.path.stat().st_size and not ends_in_newline(self.path):
            self.file.write(b"\n")  # the last record was cut short: it says nothing, and must not spoil the next
        waiting = {self.kept(student) for student in self.pending}
        for path in self.kept("-").parent.glob("*"):
            if path not in waiting:
                path.unlink()  # of a run that was killed before it had said what this is, or after it was written
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def _take(self, record: dict[str, Any]) -> bool:
        """Note what a record says; False for a damaged one, after which its submission is graded again."""
        kind, student = record.get("kind"), record.get("student")
        entry = Entry.of(record.get("entry"))
        if kind in ("run", "end"):
            if kind == "run" and not isinstance(record.get("seed"), str):
                return False
            self.unfinished = record if kind == "run" else None
            self.runs.append(record)
        elif entry is None or not isinstance(student, str):
            return False
        elif kind == "judged":
            only = record.get("only")
            if only is not None and not (isinstance(only, list) and all(isinstance(name, str) for name in only)):
                return False
            self.pending[student] = Judged(entry, str(record.get("digest")), only)
        elif kind == "graded":
            self.pending.pop(student, None)
            self.entries[student] = entry
        return True

    def _shorten(self) -> None:
        """Write the journal anew with what still counts: all runs, and of every student the last entry."""
        entries = [graded_record(student, entry) for student, entry in self.entries.items()]
        pending = [judged_record(student, judged) for student, judged in self.pending.items()]
        lines = [as_line(record) for record in [*self.runs, *entries, *pending]]
        write_durably(self.path, b"".join(lines))

    def begin(self, run: str, seed: str, isolation: str, started: str) -> str:
        """A run begins; returns its seed: the one of the run before, if that was cut short."""
        seed = self.unfinished["seed"] if self.unfinished else seed
        self._write({"kind": "run", "run": run, "seed": seed, "isolation": isolation, "started": started})
        return seed

    def judged(self, student: str, entry: Entry, notebook: str, only: set[str] | None) -> None:
        """A submission has its results, or those of some test cells: from now on it need not be run again."""
        path = self.kept(student)
        path.parent.mkdir(exist_ok=True)
        data = notebook.encode("utf-8", "surrogatepass")
        write_durably(path, data)
        digest = hashlib.sha256(data).hexdigest()
        judged = Judged(entry, digest, None if only is None else sorted(only))
        self._write(judged_record(student, judged))

    def graded(self, student: str, entry: Entry) -> None:
        """All of a submission is written, or it is for a person."""
        self._write(graded_record(student, entry))
        self.kept(student).unlink(missing_ok=True)

    def end(self) -> None:
        """The run has come to its end."""
        self._write({"kind": "end"})

    def left_over(self) -> Iterator[tuple[str, Judged, str]]:
        """What was judged and not written, with the finished notebooks; a notebook that is damaged is left out."""
        for student, judged in list(self.pending.items()):
            try:
                data = self.kept(student).read_bytes()
            except OSError:
                continue
            if hashlib.sha256(data).hexdigest() == judged.digest:
                yield student, judged, data.decode("utf-8", "surrogatepass")

    def kept(self, student: str) -> Path:
        """Where a finished notebook waits for being written."""
        return self.folder / "judged" / f"{student}.ipynb"

    def _write(self, record: dict[str, Any]) -> None:
        self.file.write(as_line(record))
        self.file.flush()
        os.fsync(self.file.fileno())
        self._take(record)


def read_state(course: Course, assignment: str) -> dict[str, Entry]:
    """The last entry of every student; CourseError if the journal is another user's."""
    journal = Journal(course, assignment)
    try:
        for record in records(journal.path):
            journal._take(record)
    except PermissionError as error:
        raise not_ours(journal.path) from error
    return journal.entries


def not_ours(path: Path) -> CourseError:
    """The sentence for a journal that this user may not open."""
    return CourseError(
        f"{path} cannot be opened: it belongs to the user who graded first, and only that one can read it, for it "
        "holds the seeds. Grade and report as that user, or let them give you the file."
    )


def ends_in_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
