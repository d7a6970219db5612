from __future__ import annotations

import nbformat
import pytest
from classroom import SOURCES

from autograder.course import SOLUTIONS, Course, CourseError
from autograder.release import gradebook_cells, read_source, release, sources

SOURCE = SOURCES / "attention.md"


def notebook(course: Course) -> nbformat.NotebookNode:
    return nbformat.read(course.release("attention") / "attention.ipynb", as_version=4)


def rewritten(tmp_path, old: str, new: str):
    text = SOURCE.read_text()
    assert old in text
    path = tmp_path / "attention.md"
    path.write_text(text.replace(old, new))
    return path


def test_two_releases_are_equal_to_the_byte(course: Course, tmp_path) -> None:
    # Cell ids are drawn at random by every library on the way, so equality shows that ours are kept.
    other = Course.at(tmp_path / "other")
    release(other, SOURCE)
    name = "attention/attention.ipynb"
    assert (course.root / "release" / name).read_bytes() == (other.root / "release" / name).read_bytes()
    assert [c["id"] for c in notebook(course).cells][:4] == ["start-text-1", "imports", "imports-text-1", "softmax"]


def test_added_text_moves_no_other_id(course: Course, tmp_path) -> None:
    before = {c.source: c["id"] for c in notebook(course).cells}
    changed = read_source(rewritten(tmp_path, "# A small assignment", "New text.\n\n+++\n\n# A small assignment"))
    after = {c.source: c["id"] for c in changed.cells}
    shared = [s for s in before if s in after and not s.startswith("# A small")]
    assert len(shared) > 4 and all(before[s] == after[s] for s in shared)


def test_students_get_stubs_and_no_solutions(course: Course) -> None:
    text = (course.release("attention") / "attention.ipynb").read_text()
    for secret in ("BEGIN", "END SOLUTION", "MARK SCHEME", "shifted", "the shift cancels", "b n (h d)"):
        assert secret not in text
    stub = next(c for c in notebook(course).cells if c["id"] == "split_heads").source
    assert stub.count("raise NotImplementedError(") == 2 and stub.count("YOUR CODE HERE") == 2
    compile(stub, "stub", "exec")


def test_a_repeated_solution_is_not_released(course: Course, tmp_path) -> None:
    line = 'return rearrange(x, "b h n d -> b n (h d)")'
    path = rewritten(tmp_path, "# A small assignment", f"By the way: `{line}`\n\n# A small assignment")
    with pytest.raises(CourseError, match="would have shown students: 'return rearrange"):
        release(course, path)
    assert not course.release("attention").exists()


def test_a_second_release_touches_nothing(course: Course, tmp_path) -> None:
    book = tmp_path / "book"
    assert release(course, SOURCE, book)  # the book's copy is new
    files = {p: p.stat().st_mtime_ns for p in [*course.root.rglob("*"), *book.rglob("*")] if p.is_file()}
    assert not release(course, SOURCE, book)
    assert files == {p: p.stat().st_mtime_ns for p in files}
    assert (book / "attention.ipynb").read_text() == (course.release("attention") / "attention.ipynb").read_text()


def test_a_damaged_release_is_made_again(course: Course) -> None:
    path = course.release("attention") / "attention.ipynb"
    good = path.read_text()
    path.write_text("{}")
    assert release(course, SOURCE) and path.read_text() == good
    course.root.joinpath("gradebook.db").unlink()
    assert release(course, SOURCE) and gradebook_cells(course, "attention")


def test_grades_survive_a_new_release_and_lost_cells_are_refused(course: Course, tmp_path) -> None:
    with course.gradebook() as gradebook:
        gradebook.add_student("ada")
        gradebook.add_submission("attention", "ada")
        grade = gradebook.find_grade("softmax-check", "attention", "attention", "ada")
        grade.manual_score = 3.5
        gradebook.db.commit()
    release(course, rewritten(tmp_path, "points: 5", "points: 7"))
    with course.gradebook() as gradebook:
        grade = gradebook.find_grade("softmax-check", "attention", "attention", "ada")
        assert (grade.manual_score, grade.max_score) == (3.5, 7.0)
    before = (course.release("attention") / "attention.ipynb").read_text()
    with pytest.raises(CourseError, match=r"heads-check, split_heads-check.*1 submissions"):
        release(course, rewritten(tmp_path, "split_heads-check", "heads-check"))
    assert (course.release("attention") / "attention.ipynb").read_text() == before


def test_the_folder_s_own_configuration_is_never_overwritten(course: Course) -> None:
    course.config_file.write_text(course.config_file.read_text() + "c.Execute.timeout = 7\n")
    course.release("attention").joinpath("attention.ipynb").unlink()
    assert release(course, SOURCE)
    assert course.config().Execute.timeout == 7


def test_sources_are_found_by_name() -> None:
    assert [p.stem for p in sources(SOURCES)] == ["attention"]
    with pytest.raises(CourseError, match="no source for nothing in .*It has: attention"):
        sources(SOURCES, ["nothing"])


def test_a_grade_id_used_twice_is_refused(course: Course, tmp_path) -> None:
    with pytest.raises(CourseError, match="'softmax' is used twice"):
        release(course, rewritten(tmp_path, "grade_id: split_heads\n", "grade_id: softmax\n"))


@pytest.mark.parametrize("path", sources(SOLUTIONS), ids=lambda p: p.stem)
def test_every_assignment_of_the_course_can_be_released(path, tmp_path) -> None:
    made = Course.at(tmp_path / "course")
    assert release(made, path) and not release(made, path)
