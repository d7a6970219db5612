"""The whole course in one go: student notebooks, book, and a sample class that is handed in and graded."""

from __future__ import annotations

import subprocess
import sys
import time

from autograder import cli
from autograder.course import REPOSITORY, Course, CourseError
from autograder.progress import clock
from autograder.sample_class import student_names

SAMPLE = "attention"


def make(course: Course) -> int:
    """Make what is missing or out of date, grade the sample class, and say where everything is."""
    started = time.monotonic()
    theirs = real_students(course)
    where = ["--course", str(course.root), *(["--db", course.db] if course.db else [])]
    steps = [
        ("Student notebooks", ["release"]),
        ("Book", None),
        ("Sample class: hand in", ["sample-class", SAMPLE]),
        ("Sample class: grade", ["grade", SAMPLE]),
        ("Sample class: feedback pages", ["feedback", SAMPLE]),
        ("Sample class: grades as CSV", ["export", SAMPLE, "--to", str(course.root / f"{SAMPLE}.csv")]),
    ]
    if theirs:
        print(f"{course.root} holds work of real students ({theirs[0]}, …): the sample class is left out.")
        steps = steps[:2]
    for number, (title, command) in enumerate(steps, 1):
        print(f"\n== {number} of {len(steps)}: {title}", flush=True)
        if command is None:
            build_book()
        elif status := cli.main([*command, *where]):
            return status
    print(farewell(course, time.monotonic() - started, sample=not theirs))
    return 0


def real_students(course: Course) -> list[str]:
    """Students in the course folder who are not of the sample class, which must not get among them."""
    made_up = set(student_names(60))
    return sorted({p.parent.name for p in course.root.glob("submitted/*/*")} - made_up)


def build_book() -> None:
    """Run the book's own build; CourseError if it fails."""
    if subprocess.run([sys.executable, str(REPOSITORY / "book" / "build.py")], cwd=REPOSITORY).returncode:
        raise CourseError("The book could not be built; the lines above say why.")


def farewell(course: Course, seconds: float, sample: bool) -> str:
    """Where everything is and what to type next."""
    places = {"the book": REPOSITORY / "book" / "_build" / "html" / "index.html"}
    places["student notebooks"] = course.root / "release"
    if sample:
        places["feedback pages"] = course.root / "feedback" / f"{SAMPLE}.html"
        places["the grades"] = course.root / f"{SAMPLE}.csv"
    listed = "\n".join(f"  {name:<20} {path}" for name, path in places.items())
    return f"""
Done in {clock(seconds)}. Here are (open the .html in a browser):
{listed}
Type next:
  make serve                        mark written answers in formgrader, or do the assignment in JupyterLab
  make test                         see that all of it works here
  .venv/bin/autograder --help       release, collect, grade, feedback, export
"""
