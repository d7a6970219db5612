"""The wire carries every value it names unchanged, and nothing else."""

import json
import math
import struct

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autograder.wire import DTYPES, MAGIC, Other, Ref, WireError, decode, encode

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=20)
values = st.recursive(
    scalars | st.builds(Ref, st.text(max_size=5), st.tuples(st.integers(0, 9))) | st.builds(Other, st.text(max_size=5)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=5) | st.tuples(st.integers(), st.integers()), inner, max_size=4)
    ),
    max_leaves=15,
)


def same(a, b):
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    if type(a) is not type(b):
        return False
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return a == b


@given(values)
def test_plain_values_come_back_as_they_were(value):
    assert same(decode(encode(value)), value)


@pytest.mark.parametrize("name", sorted(DTYPES))
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3, 4)])
def test_tensors_keep_dtype_shape_and_every_bit(name, shape):
    tensor = (10 * torch.randn(shape)).to(DTYPES[name])
    back = decode(encode([tensor, 1, tensor.mT if tensor.ndim > 1 else tensor]))
    assert back[0].dtype == tensor.dtype and torch.equal(back[0], tensor)
    assert torch.equal(back[2], tensor.mT if tensor.ndim > 1 else tensor)


def test_extreme_floats_survive():
    tensor = torch.tensor([math.inf, -math.inf, math.nan, 5e-324], dtype=torch.float64)
    assert torch.equal(decode(encode(tensor)).view(torch.int64), tensor.view(torch.int64))


def test_a_tensor_says_whether_it_required_gradients():
    assert decode(encode(torch.ones(2, requires_grad=True))).requires_grad
    assert not decode(encode(torch.ones(2))).requires_grad


@pytest.mark.parametrize("value", [object(), {1, 2}, torch.nn.Linear(1, 1), torch.eye(3).to_sparse(), lambda: 0])
def test_anything_else_is_refused(value):
    with pytest.raises(WireError):
        encode(value)


def test_deep_nesting_is_refused_on_both_sides():
    value, node = [], {"l": []}
    for _ in range(40):
        value, node = [value], {"l": [node]}
    with pytest.raises(WireError, match="deeper"):
        encode(value)
    with pytest.raises(WireError, match="deeper"):
        decode(message(node))


def message(node, buffers=b""):
    header = json.dumps(node).encode()
    return MAGIC + struct.pack("<I", len(header)) + header + buffers


@pytest.mark.parametrize(
    "node",
    [
        {"t": ["float32", [4], 0, "cpu", False]},  # no buffer behind it
        {"t": ["float32", [-1], 0, "cpu", False]},
        {"t": ["float32", [1 << 62, 1 << 62], 0, "cpu", False]},
        {"t": ["float32", [True], 0, "cpu", False]},
        {"t": ["object", [1], 0, "cpu", False]},
        {"t": ["float32", [1], -4, "cpu", False]},
        {"t": ["float32", "x", 0, "cpu", False]},
        {"i": "9" * 500},
        {"i": "one"},
        {"f": "1.0"},
        {"b": "%%%"},
        {"d": [[1, 2, 3]]},
        {"d": [[{"l": []}, 1]]},
        {"r": [{}]},
        {"o": [1, 2]},
        {"z": 1},
        {"l": [], "u": []},
        [1, 2],
    ],
)
def test_headers_out_of_form_are_refused(node):
    with pytest.raises(WireError):
        decode(message(node, b"\0" * 8))


@given(st.binary(max_size=200))
def test_garbage_is_refused(data):
    with pytest.raises(WireError):
        decode(b"XXXX" + data)


@given(st.binary(max_size=80), st.integers(0, 200))
def test_a_damaged_message_is_refused_or_decoded_but_never_crashes(noise, at):
    whole = bytearray(encode({"values": {"v1": torch.arange(6.0).reshape(2, 3)}, "error": None, "n": [1, 2.5, "x"]}))
    whole[at : at + len(noise)] = noise
    try:
        decode(bytes(whole))
    except WireError:
        return
