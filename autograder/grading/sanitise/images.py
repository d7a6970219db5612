"""Images from a student decoded and written anew, so that what a browser is given is a picture and nothing else."""

from __future__ import annotations

import base64
import binascii
import io
import warnings

from PIL import Image

FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG"}
MAX_SIDE = 8000
MAX_SCANS = 64  # a JPEG may ask for its picture to be drawn over and over; an honest one needs about ten passes


class NotAPicture(Exception):
    """The data is not an image that may be shown; the message says why, for a notice."""


def clean_image(mime: str, data: str, max_bytes: int, max_pixels: int) -> tuple[str, int]:
    """A PNG or JPEG given in base64, decoded and encoded anew; returns it in base64, and its number of pixels.

    Only the first picture of an animation stays; text, profiles and whatever follows the picture are dropped.

    Raises:
        NotAPicture: no such image, a broken one, or one that is too large.
    """
    if len(data) > max_bytes * 4 // 3 + max_bytes // 50 + 8:  # base64, with line ends
        raise NotAPicture(f"it is larger than the {max_bytes:,} bytes that are left for images")
    try:
        raw = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        raise NotAPicture("it is not valid base64") from None
    if len(raw) > max_bytes:
        raise NotAPicture(f"it is larger than the {max_bytes:,} bytes that are left for images")
    if mime == "image/jpeg" and raw.count(b"\xff\xda") > MAX_SCANS:
        raise NotAPicture("it is not an ordinary JPEG file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _encode_anew(raw, FORMATS[mime], max_bytes, max_pixels)
    except NotAPicture:
        raise
    except Exception:  # Pillow raises whatever its decoders trip over
        raise NotAPicture(f"it is not a valid {FORMATS[mime]} file") from None


def _encode_anew(raw: bytes, kind: str, max_bytes: int, max_pixels: int) -> tuple[str, int]:
    with Image.open(io.BytesIO(raw), formats=(kind,)) as image:
        width, height = image.size
        if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and width * height <= max_pixels):
            raise NotAPicture(f"it has {width} x {height} pixels, more than are left for images")
        image.load()
        modes = ("L", "RGB") if kind == "JPEG" else ("1", "L", "LA", "P", "RGB", "RGBA")
        plain = image if image.mode in modes else image.convert("RGB" if kind == "JPEG" else "RGBA")
        kept = Image.frombytes(plain.mode, plain.size, plain.tobytes())
        options: dict[str, object] = {"quality": 90} if kind == "JPEG" else {"compress_level": 6}
        if plain.mode == "P":
            kept.putpalette(plain.palette.getdata()[1], plain.palette.mode)
            if isinstance(transparency := plain.info.get("transparency"), (int, bytes)):
                options["transparency"] = transparency
    target = io.BytesIO()
    kept.save(target, kind, **options)
    if len(target.getvalue()) > 2 * max_bytes:
        raise NotAPicture(f"it is larger than the {max_bytes:,} bytes that are left for images")
    return base64.b64encode(target.getvalue()).decode("ascii"), width * height
