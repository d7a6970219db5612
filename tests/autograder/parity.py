"""Compare the isolated grader with plain nbgrader: `python -m tests.autograder.parity attention --all` prints a table.

Honest submissions of a room are graded twice, by `autograder grade` and by `nbgrader autograde` in a copy of the same
course folder. Every grade and comment in the two gradebooks must be the same. The inputs are drawn from the same seed
in both: for an answer that is wrong in part, another draw may find more or fewer cases to be wrong.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograder import checks
from autograder.course import SOLUTIONS, Course
from autograder.exercise import Exercise
from autograder.grading.intake.collect import collect
from autograder.grading.run.grade import grade
from autograder.grading.run.journal import records
from autograder.release import release
from autograder.sample_class import Sheet, deal_mistakes, noisy, sheets, student_names

PROGRAMS = Path(sys.executable).parent
# of the sample class: plain nbgrader loses the whole submission, as the guide's table of differences says
INTENDED = {"ends Python", "a file cut short"}
NUMBERS = ("auto_score", "manual_score", "extra_credit", "score", "max_score", "needs_manual_grade")
Row = tuple[str, str]


@dataclass
class Parity:
    """What came of one room: its submissions by student, and the grades and comments that differ."""

    room: str
    submissions: dict[str, str]
    compared: int = 0
    differences: list[str] = field(default_factory=list)
    isolated_seconds: float = 0.0
    plain_seconds: float = 0.0


def few(released: NotebookNode, solved: NotebookNode, exercises: list[Exercise]) -> Iterator[tuple[str, str]]:
    """The solution, the fullest hand of mistakes, and half of an assignment."""
    known = dict(sheets(released, solved, exercises))
    fullest = max((names for names, _ in deal_mistakes(exercises)), key=len)
    for what in ("the model solution", ", ".join(fullest), "half finished, no essay"):
        yield what, known[what]


def many(released: NotebookNode, solved: NotebookNode, exercises: list[Exercise]) -> Iterator[tuple[str, str]]:
    """The sample class, every variant, and what students do besides answering."""
    yield from ((what, text) for what, text in sheets(released, solved, exercises) if what not in INTENDED)
    written = {c.metadata["nbgrader"]["grade_id"]: c.source for c in solved.cells if "nbgrader" in c.metadata}
    right = {e.objects[0]: written[e.objects[0]] for e in exercises}
    for which in range(3, max(len(e.variants) for e in exercises)):
        others = {e.objects[0]: e.variants[which].source for e in exercises if which < len(e.variants)}
        yield f"right in another way ({which + 1})", Sheet(released).answer(right | others).text()
    first, last = exercises[0].objects[0], exercises[-1].objects[0]
    own = {
        "looks at results in cells of its own": f"{first}\n1 + 1",
        "stops with an error in a cell of its own": "raise RuntimeError('a try that failed')",
        "seeds, default dtype and threads changed":
            "import torch as t\nt.manual_seed(3)\nt.set_default_dtype(t.float64)\nt.set_num_threads(2)",
        "no gradients wanted": "import torch as t\nt.set_grad_enabled(False)",
        "prints much": "for i in range(3000):\n    print('line', i)",
    }  # fmt: skip
    for what, source in own.items():
        yield what, Sheet(released).answer(right).change(lambda nb, source=source: insert(nb, first, source)).text()
    yield "answers deleted", Sheet(released).answer(right).change(lambda nb: drop(nb, first, last)).text()
    yield "the imports deleted", Sheet(released).answer(right).change(lambda nb: drop(nb, "imports")).text()
    yield "every answer prints and warns", Sheet(released).answer(noisy(right)).text()


def insert(notebook: NotebookNode, below: str, source: str) -> None:
    """Put a cell of the student's own below an answer."""
    notebook.cells.insert(index_of(notebook, below) + 1, nbformat.v4.new_code_cell(source, id="own"))


def drop(notebook: NotebookNode, *names: str) -> None:
    """Delete cells, those of them that there are."""
    notebook.cells = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") not in names]


def index_of(notebook: NotebookNode, name: str) -> int:
    return next(i for i, c in enumerate(notebook.cells) if c.metadata.get("nbgrader", {}).get("grade_id") == name)


def hand_in(course: Course, room: str, everything: bool) -> dict[str, str]:
    """Release the room and collect its submissions; returns by student what each shows."""
    release(course, SOLUTIONS / f"{room}.md")
    released, solved = (
        nbformat.read(course.root / step / room / f"{room}.ipynb", as_version=4) for step in ("release", "source")
    )
    exercises = [checks.load(name) for name in checks.names(room)]
    made = dict((many if everything else few)(released, solved, exercises))
    folder = course.root / "handed-in"
    folder.mkdir()
    names = student_names(60) + [f"student-{number}" for number in range(100)]
    shown = dict(zip(names, made, strict=False))
    for student, what in shown.items():
        (folder / f"{student}.ipynb").write_text(made[what])
    collect(course, room, [folder])
    return shown


def entries(course: Course, room: str) -> dict[Row, dict[str, object]]:
    """What the gradebook has, by student and cell: the grades and the machine's comments."""
    found: dict[Row, dict[str, object]] = {}
    with course.gradebook() as gradebook:
        for submission in gradebook.assignment_submissions(room):
            who = submission.student.id
            found[who, "(all)"] = {
                "score": submission.score, "max_score": submission.max_score,
                "needs_manual_grade": submission.needs_manual_grade, "penalty": submission.late_submission_penalty,
            }  # fmt: skip
            for notebook in submission.notebooks:
                for entry in notebook.grades:
                    found[who, entry.name] = {name: getattr(entry, name) for name in NUMBERS}
                for comment in notebook.comments:
                    found.setdefault((who, comment.name), {})["auto_comment"] = comment.auto_comment
    return found


def nbgrader(course: Course, room: str, seed: str = "") -> None:
    """nbgrader's own command in the course folder; RuntimeError with its log if it fails."""
    environment = {k: v for k, v in os.environ.items() if k not in ("AUTOGRADER_SEED", "VIRTUAL_ENV")}
    if seed:
        environment["AUTOGRADER_SEED"] = seed
    command = [str(PROGRAMS / "nbgrader"), "autograde", room]
    done = subprocess.run(command, cwd=course.root, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])


def seed_of(course: Course, room: str) -> str:
    """The seed of the only run there was."""
    (run,) = (r for r in records(course.runs(room) / "journal.jsonl") if r["kind"] == "run")
    return run["seed"]


def compare(folder: Path, room: str, everything: bool = False, workers: int = 2, other_seed: bool = False) -> Parity:
    """Grade the room's submissions in both ways in the empty folder `folder`, and compare.

    With `other_seed` plain nbgrader draws its inputs as a student's notebook does at home.
    """
    ours = Course.at(folder / "ours")
    result = Parity(room, hand_in(ours, room, everything))
    shutil.copytree(ours.root, folder / "theirs")
    theirs = Course.at(folder / "theirs")
    began = time.monotonic()
    summary = grade(ours, room, workers=workers)
    result.isolated_seconds = time.monotonic() - began
    if summary.isolation == "none" or summary.aside:
        result.differences.append(f"the isolated grader: {summary}")
    began = time.monotonic()
    nbgrader(theirs, room, "" if other_seed else seed_of(ours, room))
    result.plain_seconds = time.monotonic() - began
    isolated, plain = entries(ours, room), entries(theirs, room)
    missing = dict.fromkeys(result.submissions.keys() - {who for who, _ in plain}, {})
    result.differences += [f"{result.submissions[who]}: plain nbgrader did not grade it" for who in missing]
    for who, cell in sorted(isolated.keys() | plain.keys()):
        result.compared += 1
        here, there = isolated.get((who, cell), {}), plain.get((who, cell), {})
        if here != there:
            unlike = {k: (here.get(k), there.get(k)) for k in here.keys() | there.keys() if here.get(k) != there.get(k)}
            result.differences.append(f"{result.submissions[who]}, {cell}: isolated and plain have {unlike}")
    return result


def as_text(results: list[Parity]) -> str:
    """The table, and below it what differs."""
    head = f"{'room':<12}{'submissions':>12}{'rows':>8}{'unlike':>8}{'isolated':>11}{'plain':>9}"
    lines = [head]
    for r in results:
        lines.append(f"{r.room:<12}{len(r.submissions):>12}{r.compared:>8}{len(r.differences):>8}"
                     f"{r.isolated_seconds:>9.0f} s{r.plain_seconds:>7.0f} s")  # fmt: skip
    return "\n".join([*lines, *itertools.chain.from_iterable(r.differences for r in results)])


def main(argv: list[str] | None = None) -> int:
    """Compare the rooms named, or all; 1 if anything differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.autograder.parity", description=__doc__.split("\n")[0])
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help="(default: all of them)")
    parser.add_argument("--all", action="store_true", help="every variant, mistake and trouble instead of a handful")
    parser.add_argument("--other-seed", action="store_true", help="draw the inputs of plain nbgrader from another seed")
    arguments = parser.parse_args(argv)
    results = []
    for room in arguments.rooms or checks.assignments():
        with tempfile.TemporaryDirectory(prefix="parity-") as folder:
            results.append(compare(Path(folder), room, arguments.all, other_seed=arguments.other_seed))
        sys.stdout.write(as_text(results[-1:]) + "\n")
        sys.stdout.flush()
    return 1 if any(result.differences for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
