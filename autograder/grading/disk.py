"""Files and folders that have to be on the disk, or gone from it, before the next step is taken."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any


def sync(paths: list[Path]) -> None:
    """Wait until files and folders are on the disk."""
    # Several waits at once cost hardly more than one: the file system takes them together.
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(sync_one, paths))


def sync_one(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Delete a folder, or whatever else is there; nothing there is as well."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_durably(path: Path, data: bytes) -> None:
    """Replace a file, which only its owner can read, in one step: a kill leaves the old one or the new one."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with open_private(draft) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def open_private(path: Path) -> Any:
    """A file to append to that only its owner can read: it holds seeds."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
