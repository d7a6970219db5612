"""The encoder-decoder of "Attention Is All You Need": read one text whole, write another token by token."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.attention import MultiHeadAttention, merge_heads, split_heads
from course_lib.fused_block import FusedBlock, activation, check_ids, draw_weights, self_attention
from course_lib.kv_cache import KVCache


@dataclass
class DecoderCache:
    """What a decoder remembers: keys and values of the tokens written, and those of the text it read."""

    written: KVCache = field(default_factory=KVCache)
    memory: KVCache = field(default_factory=KVCache)


class DecoderBlock(nn.Module):
    """Look at what is written so far, then at what was read, then change each token on its own.

    Parts: `norm1` and `self_attn`, `norm2` and `cross_attn`, `norm3` and `mlp` (Linear, GELU, Linear). Each
    branch is x + f(norm(x)), pre-norm; Vaswani et al. 2017 normed after the sum. Dropout as in FusedBlock.
    Raises ValueError if `heads` does not divide `dim`.
    """

    def __init__(self, dim: int, heads: int, mlp_ratio: float = 4, *, gelu: str = "erf", dropout: float = 0.0) -> None:
        super().__init__()
        hidden = int(mlp_ratio * dim)
        self.dropout = dropout
        self.norm1 = nn.LayerNorm(dim)
        self.self_attn = MultiHeadAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.cross_attn = MultiHeadAttention(dim, heads)
        self.norm3 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), activation(gelu), nn.Linear(hidden, dim))

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        memory_mask: Tensor | None = None,
        cache: DecoderCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        """Mix tokens x causally with each other, and each of them with all of `memory`.

        Shapes: x [b n d], memory [b m d], boolean memory_mask [b m], True where memory may be looked at ->
        [b n d]. With nothing to look at, a token gets the bias of `cross_attn.out`. Padding at the end of x
        needs no mask: no token looks ahead. `cache` holds what earlier x and memory left in `layer`.
        """
        rate = self.dropout if self.training else 0.0
        written = None if cache is None else cache.written
        seen = self_attention(self.self_attn, self.norm1(x), None, True, written, layer, rate)
        x = x + F.dropout(seen, rate, self.training)
        read = None if cache is None else cache.memory
        found = self._look_up(self.norm2(x), memory, memory_mask, read, layer, rate)
        x = x + F.dropout(found, rate, self.training)
        return x + F.dropout(self.mlp(self.norm3(x)), rate, self.training)

    def _look_up(
        self, x: Tensor, memory: Tensor, mask: Tensor | None, cache: KVCache | None, layer: int, rate: float
    ) -> Tensor:
        attn = self.cross_attn
        query = split_heads(attn.query(x), attn.heads)  # [b h n e]
        if cache is not None and layer in cache:
            key, value = cache[layer]
        else:
            key, value = (split_heads(project(memory), attn.heads) for project in (attn.key, attn.value))
            if cache is not None:
                key, value = cache.append(layer, key, value)
        if mask is None:
            return attn.out(merge_heads(F.scaled_dot_product_attention(query, key, value, dropout_p=rate)))
        # kernels differ on rows with no key: let those see all, then drop what they found
        empty = ~mask.any(-1)[:, None, None, None]
        allowed = mask[:, None, None, :] | empty  # [b 1 1 m]
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed, dropout_p=rate)
        return attn.out(merge_heads(out.masked_fill(empty, 0.0)))


class EncoderDecoder(nn.Module):
    """Translate: predict each next token of a target from those before it and from a whole source.

    Parts: `source_tokens`, `source_positions`, `encoder` ModuleList of TransformerBlock (its fast twin),
    `encoder_norm`; `target_tokens`, `target_positions`, `decoder` ModuleList of DecoderBlock,
    `decoder_norm`, and `head`, without bias and with the weight of `target_tokens`. Positions are learned
    and blocks pre-norm, with a norm after each stack; Vaswani et al. 2017 used sinusoids and post-norm.
    """

    def __init__(
        self,
        source_vocab: int,
        target_vocab: int,
        block: int,
        dim: int,
        depth: int,
        heads: int,
        *,
        gelu: str = "erf",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if min(source_vocab, target_vocab, block, dim) < 1 or depth < 0:
            raise ValueError("Vocabularies, block and dim must be positive, and depth must not be negative.")
        self.block = block
        self.drop = nn.Dropout(dropout)
        self.source_tokens = nn.Embedding(source_vocab, dim)
        self.source_positions = nn.Embedding(block, dim)
        self.encoder = nn.ModuleList(
            FusedBlock(dim, heads, causal=False, gelu=gelu, dropout=dropout) for _ in range(depth)
        )
        self.encoder_norm = nn.LayerNorm(dim)
        self.target_tokens = nn.Embedding(target_vocab, dim)
        self.target_positions = nn.Embedding(block, dim)
        self.decoder = nn.ModuleList(DecoderBlock(dim, heads, gelu=gelu, dropout=dropout) for _ in range(depth))
        self.decoder_norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, target_vocab, bias=False)
        self.head.weight = self.target_tokens.weight
        draw_weights(self, depth)

    def forward(self, source: Tensor, target: Tensor, source_mask: Tensor | None = None) -> Tensor:
        """Return the logits of the target token after each one.

        Shapes: source [b m], target [b n], integers; boolean source_mask [b m], False at padding -> [b n v].
        Targets are padded at the end, where no mask is needed. Raises ValueError if a text exceeds `block`.
        """
        return self.decode(target, self.encode(source, source_mask), source_mask)

    def encode(self, source: Tensor, source_mask: Tensor | None = None) -> Tensor:
        """Read the source: [b m] -> memory [b m d]. What stands at padding means nothing."""
        x = self._embed(source, self.source_tokens, self.source_positions, 0)
        attention = None
        if source_mask is not None:
            if source_mask.shape != source.shape or source_mask.dtype != torch.bool:
                raise ValueError(f"The source mask must be boolean of shape {list(source.shape)}.")
            itself = torch.eye(source.shape[1], dtype=torch.bool, device=source.device)
            # padding attends to itself, so that no row is without a key
            attention = source_mask[:, None, None, :] | itself  # [b 1 m m]
        for block in self.encoder:
            x = block(x, attention)
        return self.encoder_norm(x)

    def decode(
        self,
        target: Tensor,
        memory: Tensor,
        source_mask: Tensor | None = None,
        cache: DecoderCache | None = None,
    ) -> Tensor:
        """Predict after each target token: target [b n], memory [b m d] -> logits [b n v].

        `cache` holds the target tokens before these, and takes these in.
        """
        past = 0 if cache is None else cache.written.length
        x = self._embed(target, self.target_tokens, self.target_positions, past)
        for layer, block in enumerate(self.decoder):
            x = block(x, memory, source_mask, cache, layer)
        return self.head(self.decoder_norm(x))

    def _embed(self, ids: Tensor, tokens: nn.Embedding, positions: nn.Embedding, past: int) -> Tensor:
        check_ids(ids, tokens.num_embeddings, past, self.block)
        stop = past + ids.shape[1]
        return self.drop(tokens(ids) + positions(torch.arange(past, stop, device=ids.device)))
