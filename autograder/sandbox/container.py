"""A sandbox for each submission in a container of Docker or Podman: where there are no namespaces to be had otherwise.

The image is empty but for links and folders: programs, Python and the student's view are those of this machine, shown
read-only. A course may name an image of its own in AUTOGRADER_IMAGE, whose `python3` has torch and IPython; then only
the view is shown.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from functools import cache

from autograder.sandbox import launch, root, spawn
from autograder.sandbox.host import SandboxError
from autograder.sandbox.limits import Limits

ENGINES = ("podman", "docker")
EMPTY = "autograder-empty"
FOLDERS = ("/dev", "/proc", "/sys", "/etc", "/tmp", "/usr", "/home")
NOBODY = "65534:65534"
# beside what a submission may use: Python and torch themselves, and what is written, which is memory too
OWN_MEMORY_MB = 1024
ENGINE_SECONDS = 60


def engine() -> str:
    """The name of the engine that answers here, or ""."""
    for name in ENGINES:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            if shutil.which(name) and _run([name, "info"]).returncode == 0:
                return name
    return ""


@cache
def lack() -> str:
    """Why containers cannot be used here, or "": found out by starting one."""
    if not any(map(shutil.which, ENGINES)):
        return "install Docker or Podman"
    name = engine()
    if not name:
        there = " and ".join(filter(shutil.which, ENGINES))
        return f"{there} does not answer: start it, and see that you may use it"
    if not image() and sys.platform != "linux":
        return "programs of this system do not run in one: name an image with the course's Python in AUTOGRADER_IMAGE"
    try:
        make_image(name)
        done = _run([*isolation(name, Limits(memory_mb=64)), *binds(None), image() or EMPTY, "/bin/sh", "-c", "true"])
    except (OSError, SandboxError, subprocess.TimeoutExpired) as error:
        return f"{name} starts no container ({error})"
    told = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
    return "" if done.returncode == 0 else f"{name} starts no container ({told[-1]})"


def image() -> str:
    """The image that the course names, or ""."""
    return os.environ.get("AUTOGRADER_IMAGE", "")


def make_image(name: str) -> None:
    """Give the engine the image without programs, unless it has it or the course names one; raises SandboxError."""
    if image() or _run([name, "image", "inspect", EMPTY]).returncode == 0:
        return
    words = [name, "import", "-", EMPTY]
    done = subprocess.run(words, input=empty_image(), capture_output=True, timeout=ENGINE_SECONDS)
    if done.returncode:
        raise SandboxError(f"{name} takes no image: {done.stderr.decode(errors='replace').strip()}")


def empty_image() -> bytes:
    """A file system, as a tar archive, that holds links, mount points and the few files of /etc."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for path in (*FOLDERS, root.HOME, root.COURSE, root.ENVIRONMENT):
            entry = tarfile.TarInfo(path[1:])
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for place, target in root.links().items():
            entry = tarfile.TarInfo(place[1:])
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
        for name, text in root.FILES.items():
            entry = tarfile.TarInfo(f"etc/{name}")
            entry.size, entry.mode = len(text), 0o644
            archive.addfile(entry, io.BytesIO(text.encode()))
    return file.getvalue()


def isolation(name: str, limits: Limits) -> list[str]:
    """The beginning of a command line: no network, nothing to write on but memory, no privileges, limits."""
    memory = f"{limits.memory_mb + limits.disk_mb + OWN_MEMORY_MB}m"
    writable = f"rw,nosuid,nodev,mode=1777,size={limits.disk_mb}m,nr_inodes={limits.files}"
    words = [
        name, "run", "--rm", "--interactive", "--pull=never", "--network=none", "--ipc=private", "--read-only",
        "--hostname=student", f"--user={NOBODY}", "--cap-drop=ALL", "--security-opt=no-new-privileges",
        f"--memory={memory}", f"--memory-swap={memory}", f"--pids-limit={limits.processes + 8}", "--cpus=1",
        "--ulimit=core=0:0", "--log-driver=none", f"--workdir={root.HOME}", "--entrypoint=",
    ]  # fmt: skip
    return words + [f"--tmpfs={place}:{writable}" for place in root.WRITABLE]


def binds(view: str | None) -> list[str]:
    """What of this machine is shown, read-only: the view and, unless the course names an image, all programs."""
    shown = {view: root.COURSE} if view else {}
    if not image():
        shown |= {place: place for place in root.programs()} | root.python_folders()
        shown |= {f"/etc/{name}": f"/etc/{name}" for name in root.ETC if os.path.exists(f"/etc/{name}")}
    words = [f"--volume={os.path.realpath(real)}:{place}:ro" for real, place in shown.items()]
    if not image():
        hidden = root.covered({"/usr": "/usr"} | root.python_folders(), root.course_folders())
        words += [f"--tmpfs={place}:ro,size=1k" for place in hidden]
    return words


def command(name: str, folder: str, limits: Limits) -> list[str]:
    """The command line of one box; `folder` holds the view."""
    environment = launch.environment()
    if image():
        del environment["PATH"]
    variables = [f"--env={key}={value}" for key, value in environment.items()]
    python = "python3" if image() else root.python()
    words = [*isolation(name, limits), *binds(f"{folder}/view"), *variables, image() or EMPTY]
    return [*words, python, "-I", "-B", "-c", spawn.START]


def _run(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=ENGINE_SECONDS)


@dataclass(frozen=True)
class ContainerAddress:
    """Makes boxes with an engine; `folder` holds what they show."""

    folder: str

    def open(self, limits: Limits, mode: str = "cells") -> spawn.SpawnedBox:
        """A fresh box; raises SandboxError if the engine cannot make it."""
        if mode == "jupyter":
            raise SandboxError("only the tier namespaces can run a Jupyter kernel")
        name = engine()
        if not name:
            raise SandboxError("neither Docker nor Podman answers any more")
        return spawn.SpawnedBox(command(name, self.folder, limits), limits, mode)


def sandbox(assignment: str) -> spawn.Spawner:
    """A sandbox for an assignment."""
    made = spawn.Spawner.prepare(assignment, ContainerAddress)
    try:
        os.chmod(made.folder, 0o755)  # the engine's user nobody reads the view
        make_image(engine())
    except BaseException:
        made.stop()
        raise
    return made
