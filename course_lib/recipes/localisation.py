"""Where is the bird? Convolutional nets that are equivariant to shifts, and two ways to stop them from being so.

A painted bird stands on noise, and a net is to say its place, (row, column) in pixels. All nets have the same four
convolutions of stride one. After them:

- `circular`     borders joined in a circle, then the maximum over all places: a shift cannot change the answer
- `zeros`        borders filled with zeros, as usual, then the same maximum
- `coordinates`  as `circular`, with two more input channels that hold each pixel's row and column (CoordConv)
- `connected`    as `circular`, but a fully connected layer over all places in the stead of the maximum

No bird is ever shown in the bottom right quarter during training; `elsewhere` is the error there.

Fields of the result file, besides command, device, torch, minutes, seeds, settings, `title` and `table`: `image_px`;
`nets` {name: {label, parameters, error_px {seen, elsewhere: [seed]}}}; `middle` {error_px {seen, elsewhere}}: the
error of always saying the mean place of training; `examples` of the first seed {true, <net>: {seen, elsewhere:
[bird][2]}}.

Source: Liu et al. 2018, section 4, who split off a quarter as well.
"""

import time
from argparse import Namespace

import torch
from torch import Tensor, nn

from course_lib.data.birds import make_scenes
from course_lib.recipes._common import Progress, fit, options, parameters, rounded, threads, write

SIZE, RIM, CHANNELS = 24, 4, 16
PLACES = ("seen", "elsewhere")
LABELS = {
    "circular": "convolutions, circular borders, maximum",
    "zeros": "convolutions, zero borders, maximum",
    "coordinates": "coordinates added to the input, maximum",
    "connected": "convolutions, then fully connected",
}


def draw(n: int, where: str, seed: int) -> tuple[Tensor, Tensor]:
    """Birds on noise, and where they are: images [n 3 SIZE SIZE] and centres [n 2] in pixels.

    `where` is "seen", three quarters of the image, or "elsewhere", the bottom right one; the centre keeps a distance
    of RIM from the border.
    """
    scenes = make_scenes(n, seed=seed, size=SIZE, birds=(1, 1), bird_size=(0.3, 0.3), clouds=False, ground=False)
    birds = torch.where(scenes.instance[:, None] >= 0, scenes.images, 0.5)
    generator = torch.Generator().manual_seed(seed)
    low, high = torch.zeros(n, 2), torch.full((n, 2), 0.5)
    corner = 3 if where == "elsewhere" else torch.randint(3, (n,), generator=generator)
    low[:, 0], low[:, 1] = torch.as_tensor(corner) // 2 / 2, torch.as_tensor(corner) % 2 / 2
    share = low + torch.rand(n, 2, generator=generator) * high
    wanted = RIM + share * (SIZE - 2 * RIM)
    shift = (wanted - scenes.centre[:, 0]).round().long()
    moved = torch.stack([roll(bird, steps) for bird, steps in zip(birds, shift, strict=True)])
    noisy = moved + 0.1 * torch.randn(moved.shape, generator=generator)
    return 4 * noisy - 2, scenes.centre[:, 0] + shift


def roll(images: Tensor, shift: Tensor) -> Tensor:
    """Move images [... h w] by (rows, columns) `shift` [2]; what leaves at one border comes in at the other."""
    return images.roll(tuple(shift.tolist()), dims=(-2, -1))


class Locator(nn.Module):
    """Four convolutions and a readout: images [b 3 SIZE SIZE] -> (row, column) in pixels [b 2].

    `name` is one of LABELS.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.told = name == "coordinates"
        border = "zeros" if name == "zeros" else "circular"
        layers: list[nn.Module] = []
        channels = 5 if self.told else 3
        for _ in range(4):
            layers += [nn.Conv2d(channels, CHANNELS, 3, padding=1, padding_mode=border), nn.ReLU()]
            channels = CHANNELS
        self.features = nn.Sequential(*layers)
        if name == "connected":
            pooled, width = nn.AvgPool2d(4), CHANNELS * (SIZE // 4) ** 2
        else:
            pooled, width = nn.AdaptiveMaxPool2d(1), CHANNELS
        self.readout = nn.Sequential(pooled, nn.Flatten(), nn.Linear(width, 32), nn.ReLU(), nn.Linear(32, 2))

    def inputs(self, images: Tensor) -> Tensor:
        """What the convolutions see: the images, with coordinates if the net is told them."""
        return torch.cat([images, coordinates(images)], dim=1) if self.told else images

    def forward(self, images: Tensor) -> Tensor:
        return SIZE / 2 * (1 + self.readout(self.features(self.inputs(images))))


def coordinates(images: Tensor) -> Tensor:
    """Each pixel's row and column, from -1 to 1: images [b c h w] -> [b 2 h w]."""
    b, _, h, w = images.shape
    rows, columns = (torch.linspace(-1, 1, n, dtype=images.dtype, device=images.device) for n in (h, w))
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij")).expand(b, -1, -1, -1)


def error(said: Tensor, true: Tensor) -> float:
    """The mean distance between places [n 2]."""
    return (said - true).norm(dim=-1).mean().item()


def main(argv: list[str] | None = None) -> None:
    """Train the four nets for each seed, measure them where birds were shown and elsewhere, write the result file."""
    args = options("localisation", __doc__, argv, seeds=[0, 1, 2], images=4096, steps=400, test_images=500)
    started = time.monotonic()
    progress = Progress(len(args.seeds) * len(LABELS) * args.steps)
    found: dict[str, dict[str, list[float]]] = {name: {place: [] for place in PLACES} for name in LABELS}
    with threads(args.threads):
        tests = {place: draw(args.test_images, place, seed=90 + i) for i, place in enumerate(PLACES)}
        examples = {"true": {place: rounded(true[:40], 1) for place, (_, true) in tests.items()}}
        for seed in args.seeds:
            x, y = draw(args.images, "seen", seed)
            for name in LABELS:
                said = _train(name, x, y, tests, seed, args, progress)
                for place, (_, true) in tests.items():
                    found[name][place].append(error(said[place], true))
                if seed == args.seeds[0]:
                    examples[name] = {place: rounded(said[place][:40], 1) for place in PLACES}
    middle = {place: rounded(error(y.mean(0), true)) for place, (_, true) in tests.items()}
    facts = {
        "title": "Where is the bird? Mean error in pixels of nets that are, and are not, equivariant to shifts",
        "table": [
            {"net": LABELS[name]} | {f"error, {place}": rounded(sum(e) / len(e)) for place, e in errors.items()}
            for name, errors in found.items()
        ]
        + [{"net": "always the mean place"} | {f"error, {place}": e for place, e in middle.items()}],
        "image_px": SIZE,
        "nets": {
            name: {
                "label": LABELS[name],
                "parameters": parameters(Locator(name)),
                "error_px": {place: rounded(errors) for place, errors in found[name].items()},
            }
            for name in LABELS
        },
        "middle": {"error_px": middle},
        "examples": examples,
    }
    write(args, "localisation", argv, started, facts)


def _train(
    name: str, x: Tensor, y: Tensor, tests: dict[str, tuple[Tensor, Tensor]], seed: int, args: Namespace,
    progress: Progress,
) -> dict[str, Tensor]:  # fmt: skip
    torch.manual_seed(seed)
    net = Locator(name)
    fit(
        net, lambda i: ((net(x[i]) - y[i]) * 2 / SIZE).square().mean(), len(x), steps=args.steps, batch=64, peak=5e-3,
        seed=seed, progress=progress, doing=f"seed {seed}: {name}",
    )  # fmt: skip
    with torch.no_grad():
        return {place: net(images) for place, (images, _) in tests.items()}


if __name__ == "__main__":
    main()
