"""Make a drawing light to load and leave what one sees of it as it is."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

from matplotlib.figure import Figure
from PIL import Image

_NUMBER = re.compile(r"-?\d+\.\d{3,}(?:e-?\d+)?")
_PLACES = re.compile(r'\b(?:d|x|y|x1|x2|y1|y2|width|height)="[^"]*"|\btranslate\([^)]*\)')
_PICTURE = re.compile(r'data:image/png;base64,\s*([^"]+)')


@contextmanager
def pixels_as_they_are(fig: Figure) -> Iterator[None]:
    """Within it, pictures drawn as plain squares are stored with one pixel for each entry of their array.

    Otherwise they are stored as large as they are drawn, every entry as a block of equal pixels. The browser makes
    these blocks as well, and sharper.  Pictures finer than their place in the figure stay as they are.
    """
    coarse = []
    for ax in fig.axes:
        box = ax.get_window_extent()
        for image in ax.images:
            rows, columns = image.get_array().shape[:2]
            if image.get_interpolation() == "nearest" and rows <= box.height and columns <= box.width:
                coarse.append(image)
    for image in coarse:
        image.set_interpolation("none")
    try:
        yield
    finally:
        for image in coarse:
            image.set_interpolation("nearest")


def lighter(svg: str) -> str:
    """The same drawing in fewer bytes: places to a hundredth of a point, no comments, pictures packed tighter.

    The pictures are packed without loss.
    """
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.S)
    svg = _PLACES.sub(lambda found: _NUMBER.sub(_hundredths, " ".join(found[0].split())), svg)
    svg = _PICTURE.sub(lambda found: _packed(found[1]), svg)
    return re.sub(r">\s+<", "><", svg)


def _hundredths(number: re.Match[str]) -> str:
    short = f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
    return "0" if short == "-0" else short


def _packed(png: str) -> str:
    """The address of the picture as PNG or as lossless WebP, whichever is shorter."""
    data = base64.b64decode("".join(png.split()))
    picture, packed = Image.open(io.BytesIO(data)).convert("RGBA"), io.BytesIO()
    if picture.getextrema()[3] == (255, 255):
        picture = picture.convert("RGB")
    picture.save(packed, "WEBP", lossless=True, exact=True, quality=100, method=6)
    kind, best = min(("png", data), ("webp", packed.getvalue()), key=lambda pair: len(pair[1]))
    return f"data:image/{kind};base64,{base64.b64encode(best).decode()}"
