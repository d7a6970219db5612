"""From an assignment's one source, solutions/<name>.md, to the notebook that students get."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

from autograder import nbgrader_config
from autograder.course import Course, CourseError, put_environment_on_path

MARKERS = ("BEGIN SOLUTION", "END SOLUTION", "MARK SCHEME", "HIDDEN TESTS")
REGION = re.compile(r"(?ms)BEGIN (SOLUTION|MARK SCHEME|HIDDEN TESTS)[^\n]*\n(.*?)^[^\n]*END \1")
STAMPS = ".released.json"


def sources(folder: Path, names: Iterable[str] = ()) -> list[Path]:
    """The named assignments' sources in `folder`, or all of them; CourseError for an unknown name."""
    found = {path.stem: path for path in sorted(folder.glob("*.md")) if path.stem != "README"}
    unknown = sorted(set(names) - set(found))
    if unknown or not found:
        raise CourseError(
            f"There is no source for {', '.join(unknown) or 'any assignment'} in {folder}. "
            f"It has: {', '.join(found) or 'nothing'}."
        )
    return [found[name] for name in (names or found)]


def read_source(path: Path) -> NotebookNode:
    """The notebook written in `path`, every cell with an id that stays the same from one release to the next."""
    try:
        notebook = jupytext.read(path)
    except Exception as error:  # jupytext lets its parsers' own exceptions through
        raise CourseError(f"{path} cannot be read as a notebook: {error}") from error
    anchor, since, seen = "start", 0, set()
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        if name:
            anchor, since = re.sub(r"[^A-Za-z0-9_-]", "-", str(name))[:50], 0
            cell["id"] = anchor
        else:
            # Text added in one place renumbers only the cells up to the next graded one.
            since += 1
            cell["id"] = f"{anchor}-text-{since}"
        if cell["id"] in seen:
            raise CourseError(f"{path}: the grade_id '{name}' is used twice. Give each cell its own.")
        seen.add(cell["id"])
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.metadata = nbformat.from_dict({"kernelspec": kernel, "language_info": {"name": "python"}})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    nbformat.validate(notebook)
    return notebook


def release(course: Course, source: Path, book: Path | None = None) -> bool:
    """Write source/, release/ and the book's copy of one assignment; returns whether anything had to change.

    Grades stay: nbgrader updates the assignment in place, and a change of the set of graded cells is refused
    once work has been handed in.

    Raises:
        CourseError: the source cannot be read or generated, or a solution would have been left in the release.
    """
    name = source.stem
    prepare_folder(course)
    notebook = read_source(source)
    text = nbformat.writes(notebook) + "\n"
    target = course.release(name) / f"{name}.ipynb"
    stamp = digest(text, Path(nbgrader_config.__file__).read_text(), Path(__file__).read_text())
    stamps = read_stamps(course)
    fresh = target.is_file() and stamps.get(name) == [stamp, digest(target.read_text())]
    fresh = fresh and in_gradebook(course, name, notebook)
    if not fresh:
        refuse_changed_cells(course, name, notebook)
        write_if_changed(course.source(name) / f"{name}.ipynb", text)
        generate(course, name)
        refuse_leaks(target, secrets(notebook))
        stamps[name] = [stamp, digest(target.read_text())]
        write_if_changed(course.root / STAMPS, json.dumps(stamps, indent=1, sort_keys=True) + "\n")
    copied = book is not None and write_if_changed(book / target.name, target.read_text())
    return copied or not fresh


def prepare_folder(course: Course) -> None:
    """Make the course folder and its nbgrader_config.py, unless they are there."""
    try:
        course.root.mkdir(parents=True, exist_ok=True)
        if not course.config_file.exists():
            course.config_file.write_text(nbgrader_config.course_file(course.db))
            course.config_file.chmod(0o600 if course.db else 0o644)  # a database address may hold a password
    except OSError as error:
        raise CourseError(
            f"The course folder {course.root} cannot be written ({error.strerror}). Name another with --course."
        ) from error


def generate(course: Course, name: str) -> None:
    """nbgrader's own generate_assignment."""
    from nbgrader.converters import GenerateAssignment
    from nbgrader.utils import capture_log

    put_environment_on_path()
    converter = GenerateAssignment(coursedir=course.coursedir(assignment_id=name), config=course.config(), force=True)
    result = capture_log(converter)
    if not result["success"]:
        raise CourseError(f"nbgrader could not make '{name}':\n{result.get('log') or result['error']}")


def graded_cells(notebook: NotebookNode) -> dict[str, float]:
    """The points of each graded cell of a notebook by its grade_id."""
    return {
        meta["grade_id"]: float(meta["points"])
        for cell in notebook.cells
        if (meta := cell.metadata.get("nbgrader", {})).get("grade")
    }


def gradebook_cells(course: Course, name: str) -> tuple[dict[str, float], int] | None:
    """The graded cells that the gradebook has for the assignment and its submissions, or None if it has none."""
    from nbgrader.api import MissingEntry

    with course.gradebook() as gradebook:
        try:
            entry = gradebook.find_notebook(name, name)
        except MissingEntry:
            return None
        return {cell.name: float(cell.max_score) for cell in entry.grade_cells}, len(entry.submissions)


def in_gradebook(course: Course, name: str, notebook: NotebookNode) -> bool:
    known = gradebook_cells(course, name)
    return known is not None and known[0] == graded_cells(notebook)


def refuse_changed_cells(course: Course, name: str, notebook: NotebookNode) -> None:
    """Raise CourseError if graded cells came or went although there are grades for the old ones."""
    known = gradebook_cells(course, name)
    if known and known[1] and (changed := set(known[0]) ^ set(graded_cells(notebook))):
        raise CourseError(
            f"'{name}' has gained or lost graded cells ({', '.join(sorted(changed))}) but {known[1]} submissions "
            "have been graded with the old ones. Release the new version into another folder (--course), "
            "or give it another name."
        )


def secrets(notebook: NotebookNode) -> list[str]:
    """The texts of a source that students must not get: what stands between BEGIN and END lines."""
    regions = (REGION.findall(cell.source) for cell in notebook.cells)
    return [text.strip() for found in regions for _, text in found if text.strip()]


def refuse_leaks(path: Path, hidden: list[str]) -> None:
    """Delete a release and raise CourseError if a marker is left in it, or any of the texts that are `hidden`."""
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells]
    left = [text for text in (*MARKERS, *hidden) if any(text in cell for cell in cells)]
    if left:
        shutil.rmtree(path.parent)
        raise CourseError(f"{path.name} would have shown students: {left[0]!r}. Nothing was released.")


def read_stamps(course: Course) -> dict[str, list[str]]:
    try:
        return json.loads((course.root / STAMPS).read_text())
    except (OSError, ValueError):
        return {}  # no stamp only means that the release is made again


def digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def write_if_changed(path: Path, text: str) -> bool:
    """Write the file unless it already says so; returns whether it was written."""
    if path.is_file() and path.read_text() == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return True
