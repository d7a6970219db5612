"""The file system that student code sees: the system's programs and Python read-only, and empty folders to write in."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from autograder.sandbox import linux

COURSE = "/course"
ENVIRONMENT = "/venv"
HOME = "/home/student"
# of /etc: what libraries look up; no accounts, keys or names of this machine
ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "fonts", "localtime", "mime.types")
FILES = {
    "passwd": f"student:x:1000:1000::{HOME}:/bin/sh\n", "group": "student:x:1000:\n",
    "hosts": "127.0.0.1 localhost student\n", "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}  # fmt: skip
DEVICES = ("null", "zero", "full", "random", "urandom")
LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}
BESIDE_USR = ("bin", "sbin", "lib", "lib32", "lib64")
# torch counts the processors here
PROCESSORS = "/sys/devices/system/cpu"
# glibc finds out here whether it can ask for large pages, as `launch.LARGE_PAGES` wants it to
PAGES = "/sys/kernel/mm/transparent_hugepage"
WRITABLE = ("/tmp", HOME, "/dev/shm")
PACKAGE = Path(__file__).resolve().parents[1]


def programs() -> list[str]:
    """The folders of the system's own programs and libraries."""
    beside = [f"/{name}" for name in BESIDE_USR]
    return ["/usr", *(folder for folder in beside if os.path.isdir(folder) and not os.path.islink(folder))]


def links() -> dict[str, str]:
    """The names of such folders that are links on this machine, and where they lead."""
    return {f"/{name}": os.readlink(f"/{name}") for name in BESIDE_USR if os.path.islink(f"/{name}")}


def python_folders() -> dict[str, str]:
    """The folders that this Python consists of, and where each is shown: an environment at a place of its own."""
    bases = {sys.base_prefix, sys.base_exec_prefix, str(Path(os.path.realpath(sys.executable)).parents[1])}
    shown = {base: base for base in bases if base != "/usr" and not base.startswith("/usr/")}
    for base in shown:
        if any(f"{base}/".startswith(f"{place}/") for place in WRITABLE):
            raise OSError(f"Python is installed in {base}, and students need that place to write in")
    return shown | ({sys.prefix: ENVIRONMENT} if sys.prefix != sys.base_prefix else {})


def python() -> str:
    """The path of this Python inside."""
    if sys.prefix == sys.base_prefix:
        return sys.executable
    return f"{ENVIRONMENT}/bin/{Path(sys.executable).name}"


def course_folders() -> list[Path]:
    """Where the course itself is: its repository, or what of it is installed in an environment."""
    repository = PACKAGE.parent
    return [repository] if (repository / "pyproject.toml").is_file() else [PACKAGE, repository / "course_lib"]


def covered(shown: dict[str, str], folders: list[Path]) -> list[str]:
    """Where those of `folders` would be seen that lie in a folder of `shown`, which says where each is shown."""
    places = [(place, folder.relative_to(os.path.realpath(real))) for real, place in shown.items() for folder in folders
              if folder.is_relative_to(os.path.realpath(real))]  # fmt: skip
    return sorted({os.path.join(place, inner) for place, inner in places})


def build(root: str, view: str) -> None:
    """Put the file system together at the empty folder `root`, in a mount namespace of this process's own.

    Raises OSError where the system does not allow it.
    """
    linux.mount("none", "/", flags=linux.REC | linux.PRIVATE)
    linux.mount("tmpfs", root, "tmpfs", linux.NOSUID | linux.NODEV, "mode=755,size=16m")
    for folder in programs():
        _show(folder, root)
    for name, target in links().items():
        os.symlink(target, root + name)
    for folder, place in python_folders().items():
        _show(folder, root, place)
    for place in covered({"/usr": "/usr"} | python_folders(), course_folders()):
        linux.mount("tmpfs", root + place, "tmpfs", linux.NOSUID | linux.NODEV | linux.RDONLY, "mode=755")
    for name in ETC:
        if os.path.exists(f"/etc/{name}"):
            _show(f"/etc/{name}", root)
    for name, text in FILES.items():
        _write(f"{root}/etc/{name}", text)
    for name in DEVICES:
        _show(f"/dev/{name}", root)
    for name, target in LINKS.items():
        os.symlink(target, f"{root}/dev/{name}")
    for folder in filter(os.path.isdir, (PROCESSORS, PAGES)):
        _show(folder, root)
    linux.mount("proc", _folder(f"{root}/proc"), "proc", linux.NOSUID | linux.NODEV | linux.NOEXEC)
    _folder(root + COURSE)
    linux.bind(view, root + COURSE)
    for name in WRITABLE:
        _folder(root + name)
    mount_writable(root, "size=64m,mode=1777")
    linux.pivot_root(root)
    linux.mount("none", "/", flags=linux.BIND | linux.REMOUNT | linux.RDONLY | linux.NOSUID | linux.NODEV)


def mount_writable(root: str, options: str) -> None:
    """Empty folders to write in, in memory, with the given options of tmpfs."""
    for name in WRITABLE:
        linux.mount("tmpfs", root + name, "tmpfs", linux.NOSUID | linux.NODEV, options)


def _show(path: str, root: str, place: str = "") -> None:
    target = root + (place or path)
    if os.path.isdir(path):
        _folder(target)
    else:
        _write(target, "")
    if path.startswith("/dev/"):
        linux.mount(path, target, flags=linux.BIND)  # read-only or NODEV it would be a device no longer
    else:
        linux.bind(path, target)


def _folder(path: str) -> str:
    os.makedirs(path, mode=0o755, exist_ok=True)
    return path


def _write(path: str, text: str) -> None:
    _folder(os.path.dirname(path))
    with open(path, "w") as file:
        file.write(text)
