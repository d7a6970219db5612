"""How much one submission may use, and how a course says so."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Limits:
    """What student code may use before it is stopped.

    Times count computing, and a sleeping process three times as long; `submission_seconds` is the clock's. Memory
    is what a submission's processes may allocate together beyond what they start with; `disk_mb` what they may
    write; `output_kb` the text that one cell may print before the rest is dropped.
    """

    cell_seconds: float = 60.0
    question_seconds: float = 60.0
    submission_seconds: float = 600.0
    memory_mb: int = 2048
    processes: int = 64
    disk_mb: int = 256
    files: int = 10_000
    output_kb: int = 200

    @classmethod
    def of(cls, options: dict[str, Any]) -> Limits:
        """The limits with some of them changed; raises ValueError for an unknown name or a value that is none."""
        known = {field.name: type(field.default) for field in fields(cls)}
        for name, value in options.items():
            if name not in known:
                raise ValueError(f"no limit is called {name!r}; there are: {', '.join(known)}")
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not 0 < value < 1e9 or not known[name](value):
                raise ValueError(f"the limit {name} must be a number above 0, not {value!r}")
        return cls(**{name: known[name](value) for name, value in options.items()})

    def as_dict(self) -> dict[str, float]:
        """The limits as plain values."""
        return asdict(self)
