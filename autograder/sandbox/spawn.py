"""The grader's side of sandboxes that are started anew for each submission, by a program such as bwrap or Docker."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from autograder.sandbox import root, view
from autograder.sandbox.channel import Channel, ChannelError
from autograder.sandbox.host import SandboxError
from autograder.sandbox.limits import Limits

START_SECONDS = 180.0
ENDED_SECONDS = 10.0
MAX_SAID = 1 << 16
START = f"import sys; sys.path.insert(0, {root.COURSE!r}); from autograder.sandbox.spawned import main; main()"
TRIAL = Limits(memory_mb=256)


class Address(Protocol):
    """What a worker opens boxes with; it can be handed to other processes."""

    def open(self, limits: Limits, mode: str = "cells") -> SpawnedBox:
        """A fresh box; raises SandboxError if there is none to be had."""


class SpawnedBox:
    """One submission's sandbox: `sock` leads to the runner inside, `process` is the program that made it."""

    def __init__(self, command: list[str], limits: Limits, mode: str = "cells") -> None:
        self.sock, theirs = socket.socketpair()
        self.said: dict[str, object] = {}
        self.rest = self.log = b""
        try:
            self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE,
                                            start_new_session=True)  # fmt: skip
        except OSError as error:
            self.sock.close()
            raise SandboxError(f"{command[0]} cannot be started ({error})") from error
        finally:
            theirs.close()
        with contextlib.suppress(ChannelError):  # if it has ended already, its own words say why
            Channel(self.sock).send({"limits": limits.as_dict(), "mode": mode}, seconds=START_SECONDS)
        self._listen("ready", START_SECONDS)
        if "ready" not in self.said:
            self.close()
            told = (self.log or self.rest).decode(errors="replace").strip() or "it gave no reason"
            raise SandboxError(f"the sandbox could not be started: {told}")

    def usage(self) -> tuple[float, float]:
        """The seconds that the first process has computed, and those it has waited for a free processor."""
        self._listen("", 0.0)
        return float(self.said.get("cpu", 0.0)), float(self.said.get("waited", 0.0))

    def be_nice(self) -> None:
        """Let everything else on this machine go first from now on, as far as its processes are ours."""
        import psutil

        with contextlib.suppress(psutil.Error):
            for process in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    process.nice(19)

    def ended(self) -> dict[str, object]:
        """How its processes ended: {"ended": exit | signal | memory | processes | files | lost, …}, or {}."""
        self._listen("ended", ENDED_SECONDS)
        return self.said if "ended" in self.said else {}

    def close(self) -> None:
        """Kill everything in it."""
        self.sock.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.process.stderr:
            self.process.stderr.close()

    def _listen(self, wanted: str, seconds: float) -> None:
        """Take in what the first process inside has said, until it says what is wanted, ends, or the time is up."""
        end = time.monotonic() + seconds
        pipe = self.process.stderr.fileno()
        while wanted not in self.said and "ended" not in self.said:
            if not select.select([pipe], [], [], max(0.0, end - time.monotonic()))[0]:
                return
            data = os.read(pipe, 4096)
            if not data:
                self.said["ended"] = "lost"
                return
            *lines, self.rest = (self.rest + data)[-MAX_SAID:].split(b"\n")
            for line in lines:
                try:
                    self.said |= json.loads(line)
                except (ValueError, TypeError):
                    self.log = line  # a sentence of the program that makes the sandbox


@dataclass
class Spawner:
    """A sandbox for one assignment that makes each box from nothing; `address_of` says how, given a folder of its own.

    The folder holds the student's view and the few files of /etc.
    """

    folder: Path
    address: Address

    @classmethod
    def prepare(cls, assignment: str, address_of: type[Address]) -> Self:
        """Lay out what boxes will show."""
        folder = Path(tempfile.mkdtemp(prefix="grader-"))
        try:
            view.build(assignment, folder / "view")
            (folder / "etc").mkdir()
            for name, text in root.FILES.items():
                (folder / "etc" / name).write_text(text)
            return cls(folder, address_of(str(folder)))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def begin(self) -> Self:
        """There is nothing to start beforehand."""
        return self

    def wait(self, seconds: float = START_SECONDS) -> Self:
        """See that a box can be opened; raises SandboxError with what went wrong."""
        try:
            self.address.open(TRIAL).close()
        except SandboxError:
            self.stop()
            raise
        return self

    def alive(self) -> bool:
        """There is nothing that could have died."""
        return True

    def restart(self) -> None:
        """There is nothing to start again."""

    def stop(self) -> None:
        """Remove its folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.begin().wait()

    def __exit__(self, *_: object) -> None:
        self.stop()
