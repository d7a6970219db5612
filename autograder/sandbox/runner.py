"""Inside the sandbox: run a submission's cells one after the other, and answer the probes of its test cells."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import types
from collections.abc import Iterator
from typing import Any

from autograder import probe
from autograder.sandbox import shell as shells
from autograder.sandbox.channel import Channel, ChannelError

MAX_NAME = 200


def prepare() -> None:
    """What can be done once, before the first fork."""
    sys.path.insert(0, "")  # as in a notebook: what lies beside it can be imported
    shells.make()


def serve(connection: socket.socket) -> None:
    """Do what the grader asks until it hangs up."""
    channel = Channel(connection)
    runner = Runner(shells.Shell.instance())
    try:
        while True:
            asked, blobs = channel.receive()
            for head, parts in runner.carry_out(asked, blobs):
                channel.send(head, parts)
    except ChannelError:
        os._exit(0)


class Runner:
    """The state of one submission: the shell that its cells share."""

    def __init__(self, shell: shells.Shell) -> None:
        self.shell = shell

    def carry_out(self, asked: dict[str, Any], blobs: list[bytes]) -> Iterator[tuple[dict[str, Any], list[bytes]]]:
        """The answers to one request, one after the other."""
        match asked["do"]:
            case "files":
                write_files(dict(zip(asked["names"], blobs, strict=True)))
                yield {}, []
            case "cell":
                yield self._cell(asked["source"], asked["seconds"], asked["most"]), []
            case "probe":
                yield from self._probe(asked["names"], asked["sources"], blobs)

    def _cell(self, source: str, seconds: float, most: int) -> dict[str, Any]:
        with contextlib.suppress(probe.TimeLimit), probe.time_limit(seconds) as alarm:
            self.shell.run(source, most)
        outputs = self.shell.outputs
        if alarm.rang:
            end_others()
            if not any(item.get("ename") == "TimeLimit" for item in outputs.items):
                # it rang once more while the first was being shown, or was swallowed
                outputs.error("TimeLimit", f"no end within {seconds:g} seconds", [])
        return {"outputs": outputs.finished(), "late": alarm.rang}

    def _probe(
        self, names: list[str], sources: dict[str, str], requests: list[bytes]
    ) -> Iterator[tuple[dict[str, Any], list[bytes]]]:
        space = self.shell.user_ns
        missing = [name for name in names if name not in space]
        if missing:
            yield {"missing": missing[0][:MAX_NAME]}, []
            return
        objects = tuple(space[name] for name in names)
        for name, text in sources.items():
            sys.modules[name] = types.ModuleType(name)
            exec(compile(text, f"<{name}>", "exec"), sys.modules[name].__dict__)
        with probe.one_thread():
            for reply in probe.answers(requests, objects):
                yield {}, [reply]
        for name in sources:
            sys.modules.pop(name, None)


def end_others() -> None:
    """Kill every other process of the submission: what a cell that took too long has started would go on."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)  # all that this one may signal, but for itself and the first of the namespace


def write_files(files: dict[str, bytes]) -> None:
    """Put what was handed in beside the notebook into the working folder."""
    for name, content in files.items():
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        with open(name, "wb") as file:
            file.write(content)
