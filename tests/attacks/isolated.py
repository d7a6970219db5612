"""Grade the whole corpus in one run of the isolated grader: `python -m tests.attacks.isolated` keeps isolated.json.

The course, its neighbours, a home folder with a secret, and services that note who calls lie in a folder of their
own; all of it is looked at before and after.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from autograder.course import REPOSITORY, SOLUTIONS, Course
from autograder.grading.reports.feedback import feedback
from autograder.grading.reports.report import Row, read_class
from tests.attacks import corpus
from tests.attacks.active import MARK, active_content, copied_pages
from tests.attacks.attack import Attack
from tests.attacks.bait import Bait, changes, fingerprint, lay_out
from tests.attacks.hand_in import hand_in
from tests.attacks.kit import ASSIGNMENT, Kit
from tests.attacks.neighbours import honest
from tests.attacks.verdicts import broken

RECORD = Path(__file__).with_name("isolated.json")
LIMITS = {
    "cell_seconds": 5, "question_seconds": 5, "submission_seconds": 90, "memory_mb": 1500, "processes": 64,
    "disk_mb": 64, "output_kb": 200,
}  # fmt: skip
SET_CHILD_SUBREAPER = 36
OWN = {"course", "home", "in", "quiet", "quiet-in", "bait.socket"}
LEFT_BEHIND = (MARK, "left-for-a-friend", "filled")


def main(argv: list[str] | None = None) -> None:
    """Grade, print what is not as required, and keep the record."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks.isolated", description=__doc__.split("\n")[0])
    parser.add_argument("attacks", nargs="*", help="names of attacks or categories (default: all)")
    parser.add_argument("--workers", type=int, help="processes at a time (default: the grader's own)")
    parser.add_argument("--keep", type=Path, help="a new folder to work in, which is left for a look")
    options = parser.parse_args(argv)
    base = options.keep or Path(tempfile.mkdtemp(prefix="attacks-"))
    base.mkdir(exist_ok=True)
    try:
        record = run(base, corpus.chosen(options.attacks), options.workers, compare=not options.attacks)
    finally:
        if not options.keep:
            shutil.rmtree(base, ignore_errors=True)
    if not options.attacks:
        kept = {key: value for key, value in record.items() if key != "output"}  # it names this machine's folders
        RECORD.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    for name, attack in record["attacks"].items():
        for problem in attack["broken"]:
            print(f"{name}: {problem}")
    same = record["neighbours"] == record["neighbours_alone"]
    beside = "have the scores they have alone" if same else "were not compared, or HAVE OTHER SCORES than alone"
    print(f"{len(record['attacks'])} attacks in {record['seconds']} s; the honest neighbours {beside}")
    quiet = ("attacks", "output", "neighbours", "neighbours_alone", "seconds")
    print(json.dumps({key: value for key, value in record.items() if key not in quiet}))


def run(base: Path, attacks: Sequence[Attack], workers: int | None = None, compare: bool = True) -> dict[str, Any]:
    """Collect and grade these attacks beside honest neighbours in `base`, which must be empty; returns the record.

    With `compare`, the neighbours are also graded without attackers, before.
    """
    with adopted():
        return grade_beside_neighbours(base, attacks, workers, compare)


@contextlib.contextmanager
def adopted() -> Iterator[None]:
    """What the grader leaves running becomes a child of this process meanwhile; what of it has ended is waited for."""
    own = {process.pid for process in psutil.Process().children()}
    ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 0, 0, 0, 0)
        for process in psutil.Process().children():
            with contextlib.suppress(psutil.NoSuchProcess, ChildProcessError):
                if process.pid not in own and process.status() == psutil.STATUS_ZOMBIE:
                    os.waitpid(process.pid, os.WNOHANG)


def grade_beside_neighbours(
    base: Path, attacks: Sequence[Attack], workers: int | None, compare: bool
) -> dict[str, Any]:
    """What `run` does, where processes that are left become children of this one."""
    bait = lay_out(base / "course", base / "home", base / "bait.socket")
    try:
        alone = graded_alone(base, bait) if compare else {}
        course = Course.at(base / "course")
        release(course, bait)
        kit = Kit.of(course.root, bait.places)
        (base / "in").mkdir()
        hand_in(base / "in", kit, attacks)
        watched = [
            base / "in",
            bait.places.home,
            course.source(ASSIGNMENT),
            course.release(ASSIGNMENT),
            course.config_file,
        ]
        before, litter = fingerprint(watched), left_behind()
        began = time.monotonic()
        steps = [command(course, bait, "collect", ASSIGNMENT, str(base / "in"))]
        between = fingerprint([course.root / "submitted"])
        more = ["--workers", str(workers)] if workers else []
        steps.append(command(course, bait, "grade", ASSIGNMENT, *more))
        seconds = time.monotonic() - began
        after = fingerprint([course.root / "submitted"])
        rows = {row.student: row for row in read_class(course, ASSIGNMENT)}
        running = [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]
        left_running = [" ".join(p.cmdline())[:200] for p in running]
        marked = [row for who, row in rows.items() if bears_mark(course, who)]
        failed = feedback(course, ASSIGNMENT, marked)
        return {
            "attacks": {a.name: {**shown(rows.get(a.who)), "broken": broken(a, rows.get(a.who))} for a in attacks},
            "seconds": round(seconds),
            "exit_codes": [step["code"] for step in steps],
            "output": [step["output"] for step in steps],
            "neighbours": {who: points(rows[who]) for who in honest(kit) if who in rows},
            "neighbours_alone": alone,
            "unexpected_students": sorted(set(rows) - {a.who for a in attacks} - set(honest(kit))),
            "changed": [
                *changes(before, fingerprint(watched)),
                *changes(between, after),
                *sorted(left_behind() - litter),
            ],
            "reached": sorted(set(bait.calls)),
            "leaked": leaks(course, bait, steps),
            "active": active_pages(course),
            "no_feedback": failed,
            "left_running": left_running,
            "left_lying": sorted(path.name for path in base.iterdir() if path.name not in OWN),
        }
    finally:
        bait.stop()


def release(course: Course, bait: Bait) -> None:
    """Release the assignment by command, and set limits that make endless things end soon."""
    done = command(
        course, bait, "release", ASSIGNMENT, "--solutions", str(SOLUTIONS), "--book", str(course.root / "book")
    )
    assert done["code"] == 0, done["output"]
    with course.config_file.open("a") as file:
        file.writelines(f"c.Isolation.{name} = {value}\n" for name, value in LIMITS.items())


def graded_alone(base: Path, bait: Bait) -> dict[str, dict[str, float | None]]:
    """The points of the honest neighbours in a class of their own."""
    course = Course.at(base / "quiet")
    release(course, bait)
    hand_in(base / "quiet-in", Kit.of(course.root, bait.places), [])
    for words in (["collect", ASSIGNMENT, str(base / "quiet-in")], ["grade", ASSIGNMENT]):
        done = command(course, bait, *words)
        assert done["code"] == 0, done["output"]
    return {row.student: points(row) for row in read_class(course, ASSIGNMENT)}


def command(course: Course, bait: Bait, *words: str) -> dict[str, Any]:
    """Run the command `autograder` as a person would who has secrets in his environment."""
    environment = os.environ | {
        "HOME": str(bait.places.home),
        "TMPDIR": str(course.root.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        bait.places.variable: bait.places.secret,
    }
    done = subprocess.run(
        [str(Path(sys.executable).parent / "autograder"), *words, "--course", str(course.root)],
        cwd=bait.places.home, env=environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, errors="replace",
    )  # fmt: skip
    return {"code": done.returncode, "output": (done.stdout + done.stderr)[-20_000:]}


def points(row: Row) -> dict[str, float | None]:
    return {name: mark.points for name, mark in row.marks.items()}


def shown(row: Row | None) -> dict[str, Any]:
    """A row as plain values."""
    if row is None:
        return {"status": "absent"}
    lost = {
        name: asdict(mark) for name, mark in row.marks.items() if mark.points is None or mark.points < mark.max_points
    }
    return {"status": row.status, "problem": row.problem, "lost": lost, "notes": list(row.notes), "total": row.total}


def bears_mark(course: Course, student: str) -> bool:
    path = course.autograded(student, ASSIGNMENT) / f"{ASSIGNMENT}.ipynb"
    return path.is_file() and MARK in path.read_text(errors="replace")


def active_pages(course: Course) -> dict[str, list[str]]:
    """What acts on the feedback pages and in their index, and pages that students handed in beside a notebook."""
    pages = {
        str(p.relative_to(course.root)): active_content(p.read_text()) for p in course.root.glob("feedback/**/*.html")
    }
    pages |= {name: ["a page of a student's"] for name in copied_pages(course.root, ASSIGNMENT)}
    return {name: found for name, found in pages.items() if found}


def leaks(course: Course, bait: Bait, steps: list[dict[str, Any]]) -> list[str]:
    """Where the secret, or a run's seed, came to light outside the grader's own records."""
    journal = [json.loads(line) for line in (course.runs(ASSIGNMENT) / "journal.jsonl").read_text().splitlines()]
    seeds = [entry["seed"] for entry in journal if entry["kind"] == "run"]
    secrets = [word.encode() for word in (bait.places.secret, *seeds) if isinstance(word, str)]
    places = [
        p for kind in ("autograded", "feedback", "aside") for p in course.root.glob(f"{kind}/**/*") if p.is_file()
    ]
    assert seeds, "the journal names no seed"
    found = [str(p.relative_to(course.root)) for p in places if any(word in p.read_bytes() for word in secrets)]
    return found + [
        f"output of step {i}" for i, s in enumerate(steps) if any(w.decode() in s["output"] for w in secrets)
    ]


def left_behind() -> set[str]:
    """Things with the attackers' marks in their names where anybody may write, or in the repository."""
    places = [
        Path("/tmp"),
        Path("/dev/shm"),
        Path("/var/tmp"),
        Path.home(),
        Path("/"),
        REPOSITORY,
        *map(Path, sys.path),
    ]
    return {
        str(path)
        for place in places if place.is_dir()
        for path in place.iterdir() if any(word in path.name for word in LEFT_BEHIND)
    }  # fmt: skip


if __name__ == "__main__":
    main()
