"""A small GPT for students to read with a cache: parts and names as documented, and no way of caching of its own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head attention with the parts ``query``, ``key``, ``value``, ``out`` and the number ``heads``."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """x [b n d], context [b m d], mask broadcasting to [b h n m] and True where a query may attend -> [b n d]."""
        context = x if context is None else context
        query, key, value = (
            part(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part, tokens in ((self.query, x), (self.key, context), (self.value, context))
        )
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.out(found.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """A pre-norm block with the parts ``norm1``, ``attn``, ``norm2`` and ``mlp``."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.attn, self.norm2 = nn.LayerNorm(dim), Attention(dim, heads), nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x [b n d], mask as for the attention -> [b n d]."""
        x = x + self.attn(self.norm1(x), mask=mask)
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    """A GPT with the parts ``tokens``, ``positions``, ``blocks``, ``norm``, ``head`` and the number ``block``.

    Its forward is the full pass over all tokens.
    """

    def __init__(self, vocab: int, block: int, dim: int, depth: int, heads: int) -> None:
        super().__init__()
        self.block = block
        self.tokens, self.positions = nn.Embedding(vocab, dim), nn.Embedding(block, dim)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, vocab, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, ids: Tensor) -> Tensor:
        """The logits after each token: ids [b n] -> [b n v]; raises IndexError beyond ``block`` tokens."""
        n = ids.shape[1]
        x = self.tokens(ids) + self.positions(torch.arange(n, device=ids.device))
        mask = torch.ones(n, n, dtype=torch.bool, device=ids.device).tril()
        for block in self.blocks:
            x = block(x, mask)
        return self.head(self.norm(x))
