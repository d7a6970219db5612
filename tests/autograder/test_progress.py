from __future__ import annotations

import io

import pytest

from autograder import progress
from autograder.progress import Progress, clock


@pytest.fixture
def time(monkeypatch) -> list[float]:
    """A clock that shows the last number of the list."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[-1])
    return now


def test_a_log_gets_a_line_a_step_with_rate_and_rest(time) -> None:
    out = io.StringIO()
    bar = Progress(4, "things", stream=out)
    time.append(30.0)
    bar.step("one")
    time.append(60.0)
    bar.step("two")
    assert out.getvalue() == (
        "1/4 things  2 a minute  1 min 30 s left  one\n2/4 things  2 a minute  1 min 00 s left  two\n"
    )


def test_a_long_log_is_thinned_but_ends_with_the_last(time) -> None:
    out = io.StringIO()
    bar = Progress(25, "pages", every=10, stream=out)
    time.append(5.0)
    for number in range(25):
        bar.step(str(number))
    assert [line.split("/")[0] for line in out.getvalue().splitlines()] == ["10", "20", "25"]


def test_a_terminal_gets_one_live_line_within_its_width(time, monkeypatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "60")
    out = Terminal()
    bar = Progress(2, "things", stream=out)
    time.append(1.0)
    bar.step("x" * 200)
    bar.close()
    *drawn, end = out.getvalue().split("\r\033[K")[1:]
    assert len(drawn) == 1 and end.endswith("\n") and len(end) <= 60 and end.startswith("[##########          ] 1/2")


@pytest.mark.parametrize(("seconds", "text"), [(8.4, "8 s"), (125, "2 min 05 s"), (4205, "1 h 10 min")])
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert clock(seconds) == text
