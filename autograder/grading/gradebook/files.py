"""Which files of a submission go on with it: those that nbgrader would copy, less links, devices, giants and pages.

Formgrader serves a graded submission's files from the address that it has itself, so a page there could do all that
the person who opens it may do. Pages stay where they were handed in, as links and devices do.
"""

from __future__ import annotations

import fnmatch
import logging
import mimetypes
import os
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nbgrader.converters import Autograde
from nbgrader.converters.base import BaseConverter

log = logging.getLogger(__name__)
# what a browser shows with scripts, by the type under which formgrader's server would send it
PAGES = re.compile(r"text/(html|xml|javascript|css|xsl)|application/(xml|javascript|x-javascript)|.*\+xml|message/.*")


@dataclass(frozen=True)
class Rules:
    """What nbgrader's configuration says about the files of an assignment's submissions.

    `master` is the folder of the assignment's own files, `keep` those of them (paths within it) that do not replace
    a student's; larger files than `most_bytes` are not copied. Where `durable` is not set, a failure of the power may
    spoil what has just been written: it can be made again.
    """

    master: Path | None
    root: Path
    ignore: tuple[str, ...]
    keep: frozenset[str]
    mode: int
    shared: bool
    most_bytes: int
    durable: bool

    @classmethod
    def of(cls, converter: BaseConverter, assignment: str) -> Rules:
        """The rules by which nbgrader's Autograde or GenerateFeedback, as it is configured, would go."""
        course = converter.coursedir
        grading = isinstance(converter, Autograde)
        kept = converter.exclude_overwriting.get(assignment, []) if grading else []
        return cls(
            master=Path(course.format_path(course.source_directory, ".", assignment)) if grading else None,
            root=Path(course.format_path(converter._output_directory, ".", ".")),
            ignore=tuple(course.ignore),
            keep=frozenset(os.path.normpath(name) for name in kept),
            mode=int(str(converter.permissions), 8),
            shared=course.groupshared,
            most_bytes=course.max_file_size * 1000,
            durable=grading,
        )


def regular_files(folder: Path, rules: Rules) -> Iterator[Path]:
    """The files that nbgrader would copy, less links, devices and what is larger than the course allows."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not ignored(name, rules.ignore))
        for name in sorted(names):
            path = Path(place, name)
            info = path.lstat()
            if ignored(name, (*rules.ignore, "*.ipynb")):
                continue
            if not stat.S_ISREG(info.st_mode) or info.st_size > rules.most_bytes:
                log.warning("%s was not copied: it is no regular file, or larger than allowed", path)
                continue
            yield path


def is_page(name: str) -> bool:
    """Whether a browser would run what is in a file of this name."""
    kind, packed = mimetypes.guess_type(name)
    return kind is not None and packed is None and PAGES.fullmatch(kind) is not None


def ignored(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether a pattern of CourseDirectory.ignore means this name, by the rules of a shell's globs."""
    return any(
        fnmatch.fnmatchcase(name, pattern) and (pattern.startswith(".") or not name.startswith("."))
        for pattern in patterns
    )


def copy(source: Path, place: Path) -> bool:
    """Copy one file unless something is in its place already; returns whether it was."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(place):
            return False
    except (FileExistsError, NotADirectoryError):  # a file of the assignment's stands where a folder should
        return False
    handle = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as reader, place.open("xb") as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)
    return True
