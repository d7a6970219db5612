"""The check of ``gram_attention(tokens, temperature=1.0)``."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("attention.gram_attention", objects=("gram_attention",))


def weights_by_distance(tokens: Tensor, temperature: float) -> Tensor:
    """The weights of one set [n d] in float64, token by token, from lengths and distances.

    By the law of cosines 2 a·b = |a|² + |b|² - |a - b|²; the term |a|² is the same for a whole row and cancels.
    """
    tokens = tokens.double()
    rows = []
    for token in tokens:
        scores = (tokens.square().sum(-1) - (tokens - token).square().sum(-1)) / (2 * temperature)
        rows.append((scores - scores.logsumexp(0)).exp())
    return torch.stack(rows)


def oracle(tokens: Tensor, temperature: float = 1.0) -> Tensor:
    """Each token of each set replaced by the weighted sum over its own set."""
    sets = [(weights_by_distance(t, temperature)[..., None] * t.double()).sum(1) for t in tokens]
    return torch.stack(sets).to(tokens.dtype)


@EXERCISE.case(points=1, cause="weights = softmax(t tᵀ) over the last axis, without √d; the answer is weights @ t.")
def one_set(draw: Draw, plan: Plan) -> None:
    """One set of tokens at temperature 1"""
    n, d = draw.sizes(2)
    tokens = 0.8 * draw.normal(1, n, d)
    plan.expect(plan.call(tokens), oracle(tokens), "gram_attention(tokens)")


@EXERCISE.case(points=1, cause="divide the inner products by the temperature, once, before softmax.")
def temperature(draw: Draw, plan: Plan) -> None:
    """Colder and hotter: other temperatures than 1"""
    n, d = draw.sizes(2)
    tokens = 0.8 * draw.normal(1, n, d)
    for value in (draw.uniform(0.3, 0.7), draw.uniform(2.0, 6.0)):
        what = f"gram_attention(tokens, temperature={value})"
        plan.expect(plan.call(tokens, temperature=value), oracle(tokens, value), what)


@EXERCISE.case(points=1, cause="compute within each set: t @ t.mT keeps the batch axis, and softmax runs over dim=-1.")
def many_sets(draw: Draw, plan: Plan) -> None:
    """Several sets in a batch, which must not see each other"""
    b, n, d = draw.sizes(3)
    tokens, value = 0.8 * draw.normal(b, n, d), draw.uniform(1.5, 2.5)
    plan.expect(plan.call(tokens, temperature=value), oracle(tokens, value), "gram_attention of a batch")


@EXERCISE.case(points=0.5, cause="every token attends to all tokens of its set, itself included; nothing is added.")
def known_by_thought(draw: Draw, plan: Plan) -> None:
    """A token alone stays itself, and so do equal tokens"""
    n, d = draw.sizes(2)
    alone = draw.normal(1, 1, d)
    plan.expect(plan.call(alone, temperature=0.5), alone, "a set of one token")
    equal = draw.normal(1, 1, d).repeat(1, n, 1)
    plan.expect(plan.call(equal, temperature=0.5), equal, f"a set of {n} equal tokens")


@EXERCISE.case(points=0.5, cause="subtract each row's own maximum before exp, or use a softmax that does.")
def long_tokens(draw: Draw, plan: Plan) -> None:
    """Long and short tokens in one set, cold: scores in the thousands"""
    b, n, d = draw.sizes(3, 3)
    tokens = draw.normal(b, n, d)
    tokens[:, 0, 0] = 0
    # whole numbers, so that float32 computes every inner product without error; token 0 is long, the last one zero
    tokens = (8 * tokens / tokens.abs().amax(-1, keepdim=True)).round() * torch.arange(n - 1, -1, -1)[:, None]
    # token 0 again in the place of token 1, but for a step of 1, and no other token points their way: whatever is done
    # to the temperature shows in how the first shares its weight between the two
    first = tokens[:, :1] + torch.eye(d)[0]
    away = torch.where(tokens @ first.mT > 0, -tokens, tokens)
    tokens = torch.cat([first, tokens[:, :1], away[:, 2:]], 1)
    plan.expect(plan.call(tokens, temperature=0.25), oracle(tokens, 0.25), "gram_attention of long tokens")


@EXERCISE.case(points=1, cause="compute in the input's dtype, leave it as it was, and let gradients through.")
def contract(draw: Draw, plan: Plan) -> None:
    """float64 stays float64, the tokens stay as they were, gradients flow through weights and values"""
    n, d = draw.sizes(2)
    values, value = 0.8 * draw.normal(1, n, d, dtype=torch.float64), draw.uniform(1.5, 2.5)
    cotangent = draw.normal(1, n, d, dtype=torch.float64)
    tokens = plan.put(values)
    plan.expect(plan.call(tokens, temperature=value), oracle(values, value), "gram_attention of float64 tokens")
    plan.expect(tokens, values, "tokens after the call")
    leaf = plan.put(values, grad=True)
    plan.backward(plan.call(leaf, temperature=value), cotangent)
    plan.expect_grad(leaf, gradient(values[0], cotangent[0], value)[None], "tokens")


def gradient(t: Tensor, cotangent: Tensor, temperature: float) -> Tensor:
    """A token has three parts: as value it collects what it gave, as query and as key it moves the scores."""
    p = weights_by_distance(t, temperature)
    through_weights = cotangent @ t.T
    scores = p * (through_weights - (through_weights * p).sum(-1, keepdim=True)) / temperature
    return p.T @ cotangent + scores @ t + scores.T @ t


@EXERCISE.variant
def written_out() -> None:
    """The Gram matrix, its softmax, the weighted sum"""

    def gram_attention(tokens, temperature=1.0):
        scores = tokens @ tokens.mT / temperature
        weights = scores.softmax(-1)
        return weights @ tokens


@EXERCISE.variant
def in_einsums() -> None:
    """einsum for both products"""

    def gram_attention(tokens, temperature=1.0):
        gram = torch.einsum("bnd,bmd->bnm", tokens, tokens)
        return torch.einsum("bnm,bmd->bnd", torch.softmax(gram / temperature, dim=2), tokens)


@EXERCISE.variant
def token_by_token() -> None:
    """A Python loop over sets and tokens"""

    def gram_attention(tokens, temperature=1.0):
        sets = []
        for t in tokens:
            rows = []
            for i in range(len(t)):
                scores = torch.stack([torch.dot(t[i], other) for other in t]) / temperature
                e = (scores - scores.max()).exp()
                rows.append(sum(w * other for w, other in zip(e / e.sum(), t, strict=True)))
            sets.append(torch.stack(rows))
        return torch.stack(sets)


@EXERCISE.variant
def fused() -> None:
    """torch's fused kernel with its scale set to 1 / temperature"""

    def gram_attention(tokens, temperature=1.0):
        return F.scaled_dot_product_attention(tokens, tokens, tokens, scale=1 / temperature)


@EXERCISE.variant
def through_roots() -> None:
    """The tokens divided by the temperature's root, as queries and as keys"""

    def gram_attention(tokens, temperature=1.0):
        scaled = tokens * temperature**-0.5
        return F.softmax(scaled @ rearrange(scaled, "b n d -> b d n"), dim=-1) @ tokens


SCORES, WEIGHTS, RETURN = "tokens @ tokens.mT / temperature", "scores.softmax(-1)", "return weights @ tokens"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "divided_by_root_d",
        "The scores are divided by √d on top of the temperature. Here the temperature alone sets the scale.",
        [("/ temperature", "/ temperature / math.sqrt(tokens.shape[-1])")],
    ),
    (
        "multiplied_by_temperature",
        "The scores are multiplied by the temperature: hotter then means sharper. Divide, so that heat evens out.",
        [("/ temperature", "* temperature")],
    ),
    ("temperature_ignored", "The temperature is taken and never used.", [(" / temperature", "")]),
    (
        "temperature_after_softmax",
        "The weights are divided by the temperature after softmax, so they no longer sum to one; divide the scores.",
        [(" / temperature", ""), (WEIGHTS, "scores.softmax(-1) / temperature")],
    ),
    (
        "temperature_twice",
        "The tokens are divided by the temperature before the product, which divides the scores by its square.",
        [(SCORES, "(tokens / temperature) @ (tokens / temperature).mT")],
    ),
    (
        "scaled_values",
        "The tokens that are summed have been divided by the temperature's root too; only the scores are scaled.",
        [(SCORES, "(scaled := tokens / math.sqrt(temperature)) @ scaled.mT"), (RETURN, "return weights @ scaled")],
    ),
    (
        "cosines",
        "The tokens are brought to length one first, so these are cosines. The Gram matrix takes tokens as they are.",
        [(SCORES, "(unit := F.normalize(tokens, dim=-1)) @ unit.mT / temperature")],
    ),
    (
        "distances",
        "The scores are negative squared distances: that is mean shift, a relative. Here they are inner products.",
        [(SCORES, "-(tokens[:, :, None] - tokens[:, None]).square().sum(-1) / temperature")],
    ),
    (
        "softmax_over_rows",
        "Softmax runs over dim=-2. The Gram matrix is symmetric, but what softmax makes of it is not: use dim=-1.",
        [("softmax(-1)", "softmax(-2)")],
    ),
    (
        "gram_matrix_of_channels",
        "tᵀ t compares channels with channels; t tᵀ compares tokens with tokens and has shape [b n n].",
        [("tokens @ tokens.mT", "tokens.mT @ tokens"), (RETURN, "return tokens @ weights")],
    ),
    (
        "tokens_added",
        "The tokens are added to the answer. A block has such a skip connection; this function does not.",
        [(RETURN, "return tokens + weights @ tokens")],
    ),
    (
        "not_to_itself",
        "The diagonal is masked, so no token sees itself and a lone one sees nothing. A token belongs to its own set.",
        [(WEIGHTS, "scores.masked_fill(torch.eye(tokens.shape[-2]).bool(), -math.inf).softmax(-1)")],
    ),
    (
        "batch_run_together",
        "All sets of the batch are run together into one, so tokens attend across sets. Keep the batch axis.",
        [
            (SCORES, "(t := tokens.reshape(-1, tokens.shape[-1])) @ t.T / temperature"),
            (RETURN, "return (weights @ t).reshape(tokens.shape)"),
        ],
    ),
    (
        "no_maximum_subtracted",
        "exp of a large score overflows. Subtract the row's largest score first: softmax does not change by it.",
        [(WEIGHTS, "scores.exp() / scores.exp().sum(-1, keepdim=True)")],
    ),
    (
        "weights_detached",
        "The weights are cut off from the gradient (.detach(), .data or no_grad); it flows through the values alone.",
        [(WEIGHTS, "scores.softmax(-1).detach()")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(written_out, name, says, *changes)
