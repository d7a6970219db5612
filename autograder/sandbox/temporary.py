"""Folders for a run's sockets and views, which die with it: what a killed run left is removed by the next one."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import psutil


def folder(kind: str) -> Path:
    """A new folder that bears this process's number; those of this user's processes that have ended are removed."""
    for path in Path(tempfile.gettempdir()).glob(f"{kind}-*-*"):
        number = path.name.split("-")[1]
        if number.isdigit() and has_ended(int(number)) and path.lstat().st_uid == os.getuid():
            shutil.rmtree(path, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{kind}-{os.getpid()}-"))


def has_ended(number: int) -> bool:
    """Whether a process has ended, be it waited for or not: in a container that may never happen."""
    try:
        return psutil.Process(number).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
