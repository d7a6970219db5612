"""The command `autograder`: release, collect, grade, feedback, export, and what goes round them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autograder.course import BOOK_ASSIGNMENTS, SOLUTIONS, Course, CourseError
from autograder.loading import quickly
from autograder.progress import Progress, clock

if TYPE_CHECKING:
    from autograder.grading.run.processes import Processes


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns 0, 1 if something was found wanting, or 2 for a mistake in how it was asked."""
    arguments = parser().parse_args(argv)
    course = Course.at(arguments.course, arguments.db)
    try:
        return arguments.run(course, arguments)
    except CourseError as error:
        print(f"autograder: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nautograder: stopped. The same command takes up where this one ended.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output has gone, as in `autograder grade … | head`; it wants no more of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="autograder", description="Release, grade and report the course's assignments.")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--course", metavar="DIR", help="the course folder (default: $COURSE_DIR, else ./course)")
    shared.add_argument("--db", metavar="URL", help="the gradebook's address (default: SQLite in the course folder)")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run, help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, parents=[shared], help=help, description=help[0].upper() + help[1:] + ".")
        sub.set_defaults(run=run)
        return sub

    sub = command("release", release, "make the student notebooks from their sources")
    sub.add_argument("assignments", nargs="*", metavar="ASSIGNMENT")
    sub.add_argument("--solutions", type=Path, default=SOLUTIONS, metavar="DIR", help="where the sources are")
    sub.add_argument("--book", type=Path, metavar="DIR", help="also copy the notebooks here (default: the book)")

    sub = command("check", check, "run a whole student notebook and print what its checks say")
    sub.add_argument("notebook", nargs="+", type=Path, metavar="NOTEBOOK")
    sub.add_argument("--brief", action="store_true", help="one line an exercise, without the tables")
    sub.add_argument(
        "--cell-timeout", type=positive, metavar="SECONDS", default=120, help="the most that one cell may take"
    )

    sub = command("collect", collect, "take handed-in notebooks into the course folder")
    sub.add_argument("assignment")
    sub.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="notebooks, zip or tar archives, or folders")
    sub.add_argument(
        "--roster", type=Path, metavar="FILE",
        help="the students' ids, one a line or in a CSV with a header; work of others is kept aside",
    )  # fmt: skip

    sub = command("grade", grade, "grade what was handed in, and print the points with reasons")
    sub.add_argument("assignment")
    sub.add_argument("--student", action="append", default=[], metavar="ID", help="only this one; may be repeated")
    sub.add_argument("--force", action="store_true", help="also what is graded and unchanged")
    sub.add_argument("--only", metavar="EXERCISE", help="grade this exercise anew for everybody, and nothing else")
    sub.add_argument(
        "--isolation", metavar="TIER",
        help="how student code is kept apart (default: the best that `autograder doctor` finds; none: as nbgrader)",
    )  # fmt: skip
    sub.add_argument("--workers", type=positive, metavar="N", help="processes at a time (default: one a core)")
    sub.add_argument("--cell-timeout", type=positive, metavar="SECONDS", help="the most that one cell may take")
    sub.add_argument("--feedback", action="store_true", help="make the feedback pages too")

    sub = command("feedback", feedback, "make the students' feedback pages and an index of them")
    sub.add_argument("assignment")
    sub.add_argument("--force", action="store_true", help="also pages whose grades have not changed")

    sub = command("export", export, "write the grades as CSV")
    sub.add_argument("assignment")
    sub.add_argument("--to", type=Path, metavar="FILE.csv", help="(default: <ASSIGNMENT>.csv; - for the terminal)")
    sub.add_argument("--long", action="store_true", help="one line a question, with reasons")

    sub = command("serve", serve, "open JupyterLab with formgrader on the course folder")
    sub.add_argument("--port", type=positive, default=8888)
    sub.add_argument("--no-browser", action="store_true")

    sub = command("lint", lint, "look for mistakes in the assignments' sources")
    sub.add_argument("assignments", nargs="*", metavar="ASSIGNMENT")
    sub.add_argument("--solutions", type=Path, default=SOLUTIONS, metavar="DIR", help="where the sources are")

    sub = command("mistakes", mistakes, "try every known mistake and right variant against the checks")
    sub.add_argument("assignments", nargs="*", metavar="ASSIGNMENT")
    sub.add_argument("--all", action="store_true", help="with twenty seeds instead of one")

    sub = command("sample-class", sample_class, "make a class of made-up students and collect what they hand in")
    sub.add_argument("assignment", nargs="?", default="attention")

    sub = command("kernel", kernel, "the isolated Jupyter kernel: nbgrader and others use it by the name `autograder`")
    sub.add_argument("--install", action="store_true", help="make it known to Jupyter in this environment")
    sub.add_argument("--stop", action="store_true", help="end the warm process that it is forked from, if one runs")

    command("course", everything, "do all of it: notebooks, book, a graded sample class")
    command("doctor", doctor, "say what this machine has and lacks for the course")
    return top


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("it must be 1 or more")
    return value


def release(course: Course, arguments: argparse.Namespace) -> int:
    from autograder import release as releasing

    book = arguments.book or (BOOK_ASSIGNMENTS if arguments.solutions.resolve() == SOLUTIONS else None)
    for source in releasing.sources(arguments.solutions.resolve(), arguments.assignments):
        changed = releasing.release(course, source, book)
        path = course.release(source.stem) / f"{source.stem}.ipynb"
        print(f"{source.stem}: {'released' if changed else 'unchanged'}  {path}")
    return 0


def check(course: Course, arguments: argparse.Namespace) -> int:
    from autograder import notebook_check

    complete = True
    for path in arguments.notebook:
        bars: list[Progress] = []
        found, by_hand = notebook_check.check_notebook(
            path,
            seconds=arguments.cell_timeout,
            start=lambda total, bars=bars: bars.append(Progress(total, "cells", every=10**6)),
            tick=lambda text, bars=bars: bars[0].step(text),
        )
        bars[0].close()
        if not arguments.brief:
            print("\n\n".join(outcome.as_text() for outcome in found), end="\n\n")
        print(f"{path.name}\n{notebook_check.summary(found, by_hand)}")
        complete &= all(outcome.passed for outcome in found)
    return 0 if complete else 1


def collect(course: Course, arguments: argparse.Namespace) -> int:
    from autograder.grading.intake.collect import collect
    from autograder.grading.intake.students import read_roster

    roster = read_roster(arguments.roster) if arguments.roster else None
    results = collect(course, arguments.assignment, arguments.paths, roster)
    aside = [result for result in results if result.problem]
    new = sum(result.changed for result in results)
    for result in results:
        for note in result.notes:
            print(f"{result.student}: {note}")
    print(f"{len(results) - len(aside)} submissions in {course.root / 'submitted'}, {new} of them new or changed.")
    for result in aside:
        print(f"kept aside for a person: {result.student}: {result.problem}")
    if aside:
        print(f"What was kept aside is in {course.aside(arguments.assignment)}.")
    return 0


def grade(course: Course, arguments: argparse.Namespace) -> int:
    from autograder.grading.run.processes import Processes, choose, something_waits

    course.require(arguments.assignment)
    with Processes(course, arguments.assignment, choose(arguments.isolation)) as processes:
        again = arguments.force or arguments.only
        if processes.tier and (again or something_waits(course, arguments.assignment, arguments.student)):
            processes.begin()  # it takes as long as loading all that follows
        status = grade_with(processes, course, arguments)
    return status or (feedback(course, arguments) if arguments.feedback else 0)


def grade_with(processes: Processes, course: Course, arguments: argparse.Namespace) -> int:
    with quickly():
        from dataclasses import replace

        from autograder.grading.reports.report import read_class
        from autograder.grading.reports.table import as_text
        from autograder.grading.run.backup import how_to_back_up
        from autograder.grading.run.grade import configured_limits, grade
        from autograder.live import Screen

    asked = {}
    if arguments.cell_timeout:
        course = replace(course, extra={"Execute": {"timeout": arguments.cell_timeout}})
        asked["cell_seconds"] = float(arguments.cell_timeout)
    screen = Screen()
    try:
        summary = grade(
            course, arguments.assignment, arguments.student, only=arguments.only, force=arguments.force,
            workers=arguments.workers, watcher=screen.watcher, processes=processes,
            limits=configured_limits(course, arguments.assignment, **asked),
        )  # fmt: skip
    finally:
        screen.close()
    if advice := how_to_back_up(course):
        print(advice, file=sys.stderr)
    print(as_text(read_class(course, arguments.assignment)))
    print(
        f"This run: {summary.graded} graded in {clock(summary.seconds)}, {summary.unchanged} unchanged, "
        f"{summary.aside} for a person. Isolation: {summary.isolation}."
    )
    return 0


def feedback(course: Course, arguments: argparse.Namespace) -> int:
    with quickly():
        from autograder.grading.reports.feedback import feedback, index_path
        from autograder.grading.reports.report import read_class
        from autograder.grading.run.journal import GRADED

    rows = read_class(course, arguments.assignment)
    bar = Progress(sum(row.status == GRADED for row in rows), "pages", every=10)
    failed = feedback(course, arguments.assignment, rows, force=arguments.force, tick=bar.step)
    bar.close()
    for student, problem in failed.items():
        print(f"no feedback for {student}: {problem}", file=sys.stderr)
    print(f"Feedback: {index_path(course, arguments.assignment)}")
    return 1 if failed else 0


def export(course: Course, arguments: argparse.Namespace) -> int:
    from autograder.grading.reports import export as exporting
    from autograder.grading.reports.report import read_class

    rows = read_class(course, arguments.assignment)
    lines = exporting.long(rows) if arguments.long else exporting.wide(rows)
    if str(arguments.to) == "-":
        sys.stdout.write(exporting.as_csv(lines))
        return 0
    path = arguments.to or Path(f"{arguments.assignment}.csv")
    exporting.write_csv(lines, path)
    print(f"{len(lines) - 1} lines: {path.resolve()}")
    return 0


def serve(course: Course, arguments: argparse.Namespace) -> int:
    from autograder.serve import serve

    return serve(course, arguments.port, browser=not arguments.no_browser)


def lint(course: Course, arguments: argparse.Namespace) -> int:
    from autograder.lint import lint
    from autograder.release import sources

    paths = sources(arguments.solutions.resolve(), arguments.assignments)
    found = [problem for path in paths for problem in lint(path)]
    print("\n".join(found) if found else f"{len(paths)} sources, nothing to mend.")
    return 1 if found else 0


def mistakes(course: Course, arguments: argparse.Namespace) -> int:
    from autograder import checks, gate

    try:
        names = [name for a in (arguments.assignments or checks.assignments()) for name in checks.names(a)]
    except ValueError as error:
        raise CourseError(f"{error}.") from error
    seeds = [str(seed) for seed in range(20)] if arguments.all else ("0",)
    bar = Progress(sum(len(gate.answers(name)) for name in names), "answers tried", every=20)
    table = gate.rows(names, seeds, bar.step)
    bar.close()
    print(gate.as_text(table))
    short = gate.shortages(names)
    for sentence in short:
        print(sentence)
    return 1 if short or any(row.problem for row in table) else 0


def sample_class(course: Course, arguments: argparse.Namespace) -> int:
    from autograder.grading.intake.collect import collect
    from autograder.sample_class import hand_in

    folder = hand_in(course, arguments.assignment)
    results = collect(course, arguments.assignment, [folder])
    aside = sum(bool(result.problem) for result in results)
    print(f"{len(results)} made-up students handed in {folder}; {aside} of the files cannot be read.")
    return 0


def everything(course: Course, arguments: argparse.Namespace) -> int:
    from autograder.everything import make

    return make(course)


def kernel(course: Course, arguments: argparse.Namespace) -> int:
    from autograder.sandbox import keeper
    from autograder.sandbox.host import SandboxError

    try:
        if arguments.install:
            from autograder.sandbox.provisioner import install

            print(f'Installed: {install()}. Use it with c.Execute.kernel_name = "autograder" in nbgrader_config.py.')
        if arguments.stop:
            print(f"Stopped: {keeper.stop()}.")
        if not arguments.install and not arguments.stop:
            print(f"Warm processes for kernels: {keeper.running()}. See autograder kernel --help.")
    except SandboxError as error:
        raise CourseError(f"{error}.") from error
    return 0


def doctor(course: Course, arguments: argparse.Namespace) -> int:
    from autograder.doctor import examine

    print("\n".join(examine(course)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
