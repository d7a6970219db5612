"""One submission's process: forked from the zygote into namespaces of its own, limited, stripped and watched."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import socket
from pathlib import Path

from autograder.sandbox import linux, seccomp
from autograder.sandbox.limits import Limits

HOME = "/home/student"
WRITABLE = {"home": HOME, "shm": "/dev/shm", "tmp": "/tmp"}  # "/tmp" last: all three are made in there
LOOK_EVERY = 0.1
MOST_ASKED = 65536  # bytes that say what a box is to be like
PAGE = resource.getpagesize()
MEGABYTE = 1 << 20


def supervise(connection: socket.socket) -> int:
    """Take the limits and the lifeline from `connection`, fork the kernel, and watch it to its end.

    The lifeline is a socket of the grader's: when it closes, all processes of the submission are killed; when they
    end by themselves, the reason is written to it. Student code cannot reach it, for it lives outside its process
    namespace and has no capability of its own. Returns an exit status.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    data, descriptors, _, _ = socket.recv_fds(connection, MOST_ASKED, 1)
    if not data or not descriptors:
        return 1
    setup = json.loads(data)
    limits, lifeline = Limits.of(setup["limits"]), socket.socket(fileno=descriptors[0])
    try:
        most = most_memory(limits)
        uid, gid = os.getuid(), os.getgid()
        linux.unshare(linux.NAMESPACES | linux.NEWUSER)
        linux.map_ids(uid, gid, 1000)
        enclosed, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            lifeline.close()
            _be_kernel(connection, limits, setup["mode"], tell)
        connection.close()
        os.close(tell)
        os.read(enclosed, 1)  # from now on /proc shows the processes of this submission
        said = _watch(pid, lifeline, most, limits)
    except Exception as error:
        said = {"ended": "fault", "detail": f"{type(error).__name__}: {error}"}
    _say(lifeline, said)
    return 0


def _say(lifeline: socket.socket, what: dict[str, object]) -> None:
    with contextlib.suppress(OSError):
        lifeline.sendall(json.dumps(what).encode() + b"\n")


def _be_kernel(connection: socket.socket, limits: Limits, mode: str, tell: int) -> None:
    try:
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        enclose(limits)
        os.write(tell, b".")
        keep = connection.fileno()
        confine(limits, keep)
        if mode == "jupyter":
            from autograder.sandbox import jupyter_kernel

            jupyter_kernel.run(connection)
        else:
            from autograder.sandbox import runner

            runner.serve(connection)
    finally:
        os._exit(0)


def enclose(limits: Limits) -> None:
    """Empty folders to write in, and a /proc that shows this submission's processes only."""
    linux.mount("none", "/", flags=linux.REC | linux.PRIVATE)
    linux.mount("proc", "/proc", "proc", linux.NOSUID | linux.NODEV | linux.NOEXEC)
    for place in filter(os.path.exists, linux.PROC_READ_ONLY):
        linux.bind(place, place)
    for place in filter(os.path.exists, linux.PROC_HIDDEN):
        linux.bind("/dev/null", place)
    # one file system for all that is written, so that the limit counts the sum
    options = f"size={limits.disk_mb}m,nr_inodes={limits.files},mode=755"
    linux.mount("tmpfs", "/tmp", "tmpfs", linux.NOSUID | linux.NODEV, options)
    for name, place in WRITABLE.items():
        os.mkdir(f"/tmp/{name}")
        os.chmod(f"/tmp/{name}", 0o1777)
        linux.mount(f"/tmp/{name}", place, flags=linux.BIND)
    linux.set_hostname("student")


def confine(limits: Limits, *keep: int) -> None:
    """Close every descriptor but those to `keep`, set the limits, and give up all privileges for good."""
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in keep:
            with contextlib.suppress(OSError):
                os.close(int(name))
    set_limits(limits)
    Path("/proc/self/oom_score_adj").write_text("1000")
    os.chdir(HOME)
    linux.drop_privileges()
    seccomp.install()


def set_limits(limits: Limits) -> None:
    """What one process may use, set by itself."""
    held = int(Path("/proc/self/statm").read_text().split()[5]) * PAGE  # data and stack: what torch began with
    for name, value in {
        "RLIMIT_DATA": held + limits.memory_mb * MEGABYTE,
        "RLIMIT_FSIZE": limits.disk_mb * MEGABYTE,
        "RLIMIT_NPROC": limits.processes,
        "RLIMIT_NOFILE": 512,
        "RLIMIT_CORE": 1,  # with 0 a machine that pipes crashed processes to a program would do so
        "RLIMIT_MEMLOCK": 0,
        "RLIMIT_MSGQUEUE": 0,
    }.items():
        resource.setrlimit(getattr(resource, name), (value, value))


def _watch(pid: int, lifeline: socket.socket, most: int, limits: Limits) -> dict[str, object]:
    """Wait for the kernel's end, the grader's wish for it, or more memory than `most`; returns why it ended."""
    process = os.pidfd_open(pid)
    while True:
        ready = select.select([process, lifeline], [], [], LOOK_EVERY)[0]
        if process in ready:
            status = os.waitpid(pid, 0)[1]
            code = os.waitstatus_to_exitcode(status)
            return {"ended": "signal", "code": -code} if code < 0 else {"ended": "exit", "code": code}
        if lifeline in ready:
            asked = lifeline.recv(64)
            if not asked:
                return _kill(pid, "asked")
            if b"i" in asked:
                with contextlib.suppress(OSError):
                    os.killpg(pid, signal.SIGINT)
            if b"n" in asked:
                with contextlib.suppress(OSError):
                    os.setpriority(os.PRIO_PGRP, pid, 19)
            if b"?" in asked:
                _say(lifeline, times(1))
        if excess := overstepped(most, limits):
            return _kill(pid, excess)


def most_memory(limits: Limits) -> int:
    """The bytes that all processes of a submission may hold together, if this one holds what they begin with.

    It is somewhat above what one process may have, which gets a MemoryError first: this is for several together.
    """
    return int(1.2 * limits.memory_mb + 64) * MEGABYTE + resident(Path("/proc/self"))


def overstepped(most: int, limits: Limits) -> str:
    """Whether all processes in /proc together use more "memory" than `most` bytes, or are too many "processes"."""
    processes = _processes()
    if len(processes) > limits.processes:
        return "processes"
    return "memory" if _used(processes) > most else ""


def times(pid: int) -> dict[str, object]:
    """The seconds that all processes in /proc have computed, and those that this one has waited for a processor."""
    try:
        waited = int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        waited = 0.0
    return {"cpu": sum(map(_computed, _processes())), "waited": waited}


def _computed(process: Path) -> float:
    """The seconds that a process has computed, and those of its children that have ended."""
    try:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _kill(pid: int, why: str) -> dict[str, object]:
    os.kill(pid, signal.SIGKILL)  # the first process of its namespace: all others go with it
    os.waitpid(pid, 0)
    return {"ended": why}


def _processes() -> list[Path]:
    # the mount namespace is the kernel's, and so is this /proc once it has been mounted
    return [path for path in Path("/proc").iterdir() if path.name.isdigit()]


def _used(processes: list[Path]) -> int:
    """Bytes of memory that the submission's processes hold together, pages that they share counted once."""
    estimate = sum(map(resident, processes))
    if len(processes) < 2:
        return estimate
    return min(estimate, sum(map(_proportional, processes)))


def resident(process: Path) -> int:
    """Bytes of memory that a process of /proc holds."""
    try:
        fields = (process / "statm").read_text().split()
    except OSError:
        return 0  # it has just ended
    return int(fields[1]) * PAGE


def _proportional(process: Path) -> int:
    try:
        lines = (process / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:")), 0)
