"""Inside a sandbox that was made for one submission alone: start, limit and watch the runner, which a zygote has not.

It is the first process of its namespace, so that nothing in there can signal it. Its standard input and output lead to
the grader's session; on standard error it says how the submission does and how it ended, a JSON object a line.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import time

from autograder.sandbox import kernel, linux, zygote
from autograder.sandbox.channel import Channel
from autograder.sandbox.limits import Limits

TELL_EVERY = 0.5
GRACE = 60.0
POLL_HUNG_UP = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)


class Pipes:
    """Two pipes that look like the one socket that a channel needs."""

    def __init__(self, read: int, write: int) -> None:
        self.read, self.write = read, write

    def settimeout(self, seconds: float | None) -> None:
        """Inside there is nothing to do but to wait for the grader."""

    def recv(self, most: int) -> bytes:
        """What has come, at least one byte unless the grader has gone."""
        return os.read(self.read, most)

    def sendall(self, data: bytes) -> None:
        """Send all of it."""
        left = memoryview(data)
        while left:
            left = left[os.write(self.write, left) :]

    def close(self) -> None:
        """Hang up."""
        os.close(self.read)
        os.close(self.write)


def main() -> None:
    """Load what notebooks need, say that all is ready, and run a submission to its end."""
    pipes = Pipes(os.dup(0), os.dup(1))
    zygote.silence()
    asked = Channel(pipes).receive()[0]
    limits = Limits.of(asked["limits"])
    zygote.load(zygote.PRELOADED)
    importlib.import_module("autograder.sandbox.runner").prepare()
    if asked["mode"] == "plots":
        zygote.load(zygote.PLOTTING)
    most = kernel.most_memory(limits)
    pid = os.fork()
    if pid == 0:
        _be_kernel(pipes, limits)
    # nobody reads this process's memory or takes its descriptors, though the submission runs as the same user
    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    tell({"ready": True})
    said = watch(pid, pipes.read, limits, most)
    tell(said)
    os._exit(0)  # the first process: with it all others end


def tell(what: dict[str, object]) -> None:
    """One line to the grader."""
    os.write(2, json.dumps(what).encode() + b"\n")


def _be_kernel(pipes: Pipes, limits: Limits) -> None:
    try:
        kernel.confine(limits, pipes.read, pipes.write)
        importlib.import_module("autograder.sandbox.runner").serve(pipes)
    finally:
        os._exit(0)


def watch(pid: int, lifeline: int, limits: Limits, most: int) -> dict[str, object]:
    """Wait until the submission ends, oversteps a limit or is no longer wanted; returns how it ended."""
    wanted = select.poll()
    wanted.register(lifeline, getattr(select, "POLLRDHUP", 0))
    told, until = 0.0, time.monotonic() + limits.submission_seconds + GRACE
    while True:
        # orphans of the submission are this process's children too
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == pid:
                code = os.waitstatus_to_exitcode(ended[1])
                return {"ended": "signal", "code": -code} if code < 0 else {"ended": "exit", "code": code}
        if any(event & POLL_HUNG_UP for _, event in wanted.poll(kernel.LOOK_EVERY * 1000)) or time.monotonic() > until:
            return {"ended": "asked"}
        if excess := kernel.overstepped(most, limits) or too_many_files(limits):
            return {"ended": excess}
        if time.monotonic() - told > TELL_EVERY:
            told = time.monotonic()
            tell(kernel.times(pid))


def too_many_files(limits: Limits) -> str:
    """Whether more files were written than allowed, in a place that does not limit their number by itself."""
    for place in kernel.WRITABLE.values():
        system = os.statvfs(place)
        if system.f_files - system.f_ffree > limits.files + 100:
            return "files"
    return ""
