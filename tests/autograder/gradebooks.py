"""Finished notebooks without running anything, plain nbgrader on them, and a gradebook's contents to compare."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import nbformat
from classroom import RIGHT, find, notebook
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.converters import Autograde
from nbgrader.preprocessors import (
    AssignLatePenalties,
    CheckCellMetadata,
    LimitOutput,
    OverwriteCells,
    OverwriteKernelspec,
    SaveAutoGrades,
)
from nbgrader.utils import capture_log
from sqlalchemy import MetaData, create_engine, select

from autograder.course import Course
from autograder.grading.rebuild.trusted import trusted_cells

FULL = {"softmax-check": 5.0, "split_heads-check": 5.0}


def finished(course: Course, points: dict[str, float] = FULL, answers: dict[str, str] = RIGHT) -> NotebookNode:
    """A graded notebook as the runner hands it over: trusted metadata, and a result in every test cell."""
    paper = notebook(course.release("attention"), answers)
    with course.gradebook() as gradebook:
        trusted = trusted_cells(gradebook, "attention", "attention")
    for name, cell in trusted.items():
        paper.cells[find(paper, name)].metadata = nbformat.from_dict(cell.metadata())
    for name, reached in points.items():
        data = {"text/plain": repr(reached), "text/html": f"<table><tr><td>{reached} points</td></tr></table>"}
        paper.cells[find(paper, name)].outputs = [new_output("execute_result", data, execution_count=1)]
    return paper


def hand_in(course: Course, student: str, paper: NotebookNode, when: str = "2026-03-01 12:00:00 UTC\n") -> Path:
    """Put a submission's files into submitted/, with a note of when they came."""
    folder = course.submitted(student, "attention")
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(paper, folder / "attention.ipynb")
    (folder / "timestamp.txt").write_text(when)
    return folder


def with_nbgrader(course: Course, student: str) -> None:
    """nbgrader's own autograde on a submission that has its outputs already: all of it but running the code."""
    own = {
        "sanitize_preprocessors": [OverwriteKernelspec, OverwriteCells, CheckCellMetadata],
        "autograde_preprocessors": [LimitOutput, SaveAutoGrades, AssignLatePenalties, CheckCellMetadata],
    }
    bare = Course(course.root, course.db, {**course.extra, "Autograde": own})
    folder = bare.coursedir(assignment_id="attention", student_id=student)
    result = capture_log(Autograde(coursedir=folder, config=bare.config(), force=True))
    assert result["success"], result


def contents(course: Course) -> dict[str, list[tuple]]:
    """Every row of every table, with the names of what it belongs to in place of the ids that nbgrader draws."""
    engine = create_engine(course.coursedir().db_url)
    tables = MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        rows = {
            name: [dict(row._mapping) for row in connection.execute(select(table))]
            for name, table in tables.tables.items()
        }
    engine.dispose()
    told = ("name", "type", "student_id", "assignment_id", "notebook_id", "cell_id")
    drawn = [name for name in rows if name not in ("student", "course") and "_cells" not in name]
    known = {row["id"]: (name, row) for name in drawn for row in rows[name] if "id" in row}

    def plain(value: object) -> object:
        if value not in known:
            return value
        name, row = known[value]
        return (name, *(plain(row[key]) for key in told if key in row and row[key] != value))

    return {
        name: sorted((tuple((key, plain(value)) for key, value in sorted(row.items())) for row in found), key=repr)
        for name, found in rows.items()
    }


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """The mode and content of every file below a folder."""
    files = (path for path in folder.rglob("*") if not path.is_dir())
    return {str(path.relative_to(folder)): (path.stat().st_mode & 0o777, path.read_bytes()) for path in files}


def twin(course: Course, folder: Path) -> Course:
    """A copy of the course in another folder."""
    shutil.copytree(course.root, folder, symlinks=True)
    return Course(folder, course.db, copy.deepcopy(course.extra))
