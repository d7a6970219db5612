"""What a run begins before it has loaded everything: only if there is something to run, and all of it is ended."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from classroom import RIGHT, running
from recorded import hand_in

from autograder import cli
from autograder.course import Course, CourseError
from autograder.grading.run import isolated
from autograder.grading.run.grade import grade
from autograder.grading.run.journal import GRADED, read_state
from autograder.grading.run.lock import grading_lock
from autograder.grading.run.processes import JudgeProcess, Processes, choose, something_waits
from autograder.grading.run.worker import JudgeClient
from autograder.sandbox.host import SandboxError


@pytest.fixture
def begun(monkeypatch) -> list[str]:
    """The assignments whose processes are begun, without starting any."""
    names: list[str] = []
    monkeypatch.setattr(Processes, "begin", lambda self: names.append(self.assignment))
    return names


def test_something_waits_until_it_is_graded_and_again_when_it_changes(course: Course, tmp_path: Path) -> None:
    assert not something_waits(course, "attention")
    hand_in(course, tmp_path / "in", {"ada": RIGHT, "bela": {}})
    assert something_waits(course, "attention")
    assert cli.main(["grade", "attention", "--course", str(course.root), "--feedback"]) == 0
    assert not something_waits(course, "attention")
    # the pages are there, and the empty log of a run without trouble is not
    assert {page.parent.parent.name for page in course.root.glob("feedback/*/attention/attention.html")} == {
        "ada", "bela"
    }  # fmt: skip
    assert list(course.runs("attention").glob("*.log")) == []
    hand_in(course, tmp_path / "again", {"bela": RIGHT})
    assert something_waits(course, "attention") and something_waits(course, "attention", ["ada", "bela"])
    assert not something_waits(course, "attention", ["ada"]) and not something_waits(course, "attention", ["nobody"])


def test_nothing_is_begun_where_nothing_waits(course: Course, begun, capsys) -> None:
    assert cli.main(["grade", "attention", "--course", str(course.root)]) == 2
    assert begun == [] and "Nobody has handed in 'attention' yet" in capsys.readouterr().err


def test_it_is_begun_before_the_run_is_loaded(course: Course, begun, monkeypatch, tmp_path) -> None:
    hand_in(course, tmp_path / "in", {"ada": RIGHT})
    order = []
    monkeypatch.setattr(isolated, "run", lambda *a, **o: order.extend(begun) or iter(()))
    assert cli.main(["grade", "attention", "--course", str(course.root)]) == 0
    assert order == ["attention"]
    assert cli.main(["grade", "attention", "--course", str(course.root), "--isolation", "none"]) == 0
    assert begun == ["attention"]


def test_a_run_that_is_refused_leaves_no_process_and_no_log(course: Course, tmp_path) -> None:
    """The lock is another's: what was begun is ended again."""
    hand_in(course, tmp_path / "in", {"ada": RIGHT})
    with grading_lock(course, "attention"):
        assert cli.main(["grade", "attention", "--course", str(course.root)]) == 2
    assert not any(
        "autograder.grading.run.judging" in words or "sandbox.launch" in words for words in running().values()
    )
    assert list(course.runs("attention").glob("*.log")) == []


def test_what_is_begun_is_begun_once_and_ended(course: Course) -> None:
    with Processes(course, "attention", choose(None)) as processes:
        processes.begin()
        first = (processes.judge.process.pid, processes.sandbox.process.pid)
        processes.begin()  # once is enough
        assert (processes.judge.process.pid, processes.sandbox.process.pid) == first
    assert not any(psutil.pid_exists(pid) for pid in first)


def test_what_has_ended_is_written_even_if_the_sandbox_cannot_be_started_again(course, monkeypatch, tmp_path) -> None:
    hand_in(course, tmp_path / "in", {"ada": RIGHT, "bela": RIGHT})
    ended = []
    take = isolated.Team._take

    def watched(team, member):
        if outcome := take(team, member):
            ended.append(outcome.student)
        return outcome

    def revive(processes):
        if ended:
            raise SandboxError("the machine has no more processes")

    monkeypatch.setattr(isolated.Team, "_take", watched)
    monkeypatch.setattr(Processes, "revive", revive)
    # the log that has nothing to tell is gone, and not named
    with pytest.raises(CourseError, match=r"^The machine has no more processes\.$"):
        grade(course, "attention", workers=1)
    assert ended == ["ada"] and {who: entry.status for who, entry in read_state(course, "attention").items()} == {
        "ada": GRADED
    }  # fmt: skip


def test_a_judge_that_dies_is_replaced_by_one_with_the_same_seed(tmp_path) -> None:
    def requests() -> list[bytes]:
        return JudgeClient(judge.path).question("attention.softmax").requests

    with JudgeProcess("attention", tmp_path / "log") as judge:
        judge.tell("secret")
        before = requests()
        judge.process.kill()
        judge.process.wait()
        judge.start()
        assert requests() == before
    with JudgeProcess("attention", tmp_path / "log") as judge:
        judge.process.kill()
        judge.process.wait()
        judge.tell("secret")  # it died before it was told: nothing is raised
        judge.start()
        assert requests() == before
    assert (tmp_path / "log").read_text() == ""
