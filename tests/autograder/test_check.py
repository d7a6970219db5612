"""What students and nbgrader see of a check: points, table, record."""

import subprocess
import sys

import pytest
import torch
from nbformat.v4 import new_code_cell, new_output
from nbgrader.utils import determine_grade

from autograder import checks, judge
from autograder.check import check
from autograder.result import MIME


def unstable(x, dim):
    print("<b>trying</b>")
    return x.exp() / x.exp().sum(dim, keepdim=True)


def test_a_right_answer_gets_full_marks():
    result = check("attention.softmax", torch.softmax)
    assert result.passed and result.points == result.max_points == 5.0 and result.mistake is None


def test_a_known_mistake_is_named_with_advice_and_partial_points():
    result = check("attention.softmax", unstable)
    assert 0 < result.points < result.max_points and result.mistake == "no_maximum_subtracted"
    assert "Subtract the row's largest score" in str(result)


def test_the_repr_is_the_plain_float_that_nbgrader_takes_for_the_grade():
    result = check("attention.softmax", unstable)
    data = result._repr_mimebundle_()
    assert repr(result) == data["text/plain"] == "3.0"
    cell = new_code_cell(outputs=[new_output("execute_result", data)], metadata={"nbgrader": META})
    assert determine_grade(cell) == (3.0, 5.0)
    nothing = check("attention.softmax", None)
    cell.outputs = [new_output("execute_result", nothing._repr_mimebundle_())]
    assert determine_grade(cell) == (0.0, 5.0)


META = {"grade": True, "solution": False, "task": False, "points": 5, "grade_id": "softmax-check", "schema_version": 3}


def test_what_students_print_cannot_become_part_of_the_page():
    html = check("attention.softmax", unstable)._repr_mimebundle_()["text/html"]
    assert "<b>trying" not in html and "&lt;b&gt;trying" in html


def test_the_record_holds_every_case():
    record = check("attention.softmax", unstable)._repr_mimebundle_()[MIME]
    assert [case["status"] for case in record["cases"]] == ["pass", "pass", "wrong", "wrong", "pass"]
    assert record["mistake"] == "no_maximum_subtracted" and record["points"] == 3.0


def test_an_unwritten_exercise_scores_nothing_and_says_so():
    def softmax(x, dim):
        raise NotImplementedError

    result = check("attention.softmax", softmax)
    assert result.points == 0 and "not written yet" in str(result) and result.mistake is None


def test_the_same_code_gets_the_same_table_and_another_seed_other_inputs(monkeypatch):
    seen = []

    def spy(x, dim):
        seen.append(x.flatten()[0].item())
        return torch.softmax(x, dim)

    check("attention.softmax", spy)
    check("attention.softmax", spy)
    half = len(seen) // 2
    assert seen[:half] == seen[half:]
    monkeypatch.setenv("AUTOGRADER_SEED", "another")
    check("attention.softmax", spy)
    assert seen[:half] != seen[2 * half :]


@pytest.mark.parametrize("name", ["attention.nothing", "nothing", "attention."])
def test_an_unknown_exercise_gets_a_sentence(name):
    with pytest.raises(ValueError, match="no exercise is called .*attention.softmax"):
        check(name, torch.softmax)


def test_the_wrong_number_of_objects_gets_the_line_to_type():
    with pytest.raises(ValueError, match=r'check\("attention.softmax", softmax\)'):
        check("attention.softmax")


def test_probe_and_verdict_need_only_bytes_of_each_other():
    exercise = checks.load("attention.softmax")
    requests = judge.requests(exercise, "seed")
    assert all(isinstance(request, bytes) for request in requests)
    replies = [judge.answer(request, (torch.softmax,)) for request in requests]
    assert judge.judge(exercise, "seed", replies).points == 5
    assert judge.judge(exercise, "other seed", replies).points < 5


def test_requests_hold_no_expected_value():
    """What crosses to the student's side is inputs and steps only."""
    from autograder.wire import decode

    exercise = checks.load("attention.softmax")
    for request in judge.requests(exercise, "seed"):
        asked = decode(request)
        assert set(asked) == {"steps", "seed", "seconds"}
        assert {key for step in asked["steps"] for key in step} <= {
            "as", "do", "on", "of", "how", "method", "args", "kwargs", "value", "grad", "cotangent", "weights",
            "optional", "ignore", "ops", "name", "choices", "values", "seed",
        }  # fmt: skip


def test_the_probe_imports_no_reference_and_no_judge():
    code = (
        "import sys, autograder.probe;"
        "bad = [m for m in sys.modules if m.startswith(('course_lib', 'autograder.judge', 'autograder.checks',"
        " 'autograder.compare', 'autograder.exercise', 'nbgrader'))];"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
