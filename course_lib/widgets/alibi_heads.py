"""How far each head sees when ALiBi alone decides."""

from __future__ import annotations

import anywidget
import traitlets

from course_lib.widgets.source import source


class AlibiHeads(anywidget.AnyWidget):
    """The attention weights of one query under ALiBi, a row for each head, computed in the reader's browser.

    All ``n`` tokens have equal content, so that the softmax of the biases is what is shown.  ``query`` is the
    query's place; ``causal`` hides the keys after it.  Raises ``ValueError`` if the query is not among the tokens.
    """

    _esm = source("base.js", "alibi_heads.js")
    _css = source("base.css", "position_widgets.css")
    heads = traitlets.Int(4, min=1, max=12).tag(sync=True)
    n = traitlets.Int(32, min=2, max=48).tag(sync=True)
    query = traitlets.Int(20, min=0).tag(sync=True)
    causal = traitlets.Bool(True).tag(sync=True)

    def __init__(self, heads: int = 4, *, n: int = 32, query: int = 20, causal: bool = True) -> None:
        if not 0 <= query < n:
            raise ValueError(f"the query's place is one of 0 to {n - 1}, not {query}")
        super().__init__(heads=heads, n=n, query=query, causal=causal)
