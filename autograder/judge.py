"""The trusted half of a check: it draws inputs, knows the answers, and turns replies into points and reasons."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from autograder import probe, wire
from autograder.compare import describe, difference
from autograder.exercise import Answer, Exercise
from autograder.program import ATOL, RTOL, Plan
from autograder.verdict import CaseResult, Verdict
from autograder.wire import Ref

Reply = dict[str, Any]
MAX_REPLIES = 256 << 20  # bytes of all replies to one check together
MAX_TEXT = 2_000
KINDS = {"unwritten", "timeout", "unmet", "exception"}
FORGED = "the reply of this case was not of the form that a check sends back"
# what a message calls the things that a check hands over
NAMED = {"function": "f", "given": "model", "iterator": "iterator", "generator": "generator"}


def requests(exercise: Exercise, seed: Any) -> list[bytes]:
    """The messages to carry to the probe, one a case: steps, seed and time limit."""
    return list(_requests(exercise, seed))


@lru_cache(maxsize=256)
def _requests(exercise: Exercise, seed: Any) -> tuple[bytes, ...]:
    return tuple(
        wire.encode({"steps": plan.steps, "seed": plan.seed, "seconds": exercise.seconds})
        for plan in _plans(exercise, seed)
    )


def answer(request: bytes, objects: tuple[Any, ...]) -> bytes:
    """What the probe sends back for one request; the only function here that touches student code."""
    asked = wire.decode(request)
    return wire.encode(probe.run(asked["steps"], objects, seed=asked["seed"], seconds=asked["seconds"]))


def judge(exercise: Exercise, seed: Any, replies: list[bytes]) -> Verdict:
    """The verdict on the replies to `requests` of the same exercise and seed.

    A reply that is missing, or not of the form that a probe sends, makes its case "forged"; nothing is raised for it.
    """
    plans = _plans(exercise, seed)
    decoded = read_replies(replies, plans)
    results = tuple(
        CaseResult(case.title, 0.0, case.points, "forged", FORGED)
        if reply is None
        else _judge_case(case, plan, reply, exercise)
        for case, plan, reply in zip(exercise.cases, plans, decoded, strict=True)
    )
    points = round(sum(result.points for result in results), 6)
    whole = [reply for reply in decoded if reply is not None]
    failed = len(whole) == len(results) and any(result.status != "pass" for result in results)
    known = diagnose(exercise, seed, whole) if failed else None
    return Verdict(
        exercise=exercise.name,
        points=points,
        max_points=exercise.points,
        cases=results,
        mistake=known.name if known else None,
        advice=known.says if known else "",
        printed=next((reply["printed"] for reply in whole if reply["printed"]), ""),
    )


def read_replies(replies: list[bytes], plans: tuple[Plan, ...]) -> list[Reply | None]:
    """The reply to each plan; None where it is missing, out of form, or beyond what all of them may hold."""
    read: list[Reply | None] = []
    left = MAX_REPLIES
    for index, plan in enumerate(plans):
        reply = replies[index] if index < len(replies) else b""
        left -= len(reply)
        try:
            read.append(_read_reply(wire.decode(reply), plan) if left >= 0 else None)
        except wire.WireError:
            read.append(None)
    return read


def _read_reply(reply: Any, plan: Plan) -> Reply | None:
    """The reply with its texts made printable, or None if a probe that carried out this plan cannot have sent it."""
    match reply:
        case {"values": dict() as values, "error": error, "printed": str() as printed} if len(reply) == 3:
            pass
        case _:
            return None
    end = len(plan.steps)
    if error is not None:
        match error:
            case {"step": int() as step, "kind": str() as kind, **texts} if not isinstance(step, bool):
                texts_are_right = texts.keys() == {"type", "message", "line"}
                texts_are_right &= all(isinstance(text, str) for text in texts.values())
            case _:
                return None
        if not (texts_are_right and kind in KINDS and 0 <= step < end):
            return None
        end = step
        error = {"step": step, "kind": kind, **{key: _text(text) for key, text in texts.items()}}
    read = {step["as"] for step in plan.steps[:end] if step["do"] == "read"}
    # nothing that was not asked for; and without an error all of it: what is left out cannot be found wrong
    if not values.keys() <= read or (error is None and values.keys() != read):
        return None
    return {"values": values, "error": error, "printed": _text(printed)}


def _text(text: str) -> str:
    """A student's text with what cannot be shown or stored replaced, and no longer than a probe sends."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text[:MAX_TEXT])


def diagnose(exercise: Exercise, seed: Any, replies: list[Reply]) -> Answer | None:
    """The known mistake that answers every case as these replies do, if there is one."""
    for index, mistake in enumerate(exercise.mistakes):
        known = _mistaken(exercise, index, seed)
        if all(_same(reply, known.reply(case)) for case, reply in enumerate(replies)):
            return mistake
    return None


@lru_cache(maxsize=256)
def _plans(exercise: Exercise, seed: Any) -> tuple[Plan, ...]:
    return tuple(case.plan(exercise.name, seed) for case in exercise.cases)


class Mistaken:
    """How a known mistake answers the cases: in order, for what it remembers of one may show in the next.

    An answer is computed when it is first asked for: most mistakes are told from a student's by one of the first.
    """

    def __init__(self, exercise: Exercise, index: int, seed: Any) -> None:
        self.objects = exercise.mistakes[index].objects(exercise.objects)
        self.requests = _requests(exercise, seed)
        self.replies: list[Reply] = []

    def reply(self, case: int) -> Reply:
        """The reply to the ``case``-th request."""
        while len(self.replies) <= case:
            self.replies.append(wire.decode(answer(self.requests[len(self.replies)], self.objects)))
        return self.replies[case]


@lru_cache(maxsize=4096)
def _mistaken(exercise: Exercise, index: int, seed: Any) -> Mistaken:
    """One a run, shared by all submissions."""
    return Mistaken(exercise, index, seed)


def _judge_case(case: Any, plan: Plan, reply: Reply, exercise: Exercise) -> CaseResult:
    def lost(status: str, message: str, cause: str = case.cause) -> CaseResult:
        return CaseResult(case.title, 0.0, case.points, status, message, cause)

    for expected in plan.expectations:
        if expected.name not in reply["values"]:
            break
        problem = difference(
            reply["values"][expected.name], expected.want,
            rtol=expected.rtol, atol=expected.atol, strict=expected.strict,
        )  # fmt: skip
        if problem:
            return lost("wrong", f"{expected.what}: {problem}")
    error = reply["error"]
    if error is None:
        return CaseResult(case.title, case.points, case.points, "pass", "")
    doing = _doing(plan.steps[error["step"]], plan, exercise)
    match error["kind"]:
        case "unwritten":
            return lost("unwritten", "not written yet: it raises NotImplementedError", "")
        case "timeout":
            return lost("timeout", f"{doing}: {error['message']}", "a loop that never ends?")
        case "unmet":
            return lost("unmet", f"{doing}: {error['message']}", "")
    line = f" ({error['line']})" if error["line"] else ""
    return lost("exception", f"{doing} raised {error['type']}: {error['message']}{line}")


def _doing(step: dict[str, Any], plan: Plan, exercise: Exercise) -> str:
    match step["do"]:
        case "call":
            if step["on"].name == "student":
                name = exercise.objects[step["on"].path[0]]
            else:
                name = _origin(step["on"], plan, exercise)
            if step["method"]:
                name = f"{name}.{step['method']}"
            arguments = [_argument(a, plan) for a in step["args"]]
            arguments += [f"{key}={_argument(value, plan)}" for key, value in step["kwargs"].items()]
            return f"{name}({', '.join(arguments)})"
        case "load":
            return f"setting the weights of {_origin(step['on'], plan, exercise)}"
        case "moved":
            return "calling it with everything on another device"
        case "backward":
            return "back-propagating through the output"
    return "reading the result"


def _origin(ref: Ref, plan: Plan, exercise: Exercise) -> str:
    made = next((s for s in plan.steps if s["as"] == ref.name), None)
    if made and made["do"] == "call" and made["on"].name == "student":
        return exercise.objects[made["on"].path[0]]
    return "the object"


def _argument(value: Any, plan: Plan) -> str:
    if isinstance(value, Ref):
        made = next((s for s in plan.steps if s["as"] == value.name), {"do": ""})
        if made["do"] == "put":
            value = made["value"]
        else:
            return NAMED.get(made["do"], "…")
    return describe(value).removeprefix("a ")


def _same(reply: Reply, other: Reply) -> bool:
    """Whether two replies are the same answer: the same values up to rounding, and the same kind of error."""
    if (reply["error"] is None) != (other["error"] is None) or reply["values"].keys() != other["values"].keys():
        return False
    if reply["error"]:
        # what is lacking is told in the probe's own words, an exception's message in the student's
        telling = ("step", "kind", "type", *(["message"] if reply["error"]["kind"] == "unmet" else []))
        if any(reply["error"][key] != other["error"][key] for key in telling):
            return False
    return all(
        difference(reply["values"][name], value, rtol=RTOL, atol=ATOL) is None
        for name, value in other["values"].items()
    )
