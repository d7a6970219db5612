"""The check of ``shift_matrix(offset, dim, base=10000.)``."""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor

from autograder.checks.positions.rotations_by_hand import generator
from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("positions.shift_matrix", objects=("shift_matrix",))


def oracle(offset: float, dim: int, base: float = 10000.0) -> Tensor:
    """A matrix exponential: (sin, cos) is (cos, sin) mirrored, so the generator's sign is turned round."""
    return torch.matrix_exp(-offset * generator(dim, base)).float()


def expect(plan: Plan, offset: float, dim: int, base: float | None = None, **how: bool | float) -> None:
    """Compare one matrix with the oracle's."""
    matrix = plan.call(offset, dim) if base is None else plan.call(offset, dim, base=base)
    what = f"shift_matrix({offset}, {dim}" + (")" if base is None else f", base={base})")
    plan.expect(matrix, oracle(offset, dim, base or 10000.0), what, **{"strict": False, **how})


@EXERCISE.case(points=1, cause="sin(p+k) = cos k · sin p + sin k · cos p is the first row; cos(p+k) gives the second.")
def one_pair(draw: Draw, plan: Plan) -> None:
    """Two channels, moved on by whole numbers"""
    for offset in (1, draw.integer(4, 9)):
        expect(plan, offset, 2)


@EXERCISE.case(points=1, cause="pair i turns by k / base**(2i/dim): blocks of 2×2 along the diagonal, zeros elsewhere.")
def several_pairs(draw: Draw, plan: Plan) -> None:
    """A block for each pair, along the diagonal"""
    offset, pairs = draw.sizes(2, 3, 7)
    expect(plan, offset, 2 * pairs)
    expect(plan, pairs, 2 * offset)


@EXERCISE.case(points=1, cause="the argument `base` stands in the frequency: 1 / base**(2i/dim).")
def other_bases(draw: Draw, plan: Plan) -> None:
    """Bases other than 10000"""
    expect(plan, draw.integer(2, 5), 2 * draw.integer(3, 5), base=draw.uniform(20, 90))
    expect(plan, draw.integer(6, 9), 6, base=draw.uniform(200, 900))


@EXERCISE.case(points=1, cause="the offset is any number: keep its sign and its fraction. Zero gives the identity.")
def any_offset(draw: Draw, plan: Plan) -> None:
    """Backwards, by a fraction, and not at all"""
    for offset, dim in ((-draw.integer(2, 6), 8), (draw.uniform(0.2, 0.8), 6), (-draw.uniform(2.2, 3.8), 4), (0, 10)):
        expect(plan, offset, dim)


@EXERCISE.case(points=1, cause="compute the entries from the formula, and return them as float32 [dim dim].")
def contract(draw: Draw, plan: Plan) -> None:
    """A far offset, and float32"""
    # float32 angles of some hundred radians are right to about 1e-4
    expect(plan, draw.integer(300, 700), 2 * draw.integer(3, 5), strict=True, atol=2e-3)


@EXERCISE.variant
def block_diagonal() -> None:
    """2×2 blocks put together by torch.block_diag"""

    def shift_matrix(offset, dim, base=10000.0):
        angles = offset * base ** (-torch.arange(0, dim, 2) / dim)
        sin, cos = angles.sin(), angles.cos()
        blocks = torch.stack([torch.stack([cos, sin], dim=-1), torch.stack([-sin, cos], dim=-1)], dim=-2)
        return torch.block_diag(*blocks)


@EXERCISE.variant
def entry_by_entry() -> None:
    """A loop that fills four entries a pair"""

    def shift_matrix(offset, dim, base=10000.0):
        matrix = torch.zeros(dim, dim)
        for i in range(dim // 2):
            angle = offset / base ** (2 * i / dim)
            matrix[2 * i, 2 * i] = matrix[2 * i + 1, 2 * i + 1] = math.cos(angle)
            matrix[2 * i, 2 * i + 1] = math.sin(angle)
            matrix[2 * i + 1, 2 * i] = -math.sin(angle)
        return matrix


@EXERCISE.variant
def three_diagonals() -> None:
    """Cosines on the diagonal, sines and zeros by turns beside it"""

    def shift_matrix(offset, dim, base=10000.0):
        angles = offset * torch.exp(-math.log(base) * torch.arange(0, dim, 2) / dim)
        beside = torch.stack([angles.sin(), torch.zeros_like(angles)], dim=-1).flatten()[:-1]
        diagonal = torch.diag(angles.cos().repeat_interleave(2))
        return diagonal + torch.diag(beside, 1) - torch.diag(beside, -1)


@EXERCISE.variant
def complex_products() -> None:
    """The columns are what becomes of unit vectors, read as complex numbers"""

    def shift_matrix(offset, dim, base=10000.0):
        angles = offset * base ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
        units = torch.view_as_complex(torch.eye(dim, dtype=torch.float64).reshape(dim, dim // 2, 2))
        moved = units * torch.polar(torch.ones_like(angles), -angles)
        return torch.view_as_real(moved).reshape(dim, dim).T.float()


@EXERCISE.variant
def einsum_with_a_mask() -> None:
    """All blocks everywhere, kept on the diagonal by an identity of pairs"""

    def shift_matrix(offset, dim, base=10000.0):
        frequencies = torch.pow(base, -torch.arange(0, dim, 2).float() / dim)
        sin, cos = torch.sin(offset * frequencies), torch.cos(offset * frequencies)
        blocks = torch.stack([cos, sin, -sin, cos]).reshape(2, 2, dim // 2)
        full = torch.einsum("abi,ij->iajb", blocks, torch.eye(dim // 2))
        return rearrange(full, "i a j b -> (i a) (j b)")


FREQUENCIES = "base ** (-torch.arange(0, dim, 2) / dim)"
BLOCKS = "torch.stack([torch.stack([cos, sin], dim=-1), torch.stack([-sin, cos], dim=-1)], dim=-2)"
TOGETHER = "torch.block_diag(*blocks)"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "the_other_way_round",
        "This is the transpose: it moves positions back, or moves them on only if they are rows on its left. The upper "
        "right entry of a block is +sin, the lower left -sin.",
        [(BLOCKS, BLOCKS.replace("[cos, sin]", "[cos, -sin]").replace("[-sin, cos]", "[sin, cos]"))],
    ),
    (
        "a_sign_lost",
        "Both sines of a block are positive, so it is no rotation; cos(p+k) = cos k · cos p - sin k · sin p has a "
        "minus.",
        [("[-sin, cos]", "[sin, cos]")],
    ),
    (
        "cosine_taken_for_the_first_channel",
        "Sine and cosine have changed places inside the block: the diagonal holds the cosines.",
        [(BLOCKS, BLOCKS.replace("[cos, sin]", "[sin, cos]").replace("[-sin, cos]", "[cos, -sin]"))],
    ),
    (
        "halves_not_neighbours",
        "Channels i and i + dim/2 are turned together; here a pair is two neighbours, 2i and 2i + 1.",
        [
            (
                TOGETHER,
                "torch.cat([torch.cat([torch.diag(cos), torch.diag(sin)], dim=1), "
                "torch.cat([torch.diag(-sin), torch.diag(cos)], dim=1)])",
            )
        ],
    ),
    (
        "blocks_left_apart",
        "The 2×2 blocks are returned as a stack [dim/2 2 2]; put them along the diagonal of one [dim dim] matrix.",
        [(TOGETHER, "blocks")],
    ),
    (
        "one_angle_for_all",
        "Every pair turns by the offset itself; pair i must turn by offset / base**(2i/dim).",
        [(FREQUENCIES, "torch.ones(dim // 2)")],
    ),
    (
        "frequency_from_the_number_of_the_pair",
        "The exponent is i/dim where it must be 2i/dim, as in `sinusoidal`.",
        [(FREQUENCIES, "base ** (-torch.arange(dim // 2) / dim)")],
    ),
    (
        "doubled_twice",
        "arange(0, dim, 2) counts 2i already; doubling it again makes the exponent 4i/dim.",
        [(FREQUENCIES, "base ** (-2 * torch.arange(0, dim, 2) / dim)")],
    ),
    (
        "multiplied_by_the_power",
        "The offset is multiplied by base**(2i/dim) and must be divided by it: later pairs turn more slowly.",
        [(FREQUENCIES, "base ** (torch.arange(0, dim, 2) / dim)")],
    ),
    (
        "base_always_10000",
        "The argument base is ignored: 10000 is written into the formula.",
        [(FREQUENCIES, "10000.0 ** (-torch.arange(0, dim, 2) / dim)")],
    ),
    (
        "fraction_cut_off",
        "int(offset) cuts the fraction off; a sinusoid can be moved by any amount.",
        [("offset * base", "int(offset) * base")],
    ),
    (
        "sign_of_the_offset_lost",
        "Negative offsets move forward too: the sign of the offset got lost.",
        [("offset * base", "abs(offset) * base")],
    ),
    (
        "degrees",
        "The offset is taken for degrees and turned into radians; offset / base**(2i/dim) is in radians already.",
        [("offset * base", "math.radians(offset) * base")],
    ),
    (
        "double_precision_returned",
        "The matrix comes back in float64; turn it into float32 at the end.",
        [(TOGETHER, TOGETHER + ".double()")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(block_diagonal, name, says, *changes)
