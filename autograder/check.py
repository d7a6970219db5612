"""The one line in a student's test cell: ``check("attention.attend", attend)``."""

from __future__ import annotations

import os
from typing import Any

from autograder import checks, judge
from autograder.probe import answers, fresh_state, one_thread, own_random_state
from autograder.result import Result

LOCAL_SEED = "0"


def check(name: str, *objects: Any, seed: str | None = None) -> Result:
    """Try a student's ``objects`` on every case of the exercise ``name`` and say what is right and what is not.

    The result shows as a table and counts as the points. Inputs are drawn from ``seed``, else from the
    environment's AUTOGRADER_SEED, else from a fixed one, so that the same code gets the same table each time.
    Raises ValueError if there is no such exercise or the number of objects is not what it asks for.
    """
    exercise = checks.load(name)
    if len(objects) != len(exercise.objects):
        line = f'check("{name}", {", ".join(exercise.objects)})'
        raise ValueError(f"{name} needs {len(exercise.objects)} object(s), got {len(objects)}: the line is {line}")
    seed = seed or os.environ.get("AUTOGRADER_SEED") or LOCAL_SEED
    # the reference computes as ever, where a student has set another dtype or device, or switched gradients off
    with one_thread(), own_random_state(), fresh_state(0):
        replies = list(answers(judge.requests(exercise, seed), objects))
        return Result(judge.judge(exercise, seed, replies))
