"""Positions as tables that are added to the tokens: sinusoids, learned vectors, planes, Fourier features."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def sinusoidal(
    n: int,
    dim: int,
    base: float = 10000.0,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | None = None,
) -> Tensor:
    """Describe the positions 0 … n-1 by sines and cosines, from fast waves to slow ones.

    Shape: [n dim]. Channels (2i, 2i+1) are (sin, cos) of p / base**(2i/dim). Raises ValueError if `dim` is
    odd. Source: Vaswani et al. 2017, section 3.5.
    """
    angles = wave_angles(torch.arange(n), dim, base)  # [n dim/2]
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2).to(device, dtype or _default())


def shift_matrix(
    offset: float,
    dim: int,
    base: float = 10000.0,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | None = None,
) -> Tensor:
    """Give the matrix that moves a sinusoidal position on by `offset`, from wherever it is.

    Shape: [dim dim], and `shift_matrix(k, dim) @ sinusoidal(n, dim)[p]` is position p + k: each pair of
    channels is rotated by its own angle. Raises ValueError if `dim` is odd.
    """
    angles = wave_angles(torch.tensor(offset), dim, base)  # [dim/2]
    sin, cos = angles.sin(), angles.cos()
    # sin(p + k) = cos(k) sin(p) + sin(k) cos(p)  and  cos(p + k) = -sin(k) sin(p) + cos(k) cos(p)
    turns = torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], -2)  # [dim/2 2 2]
    return torch.block_diag(*turns).to(device, dtype or _default())


class LearnedPositions(nn.Module):
    """Add to the token at each place a vector that is learned for that place.

    The vectors are `table`, an nn.Parameter [max_len dim], drawn with standard deviation 0.02.
    """

    def __init__(self, max_len: int, dim: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(max_len, dim) * 0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """Shape: [b n dim], kept. Raises ValueError for more tokens than the table has places."""
        n, max_len = tokens.shape[-2], self.table.shape[0]
        if n > max_len:
            raise ValueError(f"The table has vectors for {max_len} positions, but there are {n} tokens.")
        return tokens + self.table[:n]


def sincos_2d(
    h: int,
    w: int,
    dim: int,
    base: float = 10000.0,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | None = None,
) -> Tensor:
    """Describe the places of an h×w grid, row after row: half the channels say the row, half the column.

    Shape: [h*w dim]; each half is `sinusoidal` of dim/2 channels. Raises ValueError unless 4 divides `dim`.
    Source: Chen, Xie and He 2021 (MoCo v3), section 4, who order the channels otherwise.
    """
    if dim % 4:
        raise ValueError(f"{dim} channels cannot be shared by the sines and cosines of two axes: need 4 | dim.")
    rows = sinusoidal(h, dim // 2, base, dtype=dtype, device=device)
    columns = sinusoidal(w, dim // 2, base, dtype=dtype, device=device)
    return torch.cat([rows.repeat_interleave(w, dim=0), columns.repeat(h, 1)], dim=-1)


def fourier_features(coords: Tensor, B: Tensor) -> Tensor:
    """Describe points by waves in given directions: cos(2πBv), then sin(2πBv).

    Shapes: coords [... c], B [m c] with a frequency vector in each row -> [... 2m]. Raises ValueError if the
    numbers of coordinates differ. Source: Tancik et al. 2020, section 6, where B is Gaussian.
    """
    if B.ndim != 2 or coords.shape[-1] != B.shape[-1]:
        raise ValueError(f"Frequencies of shape {tuple(B.shape)} do not fit points of {coords.shape[-1]} coordinates.")
    phases = 2 * math.pi * coords @ B.mT  # [... m]
    return torch.cat([phases.cos(), phases.sin()], dim=-1)


def resize_positions(
    table: Tensor,
    old_hw: tuple[int, int],
    new_hw: tuple[int, int],
    n_prefix: int = 1,
    *,
    antialias: bool = False,
) -> Tensor:
    """Stretch a table of positions from one grid of patches to another, by bicubic interpolation.

    Shape: [... n_prefix + h*w d] -> [... n_prefix + h'*w' d]; the first `n_prefix` vectors (the cls token's)
    stay as they are. Pixel centres are aligned, not corners, as in DINO and Hugging Face's ViT; `antialias`
    as in timm. Raises ValueError if the table is not of the old size. Source: Dosovitskiy et al. 2021,
    section 3.2.
    """
    (h, w), d = old_hw, table.shape[-1]
    if table.shape[-2] != n_prefix + h * w:
        raise ValueError(
            f"A {h}×{w} grid and {n_prefix} prefix tokens need {n_prefix + h * w} positions, "
            f"but the table has {table.shape[-2]}."
        )
    prefix, grid = table[..., :n_prefix, :], table[..., n_prefix:, :]
    if tuple(old_hw) == tuple(new_hw):
        return table.clone()
    images = grid.reshape(-1, h, w, d).permute(0, 3, 1, 2)  # [b d h w]
    wide = images.float() if images.dtype in (torch.float16, torch.bfloat16) else images
    resized = F.interpolate(wide, size=tuple(new_hw), mode="bicubic", align_corners=False, antialias=antialias)
    resized = resized.to(table.dtype).flatten(2).mT.reshape(*table.shape[:-2], -1, d)
    return torch.cat([prefix, resized], dim=-2)


def wave_angles(positions: Tensor, dim: int, base: float = 10000.0) -> Tensor:
    """Give the angle of each wave at each position: p / base**(2i/dim) for the i-th pair of channels.

    Shape: [...] -> [... dim/2], in float64 where the device has it, since float32 is a whole radian off at
    a position of ten million. Raises ValueError if `dim` is odd.
    """
    if dim % 2 or dim < 2:
        raise ValueError(f"Sines and cosines come in pairs, so the number of channels must be even, not {dim}.")
    exact = torch.float32 if positions.device.type == "mps" else torch.float64
    frequencies = base ** (-torch.arange(0, dim, 2, device=positions.device, dtype=exact) / dim)
    return positions.to(exact)[..., None] * frequencies


def _default() -> torch.dtype:
    return torch.get_default_dtype()
