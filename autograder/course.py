"""Where a course lives on disk, and how nbgrader is told about it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
SOLUTIONS = REPOSITORY / "solutions"
BOOK_ASSIGNMENTS = REPOSITORY / "book" / "assignments"


class CourseError(Exception):
    """Trouble that a person can mend; its message is a sentence that says how."""


@dataclass(frozen=True)
class Course:
    """A course folder and its gradebook; `db` overrides the gradebook named in the folder's configuration."""

    root: Path
    db: str | None = None
    extra: dict[str, dict[str, object]] = field(default_factory=dict)

    @classmethod
    def at(cls, root: str | Path | None = None, db: str | None = None) -> Course:
        """The course in `root`, else in $COURSE_DIR, else in ./course."""
        return cls(Path(root or os.environ.get("COURSE_DIR") or "course").expanduser().resolve(), db or None)

    def source(self, assignment: str) -> Path:
        return self.root / "source" / assignment

    def release(self, assignment: str) -> Path:
        return self.root / "release" / assignment

    def submitted(self, student: str, assignment: str) -> Path:
        return self.root / "submitted" / student / assignment

    def handed_in(self, assignment: str) -> set[str]:
        """The students of whom there is something in submitted/."""
        return {path.parent.name for path in self.root.glob(f"submitted/*/{assignment}")}

    def autograded(self, student: str, assignment: str) -> Path:
        return self.root / "autograded" / student / assignment

    def feedback(self, student: str, assignment: str) -> Path:
        return self.root / "feedback" / student / assignment

    def aside(self, assignment: str) -> Path:
        """Where `collect` keeps what was handed in but cannot be read as a notebook."""
        return self.root / "aside" / assignment

    def runs(self, assignment: str) -> Path:
        """Where the seed and the outcome of every grading run are kept."""
        return self.root / "runs" / assignment

    @property
    def config_file(self) -> Path:
        return self.root / "nbgrader_config.py"

    def require(self, assignment: str) -> None:
        """Raise CourseError unless the assignment has been released into this folder."""
        if not (self.release(assignment) / f"{assignment}.ipynb").is_file():
            known = sorted(p.name for p in (self.root / "release").glob("*") if p.is_dir())
            here = f"It has: {', '.join(known)}." if known else "It has none yet."
            raise CourseError(
                f"There is no assignment '{assignment}' in {self.root}. {here} "
                f"Make it with `autograder release {assignment}`, or name another folder with --course."
            )

    def config(self):
        """nbgrader's configuration: the course folder's own file, then what was asked for on this run."""
        from traitlets.config.loader import Config, PyFileConfigLoader

        config = Config()
        if self.config_file.is_file():
            try:
                config = PyFileConfigLoader(self.config_file.name, path=str(self.root)).load_config()
            except Exception as error:
                raise CourseError(
                    f"{self.config_file} cannot be read ({type(error).__name__}: {error}). "
                    "Mend it, or delete it and run `autograder release` to have it written anew."
                ) from error
        config.CourseDirectory.root = str(self.root)
        if self.db:
            config.CourseDirectory.db_url = self.db
        for section, options in self.extra.items():
            config[section].update(options)
        return config

    def coursedir(self, **options: str):
        """nbgrader's own `CourseDirectory` for this course."""
        from nbgrader.coursedir import CourseDirectory

        return CourseDirectory(config=self.config(), **options)

    @contextmanager
    def gradebook(self) -> Iterator:
        """nbgrader's `Gradebook`, created if it is missing; CourseError if it cannot be opened."""
        from nbgrader.api import Gradebook
        from sqlalchemy import exc

        put_environment_on_path()
        directory = self.coursedir()
        try:
            book = Gradebook(directory.db_url, directory.course_id)
        except (exc.ArgumentError, exc.NoSuchModuleError) as error:
            raise CourseError(
                f"'{hide_password(directory.db_url)}' is not a database address. Write it like "
                "sqlite:////path/to/gradebook.db or postgresql://user:password@host/name."
            ) from error
        except ImportError as error:
            raise CourseError(
                f"The driver for {hide_password(directory.db_url)} is not installed ({error}). "
                f"For PostgreSQL: {sys.executable} -m pip install 'psycopg[binary]'"
            ) from error
        except exc.DBAPIError as error:
            raise CourseError(
                f"The gradebook {hide_password(directory.db_url)} cannot be opened: {error.orig}. "
                "Check that the address is right, that the server runs and that you may write there."
            ) from error
        with book:
            yield book


def hide_password(url: str) -> str:
    """The database address with its password replaced, for messages and logs."""
    head, at, tail = url.rpartition("@")
    scheme, separator, user = head.partition("://")
    return f"{scheme}{separator}{user.split(':')[0]}:***{at}{tail}" if at and ":" in user else url


def put_environment_on_path() -> None:
    """Put this Python's programs first on PATH: nbgrader runs `alembic`, and Jupyter its kernels, by name."""
    programs = str(Path(sys.executable).parent)
    places = os.environ.get("PATH", "").split(os.pathsep)
    if places[0] != programs:
        os.environ["PATH"] = os.pathsep.join([programs, *(p for p in places if p != programs)])
