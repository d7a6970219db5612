"""The check of ``mix_tokens(tokens, weights)``."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("tokens.mix_tokens", objects=("mix_tokens",))


def oracle(tokens: Tensor, weights: Tensor) -> Tensor:
    """New token i of every item: old tokens times the numbers in row i of the matrix, summed one by one in float64."""
    b, n, d = tokens.shape
    out = torch.zeros(b, weights.shape[0], d, dtype=torch.float64)
    for i in range(weights.shape[0]):
        for j in range(n):
            out[:, i] += weights[i, j].double() * tokens[:, j].double()
    return out.to(tokens.dtype)


def expect(plan: Plan, tokens: Tensor, weights: Tensor) -> None:
    what = f"mix_tokens of tokens {list(tokens.shape)} by weights {list(weights.shape)}"
    # sums of large numbers that nearly cancel: leave room for another order of summation in float32
    plan.expect(plan.call(tokens, weights), oracle(tokens, weights), what, atol=2e-4)


@EXERCISE.case(points=1, cause="new token i is the sum over j of weights[i, j] times token j: weights @ tokens.")
def one_item(draw: Draw, plan: Plan) -> None:
    """One item, fewer tokens after mixing than before, and more"""
    few, many, d = sorted(draw.sizes(2)) + draw.sizes(1, 8, 11)
    for m, n in ((few, many), (many, few)):
        expect(plan, draw.normal(1, n, d), draw.normal(m, n))


@EXERCISE.case(points=1, cause="the same matrix serves every item of the batch, and no item sees another.")
def a_batch(draw: Draw, plan: Plan) -> None:
    """Several items, each mixed by itself"""
    b, m, n, d = draw.sizes(4)
    expect(plan, draw.normal(b, n, d), draw.normal(m, n))


@EXERCISE.case(points=1, cause="a row of the matrix belongs to a new token, a column to an old one.")
def as_many_as_before(draw: Draw, plan: Plan) -> None:
    """As many tokens after as before: nothing but the values tells rows from columns"""
    b, n, d = draw.sizes(3, low=3, high=8)
    expect(plan, draw.normal(b, n, d), draw.normal(n, n))
    shuffle = torch.eye(n)[(torch.arange(n) + draw.integer(1, n - 2)) % n]
    shuffle[0] *= draw.uniform(-3, -2)
    expect(plan, draw.normal(b, n, d), shuffle)
    expect(plan, draw.normal(b, n, n), draw.normal(n, n))


@EXERCISE.case(points=0.5, cause="use the weights as they are: they may be negative or zero and need not sum to one.")
def any_weights(draw: Draw, plan: Plan) -> None:
    """A single new token, a single old token, and weights that are all zero, negative, or large"""
    b, m, n, d = draw.sizes(4)
    expect(plan, draw.normal(b, n, d), draw.normal(1, n))
    expect(plan, draw.normal(b, 1, d), draw.normal(m, 1))
    weights = draw.normal(m, n)
    weights[0], weights[-1] = 0.0, 20 * weights[-1].abs()
    expect(plan, draw.normal(b, n, d), -weights)


@EXERCISE.case(points=1, cause="one matrix product in the inputs' dtype; nothing is detached or written into.")
def contract(draw: Draw, plan: Plan) -> None:
    """float64 stays float64, inputs stay as they were, gradients reach tokens and weights"""
    b, m, n, d = draw.sizes(4)
    tokens, weights = draw.normal(b, n, d, dtype=torch.float64), draw.normal(m, n, dtype=torch.float64)
    t, w = plan.put(tokens), plan.put(weights)
    plan.expect(plan.call(t, w), oracle(tokens, weights), "mix_tokens of float64 tokens")
    plan.expect(t, tokens, "tokens after the call")
    plan.expect(w, weights, "weights after the call")
    t, w = plan.put(tokens, grad=True), plan.put(weights, grad=True)
    cotangent = draw.normal(b, m, d, dtype=torch.float64)
    plan.backward(plan.call(t, w), cotangent)
    # the gradient of a sum, written out: tokens get it back through the transposed matrix
    plan.expect_grad(t, oracle(cotangent, weights.T), "tokens")
    plan.expect_grad(w, sum(cotangent[i] @ tokens[i].T for i in range(b)), "weights")


@EXERCISE.variant
def matrix_product() -> None:
    """Broadcast matrix product"""

    def mix_tokens(tokens, weights):
        return weights @ tokens


@EXERCISE.variant
def by_einsum() -> None:
    """einsum"""

    def mix_tokens(tokens, weights):
        return torch.einsum("mn,bnd->bmd", weights, tokens)


@EXERCISE.variant
def by_linear() -> None:
    """A linear layer over the token axis, moved to the end"""

    def mix_tokens(tokens, weights):
        return F.linear(tokens.transpose(1, 2), weights).transpose(1, 2)


@EXERCISE.variant
def by_loops() -> None:
    """Sums of tokens, one new token after another"""

    def mix_tokens(tokens, weights):
        mixed = []
        for row in weights:
            mixed.append(sum(row[j] * tokens[:, j] for j in range(tokens.shape[1])))
        return torch.stack(mixed, dim=1)


@EXERCISE.variant
def by_flattening() -> None:
    """Items and channels folded into one axis"""

    def mix_tokens(tokens, weights):
        flat = rearrange(tokens, "b n d -> n (b d)")
        return rearrange(weights.matmul(flat), "m (b d) -> b m d", b=len(tokens))


SLIPS: list[tuple[str, str, str]] = [
    (
        "matrix_transposed",
        "The matrix is transposed: weights is [m n], rows for the new tokens, and is multiplied as it stands.",
        "weights.T @ tokens",
    ),
    (
        "channels_mixed",
        "The weights act on the channels (the last axis). They act on the token axis and treat all channels alike.",
        "tokens @ weights.T",
    ),
    (
        "new_axes_swapped",
        "The result is [b d m]: it still has tokens and channels swapped. Swap them back to get [b m d].",
        "F.linear(tokens.transpose(1, 2), weights)",
    ),
    (
        "reshaped_over_the_batch",
        "A reshape to [n, b*d] does not move the token axis to the front: it puts numbers of different items and "
        "tokens in one row. Permute the axes first, or let @ broadcast over the batch.",
        "(weights @ tokens.reshape(tokens.shape[1], -1)).reshape(len(tokens), len(weights), -1)",
    ),
    (
        "first_item_only",
        "Every item of the batch gets the mixture of item 0; each must be mixed from its own tokens.",
        "(weights @ tokens[0]).expand(len(tokens), -1, -1)",
    ),
    (
        "softmax_of_the_weights",
        "The weights go through a softmax. That is attention's choice; here the weights are free numbers, used as "
        "they are.",
        "weights.softmax(-1) @ tokens",
    ),
    (
        "rows_made_to_sum_to_one",
        "Each row is divided by its sum. A linear combination takes the weights as they are, even if they sum to zero.",
        "weights / weights.sum(-1, keepdim=True) @ tokens",
    ),
    (
        "mean_for_sum",
        "The weighted tokens are averaged: the result is too small by the factor n. Sum them.",
        "(weights[:, :, None] * tokens[:, None]).mean(2)",
    ),
    (
        "scaled_by_root_n",
        "The result is divided by the root of n. Scaling belongs to how weights are drawn at first, not to mixing.",
        "weights @ tokens / tokens.shape[1] ** 0.5",
    ),
    (
        "residual_added",
        "The old tokens are added to the mixture. A residual connection is something a network may put around it.",
        "(weights @ tokens + tokens if len(weights) == tokens.shape[1] else weights @ tokens)",
    ),
    (
        "always_float32",
        "The inputs are cast to float32, so that float64 is lost; compute in the dtype that comes in.",
        "weights.float() @ tokens.float()",
    ),
    (
        "weights_cut_off",
        "The weights are detached (.data, .detach() or a new nn.Parameter do it): no gradient reaches them, and a "
        "network could never learn them.",
        "weights.detach() @ tokens",
    ),
    (
        "tokens_cut_off",
        "The tokens are detached, so no gradient reaches what came before them.",
        "weights @ tokens.detach()",
    ),
]
for name, says, formula in SLIPS:
    EXERCISE.slip(matrix_product, name, says, ("weights @ tokens", formula))


@EXERCISE.mistake
def overwritten_while_mixing() -> None:
    """The new tokens are written over the old ones, from which later new ones must still be made; and the caller's
    tokens are changed. Write into a new tensor."""

    def mix_tokens(tokens, weights):
        out = tokens
        for i in range(len(weights)):
            out[:, i] = sum(weights[i, j] * tokens[:, j] for j in range(tokens.shape[1]))
        return out[:, : len(weights)]
