"""Whatever happens in the middle of a run: nothing is lost, nothing is done twice, and nobody is given a zero."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from classroom import RIGHT, SOURCES, running
from recorded import PLACES, STUDENTS, WITHOUT_MAXIMUM, grade_and_die, hand_in, record, replay

from autograder.course import REPOSITORY, Course, CourseError
from autograder.grading.reports.report import read_class
from autograder.grading.run import isolated
from autograder.grading.run.grade import Watcher, grade
from autograder.grading.run.journal import read_state, records
from autograder.grading.run.lock import grading_lock
from autograder.release import release

UNREADABLE = {"emil"}


def points(course: Course) -> dict[str, object]:
    """What each student has for each question, or the status of those who have no grades."""
    rows = read_class(course, "attention")
    return {r.student: {q: m.points for q, m in r.marks.items()} if r.status == "graded" else r.status for r in rows}


def lines(course: Course, kind: str) -> list[dict]:
    found = records(course.runs("attention") / "journal.jsonl")
    return [record for record in found if record.get("kind") == kind]


def half_made(course: Course) -> list[Path]:
    return [*course.root.glob("autograded/*/.*"), *course.runs("attention").glob("judged/*"),
            *course.root.glob("backups/.*")]  # fmt: skip


def copy(course: Course, root: Path) -> Course:
    shutil.copytree(course.root, root)
    return Course.at(root)


@pytest.fixture(scope="module")
def handed_in(released: Course, tmp_path_factory) -> Course:
    """Five submissions, collected and not graded."""
    base = tmp_path_factory.mktemp("handed-in")
    made = copy(released, base / "course")
    hand_in(made, base / "in")
    return made


@pytest.fixture(scope="module")
def done(handed_in: Course, tmp_path_factory) -> tuple[Course, dict]:
    """The same course graded without a disturbance, and what the sandbox gave."""
    made = copy(handed_in, tmp_path_factory.mktemp("done") / "course")
    return made, record(made)


@pytest.fixture
def fresh(handed_in: Course, tmp_path) -> Course:
    return copy(handed_in, tmp_path / "course")


@pytest.fixture
def asked(done, monkeypatch) -> list[str]:
    """The students whose submissions are run; their outcomes are the recorded ones."""
    students: list[str] = []
    monkeypatch.setattr(isolated, "run", replay(done[1], students))
    return students


def test_the_undisturbed_run_is_as_it_should_be(done) -> None:
    course, outcomes = done
    assert set(outcomes) == set(STUDENTS)
    assert points(course) == {
        "ada": {"softmax": 5, "split_heads": 5, "explain": None},
        "bela": {"softmax": 3, "split_heads": 5, "explain": None},
        "chidi": {"softmax": 5, "split_heads": 0, "explain": 0},
        "dana": {"softmax": 0, "split_heads": 0, "explain": 0},
        "emil": "for a person",
    }


@pytest.mark.parametrize("step", PLACES)
def test_a_run_killed_at_any_step_is_taken_up(fresh: Course, done, asked, step: str) -> None:
    once = step in ("after the run has begun", "before the run ends")
    assert grade_and_die(fresh, done[1], step, 1 if once else 2) == -signal.SIGKILL
    settled = {record["student"] for record in lines(fresh, "graded")}
    judged = {record["student"] for record in lines(fresh, "judged")}
    grade(fresh, "attention")
    assert points(fresh) == points(done[0])
    assert Counter(r["student"] for r in lines(fresh, "graded")) == dict.fromkeys(STUDENTS, 1)
    assert half_made(fresh) == []
    # What was done or judged is not run again, and the rest is judged by the same seed.
    assert sorted(asked) == sorted(set(STUDENTS) - settled - judged)
    assert len({r["seed"] for r in lines(fresh, "run")}) == 1
    asked.clear()
    grade(fresh, "attention")
    assert asked == []


def test_a_run_killed_again_and_again_comes_to_its_end(fresh: Course, done, asked) -> None:
    for step in PLACES:
        grade_and_die(fresh, done[1], step)
    grade(fresh, "attention")
    assert points(fresh) == points(done[0]) and half_made(fresh) == []
    assert Counter(r["student"] for r in lines(fresh, "graded")) == dict.fromkeys(STUDENTS, 1)


def test_an_unchanged_submission_is_not_run_again_and_a_changed_one_is(fresh: Course, asked, done, tmp_path) -> None:
    assert grade(fresh, "attention").graded == len(STUDENTS) - len(UNREADABLE)
    asked.clear()
    outcome = grade(fresh, "attention")
    assert asked == [] and (outcome.graded, outcome.unchanged) == (0, len(STUDENTS))
    hand_in(fresh, tmp_path / "again", {"bela": RIGHT})
    assert grade(fresh, "attention").graded == 1 and asked == ["bela"]


def test_work_that_another_version_of_the_checks_or_libraries_graded_is_graded_again(
    fresh: Course, asked, monkeypatch
) -> None:
    grade(fresh, "attention")
    for name in ("digest_assignment", "digest_environment"):
        asked.clear()
        monkeypatch.setattr(f"autograder.grading.run.state.{name}", lambda *_: "another")
        grade(fresh, "attention")
        assert asked == sorted(STUDENTS)


def test_a_grade_that_somebody_removed_is_made_again(fresh: Course, asked) -> None:
    grade(fresh, "attention")
    asked.clear()
    shutil.rmtree(fresh.autograded("ada", "attention"))
    with fresh.gradebook() as gradebook:
        gradebook.remove_submission("attention", "bela")
    grade(fresh, "attention")
    assert asked == ["ada", "bela"] and points(fresh)["bela"]["softmax"] == 3


def test_two_graders_at_once_are_refused(fresh: Course, asked) -> None:
    with grading_lock(fresh, "attention"), pytest.raises(CourseError, match="is being graded already"):
        grade(fresh, "attention")
    assert asked == [] and lines(fresh, "run") == []
    assert grade(fresh, "attention").graded == 4


def test_work_replaced_in_the_middle_of_a_run_is_graded_by_the_next(fresh: Course, asked, done, tmp_path) -> None:
    told = []

    def tick(text: str) -> None:
        if not told:
            hand_in(fresh, tmp_path / "again", {"bela": RIGHT})
        told.append(text)

    grade(fresh, "attention", watcher=Watcher(tick=tick))
    assert any(text.startswith("bela") and "another version was handed in" in text for text in told)
    asked.clear()
    isolated_now = replay(done[1] | {"bela": done[1]["ada"] | {"student": "bela"}}, asked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(isolated, "run", isolated_now)
        grade(fresh, "attention")
    assert asked == ["bela"] and points(fresh)["bela"]["softmax"] == 5


def test_what_was_judged_of_other_work_is_not_written(fresh: Course, done, asked, tmp_path) -> None:
    assert grade_and_die(fresh, done[1], "after a result is in the journal", 2) == -signal.SIGKILL
    hand_in(fresh, tmp_path / "again", {"bela": RIGHT})
    grade(fresh, "attention")
    assert "bela" in asked and "ada" not in asked


def a_new_release(course: Course, folder: Path) -> None:
    """The same assignment with another number of points for one of its questions."""
    source = folder / "attention.md"
    source.write_text((SOURCES / "attention.md").read_text().replace('"points": 2', '"points": 3'))
    assert release(course, source)


def test_an_assignment_released_anew_in_the_middle_of_a_run_stops_it(fresh: Course, asked, done, tmp_path) -> None:
    def tick(text: str) -> None:
        if text.startswith("ada"):
            a_new_release(fresh, tmp_path)

    with pytest.raises(CourseError, match="released anew during the run. Grade again."):
        grade(fresh, "attention", watcher=Watcher(tick=tick))
    assert [r["student"] for r in lines(fresh, "graded")] == ["ada"]
    asked.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.undo()
        patch.setattr(isolated, "run", replay(done[1], asked))
        grade(fresh, "attention")
    assert asked == sorted(STUDENTS)  # what was judged by the old questions is not written
    rows = {row.student: row for row in read_class(fresh, "attention")}
    assert all(rows[name].max_total == 13 for name in set(STUDENTS) - UNREADABLE) and half_made(fresh) == []


def test_a_person_who_holds_the_gradebook_loses_nobody_s_work(fresh: Course, asked, done, monkeypatch) -> None:
    monkeypatch.setattr("autograder.grading.gradebook.write.PATIENCE", 0.2)
    holder = sqlite3.connect(fresh.root / "gradebook.db", isolation_level=None)
    told: list[str] = []
    start = Watcher(start=lambda *_: holder.execute("BEGIN IMMEDIATE"), tick=told.append)
    with contextlib.closing(holder):
        outcome = grade(fresh, "attention", watcher=start)
        assert outcome.graded == 0 and "Another program has kept the gradebook locked" in " ".join(told)
        holder.execute("ROLLBACK")
    assert {row.status for row in read_class(fresh, "attention")} == {"not graded yet", "for a person"}
    asked.clear()
    grade(fresh, "attention")
    assert asked == [] and points(fresh) == points(done[0]) and half_made(fresh) == []


def test_one_student_whom_the_gradebook_refuses_costs_no_other(fresh: Course, asked) -> None:
    with fresh.gradebook() as gradebook:
        for student in ("ada", "chidi", "dana"):
            gradebook.add_student(student)
    strict = replace(fresh, extra={"Autograde": {"create_student": False}})
    outcome = grade(strict, "attention")
    assert (outcome.graded, outcome.aside) == (3, 2)
    (row,) = [row for row in read_class(fresh, "attention") if row.student == "bela"]
    assert row.status == "for a person" and "The gradebook has no student 'bela'" in row.problem
    asked.clear()
    grade(fresh, "attention")
    assert asked == ["bela"] and points(fresh)["bela"]["softmax"] == 3


def kill_one(found: str, killed: list[int]) -> Watcher:
    """Kills, once, the first process of the run whose command line holds these words; a worker by the name "worker"."""

    def look(members: list, waiting: int) -> None:
        if killed or waiting > 4:
            return
        if found == "worker":
            pids = [member.process.pid for member in members if member.student]
        else:
            pids = [pid for pid, line in running().items() if found in line]
        for pid in pids[:1]:
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    return Watcher(look=look)


@pytest.mark.parametrize("found", ["worker", "autograder.grading.run.judging", "autograder.sandbox.zygote"])
def test_the_run_goes_on_when_one_of_its_processes_is_killed(released: Course, tmp_path, found: str) -> None:
    course = copy(released, tmp_path / "course")
    names = {f"s{number}": RIGHT | ({"softmax": WITHOUT_MAXIMUM} if number % 2 else {}) for number in range(8)}
    hand_in(course, tmp_path / "in", names)
    killed: list[int] = []
    outcome = grade(course, "attention", workers=2, watcher=kill_one(found, killed))
    assert killed and (outcome.graded, outcome.aside) == (8, 0)
    right = {"softmax": 5.0, "split_heads": 5.0, "explain": None}
    assert points(course) == {f"s{number}": right | ({"softmax": 3.0} if number % 2 else {}) for number in range(8)}
    assert Counter(r["student"] for r in lines(course, "graded")) == dict.fromkeys(names, 1)


def test_a_check_that_raises_is_a_fault_of_the_course_and_no_zero(fresh: Course, tmp_path) -> None:
    repository = tmp_path / "repository"
    for name in ("autograder", "course_lib"):
        shutil.copytree(REPOSITORY / name, repository / name, ignore=shutil.ignore_patterns("__pycache__"))
    with (repository / "autograder" / "judge.py").open("a") as file:
        file.write(
            "\n\nreal = judge\n\n\ndef judge(exercise, seed, replies):\n"
            "    if exercise.name == 'attention.softmax':\n        raise OSError('broken')\n"
            "    return real(exercise, seed, replies)\n"
        )
    command = [sys.executable, "-m", "autograder.cli", "grade", "attention", "--course", str(fresh.root)]
    result = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0 and "0 graded" in result.stdout, result.stderr
    for entry in (read_state(fresh, "attention")[name] for name in set(STUDENTS) - UNREADABLE):
        assert entry.status == "for a person" and entry.problem.startswith("infrastructure: the check of")
        assert "'attention.softmax' itself failed (OSError: broken)" in entry.problem
    assert set(points(fresh).values()) == {"for a person"} and not list(fresh.root.glob("autograded/*/attention"))
    # and once it is mended
    assert grade(fresh, "attention").graded == len(STUDENTS) - len(UNREADABLE)
