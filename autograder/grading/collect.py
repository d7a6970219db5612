"""Bring handed-in files into submitted/<student>/<assignment>/ under safe names."""

from __future__ import annotations

import re
import shutil
import stat
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from autograder.course import Course, CourseError
from autograder.grading.notebook import MAX_BYTES, Unreadable, read_bytes, read_cells

REASON = "REASON.txt"
SKIPPED = {".ipynb_checkpoints", "__MACOSX", "__pycache__"}


@dataclass(frozen=True)
class Collected:
    """What became of one handed-in file; `problem` says why it was kept aside, or is empty."""

    student: str
    file: Path
    problem: str = ""
    changed: bool = False


def collect(course: Course, assignment: str, paths: Iterable[Path]) -> list[Collected]:
    """Copy the handed-in notebooks in `paths` (files, or folders of them) into the course.

    A file `<student>.ipynb` belongs to that student, and so does `<student>/<assignment>.ipynb`. What cannot be
    read goes to aside/ with the reason beside it. Collecting the same file again changes nothing.

    Raises:
        CourseError: the assignment has not been released, or a path does not exist.
    """
    course.require(assignment)
    owners: dict[str, Path] = {}
    results = []
    for file in find_files(paths):
        student = student_id(file, assignment)
        problem = ""
        if student in owners:
            problem = f"two files belong to '{student}': {owners[student].name} was taken, this one was not"
        owners.setdefault(student, file)
        if file.suffix != ".ipynb":
            problem = problem or f"{file.name} is not a notebook" + (
                "; unpack it first" if file.suffix in (".zip", ".tar", ".gz", ".7z", ".rar") else ""
            )
        try:
            if not problem:
                read_cells(read_bytes(file))
        except Unreadable as error:
            problem = f"{file.name}: {error}"
        if problem:
            keep_aside(course, assignment, student, file, problem)
            results.append(Collected(student, file, problem))
        else:
            changed = store(file, course.submitted(student, assignment) / f"{assignment}.ipynb")
            shutil.rmtree(course.aside(assignment) / student, ignore_errors=True)
            results.append(Collected(student, file, changed=changed))
    return results


def find_files(paths: Iterable[Path]) -> list[Path]:
    """The handed-in files in `paths`, folders searched to any depth; hidden files are left out."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            inside = (p for p in path.rglob("*") if p.is_symlink() or not p.is_dir())
            found += sorted(
                p
                for p in inside
                if not any(part.startswith(".") or part in SKIPPED for part in p.relative_to(path).parts)
            )
        elif path.exists() or path.is_symlink():
            found.append(path)
        else:
            raise CourseError(f"There is no file or folder {path}.")
    return found


def student_id(file: Path, assignment: str) -> str:
    """The student a file belongs to, as an id that is safe in paths, pages and tables."""
    stem = re.sub(rf"(?i)(^|[\s_.-]+){re.escape(assignment)}([\s_.-]+|$)", "", file.stem)
    return safe_id(stem) or safe_id(file.absolute().parent.name) or "unnamed"


def safe_id(text: str) -> str:
    """`text` in letters, digits, _ . @ and -, at most 60 of them, starting with a letter or digit."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_.@-]+", "-", plain).strip("-._@")[:60]


def store(file: Path, target: Path) -> bool:
    """Copy a submission and note when it was handed in; returns whether it is a new one."""
    content = file.read_bytes()
    if target.is_file() and target.read_bytes() == content:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    when = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    (target.parent / "timestamp.txt").write_text(f"{when:%Y-%m-%d %H:%M:%S} UTC\n")
    return True


def keep_aside(course: Course, assignment: str, student: str, file: Path, problem: str) -> None:
    folder = course.aside(assignment) / student
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REASON).write_text(problem + "\n")
    info = file.lstat()
    if stat.S_ISREG(info.st_mode) and info.st_size <= MAX_BYTES:
        shutil.copyfile(file, folder / ((safe_id(file.stem) or "file") + safe_suffix(file)))


def safe_suffix(file: Path) -> str:
    return file.suffix if re.fullmatch(r"\.[A-Za-z0-9]{1,8}", file.suffix) else ""


def kept_aside(course: Course, assignment: str) -> dict[str, str]:
    """The students whose work was kept aside, with the reason, where nothing readable came later."""
    reasons = {p.parent.name: p.read_text().strip() for p in course.aside(assignment).glob(f"*/{REASON}")}
    return {who: why for who, why in sorted(reasons.items()) if not course.submitted(who, assignment).is_dir()}
