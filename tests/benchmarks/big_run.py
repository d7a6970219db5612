"""Grade a class of thousands: `python -m tests.benchmarks.big_run --students 2000 --kills 20` keeps big_run.md.

The class is graded twice, once undisturbed and once killed again and again, and both must come to the same.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import psutil
import torch

from autograder import checks
from autograder.course import REPOSITORY, SOLUTIONS, Course
from autograder.exercise import Exercise
from autograder.grading.intake.collect import collect
from autograder.grading.reports.report import read_class
from autograder.release import release
from autograder.sample_class import Sheet, functions
from tests.benchmarks.machine import describe

RECORD = Path(__file__).with_name("big_run.md")
MEGABYTE = 1 << 20
LOOK_EVERY = 0.5


@dataclass
class Figures:
    """What was measured; memory in bytes, times in seconds."""

    students: int
    kills: int = 0
    killed: int = 0
    collecting: float = 0.0
    grading: float = 0.0
    killed_grading: float = 0.0
    again: float = 0.0
    memory: list[int] = field(default_factory=list)
    kinds: int = 0
    unlike: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def problems(self) -> list[str]:
        """What must not be, in sentences."""
        found = {"have other scores": self.unlike, "are lost": self.lost, "were graded twice": self.doubled,
                 "are left half made": self.left}  # fmt: skip
        return [f"{len(names)} {what}: {', '.join(sorted(names)[:10])}" for what, names in found.items() if names]


def make_class(course: Course, source: Path, students: int, seed: int) -> float:
    """Release the assignment and hand in that many submissions, no two alike; the seconds that collecting took.

    Each answer is drawn from the exercise's right variants, its known mistakes, and a few broken ones.
    """
    release(course, source)
    name = source.stem
    released = nbformat.read(course.release(name) / f"{name}.ipynb", as_version=4)
    solved = nbformat.read(course.source(name) / f"{name}.ipynb", as_version=4)
    written = {c.metadata["nbgrader"]["grade_id"]: c.source for c in solved.cells if "nbgrader" in c.metadata}
    exercises = [e for e in map(checks.load, checks.names(name)) if e.objects[0] in written]
    folder = course.root / "handed-in"
    folder.mkdir()
    for number in range(students):
        draw = random.Random(f"{seed}/{number}")
        answers = {e.objects[0]: draw.choice(possible(e, written[e.objects[0]])) for e in exercises}
        sheet = Sheet(released).answer({cell: text for cell, text in answers.items() if text})
        sheet.essay(f"This is what student {number} thinks of it: {draw.getrandbits(64)}.")
        (folder / f"student-{number:05d}.ipynb").write_text(sheet.text())
    began = time.monotonic()
    collect(course, name, [folder])
    return time.monotonic() - began


def possible(exercise: Exercise, solution: str) -> list[str]:
    """Answers to draw from; an empty one leaves the cell as it was released."""
    broken = ["", functions(exercise, "return undefined_name"), f"def {exercise.objects[0]}(x, dim:\n    return x"]
    right = [solution, *(variant.source for variant in exercise.variants)]
    return right + [mistake.source for mistake in exercise.mistakes] + broken


class Run:
    """`autograder grade` in a process group of its own, at which one can look while it goes on."""

    def __init__(self, course: Course, assignment: str, workers: int) -> None:
        self.journal = course.runs(assignment) / "journal.jsonl"
        self.output = (course.root / "output.txt").open("wb")
        command = [sys.executable, "-m", "autograder.cli", "grade", assignment, "--course", str(course.root),
                   "--workers", str(workers)]  # fmt: skip
        self.read = self.graded = 0
        self.began = time.monotonic()
        self.process = subprocess.Popen(command, stdout=self.output, stderr=self.output, start_new_session=True)

    def memory(self) -> int:
        """Bytes that the coordinator holds; 0 when it has ended."""
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            return psutil.Process(self.process.pid).memory_info().rss
        return 0

    def done(self) -> int:
        """How many submissions are settled, be it by this run or one before."""
        with contextlib.suppress(FileNotFoundError), self.journal.open("rb") as file:
            file.seek(self.read)
            *lines, rest = file.read().split(b"\n")
            self.read = file.tell() - len(rest)
            self.graded += sum(line.startswith(b'{"kind":"graded"') for line in lines)
        return self.graded

    def running(self) -> bool:
        """Whether it still goes on; its output is closed with it."""
        return self.process.poll() is None

    def kill(self) -> None:
        """Kill all of it at once, as a machine does that loses its power."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.output.close()

    def end(self) -> float:
        """Wait for its end; the seconds it took. Raises RuntimeError if it failed."""
        status = self.process.wait()
        seconds = time.monotonic() - self.began
        self.output.close()
        if status:
            raise RuntimeError(f"grading ended with {status}: {Path(self.output.name).read_text()[-2000:]}")
        return seconds


def undisturbed(course: Course, assignment: str, workers: int, figures: Figures) -> None:
    """Grade all in one run, with a look at the coordinator's memory now and then; then once more with nothing new."""
    run = Run(course, assignment, workers)
    while run.running():
        if run.done() and (held := run.memory()):
            figures.memory.append(held)
        time.sleep(LOOK_EVERY)
    figures.grading = run.end()
    figures.again = Run(course, assignment, workers).end()


def disturbed(course: Course, assignment: str, workers: int, figures: Figures, seed: int) -> None:
    """Grade all, killing the run at random moments on the way and starting it again each time."""
    draw = random.Random(seed)
    began = time.monotonic()
    for moment in sorted(draw.randrange(figures.students) for _ in range(figures.kills)):
        run = Run(course, assignment, workers)
        while run.running() and run.done() < moment:
            time.sleep(0.05)
        time.sleep(draw.random())
        figures.killed += run.running()
        run.kill()
    Run(course, assignment, workers).end()
    figures.killed_grading = time.monotonic() - began


def compare(figures: Figures, assignment: str, calm: Course, killed: Course) -> None:
    """Note who has other scores, who is lost, who was graded twice, and what is left half made."""
    tables = [{row.student: row for row in read_class(course, assignment)} for course in (calm, killed)]
    names = {f"student-{number:05d}" for number in range(figures.students)}
    scores = [{name: {q: m.points for q, m in row.marks.items()} for name, row in t.items()} for t in tables]
    figures.kinds = len({json.dumps(found, sort_keys=True) for found in scores[0].values()})
    figures.unlike = [name for name in names if scores[0].get(name) != scores[1].get(name)]
    figures.lost = [name for name in names if any(name not in t or t[name].status != "graded" for t in tables)]
    for course in (calm, killed):
        lines = (course.runs(assignment) / "journal.jsonl").read_text().splitlines()
        graded = Counter(json.loads(line)["student"] for line in lines if '"kind":"graded"' in line)
        figures.doubled += [name for name, count in graded.items() if count > 1]
        figures.left += [str(p) for p in course.root.glob(f"autograded/*/.{assignment}.*")]
        figures.left += [str(p) for p in course.runs(assignment).glob("judged/*")]


def measure(folder: Path, source: Path, students: int, kills: int, workers: int, seed: int = 0) -> Figures:
    """All of it, in the empty folder `folder`."""
    figures = Figures(students, kills)
    calm, killed = Course.at(folder / "calm"), Course.at(folder / "killed")
    figures.collecting = make_class(calm, source, students, seed)
    shutil.copytree(calm.root, killed.root)
    undisturbed(calm, source.stem, workers, figures)
    disturbed(killed, source.stem, workers, figures, seed)
    compare(figures, source.stem, calm, killed)
    return figures


def as_text(figures: Figures, source: Path, workers: int) -> str:
    """The figures as a page."""
    held = [f"{size / MEGABYTE:.0f} MB" for size in (figures.memory[0], figures.memory[-1], max(figures.memory))]
    rows = {
        "submissions, no two alike": f"{figures.students}",
        "different results among them": f"{figures.kinds}",
        "collecting them": f"{figures.collecting:.0f} s",
        "grading them in one run": f"{figures.grading:.0f} s, {60 * figures.students / figures.grading:.0f} a minute",
        "the coordinator's memory: first, last, most": ", ".join(held),
        "the same command again, nothing being new, with its table": f"{figures.again:.1f} s",
        "kills on the way of the other run": f"{figures.killed} of {figures.kills} while it ran",
        "grading them in spite of that": f"{figures.killed_grading:.0f} s",
        "students with other scores": f"{len(figures.unlike)}",
        "lost": f"{len(figures.lost)}",
        "graded twice": f"{len(figures.doubled)}",
        "left half made": f"{len(figures.left)}",
    }
    command = f"python -m tests.benchmarks.big_run --students {figures.students} --kills {figures.kills}"
    place = source.resolve()
    if place != SOLUTIONS / "attention.md":
        command += f" --source {place.relative_to(REPOSITORY) if place.is_relative_to(REPOSITORY) else place.name}"
    return "\n".join([
        "# A large class, graded and killed",
        "",
        f"Measured on: {describe(torch.device('cpu'))}, {workers} workers.",
        f"Written by `{command}`.",
        "",
        "| what | |",
        "|---|---|",
        *(f"| {what} | {value} |" for what, value in rows.items()),
        "",
    ])  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Measure, print the figures and keep them; 1 if a grade was lost, doubled or changed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.big_run", description=__doc__.split("\n")[0])
    parser.add_argument("--students", type=int, default=2000, help="(%(default)s)")
    parser.add_argument("--kills", type=int, default=20, help="(%(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="(%(default)s)")
    parser.add_argument("--source", type=Path, default=SOLUTIONS / "attention.md", help="the assignment (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the class and of the moments (%(default)s)")
    parser.add_argument("--out", type=Path, default=RECORD, help="the file to write (this folder's big_run.md)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="make the two course folders here, and leave them")
    arguments = parser.parse_args(argv)
    with contextlib.ExitStack() as stack:
        folder = arguments.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="big-run-")))
        figures = measure(folder, arguments.source, arguments.students, arguments.kills, arguments.workers,
                          arguments.seed)  # fmt: skip
    text = as_text(figures, arguments.source, arguments.workers)
    arguments.out.write_text(text)
    sys.stdout.write(text + "\n".join(figures.problems()) + "\n")
    return 1 if figures.problems() else 0


if __name__ == "__main__":
    sys.exit(main())
