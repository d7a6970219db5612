"""One grader at a time at one assignment, and a dead one's lock is free."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from autograder.course import Course, CourseError
from autograder.grading.run.lock import grading_lock, holder_file, lock_file

HOLDER = """
import os, sys, time
from autograder.course import Course
from autograder.grading.run.lock import grading_lock

with grading_lock(Course.at(sys.argv[1]), "attention"):
    worker = os.fork()  # as a grader's workers are
    if worker:
        print(os.getpid(), worker, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def empty(tmp_path: Path) -> Course:
    return Course.at(tmp_path / "course")


@pytest.fixture
def other(empty: Course):
    """Another grader at work, as (its process, the id of a process that it has forked)."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(empty.root)], stdout=subprocess.PIPE, text=True)
    pid, worker = map(int, process.stdout.readline().split())
    assert pid == process.pid
    yield process, worker
    process.kill()
    os.kill(worker, signal.SIGKILL)
    process.wait()


def test_a_second_grader_is_refused_and_told_who_is_at_work(empty: Course, other) -> None:
    process, _ = other
    with pytest.raises(CourseError, match=rf"graded already.*by process {process.pid} on \S+, since 2.*UTC"):
        with grading_lock(empty, "attention"):
            pytest.fail("two graders at once")
    with grading_lock(empty, "another"):
        pass


def test_the_lock_of_a_killed_grader_is_free_even_while_its_workers_live(empty: Course, other) -> None:
    process, worker = other
    process.kill()
    process.wait()
    os.kill(worker, 0)
    with grading_lock(empty, "attention"):
        assert f'"pid": {os.getpid()}' in holder_file(lock_file(empty, "attention")).read_text()


def test_it_is_free_again_afterwards_and_not_before(empty: Course) -> None:
    for _ in range(2):
        with grading_lock(empty, "attention"):
            with pytest.raises(CourseError, match=f"by process {os.getpid()}"), grading_lock(empty, "attention"):
                pytest.fail("two graders at once")
    with pytest.raises(ZeroDivisionError), grading_lock(empty, "attention"):
        1 / 0  # noqa: B018 - a run that ends in an error
    with grading_lock(empty, "attention"):
        pass


@pytest.mark.parametrize("said", ["", "{", "[]", '{"pid": 1}'])
def test_a_damaged_note_of_the_holder_only_costs_the_name(empty: Course, said: str) -> None:
    with grading_lock(empty, "attention"):
        holder_file(lock_file(empty, "attention")).write_text(said)
        with pytest.raises(CourseError, match="by another process"), grading_lock(empty, "attention"):
            pytest.fail("two graders at once")


def test_a_folder_that_cannot_be_written_is_a_sentence(empty: Course) -> None:
    empty.root.mkdir()
    (empty.root / "runs").write_text("a file")
    with pytest.raises(CourseError, match="cannot be locked.*must be writable"), grading_lock(empty, "attention"):
        pytest.fail("no lock")
