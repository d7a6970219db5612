"""Start a zygote in a sandbox of its own: namespaces, a root that shows only what students may see, another user.

Run as a program: ``python -m autograder.sandbox.launch ROOT VIEW LISTENER READY ROOM``; LISTENER and READY are open
file descriptors. It leads the sandbox from outside: when it dies, all in there dies.
"""

from __future__ import annotations

import os
import signal
import sys

from autograder.sandbox import linux, root

# belongs to nobody on this machine: the user whom student code runs as where the grader is root
NOBODY = 1_878_000_001
ENVIRONMENT = {
    "PATH": f"{root.ENVIRONMENT}/bin:/usr/local/bin:/usr/bin:/bin",
    "HOME": root.HOME,
    "LANG": "C.UTF-8",
    "TMPDIR": "/tmp",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "MPLCONFIGDIR": "/tmp/matplotlib",
    "IPYTHONDIR": f"{root.HOME}/.ipython",
    "PYTHONDONTWRITEBYTECODE": "1",
    "TERM": "dumb",
}
# for what is loaded before the first fork: each fork copies a table with an entry for every page
LARGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
KEPT = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "ATEN_CPU_CAPABILITY")  # what a machine's numeric libraries rely on


def environment() -> dict[str, str]:
    """What student code finds in its environment: nothing of the grader's but what libraries compute with."""
    return ENVIRONMENT | {name: os.environ[name] for name in KEPT if name in os.environ}


def main(new_root: str, view: str, listener: int, ready: int, assignment: str) -> int:
    """Make the namespaces, start the zygote in them, and wait for its end; returns its exit status."""
    os.umask(0o022)
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    uid, gid = os.getuid(), os.getgid()
    privileged = uid == 0 and not os.environ.get("AUTOGRADER_UNPRIVILEGED")
    linux.unshare(linux.NAMESPACES | (0 if privileged else linux.NEWUSER))
    if not privileged:
        linux.map_ids(uid, gid, 1000)
    child = os.fork()
    if child:
        os.close(ready)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    root.build(new_root, view)
    linux.set_hostname("sandbox")
    if privileged:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    linux.drop_privileges()
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of user forgets it
    for descriptor in (listener, ready):
        os.set_inheritable(descriptor, True)
    python = root.python()
    mode = ["jupyter"] if os.environ.get("AUTOGRADER_JUPYTER") else []
    start = f"import sys; sys.path.insert(0, {root.COURSE!r}); from autograder.sandbox.zygote import main; main()"
    command = [python, "-I", "-B", "-c", start, str(listener), str(ready), assignment, *mode]
    os.execve(python, command, environment() | LARGE_PAGES)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]))
