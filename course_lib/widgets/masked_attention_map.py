"""The attention map of a short sentence, under the masks a reader chooses."""

from __future__ import annotations

import anywidget
import traitlets

from course_lib.widgets.source import source


class MaskedAttentionMap(anywidget.AnyWidget):
    """Self-attention weights ``[n n]`` over the words of a sentence, computed in the reader's browser.

    The sentence is cut or padded to ``length`` tokens.  A token's query and key are one vector of ``dim``
    numbers made from its spelling (signed counts of letter pairs, placed by a hash), so words spelled
    alike attend to each other; nothing is learned.  ``mask`` is ``"none"``, ``"causal"``, ``"padding"`` or
    ``"causal+padding"``; ``pad_left`` puts the padding first, which leaves rows with nothing to attend to.
    """

    _esm = source("base.js", "masked_attention_map.js")
    _css = source("base.css", "masked_attention_map.css")
    sentence = traitlets.Unicode().tag(sync=True)
    length = traitlets.Int(8, min=2, max=10).tag(sync=True)
    dim = traitlets.Int(16, min=2).tag(sync=True)
    mask = traitlets.Enum(["none", "causal", "padding", "causal+padding"], "none").tag(sync=True)
    pad_left = traitlets.Bool(False).tag(sync=True)
    temperature = traitlets.Float(1.0, min=0.1, max=4.0).tag(sync=True)

    def __init__(
        self,
        sentence: str = "the small bird saw two birds",
        *,
        length: int = 8,
        dim: int = 16,
        mask: str = "none",
        pad_left: bool = False,
        temperature: float = 1.0,
    ) -> None:
        super().__init__(
            sentence=sentence, length=length, dim=dim, mask=mask, pad_left=pad_left, temperature=temperature
        )
