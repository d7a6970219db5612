"""What an attacker knows and has: the released notebook, right answers, and where the things lie that he is after."""

from __future__ import annotations

import copy
import json
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from autograder import checks

ASSIGNMENT = "attention"
ESSAY = "Scores grow with the square root of the width; dividing keeps softmax from saturating, so gradients flow."
Edit = Callable[[NotebookNode], Any]


@dataclass(frozen=True)
class Places:
    """What no submission may reach, and its address: all of it is bait."""

    course: Path
    home: Path
    secret_file: Path
    secret: str  # what stands in that file and in the environment's variable
    variable: str
    port: int
    socket: Path
    abstract: str

    def words(self) -> dict[str, str]:
        """What stands for each address in the text of an attack."""
        return {
            "@COURSE@": str(self.course),
            "@HOME@": str(self.home),
            "@SECRET_FILE@": str(self.secret_file),
            "@VARIABLE@": self.variable,
            "@PORT@": str(self.port),
            "@SOCKET@": str(self.socket),
            "@ABSTRACT@": self.abstract,
        }


@cache
def right_answers() -> Mapping[str, str]:
    """An answer to every exercise that is right and needs none of the others."""
    exercises = [checks.load(name) for name in checks.names(ASSIGNMENT)]
    return {e.objects[0]: e.variants[0].source.rstrip("\n") for e in exercises}


def find(notebook: NotebookNode, grade_id: str) -> int:
    """The index of the cell with this nbgrader id."""
    return next(i for i, c in enumerate(notebook.cells) if c.metadata.get("nbgrader", {}).get("grade_id") == grade_id)


@dataclass(frozen=True)
class Kit:
    """The released notebook and the addresses."""

    released: NotebookNode
    places: Places

    @classmethod
    def of(cls, course: Path, places: Places) -> Kit:
        path = course / "release" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
        return cls(nbformat.read(path, as_version=4), places)

    def fill(self, text: str) -> str:
        """The text with the addresses put in, and without its common indentation."""
        text = textwrap.dedent(text).strip("\n")
        for word, value in self.places.words().items():
            text = text.replace(word, value)
        return text

    def notebook(
        self, answers: Mapping[str, str] | None = None, edit: Edit | None = None, *, right: bool = True
    ) -> NotebookNode:
        """The released notebook with right answers (or none), then these, then edited as a whole."""
        paper = copy.deepcopy(self.released)
        written = dict(right_answers() | {"why-scale": ESSAY}) if right else {}
        for grade_id, source in (written | dict(answers or {})).items():
            paper.cells[find(paper, grade_id)].source = self.fill(source)
        if edit:
            edit(paper)
        return paper

    def text(self, answers: Mapping[str, str] | None = None, edit: Edit | None = None, *, right: bool = True) -> str:
        """The same as the text of a file: as it is, whether or not that is a valid notebook."""
        return json.dumps(self.notebook(answers, edit, right=right), indent=1, ensure_ascii=False) + "\n"
