"""An image from its gradients: fields are fit to the slopes of a photograph at 64 × 64 points, never to its values.

What they then say of the values is compared with the photograph, up to the constant that gradients cannot tell.
SIREN, Fourier features and a ReLU network have about equally many parameters and see all points at every step.

Fields of the result file, besides command, device, torch, minutes, seeds and settings: `title`, `table`; `steps`
measured at; `fields` {name: {kind, rate, scale, parameters, psnr [seed][step]: of the values after the means are
made equal, slope [seed][step]: the share of the gradients' variance that is left unexplained}}. Beside it, an .npz:
`truth`, `rows` and `columns` (what was shown), and one picture for each name [64 64] of the first seed as bytes.
"""

import time
from argparse import Namespace

from torch import Tensor, nn

from course_lib.data.continuous import ContinuousPicture
from course_lib.recipes._common import Progress, options, parameters, rounded, threads, write
from course_lib.recipes._fields import as_bytes, checkpoints, field, fit_field, save_pictures
from course_lib.siren import coordinate_grid, gradient, poisson_loss, psnr

FIELDS: dict[str, dict] = {
    "SIREN": {"kind": "siren", "rate": 1e-4},
    "Fourier features, scale 1": {"kind": "fourier", "rate": 1e-3, "scale": 1.0},
    "Fourier features, scale 2.5": {"kind": "fourier", "rate": 1e-3, "scale": 2.5},
    "ReLU": {"kind": "relu", "rate": 1e-3},
}


def points_inside(side: int) -> Tensor:
    """A grid that ends half a step before the edge, so that slopes can be measured on both sides: [side*side 2]."""
    return coordinate_grid(side, side) * (1 - 1 / side)


def measured(model: nn.Module, x: Tensor, values: Tensor, slopes: Tensor) -> tuple[Tensor, float, float]:
    """A field's values with the mean of the true ones, their PSNR, and the share of the slopes' variance missed."""
    points = x.clone().requires_grad_()
    said = model(points)
    missed = (gradient(said, points) - slopes).square().sum() / (slopes - slopes.mean(0)).square().sum()
    said = said.detach() - said.detach().mean() + values.mean()
    return said, psnr(said, values, 2.0).item(), missed.item()


def main(argv: list[str] | None = None) -> None:
    """Fit every field for each seed, and write the result file and the pictures."""
    args = options("poisson_field", __doc__, argv, seeds=[0, 1], steps=200, side=64, width=128, depth=4)
    started = time.monotonic()
    progress = Progress(len(args.seeds) * len(FIELDS) * args.steps)
    picture = ContinuousPicture(args.side)
    x = points_inside(args.side)
    values, slopes = 2 * picture(x) - 1, 2 * picture.slope(x)
    at = checkpoints(args.steps)
    shape = (args.side, args.side)
    images = {"truth": as_bytes(values.view(shape), -1, 1)}
    images |= {name: as_bytes(slopes[:, i].view(shape), -15, 15) for i, name in enumerate(("rows", "columns"))}
    results = {}
    with threads(args.threads):
        for name, facts in FIELDS.items():
            runs = []
            for seed in args.seeds:
                runs.append(_fit(name, facts, seed, args, (x, values, slopes), at, progress))
            images[name] = as_bytes(runs[0][0].view(shape), -1, 1)
            results[name] = {
                **facts,
                "parameters": runs[0][2],
                "psnr": rounded([[found[1] for found in run[1]] for run in runs], 2),
                "slope": rounded([[found[2] for found in run[1]] for run in runs]),
            }
    save_pictures(args.out.with_suffix(".npz"), images)

    def last(values: list[list[float]], digits: int) -> float:
        return round(sum(run[-1] for run in values) / len(values), digits)

    facts = {
        "title": f"A photograph from its gradients alone, at {args.side} × {args.side} points in {args.steps} steps",
        "table": [
            {
                "field": name,
                "parameters": r["parameters"],
                "gradient left unexplained": last(r["slope"], 3),
                "dB of the image": last(r["psnr"], 2),
            }
            for name, r in results.items()
        ],
        "steps": at,
        "fields": results,
    }
    write(args, "poisson_field", argv, started, facts)


def _fit(
    name: str, facts: dict, seed: int, args: Namespace, data: tuple[Tensor, Tensor, Tensor], at: tuple[int, ...],
    progress: Progress,
) -> tuple[Tensor, list, int]:  # fmt: skip
    x, values, slopes = data
    model = field(facts["kind"], seed, 2, args.width, args.depth, scale=facts.get("scale", 1.0))
    found = fit_field(
        model, lambda: poisson_loss(model, x, slopes), args.steps, facts["rate"], progress, f"seed {seed}: {name}",
        lambda: measured(model, x, values, slopes), at,
    )  # fmt: skip
    return found[-1][0], found, parameters(model)


if __name__ == "__main__":
    main()
