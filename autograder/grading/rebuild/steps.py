"""Steps that the course's configuration adds to plain nbgrader's autograde, so that it treats notebooks as we do."""

from __future__ import annotations

from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor

from autograder.grading.rebuild.recognise import grade_id
from autograder.grading.rebuild.restore import restore
from autograder.grading.rebuild.trusted import trusted_cells
from autograder.verdict import MIME


class RestoreCells(NbGraderPreprocessor):
    """nbgrader's first step on a submission: the notebook rebuilt from what the gradebook knows of it."""

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Replace the cells as `restore` says; nbgrader's own log gets a warning for each change."""
        where = resources["nbgrader"]
        with Gradebook(where["db_url"]) as gradebook:
            trusted = trusted_cells(gradebook, where["assignment"], where["notebook"])
        nb.cells, notes = restore(nb.cells, trusted)
        nb.nbformat, nb.nbformat_minor = 4, 5
        for note in notes:
            self.log.warning("%s: %s", where["student"], note)
        return nb, resources


class QuietTests(NbGraderPreprocessor):
    """After execution: what student code printed to stderr inside a check no longer counts as a failed check.

    nbgrader gives zero to a test cell with anything on stderr, be it a warning of a library. A check reports
    failures in its result.
    """

    def preprocess_cell(self, cell: NotebookNode, resources: dict, index: int) -> tuple[NotebookNode, dict]:
        """Turn stderr into stdout in a test cell that has a check's result."""
        if grade_id(cell) and any(MIME in output.get("data", {}) for output in cell.get("outputs", [])):
            for output in cell.outputs:
                if output.output_type == "stream":
                    output.name = "stdout"
        return cell, resources
