"""Pack the course into one archive: notebooks, results, library and checks."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

NAME = "transformers-course"
# the same content must give the same bytes at every build
DATE = (2026, 1, 1, 0, 0, 0)


def members(repository: Path, html: Path) -> Iterator[tuple[str, Path]]:
    """Each file of the archive: its name there, and where it lies."""
    for folder in ("chapters", "assignments"):
        for path in sorted((html / "_sources" / folder).glob("*.ipynb")):
            yield f"{folder}/{path.name}", path
    for path in sorted((repository / "book" / "results").glob("*")):
        yield f"results/{path.name}", path
    for package in ("course_lib", "autograder"):
        for path in sorted((repository / package).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path.relative_to(repository).as_posix(), path
    for pattern in ("README.md", "pyproject.toml", "requirements.txt"):
        for path in repository.glob(pattern):
            yield path.name, path


def pack(repository: Path, html: Path) -> Path:
    """Write the archive into the built book, at ``downloads/``; returns its path."""
    target = html / "downloads" / f"{NAME}.zip"
    target.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in members(repository, html):
            entry = zipfile.ZipInfo(f"{NAME}/{name}", DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
    return target
