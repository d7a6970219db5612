from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.course import CourseError
from autograder.grading.reports.export import as_csv, long, safe, wide, write_csv
from autograder.grading.reports.report import Mark, Row

MARKS = {
    "softmax": Mark(3.0, 5.0, mistake="no_maximum", reason='exp, then "nan"\nand more'),
    "explain": Mark(None, 2.0, manual=True),
}
ROWS = [
    Row("=cmd|' /C calc'!A0", "graded", MARKS, penalty=1.0),
    Row("ada", "for a person", problem="it is not a notebook"),
]


def parse(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


# NUL and lone surrogates cannot be in a text file at all.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.lists(st.lists(st.one_of(texts, st.floats(allow_nan=False)), min_size=1, max_size=6), min_size=1))
def test_every_cell_comes_back_and_no_text_starts_a_formula(lines) -> None:
    back = parse(as_csv(lines))
    assert back == [[str(safe(value)) for value in line] for line in lines]
    for line, parsed in zip(lines, back, strict=True):
        for value, cell in zip(line, parsed, strict=True):
            if isinstance(value, str):
                assert cell in (value, "'" + value)
                assert not cell.lstrip().startswith(("=", "+", "-", "@"))


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\N{NO-BREAK SPACE}=1", "＝1"])
def test_formulas_are_disarmed(text: str) -> None:
    assert safe(text) == "'" + text


def test_numbers_and_plain_text_are_left_alone() -> None:
    assert [safe(v) for v in (-1.5, 0, "ada", "a=b", "")] == [-1.5, 0, "ada", "a=b", ""]


def test_wide_has_a_line_a_student_and_no_zero_without_a_grade() -> None:
    head, first, second = parse(as_csv(wide(ROWS)))
    assert head == [
        "student", "status", "softmax", "explain", "late_penalty", "total", "max_total", "to_mark_by_hand", "problem",
    ]  # fmt: skip
    assert first == ["'=cmd|' /C calc'!A0", "graded", "3.0", "", "1.0", "2.0", "7.0", "explain", ""]
    assert second == ["ada", "for a person", "", "", "", "", "", "", "it is not a notebook"]


def test_long_has_a_line_a_question_with_its_reason() -> None:
    lines = parse(as_csv(long(ROWS)))
    assert lines[1][1:] == ["graded", "softmax", "3.0", "5.0", "no", "no_maximum", 'exp, then "nan"\nand more']
    assert lines[2][1:] == ["graded", "explain", "", "2.0", "yes", "", ""]
    assert lines[3] == ["ada", "for a person", "", "", "", "", "", "it is not a notebook"]


def test_spreadsheets_are_told_that_it_is_utf8(tmp_path) -> None:
    path = tmp_path / "new" / "grades.csv"
    write_csv([["Žofie"]], path)
    assert path.read_bytes() == b"\xef\xbb\xbf\xc5\xbdofie\r\n"


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CourseError, match="cannot be written"):
        write_csv([["x"]], tmp_path / "file" / "grades.csv")
