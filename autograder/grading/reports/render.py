"""One feedback page: nbgrader's own, from an exporter that is made once and remembers what all students share."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from jinja2 import pass_context
from nbconvert.exporters import HTMLExporter
from nbconvert.exporters.templateexporter import TemplateExporter
from nbconvert.filters.highlight import Highlight2HTML
from nbconvert.filters.widgetsdatatypefilter import WidgetsDataTypeFilter
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from nbgrader.converters import GenerateFeedback
from nbgrader.preprocessors import GetGrades, NbGraderPreprocessor

from autograder.course import Course
from autograder.grading.gradebook.grades import Grades
from autograder.grading.reports.tidy import finish

REMEMBERED, LONGEST = 500, 20_000  # texts, and characters of one
made: dict[str, HTMLExporter] = {}


class GivenGrades(GetGrades):
    """nbgrader's GetGrades, but for where the grades come from: they are handed over in the resources."""

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Write points and comments into the cells' metadata; KeyError for a cell that the gradebook does not know."""
        where = resources["nbgrader"]
        self.grades: Grades = where["grades"]
        nb, resources = NbGraderPreprocessor.preprocess(self, nb, resources)
        penalty = self.grades.penalty or 0
        where.update(score=self.grades.score - penalty, max_score=self.grades.max_score, late_penalty=penalty)
        return nb, resources

    def _get_comment(self, cell: NotebookNode, resources: dict) -> None:
        cell.metadata.nbgrader["comment"] = self.grades.comments[cell.metadata.nbgrader["grade_id"]]

    def _get_score(self, cell: NotebookNode, resources: dict) -> None:
        score, points = self.grades.points[cell.metadata.nbgrader["grade_id"]]
        cell.metadata.nbgrader.update(score=score, points=points)


class WarmExporter(HTMLExporter):
    """nbconvert's HTMLExporter, which renders a text that it has rendered before from memory."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.tail = ""
        self.highlighters: dict[str | None, Callable] = {}
        filters = self.environment.filters
        if not self.embed_images:
            filters["markdown2html"] = remember_markdown(filters["markdown2html"])

    def from_notebook_node(self, nb: NotebookNode, resources: Any = None, **options: Any) -> tuple[str, Any]:
        """The page, as nbconvert's method of this name makes it."""
        language = nb.metadata.get("language_info", {})
        lexer = language.get("pygments_lexer", language.get("name", None))
        if lexer not in self.highlighters:
            self.highlighters[lexer] = remember_code(Highlight2HTML(pygments_lexer=lexer, parent=self))
        resources = self._init_resources(resources)
        self.register_filter("highlight_code", self.filters.get("highlight_code", self.highlighters[lexer]))
        metadata = self._nb_metadata
        metadata.clear()
        widgets = WidgetsDataTypeFilter(notebook_metadata=metadata, parent=self, resources=resources)
        self.register_filter("filter_data_type", widgets)
        page, resources = TemplateExporter.from_notebook_node(self, nb, resources, **options)
        return (finish(page, self.tail) if self.tail else page), resources


def remember_markdown(original: Callable) -> Callable:
    """The filter with a memory; a cell with attachments is not looked up, for they are part of what it becomes."""
    known = lru_cache(maxsize=REMEMBERED)(lambda source: original({}, source))

    @pass_context
    def markdown(context: Any, source: str) -> str:
        if len(source) > LONGEST or context.get("cell", {}).get("attachments"):
            return original(context, source)
        return known(source)

    return markdown


def remember_code(original: Callable) -> Callable:
    """The filter with a memory."""

    @lru_cache(maxsize=REMEMBERED)
    def known(source: str, language: str | None, magic: str | None) -> str:
        return original(source, language, {"magics_language": magic} if magic else None)

    def highlight(source: str, language: str | None = None, metadata: dict | None = None) -> str:
        if len(source) > LONGEST:
            return original(source, language, metadata)
        return known(source, language, (metadata or {}).get("magics_language"))

    return highlight


def exporter(course: Course) -> HTMLExporter:
    """The exporter of this course; each process makes it once."""
    key = repr(course)
    if key not in made:
        made[key] = make_exporter(course)
    return made[key]


def make_exporter(course: Course) -> HTMLExporter:
    """The exporter that nbgrader's GenerateFeedback would make in this course, its templates loaded."""
    converter = GenerateFeedback(coursedir=course.coursedir(), config=course.config())
    kind = WarmExporter if converter.exporter_class is HTMLExporter else converter.exporter_class
    new = kind(parent=converter, config=converter.config)
    new.optimistic_validation = True  # once, and not after each step: they are nbgrader's own
    for step in converter.preprocessors:
        new.register_preprocessor(GivenGrades if step is GetGrades else step)
    if isinstance(new, WarmExporter):
        # What stands below the last cell is what two different pages end in, whole tags only.
        pages = [page(new, new_notebook(cells=cells), Grades("", "")) for cells in ([], [new_markdown_cell("x")])]
        shared = os.path.commonprefix([text[::-1] for text in pages])[::-1]
        new.tail = shared[shared.find("<") :]
    return new


def render(notebook: NotebookNode, grades: Grades, course: Course) -> str:
    """The feedback page of one graded notebook, as HTML: what nbgrader's `generate_feedback` makes of the same grades.

    Raises:
        KeyError: the notebook has a graded cell that the gradebook does not know.
    """
    return page(exporter(course), notebook, grades)


def page(exporter: HTMLExporter, notebook: NotebookNode, grades: Grades) -> str:
    name = grades.assignment
    where = {"student": grades.student, "assignment": name, "notebook": name, "grades": grades}
    resources = {
        "unique_key": name,
        "output_files_dir": f"{name}_files",
        "nbgrader": where,
        "metadata": {"name": name, "path": ""},
    }
    return exporter.from_notebook_node(notebook, resources=resources)[0]


def warm_up(course: Course) -> None:
    """Load all that a page needs, before this process is forked: its children then share it."""
    result = new_output("execute_result", {"text/plain": "1", "text/html": "<b>1</b>"})
    outputs = [result, new_output("stream", text="1")]
    cells = [new_markdown_cell("# x\n**x** `x` $x$"), new_code_cell("x = 1", outputs=outputs)]
    page(exporter(course), new_notebook(cells=cells), Grades("", ""))
    gc.collect()
    gc.freeze()
