"""An image as a field: SIREN, Fourier features and a ReLU network fit the same 64 × 64 points of a photograph.

Each is measured on the points it was trained on and on those half-way between them, where the photograph, seen
through a lens as blunt as a pixel of the grid (`ContinuousPicture`), is known as well. All have about the same
number of parameters and see all points at every step; Adam at a constant rate. `SIREN` has the settings of its
authors' code. The others were not tuned systematically: in runs of 100 steps ReLU was tried at rates 1e-3 and 3e-3,
Fourier features at 1e-3 only.

Fields of the result file, besides command, device, torch, minutes, seeds and settings: `title`, `table`; `steps`
measured at; `fields` {name: {kind, rate, scale, parameters, seconds [seed], psnr {on [seed][step], off [seed][step]}}};
`interpolation` {name: psnr off the grid of a classical method}; `small` {omega, width, depth, psnr} of the little
SIREN whose weights are shipped. Beside it, an .npz: `truth`, and `<kind>_value` [127 127], `<kind>_slope` and
`<kind>_laplacian` [64 64] of the first seed as bytes, `small_<parameter>` as float16.
"""

import time
from argparse import Namespace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.data.continuous import ContinuousPicture
from course_lib.recipes._common import Progress, options, parameters, rounded, threads, write
from course_lib.recipes._fields import as_bytes, checkpoints, field, fit_field, save_pictures
from course_lib.siren import coordinate_grid, gradient, laplacian, psnr

FIELDS: dict[str, dict] = {
    "SIREN": {"kind": "siren", "rate": 1e-4},
    "SIREN, 3 times the rate": {"kind": "siren", "rate": 3e-4},
    "Fourier features, scale 1": {"kind": "fourier", "rate": 1e-3, "scale": 1.0},
    "Fourier features, scale 2.5": {"kind": "fourier", "rate": 1e-3, "scale": 2.5},
    "Fourier features, scale 5": {"kind": "fourier", "rate": 1e-3, "scale": 5.0},
    "ReLU": {"kind": "relu", "rate": 1e-3},
}
SHOWN = ("SIREN", "Fourier features, scale 2.5", "ReLU")
SLOPE, LAPLACIAN = 20.0, 600.0  # what is drawn as white, and at both ends of the scale


def off_grid(side: int) -> tuple[Tensor, Tensor]:
    """The points of a grid twice as fine [(2*side-1)² 2], and which of them are not on the grid of `side` points."""
    fine = 2 * side - 1
    off = torch.ones(fine, fine, dtype=torch.bool)
    off[::2, ::2] = False
    return coordinate_grid(fine, fine), off.flatten()


def derivatives(model: nn.Module, side: int) -> tuple[Tensor, Tensor]:
    """The length of a field's gradient and its Laplacian on a grid: two of [side side]."""
    x = coordinate_grid(side, side).requires_grad_()
    y = model(x)
    if y.grad_fn is None:
        raise ValueError("The field has no parameters to differentiate through.")
    return gradient(y, x).norm(dim=-1).detach().view(side, side), laplacian(y, x).detach().view(side, side)


def true_derivatives(picture: ContinuousPicture) -> tuple[Tensor, Tensor]:
    """The same of the picture itself in [-1, 1], by differences half a step of the grid wide."""
    side = picture.side
    x = coordinate_grid(side, side)
    step = 0.5 / (side - 1)
    around = sum(2 * picture(x + step * x.new_tensor(shift)) for shift in ((1, 0), (-1, 0), (0, 1), (0, -1)))
    second = (around - 8 * picture(x)) / step**2
    return (2 * picture.slope(x)).norm(dim=-1).view(side, side), second.view(side, side)


def interpolations(values: Tensor, side: int, truth: Tensor, off: Tensor) -> dict[str, float]:
    """PSNR off the grid of what image libraries do between pixels; `values` and `truth` in [-1, 1]."""
    image = values.view(1, 1, side, side)
    found = {}
    for name in ("bilinear", "bicubic"):
        finer = F.interpolate(image, size=(2 * side - 1,) * 2, mode=name, align_corners=True).flatten()
        found[name] = psnr(finer[off], truth[:, 0][off], 2.0).item()
    return found


def fit_small(args: Namespace, x: Tensor, y: Tensor, progress: Progress) -> nn.Module:
    """A SIREN so small that a page can hold its weights."""
    torch.manual_seed(args.seeds[0])
    model = field("siren", args.seeds[0], 2, args.small_width, args.depth)
    fit_field(model, lambda: (model(x) - y).square().mean(), args.small_steps, 5e-4, progress, "small SIREN")
    return model


def main(argv: list[str] | None = None) -> None:
    """Fit every field for each seed, and write the result file and the pictures."""
    args = options(
        "image_fields", __doc__, argv, seeds=[0, 1, 2], steps=200, side=64, width=256, depth=4, small_width=40,
        small_steps=1500,
    )  # fmt: skip
    started = time.monotonic()
    progress = Progress(len(args.seeds) * len(FIELDS) * args.steps + args.small_steps)
    picture = ContinuousPicture(args.side)
    x = coordinate_grid(args.side, args.side)
    fine, off = off_grid(args.side)
    y, truth = 2 * picture(x) - 1, 2 * picture(fine) - 1
    at = checkpoints(args.steps)
    results: dict[str, dict] = {}
    images = {"truth": as_bytes(truth.view(2 * args.side - 1, -1), -1, 1)}

    def keep(name: str, value: Tensor, slope: Tensor, curvature: Tensor) -> None:
        images[f"{name}_value"] = as_bytes(value.view(2 * args.side - 1, -1), -1, 1)
        images[f"{name}_slope"] = as_bytes(slope, 0, SLOPE)
        images[f"{name}_laplacian"] = as_bytes(curvature, -LAPLACIAN, LAPLACIAN)

    with threads(args.threads):
        keep("true", truth, *true_derivatives(picture))
        for name, facts in FIELDS.items():
            on, between, seconds = [], [], []
            for seed in args.seeds:
                model = field(facts["kind"], seed, 2, args.width, args.depth, scale=facts.get("scale", 1.0))

                @torch.no_grad()
                def measure(model: nn.Module = model) -> tuple[float, float]:
                    said = model(fine)
                    return psnr(said[~off], truth[~off], 2.0).item(), psnr(said[off], truth[off], 2.0).item()

                began = time.monotonic()
                found = fit_field(
                    model, lambda model=model: (model(x) - y).square().mean(), args.steps, facts["rate"], progress,
                    f"seed {seed}: {name}", measure, at,
                )  # fmt: skip
                seconds.append(time.monotonic() - began)
                on.append([a for a, _ in found])
                between.append([b for _, b in found])
                if seed == args.seeds[0] and name in SHOWN:
                    with torch.no_grad():
                        value = model(fine)
                    keep(facts["kind"], value, *derivatives(model, args.side))
            results[name] = {
                **facts,
                "parameters": parameters(model),
                "seconds": rounded(seconds, 1),
                "psnr": {"on": rounded(on, 2), "off": rounded(between, 2)},
            }
        small = fit_small(args, x, y, progress)
        with torch.no_grad():
            for weight in small.parameters():
                weight.copy_(weight.half())  # as they will be shipped
            small_psnr = psnr(small(x), y, 2.0).item()
    images |= {f"small_{n}": v.numpy().astype(np.float16) for n, v in small.state_dict().items()}
    save_pictures(args.out.with_suffix(".npz"), images)

    def mean(values: list[list[float]]) -> float:
        return round(sum(row[-1] for row in values) / len(values), 2)

    facts = {
        "title": f"A photograph of {args.side} × {args.side} points as a neural field: PSNR after {args.steps} steps",
        "table": [
            {
                "field": name,
                "parameters": r["parameters"],
                "dB on the grid": mean(r["psnr"]["on"]),
                "dB between its points": mean(r["psnr"]["off"]),
            }
            for name, r in results.items()
        ],
        "steps": at,
        "fields": results,
        "interpolation": rounded_values(interpolations(y, args.side, truth, off)),
        "small": {"omega": 30.0, "width": args.small_width, "depth": args.depth, "psnr": rounded(small_psnr, 2)},
    }
    write(args, "image_fields", argv, started, facts)


def rounded_values(facts: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in facts.items()}


if __name__ == "__main__":
    main()
