"""Byte-pair encoding, one merge at a time, on a text that the reader types."""

from __future__ import annotations

import anywidget
import traitlets

from course_lib.widgets.source import source


class BPEMerges(anywidget.AnyWidget):
    """Learn the merges of ``text`` in the reader's browser: those of `course_lib.tokens.train_bpe`, ties included.

    ``steps`` merges are shown; there may be fewer, if the text has become one token before.  Half a surrogate
    pair, which has no bytes, counts as U+FFFD.
    """

    _esm = source("base.js", "bpe_merges.js")
    _css = source("base.css", "bpe_merges.css")
    text = traitlets.Unicode().tag(sync=True)
    steps = traitlets.Int(0, min=0).tag(sync=True)

    def __init__(self, text: str = "the bird in the third birch heard the other birds", *, steps: int = 0) -> None:
        super().__init__(text=text, steps=steps)
