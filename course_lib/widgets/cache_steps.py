"""What writing computes anew at each step, with a cache of keys and values and without."""

from __future__ import annotations

from collections.abc import Sequence

import anywidget
import traitlets

from course_lib.widgets.source import source


class CacheSteps(anywidget.AnyWidget):
    """A text written word by word after a prompt: which tokens are read and which scores are computed at each step.

    ``words`` is the whole text and ``prompt`` how many of its words are given; step ``s`` reads what is needed to
    draw the word after the first ``prompt + s``.  Scores are counted for one head of one block.  Raises
    ``ValueError`` unless ``1 <= prompt < len(words)``.
    """

    _esm = source("base.js", "cache_steps.js")
    _css = source("base.css", "cache_steps.css")
    words = traitlets.List(traitlets.Unicode()).tag(sync=True)
    prompt = traitlets.Int(1, min=1).tag(sync=True)
    step = traitlets.Int(0, min=0).tag(sync=True)
    cached = traitlets.Bool(True).tag(sync=True)

    def __init__(self, words: Sequence[str], *, prompt: int = 1, step: int = 2, cached: bool = True) -> None:
        if not 1 <= prompt < len(words):
            raise ValueError(f"a prompt of {prompt} must leave something of {len(words)} words to be written")
        last = len(words) - 1 - prompt
        super().__init__(words=list(words), prompt=prompt, step=max(0, min(step, last)), cached=cached)
