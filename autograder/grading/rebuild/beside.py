"""The files that a student handed in beside the notebook: read under limits, under safe relative names."""

from __future__ import annotations

import itertools
import os
import re
import sys
from pathlib import Path

from autograder.grading.intake.found import printable
from autograder.grading.rebuild.notebook import Unreadable, read_bytes

RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?|.*[<>:\"|?*\\\\].*")
MAX_FILES = 100
MAX_SEEN = 2_000
MAX_DEPTH = 6
MAX_FILE = 10_000_000
MAX_TOTAL = 20_000_000
# nbgrader's and the system's own; nothing that a student wrote
SKIPPED = {"timestamp.txt", ".ipynb_checkpoints", "__pycache__", "__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"}
# A file of such a name would stand in for a module that the course or its grading imports.
MODULES = frozenset(sys.stdlib_module_names) | frozenset(
    "torch numpy einops autograder course_lib matplotlib IPython ipykernel nbformat sitecustomize usercustomize".split()
)


class Gathered:
    """Files taken one after the other, within the limits of number and size, and notes on those that were left out."""

    def __init__(self, most: int = MAX_TOTAL) -> None:
        self.most = most  # bytes of one file
        self.files: dict[str, bytes] = {}
        self.notes: list[str] = []
        self.total = 0

    def take(self, relative: str, path: Path | str, why: str, folder: int | None = None) -> None:
        """Read the file at `path`, within the open folder if there is one, unless there is a reason `why` not to."""
        if not why and len(self.files) == MAX_FILES:
            why = f"there are more than {MAX_FILES} files"
        try:
            content = b"" if why else read_bytes(path, min(self.most, MAX_TOTAL - self.total), folder)
        except Unreadable as error:
            why = str(error)
        if why:
            self.notes.append(f"{printable(relative)} was left out: {why}")
            return
        self.files[relative] = content
        self.total += len(content)


def files_beside(folder: int, notebook: str) -> tuple[dict[str, bytes], list[str]]:
    """The regular files of a handed-in folder but for the notebook, by relative name, and notes on those left out.

    `folder` is the descriptor of the open folder.
    """
    gathered = Gathered(MAX_FILE)
    for seen, relative in enumerate(walk(folder, gathered.notes)):
        if seen == MAX_SEEN:
            gathered.notes.append(f"there are more than {MAX_SEEN} files beside the notebook; the rest was left out")
            break
        if relative != notebook and not set(relative.split("/")) & SKIPPED:
            gathered.take(relative, relative, unsafe(relative), folder)
    return gathered.files, summary(gathered.notes)


def walk(folder: int, notes: list[str]) -> list[str]:
    """The relative names of all that is not a folder, a few thousand at most; links are named, not followed."""
    found: list[str] = []
    waiting = ["."]
    while waiting and len(found) <= MAX_SEEN:
        place = waiting.pop()
        try:
            handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        except OSError as error:
            notes.append(f"{printable(place)} was left out: it cannot be opened ({error.strerror})")
            continue
        try:
            with os.scandir(handle) as entries:
                inside = [(e.name, e.is_dir(follow_symlinks=False)) for e in itertools.islice(entries, MAX_SEEN + 1)]
        finally:
            os.close(handle)
        for entry, is_folder in sorted(inside):
            name = entry if place == "." else f"{place}/{entry}"
            if not is_folder:
                found.append(name)
            elif name.count("/") + 1 >= MAX_DEPTH:
                notes.append(f"{printable(name)} was left out: folders are nested deeper than {MAX_DEPTH}")
            elif entry not in SKIPPED:
                waiting.append(name)
    return found


def odd_name(relative: str) -> str:
    """Why a file cannot bear this name on every system, or ""."""
    parts = relative.split("/")
    odd = any(
        not p.isprintable() or p.startswith("-") or p[-1:] in ("", ".", " ") or RESERVED.fullmatch(p) for p in parts
    )
    long = len(relative) > 200 or any(len(p.encode("utf-8", "surrogatepass")) > 255 for p in parts)
    return "its name is too long or has odd characters" if odd or long else ""


def unsafe(relative: str) -> str:
    """Why a file of this name is not given to the student's code, or ""."""
    first, *rest = relative.split("/")
    module = first.split(".")[0]
    if module in MODULES and (rest or re.search(r"\.(py[cdwi]?|so)$", relative)):
        return f"it would stand in for the module {module}"
    return odd_name(relative)


def summary(notes: list[str], most: int = 10) -> list[str]:
    """The first notes, and how many more there are."""
    return notes if len(notes) <= most else [*notes[:most], f"and {len(notes) - most} more files like that"]
