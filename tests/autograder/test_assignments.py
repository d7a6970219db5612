"""Every assignment through nbgrader's own commands: its solution gets full marks, its untouched notebook nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from autograder import checks
from autograder.course import SOLUTIONS, Course
from autograder.lint import lint
from autograder.release import release

NAMES = sorted(path.stem for path in SOLUTIONS.glob("*.md"))


def nbgrader(course: Course, *words: str) -> None:
    """Type an nbgrader command in the course folder."""
    path = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *words],
        cwd=course.root, env={**os.environ, "PATH": path}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module", params=NAMES)
def graded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Course]:
    """An assignment handed in twice, as its own solution and as it was handed out, and graded by nbgrader alone."""
    name, course = request.param, Course.at(tmp_path_factory.mktemp("course") / "course")
    release(course, SOLUTIONS / f"{name}.md")
    for student, folder in (("solution", course.source(name)), ("untouched", course.release(name))):
        target = course.submitted(student, name)
        target.mkdir(parents=True)
        shutil.copy(folder / f"{name}.ipynb", target)
    nbgrader(course, "autograde", name)
    return name, course


def scores(course: Course, name: str, student: str) -> dict[str, tuple[float | None, float]]:
    with course.gradebook() as gradebook:
        grades = gradebook.find_submission_notebook(name, name, student).grades
        return {grade.name: (grade.auto_score, grade.max_score) for grade in grades}


def test_there_is_an_exercise_for_each_check_and_the_reverse(graded) -> None:
    name, course = graded
    found = {key.removesuffix("-check") for key in scores(course, name, "solution") if key.endswith("-check")}
    assert {f"{name}.{exercise}" for exercise in found} == set(checks.names(name))
    assert lint(SOLUTIONS / f"{name}.md") == []


def test_the_solution_gets_full_marks_and_its_text_goes_to_a_person(graded) -> None:
    name, course = graded
    found = scores(course, name, "solution")
    assert {key: auto for key, (auto, _) in found.items() if key.endswith("-check")} == {
        key: most for key, (_, most) in found.items() if key.endswith("-check")
    }
    written = [auto for key, (auto, _) in found.items() if not key.endswith("-check")]
    assert written == [None]


def test_the_untouched_notebook_gets_nothing(graded) -> None:
    name, course = graded
    assert {auto for auto, _ in scores(course, name, "untouched").values()} == {0.0}


def test_statement_and_check_state_the_same_points(graded) -> None:
    name, course = graded
    stated = {key: most for key, (_, most) in scores(course, name, "solution").items() if key.endswith("-check")}
    assert stated == {f"{full.split('.')[1]}-check": checks.load(full).points for full in checks.names(name)}
    text = "\n".join(c.source for c in nbformat.read(course.release(name) / f"{name}.ipynb", as_version=4).cells)
    assert all(f"{most:g} points" in text for most in stated.values())
