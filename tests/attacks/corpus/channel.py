"""Student code that takes over the line to the grader and says on it what it likes."""

from __future__ import annotations

import textwrap

from tests.attacks.attack import TARGET, Attack, poisons
from tests.attacks.making import WRONG, Make, cell

SPOILT = poisons("reply", "form", "ended", "timeout", "output limit", "defined", "missing", "message", "expected")
FORGED_OUTPUTS = """
[
    {"output_type": "execute_result", "data": {"text/html": "<script>pwned()</script>", "text/plain": 5,
     "application/vnd.autograder.result+json": {"points": 5.0, "cases": []}}, "metadata": {"a": 1}},
    {"output_type": "telepathy"}, 5, None, {"output_type": "stream", "name": [], "text": {}},
    {"output_type": "error", "ename": 1, "evalue": None, "traceback": "<script>pwned()</script>"},
]
"""


def says(source: str) -> Make:
    """Every answer to the grader goes through this source, with `real` as the honest way; the answer is wrong."""
    body = textwrap.indent(textwrap.dedent(source).strip("\n"), "        ")
    return cell(
        "import gc, json, os, struct, time\n"
        "lines = [o for o in gc.get_objects() if type(o).__name__ == 'Channel' and hasattr(o, 'sock')]\n"
        "if lines:\n"
        "    real = type(lines[0]).send\n"
        "    def send(self, head, blobs=(), seconds=None):\n"
        f"{body}\n"
        f"    type(lines[0]).send = send\n\n\n{WRONG[TARGET]}"
    )


def raw(expression: str) -> Make:
    """Every answer is these bytes."""
    return says(f"self.sock.sendall({expression})")


ATTACKS = [
    Attack("line-garbage", "random bytes on the line", raw("os.urandom(4096)"), SPOILT),
    Attack(
        "line-half-message",
        "a message is begun and never ended",
        says("self.sock.sendall(struct.pack('<4sII', b'AGC1', 100, 0))\ntime.sleep(3600)"),
        SPOILT,
    ),
    Attack("line-silent", "nothing is said any more", says("time.sleep(3600)"), SPOILT),
    Attack(
        "line-claims-4gb", "a message that claims 4 GB", raw("struct.pack('<4sII', b'AGC1', 0xffffffff, 0)"), SPOILT
    ),
    Attack(
        "line-many-parts", "four billion parts", raw("struct.pack('<4sII', b'AGC1', 2, 0xffffffff) + b'{}'"), SPOILT
    ),
    Attack("line-list", "a message whose head is a list", says("real(self, [1, 2])"), SPOILT),
    Attack(
        "line-deep-head",
        "a message whose head is nested without end",
        raw("struct.pack('<4sII', b'AGC1', 200_000, 0) + b'[' * 100_000 + b']' * 100_000"),
        SPOILT,
    ),
    Attack("line-empty-head", "a message that says nothing", says("real(self, {})"), SPOILT),
    Attack("outputs-of-numbers", "outputs that are a number", says("real(self, {'outputs': 7, 'late': 0})"), SPOILT),
    Attack(
        "outputs-forged",
        "outputs of types that do not exist, with a forged result",
        says(f"real(self, {{'outputs': {' '.join(FORGED_OUTPUTS.split())}, 'late': 'maybe'}})"),
        SPOILT,
    ),
    Attack(
        "outputs-flood",
        "a hundred thousand outputs",
        says(
            "one = {'output_type': 'stream', 'name': 'stdout', 'text': 'x'}\nreal(self, {'outputs': [one] * 100_000})"
        ),
        SPOILT,
    ),
    Attack(
        "replies-ahead",
        "every answer is given fifty times, to be taken for later ones",
        says("for _ in range(50):\n    real(self, head, blobs, seconds)"),
        SPOILT,
    ),
    Attack(
        "says-missing",
        "every question's answer is said not to be there, in markup",
        says("real(self, {'missing': '<script>pwned()</script>'})"),
        SPOILT,
    ),
    Attack(
        "hangs-up", "the line is closed, and the process lives on", says("self.sock.close()\ntime.sleep(3600)"), SPOILT
    ),
]
