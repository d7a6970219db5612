"""What was handed in, as files found: on the disk, or taken out of an archive."""

from __future__ import annotations

import os
import re
import stat
import time
from dataclasses import dataclass
from pathlib import Path

SKIPPED = {".ipynb_checkpoints", "__MACOSX", "__pycache__", "Thumbs.db", "desktop.ini"}
# work with a hidden name, but not what editors and systems put beside a file under such names
HIDDEN_WORK = re.compile(r"(?i)\.[^._~#].*\.(ipynb|zip|tar|tgz|tar\.\w+)")
HIDDEN = "its name begins with a dot, and such files are passed over; give it another name and collect again"
MAX_DEPTH = 12
MAX_FOUND = 200_000
EARLIEST = 946_684_800.0  # the year 2000
CLOCKS_DIFFER = 86_400.0


@dataclass(frozen=True)
class Found:
    """One file.

    `parts` is its name from where the search began, `path` where its bytes are, `when` its time if that can be
    believed; `problem` says why it was not taken, or is empty. `level` counts the archives that it came out of.
    """

    parts: tuple[str, ...]
    path: Path
    source: str
    when: float | None = None
    problem: str = ""
    level: int = 0

    @property
    def name(self) -> str:
        return self.parts[-1]


def walk(root: Path) -> list[Found]:
    """The files below a folder, links, devices and pipes included with their problem; nothing is opened.

    Hidden files and what programs leave behind are passed over; `told` says which are named all the same. Folders are
    searched to a depth of ``MAX_DEPTH``.
    """
    found: list[Found] = []
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        parts = waiting.pop()
        here = root.joinpath(*parts)
        try:
            with os.scandir(here) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            found.append(Found(parts or (root.name,), here, printable(str(here)), problem=cannot(error)))
            continue
        for entry in inside:
            name = (*parts, entry.name)
            if HIDDEN_WORK.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                found.append(Found(name, here / entry.name, printable(str(here / entry.name)), problem=HIDDEN))
                continue
            if entry.name.startswith(".") or entry.name in SKIPPED:
                continue
            if len(found) >= MAX_FOUND:
                found.append(Found(name, here, printable(str(here)), problem=f"there are over {MAX_FOUND:,} files"))
                return found
            if not entry.is_dir(follow_symlinks=False):
                found.append(look(here / entry.name, name))
            elif len(name) < MAX_DEPTH:
                waiting.append(name)
            else:
                deep = f"it is in folders nested deeper than {MAX_DEPTH}"
                found.append(Found(name, here / entry.name, printable(str(here / entry.name)), problem=deep))
    return told(sorted(found, key=lambda file: file.parts))


def told(found: list[Found]) -> list[Found]:
    """The files without the hidden ones, but where nothing else is in their folder: somebody's work may be in them."""
    open_folders = {f.parts[:end] for f in found if f.problem != HIDDEN for end in range(len(f.parts))}
    return [f for f in found if f.problem != HIDDEN or f.parts[:-1] not in open_folders]


def look(path: Path, parts: tuple[str, ...]) -> Found:
    """One file by its entry in the folder, without following or opening it."""
    source = printable(str(path))
    try:
        about = path.lstat()
    except OSError as error:
        return Found(parts, path, source, problem=cannot(error))
    if not stat.S_ISREG(about.st_mode):
        return Found(parts, path, source, problem="it is a link or a device, not a file")
    return Found(parts, path, source, believable(about.st_mtime))


def believable(when: float) -> float | None:
    """The time if it can be that of a submission: not before 2000 and not in the future, but for clocks that differ."""
    now = time.time()
    return min(when, now) if EARLIEST <= when <= now + CLOCKS_DIFFER else None


def cannot(error: OSError) -> str:
    return f"it cannot be opened ({error.strerror or error})"


def printable(text: str, most: int = 200) -> str:
    """A name of any origin for a message: on one line, in characters that can be written."""
    safe = "".join(c if c.isprintable() else "?" for c in text[-most:])
    return safe if len(text) <= most else "…" + safe
