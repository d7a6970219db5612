"""The mistake gate: every known mistake must lose points and be named, every right answer must lose none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from autograder import checks, judge
from autograder.check import LOCAL_SEED
from autograder.exercise import Answer, Exercise
from autograder.probe import one_thread
from autograder.result import headline
from autograder.verdict import Verdict


@dataclass(frozen=True)
class Row:
    """How one known answer fared: whether it should be right, its worst verdict over the seeds, and its problem."""

    exercise: str
    answer: str
    right: bool
    verdict: Verdict
    problem: str

    @property
    def message(self) -> str:
        """What its author reads first: the known mistake's advice, or the first failed case."""
        failed = [case for case in self.verdict.cases if case.status != "pass"]
        return self.verdict.advice or (failed[0].message if failed else "")


def verdict_on(exercise: Exercise, answer: Answer, seed: str) -> Verdict:
    """The verdict on a known answer, as a student who typed it would get it."""
    objects = answer.objects(exercise.objects)
    with one_thread():
        replies = [judge.answer(request, objects) for request in judge.requests(exercise, seed)]
        return judge.judge(exercise, seed, replies)


def answers(name: str) -> list[tuple[Answer, bool]]:
    """The known mistakes and correct variants of an exercise, each with whether it should be right."""
    exercise = checks.load(name)
    return [(m, False) for m in exercise.mistakes] + [(v, True) for v in exercise.variants]


def rows(
    names: Iterable[str], seeds: Iterable[str] = (LOCAL_SEED,), tick: Callable[[str], None] = lambda _: None
) -> list[Row]:
    """One row for each known mistake and correct variant of the exercises ``names``, tried with every seed.

    ``tick`` is told each answer that has been tried.
    """
    seeds = list(seeds)
    table = []
    for name in names:
        exercise = checks.load(name)
        told = Counter(mistake.says for mistake in exercise.mistakes)
        for answer, right in answers(name):
            verdicts = [verdict_on(exercise, answer, seed) for seed in seeds]
            problems = [_problem(answer, right, verdict) for verdict in verdicts]
            if len({tuple(case.status == "pass" for case in verdict.cases) for verdict in verdicts}) > 1:
                problems.append("which cases it fails depends on the seed")
            if not right and told[answer.says] > 1:
                problems.append("another mistake gets the same message")
            worst = next((v for v, p in zip(verdicts, problems, strict=False) if p), verdicts[0])
            table.append(Row(name, answer.name, right, worst, next((p for p in problems if p), "")))
            tick(f"{name} {answer.name}")
    return table


def shortages(names: Iterable[str], mistakes: int = 4, variants: int = 2) -> list[str]:
    """The exercises that ship fewer known mistakes or correct variants than they must, as sentences."""
    found = []
    for exercise in map(checks.load, names):
        for kind, have, need in (("mistakes", exercise.mistakes, mistakes), ("variants", exercise.variants, variants)):
            if len(have) < need:
                found.append(f"{exercise.name} has {len(have)} {kind}, {need} are needed")
    return found


def _problem(answer: Answer, right: bool, verdict: Verdict) -> str:
    if right:
        return "" if verdict.points == verdict.max_points else "a right answer loses points"
    if verdict.points == verdict.max_points:
        return "a mistake gets full marks"
    if verdict.mistake is None:
        return "the mistake is not named"
    return "" if verdict.mistake == answer.name else f"the mistake is taken for {verdict.mistake}"


def as_text(table: list[Row]) -> str:
    """The table for a terminal: exercise, answer, points, message; problems are marked."""
    lines = []
    for exercise in dict.fromkeys(row.exercise for row in table):
        mine = [row for row in table if row.exercise == exercise]
        lines.append(headline(mine[0].verdict).split(":")[0])
        for row in mine:
            kind = "variant" if row.right else "mistake"
            score = f"{row.verdict.points:g}/{row.verdict.max_points:g}"
            mark = f"  <-- {row.problem}" if row.problem else ""
            lines.append(f"  {kind}  {score:>7}  {row.answer}{mark}")
            if row.message and not row.right:
                lines.append(f"                    {row.message}")
    wrong, right = [r for r in table if not r.right], [r for r in table if r.right]
    full = sum(r.verdict.points == r.verdict.max_points for r in wrong)
    named = sum(r.verdict.mistake == r.answer for r in wrong)
    losing = sum(r.verdict.points < r.verdict.max_points for r in right)
    lines.append(
        f"{len(wrong)} mistakes: {full} at full marks, {named} named right. "
        f"{len(right)} variants: {losing} losing a point."
    )
    return "\n".join(lines)
