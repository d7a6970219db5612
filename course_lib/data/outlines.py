"""The outlines of the painted birds, as a scanner would see them: points and normals, and the true distance to them."""

import math

import torch
from torch import Tensor

from course_lib.data.bird_shapes import SPECIES, Stroke


def bird_outline(species: str, step: float = 0.005) -> tuple[Tensor, Tensor]:
    """Points about `step` apart on the outline of a bird, and the directions that lead straight out of it there.

    Shapes: float32 [n 2] and [n 2], (row, column) within [-1, 1]; the normals have length one. Raises
    ValueError for an unknown species or a step that is not positive.
    """
    strokes = _strokes(species)
    if not step > 0:
        raise ValueError(f"The step must be positive, but is {step}.")
    parts = [_rim(stroke, step) for stroke in strokes]
    kept = []
    for i, (points, normals) in enumerate(parts):
        others = [_to_stroke(points, s) for j, s in enumerate(strokes) if j != i]
        # the rim of a stroke that lies within another one is no outline
        free = torch.stack(others).amin(0) > -1e-9 if others else torch.ones(len(points), dtype=torch.bool)
        kept.append(torch.stack([points[free], normals[free]]))
    points, normals = torch.cat(kept, dim=1)
    return points.flip(-1).float(), normals.flip(-1).float()  # (x, y) to (row, column)


def bird_distance(species: str, points: Tensor, step: float = 0.002) -> Tensor:
    """The signed distance of points [n 2], (row, column), to a bird's outline: [n 1], negative inside the bird.

    The distance is that to the nearest of outline points `step` apart, so it errs by at most about half that.
    Raises ValueError as `bird_outline` does.
    """
    outline, _ = bird_outline(species, step)
    distance = torch.cat([torch.cdist(part, outline.to(points)).amin(1) for part in points.split(2048)])
    inside = torch.stack([_to_stroke(points.flip(-1), s) for s in _strokes(species)]).amin(0) < 0
    return torch.where(inside, -distance, distance)[:, None]


def _strokes(species: str) -> list[Stroke]:
    if species not in SPECIES:
        raise ValueError(f"There is no species {species!r}; there are {', '.join(SPECIES)}.")
    return [stroke for strokes in SPECIES[species].values() for stroke in strokes]


def _frame(stroke: Stroke) -> tuple[Tensor, Tensor, Tensor, float, float, float, float]:
    """Start, direction, its left, length, radii, and how the sides lean: the larger disc alone if it hides all."""
    x0, y0, r0, x1, y1, r1 = stroke
    length = math.hypot(x1 - x0, y1 - y0)
    if length <= abs(r0 - r1):
        x0, y0, r0 = (x0, y0, r0) if r0 >= r1 else (x1, y1, r1)
        x1, y1, r1, length = x0, y0, r0, 0.0
    along = torch.tensor([x1 - x0, y1 - y0]).double() / length if length else torch.tensor([1.0, 0.0]).double()
    left = torch.stack([-along[1], along[0]])
    return torch.tensor([x0, y0]).double(), along, left, length, r0, r1, (r0 - r1) / length if length else 0.0


def _rim(stroke: Stroke, step: float) -> tuple[Tensor, Tensor]:
    """Points (x, y) around one stroke and their normals: two arcs and the two sides between them."""
    start, along, left, length, r0, r1, lean = _frame(stroke)
    turn = math.acos(lean)  # the sides' normals make this angle with the stroke's direction
    points, normals = [], []

    def add(angles: Tensor, centres: Tensor, radii: Tensor) -> None:
        normal = torch.cos(angles)[:, None] * along + torch.sin(angles)[:, None] * left
        points.append(centres + radii[:, None] * normal)
        normals.append(normal)

    for place, radius, first, last in ((0.0, r0, turn, 2 * math.pi - turn), (length, r1, -turn, turn)):
        count = max(2, math.ceil(radius * (last - first) / step))
        angles = first + (last - first) * (torch.arange(count).double() + 0.5) / count
        add(angles, (start + place * along).expand(count, 2), torch.full((count,), radius).double())
    if length:
        count = max(2, math.ceil(length * math.sin(turn) / step))
        t = (torch.arange(count).double() + 0.5) / count
        for side in (turn, -turn):
            angles = torch.full((count,), side).double()
            add(angles, start + (t * length)[:, None] * along, r0 + t * (r1 - r0))
    return torch.cat(points), torch.cat(normals)


def _to_stroke(points: Tensor, stroke: Stroke) -> Tensor:
    """The signed distance of points (x, y) [n 2] to one stroke: [n]."""
    start, along, left, length, r0, r1, lean = _frame(stroke)
    away = points.double() - start
    u, v = away @ along, (away @ left).abs()
    straight = math.sqrt(1 - lean**2)
    foot = straight * u - lean * v  # where along the side the nearest point is
    side = lean * u + straight * v - r0
    near_start, near_end = torch.hypot(u, v) - r0, torch.hypot(u - length, v) - r1
    return torch.where(foot <= 0, near_start, torch.where(foot >= straight * length, near_end, side))
