"""Run submissions in a sandbox, several at a time; one that is slow, or that kills what runs it, costs only itself."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from autograder.grading.run import worker
from autograder.grading.run.processes import Processes
from autograder.grading.run.worker import Job, Outcome
from autograder.sandbox.host import SandboxError

TRIES = 3
# how much longer than a submission may take a worker is waited for before it is taken for dead
OVERTIME = 120.0
SLOW_AT_ONCE = 4


class Member:
    """A worker's process, replaced when it dies or hangs."""

    def __init__(self, context: Any, job: Job, log: Path) -> None:
        self.context, self.job, self.log = context, job, log
        self.student, self.since, self.state, self.slow = "", 0.0, "", False
        self._start()

    def _start(self) -> None:
        self.pipe, theirs = self.context.Pipe()
        self.process = self.context.Process(target=worker.work, args=(theirs, self.job, str(self.log)), daemon=True)
        self.process.start()
        theirs.close()

    def give(self, student: str, only: str | None) -> None:
        """Have it grade a submission, or one exercise of it."""
        self.student, self.since, self.state, self.slow = student, time.monotonic(), "", False
        with contextlib.suppress(OSError):  # if it has died, the next look at its pipe says so
            self.pipe.send_bytes(json.dumps({"student": student, "only": only}).encode())

    def replace(self, problem: str) -> Outcome:
        """Kill it, start another, and give up on what it was at."""
        outcome = Outcome(self.student, time.monotonic() - self.since, problem=problem, fault=True)
        self.stop()
        self._start()
        self.student = ""
        return outcome

    def stop(self) -> None:
        """Kill it; its box dies with it."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


class Team:
    """The workers of a run: as many as are asked for, and some more for submissions that turn out slow."""

    def __init__(self, job: Job, count: int, log: Path, revive: Callable[[], None]) -> None:
        self.context = multiprocessing.get_context("forkserver")
        self.job, self.count, self.log, self.revive = job, count, log, revive
        self.members = [Member(self.context, job, log) for _ in range(count)]

    def run(self, students: dict[str, str | None], look: Callable[[list[Member], int], None]) -> Iterator[Outcome]:
        """Grade the submissions, or of each the exercise that is named, yielding each as it ends.

        `look` is shown the workers and how many submissions wait.
        """
        waiting, tries = deque(students), dict.fromkeys(students, 0)
        limit = self.job.limits.submission_seconds + OVERTIME
        ended: list[Outcome] = []
        while waiting or any(member.student for member in self.members):
            try:
                self.revive()  # submissions that meet a dead sandbox would wait, and be blamed for it
            except SandboxError:
                yield from ended
                raise
            self._hand_out(waiting, students)
            yield from ended  # nobody waits while what has ended is written down
            ended = []
            look(self.members, len(waiting))
            busy = {member.pipe: member for member in self.members if member.student}
            ready: list[Connection] = wait(list(busy), timeout=0.5)
            for pipe, member in busy.items():
                outcome = None
                if pipe in ready:
                    outcome = self._take(member)
                elif time.monotonic() - member.since > limit:
                    outcome = member.replace("the process that graded it hung; grade again")
                if outcome is None:
                    continue
                if outcome.fault and not outcome.lasting and tries[outcome.student] + 1 < TRIES:
                    # the machine's fault and not the work's: see that all runs that should, and try again
                    tries[outcome.student] += 1
                    time.sleep(0.2 * tries[outcome.student])
                    waiting.append(outcome.student)
                    continue
                ended.append(outcome)
        yield from ended

    def _hand_out(self, waiting: deque[str], students: dict[str, str | None]) -> None:
        slow = sum(member.slow and bool(member.student) for member in self.members)
        want = min(self.count + slow, self.count + SLOW_AT_ONCE * self.count)
        free = [member for member in self.members if not member.student]
        while waiting and len(self.members) - len(free) < want:
            if not free:
                self.members.append(Member(self.context, self.job, self.log))
                free = [self.members[-1]]
            student = waiting.popleft()
            free.pop().give(student, students[student])

    def _take(self, member: Member) -> Outcome | None:
        try:
            message = json.loads(member.pipe.recv_bytes())
        except (EOFError, OSError):
            return member.replace("the process that graded it died; grade again")
        if "done" in message:
            member.student = ""
            return Outcome(**message["done"])
        if "slow" in message:
            member.slow = True
        else:
            member.state = message["state"]
        return None

    def stop(self) -> None:
        """Kill all of them."""
        for member in self.members:
            member.stop()


def run(
    job: Job, students: dict[str, str | None], processes: Processes, *, seed: str, workers: int,
    look: Callable[[list[Member], int], None],
) -> Iterator[Outcome]:  # fmt: skip
    """Grade the students' submissions of a job by a run's processes, yielding each as it ends.

    Of a student who comes with the name of an exercise only that one is graded anew. Stopping the iteration early
    stops everything. Raises SandboxError if the sandbox cannot be started.
    """
    with processes:
        processes.begin()
        processes.judge.tell(seed)
        job = replace(job, address=processes.sandbox.address, judge=processes.judge.path)
        team = Team(job, min(workers, len(students)), processes.log, processes.revive)
        try:
            processes.sandbox.wait()
            yield from team.run(students, look)
        finally:
            team.stop()
