"""Whose work it is: from the names that learning platforms and students give files, to ids that are safe anywhere."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from autograder.course import CourseError
from autograder.grading.intake.found import printable
from autograder.grading.rebuild.notebook import Unreadable, decode, read_bytes

LONGEST = 60
RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,59}")
MOODLE = re.compile(r"(?P<name>.+)_(?P<number>\d+)_assignsubmission_[a-z]+_?(?P<rest>.*)", re.S)
CANVAS = re.compile(r"(?P<name>[^_]+)_(?P<late>LATE_)?(?P<user>\d+)_(?P<number>\d+)_(?P<rest>.+)", re.S)
EXCHANGE = re.compile(r"(?P<name>[^+]+)\+(?P<assignment>[^+]+)\+(?P<when>[^+]+?)(\+[^+]*)?", re.S)
ID_COLUMNS = ("id", "student_id", "student", "username", "user_id", "login")


@dataclass(frozen=True)
class Owner:
    """Whose work a file or folder is, as far as its name says.

    `name` is what the id is made from, and `others` are further ids of the same person, for a roster. `key` tells
    two people of one name apart where a platform does. `rest` is the file's own name, `note` what else was said.
    """

    name: str
    key: str = ""
    others: tuple[str, ...] = ()
    rest: str = ""
    note: str = ""

    @property
    def identity(self) -> str:
        """What is the same for two pieces of work if and only if they are one person's."""
        return unicodedata.normalize("NFC", f"{self.name}|{self.key}" if self.key else self.name)


def from_platform(name: str) -> Owner | None:
    """The owner named by Moodle, Canvas or nbgrader's exchange in the name of a file or folder, if it is one of theirs.

    - Moodle: ``Ada Lovelace_12345_assignsubmission_file_`` is Ada-Lovelace; 12345 only tells two Adas apart.
    - Canvas: ``lovelaceada_LATE_12345_67890_attention.ipynb`` is lovelaceada_12345, for 12345 is Canvas's own id.
    - nbgrader's exchange: ``ada+attention+2026-05-01 12:00:00 UTC`` is ada.
    """
    if found := MOODLE.fullmatch(name):
        return Owner(found["name"], found["number"], rest=found["rest"])
    if found := CANVAS.fullmatch(name):
        who = f"{found['name']}_{found['user']}"
        late = "the learning platform calls it late" if found["late"] else ""
        return Owner(who, others=(found["name"], found["user"]), rest=found["rest"], note=late)
    if found := EXCHANGE.fullmatch(name):
        return Owner(found["name"].strip())
    return None


def from_file(stem: str, assignment: str) -> str:
    """What is left of a file's name without the assignment's and a browser's ``(1)``, or ""."""
    if is_assignment(stem, assignment):
        return ""
    plain = re.sub(r"\s*\(\d{1,3}\)$", "", unicodedata.normalize("NFC", stem))
    name = re.escape(unicodedata.normalize("NFC", assignment))
    return re.sub(rf"(?i)(^|[\s_.-]+){name}([\s_.-]+|$)", "-", plain).strip("-") if plain else ""


def is_assignment(name: str, assignment: str) -> bool:
    """Whether a file or folder is called like the assignment, give or take a browser's ``(1)`` or Canvas's ``-1``."""
    plain = unicodedata.normalize("NFC", name).casefold()
    stem = re.sub(r"([ _-]?\(\d+\)|-\d{1,2}|[ _-]copy\d?)$", "", plain.removesuffix(".ipynb").strip()).strip()
    return stem == assignment.casefold()


def safe_id(text: str) -> str:
    """A name in letters, digits, _ . @ and -, at most 60 of them, that is safe in paths, pages and tables.

    Accents are dropped. Where letters would be lost, or a name is cut, a few characters of its hash keep it apart
    from others.
    """
    plain = unicodedata.normalize("NFKD", text)
    kept = plain.encode("ascii", "ignore").decode()
    made = re.sub(r"[^A-Za-z0-9_.@-]+", "-", kept).strip("-._@")
    lost = any(c.isalpha() and not c.isascii() for c in plain)
    if lost or not made or len(made) > LONGEST or RESERVED.fullmatch(made):
        return f"{made[: LONGEST - 7].rstrip('-._@') or 'student'}-{short_hash(text)}"
    return made


def short_hash(text: str) -> str:
    """Six characters that differ for different names."""
    plain = unicodedata.normalize("NFC", text).encode("utf-8", "surrogatepass")
    return hashlib.sha256(plain).hexdigest()[:6]


class Roster:
    """The ids of the course's students; others are kept aside."""

    def __init__(self, ids: list[str]) -> None:
        self.ids = {identifier.casefold(): identifier for identifier in ids}

    def find(self, owner: Owner) -> str | None:
        """The id on the roster that is the owner's: by name, else by another of the platform's ids for them."""
        for name in (owner.name, safe_id(owner.name), *owner.others, *map(safe_id, owner.others)):
            if name.casefold() in self.ids:
                return self.ids[name.casefold()]
        return None


def read_roster(path: Path) -> Roster:
    """The roster in a file: one id a line, or a CSV with a header, of which the column called ``id`` counts, or one
    of ``student_id``, ``student``, ``username``, ``user_id``, ``login``, or the first.

    Raises:
        CourseError: it cannot be read, is empty, or has an id that cannot be a folder's name.
    """
    try:
        text = decode(read_bytes(path))[0].lstrip("\ufeff")
    except Unreadable as error:
        raise CourseError(f"The roster {path} cannot be read: {error}.") from error
    lines = text.splitlines()
    first = lines[0] if lines else ""
    separator = next((c for c in ",;\t" if c in first), "")
    try:
        rows = [r for r in csv.reader(io.StringIO(text), delimiter=separator)] if separator else [[x] for x in lines]
    except csv.Error as error:
        raise CourseError(f"The roster {path} is not a table of comma-separated values: {error}.") from error
    titles = [title.strip().casefold() for title in rows[0]] if rows else []
    column = next((titles.index(name) for name in ID_COLUMNS if name in titles), 0)
    if separator or (titles and titles[0] in ID_COLUMNS):
        rows = rows[1:]
    ids = [row[column].strip() for row in rows if len(row) > column and row[column].strip()]
    wrong = [name for name in ids if not ID.fullmatch(name) or RESERVED.fullmatch(name)]
    folded = [name.casefold() for name in ids]
    twice = [name for name in ids if folded.count(name.casefold()) > 1] if len(set(folded)) < len(ids) else []
    if wrong or twice or not ids:
        why = (
            f"'{printable(wrong[0])}' cannot be an id: use letters, digits, _ . @ and -"
            if wrong
            else f"'{twice[0]}' is in it twice, or differs from another id only in capitals"
            if twice
            else "there is no id in it"
        )
        raise CourseError(f"The roster {path} cannot be used: {why}.")
    return Roster(ids)
