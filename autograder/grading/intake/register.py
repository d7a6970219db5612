"""Who handed in what under which id: so that two people are never taken for one, and the newest version counts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from autograder.course import Course
from autograder.grading.disk import write_durably
from autograder.grading.intake import shelf
from autograder.grading.intake.found import printable
from autograder.grading.intake.work import Work

if TYPE_CHECKING:
    from autograder.grading.intake.collect import Item

SAME_TIME = 2.0  # seconds: zip files tell time in steps of two


class Register:
    """The submissions of one assignment by id: under which name each came, when, and from where.

    Ids that differ only in capitals are one, as they are on the disks of Windows and macOS.
    """

    def __init__(self, course: Course, assignment: str) -> None:
        self.course, self.assignment = course, assignment
        self.file = course.root / "collected" / assignment / "students.json"
        self.entries = read(self.file)
        self.here: dict[str, str] = {}  # the digests of what is taken in this run
        self.spelt = {p.name.casefold(): p.name for p in course.root.glob("submitted/*")}

    def place(self, work: Work, item: Item) -> Item:
        """The item with its fate, given what was taken before it."""
        key = item.student.casefold()
        spelt = self.spelt.setdefault(key, item.student)
        there = self.course.submitted(item.student, self.assignment).is_dir() or key in self.here
        entry = self.entries.get(key, {}) if there else {}
        if spelt != item.student or entry.get("name", work.owner.identity) != work.owner.identity:
            other = printable(entry.get("name", spelt).split("|")[0])
            return item.aside(
                f"'{printable(work.owner.name)}' would be the student '{spelt}', under whom work by '{other}' was "
                "taken already. If they are one person, give both files one name; if not, give this one another"
            )
        current = self.here.get(key) or (self._digest(item.student) if there else "")
        if current == item.digest:
            self.here[key] = item.digest
            return replace(item, fate="same")
        age = compare(work, entry)
        if key in self.here and age is None:
            return item.aside(
                f"two files belong to '{item.student}': {printable(entry.get('source', 'another'))} was taken, "
                "this one was not, for nothing says which is the newer one"
            )
        if age is not None and age < 0:
            return replace(item, fate="keep", notes=(*item.notes, "an older version than the one that counts"))
        self.here[key] = item.digest
        self.entries[key] = {
            "name": work.owner.identity, "source": work.path.name if not work.packed else work.source,
            "when": work.when, "packed": work.packed,
        }  # fmt: skip
        return item

    def _digest(self, student: str) -> str:
        return shelf.digest(shelf.stored(self.course, student, self.assignment))

    def write(self) -> None:
        """Write the register down, in one step."""
        write_durably(self.file, (json.dumps(dict(sorted(self.entries.items())), indent=1) + "\n").encode())


def compare(work: Work, entry: dict) -> int | None:
    """Whether the work is newer (1) or older (-1) than what is registered; None where the times do not tell."""
    before = entry.get("when")
    if work.when is None or before is None or entry.get("packed") != work.packed:
        return None
    apart = work.when - before
    return None if abs(apart) <= SAME_TIME else 1 if apart > 0 else -1


def read(file: Path) -> dict[str, dict]:
    """The register as written; without it names are not compared with those of earlier runs."""
    try:
        entries = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    entries = entries if isinstance(entries, dict) else {}
    return {key: entry for key, entry in entries.items() if isinstance(entry, dict) and "name" in entry}
