"""The drawings of the positions chapter: smooth lines, and places that were said beside the true ones."""

from collections.abc import Mapping
from itertools import cycle

import matplotlib.pyplot as plt
from torch import Tensor

from course_lib.figures.themed import COLOURS, Figure


def lines(
    panels: Mapping[str, Mapping[str, tuple]], *, alt: str, xlabel: str, width: float = 3.1, **axis: object
) -> Figure:
    """One panel for each title, in it one smooth line for each name: `{"title": {"line": (x, y)}}`.

    Each panel is `width` inches wide and has its own legend; `axis` goes to every panel, as in `ylim=(0, 1)`.
    """
    fig, axes = plt.subplots(
        1, len(panels), figsize=(width * len(panels) + 0.6, 2.6), squeeze=False, layout="constrained"
    )
    for ax, (title, drawn) in zip(axes[0], panels.items(), strict=True):
        styles = cycle([(colour, dash) for dash in ("-", "--") for colour in COLOURS])
        for (name, (x, y)), (colour, dash) in zip(drawn.items(), styles, strict=False):
            ax.plot(x, y, dash, color=colour, label=name, linewidth=1.3)
        ax.set_title(title, fontsize=9)
        ax.set(xlabel=xlabel, **axis)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(fontsize=7)
    return Figure(fig, alt=alt)


def said_places(panels: Mapping[str, tuple[Tensor, Tensor]], *, alt: str, size: int) -> Figure:
    """Arrows from true places to those that were said, both `[n 2]` as (row, column), in an image of `size` pixels."""
    fig, axes = plt.subplots(1, len(panels), figsize=(2.2 * len(panels), 2.5), squeeze=False, layout="constrained")
    for ax, (title, (true, said)) in zip(axes[0], panels.items(), strict=True):
        way = said - true
        ax.quiver(
            true[:, 1], true[:, 0], way[:, 1], way[:, 0], color=COLOURS[1], angles="xy", scale_units="xy", scale=1,
            width=0.006,
        )  # fmt: skip
        ax.plot(true[:, 1], true[:, 0], "o", color=COLOURS[0], markersize=2.5)
        ax.axhline(size / 2, color=COLOURS[5], linewidth=0.5)
        ax.axvline(size / 2, color=COLOURS[5], linewidth=0.5)
        ax.set(xlim=(0, size), ylim=(size, 0), aspect="equal", xticks=[], yticks=[])
        ax.set_title(title, fontsize=8)
    return Figure(fig, alt=alt)
