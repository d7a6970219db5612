"""What a check asks of a student's object: a list of steps in a small closed language, written by the judge.

The steps are plain data (see `autograder.probe`, which runs them), so they can be sent to where student code lives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from autograder.given import HERE
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
        """A function put together from `autograder.functions`, applied in the order given.

        An argument may be the `Ref` of a value that was put with ``grad``, whose gradient can then be read.
        """
        return self._add(do="function", ops=list(ops))

    def given(self, name: str, **choices: Any) -> Ref:
        """A model of `autograder.given`, put together where student code runs."""
        return self._add(do="given", name=name, choices=choices)

    def iterator(self, *values: Any) -> Ref:
        """The values one after the other, to be gone through once."""
        return self._add(do="iterator", values=list(values))

    def generator(self, seed: int) -> Ref:
        """A fresh `torch.Generator` with a known seed."""
        return self._add(do="generator", seed=seed)

    def call(self, *args: Any, on: Ref | None = None, method: str = "", which: int = 0, **kwargs: Any) -> Ref:
        """Call the student's object (the ``which``-th that was handed to `check`), or ``on`` / its ``method``."""
        target = on if on is not None else Ref("student", (which,))
        return self._add(do="call", on=target, method=method, args=list(args), kwargs=kwargs)

    def moved(self, target: Ref, *args: Any) -> Ref:
        """Call ``target`` with everything on torch's "meta" device, which has shapes and no numbers.

        The value is `autograder.given.HERE` if the answer is there too. A module is copied and moved with its
        parameters and buffers. What cannot be computed without numbers, such as a condition on a value, is not
        held against anybody.
        """
        return self._add(do="moved", on=target, args=list(args))

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

    def expect_follows_device(self, target: Ref, *args: Any) -> None:
        """Called with everything ``moved``, ``target`` makes its answer, and all on the way to it, there too."""
        self.expect(self.moved(target, *args), HERE, "where the answer is made if the input moves to another device")

    def expect_global_random_untouched(self) -> None:
        """No number was drawn from torch's global random state since the case began, nor was it seeded."""
        self._read(Ref("random"), "untouched", True, "torch's global random state left untouched", 0.0, 0.0, True)

    def _read(
        self, ref: Ref, how: str, want: Any, what: str, rtol: float, atol: float, strict: bool, **more: Any
    ) -> None:
        read = self._add(do="read", of=ref, how=how, **more)
        self.expectations.append(Expectation(read.name, what, want, rtol, atol, strict))
