"""A SIREN of one coordinate, as it is drawn before any training, with its spectrum."""

from __future__ import annotations

import anywidget
import traitlets

from course_lib.widgets.source import source


class RandomSiren(anywidget.AnyWidget):
    """An untrained SIREN from [-1, 1] to numbers, its spectrum and its arguments, computed in the reader's browser.

    ``omega`` is that of all layers, ``depth`` the number of sine layers, ``width`` their units, ``seed`` draws the
    weights as ``course_lib.siren.Siren`` does (within ``siren_bound``; biases within ``1/√fan_in``), by a generator
    of its own.
    """

    _esm = source("base.js", "random_siren.js")
    _css = source("base.css", "fields.css")
    omega = traitlets.Float(30.0, min=1.0, max=100.0).tag(sync=True)
    depth = traitlets.Int(3, min=1, max=6).tag(sync=True)
    width = traitlets.Int(32, min=1, max=128).tag(sync=True)
    seed = traitlets.Int(1, min=0).tag(sync=True)

    def __init__(self, *, omega: float = 30.0, depth: int = 3, width: int = 32, seed: int = 1) -> None:
        super().__init__(omega=omega, depth=depth, width=width, seed=seed)
