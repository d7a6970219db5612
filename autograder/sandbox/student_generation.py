"""Stands in for `course_lib.generation` where `generate` is graded: the one function that an answer may use."""

from __future__ import annotations

import importlib
from typing import Any


def next_token_probs(*arguments: Any, **options: Any) -> Any:
    """The course's own, which is there while `generate` is judged; before and after, ImportError."""
    return importlib.import_module("course_lib.sampling").next_token_probs(*arguments, **options)
