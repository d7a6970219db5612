"""What SIREN is compared with: the same network with ReLU, and with Fourier features in front of it."""

import math

import torch
from torch import Tensor, nn


class ReluField(nn.Module):
    """Map coordinates to values by `depth` ReLU layers of width `hidden` and a linear one, kept in `layers`.

    Shape: [... in_features] -> [... out_features]. Weights are drawn as He et al. 2015 propose. Smooth
    targets come out well and fine detail late, and the second derivative is zero almost everywhere. Raises
    ValueError unless depth is at least 1.
    """

    def __init__(self, in_features: int, hidden: int, depth: int, out_features: int) -> None:
        super().__init__()
        if depth < 1:
            raise ValueError(f"A ReluField has at least one hidden layer, but depth is {depth}.")
        widths = [in_features] + [hidden] * depth
        parts: list[nn.Module] = []
        for fan_in, fan_out in zip(widths, widths[1:], strict=False):
            parts += [nn.Linear(fan_in, fan_out), nn.ReLU()]
            nn.init.kaiming_normal_(parts[-2].weight, nonlinearity="relu")
        self.layers = nn.Sequential(*parts, nn.Linear(hidden, out_features))

    def forward(self, coords: Tensor) -> Tensor:
        return self.layers(coords)


class FourierFeatureField(nn.Module):
    """Look at coordinates through fixed random waves, then map them by a ReluField, kept in `field`.

    Shape: [... in_features] -> [... out_features]. The waves are cos and sin of 2π B x with B, a buffer
    [features in_features], drawn from a normal distribution of standard deviation `scale` in periods per
    unit of length: with too small a scale the result is blurred, with too large a one noisy. Raises
    ValueError unless features and depth are at least 1. Source: Tancik et al. 2020, section 6.
    """

    def __init__(
        self,
        in_features: int,
        hidden: int,
        depth: int,
        out_features: int,
        features: int = 128,
        scale: float = 5.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if features < 1:
            raise ValueError(f"At least one wave is needed, but features is {features}.")
        self.register_buffer("B", scale * torch.randn(features, in_features, generator=generator))
        self.field = ReluField(2 * features, hidden, depth, out_features)

    def forward(self, coords: Tensor) -> Tensor:
        phase = 2 * math.pi * coords @ self.B.mT  # [... features]
        return self.field(torch.cat([torch.cos(phase), torch.sin(phase)], dim=-1))
