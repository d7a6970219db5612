"""Bring handed-in files into submitted/<student>/<assignment>/ under safe names, each student in one step."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from autograder.course import Course, CourseError
from autograder.grading.intake import shelf
from autograder.grading.intake.archives import MAX_INNER, MAX_TOTAL, Refused, is_archive, stem, unpack
from autograder.grading.intake.content import content_of, keepable
from autograder.grading.intake.found import Found, look, printable, walk
from autograder.grading.intake.register import Register
from autograder.grading.intake.shelf import kept_aside
from autograder.grading.intake.students import Owner, Roster, from_file, safe_id, short_hash
from autograder.grading.intake.work import Sorter, Work
from autograder.grading.rebuild.notebook import Unreadable

__all__ = ["Collected", "collect", "kept_aside", "safe_id"]


THREADS = 8
MAX_UNPACKED = 20_000_000_000  # from one path


@dataclass(frozen=True)
class Collected:
    """What became of one piece of work; `problem` says why it was kept aside, `notes` what else to know."""

    student: str
    file: Path
    problem: str = ""
    changed: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Item:
    """One piece of work on its way; `fate` is store, keep (in history), same or aside."""

    work: Work
    student: str
    digest: str = ""
    fate: str = "store"
    problem: str = ""
    notes: tuple[str, ...] = ()

    def aside(self, problem: str) -> Item:
        """The item with a reason not to take it."""
        return replace(self, fate="aside", problem=problem)


def collect(course: Course, assignment: str, paths: Iterable[Path], roster: Roster | None = None) -> list[Collected]:
    """Copy what was handed in, be it notebooks, archives, or folders of them, into the course.

    `intake.students` and `intake.work` say whose a file is. What cannot be read, is not on the `roster`, or may be
    another person's goes to aside/ with the reason beside it. Of two versions the newer counts and the other is kept in
    history/. Collecting the same again changes nothing. A grading run may go on meanwhile.

    Only the time of a file on this machine's disk counts as the time it was handed in, and only one that can be
    true; times in archives are the packer's choice and tell at most which of two versions is the newer one.

    Raises:
        CourseError: the assignment has not been released, a path does not exist, the course folder cannot be
            written, or another collection is going on.
    """
    course.require(assignment)
    paths = [Path(os.path.abspath(path)) for path in paths]
    for path in paths:
        if not os.path.lexists(path):
            raise CourseError(f"There is no file or folder {printable(str(path))}.")
    shelf.require_writable(course, assignment)
    base = shelf.staging(course, assignment).parent
    try:
        with (
            FileLock(base / "collect.lock", timeout=0),
            tempfile.TemporaryDirectory(prefix=shelf.UNPACKED, dir=base) as room,
        ):
            shelf.heal(course, assignment, keep=Path(room))
            works = [work for path in paths for work in find_work(path, assignment, Path(room))]
            return take(course, assignment, works, roster)
    except Timeout:
        raise CourseError(f"Another `autograder collect {assignment}` is going on. Wait until it is done.") from None


def find_work(path: Path, assignment: str, room: Path) -> list[Work]:
    """The pieces of work in a file, a folder or an archive; archives are unpacked into the folder `room`."""
    left = MAX_UNPACKED

    def open_archive(file: Found) -> tuple[list[Found], str]:
        if file.level >= 2:
            return [], "it is an archive in an archive in an archive; unpack it first"
        nonlocal left
        if left < 0:
            return [], f"more than {MAX_UNPACKED / 1e9:.0f} GB have been unpacked already; collect in smaller portions"
        into = room / str(len(os.listdir(room)))
        most = MAX_TOTAL if file.path == path else MAX_INNER
        try:
            return unpack(file.path, file.source, into, most, file.level + 1), ""
        except Refused as refusal:
            return [], str(refusal)
        finally:
            left -= sum(part.stat().st_size for part in into.glob("*"))

    sorter = Sorter(assignment, open_archive)
    if path.is_dir() and not path.is_symlink():
        return sorter.sort(walk(path), path.name)
    file = look(path, (path.name,))
    if not is_archive(path.name) or file.problem:
        return sorter.sort([file], path.parent.name)
    inside, problem = open_archive(file)
    label = from_file(stem(path.name), assignment)
    if problem:
        return [sorter.one(Owner(label or path.parent.name), [replace(file, problem=problem)])]
    return sorter.sort(inside, label or path.parent.name, personal=bool(label))


def take(course: Course, assignment: str, works: list[Work], roster: Roster | None) -> list[Collected]:
    """Decide about all pieces of work, write the decisions down, and then carry them out."""
    register = Register(course, assignment)
    items = [examine(work, assignment, roster) for work in works]
    for index, item in enumerate(items):
        if item.fate == "store":
            items[index] = register.place(item.work, item)
    register.write()
    good = {item.student for item in items if item.fate != "aside"}
    groups: dict[str, list[int]] = {}
    for index, item in enumerate(items):
        groups.setdefault(item.student.casefold(), []).append(index)
    results: dict[int, Collected] = {}

    def take_group(group: list[int]) -> None:
        # what is kept aside comes last: a version that can be read must not settle a newer one that cannot
        for index in sorted(group, key=lambda index: items[index].fate == "aside"):
            results[index] = take_one(course, assignment, items[index], good)

    # most of the time goes into waiting for the disk, which takes several students together in no more of it
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(take_group, groups.values()))
    return [results[index] for index in range(len(items))]


def take_one(course: Course, assignment: str, item: Item, good: set[str]) -> Collected:
    """Carry out what was decided about one piece of work; trouble with the disk costs only this one."""
    try:
        changed = carry_out(course, assignment, item, good)
        return Collected(item.student, item.work.path, item.problem, changed, item.notes)
    except OSError as error:
        problem = f"it cannot be stored ({error.strerror or error}); collect it again"
        return Collected(item.student, item.work.path, item.problem or problem, notes=item.notes)


def examine(work: Work, assignment: str, roster: Roster | None) -> Item:
    """Whose the work is, and whether it can be read."""
    student = roster.find(work.owner) if roster else safe_id(work.owner.name)
    item = Item(work, student or safe_id(work.owner.name), notes=work.notes)
    if student is None:
        return item.aside(f"'{printable(work.owner.name)}' is not on the roster")
    if work.problem:
        return item.aside(work.problem)
    try:
        files, notes = content_of(work, assignment)
    except Unreadable as error:
        return item.aside(f"{printable(work.notebook)}: {error}")
    return replace(item, digest=shelf.digest(files), notes=(*item.notes, *notes))


def carry_out(course: Course, assignment: str, item: Item, good: set[str]) -> bool:
    """Do what was decided about one piece of work; returns whether the student's submission is a new one."""
    student, work = item.student, item.work
    # a name of its own where there is other work under this id, so that a person gets to see both
    apart = f"{student}-{short_hash(work.owner.identity)}"
    if item.fate == "aside":
        crowded = student in good or course.submitted(student, assignment).is_dir()
        shelf.keep_aside(course, assignment, apart if crowded else student, item.problem, keepable(work))
        return False
    if item.fate in ("store", "keep"):
        try:
            files, _ = content_of(work, assignment)
        except Unreadable as error:  # it has changed since it was examined
            raise OSError(0, str(error)) from error
        when = None if work.packed else work.when
        (shelf.store if item.fate == "store" else shelf.keep)(course, student, assignment, files, when)
    for name in (student, apart):
        shelf.take_from_aside(course, assignment, name)
    return item.fate == "store"
