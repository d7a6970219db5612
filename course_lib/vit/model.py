"""The Vision Transformer: an image as a sentence of patches, read by a plain Transformer encoder."""

from collections.abc import Mapping
from os import PathLike
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from course_lib.fused_block import FusedBlock, draw_weights
from course_lib.positions import LearnedPositions, resize_positions
from course_lib.tokens import PatchEmbed, patchify
from course_lib.vit.pooling import pool as pool_tokens
from course_lib.vit.pooling import prepend_cls


class ViT(nn.Module):
    """Classify images: patches become tokens, a cls token and positions are added, blocks mix them.

    Parts: `patches` PatchEmbed, `cls` Parameter [dim], `positions` LearnedPositions whose `table` is
    [1+n dim] with the cls token's row first, `blocks` ModuleList of TransformerBlock (here its fast twin),
    `norm` LayerNorm(dim), and `head` Linear(dim, classes) on what `pool` makes of the normed tokens.

    `image_size` is (height, width) or one number. By keyword: `pool` is "cls" or "mean"; `cls_token=False`,
    for "mean" only, does without that token and its row; `eps` is that of all norms; `dropout` acts on the
    tokens, attention weights and both branches; `classes=0` puts an Identity for the head. Raises ValueError
    if sizes do not fit. Source: Dosovitskiy et al. 2021. As in their code, the blocks' weights are drawn after
    Glorot and Bengio 2010; all others have standard deviation 0.02, and biases are zero.
    """

    def __init__(
        self,
        image_size: int | tuple[int, int],
        patch: int,
        in_channels: int,
        classes: int,
        dim: int,
        depth: int,
        heads: int,
        *,
        pool: Literal["cls", "mean"] = "cls",
        cls_token: bool = True,
        mlp_ratio: float = 4,
        eps: float = 1e-5,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if min(in_channels, dim) < 1 or min(classes, depth) < 0:
            sizes = f"in_channels {in_channels}, dim {dim}, classes {classes}, depth {depth}"
            raise ValueError(f"A ViT cannot have {sizes}.")
        if pool not in ("cls", "mean") or (pool == "cls" and not cls_token):
            raise ValueError(f'pool is "cls", with a cls token, or "mean"; not {pool!r}, cls_token {cls_token}.')
        self.pool = pool
        self.patches = PatchEmbed(image_size, patch, in_channels, dim)
        self.cls = nn.Parameter(torch.empty(dim)) if cls_token else None
        self.positions = LearnedPositions(self.n_prefix + self.patches.n, dim)
        self.drop = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            FusedBlock(dim, heads, mlp_ratio, causal=False, dropout=dropout) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, classes) if classes else nn.Identity()
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = eps
        draw_weights(self, max(depth, 1))
        # a narrow model learns much slower from the 0.02 that suits wide ones
        for module in self.blocks.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
        if self.cls is not None:
            nn.init.normal_(self.cls, std=0.02)

    @classmethod
    def from_pretrained(cls, source: str | PathLike[str] | Mapping[str, Any], **choices: Any) -> Self:
        """Load published weights of timm, torchvision, Hugging Face or DINO, also for another image size.

        `source` is a state dict, a file, a folder, or a name on the Hugging Face hub; the choices are those of
        `course_lib.pretrained.vit.load_vit`, which says what it raises.
        """
        from course_lib.pretrained.vit import load_vit

        return load_vit(cls, source, **choices)

    @property
    def n_prefix(self) -> int:
        """The number of tokens before the patches: 1 with a cls token, else 0."""
        return 0 if self.cls is None else 1

    def forward(self, images: Tensor, *, interpolate: bool = False) -> Tensor:
        """Return the logits, or without a head the pooled vector.

        Shape: images [b c h w] -> [b classes], or [b dim] if `classes` is 0. With `interpolate` an image may
        have another size than promised, and the position table is stretched over it; without it, ValueError.
        """
        return self.head(pool_tokens(self.states(images, interpolate=interpolate), self.pool, self.n_prefix))

    def states(self, images: Tensor, *, interpolate: bool = False) -> Tensor:
        """Return the normed tokens after the last block, prefix first. As `forward`, -> [b 1+n d]."""
        x = self._embed(images, interpolate)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def attention_maps(self, images: Tensor, *, interpolate: bool = False) -> Tensor:
        """Return the attention weights of all blocks, for looking at. As `forward`, -> [depth b h 1+n 1+n]."""
        if not self.blocks:
            raise ValueError("A ViT of depth 0 has no attention to look at.")
        x, maps = self._embed(images, interpolate), []
        for block in self.blocks:
            maps.append(block.attn.attention_maps(block.norm1(x)))
            x = block(x)
        return torch.stack(maps)

    def _embed(self, images: Tensor, interpolate: bool) -> Tensor:
        if not interpolate or tuple(images.shape[-2:]) == self.patches.image_size:
            tokens, table = self.patches(images), self.positions.table
        else:
            patch, channels = self.patches.patch, self.patches.in_channels
            if images.ndim != 4 or images.shape[1] != channels:
                raise ValueError(f"Made for images [b {channels} h w], but got {tuple(images.shape)}.")
            tokens = self.patches.proj(patchify(images, patch))  # [b n d]
            grid = (images.shape[-2] // patch, images.shape[-1] // patch)
            table = resize_positions(self.positions.table, self.patches.grid, grid, self.n_prefix)
        tokens = tokens if self.cls is None else prepend_cls(tokens, self.cls)
        return self.drop(tokens + table)
