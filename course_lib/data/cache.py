"""Where downloaded files are kept, and how a file is told from a damaged one."""

import contextlib
import dataclasses
import gzip
import hashlib
import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_BLOCK = 1 << 20


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """A file of a data set: where it is kept below the cache folder, where it comes from, and how to know it.

    `urls` are tried in turn. `size` in bytes and `sha256` (hexadecimal) are those of the file or, where
    `gunzip` is True, of what it unpacks to: the same contents may be packed by different programs.
    """

    path: str
    urls: tuple[str, ...]
    size: int
    sha256: str
    gunzip: bool = False


def cache_folder() -> Path:
    """Return the folder that keeps downloads: the environment variable COURSE_DATA, or the user's own cache.

    The latter is `transformers-course` in XDG_CACHE_HOME or ~/.cache (Linux), ~/Library/Caches (macOS) or
    LOCALAPPDATA (Windows). The folder need not exist.
    """
    chosen = os.environ.get("COURSE_DATA")
    if chosen:
        return Path(chosen).expanduser().absolute()
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "transformers-course"


def damage(path: Path, file: RemoteFile) -> str | None:
    """Say what is wrong with a copy of `file`, or return None if it is whole and unchanged.

    Reads all of it every time: seconds for the largest set, against training on damaged data. Raises OSError
    if there is no file at `path` or it cannot be read.
    """
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as stored, _contents(stored, file.gunzip) as contents:
        try:
            # one byte more than there should be is enough to know that it is not the file; then 0 are asked for
            while block := contents.read(min(_BLOCK, file.size + 1 - size)):
                digest.update(block)
                size += len(block)
        except (EOFError, gzip.BadGzipFile, zlib.error) as problem:
            return f"it cannot be unpacked ({problem})"
    if size != file.size:
        return f"it has {'more than ' * (size > file.size)}{min(size, file.size):,} bytes instead of {file.size:,}"
    if digest.hexdigest() != file.sha256:
        return f"its SHA-256 is {digest.hexdigest()} instead of {file.sha256}"
    return None


def set_aside(path: Path) -> Path:
    """Rename a damaged file so that nothing will read it by its name, and return the new name."""
    aside = path.with_name(path.name + ".damaged")
    os.replace(path, aside)
    return aside


@contextlib.contextmanager
def _contents(stored: IO[bytes], gunzip: bool) -> Iterator[IO[bytes]]:
    if not gunzip:
        yield stored
        return
    with gzip.GzipFile(fileobj=stored) as unpacked:
        yield unpacked
