"""A filter that forbids system calls which no notebook needs and which reach into the kernel or other processes."""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from autograder.sandbox.linux import prctl

PR_SET_SECCOMP, MODE_FILTER = 22, 2
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, ARGUMENT = 0, 4, 16
X32 = 0x40000000
FAMILIES = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6: not netlink, packet, vsock, alg …
NEW_NAMESPACE = 0x7E020000
TIOCSTI = 0x5412

# name: (number on x86-64, number on arm64); None where the architecture has no such call
FORBIDDEN: dict[str, tuple[int | None, int | None]] = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431),
    "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442), "setns": (308, 268),
    "unshare": (272, 97), "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "keyctl": (250, 219), "add_key": (248, 217),
    "request_key": (249, 218), "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "quotactl": (179, 60), "quotactl_fd": (443, 443),
    "swapon": (167, 224), "swapoff": (168, 225), "reboot": (169, 142), "acct": (163, 89), "syslog": (103, 116),
    "personality": (135, 92), "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266),
    "adjtimex": (159, 171), "lookup_dcookie": (212, 18), "vhangup": (153, 58), "modify_ldt": (154, None),
    "iopl": (172, None), "ioperm": (173, None), "mbind": (237, 235), "set_mempolicy": (238, 237),
    "migrate_pages": (256, 238), "move_pages": (279, 239), "fanotify_init": (300, 262), "memfd_secret": (447, 447),
    "sethostname": (170, 161), "setdomainname": (171, 162),
    # memory that belongs to no process and so is counted nowhere
    "memfd_create": (319, 279), "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190),
}  # fmt: skip
SOCKET, CLONE, CLONE3, IOCTL = (41, 198), (56, 220), (435, 435), (16, 29)
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


def program(machine: str) -> bytes:
    """The filter for `machine` ("x86_64" or "aarch64") in the kernel's form; raises KeyError for another machine."""
    column, architecture = MACHINES[machine]
    code = [_load(ARCHITECTURE), _jump(EQUAL, architecture, 1, 0), _return(KILL), _load(NUMBER)]
    if machine == "x86_64":
        code += [_jump(AT_LEAST, X32, 0, 1), _return(KILL)]
    for numbers in FORBIDDEN.values():
        if numbers[column] is not None:
            code += [_jump(EQUAL, numbers[column], 0, 1), _return(ERRNO | errno.EPERM)]
    # glibc falls back to clone, whose flags can be looked at, if clone3 is not there
    code += [_jump(EQUAL, CLONE3[column], 0, 1), _return(ERRNO | errno.ENOSYS)]
    code += _when(CLONE[column], [_jump(ANY_BIT, NEW_NAMESPACE, 0, 1), _return(ERRNO | errno.EPERM)], 0)
    code += _when(IOCTL[column], [_jump(EQUAL, TIOCSTI, 0, 1), _return(ERRNO | errno.EPERM)], 1)
    known = [_jump(EQUAL, family, len(FAMILIES) - i, 0) for i, family in enumerate(FAMILIES)]
    code += _when(SOCKET[column], [*known, _return(ERRNO | errno.EAFNOSUPPORT)], 0)
    return b"".join([*code, _return(ALLOW)])


def install() -> None:
    """Put the filter on this process and all it will start, for good; no_new_privs must be set already."""
    code = program(os.uname().machine)
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("@HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    holder = ctypes.create_string_buffer(header, len(header))
    prctl(PR_SET_SECCOMP, MODE_FILTER, ctypes.addressof(holder))


def _when(number: int, body: list[bytes], argument: int) -> list[bytes]:
    """`body` for the call with this number, with its argument (the lower half) loaded; then the number again."""
    inside = [_load(ARGUMENT + 8 * argument), *body, _load(NUMBER)]
    return [_jump(EQUAL, number, 0, len(inside)), *inside]


def _load(offset: int) -> bytes:
    return struct.pack("<HBBI", LOAD, 0, 0, offset)


def _jump(test: int, value: int, then: int, otherwise: int) -> bytes:
    return struct.pack("<HBBI", test, then, otherwise, value)


def _return(value: int) -> bytes:
    return struct.pack("<HBBI", RETURN, 0, 0, value)
