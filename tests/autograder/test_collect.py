from __future__ import annotations

import io
import itertools
import os
import signal
import string
import sys
import tarfile
import time
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from classroom import RIGHT, notebook
from hypothesis import given
from hypothesis import strategies as st

from autograder.course import Course, CourseError
from autograder.grading.intake import shelf
from autograder.grading.intake.collect import Collected, collect, kept_aside, safe_id
from autograder.grading.intake.students import Owner, Roster, from_file, read_roster
from autograder.grading.rebuild.notebook import Unreadable, read_bytes, read_cells


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


@pytest.mark.parametrize("packed", [False, True])
def test_work_under_a_hidden_name_alone_in_its_folder_is_told_of(course: Course, text: str, tmp_path, packed) -> None:
    box = tmp_path / "in"
    hidden = {"ada/.attention.ipynb", "bela/deep/.attention.zip"}
    silent = {"chidi/._attention.ipynb", "chidi/.~lock", "dana/attention.ipynb", "dana/.attention.ipynb", "dana/.git/x"}
    for name in hidden | silent:
        (box / name).parent.mkdir(parents=True, exist_ok=True)
        (box / name).write_text(text)
    if packed:
        for kind, make in (("zip", zipfile.ZipFile), ("tar", tarfile.open)):
            with make(tmp_path / f"submissions.{kind}", "w") as archive:
                for name in sorted(hidden | silent):
                    (archive.write if kind == "zip" else archive.add)(box / name, name)
    for path in sorted(tmp_path.glob("submissions.*")) or [box]:
        found = {r.student: r.problem for r in collect(course, "attention", [path])}
        assert found.keys() == {"ada", "bela", "dana"} and not found["dana"]
        assert all("begins with a dot" in found[who] and "another name" in found[who] for who in ("ada", "bela"))
        assert set(kept_aside(course, "attention")) == {"ada", "bela"}


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


SPRING = 1_775_000_000.0


def lay(box: Path, files: dict[str, str | bytes], when: float | None = None) -> Path:
    """Write these files below a folder."""
    for name, content in files.items():
        path = box / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        if when is not None:
            os.utime(path, (when, when))
    return box


def pack(files: dict[str, str | bytes], kind: str = "zip") -> bytes:
    """The same in an archive."""
    made = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in files.items():
                file.writestr(name, content)
    else:
        with tarfile.open(fileobj=made, mode=f"w:{kind}") as file:
            for name, content in files.items():
                data = content if isinstance(content, bytes) else content.encode()
                info = tarfile.TarInfo(name)
                info.size = len(data)
                file.addfile(info, io.BytesIO(data))
    return made.getvalue()


def taken(course: Course) -> dict[str, str]:
    """The text of each student's submission."""
    return {p.parent.parent.name: p.read_text() for p in course.root.glob("submitted/*/attention/attention.ipynb")}


def versions(text: str, count: int) -> list[str]:
    """The same notebook that many times, told apart by white space at its end."""
    return [text + " " * index for index in range(count)]


def problems(results: list[Collected]) -> list[str]:
    return [result.problem for result in results if result.problem]


@pytest.mark.parametrize(
    ("name", "student"),
    [
        # Moodle: folders, or not; the number is of this assignment only
        ("Ada Lovelace_12345_assignsubmission_file_/attention.ipynb", "Ada-Lovelace"),
        ("Ada Lovelace_12345_assignsubmission_file_/my answers.ipynb", "Ada-Lovelace"),
        ("Ada Lovelace_12345_assignsubmission_file/attention.ipynb", "Ada-Lovelace"),
        ("Ada Lovelace_12345_assignsubmission_file_attention.ipynb", "Ada-Lovelace"),
        ("Zoë Müller_7_assignsubmission_file_/attention.ipynb", "Zoe-Muller"),
        # Canvas: its own number stays the same all year
        ("lovelaceada_12345_67890_attention.ipynb", "lovelaceada_12345"),
        ("lovelaceada_LATE_12345_67890_attention.ipynb", "lovelaceada_12345"),
        ("lovelaceada_12345_67890_attention-2.ipynb", "lovelaceada_12345"),
        ("lovelaceada_12345_67890_ada final (1).ipynb", "lovelaceada_12345"),
        # nbgrader's exchange, and its folder submitted/
        ("ada+attention+2026-05-01 12:00:00.123 UTC+abcd/attention.ipynb", "ada"),
        ("ada/attention/attention.ipynb", "ada"),
        # folders and files named by hand
        ("ada/attention.ipynb", "ada"),
        ("ada/Attention (1).ipynb", "ada"),
        ("ada/what I did.ipynb", "ada"),
        ("ada.ipynb", "ada"),
        ("ada.IPYNB", "ada"),
        ("ada_attention.ipynb", "ada"),
        ("attention-ada.ipynb", "ada"),
        ("Attention ada (2).ipynb", "ada"),
        ("ada_attention_v2.ipynb", "ada-v2"),
        ("ada@uni.example.ipynb", "ada@uni.example"),
        # an archive is its student's if one notebook is in it
        ("ada.zip", "ada"),
        ("ada_attention.tar.gz", "ada"),
    ],
)
def test_whose_work_it_is_by_its_name(course: Course, text: str, tmp_path, name: str, student: str) -> None:
    others = {"Emil Eklund_99_assignsubmission_file_/attention.ipynb": text} if "assignsub" in name else {
        "emil/attention.ipynb": text, "eklundemil_1_2_attention.ipynb": text,
    }  # fmt: skip
    content = pack({"homework/final.ipynb": text}, "zip" if name.endswith("zip") else "gz")
    lay(tmp_path / "in", {name: text if name.lower().endswith("ipynb") else content} | others)
    results = collect(course, "attention", [tmp_path / "in"])
    assert problems(results) == [] and student in taken(course) and len(taken(course)) == len(others) + 1
    # the platform's own zip of all that, as it is downloaded
    files = {
        p.relative_to(tmp_path / "in").as_posix(): p.read_bytes() for p in (tmp_path / "in").rglob("*.*") if p.is_file()
    }
    lay(tmp_path, {"download.zip": pack(files)})
    before = taken(course)
    results = collect(course, "attention", [tmp_path / "download.zip"])
    assert problems(results) == [] and not any(r.changed for r in results) and taken(course) == before


def test_what_a_platform_calls_late_is_told_and_costs_nothing(course: Course, text: str, tmp_path) -> None:
    lay(tmp_path / "in", {"lovelaceada_LATE_1_2_attention.ipynb": text, "muellerzoe_3_4_attention.ipynb": text}, SPRING)
    late, other = collect(course, "attention", [tmp_path / "in"])
    assert late.notes == ("the learning platform calls it late",) and other.notes == ()


def test_files_beside_the_notebook_come_along(course: Course, text: str, tmp_path) -> None:
    lay(tmp_path / "in", {
        "ada/attention.ipynb": text, "ada/data/points.csv": "1,2", "ada/helper.py": "x = 1", "ada/old.ipynb": "{}",
        "ada/timestamp.txt": "1999-01-01 00:00:00 UTC", "ada/aux.txt": "x", "lovelaceada_1_2_attention.ipynb": text,
        "lovelaceada_1_3_points.csv": "3,4",
    }, SPRING)  # fmt: skip
    results = collect(course, "attention", [tmp_path / "in"])
    here = course.submitted("ada", "attention")
    assert {p.relative_to(here).as_posix() for p in here.rglob("*") if p.is_file()} == {
        "attention.ipynb", "data/points.csv", "helper.py", "timestamp.txt",
    }  # fmt: skip
    assert (here / "timestamp.txt").read_text() == "2026-03-31 23:33:20 UTC\n"
    notes = " ".join(note for result in results for note in result.notes)
    assert "old.ipynb was left out: it is another notebook" in notes and "aux.txt was left out: its name" in notes
    assert (course.submitted("lovelaceada_1", "attention") / "points.csv").read_text() == "3,4"


@pytest.mark.parametrize("kind", ["zip", "gz", "bz2", "xz", ""])
def test_a_class_in_an_archive_of_archives(course: Course, text: str, tmp_path, kind: str) -> None:
    ada, bela, chidi = versions(text, 3)
    whole = pack({
        "term/ada.zip": pack({"attention.ipynb": ada, "data.txt": "1"}),
        "term/bela.tar.gz": pack({"deep/er/work.ipynb": bela}, "gz"),
        "term/chidi/answers.zip": pack({"attention/attention.ipynb": chidi}),
        "term/dana/attention.ipynb": text,
    }, kind)  # fmt: skip
    lay(tmp_path, {"everybody" + (".zip" if kind == "zip" else ".tar" + (f".{kind}" if kind else "")): whole})
    (path,) = tmp_path.glob("everybody.*")
    assert problems(collect(course, "attention", [path])) == []
    assert taken(course) == {"ada": ada, "bela": bela, "chidi": chidi, "dana": text}
    assert (course.submitted("ada", "attention") / "data.txt").read_text() == "1"
    assert not [p for p in (course.root / "collected" / "attention").iterdir() if p.is_dir() and p.name != "staging"]


def test_an_archive_in_an_archive_in_an_archive_is_for_a_person(course: Course, text: str, tmp_path) -> None:
    inner = pack({"x/ada.zip": pack({"ada.zip": pack({"attention.ipynb": text})}), "bela/attention.ipynb": text})
    lay(tmp_path, {"all.zip": inner})
    results = collect(course, "attention", [tmp_path / "all.zip"])
    assert list(taken(course)) == ["bela"] and "unpack it first" in problems(results)[0]


def test_a_damaged_or_hostile_archive_costs_only_its_student(course: Course, text: str, tmp_path) -> None:
    slip = pack({"../../../../escaped.ipynb": text})
    link = io.BytesIO()
    with tarfile.open(fileobj=link, mode="w") as file:
        info = tarfile.TarInfo("attention.ipynb")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(info)
    bomb = pack({"attention.ipynb": b" " * 19_000_000})
    lay(tmp_path / "in", {
        "ada.zip": b"PK\x03\x04 nonsense", "bela.zip": slip, "chidi.tar": link.getvalue(), "dana.zip": bomb,
        "emil.zip": pack({"notes.txt": "no notebook"}), "farah.zip": pack({"attention.ipynb": text}),
    })  # fmt: skip
    results = {r.student: r.problem for r in collect(course, "attention", [tmp_path / "in"])}
    assert list(taken(course)) == ["farah"] and results["farah"] == ""
    assert "not a whole zip" in results["ada"] and "outside of the archive" in results["bela"]
    assert "a link or a device" in results["chidi"] and "200 times" in results["dana"]
    assert "not a notebook" in results["emil"]
    assert set(kept_aside(course, "attention")) == {"ada", "bela", "chidi", "dana", "emil"}
    assert not list(tmp_path.rglob("escaped*")) and not list(tmp_path.parent.glob("escaped*"))


def test_nobody_hands_in_under_another_s_name_by_what_is_in_an_archive(course: Course, text: str, tmp_path) -> None:
    ada, forged = versions(text, 2)
    names = ("ada.ipynb", "bela/attention.ipynb", "Chidi C_1_assignsubmission_file_/attention.ipynb", "dana.zip")
    for number, name in enumerate(names):
        content = pack({"attention.ipynb": forged}) if name.endswith("zip") else forged
        lay(tmp_path / "in", {f"eve{number}.zip": pack({name: content})}, SPRING + 9)
    lay(tmp_path / "in", {"eve4.zip": pack({"ada.ipynb": forged, "bela.ipynb": forged}), "ada.ipynb": ada}, SPRING)
    lay(tmp_path / "in", {"eve5/ada.ipynb": forged, "eve5/bela.ipynb": forged, "emil/attention.ipynb": text}, SPRING)
    results = {r.student: r.problem for r in collect(course, "attention", [tmp_path / "in"])}
    assert taken(course) == {"ada": ada, "emil": text} | {f"eve{number}": forged for number in range(4)}
    assert all("two or more notebooks" in results[name] for name in ("eve4", "eve5"))


def test_a_group_s_folder_holds_a_file_for_each_student(course: Course, text: str, tmp_path) -> None:
    lay(tmp_path / "in", {f"{group}/{who}.ipynb": text for group, who in ("ba", "bb", "cc", "cd")})
    assert problems(collect(course, "attention", [tmp_path / "in"])) == [] and sorted(taken(course)) == list("abcd")


def test_of_several_notebooks_the_one_called_like_the_assignment_counts(course: Course, text: str, tmp_path) -> None:
    lay(tmp_path / "in", {"ada/attention.ipynb": text, "ada/Attention (1).ipynb": "{}", "ada/draft.ipynb": "{}"})
    lay(tmp_path / "in", {"bela.zip": pack({"a/attention.ipynb": text, "b/attention.ipynb": text})})
    results = {r.student: r.problem for r in collect(course, "attention", [tmp_path / "in"])}
    assert taken(course) == {"ada": text}
    assert "nothing says which one counts: a/attention.ipynb, b/attention.ipynb" in results["bela"]


def test_a_heap_of_archives_is_not_unpacked(course: Course, text: str, tmp_path) -> None:
    heap = pack({f"{index}.zip": pack({"x.txt": "1"}) for index in range(9)})
    (result,) = collect(course, "attention", [lay(tmp_path / "in", {"ada.zip": heap})])
    assert result.problem == "it has 9 archives in it, more than the 5 that are unpacked"


def test_the_newest_version_counts_and_the_others_are_kept(course: Course, text: str, tmp_path) -> None:
    first, second, third = versions(text, 3)
    lay(tmp_path / "monday", {"ada.ipynb": first}, SPRING)
    lay(tmp_path / "tuesday", {"ada.ipynb": second}, SPRING + 86_400)
    collect(course, "attention", [tmp_path / "monday"])
    (result,) = collect(course, "attention", [tmp_path / "tuesday"])
    assert result.changed and taken(course) == {"ada": second}

    def shelves() -> list[str]:
        return sorted(p.read_text() for p in shelf.history(course, "ada", "attention").glob("*/attention.ipynb"))

    assert shelves() == [first]
    # one that is older than what is there changes nothing, and is not lost; a second time it is known
    for _ in range(2):
        (result,) = collect(course, "attention", [tmp_path / "monday"])
        assert not result.changed and result.notes == ("an older version than the one that counts",)
        assert taken(course) == {"ada": second} and shelves() == [first]
    # in one batch, whatever the order of the names
    lay(tmp_path / "box", {"a_attention_ada.ipynb": third}, SPRING)
    lay(tmp_path / "both", {"bela.ipynb": third}, SPRING + 50)
    lay(tmp_path / "both", {"bela_attention.ipynb": first}, SPRING)
    results = collect(course, "attention", [tmp_path / "both"])
    assert problems(results) == [] and taken(course)["bela"] == third
    assert [p.read_text() for p in shelf.history(course, "bela", "attention").glob("*/attention.ipynb")] == [first]


def test_a_newer_version_that_cannot_be_read_is_told_and_the_older_one_stays(
    course: Course, text: str, tmp_path
) -> None:
    lay(tmp_path / "one", {"ada.ipynb": text})
    lay(tmp_path / "two", {"ada.ipynb": text[:300]})
    collect(course, "attention", [tmp_path / "one"])
    for paths in ([tmp_path / "two"], [tmp_path / "two", tmp_path / "one"]):
        collect(course, "attention", paths)
        assert taken(course) == {"ada": text}
        ((name, reason),) = kept_aside(course, "attention").items()
        assert name.startswith("ada-") and "breaks off" in reason
    lay(tmp_path / "three", {"ada.ipynb": text + " "})
    collect(course, "attention", [tmp_path / "three"])
    assert taken(course) == {"ada": text + " "} and kept_aside(course, "attention") == {}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Zoë", "Zoe"), ("Ada", "ada"), ("=cmd", "cmd"), ("ada\u202e", "ada"), ("a b", "a-b"),
        ("Ada L_1_assignsubmission_file_", "Ada L_2_assignsubmission_file_"),
    ],
)  # fmt: skip
def test_two_names_of_one_id_are_never_taken_for_one_student(course: Course, text: str, tmp_path, one, other) -> None:
    first, second = versions(text, 2)
    lay(tmp_path / "in", {f"{one}/attention.ipynb": first, f"{other}/attention.ipynb": second})
    results = collect(course, "attention", [tmp_path / "in"])
    assert len(taken(course)) == 1 and len(problems(results)) == 1
    assert "If they are one person" in problems(results)[0] and len(kept_aside(course, "attention")) == 1
    # nor when the second comes another day
    before = taken(course)
    lay(tmp_path / "later", {f"{other}/attention.ipynb": second, f"{one}/attention.ipynb": first})
    again = collect(course, "attention", [tmp_path / "later"])
    assert taken(course) == before and len(problems(again)) == 1
    only = [r for r in again if r.problem][0].file.parent.name
    (alone,) = collect(course, "attention", [lay(tmp_path / "third", {f"{only}/attention.ipynb": second})])
    assert alone.problem and taken(course) == before


def test_two_spellings_of_one_name_are_one_student(course: Course, text: str, tmp_path) -> None:
    first, second = versions(text, 2)
    composed, apart = unicodedata.normalize("NFC", "Zoë"), unicodedata.normalize("NFD", "Zoë")
    assert composed != apart
    lay(tmp_path / "in", {f"{composed}/attention.ipynb": first}, SPRING)
    lay(tmp_path / "in", {f"{apart}/attention.ipynb": second}, SPRING + 100)
    assert problems(collect(course, "attention", [tmp_path / "in"])) == [] and taken(course) == {"Zoe": second}


@pytest.mark.parametrize("when", [-11_644_473_600, 0, 4_300_000_000, 10**11])
def test_a_garbage_time_is_no_time(course: Course, text: str, tmp_path, when: float) -> None:
    lay(tmp_path / "in", {"ada.ipynb": text}, when)
    (result,) = collect(course, "attention", [tmp_path / "in"])
    assert result.changed and not (course.submitted("ada", "attention") / "timestamp.txt").exists()


def test_a_time_a_little_ahead_is_now(course: Course, text: str, tmp_path) -> None:
    lay(tmp_path / "in", {"ada.ipynb": text}, time.time() + 3_000)
    collect(course, "attention", [tmp_path / "in"])
    stamp = (course.submitted("ada", "attention") / "timestamp.txt").read_text()
    assert stamp <= time.strftime("%Y-%m-%d %H:%M:%S UTC\n", time.gmtime())


def test_times_in_archives_are_the_packer_s_choice_and_make_nobody_late(course: Course, text: str, tmp_path) -> None:
    lay(tmp_path, {"ada.zip": pack({"attention.ipynb": text})})
    collect(course, "attention", [tmp_path / "ada.zip"])
    assert not (course.submitted("ada", "attention") / "timestamp.txt").exists()


def test_what_no_program_should_open(course: Course, text: str, tmp_path) -> None:
    box = lay(tmp_path / "in", {"good.ipynb": text, "closed.ipynb": text, "deep/" + "d/" * 15 + "deep.ipynb": text})
    os.mkfifo(box / "pipe.zip")
    with (box / "sparse.ipynb").open("wb") as file:
        file.truncate(1 << 40)
    with (box / "sparse.zip").open("wb") as file:
        file.truncate(1 << 40)
    (box / "loop.ipynb").symlink_to(box)
    (box / "away").symlink_to("/etc")
    os.mknod(box / "socket.ipynb", 0o140600)
    (box / "folder.ipynb").mkdir()
    began = time.monotonic()
    results = {r.file.name: r.problem for r in collect(course, "attention", [box])}
    assert time.monotonic() - began < 10 and results["good.ipynb"] == ""
    for name in ("pipe.zip", "loop.ipynb", "away", "socket.ipynb"):
        assert "a link or a device" in results[name], name
    assert "1099512 MB" in results["sparse.ipynb"] and "not an archive" in results["sparse.zip"]
    assert any("nested deeper" in problem for problem in results.values())
    assert not any("etc" in p.read_text() for p in course.aside("attention").rglob("REASON.txt"))


def test_names_of_every_kind_are_taken_in(course: Course, text: str, tmp_path) -> None:
    names = [
        "x" * 200,
        "李雷",
        "韩梅梅",
        "Анна Петрова",
        "con",
        "LPT1",
        "a\nb",
        "<script>",
        "'; DROP TABLE",
        "é" * 100,
        "-rf",
    ]
    for index, name in enumerate(names):
        lay(tmp_path / "in", {f"{name}/attention.ipynb": text + " " * index})
    lay(tmp_path / "in", {os.fsdecode(b"caf\xe9") + "/attention.ipynb": text})
    results = collect(course, "attention", [tmp_path / "in"])
    assert problems(results) == [] and len(taken(course)) == len(names) + 1
    for student in taken(course):
        assert set(student) <= set(string.ascii_letters + string.digits + "_.@-") and len(student) <= 60


def test_the_roster_keeps_strangers_aside(course: Course, text: str, tmp_path) -> None:
    lay(tmp_path / "in", {
        "ada/attention.ipynb": text, "Bela Bruun_3_assignsubmission_file_/attention.ipynb": text,
        "castroana_77_88_attention.ipynb": text, "stranger.ipynb": text,
        # Eve's own file name cannot make her Ada
        "Eve_9_assignsubmission_file_/ada.ipynb": text + " ",
    })  # fmt: skip
    lay(tmp_path, {"ids.csv": "name,id\nAda,ADA\nBela,bela-bruun\nAna,77\n"})
    results = collect(course, "attention", [tmp_path / "in"], read_roster(tmp_path / "ids.csv"))
    assert taken(course) == {"ADA": text, "bela-bruun": text, "77": text}
    assert sorted(problems(results)) == ["'Eve' is not on the roster", "'stranger' is not on the roster"]


@pytest.mark.parametrize(
    ("content", "ids"),
    [
        ("ada\nbela\n", ["ada", "bela"]),
        ("\ufeffada\r\n\r\nbela", ["ada", "bela"]),
        ("id\nada\nbela", ["ada", "bela"]),
        ("last,first,id\nL,A,ada\nB,B,bela\n", ["ada", "bela"]),
        ("Student;Points\nada;1\nbela;2\n", ["ada", "bela"]),
        ('who\tx\nada\t"a\tb"\nbela\t1', ["ada", "bela"]),
    ],
)
def test_a_roster_is_a_list_or_a_table(tmp_path, content: str, ids: list[str]) -> None:
    (tmp_path / "roster").write_text(content)
    assert list(read_roster(tmp_path / "roster").ids.values()) == ids


@pytest.mark.parametrize(
    ("content", "part"),
    [("", "no id"), ("id\n", "no id"), ("../x\n", "'../x' cannot be an id"), ("ada\nAda\n", "in it twice"),
     ("con\n", "'con' cannot"), ("=cmd\n", "'=cmd' cannot"), ("a\0b\n", "cannot be an id")],
)  # fmt: skip
def test_a_roster_that_cannot_be_used_is_a_sentence(tmp_path, content: str, part: str) -> None:
    (tmp_path / "roster").write_text(content)
    with pytest.raises(CourseError, match=part.replace(".", "[.]")):
        read_roster(tmp_path / "roster")
    with pytest.raises(CourseError, match="the file is missing"):
        read_roster(tmp_path / "none")


def test_a_roster_s_id_is_found_by_the_names_that_platforms_vouch_for() -> None:
    roster = Roster(["ada", "lovelaceada_12"])
    assert roster.find(Owner("lovelaceada_12", others=("lovelaceada", "12"))) == "lovelaceada_12"
    assert roster.find(Owner("x_1", others=("ADA", "1"))) == "ada" and roster.find(Owner("eve")) is None


def killed_at(step: int, course: Course, work: Callable[[], None]) -> bool:
    """Do the work in a process that kills itself before its `step`-th change in the course folder; was it killed?"""
    child = os.fork()
    if child == 0:
        calls = itertools.count(1)

        def look(event: str, arguments: tuple) -> None:
            changing = event in ("os.rename", "open", "os.mkdir", "os.rmdir", "os.remove", "ctypes.dlopen")
            if changing and str(course.root) in str(arguments[0]) and next(calls) == step:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(look)
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


def test_a_kill_at_any_moment_leaves_the_old_or_the_new_whole_and_loses_neither(tmp_path) -> None:
    outcomes = []
    for step in itertools.count(1):
        made = Course(tmp_path / f"course{step}")
        shelf.store(made, "ada", "attention", {"attention.ipynb": b"old", "data.txt": b"old"}, 1.7e9)
        new = {"attention.ipynb": b"new", "data.txt": b"new"}
        was_killed = killed_at(
            step, made, lambda made=made, new=new: shelf.store(made, "ada", "attention", new, 1.75e9)
        )
        there = {p.name: p.read_text() for p in made.submitted("ada", "attention").iterdir()}
        assert (there["attention.ipynb"], there["data.txt"]) in {("old", "old"), ("new", "new")}, step
        outcomes.append(there["data.txt"])
        shelf.heal(made, "attention")
        kept = {p.read_text() for p in shelf.history(made, "ada", "attention").glob("*/data.txt")}
        now = (made.submitted("ada", "attention") / "data.txt").read_text()
        assert now == there["data.txt"] and (now == "old" or kept == {"old"})
        assert not list(shelf.staging(made, "attention").iterdir())
        if not was_killed:
            break
    assert set(outcomes) == {"old", "new"} and len(outcomes) > 8


def test_without_an_exchange_a_kill_between_is_healed(course: Course, text: str, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(shelf, "exchange", lambda one, other: False)
    first, second = versions(text, 2)
    collect(course, "attention", [lay(tmp_path / "a", {"ada.ipynb": first}, SPRING)])
    collect(course, "attention", [lay(tmp_path / "b", {"ada.ipynb": second}, SPRING + 100)])
    assert taken(course) == {"ada": second}
    folder = shelf.write(course, "ada", "attention", {"attention.ipynb": b"third"}, None)
    shelf.shelve(course, course.submitted("ada", "attention"), "ada", "attention")
    assert taken(course) == {} and folder.is_dir()
    left = shelf.staging(course, "attention").parent / "unpacked-1"
    (left / "1").mkdir(parents=True)
    shelf.heal(course, "attention")
    assert taken(course) == {"ada": "third"} and not left.exists()


def test_a_full_disk_costs_a_sentence_and_the_batch_goes_on(course: Course, text: str, tmp_path, monkeypatch) -> None:
    whole = shelf.write

    def full(course, student, *rest):
        if student == "bela":
            raise OSError(28, "No space left on device")
        return whole(course, student, *rest)

    monkeypatch.setattr(shelf, "write", full)
    lay(tmp_path / "in", {f"{name}.ipynb": text for name in ("ada", "bela", "chidi")})
    results = {r.student: r.problem for r in collect(course, "attention", [tmp_path / "in"])}
    assert set(taken(course)) == {"ada", "chidi"} and "No space left on device" in results["bela"]


def test_one_collection_at_a_time(course: Course, text: str, tmp_path) -> None:
    from filelock import FileLock

    (course.root / "collected" / "attention").mkdir(parents=True)
    lay(tmp_path / "in", {"ada.ipynb": text})
    with (
        FileLock(course.root / "collected" / "attention" / "collect.lock"),
        pytest.raises(CourseError, match="Another `autograder collect attention` is going on"),
    ):
        collect(course, "attention", [tmp_path / "in"])


def test_a_submission_that_an_instructor_removed_frees_its_name(course: Course, text: str, tmp_path) -> None:
    import shutil

    collect(course, "attention", [lay(tmp_path / "a", {"Zoë.ipynb": text})])
    shutil.rmtree(course.root / "submitted" / "Zoe")
    (result,) = collect(course, "attention", [lay(tmp_path / "b", {"Zoe.ipynb": text})])
    assert result.problem == "" and list(taken(course)) == ["Zoe"]


@given(st.text(max_size=300))
def test_an_id_is_safe_in_a_path_whatever_the_name(name: str) -> None:
    found = safe_id(name)
    assert found and set(found) <= set(string.ascii_letters + string.digits + "_.@-") and len(found) <= 60
    assert not found.startswith((".", "-")) and not found.endswith(".")
    assert found.split(".")[0].lower() not in {"con", "prn", "aux", "nul", *(f"com{i}" for i in range(10))}
    assert safe_id(unicodedata.normalize("NFD", name)) == safe_id(unicodedata.normalize("NFC", name))


@pytest.mark.parametrize(
    "name", ["../x", ".", "..", "", "\0", "a\0b", "x" * 300, "=cmd", "\u202eada", "CON", "nul.txt", "~", "-"]
)
def test_ids_from_names_that_are_none(name: str) -> None:
    assert safe_id(name) not in ("", ".", "..", name) and "/" not in safe_id(name)


def test_letters_that_an_id_cannot_have_leave_a_trace() -> None:
    assert safe_id("Zoë") == "Zoe" and safe_id("李雷") != safe_id("韩梅梅") and safe_id("Анна Ok").startswith("Ok-")
    assert safe_id("x" * 61 + "a") != safe_id("x" * 61 + "b")


@given(st.text(max_size=40))
def test_a_file_s_name_gives_a_name_or_none(name: str) -> None:
    assert isinstance(from_file(name, "attention"), str)
