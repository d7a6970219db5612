"""A batch of bird scenes: the pixels, the facts behind them, and the way from the facts to the pixels."""

import dataclasses

import torch
from torch import Tensor

from course_lib.data.bird_painter import paint_backdrop, paint_birds
from course_lib.data.bird_shapes import BIRD_PARTS, REGIONS

_CHUNK = 128  # scenes painted at once: more of them fall out of the processor's cache


@dataclasses.dataclass(frozen=True)
class Scenes:
    """A batch of `b` scenes with room for `k` birds each: the pixels, and the facts they were painted from.

    `images` float32 `[b 3 h w]` in [0, 1], in steps of 1/255. `region` uint8 `[b h w]` indexes `REGIONS`;
    `instance` int8 `[b h w]` is the slot of the bird a pixel shows, or -1. `sky` `[b]` indexes `SKY_COLOURS`;
    `species` `[b k]` indexes `SPECIES`, `head`, `body` and `wing` `[b k]` index `BIRD_COLOURS`; `facing`
    `[b k]` is 1 (right) or -1; `centre` `[b k 2]` and `radius` `[b k]` are in pixels. Where a scene has no
    bird in a slot, all of these are -1. `backdrop` `[b 10]` fixes hills and clouds.
    """

    images: Tensor
    region: Tensor
    instance: Tensor
    sky: Tensor
    species: Tensor
    head: Tensor
    body: Tensor
    wing: Tensor
    facing: Tensor
    centre: Tensor
    radius: Tensor
    backdrop: Tensor
    clouds: bool
    ground: bool

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: slice | Tensor) -> "Scenes":
        """Some of the scenes: a slice, a boolean mask `[b]` or indices; always a batch."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return Scenes(**{name: v[index] if isinstance(v, Tensor) else v for name, v in values.items()})

    @property
    def present(self) -> Tensor:
        """Which slots hold a bird: bool `[b k]`."""
        return self.species >= 0

    @property
    def count(self) -> Tensor:
        """The number of birds in each scene, `[b]`."""
        return self.present.sum(-1)

    def mask(self, region: str) -> Tensor:
        """The pixels of one of `REGIONS`, over all birds: bool `[b h w]`."""
        if region not in REGIONS:
            raise ValueError(f"No region is called {region!r}; there are {', '.join(REGIONS)}.")
        return self.region == REGIONS.index(region)

    def bird_masks(self, part: str | None = None) -> Tensor:
        """The pixels of each bird, or of one of its `BIRD_PARTS`: bool `[b k h w]`, empty where no bird is.

        The thin dark outline is not part of a bird; crest and eye belong to the head, the neck to the body.
        """
        if part is not None and part not in BIRD_PARTS:
            raise ValueError(f"No part of a bird is called {part!r}; there are {', '.join(BIRD_PARTS)}.")
        slots = torch.arange(self.species.shape[1])[None, :, None, None]
        masks = self.instance[:, None] == slots
        return masks if part is None else masks & self.mask(part)[:, None]

    def boxes(self) -> Tensor:
        """The smallest box of each bird, `[b k 4]` as (top, left, bottom, right) in pixels; -1 if absent."""
        masks = self.bird_masks()
        edges = []
        for seen in (masks.any(-1), masks.any(-2)):
            edges.append((seen.int().argmax(-1), seen.shape[-1] - seen.flip(-1).int().argmax(-1)))
        (top, bottom), (left, right) = edges
        boxes = torch.stack([top, left, bottom, right], -1)
        return torch.where(masks.any((-1, -2))[..., None], boxes, -1)


def repaint(scenes: Scenes, **facts: Tensor) -> Scenes:
    """The same scenes with some facts changed, say `head=`: what would the picture have looked like?

    `facts` are fields of `Scenes` other than the painted ones, in their shapes. Raises `TypeError` else.
    """
    painted = {"images", "region", "instance"}
    unknown = set(facts) - {f.name for f in dataclasses.fields(Scenes)} | set(facts) & painted
    if unknown:
        raise TypeError(f"A scene cannot be repainted with {', '.join(sorted(unknown))}: not a fact of scenes.")
    return paint(dataclasses.replace(scenes, **facts), tuple(scenes.images.shape[-2:]))


def paint(scenes: Scenes, size: tuple[int, int]) -> Scenes:
    """The scenes with `images`, `region` and `instance` painted from the other fields, at (height, width)."""
    images, regions, instances = [], [], []
    for start in range(0, len(scenes.sky), _CHUNK):
        part = slice(start, start + _CHUNK)
        canvas, region = paint_backdrop(scenes.sky[part], scenes.backdrop[part], size, scenes.clouds, scenes.ground)
        colours = {"head": scenes.head[part], "body": scenes.body[part], "wing": scenes.wing[part]}
        facing, centre, radius = scenes.facing[part], scenes.centre[part], scenes.radius[part]
        instance = paint_birds(canvas, region, scenes.species[part], colours, facing, centre, radius)
        # Eight bits, as in an image file: the last digits of a sine differ between machines, these do not.
        images.append((canvas * 255).round().div(255).permute(0, 3, 1, 2).contiguous())
        regions.append(region)
        instances.append(instance)
    return dataclasses.replace(
        scenes, images=torch.cat(images), region=torch.cat(regions), instance=torch.cat(instances)
    )
