"""What the checks of attention_weights and attend share: hard inputs, and answers that are worked out one query at a
time."""

from __future__ import annotations

import math
from itertools import product

import torch
from torch import Tensor

from autograder.exercise import Draw


def weights_by_hand(q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:
    """The attention weights [... n m] of q [... n d] and k [... m d], one query at a time.

    Each query looks at the keys it may attend to and at no others, in float64: there is nothing to fill in, so no
    way of masking is favoured.
    """
    shape = (*q.shape[:-1], k.shape[-2])
    allowed = torch.ones(shape, dtype=torch.bool) if mask is None else mask.expand(shape)
    weights = torch.zeros(shape, dtype=torch.float64)
    for at in product(*map(range, shape[:-1])):
        keys = allowed[at].nonzero().flatten()
        if len(keys):
            scores = (k[at[:-1]][keys].double() * q[at].double()).sum(-1) / math.sqrt(q.shape[-1])
            weights[(*at, keys)] = (scores - scores.logsumexp(0)).exp()
    return weights.to(q.dtype)


def gradients_by_hand(q: Tensor, k: Tensor, weights: Tensor, cotangent: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of ``(weights * cotangent).sum()`` for q and k, from the Jacobian diag(p) - p pᵀ of each row."""
    scores = weights * (cotangent - (weights * cotangent).sum(-1, keepdim=True)) / math.sqrt(q.shape[-1])
    return scores @ k, scores.mT @ q


def mask_with_empty_rows(draw: Draw, *shape: int) -> Tensor:
    """A random mask [b n m] in which each set has one query, never the same in neighbouring sets, that sees nothing."""
    mask = draw.mask(*shape)
    first = draw.integer(0, shape[1] - 1)
    for b in range(shape[0]):
        mask[b, (first + b) % shape[1]] = False
    return mask


def scores_far_down(draw: Draw, b: int, n: int, m: int) -> tuple[Tensor, Tensor, Tensor]:
    """q [b n 16], k [b m 16] and a mask [b 1 m]: allowed scores near -50000, forbidden ones near +50000.

    All entries are multiples of 1/8 and the width's root is whole, so that float32 makes no rounding error in any
    score and an exact answer can be asked for.
    """
    mask = draw.mask(b, 1, m)
    q, k = _eighths(draw, b, n, 16), _eighths(draw, b, m, 16)
    q[..., -1] = 64
    k[..., -1] = torch.where(mask[:, 0], -3125.0, 3125.0)
    return q, k, mask


def scores_of_hundreds(draw: Draw, n: int, m: int) -> tuple[Tensor, Tensor]:
    """q [n 16] and k [m 16] whose scores reach hundreds on either side of zero, again without rounding errors.

    For the first query two keys stand out, and half a point lies between them: how scores are scaled shows there.
    """
    q, k = _eighths(draw, n, 16), _eighths(draw, m, 16)
    q[0, 0] = 1 / 8
    k = torch.where(k @ q[0] > 0, -1, 1)[:, None] * k
    k[-2:] = q[0]
    k[-1, 0] = 1 / 4
    return 128 * q, k


def _eighths(draw: Draw, *shape: int) -> Tensor:
    return (8 * draw.normal(*shape)).round().clamp(-16, 16) / 8
