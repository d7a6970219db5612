"""The step of plain nbgrader's autograde that leaves a notebook which is harmless to look at."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Unicode

from autograder.grading.rebuild.recognise import grade_id
from autograder.grading.sanitise.checks import clean_check
from autograder.grading.sanitise.notebook import Budget, clean_notebook


class SanitiseOutputs(NbGraderPreprocessor):
    """After the scores are saved: the notebook made inert, and each check's table made anew from its record.

    The record comes from the process that ran the student's code, so its words are taken as text and its numbers as
    numbers; what nbgrader read the score from stays as it is.
    """

    release = Unicode(help="The folder of the released assignments, whose texts are left as they are.").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Clean the whole notebook."""
        where = resources["nbgrader"]
        given = given_texts(Path(self.release) / where["assignment"] / f"{where['notebook']}.ipynb")
        budget = Budget()
        checks = set()
        for cell in nb.cells:
            if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("grade"):
                cell.outputs = clean_check(cell.outputs, budget)
                checks.add(grade_id(cell))
        return clean_notebook(nb, budget, trusted=checks, given=given), resources


def given_texts(path: Path) -> frozenset[str]:
    """The texts of the cells of a released notebook; none if it is not there."""
    return _given_texts(path, path.stat().st_mtime_ns) if path.is_file() else frozenset()


@lru_cache(maxsize=16)
def _given_texts(path: Path, _changed: int) -> frozenset[str]:
    return frozenset(cell.source for cell in nbformat.read(path, as_version=4).cells)
