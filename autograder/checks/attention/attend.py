"""The check of ``attend(q, k, v, mask=None) -> (out, weights)``."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.checks.attention.by_hand import (
    gradients_by_hand,
    mask_with_empty_rows,
    scores_far_down,
)
from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("attention.attend", objects=("attend",))


def oracle(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Both answers from torch's fused kernel in float64: the weights are what it answers to values that are 1 for one
    key and 0 for the others."""
    one_hot = torch.eye(k.shape[-2], dtype=torch.float64).expand(*k.shape[:-1], -1)
    values = torch.cat([v.double(), one_hot], -1)
    if mask is None:
        both = F.scaled_dot_product_attention(q.double(), k.double(), values)
    else:
        empty = ~mask.any(-1, keepdim=True)  # kernels differ on empty rows, so these are never asked for
        both = F.scaled_dot_product_attention(q.double(), k.double(), values, attn_mask=mask | empty)
        both = torch.where(empty, 0.0, both)
    out, weights = both.to(q.dtype).split([v.shape[-1], k.shape[-2]], -1)
    return out, weights


def expect_both(plan: Plan, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, where: str) -> None:
    """Ask for attend(q, k, v) and compare its two parts."""
    got = plan.call(q, k, v) if mask is None else plan.call(q, k, v, mask=mask)
    for part, want, name in zip((0, 1), oracle(q, k, v, mask), ("out", "weights"), strict=True):
        plan.expect(got[part], want, f"{name}{where}")


@EXERCISE.case(points=1.5, cause="return the pair (weights @ v, weights) with weights = softmax(q kᵀ / √d).")
def queries_keys_and_values(draw: Draw, plan: Plan) -> None:
    """More or fewer keys than queries, values of another width, no mask"""
    b, n, m, d, e = draw.sizes(5)
    expect_both(plan, draw.normal(b, n, d), draw.normal(b, m, d), draw.normal(b, m, e), None, "")


@EXERCISE.case(points=1, cause="True means may attend; mask the scores before softmax, so that the rest sums to one.")
def mask(draw: Draw, plan: Plan) -> None:
    """A random mask for every set"""
    b, n, m, d, e = draw.sizes(5, low=3)
    q, k, v = draw.normal(b, n, d), draw.normal(b, m, d), draw.normal(b, m, e)
    expect_both(plan, q, k, v, draw.mask(b, n, m), " with a mask [b n m]")


@EXERCISE.case(points=0.5, cause="let a mask broadcast against the scores: adding or indexing axes breaks other masks.")
def broadcast_masks(draw: Draw, plan: Plan) -> None:
    """A causal mask for all sets, a padding mask for all queries"""
    b, n, m, d, e = draw.sizes(5, low=3)
    causal = torch.ones(n, n, dtype=torch.bool).tril()
    expect_both(plan, draw.normal(b, n, d), draw.normal(b, n, d), draw.normal(b, n, e), causal, " with a causal mask")
    q, k, v = draw.normal(b, n, d), draw.normal(b, m, d), draw.normal(b, m, e)
    expect_both(plan, q, k, v, draw.mask(b, 1, m), " with a mask [b 1 m]")


@EXERCISE.case(points=0.5, cause="count axes from the end (-1, -2), so that any axes may stand in front.")
def heads(draw: Draw, plan: Plan) -> None:
    """An axis of heads: one mask for all of them, then no mask and no batch"""
    b, h, n, m, d, e = draw.sizes(6, low=3, high=8)
    q, k, v = draw.normal(b, h, n, d), draw.normal(b, h, m, d), draw.normal(b, h, m, e)
    expect_both(plan, q, k, v, draw.mask(b, 1, n, m), " with an axis of heads")
    expect_both(plan, q[0, 0], k[0, 0], v[0, 0], None, " of a single set")


@EXERCISE.case(points=1, cause="where a mask row is all False, softmax divides 0 by 0: zeros must come out there.")
def nothing_to_attend_to(draw: Draw, plan: Plan) -> None:
    """Queries that may attend to nothing: zeros, not NaN, and finite gradients"""
    b, n, m, d, e = draw.sizes(5, low=3)
    allowed = mask_with_empty_rows(draw, b, n, m)
    _with_gradients(draw, plan, (b, n, m, d, e), allowed, torch.float32, " with empty mask rows")


@EXERCISE.case(points=0.5, cause="fill with -inf (or torch.finfo(scores.dtype).min), and do it before softmax.")
def forbidden_above_allowed(draw: Draw, plan: Plan) -> None:
    """Allowed scores near -50000, forbidden ones near +50000"""
    b, n, m, e = draw.sizes(4, low=3)
    q, k, allowed = scores_far_down(draw, b, n, m)
    expect_both(plan, q, k, draw.normal(b, m, e), allowed, " for far-off scores")


@EXERCISE.case(points=1, cause="compute in the inputs' dtype, leave them as they were, and let gradients through.")
def contract(draw: Draw, plan: Plan) -> None:
    """float64 stays float64, inputs stay as they were, gradients reach q, k and v"""
    b, n, m, d, e = draw.sizes(5, low=3)
    values = [draw.normal(*shape, dtype=torch.float64) for shape in ((b, n, d), (b, m, d), (b, m, e))]
    allowed = draw.mask(n, m)
    given = [plan.put(value) for value in (*values, allowed)]
    plan.call(*given[:3], mask=given[3])
    for ref, value, name in zip(given, (*values, allowed), ("q", "k", "v", "mask"), strict=True):
        plan.expect(ref, value, f"{name} after the call")
    _with_gradients(draw, plan, (b, n, m, d, e), allowed, torch.float64, " of float64 inputs")


def _with_gradients(
    draw: Draw, plan: Plan, sizes: tuple[int, ...], mask: Tensor, dtype: torch.dtype, where: str
) -> None:
    b, n, m, d, e = sizes
    q, k, v = (draw.normal(*shape, dtype=dtype) for shape in ((b, n, d), (b, m, d), (b, m, e)))
    cotangent = draw.normal(b, n, e, dtype=dtype)
    out, weights = oracle(q, k, v, mask)
    leaves = [plan.put(value, grad=True) for value in (q, k, v)]
    got = plan.call(*leaves, mask=mask)
    plan.expect(got[0], out, f"out{where}")
    plan.expect(got[1], weights, f"weights{where}")
    plan.backward(got[0], cotangent)
    # a value collects the cotangents of the queries that looked at it; a weight, the product of both
    gradients = (*gradients_by_hand(q, k, weights, cotangent @ v.mT), weights.mT @ cotangent)
    for leaf, gradient, name in zip(leaves, gradients, "qkv", strict=True):
        plan.expect_grad(leaf, gradient, name)


@EXERCISE.variant
def filled_with_minus_infinity() -> None:
    """-inf before softmax; the NaN of empty rows turned into zeros after it"""

    def attend(q, k, v, mask=None):
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf)
        weights = scores.softmax(-1).nan_to_num()
        return weights @ v, weights


@EXERCISE.variant
def filled_with_the_lowest_number() -> None:
    """finfo.min before softmax, zeros after it; einsum, and a list instead of a tuple"""

    def attend(q, k, v, mask=None):
        mask = torch.ones((), dtype=torch.bool) if mask is None else mask
        scores = torch.einsum("...nd,...md->...nm", q, k) * q.size(-1) ** -0.5
        scores = scores.masked_fill(mask.logical_not(), torch.finfo(q.dtype).min)
        weights = F.softmax(scores, -1) * mask
        return [torch.einsum("...nm,...me->...ne", weights, v), weights]


@EXERCISE.variant
def one_query_at_a_time() -> None:
    """A Python loop over queries and, inside, over keys"""

    def attend(q, k, v, mask=None):
        n, m = q.shape[-2], k.shape[-2]
        mask = torch.ones(n, m, dtype=torch.bool) if mask is None else mask
        mask = mask.expand(*q.shape[:-1], m)
        outs, rows = [], []
        for i in range(n):
            scores = torch.stack([(q[..., i, :] * k[..., j, :]).sum(-1) for j in range(m)], -1)
            scores = scores / q.shape[-1] ** 0.5
            allowed = mask[..., i, :]
            top = torch.where(allowed, scores, -torch.inf).amax(-1, keepdim=True)
            shifted = torch.where(allowed, scores - torch.where(top.isfinite(), top, 0.0), -torch.inf)
            e = shifted.exp()
            total = e.sum(-1, keepdim=True)
            row = e / torch.where(total > 0, total, 1.0)
            rows.append(row)
            outs.append(sum(row[..., j : j + 1] * v[..., j, :] for j in range(m)))
        return torch.stack(outs, -2), torch.stack(rows, -2)


@EXERCISE.variant
def fused() -> None:
    """torch's fused kernel for the answer, an explicit softmax for the weights"""

    def attend(q, k, v, mask=None):
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        if mask is None:
            return F.scaled_dot_product_attention(q, k, v), scores.softmax(-1)
        empty = ~mask.any(-1, keepdim=True)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask | empty).masked_fill(empty, 0.0)
        return out, scores.masked_fill(~mask, -math.inf).softmax(-1).nan_to_num()


FILL = "scores = scores.masked_fill(~mask, -math.inf)"
MASKING = f"    if mask is not None:\n        {FILL}\n"
WEIGHTS = "weights = scores.softmax(-1).nan_to_num()"
RETURN = "return weights @ v, weights"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "weights_not_returned",
        "Only the answer is returned; the weights are asked for too: `return out, weights`.",
        [(RETURN, "return weights @ v")],
    ),
    (
        "weights_returned_first",
        "The pair is the wrong way round: first the answer, then the weights.",
        [(RETURN, "return weights, weights @ v")],
    ),
    (
        "scores_returned",
        "The second part holds the scores before softmax; the weights are what softmax makes of them.",
        [(RETURN, "return weights @ v, scores")],
    ),
    (
        "not_scaled",
        "The scores are not divided by √d, so they grow with the width and softmax turns into a hard maximum.",
        [(" / math.sqrt(q.shape[-1])", "")],
    ),
    (
        "root_of_the_width_of_values",
        "The scores are divided by the root of the values' width. Scores are sums over the channels of q and k: that "
        "is the width that counts.",
        [("math.sqrt(q.shape[-1])", "math.sqrt(v.shape[-1])")],
    ),
    (
        "keys_summed",
        "The weighted sum is taken over the keys; keys say where to look, values say what is found there.",
        [(RETURN, "return weights @ k, weights")],
    ),
    (
        "softmax_over_queries",
        "Softmax runs over the queries (dim=-2), so the values' shares of an answer do not sum to one. Use dim=-1.",
        [("softmax(-1)", "softmax(-2)")],
    ),
    (
        "mask_upside_down",
        "The mask is taken the wrong way round: True means may attend, so fill where the mask is False (~mask).",
        [("~mask", "mask")],
    ),
    (
        "weights_multiplied_by_mask",
        "Masking after softmax takes the forbidden keys' weight away and gives it to nobody: the answer shrinks.",
        [(MASKING, ""), (WEIGHTS, "weights = scores.softmax(-1) * (1 if mask is None else mask)")],
    ),
    (
        "axis_of_heads_added_to_the_mask",
        "The mask gets an axis for heads (mask[:, None]) although there may be none: leave its shape to the caller.",
        [("~mask", "~mask[:, None]")],
    ),
    (
        "three_axes_only",
        "torch.bmm works for exactly three axes. Use @, which takes any axes in front of the last two.",
        [("q @ k.mT", "torch.bmm(q, k.transpose(1, 2))"), ("weights @ v", "torch.bmm(weights, v)")],
    ),
    (
        "empty_rows_become_nan",
        "A query that may attend to nothing gets NaN: softmax of a row of -inf is 0/0. Turn such rows into zeros.",
        [(".nan_to_num()", "")],
    ),
    (
        "nan_in_the_weights",
        "NaN is removed from the answer and stays in the weights, so it comes back in every gradient. Clean them.",
        [(".nan_to_num()", ""), ("weights @ v", "(weights @ v).nan_to_num()")],
    ),
    (
        "empty_rows_become_the_mean",
        "A query that may attend to nothing is answered with the mean of all values: with one large negative fill "
        "all its scores are equal. Set the forbidden weights to zero after softmax too.",
        [("-math.inf", "-1e9")],
    ),
    (
        "filled_with_a_small_number",
        "-1e4 is not far enough down: where all allowed scores are lower still, forbidden keys win. Fill with -inf.",
        [("-math.inf", "-1e4"), (".nan_to_num()", " * (1 if mask is None else mask.any(-1, keepdim=True))")],
    ),
    (
        "weights_detached",
        "The weights are cut off from the gradient (.detach(), .data or no_grad), so q and k could never learn.",
        [(".nan_to_num()", ".nan_to_num().detach()")],
    ),
    (
        "key_scaled_in_place",
        "`k /= …` changes the caller's tensor (and fails where it needs a gradient); write `k = k / …`.",
        [("scores = q @ k.mT / math.sqrt(q.shape[-1])", "k /= math.sqrt(q.shape[-1])\n    scores = q @ k.mT")],
    ),
    (
        "in_single_precision",
        "Everything is turned into float32, whatever came in. Compute in the dtype of the inputs.",
        [("q @ k.mT", "q.float() @ k.float().mT"), ("weights @ v", "weights @ v.float()")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(filled_with_minus_infinity, name, says, *changes)
