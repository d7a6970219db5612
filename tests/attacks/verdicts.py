"""From facts to words: what plain nbgrader did with an attack, and what the isolated grader owes it."""

from __future__ import annotations

from typing import Any

from autograder import checks
from autograder.grading.reports.report import Row
from autograder.grading.run.journal import ASIDE, GRADED
from tests.attacks.attack import FULL, ZERO, Attack, Points, Required
from tests.attacks.kit import ASSIGNMENT
from tests.attacks.neighbours import NEIGHBOUR

ESSAY, ESSAY_POINTS = "why-scale", 4.0
CORRECT = "as it should be"


def question_points() -> dict[str, float]:
    """The full marks of every question that a machine grades."""
    exercises = [checks.load(name) for name in checks.names(ASSIGNMENT)]
    return {e.objects[0]: e.points for e in exercises}


def owed(required: Required) -> dict[str, tuple[float, float]]:
    """For every question the least and the most points that may be given."""
    given: dict[str, tuple[float, float]] = {}
    for question, most in question_points().items():
        want: Points = required.points.get(question, required.points.get("*", FULL))
        if want == FULL:
            given[question] = (most, most)
        elif want == ZERO:
            given[question] = (0.0, 0.0)
        elif isinstance(want, tuple):
            given[question] = (want[0], min(want[1], most))
        else:
            given[question] = (float(want), float(want))
    return given


def plain_outcome(attack: Attack, facts: dict[str, Any]) -> list[str]:
    """What happened under plain nbgrader, in a few words each; `CORRECT` alone if nothing was amiss."""
    if "died" in facts:
        return ["took the whole container down" if facts["died"] != "limit" else "hung until the limit"]
    found = []
    scores = facts["scores"]
    autograde = [c for c in facts["commands"] if c["command"] == "autograde"][-1]
    if any(c["code"] == "limit" for c in facts["commands"]):
        found.append("hung until the limit")
    neighbour = {cell.removesuffix("-check"): values[0] for cell, values in scores.get(NEIGHBOUR, {}).items()}
    if facts["neighbour_was_graded"]:
        if any(neighbour.get(q) is None for q in question_points()):
            found.append("the honest neighbour got no grade")
        elif any(neighbour[q] < most for q, most in question_points().items()):
            found.append("the honest neighbour lost points")
    mine = [who for who in scores if who != NEIGHBOUR]
    given = {cell.removesuffix("-check"): values for cell, values in scores[mine[0]].items()} if mine else {}
    if any(c["command"] == "zip_collect" and c["code"] not in (0, "limit") for c in facts["commands"]):
        found.append("collecting stopped for the whole class")
    found += compare(attack.required, given, facts, autograde)
    if facts["changed"]:
        found.append("changed files outside")
    if facts["leaked"]:
        found.append("a secret was read")
    if facts["reached"]:
        found.append("a local service was reached")
    if facts["active"]:
        found.append("active content on a page")
    if facts["left_running"]:
        found.append("processes were left running")
    if any(student[:1] in ("=", "+", "-", "@") for student, _ in facts["exported"]):
        found.append("a formula in the exported table")
    return found or [CORRECT]


def compare(required: Required, given: dict[str, list], facts: dict[str, Any], autograde: dict[str, Any]) -> list[str]:
    """The attacker's own grade beside the one that is owed."""
    marks = {q: values[0] for q, values in given.items() if q in question_points() and values[0] is not None}
    essay = given.get(ESSAY, [None, ESSAY_POINTS, False])
    if not marks:
        in_table = [score for who, score in facts["exported"] if who != NEIGHBOUR]
        if in_table:
            return ["a zero in the exported table"]
        told = autograde["code"] != 0 or any(
            c["command"] == "zip_collect" and c["code"] != 0 for c in facts["commands"]
        )
        if required.graded is True:
            return ["no grade"] if told else ["no grade, and no word about it"]
        return [] if told else ["no grade, and no word about it"]
    if required.graded is False:
        total = sum(marks.values())
        return [f"a grade of {total:g} where a person should look"]
    bounds = owed(required)
    above = sum(max(0.0, marks.get(q, 0.0) - high) for q, (_, high) in bounds.items())
    below = sum(max(0.0, low - marks.get(q, 0.0)) for q, (low, _) in bounds.items())
    found = []
    if above > 1e-6:
        found.append(f"{above:g} points too many")
    if below > 1e-6:
        found.append(f"{below:g} points too few")
    if essay[0] not in (None, 0.0):
        found.append(f"{essay[0]:g} points for the written answer, unread")
    elif required.essay and not essay[2] and essay[0] is not None:
        found.append("the written answer was marked 0, unread")
    return found


def broken(attack: Attack, row: Row | None) -> list[str]:
    """What the isolated grader owes this attack and did not give, in sentences; empty if all is as required."""
    required = attack.required
    if row is None:
        return [f"nobody is called {attack.who}"]
    if row.status == ASIDE:
        if required.graded is True:
            return [f"it is for a person: {row.problem}"]
        return stands(required.problem, row.problem, "the problem")
    if row.status != GRADED:
        return [f"it is {row.status}: {row.problem}"]
    if required.graded is False:
        return [f"it was graded with {row.total:g} points"]
    found = []
    for question, (low, high) in owed(required).items():
        mark = row.marks.get(question)
        if mark is None or mark.points is None:
            found.append(f"{question} has no points")
            continue
        if not low - 1e-6 <= mark.points <= high + 1e-6:
            found.append(f"{question} has {mark.points:g} points ({mark.reason}), not {low:g} to {high:g}")
        if mark.points < mark.max_points:
            words = required.reasons.get(question, ())
            found += (
                stands(words, mark.reason, f"the reason of {question}")
                if mark.reason
                else [f"{question} has no reason"]
            )
    essay = row.marks.get(ESSAY)
    if essay is None or (essay.points is not None and essay.points != 0):
        found.append(f"the written answer has {essay and essay.points} points")
    elif required.essay and ESSAY not in row.unmarked:
        found.append("the written answer does not wait for a person")
    told = " ".join(row.notes)
    return found + [f"no note says: {note} (there is: {told[:300]})" for note in required.notes if note not in told]


def stands(words: tuple[str, ...], text: str, what: str) -> list[str]:
    """A sentence if none of the words stands in the text."""
    if not text:
        return [f"{what} is empty"]
    if words and not any(word.lower() in text.lower() for word in words):
        return [f"{what} is: {text[:200]} (none of: {', '.join(words)})"]
    return []
