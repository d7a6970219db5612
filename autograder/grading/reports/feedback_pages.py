"""The processes that make feedback pages: warm, side by side, and each page's trouble its own."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import nbformat

from autograder.course import Course, CourseError, put_environment_on_path
from autograder.grading.gradebook import folder
from autograder.grading.gradebook.files import Rules
from autograder.grading.gradebook.grades import Grades
from autograder.grading.reports.contents import name_questions
from autograder.grading.reports.render import render, warm_up

SECONDS = 60.0  # that one page may take
BYTES = 4_000_000_000  # of memory that a process may ask for
STAMP = ".made-from.json"


@dataclass(frozen=True)
class Task:
    """What a process needs to make one page; the notebook it reads itself. `made_from` is put beside the page."""

    course: Course
    grades: Grades
    rules: Rules
    made_from: str


def is_made(course: Course, grades: Grades, made_from: str) -> bool:
    """Whether the page is there as it was made, and would be made of the same things again."""
    place = course.feedback(grades.student, grades.assignment)
    try:
        size = (place / f"{grades.assignment}.html").stat().st_size
        return (place / STAMP).read_text() == f"{size}\n{made_from}"
    except OSError:
        return False


def make_pages(course: Course, tasks: list[Task], workers: int) -> Iterator[tuple[str, str]]:
    """Make the pages of one assignment, yielding each student with why it failed, or ""."""
    if not tasks:
        return
    # Forks share what is loaded, but threads do not survive them.
    alone = sys.platform == "linux" and threading.active_count() == 1 and "torch" not in sys.modules
    if alone:
        warm_up(course)
    context = multiprocessing.get_context("fork" if alone else "spawn")
    left = {task.grades.student: task for task in tasks}
    for student, problem in run(context, course, tasks, min(workers, len(tasks))):
        if problem is not None:
            del left[student]
            yield student, problem
    # A process that dies takes the others' work with it: what is left is made again, each page in its own process.
    for task in left.values():
        for student, problem in run(context, course, [task], 1):
            yield student, "the process that made it died" if problem is None else problem


def run(
    context: multiprocessing.context.BaseContext, course: Course, tasks: list[Task], workers: int
) -> Iterator[tuple[str, str | None]]:
    """Make the pages in processes of their own; None for those that were not made because a process died."""
    pool = ProcessPoolExecutor(workers, context, begin, (course, os.getpid()))
    try:
        futures: dict[Future, str] = {}
        for task in tasks:
            try:
                futures[pool.submit(make_page, task)] = task.grades.student
            except BrokenProcessPool:
                break
        for future in as_completed(futures):
            died = isinstance(future.exception(), BrokenProcessPool)
            yield futures[future], None if died else future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def begin(course: Course, parent: int) -> None:
    """A process's beginning: Ctrl-C is for the parent, and when that has gone there is nothing more to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, stop)
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (BYTES if most < 0 else min(most, BYTES), most))
    put_environment_on_path()
    warm_up(course)


def end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def stop(number: int, frame: object) -> None:
    raise TimeoutError(f"the page took longer than {SECONDS:.0f} s")


def make_page(task: Task) -> str:
    """Make one student's page and put it, with the submission's other files, into its place; why it failed, or ""."""
    course, grades, name = task.course, task.grades, task.grades.assignment
    graded = course.autograded(grades.student, name)
    try:
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            notebook = nbformat.read(graded / f"{name}.ipynb", as_version=4)
            text = name_questions(render(notebook, grades, course), grades)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        content = text.encode("utf-8", "replace")
        files = {f"{name}.html": content, STAMP: f"{len(content)}\n{task.made_from}".encode()}
        target = course.feedback(grades.student, name)
        folder.make(target, files, graded, task.rules)
        folder.put(target, task.rules)
    except CourseError as error:
        return str(error)
    except KeyError as error:
        return f"the gradebook does not know its cell {error}"
    except Exception as error:  # whatever a notebook brings about costs only its own page
        return f"{type(error).__name__}: {str(error)[:300]}"
    return ""
