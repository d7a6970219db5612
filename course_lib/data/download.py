"""Fetch a data set's file once, keep it in the cache, and never hand out a damaged one."""

import os
import sys
import time
import warnings
from pathlib import Path

from filelock import FileLock

from course_lib.data.cache import RemoteFile, cache_folder, damage, set_aside
from course_lib.data.progress import TransferLine
from course_lib.data.transfer import Progress, TransferError, receive

# pauses in seconds before a silent or broken server is asked again; any new bytes start the series anew
_PAUSES = (0.5, 2.0, 5.0)


class DownloadError(OSError):
    """A file is neither in the cache nor to be had; the message says what to do by hand."""


def fetch(file: RemoteFile, progress: Progress | None = None) -> Path:
    """Return the path of an intact copy of `file`, downloading it first if the cache has none.

    The copy is checked at every call. A damaged one is renamed to end in `.damaged`, with a warning, and
    fetched again; a transfer that broke off is continued. Several processes may ask for one file at once: one
    fetches it and the others wait. `progress` is called with bytes done and in all; by default a line is
    written if standard error is a terminal. Raises DownloadError if the file cannot be had.
    """
    target = cache_folder() / file.path
    if _is_intact(target, file):
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(target.name + ".lock")):
            # another process may have fetched it while this one waited for the lock
            problem = damage(target, file) if target.exists() else "it is missing"
            if problem is None:
                return target
            if target.exists():
                aside = set_aside(target)
                warnings.warn(
                    f"{target} is damaged: {problem}. It is now {aside.name} and fetched again.", stacklevel=2
                )
            _download(file, target, progress)
    except DownloadError:
        raise
    except OSError as problem:
        raise DownloadError(_advice(file, target, [f"The cache cannot be used: {problem}"])) from problem
    return target


def _is_intact(path: Path, file: RemoteFile) -> bool:
    return path.is_file() and damage(path, file) is None


def _download(file: RemoteFile, target: Path, progress: Progress | None) -> None:
    part = target.with_name(target.name + ".part")
    line = TransferLine(target.name) if progress is None and sys.stderr.isatty() else None
    problems: list[str] = []
    try:
        for url in file.urls:
            if _download_from(url, file, part, progress or line or _ignore, problems):
                os.replace(part, target)
                return
    finally:
        if line is not None:
            line.close()
    raise DownloadError(_advice(file, target, problems))


def _download_from(url: str, file: RemoteFile, part: Path, progress: Progress, problems: list[str]) -> bool:
    barren = 0
    while True:
        before = _size(part)
        try:
            continued = receive(url, part, progress) > 0
        except TransferError as problem:
            barren = 1 if _size(part) > before else barren + 1
            if problem.passing and barren <= len(_PAUSES):
                time.sleep(_PAUSES[barren - 1])
                continue
            problems.append(f"{url}: {problem}")
            return False
        problem = damage(part, file)
        if problem is None:
            return True
        set_aside(part)
        # the first half may have been of an older file; a whole file that is wrong will be wrong again
        if not continued:
            problems.append(f"{url}: what it sends is not the file expected: {problem}")
            return False


def _advice(file: RemoteFile, target: Path, problems: list[str]) -> str:
    lines = [f"{target.name} could not be downloaded."]
    lines += [f"  {problem}" for problem in problems]
    lines += ["Where there is no network, or one that blocks it, fetch the file elsewhere from"]
    lines += [f"  {url}" for url in file.urls]
    lines += ["and put it at", f"  {target}"]
    lines += [f"It has {file.size:,} bytes and SHA-256 {file.sha256}{' once unpacked' * file.gunzip}."]
    lines += [f"Or set the environment variable COURSE_DATA to a folder that has it as {file.path}."]
    return "\n".join(lines)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _ignore(done: int, total: int | None) -> None:
    """Progress that nobody watches."""
