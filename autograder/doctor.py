"""What this machine has for the course, and what it lacks: said, never guessed."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from pathlib import Path

from autograder.course import Course
from autograder.sandbox import tiers
from autograder.sandbox.remedies import REMEDIES, System

PACKAGES = ("torch", "nbgrader", "jupyterlab", "jupyter-book", "jupytext", "einops", "anywidget")


def examine(course: Course) -> list[str]:
    """One line for each thing looked at, with what to do where something is missing."""
    lines = [f"python       {platform.python_version()}  {sys.executable}"]
    lines += [f"{name:<12} {version(name)}" for name in PACKAGES]
    lines.append(f"{'accelerator':<12} {accelerator()}")
    lines.append(f"{'alembic':<12} {program('alembic', 'nbgrader needs it: python3 autograder/environment.py')}")
    lines.append(f"{'jupyter':<12} {program('jupyter', 'python3 autograder/environment.py')}")
    lines.append(f"{'chromium':<12} {chromium()}")
    lines.append(f"{'cores':<12} {os.cpu_count()}")
    free = shutil.disk_usage(nearest(course.root)).free
    lines.append(f"{'disk':<12} {free / 1e9:.0f} GB free" + ("" if free > 2e9 else "  (little: make room)"))
    lines.append(
        f"{'course':<12} {course.root}"
        + ("" if course.config_file.is_file() else "  (not made yet: autograder release)")
    )
    return [*lines, "", *isolation(dict.fromkeys(tiers.TIERS), System.here())]


def isolation(lacking: dict[str, str | None], system: System) -> list[str]:
    """What keeps student code apart here: each tier tried, or as `lacking` says; why not, and what would help."""
    lacking = {name: tiers.TIERS[name].lack() if why is None else why for name, why in lacking.items()}
    best = next((name for name, why in lacking.items() if not why), None)
    if best:
        lines = [f"Student code is graded in isolation (tier: {best}): {tiers.TIERS[best].what}."]
    else:
        lines = [
            "Student code cannot be isolated here, and `autograder grade` refuses to run it. With `--isolation none`",
            "it runs as you, as plain nbgrader runs it: it can then read and change whatever you can.",
        ]
    better = True
    for name, why in lacking.items():
        lines.append(f"  {name:<12} {why and f'no: {why}' or 'yes'}")
        better &= name != best
        if why and better:
            lines.append(f"  {'':<12} to have it: {REMEDIES[name](system)}")
    return lines


def version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "missing: python3 autograder/environment.py"


def accelerator() -> str:
    try:
        import torch
    except ImportError:
        return "torch is missing: python3 autograder/environment.py"
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return "none; the course needs none"


def program(name: str, remedy: str) -> str:
    """Where the environment's program is, or how to get it."""
    own = Path(sys.executable).parent / name
    if own.exists():
        return str(own)
    found = shutil.which(name)
    return f"{found}  (not this environment's own)" if found else f"missing: {remedy}"


def chromium() -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    return found or "missing; only the book's tests need it: python3 autograder/environment.py --tests"


def nearest(path: Path) -> Path:
    """The path itself or the nearest folder above it that exists."""
    return path if path.exists() else nearest(path.parent)
