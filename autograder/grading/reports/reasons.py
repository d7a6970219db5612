"""Why a test cell of a graded notebook lost points, in a sentence, and the known mistake's name if it is one."""

from __future__ import annotations

import re

from nbformat import NotebookNode

from autograder.verdict import MIME

# what can become of a whole question, whichever case it was at
LOST = {"timeout", "memory", "crash", "output", "missing", "forged"}
FILE_NAME = re.compile(r"\((?:<[^>]*>|\S+\.py), (?=line )")  # a cell's temporary file says nothing to a reader


def question(grade_id: str) -> str:
    """The name of a question for people: its test cell's id without the ending."""
    return grade_id.removesuffix("-check")


def explain_cells(cells: list[NotebookNode]) -> dict[str, tuple[str, str]]:
    """For each test cell of a graded notebook the known mistake's name and the reason for points lost."""
    named = {
        cell.metadata["nbgrader"]["grade_id"]: cell
        for cell in cells
        if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("grade_id")
    }
    return {
        name: explain_cell(cell, named.get(question(name)))
        for name, cell in named.items()
        if cell.metadata["nbgrader"].get("grade")
    }


def explain_cell(cell: NotebookNode, answer: NotebookNode | None) -> tuple[str, str]:
    """The known mistake's name and a sentence for one test cell, given the answer's cell above it."""
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stderr":
            return "", f"the code wrote to stderr, which nbgrader counts as a failure: {short(output.text)}"
        if output.output_type == "execute_result" and MIME in output.data:
            return explain_result(output.data[MIME])
        if output.output_type == "error":
            return "", explain_error(output, answer)
    return "", "the check gave no result"


def explain_result(result: dict) -> tuple[str, str]:
    """The known mistake's name and the first failed case of a check's own record."""
    mistake = str(result.get("mistake") or "")
    failed = [case for case in result.get("cases", []) if case.get("status") != "pass"]
    if not failed:
        return "", ""
    if all(case.get("status") == "unwritten" for case in failed) and len(failed) == len(result["cases"]):
        return "", "not written yet"
    if len({case.get("message") for case in failed}) == 1 and failed[0].get("status") in LOST:
        return "", short(str(failed[0].get("message")), 300)
    if mistake:
        return mistake, str(result.get("advice") or mistake)
    more = f" ({len(failed) - 1} more cases failed)" if len(failed) > 1 else ""
    status, message = failed[0].get("status"), f"{failed[0].get('title')}: {failed[0].get('message')}"
    named = status in LOST and f"{status}:" not in message
    return "", short(f"{status}: {message}" if named else message, 300) + more


def explain_error(output: NotebookNode, answer: NotebookNode | None) -> str:
    """Why a test cell ended in an error: its own, or that of the cell which should have defined the answer."""
    if output.ename == "CellTimeoutError":
        return "timeout: the check did not end within the time that a cell may take"
    before = [o for o in answer.outputs if o.output_type == "error"] if answer is not None else []
    if output.ename == "NameError" and answer is None:
        return f"its cell is missing ({short(output.evalue)})"
    if output.ename == "NameError" and before:
        if any(o.ename == "CellTimeoutError" for o in before):
            return "timeout: the cell that defines it did not end"
        return f"its cell stops with {before[0].ename}: {short(FILE_NAME.sub('(', before[0].evalue))}"
    return f"{output.ename}: {short(output.evalue)}"


def short(text: str, most: int = 160) -> str:
    """One line of printable text, without the colours of a terminal."""
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    line = " ".join("".join(c if c.isprintable() else " " for c in plain).split())
    return line if len(line) <= most else line[: most - 1] + "…"
