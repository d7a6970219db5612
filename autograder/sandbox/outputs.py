"""What a cell shows, gathered as a notebook's outputs and cut where it grows too large."""

from __future__ import annotations

import io
from typing import Any

MAX_IMAGE = 4 << 20
MAX_ITEMS = 500
MAX_FRAMES = 100


class Outputs:
    """The outputs of one cell; of its text the first `most` characters are kept, the rest is counted."""

    def __init__(self, most: int) -> None:
        self.left, self.dropped = most, 0
        self.items: list[dict[str, Any]] = []

    def text(self, value: Any) -> str:
        """The part of a text that still fits."""
        value = value if type(value) is str else str(value)
        kept = value[: max(self.left, 0)]
        self.left -= len(kept)
        self.dropped += len(value) - len(kept)
        return kept

    def stream(self, name: str, text: str) -> None:
        """Something printed; what comes on one stream in a row is one output."""
        kept = self.text(text)
        if not kept:
            return
        if self.items and self.items[-1].get("name") == name:
            self.items[-1]["parts"].append(kept)
        elif self._room():
            self.items.append({"output_type": "stream", "name": name, "parts": [kept]})

    def show(self, kind: str, data: dict[str, Any]) -> None:
        """A displayed object: its text, and its picture if it has one; forms that a page would run are left out."""
        kept: dict[str, str] = {}
        for mime in ("image/png", "image/jpeg"):
            picture = data.get(mime)
            if isinstance(picture, str) and len(picture) <= MAX_IMAGE:
                kept[mime] = picture
        kept["text/plain"] = self.text(data.get("text/plain", ""))
        left_out = [str(mime)[:100] for mime in data if mime not in kept][:10]
        if self._room():
            # named, so that whoever shows the outputs can say what they had besides
            self.items.append({"output_type": kind, "data": dict.fromkeys(left_out, "") | kept, "metadata": {}})

    def error(self, name: str, value: str, traceback: list[str]) -> None:
        """An exception that nothing caught."""
        self.left = max(self.left, 20_000)  # a reason is never cut away by what was printed before it
        if self._room() or self.items.pop():
            parts: dict[str, Any] = {"ename": self.text(name[:200]), "evalue": self.text(value[:2000])}
            parts["traceback"] = [self.text(line) for line in traceback[-MAX_FRAMES:]]
            self.items.append({"output_type": "error", **parts})

    def clear(self) -> None:
        """Forget what was shown so far."""
        self.items.clear()

    def finished(self) -> list[dict[str, Any]]:
        """All of it in a form that can be sent."""
        done = []
        for item in self.items:
            parts = item.pop("parts", None)
            done.append(item if parts is None else {**item, "text": "".join(parts)})
        if self.dropped:
            done.append({"output_type": "notice", "dropped": self.dropped})
        return done

    def _room(self) -> bool:
        if len(self.items) < MAX_ITEMS:
            return True
        self.dropped += 1
        return False


class Stream(io.TextIOBase):
    """A standard stream that writes into the outputs of the cell that runs."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, name: str) -> None:
        super().__init__()
        self.stream, self.outputs = name, Outputs(0)

    def write(self, text: str) -> int:
        """Take in a text; raises TypeError for anything else, as every text stream does."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self.outputs.stream(self.stream, text)
        return len(text)

    def writable(self) -> bool:
        """It is."""
        return True
