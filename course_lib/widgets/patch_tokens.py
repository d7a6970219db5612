"""A picture cut into patches, and the sequence of tokens that the cut makes of it."""

from __future__ import annotations

import base64

import anywidget
import torch
import traitlets
from torch import Tensor

from course_lib.widgets.source import source


class PatchTokens(anywidget.AnyWidget):
    """Choose a patch size and a patch: its place in the sequence and the order of its numbers are shown.

    ``image`` is ``[3 h w]`` in [0, 1], rounded to 256 levels; ``patch`` is a side that divides both ``h`` and
    ``w``; ``token`` counts patches row by row, and ``entry`` the numbers of one patch in the order
    ``(c p1 p2)``.  The cutting is done in the reader's browser.  Raises ``ValueError`` for an image of another
    shape, or a patch size that does not divide it.
    """

    _esm = source("base.js", "rove.js", "patch_tokens.js")
    _css = source("base.css", "patch_tokens.css")
    pixels = traitlets.Unicode().tag(sync=True)  # base64 of the bytes, in the order (c h w)
    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    sides = traitlets.List(traitlets.Int()).tag(sync=True)
    patch = traitlets.Int(1, min=1).tag(sync=True)
    token = traitlets.Int(0, min=0).tag(sync=True)
    entry = traitlets.Int(0, min=0).tag(sync=True)

    def __init__(self, image: Tensor, *, patch: int = 8, token: int = 0, entry: int = 0) -> None:
        if image.ndim != 3 or image.shape[0] != 3 or not image.is_floating_point():
            raise ValueError(f"image must be [3 h w] with numbers from 0 to 1, not {tuple(image.shape)}, {image.dtype}")
        channels, height, width = image.shape
        if patch < 1 or height % patch or width % patch:
            raise ValueError(f"patches of side {patch} do not divide an image of {height} by {width}")
        # more than 144 patches would be too small to point at
        sides = [p for p in range(2, min(height, width) + 1) if not height % p and not width % p]
        sides = [p for p in sides if height * width // p**2 <= 144]
        levels = (image.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
        super().__init__(
            pixels=base64.b64encode(levels.contiguous().numpy().tobytes()).decode(),
            shape=[channels, height, width],
            sides=sorted({*sides, patch}),
            patch=patch,
            token=token,
            entry=entry,
        )
