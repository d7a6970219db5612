"""A query and a key turned by their positions: only the distance is left in their score."""

from __future__ import annotations

from collections.abc import Sequence

import anywidget
import traitlets

from course_lib.widgets.source import source


class RotaryDistance(anywidget.AnyWidget):
    """The score ``q·k / √d`` after RoPE, against the distance of the two places, computed in the reader's browser.

    ``query`` and ``key`` are vectors ``[d]`` of an even number of channels; ``query_place`` and ``key_place`` are
    whole positions from 0 to 60; the frequencies are those of base ``10**exponent``.  Raises ``ValueError`` unless
    both vectors have the same even length.
    """

    _esm = source("base.js", "rotary_distance.js")
    _css = source("base.css", "position_widgets.css")
    query = traitlets.List(traitlets.Float()).tag(sync=True)
    key = traitlets.List(traitlets.Float()).tag(sync=True)
    query_place = traitlets.Int(20, min=0, max=60).tag(sync=True)
    key_place = traitlets.Int(14, min=0, max=60).tag(sync=True)
    exponent = traitlets.Float(2.0, min=0.5, max=4.0).tag(sync=True)

    def __init__(
        self,
        query: Sequence[float] = (1.0, 0.0) * 4,
        key: Sequence[float] = (1.0, 0.0) * 4,
        *,
        query_place: int = 20,
        key_place: int = 14,
        exponent: float = 2.0,
    ) -> None:
        if len(query) != len(key) or len(query) % 2 or not query:
            raise ValueError(f"query and key need the same even number of channels, not {len(query)} and {len(key)}")
        super().__init__(
            query=list(query), key=list(key), query_place=query_place, key_place=key_place, exponent=exponent
        )
