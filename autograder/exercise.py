"""What an exercise's check is made of: cases with points, and the wrong and right answers it is proven against."""

from __future__ import annotations

import ast
import hashlib
import inspect
import linecache
import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from autograder.program import Plan

# what the first cell of every student notebook imports: mistakes and variants are written against it
HEADER = """\
import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
"""


class Draw:
    """Seeded random inputs for one case; every size and value of a case comes from here."""

    def __init__(self, *seed: Any) -> None:
        digest = hashlib.sha256(repr(seed).encode()).digest()
        self.generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))

    def normal(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Standard normal values."""
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64).to(dtype)

    def uniform(self, low: float, high: float) -> float:
        """A number between ``low`` and ``high``, rounded to three places so that it reads well in a message."""
        return round(low + (high - low) * torch.rand((), generator=self.generator).item(), 3)

    def integer(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both included."""
        return int(torch.randint(low, high + 1, (), generator=self.generator))

    def sizes(self, count: int, low: int = 2, high: int = 7) -> list[int]:
        """``count`` pairwise different sizes from ``low`` to ``high``: no axis can be taken for another."""
        return (torch.randperm(high - low + 1, generator=self.generator)[:count] + low).tolist()

    def sizes_and_heads(self, count: int, low: int = 2, high: int = 7) -> list[int]:
        """``count`` sizes, then heads and a head's width: all different, and different from heads * width too."""
        while True:
            *sizes, heads, width = self.sizes(count + 2, low, high)
            if heads * width not in sizes:
                return [*sizes, heads, width]

    def permutation(self, n: int) -> Tensor:
        """A random order of n things."""
        return torch.randperm(n, generator=self.generator)

    def mask(self, *shape: int) -> Tensor:
        """A random boolean mask in which every row allows two places or more and forbids one, if it is long enough.

        Where one place alone is allowed it gets all the weight, whatever the scores are.
        """
        mask = torch.rand(*shape, generator=self.generator) < 0.6
        order = torch.rand(*shape, generator=self.generator).argsort(-1)
        allowed = min(2, max(1, shape[-1] - 1))
        mask.scatter_(-1, order[..., :allowed], True)
        return mask.scatter_(-1, order[..., allowed : allowed + 1], False)


@dataclass(frozen=True)
class Case:
    """One mechanism: what it is, its points, the likely cause of a failure, and how its inputs are drawn."""

    name: str
    title: str
    points: float
    cause: str
    build: Callable[[Draw, Plan], None]

    def plan(self, exercise: str, seed: Any) -> Plan:
        """The steps of this case and what they must return, for one seed."""
        draw = Draw(seed, exercise, self.name)
        plan = Plan(seed=draw.integer(0, 2**31 - 1))
        self.build(draw, plan)
        return plan


@dataclass(frozen=True)
class Answer:
    """A known mistake or a correct variant, as the source text that a student would have typed."""

    name: str
    says: str
    source: str

    def objects(self, names: tuple[str, ...]) -> tuple[Any, ...]:
        """The objects that the source defines; raises KeyError if it does not define one of ``names``."""
        filename = f"<{self.name}>"
        linecache.cache[filename] = (len(self.source), None, self.source.splitlines(keepends=True), filename)
        space: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(HEADER, "<header>", "exec"), space)
        exec(compile(self.source, filename, "exec"), space)
        return tuple(space[name] for name in names)


@dataclass(eq=False)
class Exercise:
    """An exercise's check.

    ``name`` is ``<assignment>.<function or class>``; ``objects`` are the names that a student hands to `check`, in
    order. ``seconds`` is the longest that one step of student code may run. ``lends`` are modules of the course that an
    answer may use and that are absent where work is graded but while this exercise is judged.
    """

    name: str
    objects: tuple[str, ...]
    seconds: float = 10.0
    lends: tuple[str, ...] = ()
    cases: list[Case] = field(default_factory=list)
    mistakes: list[Answer] = field(default_factory=list)
    variants: list[Answer] = field(default_factory=list)

    @property
    def points(self) -> float:
        """The full marks: the sum over the cases."""
        return math.fsum(case.points for case in self.cases)

    def case(self, *, points: float, cause: str) -> Callable[[Callable[[Draw, Plan], None]], Case]:
        """Register a case; the decorated function's docstring is the title that students read."""

        def register(build: Callable[[Draw, Plan], None]) -> Case:
            case = Case(build.__name__, inspect.getdoc(build) or "", points, cause, build)
            self.cases.append(case)
            return case

        return register

    def mistake(self, function: Callable[[], None]) -> Answer:
        """Register a wrong answer: the docstring is what its author is told, the body is the answer."""
        self.mistakes.append(_answer(function))
        return self.mistakes[-1]

    def slip(self, base: Answer, name: str, says: str, *changes: tuple[str, str]) -> Answer:
        """Register a wrong answer that is ``base`` with some text replaced: the change is the mistake.

        Raises ValueError if a text to replace is not there exactly once.
        """
        source = base.source
        for old, new in changes:
            if source.count(old) != 1:
                found = source.count(old)
                raise ValueError(f"{self.name}, {name}: {old!r} is {found} times in `{base.name}`, not once")
            source = source.replace(old, new)
        self.mistakes.append(Answer(name, says, source))
        return self.mistakes[-1]

    def variant(self, function: Callable[[], None]) -> Answer:
        """Register a right answer that goes another way than the reference; it must never lose a point."""
        self.variants.append(_answer(function))
        return self.variants[-1]


def _answer(function: Callable[[], None]) -> Answer:
    """Cut the body out of ``function``; it is never called, only its text is used."""
    text = textwrap.dedent(inspect.getsource(function))
    (node,) = ast.parse(text).body
    if not isinstance(node, ast.FunctionDef) or ast.get_docstring(node) is None or len(node.body) < 2:
        raise ValueError(f"`{function.__name__}` needs a docstring saying what it is, and a body that answers")
    says = " ".join(ast.get_docstring(node).split())
    first = node.body[1]
    start = min([first.lineno, *(d.lineno for d in getattr(first, "decorator_list", []))])
    body = "\n".join(text.splitlines()[start - 1 : node.end_lineno])
    return Answer(node.name, says, textwrap.dedent(body) + "\n")
