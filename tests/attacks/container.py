"""A throw-away container for one attack: namespaces of its own, and nothing to write to but one folder."""

from __future__ import annotations

import os
import resource
import select
import signal
import traceback
from collections.abc import Callable
from pathlib import Path

from autograder.sandbox import linux

DATA = 10 << 30


def contain(folder: Path, work: Callable[[], None], seconds: float) -> str:
    """Run `work` in a fork of this process, in new user, mount, pid, network, ipc and uts namespaces.

    It is root there, and may write to `folder`, whose tmp/ is its /tmp. Whatever it starts is dead when this returns.
    Returns how it ended: "" if it came to its end, "limit" after `seconds`, else a description.
    """
    outer = os.fork()
    if outer == 0:
        os._exit(_outside(folder, work))
    handle = os.pidfd_open(outer)
    late = not select.select([handle], [], [], seconds)[0]
    if late:
        os.kill(outer, signal.SIGKILL)
    os.close(handle)
    code = os.waitstatus_to_exitcode(os.waitpid(outer, 0)[1])
    return "limit" if late else "" if code == 0 else f"it ended with {code}"


def _outside(folder: Path, work: Callable[[], None]) -> int:
    uid, gid = os.getuid(), os.getgid()
    linux.unshare(linux.NAMESPACES | linux.NEWUSER)
    linux.map_ids(uid, gid, 0)
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)  # however the one that waits for it ends, so does the container
    first = os.fork()
    if first == 0:
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        try:
            _shut(folder)
            work()
            os._exit(0)
        except BaseException:
            (folder / "trouble.txt").write_text(traceback.format_exc())
        finally:
            os._exit(70)
    code = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
    return code if code >= 0 else 128 - code


def _shut(folder: Path) -> None:
    place = str(folder)
    linux.mount("none", "/", flags=linux.REC | linux.PRIVATE)
    linux.mount("proc", "/proc", "proc", linux.NOSUID | linux.NODEV | linux.NOEXEC)
    linux.mount(place, place, flags=linux.BIND | linux.REC)
    linux.mount(f"{place}/tmp", "/tmp", flags=linux.BIND)
    linux.mount("tmpfs", "/dev/shm", "tmpfs", data="size=1g")
    linux.mount("none", "/", flags=linux.REMOUNT | linux.BIND | linux.RDONLY)
    for name, most in (("RLIMIT_CORE", 0), ("RLIMIT_DATA", DATA), ("RLIMIT_NOFILE", 8192)):
        resource.setrlimit(getattr(resource, name), (most, most))
    os.chdir(place)
