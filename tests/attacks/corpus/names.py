"""Names of files and folders, and times of handing in."""

from __future__ import annotations

import json

from autograder.grading.intake.collect import safe_id
from tests.attacks.attack import Attack, File, Required, either, person, safe
from tests.attacks.kit import Kit
from tests.attacks.making import Make


def named(path: str, modified: float | None = None) -> Make:
    """A right notebook under this name."""
    return lambda kit: [File(path, kit.text(), modified)]


def other_assignment(kit: Kit) -> str:
    cells = [
        {
            "cell_type": "code",
            "metadata": {
                "nbgrader": {
                    "grade_id": f"vit-{i}",
                    "grade": True,
                    "points": 5,
                    "locked": True,
                    "solution": False,
                    "schema_version": 3,
                }
            },
            "source": "1",
            "outputs": [],
            "execution_count": None,
        }
        for i in range(3)
    ]
    return json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells})


def last_year(kit: Kit) -> str:
    """The same exercises under other ids: softmax alone still has its own."""
    paper = kit.notebook()
    for cell in paper.cells:
        meta = cell.metadata.get("nbgrader")
        if meta and not meta["grade_id"].startswith("softmax") and meta["grade_id"] != "imports":
            meta["grade_id"] = "old-" + meta["grade_id"]
            if meta["locked"]:
                cell.source = cell.source.replace("check(", "old_check(")
    return json.dumps(paper)


def with_time_file(text: str) -> Make:
    return lambda kit: [File("time-file/attention.ipynb", kit.text()), File("time-file/timestamp.txt", text)]


ATTACKS = [
    Attack("spaces", "a name with spaces", named("  spaces  .ipynb"), safe()),
    Attack(
        "accents-composed",
        "an accent as one character",
        named("accents-compose\u0301d.ipynb".replace("e\u0301", "\u00e9")),
        safe(),
    ),
    Attack("accents-decomposed", "an accent as two characters", named("accents-de\u0301composed.ipynb"), safe()),
    Attack("full-width", "letters of full width", named("ｆｕｌｌ-width.ipynb"), safe()),
    Attack("right-to-left", "an override of the direction of writing", named("right-\u202eto-left.ipynb"), safe()),
    Attack(
        "formula",
        "a name that a spreadsheet would compute",
        named("=cmd|' formula.ipynb"),
        safe(),
        student="cmd-formula",
    ),
    Attack(
        "minus", "a name that a program would take for an option", named("-rf minus.ipynb"), safe(), student="rf-minus"
    ),
    Attack(
        "markup",
        "a name with markup",
        named("<img src=x onerror=pwned> markup.ipynb"),
        safe(),
        student="img-src-x-onerror-pwned-markup",
    ),
    Attack(
        "line-end",
        "a name with a line end and an escape",
        named("line\n\x1b[31mend.ipynb"),
        safe(),
        student="line-31mend",
    ),
    Attack("quotes", "a name with quotes and a semicolon", named("quo\"te's; x.ipynb"), safe(), student="quo-te-s-x"),
    Attack("long-name", "a name of 240 letters", named("l" * 240 + ".ipynb"), safe(), student=safe_id("l" * 240)),
    Attack(
        "only-emoji",
        "a name without a letter",
        named("\U0001f600\U0001f600/\U0001f4a9.ipynb"),
        safe(),
        student=safe_id("\U0001f600\U0001f600"),
    ),
    Attack("dots", "a name of dots", named("dots....ipynb"), safe()),
    Attack("percent", "escapes of web addresses", named("%2e%2e%2fpercent.ipynb"), safe(), student="2e-2e-2fpercent"),
    Attack("device-name", "a name that Windows keeps for itself", named("CON.ipynb"), safe(), student=safe_id("CON")),
    Attack("renamed", "the notebook was renamed", named("renamed/Homework (1) final.ipynb"), safe()),
    Attack("renamed-copy", "the number of a second download", named("renamed-copy/attention (1).ipynb"), safe()),
    Attack(
        "other-assignment", "another assignment's notebook", other_assignment, person("none of the cells", "another")
    ),
    Attack(
        "last-year",
        "last year's version, with other ids and checks",
        last_year,
        Required(graded=None, points={"*": (0.0, 99.0)}, problem=("cells", "version"), essay=False),
    ),
    Attack("from-the-future", "changed in the year 2200", named("from-the-future.ipynb", 7_258_118_400.0), safe()),
    Attack("from-the-past", "changed in 1901", named("from-the-past.ipynb", -2_145_916_800.0), safe()),
    Attack(
        "time-garbage",
        "a file timestamp.txt of garbage beside it",
        lambda kit: [
            File("time-garbage/attention.ipynb", kit.text()),
            File("time-garbage/timestamp.txt", "yesterday\0\n"),
        ],
        either("file"),
    ),
    Attack(
        "time-forged",
        "a file timestamp.txt that says 1999",
        lambda kit: [
            File("time-forged/attention.ipynb", kit.text()),
            File("time-forged/timestamp.txt", "1999-01-01 00:00:00 UTC"),
        ],
        either("file"),
    ),
    Attack(
        "two-files",
        "two names that become one",
        lambda kit: [File("two-files.ipynb", kit.text()), File("two files/attention.ipynb", kit.text())],
        either("two files"),
    ),
]
