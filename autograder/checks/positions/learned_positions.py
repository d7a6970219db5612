"""The check of ``LearnedPositions(max_len, dim)``."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder.exercise import Draw, Exercise
from autograder.program import Plan
from autograder.wire import Ref

EXERCISE = Exercise("positions.LearnedPositions", objects=("LearnedPositions",))


def oracle(tokens: Tensor, table: Tensor) -> Tensor:
    """A one-hot matrix picks the rows, the identity of the first n places among max_len."""
    return tokens + torch.eye(tokens.shape[-2], table.shape[0], dtype=table.dtype) @ table


def loaded(plan: Plan, table: Tensor) -> Ref:
    """A new module that holds ``table``."""
    module = plan.call(*table.shape)
    plan.load(module, {"table": table})
    return module


@EXERCISE.case(points=1, cause="`table` is an nn.Parameter [max_len dim]; drawn with torch.randn and scaled by 0.02.")
def fresh_module(draw: Draw, plan: Plan) -> None:
    """A new table: its shape, and small random numbers of standard deviation 0.02"""
    max_len, dim = draw.integer(55, 69), draw.integer(40, 54)
    module = plan.call(max_len, dim)
    # of two thousand numbers or more the mean is within 0.002 and the deviation within 15 % for any honest draw
    small = torch.zeros(max_len, dim)
    plan.expect(module["table"], small, "`table` of a new module, up to 0.15", rtol=0, atol=0.15, strict=False)
    mean, spread = (plan.call(on=module["table"], method=method) for method in ("mean", "std"))
    plan.expect(mean, 0.0, "the mean of a new `table`", rtol=0, atol=3e-3, strict=False)
    plan.expect(spread, 0.02, "the standard deviation of a new `table`", rtol=0.15, strict=False)


@EXERCISE.case(points=1, cause="add row p of `table` to the token at place p, the same rows in every set of the batch.")
def full_length(draw: Draw, plan: Plan) -> None:
    """As many tokens as the table has rows"""
    b, n, d = draw.sizes(3)
    tokens, table = draw.normal(b, n, d), draw.normal(n, d)
    plan.expect(plan.call(tokens, on=loaded(plan, table)), oracle(tokens, table), "the output")


@EXERCISE.case(points=1, cause="take the first n rows: self.table[:n], where n is the number of tokens that came.")
def shorter(draw: Draw, plan: Plan) -> None:
    """Fewer tokens than rows: the first rows are used"""
    n, b, d = draw.sizes(3)
    table = draw.normal(n + draw.integer(8, 12), d)
    module = loaded(plan, table)
    for count in (n, 1):
        tokens = draw.normal(b, count, d)
        plan.expect(plan.call(tokens, on=module), oracle(tokens, table), f"the output for {count} of {len(table)}")


@EXERCISE.case(points=1, cause="tokens lie along axis -2, counted from the end: any number of axes may stand before.")
def leading_axes(draw: Draw, plan: Plan) -> None:
    """One set without a batch axis, and sets with one axis more"""
    a, b, n, d = draw.sizes(4)
    table = draw.normal(n + 9, d)
    module = loaded(plan, table)
    for lead in ((), (a, b)):
        tokens = draw.normal(*lead, n, d)
        plan.expect(plan.call(tokens, on=module), oracle(tokens, table), f"the output for {list(tokens.shape)}")


@EXERCISE.case(points=1, cause="`table` is the one nn.Parameter; nothing is detached; the tokens stay as they were.")
def contract(draw: Draw, plan: Plan) -> None:
    """One registered parameter, gradients for used rows only, tokens as they were, float64 after .double()"""
    b, n, d = draw.sizes(3)
    tokens, cotangent, table = draw.normal(b, n, d), draw.normal(b, n, d), draw.normal(n + 3, d)
    module = loaded(plan, table)
    plan.expect_parameters(module, ["table"])
    kept = plan.put(tokens)
    plan.call(kept, on=module)
    plan.expect(kept, tokens, "the tokens after the call")
    leaf = plan.put(tokens, grad=True)
    plan.backward(plan.call(leaf, on=module), cotangent)
    plan.expect_grad(leaf, cotangent, "the tokens")
    used = torch.zeros_like(table)
    for one in cotangent:
        used[:n] += one
    plan.expect_grad(module["table"], used, "`table`")
    plan.call(on=module, method="double")
    wide = tokens.double()
    plan.expect(plan.call(wide, on=module), oracle(wide, table.double()), "the output after .double()")


@EXERCISE.variant
def sliced() -> None:
    """A slice that broadcasts over the batch"""

    class LearnedPositions(nn.Module):
        def __init__(self, max_len, dim):
            super().__init__()
            self.table = nn.Parameter(0.02 * torch.randn(max_len, dim))

        def forward(self, tokens):
            return tokens + self.table[: tokens.shape[-2]]


@EXERCISE.variant
def looked_up() -> None:
    """torch.nn.functional.embedding, and torch's own initialiser"""

    class LearnedPositions(nn.Module):
        def __init__(self, max_len, dim):
            super().__init__()
            self.table = nn.Parameter(torch.empty(max_len, dim))
            nn.init.normal_(self.table, std=0.02)

        def forward(self, tokens):
            positions = torch.arange(tokens.size(-2), device=tokens.device)
            return F.embedding(positions, self.table).expand_as(tokens) + tokens


@EXERCISE.variant
def place_by_place() -> None:
    """A Python loop over places; a truncated normal"""

    class LearnedPositions(nn.Module):
        def __init__(self, max_len, dim):
            super().__init__()
            self.table = nn.Parameter(nn.init.trunc_normal_(torch.zeros(max_len, dim), std=0.02))

        def forward(self, tokens):
            places = tokens.unbind(-2)
            return torch.stack([token + self.table[p] for p, token in enumerate(places)], dim=-2)


@EXERCISE.variant
def one_hot() -> None:
    """A product with one-hot rows, inside an einsum"""

    class LearnedPositions(nn.Module):
        def __init__(self, max_len, dim):
            super().__init__()
            self.max_len = max_len
            self.register_parameter("table", nn.Parameter(torch.randn(max_len, dim).mul(0.02)))

        def forward(self, tokens):
            chosen = F.one_hot(torch.arange(tokens.shape[-2]), self.max_len).to(self.table.dtype)
            return torch.add(tokens, torch.einsum("np,pd->nd", chosen, self.table))


DRAWN = "nn.Parameter(0.02 * torch.randn(max_len, dim))"
ADDED = "tokens + self.table[: tokens.shape[-2]]"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "plain_tensor",
        "`table` is a plain tensor (or a buffer): wrap it in nn.Parameter, or no optimiser will ever find it.",
        [(DRAWN, "0.02 * torch.randn(max_len, dim)")],
    ),
    (
        "frozen",
        "No gradient reaches `table` (requires_grad=False, .data, .detach() or no_grad): it is never learned.",
        [(DRAWN, "nn.Parameter(0.02 * torch.randn(max_len, dim), requires_grad=False)")],
    ),
    (
        "drawn_too_large",
        "torch.randn alone has standard deviation 1 and drowns the tokens at the start of training; scale it by 0.02.",
        [("0.02 * ", "")],
    ),
    (
        "zeros",
        "A new `table` is all zeros; it should hold small random numbers of standard deviation 0.02.",
        [("0.02 * torch.randn(max_len, dim)", "torch.zeros(max_len, dim)")],
    ),
    (
        "spread_evenly",
        "torch.rand draws between 0 and 1, so every row starts with the same positive drift; draw with torch.randn.",
        [("torch.randn", "torch.rand")],
    ),
    (
        "whole_table_added",
        "The whole table is added, which fits only if as many tokens come as the table has rows; take the first n.",
        [(ADDED, "tokens + self.table")],
    ),
    (
        "last_rows",
        "The last n rows are taken; the first token belongs to row 0.",
        [("[: tokens.shape[-2]]", "[-tokens.shape[-2] :]")],
    ),
    (
        "rows_from_one",
        "The rows are taken from 1 on; positions are counted from 0.",
        [("[: tokens.shape[-2]]", "[1 : tokens.shape[-2] + 1]")],
    ),
    (
        "batch_taken_for_tokens",
        "Row i goes to the i-th set of the batch: this is for tokens [n b d]. Here the batch comes first, [b n d].",
        [("[: tokens.shape[-2]]", "[: tokens.shape[0], None]")],
    ),
    (
        "axis_counted_from_the_front",
        "tokens.shape[1] is the number of tokens only if there is exactly one axis before; shape[-2] always is.",
        [("tokens.shape[-2]", "tokens.shape[1]")],
    ),
    (
        "exactly_three_axes",
        "Unpacking `b, n, d = tokens.shape` works for three axes only; read n = tokens.shape[-2].",
        [
            (
                "return " + ADDED,
                "b, n, d = tokens.shape\n        return tokens + self.table[:n].unsqueeze(0).expand(b, n, d)",
            )
        ],
    ),
    (
        "same_row_for_all",
        "Every token gets the row of the last place, self.table[n - 1]; the slice self.table[:n] gives each its own.",
        [("[: tokens.shape[-2]]", "[tokens.shape[-2] - 1]")],
    ),
    (
        "not_added",
        "Only the rows of the table are returned; they must be added to the tokens.",
        [(ADDED, "self.table[: tokens.shape[-2]].expand_as(tokens)")],
    ),
    (
        "joined_not_added",
        "The rows are put beside the tokens' channels (torch.cat); they must be added to them, which keeps [b n d].",
        [(ADDED, "torch.cat([tokens, self.table[: tokens.shape[-2]].expand_as(tokens)], dim=-1)")],
    ),
    (
        "added_in_place",
        "`tokens += …` changes the caller's tensor; write `tokens + …`, which makes a new one.",
        [("return " + ADDED, "tokens += self.table[: tokens.shape[-2]]\n        return tokens")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(sliced, name, says, *changes)
