"""What must hold for any input whatever; each function takes it and fails if it does not hold."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_notebook

from autograder import checks, judge, wire
from autograder.compare import difference
from autograder.grading.intake.archives import Refused, unpack
from autograder.grading.rebuild.notebook import Unreadable
from autograder.grading.rebuild.prepare import prepare
from autograder.grading.rebuild.trusted import TrustedCell

SECONDS = 10.0
CHECK = 'check("room.f", f, g)'
TRUSTED = {
    "imports": TrustedCell("imports", "code", "import math", locked=True, grade=False, solution=False, points=0.0),
    "f": TrustedCell("f", "code", "def f(): ...\n\n\ndef g(): ...", False, False, True, 0.0),
    "f-check": TrustedCell("f-check", "code", CHECK, locked=True, grade=True, solution=False, points=5.0),
    "why": TrustedCell("why", "markdown", "*Here.*", locked=False, grade=True, solution=True, points=2.0),
}


class Hung(BaseException):
    """It took too long."""


@contextlib.contextmanager
def bounded(seconds: float = SECONDS) -> Iterator[None]:
    """Fail if what is inside computes for longer than this, be it in Python or in C."""

    def ring(*_: Any) -> None:
        raise Hung(f"no end after {seconds:g} seconds of computing")

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def peak(work: Any) -> int:
    """The bytes that Python had allocated at most during the call `work()`."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def decoded(message: bytes) -> tuple[bool, Any]:
    """Whether a message can be decoded, and its value; nothing but WireError may be raised."""
    with bounded():
        try:
            return True, wire.decode(message)
        except wire.WireError as error:
            assert str(error)
            return False, None


def message(message: bytes) -> None:
    """Decoding ends in a value that can be sent again, or in WireError."""
    right, value = decoded(message)
    if right:
        with bounded():
            again = wire.decode(wire.encode(value))
            assert describe(again) == describe(value)


def describe(value: Any) -> str:
    """All of a value as text, tensors with their bytes."""
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}({', '.join(map(describe, value))})"
    if isinstance(value, dict):
        return f"dict({', '.join(f'{describe(k)}: {describe(v)}' for k, v in value.items())})"
    if hasattr(value, "dtype"):
        return f"{value.dtype} {list(value.shape)} {value.requires_grad} {value.detach().tolist()}"
    return repr(value)


def comparison(got: Any, want: Any, strict: bool) -> None:
    """Comparing ends in None or in a sentence of sensible length."""
    with bounded():
        said = difference(got, want, rtol=1e-4, atol=1e-5, strict=strict)
    assert said is None or (isinstance(said, str) and 0 < len(said) < 5_000)


def replies(exercise: str, messages: list[bytes], honest: bool = False) -> judge.Verdict:
    """Judging ends in a verdict that can be written down, with no points for what no probe sent."""
    asked = checks.load(exercise)
    with bounded():
        verdict = judge.judge(asked, "0", messages)
    assert len(verdict.cases) == len(asked.cases) and 0 <= verdict.points <= verdict.max_points
    assert honest or verdict.points == 0
    assert json.dumps(verdict.as_dict(), ensure_ascii=False).encode()
    for case in verdict.cases:
        assert case.status in {"pass", "wrong", "unmet", "exception", "timeout", "unwritten", "forged"}
        assert (case.status == "pass") == (case.message == "")
    return verdict


def notebook(content: bytes) -> None:
    """Preparing ends in a valid notebook with every test once and as it was released, or in Unreadable."""
    base = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        folder = base / "ada" / "room"
        folder.mkdir(parents=True)
        (folder / "room.ipynb").write_bytes(content)
        with bounded():
            try:
                prepared = prepare(folder, "room", TRUSTED)
            except Unreadable as error:
                assert str(error).encode()
                return
        nbformat.validate(new_notebook(cells=prepared.cells))
        assert nbformat.writes(new_notebook(cells=prepared.cells)).encode()
        names = [cell.metadata["nbgrader"]["grade_id"] for cell in prepared.cells if cell.metadata]
        assert len(names) == len(set(names)) and {"imports", "f-check", "why"} <= set(names) <= set(TRUSTED)
        assert "f" not in names or names.index("f") < names.index("f-check")
        for cell in prepared.cells:
            known = TRUSTED[cell.metadata["nbgrader"]["grade_id"]] if cell.metadata else None
            assert cell.metadata == (known.metadata() if known else {})
            assert not known or cell.cell_type == known.cell_type
            assert not known or not known.locked or cell.source == known.source
            assert cell.cell_type != "code" or cell.outputs == []
        assert all(isinstance(note, str) and note.encode() for note in prepared.notes)
    finally:
        shutil.rmtree(base)


def archive(content: bytes) -> None:
    """Unpacking ends in numbered files within the limits, or in Refused; nothing is made anywhere else."""
    base = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        (base / "in").write_bytes(content)
        with bounded():
            try:
                found = unpack(base / "in", "in", base / "out" / "1", total=5_000_000)
            except Refused as error:
                assert str(error).encode()
                found = []
        assert {p.name for p in base.iterdir()} <= {"in", "out"}
        made = [p for p in (base / "out").rglob("*") if p.name != "1" or p.is_file()]
        assert all(p.parent == base / "out" / "1" and p.name.isdigit() and not p.is_symlink() for p in made)
        assert sum(p.stat().st_size for p in made) <= 6_000_000
        for file in found:
            assert file.parts and all(part and part not in (".", "..") for part in file.parts)
            assert file.source.isprintable() and (file.problem or file.path.is_file())
            assert not any("/" in part or "\0" in part for part in file.parts)
    finally:
        shutil.rmtree(base)
