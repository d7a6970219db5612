"""From the description of bird scenes to pixels: antialiased tapered strokes, painted back to front."""

import math

import torch
from torch import Tensor

from course_lib.data.bird_shapes import BIRD_COLOURS, REGIONS, SKY_COLOURS, stroke_table

BEAK, LEG, OUTLINE, EYE = (0.96, 0.55, 0.10), (0.42, 0.27, 0.16), (0.10, 0.09, 0.13), (0.03, 0.03, 0.05)
GROUND = (0.40, 0.58, 0.30)
BACKDROP = 10  # numbers in [0, 1) that fix one scene's hills and clouds

# x, y and radius of the puffs of one cloud, in units of the cloud's size
_PUFFS = ((-0.60, 0.12, 0.36), (0.00, -0.06, 0.54), (0.58, 0.10, 0.40))


def _coverage(distance: Tensor) -> Tensor:
    """The part of a pixel inside a shape, from its centre's signed distance in pixels (negative inside)."""
    return (0.5 - distance).clamp(0, 1)


def _blend(canvas: Tensor, colour: Tensor, coverage: Tensor) -> Tensor:
    return torch.lerp(canvas, colour.expand_as(canvas), coverage[..., None])


def _stroke_distance(rows: Tensor, columns: Tensor, stroke: Tensor) -> Tensor:
    """Signed distance in pixels `[m s s]` to one tapered stroke per bird, `[m 6]` in pixels."""
    x0, y0, r0, x1, y1, r1 = (value[:, None, None] for value in stroke.unbind(-1))
    dx, dy = x1 - x0, y1 - y0
    along = ((columns - x0) * dx + (rows - y0) * dy) / (dx * dx + dy * dy).clamp_min(1e-9)
    along = along.clamp(0, 1)
    gap = ((columns - x0 - along * dx).square() + (rows - y0 - along * dy).square()).sqrt()
    return gap - r0 - along * (r1 - r0)


def paint_backdrop(
    sky: Tensor, backdrop: Tensor, size: tuple[int, int], clouds: bool, ground: bool
) -> tuple[Tensor, Tensor]:
    """Sky, clouds and ground of a batch of scenes, without birds.

    `sky` `[b]` indexes `SKY_COLOURS`; `backdrop` `[b 10]` in [0, 1). Returns the canvas `[b h w 3]` and for
    each pixel the index of its region in `REGIONS`, uint8 `[b h w]`.
    """
    height, width = size
    rows = torch.arange(height).add(0.5)[None, :, None]
    columns = torch.arange(width).add(0.5)[None, None, :]
    unit = min(size)
    # The sky pales towards the horizon, by less than what tells two of its colours apart.
    pale = (rows / height).square()[..., None] * 0.35
    canvas = torch.tensor(list(SKY_COLOURS.values()))[sky][:, None, None, :]
    canvas = (canvas + (1 - canvas) * pale).expand(-1, -1, width, -1).contiguous()
    region = torch.zeros(len(sky), height, width, dtype=torch.uint8)
    u = backdrop.float()[:, :, None, None]
    if clouds:
        for first in (0, 3):
            x, y = u[:, first] * width, (0.08 + 0.42 * u[:, first + 1]) * height
            # A third of the clouds stay away.
            scale = torch.where(u[:, first + 2] < 1 / 3, -unit, (0.08 + 0.12 * u[:, first + 2]) * unit)
            distance = torch.full_like(canvas[..., 0], math.inf)
            for dx, dy, radius in _PUFFS:
                puff = (columns - x - dx * scale).square() + (1.6 * (rows - y - dy * scale)).square()
                distance = torch.minimum(distance, puff.sqrt() - radius * scale)
            cover = torch.where(scale > 0, _coverage(distance / 1.6), 0.0)
            canvas = _blend(canvas, torch.ones(3), 0.8 * cover)
            region[cover > 0.5] = REGIONS.index("cloud")
    if ground:
        wave = torch.sin(2 * math.pi * (u[:, 6] + (0.4 + 0.8 * u[:, 7]) * columns / width))
        level = (0.82 + 0.10 * u[:, 8] + 0.03 * wave) * height
        cover = _coverage(level - rows)
        shade = torch.tensor(GROUND) * (0.8 + 0.35 * u[:, 9])[..., None]
        canvas = _blend(canvas, shade, cover)
        region[cover > 0.5] = REGIONS.index("ground")
    return canvas, region


def paint_birds(
    canvas: Tensor,
    region: Tensor,
    species: Tensor,
    colours: dict[str, Tensor],
    facing: Tensor,
    centre: Tensor,
    radius: Tensor,
) -> Tensor:
    """Paint each scene's birds, in slot order, onto `canvas` `[b h w 3]` and `region` `[b h w]` in place.

    `species` and each of `colours` (head, body, wing) `[b k]`, -1 where there is no bird; `facing` `[b k]`
    1 or -1; `centre` `[b k 2]` (row, column) and `radius` `[b k]` in pixels. Returns for each pixel the slot
    of the bird that it shows or -1, int8 `[b h w]`.
    """
    instance = torch.full(region.shape, -1, dtype=torch.int8)
    if (species < 0).all():
        return instance
    strokes, slots = stroke_table()
    palette = torch.tensor(list(BIRD_COLOURS.values()))
    fixed = {"beak": torch.tensor(BEAK), "leg": torch.tensor(LEG), "eye": torch.tensor(EYE)}
    height, width = region.shape[1:]
    # Only a window around each bird is computed; a bird covers about a tenth of its scene.
    side = min(2 * math.ceil(radius[species >= 0].max().item()) + 4, height, width)
    for slot_number in range(species.shape[1]):
        scene = (species[:, slot_number] >= 0).nonzero()[:, 0]
        if not len(scene):
            continue
        here = scene, slot_number
        room = torch.tensor([height - side, width - side])
        corner = (centre[here] - side / 2).floor().long().clamp_min(0).minimum(room)
        rows = (corner[:, :1] + torch.arange(side))[:, :, None]
        columns = (corner[:, 1:] + torch.arange(side))[:, None, :]
        pixels = scene[:, None, None], rows, columns

        scaled = strokes[species[here]] * radius[here][:, None, None]
        scaled[..., (0, 3)] = scaled[..., (0, 3)] * facing[here][:, None, None] + centre[here][:, None, None, 1]
        scaled[..., (1, 4)] += centre[here][:, None, None, 0]
        distances = [_stroke_distance(rows + 0.5, columns + 0.5, s) for s in scaled.unbind(1)]

        window, regions, owner = canvas[pixels], region[pixels], instance[pixels]
        line = (0.06 * radius[here]).clamp(0.25, 3.0)[:, None, None]
        silhouette = torch.stack(distances).amin(0)
        window = _blend(window, torch.tensor(OUTLINE), 0.75 * _coverage(silhouette - line))
        paints = {part: palette[index[here]][:, None, None, :] for part, index in colours.items()}
        for (slot, name), distance in zip(slots, distances, strict=True):
            cover = _coverage(distance)
            if slot == "eye":
                window = _blend(window, torch.ones(3), 0.9 * _coverage(distance - line))
            elif slot == "wing":
                window = _blend(window, torch.tensor(OUTLINE), 0.5 * _coverage(distance - line))
            colour = fixed.get(slot, paints.get("wing" if name == "tail" else name))
            window = _blend(window, colour, cover)
            regions[cover > 0.5] = REGIONS.index(name)
            owner[cover > 0.5] = slot_number
        canvas[pixels], region[pixels], instance[pixels] = window, regions, owner
    return instance
