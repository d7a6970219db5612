"""What a check asks of a student's object: a list of steps in a small closed language, written by the judge.

The steps are plain data (see `autograder.probe`, which runs them), so they can be sent to where student code lives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from autograder.wire import Ref

RTOL, ATOL = 1e-4, 1e-5


@dataclass(frozen=True)
class Expectation:
    """One value to read from the student's process, and what it must be."""

    name: str
    what: str
    want: Any
    rtol: float
    atol: float
    strict: bool


@dataclass
class Plan:
    """The steps of one case and what must come back, built side by side."""

    seed: int = 0
    steps: list[dict[str, Any]] = field(default_factory=list)
    expectations: list[Expectation] = field(default_factory=list)

    def _add(self, **step: Any) -> Ref:
        name = f"v{len(self.steps)}"
        self.steps.append({"as": name, **step})
        return Ref(name)

    def put(self, value: Any, *, grad: bool = False) -> Ref:
        """A value made available to later steps; with ``grad`` a leaf tensor whose gradient can be read."""
        return self._add(do="put", value=value.clone() if isinstance(value, Tensor) else value, grad=grad)

    def function(self, *ops: list[Any]) -> Ref:
        """A function tokens -> tokens put together from `autograder.functions`, applied in the order given."""
        return self._add(do="function", ops=list(ops))

    def call(self, *args: Any, on: Ref | None = None, method: str = "", which: int = 0, **kwargs: Any) -> Ref:
        """Call the student's object (the ``which``-th that was handed to `check`), or ``on`` / its ``method``."""
        target = on if on is not None else Ref("student", (which,))
        return self._add(do="call", on=target, method=method, args=list(args), kwargs=kwargs)

    def load(self, module: Ref, weights: dict[str, Tensor], *, optional: tuple[str, ...] = ()) -> None:
        """Set parameters by attribute path; those in ``optional`` may be absent from the student's module."""
        self._add(do="load", on=module, weights=dict(weights), optional=list(optional))

    def backward(self, output: Ref, cotangent: Tensor) -> None:
        """Back-propagate ``(output * cotangent).sum()``."""
        self._add(do="backward", on=output, cotangent=cotangent)

    def expect(
        self, ref: Ref, want: Any, what: str, *, rtol: float = RTOL, atol: float = ATOL, strict: bool = True
    ) -> None:
        """``ref`` must equal ``want``; ``what`` names it in messages, as in "the weights"."""
        self._read(ref, "value", want, what, rtol, atol, strict)

    def expect_grad(self, ref: Ref, want: Tensor, what: str, *, rtol: float = RTOL, atol: float = ATOL) -> None:
        """The gradient that reached ``ref`` must equal ``want``."""
        self._read(ref, "grad", want, f"the gradient of {what}", rtol, atol, True)

    def expect_parameters(self, module: Ref, want: list[str], *, optional: tuple[str, ...] = ()) -> None:
        """``named_parameters()`` must hold every name in ``want`` and no others, but for those in ``optional``."""
        names = sorted(set(want) - set(optional))
        self._read(module, "parameters", names, "the module's parameters", 0.0, 0.0, True, ignore=list(optional))

    def _read(
        self, ref: Ref, how: str, want: Any, what: str, rtol: float, atol: float, strict: bool, **more: Any
    ) -> None:
        read = self._add(do="read", of=ref, how=how, **more)
        self.expectations.append(Expectation(read.name, what, want, rtol, atol, strict))
