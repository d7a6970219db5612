"""The drawings of the attention chapter: maps of weights, curves, pictures with attention laid over them."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from torch import Tensor

from course_lib.figures.themed import COLOURS, Figure

# heat maps keep their own ground, so their colours need no regard for the page's
SEQUENTIAL, SIGNED = "viridis", "PuOr"


def heat_maps(
    maps: Mapping[str, Tensor],
    *,
    alt: str,
    xlabel: str = "key",
    ylabel: str = "query",
    signed: bool = False,
    ticks: Sequence[str] | None = None,
    width: float = 2.6,
    high: float | None = None,
) -> Figure:
    """Matrices `[n m]` side by side on one colour scale, a title over each; `ticks` names rows and columns.

    `signed` centres the scale on zero; otherwise it runs from zero to the largest entry, or to `high`.
    """
    top = max(float(m.abs().max()) for m in maps.values()) if high is None else high
    fig, axes = plt.subplots(
        1, len(maps), figsize=(width * len(maps) + 0.6, width), squeeze=False, layout="constrained"
    )
    for ax, (title, matrix) in zip(axes[0], maps.items(), strict=True):
        drawn = ax.imshow(
            matrix.detach().cpu().numpy(),
            cmap=SIGNED if signed else SEQUENTIAL,
            vmin=-top if signed else 0,
            vmax=top,
            interpolation="nearest",
        )
        ax.set_title(title, fontsize=9)
        ax.set_xlabel(xlabel)
        if ticks is None:
            ax.set(xticks=[], yticks=[])
        else:
            ax.set_xticks(range(matrix.shape[1]), ticks[: matrix.shape[1]], rotation=60, ha="right", fontsize=7)
            ax.set_yticks(range(matrix.shape[0]), ticks[: matrix.shape[0]], fontsize=7)
    axes[0, 0].set_ylabel(ylabel)
    fig.colorbar(drawn, ax=axes[0].tolist(), shrink=0.8)
    return Figure(fig, alt=alt)


def curves(
    panels: Mapping[str, Mapping[str, tuple]],
    *,
    alt: str,
    xlabel: str,
    width: float = 3.1,
    outside: bool = False,
    **axis: object,
) -> Figure:
    """One panel for each title, in it one line for each name: `{"title": {"line": (x, y)}}`.

    A third item in a tuple, `(x, y, spread)`, draws a band of that half-width. Each panel is `width`
    inches wide, `outside` puts the legend beside it, and `axis` goes to every panel, as in `xscale="log"`.
    """
    fig, axes = plt.subplots(
        1, len(panels), figsize=(width * len(panels) + 0.6, 2.7), squeeze=False, layout="constrained"
    )
    for ax, (title, lines) in zip(axes[0], panels.items(), strict=True):
        for (name, (x, y, *spread)), (colour, style) in zip(lines.items(), cycle(zip(COLOURS, _STYLES, strict=True))):
            ax.plot(x, y, style, color=colour, label=name, markersize=4)
            if spread:
                low, high = (torch.as_tensor(y) + s * torch.as_tensor(spread[0]) for s in (-1, 1))
                ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
        ax.set_title(title, fontsize=9)
        ax.set(xlabel=xlabel, **axis)
        if axis.get("xscale") == "log":
            # the points measured, in place of powers of ten and crowded labels between them
            ax.set_xticks(list(x), [str(value) for value in x])
            ax.minorticks_off()
        _plain(ax)
    if outside:
        fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    else:
        axes[0, 0].legend(fontsize=8)
    return Figure(fig, alt=alt)


def paths(panels: Mapping[str, Tensor], *, alt: str, ylabel: str, yticks: Mapping[float, str]) -> Figure:
    """How each of `n` numbers moves, `[steps n]` in each panel, one thin line for each number."""
    fig, axes = plt.subplots(
        1, len(panels), figsize=(2.8 * len(panels), 2.6), sharey=True, squeeze=False, layout="constrained"
    )
    for ax, (title, values) in zip(axes[0], panels.items(), strict=True):
        ax.plot(values, color=COLOURS[0], linewidth=0.7, alpha=0.8)
        ax.set_title(title, fontsize=9)
        ax.set(xlabel="step")
        ax.set_yticks(list(yticks), list(yticks.values()))
        _plain(ax)
    axes[0, 0].set_ylabel(ylabel)
    return Figure(fig, alt=alt)


def scatter_and_lines(
    points: tuple[Tensor, Tensor], lines: Mapping[str, tuple], *, alt: str, xlabel: str, ylabel: str
) -> Figure:
    """Data as dots, with fitted curves `{"name": (x, y)}` drawn through them."""
    fig, ax = plt.subplots(figsize=(5.4, 2.9), layout="constrained")
    ax.plot(*points, "o", color=COLOURS[5], markersize=3)
    for (name, (x, y)), colour, dash in zip(lines.items(), COLOURS, ("-", "--", ":"), strict=False):
        ax.plot(x, y, dash, color=colour, label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    _plain(ax)
    ax.legend(fontsize=8)
    return Figure(fig, alt=alt)


def pictures(images: Tensor, titles: Sequence[str], *, alt: str, columns: int = 4) -> Figure:
    """Images `[b 3 h w]` in [0, 1], a title over each, in rows of `columns`."""
    rows = -(-len(images) // columns)
    across = min(columns, len(images))
    fig, axes = plt.subplots(rows, across, figsize=(1.9 * across, 2.15 * rows), squeeze=False, layout="constrained")
    for ax in axes.flat:
        ax.axis("off")
    for ax, image, title in zip(axes.flat, images, titles, strict=False):
        ax.imshow(image.detach().cpu().permute(1, 2, 0).clamp(0, 1).numpy(), interpolation="nearest")
        ax.set_title(title, fontsize=9)
    return Figure(fig, alt=alt)


def attention_over(image: Tensor, attention: Tensor, strength: float = 0.85) -> Tensor:
    """The image `[3 h w]` darkened where little of the attention `[gh gw]` falls: `[3 h w]`.

    The brightest patch is the one with the largest weight; `strength` 1 blackens patches without any.
    """
    shown = (attention / attention.max().clamp(min=1e-12)).to(image.dtype)
    shown = F.interpolate(shown[None, None], size=image.shape[-2:], mode="nearest")[0]
    return image * (1 - strength + strength * shown)


_STYLES = ("-o", "--s", "-.^", ":D", "-v", "--x")


def _plain(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
