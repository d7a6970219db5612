"""What this machine has for the course, and what it lacks: said, never guessed."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from autograder.course import Course

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
    lines += [
        "",
        "Grading now runs student code without isolation (tier: none), as plain nbgrader does.",
        "Here one could have:",
    ]
    lines += [f"  {name:<12} {verdict}" for name, verdict in tiers().items()]
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


def tiers() -> dict[str, str]:
    """Which kinds of isolation this machine allows, found out by trying."""
    answers = {"namespaces": "no: unprivileged user namespaces are a thing of Linux"}
    if sys.platform == "linux":
        worked = works(["unshare", "--user", "--map-root-user", "--mount", "--pid", "--net", "--fork", "true"])
        answers["namespaces"] = "yes" if worked else "no: user namespaces are switched off (or `unshare` is missing)"
    bwrap = works(["bwrap", "--ro-bind", "/", "/", "--unshare-all", "true"])
    answers["bwrap"] = (
        "yes"
        if bwrap
        else "no: "
        + ("bwrap is there but may not make namespaces" if shutil.which("bwrap") else "install the package bubblewrap")
    )
    engines = [name for name in ("docker", "podman") if works([name, "info"])]
    answers["container"] = f"yes: {engines[0]}" if engines else "no: neither Docker nor Podman answers"
    return answers


def works(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def nearest(path: Path) -> Path:
    """The path itself or the nearest folder above it that exists."""
    return path if path.exists() else nearest(path.parent)
