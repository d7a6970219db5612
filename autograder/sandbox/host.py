"""The grader's side of a zygote: start it, stop it, and open a box in it for one submission."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass

from autograder.sandbox import temporary, view
from autograder.sandbox.limits import Limits

START_SECONDS = 120.0
ANSWER_SECONDS = 5.0
OPEN_SECONDS = 10.0


class SandboxError(Exception):
    """The sandbox cannot be made or has gone: a fault of the machine or the grader, never of a submission."""


class Box:
    """One submission's process: `sock` leads to the runner inside, the lifeline to its supervisor outside of it."""

    def __init__(self, sock: socket.socket, lifeline: socket.socket) -> None:
        self.sock, self.lifeline = sock, lifeline
        self.said: dict[str, object] = {}
        self.rest = b""

    def usage(self) -> tuple[float, float]:
        """The seconds that its processes have computed, and those that the first has waited for a processor."""
        with contextlib.suppress(OSError):
            self.lifeline.sendall(b"?")
        self._listen("cpu", ANSWER_SECONDS)
        return float(self.said.get("cpu", 0.0)), float(self.said.get("waited", 0.0))

    def be_nice(self) -> None:
        """Let everything else on this machine go first from now on."""
        with contextlib.suppress(OSError):
            self.lifeline.sendall(b"n")

    def ended(self) -> dict[str, object]:
        """How its processes ended: {"ended": exit | signal | memory | fault | lost, …}, or {} if they have not.

        It is "lost" where the supervisor ended without a word, which no submission can bring about.
        """
        self._listen("ended", ANSWER_SECONDS)
        return self.said

    def close(self) -> None:
        """Kill everything in it."""
        self.sock.close()
        self.lifeline.close()

    def _listen(self, wanted: str, seconds: float) -> None:
        self.said.pop("cpu", None)  # asked for anew each time; how it ended is said once
        end = time.monotonic() + seconds
        while wanted not in self.said and "ended" not in self.said and (left := end - time.monotonic()) > 0:
            if not select.select([self.lifeline], [], [], left)[0]:
                return
            data = b""
            with contextlib.suppress(OSError):
                data = self.lifeline.recv(4096)
            if not data:
                self.said["ended"] = "lost"
                return
            *lines, self.rest = (self.rest + data).split(b"\n")
            for line in lines:
                self.said |= json.loads(line)


@dataclass(frozen=True)
class Address:
    """Where boxes are opened: the path of the zygote's socket. It can be handed to other processes."""

    path: str

    def open(self, limits: Limits, mode: str = "cells") -> Box:
        """A fresh box; raises SandboxError if the zygote does not answer.

        Its `mode` is "cells", "plots" if cells draw with matplotlib, or "jupyter" for a Jupyter kernel.
        """
        ours, theirs = socket.socketpair()
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.settimeout(OPEN_SECONDS)
            sock.connect(self.path)
            setup = json.dumps({"limits": limits.as_dict(), "mode": mode}).encode()
            socket.send_fds(sock, [setup], [theirs.fileno()])
        except OSError as error:
            sock.close()
            ours.close()
            raise SandboxError(f"the process that forks submissions does not answer ({error})") from error
        finally:
            theirs.close()
        return Box(sock, ours)


class Zygote:
    """A running zygote for one assignment; a context manager. `whole` shows all of the course, checks included."""

    def __init__(self, assignment: str, *, whole: bool = False, unprivileged: bool = False) -> None:
        self.folder = temporary.folder("grader")
        self.log = self.folder / "log"
        self.assignment, self.unprivileged = assignment, unprivileged
        self.process: subprocess.Popen | None = None
        try:
            view.build(assignment, self.folder / "view", whole=whole)
            (self.folder / "root").mkdir()
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(self.folder / "z"))
            self.listener.listen(256)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self.address = Address(str(self.folder / "z"))

    def begin(self) -> Zygote:
        """Start it without waiting; `wait` must follow."""
        self.ready, theirs = os.pipe()
        command = [sys.executable, "-m", "autograder.sandbox.launch", str(self.folder / "root"),
                   str(self.folder / "view"), str(self.listener.fileno()), str(theirs), self.assignment]  # fmt: skip
        environment = dict(os.environ, PYTHONPATH=str(view.PACKAGE.parent))
        if self.unprivileged:
            environment["AUTOGRADER_UNPRIVILEGED"] = "1"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, pass_fds=[self.listener.fileno(), theirs], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, env=environment,
            )  # fmt: skip
        os.close(theirs)
        return self

    def wait(self, seconds: float = START_SECONDS) -> Zygote:
        """Wait until boxes can be opened; raises SandboxError with what went wrong."""
        try:
            if select.select([self.ready], [], [], seconds)[0] and os.read(self.ready, 16) == b"ready":
                return self
        finally:
            os.close(self.ready)
        told = self.log.read_text(errors="replace").strip().splitlines()
        self.stop()
        raise SandboxError(
            "the sandbox could not be started: " + (told[-1] if told else f"no answer within {seconds:.0f} s")
        )

    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process is not None and self.process.poll() is None

    def restart(self) -> None:
        """Another one at the same address."""
        self._kill()
        self.begin().wait()

    def stop(self) -> None:
        """Kill it with all its boxes, and remove its folder."""
        self._kill()
        self.listener.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _kill(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                # its leader outside; what is inside dies with it
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def __enter__(self) -> Zygote:
        return self.begin().wait()

    def __exit__(self, *_: object) -> None:
        self.stop()
