"""Which functions commute with a reordering of the tokens, and whether the test for it can tell."""

import math

import pytest
import torch
from drawing import LAWS, non_involutive_order, normal, sized
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from course_lib.attention import (
    TransformerBlock,
    gram_attention,
    is_permutation_equivariant,
)

# permutations


@LAWS
@given(sized("b", "h", "e"), st.integers(3, 8))
def test_attention_mlp_and_block_are_permutation_equivariant(drawn, n):
    generator, b, h, e = drawn
    torch.manual_seed(0)
    block = TransformerBlock(h * e, h, mlp_ratio=2).double()
    for p in block.parameters():
        p.data = normal(generator, *p.shape)
    x = normal(generator, b, n, h * e)
    order = non_involutive_order(generator, n)
    for f in (block.attn, block.mlp, block, gram_attention):
        torch.testing.assert_close(f(x[:, order]), f(x)[:, order])
        assert is_permutation_equivariant(f, x)


def undo_sort(x):
    """Sort by the first channel and, wrongly, reorder by the order where its inverse belongs."""
    order = x[..., 0].argsort(1)
    return torch.take_along_dim(torch.take_along_dim(x, order[..., None], 1), order[..., None], 1)


NOT_EQUIVARIANT = {
    "reverse": lambda x: x.flip(1),
    "running sum": lambda x: x.cumsum(1),
    "convolution": lambda x: nn.functional.conv1d(x.mT, torch.ones(4, 4, 3), padding=1).mT,
    "adds positions": lambda x: x + torch.arange(x.shape[1])[:, None],
    "marks the last token": lambda x: torch.cat([x[:, :-1], x[:, -1:] * 2], 1),
    "sorts (invariant, not equivariant)": lambda x: x.sort(1).values,
    "pools": lambda x: x.mean(1),
    "reorders by the wrong inverse": undo_sort,
    "NaN": lambda x: x * math.nan,
}
EQUIVARIANT = {
    "identity": lambda x: x,
    "each minus the mean": lambda x: x - x.mean(1, keepdim=True),
    "invariant on every token": lambda x: x.amax(1, keepdim=True).expand_as(x),
    "rank": lambda x: x.argsort(1).argsort(1).float(),
    # sums taken in another order differ by more than 1e-5 here, but not relative to the output
    "another width": lambda x: x[..., :2] * 1e4,
}


@pytest.mark.parametrize("name", NOT_EQUIVARIANT)
def test_functions_that_know_positions_are_found_out(name):
    x = torch.randn(2, 7, 4, generator=torch.Generator().manual_seed(5))
    assert not is_permutation_equivariant(NOT_EQUIVARIANT[name], x)


@pytest.mark.parametrize("name", EQUIVARIANT)
def test_functions_that_do_not_are_let_through(name):
    x = torch.randn(2, 7, 4, generator=torch.Generator().manual_seed(5))
    assert is_permutation_equivariant(EQUIVARIANT[name], x)


def test_two_tokens_have_one_other_order_and_one_has_none():
    assert not is_permutation_equivariant(lambda x: x.cumsum(1), torch.randn(1, 2, 3))
    with pytest.raises(ValueError, match="n of at least 2"):
        is_permutation_equivariant(lambda x: x, torch.randn(1, 1, 3))


def test_the_tolerance_is_the_callers():
    x = torch.randn(1, 5, 3)
    slightly_off = lambda t: t + 1e-3 * torch.arange(5)[:, None]  # noqa: E731
    assert is_permutation_equivariant(slightly_off, x, tol=1e-2)
    assert not is_permutation_equivariant(slightly_off, x)


def test_the_tolerance_is_absolute_so_large_outputs_need_a_larger_one():
    x = torch.randn(1, 5, 3)
    a_thousandth = lambda t: 1e4 * t + 1e-2 * torch.arange(5)[:, None]  # noqa: E731
    assert not is_permutation_equivariant(a_thousandth, x)
    assert is_permutation_equivariant(a_thousandth, x, tol=0.1)
