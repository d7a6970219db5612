"""The check of ``cls_attention_maps(attn, grid) -> [b h gh gw]``."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("vit.cls_attention_maps", objects=("cls_attention_maps",))


def oracle(attn: Tensor, grid: tuple[int, int]) -> Tensor:
    """One gather: from the row and column of a patch follows the key."""
    rows, columns = torch.arange(grid[0])[:, None], torch.arange(grid[1])[None, :]
    return attn[:, :, 0, 1 + rows * grid[1] + columns]


def weights(draw: Draw, b: int, h: int, grid: tuple[int, int], dtype: torch.dtype = torch.float32) -> Tensor:
    """Random attention weights of a cls token and a grid of patches: rows sum to one, nothing is symmetric.

    No patch gets more from cls than cls itself, so that what is missing to one is never lost in rounding.
    """
    n = 1 + grid[0] * grid[1]
    scores = 2 * draw.normal(b, h, n, n, dtype=dtype)
    scores[:, :, 0, 0] = scores[:, :, 0].amax(-1)
    return scores.softmax(-1)


def sides(draw: Draw, count: int = 0) -> list[int]:
    """``count`` sizes, then the smaller and the larger side of a grid: all different."""
    *others, one, other = draw.sizes(count + 2)
    return [*others, min(one, other), max(one, other)]


@EXERCISE.case(points=1, cause="take the row of query 0 without its first key, and lay it out row by row.")
def one_head(draw: Draw, plan: Plan) -> None:
    """One image and one head, a grid higher than wide"""
    gw, gh = sides(draw)
    attn = weights(draw, 1, 1, (gh, gw))
    plan.expect(plan.call(attn, (gh, gw)), oracle(attn, (gh, gw)), f"cls_attention_maps(attn, {(gh, gw)})")


@EXERCISE.case(points=1, cause="images and heads stay the two first axes; `grid` is (rows, columns).")
def several_heads(draw: Draw, plan: Plan) -> None:
    """Several images and heads, grids wider than high and higher than wide"""
    b, h, short, long = sides(draw, 2)
    for grid in ((short, long), (long, short)):
        attn = weights(draw, b, h, grid)
        plan.expect(plan.call(attn, grid), oracle(attn, grid), f"cls_attention_maps(attn, {grid})")


@EXERCISE.case(points=1, cause="hand the weights on as they are: a map sums to 1 minus what cls gives to itself.")
def cls_looks_at_itself(draw: Draw, plan: Plan) -> None:
    """A cls token that gives most of its weight to itself, by another share in each head"""
    b, h, *grid = sides(draw, 2)
    attn = weights(draw, b, h, (grid[0], grid[1]))
    for head in range(h):
        keep = draw.uniform(0.6, 0.9)
        attn[:, head, 0] *= 1 - keep
        attn[:, head, 0, 0] += keep
    want = oracle(attn, (grid[0], grid[1]))
    maps = plan.call(attn, (grid[0], grid[1]))
    plan.expect(plan.call((2, 3), on=maps, method="sum"), want.sum((2, 3)), "the sum of each map")
    plan.expect(maps, want, "the maps")


@EXERCISE.case(points=0.5, cause="all four axes stay, also where one of them has size 1: no squeeze().")
def narrow_grids(draw: Draw, plan: Plan) -> None:
    """Grids of one row, of one column, of one patch"""
    b, h, length = draw.sizes(3)
    for grid in ((1, length), (length, 1), (1, 1)):
        attn = weights(draw, b, h, grid)
        plan.expect(plan.call(attn, grid), oracle(attn, grid), f"cls_attention_maps(attn, {grid})")


@EXERCISE.case(
    points=0.5, cause="only pick entries, with reshape rather than view; keep the dtype, and let gradients through."
)
def contract(draw: Draw, plan: Plan) -> None:
    """float64 stays float64, attn stays as it was and may lie in any order in memory, gradients flow"""
    b, h, *sizes = sides(draw, 2)
    grid = (sizes[1], sizes[0])
    values = weights(draw, b, h, grid, torch.float64)
    attn = plan.put(values)
    plan.expect(plan.call(attn, grid), oracle(values, grid), "the maps of float64 weights")
    plan.expect(attn, values, "attn after the call")
    turned = plan.call(2, 3, on=plan.put(values.mT.contiguous()), method="transpose")
    plan.expect(plan.call(turned, grid), oracle(values, grid), "the maps of weights stored column by column")
    leaf, cotangent = plan.put(values, grad=True), draw.normal(b, h, *grid, dtype=torch.float64)
    plan.backward(plan.call(leaf, grid), cotangent)
    gradient = torch.zeros_like(values)
    gradient[:, :, 0, 1:] = cotangent.flatten(2)
    plan.expect_grad(leaf, gradient, "attn")


@EXERCISE.variant
def reshaped() -> None:
    """Index, slice, reshape"""

    def cls_attention_maps(attn, grid):
        b, h, n, _ = attn.shape
        gh, gw = grid
        row = attn[:, :, 0, 1:]
        return row.reshape(b, h, gh, gw)


@EXERCISE.variant
def by_names() -> None:
    """einops"""

    def cls_attention_maps(attn, grid):
        return rearrange(attn[:, :, 0, 1:], "b h (gh gw) -> b h gh gw", gh=grid[0], gw=grid[1])


@EXERCISE.variant
def patch_by_patch() -> None:
    """Loops over rows and columns of patches"""

    def cls_attention_maps(attn, grid):
        rows = []
        for r in range(grid[0]):
            rows.append(torch.stack([attn[:, :, 0, 1 + r * grid[1] + c] for c in range(grid[1])], dim=-1))
        return torch.stack(rows, dim=-2)


@EXERCISE.variant
def by_a_question() -> None:
    """A one-hot query picks the row, and split and unflatten do the rest"""

    def cls_attention_maps(attn, grid):
        pick = F.one_hot(torch.tensor(0), attn.shape[-1]).to(attn.dtype)
        _, patches = torch.einsum("q,bhqk->bhk", pick, attn).split([1, grid[0] * grid[1]], dim=-1)
        return patches.unflatten(-1, grid)


ROW = "attn[:, :, 0, 1:]"
LAY_OUT = "row.reshape(b, h, gh, gw)"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "column_taken",
        "This is the column attn[..., 1:, 0]: how much each patch attends to cls. Queries are the axis before the "
        "last, so what cls attends to is the row attn[..., 0, 1:].",
        [(ROW, "attn[:, :, 1:, 0]")],
    ),
    (
        "last_key_dropped",
        "The weight that cls gives to itself is kept and the last patch is cut off; leave out key 0.",
        [(ROW, "attn[:, :, 0, :-1]")],
    ),
    (
        "last_query_taken",
        "The row of the last query is taken: that is a patch. The cls token is the first.",
        [(ROW, "attn[:, :, -1, 1:]")],
    ),
    (
        "first_patch_taken",
        "The row of query 1 is taken, which is the first patch; cls is query 0.",
        [(ROW, "attn[:, :, 1, 1:]")],
    ),
    (
        "mean_of_all_queries",
        "The rows of all queries are averaged; only that of the cls token is asked for.",
        [(ROW, "attn.mean(2)[..., 1:]")],
    ),
    (
        "height_taken_for_width",
        "The grid is unpacked as (gw, gh); it is (gh, gw), rows first, as in [b h gh gw].",
        [("gh, gw = grid", "gw, gh = grid")],
    ),
    (
        "column_by_column",
        "The patches are laid out column by column; they stand row by row, as one reads.",
        [(LAY_OUT, "row.reshape(b, h, gw, gh).mT")],
    ),
    (
        "grid_guessed_from_n",
        "The side of the grid is computed as the root of the number of patches, which is right for squares only; use "
        "`grid`.",
        [("gh, gw = grid", "gh = gw = math.isqrt(n - 1)")],
    ),
    (
        "heads_averaged",
        "The heads are averaged: there is one map per head, and they look at different things.",
        [(LAY_OUT, "row.mean(1).reshape(b, gh, gw)")],
    ),
    (
        "heads_before_images",
        "Heads and images have changed places, as [h b gh gw]; the images come first.",
        [(LAY_OUT, "row.reshape(b, h, gh, gw).transpose(0, 1)")],
    ),
    (
        "scaled_to_sum_one",
        "The map is divided by its sum. The weights are wanted as they are: what is missing to one is what cls gives "
        "to itself.",
        [(LAY_OUT, "(row / row.sum(-1, keepdim=True)).reshape(b, h, gh, gw)")],
    ),
    (
        "stretched_for_display",
        "Each map is divided by its largest value, as one does for a picture; leave that to the plot.",
        [(LAY_OUT, "(row / row.amax(-1, keepdim=True)).reshape(b, h, gh, gw)")],
    ),
    (
        "softmax_once_more",
        "softmax is applied again; attn holds weights already, not scores.",
        [(LAY_OUT, "row.softmax(-1).reshape(b, h, gh, gw)")],
    ),
    (
        "axes_of_one_dropped",
        "squeeze() drops every axis of size one; with one head, image or row of patches the axes must stay.",
        [(LAY_OUT, "row.reshape(b, h, gh, gw).squeeze()")],
    ),
    (
        "seen_as_one_row",
        "attn.view(…) fails where the entries of attn do not lie in order in memory; .reshape copies them if it must.",
        [(ROW, "attn.view(b, h, -1)[..., 1:n]")],
    ),
    (
        "detached",
        "The maps are cut off from autograd, by .detach() or numpy; only pick entries.",
        [(LAY_OUT, "row.detach().reshape(b, h, gh, gw)")],
    ),
    (
        "in_single_precision",
        "The maps are turned into float32, whatever came in; keep the dtype of attn.",
        [(LAY_OUT, "row.float().reshape(b, h, gh, gw)")],
    ),
    (
        "cls_set_to_zero_in_place",
        "attn is written to (its first key set to 0); copy it first, or just leave the key out.",
        [(f"row = {ROW}", f"row = {ROW}\n    attn.detach()[:, :, :, 0] = 0")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(reshaped, name, says, *changes)
