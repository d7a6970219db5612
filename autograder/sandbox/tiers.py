"""The kinds of isolation there are, which of them this machine allows, and what makes a sandbox of each."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from autograder.sandbox import bwrap, container
from autograder.sandbox.host import Zygote

NONE = "none"


@dataclass(frozen=True)
class Tier:
    """A kind of isolation: `make` prepares a sandbox for an assignment, `lack` says why it cannot be had here."""

    name: str
    what: str
    make: Callable[[str], Any]
    lack: Callable[[], str]


def why_no_namespaces() -> str:
    """Why namespaces cannot be had here, or "": found out by making them."""
    if sys.platform != "linux":
        return "only Linux has them"
    return _tried(("-m", "autograder.sandbox.try_namespaces"), "the system does not allow user namespaces")


@cache
def _tried(arguments: tuple[str, ...], otherwise: str) -> str:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=30)
        return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or [otherwise])[-1]
    return otherwise


# the best first
TIERS: dict[str, Tier] = {
    tier.name: tier
    for tier in (
        Tier("namespaces", "a warm process forks into Linux namespaces of its own", Zygote, why_no_namespaces),
        Tier("bwrap", "bubblewrap starts each submission anew, some seconds slower", bwrap.sandbox, bwrap.lack),
        Tier("container", "Docker or Podman starts each submission anew", container.sandbox, container.lack),
    )
}


def choose(asked: str | None) -> tuple[Tier | None, str]:
    """The tier to use: the one asked for, else the best there is; or None and a sentence that says what to do.

    Raises ValueError for a tier that does not exist.
    """
    if asked is not None and asked not in TIERS:
        raise ValueError(f"no isolation is called {asked!r}; there are: {', '.join([*TIERS, NONE])}")
    lacking = {}
    for tier in TIERS.values() if asked is None else [TIERS[asked]]:
        lacking[tier.name] = tier.lack()
        if not lacking[tier.name]:
            return tier, ""
    reasons = "; ".join(f"{name}: {why}" for name, why in lacking.items())
    return None, f"Student code cannot be isolated here ({reasons})."
