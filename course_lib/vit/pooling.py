"""From many tokens to one: a token put in front to gather what the others know, or their mean."""

import torch
from torch import Tensor


def prepend_cls(tokens: Tensor, cls: Tensor) -> Tensor:
    """Put the same vector in front of the tokens of every image.

    Shapes: tokens [b n d], cls [d] (or [1 d], [1 1 d]) -> [b n+1 d]. Raises ValueError if the channels differ.
    Source: Dosovitskiy et al. 2021, equation 1, after BERT's [class] token.
    """
    if tokens.ndim != 3:
        raise ValueError(f"Tokens must be [b n d], but their shape is {tuple(tokens.shape)}.")
    b, _, d = tokens.shape
    if cls.numel() != d or cls.shape[-1] != d:
        raise ValueError(f"Tokens of {d} channels need a cls vector [{d}], but its shape is {tuple(cls.shape)}.")
    return torch.cat([cls.reshape(1, 1, d).expand(b, 1, d), tokens], dim=1)


def pool(tokens: Tensor, how: str, n_prefix: int = 1) -> Tensor:
    """Sum up an image in one vector: its cls token, or the mean of its patches.

    Shape: [b n d] -> [b d]. The first `n_prefix` tokens are no patches: "cls" takes the first of them, "mean"
    leaves them out. Raises ValueError for another `how`, or if there is nothing to take.
    """
    if how not in ("cls", "mean"):
        raise ValueError(f'Tokens are pooled by "cls" or "mean", not by {how!r}.')
    if tokens.ndim != 3:
        raise ValueError(f"Tokens must be [b n d], but their shape is {tuple(tokens.shape)}.")
    n = tokens.shape[1]
    if how == "cls" and not 1 <= n_prefix <= n:
        raise ValueError(f"There is no cls token: {n} tokens, of which {n_prefix} come before the patches.")
    if how == "mean" and not 0 <= n_prefix < n:
        raise ValueError(f"There is no patch to average: {n} tokens, of which {n_prefix} come before the patches.")
    return tokens[:, 0] if how == "cls" else tokens[:, n_prefix:].mean(dim=1)
