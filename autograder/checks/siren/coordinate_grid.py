"""The check of ``coordinate_grid(h, w) -> [h*w 2]``."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("siren.coordinate_grid", objects=("coordinate_grid",))


def oracle(h: int, w: int) -> Tensor:
    """Pixel by pixel; a side of one pixel has the coordinate 0."""
    points = []
    for number in range(h * w):
        row, column = divmod(number, w)
        points.append([2 * row / (h - 1) - 1 if h > 1 else 0.0, 2 * column / (w - 1) - 1 if w > 1 else 0.0])
    return torch.tensor(points, dtype=torch.float32)


def wide(draw: Draw) -> tuple[int, int]:
    """The sides of an image that is wider than it is high; no side has two pixels, nor do they add up alike."""
    h = draw.integer(3, 5)
    return h, h + draw.integer(2, 4)


def expect(plan: Plan, h: int, w: int) -> None:
    """Compare the whole grid of ``h`` times ``w`` pixels."""
    plan.expect(plan.call(h, w), oracle(h, w), f"coordinate_grid({h}, {w})", strict=False)


@EXERCISE.case(points=1, cause="one row a pixel, two numbers a row; the outermost pixels sit on -1 and 1 exactly.")
def range_of_both(draw: Draw, plan: Plan) -> None:
    """The smallest and the largest coordinates, of a wide and of a tall image"""
    short, long = wide(draw)
    for h, w in ((short, long), (long, short)):
        grid = plan.call(h, w)
        plan.expect(plan.call(on=grid, method="numel"), 2 * h * w, f"the count of numbers in coordinate_grid({h}, {w})")
        for method, word, want in (("amin", "smallest", -1.0), ("amax", "largest", 1.0)):
            got = plan.call(0, on=grid, method=method)
            plan.expect(
                got, torch.full((2,), want), f"the {word} row and column of coordinate_grid({h}, {w})", strict=False
            )


@EXERCISE.case(points=1, cause="the coordinates of a side are evenly spaced, as in torch.linspace(-1, 1, n).")
def spacing(draw: Draw, plan: Plan) -> None:
    """A single column and a single row of pixels: the side that has many"""
    for n in draw.sizes(2, 3, 9):
        for index, (h, w) in enumerate(((n, 1), (1, n))):
            side = plan.call(1, torch.tensor([index]), on=plan.call(h, w), method="index_select")
            want = oracle(h, w)[:, index : index + 1]
            plan.expect(side, want, f"part {index} of coordinate_grid({h}, {w})", strict=False)


@EXERCISE.case(
    points=1, cause="pixels row by row, each as (row, column): the second number changes from pixel to pixel."
)
def wide_image(draw: Draw, plan: Plan) -> None:
    """All pixels of an image wider than high"""
    expect(plan, *wide(draw))


@EXERCISE.case(points=1, cause="h counts the rows and w the columns; the second number repeats after w pixels.")
def tall_image(draw: Draw, plan: Plan) -> None:
    """All pixels of an image higher than wide"""
    w, h = wide(draw)
    expect(plan, h, w)


@EXERCISE.case(points=1, cause="a side of one pixel has its coordinate in the middle, 0: treat n = 1 by itself.")
def one_pixel(draw: Draw, plan: Plan) -> None:
    """One row, one column, one pixel"""
    n = draw.integer(3, 6)
    for h, w in ((1, n), (n + 1, 1), (1, 1)):
        expect(plan, h, w)


@EXERCISE.case(points=1, cause="return a float32 tensor, also for sides given by keyword and for hundreds of pixels.")
def contract(draw: Draw, plan: Plan) -> None:
    """Float32, large sides, arguments by keyword"""
    h, w = draw.integer(120, 150), draw.integer(160, 190)
    plan.expect(plan.call(h=h, w=w), oracle(h, w), f"coordinate_grid(h={h}, w={w})")


@EXERCISE.variant
def by_meshgrid() -> None:
    """torch.meshgrid over two sides, stacked"""

    def coordinate_grid(h, w):
        rows = torch.linspace(-1, 1, h) if h > 1 else torch.zeros(1)
        columns = torch.linspace(-1, 1, w) if w > 1 else torch.zeros(1)
        grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1)
        return grid.reshape(h * w, 2)


@EXERCISE.variant
def pixel_by_pixel() -> None:
    """Two loops"""

    def coordinate_grid(h, w):
        out = torch.empty(h * w, 2)
        for i in range(h):
            for j in range(w):
                out[i * w + j, 0] = (2 * i - (h - 1)) / max(h - 1, 1)
                out[i * w + j, 1] = (2 * j - (w - 1)) / max(w - 1, 1)
        return out


@EXERCISE.variant
def by_division() -> None:
    """The number of a pixel divided by w, quotient and rest"""

    def coordinate_grid(h, w):
        number = torch.arange(h * w)
        places = torch.stack([number // w, number % w], 1)
        last = torch.tensor([h - 1, w - 1])
        return (2 * places - last) / last.clamp(min=1)


@EXERCISE.variant
def by_repeating() -> None:
    """Rows repeated entry by entry, columns as a whole, through einops"""

    def coordinate_grid(h, w):
        def side(n):
            return torch.linspace(-1, 1, n) if n != 1 else torch.tensor([0.0])

        return rearrange([side(h).repeat_interleave(w), side(w).repeat(h)], "two n -> n two")


ROWS = "torch.linspace(-1, 1, h) if h > 1 else torch.zeros(1)"
COLUMNS = "torch.linspace(-1, 1, w) if w > 1 else torch.zeros(1)"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "column_first",
        "Each pixel is given as (column, row), as with x and y; the course counts as matrices do, row first.",
        [
            (
                '(torch.meshgrid(rows, columns, indexing="ij"), dim',
                '(torch.meshgrid(rows, columns, indexing="ij")[::-1], dim',
            )
        ],
    ),
    (
        "column_by_column",
        "The pixels come column by column; an image flattened with reshape comes row by row.",
        [("grid.reshape", "grid.transpose(0, 1).reshape")],
    ),
    (
        "columns_first_in_both",
        "Rows and columns are exchanged, in the pairs and in the order of pixels: this is the grid of an image w high.",
        [("(rows, columns, indexing", "(columns, rows, indexing")],
    ),
    (
        "pixel_centres",
        "The coordinates are those of pixel centres, half a pixel inside ±1; here the outermost pixels sit on ±1.",
        [
            (ROWS, "(torch.arange(h) + 0.5) / h * 2 - 1"),
            (COLUMNS, "(torch.arange(w) + 0.5) / w * 2 - 1"),
        ],
    ),
    (
        "end_left_out",
        "The last pixel stays short of 1, since the step is 2/n; n pixels have n - 1 steps between them.",
        [
            (ROWS, "torch.arange(h) / h * 2 - 1 if h > 1 else torch.zeros(1)"),
            (COLUMNS, "torch.arange(w) / w * 2 - 1 if w > 1 else torch.zeros(1)"),
        ],
    ),
    (
        "from_zero_to_one",
        "The coordinates run from 0 to 1; SIREN's weights are drawn for coordinates from -1 to 1.",
        [
            (ROWS, "torch.linspace(0, 1, h) if h > 1 else torch.zeros(1)"),
            (COLUMNS, "torch.linspace(0, 1, w) if w > 1 else torch.zeros(1)"),
        ],
    ),
    (
        "pixel_numbers",
        "These are whole pixel numbers, so a finer grid would cover a larger square; scale them to [-1, 1].",
        [
            (ROWS, "torch.arange(h).float()"),
            (COLUMNS, "torch.arange(w).float()"),
        ],
    ),
    (
        "aspect_ratio_kept",
        "The shorter side gets a shorter interval, to keep the image's proportions; here both sides run from -1 to 1.",
        [
            (ROWS, "torch.linspace(-1, 1, h) * min(1, h / w) if h > 1 else torch.zeros(1)"),
            (COLUMNS, "torch.linspace(-1, 1, w) * min(1, w / h) if w > 1 else torch.zeros(1)"),
        ],
    ),
    (
        "rows_upwards",
        "The first row of pixels gets 1 and the last -1, as on a plot's axis; here rows count downwards from -1.",
        [(ROWS, "torch.linspace(1, -1, h) if h > 1 else torch.zeros(1)")],
    ),
    (
        "single_pixel_at_the_edge",
        "A side of one pixel gets -1, which is what linspace gives for one point; in the middle of the interval is 0.",
        [(ROWS, "torch.linspace(-1, 1, h)"), (COLUMNS, "torch.linspace(-1, 1, w)")],
    ),
    (
        "divided_by_nothing",
        "With one pixel along a side n - 1 is 0, and 0/0 is NaN; such a side needs a case of its own.",
        [
            (ROWS, "torch.arange(h) / torch.tensor(h - 1) * 2 - 1"),
            (COLUMNS, "torch.arange(w) / torch.tensor(w - 1) * 2 - 1"),
        ],
    ),
    (
        "axes_kept",
        "The grid still has the image's two axes, [h w 2]; flatten them to [h*w 2], one row a pixel.",
        [("grid.reshape(h * w, 2)", "grid")],
    ),
    (
        "stacked_in_front",
        "The pair is stacked along the first axis and then reshaped, which mixes pixels; stack along the last axis.",
        [("dim=-1", "dim=0")],
    ),
    (
        "double_precision",
        "The grid is float64 (numpy's default), and a float32 network cannot take it; torch's default is float32.",
        [("grid.reshape(h * w, 2)", "grid.reshape(h * w, 2).double()")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(by_meshgrid, name, says, *changes)
