"""How far a download is, on one line of a terminal."""

import sys
import time
from typing import TextIO


class TransferLine:
    """A line that says share, bytes, rate and time left; call it as a transfer's progress, then `close` it.

    `name` is what is fetched, `out` where the line goes (standard error by default). It is rewritten at most
    five times a second. Bytes from an earlier, broken transfer do not count towards the rate.
    """

    def __init__(self, name: str, out: TextIO | None = None) -> None:
        self.name, self.out = name, sys.stderr if out is None else out
        self.began, self.before, self.shown = time.monotonic(), None, float("-inf")

    def __call__(self, done: int, total: int | None) -> None:
        now = time.monotonic()
        if self.before is None:
            self.began, self.before = now, done
        if now - self.shown < 0.2 and done != total:
            return
        self.shown = now
        rate = (done - self.before) / max(now - self.began, 1e-9)
        text = f"{self.name}: {done / 1e6:.1f} MB"
        if total:
            text = f"{self.name}: {100 * done / total:3.0f} % of {total / 1e6:.1f} MB"
        if rate:
            text += f", {rate / 1e6:.1f} MB/s"
            text += f", about {(total - done) / rate:.0f} s left" if total else ""
        self.out.write(f"\r{text:<78}")
        self.out.flush()

    def close(self) -> None:
        """End the line, if there is one."""
        if self.before is not None:
            self.out.write("\n")
            self.out.flush()
