from __future__ import annotations

import pytest
from classroom import NAMES, SOURCES

from autograder.course import SOLUTIONS, CourseError
from autograder.lint import lint
from autograder.release import sources

TEXT = (SOURCES / "attention.md").read_text()
CHECK = 'check("attention.softmax", softmax)'

HEADS = 'check("attention.split_heads", split_heads, merge_heads)'
DOCUMENTED = '    """Exponentials along `dim` that sum to one."""\n    ### BEGIN SOLUTION'
EMPTY_IF = "    if dim:\n        ### BEGIN SOLUTION\n        pass\n    if x:\n    ### BEGIN SOLUTION"

# what an author does: (this text, becomes this, a part of the sentence that must come)
TRAPS = {
    "a second line in a test cell": (CHECK, f"x = 1\n{CHECK}", "a test cell is one line such as"),
    "a check of something else": (CHECK, 'check("attention.softmax", other)', "no test cell has the line check"),
    "a missing exercise": (HEADS, CHECK, "attention.split_heads: no test cell"),
    "a test not locked": ("softmax-check\n  locked: true", "softmax-check\n  locked: false", "must be locked"),
    "a locked solution": ("softmax\n  locked: false", "softmax\n  locked: true", "must not be locked"),
    "other points": ("points: 5", "points: 6", "the cell has 6 points, the check gives 5"),
    "points in words": ("points: 5", "points: many", "the cell has many points"),
    "no points": ("  points: 5\n", "", "the cell has None points"),
    "an id twice": ("grade_id: split_heads\n", "grade_id: softmax\n", "used twice"),
    "an id with a blank": ("grade_id: imports", "grade_id: the imports", "grade_id must be a word"),
    "no id": ("  grade_id: imports\n", "", "grade_id must be a word"),
    "another id of a test": ("grade_id: softmax-check", "grade_id: test-1", "must be softmax-check"),
    "no solution region": ("    ### BEGIN SOLUTION\n    shifted", "    shifted", "in pairs"),
    "no mark scheme": ("=== BEGIN MARK SCHEME ===", "", "no mark scheme"),
    "an essay that is no solution": ('3, "solution": true', '3, "solution": false', "full marks unread"),
    "an essay for nothing": ('"points": 2', '"points": 0', "must be a number above 0"),
    "a tag": (
        "---\nnbgrader:\n  grade: true",
        "---\ntags: [skip-execution]\nnbgrader:\n  grade: true",
        "skip-execution",
    ),
    "an old schema": ("schema_version: 3", "schema_version: 2", "schema_version must be 3"),
    "metadata of one's own": ("grade_id: imports\n", "grade_id: imports\n  colour: red\n", "does not know colour"),
    "no effort": ("Difficulty 1 of 5, about 10 minutes.", "", "lacks its effort"),
    "two hints": ("Hint 3", "More", "2 hints, it needs 3"),
    "no import of check": ("from autograder.check import check", "", "no locked code cell has"),
    "an import less": ("from einops import rearrange\n", "", "the import cell lacks"),
    "a solution that is no Python": ("shifted = (x", "shifted = = (x", "it is not Python"),
    "a stub that is no Python": (DOCUMENTED, EMPTY_IF, "is not Python"),
    "one object of two": ("def merge_heads", "def join_heads", "does not define merge_heads"),
    "no solution cell": ("  solution: true", "  solution: false", "no solution cell with grade_id softmax"),
}


def lint_text(tmp_path, text: str) -> list[str]:
    path = tmp_path / "attention.md"
    path.write_text(text)
    return lint(path, names=NAMES)


def test_a_good_source_passes(tmp_path) -> None:
    assert lint_text(tmp_path, TEXT) == []


@pytest.mark.parametrize(("old", "new", "sentence"), TRAPS.values(), ids=TRAPS)
def test_a_trap_is_told(tmp_path, old: str, new: str, sentence: str) -> None:
    assert old in TEXT
    problems = lint_text(tmp_path, TEXT.replace(old, new))
    assert any(sentence in problem for problem in problems), problems


def test_exercises_in_another_order_are_told(tmp_path) -> None:
    path = tmp_path / "attention.md"
    path.write_text(TEXT)
    assert any("come in the order" in problem for problem in lint(path, names=NAMES[::-1]))


def test_an_unknown_assignment_is_a_sentence(tmp_path) -> None:
    path = tmp_path / "cooking.md"
    path.write_text(TEXT)
    with pytest.raises(CourseError, match="cooking"):
        lint(path)


@pytest.mark.parametrize("path", sources(SOLUTIONS), ids=lambda p: p.stem)
def test_the_course_s_own_sources_are_clean(path) -> None:
    assert lint(path) == []


def test_a_solution_that_loses_points_is_found_with_its_seeds(tmp_path) -> None:
    wrong = TEXT.replace("shifted / shifted.sum(dim, keepdim=True)", "shifted / shifted.sum(-1, keepdim=True)")
    assert wrong != TEXT
    (tmp_path / "attention.md").write_text(wrong)
    assert lint(tmp_path / "attention.md", names=NAMES) == [
        "attention.md: attention.softmax: the solution loses points always"
    ]


def test_luck_is_found_with_its_seeds(tmp_path) -> None:
    lucky = TEXT.replace(
        "shifted / shifted.sum(dim, keepdim=True)",
        "shifted / shifted.sum(dim if torch.rand(()) < 0.7 else 0, keepdim=True)",
    )
    assert lucky != TEXT
    (tmp_path / "attention.md").write_text(lucky)
    (sentence,) = lint(tmp_path / "attention.md", names=NAMES)
    assert "attention.softmax: the solution loses points" in sentence
