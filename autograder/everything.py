"""The whole course in one go: student notebooks, book, and a sample class that is handed in and graded."""

from __future__ import annotations

import subprocess
import sys
import time

from autograder import cli
from autograder.course import REPOSITORY, Course, CourseError
from autograder.progress import clock

SAMPLE = "attention"


def make(course: Course) -> int:
    """Make what is missing or out of date, grade the sample class, and say where everything is."""
    started = time.monotonic()
    where = ["--course", str(course.root), *(["--db", course.db] if course.db else [])]
    steps = [
        ("Student notebooks", ["release"]),
        ("Book", None),
        ("Sample class: hand in", ["sample-class", SAMPLE]),
        ("Sample class: grade", ["grade", SAMPLE]),
        ("Sample class: feedback pages", ["feedback", SAMPLE]),
        ("Sample class: grades as CSV", ["export", SAMPLE, "--to", str(course.root / f"{SAMPLE}.csv")]),
    ]
    for number, (title, command) in enumerate(steps, 1):
        print(f"\n== {number} of {len(steps)}: {title}", flush=True)
        if command is None:
            build_book()
        elif status := cli.main([*command, *where]):
            return status
    print(farewell(course, time.monotonic() - started))
    return 0


def build_book() -> None:
    """Run the book's own build; CourseError if it fails."""
    if subprocess.run([sys.executable, str(REPOSITORY / "book" / "build.py")], cwd=REPOSITORY).returncode:
        raise CourseError("The book could not be built; the lines above say why.")


def farewell(course: Course, seconds: float) -> str:
    """Where everything is and what to type next."""
    index = REPOSITORY / "book" / "_build" / "html" / "index.html"
    return f"""
Done in {clock(seconds)}. Open in a browser:
  the book             {index}
  the feedback pages   {course.root / "feedback" / f"{SAMPLE}.html"}
Look at:
  student notebooks    {course.root / "release"}
  the grades           {course.root / f"{SAMPLE}.csv"}
Type next:
  make serve                        mark written answers in formgrader, or do the assignment in JupyterLab
  make test                         see that all of it works here
  .venv/bin/autograder --help       release, collect, grade, feedback, export
"""
