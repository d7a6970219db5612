"""Authoring traps in an assignment's source, each told as a sentence with what to do."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import jupytext
from nbformat import NotebookNode

from autograder import checks, judge
from autograder.course import CourseError
from autograder.exercise import HEADER, Exercise
from autograder.probe import one_thread

ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
EFFORT = re.compile(r"[Dd]ifficulty\D{0,20}[1-5].{0,60}?\d+\s*min", re.S)
HINT = re.compile(r"\b[Hh]int\b")
HINTS = 3
SEEDS = 20
IMPORT = "from autograder.check import check"
META = {"grade", "solution", "locked", "task", "grade_id", "schema_version", "points"}


def lint(path: Path, load: Callable[[str], Exercise] = checks.load, names: list[str] | None = None) -> list[str]:
    """Everything wrong with one source, as `file: cell: sentence`; empty if it may be released.

    Raises:
        CourseError: the file is not a notebook in MyST Markdown, or no assignment has its name.
    """
    try:
        notebook = jupytext.read(path)
        names = checks.names(path.stem) if names is None else names
    except Exception as error:  # jupytext lets its parsers' own exceptions through
        raise CourseError(f"{path} cannot be linted: {error}") from error
    exercises = {name: load(name) for name in names}
    problems = [*cell_problems(notebook), *assignment_problems(notebook, exercises), *solution_problems(notebook)]
    if not problems:
        problems = list(luck_problems(notebook, exercises.values()))
    return [f"{path.name}: {problem}" for problem in problems]


def meta(cell: NotebookNode) -> dict:
    """What nbgrader has written on a cell, {} if that is nothing or no mapping."""
    found = cell.metadata.get("nbgrader", {})
    return found if isinstance(found, dict) else {}


def label(cell: NotebookNode) -> str:
    """How a cell is called in a message: its grade_id, or how it begins."""
    return str(meta(cell).get("grade_id") or repr(cell.source.strip().split("\n")[0][:40]))


def is_test(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and bool(meta(cell).get("grade"))


def cell_problems(notebook: NotebookNode) -> Iterator[str]:
    """What is wrong with cells taken one by one, and with their ids."""
    seen: set[str] = set()
    for cell in notebook.cells:
        name = label(cell)
        if "skip-execution" in cell.metadata.get("tags", []):
            yield f"{name}: the tag skip-execution makes nbgrader give full marks without running it; remove it"
        if cell.get("outputs"):
            yield f"{name}: it holds output; a source has none"
        if "nbgrader" not in cell.metadata:
            continue
        data = meta(cell)
        if unknown := set(data) - META:
            yield f"{name}: nbgrader does not know {', '.join(sorted(unknown))}"
        if data.get("schema_version") != 3:
            yield f"{name}: schema_version must be 3, it is {data.get('schema_version')!r}"
        grade_id = data.get("grade_id")
        if not isinstance(grade_id, str) or not ID.fullmatch(grade_id):
            yield f"{name}: grade_id must be a word of letters, digits, _ and -, it is {grade_id!r}"
        elif grade_id in seen:
            yield f"{name}: this grade_id is used twice"
        seen.add(str(grade_id))
        if cell.cell_type == "code" and data.get("solution") and not data.get("grade"):
            yield from solution_cell_problems(cell)
        if is_test(cell) and data.get("solution"):
            yield f"{name}: a code cell is either a solution or a test, not both"
        if is_test(cell) and not data.get("locked"):
            yield f"{name}: a test cell must be locked, else students' edits of it count"
        if cell.cell_type == "markdown" and data.get("grade"):
            yield from manual_cell_problems(cell)


def solution_cell_problems(cell: NotebookNode) -> Iterator[str]:
    begins, ends = (cell.source.count(f"### {word} SOLUTION") for word in ("BEGIN", "END"))
    if not begins or begins != ends:
        yield f"{label(cell)}: a solution cell needs ### BEGIN SOLUTION and ### END SOLUTION in pairs"
    if meta(cell).get("locked"):
        yield f"{label(cell)}: a solution cell must not be locked, else nobody can answer"


def manual_cell_problems(cell: NotebookNode) -> Iterator[str]:
    if not meta(cell).get("solution"):
        yield f"{label(cell)}: a cell marked by hand needs solution: true, else nbgrader gives full marks unread"
    if "=== BEGIN MARK SCHEME ===" not in cell.source or "=== END MARK SCHEME ===" not in cell.source:
        yield f"{label(cell)}: it has no mark scheme between === BEGIN MARK SCHEME === and === END MARK SCHEME ==="
    points = meta(cell).get("points")
    if not isinstance(points, int | float) or isinstance(points, bool) or points <= 0:
        yield f"{label(cell)}: its points must be a number above 0, they are {points!r}"


def check_line(exercise: Exercise) -> str:
    """The one line of an exercise's test cell."""
    return f'check("{exercise.name}", {", ".join(exercise.objects)})'


def assignment_problems(notebook: NotebookNode, exercises: dict[str, Exercise]) -> Iterator[str]:
    """Exercises without cells, cells without exercises, and what stands around them."""
    cells = notebook.cells
    tests = {cell.source.strip(): index for index, cell in enumerate(cells) if is_test(cell)}
    lines = {check_line(exercise): exercise for exercise in exercises.values()}
    for line, index in tests.items():
        if line not in lines:
            model = next(iter(lines), "check(…)")
            yield f"{label(cells[index])}: a test cell is one line such as {model}, not {line!r}"
    if not any(cell.cell_type == "code" and meta(cell).get("locked") and IMPORT in cell.source for cell in cells):
        yield f"no locked code cell has `{IMPORT}`"
    if missing := [line for line in HEADER.splitlines() if line and not any(line in cell.source for cell in cells)]:
        yield f"the import cell lacks {missing}, which the known answers rely on"
    order = [lines[line].name for line in tests if line in lines]
    if order != (wanted := [name for name in exercises if name in order]):
        yield f"the exercises come in the order {order}, but the checks list them as {wanted}"
    for line, exercise in lines.items():
        if line not in tests:
            yield f"{exercise.name}: no test cell has the line {line}"
            continue
        index = tests[line]
        name, data = label(cells[index]), meta(cells[index])
        points = data.get("points")
        if points != exercise.points:
            yield f"{name}: the cell has {points} points, the check gives {exercise.points:g}"
        first = exercise.objects[0]
        if data.get("grade_id") != f"{first}-check":
            yield f"{name}: the grade_id of this test cell must be {first}-check"
        yield from question_problems(cells, index, exercise)


def question_problems(cells: list[NotebookNode], test: int, exercise: Exercise) -> Iterator[str]:
    """What is wrong with one exercise's statement and solution cell, which stand above its test cell."""
    start = next((i for i in range(test - 1, -1, -1) if is_test(cells[i])), -1) + 1
    above = cells[start:test]
    first = exercise.objects[0]
    answers = [cell for cell in above if meta(cell).get("grade_id") == first and meta(cell).get("solution")]
    if not answers:
        yield f"{exercise.name}: no solution cell with grade_id {first} stands between the last test cell and its own"
    elif absent := [name for name in exercise.objects if not re.search(rf"\b(def|class) {name}\b", answers[0].source)]:
        yield f"{first}: the solution cell does not define {', '.join(absent)}"
    statement = "\n".join(cell.source for cell in above if cell.cell_type == "markdown")
    if not EFFORT.search(statement):
        yield f"{exercise.name}: the statement lacks its effort, such as 'Difficulty 2 of 5, about 15 minutes'"
    if (count := len(HINT.findall(statement))) < HINTS:
        yield f"{exercise.name}: the statement has {count} hints, it needs {HINTS} of rising explicitness"


def luck_problems(notebook: NotebookNode, exercises: Iterable[Exercise]) -> Iterator[str]:
    """Checks whose verdict on the solution hangs on the seed, or that give it less than full marks."""
    space: dict[str, object] = {"__name__": "__main__"}
    for cell in notebook.cells:
        if cell.cell_type == "code" and not is_test(cell):
            try:
                exec(compile(cell.source, f"<{label(cell)}>", "exec"), space)
            except Exception as error:
                yield f"{label(cell)}: this cell raises {type(error).__name__}: {error}"
                return
    for exercise in exercises:
        objects = tuple(space[name] for name in exercise.objects)
        points = {str(seed): points_of(exercise, objects, str(seed)) for seed in range(SEEDS)}
        if lost := [seed for seed, got in points.items() if got < exercise.points]:
            some = "always" if len(lost) == SEEDS else f"with {len(lost)} of {SEEDS} seeds (the first is {lost[0]})"
            yield f"{exercise.name}: the solution loses points {some}"


def points_of(exercise: Exercise, objects: tuple[object, ...], seed: str) -> float:
    """The points of ``objects`` with one seed."""
    with one_thread():
        replies = [judge.answer(request, objects) for request in judge.requests(exercise, seed)]
        return judge.judge(exercise, seed, replies).points


def solution_problems(notebook: NotebookNode) -> Iterator[str]:
    """Code that is no Python, with the solution or with the stub in its place."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        stub = re.sub(
            r"(?ms)^([ \t]*)### BEGIN SOLUTION.*?### END SOLUTION", r"\1raise NotImplementedError", cell.source
        )
        for text, what in ((cell.source, "it"), (stub, "the stub that students would get")):
            try:
                ast.parse(text)
            except SyntaxError as error:
                yield f"{label(cell)}: {what} is not Python (line {error.lineno}: {error.msg})"
                break
