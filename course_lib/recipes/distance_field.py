"""A shape as a field: networks learn the signed distance to a bird's outline from points on it and their normals.

No distance is ever shown to them. The loss asks that the outline has the value zero, that the gradient there is the
normal, that it has length one everywhere (the eikonal equation), and that nothing else is zero. SIREN is compared
with a ReLU network of about equal size, and with itself: at another omega, and under other weights of the eikonal
term, none and twice as much, which is what the authors' code amounts to here (see `sdf_loss`).

Fields of the result file, besides command, device, torch, minutes, seeds and settings: `title`, `table`; `species`;
`outline_points`; `fields` {name: {kind, omega (of a SIREN), rate, eikonal, parameters, error [seed]:
mean |Φ - true distance| over the square, near [seed]: the same within 0.1 of the outline, slope [seed]: mean
| |∇Φ| - 1 |, overlap [seed]: of the
insides, intersection over union}}. Beside it, an .npz: `truth` and one picture for each name [128 128] of the first
seed as bytes, -1 to 1.
"""

import time
from argparse import Namespace

import torch
from torch import Tensor, nn

from course_lib.data.outlines import bird_distance, bird_outline
from course_lib.recipes._common import Progress, options, parameters, rounded, threads, write
from course_lib.recipes._fields import as_bytes, field, fit_field, save_pictures
from course_lib.siren import coordinate_grid, gradient, sdf_loss

SPECIES, SIDE = "heron", 128
FIELDS: dict[str, dict] = {
    "SIREN, ω₀ = 10": {"kind": "siren", "omega": 10.0, "rate": 3e-4, "eikonal": 50.0},
    "SIREN, ω₀ = 10, twice the eikonal weight": {"kind": "siren", "omega": 10.0, "rate": 3e-4, "eikonal": 100.0},
    "SIREN, ω₀ = 10, no eikonal term": {"kind": "siren", "omega": 10.0, "rate": 3e-4, "eikonal": 0.0},
    "SIREN, ω₀ = 30": {"kind": "siren", "omega": 30.0, "rate": 3e-4, "eikonal": 50.0},
    "ReLU": {"kind": "relu", "rate": 1e-3, "eikonal": 50.0},
}


def train_one(name: str, seed: int, args: Namespace, progress: Progress) -> nn.Module:
    """A field fit to points drawn anew at each step, as many from the outline as from the whole square."""
    facts = FIELDS[name]
    outline, normals = bird_outline(SPECIES)
    waves = {"omega": facts["omega"]} if facts["kind"] == "siren" else {}
    model = field(facts["kind"], seed, 2, args.width, args.depth, **waves)
    generator = torch.Generator().manual_seed(seed)

    def loss() -> Tensor:
        chosen = torch.randint(len(outline), (args.points,), generator=generator)
        anywhere = 2 * torch.rand(args.points, 2, generator=generator) - 1
        return sdf_loss(model, outline[chosen], normals[chosen], anywhere, eikonal=facts["eikonal"])

    fit_field(model, loss, args.steps, facts["rate"], progress, f"seed {seed}: {name}")
    return model


def measured(model: nn.Module, x: Tensor, truth: Tensor) -> tuple[Tensor, dict[str, float]]:
    """A field's values at the points `x` [n 2] and how they compare with the true distances `truth` [n 1]."""
    points = x.clone().requires_grad_()
    value = model(points)
    slope = gradient(value, points).norm(dim=-1)
    value, error = value.detach(), (value.detach() - truth).abs()
    inside, really = value < 0, truth < 0
    return value, {
        "error": error.mean().item(),
        "near": error[truth.abs() < 0.1].mean().item(),
        "slope": (slope - 1).abs().mean().item(),
        "overlap": ((inside & really).sum() / (inside | really).sum()).item(),
    }


def main(argv: list[str] | None = None) -> None:
    """Fit every field for each seed, and write the result file and the pictures."""
    args = options("distance_field", __doc__, argv, seeds=[0, 1], steps=500, points=512, width=128, depth=4)
    started = time.monotonic()
    progress = Progress(len(args.seeds) * len(FIELDS) * args.steps)
    x = coordinate_grid(SIDE, SIDE)
    truth = bird_distance(SPECIES, x)
    images = {"truth": as_bytes(truth.view(SIDE, SIDE), -1, 1)}
    results: dict[str, dict] = {}
    with threads(args.threads):
        for name, facts in FIELDS.items():
            found = []
            for seed in args.seeds:
                model = train_one(name, seed, args, progress)
                value, figures = measured(model, x, truth)
                found.append(figures)
                if seed == args.seeds[0]:
                    images[name] = as_bytes(value.view(SIDE, SIDE), -1, 1)
            figures = {key: rounded([f[key] for f in found]) for key in found[0]}
            results[name] = {**facts, "parameters": parameters(model), **figures}
    save_pictures(args.out.with_suffix(".npz"), images)

    def mean(values: list[float]) -> float:
        return round(sum(values) / len(values), 4)

    facts = {
        "title": f"The signed distance to a bird's outline, learned without distances in {args.steps} steps",
        "table": [
            {
                "field": name,
                "mean error of the distance": mean(r["error"]),
                "mean | |∇Φ| − 1 |": mean(r["slope"]),
                "overlap of the insides": mean(r["overlap"]),
            }
            for name, r in results.items()
        ],
        "species": SPECIES,
        "outline_points": len(bird_outline(SPECIES)[0]),
        "fields": results,
    }
    write(args, "distance_field", argv, started, facts)


if __name__ == "__main__":
    main()
