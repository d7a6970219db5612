"""Generated scenes with birds: images whose every fact is known, made from a seed with nothing to download.

Every scene has a sky of a named colour, perhaps clouds and ground, and birds of several species. A species is
a shape; the colours of head, body and wing are drawn independently of it and of each other, so that no colour
gives a species away. Positions are in pixels as (row, column); pixel `i` covers the interval `i` to `i + 1`.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from course_lib.data.bird_painter import BACKDROP
from course_lib.data.bird_scenes import Scenes, paint, repaint
from course_lib.data.bird_shapes import BIRD_COLOURS, BIRD_PARTS, REGIONS, SKY_COLOURS, SPECIES

__all__ = [
    "BIRD_COLOURS", "BIRD_PARTS", "MAX_BIRDS", "REGIONS", "SKY_COLOURS", "SPECIES",
    "Scenes", "make_pairs", "make_scenes", "repaint",
]  # fmt: skip

MAX_BIRDS = 9


def make_scenes(
    n: int,
    *,
    seed: int,
    size: int | tuple[int, int] = 64,
    birds: tuple[int, int] = (1, 4),
    bird_size: tuple[float, float] = (0.26, 0.32),
    species: Sequence[str] | None = None,
    clouds: bool = True,
    ground: bool = True,
) -> Scenes:
    """`n` scenes with a number of birds drawn evenly from `birds` (both included), anywhere without overlap.

    `size` is the side or (height, width) in pixels; `bird_size` the range of a bird's diameter as a share of
    the shorter side; `species` restricts them by name. The same arguments give the same scenes, and fewer
    scenes are the first of more. The global random state is neither read nor changed. Raises `ValueError`
    for a size below 16, more birds than fit, or unknown names.
    """
    height, width, kinds = *_check(n, size, bird_size), _species_indices(species)
    low, high = birds
    # Birds take cells of a grid, which keeps them apart at any number; one bird alone is free to be anywhere.
    grid = 1 if high == 1 else int(1 / bird_size[1])
    if not 0 <= low <= high <= min(MAX_BIRDS, grid * grid):
        raise ValueError(
            f"birds=({low}, {high}) must be 0 <= fewest <= most, and at most {min(MAX_BIRDS, grid * grid)} "
            f"birds of size {bird_size[1]} fit into a scene without overlap."
        )
    slots = max(high, 1)
    u = _uniform(n, 2 + BACKDROP + grid * grid + slots * 8, seed)
    backdrop, cells = u[:, 2 : 2 + BACKDROP], u[:, 2 + BACKDROP : 2 + BACKDROP + grid * grid]
    u_bird = u[:, 2 + BACKDROP + grid * grid :].view(n, slots, 8)
    count = low + _choice(u[:, 0], high - low + 1)
    cell = cells.argsort(dim=1, stable=True)[:, :slots]
    diameter = (bird_size[0] + u_bird[..., 0] * (bird_size[1] - bird_size[0])) * min(height, width)
    lengths = torch.tensor([height, width]) / grid
    corner = torch.stack([cell // grid, cell % grid], -1) * lengths
    centre = corner + diameter[..., None] / 2 + u_bird[..., 1:3] * (lengths - diameter[..., None])
    return _assemble(
        u_bird[..., 3:], kinds[_choice(u_bird[..., 7], len(kinds))], torch.arange(slots) < count[:, None],
        centre, diameter / 2, _choice(u[:, 1], len(SKY_COLOURS)), backdrop, (height, width), clouds, ground,
    )  # fmt: skip


def make_pairs(
    n: int,
    *,
    seed: int,
    distance: float | tuple[float, float],
    size: int | tuple[int, int] = 64,
    bird_size: tuple[float, float] = (0.26, 0.32),
    species: Sequence[str] | None = None,
    clouds: bool = True,
    ground: bool = True,
) -> Scenes:
    """`n` scenes with two birds, slot 0 at the top right and slot 1 at the bottom left, half of them alike.

    `distance` of the two centres is a share of the shorter side, or a range to draw from; the line between
    them leans 45 ± 12 degrees. Same or different species is a fair coin, and each species is as frequent in
    either case. Other arguments as in `make_scenes`. Raises `ValueError` where the birds would overlap or
    would not fit.
    """
    height, width, kinds = *_check(n, size, bird_size), _species_indices(species)
    near, far = distance if isinstance(distance, tuple) else (distance, distance)
    lean = math.radians(12)
    longest = (1 - bird_size[1]) / math.sin(math.pi / 4 + lean)
    if not bird_size[1] <= near <= far <= longest:
        raise ValueError(
            f"distance={distance} must lie between {bird_size[1]} (birds touch) and {longest:.3f} (the "
            f"largest that fits) for birds of size up to {bird_size[1]}."
        )
    if len(kinds) < 2:
        raise ValueError("Pairs need at least two species, or every pair would be alike.")
    u = _uniform(n, 8 + BACKDROP + 16, seed)
    u_bird = u[:, 8 + BACKDROP :].view(n, 2, 8)
    unit = min(height, width)
    diameter = (bird_size[0] + u_bird[..., 0] * (bird_size[1] - bird_size[0])) * unit
    angle = math.pi / 4 + lean * (2 * u[:, 1] - 1)
    length = (near + u[:, 2] * (far - near)) * unit
    span = torch.stack([-angle.sin(), angle.cos()], -1) * length[:, None]  # from bottom left to top right
    room = torch.tensor([height, width]) - span.abs() - bird_size[1] * unit
    middle = (bird_size[1] * unit + span.abs()) / 2 + u[:, 3:5] * room
    centre = torch.stack([middle + span / 2, middle - span / 2], 1)
    first = _choice(u[:, 5], len(kinds))
    other = (first + 1 + _choice(u[:, 6], len(kinds) - 1)) % len(kinds)
    second = torch.where(u[:, 7] < 0.5, first, other)
    return _assemble(
        u_bird[..., 3:], kinds[torch.stack([first, second], 1)], torch.ones(n, 2, dtype=torch.bool),
        centre, diameter / 2, _choice(u[:, 0], len(SKY_COLOURS)), u[:, 8 : 8 + BACKDROP],
        (height, width), clouds, ground,
    )  # fmt: skip


def _check(n: int, size: int | tuple[int, int], bird_size: tuple[float, float]) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    if n < 1:
        raise ValueError(f"n={n}: a batch holds at least one scene.")
    if min(height, width) < 16:
        raise ValueError(f"size={size}: a bird cannot be told from a cloud below 16 pixels a side.")
    if not 0.1 <= bird_size[0] <= bird_size[1] <= 0.9:
        raise ValueError(f"bird_size={bird_size} must be (smallest, largest) in [0.1, 0.9].")
    return height, width


def _species_indices(names: Sequence[str] | None) -> Tensor:
    known = list(SPECIES)
    chosen = known if names is None else list(names)
    unknown = [name for name in chosen if name not in SPECIES]
    if unknown or not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"species={names} must be distinct names among {', '.join(known)}.")
    return torch.tensor([known.index(name) for name in chosen])


def _uniform(n: int, columns: int, seed: int) -> Tensor:
    # One row a scene, filled in order: the first scenes do not depend on how many follow.
    return torch.rand(n, columns, generator=torch.Generator().manual_seed(seed))


def _choice(u: Tensor, options: int) -> Tensor:
    return (u * options).long().clamp_max(options - 1)


def _assemble(
    u: Tensor, species: Tensor, present: Tensor, centre: Tensor, radius: Tensor, sky: Tensor,
    backdrop: Tensor, size: tuple[int, int], clouds: bool, ground: bool,
) -> Scenes:  # fmt: skip
    head, body, wing = (torch.where(present, _choice(u[..., i], len(BIRD_COLOURS)), -1) for i in range(3))
    blank = torch.empty(0)
    scenes = Scenes(
        images=blank, region=blank, instance=blank, sky=sky, species=torch.where(present, species, -1),
        head=head, body=body, wing=wing, facing=torch.where(present & (u[..., 3] < 0.5), 1, -1),
        centre=torch.where(present[..., None], centre, -1.0), radius=torch.where(present, radius, -1.0),
        backdrop=backdrop.contiguous(), clouds=clouds, ground=ground,
    )  # fmt: skip
    return paint(scenes, size)
