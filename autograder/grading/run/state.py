"""Hashes of what decides about scores: so that nothing is graded twice, and nothing that changed is forgotten."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import stat
from functools import cache
from pathlib import Path

import autograder
from autograder.course import Course

# Changes to these do not change a score.
OUTSIDE_OF_CHECKS = frozenset(
    "cli common_mistakes course doctor environment everything gate lint live loading progress release sample_class "
    "serve".split()
)
# What student code computes with, besides Python itself.
COMPUTES = ("torch", "numpy", "einops", "ipython")


# of what `digest_assignment` returns: the part that tells of the released cells
RELEASE = 64
# of a larger file no more is read: nothing that is graded is as large
MOST = 64 << 20


def digest_files(files: list[Path], root: Path) -> str:
    """A hash of the files' names and contents; of what vanishes or cannot be read, that it is so."""
    total = hashlib.sha256()
    for path in sorted(files):
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                content = file.read(MOST)
        except OSError as error:
            size, content = -1, str(error.errno).encode()
        total.update(f"{path.relative_to(root)}\0{size}\0".encode("utf-8", "surrogateescape"))
        total.update(content)
    return total.hexdigest()


def digest_submission(course: Course, student: str, assignment: str) -> str:
    """A hash of all that a student handed in; links are left out, for they are never followed."""
    folder = course.submitted(student, assignment)
    found = (Path(place, name) for place, _, names in os.walk(folder) for name in names)
    return digest_files([path for path in found if is_regular(path)], folder)


def is_regular(path: Path) -> bool:
    """Whether this is a file and no link or device; also for one that has just vanished, which is told later."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return True


def digest_assignment(course: Course, assignment: str) -> str:
    """A hash of what decides about scores besides the submission: the assignment, and the checks."""
    source = course.source(assignment)
    return digest_files(list(source.glob("*.ipynb")), source) + _digest_checks()


@cache
def _digest_checks() -> str:
    package = Path(autograder.__file__).parent
    checks = [p for p in package.glob("*.py") if p.stem not in OUTSIDE_OF_CHECKS]
    return digest_files([*checks, *package.glob("checks/**/*.py")], package)


@cache
def digest_environment() -> str:
    """The versions of Python and of what student code computes with, as a short text."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in COMPUTES]
    return ", ".join([f"python {platform.python_version()}", *versions])
