"""One warm zygote for each user of a machine, for Jupyter kernels: started when needed, gone when nobody has used it.

`hold` is how a kernel uses it. The zygote belongs to a process of its own, the keeper, which holds a lock as long as
it lives, so that there is never a second one, and which ends when no kernel has run for some minutes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from autograder.sandbox import view
from autograder.sandbox.host import START_SECONDS, Address, SandboxError, Zygote

IDLE_SECONDS = 600.0
LOOK_EVERY = 0.2
LOCK_SECONDS = 5.0
STOP_SECONDS = 20.0


def folder() -> Path:
    """The private folder of this user's keepers; raises SandboxError if somebody else has made it."""
    path = Path(tempfile.gettempdir()) / f"autograder-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if path.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise SandboxError(f"{path} is not a folder of yours alone: remove it")
    return path


@dataclass(frozen=True)
class Place:
    """Where the keeper of one state of the course and its Python has its files."""

    base: Path

    @classmethod
    def here(cls) -> Place:
        """Another place whenever what kernels are forked from would be another."""
        digest = hashlib.sha256(f"{sys.prefix} {sys.version}".encode())
        for source in (view.PACKAGE, view.COURSE_LIB):
            for path in sorted(source.rglob("*.py")):
                status = path.stat()
                digest.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
        return cls(folder() / digest.hexdigest()[:16])

    @property
    def lock(self) -> Path:
        """Locked while a keeper lives."""
        return self.base.with_suffix(".lock")

    @property
    def use(self) -> Path:
        """Locked, by several at a time, while kernels run."""
        return self.base.with_suffix(".use")

    @property
    def state(self) -> Path:
        """What the keeper says of itself: its process's id, the zygote's address and folder, or what went wrong."""
        return self.base.with_suffix(".json")

    def read(self) -> dict[str, object]:
        """The state, or {} if there is none yet."""
        with contextlib.suppress(OSError, ValueError):
            return json.loads(self.state.read_text())
        return {}

    def kept(self) -> bool:
        """Whether a keeper lives."""
        with self.lock.open("a") as file:
            return not locked(file, fcntl.LOCK_SH)


def locked(file: IO[str], kind: int) -> bool:
    """Whether the lock could be taken at once."""
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(file, kind | fcntl.LOCK_NB)
        return True
    return False


@contextlib.contextmanager
def hold() -> Iterator[Address]:
    """The address of the warm zygote, started if need be, which will not end meanwhile; raises SandboxError."""
    place = Place.here()
    with place.use.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield _address(place)


def _address(place: Place) -> Address:
    until, started = time.monotonic() + START_SECONDS, 0.0
    while time.monotonic() < until:
        if place.kept():
            state = place.read()
            if "path" in state:
                return Address(str(state["path"]))
        elif "problem" in place.read() and started:
            raise SandboxError(str(place.read()["problem"]))
        elif time.monotonic() - started > LOCK_SECONDS:
            started = time.monotonic()
            place.state.unlink(missing_ok=True)
            with place.base.with_suffix(".log").open("ab") as log:
                subprocess.run(  # returns at once: the keeper is a child of its own child
                    [sys.executable, "-m", "autograder.sandbox.keeper", str(place.base)], stdin=subprocess.DEVNULL,
                    stdout=log, stderr=log, start_new_session=True, cwd="/", check=False,
                    env=dict(os.environ, PYTHONPATH=str(view.PACKAGE.parent), AUTOGRADER_JUPYTER="1"),
                )  # fmt: skip
        time.sleep(LOOK_EVERY)
    raise SandboxError(f"the process that forks kernels was not ready within {START_SECONDS:.0f} s")


def stop() -> int:
    """End all keepers of this user, with their kernels; returns how many there were."""
    count = 0
    for path in folder().glob("*.lock"):
        place = Place(path.with_suffix(""))
        state = place.read()
        if not place.kept() or "pid" not in state:
            continue
        count += 1
        os.kill(int(state["pid"]), signal.SIGTERM)
        until = time.monotonic() + STOP_SECONDS
        while place.kept() and time.monotonic() < until:
            time.sleep(LOOK_EVERY)
    return count


def running() -> int:
    """How many keepers of this user there are."""
    return sum(Place(path.with_suffix("")).kept() for path in folder().glob("*.lock"))


def keep(place: Place, idle_seconds: float) -> None:
    """Be the keeper: start the zygote, and end when it dies or has not been used for so long."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with place.lock.open("a") as lock, place.use.open("a") as use:
        if not _lock_soon(lock):
            return  # there is one
        place.state.unlink(missing_ok=True)
        for path in folder().glob("*.json"):
            if path != place.state and not Place(path.with_suffix("")).kept():
                _sweep(Place(path.with_suffix("")))
        try:
            with Zygote("", whole=True) as zygote:
                said = {"pid": os.getpid(), "path": zygote.address.path, "folder": str(zygote.folder)}
                _write(place.state, said)
                _until_unused(zygote, use, idle_seconds)
                place.state.unlink(missing_ok=True)
        except SandboxError as error:
            _write(place.state, {"problem": str(error)})
        except SystemExit:
            place.state.unlink(missing_ok=True)


def _until_unused(zygote: Zygote, use: IO[str], idle_seconds: float) -> None:
    used = time.monotonic()
    while zygote.alive() and time.monotonic() - used < idle_seconds:
        time.sleep(LOOK_EVERY)
        if locked(use, fcntl.LOCK_EX):
            fcntl.flock(use, fcntl.LOCK_UN)
        else:
            used = time.monotonic()


def _lock_soon(lock: IO[str]) -> bool:
    """Take the lock; that somebody looks whether it is taken must not be in the way."""
    until = time.monotonic() + 1
    while not (taken := locked(lock, fcntl.LOCK_EX)) and time.monotonic() < until:
        time.sleep(0.02)
    return taken


def _sweep(place: Place) -> None:
    """Remove what a keeper left that was killed."""
    left = place.read().get("folder")
    if left and Path(str(left)).name.startswith("grader-"):
        shutil.rmtree(str(left), ignore_errors=True)
    place.state.unlink(missing_ok=True)
    place.base.with_suffix(".log").unlink(missing_ok=True)


def _write(path: Path, state: dict[str, object]) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(state))
    fresh.rename(path)


if __name__ == "__main__" and os.fork() == 0:
    # no child of the process that asked for it, which may outlive it by days and would not wait for it
    keep(Place(Path(sys.argv[1])), float(os.environ.get("AUTOGRADER_KERNEL_IDLE", IDLE_SECONDS)))
