"""One transformer in which the way of knowing positions is a choice, for comparing the choices."""

from math import prod
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.attention import LayerNorm, MultiHeadAttention, TransformerBlock, merge_heads, split_heads
from course_lib.positions import PlaceVectors, alibi_slopes, grid_places, rope

Positions = Literal["none", "learned", "sinusoidal", "rope", "alibi", "sincos_2d", "fourier"]


class PlacedAttention(MultiHeadAttention):
    """Multi-head self-attention over tokens with coordinates, which `kind` "rope" or "alibi" makes use of.

    RoPE shares the channels of each head evenly among the axes; ALiBi takes the Euclidean distance. Raises
    ValueError if the channels of a head cannot be paired on every axis.
    """

    def __init__(self, dim: int, heads: int, kind: Positions, axes: int, base: float) -> None:
        super().__init__(dim, heads)
        if kind == "rope" and dim // heads % (2 * axes):
            raise ValueError(f"RoPE needs channels per head in multiples of {2 * axes}, not {dim}/{heads}.")
        self.kind, self.axes, self.base = kind, axes, base
        self.register_buffer("slopes", alibi_slopes(heads).float(), persistent=False)

    def forward(self, x: Tensor, places: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        """Shapes: x [b n d], places [n axes], mask [n n], [b n n] or [b h n n] -> [b n d]."""
        q, k, mask = self._ask(x, x, mask)
        v = split_heads(self.value(x), self.heads)  # [b h n e]
        if self.kind == "rope":
            q, k = self._rotate(q, places), self._rotate(k, places)
        if self.kind != "alibi" and mask is None:
            return self.out(merge_heads(F.scaled_dot_product_attention(q, k, v, is_causal=causal)))
        allowed = torch.ones(len(places), len(places), dtype=torch.bool, device=x.device)
        allowed = allowed if mask is None else mask & allowed
        allowed = allowed.tril() if causal else allowed
        # kernels differ on a row of nothing but -inf: let it see everything, then drop its answer
        empty = ~allowed.any(-1, keepdim=True)
        bias = self._bias(places) if self.kind == "alibi" else torch.zeros((), device=x.device)
        bias = bias.to(q.dtype).masked_fill(~(allowed | empty), -torch.inf)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias).masked_fill(empty, 0.0)
        return self.out(merge_heads(out))

    def _rotate(self, x: Tensor, places: Tensor) -> Tensor:
        parts = x.chunk(self.axes, dim=-1)
        turned = [rope(part, places[:, i], self.base) for i, part in enumerate(parts)]
        return torch.cat(turned, dim=-1)

    def _bias(self, places: Tensor) -> Tensor:
        distance = (places[:, None] - places).square().sum(-1).sqrt()  # [n n]
        return -self.slopes[:, None, None] * distance


class PlacedBlock(TransformerBlock):
    """A TransformerBlock whose attention is told where the tokens are."""

    def __init__(self, dim: int, heads: int, kind: Positions, axes: int, base: float, mlp_ratio: float = 4) -> None:
        super().__init__(dim, heads, mlp_ratio)
        self.attn = PlacedAttention(dim, heads, kind, axes, base)

    def forward(self, x: Tensor, places: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        """Shapes as in PlacedAttention."""
        x = x + self.attn(self.norm1(x), places, mask, causal)
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """Blocks and a last norm over tokens of a sequence or a grid, told of positions in one of seven ways.

    `size` is the length n or the grid (h, w) to be trained at. "none" tells the tokens nothing; "learned",
    "sinusoidal", "sincos_2d" and "fourier" add a vector to each (see PlaceVectors, which takes `vectors` as
    keyword arguments: `beyond`, `frequencies`, `scale`); "rope" and "alibi" act inside every attention (see
    PlacedAttention). Raises ValueError for a choice that does not fit the other arguments.
    """

    def __init__(
        self,
        size: int | tuple[int, int],
        dim: int,
        depth: int,
        heads: int,
        positions: Positions = "none",
        *,
        causal: bool = False,
        mlp_ratio: float = 4,
        base: float = 10000.0,
        **vectors,
    ) -> None:
        super().__init__()
        if positions not in get_args(Positions):
            raise ValueError(f"Positions can be {', '.join(get_args(Positions))}, but not {positions!r}.")
        self.size = (size,) if isinstance(size, int) else tuple(size)
        self.causal = causal
        added = positions in ("learned", "sinusoidal", "sincos_2d", "fourier")
        if vectors and not added:
            raise ValueError(f"Positions {positions!r} take no {', '.join(vectors)}.")
        self.add = PlaceVectors(positions, self.size, dim, base=base, **vectors) if added else None
        self.blocks = nn.ModuleList(
            PlacedBlock(dim, heads, positions, len(self.size), base, mlp_ratio) for _ in range(depth)
        )
        self.norm = LayerNorm(dim)

    def forward(self, tokens: Tensor, mask: Tensor | None = None, *, size: tuple[int, int] | None = None) -> Tensor:
        """Shapes: tokens [b n d], mask [n n], [b n n] or [b h n n] -> [b n d].

        A sequence may have any length; a grid other than the trained one is named by `size`. Raises
        ValueError if the tokens do not fill the grid, or go beyond a learned table.
        """
        n = tokens.shape[1]
        if size is None:
            size = (n,) if len(self.size) == 1 else self.size
        if prod(size) != n or len(size) != len(self.size):
            raise ValueError(f"{n} tokens do not fill a grid of {'×'.join(map(str, size))}; give its size.")
        x = tokens if self.add is None else self.add(tokens, tuple(size))
        places = grid_places(size, tokens.device)
        for block in self.blocks:
            x = block(x, places, mask, self.causal)
        return self.norm(x)


class SequenceTransformer(nn.Module):
    """A Transformer from token ids to scores: an embedding before it, a linear layer `head` behind it.

    Takes the arguments of Transformer besides `vocab` and the number of `classes` (`vocab` unless given).
    """

    def __init__(self, vocab: int, size: int, dim: int, *args, classes: int | None = None, **kwargs) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        self.body = Transformer(size, dim, *args, **kwargs)
        self.head = nn.Linear(dim, classes or vocab)

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """Shape: ids [b n] -> logits [b n classes]; mask as for Transformer."""
        return self.head(self.body(self.embed(ids), mask))
