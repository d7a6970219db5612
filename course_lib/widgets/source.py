"""The browser side of a widget, put together from the files beside its class."""

from pathlib import Path

_HERE = Path(__file__).parent


def source(*names: str) -> str:
    """The named files of this folder as one text, in that order.

    An ES module embedded in a page cannot import a neighbour, so shared code is put in front of it.
    """
    return "\n".join((_HERE / name).read_text(encoding="utf8") for name in names)
