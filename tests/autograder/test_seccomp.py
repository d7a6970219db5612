"""The filter of system calls, run by a small interpreter: what it lets through and what not, on both architectures."""

from __future__ import annotations

import errno
import struct

import pytest

from autograder.sandbox import seccomp
from autograder.sandbox.seccomp import ALLOW, ERRNO, FORBIDDEN, KILL, MACHINES

REFUSED, ABSENT, NO_FAMILY = (ERRNO | number for number in (errno.EPERM, errno.ENOSYS, errno.EAFNOSUPPORT))


def run(program: bytes, architecture: int, number: int, *arguments: int) -> int:
    """What the filter answers to a system call; asserts that it is well formed on the way."""
    data = struct.pack("<IIQ6Q", number, architecture, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    assert len(program) % 8 == 0
    instructions = list(struct.iter_unpack("<HBBI", program))
    value, at = 0, 0
    while True:
        operation, then, otherwise, constant = instructions[at]
        at += 1
        match operation:
            case 0x20:  # load a word
                assert constant % 4 == 0 and constant < len(data)
                (value,) = struct.unpack_from("<I", data, constant)
            case 0x15:  # jump if equal
                at += then if value == constant else otherwise
            case 0x35:  # jump if greater or equal
                at += then if value >= constant else otherwise
            case 0x45:  # jump if a bit is set
                at += then if value & constant else otherwise
            case 0x06:  # return
                return constant
            case _:
                raise AssertionError(f"no such operation: {operation:#x}")


@pytest.fixture(params=sorted(MACHINES))
def machine(request):
    """A function that says what becomes of a call, and the column of numbers of an architecture."""
    column, architecture = MACHINES[request.param]
    program = seccomp.program(request.param)
    return (lambda number, *arguments: run(program, architecture, number, *arguments)), column


def test_every_forbidden_call_is_refused_and_all_others_pass(machine) -> None:
    ask, column = machine
    forbidden = {numbers[column] for numbers in FORBIDDEN.values()} - {None}
    assert len(forbidden) == sum(numbers[column] is not None for numbers in FORBIDDEN.values()) > 50
    special = {both[column] for both in (seccomp.SOCKET, seccomp.CLONE, seccomp.CLONE3, seccomp.IOCTL)}
    assert not special & forbidden
    for number in range(600):
        if number not in special:
            assert ask(number) == (REFUSED if number in forbidden else ALLOW), number


def test_new_namespaces_are_refused_and_new_threads_and_processes_are_not(machine) -> None:
    ask, column = machine
    clone = seccomp.CLONE[column]
    thread, process = 0x3D0F00, 17
    assert ask(clone, thread) == ask(clone, process) == ALLOW
    # mount, cgroup, uts, ipc, user, pid, network
    for space in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert ask(clone, space | process) == ask(clone, space | thread) == REFUSED
        assert ask(clone, space | 1 << 40) == REFUSED
    assert ask(seccomp.CLONE3[column], 0) == ABSENT  # its flags lie in memory, where a filter cannot look


def test_only_the_usual_families_of_sockets_pass(machine) -> None:
    ask, column = machine
    for family in range(64):
        assert ask(seccomp.SOCKET[column], family, 1, 0) == (ALLOW if family in (1, 2, 10) else NO_FAMILY)
    # only the lower half counts for the kernel, and here too
    assert ask(seccomp.SOCKET[column], 16 | 1 << 32) == NO_FAMILY and ask(seccomp.SOCKET[column], 1 | 1 << 32) == ALLOW


def test_no_input_can_be_pushed_into_a_terminal(machine) -> None:
    ask, column = machine
    assert ask(seccomp.IOCTL[column], 0, 0x5412) == ask(seccomp.IOCTL[column], 0, 0x5412 | 1 << 32) == REFUSED
    assert ask(seccomp.IOCTL[column], 0, 0x5413) == ALLOW


def test_calls_of_another_architecture_end_the_process() -> None:
    program = seccomp.program("x86_64")
    for architecture in (0x40000003, 0xC00000B7, 0):  # 32-bit x86 has other numbers for the same calls
        assert run(program, architecture, 1) == KILL
    assert run(program, MACHINES["x86_64"][1], 0x40000000 | 101) == KILL  # so has x32
    assert run(seccomp.program("aarch64"), MACHINES["x86_64"][1], 1) == KILL


def test_an_unknown_machine_is_an_error() -> None:
    with pytest.raises(KeyError):
        seccomp.program("riscv64")


def test_well_known_numbers_are_right() -> None:
    """Against a table from elsewhere: the numbers in Linux's own headers, for those that harm most."""
    for name, both in {
        "ptrace": (101, 117), "mount": (165, 40), "setns": (308, 268), "unshare": (272, 97), "bpf": (321, 280),
        "keyctl": (250, 219), "memfd_create": (319, 279), "shmget": (29, 194), "process_vm_writev": (311, 271),
        "io_uring_setup": (425, 425), "pivot_root": (155, 41), "kexec_load": (246, 104),
        "open_by_handle_at": (304, 265),
    }.items():  # fmt: skip
        assert FORBIDDEN[name] == both
