"""A grading run on the screen: a live table in a terminal, a plain log elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from autograder.grading.run.grade import Watcher
from autograder.progress import Progress, clock

MOST_ROWS = 12
NO_ISOLATION = "Student code runs here without isolation (tier: none), as in plain nbgrader."


class Screen:
    """Shows how a run goes; `watcher` is what the run tells it. Close it before printing anything else."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.watcher = Watcher(self.start, self.tick, self.look)
        self.total = self.done = self.people = self.waiting = 0
        self.members: list[Any] = []
        self.last = ""
        self.live: Live | None = None
        self.log: Progress | None = None

    def start(self, tier: str, total: int) -> None:
        """A run of `total` submissions begins."""
        self.stream.write(f"{NO_ISOLATION}\n" if tier == "none" else f"Student code runs isolated (tier: {tier}).\n")
        self.total, self.began = total, time.monotonic()
        if self.stream.isatty() and tier != "none":
            console = Console(file=self.stream)
            self.live = Live(get_renderable=self.table, console=console, refresh_per_second=4, transient=True)
            self.live.start()
        else:
            self.log = Progress(total, "submissions graded", stream=self.stream)

    def tick(self, text: str) -> None:
        """One submission has ended."""
        self.done += 1
        self.people += "for a person" in text
        self.last = text
        if self.log:
            self.log.step(text)

    def look(self, members: list[Any], waiting: int) -> None:
        """What the workers are at."""
        self.members, self.waiting = [m for m in members if m.student], waiting

    def close(self) -> None:
        """Leave the screen to others."""
        if self.live:
            self.live.stop()
        if self.log:
            self.log.close()

    def table(self) -> Group:
        """The table as it is now."""
        elapsed = time.monotonic() - self.began
        rate = self.done / max(elapsed, 1e-6)
        left = f", about {clock((self.total - self.done) / rate)} left" if self.done else ""
        head = f"{self.done} of {self.total} done, {60 * rate:.0f} a minute{left}; {self.waiting} wait"
        head += f"; {self.people} for a person" if self.people else ""
        table = Table("student", "at", "for", box=None, pad_edge=False)
        for member in sorted(self.members, key=lambda m: m.since)[:MOST_ROWS]:
            slow = " (slow: the others do not wait for it)" if member.slow else ""
            table.add_row(Text(member.student), member.state + slow, clock(time.monotonic() - member.since))
        return Group(Text(head, style="bold"), table, Text(f"last: {self.last}", style="dim", overflow="ellipsis"))
