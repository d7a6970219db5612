"""The check of ``sinusoidal(n, dim, base=10000.)``."""

import cmath
import math

import torch
from einops import rearrange
from torch import Tensor

from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("positions.sinusoidal", objects=("sinusoidal",))


def oracle(n: int, dim: int, base: float = 10000.0) -> Tensor:
    """Powers of one complex number a pair: the p-th is position p, its imaginary part the sine."""
    rows = []
    for position in range(n):
        row = []
        for first in range(0, dim, 2):
            point = cmath.exp(1j / base ** (first / dim)) ** position
            row += [point.imag, point.real]
        rows.append(row)
    return torch.tensor(rows, dtype=torch.float32)


def expect(plan: Plan, n: int, dim: int, base: float | None = None, atol: float = 1e-4, strict: bool = False) -> None:
    """Compare one table with the oracle's."""
    table = plan.call(n, dim) if base is None else plan.call(n, dim, base=base)
    what = f"sinusoidal({n}, {dim}" + (")" if base is None else f", base={base})")
    plan.expect(table, oracle(n, dim, base or 10000.0), what, atol=atol, strict=strict)


@EXERCISE.case(points=1, cause="row p is (sin p, cos p): positions are counted from 0, the sine comes first.")
def one_pair(draw: Draw, plan: Plan) -> None:
    """Two channels: the sine and the cosine of the position itself"""
    expect(plan, draw.integer(5, 9), 2)


@EXERCISE.case(points=1, cause="channels (2i, 2i+1) are (sin, cos) of p / base**(2i/dim): one frequency a pair.")
def several_pairs(draw: Draw, plan: Plan) -> None:
    """More channels than positions, and fewer: each pair is slower than the one before"""
    for dim, n in ((2 * draw.integer(5, 7), draw.integer(3, 7)), (6, draw.integer(9, 14))):
        expect(plan, n, dim)


@EXERCISE.case(points=1, cause="the argument `base` stands in the frequency: 1 / base**(2i/dim).")
def other_bases(draw: Draw, plan: Plan) -> None:
    """Bases other than 10000"""
    expect(plan, draw.integer(5, 7), 2 * draw.integer(4, 6), base=draw.uniform(20, 90))
    expect(plan, draw.integer(9, 11), 8, base=draw.uniform(200, 900))


@EXERCISE.case(points=1, cause="give positions and frequencies a floating dtype with at least 32 bits.")
def long_table(draw: Draw, plan: Plan) -> None:
    """Thousands of positions"""
    # float32 angles of some thousand radians are right to about 5e-4
    expect(plan, draw.integer(2500, 3000), 4, atol=5e-3)


@EXERCISE.case(points=1, cause="return a float32 tensor [n dim] also when n is 1.")
def contract(draw: Draw, plan: Plan) -> None:
    """float32, and a row of its own for a single position"""
    expect(plan, draw.integer(5, 7), 8, strict=True)
    expect(plan, 1, 2 * draw.integer(2, 4), strict=True)


@EXERCISE.variant
def interleaved_by_stacking() -> None:
    """Sines and cosines stacked as pairs, then flattened"""

    def sinusoidal(n, dim, base=10000.0):
        frequencies = base ** (-torch.arange(0, dim, 2) / dim)
        angles = torch.arange(n)[:, None] * frequencies
        return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


@EXERCISE.variant
def filled_by_strides() -> None:
    """exp of a logarithm, as in many tutorials; every other column is filled"""

    def sinusoidal(n, dim, base=10000.0):
        table = torch.zeros(n, dim)
        position = torch.arange(0, n, dtype=torch.float).unsqueeze(1)
        div_term = torch.exp(torch.arange(0, dim, 2).float() * (-math.log(base) / dim))
        table[:, 0::2] = torch.sin(position * div_term)
        table[:, 1::2] = torch.cos(position * div_term)
        return table


@EXERCISE.variant
def entry_by_entry() -> None:
    """Two Python loops and the standard library"""

    def sinusoidal(n, dim, base=10000.0):
        rows = []
        for p in range(n):
            row = []
            for i in range(dim // 2):
                angle = p / base ** (2 * i / dim)
                row.extend([math.sin(angle), math.cos(angle)])
            rows.append(row)
        return torch.tensor(rows)


@EXERCISE.variant
def a_quarter_turn_ahead() -> None:
    """Each cosine as a sine a quarter of a turn ahead"""

    def sinusoidal(n, dim, base=10000.0):
        channel = torch.arange(dim)
        pair = torch.div(channel, 2, rounding_mode="floor")
        angles = torch.outer(torch.arange(n).double(), base ** (-2.0 * pair.double() / dim))
        return torch.sin(angles + math.pi / 2 * (channel % 2)).float()


@EXERCISE.variant
def complex_numbers() -> None:
    """Points on the unit circle, their parts flipped"""

    def sinusoidal(n, dim, base=10000.0):
        angles = torch.einsum("p,i->pi", torch.arange(n).float(), torch.pow(base, -torch.arange(0, dim, 2) / dim))
        points = torch.view_as_real(torch.polar(torch.ones_like(angles), angles))
        return rearrange(points.flip(-1), "n i two -> n (i two)")


FREQUENCIES = "base ** (-torch.arange(0, dim, 2) / dim)"
PAIRS = "torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "sines_before_cosines",
        "All sines come first and all cosines after them, as in Tensor2Tensor; here every sine is followed "
        "by its cosine, as in the paper's formula.",
        [(PAIRS, "torch.cat([angles.sin(), angles.cos()], dim=-1)")],
    ),
    (
        "cosine_first",
        "Sine and cosine have changed places: the even channels are sines, so position 0 is (0, 1, 0, 1, …).",
        [("[angles.sin(), angles.cos()]", "[angles.cos(), angles.sin()]")],
    ),
    (
        "frequency_from_the_number_of_the_pair",
        "The exponent is i/dim where it must be 2i/dim: the slowest wave is far too fast.",
        [(FREQUENCIES, "base ** (-torch.arange(dim // 2) / dim)")],
    ),
    (
        "doubled_twice",
        "arange(0, dim, 2) counts 2i already; doubling it again makes the exponent 4i/dim.",
        [(FREQUENCIES, "base ** (-2 * torch.arange(0, dim, 2) / dim)")],
    ),
    (
        "ends_at_base",
        "The exponent runs from 0 to 1, both included (divided by dim/2 - 1, as in Tensor2Tensor); by the "
        "paper's formula it is 2i/dim and stops short of 1.",
        [(FREQUENCIES, "base ** (-torch.arange(dim // 2) / max(dim // 2 - 1, 1))")],
    ),
    (
        "every_channel_its_own_frequency",
        "Sine and cosine of a pair have different frequencies (2i/dim and (2i+1)/dim); both take 2i/dim.",
        [
            (FREQUENCIES, "base ** (-torch.arange(dim) / dim)"),
            (PAIRS, "torch.stack([angles[:, 0::2].sin(), angles[:, 1::2].cos()], dim=-1).flatten(1)"),
        ],
    ),
    (
        "multiplied_by_the_power",
        "The positions are multiplied by base**(2i/dim) and must be divided by it: the first pair is the fastest.",
        [(FREQUENCIES, "base ** (torch.arange(0, dim, 2) / dim)")],
    ),
    (
        "one_frequency_for_all",
        "2i // dim is a whole-number division: it is 0 for every pair, so all pairs have the same frequency.",
        [(FREQUENCIES, "base ** (-(torch.arange(0, dim, 2) // dim).float())")],
    ),
    (
        "base_always_10000",
        "The argument base is ignored: 10000 is written into the formula.",
        [(FREQUENCIES, "10000.0 ** (-torch.arange(0, dim, 2) / dim)")],
    ),
    (
        "counted_from_one",
        "The positions are counted from 1; the first row belongs to position 0.",
        [("torch.arange(n)[:, None]", "torch.arange(1, n + 1)[:, None]")],
    ),
    (
        "between_zero_and_one",
        "The positions are divided by n, so the same place gets another row in a longer text; use 0, 1, 2, …",
        [("torch.arange(n)[:, None]", "torch.arange(n)[:, None] / n")],
    ),
    (
        "times_two_pi",
        "The angles are multiplied by 2π; p / base**(2i/dim) is an angle in radians already.",
        [("torch.arange(n)[:, None] *", "2 * math.pi * torch.arange(n)[:, None] *")],
    ),
    (
        "channels_by_positions",
        "The table lies on its side, [dim n]; every row must be a position, every column a channel.",
        [(PAIRS, PAIRS + ".mT")],
    ),
    (
        "positions_in_half_precision",
        "Sixteen-bit positions cannot tell 2048 from 2049 (bfloat16 not even 256 from 257); count in float32.",
        [("torch.arange(n)[:, None]", "torch.arange(n, dtype=torch.bfloat16)[:, None]")],
    ),
    (
        "single_position_squeezed",
        "squeeze() drops the axis of positions when there is only one; the table is [n dim] for every n.",
        [(PAIRS, PAIRS + ".squeeze()")],
    ),
    (
        "double_precision_returned",
        "The table comes back in float64, as numpy computes it; turn it into float32 at the end.",
        [(PAIRS, PAIRS + ".double()")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(interleaved_by_stacking, name, says, *changes)
