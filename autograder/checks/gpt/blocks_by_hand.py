"""What the checks of GPT, KVCache and EncoderDecoder share: drawn weights, and blocks made of torch's own functions."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.exercise import Draw

Weights = dict[str, Tensor]


def draw_norm(draw: Draw, name: str, dim: int) -> Weights:
    """Scale and shift of a LayerNorm."""
    return {f"{name}.weight": draw.normal(dim), f"{name}.bias": draw.normal(dim)}


def draw_block(draw: Draw, path: str, dim: int, attentions: tuple[str, ...] = ("attn",), hidden: int = 0) -> Weights:
    """The weights of one block: a norm and four projections for each attention, a norm and an MLP."""
    hidden = hidden or 4 * dim
    shapes = {
        f"{attention}.{part}": (dim, dim) for attention in attentions for part in ("query", "key", "value", "out")
    }
    shapes |= {"mlp.0": (hidden, dim), "mlp.2": (dim, hidden)}
    weights: Weights = {}
    for name, (rows, columns) in shapes.items():
        weights[f"{path}{name}.weight"] = draw.normal(rows, columns) / math.sqrt(columns)
        weights[f"{path}{name}.bias"] = draw.normal(rows)
    for number in range(len(attentions) + 1):
        weights |= draw_norm(draw, f"{path}norm{number + 1}", dim)
    return weights


def key_biases(weights: Weights) -> tuple[str, ...]:
    """The parameters that may be absent: a bias of the keys adds the same to all scores of a query."""
    return tuple(name for name in weights if name.endswith(".key.bias"))


def doubled(weights: Weights) -> Weights:
    """The weights in float64."""
    return {name: weight.double() for name, weight in weights.items()}


def norm(x: Tensor, w: Weights, name: str) -> Tensor:
    """LayerNorm over the channels of x [... d]."""
    return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"])


def attention(
    x: Tensor, context: Tensor, w: Weights, path: str, heads: int, causal: bool = False, real: Tensor | None = None
) -> Tensor:
    """What x [b n d] finds in context [b m d], of which it sees where `real` [b m] is true, by torch's packed function.

    Its masks are true where looking is forbidden.
    """
    forbidden = torch.ones(x.shape[1], context.shape[1], dtype=torch.bool).triu(1) if causal else None
    found, _ = F.multi_head_attention_forward(
        x.transpose(0, 1), context.transpose(0, 1), context.transpose(0, 1), x.shape[-1], heads,
        torch.cat([w[f"{path}.{part}.weight"] for part in ("query", "key", "value")]),
        torch.cat([w[f"{path}.{part}.bias"] for part in ("query", "key", "value")]),
        None, None, False, 0.0, w[f"{path}.out.weight"], w[f"{path}.out.bias"],
        need_weights=False, attn_mask=forbidden, key_padding_mask=None if real is None else ~real,
    )  # fmt: skip
    return found.transpose(0, 1)


def mlp(x: Tensor, w: Weights, path: str) -> Tensor:
    """Linear, exact GELU, linear."""
    hidden = F.gelu(F.linear(x, w[f"{path}.0.weight"], w[f"{path}.0.bias"]))
    return F.linear(hidden, w[f"{path}.2.weight"], w[f"{path}.2.bias"])


def block(x: Tensor, w: Weights, path: str, heads: int, causal: bool = True, real: Tensor | None = None) -> Tensor:
    """A pre-norm block: attention among the tokens, then the MLP."""
    normed = norm(x, w, f"{path}norm1")
    x = x + attention(normed, normed, w, f"{path}attn", heads, causal, real)
    return x + mlp(norm(x, w, f"{path}norm2"), w, f"{path}mlp")


def draw_gpt(draw: Draw, vocab: int, longest: int, dim: int, depth: int) -> Weights:
    """All weights of a GPT, its head's being those of its token table."""
    weights = {"tokens.weight": draw.normal(vocab, dim), "positions.weight": draw.normal(longest, dim)}
    for layer in range(depth):
        weights |= draw_block(draw, f"blocks.{layer}.", dim)
    weights |= draw_norm(draw, "norm", dim)
    return weights | {"head.weight": weights["tokens.weight"]}


def gpt_logits(ids: Tensor, w: Weights, depth: int, heads: int) -> Tensor:
    """The logits [b n v] after each of the ids [b n], in the dtype of the weights: a full pass."""
    x = w["tokens.weight"][ids] + w["positions.weight"][: ids.shape[1]]
    for layer in range(depth):
        x = block(x, w, f"blocks.{layer}.", heads)
    return norm(x, w, "norm") @ w["head.weight"].T


def draw_ids(draw: Draw, vocab: int, *shape: int) -> Tensor:
    """Ids from 0 to vocab - 1."""
    return torch.randint(vocab, shape, generator=draw.generator)
