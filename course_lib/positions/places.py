"""Vectors added to tokens in a sequence or on a grid, at the trained size and beyond it."""

from math import prod
from typing import Literal

import torch
from torch import Tensor, nn

from course_lib.positions.tables import fourier_features, resize_positions, wave_angles

Size = tuple[int, ...]


class PlaceVectors(nn.Module):
    """Add to each token a vector for its place: learned, sinusoidal, or from Fourier features.

    `size` is the trained length (n,) or grid (h, w). Beyond it:
    a "learned" table (`table` [n dim]) raises, unless `beyond` is "interpolate", which stretches it;
    "sinusoidal" numbers the places one after the other, and "sincos_2d" the rows and the columns of a
    grid, without end; "fourier" (Gaussian `waves` of standard deviation `scale`, then `proj` to `dim`) sees
    coordinates that run over [-1, 1] on the trained length, and on every grid, since a longer text goes
    on while a larger grid is taken to show the same picture more finely.
    Raises ValueError if the channels cannot be paired on every axis.
    """

    def __init__(
        self,
        kind: Literal["learned", "sinusoidal", "sincos_2d", "fourier"],
        size: Size,
        dim: int,
        *,
        base: float = 10000.0,
        beyond: Literal["error", "interpolate"] = "error",
        frequencies: int = 32,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        if kind == "sincos_2d" and len(size) != 2:
            raise ValueError('Positions "sincos_2d" need a grid: give the size as (rows, columns).')
        axes = 2 if kind == "sincos_2d" else 1
        if kind in ("sinusoidal", "sincos_2d") and dim % (2 * axes):
            raise ValueError(f'Positions "{kind}" need channels in multiples of {2 * axes}, not {dim}.')
        self.kind, self.size, self.base, self.beyond = kind, size, base, beyond
        if kind == "learned":
            self.table = nn.Parameter(torch.randn(prod(size), dim) * 0.02)
        if kind == "fourier":
            self.register_buffer("waves", torch.randn(frequencies, len(size)) * scale)
            self.proj = nn.Linear(2 * frequencies, dim)

    def forward(self, tokens: Tensor, size: Size) -> Tensor:
        """Shape: tokens [b n d] of a sequence or grid of `size` -> [b n d]."""
        if self.kind == "learned":
            return tokens + self._learned(size)
        places = grid_places(size, tokens.device)  # [n axes]
        if self.kind == "fourier":
            places = places.to(torch.promote_types(places.dtype, self.waves.dtype))
            extent = torch.tensor(size if len(size) == 2 else self.size, device=tokens.device)
            middles = (2 * places + 1) / extent - 1
            features = fourier_features(middles, self.waves.to(middles.dtype))
            return tokens + self.proj(features.to(self.waves.dtype))
        if self.kind == "sinusoidal":
            places = torch.arange(len(places), device=tokens.device)[:, None]
        angles = wave_angles(places, tokens.shape[-1] // places.shape[1], self.base)  # [n axes pairs]
        return tokens + torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1).to(tokens.dtype)

    def _learned(self, size: Size) -> Tensor:
        if size == self.size:
            return self.table
        if len(size) == 1 and size[0] < self.size[0]:
            return self.table[: size[0]]
        if self.beyond == "error":
            raise ValueError(
                f"The learned table has places for {'×'.join(map(str, self.size))} tokens, not for "
                f'{"×".join(map(str, size))}; beyond="interpolate" stretches it.'
            )
        old, new = ((1, *s) if len(s) == 1 else s for s in (self.size, size))
        return resize_positions(self.table, old, new, n_prefix=0)


def grid_places(size: Size, device: torch.device | None = None) -> Tensor:
    """Give the coordinates of every place of a sequence (n,) or grid (h, w), row after row: [n axes]."""
    axes = [torch.arange(n, device=device, dtype=torch.float32) for n in size]
    return torch.cartesian_prod(*axes).reshape(-1, len(size))
