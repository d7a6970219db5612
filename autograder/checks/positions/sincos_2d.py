"""The check of ``sincos_2d(h, w, dim)``."""

import cmath
import math

import torch
from einops import rearrange
from torch import Tensor

from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("positions.sincos_2d", objects=("sincos_2d",))


def oracle(h: int, w: int, dim: int) -> Tensor:
    """One place and one pair of channels at a time: the imaginary and the real part of exp(i·angle)."""
    table = torch.empty(h * w, dim, dtype=torch.float64)
    half = dim // 2
    for row in range(h):
        for column in range(w):
            for axis, position in enumerate((row, column)):
                for pair in range(half // 2):
                    wave = cmath.exp(1j * position / 10000 ** (2 * pair / half))
                    at = axis * half + 2 * pair
                    table[row * w + column, at] = wave.imag
                    table[row * w + column, at + 1] = wave.real
    return table.float()


def expect(plan: Plan, h: int, w: int, dim: int) -> None:
    """Ask for one table and compare it."""
    plan.expect(plan.call(h, w, dim), oracle(h, w, dim), f"sincos_2d({h}, {w}, {dim})", strict=False)


@EXERCISE.case(points=1, cause="place r*w + c (row after row) is described by [sin r, cos r, sin c, cos c].")
def four_channels(draw: Draw, plan: Plan) -> None:
    """Four channels: one pair for the row, one for the column, grids wide and tall"""
    small, large = sorted(draw.sizes(2, 5, 9))
    expect(plan, small, large, 4)
    expect(plan, large, small, 4)


@EXERCISE.case(points=1, cause="in a half of dim/2 channels, pair i holds sin and cos of p / 10000**(2i/(dim/2)).")
def one_row_and_one_column(draw: Draw, plan: Plan) -> None:
    """A single row and a single column, with many channels"""
    n, m = draw.sizes(2, 5, 11)
    expect(plan, 1, n, 4 * draw.integer(3, 5))
    expect(plan, m, 1, 4 * draw.integer(6, 8))


@EXERCISE.case(
    points=2, cause="repeat each row's half w times in a run, the columns' half h times over; then concatenate."
)
def grids(draw: Draw, plan: Plan) -> None:
    """Whole grids with many channels, wide and tall"""
    small, large = sorted(draw.sizes(2, 3, 7))
    expect(plan, small, large, 4 * draw.integer(3, 4))
    expect(plan, large, small, 4 * draw.integer(5, 6))


@EXERCISE.case(
    points=0.5, cause="rows and columns count from 0, sin 0 = 0 and cos 0 = 1; torch's default dtype, float32."
)
def one_place(draw: Draw, plan: Plan) -> None:
    """A grid of one place, asked for by keywords; the table is float32"""
    dim = 4 * draw.integer(2, 6)
    plan.expect(plan.call(h=1, w=1, dim=dim), oracle(1, 1, dim), f"sincos_2d(h=1, w=1, dim={dim})")


@EXERCISE.case(points=0.5, cause="positions are whole row and column numbers, however large the grid is.")
def a_long_grid(draw: Draw, plan: Plan) -> None:
    """Rows and columns by the dozen"""
    small, large = draw.integer(2, 4), draw.integer(50, 60)
    # float32 resolves an angle of 60 to 4e-6, so a table made in it is right to about 1e-4
    for h, w in ((small, large), (large, small)):
        plan.expect(plan.call(h, w, 12), oracle(h, w, 12), f"sincos_2d({h}, {w}, 12)", atol=3e-4, strict=False)


@EXERCISE.variant
def halves_repeated() -> None:
    """One sinusoidal table an axis, repeated and set side by side"""

    def waves(n, width):
        angles = torch.arange(n)[:, None] / 10000 ** (torch.arange(0, width, 2) / width)
        return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)

    def sincos_2d(h, w, dim):
        rows, columns = waves(h, dim // 2), waves(w, dim // 2)
        rows = rows.repeat_interleave(w, dim=0)
        columns = columns.repeat(h, 1)
        return torch.cat([rows, columns], dim=-1)


@EXERCISE.variant
def by_meshgrid() -> None:
    """meshgrid, and a table filled by strided slices"""

    def sincos_2d(h, w, dim):
        row, column = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        frequencies = torch.exp(-math.log(10000.0) * torch.arange(0, dim, 4) / dim)
        table = torch.zeros(h * w, dim)
        for start, position in ((0, row), (dim // 2, column)):
            angles = torch.outer(position.flatten().float(), frequencies)
            table[:, start : start + dim // 2 : 2] = torch.sin(angles)
            table[:, start + 1 : start + dim // 2 : 2] = torch.cos(angles)
        return table


@EXERCISE.variant
def number_by_number() -> None:
    """Python loops and math.sin"""

    def sincos_2d(h, w, dim):
        table = []
        for place in range(h * w):
            vector = []
            for position in divmod(place, w):
                for i in range(dim // 4):
                    angle = position / 10000 ** (4 * i / dim)
                    vector += [math.sin(angle), math.cos(angle)]
            table.append(vector)
        return torch.tensor(table)


@EXERCISE.variant
def expanded_in_double_precision() -> None:
    """Broadcasting over a grid [h w], a cosine as a shifted sine, cast at the end"""

    def sincos_2d(h, w, dim):
        k = torch.arange(dim // 2, dtype=torch.float64)
        frequencies, quarter = 10000.0 ** (-4 * (k // 2) / dim), (k % 2) * math.pi / 2
        row = torch.sin(torch.arange(h)[:, None, None] * frequencies + quarter).expand(h, w, dim // 2)
        column = torch.sin(torch.arange(w)[None, :, None] * frequencies + quarter).expand(h, w, dim // 2)
        return rearrange(torch.cat([row, column], -1), "h w d -> (h w) d").float()


EXPONENT = "10000 ** (torch.arange(0, width, 2) / width)"
ROWS, COLUMNS = "rows.repeat_interleave(w, dim=0)", "columns.repeat(h, 1)"
PAIRS, RETURN = "torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)", "torch.cat([rows, columns], dim=-1)"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "column_first",
        "The halves are swapped: the first half of the channels says the row, the second the column. (MAE's published "
        'code has it your way, "here w goes first": compare conventions before you load somebody\'s weights.)',
        [(RETURN, "torch.cat([columns, rows], dim=-1)")],
    ),
    (
        "column_after_column",
        "The places are listed column after column; tokens come row after row, so place r*w + c is row r, column c.",
        [(ROWS, "rows.repeat(w, 1)"), (COLUMNS, "columns.repeat_interleave(h, dim=0)")],
    ),
    (
        "rows_repeated_as_a_whole",
        "The rows run 0, 1, 2, … along a row of the grid: each row's vector must be repeated w times in a run "
        "(repeat_interleave), while the columns' table is repeated as a whole.",
        [(ROWS, "rows.repeat(w, 1)")],
    ),
    (
        "sines_then_cosines",
        "All sines of an axis come first, then all cosines; here channels 2i and 2i + 1 of each half are a pair.",
        [(PAIRS, "torch.cat([angles.sin(), angles.cos()], dim=-1)")],
    ),
    (
        "cosine_first",
        "In each pair the cosine comes first; it should be sine, then cosine.",
        [(PAIRS, "torch.stack([angles.cos(), angles.sin()], dim=-1).flatten(1)")],
    ),
    (
        "frequencies_of_the_whole_width",
        "The exponent of pair i is 2i/dim, but each axis has a table of its own with dim/2 channels: with 2i/(dim/2) "
        "the slowest wave comes near 1/10000, with yours only to 1/100.",
        [(EXPONENT, "10000 ** (torch.arange(0, width, 2) / (2 * width))")],
    ),
    (
        "last_wave_at_the_base",
        "The exponent runs from 0 to 1 inclusive, because it is divided by the number of pairs minus one (as in "
        "vit-pytorch's SimpleViT); here it is divided by the number of pairs, and one pair is not divided by zero.",
        [(EXPONENT, "10000 ** (torch.arange(width // 2) / (width // 2 - 1))")],
    ),
    (
        "added_instead_of_concatenated",
        "The tables of rows and columns are added, so (1, 2) and (2, 1) look the same. Give each its own half.",
        [
            ("waves(h, dim // 2), waves(w, dim // 2)", "waves(h, dim), waves(w, dim)"),
            (RETURN, "rows + columns"),
        ],
    ),
    (
        "places_numbered_through",
        "This is the one-dimensional table of places 0 … h*w - 1: it does not know which places lie above one another.",
        [
            ("rows, columns = waves(h, dim // 2), waves(w, dim // 2)", "rows = waves(h * w, dim)"),
            (f"    rows = {ROWS}\n", ""),
            (f"    columns = {COLUMNS}\n", ""),
            (RETURN, "rows"),
        ],
    ),
    (
        "coordinates_between_zero_and_one",
        "Rows and columns are divided by the grid's size; here a position is the whole number of its row or column.",
        [("torch.arange(n)[:, None]", "torch.linspace(0, 1, n)[:, None]")],
    ),
    (
        "counted_from_one",
        "Rows and columns are counted from 1; the first row and the first column are 0.",
        [("torch.arange(n)[:, None]", "torch.arange(1, n + 1)[:, None]")],
    ),
    (
        "grid_not_flattened",
        "The table comes as [h w dim]; tokens are a sequence, so it must be [h*w dim].",
        [(RETURN, "torch.cat([rows, columns], dim=-1).reshape(h, w, dim)")],
    ),
    (
        "in_double_precision",
        "The table is float64, as numpy makes it; added to float32 tokens it would turn them into float64 as well.",
        [("torch.arange(n)[:, None]", "torch.arange(n, dtype=torch.float64)[:, None]")],
    ),
    (
        "base_of_one_thousand",
        "The base is 1000; it is 10000.",
        [("10000 **", "1000 **")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(halves_repeated, name, says, *changes)
