"""Each attack, what is required, what the isolated grader did and what plain nbgrader does.

`python -m tests.attacks.table` makes table.md from isolated.json and plain.json, which their own commands keep.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from tests.attacks import corpus, isolated, plain
from tests.attacks.attack import FULL, ZERO, Attack, Required
from tests.attacks.verdicts import CORRECT, plain_outcome

TABLE = Path(__file__).with_name("table.md")
HEAD = "| attack | required | isolated | plain nbgrader |"
NOT_RUN = "not run yet"


def main() -> None:
    """Write the table and print its counts."""
    inside = read(isolated.RECORD)
    outside = read(plain.RECORD)
    text = table(inside, outside)
    TABLE.write_text(text)
    print(text[: text.index("\n## ")])
    print(f"All of it: {TABLE}")


def read(path: Path) -> dict[str, Any]:
    """A record, or an empty one."""
    return json.loads(path.read_text()) if path.exists() else {}


def table(inside: dict[str, Any], outside: dict[str, Any]) -> str:
    """The whole page: counts first, then one table for each category."""
    graded = inside.get("attacks", {})
    groups = corpus.by_category()
    attacks = [attack for group in groups.values() for attack in group]
    met = sum(attack.name in graded and not graded[attack.name]["broken"] for attack in attacks)
    verdicts = {a.name: plain_outcome(a, outside[a.name]) for a in attacks if a.name in outside}
    kinds = Counter(kind(words) for found in verdicts.values() for words in found if words != CORRECT)
    right = sum(found == [CORRECT] for found in verdicts.values())
    lines = [
        "# Attacks", "",
        "Made by `python -m tests.attacks.table` from the records of `python -m tests.attacks.isolated` and "
        "`python -m tests.attacks.plain`.",
        "Plain nbgrader means: its own commands with nothing configured; the graded cells are the course's own "
        "`check(...)` lines.", "",
        f"{len(attacks)} attacks. The isolated grader did what is required with {met} of the "
        f"{sum(a.name in graded for a in attacks)} it was tried on, in one run of {inside.get('seconds', '?')} s "
        "beside six honest neighbours.",
        f"Plain nbgrader was tried on {len(verdicts)} and did what is required with {right}. What went wrong:", "",
        "| what | attacks |", "|---|---:|",
        *(f"| {what} | {count} |" for what, count in kinds.most_common()), "",
    ]  # fmt: skip
    for name, group in groups.items():
        lines += [
            f"## {name.replace('_', ' ').capitalize()}",
            "",
            "| attack | required | isolated | plain nbgrader |",
            "|---|---|---|---|",
        ]
        for attack in group:
            cells = [f"**{attack.name}**: {attack.what}", owed(attack.required), did(attack, graded)]
            cells.append("; ".join(verdicts.get(attack.name, [NOT_RUN])))
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines)


def kind(words: str) -> str:
    """An outcome without its numbers, for counting."""
    if words.endswith("points too many") or words.startswith("a grade of"):
        return "more points than deserved, or a grade where a person should look"
    if words.endswith("points too few"):
        return "fewer points than deserved"
    if "written answer" in words:
        return "the written answer marked, unread"
    return words


def owed(required: Required) -> str:
    """The requirement in words."""
    if required.graded is False:
        return "for a person"
    words = []
    for question, points in required.points.items():
        name = "every question" if question == "*" else question
        if points == FULL:
            words.append(f"{name}: full")
        elif points == ZERO:
            words.append(f"{name}: 0")
        elif isinstance(points, tuple):
            low, high = points
            words.append(f"{name}: what its answers are worth" if high > 10 else f"{name}: {low:g} to {high:g}")
        else:
            words.append(f"{name}: {points:g}")
    text = ", ".join(words) + ("" if "*" in required.points or not words else ", the rest full") or "full marks"
    if any(required.reasons.values()):
        text += ", with the reason"
    if required.notes:
        text += ", with a note"
    return text + (", or for a person" if required.graded is None else "")


def did(attack: Attack, graded: dict[str, Any]) -> str:
    """What the isolated grader made of it."""
    row = graded.get(attack.name)
    if row is None:
        return NOT_RUN
    if row["broken"]:
        return "NOT AS REQUIRED: " + plain_text("; ".join(row["broken"]))
    if row["status"] != "graded":
        return plain_text(f"{row['status']}: {row['problem']}")
    lost = [
        f"{name} {mark['points']:g} ({mark['reason']})"
        for name, mark in row["lost"].items()
        if mark["points"] is not None
    ]
    if len(lost) > 3:
        return f"{row['total']:g} points; {len(lost)} questions lost points, each with its reason"
    return plain_text(f"{row['total']:g} points" + ("; " + "; ".join(lost) if lost else ""))


def plain_text(text: str, most: int = 200) -> str:
    """One line of a table that shows markup as text."""
    line = " ".join(text.split()).replace("<", "&lt;")
    return line if len(line) <= most else line[: most - 1] + "…"


if __name__ == "__main__":
    main()
