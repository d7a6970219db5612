"""Where collected work is put: each submission replaced in one step, with what was there before kept in history/.

At any moment, also after a kill, ``submitted/<student>/<assignment>`` is the old submission whole or the new one whole.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import re
import secrets
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

from autograder.course import Course, CourseError
from autograder.grading.disk import sync_one
from autograder.grading.intake.found import printable
from autograder.grading.intake.students import safe_id

REASON = "REASON.txt"
TIMESTAMP = "timestamp.txt"
UNPACKED = "unpacked-"
HERE = -100  # AT_FDCWD
EXCHANGE = 2  # RENAME_EXCHANGE


def staging(course: Course, assignment: str) -> Path:
    """Where submissions are put together: a folder of the course, so that they can be renamed into place."""
    return course.root / "collected" / assignment / "staging"


def history(course: Course, student: str, assignment: str) -> Path:
    """Where the earlier submissions of a student are kept, one folder each."""
    return course.root / "history" / student / assignment


def digest(files: dict[str, bytes]) -> str:
    """A hash of a submission's names and contents, but for the time it was handed in."""
    total = hashlib.sha256()
    for name in sorted(files):
        if name != TIMESTAMP:
            total.update(f"{name}\0{len(files[name])}\0".encode("utf-8", "surrogatepass") + files[name])
    return total.hexdigest()


def stored(course: Course, student: str, assignment: str) -> dict[str, bytes]:
    """The files of the submission that is there now, by relative name."""
    folder = course.submitted(student, assignment)
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def store(course: Course, student: str, assignment: str, files: dict[str, bytes], when: float | None) -> None:
    """Make these files the student's submission; what was there before goes to history/."""
    made = write(course, student, assignment, files, when)
    target = course.submitted(student, assignment)
    target.parent.mkdir(parents=True, exist_ok=True)
    if not os.path.lexists(target):
        made.rename(target)
    elif exchange(made, target):
        shelve(course, made, student, assignment)
    else:
        # This file system cannot exchange two folders in one step; `heal` ends what a kill may leave between these.
        shelve(course, target, student, assignment)
        made.rename(target)
    sync_one(target.parent)


def keep(course: Course, student: str, assignment: str, files: dict[str, bytes], when: float | None) -> None:
    """Put a submission that is older than the one there straight into history/, unless it is there already."""
    known = {digest(read(folder)) for folder in history(course, student, assignment).glob("*")}
    if digest(files) not in known:
        shelve(course, write(course, student, assignment, files, when), student, assignment)


def read(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def write(course: Course, student: str, assignment: str, files: dict[str, bytes], when: float | None) -> Path:
    """Write a submission into staging, on the disk to the last byte; it bears its final name only when it is whole."""
    whole = staging(course, assignment) / f"{student}+{secrets.token_hex(4)}"
    draft = whole.with_name(whole.name + ".part")
    draft.mkdir(parents=True)
    content = {name: data for name, data in files.items() if name != TIMESTAMP}
    if when is not None:
        content[TIMESTAMP] = f"{datetime.fromtimestamp(when, UTC):%Y-%m-%d %H:%M:%S} UTC\n".encode()
    for name, data in content.items():
        path = draft / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    sync_one(draft)
    draft.rename(whole)
    return whole


def shelve(course: Course, folder: Path, student: str, assignment: str) -> None:
    """Move a submission's folder into history/, under the time of now."""
    shelf = history(course, student, assignment)
    shelf.mkdir(parents=True, exist_ok=True)
    folder.rename(shelf / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}")
    sync_one(shelf)


def heal(course: Course, assignment: str, keep: Path | None = None) -> None:
    """End what a killed collection left: nothing half written stays, nothing whole is lost.

    Folders of unpacked archives are removed, except `keep`.
    """
    for folder in staging(course, assignment).parent.glob(f"{UNPACKED}*"):
        if folder != keep:
            shutil.rmtree(folder)
    for folder in staging(course, assignment).glob("*"):
        student = folder.name.rpartition("+")[0]
        if folder.name.endswith(".part"):
            shutil.rmtree(folder)
        elif student and not course.submitted(student, assignment).exists():
            course.submitted(student, assignment).parent.mkdir(parents=True, exist_ok=True)
            folder.rename(course.submitted(student, assignment))
        elif student:
            shelve(course, folder, student, assignment)


def exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step; False where the system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(HERE, os.fsencode(one), HERE, os.fsencode(other), EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), str(other))


def keep_aside(course: Course, assignment: str, name: str, problem: str, files: dict[str, bytes]) -> None:
    """Put what cannot be taken into aside/ with the reason beside it."""
    folder = course.aside(assignment) / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / REASON).write_text(problem + "\n", encoding="utf-8", errors="replace")
    for file, data in files.items():
        last = file.rsplit("/", 1)[-1]
        ending = Path(last).suffix if re.fullmatch(r"\.[A-Za-z0-9]{1,8}", Path(last).suffix) else ""
        (folder / (safe_id(last[: len(last) - len(ending)]) + ending)).write_bytes(data)


def take_from_aside(course: Course, assignment: str, name: str) -> None:
    """Forget what was kept aside under this name: it is settled."""
    shutil.rmtree(course.aside(assignment) / name, ignore_errors=True)


def kept_aside(course: Course, assignment: str) -> dict[str, str]:
    """The students whose work was kept aside, with the reason, where nothing readable came later."""
    reasons = {
        p.parent.name: p.read_text(encoding="utf-8", errors="replace").strip()
        for p in course.aside(assignment).glob(f"*/{REASON}")
    }
    return {who: why for who, why in sorted(reasons.items()) if not course.submitted(who, assignment).is_dir()}


def require_writable(course: Course, assignment: str) -> None:
    """Raise CourseError unless the course folder can be written."""
    try:
        staging(course, assignment).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        where = printable(str(course.root))
        raise CourseError(f"The course folder {where} cannot be written ({error.strerror}).") from error
