"""What the `bird_dino` recipe trains: a small ViT, the head that DINO puts on it, and the views it is shown."""

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.vit import ViT

SIZE, PATCH, DIM, DEPTH, HEADS = 32, 4, 48, 4, 4
GRID = (SIZE // PATCH, SIZE // PATCH)
PROTOTYPES = 128


def vit(classes: int = 0) -> ViT:
    """The ViT: 64 patches of 4 × 4 pixels, 4 blocks of 48 channels and 4 heads; without classes it has no head."""
    return ViT(SIZE, PATCH, 3, classes, DIM, DEPTH, HEADS, mlp_ratio=2)


def standardised(images: Tensor) -> Tensor:
    """Scenes in [0, 1] with mean and deviation of about 0 and 1."""
    return (images - 0.5) / 0.25


class DinoNet(nn.Module):
    """A ViT and a small MLP that compares its cls token with learned prototypes: cosines `[b prototypes]`."""

    def __init__(self) -> None:
        super().__init__()
        self.net = vit()
        self.mlp = nn.Sequential(nn.Linear(DIM, 128), nn.GELU(), nn.Linear(128, 128), nn.GELU(), nn.Linear(128, 32))
        self.prototypes = nn.Parameter(torch.randn(PROTOTYPES, 32))

    def forward(self, views: Tensor) -> Tensor:
        """Views `[b 3 s s]` of any side that the patch divides -> `[b prototypes]`."""
        seen = F.normalize(self.mlp(self.net(views, interpolate=True)), dim=-1)
        return seen @ F.normalize(self.prototypes, dim=-1).mT


def cropped(images: Tensor, side: int, area: tuple[float, float], generator: torch.Generator) -> Tensor:
    """A random rectangle of each image, of a share `area` of it, mirrored half of the time, at `side` pixels."""
    b = len(images)
    u = torch.rand(5, b, generator=generator)
    length, shape = (area[0] + (area[1] - area[0]) * u[0]).sqrt(), torch.exp((u[1] - 0.5) * math.log(4 / 3))
    h, w = (length * shape).clamp(max=1), (length / shape).clamp(max=1)
    mirror, zero = torch.where(u[2] < 0.5, 1.0, -1.0), torch.zeros(b)
    rows = [torch.stack([w * mirror, zero, (2 * u[3] - 1) * (1 - w)], -1)]
    rows.append(torch.stack([zero, h, (2 * u[4] - 1) * (1 - h)], -1))
    places = F.affine_grid(torch.stack(rows, 1), (b, 3, side, side), align_corners=False)
    return F.grid_sample(images, places, align_corners=False, padding_mode="border")


def recoloured(images: Tensor, generator: torch.Generator) -> Tensor:
    """Brighten or darken each image and change its contrast, by a little."""
    u = 2 * torch.rand(2, len(images), 1, 1, 1, generator=generator) - 1
    return 0.5 + (images - 0.5) * (0.1 * u[0]).exp() + 0.05 * u[1]


def balanced(scores: Tensor, temperature: float, rounds: int = 3) -> Tensor:
    """Sharpen scores `[b k]` to targets whose rows sum to one and that use all columns about equally.

    Sinkhorn and Knopp's iteration, with which DINOv2 replaces DINO's running centre.
    """
    shares = (scores / temperature).exp()
    for _ in range(rounds):
        shares = shares / shares.sum(0, keepdim=True)
        shares = shares / shares.sum(1, keepdim=True)
    return shares


def save(model: ViT, path: Path) -> None:
    """Write a model's parameters as float16 to an `.npz` file."""
    np.savez_compressed(path, **{name: value.half().numpy() for name, value in model.state_dict().items()})


def load(path: str | Path) -> ViT:
    """The ViT that `save` wrote, in eval mode. Raises `FileNotFoundError` with the command that makes the file."""
    if not Path(path).exists():
        raise FileNotFoundError(f"{path} is missing; make it with `python -m course_lib.recipes.bird_dino`.")
    with np.load(path) as stored:
        state = {name: torch.from_numpy(stored[name]).float() for name in stored.files}
    model = vit(len(state["head.bias"]) if "head.bias" in state else 0)
    model.load_state_dict(state)
    return model.eval()
