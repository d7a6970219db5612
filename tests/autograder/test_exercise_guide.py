"""The guide to adding an exercise, followed to the letter in a copy of the course."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autograder.course import REPOSITORY

PAGE = REPOSITORY / "book" / "guide" / "exercises.md"
BLOCK = re.compile(r"^(:{3,})\{code-block\} \w+\n:caption: ([^\n]+)\n\n(.*?)^\1$", re.S | re.M)
ADD, NEW, AFTER = (
    re.compile(p) for p in (r"Add to the end of `(.+)`", r"New file `(.+)`", r"In `(.+?)`, after `(.+)`")
)


def follow(caption: str, text: str, copy: Path) -> None:
    """Do what one block of the page says."""
    if match := ADD.fullmatch(caption):
        path = copy / match[1]
        path.write_text(path.read_text() + "\n\n" + text)
    elif match := NEW.fullmatch(caption):
        assert not (copy / match[1]).exists()
        (copy / match[1]).write_text(text)
    elif match := AFTER.fullmatch(caption):
        path = copy / match[1]
        assert path.read_text().count(match[2]) == 1
        path.write_text(path.read_text().replace(match[2], f"{match[2]}\n{text.rstrip()}"))
    else:
        raise AssertionError(f"nobody could follow {caption!r}")


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, subprocess.CompletedProcess]:
    """What each command of the page answered, in a copy in which the page was followed from top to bottom."""
    copy = tmp_path_factory.mktemp("course-copy")
    unwanted = shutil.ignore_patterns("__pycache__")
    for folder in ("autograder", "course_lib", "solutions"):
        shutil.copytree(REPOSITORY / folder, copy / folder, ignore=unwanted)
    answers = {}
    for _, caption, text in BLOCK.findall(PAGE.read_text()):
        if caption != "Command":
            follow(caption, text, copy)
            continue
        words = text.strip().removeprefix("$ ").split()
        assert words[0] == "autograder"
        answers[" ".join(words)] = subprocess.run(
            [sys.executable, "-m", "autograder.cli", *words[1:]],
            cwd=copy, env=os.environ | {"PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"},
            capture_output=True, text=True,
        )  # fmt: skip
    return answers


def test_every_command_succeeds(followed) -> None:
    assert len(followed) == 4
    for command, answer in followed.items():
        assert answer.returncode == 0, f"{command}\n{answer.stdout}\n{answer.stderr}"


def test_the_new_mistakes_are_all_found(followed) -> None:
    said = followed["autograder mistakes attention --all"].stdout
    total = re.search(r"(\d+) mistakes: 0 at full marks, (\d+) named right\. \d+ variants: 0 losing", said)
    assert total[1] == total[2]
    assert "attention.entropy" in said and "in_bits" in said


def test_the_solution_gets_the_new_points_and_the_notebook_is_released(followed) -> None:
    assert (
        "attention.entropy: 4 of 4 points, all cases pass"
        in followed["autograder check --brief solutions/attention.md"].stdout
    )
    assert "attention: released" in followed["autograder release attention"].stdout
