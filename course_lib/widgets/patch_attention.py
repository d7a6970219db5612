"""Attention among the patches of small images, looked at head by head or rolled out through the blocks."""

from __future__ import annotations

from collections.abc import Sequence

import anywidget
import traitlets
from torch import Tensor

from course_lib.widgets.source import source


class _PatchMaps(anywidget.AnyWidget):
    """Square grey images and the attention of a ViT with a cls token over them, in thousandths."""

    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    images = traitlets.List().tag(sync=True)
    maps = traitlets.List().tag(sync=True)
    depth = traitlets.Int().tag(sync=True)
    heads = traitlets.Int().tag(sync=True)
    grid = traitlets.Int().tag(sync=True)
    image = traitlets.Int(0, min=0).tag(sync=True)
    layer = traitlets.Int(1, min=1).tag(sync=True)

    def __init__(self, images: Tensor, attention: Tensor, names: Sequence[str], **state: object) -> None:
        depth, b, heads, n, _ = attention.shape
        grid = round((n - 1) ** 0.5)
        if grid * grid != n - 1 or images.shape[0] != b or len(names) != b or images.shape[-1] != images.shape[-2]:
            raise ValueError(
                f"Need square images [b 1 s s], a name for each, and attention [depth b h 1+g*g 1+g*g], but got "
                f"{tuple(images.shape)}, {len(names)} names and {tuple(attention.shape)}."
            )
        # thousandths as integers: a fifth of the page's weight, and no digit less than is shown
        maps = (attention * 1000).round().int().transpose(0, 1).flatten(1, 2).flatten(2)
        super().__init__(
            names=list(names),
            images=[[round(v, 3) for v in image] for image in images.flatten(1).tolist()],
            maps=maps.tolist(),
            depth=depth,
            heads=heads,
            grid=grid,
            **state,
        )


class PatchAttention(_PatchMaps):
    """Where each token looks, in each head of each block; the reader chooses who asks.

    Shapes: images [b 1 s s] in [0, 1], attention [depth b h 1+g*g 1+g*g], cls token first. `layer` and `head`
    count from 1, `query` 0 is the cls token. Raises ValueError if shapes do not fit.
    """

    _esm = source("base.js", "patch_grid.js", "patch_attention.js")
    _css = source("base.css", "patch_grid.css")
    head = traitlets.Int(1, min=1).tag(sync=True)
    query = traitlets.Int(6, min=0).tag(sync=True)


class RolloutMask(_PatchMaps):
    """Attention rollout (Abnar and Zuidema 2020) through the first blocks, and the mask that keeps a share of it.

    Shapes and errors as for PatchAttention; everything but the attention itself is computed in the browser.
    """

    _esm = source("base.js", "patch_grid.js", "rollout_mask.js")
    _css = source("base.css", "patch_grid.css")
    keep = traitlets.Float(0.6, min=0.05, max=1.0).tag(sync=True)
