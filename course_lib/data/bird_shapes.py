"""What there is to draw: the colours, the regions and the species of the generated bird scenes.

A species is a handful of tapered strokes. One stroke `(x0, y0, r0, x1, y1, r1)` runs from a disc of radius
`r0` at `(x0, y0)` to a disc of radius `r1` at `(x1, y1)`; a disc has both ends in one place. Birds look to
the right, x grows to the right, y grows downwards, and every stroke stays inside the unit disc, so that two
birds whose centres are a diameter apart never touch.
"""

import torch
from torch import Tensor

Stroke = tuple[float, float, float, float, float, float]

SKY_COLOURS: dict[str, tuple[float, float, float]] = {
    "blue": (0.42, 0.70, 0.95),
    "grey": (0.62, 0.65, 0.69),
    "orange": (0.98, 0.66, 0.36),
    "pink": (0.97, 0.64, 0.76),
    "violet": (0.45, 0.37, 0.66),
}
BIRD_COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.85, 0.13, 0.15),
    "yellow": (0.98, 0.85, 0.16),
    "green": (0.16, 0.55, 0.24),
    "blue": (0.12, 0.25, 0.72),
    "white": (0.97, 0.97, 0.95),
    "black": (0.13, 0.13, 0.16),
}
REGIONS = ("sky", "cloud", "ground", "body", "head", "wing", "tail", "beak", "leg")
BIRD_PARTS = REGIONS[3:]

# Slots in the order in which they are painted: name, the region it belongs to, how many strokes it holds.
SLOTS: tuple[tuple[str, str, int], ...] = (
    ("leg", "leg", 2),
    ("tail", "tail", 2),
    ("neck", "body", 1),
    ("body", "body", 1),
    ("wing", "wing", 1),
    ("crest", "head", 2),
    ("head", "head", 1),
    ("beak", "beak", 1),
    ("eye", "head", 2),
)


def _disc(x: float, y: float, radius: float) -> Stroke:
    return (x, y, radius, x, y, radius)


SPECIES: dict[str, dict[str, list[Stroke]]] = {
    "finch": {
        "leg": [(0.10, 0.45, 0.04, 0.14, 0.86, 0.03), (-0.08, 0.45, 0.04, -0.10, 0.86, 0.03)],
        "tail": [(-0.45, 0.22, 0.12, -0.84, 0.30, 0.10)],
        "body": [(0.12, 0.12, 0.43, -0.42, 0.22, 0.20)],
        "wing": [(0.00, 0.12, 0.24, -0.52, 0.28, 0.05)],
        "head": [_disc(0.34, -0.36, 0.31)],
        "beak": [(0.60, -0.34, 0.15, 0.88, -0.27, 0.02)],
        "eye": [_disc(0.42, -0.42, 0.09)],
    },
    "heron": {
        "leg": [(0.00, 0.22, 0.04, 0.06, 0.93, 0.03), (-0.14, 0.22, 0.04, -0.16, 0.93, 0.03)],
        "tail": [(-0.40, 0.16, 0.12, -0.72, 0.30, 0.04)],
        "neck": [(0.14, 0.00, 0.13, 0.26, -0.52, 0.10)],
        "body": [(0.02, 0.05, 0.28, -0.38, 0.14, 0.15)],
        "wing": [(-0.05, 0.06, 0.18, -0.58, 0.24, 0.03)],
        "crest": [(0.20, -0.70, 0.07, -0.16, -0.74, 0.01)],
        "head": [_disc(0.28, -0.64, 0.19)],
        "beak": [(0.42, -0.62, 0.10, 0.84, -0.48, 0.01)],
        "eye": [_disc(0.32, -0.68, 0.07)],
    },
    "owl": {
        "leg": [(0.14, 0.70, 0.06, 0.14, 0.90, 0.05), (-0.14, 0.70, 0.06, -0.14, 0.90, 0.05)],
        "body": [(0.00, 0.10, 0.46, 0.00, 0.42, 0.36)],
        "wing": [(-0.34, 0.12, 0.18, -0.28, 0.66, 0.06)],
        "crest": [(-0.26, -0.55, 0.16, -0.40, -0.86, 0.02), (0.26, -0.55, 0.16, 0.40, -0.86, 0.02)],
        "head": [(-0.10, -0.33, 0.40, 0.10, -0.33, 0.40)],
        "beak": [(0.02, -0.22, 0.08, 0.02, -0.06, 0.02)],
        "eye": [_disc(-0.17, -0.38, 0.14), _disc(0.21, -0.38, 0.14)],
    },
    "swallow": {
        "tail": [(-0.28, 0.16, 0.09, -0.94, 0.02, 0.01), (-0.28, 0.16, 0.09, -0.80, 0.52, 0.01)],
        "body": [(0.30, 0.12, 0.22, -0.28, 0.16, 0.11)],
        "wing": [(0.10, 0.06, 0.20, -0.42, -0.86, 0.02)],
        "head": [_disc(0.54, 0.02, 0.23)],
        "beak": [(0.74, 0.04, 0.08, 0.92, 0.08, 0.01)],
        "eye": [_disc(0.60, -0.02, 0.07)],
    },
    "hummingbird": {
        "tail": [(-0.24, 0.46, 0.08, -0.46, 0.78, 0.09)],
        "body": [(0.02, 0.02, 0.24, -0.22, 0.46, 0.09)],
        "wing": [(-0.06, -0.02, 0.13, -0.64, -0.46, 0.17)],
        "head": [_disc(0.16, -0.32, 0.22)],
        "beak": [(0.34, -0.32, 0.07, 0.96, -0.20, 0.01)],
        "eye": [_disc(0.22, -0.36, 0.07)],
    },
    "parrot": {
        "leg": [(0.10, 0.30, 0.05, 0.22, 0.52, 0.05)],
        "tail": [(-0.10, 0.30, 0.14, -0.46, 0.82, 0.05), (-0.10, 0.30, 0.12, -0.28, 0.90, 0.04)],
        "body": [(0.14, -0.08, 0.33, -0.08, 0.30, 0.18)],
        "wing": [(0.00, -0.04, 0.20, -0.26, 0.48, 0.05)],
        "crest": [(0.18, -0.60, 0.16, -0.22, -0.92, 0.02), (0.10, -0.46, 0.16, -0.36, -0.66, 0.02)],
        "head": [_disc(0.28, -0.44, 0.28)],
        "beak": [(0.52, -0.42, 0.14, 0.60, -0.16, 0.02)],
        "eye": [_disc(0.34, -0.50, 0.08)],
    },
    "duck": {
        "tail": [(-0.52, 0.24, 0.16, -0.88, -0.08, 0.03)],
        "neck": [(0.30, 0.20, 0.16, 0.36, -0.24, 0.13)],
        "body": [(0.18, 0.36, 0.33, -0.46, 0.32, 0.24)],
        "wing": [(0.04, 0.30, 0.19, -0.56, 0.22, 0.04)],
        "head": [_disc(0.38, -0.36, 0.26)],
        "beak": [(0.58, -0.30, 0.12, 0.88, -0.24, 0.08)],
        "eye": [_disc(0.44, -0.42, 0.07)],
    },
}


def stroke_table() -> tuple[Tensor, list[tuple[str, str]]]:
    """All species as one table, so that a batch of birds is a single look-up.

    Returns strokes `[species strokes 6]`, in the order of `SPECIES` and of `SLOTS`, and for each stroke its
    slot and region. A slot that a species leaves empty has negative radii and is therefore never visible.
    """
    unused: Stroke = (0.0, 0.0, -9.0, 0.0, 0.0, -9.0)
    rows = [
        [stroke for slot, _, room in SLOTS for stroke in (parts.get(slot, []) + [unused] * room)[:room]]
        for parts in SPECIES.values()
    ]
    return torch.tensor(rows), [(slot, region) for slot, region, room in SLOTS for _ in range(room)]
