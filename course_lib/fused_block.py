"""The block of decoders and encoders: parts and names of `TransformerBlock`, made to be fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.attention import MultiHeadAttention, TransformerBlock

if TYPE_CHECKING:
    from course_lib.kv_cache import KVCache


def self_attention(
    attn: MultiHeadAttention,
    x: Tensor,
    mask: Tensor | None = None,
    causal: bool = True,
    cache: KVCache | None = None,
    layer: int = 0,
    dropout: float = 0.0,
) -> Tensor:
    """Let tokens attend to each other, and to those in `cache`, with the weights of `attn`.

    Shapes: x [b n d], mask [... n past+n] broadcasting to [b h n past+n] -> [b n d]. A mask replaces the
    causal one and must leave each query a key. `dropout` is the probability of dropping a weight.
    """
    n = x.shape[1]
    q, k, v = _project(attn, x)
    if cache is not None:
        k, v = cache.append(layer, k, v)
    past = k.shape[2] - n
    if mask is None and causal and past > 0 and n > 1:
        # imported late: whoever reads without a cache, as the vision transformer does, can do without that module
        from course_lib.kv_cache import causal_mask

        mask = causal_mask(n, past, x.device)
    # the kernel's own causal mask costs nothing; a single newest token may see all there is
    in_kernel = mask is None and causal and n > 1
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=in_kernel)
    return attn.out(out.transpose(1, 2).flatten(2))  # [b h n e] -> [b n d]


class FusedBlock(TransformerBlock):
    """A pre-norm Transformer block with fused norm and attention, optional causality, cache and dropout.

    Parameters, their names and, without dropout, results are those of `TransformerBlock` (with the causal
    mask if `causal`). `gelu` is "erf", or "tanh" for GPT-2's approximation; `dropout` acts on attention
    weights and on both branches before they are added (Radford et al. 2018).
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        mlp_ratio: float = 4,
        causal: bool = True,
        gelu: str = "erf",
        dropout: float = 0.0,
    ) -> None:
        super().__init__(dim, heads, mlp_ratio)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.mlp[1] = activation(gelu)
        self.causal = causal
        self.dropout = dropout

    def forward(self, x: Tensor, mask: Tensor | None = None, cache: KVCache | None = None, layer: int = 0) -> Tensor:
        """Shapes: x [b n d], mask as for `self_attention` -> [b n d]."""
        rate = self.dropout if self.training else 0.0
        seen = self_attention(self.attn, self.norm1(x), mask, self.causal, cache, layer, rate)
        x = x + (F.dropout(seen, rate) if rate else seen)
        changed = self.mlp(self.norm2(x))
        return x + (F.dropout(changed, rate) if rate else changed)


def activation(gelu: str) -> nn.GELU:
    """Make the GELU called "erf" (Hendrycks and Gimpel 2016) or its "tanh" approximation (GPT-2)."""
    if gelu not in ("erf", "tanh"):
        raise ValueError(f'gelu is "erf" or "tanh", not {gelu!r}.')
    return nn.GELU(approximate="tanh" if gelu == "tanh" else "none")


def draw_weights(model: nn.Module, depth: int, std: float = 0.02) -> None:
    """Draw all Linear and Embedding weights from N(0, std²) and set biases to zero, in place.

    The last layers of all residual branches (`out`, and each MLP's second Linear) get std / √(2 depth), so
    that the stream's variance does not grow with depth. Source: Radford et al. 2019, section 2.3.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            last = name.endswith((".out", ".mlp.2"))
            nn.init.normal_(module.weight, std=std / (2 * depth) ** 0.5 if last else std)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)


def check_ids(ids: Tensor, vocab: int, past: int, block: int) -> None:
    """Raise unless ids are integers [b n] below `vocab` that fit in `block` after `past` others.

    TypeError or ValueError, and IndexError for an id without an embedding. The ids themselves are only read
    on the CPU: elsewhere it would mean waiting for the device at each step.
    """
    if ids.is_floating_point() or ids.dtype == torch.bool:
        raise TypeError(f"Ids must be integers, but are {ids.dtype}.")
    if ids.ndim != 2:
        raise ValueError(f"Ids must be [b n], but their shape is {list(ids.shape)}.")
    total = past + ids.shape[1]
    if total > block:
        raise ValueError(f"{total} tokens exceed the block of {block} that the model knows.")
    if ids.device.type == "cpu" and ids.numel() and not torch.compiler.is_compiling():
        low, high = (int(end) for end in ids.aminmax())
        if low < 0 or high >= vocab:
            raise IndexError(f"Ids must lie in 0..{vocab - 1}, but these go from {low} to {high}.")


def _project(attn: MultiHeadAttention, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    # `split_heads` and `merge_heads` by torch's own reshaping: in a small model's step reading their names takes 1 %
    shape = (*x.shape[:2], attn.heads, x.shape[-1] // attn.heads)
    q, k, v = (layer(x).view(shape).transpose(1, 2) for layer in (attn.query, attn.key, attn.value))
    return q, k, v
