"""The check of ``alibi_bias(heads, n) -> [h n n]``."""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor

from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("positions.alibi_bias", objects=("alibi_bias",))


def slopes(heads: int) -> list[float]:
    """The paper's recipe, by recursion: its own slopes for a power of two, else borrowed from the next one."""
    below = 1
    while 2 * below <= heads:
        below *= 2
    if below == heads:
        ratio = 0.5 ** (8 / heads)
        powers = [ratio]
        while len(powers) < heads:
            powers.append(powers[-1] * ratio)
        return powers
    return slopes(below) + slopes(2 * below)[0::2][: heads - below]


def oracle(heads: int, n: int) -> Tensor:
    """Entry by entry."""
    rows = [[[-slope * abs(i - j) for j in range(n)] for i in range(n)] for slope in slopes(heads)]
    return torch.tensor(rows, dtype=torch.float32)


def expect_part(plan: Plan, heads: int, n: int, method: str = "tril") -> None:
    """Compare the entries on one side of the diagonal, so that the other side costs no points twice."""
    # a single token first: who returns no tensor reads so, instead of that what came has no `tril`
    plan.expect(plan.call(heads, 1), oracle(heads, 1), f"alibi_bias({heads}, 1)", strict=False)
    part = plan.call(on=plan.call(heads, n), method=method)
    where = {"tril": "keys j ≤ i", "triu": "keys j ≥ i"}[method]
    plan.expect(part, getattr(oracle(heads, n), method)(), f"alibi_bias({heads}, {n}) for {where}", strict=False)


def size_besides(draw: Draw, heads: int) -> int:
    """A number of tokens that cannot be taken for the number of heads."""
    n = draw.integer(4, 10)
    return n if n != heads else n + 1


@EXERCISE.case(points=1, cause="entry [h, i, j] is minus the head's slope times i - j, for keys j up to the query i.")
def keys_before(draw: Draw, plan: Plan) -> None:
    """Eight heads with slopes 1/2, 1/4, …: keys up to the query itself"""
    expect_part(plan, 8, draw.integer(4, 7))


@EXERCISE.case(points=1, cause="the distance is |i - j|: keys behind the query are penalised too, and none is masked.")
def keys_behind(draw: Draw, plan: Plan) -> None:
    """Eight heads: keys that come after the query"""
    expect_part(plan, 8, draw.integer(4, 7), "triu")


@EXERCISE.case(points=1, cause="of h heads, a power of two, head i = 1 … h has the slope 2**(-8i/h).")
def powers_of_two(draw: Draw, plan: Plan) -> None:
    """Two, four and sixteen heads"""
    for heads in (2, 4, 16):
        expect_part(plan, heads, size_besides(draw, heads))


@EXERCISE.case(points=1, cause="first all slopes of the power of two below, then every other one of twice that power.")
def other_numbers(draw: Draw, plan: Plan) -> None:
    """Numbers of heads that are no power of two"""
    for heads in (3, 6, draw.integer(5, 7), draw.integer(9, 15)):
        expect_part(plan, heads, size_besides(draw, heads))


@EXERCISE.case(points=1, cause="return a float32 tensor [h n n], also for one head, one token or a long text.")
def contract(draw: Draw, plan: Plan) -> None:
    """One head, one token, many tokens; float32"""
    for heads, n in ((1, draw.integer(4, 7)), (draw.integer(9, 12), 1), (2, draw.integer(40, 60))):
        plan.expect(plan.call(heads, n), oracle(heads, n), f"alibi_bias({heads}, {n})")


@EXERCISE.variant
def as_a_product() -> None:
    """Slopes times distances, by broadcasting"""

    def alibi_bias(heads, n):
        below = 2 ** math.floor(math.log2(heads))
        slopes = [2 ** (-8 * (i + 1) / below) for i in range(below)]
        slopes += [2 ** (-8 * (i + 1) / (2 * below)) for i in range(0, 2 * below, 2)]
        places = torch.arange(n)
        distance = (places[:, None] - places[None, :]).abs()
        return -torch.tensor(slopes[:heads])[:, None, None] * distance


@EXERCISE.variant
def by_recursion() -> None:
    """The slopes as in the authors' code"""

    def alibi_bias(heads, n):
        def get_slopes(count):
            if math.log2(count).is_integer():
                start = 2 ** (-(2 ** -(math.log2(count) - 3)))
                return [start * start**i for i in range(count)]
            closest = 2 ** math.floor(math.log2(count))
            return get_slopes(closest) + get_slopes(2 * closest)[0::2][: count - closest]

        places = torch.arange(n, dtype=torch.float)
        distance = torch.cdist(places[:, None], places[:, None], p=1)
        return torch.einsum("h,ij->hij", torch.tensor(get_slopes(heads)), -distance)


@EXERCISE.variant
def entry_by_entry() -> None:
    """Loops over heads, queries and keys"""

    def alibi_bias(heads, n):
        below = 1
        while below * 2 <= heads:
            below *= 2
        out = torch.zeros(heads, n, n)
        for h in range(heads):
            slope = 2 ** (-8 * (h + 1) / below) if h < below else 2 ** (-4 * (2 * (h - below) + 1) / below)
            for i in range(n):
                for j in range(n):
                    out[h, i, j] = slope * (j - i if j < i else i - j)
        return out


@EXERCISE.variant
def smaller_of_two_signs() -> None:
    """The smaller of j - i and i - j; slopes as powers of a tensor"""

    def alibi_bias(heads, n):
        below = 2 ** (heads.bit_length() - 1)
        exponents = torch.cat([torch.arange(1, below + 1) * 8 / below, torch.arange(1, 2 * below, 2) * 4 / below])
        ahead = torch.arange(n).view(1, n) - torch.arange(n).view(n, 1)
        nearness = torch.minimum(ahead, -ahead)
        return rearrange(0.5 ** exponents[:heads], "h -> h 1 1") * nearness


BELOW = "2 ** math.floor(math.log2(heads))"
DISTANCE = "(places[:, None] - places[None, :]).abs()"
PRODUCT = "-torch.tensor(slopes[:heads])[:, None, None] * distance"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "reward_for_distance",
        "The bias is positive and draws attention to far tokens; it must be zero on the diagonal and negative off it.",
        [("-torch.tensor", "torch.tensor")],
    ),
    (
        "nothing_for_later_keys",
        "Keys after the query get 0, more than any key before it; the distance is |i - j| on both sides.",
        [(".abs()", ".clamp(min=0)")],
    ),
    (
        "signed_distance",
        "i - j is negative for keys after the query, so they are rewarded; take the absolute value.",
        [(".abs()", "")],
    ),
    (
        "causal_mask_included",
        "Keys after the query get -inf; the bias only penalises distance, masking is attention's own business.",
        [
            (
                "return " + PRODUCT,
                f"bias = {PRODUCT}\n    return bias.masked_fill(places[None, :] > places[:, None], -math.inf)",
            )
        ],
    ),
    (
        "squared_distance",
        "The distance is squared; in ALiBi (attention with linear biases) the penalty grows linearly.",
        [(".abs()", ".pow(2)")],
    ),
    (
        "slopes_from_one",
        "The slopes start at 2**0 = 1; the first head's exponent is -8/h, not 0.",
        [("[2 ** (-8 * (i + 1) / below)", "[2 ** (-8 * i / below)")],
    ),
    (
        "slopes_of_eight_heads",
        "The slopes are 1/2, 1/4, 1/8, … for every number of heads; that is right for 8 heads only.",
        [("-8 * (i + 1) / below)", "-(i + 1))")],
    ),
    (
        "whole_number_division",
        "8 // h is a whole-number division: it is 0 as soon as there are more than eight heads.",
        [
            ("-8 * (i + 1) / below)", "-(8 // below) * (i + 1))"),
            ("-8 * (i + 1) / (2 * below))", "-(8 // (2 * below)) * (i + 1))"),
        ],
    ),
    (
        "same_formula_for_all_numbers",
        "2**(-8i/h) is used for every h; when h is no power of two the slopes are borrowed from the powers of two "
        "around it.",
        [(BELOW, "heads")],
    ),
    (
        "first_slopes_of_the_power_above",
        "When h is no power of two, the first h slopes of the power of two above are taken; take all of the power "
        "below first.",
        [(BELOW, "2 ** math.ceil(math.log2(heads))")],
    ),
    (
        "every_other_from_the_second",
        "The borrowed slopes are the 2nd, 4th, … of twice the power below, which the heads have already; take the "
        "1st, 3rd, …",
        [("range(0, 2 * below, 2)", "range(1, 2 * below, 2)")],
    ),
    (
        "borrowed_without_leaving_out",
        "The borrowed slopes are the first ones of twice the power below, in a row; take every other one.",
        [("range(0, 2 * below, 2)", "range(below)")],
    ),
    (
        "sorted_slopes",
        "The slopes are put in order of size; the borrowed ones stand at the end, as in the authors' code.",
        [("torch.tensor(slopes[:heads])", "torch.tensor(sorted(slopes[:heads], reverse=True))")],
    ),
    (
        "flattest_first",
        "The heads are in reverse: the first head has the steepest slope.",
        [("torch.tensor(slopes[:heads])", "torch.tensor(slopes[:heads][::-1])")],
    ),
    (
        "keys_only",
        "The bias is one row a head, [h 1 n], counted from the start of the text as in BLOOM's code; here it is "
        "[h n n] with zeros on the diagonal.",
        [(PRODUCT, "torch.tensor(slopes[:heads])[:, None, None] * places[None, None, :]")],
    ),
    (
        "heads_last",
        "The heads are the last axis; the bias is [h n n], to be added to scores [b h n n].",
        [(PRODUCT, "-torch.tensor(slopes[:heads]) * distance[..., None]")],
    ),
    (
        "divided_by_the_length",
        "The distance is divided by n, so that the penalty of a neighbour shrinks in a longer text; count in tokens.",
        [(".abs()", ".abs() / n")],
    ),
    (
        "double_precision_returned",
        "The bias comes back in float64; turn it into float32 at the end.",
        [("torch.tensor(slopes[:heads])", "torch.tensor(slopes[:heads], dtype=torch.float64)")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(as_a_product, name, says, *changes)
