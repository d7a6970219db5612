"""A whole notebook checked from the command line: the same tables, a sum, and a status for scripts."""

from __future__ import annotations

import hashlib

import nbformat
import pytest
from classroom import RIGHT, SOURCES, drop, notebook, rewrite

from autograder import notebook_check
from autograder.cli import main
from autograder.course import CourseError
from autograder.notebook_check import check_notebook

WRONG = "def softmax(x, dim):\n    return torch.softmax(x, -1)"
SLOW = "while True:\n    pass"


def written(released, folder, answers, edit=None):
    path = folder / "attention.ipynb"
    nbformat.write(notebook(released.release("attention"), answers, edit), path)
    return path


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    status = main(["check", *arguments])
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return status, out, err


def test_right_answers_in_a_file_that_stays_as_it_is(capsys, released, tmp_path) -> None:
    path = written(released, tmp_path, RIGHT)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    status, out, err = run(capsys, str(path))
    assert status == 0
    assert "attention.softmax: 5 of 5 points, all cases pass" in out and "✓" in out
    assert "10 of 10 points, 2 of 2 exercises complete." in out and "1 written answer is marked by a person." in out
    assert "cells" in err
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


def test_a_wrong_answer_an_error_and_a_missing_cell(capsys, released, tmp_path) -> None:
    path = written(released, tmp_path, {"softmax": WRONG, "split_heads": "1 / 0"})
    status, out, _ = run(capsys, str(path))
    assert status == 1
    assert "This is a known mistake:" in out and "✗" in out
    assert "attention.split_heads: no result, for `split_heads` is not defined" in out
    assert "0 of 2 exercises complete." in out
    status, brief, _ = run(capsys, "--brief", str(path))
    assert status == 1 and "✗" not in brief and "attention.softmax: " in brief


def test_one_verdict_for_each_exercise_the_last_one(released, tmp_path) -> None:
    again = 'check("attention.softmax", softmax)\ncheck("attention.softmax", softmax)'
    path = written(released, tmp_path, RIGHT, rewrite("softmax-check", again))
    found, _ = check_notebook(path)
    assert [outcome.exercise for outcome in found] == ["attention.softmax", "attention.split_heads"]
    assert all(outcome.passed for outcome in found)


def test_an_endless_cell_ends_alone(released, tmp_path) -> None:
    found, _ = check_notebook(written(released, tmp_path, RIGHT | {"softmax": SLOW}), seconds=5)
    assert [outcome.passed for outcome in found] == [False, True]
    assert "`softmax` is not defined" in found[0].problem


def test_a_source_of_the_course_is_a_notebook_too(capsys) -> None:
    status, out, _ = run(capsys, "--brief", str(SOURCES / "attention.md"))
    assert status == 0 and "2 of 2 exercises complete." in out


def test_a_dying_kernel_is_told(released, tmp_path) -> None:
    path = written(released, tmp_path, RIGHT | {"softmax": "import os\nos._exit(3)"})
    with pytest.raises(CourseError, match="Python process ended soon after the cell"):
        check_notebook(path)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("absent.ipynb", None, "There is no file"),
        ("broken.ipynb", "{", "cannot be read as a notebook"),
        ("essay.md", "# An essay\n", "is not an assignment of this course"),
    ],
)
def test_what_is_no_assignment_is_refused(capsys, tmp_path, name, text, sentence) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    status, _, err = run(capsys, str(tmp_path / name))
    assert status == 2 and sentence in err


def test_a_check_that_shows_nothing_is_no_success(released, tmp_path) -> None:
    path = written(released, tmp_path, RIGHT, rewrite("softmax-check", 'check("attention.softmax", softmax);'))
    nothing, fine = check_notebook(path)[0]
    assert not nothing.passed and "its last line must be the check" in nothing.problem and fine.passed
    path = written(released, tmp_path, RIGHT, drop("softmax-check"))
    assert [outcome.exercise for outcome in notebook_check.check_notebook(path)[0]] == ["attention.split_heads"]
