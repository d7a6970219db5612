"""The check of ``causal_mask(n, past=0)``."""

import torch
from torch import Tensor

from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("gpt.causal_mask", objects=("causal_mask",))


def oracle(n: int, past: int) -> Tensor:
    """Entry by entry: the i-th new token is number past + i of the text and may look at no later number."""
    return torch.tensor([[key <= past + query for key in range(past + n)] for query in range(n)], dtype=torch.bool)


def expect_places(plan: Plan, n: int, past: int | None = None) -> None:
    """Compare where the mask is true; whether it is boolean at all is asked for once, in `contract`."""
    mask = plan.call(n) if past is None else plan.call(n, past=past)
    what = f"causal_mask({n})" if past is None else f"causal_mask({n}, past={past})"
    plan.expect(plan.call(on=mask, method="bool"), oracle(n, past or 0), what)


@EXERCISE.case(points=1, cause="row i may look at columns j ≤ i: itself and what stands before it, True there.")
def from_the_start(draw: Draw, plan: Plan) -> None:
    """No past: each token sees itself and the ones before it"""
    expect_places(plan, draw.integer(3, 6))
    expect_places(plan, 1)


@EXERCISE.case(points=1, cause="there are past + n columns, and new token i is number past + i: it sees j ≤ past + i.")
def after_a_past(draw: Draw, plan: Plan) -> None:
    """Some tokens were read before: fewer of them than new ones, as many, and more"""
    small, large = sorted(draw.sizes(2, 2, 7))
    expect_places(plan, large, small)
    expect_places(plan, large, large)
    expect_places(plan, small, large)


@EXERCISE.case(points=0.5, cause="the newest token of a text sees all of it: its row [1 past+1] is all True.")
def one_new_token(draw: Draw, plan: Plan) -> None:
    """One new token at a time, as in generating"""
    for past in draw.sizes(2, 1, 9):
        expect_places(plan, 1, past)


@EXERCISE.case(points=0.5, cause="make the mask for the n and past asked for, without a table of fixed size.")
def long_text(draw: Draw, plan: Plan) -> None:
    """More than two thousand tokens read before"""
    for past in draw.sizes(2, 2100, 2199):
        expect_places(plan, 3, past)


@EXERCISE.case(points=1, cause="return a fresh boolean tensor [n past+n] on every call.")
def contract(draw: Draw, plan: Plan) -> None:
    """A boolean tensor; the same n with another past, and a mask that its caller has written over"""
    n, past, other = draw.sizes(3)
    for before in (past, other, 0):
        plan.expect(plan.call(n, past=before), oracle(n, before), f"causal_mask({n}, past={before})")
    plan.call(False, on=plan.call(n, past=past), method="fill_")
    what = f"causal_mask({n}, past={past}) after the last one was overwritten"
    plan.expect(plan.call(n, past=past), oracle(n, past), what)


@EXERCISE.variant
def lower_triangle() -> None:
    """The lower triangle of ones"""

    def causal_mask(n, past=0):
        mask = torch.ones(n, past + n).tril(past)
        return mask.bool()


@EXERCISE.variant
def numbers_compared() -> None:
    """Numbers of queries compared with numbers of keys"""

    def causal_mask(n, past=0):
        queries = torch.arange(past, past + n)
        return queries[:, None] >= torch.arange(past + n)[None, :]


@EXERCISE.variant
def last_rows_of_the_square() -> None:
    """The last n rows of the mask for the whole text"""

    def causal_mask(n, past=0):
        total = past + n
        whole = ~torch.triu(torch.ones(total, total, dtype=torch.bool), diagonal=1)
        return whole[past:]


@EXERCISE.variant
def row_by_row() -> None:
    """A loop over rows"""

    def causal_mask(n, past=0):
        mask = torch.zeros((n, past + n), dtype=torch.bool)
        for i in range(n):
            mask[i, : past + i + 1] = True
        return mask


@EXERCISE.variant
def past_and_triangle_side_by_side() -> None:
    """All of the past, then a triangle"""

    def causal_mask(n, past=0):
        return torch.cat([torch.ones(n, past).bool(), torch.tril(torch.ones(n, n)).bool()], dim=1)


@EXERCISE.mistake
def past_behind_the_new() -> None:
    """The columns of the past stand behind those of the new tokens. Keys are in the order of the text: past first."""

    def causal_mask(n, past=0):
        return torch.cat([torch.ones(n, n).tril(), torch.ones(n, past)], dim=1).bool()


@EXERCISE.mistake
def past_forbidden() -> None:
    """The columns of the past are False: what was read before could never be looked at."""

    def causal_mask(n, past=0):
        return torch.cat([torch.zeros(n, past), torch.ones(n, n).tril()], dim=1).bool()


@EXERCISE.mistake
def table_of_fixed_size() -> None:
    """The mask is cut out of a table of 1024 × 1024, so that longer texts get one that is too small."""

    def causal_mask(n, past=0):
        table = torch.ones(1024, 1024, dtype=torch.bool).tril()
        return table[past : past + n, : past + n]


@EXERCISE.mistake
def kept_between_calls() -> None:
    """Masks are kept between calls and found again by n alone: another past gets the mask of an earlier call. Make
    a new one each time, or keep it under (n, past)."""

    kept = {}

    def causal_mask(n, past=0):
        if n not in kept:
            kept[n] = torch.ones(n, past + n, dtype=torch.bool).tril(past)
        return kept[n]


@EXERCISE.mistake
def handed_out_twice() -> None:
    """The same tensor is handed out on every call with the same sizes: who writes into it (to add padding, say)
    spoils it for all others. Return a copy."""

    kept = {}

    def causal_mask(n, past=0):
        if (n, past) not in kept:
            kept[n, past] = torch.ones(n, past + n, dtype=torch.bool).tril(past)
        return kept[n, past]


@EXERCISE.mistake
def lists_of_lists() -> None:
    """The mask is a list of lists. Make it a tensor: torch.tensor(rows)."""

    def causal_mask(n, past=0):
        return [[j <= past + i for j in range(past + n)] for i in range(n)]


WHOLE = "torch.ones(n, past + n).tril(past)"
BOOLEAN = "return mask.bool()"
SLIPS: list[tuple[str, str, tuple[str, str]]] = [
    (
        "upper_triangle",
        "This is the upper triangle: each token sees those after it and none before. Use tril.",
        (WHOLE, "torch.ones(n, past + n).triu(past)"),
    ),
    (
        "upside_down",
        "The mask is True where looking is forbidden. In this course True means may attend: turn it round with ~.",
        (WHOLE, "torch.ones(n, past + n).triu(past + 1)"),
    ),
    (
        "not_itself",
        "A token may not look at itself here, and the first one at nothing at all; the diagonal must be True.",
        (WHOLE, "torch.ones(n, past + n).tril(past - 1)"),
    ),
    (
        "one_too_far",
        "Each token sees one token of the future, the very one that it should predict: the diagonal is one too high.",
        (WHOLE, "torch.ones(n, past + n).tril(past + 1)"),
    ),
    (
        "past_without_columns",
        "`past` is ignored: there are n + past keys to look at, so the mask is [n past+n].",
        (WHOLE, "torch.ones(n, n).tril()"),
    ),
    (
        "triangle_from_the_left",
        "The triangle starts at column 0, as though the new tokens were the first of the text. New token i is number "
        "past + i: pass the diagonal, tril(past).",
        (WHOLE, "torch.ones(n, past + n).tril()"),
    ),
    (
        "rows_for_the_past",
        "The mask has rows for the past too. Only the n new tokens ask: [n past+n].",
        (WHOLE, "torch.ones(past + n, past + n).tril()"),
    ),
    (
        "queries_in_columns",
        "Rows and columns are exchanged: queries are the rows and keys the columns, [n past+n].",
        (WHOLE, "torch.ones(n, past + n).tril(past).T"),
    ),
    (
        "everything_allowed",
        "Every place is True: that hides nothing, and each token reads the answer off the next one.",
        (WHOLE, "torch.ones(n, past + n)"),
    ),
    (
        "numbers_not_booleans",
        "The mask holds ones and zeros of a floating dtype. Make it boolean, with dtype=torch.bool or .bool().",
        (BOOLEAN, "return mask"),
    ),
    (
        "minus_infinity",
        "This is a mask to add to scores, with 0 and -inf. Return the boolean one, True where a token may attend.",
        (BOOLEAN, "return torch.zeros(n, past + n).masked_fill(mask == 0, -math.inf)"),
    ),
    (
        "axes_in_front",
        "The mask has axes for batch and heads. Return [n past+n]; it broadcasts by itself.",
        (BOOLEAN, "return mask.bool()[None, None]"),
    ),
]
for name, says, change in SLIPS:
    EXERCISE.slip(lower_triangle, name, says, change)
