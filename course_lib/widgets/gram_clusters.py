"""Points that gather: Gram attention applied step by step."""

from __future__ import annotations

from collections.abc import Sequence

import anywidget
import traitlets

from course_lib.widgets.source import source

# three loose groups about the unit circle, fixed so that text and picture agree
_START = (
    (1.02, 0.10), (0.88, 0.42), (0.97, -0.31), (0.74, 0.22),
    (-0.32, 0.99), (-0.71, 0.62), (-0.55, 0.90), (-0.12, 0.78),
    (-0.38, -0.95), (-0.68, -0.71), (-0.10, -1.04), (-0.45, -0.66),
)  # fmt: skip


class GramClusters(anywidget.AnyWidget):
    """Iterate ``t ← softmax(t tᵀ / temperature) t`` on points ``[n 2]``, computed in the reader's browser.

    It is self-attention with identity query, key and value, without the division by ``√d``.  With
    ``normalise`` every point returns to the unit circle after each step: mean shift with the kernel
    ``exp(cos / temperature)`` (Cheng 1995).  Raises ``ValueError`` unless there are points ``[n 2]``.
    """

    _esm = source("base.js", "gram_clusters.js")
    _css = source("base.css", "gram_clusters.css")
    points = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    steps = traitlets.Int(0, min=0).tag(sync=True)
    temperature = traitlets.Float(0.2, min=0.05, max=2.0).tag(sync=True)
    normalise = traitlets.Bool(False).tag(sync=True)
    limit = traitlets.Float(1.4).tag(sync=True)

    def __init__(
        self,
        points: Sequence[Sequence[float]] = _START,
        *,
        temperature: float = 0.2,
        normalise: bool = False,
        steps: int = 0,
    ) -> None:
        if not points or any(len(p) != 2 for p in points):
            raise ValueError("points is a list of points in the plane, two numbers each")
        limit = max(1.4, max(abs(x) for p in points for x in p) * 1.05)
        super().__init__(
            points=[list(p) for p in points],
            temperature=temperature,
            normalise=normalise,
            steps=steps,
            limit=limit,
        )
