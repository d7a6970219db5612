"""Notebooks as students might hand them in, made from a released one."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from pathlib import Path

import nbformat
import psutil
from nbformat import NotebookNode

from autograder.sandbox import tiers

SOURCES = Path(__file__).parent / "sources"
NAMES = ["attention.softmax", "attention.split_heads"]

SOFTMAX = "def softmax(x, dim):\n    return torch.softmax(x, dim)"
HEADS = (
    "def split_heads(x, heads):\n    return rearrange(x, 'b n (h d) -> b h n d', h=heads)\n\n\n"
    "def merge_heads(x):\n    return rearrange(x, 'b h n d -> b n (h d)')"
)
ESSAY = "exp overflows."
RIGHT = {"softmax": SOFTMAX, "split_heads": HEADS, "explain": ESSAY}


def find(notebook: NotebookNode, grade_id: str) -> int:
    """The index of the cell with this nbgrader id."""
    return next(i for i, c in enumerate(notebook.cells) if c.metadata.get("nbgrader", {}).get("grade_id") == grade_id)


def notebook(
    release: Path, answers: dict[str, str], edit: Callable[[NotebookNode], None] | None = None
) -> NotebookNode:
    """The released notebook with some answers filled in, then edited as a whole."""
    paper = copy.deepcopy(nbformat.read(release / "attention.ipynb", as_version=4))
    for grade_id, source in answers.items():
        paper.cells[find(paper, grade_id)].source = source
    if edit:
        edit(paper)
    return paper


def drop(grade_id: str) -> Callable[[NotebookNode], None]:
    return lambda paper: paper.cells.pop(find(paper, grade_id))


def rewrite(grade_id: str, source: str) -> Callable[[NotebookNode], None]:
    return lambda paper: paper.cells[find(paper, grade_id)].update(source=source)


def double(grade_id: str) -> Callable[[NotebookNode], None]:
    def edit(paper: NotebookNode) -> None:
        index = find(paper, grade_id)
        twin = copy.deepcopy(paper.cells[index])
        twin["id"] = "twin"
        paper.cells.insert(index, twin)

    return edit


def strip(paper: NotebookNode) -> None:
    """As some editors in the browser do: no metadata is left."""
    for cell in paper.cells:
        cell.metadata = nbformat.from_dict({})


def tamper(paper: NotebookNode) -> None:
    """Everything that buys marks from nbgrader alone, or stops it."""
    for cell in paper.cells:
        if "nbgrader" in cell.metadata:
            cell.metadata["nbgrader"].update(schema_version=99)
            cell.metadata["tags"] = ["skip-execution"]
            if cell.metadata["nbgrader"]["grade"]:
                cell.metadata["nbgrader"]["points"] = 500
    paper.cells[find(paper, "explain")].metadata["nbgrader"]["solution"] = False


def best_tier() -> str:
    """The name of the isolation that grading chooses on this machine."""
    tier, why = tiers.choose(None)
    assert tier, why
    return tier.name


def running() -> dict[int, str]:
    """The command lines of the processes that this one and its children have started, by their numbers."""
    found = {}
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended, if it is not yet waited for too
            found[process.pid] = " ".join(process.cmdline())
    return found
