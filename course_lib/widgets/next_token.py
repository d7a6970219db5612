"""The distribution of the next word, shaped by temperature, top-k and top-p."""

from __future__ import annotations

from collections.abc import Sequence

import anywidget
import traitlets
from torch import Tensor

from course_lib.widgets.source import source


class NextToken(anywidget.AnyWidget):
    """What would be drawn after some beginnings: ``course_lib.generation.next_token_probs`` in the browser.

    ``words`` are the ``v`` words of the vocabulary, ``prompts`` the ``p`` beginnings, ``logits`` is ``[p v]``, finite.
    ``shown`` rows are listed, best first, and the rest in one line.  ``top_k`` None keeps all.  Raises
    ``ValueError`` if sizes do not fit.
    """

    _esm = source("base.js", "next_token.js")
    _css = source("base.css", "next_token.css")
    words = traitlets.List(traitlets.Unicode()).tag(sync=True)
    prompts = traitlets.List(traitlets.Unicode()).tag(sync=True)
    logits = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    shown = traitlets.Int(10, min=1).tag(sync=True)
    prompt = traitlets.Int(0, min=0).tag(sync=True)
    temperature = traitlets.Float(1.0, min=0.0, max=3.0).tag(sync=True)
    top_k = traitlets.Int(1, min=1).tag(sync=True)
    top_p = traitlets.Float(1.0, min=0.05, max=1.0).tag(sync=True)

    def __init__(
        self,
        words: Sequence[str],
        prompts: Sequence[str],
        logits: Tensor,
        *,
        shown: int = 10,
        prompt: int = 0,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float = 1.0,
    ) -> None:
        if not words or not prompts or tuple(logits.shape) != (len(prompts), len(words)):
            raise ValueError(
                f"logits [p v] must have a row for each of {len(prompts)} prompts and a column for each of "
                f"{len(words)} words, but are {tuple(logits.shape)}"
            )
        if not bool(logits.isfinite().all()) or not 0 <= prompt < len(prompts):
            raise ValueError("logits must be finite, and the prompt to begin with must be one of those given")
        super().__init__(
            words=list(words),
            prompts=list(prompts),
            # three digits are shown, and a page is lighter without the others
            logits=[[round(value, 4) for value in row] for row in logits.tolist()],
            shown=min(shown, len(words)),
            prompt=prompt,
            temperature=temperature,
            top_k=len(words) if top_k is None else top_k,
            top_p=top_p,
        )
