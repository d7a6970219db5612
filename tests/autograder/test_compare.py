"""A difference is found, and told, for every way in which a value can be wrong; rounding is no difference."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autograder.compare import difference
from autograder.wire import Other, Ref

T = torch.tensor


def diff(got, want, **options):
    return difference(got, want, **{"rtol": 1e-4, "atol": 1e-5, **options})


@pytest.mark.parametrize(
    ("got", "want", "message"),
    [
        (T([1.0, 2.0]), T([1.0, 3.0]), "expected 3 at [1], got 2 (1 of 2 entries differ)"),
        (T([1.0, math.nan]), T([1.0, 3.0]), "expected 3 at [1], got NaN (1 of 2 entries differ)"),
        (T([math.inf]), T([3.0]), "expected 3 at [0], got inf (1 of 1 entries differ)"),
        (T([1.0]), T([1.0, 1.0]), "expected shape [2], got [1]"),
        (T([1.0]).double(), T([1.0]), "expected dtype torch.float32, got torch.float64"),
        (Other("numpy.ndarray", "array"), T([1.0]), "got an object of type numpy.ndarray"),
        (None, T([1.0]), "expected a tensor [1] of float32, got None"),
        (1.0, True, "expected True, got 1.0"),
        (T(True), True, "expected True, got a tensor [] of bool"),
        (2, 3, "expected 3, got 2"),
        (3.0, 3, "expected 3, got 3.0"),
        ("abd", "abc", "expected 'abc', got 'abd'"),
        ([1], (1,), "got a list of 1"),
        ((1, 2), (1,), "expected 1 items, got 2"),
        ((1, 2), (1, 3), "item 1: expected 3, got 2"),
        ({1: 2}, {1: 2, 3: 4}, "expected an entry 3, which is missing"),
        ({1: 2, 3: 4}, {1: 2}, "unexpected entry 3"),
    ],
)
def test_differences_are_told(got, want, message):
    assert message in diff(got, want)


@pytest.mark.parametrize(
    ("got", "want"),
    [
        (T([1.0]).double(), T([1.0])),
        (T(True), True),
        (T(2.5), 2.5),
        ([1, 2], (1, 2)),
        (3.0, 3),
    ],
)
def test_what_is_wrong_only_in_type_passes_where_types_are_free(got, want):
    assert diff(got, want) and diff(got, want, strict=False) is None


def test_integer_tensors_never_pass_for_floating_ones():
    assert diff(T([1, 2]), T([1.0, 2.0]), strict=False)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6))
def test_rounding_is_no_difference(numbers):
    want = torch.tensor(numbers, dtype=torch.float64)
    assert diff((want * (1 + 1e-7)).float(), want.float()) is None
    assert diff(want + 2e-4 * want.abs() + 2e-5, want)


def test_nan_and_infinity_equal_themselves():
    value = T([math.nan, math.inf, -math.inf])
    assert diff(value, value) is None


HUGE = 10**390


@pytest.mark.parametrize(
    ("got", "want", "message"),
    [
        (HUGE, 1.5, "expected 1.5, got 1"),
        (HUGE, 3, "expected 3, got 1"),
        (1 << 20_000, 3, "got a whole number of 20001 bits"),
        (T(1j), 1.5, "expected 1.5, got a tensor [] of complex64"),
        (T([1j]), T([1.0]), "expected dtype torch.float32, got torch.complex64"),
        (torch.ones([1] * 16), T(1.0), "expected shape [], got [1 1"),
        ({"a": Other("x", "y")}, 3, "expected 3, got {'a': an object of type x}"),
        (Ref("v1", (0,)), 3, "expected 3, got a reference"),
        ([[[[[1]]]]] * 5, 3, "a list of 5 (a list of 1"),
        ("x" * 1_000_000, "abc", "expected 'abc', got 'xxx"),
        (math.inf, 10**300, "expected 1"),
    ],
    ids=range(11),  # Python refuses to write the numbers out
)
def test_values_that_no_answer_should_be_are_told_too(got, want, message):
    told = diff(got, want)
    assert message in told and len(told) < 700


def test_a_complex_number_in_place_of_a_whole_one_is_not_taken_for_its_real_part():
    assert diff(T([1 + 5j]), T([1]), strict=False)
