"""One grader at a time: two runs on one assignment would write the same folders."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from autograder.course import Course, CourseError


@contextmanager
def grading_lock(course: Course, assignment: str) -> Iterator[None]:
    """Hold the lock of this course and assignment; the operating system frees it when its holder dies, however.

    Who holds it is written beside it, for the message only.

    Raises:
        CourseError: another grader of this machine holds it, or the course folder may not be written.
    """
    path = lock_file(course, assignment)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, timeout=0, thread_local=False, fallback_to_soft=False)
        lock.acquire()
    except Timeout:
        raise CourseError(
            f"'{assignment}' is being graded already in {course.root}: {holder(path)}. "
            "Wait until that run is done, or end it, and grade again."
        ) from None
    except OSError as error:
        raise CourseError(
            f"{path} cannot be locked ({error.strerror}). The course folder must be writable, "
            "on a file system that knows locks."
        ) from error
    try:
        write_holder(path)
        yield
    finally:
        lock.release()


def lock_file(course: Course, assignment: str) -> Path:
    return course.runs(assignment) / "grading.lock"


def holder_file(path: Path) -> Path:
    return path.with_name("grading.holder.json")


def write_holder(path: Path) -> None:
    """Say who holds the lock, replacing what the last holder said in one step."""
    now = datetime.now(UTC)
    text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": f"{now:%Y-%m-%d %H:%M:%S} UTC"})
    draft = holder_file(path).with_suffix(".new")
    draft.write_text(text + "\n")
    draft.replace(holder_file(path))


def holder(path: Path) -> str:
    """Who holds the lock, for a person. A run that has only just begun has not yet said so."""
    try:
        known = json.loads(holder_file(path).read_text())
        return f"by process {known['pid']} on {known['host']}, since {known['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "by another process, which has only just begun"
