"""The writer: what plain nbgrader would have written, as a whole or not at all, whatever happens in between."""

from __future__ import annotations

import errno
import gc
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

import nbformat
import postgres as servers
import pytest
from classroom import RIGHT, SOURCES, find, notebook
from gradebooks import contents, finished, hand_in, tree, twin, with_nbgrader
from nbgrader.api import Grade
from nbgrader.plugins import BasePlugin
from sqlalchemy import Connection, create_engine, event, text

from autograder.course import Course, CourseError
from autograder.grading.gradebook.rows import read_timestamp
from autograder.grading.gradebook.write import Locked, Writer
from autograder.release import release

# Each kind of database that this machine has.
DATABASES = ["sqlite", *(["postgresql"] if servers.programs() else [])]
HALF = {"softmax-check": 2.5, "split_heads-check": 0.0}
PROGRAMS = Path(sys.executable).parent


class Lateness(BasePlugin):
    """A point off for every day."""

    def late_submission_penalty(self, student_id: str, score: float, total_seconds_late: float) -> float:
        return total_seconds_late / 86400


class Broken(BasePlugin):
    def late_submission_penalty(self, student_id: str, score: float, total_seconds_late: float) -> float:
        raise ValueError("no calendar")


def put(course: Course, student: str, paper: nbformat.NotebookNode, only: set[str] | None = None) -> None:
    with Writer(course, "attention") as writer:
        writer.write(student, paper, only=only)


def marks(course: Course, student: str) -> dict[str, tuple[float | None, float | None, bool]]:
    """By cell: points by machine, points by hand, and whether a person is waited for."""
    with course.gradebook() as gradebook:
        grades = gradebook.find_submission_notebook("attention", "attention", student).grades
        return {grade.name: (grade.auto_score, grade.manual_score, grade.needs_manual_grade) for grade in grades}


@pytest.fixture(scope="session")
def postgres():
    """The address of a PostgreSQL server of our own, with {} for the database's name."""
    with servers.server() as address:
        yield address


@pytest.fixture(params=DATABASES)
def pair(request, released: Course, tmp_path: Path) -> tuple[Course, Course]:
    """Two equal courses with a due date: one for nbgrader's own autograde, one for the writer."""
    courses = []
    for name in ("nbgrader", "writer"):
        made = twin(released, tmp_path / name)
        if request.param == "postgresql":
            address, database = request.getfixturevalue("postgres"), f"{name}_{os.urandom(4).hex()}"
            servers.create_database(address, database)
            made = Course(made.root, address.format(database))
            release(made, SOURCES / "attention.md")
        with made.gradebook() as gradebook:
            gradebook.find_assignment("attention").duedate = datetime(2026, 3, 2)
            gradebook.db.commit()
        courses.append(Course(made.root, made.db, {"AssignLatePenalties": {"plugin_class": Lateness}}))
    return courses[0], courses[1]


def test_every_row_is_as_nbgrader_would_have_made_it_over_a_whole_term(pair) -> None:
    late = "2026-03-03 06:00:00 Europe/Berlin"
    term = [
        # student, points, answers, handed in
        ("ada", {"softmax-check": 5.0, "split_heads-check": 5.0}, RIGHT, "2026-03-01 12:00:00 UTC"),
        ("ben", HALF, RIGHT, late),
        ("cyd", {"softmax-check": 0.0, "split_heads-check": 0.0}, {}, "2026-03-01 12:00:00"),
        ("dee", {"softmax-check": 0.5, "split_heads-check": 0.0}, RIGHT, "2027-01-01 00:00:00 UTC"),
        ("eve", HALF, {"explain": RIGHT["explain"]}, ""),
    ]
    again = [
        ("ada", HALF, RIGHT, late),
        ("ben", {"softmax-check": 5.0, "split_heads-check": 1.0}, {}, "2026-03-04 00:00:00 UTC"),
        ("cyd", HALF, RIGHT, "2026-03-05 00:00:00 UTC"),
        ("eve", HALF, RIGHT, ""),
    ]
    for events in (term, again):
        for student, points, answers, when in events:
            for course, grade in zip(pair, (with_nbgrader, None), strict=True):
                paper = finished(course, points, answers)
                hand_in(course, student, paper, when)
                grade(course, student) if grade else put(course, student, paper)
            assert contents(pair[0]) == contents(pair[1])
        for course in pair:
            mark_by_hand(course)
        assert contents(pair[0]) == contents(pair[1])
    rows = contents(pair[1])
    # What is compared is there: five students with three grades and three comments each, some late.
    assert [len(rows[name]) for name in ("student", "grade", "comment")] == [5, 15, 15]
    penalties = [dict(row)["late_submission_penalty"] for row in rows["submitted_notebook"]]
    assert len([p for p in penalties if p]) >= 3


def mark_by_hand(course: Course) -> None:
    """What people do in formgrader between two gradings."""
    with course.gradebook() as gradebook:

        def grade(name: str, student: str) -> Grade:
            return gradebook.find_grade(name, "attention", "attention", student)

        grade("explain", "ada").manual_score, grade("explain", "ada").needs_manual_grade = 1.5, False
        grade("softmax-check", "ben").manual_score = 4.0
        grade("softmax-check", "cyd").extra_credit = 0.5
        gradebook.find_comment("explain", "attention", "attention", "ada").manual_comment = "Good: 'ä' \u2713"
        gradebook.find_comment("softmax", "attention", "attention", "cyd").manual_comment = "Try again"
        gradebook.find_submission("attention", "cyd").extension = timedelta(days=2)
        gradebook.find_submission_notebook("attention", "attention", "ben").flagged = True
        gradebook.find_student("ben").first_name = "Ben"
        gradebook.db.commit()


def test_the_same_as_nbgrader_s_own_command_on_the_same_submissions(released: Course, tmp_path: Path) -> None:
    plain, ours = twin(released, tmp_path / "plain"), twin(released, tmp_path / "ours")
    for course in (plain, ours):
        for student, answers in (("ada", RIGHT), ("cyd", {})):
            place = hand_in(course, student, notebook(course.release("attention"), answers))
        (place / "data").mkdir()
        for name in ("data/x.csv", "helper.py", "left.pyc", "data/y.ipynb", ".hidden"):
            (place / name).write_text(name)
        (course.source("attention") / "data").mkdir()
        (course.source("attention") / "data" / "x.csv").write_text("the assignment's own")
    command = [PROGRAMS / "nbgrader", "autograde", "attention"]
    done = subprocess.run(command, cwd=plain.root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    for student in ("ada", "cyd"):
        paper = nbformat.read(plain.autograded(student, "attention") / "attention.ipynb", as_version=4)
        for cell in paper.cells:
            cell.metadata.get("nbgrader", {}).pop("checksum", None)
        put(ours, student, paper)
    assert contents(plain) == contents(ours)
    assert tree(plain.root / "autograded") == tree(ours.root / "autograded")
    given = {"attention.ipynb", "timestamp.txt", "data/x.csv"}
    assert set(tree(ours.autograded("ada", "attention"))) == given
    assert set(tree(ours.autograded("cyd", "attention"))) == given | {"helper.py", ".hidden"}
    assert marks(ours, "ada")["softmax-check"] == (5, None, False)


def test_only_the_named_cells_are_touched(course: Course) -> None:
    hand_in(course, "ada", finished(course))
    put(course, "ada", finished(course))
    with course.gradebook() as gradebook:
        gradebook.find_grade("explain", "attention", "attention", "ada").needs_manual_grade = False
        gradebook.db.commit()
    put(course, "ada", finished(course, HALF), only={"softmax-check"})
    assert marks(course, "ada") == {
        "softmax-check": (2.5, None, False), "split_heads-check": (5, None, False), "explain": (None, None, False)
    }  # fmt: skip


@pytest.mark.parametrize("shown", ["", "nan", "5.1", "-1.0", "inf", "full marks"])
def test_points_are_never_invented_where_a_result_is_not_one(course: Course, shown: str) -> None:
    paper = finished(course)
    cell = paper.cells[find(paper, "softmax-check")]
    cell.outputs = cell.outputs if shown else []
    if shown:
        cell.outputs[0].data["text/plain"] = shown
    before = contents(course)
    with pytest.raises(CourseError, match="'softmax-check' has no valid result"):
        put(course, "ada", paper)
    del paper.cells[find(paper, "softmax-check")]
    with pytest.raises(CourseError, match="no cell 'softmax-check'"):
        put(course, "ada", paper)
    assert contents(course) == before and not (course.root / "autograded").exists()


@pytest.mark.parametrize(
    ("said", "time"),
    [
        ("2026-03-01 12:00:00 UTC\n", datetime(2026, 3, 1, 12)),
        ("2026-03-01 12:00:00 Europe/Berlin", datetime(2026, 3, 1, 11)),
        ("2026-03-01T12:00:00+05:30", datetime(2026, 3, 1, 6, 30)),
        *((said, None) for said in ("", "yesterday", "9999999-1-1", "2026-03-01 12:00:00 99999999999")),
        *((said, None) for said in ("\0\xff", "1 " * 9999)),
        ("0001-01-01 00:00:00 +1400", None),
    ],
)
def test_a_timestamp_that_is_none_is_as_good_as_no_timestamp(tmp_path, said: str, time: datetime | None) -> None:
    (tmp_path / "timestamp.txt").write_text(said, encoding="latin-1")
    assert read_timestamp(tmp_path) == time


def test_a_timestamp_is_read_from_a_file_only(tmp_path: Path) -> None:
    assert read_timestamp(tmp_path) is None
    os.mkfifo(tmp_path / "timestamp.txt")
    assert read_timestamp(tmp_path) is None


def test_links_devices_and_pages_stay_behind_and_the_assignment_s_files_win(course: Course) -> None:
    place = hand_in(course, "ada", finished(course))
    (place / "deep").mkdir()
    (place / "deep" / "own.txt").write_text("own")
    (place / "data").write_text("a file where the assignment has a folder")
    (place / "given.py").write_text("edited")
    (place / "secret").symlink_to(course.root / "gradebook.db")
    (place / "folder").symlink_to(course.root, target_is_directory=True)
    os.mkfifo(place / "pipe")
    for page in ("page.html", "PAGE.XHTML", "deep/drawing.svg", "sheet.xsl", "mail.mht", "code.js"):
        (place / page).write_text("<script>alert(1)</script>")
    with (place / "huge").open("wb") as file:
        file.truncate(200_000_000)
    (course.source("attention") / "data").mkdir()
    (course.source("attention") / "data" / "set.csv").write_text("1")
    (course.source("attention") / "given.py").write_text("given")
    (course.source("attention") / "figure.svg").write_text("<svg/>")
    put(course, "ada", finished(course))
    found = tree(course.autograded("ada", "attention"))
    assert set(found) == {"attention.ipynb", "timestamp.txt", "deep/own.txt", "data/set.csv", "given.py", "figure.svg"}
    assert found["given.py"] == (0o444, b"given")


def test_a_penalty_that_cannot_be_computed_leaves_nothing_behind(course: Course) -> None:
    broken = Course(course.root, extra={"AssignLatePenalties": {"plugin_class": Broken}})
    with course.gradebook() as gradebook:
        gradebook.find_assignment("attention").duedate = datetime(2026, 2, 1)
        gradebook.db.commit()
    before = contents(course)
    hand_in(course, "ada", finished(course))
    with pytest.raises(CourseError, match="late penalty of 'ada'.*Broken raised ValueError: no calendar"):
        put(broken, "ada", finished(course))
    assert contents(course) == before and not course.autograded("ada", "attention").parent.exists()


def test_an_assignment_released_anew_during_the_run_is_noticed(course: Course) -> None:
    hand_in(course, "ada", finished(course))
    with Writer(course, "attention") as writer:
        with course.gradebook() as gradebook:
            gradebook.find_source_cell("softmax", "attention", "attention").checksum = "another"
            gradebook.db.commit()
        with pytest.raises(CourseError, match="released anew"):
            writer.write("ada", finished(course))


def test_what_has_not_been_released_cannot_be_written(course: Course) -> None:
    with pytest.raises(CourseError, match="autograder release cooking"), Writer(course, "cooking"):
        pass


def test_half_a_character_is_written_out_instead_of_stopping_the_run(course: Course) -> None:
    paper = finished(course, answers=RIGHT | {"explain": "half \ud800 a pair"})
    hand_in(course, "ada", finished(course))
    put(course, "ada", paper)
    stored = nbformat.read(course.autograded("ada", "attention") / "attention.ipynb", as_version=4)
    assert stored.cells[find(stored, "explain")].source == "half \\ud800 a pair"


def test_nothing_of_a_submission_is_kept_in_memory(course: Course) -> None:
    with Writer(course, "attention") as writer:
        for number in range(8):
            hand_in(course, f"s{number}", finished(course))
            writer.write(f"s{number}", finished(course))
            gc.collect()
            assert not [thing for thing in gc.get_objects() if type(thing) is Grade]


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{tests!r}]
import sqlalchemy
from autograder.course import Course
from autograder.grading.gradebook import folder, write
from gradebooks import finished

course, step = Course.at(sys.argv[1]), sys.argv[2]
paper = finished(course, {points!r})

def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)

rename, moves = Path.rename, []

def second(self, target):
    moves.append(target)
    return die() if len(moves) == int(sys.argv[3]) else rename(self, target)

if step == "draft":
    folder.make = die
elif step == "transaction":
    write.save = die
elif step == "commit":
    sqlalchemy.engine.default.DefaultDialect.do_commit = die
elif step == "swap":
    folder.put = die
elif step == "second rename":
    Path.rename = second
elif step == "clean-up":
    sync = folder.sync
    folder.sync = lambda paths: die() if len(paths) == 1 else sync(paths)
with write.Writer(course, "attention") as writer:
    writer.write("ada", paper)
"""


@pytest.mark.parametrize("before", [False, True], ids=["first", "again"])
@pytest.mark.parametrize("step", ["draft", "transaction", "commit", "swap", "second rename", "clean-up"])
def test_a_kill_at_any_step_and_the_same_call_again_come_to_the_same(course, tmp_path, step: str, before: bool) -> None:
    hand_in(course, "ada", finished(course))
    if before:
        put(course, "ada", finished(course))
    straight = twin(course, tmp_path / "straight")
    put(straight, "ada", finished(straight, HALF))
    script = KILLED.format(tests=str(Path(__file__).parent), points=HALF)
    # The first rename of a first grading is the only one.
    command = [sys.executable, "-c", script, str(course.root), step, "2" if before else "1"]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    late = step in ("swap", "second rename", "clean-up")
    scores = {} if not before and not late else marks(course, "ada")
    assert scores.get("softmax-check", (None,))[0] == (2.5 if late else 5 if before else None)
    with Writer(course, "attention") as writer:
        # What is there after healing is whole, and the old or the new, never neither where there was one.
        if before or step == "clean-up":
            new = step in ("second rename", "clean-up")
            one = nbformat.read(course.autograded("ada", "attention") / "attention.ipynb", as_version=4)
            assert one.cells[find(one, "softmax-check")].outputs[0].data["text/plain"] == ("2.5" if new else "5.0")
        assert not list(course.root.glob("autograded/*/.*"))
        writer.write("ada", finished(course, HALF))
    assert contents(course) == contents(straight)
    assert tree(course.root / "autograded") == tree(straight.root / "autograded")


def hold(course: Course) -> Connection:
    """Another program in the middle of a change to the grades."""
    engine = create_engine(course.coursedir().db_url, connect_args={} if course.db else {"check_same_thread": False})
    connection = engine.connect()
    connection.execute(text("SELECT * FROM grade FOR UPDATE" if course.db else "BEGIN EXCLUSIVE"))
    return connection


def test_a_gradebook_that_stays_locked_is_told_and_nothing_is_written(pair) -> None:
    course = pair[1]
    hand_in(course, "ada", finished(course))
    put(course, "ada", finished(course))
    before, stored, paper = contents(course), tree(course.root / "autograded"), finished(course, HALF)
    with Writer(course, "attention") as writer:
        writer.patience = 0.5
        other = hold(course)
        with pytest.raises(Locked, match="Another program has kept the gradebook locked.*'ada' were not written"):
            writer.write("ada", paper)
        other.close()
        assert contents(course) == before and tree(course.root / "autograded") == stored
        writer.write("ada", paper)
    assert marks(course, "ada")["softmax-check"][0] == 2.5


def test_a_gradebook_that_is_locked_for_a_while_is_waited_for(pair) -> None:
    course = pair[1]
    hand_in(course, "ada", finished(course))
    put(course, "ada", finished(course))
    paper = finished(course, HALF)
    with Writer(course, "attention") as writer:
        other = hold(course)
        timer = threading.Timer(3, other.close)  # longer than one try waits
        timer.start()
        began = time.monotonic()
        writer.write("ada", paper)
        assert time.monotonic() - began > 2
    assert marks(course, "ada")["softmax-check"][0] == 2.5


def test_a_full_disk_leaves_the_old_folder_and_no_litter(course: Course, monkeypatch) -> None:
    hand_in(course, "ada", finished(course))
    put(course, "ada", finished(course))
    before, stored = contents(course), tree(course.root / "autograded")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Writer(course, "attention") as writer:
        with monkeypatch.context() as patched:
            patched.setattr(shutil, "copyfileobj", full)
            for student in ("ada", "ben"):
                hand_in(course, student, finished(course))
                with pytest.raises(CourseError, match="The disk is full"):
                    writer.write(student, finished(course, HALF))

        @event.listens_for(writer.engine, "begin")
        def no_room(connection) -> None:
            connection.exec_driver_sql("PRAGMA max_page_count = 1")  # not one page more than there are

        with pytest.raises(CourseError, match="The disk is full: the grades of 'student-0"):
            for number in range(100):
                writer.write(f"student-{number:03}", finished(course))
                stored = tree(course.root / "autograded")
                before = contents(course)
    assert contents(course) == before and tree(course.root / "autograded") == stored
    assert not list(course.root.glob("autograded/*/.*"))


def test_a_folder_that_cannot_be_written_is_a_sentence(course: Course) -> None:
    (course.root / "autograded").write_text("a file")
    with pytest.raises(CourseError, match="could not be written"):
        put(course, "ada", finished(course))
