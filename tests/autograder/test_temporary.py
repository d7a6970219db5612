"""Folders of a run: what ended processes left is removed, what belongs to a living one stays."""

from __future__ import annotations

import os
import tempfile

from autograder.sandbox import temporary


def test_what_a_process_left_is_removed_once_it_has_ended_even_if_nobody_waits_for_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    child = os.fork()
    if child == 0:
        os._exit(0)
    try:
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # it has ended, and is not waited for
        left, mine = tmp_path / f"grader-{child}-x", tmp_path / f"grader-{os.getpid()}-x"
        for folder in (left, mine, tmp_path / f"judge-{child}-x"):
            folder.mkdir()
        made = temporary.folder("grader")
        assert made.is_dir() and mine.is_dir() and not left.exists() and (tmp_path / f"judge-{child}-x").is_dir()
    finally:
        os.waitpid(child, 0)
    temporary.folder("judge")
    assert not (tmp_path / f"judge-{child}-x").exists()
