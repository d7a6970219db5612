"""What a journal says of a submission, and its lines: read without trust, for they may be damaged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

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

    @classmethod
    def of(cls, record: Any) -> Entry | None:
        """The entry that a journal's line holds, or None if it is damaged."""
        if not isinstance(record, dict):
            return None
        known = {f.name: record[f.name] for f in fields(cls) if f.name in record}
        kinds = {"notes": list, "reasons": dict}
        required = {"status", "submission", "assignment", "run"}
        right = all(isinstance(value, kinds.get(name, str)) for name, value in known.items())
        return cls(**known) if right and required <= known.keys() else None


@dataclass(frozen=True)
class Judged:
    """A submission that has its results and waits for being written; `only` names the test cells it is about."""

    entry: Entry
    digest: str
    only: list[str] | None


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
            except (ValueError, RecursionError):
                continue
            if isinstance(record, dict):
                yield record


def judged_record(student: str, judged: Judged) -> dict[str, Any]:
    return {"kind": "judged", "student": student, **asdict(judged)}


def graded_record(student: str, entry: Entry) -> dict[str, Any]:
    return {"kind": "graded", "student": student, "entry": asdict(entry)}


def as_line(record: dict[str, Any]) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"
