"""A sound as a field: networks from a moment to the pressure at that moment fit one second of a recording.

The recording is the cello piece that SIREN's authors fit, downloaded once and brought down to 11,025 samples a
second. All networks see all samples at every step. For SIREN the first omega decides: 3,000, the authors', lets the
first layer sing up to about a thousand hertz, the 30 of images no higher than ten.

Fields of the result file, besides command, device, torch, minutes, seeds and settings: `title`, `table`; `rate`,
`samples`; `loudest`: the frequency with most power, in hertz; `steps` measured at; `fields` {name: {kind,
first_omega, scale, rate, parameters, snr [seed][step]: 10 log10 of signal over error, in decibels}};
`excerpt` {start, truth [t], <name> [t]}: 12 milliseconds of the first seed.
"""

import time

import torch
from torch import Tensor, nn

from course_lib.data.sound import siren_clip
from course_lib.recipes._common import Progress, options, parameters, rounded, threads, write
from course_lib.recipes._fields import checkpoints, field, fit_field
from course_lib.siren import time_coordinates

RATE, SHRINK, FROM = 11_025, 4, 1.0
FIELDS: dict[str, dict] = {
    "SIREN, first ω₀ = 3000": {"kind": "siren", "rate": 1e-4, "first_omega": 3000.0},
    "SIREN, first ω₀ = 30": {"kind": "siren", "rate": 1e-4, "first_omega": 30.0},
    "Fourier features, scale 300": {"kind": "fourier", "rate": 1e-3, "scale": 300.0},
    "ReLU": {"kind": "relu", "rate": 1e-3},
}


def one_second(samples: int) -> Tensor:
    """The first second after the first, without what 11,025 samples a second cannot hold: [samples 1] in [-1, 1]."""
    clip, rate = siren_clip("bach")
    if rate != RATE * SHRINK:
        raise ValueError(f"The recording should have {RATE * SHRINK} samples a second, but has {rate}.")
    whole = clip[: len(clip) // SHRINK * SHRINK, 0]
    spectrum = torch.fft.rfft(whole)[: len(whole) // SHRINK // 2 + 1]
    slower = torch.fft.irfft(spectrum, n=len(whole) // SHRINK) / SHRINK
    piece = slower[int(FROM * RATE) :][:samples, None]
    return piece / piece.abs().max()


def snr(said: Tensor, truth: Tensor) -> float:
    """Signal-to-noise ratio in decibels: 0 for silence."""
    return (10 * torch.log10(truth.square().mean() / (said - truth).square().mean())).item()


def main(argv: list[str] | None = None) -> None:
    """Fit every field for each seed, and write the result file."""
    args = options("sound_field", __doc__, argv, seeds=[0, 1], steps=300, samples=RATE, width=128, depth=4)
    started = time.monotonic()
    progress = Progress(len(args.seeds) * len(FIELDS) * args.steps)
    y, x = one_second(args.samples), time_coordinates(args.samples)
    at = checkpoints(args.steps)
    start = args.samples // 2
    part = slice(start, start + 12 * RATE // 1000)
    excerpt = {"start": start, "truth": rounded(y[part, 0], 3)}
    results = {}
    with threads(args.threads):
        for name, facts in FIELDS.items():
            runs = []
            waves = {key: facts[key] for key in ("scale", "first_omega") if key in facts}
            for seed in args.seeds:
                model = field(facts["kind"], seed, 1, args.width, args.depth, **waves)

                @torch.no_grad()
                def measure(model: nn.Module = model) -> float:
                    return snr(model(x), y)

                runs.append(
                    fit_field(
                        model,
                        lambda model=model: (model(x) - y).square().mean(),
                        args.steps,
                        facts["rate"],
                        progress,
                        f"seed {seed}: {name}",
                        measure,
                        at,
                    )  # fmt: skip
                )
                if seed == args.seeds[0]:
                    with torch.no_grad():
                        excerpt[name] = rounded(model(x[part])[:, 0], 3)
            results[name] = {**facts, "parameters": parameters(model), "snr": rounded(runs, 2)}
    power = torch.fft.rfft(y[:, 0]).abs()
    facts = {
        "title": f"{args.samples / RATE:.1f} seconds of a cello as a neural field: decibels after {args.steps} steps",
        "table": [
            {
                "field": name,
                "parameters": r["parameters"],
                "signal over error, dB": round(sum(run[-1] for run in r["snr"]) / len(r["snr"]), 2),
            }
            for name, r in results.items()
        ],
        "rate": RATE,
        "samples": args.samples,
        "loudest": rounded(power.argmax() * RATE / args.samples, 1),
        "steps": at,
        "fields": results,
        "excerpt": excerpt,
    }
    write(args, "sound_field", argv, started, facts)


if __name__ == "__main__":
    main()
