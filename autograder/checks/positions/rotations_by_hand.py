"""Rotations of channel pairs as matrix exponentials: a route that no student is asked to go."""

from __future__ import annotations

import torch
from torch import Tensor


def generator(dim: int, base: float) -> Tensor:
    """The matrix [dim dim] whose exponential, times p, turns channels (2i, 2i+1) by p / base**(2i/dim) radians."""
    speed = torch.zeros(dim, dim, dtype=torch.float64)
    for first in range(0, dim, 2):
        turn = 1 / base ** (first / dim)
        speed[first + 1, first] = turn
        speed[first, first + 1] = -turn
    return speed


def rotations(positions: Tensor, dim: int, base: float) -> Tensor:
    """The rotation at each position: [...] -> [... dim dim], in float64."""
    return torch.matrix_exp(positions.double()[..., None, None] * generator(dim, base))
