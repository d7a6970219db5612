"""Time the isolated grader beside plain nbgrader: `python -m tests.benchmarks.grading` prints a table and keeps it.

The same submissions of one assignment are graded by each, one after the other in one run: by `nbgrader autograde` and
`nbgrader generate_feedback`, by `autograder grade --feedback`, and, without any of what grading is besides, by one warm
process that runs the students' cells and answers the probes. A larger class is then graded by the isolated grader
alone: what starting takes weighs less there, while plain nbgrader takes as long for each.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LATEST = Path(__file__).with_name("grading.md")
PROGRAMS = Path(sys.executable).parent
ROUND = """
import json, sys, time
import nbformat
from autograder import checks, judge, probe
from autograder.grading.run.attempt import is_test, parse_call

requests, began, graded = {}, None, 0
with probe.one_thread():
    for path in sys.argv[1:]:
        space = {"__name__": "__main__"}
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type != "code":
                continue
            if not is_test(cell):
                try:
                    exec(compile(cell.source, "<cell>", "exec"), space)
                except Exception as error:
                    pass_on = error  # as in a notebook: the next cell runs all the same
                continue
            call = parse_call(cell.source)
            if call.exercise not in requests:
                requests[call.exercise] = judge.requests(checks.load(call.exercise), "0")
            objects = tuple(space[name] for name in call.names if name in space)
            if len(objects) == len(call.names):
                list(probe.answers(requests[call.exercise], objects))
        graded += 1
        began = began or time.perf_counter()  # the first one warms up
print(json.dumps((time.perf_counter() - began) / (graded - 1)))
"""


def hand_in(course: Path, assignment: str, count: int) -> list[Path]:
    """A course folder with `count` submissions that nbgrader can grade to their end; returns the notebooks."""
    import nbformat

    from autograder import checks
    from autograder.course import Course
    from autograder.grading.intake.collect import collect
    from autograder.sample_class import Sheet, deal_mistakes

    run([PROGRAMS / "autograder", "release", assignment, "--course", course])
    place = Course.at(course)
    released = nbformat.read(place.release(assignment) / f"{assignment}.ipynb", as_version=4)
    exercises = [checks.load(name) for name in checks.names(assignment)]
    hands = [answers for _, answers in deal_mistakes(exercises)]
    right = {e.objects[0]: e.variants[0].source for e in exercises}
    folder = course / "handed-in"
    folder.mkdir()
    for index in range(count):
        # half of the class is right in another way, the other half wrong in a known one here and there
        chosen = {e.objects[0]: e.variants[index % len(e.variants)].source for e in exercises}
        wrong = hands[index % len(hands)] if index % 2 else {}
        sheet = Sheet(released).answer(right | chosen | wrong).essay("An answer in words.")
        (folder / f"student-{index:04}.ipynb").write_text(sheet.text())
    collect(place, assignment, [folder])
    return sorted(course.glob(f"submitted/*/{assignment}/{assignment}.ipynb"))


def run(command: list[object], cwd: Path | None = None) -> float:
    """Run a command to its end and return the seconds; CalledProcessError if it fails."""
    began = time.perf_counter()
    environment = dict(os.environ, PATH=f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}")
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.stderr.write(done.stdout[-2000:] + done.stderr[-4000:])
        done.check_returncode()
    return time.perf_counter() - began


def warm(notebooks: list[Path]) -> float:
    """Seconds that the cells and probes of one submission take in one warm process."""
    environment = dict(os.environ, OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    command = [sys.executable, "-c", ROUND, *map(str, notebooks)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def scores(course: Path, assignment: str) -> dict[str, dict[str, tuple[float | None, float]]]:
    """By student and exercise the points that the machine gave, and the most there are."""
    from autograder.course import Course

    found: dict[str, dict[str, tuple[float | None, float]]] = {}
    with Course.at(course).gradebook() as gradebook:
        for submission in gradebook.assignment_submissions(assignment):
            mine = found.setdefault(submission.student.id, {})
            for grade in (grade for part in submission.notebooks for grade in part.grades):
                mine[grade.name.removesuffix("-check")] = (grade.auto_score, grade.max_score)
    return found


def otter(notebooks: list[Path], course: Path, assignment: str, folder: Path) -> float:
    """Seconds that Otter-Grader takes for a submission; AssertionError if it finds other exercises right."""
    from tests.benchmarks.otter import Otter

    grader, given, seconds = Otter(folder, notebooks), scores(course, assignment), 0.0
    for notebook in notebooks:
        took, found = grader.grade(notebook)
        right = {name for name, (points, most) in given[notebook.parts[-3]].items() if points == most}
        if found != right:
            raise AssertionError(f"Otter finds {sorted(found)} right, not {sorted(right)}")
        seconds += took
    return seconds / len(notebooks)


def isolated(course: Path, assignment: str) -> float:
    """Seconds that the isolated grader takes for a class, with its feedback pages."""
    seconds = run([PROGRAMS / "autograder", "grade", assignment, "--course", course, "--feedback"])
    pages, graded = (len(list(course.glob(f"{step}/*/{assignment}"))) for step in ("feedback", "autograded"))
    if pages != graded:
        raise AssertionError(f"{graded} submissions are graded, and there are {pages} pages")
    return seconds


def compare(
    assignment: str, count: int, folder: Path, large: int = 0, with_otter: int = 0
) -> tuple[list[str], dict[str, float]]:
    """The lines of a table, and the seconds of each contestant.

    The isolated grader also grades a class of `large` submissions, Otter the first `with_otter` ones.
    """
    plain = folder / "plain"
    notebooks = hand_in(plain, assignment, count)
    ours = [folder / f"ours-{number}" for number in range(5)]
    for copy in ours:
        shutil.copytree(plain, copy)
    sys.stderr.write(f"{len(notebooks)} submissions; the isolated grader …\n")
    # a machine's speed drifts: before, amid and after what takes minutes
    times = [isolated(ours[number], assignment) for number in (0, 1)]
    seconds = {}
    if large:
        sys.stderr.write(f"the isolated grader, {large} submissions …\n")
        hand_in(folder / "large", assignment, large)
        seconds["large"] = isolated(folder / "large", assignment)
    sys.stderr.write("one warm process …\n")
    seconds["warm"] = warm(notebooks) * len(notebooks)
    sys.stderr.write("plain nbgrader …\n")
    seconds["autograde"] = run([PROGRAMS / "nbgrader", "autograde", assignment], plain)
    times.append(isolated(ours[2], assignment))
    seconds["generate"] = run([PROGRAMS / "nbgrader", "generate_feedback", assignment], plain)
    times += [isolated(ours[number], assignment) for number in (3, 4)]
    seconds["ours"] = statistics.median(times)
    # each draws a seed of its own; known mistakes and right answers have the same points with any
    if any(scores(copy, assignment) != scores(plain, assignment) for copy in ours):
        raise AssertionError("the two graders do not give the same points")
    if with_otter:
        sys.stderr.write("Otter-Grader …\n")
        seconds["otter"] = count * otter(notebooks[:with_otter], ours[0], assignment, folder / "otter")
    theirs = seconds["autograde"] + seconds["generate"]
    shown = ", ".join(f"{s:.1f}" for s in sorted(times))
    rows = [
        ("plain `nbgrader autograde` + `generate_feedback`", count, theirs),
        (f"isolated: `autograder grade --feedback`, median of {shown}", count, seconds["ours"]),
        ("cells and probes alone, in one warm process", count, seconds["warm"]),
    ]
    if large:
        more, longer = large - count, seconds["large"] - seconds["ours"]
        rows.insert(2, (f"the same, a class of {large}", large, seconds["large"]))
        rows.insert(3, (f"so of these the {more} more, without another start", more, longer))
    if with_otter:
        rows.append((f"Otter-Grader 7.0.0 without Docker, from {with_otter} of them", count, seconds["otter"]))
    lines = [f"| {count} submissions of {assignment}, the same points | seconds | a minute | times plain |",
             "|---|--:|--:|--:|"]  # fmt: skip
    lines += [f"| {name} | {s:.1f} | {60 * n / s:.0f} | {theirs / count * n / s:.1f} |" for name, n, s in rows]
    return lines, seconds


def main(argv: list[str] | None = None) -> None:
    """Grade the class by each contestant, print the table, and write it."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.grading", description=__doc__.split("\n")[0])
    parser.add_argument("--assignment", default="attention", help="(%(default)s)")
    parser.add_argument("--students", type=int, default=40, help="(%(default)s)")
    parser.add_argument("--large", type=int, default=200, help="a class for the isolated grader alone (%(default)s)")
    parser.add_argument("--otter", type=int, default=4, help="submissions that Otter grades too; 0: none (%(default)s)")
    parser.add_argument("--out", type=Path, default=LATEST, help="the file to write (this folder's grading.md)")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        lines, _ = compare(args.assignment, args.students, Path(folder), args.large, args.otter)
    import torch

    from tests.benchmarks.machine import describe

    head = ["# The isolated grader beside plain nbgrader", "",
            f"Measured on: {describe(torch.device('cpu'))}. Remade by `make bench`.", ""]  # fmt: skip
    sys.stdout.write("\n".join(lines) + "\n")
    args.out.write_text("\n".join([*head, *lines]) + "\n")


if __name__ == "__main__":
    main()
