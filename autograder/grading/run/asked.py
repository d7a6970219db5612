"""What a run was asked for: the limits, the students, the exercise; or a sentence that says why not."""

from __future__ import annotations

from collections.abc import Iterable

from autograder.course import Course, CourseError
from autograder.grading.intake.collect import kept_aside
from autograder.grading.rebuild.trusted import TrustedCell
from autograder.grading.run.worker import questions
from autograder.sandbox.limits import Limits


def configured_limits(course: Course, assignment: str, **asked: float) -> Limits:
    """What nbgrader_config.py says in `c.Isolation`, its part for this assignment, and what is asked for besides."""
    options = dict(course.config().get("Isolation", {}))
    special = options.pop("assignments", {})
    try:
        return Limits.of(options | dict(special.get(assignment, {})) | asked)
    except (ValueError, AttributeError, TypeError) as error:
        raise CourseError(f"{course.config_file}, c.Isolation: {error}.") from error


def who(course: Course, assignment: str, students: Iterable[str]) -> list[str]:
    """The students to look at, in order; CourseError if there are none or one of them handed in nothing."""
    everyone = course.handed_in(assignment)
    if not everyone and not kept_aside(course, assignment):
        raise CourseError(
            f"Nobody has handed in '{assignment}' yet. Bring notebooks in with `autograder collect {assignment} PATH`."
        )
    chosen = sorted(set(students) or everyone)
    if missing := sorted(set(chosen) - everyone):
        raise CourseError(f"Nothing of '{assignment}' was handed in by: {', '.join(missing)}.")
    return chosen


def refuse_other_tests(trusted: dict[str, TrustedCell]) -> None:
    """Raise CourseError if a test cell holds anything but a check: it could only be judged beside student code."""
    others = questions(trusted)[1]
    if others:
        raise CourseError(
            f"The test cell '{others[0]}' is not one line check(\"room.exercise\", name): what it finds could be "
            "forged by the code it tests. Write it as a check, or grade with --isolation none."
        )


def find_exercise(only: str, trusted: dict[str, TrustedCell]) -> str:
    """The full name of the exercise `only`, named with or without its room; CourseError if there is none."""
    known = [call.exercise for call in questions(trusted)[0].values()]
    found = [name for name in known if only in (name, name.partition(".")[2])]
    if not found:
        raise CourseError(f"No exercise of this assignment is called '{only}'. There are: {', '.join(known)}.")
    return found[0]
