"""A chapter's box of common mistakes: what they are and what the checks say to them, taken from the checks."""

from __future__ import annotations

import html

from autograder import checks, gate
from autograder.check import LOCAL_SEED


class CommonMistakes:
    """Show known mistakes of an assignment, each with what its check tells a student who makes it.

    ``names`` are ``exercise.mistake`` as registered beside the checks; every one is tried when this is made, so
    that what is printed is what the check says today. Raises ValueError for a name that no check knows.
    """

    def __init__(self, assignment: str, *names: str) -> None:
        self.rows = [self._row(assignment, name) for name in names]

    @staticmethod
    def _row(assignment: str, name: str) -> tuple[str, str, str, str]:
        exercise_name, _, mistake_name = name.partition(".")
        exercise = checks.load(f"{assignment}.{exercise_name}")
        known = {mistake.name: mistake for mistake in exercise.mistakes}
        if mistake_name not in known:
            there_are = ", ".join(known)
            raise ValueError(f"{exercise.name} has no known mistake {mistake_name!r}; there are: {there_are}")
        mistake = known[mistake_name]
        verdict = gate.verdict_on(exercise, mistake, LOCAL_SEED)
        failed = [case for case in verdict.cases if case.status != "pass"]
        passed = len(verdict.cases) - len(failed)
        score = f"{passed} of {len(verdict.cases)} cases pass"
        return exercise_name, mistake.says, f"{failed[0].title}: {failed[0].message}", score

    def _repr_html_(self) -> str:
        items = "".join(
            f"<li><p><strong><code>{html.escape(exercise)}</code></strong> {_prose(says)}</p>"
            f'<p class="symptom">What the check finds ({score}): {_prose(symptom)}</p></li>'
            for exercise, says, symptom, score in self.rows
        )
        return f'<div class="common-mistakes"><ul>{items}</ul></div>'

    def __repr__(self) -> str:
        return "\n".join(
            f"{exercise}: {says}\n    the check finds ({score}): {symptom}"
            for exercise, says, symptom, score in self.rows
        )


def _prose(text: str) -> str:
    """Text as HTML, with what stands between backticks as code."""
    parts = html.escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
