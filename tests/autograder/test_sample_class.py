from __future__ import annotations

import json

import nbformat
import pytest

from autograder import checks
from autograder.course import SOLUTIONS, Course
from autograder.everything import farewell, real_students
from autograder.grading.intake.collect import collect, safe_id
from autograder.release import release
from autograder.sample_class import deal_mistakes, hand_in, sheets, student_names

EXERCISES = [checks.load(name) for name in checks.names("attention")]


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Course:
    made = Course.at(tmp_path_factory.mktemp("sample") / "course")
    release(made, SOLUTIONS / "attention.md")
    return made


@pytest.fixture(scope="module")
def class_(course: Course) -> list[tuple[str, str]]:
    notebooks = [
        nbformat.read(course.root / step / "attention" / "attention.ipynb", as_version=4)
        for step in ("release", "source")
    ]
    return sheets(*notebooks, EXERCISES)


def test_every_known_mistake_is_made_once_and_no_exercise_twice_by_one_student() -> None:
    hands = deal_mistakes(EXERCISES)
    made = [name for names, _ in hands for name in names]
    assert sorted(made) == sorted(f"{e.name}: {m.name}" for e in EXERCISES for m in e.mistakes)
    sources = {m.source for e in EXERCISES for m in e.mistakes}
    assert all(len(names) == len(answers) and set(answers.values()) <= sources for names, answers in hands)
    sizes = [len(names) for names, _ in hands]
    assert max(sizes) - min(sizes) <= 1


def test_the_class_is_large_and_has_every_kind(class_) -> None:
    kinds = [what for what, _ in class_]
    assert len(kinds) >= 24 and len(set(kinds)) == len(kinds)
    for kind in (
        "the model solution", "untouched", "an exception", "a syntax error", "an endless loop",
        "deleted a test cell", "edited a test cell", "a file cut short",
    ):  # fmt: skip
        assert kind in kinds
    assert sum("half" in kind for kind in kinds) and sum("another way" in kind for kind in kinds) == 3
    texts = [text for _, text in class_]
    assert len(set(texts)) == len(texts)


def test_only_the_cut_file_is_no_notebook(class_) -> None:
    for what, text in class_:
        if what == "a file cut short":
            with pytest.raises(json.JSONDecodeError):
                json.loads(text)
        else:
            nbformat.validate(nbformat.reads(text, as_version=4))


def test_it_is_the_same_every_time_and_writes_nothing_twice(course: Course, class_) -> None:
    folder = hand_in(course, "attention")
    files = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()}
    assert sorted(content.decode() for content, _ in files.values()) == sorted(text for _, text in class_)
    assert hand_in(course, "attention") == folder
    assert files == {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()}


def test_everyone_has_a_name_of_their_own_that_survives_collecting(course: Course) -> None:
    names = student_names(60)
    assert len(set(names)) == 60 and all(safe_id(name) == name for name in names)
    results = collect(course, "attention", [hand_in(course, "attention")])
    assert sorted(r.student for r in results) == sorted(student_names(len(results)))
    assert sum(bool(r.problem) for r in results) == 1


def test_made_up_students_never_get_among_real_ones(course: Course, tmp_path) -> None:
    collect(course, "attention", [hand_in(course, "attention")])
    assert real_students(course) == []
    other = Course.at(tmp_path / "real")
    other.submitted("a-real-one", "attention").mkdir(parents=True)
    assert real_students(other) == ["a-real-one"]
    assert "feedback" in farewell(other, 1.0, sample=True).split("Type next")[0]
    assert "feedback" not in farewell(other, 1.0, sample=False).split("Type next")[0]
