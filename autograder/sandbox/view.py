"""The student's view of the course: a folder with what a graded notebook may import, and nothing else of it."""

from __future__ import annotations

import shutil
from pathlib import Path

from autograder import rooms

PACKAGE = Path(__file__).resolve().parents[1]
COURSE_LIB = PACKAGE.parent / "course_lib"
# of course_lib for every room: no exercise asks for anything in these
COMMON = ("__init__.py", "data", "figures")
# what a probe consists of; `given_gpt` is a finished model and is sent along only with the questions that need it
PROBE = ("__init__.py", "probe.py", "wire.py", "given.py", "functions.py")
SANDBOX = ("__init__.py", "channel.py", "kernel.py", "limits.py", "linux.py", "outputs.py", "runner.py", "seccomp.py",
           "shell.py", "spawned.py", "zygote.py")  # fmt: skip
# what stands in for a module of the course: the check, and the one function of a later module that an answer may use
STAND_INS = {"autograder/check.py": "student_check.py"}
LENT = {"gpt": {"course_lib/generation.py": "student_generation.py"}}


def build(assignment: str, folder: Path, *, whole: bool = False) -> None:
    """Write the view of `assignment` into the new folder `folder`.

    With `whole` it holds all of the course instead, for a kernel that checks inside, as a student's own does. Raises
    ValueError for an unknown assignment.
    """
    if whole:
        for source in (PACKAGE, COURSE_LIB):
            _copy(source, folder / source.name)
        return
    for name in (*COMMON, *_existing(rooms.before(assignment))):
        _copy(COURSE_LIB / name, folder / "course_lib" / name)
    for name in PROBE:
        _copy(PACKAGE / name, folder / "autograder" / name)
    for name in SANDBOX:
        _copy(PACKAGE / "sandbox" / name, folder / "autograder" / "sandbox" / name)
    for place, name in (STAND_INS | LENT.get(assignment, {})).items():
        _copy(PACKAGE / "sandbox" / name, folder / place)


def _existing(modules: tuple[str, ...]) -> list[str]:
    return [name if (COURSE_LIB / name).is_dir() else f"{name}.py" for name in modules]


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    else:
        shutil.copyfile(source, target)
