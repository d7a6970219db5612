"""Messages between the grader and a process it does not trust: a small JSON head and raw blobs, all of them capped."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any

MAGIC = b"AGC1"
PREFIX = struct.Struct("<4sII")
MAX_BLOBS = 4096
MAX_BYTES = 64 << 20
TICK = 0.5


class ChannelError(Exception):
    """The other side cannot be talked to any more."""


class Closed(ChannelError):
    """The other side has gone."""


class Malformed(ChannelError):
    """What the other side sent is no message."""


class TooLarge(ChannelError):
    """What the other side sends is larger than allowed."""


class Late(ChannelError):
    """The other side has not answered in time."""


class Channel:
    """A connected stream socket that carries messages; `most` bytes is the largest one that is taken in."""

    def __init__(self, sock: socket.socket, most: int = MAX_BYTES) -> None:
        self.sock, self.most = sock, most

    def send(self, head: dict[str, Any], blobs: Sequence[bytes] = (), seconds: float | None = None) -> None:
        """Send one message; raises Closed, or Late if the other side does not take it within `seconds`."""
        text = json.dumps(head, separators=(",", ":")).encode("utf-8", "surrogatepass")
        sizes = struct.pack(f"<{len(blobs)}I", *map(len, blobs))
        self.sock.settimeout(seconds)
        try:
            self.sock.sendall(b"".join([PREFIX.pack(MAGIC, len(text), len(blobs)), sizes, text, *blobs]))
        except TimeoutError:
            raise Late("it does not read what it is sent") from None
        except OSError as error:
            raise Closed(str(error)) from error

    def receive(
        self, deadline: float | None = None, tick: Callable[[], None] = lambda: None
    ) -> tuple[dict[str, Any], list[bytes]]:
        """The next message; `tick` is called about twice a second while waiting.

        Raises Closed, Malformed, TooLarge, or Late once `time.monotonic()` passes `deadline`.
        """
        magic, length, count = PREFIX.unpack(self._exactly(PREFIX.size, deadline, tick))
        if magic != MAGIC:
            raise Malformed("it sent something that is no message")
        if length > self.most or count > MAX_BLOBS:
            raise TooLarge(f"a message of {length} bytes and {count} parts")
        sizes = struct.unpack(f"<{count}I", self._exactly(4 * count, deadline, tick))
        if length + sum(sizes) > self.most:
            raise TooLarge(f"a message of {length + sum(sizes)} bytes")
        text = self._exactly(length, deadline, tick)
        blobs = [self._exactly(size, deadline, tick) for size in sizes]
        try:
            head = json.loads(text.decode("utf-8", "surrogatepass"))
        except (ValueError, RecursionError) as error:
            raise Malformed("the head of its message is not JSON") from error
        if not isinstance(head, dict):
            raise Malformed("the head of its message is not an object")
        return head, blobs

    def _exactly(self, count: int, deadline: float | None, tick: Callable[[], None]) -> bytes:
        parts: list[bytes] = []
        while count:
            wait = TICK if deadline is None else min(TICK, deadline - time.monotonic())
            if wait <= 0:
                raise Late("it has not answered in time")
            self.sock.settimeout(wait)
            try:
                part = self.sock.recv(min(count, 1 << 20))
            except TimeoutError:
                tick()
                continue
            except OSError as error:
                raise Closed(str(error)) from error
            if not part:
                raise Closed("it has closed the connection")
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(OSError):
            self.sock.close()
