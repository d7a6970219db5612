"""The check of ``resize_positions(table, old_hw, new_hw, n_prefix=1)``."""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("positions.resize_positions", objects=("resize_positions",))
Size = tuple[int, int]
ATOL = 1e-4  # float32 coordinates are right to 1e-6, and neighbouring vectors may differ by several units


def cubic(x: float, a: float = -0.75) -> float:
    """The weight of a sample at distance x (Keys 1981, equation 4, with the a that torch uses)."""
    x = abs(x)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def along_one_axis(old: int, new: int) -> Tensor:
    """The matrix [new old] of bicubic resizing: pixel centres aligned, the border's samples repeated outside."""
    matrix = torch.zeros(new, old, dtype=torch.float64)
    for i in range(new):
        centre = (i + 0.5) * old / new - 0.5
        for tap in range(math.floor(centre) - 1, math.floor(centre) + 3):
            matrix[i, min(max(tap, 0), old - 1)] += cubic(centre - tap)
    return matrix


def resizing(old: Size, new: Size, n_prefix: int) -> Tensor:
    """The whole function as one matrix: it is linear in the table."""
    grid = torch.kron(along_one_axis(old[0], new[0]), along_one_axis(old[1], new[1]))
    return torch.block_diag(torch.eye(n_prefix, dtype=torch.float64), grid)


def oracle(table: Tensor, old: Size, new: Size, n_prefix: int = 1) -> Tensor:
    """That matrix times the table, in float64."""
    return (resizing(old, new, n_prefix) @ table.double()).to(table.dtype)


def grids(draw: Draw) -> tuple[Size, Size, int]:
    """A small grid and a larger one of other proportions, both wide, and a width that no number of tokens equals."""
    (h, w), (h2, w2) = sorted(draw.sizes(2, 2, 5)), sorted(draw.sizes(2, 7, 9))
    return (h, w), (h2, w2), draw.integer(28, 40)


def turned(size: Size) -> Size:
    """The same grid, standing up."""
    return size[1], size[0]


def expect(draw: Draw, plan: Plan, old: Size, new: Size, d: int, n_prefix: int) -> None:
    """Resize a table drawn at random and compare."""
    table = draw.normal(n_prefix + old[0] * old[1], d)
    got = plan.call(table, old, new, n_prefix=n_prefix)
    what = f"the table resized from {old} to {new}, n_prefix={n_prefix}"
    plan.expect(got, oracle(table, old, new, n_prefix), what, atol=ATOL)


@EXERCISE.case(
    points=1, cause="make it an image [1 d h w], resize that bicubically (align_corners=False), flatten again."
)
def to_a_larger_grid(draw: Draw, plan: Plan) -> None:
    """A larger grid, wide and tall, with no prefix"""
    old, new, d = grids(draw)
    expect(draw, plan, old, new, d, n_prefix=0)
    expect(draw, plan, turned(old), turned(new), d, n_prefix=0)


@EXERCISE.case(
    points=1, cause="cut the first n_prefix vectors off, resize the rest, and put them back in front, unchanged."
)
def prefixes(draw: Draw, plan: Plan) -> None:
    """A prefix of one vector, as is the default, and of several"""
    old, new, d = grids(draw)
    table = draw.normal(1 + old[0] * old[1], d)
    plan.expect(
        plan.call(table, old, new), oracle(table, old, new), f"the table resized from {old} to {new}", atol=ATOL
    )
    expect(draw, plan, turned(old), turned(new), d, n_prefix=draw.integer(2, 4))


@EXERCISE.case(
    points=1, cause="each axis has its own factor; bicubic as it is, without antialias=True, also to shrink."
)
def to_a_smaller_grid(draw: Draw, plan: Plan) -> None:
    """A smaller grid, and grids that grow along one axis and shrink along the other"""
    (h, w), (h2, w2), d = grids(draw)
    expect(draw, plan, (h2, w2), (h, w), d, n_prefix=1)
    expect(draw, plan, (h, w2), (h2, w), d, n_prefix=1)
    expect(draw, plan, (h2, w), (h, w2), d, n_prefix=1)


@EXERCISE.case(points=0.5, cause="compare the grids, not the numbers of places: 2×6 and 3×4 have equally many.")
def as_many_places(draw: Draw, plan: Plan) -> None:
    """The same grid, which changes nothing, and another one with equally many places"""
    small, large, d = grids(draw)
    expect(draw, plan, small, small, d, n_prefix=1)
    expect(draw, plan, large, turned(large), d, n_prefix=1)


@EXERCISE.case(points=0.5, cause="outside the grid its border is repeated, so a single row gives equal rows.")
def from_a_single_row(draw: Draw, plan: Plan) -> None:
    """A single row, a single column and a single place"""
    (h, w), new, d = grids(draw)
    for old in ((1, w), (h, 1), (1, 1)):
        expect(draw, plan, old, new, d, n_prefix=2)


@EXERCISE.case(
    points=0.5, cause="count axes from the end: places are axis -2, channels axis -1; the rest stays in front."
)
def leading_axes(draw: Draw, plan: Plan) -> None:
    """Tables [1 n d], as published models hold them, and [k n d]"""
    old, new, d = grids(draw)
    for lead in (1, draw.integer(2, 3)):
        table = draw.normal(lead, 1 + old[0] * old[1], d)
        plan.expect(
            plan.call(table, old, new), oracle(table, old, new), f"the table {list(table.shape)} resized", atol=ATOL
        )


@EXERCISE.case(points=1, cause="compute in the table's dtype, write nothing into it, and let gradients through.")
def contract(draw: Draw, plan: Plan) -> None:
    """float64 stays float64, the table stays as it was, gradients reach it"""
    old, new, d = grids(draw)
    n_prefix = draw.integer(2, 4)
    values = draw.normal(n_prefix + old[0] * old[1], d, dtype=torch.float64)
    cotangent = draw.normal(n_prefix + new[0] * new[1], d, dtype=torch.float64)
    table = plan.put(values)
    got = plan.call(table, old, new, n_prefix=n_prefix)
    plan.expect(got, oracle(values, old, new, n_prefix), "the resized float64 table")
    plan.expect(table, values, "table after the call")
    leaf = plan.put(values, grad=True)
    plan.backward(plan.call(leaf, old, new, n_prefix=n_prefix), cotangent)
    plan.expect_grad(leaf, resizing(old, new, n_prefix).T @ cotangent, "table")


@EXERCISE.variant
def by_interpolate() -> None:
    """Reshape, permute, torch's interpolate, and back"""

    def resize_positions(table, old_hw, new_hw, n_prefix=1):
        (h, w), d = old_hw, table.shape[-1]
        prefix, grid = table[..., :n_prefix, :], table[..., n_prefix:, :]
        images = grid.reshape(-1, h, w, d).permute(0, 3, 1, 2)
        images = F.interpolate(images, size=new_hw, mode="bicubic", align_corners=False)
        grid = images.permute(0, 2, 3, 1).reshape(*table.shape[:-2], -1, d)
        return torch.cat([prefix, grid], dim=-2)


@EXERCISE.variant
def by_names() -> None:
    """einops and nn.Upsample; the same grid is given back as it is"""

    def resize_positions(table, old_hw, new_hw, n_prefix=1):
        if old_hw == new_hw:
            return table
        batch = table if table.ndim == 3 else table[None]
        images = rearrange(batch[:, n_prefix:], "k (h w) d -> k d h w", h=old_hw[0], w=old_hw[1])
        images = nn.Upsample(size=new_hw, mode="bicubic")(images)
        batch = torch.cat([batch[:, :n_prefix], rearrange(images, "k d h w -> k (h w) d")], dim=1)
        return batch.reshape(*table.shape[:-2], *batch.shape[1:])


@EXERCISE.variant
def one_axis_after_the_other() -> None:
    """Bicubic resizing is separable: first the columns, then the rows"""

    def resize_positions(table, old_hw, new_hw, n_prefix=1):
        prefix, grid = table.split([n_prefix, old_hw[0] * old_hw[1]], dim=-2)
        images = grid.mT.reshape(-1, grid.shape[-1], *old_hw)
        images = F.interpolate(images, size=(old_hw[0], new_hw[1]), mode="bicubic")
        images = F.interpolate(images, size=tuple(new_hw), mode="bicubic")
        grid = images.flatten(2).mT
        return torch.cat([prefix, grid.reshape(*table.shape[:-2], *grid.shape[1:])], dim=-2)


@EXERCISE.variant
def sampled_at_coordinates() -> None:
    """grid_sample at the pixel centres of the new grid, the border repeated"""

    def resize_positions(table, old_hw, new_hw, n_prefix=1):
        d = table.shape[-1]
        ys, xs = ((2 * torch.arange(n, dtype=torch.float64) + 1) / n - 1 for n in new_hw)
        points = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), dim=-1).to(table.dtype)
        images = table[..., n_prefix:, :].reshape(-1, *old_hw, d).permute(0, 3, 1, 2)
        points = points.expand(len(images), -1, -1, -1)
        images = F.grid_sample(images, points, mode="bicubic", padding_mode="border", align_corners=False)
        grid = images.flatten(2).mT.reshape(*table.shape[:-2], -1, d)
        return torch.cat([table[..., :n_prefix, :], grid], dim=-2)


RESIZED = 'F.interpolate(images, size=new_hw, mode="bicubic", align_corners=False)'
IMAGES = "grid.reshape(-1, h, w, d).permute(0, 3, 1, 2)"
FLAT, RETURN = "images.permute(0, 2, 3, 1).reshape(", "return torch.cat([prefix, grid], dim=-2)"
SPLIT = "prefix, grid = table[..., :n_prefix, :], table[..., n_prefix:, :]"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "corners_aligned",
        "align_corners=True puts the outermost places of both grids on top of each other; patches are areas, so their "
        "outer edges must meet: align_corners=False.",
        [("align_corners=False", "align_corners=True")],
    ),
    (
        "bilinear",
        "The interpolation is bilinear; the statement asks for bicubic.",
        [('"bicubic"', '"bilinear"')],
    ),
    (
        "nearest",
        "The nearest old vector is copied (interpolate's default mode); the statement asks for bicubic.",
        [(', mode="bicubic", align_corners=False', "")],
    ),
    (
        "antialiased",
        "antialias=True uses another kernel and blurs where the grid shrinks; timm does so, the statement does not.",
        [("align_corners=False", "align_corners=False, antialias=True")],
    ),
    (
        "tenth_of_a_patch_too_large",
        "The scale factor is (new + 0.1)/old, as in DINO's published code, where the 0.1 guards against rounding. "
        "interpolate then places the samples by that factor, a little off: give it size=new_hw instead.",
        [
            (
                "size=new_hw",
                "scale_factor=((new_hw[0] + 0.1) / h, (new_hw[1] + 0.1) / w)",
            )
        ],
    ),
    (
        "reshaped_without_permuting",
        "The vectors [h*w d] are reshaped to an image [d h w] at once, which mixes places with channels. Make it "
        "[h w d] first, then bring the channels to the front.",
        [(IMAGES, "grid.reshape(-1, d, h, w)")],
    ),
    (
        "flattened_without_permuting",
        "The resized image [d h w] is reshaped to [h*w d] without moving the channels back to the end first.",
        [(FLAT, "images.reshape(")],
    ),
    (
        "grid_read_on_its_side",
        "The places are read as w rows of h; sizes are (rows, columns), and places run row after row.",
        [("reshape(-1, h, w, d)", "reshape(-1, w, h, d)")],
    ),
    (
        "new_grid_on_its_side",
        "Rows and columns of the new grid are swapped: interpolate takes size=(rows, columns) too.",
        [("size=new_hw", "size=(new_hw[1], new_hw[0])")],
    ),
    (
        "written_column_after_column",
        "The resized image is read column after column; tokens run row after row.",
        [("images.permute(0, 2, 3, 1)", "images.permute(0, 3, 2, 1)")],
    ),
    (
        "square_assumed",
        "The side of the grid is taken as the root of the number of places; use old_hw, a grid need not be square.",
        [("(h, w), d = old_hw, table", "h = w = math.isqrt(table.shape[-2] - n_prefix)\n    d = table")],
    ),
    (
        "nothing_done_for_as_many_places",
        "The table is given back wherever the number of places stays the same, but 2×6 and 3×4 are not the same grid. "
        "(Compare the two sizes, not their products.)",
        [
            (
                "    (h, w), d = old_hw",
                "    if math.prod(old_hw) == math.prod(new_hw):\n        return table\n    (h, w), d = old_hw",
            )
        ],
    ),
    (
        "always_one_prefix_vector",
        "The argument n_prefix is ignored: one vector is cut off, whatever is asked for.",
        [("table[..., :n_prefix, :], table[..., n_prefix:, :]", "table[..., :1, :], table[..., 1:, :]")],
    ),
    (
        "prefix_lost",
        "The prefix vectors are cut off and never put back in front.",
        [(RETURN, "return grid")],
    ),
    (
        "prefix_at_the_end",
        "The prefix vectors come back at the end; they belong in front of the grid, where the cls token stands.",
        [("[prefix, grid]", "[grid, prefix]")],
    ),
    (
        "prefix_cut_from_the_end",
        "The prefix is taken from the end of the table; it is the first n_prefix vectors.",
        [
            (
                SPLIT,
                "prefix, grid = table[..., h * w :, :], table[..., : h * w, :]",
            )
        ],
    ),
    (
        "batch_axis_lost",
        "Only a table [n d] is expected. A published table is [1 n d]: keep the axes in front as they are.",
        [("*table.shape[:-2], -1, d", "-1, d")],
    ),
    (
        "detached",
        "The result is cut off from autograd: a model fine-tuned at the new size could not learn its table any more.",
        [(RETURN, "return torch.cat([prefix, grid], dim=-2).detach()")],
    ),
    (
        "prefix_detached",
        "The grid's vectors get a gradient, the prefix does not: it was detached (or copied by .data) on its way.",
        [("[prefix, grid]", "[prefix.detach(), grid]")],
    ),
    (
        "in_single_precision",
        "The table comes back as float32, whatever it was. Return the dtype of the table.",
        [(RETURN, "return torch.cat([prefix, grid], dim=-2).float()")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(by_interpolate, name, says, *changes)
