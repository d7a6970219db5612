"""Honest submissions of every room get from the isolated grader what plain nbgrader gives them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import nbformat
import pytest
from classroom import RIGHT, notebook
from parity import Parity, as_text, compare, entries, few, many, nbgrader

from autograder import checks
from autograder.course import SOLUTIONS, Course
from autograder.grading.intake.collect import collect
from autograder.release import release

ROOMS = checks.assignments()


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> dict[str, Parity]:
    """All rooms compared, two at a time: plain nbgrader runs one submission after the other."""
    places = {room: tmp_path_factory.mktemp(room) for room in ROOMS}
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(ROOMS, pool.map(lambda room: compare(places[room], room), ROOMS), strict=True))


@pytest.mark.parametrize("room", ROOMS)
def test_every_grade_and_comment_is_the_same(results, room: str) -> None:
    result = results[room]
    assert result.differences == [], as_text([result])
    # every question of every student, and of each the submission as a whole
    assert len(result.submissions) == 3 and result.compared >= 3 * (len(checks.names(room)) + 1)


def test_the_comparison_finds_a_difference(course: Course, tmp_path) -> None:
    (tmp_path / "in").mkdir()
    nbformat.write(notebook(course.release("attention"), RIGHT), tmp_path / "in" / "ada.ipynb")
    collect(course, "attention", [tmp_path / "in"])
    nbgrader(course, "attention")
    before = entries(course, "attention")
    assert before["ada", "softmax-check"]["score"] == 5 and before["ada", "explain"]["needs_manual_grade"]
    with course.gradebook() as gradebook:
        gradebook.find_grade("softmax-check", "attention", "attention", "ada").auto_score = 4
        gradebook.find_comment("explain", "attention", "attention", "ada").auto_comment = "No response."
        gradebook.db.commit()
    after = entries(course, "attention")
    assert {key for key in before if before[key] != after[key]} == {
        ("ada", "softmax-check"), ("ada", "explain"), ("ada", "(all)"),
    }  # fmt: skip


def test_the_whole_comparison_has_everything_that_is_known(tmp_path) -> None:
    made = Course.at(tmp_path / "course")
    release(made, SOLUTIONS / "attention.md")
    files = [folder / "attention.ipynb" for folder in (made.release("attention"), made.source("attention"))]
    released, solved = (nbformat.read(file, as_version=4) for file in files)
    exercises = [checks.load(name) for name in checks.names("attention")]
    everything = dict(many(released, solved, exercises))
    sources = "".join(cell.source for text in everything.values() for cell in nbformat.reads(text, 4).cells)
    known = [answer for e in exercises for answer in (*e.mistakes, *e.variants)]
    assert [answer.name for answer in known if answer.source.strip() not in sources] == []
    assert len(everything) > 30 and len(dict(few(released, solved, exercises))) == 3
