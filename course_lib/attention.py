"""Attention, from the softmax to the Transformer block, each part made of the ones above it.

Tokens are `b n d`, heads `h`, and a boolean mask is True where a query may attend.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


def softmax(x: Tensor, dim: int) -> Tensor:
    """Turn scores into weights that are positive and sum to one along `dim`.

    Shape: any, kept. Scores of -inf get weight zero, and a slice of nothing but -inf is all zeros:
    with no candidate left there is nothing to share out. Half precision is summed in float32.
    Raises TypeError if `x` is not floating point.
    """
    if not x.is_floating_point():
        raise TypeError(f"softmax needs floating-point scores, but got {x.dtype}.")
    scores = _at_least_float32(x)
    highest = scores.detach().amax(dim, keepdim=True)
    # a slice of -inf alone would give -inf minus -inf; subtracting 0 there leaves exp(-inf) = 0
    exps = torch.exp(scores - highest.masked_fill(highest == -math.inf, 0.0))
    total = exps.sum(dim, keepdim=True)
    return (exps / total.masked_fill(total == 0, 1.0)).to(x.dtype)


def attention_weights(q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:
    """Say how much each query attends to each key: softmax(q kᵀ / √d) over the keys.

    Shapes: q [... n d], k [... m d], mask [... n m] -> [... n m]. Every row sums to one, except
    that a query whose mask row is all False gets a row of zeros. Raises TypeError if the mask is not
    boolean, ValueError if shapes do not fit. Source: Vaswani et al. 2017, equation 1.
    """
    if q.shape[-1] != k.shape[-1]:
        raise ValueError(f"Queries have {q.shape[-1]} channels, keys {k.shape[-1]}: they must agree.")
    scores = q @ k.mT / math.sqrt(q.shape[-1])  # [... n m]
    if mask is not None:
        _check_mask(mask, scores.shape)
        scores = scores.masked_fill(~mask, -math.inf)
    return softmax(scores, dim=-1)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Answer each query with a weighted sum of the values, and return the weights too.

    Shapes: q [... n d], k [... m d], v [... m e], mask [... n m] -> ([... n e], [... n m]).
    A query that may attend to nothing is answered with zeros. Raises as `attention_weights` does.
    """
    if k.shape[-2] != v.shape[-2]:
        raise ValueError(f"There are {k.shape[-2]} keys but {v.shape[-2]} values; each key needs one.")
    weights = attention_weights(q, k, mask)
    return weights @ v, weights  # [... n e]


def gram_attention(tokens: Tensor, temperature: float = 1.0) -> Tensor:
    """Replace each token by a mean of all tokens, weighted by their inner products with it.

    Shape: [b n d], kept: query, key and value are the tokens themselves and the scores, the Gram matrix
    t tᵀ, are divided by `temperature` and not by √d. Raises ValueError unless temperature > 0.
    """
    if not temperature > 0:
        raise ValueError(f"The temperature must be positive, but is {temperature}.")
    return softmax(tokens @ tokens.mT / temperature, dim=-1) @ tokens


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Cut the channels of every token into `heads` equal, consecutive parts.

    Shape: [b n d] -> [b h n d/h]. Raises ValueError if `heads` does not divide d.
    """
    if heads < 1 or x.shape[-1] % heads:
        raise ValueError(f"{x.shape[-1]} channels cannot be cut into {heads} equal heads.")
    return rearrange(x, "b n (h e) -> b h n e", h=heads)


def merge_heads(x: Tensor) -> Tensor:
    """Lay the heads of every token side by side again; undoes `split_heads`.

    Shape: [b h n e] -> [b n h*e].
    """
    return rearrange(x, "b h n e -> b n (h e)")


class MultiHeadAttention(nn.Module):
    """Attend with several heads at once, each in its own d/h channels (Vaswani et al. 2017, section 3.2.2).

    Raises ValueError if `heads` does not divide `dim`.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ValueError(f"{dim} channels cannot be cut into {heads} equal heads.")
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Let the tokens of `x` ask and those of `context` (or of `x` itself) answer.

        Shapes: x [b n d], context [b m d], mask [n m], [b n m] or [b h n m] -> [b n d]. A query that may
        attend to nothing collects zeros, so its output is the bias of `out`.
        """
        context = x if context is None else context
        q, k, mask = self._ask(x, context, mask)
        v = split_heads(self.value(context), self.heads)  # [b h m e]
        return self.out(merge_heads(_fused_attend(q, k, v, mask)))

    def attention_maps(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Return the weights that `forward` uses, for looking at. Shapes as there, -> [b h n m]."""
        return attention_weights(*self._ask(x, x if context is None else context, mask))

    def _ask(self, x: Tensor, context: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        q = split_heads(self.query(x), self.heads)  # [b h n e]
        k = split_heads(self.key(context), self.heads)  # [b h m e]
        if mask is not None:
            mask = rearrange(mask, "b n m -> b 1 n m") if mask.ndim == 3 else mask
            _check_mask(mask, (*q.shape[:-1], k.shape[-2]))
        return q, k, mask


class LayerNorm(nn.Module):
    """Give each token mean 0 and variance 1 over its channels, then scale and shift each channel.

    Shape: [... d], kept. The variance is the biased one (divided by d), and `eps` is added to it before
    the root. Source: Ba, Kiros and Hinton 2016.
    """

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        wide = _at_least_float32(x)
        centred = wide - wide.mean(-1, keepdim=True)
        variance = centred.square().mean(-1, keepdim=True)
        return (centred * torch.rsqrt(variance + self.eps)).to(x.dtype) * self.weight + self.bias


class TransformerBlock(nn.Module):
    """Mix the tokens by attention, then change each one by an MLP, adding both to the stream.

    The norms come before attention and MLP ("pre-norm", Xiong et al. 2020); Vaswani et al. 2017 put them
    after the sums. The MLP's hidden width is `mlp_ratio * dim`. Raises as MultiHeadAttention does.
    """

    def __init__(self, dim: int, heads: int, mlp_ratio: float = 4) -> None:
        super().__init__()
        hidden = int(mlp_ratio * dim)
        self.norm1 = LayerNorm(dim)
        self.attn = MultiHeadAttention(dim, heads)
        self.norm2 = LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Shapes: x [b n d], mask [n m], [b n m] or [b h n m] with m = n -> [b n d]."""
        x = x + self.attn(self.norm1(x), mask=mask)
        return x + self.mlp(self.norm2(x))


def is_permutation_equivariant(f: Callable[[Tensor], Tensor], x: Tensor, tol: float = 1e-5) -> bool:
    """Test whether reordering the tokens before `f` equals reordering them after it.

    Shapes: x [b n d], and f must keep b and n. Eight random orders are tried on `x` without touching the global
    generator. From three tokens on none of them undoes itself, since such an order cannot tell a reordering
    from its reverse. `tol` bounds the largest absolute difference in any channel: choose it by the size of the
    outputs. Raises ValueError for one token, which has only one order.
    """
    if x.ndim != 3 or x.shape[1] < 2:
        raise ValueError(f"Need tokens [b n d] with n of at least 2, but got the shape {tuple(x.shape)}.")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        straight = f(x.clone())
        if straight.shape[:2] != x.shape[:2]:
            return False
        for _ in range(8):
            order = _random_order(x.shape[1], generator).to(x.device)
            # written so that a NaN counts as a difference
            if not (f(x[:, order]) - straight[:, order]).abs().max() <= tol:
                return False
    return True


def _random_order(n: int, generator: torch.Generator) -> Tensor:
    while True:
        order = torch.randperm(n, generator=generator)
        undoes_itself = torch.equal(order[order], torch.arange(n))
        if not undoes_itself or (n == 2 and order[0] == 1):
            return order


def _fused_attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return F.scaled_dot_product_attention(q, k, v)
    # kernels differ on rows with nothing to attend to: let those see everything, then drop their answer
    empty = ~mask.any(-1, keepdim=True)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask | empty).masked_fill(empty, 0.0)


def _check_mask(mask: Tensor, scores: tuple[int, ...]) -> None:
    if mask.dtype != torch.bool:
        raise TypeError(f"The mask must be boolean (True = may attend), but its dtype is {mask.dtype}.")
    try:
        fits = torch.broadcast_shapes(mask.shape, scores) == torch.Size(scores)
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(f"A mask of shape {tuple(mask.shape)} does not fit scores of shape {tuple(scores)}.")


def _at_least_float32(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
