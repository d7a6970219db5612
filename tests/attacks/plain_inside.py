"""One attack on plain nbgrader, inside a throw-away container: what is observed, without an opinion about it."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import resource
import select
import shutil
import signal
import socket
import sqlite3
import struct
import sys
import time
import traceback
from contextlib import closing, suppress
from pathlib import Path
from typing import NoReturn

from nbgrader.apps.nbgraderapp import NbGraderApp

from tests.attacks.active import MARK, active_content, copied_pages
from tests.attacks.attack import Attack, File, Item, lay
from tests.attacks.bait import LARGE, Bait, changes, fingerprint, lay_out
from tests.attacks.kit import ASSIGNMENT, Kit
from tests.attacks.neighbours import NEIGHBOUR

ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".xz", ".bz2", ".7z", ".rar")
# zip_collect has no default for this: it must be told where the student's id stands, here in the archive's name.
COLLECTOR = r"--FileNameCollectorPlugin.named_regexp=.*/extracted/(?P<student_id>[^/]+)/(?:.*/)?(?P<file_id>[^/]+)$"
LARGEST = 2 << 30
LIMIT = 75  # seconds for a command
TEXTS = (".ipynb", ".html", ".csv", ".json", ".txt")


def observe_attack(attack: Attack, folder: Path, alone: bool) -> None:
    """Hand in the attack and its neighbour, run nbgrader, and write FOLDER/facts.json.

    With `alone` the neighbour is graded only if nbgrader failed on the attack: it would notice nothing else.
    """
    course, home = folder / "course", folder / "home"
    raise_loopback()
    bait = lay_out(course, home, folder / "bait.socket")
    kit = Kit.of(course, bait.places)
    hand_in([File(f"{NEIGHBOUR}.ipynb", kit.text())], course)
    has_archive = hand_in(attack.items(kit), course)
    # Only now: an attack may consist of a file that is larger, and takes no room before it is copied.
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST, LARGEST))
    watched = [
        home,
        course / "source",
        course / "release",
        course / "submitted" / NEIGHBOUR,
        course / "nbgrader_config.py",
    ]
    facts = observe(course, bait, watched, has_archive, alone)
    (folder / "facts.json").write_text(json.dumps(facts))


def observe(course: Path, bait: Bait, watched: list[Path], has_archive: bool, alone: bool) -> dict:
    """Run nbgrader's commands and look at what they leave."""
    before = fingerprint(watched)
    steps = []
    if has_archive:
        steps.append(command(course, bait, "zip_collect", ASSIGNMENT, "--force", COLLECTOR))
    if alone:
        (who,) = {p.parent.name for p in course.glob(f"submitted/*/{ASSIGNMENT}")} - {NEIGHBOUR}
        steps.append(command(course, bait, "autograde", ASSIGNMENT, f"--student={who}"))
    if not alone or steps[-1]["code"] != 0:
        steps.append(command(course, bait, "autograde", ASSIGNMENT))
        alone = False
    scores = read_scores(course)
    for path in course.glob(f"autograded/*/{ASSIGNMENT}/*.ipynb"):
        # A page shows no more than the notebook that it is made from.
        if NEIGHBOUR not in path.parts and MARK.encode() in path.read_bytes():
            steps.append(command(course, bait, "generate_feedback", ASSIGNMENT, f"--student={path.parts[-3]}"))
    steps.append(command(course, bait, "export"))
    changed = [path for path in changes(before, fingerprint(watched)) if not is_expected(path, course, bait)]
    pages = {
        str(p.relative_to(course)): p
        for p in course.glob(f"feedback/*/{ASSIGNMENT}/*.html")
        if NEIGHBOUR not in p.parts
    }
    return {
        "commands": steps,
        "neighbour_was_graded": not alone,
        "scores": scores,
        "handed_in": sorted(p.parent.name for p in course.glob(f"submitted/*/{ASSIGNMENT}")),
        "exported": read_export(course / "grades.csv"),
        "changed": [path.replace(str(course.parent), "") for path in changed],
        "leaked": leaks(course, bait.places.secret),
        "reached": sorted(set(bait.calls)),
        "active": {
            name: active for name, page in pages.items() if (active := active_content(page.read_text(errors="replace")))
        }
        | {name: ["a page of the student's"] for name in copied_pages(course, ASSIGNMENT)},
        "left_running": len(others()),
    }


def raise_loopback() -> None:
    """A new network has a loopback device that is down."""
    with socket.socket() as s:
        request = struct.pack("16sh14x", b"lo", 1)
        fcntl.ioctl(s, 0x8914, request)


def hand_in(items: list[Item], course: Path) -> bool:
    """Lay what is handed in where nbgrader looks for it; returns whether there is an archive to collect."""
    archive = False
    for item in items:
        first, _, rest = item.path.partition("/")
        if not rest and Path(first).suffix.lower() in ARCHIVES:
            place = f"downloaded/{ASSIGNMENT}/archive/{first}"
            archive = True
        elif rest:
            place = f"submitted/{first}/{ASSIGNMENT}/{rest}"
        else:
            place = f"submitted/{Path(first).stem}/{ASSIGNMENT}/{ASSIGNMENT}{Path(first).suffix.lower()}"
        lay([type(item)(**(vars(item) | {"path": place}))], course)
    return archive


def command(course: Path, bait: Bait, *words: str) -> dict:
    """Run one of nbgrader's commands with its defaults; everything that it started and left is killed at the limit."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(bait.places.home),
        "TMPDIR": "/tmp",
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        bait.places.variable: bait.places.secret,
    }
    began = time.monotonic()
    with (course.parent / "log.txt").open("ab+") as log:
        at = log.seek(0, os.SEEK_END)
        pid = os.fork()
        if pid == 0:
            be_nbgrader(["nbgrader", *words], course, environment, log.fileno())
        code = wait(pid, LIMIT)
        if code is None:
            for other in others():
                with suppress(ProcessLookupError):
                    os.kill(other, signal.SIGKILL)
            os.waitpid(pid, 0)
        size = log.seek(0, os.SEEK_END)
        log.seek(max(at, size - 2000))
        tail = log.read(2000).decode(errors="replace")
    return {
        "command": words[0],
        "code": "limit" if code is None else code,
        "seconds": round(time.monotonic() - began, 1),
        "tail": tail[-600:],
    }


def be_nbgrader(words: list[str], folder: Path, environment: dict[str, str], log: int) -> NoReturn:
    """Become the program: it was imported once, before the container was made, and is forked for every command."""
    try:
        os.setsid()
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.argv = words
        NbGraderApp.launch_instance()
        os._exit(0)
    except SystemExit as end:
        os._exit(end.code if isinstance(end.code, int) else 0 if end.code is None else 1)
    except BaseException:
        traceback.print_exc(file=open(log, "w", closefd=False))
    finally:
        os._exit(1)


def wait(pid: int, seconds: float) -> int | None:
    """The exit status of a child, or None if it does not end in time."""
    handle = os.pidfd_open(pid)
    try:
        if not select.select([handle], [], [], seconds)[0]:
            return None
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        os.close(handle)


def others() -> list[int]:
    """The processes of this container besides its first and this one."""
    return [int(p) for p in os.listdir("/proc") if p.isdigit() and int(p) not in (1, os.getpid()) and alive(p)]


def alive(pid: str) -> bool:
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(") ")[2][:1] != "Z"
    except OSError:
        return False


def read_scores(course: Path) -> dict[str, dict[str, list]]:
    """For each student and question: score (None where there is none), maximum, whether a person must mark it."""
    query = """select a.student_id, c.name, g.auto_score, g.manual_score, m.max_score, g.needs_manual_grade
        from grade g join base_cell c on g.cell_id = c.id join grade_cells m on m.id = c.id
        join submitted_notebook n on g.notebook_id = n.id join submitted_assignment a on n.assignment_id = a.id"""
    scores: dict[str, dict[str, list]] = {}
    with closing(sqlite3.connect(course / "gradebook.db")) as book:
        for student, cell, auto, manual, most, waits in book.execute(query):
            scores.setdefault(student, {})[cell] = [auto if manual is None else manual, most, bool(waits)]
    return scores


def read_export(path: Path) -> list[list[str]]:
    """Student and score of each line of the table that nbgrader exports."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        return [[line.get("student_id") or "", line.get("score") or ""] for line in csv.DictReader(file)]


def leaks(course: Path, secret: str) -> list[str]:
    """The files of results in which the secret stands."""
    found = []
    for kind in ("autograded", "feedback"):
        for path in course.glob(f"{kind}/**/*"):
            if path.is_file() and path.stat().st_size < LARGE and secret.encode() in path.read_bytes():
                found.append(str(path.relative_to(course)))
    return found


def is_expected(path: str, course: Path, bait: Bait) -> bool:
    """Caches and settings that nbgrader, Jupyter and IPython write for themselves."""
    home = str(bait.places.home)
    own = (home, f"{home}/.jupyter", f"{home}/.jupyter/migrated", f"{home}/.ipython")
    folders = tuple(f"{home}/.{name}" for name in ("cache", "local", "config", "ipython/", "triton"))
    return "pwned" not in path and (path in own or path.startswith(folders))


def prepare(folder: Path, template: Path) -> None:
    """A fresh course from the template, and an empty home."""
    shutil.copytree(template, folder / "course")
    for name in ("home", "tmp"):
        (folder / name).mkdir()
