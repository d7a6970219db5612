"""The checks of all assignments: what they must let through, what they must find, and whom they tell why."""

import dataclasses
import importlib
import math
import re

import numpy
import pytest
import torch
from torch import Tensor, nn

from autograder import checks, gate, judge
from autograder.check import check
from autograder.exercise import Exercise
from autograder.result import Result, as_html, as_text
from autograder.verdict import Verdict
from course_lib import gpt

NAMES = [name for assignment in checks.assignments() for name in checks.names(assignment)]
SEEDS = ["0", "1", "a"]
POINTS = {
    "softmax": 5, "attention_weights": 6, "attend": 6, "gram_attention": 5, "split_heads": 5,
    "MultiHeadAttention": 8, "LayerNorm": 5, "TransformerBlock": 6, "is_permutation_equivariant": 6,
}  # fmt: skip
each_exercise = pytest.mark.parametrize("name", NAMES)
each_of_attention = pytest.mark.parametrize("name", checks.names("attention"))


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Tensors of a few hundred numbers gain nothing from threads, and lose much where these have to wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def reference(exercise: Exercise) -> tuple:
    """The course's own objects."""
    room = importlib.import_module(f"course_lib.{exercise.name.split('.')[0]}")
    objects = {name: getattr(room, name) for name in exercise.objects}
    if exercise.name == "gpt.KVCache":
        objects["decode_step"] = step_of_the_course
    return tuple(objects.values())


def step_of_the_course(model: nn.Module, ids: Tensor, cache: gpt.KVCache) -> Tensor:
    """The course's own `decode_step`, which asks its own GPT: here one with the weights of the handed-over model."""
    vocab, dim = model.tokens.weight.shape
    with torch.device("meta"):  # nothing is drawn: dtype and values are those of the weights that are assigned
        own = gpt.GPT(vocab, model.block, dim, len(model.blocks), model.blocks[0].attn.heads)
    own.load_state_dict(model.state_dict(), assign=True)
    return gpt.decode_step(own, ids, cache)


def verdict(exercise: Exercise, *objects: object, seed: str = "0", seconds: float | None = None) -> Verdict:
    """The verdict on ``objects``, with a time limit of ``seconds`` where one is given."""
    if seconds is not None:
        exercise = dataclasses.replace(exercise, seconds=seconds)
    replies = [judge.answer(request, objects) for request in judge.requests(exercise, seed)]
    return judge.judge(exercise, seed, replies)


def assert_told_why(verdict: Verdict) -> None:
    """Some points are lost, every lost case says why, and all forms of the result can be shown."""
    assert 0 <= verdict.points < verdict.max_points
    for case in verdict.cases:
        assert case.status in ("pass", "wrong", "unmet", "exception", "timeout", "unwritten")
        assert (case.points == case.max_points) == (case.status == "pass")
        assert bool(case.message) == (case.status != "pass")
        assert len(case.message) < 5_000
    result = Result(verdict)
    assert float(repr(result)) == verdict.points
    assert len(as_text(verdict)) < 50_000 and len(as_html(verdict)) < 50_000


@each_exercise
def test_mistakes_are_found_and_named_and_right_answers_pass(name):
    rows = gate.rows([name], SEEDS)
    assert [f"{row.answer}: {row.problem}" for row in rows if row.problem] == []
    assert len({row.answer for row in rows}) == len(rows)


@each_exercise
def test_there_are_enough_mistakes_and_variants(name):
    assert gate.shortages([name], mistakes=4, variants=2) == []


@each_exercise
@pytest.mark.parametrize("seed", [*SEEDS, *map(str, range(2, 12))])
def test_the_reference_gets_full_marks(name, seed):
    exercise = checks.load(name)
    result = check(name, *reference(exercise), seed=seed)
    assert result.passed, str(result)
    assert result.points == result.max_points == exercise.points


@each_of_attention
def test_the_points_are_those_that_the_assignment_states(name):
    assert checks.load(name).points == POINTS[name.split(".")[1]]


@each_exercise
def test_the_same_seed_asks_the_same_and_another_seed_asks_anew(name):
    exercise = checks.load(name)
    # a copy has its own place in the cache, so its inputs are really drawn again
    again = judge.requests(dataclasses.replace(exercise), "0")
    assert judge.requests(exercise, "0") == again
    other = judge.requests(exercise, "1")
    assert all(mine != theirs for mine, theirs in zip(again, other, strict=True))


@each_of_attention
@pytest.mark.parametrize("seed", [str(seed) for seed in range(8)])
def test_no_axis_can_be_taken_for_another(name, seed):
    for case in checks.load(name).cases:
        plan = case.plan(name, seed)
        tensors = [step["value"] for step in plan.steps if step["do"] == "put"]
        tensors += [argument for step in plan.steps if step["do"] == "call" for argument in step["args"]]
        for tensor in tensors:
            if isinstance(tensor, Tensor) and tensor.is_floating_point():
                sizes = [size for size in tensor.shape if size > 1]
                assert len(set(sizes)) == len(sizes), f"{case.name} hands over {list(tensor.shape)}"


@each_exercise
def test_titles_and_causes_are_each_their_own(name):
    cases = checks.load(name).cases
    assert 4 <= len(cases)
    for texts in ([case.title for case in cases], [case.cause for case in cases]):
        assert all(texts) and len(set(texts)) == len(texts)


class Unprintable:
    """Its repr raises."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


class UnprintableError(Exception):
    """Its message raises."""

    def __str__(self) -> str:
        raise RuntimeError("no")


class NoForward(nn.Module):
    """A module with nothing in it."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__()


def fail(error: BaseException):
    """A function that raises ``error`` whatever it is given."""

    def function(*args, **kwargs):
        raise error

    return function


def recurse(*args, **kwargs):
    return recurse(*args, **kwargs)


def itself() -> list:
    """A list that holds itself."""
    found: list = []
    found.append(found)
    return found


def deep() -> list:
    """Lists in lists, deeper than any message may be."""
    found: list = []
    for _ in range(500):
        found = [found]
    return found


def yields(*args, **kwargs):
    yield torch.zeros(2)


HANDED_IN = {
    "none": None,
    "text": "attend",
    "number": 3,
    "list": [1, 2],
    "array": numpy.zeros(3),
    "tensor": torch.zeros(2, 3),
    "unprintable": Unprintable(),
    "module_object": nn.Linear(3, 3),
    "class": object,
    "module_without_forward": NoForward,
    "generator_function": yields,
    "generator": yields(),
    "no_arguments": lambda: None,
    "too_many_arguments": lambda a, b, c, d, e, f, g: a,
    "recursion": recurse,
    "exits": fail(SystemExit(0)),
    "error": fail(ValueError("the sizes do not fit")),
    "error_without_text": fail(KeyError()),
    "error_that_cannot_be_shown": fail(UnprintableError()),
    "unwritten": fail(NotImplementedError()),
}
RETURNED = {
    "nothing": lambda: None,
    "text": lambda: "0.5",
    "markup": lambda: "<script>alert(1)</script>",
    "number": lambda: 1,
    "infinite": lambda: math.inf,
    "array": lambda: numpy.ones((2, 3)),
    "tuple": lambda: (),
    "set": lambda: {1, 2},
    "own_list": itself,
    "deep_list": deep,
    "long_list": lambda: list(range(100_000)),
    "dictionary": lambda: {Unprintable(): 1},
    "unprintable": Unprintable,
    "nan": lambda: torch.full((2, 3), math.nan),
    "complex": lambda: torch.ones(2, 3, dtype=torch.complex64),
    "whole": lambda: torch.ones(2, 3, dtype=torch.int64),
    "half": lambda: torch.ones(2, 3, dtype=torch.bfloat16),
    "sparse": lambda: torch.ones(2, 3).to_sparse(),
    "meta": lambda: torch.ones(2, 3, device="meta"),
    "empty": lambda: torch.ones(0),
    "scalar": lambda: torch.tensor(1.0),
    "pair_of_texts": lambda: ("out", "weights"),
    "function": lambda: fail(ValueError("called")),
}


@each_exercise
@pytest.mark.parametrize("kind", HANDED_IN)
def test_whatever_is_handed_in_gets_a_reason(name, kind):
    exercise = checks.load(name)
    result = check(name, *[HANDED_IN[kind]] * len(exercise.objects))
    assert isinstance(result, Result)
    assert_told_why(result.verdict)
    if kind == "unwritten":
        assert result.points == 0 and {case.status for case in result.verdict.cases} == {"unwritten"}


@each_exercise
@pytest.mark.parametrize("kind", RETURNED)
def test_whatever_is_returned_gets_a_reason(name, kind):
    exercise = checks.load(name)
    make = RETURNED[kind]
    result = check(name, *[lambda *args, **kwargs: make()] * len(exercise.objects))
    assert_told_why(result.verdict)
    assert "<script>" not in as_html(result.verdict)


@each_exercise
def test_a_loop_that_never_ends_is_a_timeout(name):
    exercise = checks.load(name)

    def loop(*args, **kwargs):
        while True:
            try:
                sum(range(1000))
            except Exception:  # student code that swallows every error must not swallow the end of its time
                continue

    told = verdict(exercise, *[loop] * len(exercise.objects), seconds=0.05)
    assert_told_why(told)
    assert {case.status for case in told.cases} == {"timeout"}
    assert all("0.05 seconds" in case.message for case in told.cases)


@each_exercise
def test_what_student_code_prints_is_kept_short_and_out_of_the_way(name, capsys):
    exercise = checks.load(name)

    def chatter(function):
        def wrapped(*args, **kwargs):
            for _ in range(2_000):
                print("<b>here</b>" * 10)
            return function(*args, **kwargs)

        return wrapped

    result = check(name, *map(chatter, reference(exercise)))
    assert result.passed, "printing costs no points"
    assert "here" in result.verdict.printed and len(result.verdict.printed) <= 2_000
    assert "<b>here" not in as_html(result.verdict)
    assert capsys.readouterr() == ("", ""), "anything on stderr would cost points under plain nbgrader"


def spoils_its_inputs(thing):
    """``thing``, but each call sets the tensors that it was given to zero afterwards."""
    if isinstance(thing, type):

        class Spoiling(thing):
            def forward(self, x, *args, **kwargs):
                out = super().forward(x, *args, **kwargs)
                x.detach().zero_()
                return out

        return Spoiling

    def spoiling(*args, **kwargs):
        out = thing(*args, **kwargs)
        for value in (*args, *kwargs.values()):
            if isinstance(value, Tensor):
                value.detach().zero_()
        return out

    return spoiling


@each_of_attention
def test_changing_the_inputs_costs_points(name):
    exercise = checks.load(name)
    told = verdict(exercise, *map(spoils_its_inputs, reference(exercise)))
    assert_told_why(told)
    # wherever else it shows, the case on side effects finds it
    (side_effects,) = [case for case in told.cases if re.search(r"as (they|it) w(as|ere)", case.title)]
    assert side_effects.status != "pass"


@each_exercise
def test_the_state_of_the_notebook_neither_helps_nor_hurts(name):
    exercise = checks.load(name)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    try:
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        with torch.no_grad():
            # a seed of its own: inputs and answers are computed now, and not remembered from another test
            result = check(name, *reference(exercise), seed="the state of the notebook")
            assert not torch.is_grad_enabled()
        assert torch.get_default_dtype() == torch.float64 and torch.get_default_device().type == "meta"
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    assert result.passed, str(result)
    assert torch.equal(torch.get_rng_state(), before)


@each_exercise
def test_reasons_are_the_students_own(name):
    """An error names what was called and says what Python said."""
    exercise = checks.load(name)
    told = verdict(exercise, *[fail(ZeroDivisionError("by nought"))] * len(exercise.objects))
    assert {case.status for case in told.cases} == {"exception"}
    for case in told.cases:
        assert "ZeroDivisionError: by nought" in case.message
        assert any(case.message.startswith(f"{part}(") for part in exercise.objects)
