"""The vector of a word's spelling, written a second time, in Python."""

from __future__ import annotations

import math
from functools import reduce

import torch


def spelled(word: str, dim: int) -> torch.Tensor:
    """Signed counts of letter pairs at places given by 32-bit FNV-1a, of squared length 3√d: ``[dim]``."""
    vector = torch.zeros(dim, dtype=torch.float64)
    letters = f"^{word.lower()}$"
    for pair in zip(letters, letters[1:], strict=False):
        code = reduce(lambda h, b: (h ^ b) * 16777619 % 2**32, "".join(pair).encode(), 2166136261)
        vector[code % dim] += 1 if code >> 16 & 1 else -1
    return vector / vector.norm() * math.sqrt(3 * math.sqrt(dim)) if vector.any() else vector
