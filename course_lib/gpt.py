"""GPT: a decoder that predicts every next token at once, its data and its loss.

Ids and targets are integers `b n`, logits `b n v`. What uses a trained model lives next door and can be
imported from here too: sampling (`generation`), the cache (`kv_cache`), the encoder-decoder, accounting.
"""

from collections.abc import Sequence
from os import PathLike
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.accounting import count_bytes, count_flops, count_parameters
from course_lib.decoding import beam_decode, greedy_decode
from course_lib.encoder_decoder import DecoderBlock, EncoderDecoder
from course_lib.fused_block import FusedBlock, check_ids, draw_weights
from course_lib.generation import at_least_float32, decode_step, generate, left_pad, next_token_probs
from course_lib.kv_cache import KVCache, causal_mask

__all__ = [
    "GPT", "DecoderBlock", "EncoderDecoder", "KVCache", "beam_decode", "causal_mask", "count_bytes",
    "count_flops", "count_parameters", "decode_step", "generate", "greedy_decode", "left_pad", "lm_loss",
    "next_token_batch", "next_token_probs",
]  # fmt: skip


def next_token_batch(data: Tensor, block: int, starts: Tensor | Sequence[int]) -> tuple[Tensor, Tensor]:
    """Cut windows out of a long text, and the same windows one token later as what to predict.

    Shapes: data [t] and starts [b], integers -> x [b block] and y [b block], int64 on data's device, with
    x[i, j] = data[starts[i] + j] and y[i, j] = data[starts[i] + j + 1]. Raises ValueError if a window or
    its last target would lie outside the text.
    """
    if data.ndim != 1 or block < 1:
        raise ValueError(f"Need data [t] and a block of 1 or more, not {tuple(data.shape)} and {block}.")
    starts = torch.as_tensor(starts, dtype=torch.int64)
    last = len(data) - block - 1
    if starts.numel() and not (0 <= int(starts.min()) and int(starts.max()) <= last):
        raise ValueError(f"With {len(data)} tokens and block {block}, starts must lie in 0..{last}.")
    places = starts.to(data.device)[:, None] + torch.arange(block, device=data.device)  # [b block]
    return data[places].long(), data[places + 1].long()


def lm_loss(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    """Average the surprise -log p(target), in nats, over all targets that are not `ignore_index`.

    Shapes: logits [... v], targets [...] -> scalar. If every target is ignored the loss and its gradients
    are zero, so that a batch of mere padding leaves a model as it is. Half precision is summed in float32.
    Raises ValueError if shapes do not fit.
    """
    if logits.shape[:-1] != targets.shape:
        shapes = f"{tuple(logits.shape)} and {tuple(targets.shape)}"
        raise ValueError(f"Logits [... v] and targets [...] do not fit: their shapes are {shapes}.")
    flat = at_least_float32(logits).reshape(-1, logits.shape[-1])
    total = F.cross_entropy(flat, targets.reshape(-1), ignore_index=ignore_index, reduction="sum")
    return total / (targets != ignore_index).sum().clamp(min=1)


class GPT(nn.Module):
    """Predict each token from those before it, with a stack of causal Transformer blocks.

    Parts: `tokens` Embedding(vocab, dim), `positions` Embedding(block, dim), `blocks` ModuleList of
    TransformerBlock (here its fast twin), `norm` LayerNorm, `head` Linear(dim, vocab) without bias whose
    weight is `tokens.weight`. With `gelu="tanh"` it computes what GPT-2 does. Raises ValueError if sizes
    do not fit. Source: Radford et al. 2019; weights drawn as there.
    """

    def __init__(
        self,
        vocab: int,
        block: int,
        dim: int,
        depth: int,
        heads: int,
        *,
        gelu: str = "erf",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if min(vocab, block, dim) < 1 or depth < 0:
            raise ValueError(f"vocab {vocab}, block {block}, dim {dim} and depth {depth} must be positive.")
        self.block = block
        self.tokens = nn.Embedding(vocab, dim)
        self.positions = nn.Embedding(block, dim)
        self.drop = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(FusedBlock(dim, heads, gelu=gelu, dropout=dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, vocab, bias=False)
        self.head.weight = self.tokens.weight
        draw_weights(self, depth)

    @classmethod
    def from_pretrained(cls, name_or_folder: str | PathLike[str], revision: str | None = None) -> Self:
        """Load published GPT-2 weights, by name ("gpt2", "gpt2-medium", …) or from a local folder.

        A name is downloaded once through huggingface_hub; `revision` pins its commit. Raises
        ConnectionError if it cannot be, ValueError if what is found is no GPT-2.
        """
        from course_lib.pretrained.gpt2 import load_gpt2

        return load_gpt2(cls, name_or_folder, revision)

    def forward(self, ids: Tensor, mask: Tensor | None = None, cache: KVCache | None = None) -> Tensor:
        """Return the logits of the token after each one.

        Shapes: ids [b n] -> [b n v]. `cache` holds the tokens read before these and takes these in.
        `mask` [b past+n] is False at padding, which is neither attended to nor counted in positions; the
        logits at padding mean nothing. Raises ValueError if past + n is more than `block`, IndexError for ids
        that are not in the vocabulary.
        """
        return self.head(self.states(ids, mask, cache))

    def states(self, ids: Tensor, mask: Tensor | None = None, cache: KVCache | None = None) -> Tensor:
        """Return what `head` reads: the normed stream after the last block. As `forward`, -> [b n d]."""
        x, attention = self._embed(ids, mask, 0 if cache is None else cache.length)
        for layer, block in enumerate(self.blocks):
            x = block(x, attention, cache, layer)
        return self.norm(x)

    def attention_maps(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the attention weights of all blocks, for looking at. ids [b n] -> [depth b h n n]."""
        x, attention = self._embed(ids, mask, 0)
        attention = causal_mask(ids.shape[1], device=ids.device) if attention is None else attention
        maps = []
        for block in self.blocks:
            maps.append(block.attn.attention_maps(block.norm1(x), mask=attention))
            x = block(x, attention)
        return torch.stack(maps)

    def _embed(self, ids: Tensor, mask: Tensor | None, past: int) -> tuple[Tensor, Tensor | None]:
        check_ids(ids, self.tokens.num_embeddings, past, self.block)
        n = ids.shape[1]
        if mask is None:
            places = torch.arange(past, past + n, device=ids.device)  # [n]
            attention = None
        else:
            if mask.shape != (ids.shape[0], past + n) or mask.dtype != torch.bool:
                wanted = f"boolean [{ids.shape[0]} {past + n}]"
                raise ValueError(f"The mask must be {wanted}, not {mask.dtype} {list(mask.shape)}.")
            places = (mask.cumsum(1) - 1).clamp(min=0)[:, past:]  # [b n]
            causal = causal_mask(n, past, ids.device)
            # padding attends to itself: its output goes unused, but a row with no key at all may be NaN
            attention = (causal & mask[:, None, None, :]) | (causal ^ causal.tril(past - 1))  # [b 1 n past+n]
        return self.drop(self.tokens(ids) + self.positions(places)), attention
