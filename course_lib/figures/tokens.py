"""The drawings of the tokens chapter: point clouds layer by layer, signals with their cuts, mixing matrices."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from torch import Tensor

from course_lib.figures.attention import SEQUENTIAL, SIGNED
from course_lib.figures.themed import COLOURS, Figure


def clouds(panels: Mapping[str, Tensor], labels: Tensor, *, alt: str) -> Figure:
    """Points `[n 2]` in each panel, in one colour and shape for each of the integer `labels` `[n]`."""
    fig, axes = plt.subplots(1, len(panels), figsize=(2.1 * len(panels), 2.2), squeeze=False, layout="constrained")
    for ax, (title, points) in zip(axes[0], panels.items(), strict=True):
        for kind, colour, mark in zip(labels.unique(), COLOURS, "o^sD", strict=False):
            ax.plot(*points[labels == kind].detach().T, mark, color=colour, markersize=3)
        ax.set_title(title, fontsize=9)
        ax.set(xticks=[], yticks=[])
        ax.set_box_aspect(1)
    return Figure(fig, alt=alt)


def neurons_and_tokens(tokens: Tensor, *, alt: str) -> Figure:
    """The numbers of `tokens` `[n d]`: as one array of neurons, as an array of tokens, and as a set of tokens."""
    n, d = tokens.shape
    top = float(tokens.abs().max())
    fig, axes = plt.subplots(1, 3, figsize=(7.2, 2.1), width_ratios=(2.2, 1.2, 1.2), layout="constrained")
    style = dict(cmap=SIGNED, vmin=-top, vmax=top, edgecolors="white", linewidth=1)
    axes[0].pcolormesh(tokens.reshape(1, -1).numpy(), **style)
    axes[0].set_title(f"an array of {n * d} neurons", fontsize=9)
    axes[0].set_aspect(1)
    axes[1].pcolormesh(tokens.T.numpy(), **style)
    axes[1].vlines(range(n + 1), 0, d, color="white", linewidth=5)
    axes[1].set_title(f"an array of {n} tokens", fontsize=9)
    axes[1].set_aspect(1)
    # places that are neither a row nor a column: a set has no first and no next
    for i in range(n):
        x, y = 2.3 * (i % 3) + 0.9 * (i // 3), (d + 1.2) * (i // 3) + 0.7 * ((2 * i) % 3)
        axes[2].pcolormesh([x, x + 1], _edges(y, d), tokens[i][:, None].numpy(), **style)
    axes[2].set_title(f"a set of {n} tokens", fontsize=9)
    axes[2].set_aspect(1)
    for ax in axes:
        ax.axis("off")
    return Figure(fig, alt=alt)


def _edges(start: float, count: int) -> list[float]:
    """`count + 1` edges of unit cells, beginning at `start`."""
    return [start + i for i in range(count + 1)]


def signals_and_tokens(
    image: Tensor,
    patch: int,
    sound: Tensor,
    frame: int,
    points: Tensor,
    centres: Tensor,
    pieces: Sequence[str],
    tokens: Sequence[Tensor],
    *,
    alt: str,
) -> Figure:
    """Four signals with the cuts through them, and under each its tokens `[n d]`, one token a column.

    `image` `[3 h w]` and its `patch`; `pieces` of text in their order; `sound` `[samples]` and its `frame`; a
    cloud of `points` `[n 2]`, already projected, with the `centres` `[k 2]` of its groups; `tokens` in this order.
    """
    fig, axes = plt.subplots(2, 4, figsize=(8.6, 4.0), height_ratios=(1.5, 1), layout="constrained")
    picture, text, wave, cloud = axes[0]
    picture.imshow(image.permute(1, 2, 0).clamp(0, 1).numpy(), interpolation="nearest")
    for side in range(0, image.shape[-1] + 1, patch):
        picture.axvline(side - 0.5, color="white", linewidth=1)
        picture.axhline(side - 0.5, color="white", linewidth=1)
    _lay_out(text, pieces)
    shown = sound[:: max(1, len(sound) // 800)]
    wave.plot(torch.linspace(0, len(sound), len(shown)), shown, color=COLOURS[0], linewidth=0.4)
    wave.vlines(range(0, len(sound) + 1, frame), -1.1, 1.1, color=COLOURS[1], linewidth=0.8)
    cloud.plot(*points.T, ".", color=COLOURS[0], markersize=1.5)
    cloud.plot(*centres.T, "x", color=COLOURS[1], markersize=6)
    cloud.set_aspect(1)
    for ax, title in zip(
        axes[0], ("image: patches", "text: byte pairs", "sound: frames", "points: groups"), strict=True
    ):
        ax.set_title(title, fontsize=9)
    for ax, made in zip(axes[1], tokens, strict=True):
        top = float(made.detach().abs().max())
        ax.imshow(made.T.detach().numpy(), cmap=SIGNED, vmin=-top, vmax=top, aspect="auto", interpolation="nearest")
        ax.set_xlabel(f"{made.shape[0]} tokens", fontsize=8)
    axes[1][0].set_ylabel(f"{tokens[0].shape[1]} channels", fontsize=8)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    return Figure(fig, alt=alt)


def matrices(
    maps: Mapping[str, Tensor], *, alt: str, columns: int = 3, signed: bool = False, size: float = 2.3
) -> Figure:
    """Matrices in rows of `columns`, each on its own scale, a title over each; rows are new tokens, columns old ones.

    Unless `signed`, the scale runs from zero; entries that are exactly zero are left blank.
    """
    rows = -(-len(maps) // columns)
    across = min(columns, len(maps))
    fig, axes = plt.subplots(
        rows, across, figsize=(size * across, (size + 0.1) * rows), squeeze=False, layout="constrained"
    )
    for ax in axes.flat[len(maps) :]:
        ax.axis("off")
    for ax, (title, matrix) in zip(axes.flat, maps.items(), strict=False):
        shown = torch.where(matrix == 0, float("nan"), matrix.detach())
        top = float(matrix.detach().abs().max())
        negative = signed or bool((matrix < 0).any())
        ax.imshow(
            shown.numpy(),
            cmap=SIGNED if negative else SEQUENTIAL,
            vmin=-top if negative else 0,
            vmax=top,
            interpolation="nearest",
        )
        ax.set_title(title, fontsize=9)
        ax.set(xticks=[], yticks=[])
    return Figure(fig, alt=alt)


def _lay_out(ax: Axes, pieces: Sequence[str], width: int = 18) -> None:
    """Write pieces of text one after the other in lines of about `width` letters, a box around each."""
    x, y = 0.0, 0
    for i, piece in enumerate(pieces):
        if x + len(piece) > width:
            x, y = 0.0, y + 1
        box = dict(boxstyle="square,pad=0.15", facecolor="none", edgecolor=COLOURS[i % 2], linewidth=0.8)
        ax.text(x, -1.8 * y, piece, family="monospace", fontsize=7, bbox=box, va="center")
        x += len(piece) + 0.9
    ax.set(xlim=(-0.5, width + 1), ylim=(-1.8 * y - 2, 2))
