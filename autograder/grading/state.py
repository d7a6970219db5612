"""What has been graded already, and from which bytes: so that nothing is graded twice or forgotten."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

import autograder
from autograder.course import Course

GRADED, ASIDE = "graded", "for a person"
# Changes to these do not change a score.
OUTSIDE_OF_CHECKS = frozenset(
    "cli course doctor environment everything gate lint progress release sample_class serve".split()
)


@dataclass(frozen=True)
class Entry:
    """The last grading of one student's submission; `problem` is the reason where a person must look."""

    status: str
    submission: str
    assignment: str
    run: str
    problem: str = ""
    notes: list[str] = field(default_factory=list)


def digest_files(files: list[Path], root: Path) -> str:
    """A hash of the files' names and contents."""
    total = hashlib.sha256()
    for path in sorted(files):
        total.update(f"{path.relative_to(root)}\0{path.stat().st_size}\0".encode())
        total.update(path.read_bytes())
    return total.hexdigest()


def digest_submission(course: Course, student: str, assignment: str) -> str:
    """A hash of all that a student handed in; links are left out, for they are never followed."""
    folder = course.submitted(student, assignment)
    return digest_files([p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()], folder)


def digest_assignment(course: Course, assignment: str) -> str:
    """A hash of what decides about scores besides the submission: the assignment, and the checks."""
    package = Path(autograder.__file__).parent
    checks = [p for p in package.glob("*.py") if p.stem not in OUTSIDE_OF_CHECKS]
    checks += package.glob("checks/**/*.py")
    source = course.source(assignment)
    return digest_files(list(source.glob("*.ipynb")), source) + digest_files(checks, package)


def read_state(course: Course, assignment: str) -> dict[str, Entry]:
    """The entries of all students; an absent or damaged file only means that all is graded again."""
    try:
        raw = json.loads(state_file(course, assignment).read_text())
        return {student: Entry(**entry) for student, entry in raw.items()}
    except (OSError, ValueError, TypeError):
        return {}


def write_state(course: Course, assignment: str, state: dict[str, Entry]) -> None:
    """Replace the file in one step: a kill leaves the old one or the new one."""
    write_json(state_file(course, assignment), {who: asdict(entry) for who, entry in sorted(state.items())})


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    with draft.open("w") as file:
        file.write(json.dumps(value, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def state_file(course: Course, assignment: str) -> Path:
    return course.runs(assignment) / "state.json"
