"""The notes for the instructor name what is worth a look, in honest notebooks nothing, and nothing makes them raise."""

from __future__ import annotations

import time

import jupytext
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_markdown_cell

from autograder import rooms
from autograder.course import SOLUTIONS
from autograder.grading.rebuild.flags import MOST, flags


def told(source: str, assignment: str = "attention", **nbgrader) -> list[str]:
    return flags([new_code_cell(source, metadata={"nbgrader": nbgrader} if nbgrader else {})], assignment)


@pytest.mark.parametrize("assignment", rooms.ASSIGNMENTS)
def test_the_model_solutions_raise_no_flag(assignment: str) -> None:
    assert flags(jupytext.read(SOLUTIONS / f"{assignment}.md").cells, assignment) == []


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("import course_lib.attention", "imports course_lib.attention, which holds finished answers"),
        ("import course_lib.attention as a", "imports course_lib.attention"),
        ("from course_lib import attention", "imports course_lib.attention"),
        ("def f():\n    from course_lib.attention import attend", "imports course_lib.attention"),
        ("from course_lib.vit.model import ViT", "imports course_lib.vit"),
        ("import importlib\nimportlib.import_module('course_lib.gpt')", "imports course_lib.gpt"),
        ("__import__('course_lib.attention')", "imports course_lib.attention"),
        ("from autograder import judge", "a part of the grader (autograder.judge)"),
        ("import autograder.checks.attention", "a part of the grader"),
        ("def check(*a): pass", "gives the name `check` to something else"),
        ("if True:\n    check = print", "gives the name `check`"),
        ("check: object = print", "gives the name `check`"),
        ("for check in [1]: pass", "gives the name `check`"),
        ("from math import sin as check", "gives the name `check`"),
        ("import autograder.check\nautograder.check.check = print", "gives the name `check`"),
        ("import ctypes", "reaches raw memory"),
        ("import subprocess as s", "starts processes"),
        ("import os\nos.fork()", "starts a process (os.fork)"),
        ("from os import fork", "starts a process (os.fork)"),
        ("import sys\nsys._getframe(1)", "frames of its callers (sys._getframe)"),
        ("import gc\nfor o in gc.get_objects(): pass", "all objects in memory"),
        ("import urllib.request", "urllib, which reaches the network"),
        ("!ls", "runs shell commands"),
        ("x = 1\n  !ls", "runs shell commands"),
        ("%pip install x", "runs shell commands"),
        ("%%bash\nls", "runs shell commands"),
        ("%%time\nimport ctypes", "reaches raw memory"),
        ("x = (5\n% 3)\nimport ctypes", "reaches raw memory"),
        ("%matplotlib inline\nimport ctypes", "reaches raw memory"),
    ],
)
def test_what_is_worth_a_look_is_told(source: str, part: str) -> None:
    found = told(source)
    assert len(found) == 1 and part in found[0] and found[0].startswith("cell 1 ")


@pytest.mark.parametrize(
    "source",
    [
        "from autograder.check import check",
        "import autograder.check",
        "from course_lib.tokens import patchify",  # a room before
        "from course_lib.data import text",
        "def f(check):\n    check = 1\n    return check",
        "x = 'import ctypes'",
        "y = 5 % 3\nx = a if not b else c\nz = x != y",
        "raise SyntaxError(",
        "%%html\n<b>import ctypes</b>",
        "help?",
        "",
    ],
)
def test_what_is_ordinary_is_not(source: str) -> None:
    assert told(source) == []


def test_the_import_that_an_exercise_names_is_allowed_there_only() -> None:
    source = "from course_lib.generation import next_token_probs"
    assert told(source, "gpt") == [] and told(source, "attention") != []


def test_locked_cells_and_text_are_passed_over_and_an_answer_is_called_by_its_name() -> None:
    assert told("import ctypes", grade_id="imports", locked=True) == []
    assert flags([new_markdown_cell("import ctypes")], "attention") == []
    assert told("import ctypes", grade_id="softmax", locked=False)[0].startswith("the cell 'softmax' imports")


def test_there_are_at_most_a_handful() -> None:
    found = flags([new_code_cell("import ctypes") for _ in range(50)], "attention")
    assert len(found) == MOST + 1 and found[-1] == f"and {50 - MOST} more like that"


@pytest.mark.parametrize(
    "source",
    [
        "1" + "+1" * 40_000, "-" * 90_000 + "1", "(" * 90_000, "a" + ".b" * 40_000, "f" + "()" * 40_000,
        "not " * 20_000 + "1", "lambda:" * 12_000 + "1", "elif 1: pass\n" * 6_000, "1" + "<1" * 40_000,
        "\0", "\ud800", "9" * 90_000, "@a\n" * 30_000 + "def f(): pass", "x = " + "[" * 150 + "]" * 150,
        "%" * 90_000, "%%time\n" * 9_000, "x" * 10_000_000,
    ],
)  # fmt: skip
def test_odd_sources_neither_raise_nor_take_long(source: str) -> None:
    began = time.process_time()
    told(source)
    assert time.process_time() - began < 3


def test_many_long_cells_together_are_bounded_too() -> None:
    began = time.process_time()
    flags([new_code_cell("1" + "<1" * 45_000) for _ in range(1000)], "attention")
    assert time.process_time() - began < 10


@given(st.text(max_size=200), st.sampled_from([*rooms.ASSIGNMENTS, "cooking"]))
def test_any_text_is_looked_at_without_raising(source: str, assignment: str) -> None:
    assert all(isinstance(sentence, str) for sentence in told(source, assignment))
