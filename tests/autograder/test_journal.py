"""The journal: what it remembers, and that no damage to it invents or loses a grade."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from classroom import best_tier
from gradebooks import contents
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded import STUDENTS, hand_in, record, replay
from test_resume import copy, lines, points

from autograder.course import Course, CourseError
from autograder.grading.reports.report import read_class
from autograder.grading.run import isolated, journal
from autograder.grading.run.grade import Watcher, grade
from autograder.grading.run.journal import ASIDE, GRADED, Entry, Journal, read_state

ENTRY = Entry(GRADED, "work", "assignment", "run", "python", "namespaces", notes=["a note"], reasons={"q": ["m", "r"]})
NOTEBOOK = nbformat.writes(nbformat.v4.new_notebook())


@pytest.fixture
def place(tmp_path: Path) -> Course:
    return Course.at(tmp_path / "course")


@pytest.fixture(scope="module")
def graded(released: Course, tmp_path_factory) -> tuple[Course, dict]:
    """Five submissions, graded, and what the sandbox gave."""
    base = tmp_path_factory.mktemp("journal")
    made = copy(released, base / "course")
    hand_in(made, base / "in")
    return made, record(made)


@pytest.fixture
def course(graded, tmp_path) -> Course:
    return copy(graded[0], tmp_path / "course")


@pytest.fixture
def asked(graded, monkeypatch) -> list[str]:
    students: list[str] = []
    monkeypatch.setattr(isolated, "run", replay(graded[1], students))
    return students


def file_of(course: Course) -> Path:
    return course.runs("attention") / "journal.jsonl"


def test_it_remembers_what_became_of_everybody(place: Course) -> None:
    with Journal(place, "attention") as first:
        assert first.begin("one", "seed", "namespaces", "now") == "seed"
        first.judged("ada", ENTRY, NOTEBOOK, None)
        first.judged("bela", ENTRY, NOTEBOOK, {"b-check", "a-check"})
        first.graded("ada", ENTRY)
        first.graded("chidi", Entry(ASIDE, "", "", "one", problem="it is empty"))
    with Journal(place, "attention") as second:
        assert second.entries["ada"] == ENTRY and second.entries["chidi"].problem == "it is empty"
        ((student, judged, notebook),) = second.left_over()
        assert (student, judged.entry, judged.only, notebook) == ("bela", ENTRY, ["a-check", "b-check"], NOTEBOOK)
    assert read_state(place, "attention") == second.entries


def test_the_seed_of_a_run_that_was_cut_short_is_taken_up_and_no_other(place: Course) -> None:
    with Journal(place, "attention") as cut_short:
        cut_short.begin("one", "first", "namespaces", "now")
    with Journal(place, "attention") as whole:
        assert whole.begin("two", "second", "namespaces", "now") == "first"
        whole.end()
    with Journal(place, "attention") as next_one:
        assert next_one.begin("three", "third", "namespaces", "now") == "third"


def test_a_kept_notebook_that_is_damaged_or_gone_is_not_written(place: Course) -> None:
    with Journal(place, "attention") as open_one:
        for student in ("ada", "bela", "chidi"):
            open_one.judged(student, ENTRY, NOTEBOOK, None)
        open_one.kept("ada").write_text(NOTEBOOK + " ")
        open_one.kept("bela").unlink()
    with Journal(place, "attention") as again:
        assert [student for student, _, _ in again.left_over()] == ["chidi"]


def test_only_its_owner_can_read_it(place: Course) -> None:
    with Journal(place, "attention") as open_one:
        open_one.begin("one", "seed", "namespaces", "now")
        open_one.judged("ada", ENTRY, NOTEBOOK, None)
        assert [p.stat().st_mode & 0o077 for p in (open_one.path, open_one.kept("ada"))] == [0, 0]


def test_what_a_killed_run_left_beside_it_is_removed(place: Course) -> None:
    with Journal(place, "attention") as open_one:
        open_one.judged("ada", ENTRY, NOTEBOOK, None)
        open_one.kept("bela").write_text("never told of")
        open_one.kept("chidi").with_suffix(".new").write_text("half")
    with Journal(place, "attention") as again:
        assert [path.name for path in again.kept("-").parent.iterdir()] == ["ada.ipynb"]


def test_a_long_journal_is_written_anew_and_says_the_same(place: Course, monkeypatch) -> None:
    monkeypatch.setattr(journal, "SPARE", 10)
    with Journal(place, "attention") as open_one:
        open_one.begin("one", "seed", "namespaces", "now")
        for number in range(40):
            open_one.graded(f"s{number % 4}", Entry(GRADED, str(number), "a", "one"))
        open_one.judged("s1", ENTRY, NOTEBOOK, {"q"})
        size = open_one.path.stat().st_size
    with Journal(place, "attention") as again:
        assert again.entries == open_one.entries and again.pending == open_one.pending
        assert again.unfinished == open_one.unfinished and len(list(again.left_over())) == 1
        assert again.path.stat().st_size < size / 4 and again.path.stat().st_mode & 0o077 == 0


DAMAGED = [
    b"", b"\x00\xff\xfe not text", b"null", b"[]", b'"graded"', b"{}", b'{"kind":"graded"}',
    b'{"kind":"graded","student":"ada"}', b'{"kind":"graded","student":"ada","entry":null}',
    b'{"kind":"graded","student":"ada","entry":{"status":"graded"}}',
    b'{"kind":"graded","student":7,"entry":{"status":"graded","submission":"","assignment":"","run":""}}',
    b'{"kind":"graded","student":"ada","entry":{"status":1,"submission":[],"assignment":{},"run":null}}',
    b'{"kind":"judged","student":"ada","entry":{"status":"graded","submission":"","assignment":"","run":""},"only":5}',
    b'{"kind":"run"}', b'{"kind":"run","seed":5}', b'{"kind":"from a later version","student":"ada"}', b"[" * 10_000,
]  # fmt: skip


@pytest.mark.parametrize("line", DAMAGED)
def test_a_damaged_line_says_nothing_and_spoils_nothing(place: Course, line: bytes) -> None:
    with Journal(place, "attention") as first:
        first.begin("one", "seed", "namespaces", "now")
        first.graded("ada", ENTRY)
    with file_of(place).open("ab") as file:
        file.write(line + b"\n")
    with Journal(place, "attention") as again:
        assert again.entries == {"ada": ENTRY} and again.pending == {} and again.unfinished["seed"] == "seed"
        again.graded("bela", ENTRY)
    assert read_state(place, "attention") == {"ada": ENTRY, "bela": ENTRY}


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_cut_anywhere_it_says_what_it_said_then_or_less(data) -> None:
    with tempfile.TemporaryDirectory() as folder:
        course = Course.at(folder)
        with Journal(course, "attention") as whole:
            whole.begin("one", "seed", "namespaces", "now")
            for student in ("ada", "bela", "chidi"):
                whole.judged(student, ENTRY, NOTEBOOK, None)
                whole.graded(student, ENTRY)
        content = file_of(course).read_bytes()
        cut = data.draw(st.integers(0, len(content)))
        file_of(course).write_bytes(content[:cut])
        with Journal(course, "attention") as again:
            told = content[:cut].count(b'{"kind":"graded"')
            assert told - 1 <= len(again.entries) <= told
            again.graded("dana", ENTRY)
        assert read_state(course, "attention")["dana"] == ENTRY


@pytest.mark.parametrize("damage", ["the last line cut short", "a line in the middle overwritten", "all of it gone"])
def test_whose_line_is_damaged_is_graded_again_and_keeps_the_grade(course: Course, asked, graded, damage: str) -> None:
    file = file_of(course)
    content = file.read_bytes().splitlines(keepends=True)
    mine = [i for i, line in enumerate(content) if line.startswith(b'{"kind":"graded","student":"bela"')]
    if damage == "the last line cut short":
        content = content[: mine[-1]] + [content[mine[-1]][:100]]
    elif damage == "a line in the middle overwritten":
        content[mine[-1]] = b"#" * 200 + b"\n"
    else:
        content = []
    file.write_bytes(b"".join(content))
    told = {json.loads(line)["student"] for line in content if line.startswith(b'{"kind":"graded"') and b"}}" in line}
    before = points(graded[0])
    grade(course, "attention")
    # A finished result that nobody had told to be written is written; whatever else is not told of is run again.
    assert set(asked) <= set(STUDENTS) - told and points(course) == before
    asked.clear()
    grade(course, "attention")
    assert asked == []


def test_a_journal_of_another_user_is_a_sentence(place: Course) -> None:
    with Journal(place, "attention") as first:
        first.graded("ada", ENTRY)

    def refuse(path: Path) -> Iterator[dict]:
        raise PermissionError(13, "Permission denied", str(path))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "records", refuse)
        for attempt in (lambda: read_state(place, "attention"), lambda: Journal(place, "attention").__enter__()):
            with pytest.raises(CourseError, match="belongs to the user who graded first"):
                attempt()


def test_a_run_of_another_machine_or_user_is_gone_on_with(course: Course, asked, graded) -> None:
    # the same course folder, moved and with other times: nothing in the journal depends on where it is
    moved = copy(course, course.root.parent / "elsewhere")
    assert grade(moved, "attention").unchanged == len(STUDENTS) and asked == []
    assert points(moved) == points(graded[0])


def test_the_gradebook_is_backed_up_before_anything_is_written(course: Course, asked) -> None:
    before = contents(course)
    shutil.rmtree(course.root / "backups")
    assert grade(course, "attention").graded == 0
    assert not (course.root / "backups").exists()  # nothing new, nothing to copy, and no older copy thrown away
    with sqlite3.connect(course.root / "gradebook.db") as connection:
        connection.execute("UPDATE grade SET manual_score = 2 WHERE auto_score = 3")
    connection.close()
    before = contents(course)
    grade(course, "attention", force=True)
    (backup,) = (course.root / "backups").iterdir()
    assert backup.name == f"gradebook-{lines(course, 'run')[-1]['run']}.db"
    after = contents(course)
    shutil.copy(backup, course.root / "gradebook.db")  # as the guide tells to put one back
    assert contents(course) == before != after


def others(rows: dict[str, list[tuple]], question: str) -> list[tuple]:
    """The grades and comments of all cells but those of a question."""
    return [row for kind in ("grade", "comment") for row in rows[kind] if f"'{question}" not in repr(row)]


def test_only_one_exercise_is_graded_anew_and_everything_else_stays(course: Course, tmp_path) -> None:
    with course.gradebook() as gradebook:
        gradebook.find_grade("explain", "attention", "attention", "ada").manual_score = 1.5
        gradebook.find_grade("explain", "attention", "attention", "ada").needs_manual_grade = False
        gradebook.find_grade("split_heads-check", "attention", "attention", "bela").manual_score = 4.0
        gradebook.find_grade("split_heads-check", "attention", "attention", "bela").needs_manual_grade = False
        gradebook.find_comment("explain", "attention", "attention", "ada").manual_comment = "Short, and right."
        for student in ("ada", "bela", "chidi"):  # as if the check had been wrong when they were graded
            gradebook.find_grade("softmax-check", "attention", "attention", student).auto_score = 1.0
        gradebook.find_submission("attention", "ada").notebooks[0].late_submission_penalty = None
        gradebook.db.commit()
    before = contents(course)
    hand_in(course, tmp_path / "again", {"dana": STUDENTS["ada"]})
    ran: list[tuple[str, str | None]] = []
    real = isolated.run

    def watched(job, students, processes, **options):
        ran.extend(students.items())
        return real(job, students, processes, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(isolated, "run", watched)
        outcome = grade(course, "attention", only="softmax", watcher=Watcher())
    # the one whose work has changed is graded as a whole, the one for a person is left alone
    whole = [(name, None if name == "dana" else "attention.softmax") for name in ("ada", "bela", "chidi", "dana")]
    assert ran == whole and (outcome.graded, outcome.unchanged) == (4, 1)
    after = contents(course)
    told = [row for row in others(after, "softmax") if "'dana'" not in repr(row)]
    assert told == [row for row in others(before, "softmax") if "'dana'" not in repr(row)]
    rows = {row.student: row for row in read_class(course, "attention")}
    softmax = {name: row.marks["softmax"].points for name, row in rows.items() if row.marks}
    assert softmax == {"ada": 5, "bela": 3, "chidi": 5, "dana": 5}
    assert rows["bela"].marks["split_heads"].points == 4 and rows["bela"].unmarked == ["explain"]
    assert rows["ada"].marks["explain"].points == 1.5 and rows["ada"].unmarked == []
    assert "exp overflows" in rows["bela"].marks["softmax"].reason
    # the notebook has the results of all questions
    text = (course.autograded("bela", "attention") / "attention.ipynb").read_text()
    assert text.count(f"(isolation: {best_tier()})") == 2


def test_one_exercise_that_was_judged_and_not_written_touches_no_other_later(course: Course, asked, graded) -> None:
    with course.gradebook() as gradebook:
        entry = gradebook.find_grade("split_heads-check", "attention", "attention", "ada")
        entry.manual_score, entry.needs_manual_grade = 4.0, False
        gradebook.db.commit()
    before = contents(course)
    entry = read_state(course, "attention")["ada"]
    with Journal(course, "attention") as cut_short:
        cut_short.begin("one", "seed", "namespaces", "now")
        cut_short.judged("ada", entry, graded[1]["ada"]["notebook"], {"softmax-check"})
    grade(course, "attention")
    assert asked == [] and others(contents(course), "softmax") == others(before, "softmax")


def test_an_exercise_that_does_not_exist_is_a_sentence(course: Course) -> None:
    with pytest.raises(CourseError, match="called 'soft'. There are: attention.softmax"):
        grade(course, "attention", only="soft")
