"""The gradebook's copies: whole, the newest twenty, and never half of one."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from autograder.course import Course, CourseError
from autograder.grading.run import backup
from autograder.grading.run.backup import back_up, how_to_back_up


@pytest.fixture
def small(tmp_path: Path) -> Course:
    """A course whose gradebook has one table of our own: two numbers that are always the same."""
    made = Course.at(tmp_path / "course")
    made.root.mkdir()
    with sqlite3.connect(made.root / "gradebook.db") as gradebook:
        gradebook.execute("CREATE TABLE pair (one, two, ballast)")
        gradebook.execute("INSERT INTO pair VALUES (0, 0, ?)", ["x" * 2_000_000])
    gradebook.close()
    return made


def pair(path: Path) -> tuple[int, int]:
    copy = sqlite3.connect(path)
    try:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return copy.execute("SELECT one, two FROM pair").fetchone()
    finally:
        copy.close()


def test_a_copy_is_whole_while_another_program_writes(small: Course) -> None:
    done = threading.Event()

    def write() -> None:
        gradebook = sqlite3.connect(small.root / "gradebook.db", timeout=60)
        while not done.is_set():
            with gradebook:
                gradebook.execute("UPDATE pair SET one = one + 1")
                gradebook.execute("UPDATE pair SET two = one, ballast = ballast")
        gradebook.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        copies = [back_up(small, f"run-{number}") for number in range(5)]
    finally:
        done.set()
        writer.join()
    assert copies[0] == small.root / "backups" / "gradebook-run-0.db"
    found = [pair(path) for path in copies]
    assert all(one == two for one, two in found) and found[-1][0] > 0


def test_putting_one_back_as_the_module_says(small: Course) -> None:
    copy = back_up(small, "before")
    with sqlite3.connect(small.root / "gradebook.db") as gradebook:
        gradebook.execute("UPDATE pair SET one = 7")
    gradebook.close()
    shutil.copyfile(copy, small.root / "gradebook.db")
    assert pair(small.root / "gradebook.db") == (0, 0)
    for words in ("gradebook-<run name>.db", "gradebook.db-journal"):
        assert words in backup.__doc__


def test_only_the_newest_are_kept(small: Course, monkeypatch) -> None:
    monkeypatch.setattr(backup, "KEPT", 3)
    (small.root / "backups").mkdir()
    (small.root / "backups" / "notes.txt").write_text("a person's own")
    for number in range(5):
        made = back_up(small, f"run-{9 - number}")  # names that do not sort as the times do
        os.utime(made, (number, number))
    left = {path.name for path in (small.root / "backups").iterdir()}
    assert left == {"gradebook-run-7.db", "gradebook-run-6.db", "gradebook-run-5.db", "notes.txt"}


def test_the_copy_is_as_private_as_the_gradebook(small: Course) -> None:
    (small.root / "gradebook.db").chmod(0o640)
    assert back_up(small, "run").stat().st_mode & 0o777 == 0o640


def test_what_a_killed_writer_left_unfinished_is_not_copied(small: Course) -> None:
    killed = (
        "import os, sqlite3, sys\n"
        "book = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "book.execute('PRAGMA cache_size = 5')\n"  # so that changes get into the file before the commit
        "book.execute('BEGIN')\n"
        "book.execute('UPDATE pair SET one = 1, ballast = ballast || 1')\n"
        "book.executemany('INSERT INTO pair VALUES (2, 2, ?)', [['y' * 9000]] * 500)\n"
        "os._exit(9)\n"
    )
    file = small.root / "gradebook.db"
    before = file.read_bytes()
    subprocess.run([sys.executable, "-c", killed, str(file)], check=False)
    assert file.read_bytes() != before and (small.root / "gradebook.db-journal").stat().st_size
    assert pair(back_up(small, "run")) == (0, 0)


def test_a_gradebook_that_stays_locked_is_told_and_leaves_no_half_copy(small: Course, monkeypatch) -> None:
    monkeypatch.setattr(backup, "PATIENCE", 0.3)
    other = sqlite3.connect(small.root / "gradebook.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(CourseError, match="another program keeps it locked.*so nothing was graded"):
        back_up(small, "run")
    other.close()
    assert list((small.root / "backups").iterdir()) == []


def test_a_full_disk_is_told_and_leaves_no_half_copy(small: Course, monkeypatch) -> None:
    (small.root / "backups").mkdir()

    def full(source: Path, target: Path) -> None:
        target.write_text("half")
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(backup, "copy", full)
    with pytest.raises(CourseError, match="disk is full"):
        back_up(small, "run")
    assert list((small.root / "backups").iterdir()) == []


def test_other_databases_are_left_to_their_own_tools(small: Course, tmp_path: Path) -> None:
    other = Course(small.root, "postgresql://ada:secret@db.example/grades")
    assert back_up(other, "run") is None and not (small.root / "backups").exists()
    sentence = how_to_back_up(other)
    assert "pg_dump" in sentence and "db.example/grades" in sentence and "secret" not in sentence
    assert how_to_back_up(small) == ""
    assert back_up(Course.at(tmp_path / "new"), "run") is None
