"""No message, however it is made, does more to the judge than be refused; no reply earns what it did not compute."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from autograder import checks, judge, wire
from autograder.wire import DTYPES, MAGIC, Other, Ref
from fuzz import targets
from fuzz.mutations import damaged, plain, rearranged

many = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
EXERCISE = "attention.softmax"

sizes = st.integers(0, 4) | st.sampled_from([-1, 1 << 31, 1 << 62, 1 << 63, 1 << 64, 10**30, True, 2.0, "3"])
tensors = st.tuples(
    st.sampled_from([*DTYPES, "object", "complex32", "", 7]) | plain,
    st.lists(sizes, max_size=4) | st.lists(st.just(1), min_size=15, max_size=18) | plain,
    st.integers(0, 32) | sizes,
    st.just("cpu") | plain,
    st.booleans() | plain,
).map(lambda parts: {"t": list(parts)})
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | tensors
    | st.sampled_from(["1", "-5", "9" * 400, "9" * 401, "1_0", " 1", "\u0663", "0x1", ""]).map(lambda text: {"i": text})
    | st.sampled_from(["nan", "inf", "-inf", "1.0", "NaN", 1.0]).map(lambda text: {"f": text})
    | st.text(max_size=8).map(lambda text: {"b": text})
    | st.lists(st.text(max_size=4) | sizes, max_size=4).map(lambda parts: {"r": parts})
    | st.lists(st.text(max_size=4), max_size=3).map(lambda parts: {"o": parts})
)  # fmt: skip
nodes = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: {"l": items})
        | st.lists(inner, max_size=4).map(lambda items: {"u": items})
        | st.lists(st.lists(inner, max_size=3), max_size=4).map(lambda items: {"d": items})
        | st.dictionaries(st.sampled_from("lduifbrotz"), inner, max_size=2)
        | st.lists(inner, max_size=3)
    ),
    max_leaves=12,
)


def as_message(node: Any, buffers: bytes = b"") -> bytes:
    header = json.dumps(node).encode()
    return MAGIC + struct.pack("<I", len(header)) + header + buffers


shapes = st.lists(st.integers(0, 3), max_size=4) | st.sampled_from([[1] * 16, [0, 1 << 40], [1] * 20, []])


@st.composite
def real_tensors(draw: st.DrawFn) -> torch.Tensor:
    """Tensors of every dtype and shape, with values that are not finite too."""
    shape, name = draw(shapes), draw(st.sampled_from(sorted(DTYPES)))
    count = math.prod(shape)
    numbers = st.floats(allow_nan=True, allow_infinity=True, width=16)
    data = torch.tensor(draw(st.lists(numbers, min_size=count, max_size=count)), dtype=torch.float64)
    whole = not DTYPES[name].is_floating_point and not DTYPES[name].is_complex
    made = (data.nan_to_num(0, 1, -1) if whole else data).to(DTYPES[name]).reshape(shape)
    return made.requires_grad_(draw(st.booleans()) and not whole)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.binary(max_size=6)
    | st.sampled_from([10**399, -(10**390), 1 << 1024, 1 << 5000, -0.0, "x" * 5000, "\ud800"]) | real_tensors()
    | st.builds(Ref, st.text(max_size=4), st.tuples(st.integers(-9, 9) | st.text(max_size=3)))
    | st.builds(Other, st.text(max_size=5), st.text(max_size=5)),
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=4) | st.integers() | st.tuples(st.integers()), inner, max_size=4)
    ),
    max_leaves=10,
)  # fmt: skip
sent = values.map(wire.encode)


@many
@given(st.binary(max_size=300))
def test_noise(data: bytes) -> None:
    targets.message(data)
    targets.message(MAGIC + data)
    targets.message(MAGIC + struct.pack("<I", len(data)) + data)


@many
@given(nodes, st.binary(max_size=64))
def test_headers_of_every_form(node: Any, buffers: bytes) -> None:
    targets.message(as_message(node, buffers))


@many
@given(damaged(sent))
def test_damaged_messages(data: bytes) -> None:
    targets.message(data)


@many
@given(values)
def test_every_value_that_can_be_sent_arrives(value: Any) -> None:
    targets.message(wire.encode(value))


@pytest.mark.parametrize(
    "literal", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", str(1 << 53), "9" * 4000, "9" * 5000]
)
def test_numbers_that_are_not_sent_like_this(literal: str) -> None:
    header = f'{{"l":[{literal}]}}'.encode()
    with pytest.raises(wire.WireError):
        wire.decode(MAGIC + struct.pack("<I", len(header)) + header)


def bomb(text: bytes) -> bytes:
    return MAGIC + struct.pack("<I", len(text)) + text


TENSOR = b'{"t":["uint8",[1000000],0,"cpu",false]},'
BOMBS = {
    "lists": bomb(b'{"l":[' + b'{"l":[]},' * 400_000 + b"1]}"),
    "lists below the limit": bomb(b'{"l":[' + b'{"l":[]},' * 99_000 + b"1]}"),
    "brackets": bomb(b"[" * 4_000_000),
    "untagged": bomb(b"[" + b"[]," * 66_000 + b"1]"),
    "objects": bomb(b'{"l":[' + b'{"x":1},' * 190_000 + b"1]}"),
    "numbers": bomb(b'{"l":[' + b"0.1," * 1_000_000 + b"1]}"),
    "strings": bomb(b'{"l":[' + b'"ab",' * 800_000 + b"1]}"),
    "one string": bomb(b'"' + b"x" * 4_000_000 + b'"'),
    "keys": bomb(b"{" + b",".join(b'"%d":1' % index for index in range(300_000)) + b"}"),
    "one number": bomb(b"9" * 4_000_000),
    "overlapping tensors": bomb(b'{"l":[' + TENSOR * 60_000 + b"1]}") + b"\0" * 1_000_000,
    "empty tensors": bomb(b'{"l":[' + b'{"t":["uint8",[0],0,"cpu",false]},' * 66_000 + b"1]}"),
    "a huge shape": bomb(b'{"t":["uint8",[' + b"1," * 100_000 + b'1],0,"cpu",false]}'),
    "keys of one hash": bomb(
        b'{"d":[' + b",".join(b'[{"i":"%d"},1]' % (index * ((1 << 61) - 1)) for index in range(1, 60_000)) + b"]}"
    ),
    "base64": bomb(b'{"b":"' + b"A" * 4_000_000 + b'"}'),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_cost_little_time_and_memory(name: str) -> None:
    assert len(BOMBS[name]) < 8_000_000
    with targets.bounded(20):
        most = targets.peak(lambda: targets.decoded(BOMBS[name]))
    assert most < 8 * len(BOMBS[name]) + 80_000_000


@pytest.mark.parametrize(
    "node", [[{"t": ["uint8", [4], 0, "cpu", False]}] * 2, [{"t": ["uint8", [4], 4, "cpu", False]}]]
)
def test_tensors_that_share_or_skip_bytes_are_refused(node: list) -> None:
    with pytest.raises(wire.WireError, match="do not begin where"):
        wire.decode(as_message({"l": node}, b"\0" * 8))


def test_bytes_left_over_are_refused() -> None:
    with pytest.raises(wire.WireError, match="left over"):
        wire.decode(wire.encode([torch.ones(2)]) + b"\0")


def test_any_byte_but_zero_of_a_truth_value_is_true_and_counts_once() -> None:
    value = wire.decode(as_message({"t": ["bool", [4], 0, "cpu", False]}, b"\0\1\2\xff"))
    assert value.tolist() == [False, True, True, True] and value.sum() == 3
    assert value.view(torch.uint8).tolist() == [0, 1, 1, 1]


def test_decoding_a_large_tensor_takes_little_more_than_its_size() -> None:
    message = wire.encode(torch.zeros(20_000_000, dtype=torch.uint8))
    assert targets.peak(lambda: wire.decode(message)) < 1.2 * len(message)


@many
@given(values | nodes.map(lambda node: targets.decoded(as_message(node, b"\1" * 64))[1]), values, st.booleans())
@example(None, "x" * 6_000, False)
def test_comparing_any_two_values(got: Any, want: Any, strict: bool) -> None:
    targets.comparison(got, want, strict)
    targets.comparison(got, got, strict)


@many
@given(real_tensors(), real_tensors(), st.booleans())
def test_comparing_any_two_tensors(got: torch.Tensor, want: torch.Tensor, strict: bool) -> None:
    targets.comparison(got, want, strict)
    targets.comparison(got, want.detach().reshape(-1)[:1].reshape([]) if want.numel() else want, strict)


@pytest.fixture(scope="module")
def honest() -> list[Any]:
    """The replies of a right answer, as values."""
    exercise = checks.load(EXERCISE)
    objects = (lambda x, dim: torch.softmax(x, dim),)
    return [wire.decode(judge.answer(request, objects)) for request in judge.requests(exercise, "0")]


def test_honest_replies_earn_all_points(honest: list[Any]) -> None:
    verdict = targets.replies(EXERCISE, list(map(wire.encode, honest)), honest=True)
    assert verdict.points == verdict.max_points > 0


@many
@given(st.lists(st.binary(max_size=40) | sent, max_size=8))
def test_replies_of_any_kind(messages: list[bytes]) -> None:
    targets.replies(EXERCISE, messages)


errors = st.none() | plain | st.fixed_dictionaries(
    {"step": st.integers(-2, 9) | plain, "kind": st.sampled_from(["exception", "unmet", "timeout", "unwritten", "x"])},
    optional={"type": st.text(max_size=5) | plain, "message": st.text(max_size=9), "line": st.text(max_size=5)},
)  # fmt: skip


@many
@given(st.data())
def test_replies_of_nearly_the_right_form(honest: list[Any], data: st.DataObject) -> None:
    made = []
    for reply in honest:
        names = data.draw(st.lists(st.sampled_from([*reply["values"], "v0", "student"]), unique=True))
        wrong = {name: data.draw(values) for name in names}
        fake = {"values": wrong, "error": data.draw(errors), "printed": data.draw(st.text(max_size=9) | plain)}
        for key in data.draw(st.lists(st.sampled_from(list(fake)), max_size=1)):
            del fake[key]
        made.append(encoded(fake))
    targets.replies(EXERCISE, made)


def encoded(value: Any) -> bytes:
    try:
        return wire.encode(value)
    except wire.WireError:
        return b"it cannot be sent"


FORGERIES = {
    "nothing read and nothing wrong": lambda reply: reply | {"values": {}},
    "one value left out": lambda reply: reply | {"values": dict(list(reply["values"].items())[:-1])},
    "one value more": lambda reply: reply | {"values": reply["values"] | {"v0": 1}},
    "no values": lambda reply: {key: reply[key] for key in ("error", "printed")},
    "values in a list": lambda reply: reply | {"values": list(reply["values"].values())},
    "an error of no form": lambda reply: reply | {"error": "none"},
    "an error at no step": lambda reply: reply | {"error": error(step=99)},
    "an error at a step before the first": lambda reply: reply | {"error": error(step=-1)},
    "an error at a step that is a truth value": lambda reply: reply | {"error": error(step=True)},
    "an error of no kind": lambda reply: reply | {"error": error(kind="passed")},
    "more keys": lambda reply: reply | {"points": 5.0},
    "printed numbers": lambda reply: reply | {"printed": 5},
    "no reply": lambda reply: None,
}


def error(**changes: Any) -> dict[str, Any]:
    return {"step": 1, "kind": "exception", "type": "E", "message": "m", "line": ""} | changes


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_reply_costs_its_case_and_no_other(honest: list[Any], name: str) -> None:
    made = [wire.encode(FORGERIES[name](honest[0])), *map(wire.encode, honest[1:])]
    verdict = targets.replies(EXERCISE, made, honest=True)
    assert [case.status for case in verdict.cases] == ["forged", *["pass"] * (len(honest) - 1)]
    assert verdict.cases[0].message == "the reply of this case was not of the form that a check sends back"
    assert verdict.points == verdict.max_points - verdict.cases[0].max_points and verdict.mistake is None


def test_missing_and_surplus_replies(honest: list[Any]) -> None:
    whole = list(map(wire.encode, honest))
    assert [c.status for c in targets.replies(EXERCISE, whole[:1], honest=True).cases][1:] == ["forged"] * (
        len(whole) - 1
    )
    assert targets.replies(EXERCISE, [*whole, b"more"], honest=True).points == 5
    assert {c.status for c in targets.replies(EXERCISE, []).cases} == {"forged"}


def test_the_memory_that_all_replies_may_take_is_bounded(honest: list[Any], monkeypatch) -> None:
    whole = list(map(wire.encode, honest))
    monkeypatch.setattr(judge, "MAX_REPLIES", len(whole[0]) + len(whole[1]))
    statuses = [case.status for case in targets.replies(EXERCISE, whole, honest=True).cases]
    assert statuses[:2] == ["pass", "pass"] and set(statuses[2:]) == {"forged"}


def test_texts_of_a_reply_can_be_shown_and_stored(honest: list[Any]) -> None:
    bad = "a\ud800\0\x1b[31m\u202eb\nc"
    made = [wire.encode({"values": {}, "error": error(message=bad, type=bad, line=bad), "printed": bad * 1000})]
    case = targets.replies(EXERCISE, [*made, *map(wire.encode, honest[1:])], honest=True).cases[0]
    assert case.status == "exception" and all(c.isprintable() or c == "\n" for c in case.message)


@many
@given(st.data())
def test_requests_rearranged_are_no_replies(data: st.DataObject) -> None:
    tree = {"values": {"v1": [1.5, "x"]}, "error": None, "printed": ""}
    targets.replies(EXERCISE, [encoded(data.draw(rearranged(tree)))] * 5)
