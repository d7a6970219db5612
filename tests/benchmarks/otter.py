"""Otter-Grader on the same submissions, without Docker: `otter run`, one submission after the other.

Its tests are all or nothing, so each asks whether the course's check of that exercise passes. It gets an environment
of its own, made for the occasion, that sees this one's torch: its requirements are not those of the course.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
import venv
from pathlib import Path

import nbformat

from autograder.grading.run.attempt import is_test, parse_call

REPOSITORY = Path(__file__).resolve().parents[2]
VERSION = "otter-grader==7.0.0"


class Otter:
    """Otter in a folder of its own, ready to grade the assignment that `notebooks` are of."""

    def __init__(self, folder: Path, notebooks: list[Path]) -> None:
        self.folder, self.programs = folder, folder / "environment" / "bin"
        folder.mkdir()
        venv.create(folder / "environment", with_pip=True)
        site = next((folder / "environment").glob("lib/python*/site-packages"))
        (site / "course.pth").write_text(f"{sysconfig.get_path('purelib')}\n{REPOSITORY}\n")
        self._run(self.programs / "pip", "install", "--quiet", VERSION)
        tests = folder / "tests"
        tests.mkdir()
        for cell in nbformat.read(notebooks[0], as_version=4).cells:
            if is_test(cell):
                call = parse_call(cell.source)
                name = call.exercise.partition(".")[2]
                code = f">>> from autograder.check import check\n>>> {cell.source.strip()}.passed\nTrue"
                suite = {"cases": [{"code": code, "hidden": False, "locked": False}], "scored": True, "setup": "",
                         "teardown": "", "type": "doctest"}  # fmt: skip
                test = {"name": name, "points": 1, "suites": [suite]}
                (tests / f"{name}.py").write_text(f"OK_FORMAT = True\n\ntest = {test!r}\n")
        self._run(self.programs / "otter", "generate", "-t", tests, "-o", folder / "autograder.zip", "--no-environment",
                  "--no-requirements", "--no-config")  # fmt: skip

    def grade(self, notebook: Path) -> tuple[float, set[str]]:
        """Grade one submission; returns the seconds and the exercises that pass."""
        work = self.folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        paper = nbformat.read(notebook, as_version=4)
        paper.cells = [cell for cell in paper.cells if not is_test(cell)]  # they would be tried twice
        nbformat.write(paper, work / "submission.ipynb")
        began = time.perf_counter()
        self._run(self.programs / "otter", "run", "-a", self.folder / "autograder.zip", "-o", work,
                  work / "submission.ipynb")  # fmt: skip
        seconds = time.perf_counter() - began
        tests = json.loads((work / "results.json").read_text())["tests"]
        return seconds, {test["name"] for test in tests if test.get("score") == test.get("max_score") == 1}

    def _run(self, *command: object) -> None:
        environment = dict(os.environ, PATH=f"{self.programs}{os.pathsep}{os.environ['PATH']}")
        words = [str(word) for word in command]
        done = subprocess.run(words, cwd=self.folder, env=environment, capture_output=True, text=True)
        if done.returncode:
            sys.stderr.write(done.stdout[-2000:] + done.stderr[-4000:])
            done.check_returncode()
