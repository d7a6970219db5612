"""The grader's side of one box: run cells and ask probes, within the limits, believing nothing that comes back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from autograder.sandbox import channel
from autograder.sandbox.channel import Channel
from autograder.sandbox.host import Box, SandboxError
from autograder.sandbox.limits import Limits

PATIENCE = 3.0
GRACE = 3.0
SIGNALS = {6: "SIGABRT", 9: "SIGKILL", 11: "SIGSEGV", 15: "SIGTERM"}


class Ended(Exception):
    """The submission's process has ended, or had to be.

    `status` is timeout, memory, crash, output or forged; the message is a sentence without its subject.
    """

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


class Session:
    """A conversation with the runner in a box; `tick` is called now and then while waiting.

    Every method raises Ended if the process ends or oversteps a limit, and SandboxError for a fault of the machine.
    After either only `close` may be called.
    """

    def __init__(self, box: Box, limits: Limits, until: float, tick: Callable[[], None] = lambda: None) -> None:
        self.box, self.limits, self.until, self.tick = box, limits, until, tick
        self.channel = Channel(box.sock)

    def put_files(self, files: dict[str, bytes]) -> None:
        """Lay files into the working folder."""
        self._talk({"do": "files", "names": list(files)}, list(files.values()), self.limits.cell_seconds)

    def cell(self, source: str) -> tuple[list[Any], bool]:
        """Run a cell; returns its outputs as it claims them, and whether it was stopped for taking too long."""
        most = self.limits.output_kb * 1000
        seconds = self.limits.cell_seconds
        said, _ = self._talk({"do": "cell", "source": source, "seconds": seconds, "most": most}, [], seconds)
        outputs = said.get("outputs")
        return outputs if isinstance(outputs, list) else [], said.get("late") is True

    def probe(self, names: list[str], sources: dict[str, str], requests: list[bytes]) -> Iterator[bytes | str]:
        """The reply to each request, one by one; or the name of an object that is not there, and nothing else."""
        began, seconds = time.monotonic(), self.limits.question_seconds
        self._send({"do": "probe", "names": names, "sources": sources}, requests, seconds)
        for _ in requests:
            said, blobs = self._receive(began, seconds)
            if isinstance(said.get("missing"), str):
                yield said["missing"]
                return
            if len(blobs) != 1:
                raise Ended("forged", "sent a reply that is not of the form that a check sends back")
            yield blobs[0]

    def close(self) -> None:
        """Kill what is left of it."""
        self.box.close()

    def _talk(self, head: dict[str, Any], blobs: list[bytes], seconds: float) -> tuple[dict[str, Any], list[bytes]]:
        began = time.monotonic()
        self._send(head, blobs, seconds)
        return self._receive(began, seconds)

    def _send(self, head: dict[str, Any], blobs: list[bytes], seconds: float) -> None:
        try:
            self.channel.send(head, blobs, PATIENCE * seconds + GRACE)
        except channel.ChannelError as error:
            raise self._explain(error, seconds) from error

    def _receive(self, began: float, seconds: float) -> tuple[dict[str, Any], list[bytes]]:
        watch = Stopwatch(self, began, seconds)
        try:
            return self.channel.receive(self.until, watch.look)
        except channel.ChannelError as error:
            raise self._explain(error, seconds) from error

    def _explain(self, error: channel.ChannelError, seconds: float) -> Ended:
        match error:
            case channel.Late() if time.monotonic() >= self.until:
                return Ended("timeout", f"timeout: the {self.limits.submission_seconds:g} s for the whole were used up")
            case channel.Late():
                limit = f"{seconds:g} seconds of computing, or {PATIENCE:g} times that asleep"
                return Ended("timeout", f"timeout: no end within {limit}, and it could not be interrupted")
            case channel.TooLarge():
                return Ended("output", f"went over the output limit: it sent {error}")
            case channel.Malformed():
                return Ended("forged", f"sent a reply that is not of the grader's form: {error}")
        said = self.box.ended()
        match said.get("ended"):
            case "memory":
                return Ended("memory", f"memory: more than {self.limits.memory_mb} MB were in use")
            case "processes":
                return Ended("crash", f"crash: process ended, for more than {self.limits.processes} processes ran")
            case "files":
                return Ended("crash", f"crash: process ended, for it wrote more than {self.limits.files} files")
            case "signal" if said.get("code") == 9:
                # the system's own killer is the only one outside that could have sent it
                return Ended("memory", "memory: the system had none left for it, and ended it")
            case "signal":
                name = SIGNALS.get(said["code"], f"signal {said['code']}")
                return Ended("crash", f"crash: its Python process ended by {name}")
            case "exit":
                return Ended("crash", "crash: its Python process ended itself or closed its connection")
            case "fault":
                raise SandboxError(f"the sandbox failed: {said.get('detail')}")
            case "lost":
                raise SandboxError("the sandbox has gone")
        return Ended("crash", "crash: its Python process closed its connection to the grader")


class Stopwatch:
    """Looks now and then whether a step has used up its time: computed for it, or asleep for several times that."""

    def __init__(self, session: Session, began: float, seconds: float) -> None:
        self.session, self.began, self.seconds = session, began, seconds
        self.start: tuple[float, float] | None = None

    def look(self) -> None:
        """Raise Late if the time is up; waiting for a free processor does not count."""
        self.session.tick()
        if self.start is None:
            self.start = self.session.box.usage()
        elapsed = time.monotonic() - self.began
        # several processes together may have used up the time of one long before the clock has
        computed, waited = (now - then for now, then in zip(self.session.box.usage(), self.start, strict=True))
        if computed > self.seconds + GRACE or elapsed - waited > PATIENCE * self.seconds + GRACE:
            raise channel.Late("it has used up its time")
