from __future__ import annotations

from pathlib import Path

import pytest
from classroom import SOURCES

from autograder.course import Course
from autograder.release import release


@pytest.fixture
def course(tmp_path: Path) -> Course:
    """A new course folder with the small assignment released into it."""
    made = Course.at(tmp_path / "course")
    release(made, SOURCES / "attention.md")
    return made
