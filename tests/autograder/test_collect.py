from __future__ import annotations

import os
import string

import nbformat
import pytest
from classroom import RIGHT, notebook
from hypothesis import given
from hypothesis import strategies as st

from autograder.course import Course, CourseError
from autograder.grading.collect import collect, kept_aside, safe_id
from autograder.grading.notebook import Unreadable, read_bytes, read_cells


@pytest.fixture
def text(course: Course) -> str:
    return nbformat.writes(notebook(course.release("attention"), RIGHT))


def test_students_are_known_by_file_or_folder(course: Course, text: str, tmp_path) -> None:
    box = tmp_path / "in"
    for name in ("ada.ipynb", "Bela Bruun_attention.ipynb", "attention-chidi.ipynb", "dana/attention.ipynb"):
        (box / name).parent.mkdir(parents=True, exist_ok=True)
        (box / name).write_text(text)
    (box / ".hidden.ipynb").write_text(text)
    (box / "dana" / ".ipynb_checkpoints").mkdir()
    (box / "dana" / ".ipynb_checkpoints" / "attention.ipynb").write_text("{}")
    results = collect(course, "attention", [box])
    assert sorted(r.student for r in results) == ["Bela-Bruun", "ada", "chidi", "dana"]
    assert not any(r.problem for r in results) and all(r.changed for r in results)
    assert (course.submitted("dana", "attention") / "attention.ipynb").read_text() == text
    assert (course.submitted("dana", "attention") / "timestamp.txt").read_text().endswith(" UTC\n")
    assert not any(r.changed for r in collect(course, "attention", [box]))


def test_what_cannot_be_read_is_kept_aside_with_its_reason(course: Course, text: str, tmp_path) -> None:
    box = tmp_path / "in"
    box.mkdir()
    broken = {
        "cut.ipynb": (text[:300].encode(), "the JSON breaks off at line"),
        "empty.ipynb": (b"", "the file is empty"),
        "latin.ipynb": ("{é".encode("latin-1"), "not text in UTF-8"),
        "list.ipynb": (b"[]", "not a"),
        "old.ipynb": (b'{"nbformat": 99, "nbformat_minor": 0, "metadata": {}, "cells": []}', "it has no cells"),
        "deep.ipynb": (b"[" * 100_000, "not"),
        "work.zip": (b"PK", "it is not a whole zip file"),
        "work3.rar": (b"Rar!", "unpack it first"),
        "work2.pdf": (b"%PDF", "is not a notebook"),
    }
    for name, (content, _) in broken.items():
        (box / name).write_bytes(content)
    (box / "link.ipynb").symlink_to("/etc/hostname")
    os.mkfifo(box / "pipe.ipynb")
    problems = {r.file.name: r.problem for r in collect(course, "attention", [box])}
    for name, (_, part) in broken.items():
        assert part in problems[name], (name, problems[name])
    assert "a link or a device" in problems["link.ipynb"] and "a link or a device" in problems["pipe.ipynb"]
    assert set(kept_aside(course, "attention")) == {name.split(".")[0] for name in problems}
    assert not (course.root / "submitted").exists()
    assert (course.aside("attention") / "cut" / "cut.ipynb").read_bytes() == broken["cut.ipynb"][0]
    # A readable one that comes later settles it.
    (box / "cut.ipynb").write_text(text)
    collect(course, "attention", [box / "cut.ipynb"])
    assert "cut" not in kept_aside(course, "attention")


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path, text: str) -> None:
    path = tmp_path / "x.ipynb"
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert len(read_cells(read_bytes(path))[0]) > 3


def test_too_large_a_file_is_not_read(tmp_path) -> None:
    path = tmp_path / "x.ipynb"
    with path.open("wb") as file:
        file.truncate(3_000_000_000)  # sparse: it takes no room
    with pytest.raises(Unreadable, match="3000 MB"):
        read_bytes(path)


def test_two_files_of_one_student_are_a_question_for_a_person(course: Course, text: str, tmp_path) -> None:
    box = tmp_path / "in"
    box.mkdir()
    for name, content in (("ada.ipynb", text), ("ada_attention.ipynb", text + " ")):
        (box / name).write_text(content)
        os.utime(box / name, (1.75e9, 1.75e9))
    results = collect(course, "attention", [box])
    assert [r.student for r in results] == ["ada", "ada"] and "two files belong to 'ada'" in results[1].problem
    assert [r.changed for r in results] == [True, False] and len(kept_aside(course, "attention")) == 1


def test_no_path_and_no_assignment_are_sentences(course: Course, tmp_path) -> None:
    with pytest.raises(CourseError, match="no file or folder"):
        collect(course, "attention", [tmp_path / "nowhere"])
    with pytest.raises(CourseError, match="no assignment 'cooking'"):
        collect(course, "cooking", [tmp_path])


@given(st.text())
def test_an_id_is_safe_in_a_path_whatever_the_name(name: str) -> None:
    found = safe_id(name)
    assert set(found) <= set(string.ascii_letters + string.digits + "_.@-") and len(found) <= 60
    assert not found.startswith((".", "-")) and found not in ("", "..") or found == ""
