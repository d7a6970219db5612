"""The large run in small: the same command, with thirty students and three kills."""

from pathlib import Path

import pytest

from tests.benchmarks import big_run

SOURCE = Path(__file__).parents[1] / "autograder" / "sources" / "attention.md"


@pytest.fixture(scope="module")
def figures(tmp_path_factory) -> big_run.Figures:
    return big_run.measure(tmp_path_factory.mktemp("big"), SOURCE, students=30, kills=3, workers=2)


def test_a_class_that_is_graded_among_kills_gets_what_it_would_have_got(figures) -> None:
    assert figures.problems() == []
    assert figures.killed >= 2 and figures.kinds > 5


def test_the_coordinator_does_not_grow_with_the_class(figures) -> None:
    assert max(figures.memory) - figures.memory[0] < 30 * big_run.MEGABYTE


def test_the_record_says_what_was_measured(figures) -> None:
    text = big_run.as_text(figures, SOURCE, 2)
    assert "| submissions, no two alike | 30 |" in text and "| lost | 0 |" in text


def test_what_must_not_be_is_found() -> None:
    figures = big_run.Figures(3, lost=["ada"], doubled=["bela", "chidi"])
    assert figures.problems() == ["1 are lost: ada", "2 were graded twice: bela, chidi"]
