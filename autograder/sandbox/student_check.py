"""Stands in for the course's check where handed-in work is graded: the answers are judged elsewhere, afterwards."""

from __future__ import annotations

from typing import Any


class Later:
    """What `check` returns here; it has no verdict."""

    points = max_points = 0.0
    passed = False
    mistake = None

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"{self.name}: judged by the grader, not here"


def check(name: str, *objects: Any, seed: str | None = None) -> Later:
    """Nothing is checked here."""
    return Later(name)
