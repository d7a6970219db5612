"""The grader's own outputs: a check's table made from its verdict, in which a student's words are only words."""

from __future__ import annotations

import math
from typing import Any

import nbformat
from nbformat import NotebookNode

from autograder.grading.sanitise import text as texts
from autograder.grading.sanitise.outputs import Budget, clean_outputs
from autograder.result import as_html
from autograder.verdict import MIME, CaseResult, Verdict

HEADING = "Checked by plain nbgrader, without isolation: in the process that ran the student's code."
MAX_CASES = 200
LARGEST = 1e12


def result_output(verdict: Verdict, heading: str = "", execution_count: int | None = None) -> NotebookNode:
    """The output of a test cell for a verdict: the points as a plain float, the grader's table, and its record.

    `heading` is the line above the table that says which run this is of. Words of the student's in the verdict
    (messages, what was printed) are made harmless.
    """
    clean = clean_verdict(verdict)
    data = {"text/plain": repr(float(clean.points)), "text/html": as_html(clean, heading), MIME: clean.as_dict()}
    # made by hand: nbformat's new_output would check it against the schema, which the whole notebook is later
    result = {"output_type": "execute_result", "data": data, "metadata": {}, "execution_count": execution_count}
    return nbformat.from_dict(result)


def clean_verdict(verdict: Verdict) -> Verdict:
    """The same verdict with printable text, each at most some lines long."""

    def line(text: object, most: int = 2000) -> str:
        return texts.cut(texts.printable(texts.as_text(text)), most)

    cases = tuple(
        CaseResult(line(c.title), c.points, c.max_points, line(c.status, 40), line(c.message), line(c.cause))
        for c in verdict.cases
    )
    mistake = line(verdict.mistake, 200) if verdict.mistake else None
    return Verdict(
        line(verdict.exercise, 200), verdict.points, verdict.max_points, cases, mistake, line(verdict.advice),
        line(verdict.printed, 20_000),
    )  # fmt: skip


def clean_check(outputs: list[Any], budget: Budget) -> list[NotebookNode]:
    """The outputs of a check's cell in their order: its first result as a table made anew, the rest as a student's."""
    for index, output in enumerate(outputs):
        if output.output_type != "execute_result":
            continue
        points, record = output.data.get("text/plain"), output.data.get(MIME)
        if not isinstance(points, str) or not isinstance(record, dict):
            break
        table = result_output(verdict_of(record), HEADING, output.execution_count)
        table.data["text/plain"] = points if is_float(points) else repr(number(record.get("points")))
        before, after = clean_outputs(outputs[:index], budget), clean_outputs(outputs[index + 1 :], budget)
        return [*before, table, *after]
    return clean_outputs(outputs, budget)


def is_float(text: str) -> bool:
    try:
        return len(text) < 40 and math.isfinite(float(text))
    except ValueError:
        return False


def number(value: object) -> float:
    """A finite number of ordinary size, or 0."""
    return float(value) if isinstance(value, (int, float)) and abs(value) < LARGEST else 0.0


def verdict_of(record: dict[str, Any]) -> Verdict:
    """A check's record as a verdict, whatever it holds."""
    cases = record.get("cases")
    cases = [case for case in cases if isinstance(case, dict)][:MAX_CASES] if isinstance(cases, (list, tuple)) else []
    return Verdict(
        exercise=texts.as_text(record.get("exercise")),
        points=number(record.get("points")),
        max_points=number(record.get("max_points")),
        cases=tuple(
            CaseResult(
                texts.as_text(case.get("title")),
                number(case.get("points")),
                number(case.get("max_points")),
                texts.as_text(case.get("status")),
                texts.as_text(case.get("message")),
                texts.as_text(case.get("cause")),
            )
            for case in cases
        ),
        mistake=texts.as_text(record.get("mistake")) or None,
        advice=texts.as_text(record.get("advice")),
        printed=texts.as_text(record.get("printed")),
    )
