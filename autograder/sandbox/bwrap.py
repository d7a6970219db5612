"""A sandbox for each submission made by bubblewrap: started anew each time, and therefore some seconds slower."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass

from autograder.sandbox import launch, linux, root, spawn
from autograder.sandbox.host import SandboxError
from autograder.sandbox.limits import Limits

PROGRAM = "bwrap"
ISOLATION = (
    "--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000", "--hostname", "student", "--cap-drop", "ALL",
    "--die-with-parent", "--as-pid-1", "--new-session", "--clearenv",
)  # fmt: skip


def lack() -> str:
    """Why bubblewrap cannot be used here, or "": found out by making a sandbox with it."""
    if shutil.which(PROGRAM) is None:
        return "install the package bubblewrap"
    try:
        # the programs of this machine, at the places where any sandbox needs them
        command = [PROGRAM, *ISOLATION, *_programs(), "--proc", "/proc", "--tmpfs", "/tmp", "/usr/bin/true"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bwrap does not run here ({error})"
    told = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
    return "" if done.returncode == 0 else f"bwrap may not make namespaces here ({told[-1]})"


def command(folder: str, limits: Limits) -> list[str]:
    """The command line of one box; `folder` holds the view and the files of /etc."""
    python_folders = root.python_folders()
    words = [PROGRAM, *ISOLATION, *_programs()]
    for real, place in python_folders.items():
        words += ["--ro-bind", real, place]
    for place in root.covered({"/usr": "/usr"} | python_folders, root.course_folders()):
        words += ["--tmpfs", place, "--remount-ro", place]
    for name in root.ETC:
        words += ["--ro-bind-try", os.path.realpath(f"/etc/{name}"), f"/etc/{name}"]
    for name in root.FILES:
        words += ["--ro-bind", f"{folder}/etc/{name}", f"/etc/{name}"]
    for name in root.DEVICES:
        words += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    for name, target in root.LINKS.items():
        words += ["--symlink", target, f"/dev/{name}"]
    words += ["--ro-bind-try", root.PROCESSORS, root.PROCESSORS, "--proc", "/proc"]
    for place in linux.PROC_READ_ONLY:
        words += ["--ro-bind-try", place, place]
    for place in filter(os.path.exists, linux.PROC_HIDDEN):
        words += ["--ro-bind", "/dev/null", place]
    words += ["--ro-bind", f"{folder}/view", root.COURSE]
    for place in root.WRITABLE:
        words += ["--size", str(limits.disk_mb << 20), "--tmpfs", place]
    words += ["--remount-ro", "/", "--chdir", root.HOME]
    for name, value in launch.environment().items():
        words += ["--setenv", name, value]
    return [*words, "--", root.python(), "-I", "-B", "-c", spawn.START]


def _programs() -> list[str]:
    words = []
    for place in root.programs():
        words += ["--ro-bind", place, place]
    for place, target in root.links().items():
        words += ["--symlink", target, place]
    return words


@dataclass(frozen=True)
class BwrapAddress:
    """Makes boxes with bubblewrap; `folder` holds what they show."""

    folder: str

    def open(self, limits: Limits, mode: str = "cells") -> spawn.SpawnedBox:
        """A fresh box; raises SandboxError if bubblewrap cannot make it."""
        if mode == "jupyter":
            raise SandboxError("only the tier namespaces can run a Jupyter kernel")
        return spawn.SpawnedBox(command(self.folder, limits), limits, mode)


def sandbox(assignment: str) -> spawn.Spawner:
    """A sandbox for an assignment."""
    return spawn.Spawner.prepare(assignment, BwrapAddress)
