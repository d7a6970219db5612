"""The judge's process: it alone draws inputs, knows answers and concludes; it has no network and no gradebook.

`processes.JudgeProcess` starts it with an open listening socket, and tells it the seed on standard input. What
students' processes sent comes in as bytes and is decoded only here.
"""

from __future__ import annotations

import importlib.util
import os
import select
import socket
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from autograder import checks, judge
from autograder.exercise import Exercise
from autograder.grading.sanitise.checks import result_output
from autograder.probe import one_thread
from autograder.sandbox import linux
from autograder.sandbox.channel import Channel, ChannelError
from autograder.verdict import CaseResult, Verdict

MAX_REPLIES = 512 << 20
# models that a question hands to students, and the module each is defined in
GIVEN_MODULES = {"gpt": "autograder.given_gpt"}


class Judge:
    """The checks of one run: requests, verdicts, and the known mistakes' answers, each computed once."""

    def __init__(self, seed: str) -> None:
        self.seed = seed

    def prepare(self, assignment: str) -> None:
        """Draw what the checks of an assignment will ask, while the rest of the run is still starting."""
        for exercise in checks.names(assignment):
            self.reply({"do": "requests", "exercise": exercise}, [])

    def reply(self, asked: dict[str, Any], blobs: list[bytes]) -> tuple[dict[str, Any], list[bytes]]:
        """What one message of a worker is answered; where a check fails itself, that it does."""
        try:
            return self.answer(asked, blobs)
        except Exception as error:  # a check is the course's own code, and must cost nobody a point
            traceback.print_exc()
            return {"failed": f"{type(error).__name__}: {error}"[:300]}, []

    def answer(self, asked: dict[str, Any], blobs: list[bytes]) -> tuple[dict[str, Any], list[bytes]]:
        """The requests of an exercise, or the verdict on replies to them."""
        exercise = checks.load(asked["exercise"])
        if asked["do"] == "requests":
            requests = judge.requests(exercise, self.seed)
            return {"objects": exercise.objects, "sources": given_sources(exercise, self.seed)}, requests
        verdict = conclude(exercise, self.seed, blobs, asked["lost"])
        return {"output": result_output(verdict, asked["heading"])}, []


def given_sources(exercise: Exercise, seed: str) -> dict[str, str]:
    """The text of the modules that a probe of this exercise needs and that are not where students' code runs."""
    needed = set(exercise.lends)
    for case in exercise.cases:
        steps = case.plan(exercise.name, seed).steps
        needed |= {GIVEN_MODULES[s["name"]] for s in steps if s["do"] == "given" and s["name"] in GIVEN_MODULES}
    return {name: Path(importlib.util.find_spec(name).origin).read_text() for name in sorted(needed)}


def conclude(exercise: Exercise, seed: str, replies: list[bytes], lost: dict[str, str] | None) -> Verdict:
    """The verdict on the replies that came; the cases without one are `lost`, which has a status and a message."""
    if lost is None and len(replies) == len(exercise.cases):
        return judge.judge(exercise, seed, replies)
    lost = lost or {"status": "forged", "message": "the number of replies is not that of the cases"}
    cases = [CaseResult(c.title, 0.0, c.points, lost["status"], lost["message"]) for c in exercise.cases]
    whole = Verdict(exercise.name, 0.0, exercise.points, tuple(cases))
    if replies:
        known = judge.judge(exercise, seed, [*replies, *[b""] * (len(cases) - len(replies))])
        cases[: len(replies)] = known.cases[: len(replies)]
        whole = replace(whole, cases=tuple(cases), points=round(sum(c.points for c in cases), 6), printed=known.printed)
    return whole


def serve(listener: socket.socket, the_judge: Judge) -> None:
    """Answer workers until the run's other processes have gone."""
    open_channels: dict[socket.socket, Channel] = {}
    while True:
        for sock in select.select([listener, *open_channels], [], [])[0]:
            if sock is listener:
                connection, _ = listener.accept()
                open_channels[connection] = Channel(connection, MAX_REPLIES)
                continue
            try:
                open_channels[sock].send(*the_judge.reply(*open_channels[sock].receive()))
            except ChannelError:
                open_channels.pop(sock).close()


def lock_in() -> None:
    """Leave the network, where the system lets us: what is decoded here came from students."""
    linux.prctl(linux.PR_SET_PDEATHSIG, 9)
    try:
        linux.unshare(linux.NEWNET | (0 if os.getuid() == 0 else linux.NEWUSER))
    except OSError as error:
        print(f"the judge keeps its network: {error}", file=sys.stderr)


def main() -> None:
    """Lock in, take the seed, and judge; the arguments are a listening socket's descriptor and the assignment."""
    if sys.platform == "linux":
        lock_in()
    with one_thread():
        the_judge = Judge(sys.stdin.readline().strip())
        the_judge.prepare(sys.argv[2])
        serve(socket.socket(fileno=int(sys.argv[1])), the_judge)
