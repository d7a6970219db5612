"""The exercises' checks: one package an assignment, which says in EXERCISES what it has, one module an exercise."""

from __future__ import annotations

import importlib
from functools import cache

from autograder.exercise import Exercise
from autograder.rooms import ASSIGNMENTS


def assignments() -> list[str]:
    """The names of all assignments, in the course's order."""
    return list(ASSIGNMENTS)


def names(assignment: str) -> list[str]:
    """The full names of an assignment's exercises, in order; raises ValueError for an unknown assignment."""
    if assignment not in ASSIGNMENTS:
        raise ValueError(f"no assignment is called {assignment!r}; there are: {', '.join(ASSIGNMENTS)}")
    return [f"{assignment}.{name}" for name in _exercises(assignment)]


@cache
def load(name: str) -> Exercise:
    """The check of the exercise called ``<assignment>.<name>``; raises ValueError if there is none."""
    assignment, _, exercise = name.partition(".")
    if assignment not in ASSIGNMENTS or exercise not in _exercises(assignment):
        known = ", ".join(full for assignment in ASSIGNMENTS for full in names(assignment))
        raise ValueError(f"no exercise is called {name!r}; there are: {known}")
    module = importlib.import_module(f"autograder.checks.{assignment}.{_exercises(assignment)[exercise]}")
    return module.EXERCISE


def _exercises(assignment: str) -> dict[str, str]:
    return importlib.import_module(f"autograder.checks.{assignment}").EXERCISES
