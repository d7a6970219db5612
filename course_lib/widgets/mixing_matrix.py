"""Ways of aggregating over space, each as the matrix that mixes the tokens."""

from __future__ import annotations

from collections.abc import Sequence

import anywidget
import torch
import traitlets

from course_lib.widgets.source import source

KINDS = ("convolution", "pyramid", "fully connected", "attention")


class MixingMatrix(anywidget.AnyWidget):
    """Tokens of one number each, moved by hand, and the matrix ``[m n]`` that mixes them into new ones.

    ``values`` are ``n`` numbers in [-2, 2], ``kind`` one of `KINDS`.  The kernel of the convolution and of the
    pyramid has ``kernel`` binomial weights of sum one; a convolution has ``kernel // 2`` zeros at both ends
    unless ``kernel == stride``, where it needs none.  The pyramid applies it ``levels`` times with stride 2.  The
    fully connected weights are drawn from ``seed``; attention is `gram_attention` with a ``temperature``.
    Raises ``ValueError`` for fewer than four values or an unknown kind.
    """

    _esm = source("base.js", "rove.js", "mixing_matrix.js")
    _css = source("base.css", "mixing_matrix.css")
    values = traitlets.List(traitlets.Float()).tag(sync=True)
    free = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    kind = traitlets.Unicode().tag(sync=True)
    kernel = traitlets.Int(3, min=1, max=7).tag(sync=True)
    stride = traitlets.Int(1, min=1, max=3).tag(sync=True)
    levels = traitlets.Int(2, min=1, max=3).tag(sync=True)
    temperature = traitlets.Float(0.5, min=0.1, max=4.0).tag(sync=True)

    def __init__(
        self,
        values: Sequence[float] = (0.2, 0.4, -0.3, 1.5, 1.2, -0.1, 0.3, -1.4, 0.1, 0.6, 1.6, -0.2),
        *,
        kind: str = "convolution",
        kernel: int = 3,
        stride: int = 1,
        levels: int = 2,
        temperature: float = 0.5,
        seed: int = 0,
    ) -> None:
        n = len(values)
        if n < 4:
            raise ValueError(f"there is little to mix in {n} tokens: give four or more")
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
        free = torch.randn(n, n, generator=torch.Generator().manual_seed(seed)) / n**0.5
        super().__init__(
            values=[float(v) for v in values],
            free=[[round(w, 3) for w in row] for row in free.tolist()],
            kind=kind,
            kernel=kernel,
            stride=stride,
            levels=levels,
            temperature=temperature,
        )
