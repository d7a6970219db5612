"""A fitted field whose weights come with the page, looked at as closely as one likes."""

from __future__ import annotations

import anywidget
import traitlets

from course_lib.siren import Siren
from course_lib.widgets.source import source


class FieldZoom(anywidget.AnyWidget):
    """A Siren from (row, column) to one grey value in [-1, 1], evaluated in the reader's browser at any zoom.

    Beside it stand the ``side × side`` pixels it was fit to, as the field itself gives them. ``centre`` is a point
    (row, column), ``zoom`` how many times closer than the whole. Raises ``ValueError`` for a field of other sizes.
    """

    _esm = source("base.js", "field_zoom.js")
    _css = source("base.css", "fields.css")
    layers = traitlets.List().tag(sync=True)
    side = traitlets.Int(64, min=2).tag(sync=True)
    row = traitlets.Float(0.0, min=-1.0, max=1.0).tag(sync=True)
    column = traitlets.Float(0.0, min=-1.0, max=1.0).tag(sync=True)
    zoom = traitlets.Float(1.0, min=1.0, max=32.0).tag(sync=True)

    def __init__(
        self, field: Siren, *, side: int = 64, centre: tuple[float, float] = (0.0, 0.0), zoom: float = 1.0
    ) -> None:
        linears = [getattr(layer, "linear", layer) for layer in field.layers]
        if linears[0].in_features != 2 or linears[-1].out_features != 1:
            raise ValueError("the field must map two coordinates to one value")
        layers = [
            {
                "omega": getattr(layer, "omega", 0.0),  # 0: no sine
                "weight": [[float(f"{v:.4g}") for v in row] for row in linear.weight.tolist()],
                "bias": [float(f"{v:.4g}") for v in linear.bias.tolist()],
            }
            for layer, linear in zip(field.layers, linears, strict=True)
        ]
        super().__init__(layers=layers, side=side, row=centre[0], column=centre[1], zoom=zoom)
