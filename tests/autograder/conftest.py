from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from classroom import SOURCES

from autograder.course import Course
from autograder.release import release


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Course:
    """A course folder with the small assignment released into it; not to be changed."""
    made = Course.at(tmp_path_factory.mktemp("released") / "course")
    release(made, SOURCES / "attention.md")
    return made


@pytest.fixture
def course(released: Course, tmp_path: Path) -> Course:
    """A course folder of one's own with the small assignment released into it."""
    shutil.copytree(released.root, tmp_path / "course")
    return Course.at(tmp_path / "course")
