"""A graded notebook that is harmless to look at: the student's part inert and bounded, the grader's part its own."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from nbformat import NotebookNode, from_dict

from autograder.grading.rebuild.recognise import grade_id
from autograder.grading.sanitise import text as texts
from autograder.grading.sanitise.checks import result_output
from autograder.grading.sanitise.images import FORMATS, NotAPicture, clean_image
from autograder.grading.sanitise.markdown import TOO_MUCH, as_typed, clean_markdown
from autograder.grading.sanitise.outputs import Budget, clean_count, clean_outputs

__all__ = ["Budget", "clean_code", "clean_markdown", "clean_notebook", "clean_outputs", "result_output"]

MAX_CELLS = 1000
MAX_SOURCE = 30_000
MAX_LINE = 5_000
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")
ATTACHMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
METADATA = {
    "schema_version": int, "grade": bool, "solution": bool, "locked": bool, "task": bool,
    "grade_id": str, "points": (int, float), "cell_type": str, "checksum": str,
}  # fmt: skip
# Above markdown that is neither the assignment's nor an answer, lest it pass for something of the grader's.
AUTHOR = "*Added or changed by the student:*\n\n"
LANGUAGE = {"language_info": {"name": "python"}}
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
# Places on nbgrader's pages that a heading must not take.
PLACES = {"top", "toc", "notebook", "notebook-container", "statusmessage"}
PLACES_OF_A_CELL = ("{}", "comment-{}", "{}-comment", "{}_extra_credit")


def clean_code(source: str) -> str:
    """Code as it was, but for characters that do not show what they are, lines of a book's length, and sheer mass."""
    text = texts.cut(texts.printable(source), MAX_SOURCE)
    if len(text) <= MAX_LINE:
        return text
    return "\n".join(line if len(line) <= MAX_LINE else cut_line(line) for line in text.split("\n"))


def cut_line(line: str) -> str:
    return f"{line[:MAX_LINE]}  # … cut: {len(line) - MAX_LINE:,} more characters; the limit is {MAX_LINE:,} for a line"


def clean_notebook(
    nb: NotebookNode,
    budget: Budget | None = None,
    trusted: Collection[str] = frozenset(),
    given: Collection[str] = frozenset(),
) -> NotebookNode:
    """A notebook of the same cells, inert: sources, outputs and attachments cleaned, metadata nbgrader's own only.

    Args:
        nb: the notebook after grading; it is not changed.
        budget: how much may be shown of it; by default a new `Budget`.
        trusted: the grade_ids of the cells whose outputs are the grader's and are left as they are.
        given: texts of the assignment itself, which are left as they are wherever a cell has just that text. If there
            are any, other markdown that is no answer gets a line that says whose it is.
    """
    budget = budget or Budget()
    known = {without_ends(text): text for text in given}
    reserved = PLACES | {
        place.format(name) for cell in nb.cells if (name := known_name(cell)) for place in PLACES_OF_A_CELL
    }
    cells = []
    for index, cell in enumerate(nb.cells):
        name = known_name(cell)
        if index >= MAX_CELLS and not name:
            continue
        cleaned = clean_cell(cell, budget, bool(name) and name in trusted, known, reserved)
        cells.append({"id": f"cell-{index}", **cleaned})
    if (left_out := len(nb.cells) - len(cells)) > 0:
        told = f"*… cut: {left_out:,} more cells; the limit is {MAX_CELLS:,}.*"
        cells.append({"id": "cut", "cell_type": "markdown", "metadata": {}, "source": told})
    # valid as it is made here; validating it again would cost more than all else
    return from_dict(
        {"cells": cells, "metadata": {"kernelspec": KERNEL, **LANGUAGE}, "nbformat": 4, "nbformat_minor": 5}
    )


def without_ends(text: str) -> str:
    """The text as it is compared: editors change the ends of lines."""
    return "\n".join(map(str.rstrip, text.splitlines())).strip()


def known_name(cell: NotebookNode) -> str | None:
    """The cell's grade_id, if it can stand on a page."""
    name = grade_id(cell)
    return name if name and NAME.fullmatch(name) else None


def clean_cell(
    cell: NotebookNode, budget: Budget, trusted: bool, given: dict[str, str], reserved: Collection[str]
) -> dict[str, Any]:
    """One cell made inert, without its id."""
    source = texts.as_text(cell.get("source"))
    metadata = clean_metadata(cell)
    kind = cell.get("cell_type")
    extra: dict[str, Any] = {}
    original = given.get(without_ends(source))
    if original is not None and (kind == "markdown" or original == source):
        source = original
    else:
        source = texts.cut(source, budget.sources, "reached for the sources of this notebook")
        if kind == "code":
            source = clean_code(source)
        elif kind == "markdown":
            attachments = clean_attachments(cell.get("attachments"), source, budget)
            extra = {"attachments": attachments} if attachments else {}
            source = clean_answer(source.removeprefix(AUTHOR), attachments, reserved, budget)
        else:
            source = as_typed(texts.cut(texts.printable(source), MAX_SOURCE), "*A raw cell:*")
        if given and kind != "code" and not metadata:
            source = AUTHOR + source
        budget.sources = max(0, budget.sources - texts.size(source))
        budget.spend(texts.size(source))
    if kind == "code":
        outputs = cell.get("outputs", []) if trusted else clean_outputs(cell.get("outputs", []), budget)
        count = clean_count(cell.get("execution_count"))
        extra = {"outputs": outputs, "execution_count": count}
    return {"cell_type": "code" if kind == "code" else "markdown", "metadata": metadata, "source": source, **extra}


def clean_answer(source: str, attachments: Collection[str], reserved: Collection[str], budget: Budget) -> str:
    """Markdown made inert, or shown as it was typed when the notebook has had its share of what is set."""
    if len(source) > budget.rendered:
        return as_typed(texts.cut(texts.printable(source), MAX_SOURCE), TOO_MUCH)
    budget.rendered -= len(source)
    return clean_markdown(source, attachments, reserved)


def clean_metadata(cell: NotebookNode) -> dict[str, Any]:
    """nbgrader's metadata of a cell, each field of its type, and nothing else."""
    if not known_name(cell):
        return {}
    given = cell.metadata["nbgrader"]
    kept = {key: value for key, kind in METADATA.items() if isinstance(value := given.get(key), kind)}
    return {"nbgrader": {key: v[:200] if isinstance(v, str) else v for key, v in kept.items()}}


def clean_attachments(attachments: object, source: str, budget: Budget) -> dict[str, dict[str, str]]:
    """The attached PNG and JPEG pictures that the text shows, encoded anew."""
    kept: dict[str, dict[str, str]] = {}
    left = budget.images_per_cell
    for name, bundle in list(attachments.items())[:50] if isinstance(attachments, dict) else []:
        if not (isinstance(bundle, dict) and ATTACHMENT.fullmatch(str(name)) and f"attachment:{name}" in source):
            continue
        for mime in FORMATS:
            try:
                data, pixels = clean_image(
                    mime, texts.as_text(bundle.get(mime)), min(left, budget.notebook), budget.pixels_per_image
                )
            except NotAPicture:
                continue  # the text shows its name instead
            kept[name] = {mime: data}
            left -= len(data)
            budget.spend(len(data))
            budget.pixels -= pixels
            break
    return kept
