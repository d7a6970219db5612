"""The honest neighbours of the attackers: their scores must be what they are without them."""

from __future__ import annotations

from autograder import checks
from tests.attacks.kit import ASSIGNMENT, Kit, right_answers

NEIGHBOUR = "zz-honest"  # comes after every attacker in the alphabet
# Exercises whose first known mistake costs the same whatever numbers are drawn.
FIRM = ("softmax", "attend", "split_heads")


def honest(kit: Kit) -> dict[str, str]:
    """Six notebooks by student: all right, right in another way, mistaken, half done, untouched, all right."""
    exercises = [checks.load(name) for name in checks.names(ASSIGNMENT)]
    others = {e.objects[0]: e.variants[-1].source for e in exercises}
    mistaken = {e.objects[0]: e.mistakes[0].source for e in exercises if e.objects[0] in FIRM}
    blank = {c.metadata["nbgrader"]["grade_id"]: c.source for c in kit.released.cells if "nbgrader" in c.metadata}
    half = {name: blank[name] for name in list(right_answers())[5:]}
    return {
        "aa-honest": kit.text(),
        "honest-1": kit.text(others),
        "honest-2": kit.text(mistaken),
        "honest-3": kit.text(half),
        "honest-4": kit.text(right=False),
        "zz-honest": kit.text(),
    }
