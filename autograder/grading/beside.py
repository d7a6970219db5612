"""The files that a student handed in beside the notebook: read under limits, under safe relative names."""

from __future__ import annotations

import os
import re
import stat
import sys
from pathlib import Path

from autograder.grading.notebook import Unreadable, read_bytes

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


def files_beside(folder: Path, notebook: str) -> tuple[dict[str, bytes], list[str]]:
    """The regular files of a handed-in folder but for the notebook, by relative name, and notes on those left out."""
    files: dict[str, bytes] = {}
    notes: list[str] = []
    total = seen = 0
    for relative in walk(folder, notes):
        seen += 1
        if seen > MAX_SEEN:
            notes.append(f"there are more than {MAX_SEEN} files beside the notebook; the rest was left out")
            break
        if relative == notebook or set(relative.split("/")) & SKIPPED:
            continue
        why = unsafe(relative)
        if not why and len(files) == MAX_FILES:
            why = f"there are more than {MAX_FILES} files"
        try:
            content = b"" if why else read_bytes(folder / relative, min(MAX_FILE, MAX_TOTAL - total))
        except Unreadable as error:
            why = str(error)
        if why:
            notes.append(f"{printable(relative)} was left out: {why}")
            continue
        files[relative] = content
        total += len(content)
    return files, summary(notes)


def walk(folder: Path, notes: list[str]) -> list[str]:
    """The relative names of all that is not a folder, a few thousand at most; links are named, not followed."""
    found: list[str] = []
    waiting = [""]
    while waiting and len(found) <= MAX_SEEN:
        place = waiting.pop()
        try:
            with os.scandir(folder / place) as entries:
                inside = [entry for entry, _ in zip(entries, range(MAX_SEEN + 1), strict=False)]
        except OSError as error:
            notes.append(f"{printable(place)} was left out: it cannot be opened ({error.strerror})")
            continue
        for entry in sorted(inside, key=lambda entry: entry.name):
            name = f"{place}/{entry.name}" if place else entry.name
            if not stat.S_ISDIR(entry.stat(follow_symlinks=False).st_mode):
                found.append(name)
            elif name.count("/") + 1 >= MAX_DEPTH:
                notes.append(f"{printable(name)} was left out: folders are nested deeper than {MAX_DEPTH}")
            elif entry.name not in SKIPPED:
                waiting.append(name)
    return found


def unsafe(relative: str) -> str:
    """Why a file of this name is not given to the student's code, or ""."""
    parts = relative.split("/")
    if len(relative) > 200 or any(not part.isprintable() or part.startswith("-") for part in parts):
        return "its name is too long or has odd characters"
    first = parts[0].split(".")[0]
    if first in MODULES and (len(parts) > 1 or re.search(r"\.(py[cdwi]?|so)$", relative)):
        return f"it would stand in for the module {first}"
    return ""


def summary(notes: list[str], most: int = 10) -> list[str]:
    """The first notes, and how many more there are."""
    return notes if len(notes) <= most else [*notes[:most], f"and {len(notes) - most} more files like that"]


def printable(name: str) -> str:
    """A file's name for a message."""
    return "".join(c if c.isprintable() else "?" for c in name[:80])
