"""Sizes and numbers for laws that must hold whatever the sizes are."""

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

LAWS = settings(max_examples=40, deadline=None)


@st.composite
def sized(draw, *names: str) -> tuple:
    """A generator and one size for each name; laws must hold for equal sizes and for size one as well."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    return generator, *(draw(st.integers(1, 7)) for _ in names)


def normal(generator: torch.Generator, *shape: int, scale: float = 1.0) -> Tensor:
    """Standard normal numbers in float64, times `scale`."""
    return torch.randn(*shape, generator=generator, dtype=torch.float64) * scale


def non_involutive_order(generator: torch.Generator, n: int) -> Tensor:
    """A random order of n >= 3 things which does not undo itself."""
    while True:
        order = torch.randperm(n, generator=generator)
        if not torch.equal(order[order], torch.arange(n)):
            return order
