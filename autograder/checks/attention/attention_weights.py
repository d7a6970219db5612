"""The check of ``attention_weights(q, k, mask=None)``."""

import math

import torch
import torch.nn.functional as F

from autograder.checks.attention.by_hand import (
    gradients_by_hand,
    mask_with_empty_rows,
    scores_far_down,
    scores_of_hundreds,
    weights_by_hand,
)
from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("attention.attention_weights", objects=("attention_weights",))


@EXERCISE.case(points=1, cause="the weights are softmax(q kᵀ / √d) over the keys, where d is the width of q and k.")
def queries_and_keys(draw: Draw, plan: Plan) -> None:
    """More or fewer keys than queries, no mask"""
    b, n, m, d = draw.sizes(4)
    q, k = draw.normal(b, n, d), draw.normal(b, m, d)
    plan.expect(plan.call(q, k), weights_by_hand(q, k), "attention_weights(q, k)")


@EXERCISE.case(points=0.5, cause="swap the last two axes of k (k.mT or k.transpose(-2, -1)), counted from the end.")
def leading_axes(draw: Draw, plan: Plan) -> None:
    """One set without a batch axis, then sets with an axis of heads"""
    b, h, n, m, d = draw.sizes(5)
    for lead in ((), (b, h)):
        q, k = draw.normal(*lead, n, d), draw.normal(*lead, m, d)
        plan.expect(plan.call(q, k), weights_by_hand(q, k), f"the weights for q with {len(lead) + 2} axes")


@EXERCISE.case(points=1, cause="True means may attend; mask the scores before softmax, so that the rest sums to one.")
def mask(draw: Draw, plan: Plan) -> None:
    """A random mask: allowed keys share all the weight, forbidden ones get none"""
    b, n, m, d = draw.sizes(4, low=3)
    q, k, allowed = draw.normal(b, n, d), draw.normal(b, m, d), draw.mask(b, n, m)
    plan.expect(plan.call(q, k, mask=allowed), weights_by_hand(q, k, allowed), "the weights with a mask [b n m]")


@EXERCISE.case(points=0.5, cause="leave the mask's shape alone: it broadcasts against the scores [... n m] by itself.")
def broadcast_masks(draw: Draw, plan: Plan) -> None:
    """One mask for all sets, one for all queries, one for all heads"""
    b, h, n, m, d = draw.sizes(5, low=3)
    for lead, shape in (((b,), (n, m)), ((b,), (b, 1, m)), ((b, h), (b, 1, n, m))):
        q, k, allowed = draw.normal(*lead, n, d), draw.normal(*lead, m, d), draw.mask(*shape)
        what = f"the weights for scores {[*lead, n, m]} and a mask {list(shape)}"
        plan.expect(plan.call(q, k, mask=allowed), weights_by_hand(q, k, allowed), what)


@EXERCISE.case(points=1, cause="where a mask row is all False, softmax divides 0 by 0: the weights must be zero there.")
def nothing_to_attend_to(draw: Draw, plan: Plan) -> None:
    """Queries that may attend to nothing: rows of zeros, finite gradients"""
    b, n, m, d = draw.sizes(4, low=3)
    q, k, allowed = draw.normal(b, n, d), draw.normal(b, m, d), mask_with_empty_rows(draw, b, n, m)
    weights, cotangent = weights_by_hand(q, k, allowed), draw.normal(b, n, m)
    leaves = plan.put(q, grad=True), plan.put(k, grad=True)
    out = plan.call(*leaves, mask=allowed)
    plan.expect(out, weights, "the weights with empty mask rows")
    plan.backward(out, cotangent)
    for leaf, gradient, name in zip(leaves, gradients_by_hand(q, k, weights, cotangent), "qk", strict=True):
        plan.expect_grad(leaf, gradient, name)


@EXERCISE.case(points=0.5, cause="exp overflows beyond 88 in float32: subtract each row's largest score before it.")
def scores_in_the_hundreds(draw: Draw, plan: Plan) -> None:
    """Scores in the hundreds, where exp overflows"""
    q, k = scores_of_hundreds(draw, *draw.sizes(2, 3))
    plan.expect(plan.call(q, k), weights_by_hand(q, k), "the weights for scores in the hundreds")


@EXERCISE.case(points=0.5, cause="fill with -inf (or torch.finfo(scores.dtype).min), and do it before softmax.")
def forbidden_above_allowed(draw: Draw, plan: Plan) -> None:
    """Allowed scores near -50000, forbidden ones near +50000"""
    q, k, allowed = scores_far_down(draw, *draw.sizes(3, low=3))
    plan.expect(plan.call(q, k, mask=allowed), weights_by_hand(q, k, allowed), "the weights for far-off scores")


@EXERCISE.case(points=1, cause="compute in the inputs' dtype, leave them as they were, and let gradients through.")
def contract(draw: Draw, plan: Plan) -> None:
    """float64 stays float64, inputs stay as they were, gradients flow"""
    b, n, m, d = draw.sizes(4, low=3)
    q, k = (draw.normal(b, rows, d, dtype=torch.float64) for rows in (n, m))
    allowed, cotangent = draw.mask(n, m), draw.normal(b, n, m, dtype=torch.float64)
    weights = weights_by_hand(q, k, allowed)
    given = plan.put(q), plan.put(k), plan.put(allowed)
    plan.expect(plan.call(given[0], given[1], mask=given[2]), weights, "the weights of float64 q and k")
    for ref, value, name in zip(given, (q, k, allowed), ("q", "k", "mask"), strict=True):
        plan.expect(ref, value, f"{name} after the call")
    leaves = plan.put(q, grad=True), plan.put(k, grad=True)
    plan.backward(plan.call(*leaves, mask=allowed), cotangent)
    for leaf, gradient, name in zip(leaves, gradients_by_hand(q, k, weights, cotangent), "qk", strict=True):
        plan.expect_grad(leaf, gradient, name)


@EXERCISE.variant
def filled_with_minus_infinity() -> None:
    """-inf before softmax; the NaN of empty rows turned into zeros after it"""

    def attention_weights(q, k, mask=None):
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf)
        weights = scores.softmax(-1)
        return weights.nan_to_num()


@EXERCISE.variant
def filled_with_the_lowest_number() -> None:
    """finfo.min before softmax, zeros after it; einsum, and the root as a tensor"""

    def attention_weights(q, k, mask=None):
        scores = torch.einsum("...nd,...md->...nm", q / torch.sqrt(torch.tensor(q.shape[-1])), k)
        if mask is None:
            return F.softmax(scores, dim=-1)
        weights = F.softmax(scores.masked_fill(mask == 0, torch.finfo(scores.dtype).min), dim=-1)
        return weights.masked_fill(mask == 0, 0)


@EXERCISE.variant
def filled_with_minus_a_billion() -> None:
    """-1e9 is below every score that occurs, and the product with the mask empties rows without keys"""

    def attention_weights(q, k, mask=None):
        if mask is None:
            mask = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool)
        scores = torch.where(mask, q @ k.mT / q.size(-1) ** 0.5, -1e9)
        return scores.softmax(dim=-1) * mask


@EXERCISE.variant
def exponentials_by_hand() -> None:
    """exp, masked, over its sum; the maximum is taken over allowed scores"""

    def attention_weights(q, k, mask=None):
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        top = scores.amax(-1, keepdim=True)
        e = torch.exp(scores - torch.where(top.isinf(), 0.0, top))
        total = e.sum(-1, keepdim=True)
        return e / torch.where(total == 0, 1.0, total)


@EXERCISE.variant
def one_query_at_a_time() -> None:
    """A Python loop over queries and keys"""

    def attention_weights(q, k, mask=None):
        scores = torch.stack([(query[..., None, :] * k).sum(-1) for query in q.unbind(-2)], -2)
        scores = scores / math.sqrt(k.shape[-1])
        if mask is not None:
            scores = scores.masked_fill(mask.logical_not(), -math.inf)
            scores = scores.masked_fill(~mask.any(-1, keepdim=True), 0.0)
        weights = torch.stack([row.softmax(-1) for row in scores.unbind(-2)], -2)
        return weights if mask is None else weights * mask


@EXERCISE.variant
def asked_of_the_fused_kernel() -> None:
    """torch's fused kernel with the identity as values"""

    def attention_weights(q, k, mask=None):
        m = k.shape[-2]
        values = torch.eye(m, dtype=q.dtype).expand(*k.shape[:-1], m)
        if mask is None:
            return F.scaled_dot_product_attention(q, k, values)
        empty = ~mask.any(-1, keepdim=True)
        return F.scaled_dot_product_attention(q, k, values, attn_mask=mask | empty).masked_fill(empty, 0)


FILL = "scores = scores.masked_fill(~mask, -math.inf)"
ROOT = " / math.sqrt(q.shape[-1])"
MASKING = f"    if mask is not None:\n        {FILL}\n"
RETURN = "    return weights.nan_to_num()"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "not_scaled",
        "The scores are not divided by √d, so they grow with the width and softmax turns into a hard maximum.",
        [(ROOT, "")],
    ),
    (
        "divided_by_d",
        "The scores are divided by d; their spread grows like √d, so the root is what brings it back to one.",
        [(ROOT, " / q.shape[-1]")],
    ),
    (
        "root_of_the_number_of_tokens",
        "The scores are divided by the root of the number of queries, q.shape[-2]; the width is q.shape[-1].",
        [(ROOT, " / math.sqrt(q.shape[-2])")],
    ),
    (
        "softmax_over_queries",
        "Softmax runs over the queries (dim=-2). Each query shares its weight out over the keys, the last axis.",
        [("softmax(-1)", "softmax(-2)")],
    ),
    (
        "mask_upside_down",
        "The mask is taken the wrong way round: True means may attend, so fill where the mask is False (~mask).",
        [("~mask", "mask")],
    ),
    (
        "mask_added",
        "Adding a mask of zeros and ones raises the allowed scores by one; forbidden keys still get weight.",
        [(FILL, "scores = scores + mask")],
    ),
    (
        "scores_multiplied_by_mask",
        "Multiplying scores by the mask makes forbidden scores 0, and exp(0) = 1 is still a share of the weight.",
        [(FILL, "scores = scores * mask")],
    ),
    (
        "weights_multiplied_by_mask",
        "Masking after softmax takes forbidden keys' weight away and gives it to nobody: rows no longer sum to 1.",
        [(MASKING, ""), (RETURN, "    return weights if mask is None else weights * mask")],
    ),
    (
        "renormalised_afterwards",
        "Masking after softmax and dividing by what is left fails when forbidden keys score far higher: the allowed "
        "weights have already underflowed to 0. Mask the scores instead.",
        [
            (MASKING, ""),
            (
                RETURN,
                "    weights = weights if mask is None else weights * mask\n"
                "    return weights / weights.sum(-1, keepdim=True).clamp(min=1e-30)",
            ),
        ],
    ),
    (
        "filled_with_a_small_number",
        "-1e4 is not far enough down: where all allowed scores are lower still, forbidden keys win. Fill with -inf.",
        [
            ("-math.inf", "-1e4"),
            (RETURN, "    return weights if mask is None else weights * mask.any(-1, keepdim=True)"),
        ],
    ),
    (
        "empty_rows_become_nan",
        "A query that may attend to nothing gets NaN: softmax of a row of -inf is 0/0. Turn such rows into zeros.",
        [(".nan_to_num()", "")],
    ),
    (
        "empty_rows_become_uniform",
        "A query that may attend to nothing attends to everything: with one large negative fill all its scores are "
        "equal. Set the forbidden weights to zero after softmax too.",
        [("-math.inf", "torch.finfo(scores.dtype).min")],
    ),
    (
        "empty_rows_spoil_the_gradient",
        "The zeros of empty rows come from NaN by nan_to_num, and backwards the NaN is still there: adding -inf lets "
        "it through to q and k. Use masked_fill, whose gradient is zero where it fills.",
        [(FILL, "scores = scores + torch.zeros(mask.shape).masked_fill(~mask, -math.inf)")],
    ),
    (
        "axes_counted_from_the_front",
        "k.transpose(1, 2) is right for three axes only. Count from the end, so that heads may stand in front.",
        [("k.mT", "k.transpose(1, 2)")],
    ),
    (
        "softmax_without_maximum",
        "exp of a large score overflows. Subtract the largest score of each row first, or use a stable softmax.",
        [("scores.softmax(-1)", "scores.exp() / scores.exp().sum(-1, keepdim=True)")],
    ),
    (
        "query_scaled_in_place",
        "`q /= …` changes the caller's tensor (and fails where it needs a gradient); write `q = q / …`.",
        [("    scores = q @ k.mT / math.sqrt(q.shape[-1])", "    q /= math.sqrt(q.shape[-1])\n    scores = q @ k.mT")],
    ),
    (
        "in_single_precision",
        "Everything is turned into float32, whatever came in. Compute in the dtype of the inputs.",
        [("q @ k.mT", "q.float() @ k.float().mT")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(filled_with_minus_infinity, name, says, *changes)
