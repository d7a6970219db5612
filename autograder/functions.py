"""Functions that a check hands to a student, written as data.

A function is a list of operations ``[name, *arguments]``, applied in order to tokens ``[b n d]``, to points
``[n d]`` or to what the operation says. Being data, it can be sent to where student code runs; being anonymous, it
tells a student nothing about which property it has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def _polynomial(x: Tensor, exponents: list[list[int]], coefficients: Tensor) -> Tensor:
    """Points [n d] -> [n 1]: the sum over terms of coefficient times the product of powers of the coordinates."""
    terms = [
        coefficient * torch.stack([x[..., axis] ** power for axis, power in enumerate(powers)]).prod(0)
        for powers, coefficient in zip(exponents, coefficients, strict=True)
    ]
    return torch.stack(terms).sum(0).unsqueeze(-1)


OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "linear": lambda x, weight: x @ weight,  # token by token
    "tanh": lambda x: x.tanh(),
    "attend": lambda x, query, key: ((x @ query) @ (x @ key).mT).softmax(-1) @ x,
    "subtract_mean": lambda x: x - x.mean(-2, keepdim=True),
    "mix": lambda x, weight: weight @ x,  # a fixed [n n] matrix over tokens
    "add": lambda x, table: x + table,  # a table of positions [n d]
    "cumulative_sum": lambda x: x.cumsum(-2),
    "sort": lambda x: x.sort(-2).values,  # every channel by itself: the output forgets the order
    "mean": lambda x: x.mean(-2),  # one vector for the set: invariant
    "mean_everywhere": lambda x: x.mean(-2, keepdim=True).expand_as(x),
    "difference": lambda x: x - x.roll(1, -2),  # commutes with rotations of the order only
    "neighbours": lambda x: x.roll(1, -2) + x.roll(-1, -2),  # commutes with rotations and reversal only
    "polynomial": _polynomial,
    "sine": lambda x, weight, bias: (x @ weight + bias).sin(),
    "flatten": lambda x: x.flatten(1),
    "rows": lambda ids, table: table[ids],  # ids [...] -> [... v]
}


def apply(name: str, x: Tensor, *arguments: Any) -> Tensor:
    """One operation; floating-point arguments follow the dtype and device of a floating-point ``x``."""
    follows = x.is_floating_point()
    return OPERATIONS[name](x, *(a.to(x) if follows and isinstance(a, Tensor) else a for a in arguments))


def build(ops: list[list[Any]]) -> Callable[[Tensor], Tensor]:
    """The function that applies ``ops`` in order; raises ValueError for an unknown operation."""
    for name, *_ in ops:
        if name not in OPERATIONS:
            raise ValueError(f"no operation is called {name!r}; there are {sorted(OPERATIONS)}")

    def f(x: Tensor) -> Tensor:
        for name, *arguments in ops:
            x = apply(name, x, *arguments)
        return x

    return f
