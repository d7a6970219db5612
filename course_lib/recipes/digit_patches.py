"""What mixing tokens is for, and what a mixing layer knows about places: digits of 8 x 8 pixels in 16 patches.

Four classifiers of about equal size read the same patches, then average the tokens and read the mean out:

- `alone`      token-wise MLPs only: no token ever learns of another before the mean
- `token_net`  sums of tokens with free weights, then a token-wise MLP (course_lib.tokens.TokenNet)
- `mixer`      MLP-Mixer (course_lib.tokens.MLPMixer)
- `cnn`        3 x 3 convolutions over the grid of patches

Each is trained anew on two versions of the data: patches `in_place`, and patches put into one fixed random order,
the same for every image of training and test (`shuffled`). Nothing is lost by such a shuffle, except which
patches were neighbours. Each seed draws its own split into training and test images.

Fields of the result file, besides command, device, torch, minutes, seeds and settings: `title`; `table` (rows for
people); `grid` (down, across); `order` [n]: the patch that comes to each place when shuffled; `chance`;
`test_images`; `models` {name: {label, parameters, in_place [seed], shuffled [seed]: accuracy}}; `mix` [n][n]: the
first mixing matrix of the token net, trained with the first seed on patches in place.
"""

import time
from argparse import Namespace

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from course_lib.attention import LayerNorm
from course_lib.data.images import digits
from course_lib.recipes._common import Progress, fit, options, parameters, rounded, threads, write
from course_lib.tokens import MLPMixer, PatchEmbed, TokenMLP, TokenNet, patchify, unpatchify

SIDE, PATCH, CLASSES, DEPTH = 8, 2, 10, 3
GRID = (SIDE // PATCH, SIDE // PATCH)
PLACES = GRID[0] * GRID[1]
LABELS = {
    "alone": "token-wise MLPs, no mixing",
    "token_net": "token net, free mixing matrices",
    "mixer": "MLP-Mixer",
    "cnn": "3×3 convolutions over the patches",
}
ARRANGEMENTS = ("in_place", "shuffled")


class Readout(nn.Module):
    """Patches to tokens, a `body` over tokens [b n dim], their mean, and a linear readout to logits [b classes]."""

    def __init__(self, dim: int, body: nn.Module) -> None:
        super().__init__()
        self.embed = PatchEmbed(SIDE, PATCH, 1, dim)
        self.body = body
        self.head = nn.Linear(dim, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(self.embed(images)).mean(1))


class Residual(nn.Module):
    """A layer that keeps the shape [b n dim], inside a pre-norm residual."""

    def __init__(self, dim: int, layer: nn.Module) -> None:
        super().__init__()
        self.norm = LayerNorm(dim)
        self.layer = layer

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens + self.layer(self.norm(tokens))


class GridConvolution(nn.Module):
    """A 3 x 3 convolution over the grid that the tokens [b n dim] come from, and a GELU."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 3, padding=1)

    def forward(self, tokens: Tensor) -> Tensor:
        grid = rearrange(tokens, "b (gh gw) d -> b d gh gw", gh=GRID[0])
        return rearrange(F.gelu(self.conv(grid)), "b d gh gw -> b (gh gw) d")


def model(name: str) -> nn.Module:
    """A new network of about 15,000 parameters, by its name in LABELS."""
    if name == "alone":
        body = nn.Sequential(*[Residual(32, TokenMLP(32, 72)) for _ in range(DEPTH)], LayerNorm(32))
        return Readout(32, body)
    if name == "token_net":
        return Readout(32, TokenNet(PLACES, 32, hidden=68, depth=DEPTH))
    if name == "mixer":
        return MLPMixer(SIDE, PATCH, 1, CLASSES, dim=32, depth=DEPTH, token_hidden=16, channel_hidden=64)
    if name == "cnn":
        body = nn.Sequential(*[Residual(24, GridConvolution(24)) for _ in range(DEPTH)], LayerNorm(24))
        return Readout(24, body)
    raise ValueError(f"There is no model {name!r}; there are {', '.join(LABELS)}.")


def arrange(images: Tensor, order: Tensor) -> Tensor:
    """Put patch `order[i]` of each image to place i. Shape: [b c h w], kept."""
    return unpatchify(patchify(images, PATCH)[:, order], PATCH, (SIDE, SIDE))


def shuffled_order() -> Tensor:
    """The one order of the patches that `shuffled` stands for: [n]."""
    return torch.randperm(PLACES, generator=torch.Generator().manual_seed(7))


def train(name: str, seed: int, order: Tensor, args: Namespace, progress: Progress) -> tuple[nn.Module, float]:
    """A trained model and its accuracy on the test images of its split."""
    (x, y), (x_test, y_test) = (digits(split, seed=seed) for split in ("train", "test"))
    x, x_test = (arrange(images, order) * 2 - 1 for images in (x, x_test))
    torch.manual_seed(seed)
    net = model(name)
    fit(
        net, lambda i: F.cross_entropy(net(x[i]), y[i]), len(x), steps=args.steps, batch=64, peak=5e-3, seed=seed,
        progress=progress, doing=f"seed {seed}: {name}",
    )  # fmt: skip
    with torch.no_grad():
        return net, (net(x_test).argmax(1) == y_test).double().mean().item()


def main(argv: list[str] | None = None) -> None:
    """Train every model on both arrangements for each seed, and write the result file."""
    args = options("digit_patches", __doc__, argv, seeds=[0, 1, 2, 3, 4], steps=800)
    started = time.monotonic()
    progress = Progress(len(args.seeds) * len(LABELS) * len(ARRANGEMENTS) * args.steps)
    orders = {"in_place": torch.arange(PLACES), "shuffled": shuffled_order()}
    accuracy = {name: {where: [] for where in ARRANGEMENTS} for name in LABELS}
    first_mix = torch.empty(0)
    with threads(args.threads):
        for seed in args.seeds:
            for name in LABELS:
                for where, order in orders.items():
                    net, right = train(name, seed, order, args, progress)
                    accuracy[name][where].append(right)
                    if (name, where, seed) == ("token_net", "in_place", args.seeds[0]):
                        first_mix = net.body.mix[0].detach()
    facts = {
        "title": "Digits in 16 patches: what mixing tokens adds, and what a fixed shuffle of the patches takes away",
        "table": [
            {
                "network": label,
                "parameters": parameters(model(name)),
                **{
                    f"accuracy, patches {where.replace('_', ' ')}": rounded(torch.tensor(accuracy[name][where]).mean())
                    for where in ARRANGEMENTS
                },
            }
            for name, label in LABELS.items()
        ],
        "grid": list(GRID),
        "order": orders["shuffled"].tolist(),
        "chance": 1 / CLASSES,
        "test_images": len(digits("test")[1]),
        "models": {
            name: {
                "label": label,
                "parameters": parameters(model(name)),
                **{where: rounded(accuracy[name][where]) for where in ARRANGEMENTS},
            }
            for name, label in LABELS.items()
        },
        "mix": rounded(first_mix, 3),
    }
    write(args, "digit_patches", argv, started, facts)


if __name__ == "__main__":
    main()
