"""The system calls of Linux that isolation needs and Python's `os` lacks."""

from __future__ import annotations

import ctypes
import os
import struct

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
NAMESPACES = NEWNS | NEWUTS | NEWIPC | NEWPID | NEWNET
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, MOVE, REC, PRIVATE = 1, 2, 4, 8, 32, 4096, 8192, 16384, 1 << 18
DETACH = 2
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 1, 4, 24, 38, 47
AMBIENT_CLEAR_ALL = 4
LAST_CAPABILITY = 63

# where a process whose user is root outside could change the machine, and what tells about it
PROC_READ_ONLY = ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs")
PROC_HIDDEN = ("/proc/kcore", "/proc/keys", "/proc/key-users", "/proc/kallsyms", "/proc/cmdline",
               "/proc/timer_list")  # fmt: skip

_libc = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None  # elsewhere nothing here is called


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _text(value: str | None) -> bytes | None:
    return None if value is None else os.fsencode(value)


def unshare(flags: int) -> None:
    """Move this process (with NEWPID: its children) into new namespaces; raises OSError where that is not allowed."""
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def mount(source: str, target: str, kind: str | None = None, flags: int = 0, data: str | None = None) -> None:
    """mount(2)."""
    code = _libc.mount(_text(source), _text(target), _text(kind), ctypes.c_ulong(flags), _text(data))
    _check(code, f"mount {source} on {target}")


def bind(source: str, target: str) -> None:
    """Show `source` at `target`, with all that is mounted below it; read-only, without devices and set-uid programs."""
    mount(source, target, flags=BIND | REC)
    flags = NOSUID | NODEV | RDONLY
    if not _set_attributes(target, flags):
        mount(source, target, flags=BIND | REMOUNT | flags)  # before Linux 5.12: the mount itself only


def _set_attributes(target: str, flags: int) -> bool:
    recursive, at_fdcwd, mount_setattr = 0x8000, -100, 442  # the same number on x86-64 and arm64
    attributes = struct.pack("<4Q", flags, 0, 0, 0)  # RDONLY, NOSUID and NODEV have the same bits as for mount(2)
    return _libc.syscall(mount_setattr, at_fdcwd, _text(target), recursive, attributes, len(attributes)) == 0


def pivot_root(new: str) -> None:
    """Make `new`, a mount point, the root of this mount namespace, and let go of the old one."""
    os.chdir(new)
    number = {"x86_64": 155, "aarch64": 41}[os.uname().machine]
    _check(_libc.syscall(number, b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", DETACH), "umount the old root")
    os.chdir("/")


def prctl(option: int, *arguments: int) -> None:
    """prctl(2)."""
    _check(_libc.prctl(option, *(ctypes.c_ulong(a) for a in (*arguments, 0, 0, 0, 0)[:4])), f"prctl {option}")


def set_hostname(name: str) -> None:
    """The name that this UTS namespace gives the machine."""
    _check(_libc.sethostname(os.fsencode(name), len(name)), "sethostname")


def map_ids(uid: int, gid: int, inside: int) -> None:
    """In a fresh user namespace: this process's outer `uid` and `gid` are called `inside` from now on."""
    for name, text in (("setgroups", "deny"), ("uid_map", f"{inside} {uid} 1"), ("gid_map", f"{inside} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def drop_privileges() -> None:
    """Give up every capability for good, also those that a program file could give."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_CAP_AMBIENT, AMBIENT_CLEAR_ALL)
    for capability in range(LAST_CAPABILITY + 1):
        if _libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0) < 0:
            break  # this kernel has no more, or they are gone already
    header, nothing = struct.pack("<Ii", 0x20080522, 0), struct.pack("<6I", *[0] * 6)
    _check(_libc.capset(header, nothing), "capset")
