"""A copy of the gradebook before each grading run.

To put one back: end every grader and formgrader, copy ``backups/gradebook-<run name>.db`` over the course's
``gradebook.db``, and delete ``gradebook.db-journal`` or ``gradebook.db-wal`` if one stands beside it.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from pathlib import Path

from sqlalchemy import URL, make_url

from autograder.course import Course, CourseError, hide_password

KEPT = 20
PATIENCE = 60.0  # seconds that another program may hold the gradebook


def back_up(course: Course, run_name: str) -> Path | None:
    """Copy the SQLite gradebook to backups/gradebook-<run_name>.db and drop all but the newest copies.

    The copy is consistent even if another program writes meanwhile. None for another kind of database, of which
    `how_to_back_up` speaks, and where there is no gradebook yet.

    Raises:
        CourseError: the copy could not be made; an unfinished one is removed.
    """
    source = sqlite_file(course)
    if source is None or not source.is_file():
        return None
    place = course.root / "backups" / f"gradebook-{run_name}.db"
    draft = place.with_name(f".{place.name}.new")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            copy(source, draft)
            shutil.copymode(source, draft)
            draft.replace(place)
        finally:
            draft.unlink(missing_ok=True)
        prune(place.parent)
    except (OSError, sqlite3.Error) as error:
        raise CourseError(
            f"The gradebook could not be copied to {place} ({error}), so nothing was graded. "
            "See that there is room on the disk and that no program holds the gradebook, and grade again."
        ) from error
    return place


def how_to_back_up(course: Course) -> str:
    """A sentence for a person whose gradebook is not a SQLite file; empty for one that `back_up` copies."""
    url = database(course)
    if url.get_backend_name() == "sqlite":
        return ""
    tool = "pg_dump --format=custom --file=gradebook.dump" if url.get_backend_name() == "postgresql" else "its own tool"
    return f"{hide_password(str(course.coursedir().db_url))} is not copied before grading: back it up with {tool}."


def database(course: Course) -> URL:
    return make_url(course.coursedir().db_url)


def sqlite_file(course: Course) -> Path | None:
    """The file that the gradebook is in, or None if it is not in a file of SQLite's."""
    url = database(course)
    in_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    return Path(url.database) if in_file else None


def copy(source: Path, target: Path) -> None:
    """SQLite's own backup in one step, written to the disk; sqlite3.OperationalError if the lock never comes free."""
    deadline = time.monotonic() + PATIENCE

    def progress(status: int, remaining: int, total: int) -> None:
        if status not in (sqlite3.SQLITE_OK, sqlite3.SQLITE_DONE) and time.monotonic() > deadline:
            raise sqlite3.OperationalError("another program keeps it locked")

    target.unlink(missing_ok=True)
    # Not read-only: what a killed writer left unfinished has to be rolled back first.
    reader = sqlite3.connect(f"{source.resolve().as_uri()}?mode=rw", uri=True, timeout=1)
    writer = sqlite3.connect(target)
    try:
        reader.backup(writer, progress=progress)
    finally:
        writer.close()
        reader.close()
    with target.open("rb") as file:
        os.fsync(file.fileno())


def prune(folder: Path) -> None:
    """Keep the newest copies."""
    copies = sorted(folder.glob("gradebook-*.db"), key=lambda path: (path.stat().st_mtime_ns, path.name))
    for path in copies[:-KEPT]:
        path.unlink()
