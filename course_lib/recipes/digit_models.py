"""The models of the `digits` recipe: a ViT, an MLP-Mixer and a convolutional net, equal in size."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.tokens.nets import MLPMixer
from course_lib.vit import ViT

SIDE, PATCH, CLASSES = 8, 2, 10
LABELS = {
    "vit": "ViT, cls token",
    "vit_mean": "ViT, mean of patches",
    "mixer": "MLP-Mixer",
    "cnn": "CNN, four 3×3 convolutions",
}


def vit(pool: str = "cls") -> ViT:
    """The ViT of the recipe: 16 patches of 2 × 2 pixels, 4 blocks of 48 channels, hidden width 96."""
    return ViT(SIDE, PATCH, 1, CLASSES, dim=48, depth=4, heads=4, mlp_ratio=2, pool=pool, cls_token=pool == "cls")


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.GELU())


def make(name: str) -> nn.Module:
    """One of `LABELS`, untrained: images [b 1 8 8], as `standardised` gives them, -> logits [b 10]."""
    if name in ("vit", "vit_mean"):
        return vit("cls" if name == "vit" else "mean")
    if name == "mixer":
        return MLPMixer(SIDE, PATCH, 1, CLASSES, dim=48, depth=4, token_hidden=24, channel_hidden=187)
    if name == "cnn":
        convs = (_conv(1, 34), _conv(34, 34), _conv(34, 70, stride=2), _conv(70, 70))
        return nn.Sequential(*convs, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(70, CLASSES))
    raise ValueError(f"No model is called {name!r}; there are {', '.join(LABELS)}.")


def standardised(images: Tensor) -> Tensor:
    """Digits in [0, 1] with mean and deviation of about 0 and 1, over all pixels."""
    return (images - 0.3) / 0.38


def jiggled(
    images: Tensor,
    generator: torch.Generator,
    *,
    turn: float = 0.15,
    grow: float = 0.08,
    slant: float = 0.1,
    shift: float = 0.6,
) -> Tensor:
    """Turn, stretch, slant and shift each image by its own random amounts; what comes from outside is black.

    Shape: [b c h w], kept. At most: `turn` radians, a factor exp(`grow`) along each axis, a slant of `slant`,
    and `shift` pixels along each axis.
    """
    b, _, h, w = images.shape
    u = 2 * torch.rand(6, b, generator=generator) - 1
    cos, sin = (turn * u[0]).cos(), (turn * u[0]).sin()
    rotation = torch.stack([cos, -sin, sin, cos], -1).view(b, 2, 2)
    stretch = torch.zeros(b, 2, 2)
    stretch[:, 0, 0], stretch[:, 1, 1] = (grow * u[1]).exp(), (grow * u[2]).exp()
    stretch[:, 0, 1] = slant * u[3]
    move = shift * torch.stack([u[4] * 2 / w, u[5] * 2 / h], -1)  # the grid runs from -1 to 1
    places = F.affine_grid(torch.cat([rotation @ stretch, move[..., None]], -1), images.shape, align_corners=False)
    return F.grid_sample(images, places, align_corners=False)


def save(model: nn.Module, path: Path) -> None:
    """Write a model's parameters as float16 to an `.npz` file; four digits are enough for its answers."""
    np.savez_compressed(path, **{name: value.half().numpy() for name, value in model.state_dict().items()})


def load(path: str | Path) -> ViT:
    """The ViT that `save` wrote, in eval mode. Raises `FileNotFoundError` with the command that makes the file."""
    if not Path(path).exists():
        raise FileNotFoundError(f"{path} is missing; make it with `python -m course_lib.recipes.digits`.")
    with np.load(path) as stored:
        state = {name: torch.from_numpy(stored[name]).float() for name in stored.files}
    model = vit()
    model.load_state_dict(state)
    return model.eval()
