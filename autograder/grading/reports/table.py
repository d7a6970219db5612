"""The class as a text table, with the reasons below it."""

from __future__ import annotations

import textwrap

from autograder.grading.reports.report import Row
from autograder.grading.run.journal import ASIDE, GRADED


def as_text(rows: list[Row], width: int = 120) -> str:
    """Students by questions with points, then the reasons for what is missing, then a summary line."""
    graded = [row for row in rows if row.status == GRADED]
    questions = list(dict.fromkeys(name for row in graded for name in row.marks))
    lines = heading(questions, graded, width) if graded else []
    name_width = max([len("student"), *(len(row.student) for row in rows)])
    if graded:
        head = "".join(f"{number:>6}" for number in range(1, len(questions) + 1))
        lines.append(f"{'student':<{name_width}}{head}   total")
    for row in rows:
        if row.status == GRADED:
            cells = "".join(f"{points(row, name):>6}" for name in questions)
            lines.append(f"{row.student:<{name_width}}{cells}{row.total:>8g}")
        else:
            lines.append(f"{row.student:<{name_width}}  -- {row.status} --")
    lines += ["", *reasons(rows, width), *summary(rows)]
    return "\n".join(lines)


def heading(questions: list[str], graded: list[Row], width: int) -> list[str]:
    most = {name: mark.max_points for row in graded for name, mark in row.marks.items()}
    # A no-break space keeps a question's number, name and points on one line.
    legend = [
        f"{number}\N{NO-BREAK SPACE}{name}\N{NO-BREAK SPACE}({most[name]:g})"
        for number, name in enumerate(questions, 1)
    ]
    return [*(line.replace("\N{NO-BREAK SPACE}", " ") for line in textwrap.wrap(",  ".join(legend), width)), ""]


def points(row: Row, name: str) -> str:
    mark = row.marks.get(name)
    if mark is None:
        return "-"
    return ("" if mark.points is None else f"{mark.points:g}") + ("?" if mark.manual else "")


def reasons(rows: list[Row], width: int) -> list[str]:
    """Under each student's name one entry for every question that lost points and for all that needs a person."""
    lines: list[str] = []
    for row in rows:
        own = [f"for a person: {row.problem}"] if row.status == ASIDE else [row.problem] if row.problem else []
        for name, mark in row.marks.items():
            if mark.reason:
                known = f"[{mark.mistake}] " if mark.mistake else ""
                own.append(f"{name} {mark.points or 0:g}/{mark.max_points:g}  {known}{mark.reason}")
        if row.penalty:
            own.append(f"late: {row.penalty:g} points off")
        own += [f"note: {note}" for note in row.notes]
        if own:
            lines.append(row.student)
            for text in own:
                lines += textwrap.wrap(text, width, initial_indent="    ", subsequent_indent="        ")
    return lines


def summary(rows: list[Row]) -> list[str]:
    graded = [row for row in rows if row.status == GRADED]
    waiting = sum(bool(row.unmarked) for row in graded)
    aside = [row.student for row in rows if row.status == ASIDE]
    line = f"{len(graded)} graded"
    if graded:
        line += f", {sum(row.total for row in graded) / len(graded):.1f} of {graded[0].max_total:g} points on average"
    if waiting:
        line += f"; {waiting} with written answers to mark (shown as ?)"
    if aside:
        line += f"; for a person to look at: {', '.join(aside)}"
    return ["", line + "."]
