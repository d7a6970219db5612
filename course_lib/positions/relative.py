"""Positions inside attention, where only distances count: rotations of queries and keys, and biases."""

import math

import torch
from torch import Tensor

from course_lib.attention import MultiHeadAttention
from course_lib.positions.tables import wave_angles


def rope(x: Tensor, positions: Tensor, base: float = 10000.0) -> Tensor:
    """Rotate queries or keys by angles that grow with position, so that their products see only distances.

    Shapes: x [... n d], positions [n], or anything that broadcasts to [... n] (whole numbers or not, in any
    order) -> [... n d]. Channels (2i, 2i+1) are turned by p / base**(2i/d) radians; other libraries pair
    i with i + d/2. Raises ValueError if d is odd or the positions do not fit. Source: Su et al. 2021,
    equation 15.
    """
    try:
        fits = torch.broadcast_shapes(positions.shape, x.shape[:-1]) == x.shape[:-1]
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(f"Positions of shape {tuple(positions.shape)} do not fit x of shape {tuple(x.shape)}.")
    wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    angles = wave_angles(positions, x.shape[-1], base)  # [... n d/2]
    cos, sin = angles.cos().to(wide.dtype), angles.sin().to(wide.dtype)
    first, second = wide.unflatten(-1, (-1, 2)).unbind(-1)
    turned = torch.stack([first * cos - second * sin, first * sin + second * cos], dim=-1)
    return turned.flatten(-2).to(x.dtype)


class RotaryAttention(MultiHeadAttention):
    """Multi-head attention that rotates queries and keys by their positions 0, 1, 2, … in every head.

    Parameters and calls are MultiHeadAttention's. Raises ValueError if dim / heads is odd or not whole.
    """

    def __init__(self, dim: int, heads: int, base: float = 10000.0) -> None:
        super().__init__(dim, heads)
        if dim // heads % 2:
            raise ValueError(f"Rotations need an even number of channels per head, but {dim}/{heads} is odd.")
        self.base = base

    def _ask(self, x: Tensor, context: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        q, k, mask = super()._ask(x, context, mask)
        q, k = (rope(t, torch.arange(t.shape[-2], device=t.device), self.base) for t in (q, k))
        return q, k, mask


def alibi_slopes(heads: int) -> Tensor:
    """Give each head its slope: 2**(-8/h), 2**(-16/h), … when the number of heads h is a power of two.

    Shape: [heads]. For other numbers, as in the paper's code, the slopes of the power of two below come first
    and then every other one of twice that power. Source: Press, Smith and Lewis 2022, section 3.
    """
    if heads < 1:
        raise ValueError(f"There must be at least one head, not {heads}.")
    below = 2 ** int(math.log2(heads))
    slopes = [2 ** (-8 * (i + 1) / below) for i in range(below)]
    between = [2 ** (-8 * (i + 1) / (2 * below)) for i in range(0, 2 * below, 2)]
    return torch.tensor((slopes + between)[:heads], dtype=torch.float64)


def alibi_bias(heads: int, n: int, *, dtype: torch.dtype | None = None, device: torch.device | None = None) -> Tensor:
    """Give what ALiBi adds to the scores: minus the distance of query and key, times the slope of the head.

    Shape: [heads n n]. The distance is |i - j|, so that it also serves attention that is not causal; a causal
    mask still has to be applied. Source: Press, Smith and Lewis 2022, section 3.
    """
    places = torch.arange(n, dtype=torch.float64)
    distance = (places[:, None] - places).abs()
    bias = -alibi_slopes(heads)[:, None, None] * distance
    return bias.to(device, dtype or torch.get_default_dtype())
