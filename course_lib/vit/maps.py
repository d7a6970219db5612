"""Looking at attention: where the cls token looks, across all layers, and which patches make up an object."""

from collections.abc import Sequence

import torch
from torch import Tensor


def cls_attention_maps(attn: Tensor, grid: tuple[int, int]) -> Tensor:
    """Lay out how much the cls token attends to each patch as one small image per head.

    Shapes: attn [b h n n] with the cls token first -> [b h gh gw], where (gh, gw) is `grid`. What the cls
    token gives to itself is left out, so that a map sums to less than one. Raises ValueError unless
    n = 1 + gh*gw. Source: Caron et al. 2021, figure 1.
    """
    (gh, gw), n = grid, attn.shape[-1]
    if attn.ndim < 2 or attn.shape[-2] != n or n != 1 + gh * gw:
        raise ValueError(
            f"A cls token and a {gh}×{gw} grid need attention [b h {1 + gh * gw} {1 + gh * gw}], "
            f"but its shape is {tuple(attn.shape)}."
        )
    return attn[..., 0, 1:].unflatten(-1, (gh, gw))


def attention_rollout(attns: Sequence[Tensor] | Tensor) -> Tensor:
    """Follow attention through all layers: how much each last token has of each first one.

    Shapes: one [b h n n] for each layer, from the first to the last -> [b n n]. Heads are averaged, the
    residual stream counts as much as attention, A = (W + I)/2, and layers multiply, later ones from the left.
    Rows are scaled to sum to one, so a row without weights keeps its own token. It is no more than a rough
    account: values, norms and MLPs are left out. Raises ValueError if there is no layer or shapes differ.
    Source: Abnar and Zuidema 2020, section 3.
    """
    if not len(attns):
        raise ValueError("There is nothing to roll out: no layer was given.")
    shape = attns[0].shape
    if len(shape) != 4 or shape[-1] != shape[-2] or any(layer.shape != shape for layer in attns):
        shapes = ", ".join(str(tuple(layer.shape)) for layer in attns)
        raise ValueError(f"Each layer's attention must have the same shape [b h n n], but they are {shapes}.")
    keep = torch.eye(shape[-1], dtype=attns[0].dtype, device=attns[0].device)
    rollout = keep.expand(shape[0], -1, -1)
    for layer in attns:
        step = layer.mean(dim=1) + keep  # [b n n]
        rollout = (step / step.sum(-1, keepdim=True)) @ rollout
    return rollout


def mask_from_attention(map: Tensor, keep: float = 0.6) -> Tensor:
    """Select the fewest patches that together hold the share `keep` of a map's mass.

    Shape: map [... gh gw], not negative -> boolean, same shape, True for the selected ones. Equal patches
    are taken row by row. Sums are compared to one part in a million. A map of zeros selects nothing. Raises
    ValueError unless 0 < keep <= 1 and the map is finite and not negative. Source: the masks of Caron et al. 2021,
    figure 4.
    """
    if not 0 < keep <= 1:
        raise ValueError(f"The share to keep must lie above 0 and at most at 1, but is {keep}.")
    if map.ndim < 2:
        raise ValueError(f"A map must be [... gh gw], but its shape is {tuple(map.shape)}.")
    if not bool(((map >= 0) & map.isfinite()).all()):
        raise ValueError("A map's masses must be finite and not negative, but some of these are not.")
    exact = map.detach().to(torch.float32 if map.device.type == "mps" else torch.float64)
    mass, order = exact.flatten(-2).sort(dim=-1, descending=True, stable=True)
    reached = mass.cumsum(-1) - mass  # before each patch, from the largest on
    total = mass.sum(-1, keepdim=True)
    # without the slack a sum that is exactly enough would, by rounding, take in one patch more
    wanted = reached < total * keep * (1 - 1e-6)
    return torch.zeros_like(wanted).scatter(-1, order, wanted).unflatten(-1, map.shape[-2:])
