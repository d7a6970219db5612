"""The half of a check that runs beside student code: it carries out steps and returns plain values.

It holds no expected value, no reference and no score. Steps come from `autograder.program`.
"""

from __future__ import annotations

import contextlib
import copy
import io
import random
import re
import signal
import threading
import traceback
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor, nn

from autograder import functions, given, wire
from autograder.given import HERE
from autograder.wire import DTYPES, Other, Ref

MAX_TEXT = 2_000
MAX_ITEMS = 10_000
PATIENCE = 6
LATE_CASES = 2
OWN_FOLDER = str(Path(__file__).parent)


class TimeLimit(BaseException):
    """Student code ran longer than allowed; not an Exception, so that ``except Exception`` cannot swallow it."""


class Unmet(Exception):
    """A student's object lacks something that the statement asks for."""


def run(steps: list[dict[str, Any]], objects: tuple[Any, ...], *, seed: int, seconds: float) -> dict[str, Any]:
    """Carry out ``steps`` on the student's ``objects``.

    Returns ``{"values": {name: value}, "error": None or {...}, "printed": text}``. Student code that raises, exits
    or takes longer than ``seconds`` for a step ends the steps; what was read before stays. Only an interrupt by the
    person at the keyboard passes through. Random numbers go on from where it ends: see `own_random_state`.
    """
    names: dict[str, Any] = {"student": objects}
    values: dict[str, Any] = {}
    error = None
    printed = _Capped()
    with fresh_state(seed), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        names["random"] = torch.get_rng_state()
        done = 0
        try:
            with time_limit(seconds) as alarm:
                for step in steps:
                    if step["do"] != "put":  # laying down an input runs nobody's code
                        alarm.restart()
                    result = _carry_out(step, names)
                    if step["do"] == "read":
                        values[step["as"]] = plain(result)
                    names[step["as"]] = result
                    done += 1
        except KeyboardInterrupt:
            raise
        except BaseException as exception:
            error = {"step": done, **_describe(exception, seconds)}
    return {"values": values, "error": error, "printed": printed.getvalue()}


def answers(requests: Iterable[bytes], objects: tuple[Any, ...]) -> Iterator[bytes]:
    """The reply to each request, as bytes; after ``LATE_CASES`` that took too long the rest are not tried."""
    late = 0
    with own_random_state():
        for request in requests:
            asked = wire.decode(request)
            if late < LATE_CASES:
                reply = run(asked["steps"], objects, seed=asked["seed"], seconds=asked["seconds"])
            else:
                reply = {"values": {}, "error": _not_tried(asked["steps"]), "printed": ""}
            late += bool(reply["error"] and reply["error"]["kind"] == "timeout")
            yield wire.encode(reply)


def _not_tried(steps: list[dict[str, Any]]) -> dict[str, Any]:
    first = next((index for index, step in enumerate(steps) if step["do"] == "call"), 0)
    message = f"not tried, since {LATE_CASES} cases before it took too long"
    return {"step": first, "kind": "timeout", "type": "TimeLimit", "message": message, "line": ""}


def _carry_out(step: dict[str, Any], names: dict[str, Any]) -> Any:
    match step["do"]:
        case "put":
            value = step["value"]
            return value.clone().requires_grad_(step["grad"]) if isinstance(value, Tensor) else value
        case "function":
            return functions.build(_resolve(step["ops"], names))
        case "given":
            return given.build(step["name"], **_resolve(step["choices"], names))
        case "iterator":
            return iter(_resolve(step["values"], names))
        case "generator":
            return torch.Generator().manual_seed(step["seed"])
        case "moved":
            return _moved(_resolve(step["on"], names), _resolve(step["args"], names))
        case "call":
            target = _resolve(step["on"], names)
            if step["method"]:
                target = getattr(target, step["method"])
            elif not callable(target):
                raise Unmet(f"expected a function or class, got {_type_name(target)}")
            return target(*_resolve(step["args"], names), **_resolve(step["kwargs"], names))
        case "load":
            return _load(_resolve(step["on"], names), step["weights"], step["optional"])
        case "backward":
            output = _resolve(step["on"], names)
            if not isinstance(output, Tensor) or not output.requires_grad:
                raise Unmet("the output does not depend on its inputs through autograd: no gradient can flow back")
            return _back_propagate(output, step["cotangent"].to(output.dtype))
        case "read":
            return _read(_resolve(step["of"], names), step)
    raise ValueError(f"no step is called {step['do']!r}")


def _resolve(value: Any, names: dict[str, Any]) -> Any:
    if isinstance(value, Ref):
        found = names[value.name]
        for part in value.path:
            found = _part(found, part)
        return found
    if isinstance(value, (list, tuple)):
        return type(value)(_resolve(item, names) for item in value)
    if isinstance(value, dict):
        return {key: _resolve(item, names) for key, item in value.items()}
    return value.clone() if isinstance(value, Tensor) else value


def _part(value: Any, part: int | str) -> Any:
    if isinstance(part, str):
        for name in part.split("."):
            if name.isdigit() and hasattr(value, "__getitem__"):
                value = value[int(name)]
            elif hasattr(value, name):
                value = getattr(value, name)
            else:
                raise Unmet(f"`{type(value).__name__}` has no attribute `{name}` (looking for `{part}`)")
        return value
    if not isinstance(value, (tuple, list)):
        raise Unmet(f"expected a tuple with a part number {part + 1}, got {_type_name(value)}")
    if part >= len(value):
        raise Unmet(f"expected a tuple with a part number {part + 1}, got {len(value)} parts")
    return value[part]


def _load(module: Any, weights: dict[str, Tensor], optional: list[str]) -> None:
    if not isinstance(module, nn.Module):
        raise Unmet(f"expected a torch.nn.Module, got {_type_name(module)}")
    for path, weight in weights.items():
        try:
            parameter = _part(module, path)
        except Unmet:
            if path in optional:
                continue
            raise
        if parameter is None and path in optional:
            continue
        if not isinstance(parameter, Tensor):
            raise Unmet(f"`{path}` must be a parameter, got {_type_name(parameter)}")
        if parameter.shape != weight.shape:
            raise Unmet(f"`{path}` must have shape {list(weight.shape)}, got {list(parameter.shape)}")
        with torch.no_grad():
            parameter.copy_(weight)


def _back_propagate(output: Tensor, cotangent: Tensor) -> None:
    if output.shape != cotangent.shape:
        raise Unmet(
            f"the output has shape {list(output.shape)}, not {list(cotangent.shape)}: no gradient can flow back"
        )
    # what output.backward(cotangent) does, which would load sympy first to compare two shapes
    (output * cotangent).sum().backward()


def _moved(target: Any, args: list[Any]) -> str:
    if isinstance(target, nn.Module):
        target = copy.deepcopy(target).to("meta")
    args = [arg.to("meta") if isinstance(arg, Tensor) else arg for arg in args]
    try:
        result = target(*args)
    except (RuntimeError, NotImplementedError) as error:
        mixed = re.search(r"(expected|same) device", str(error))
        return "a mix of devices" if mixed else HERE
    result = result[0] if isinstance(result, tuple) and result else result
    return "on another device" if isinstance(result, Tensor) and result.device.type != "meta" else HERE


def _read(value: Any, step: dict[str, Any]) -> Any:
    match step["how"]:
        case "value":
            return value
        case "grad":
            return value.grad
        case "untouched":
            return torch.equal(torch.get_rng_state(), value)
        case "parameters":
            if not isinstance(value, nn.Module):
                raise Unmet(f"expected a torch.nn.Module, got {_type_name(value)}")
            return sorted(name for name, _ in value.named_parameters() if name not in step["ignore"])
    raise ValueError(f"no way of reading is called {step['how']!r}")


def plain(value: Any, depth: int = 8) -> Any:
    """``value`` as types that `autograder.wire` can send; what it cannot is replaced by its type's name."""
    kind = type(value)
    if value is None or kind in (bool, int, float):
        return value
    if kind in (str, bytes):
        return value[: MAX_TEXT * 50]
    if kind in (list, tuple) and depth and len(value) <= MAX_ITEMS:
        return kind(plain(item, depth - 1) for item in value)
    if kind is dict and depth and len(value) <= MAX_ITEMS:
        return {plain(k, 2): plain(v, depth - 1) for k, v in value.items()}
    if issubclass(kind, Tensor):
        with contextlib.suppress(Exception):
            base = value.detach().as_subclass(Tensor)
            if base.layout is torch.strided and str(base.dtype).removeprefix("torch.") in DTYPES:
                return base.cpu().clone().requires_grad_(value.requires_grad)
    return Other(_type_name(value), _text(value))


def _type_name(value: Any) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__name__}"


def _text(value: Any) -> str:
    try:
        return repr(value)[:200]
    except Exception as error:
        return f"<its repr raises {type(error).__name__}>"


def _describe(exception: BaseException, seconds: float) -> dict[str, Any]:
    if isinstance(exception, TimeLimit):
        return {"kind": "timeout", "type": "TimeLimit", "message": f"no answer within {seconds:g} seconds", "line": ""}
    if isinstance(exception, Unmet):
        return {"kind": "unmet", "type": "Unmet", "message": str(exception)[:MAX_TEXT], "line": ""}
    # exactly this one is what a stub raises: input() where nobody can type raises a kind of it
    kind = "unwritten" if type(exception) is NotImplementedError else "exception"
    try:
        message = str(exception)[:MAX_TEXT]
    except Exception as error:
        message = f"<its message raises {type(error).__name__}>"
    return {"kind": kind, "type": type(exception).__name__, "message": message, "line": _student_line(exception)}


def _student_line(exception: BaseException) -> str:
    frames = traceback.extract_tb(exception.__traceback__, limit=-50)
    own = [f for f in frames if "site-packages" not in f.filename and not f.filename.startswith(OWN_FOLDER)]
    return f"line {own[-1].lineno}: {own[-1].line}"[:300] if own and own[-1].line else ""


class _Capped(io.StringIO):
    """Keeps the first ``MAX_TEXT`` characters that student code prints and drops the rest."""

    def write(self, text: str) -> int:
        super().write(text[: max(0, MAX_TEXT - self.tell())])
        return len(text)


@contextlib.contextmanager
def own_random_state() -> Iterator[None]:
    """Give the states of all random numbers back afterwards: the student's go on as if nothing had been drawn."""
    states = random.getstate(), numpy.random.get_state()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(states[0])
            numpy.random.set_state(states[1])


@contextlib.contextmanager
def fresh_state(seed: int) -> Iterator[None]:
    """Run with known seeds, dtype, device and grad mode; give the student's own back afterwards, but for the seeds."""
    dtype = torch.get_default_dtype()
    # only where it changes something: in it, every operation makes a detour through Python
    elsewhere = torch.get_default_device().type != "cpu"
    cpu = torch.device("cpu") if elsewhere else contextlib.nullcontext()
    with torch.enable_grad(), cpu, warnings.catch_warnings():
        try:
            torch.set_default_dtype(torch.float32)
            # torch.manual_seed would also queue a call for CUDA, with a formatted stack, at every case
            torch.default_generator.manual_seed(seed)
            random.seed(seed)
            numpy.random.seed(seed % (1 << 32))
            yield
        finally:
            torch.set_default_dtype(dtype)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch work in one thread: at the sizes of a check, handing work to others costs more than it saves."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class Alarm:
    """A limit on the time of what runs; `rang` says whether it was reached."""

    rang = False

    def __init__(self, seconds: float, timers: dict[int, tuple[int, float]]) -> None:
        self.seconds, self.timers = seconds, timers

    def restart(self) -> None:
        """Give what runs from now on all of the time."""
        for timer, delay in self.timers.values():
            signal.setitimer(timer, delay)

    def ring(self, number: int, _: Any) -> None:
        """Raise TimeLimit; as a handler of the timers' signals."""
        # once is not always enough: an `except:` or a destructor of the student's may swallow the first
        timer, delay = self.timers[number]
        signal.setitimer(timer, max(delay, 1.0))
        self.rang = True
        raise TimeLimit(f"no end within {self.seconds:g} seconds")


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[Alarm]:
    """Raise TimeLimit after ``seconds`` of computing, or of ``PATIENCE`` times that asleep, where the system can.

    Computing time is counted and not the clock's, so that a busy machine takes no points from anybody. Works in
    the main thread of a Unix process; elsewhere there is no limit from inside.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield Alarm(seconds, {})
        return
    timers = {signal.SIGPROF: (signal.ITIMER_PROF, seconds), signal.SIGALRM: (signal.ITIMER_REAL, PATIENCE * seconds)}
    alarm = Alarm(seconds, timers)
    before = {number: signal.signal(number, alarm.ring) for number in timers}
    alarm.restart()
    try:
        yield alarm
    finally:
        for timer, _ in timers.values():
            signal.setitimer(timer, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
