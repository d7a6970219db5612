"""What no submission may reach: a secret in the environment, one in a file, and services that note who calls."""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import stat
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.attacks.kit import Places

LARGE = 1 << 28
VARIABLE = "COURSE_REGISTRY_PASSWORD"


@dataclass
class Bait:
    """Running services and a secret; `calls` lists what was reached."""

    places: Places
    calls: list[str] = field(default_factory=list)
    _open: list[socket.socket] = field(default_factory=list)

    def stop(self) -> None:
        """Close the services."""
        for server in self._open:
            server.close()


def lay_out(course: Path, home: Path, socket_path: Path) -> Bait:
    """Write the secret's file into `home` and start listening on TCP, a socket file, and an abstract name."""
    secret = f"canary-{secrets.token_hex(12)}"
    home.mkdir(parents=True, exist_ok=True)
    (home / ".registry-password").write_text(secret + "\n")
    name = f"bait-{secrets.token_hex(6)}"
    bait = Bait(Places(course, home, home / ".registry-password", secret, VARIABLE, 0, socket_path, name))
    tcp = listen(socket.AF_INET, ("127.0.0.1", 0), bait, "tcp")
    port = tcp.getsockname()[1]
    listen(socket.AF_UNIX, str(socket_path), bait, "socket file")
    listen(socket.AF_UNIX, "\0" + bait.places.abstract, bait, "abstract socket")
    bait.places = Places(**(vars(bait.places) | {"port": port}))
    return bait


def listen(family: int, address: object, bait: Bait, name: str) -> socket.socket:
    server = socket.socket(family, socket.SOCK_STREAM)
    server.bind(address)
    server.listen(64)
    bait._open.append(server)

    def answer() -> None:
        while True:
            try:
                caller, _ = server.accept()
            except OSError:
                return  # closed by `stop`
            bait.calls.append(name)
            with caller:
                try:
                    caller.sendall(bait.places.secret.encode())
                except OSError:
                    continue  # the caller has gone already: that it called is noted

    threading.Thread(target=answer, daemon=True).start()
    return server


def fingerprint(paths: Iterable[Path]) -> dict[str, str]:
    """A hash for every file below these paths; links by where they lead, large files by size and time."""
    marks: dict[str, str] = {}
    for root in paths:
        for path in [root, *root.rglob("*")] if root.is_dir() and not root.is_symlink() else [root]:
            try:
                info = path.lstat()
                mode = info.st_mode
                if stat.S_ISLNK(mode):
                    marks[str(path)] = f"link to {os.readlink(path)}"
                elif info.st_size > LARGE:
                    marks[str(path)] = f"{info.st_size} bytes, changed at {info.st_mtime_ns}"
                elif stat.S_ISREG(mode):
                    marks[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
                else:
                    marks[str(path)] = f"kind {stat.S_IFMT(mode):o}"
            except FileNotFoundError:
                marks[str(path)] = "absent"
    return marks


def changes(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What was changed, came or went."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
