"""A query, keys and values in the plane, to be moved by hand."""

from __future__ import annotations

from collections.abc import Sequence

import anywidget
import traitlets

from course_lib.widgets.source import source

Point = Sequence[float]


class AttentionPlane(anywidget.AnyWidget):
    """One row of attention, ``softmax(q·k / (√d · temperature))``, computed in the reader's browser.

    ``tokens`` names ``n`` tokens; ``query`` is a point ``[2]``, ``keys`` and ``values`` are ``[n 2]`` within
    [-3, 3]; ``allowed`` says for each key whether the query may attend to it.  With no key allowed, every
    weight is zero and so is the output.  Raises ``ValueError`` if lengths disagree or nothing is given.
    """

    _esm = source("base.js", "attention_plane.js")
    _css = source("base.css")
    tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
    query = traitlets.List(traitlets.Float()).tag(sync=True)
    # a trait called `keys` would hide a method that ipywidgets relies on
    key_points = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    value_points = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    allowed = traitlets.List(traitlets.Bool()).tag(sync=True)
    temperature = traitlets.Float(1.0, min=0.1, max=4.0).tag(sync=True)
    scaled = traitlets.Bool(True).tag(sync=True)

    def __init__(
        self,
        tokens: Sequence[str] = ("wren", "robin", "sky", "branch"),
        *,
        query: Point = (1.0, 1.0),
        keys: Sequence[Point] = ((1.6, 0.6), (0.6, 1.8), (-1.6, 0.8), (0.9, -1.7)),
        values: Sequence[Point] = ((2.2, 1.4), (0.8, 2.4), (-2.3, 1.0), (-0.6, -2.2)),
        allowed: Sequence[bool] | None = None,
        temperature: float = 1.0,
        scaled: bool = True,
    ) -> None:
        allowed = [True] * len(tokens) if allowed is None else list(allowed)
        if not tokens or not len(tokens) == len(keys) == len(values) == len(allowed):
            raise ValueError(
                f"one key, one value and one mask entry per token: got {len(tokens)} tokens, "
                f"{len(keys)} keys, {len(values)} values, {len(allowed)} mask entries"
            )
        if any(len(point) != 2 for point in (query, *keys, *values)):
            raise ValueError("every query, key and value is a point in the plane: two numbers")
        super().__init__(
            tokens=list(tokens),
            query=list(query),
            key_points=[list(k) for k in keys],
            value_points=[list(v) for v in values],
            allowed=allowed,
            temperature=temperature,
            scaled=scaled,
        )
