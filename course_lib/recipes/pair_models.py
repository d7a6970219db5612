"""The models of the `same_species` recipe: shared local features, and four relations that stand on them."""

import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.attention import LayerNorm, MultiHeadAttention

PATCH, DIM, HEADS = 4, 48, 4
LABELS = {
    "local": "CNN, receptive field 13 px, linear readout",
    "attention": "same, with one self-attention layer",
    "mlp_head": "same, with an MLP after the pooling",
    "wide_cnn": "same, dilated to a receptive field of 69 px",
}


def _conv(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


def local_features() -> nn.Sequential:
    """Images `[b 3 32 32]` to features `[b 48 8 8]`, each of which sees 5 + 2*2 + 2*2 = 13 pixels a side."""
    return nn.Sequential(_conv(3, 24, 5, 2), _conv(24, 32, 3, 1), _conv(32, DIM, 3, 2))


class Mean(nn.Module):
    """Mean over space: `[b d h w] -> [b d]`."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).mean(-1)


class SelfAttention(nn.Module):
    """One residual, pre-norm self-attention layer on a map: `[b d h w]`, kept."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.attn = LayerNorm(DIM), MultiHeadAttention(DIM, HEADS)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).mT  # [b n d]
        return (tokens + self.attn(self.norm(tokens))).mT.unflatten(2, x.shape[2:])


class Dilated(nn.Module):
    """One residual 3 x 3 convolution whose taps lie `dilation` features apart: `[b d h w]`, kept."""

    def __init__(self, dim: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 3, padding=dilation, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.relu(self.norm(self.conv(x)))


def relation(name: str) -> nn.Sequential:
    """What stands on the local features, `[b 48 8 8]` to logits `[b 2]`: one of `LABELS`, of nearly equal size."""
    if name == "local":
        return nn.Sequential(
            nn.Conv2d(DIM, 2 * DIM, 1), nn.ReLU(), nn.Conv2d(2 * DIM, DIM, 1), Mean(), nn.Linear(DIM, 2)
        )
    if name == "attention":
        return nn.Sequential(SelfAttention(), Mean(), nn.Linear(DIM, 2))
    if name == "mlp_head":
        # A mean over 64 places of which a dozen show a bird is small: brought to unit scale, or it hardly trains.
        return nn.Sequential(Mean(), nn.BatchNorm1d(DIM), nn.Linear(DIM, 4 * DIM), nn.ReLU(), nn.Linear(4 * DIM, 2))
    if name == "wide_cnn":
        return nn.Sequential(
            nn.Conv2d(DIM, 18, 1), *(Dilated(18, dilation) for dilation in (1, 2, 4)), Mean(), nn.Linear(18, 2)
        )
    raise ValueError(f"No relation is called {name!r}; there are {', '.join(LABELS)}.")


def receptive_field(name: str) -> int | None:
    """Pixels a side that one place sees before the pooling; None for attention, which sees all of them."""
    stacked = 13 + PATCH * 2 * (1 + 2 + 4)
    return {"attention": None, "wide_cnn": stacked}.get(name, 13)
