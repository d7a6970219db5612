"""The exercises' checks: one package an assignment, one module an exercise."""

from __future__ import annotations

import importlib
from functools import cache

from autograder.exercise import Exercise

# in the order in which an assignment asks for them; a module is named after the exercise it checks
EXERCISES: dict[str, dict[str, str]] = {
    "attention": {
        "softmax": "softmax",
        "attention_weights": "attention_weights",
        "attend": "attend",
        "gram_attention": "gram_attention",
        "split_heads": "split_heads",
        "MultiHeadAttention": "multi_head_attention",
        "LayerNorm": "layer_norm",
        "TransformerBlock": "transformer_block",
        "is_permutation_equivariant": "is_permutation_equivariant",
    },
}


def assignments() -> list[str]:
    """The names of all assignments, in the course's order."""
    return list(EXERCISES)


def names(assignment: str) -> list[str]:
    """The full names of an assignment's exercises, in order; raises ValueError for an unknown assignment."""
    if assignment not in EXERCISES:
        raise ValueError(f"no assignment is called {assignment!r}; there are: {', '.join(EXERCISES)}")
    return [f"{assignment}.{name}" for name in EXERCISES[assignment]]


@cache
def load(name: str) -> Exercise:
    """The check of the exercise called ``<assignment>.<name>``; raises ValueError if there is none."""
    assignment, _, exercise = name.partition(".")
    if exercise not in EXERCISES.get(assignment, {}):
        known = ", ".join(full for a in EXERCISES for full in names(a))
        raise ValueError(f"no exercise is called {name!r}; there are: {known}")
    module = importlib.import_module(f"autograder.checks.{assignment}.{EXERCISES[assignment][exercise]}")
    return module.EXERCISE
