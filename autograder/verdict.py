"""What a check concludes: points and a reason for each case, and the known mistake if it is one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

# the type of the output that holds a verdict's record
MIME = "application/vnd.autograder.result+json"


@dataclass(frozen=True)
class CaseResult:
    """The verdict on one case.

    ``status`` is pass, wrong, unmet, exception, timeout, unwritten or forged; where student code runs apart from the
    judge it may be memory, crash, output or missing too.
    """

    title: str
    points: float
    max_points: float
    status: str
    message: str
    cause: str = ""


@dataclass(frozen=True)
class Verdict:
    """The verdict on one exercise; ``mistake`` names the known mistake whose answers these are, or is None."""

    exercise: str
    points: float
    max_points: float
    cases: tuple[CaseResult, ...]
    mistake: str | None = None
    advice: str = ""
    printed: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The verdict as plain JSON values."""
        return asdict(self)

    @classmethod
    def of(cls, record: dict[str, Any]) -> Verdict:
        """The verdict of which `as_dict` made this record; raises TypeError or KeyError if it is none."""
        return cls(**(record | {"cases": tuple(CaseResult(**case) for case in record["cases"])}))
