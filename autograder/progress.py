"""Progress of a long command: one live line in a terminal, a plain log elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO


class Progress:
    """Counts steps of known number, and says how fast they go and how long the rest will take.

    Outside a terminal every `every`-th step gets a line of its own, and the last one.
    """

    def __init__(self, total: int, unit: str, every: int = 1, stream: TextIO | None = None) -> None:
        self.total, self.unit, self.every = total, unit, every
        self.stream = stream or sys.stderr
        self.live = self.stream.isatty()
        self.done = 0
        self.started = time.monotonic()
        self._draw("")

    def step(self, text: str) -> None:
        """One more is done; `text` says which."""
        self.done += 1
        if self.live or self.done % self.every == 0 or self.done == self.total:
            self._draw(text)

    def close(self) -> None:
        """Leave the live line behind, so that what follows starts on its own line."""
        if self.live and self.total:
            self.stream.write("\n")
            self.stream.flush()

    def _draw(self, text: str) -> None:
        if not self.total or not (self.live or text):
            return
        elapsed = time.monotonic() - self.started
        line = f"{self.done}/{self.total} {self.unit}"
        if self.done:
            rate = self.done / max(elapsed, 1e-6)
            left = (self.total - self.done) / rate
            line += f"  {60 * rate:.0f} a minute  " + (f"{clock(left)} left" if left else f"took {clock(elapsed)}")
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            bar = "#" * round(20 * self.done / self.total)
            self.stream.write("\r\033[K" + f"[{bar:<20}] {line}  {text}"[:width])
        else:
            self.stream.write(f"{line}  {text}\n")
        self.stream.flush()


def clock(seconds: float) -> str:
    """A duration for people: 8 s, 2 min 05 s, 1 h 10 min."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
