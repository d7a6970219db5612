"""What plain nbgrader does with each attack: `python -m tests.attacks.plain` runs it for real and keeps plain.json.

Plain means: nbgrader's own commands with nothing configured, so its default preprocessors and its kernel. The graded
cells are the course's own `check(...)` lines, which work without configuration. Each attack gets a fresh course with
one honest neighbour, in a container of its own (see `container`). Takes hours; goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from filelock import FileLock

from autograder.course import REPOSITORY, SOLUTIONS
from autograder.release import read_source
from tests.attacks import corpus, plain_inside
from tests.attacks.attack import Attack
from tests.attacks.container import contain
from tests.attacks.kit import ASSIGNMENT
from tests.attacks.plain_inside import LIMIT, prepare
from tests.attacks.verdicts import plain_outcome

# Code of these kinds is to fool the check, not nbgrader.
ALONE = ("lying_objects", "forging", "cheating", "state", "display")
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
RECORD = Path(__file__).with_name("plain.json")


def main(argv: list[str] | None = None) -> None:
    """Run what is not in the record yet, one attack at a time."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks.plain", description=__doc__.split("\n")[0])
    parser.add_argument("attacks", nargs="*", help="names, or categories (default: all that are not recorded yet)")
    parser.add_argument("--minutes", type=float, default=1e9, help="start none after this time")
    parser.add_argument("--keep", action="store_true", help="leave the folders for a look")
    options = parser.parse_args(argv)
    if any(os.environ.get(name) != "1" for name in ONE_THREAD):
        # numpy's threads, which start when it is loaded, would not survive the fork into a container
        words = [sys.executable, "-m", "tests.attacks.plain", *(sys.argv[1:] if argv is None else argv)]
        os.execve(sys.executable, words, os.environ | dict.fromkeys(ONE_THREAD, "1"))
    os.nice(2)
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    began = time.monotonic()
    base = Path(tempfile.mkdtemp(prefix="plain-", dir="/var/tmp"))
    try:
        template = base / "template"
        make_template(template)
        for attack in chosen(options.attacks, record):
            if time.monotonic() - began > options.minutes * 60:
                break
            folder = base / attack.name
            folder.mkdir()
            prepare(folder, template)
            facts = run(attack, folder)
            keep(attack.name, scrubbed(facts, folder))
            print(
                f"{time.monotonic() - began:.0f} s {attack.name}: {'; '.join(plain_outcome(attack, facts))}", flush=True
            )
            if not options.keep:
                shutil.rmtree(folder, ignore_errors=True)
    finally:
        if not options.keep:
            shutil.rmtree(base, ignore_errors=True)


def chosen(names: list[str], record: dict) -> list[Attack]:
    """The attacks that were named; those of the named categories, or of all, that are not recorded yet."""
    if names:
        return [a for a in corpus.chosen(names) if a.name in names or a.name not in record]
    # One of each category at a time, so that a run that is stopped has something of everything.
    rounds = itertools.zip_longest(*corpus.by_category().values())
    return [attack for round in rounds for attack in round if attack and attack.name not in record]


def make_template(folder: Path) -> None:
    """A course folder made by nbgrader's own generate_assignment, with no configuration."""
    source = folder / "source" / ASSIGNMENT
    source.mkdir(parents=True)
    nbformat.write(read_source(SOLUTIONS / f"{ASSIGNMENT}.md"), source / f"{ASSIGNMENT}.ipynb")
    home = folder.parent / "template-home"
    home.mkdir()
    programs = Path(sys.executable).parent
    done = subprocess.run(
        [str(programs / "nbgrader"), "generate_assignment", ASSIGNMENT],
        cwd=folder, env={"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(home)}, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"nbgrader could not make the assignment:\n{done.stderr}")


def run(attack: Attack, folder: Path) -> dict:
    """The facts of one attack; what is missing is said as such."""
    alone = any(attack in corpus.by_category()[group] for group in ALONE)
    end = contain(folder, lambda: plain_inside.observe_attack(attack, folder, alone), 5 * LIMIT)
    path = folder / "facts.json"
    return json.loads(path.read_text()) if path.is_file() else {"died": end}


def scrubbed(facts: dict, folder: Path) -> dict:
    """The facts without the names of this machine's folders, so that two machines' records can be compared."""
    text = json.dumps(facts)
    for place, name in ((folder, "FOLDER"), (Path(sys.prefix), "ENVIRONMENT"), (REPOSITORY, "REPOSITORY")):
        text = text.replace(str(place), name)
    return json.loads(text)


def keep(name: str, facts: dict) -> None:
    """Put one attack's facts into the record; several of these programs may run side by side."""
    with FileLock(Path(tempfile.gettempdir()) / "attacks-plain.lock"):
        record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
        record[name] = facts
        draft = RECORD.with_suffix(".new")
        draft.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
        draft.replace(RECORD)


if __name__ == "__main__":
    main()
