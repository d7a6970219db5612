"""What `check` returns: a table for people, a plain float for nbgrader, a record for reports."""

from __future__ import annotations

import html
import textwrap
from typing import Any

from autograder.verdict import MIME, CaseResult, Verdict

MARKS = {"pass": "✓", "unwritten": "–"}


class Result:
    """The outcome of one check. ``repr`` is the points as a plain float: nbgrader reads partial credit from it."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict

    @property
    def points(self) -> float:
        """Points reached."""
        return float(self.verdict.points)

    @property
    def max_points(self) -> float:
        """Points to be had."""
        return float(self.verdict.max_points)

    @property
    def passed(self) -> bool:
        """Whether every case passed."""
        return all(case.status == "pass" for case in self.verdict.cases)

    @property
    def mistake(self) -> str | None:
        """The name of the known mistake whose answers these are, or None."""
        return self.verdict.mistake

    def __float__(self) -> float:
        return self.points

    def __repr__(self) -> str:
        return repr(self.points)

    def __str__(self) -> str:
        return as_text(self.verdict)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"text/plain": repr(self), "text/html": as_html(self.verdict), MIME: self.verdict.as_dict()}


def headline(verdict: Verdict) -> str:
    """One line: the exercise, its points, and whether it is done."""
    if all(case.status == "pass" for case in verdict.cases):
        state = "all cases pass"
    elif all(case.status == "unwritten" for case in verdict.cases):
        state = "not written yet"
    else:
        state = f"{sum(case.status == 'pass' for case in verdict.cases)} of {len(verdict.cases)} cases pass"
    return f"{verdict.exercise}: {verdict.points:g} of {verdict.max_points:g} points, {state}"


def as_text(verdict: Verdict, width: int = 100) -> str:
    """The table for a terminal."""
    lines = [headline(verdict)]
    for case in verdict.cases:
        lines.append(f"  {MARKS.get(case.status, '✗')} {case.points:g}/{case.max_points:g}  {case.title}")
        why = _why(case, verdict)
        lines += [textwrap.fill(text, width, initial_indent=" " * 9, subsequent_indent=" " * 9) for text in why]
    if verdict.advice:
        lines.append(textwrap.fill(f"This is a known mistake: {verdict.advice}", width, subsequent_indent="  "))
    if verdict.printed:
        lines += ["Your code printed:", textwrap.indent(verdict.printed.rstrip(), "  | ")]
    return "\n".join(lines)


def as_html(verdict: Verdict, heading: str = "") -> str:
    """The table for a notebook; colours follow the page's own, so that it reads in light and dark.

    `heading` is a line above it, which says who checked: the run of a grader, or nothing for a student at home.
    """
    cell = "text-align:left;vertical-align:top;padding:.25em .6em;"
    rows = []
    for case in verdict.cases:
        colour = {"pass": "#2e8540", "unwritten": "#767676"}.get(case.status, "#d0433a")
        why = "".join(f"<div>{html.escape(text)}</div>" for text in _why(case, verdict))
        rows.append(
            f'<tr style="background:none"><td style="{cell}color:{colour};font-weight:bold">'
            f"{MARKS.get(case.status, '✗')}&nbsp;{html.escape(case.status)}</td>"
            f'<td style="{cell}white-space:nowrap">{case.points:g} / {case.max_points:g}</td>'
            f'<td style="{cell}">{html.escape(case.title)}{why}</td></tr>'
        )
    box = "border-left:4px solid #c77700;padding:.4em .8em;margin:.4em 0"
    known = ""
    if verdict.advice:
        known = f'<div style="{box}"><b>A known mistake.</b> {html.escape(verdict.advice)}</div>'
    printed = ""
    if verdict.printed:
        text = html.escape(verdict.printed.rstrip())
        printed = f"<details><summary>What your code printed</summary><pre>{text}</pre></details>"
    top = f'<div style="font-size:.9em">{html.escape(heading)}</div>' if heading else ""
    head = "".join(f'<th scope="col" style="{cell}">{name}</th>' for name in ("Case", "Points", "What it looks at"))
    return (
        # what a student's code said is no formula: MathJax leaves these classes alone
        f'<div class="autograder-result tex2jax_ignore mathjax_ignore" style="overflow-x:auto">{top}'
        f"<b>{html.escape(headline(verdict))}</b>{known}"
        f'<table style="border-collapse:collapse;color:inherit"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>{printed}</div>"
    )


def _why(case: CaseResult, verdict: Verdict) -> list[str]:
    if case.status in ("pass", "unwritten"):
        return []
    if not case.cause:
        return [case.message]
    # cases go from basic to special: what broke the first that fails usually breaks the others too
    first = next(other for other in verdict.cases if other.status not in ("pass", "unwritten"))
    lead = "Likely cause" if case is first else "If the cause is not the same as above"
    return [case.message, f"{lead}: {case.cause}"]
