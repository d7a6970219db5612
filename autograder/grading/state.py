"""Hashes of what decides about scores: so that nothing is graded twice, and nothing that changed is forgotten."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from functools import cache
from pathlib import Path

import autograder
from autograder.course import Course

# Changes to these do not change a score.
OUTSIDE_OF_CHECKS = frozenset(
    "cli course doctor environment everything gate lint progress release sample_class serve common_mistakes".split()
)
# What student code computes with, besides Python itself.
COMPUTES = ("torch", "numpy", "einops", "ipython")


def digest_files(files: list[Path], root: Path) -> str:
    """A hash of the files' names and contents."""
    total = hashlib.sha256()
    for path in sorted(files):
        total.update(f"{path.relative_to(root)}\0{path.stat().st_size}\0".encode())
        total.update(path.read_bytes())
    return total.hexdigest()


def digest_submission(course: Course, student: str, assignment: str) -> str:
    """A hash of all that a student handed in; links are left out, for they are never followed."""
    folder = course.submitted(student, assignment)
    return digest_files([p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()], folder)


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
