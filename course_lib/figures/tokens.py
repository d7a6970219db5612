"""The drawings of the tokens chapter: point clouds layer by layer, signals with their cuts, mixing matrices."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
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
    """The numbers of `tokens` `[n d]`, one cell each: as an array of neurons, an array of tokens, a set of tokens."""
    n, d = tokens.shape
    top = float(tokens.abs().max())
    fig, ax = plt.subplots(figsize=(6.4, 6.4 * (d + 6.4) / (n * d)), layout="constrained")

    def cells(x: float, y: float, values: Tensor) -> None:
        """Unit cells with the `values` `[rows columns]`, row 0 lowest, from the corner (x, y)."""
        rows, columns = values.shape
        edges = [x + i for i in range(columns + 1)], [y + i for i in range(rows + 1)]
        ax.pcolormesh(*edges, values.numpy(), cmap=SIGNED, vmin=-top, vmax=top, edgecolors="white", linewidth=1)

    above = d + 3.6
    cells(0, above, tokens.reshape(1, -1))
    right = n * d - 1.7 * n + 0.7
    # heights and places that follow no order: a set has no first and no next
    for i, place in enumerate(sorted(range(n), key=lambda i: (3 * i + 2) % n)):
        cells(1.35 * i, 0, tokens[i][:, None])
        cells(right + 1.7 * i, 1.6 * ((2 * i + 1) % 3) / 2 - 0.5, tokens[place][:, None])
    for x, y, title in (
        (0, above + 1.3, f"an array of {n * d} neurons"),
        (0, d + 1.7, f"an array of {n} tokens"),
        (right, d + 1.7, f"a set of {n} tokens"),
    ):
        ax.text(x, y, title, fontsize=9)
    ax.set(aspect=1, xlim=(-0.1, n * d + 0.1), ylim=(-0.6, above + 2.4))
    ax.axis("off")
    return Figure(fig, alt=alt)


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
    # two signals side by side, each above its tokens, so that letters stay legible on a narrow page
    fig, grid = plt.subplots(4, 2, figsize=(6.4, 7.4), height_ratios=(1.6, 1, 1.6, 1), layout="constrained")
    signals, below = [*grid[0], *grid[2]], [*grid[1], *grid[3]]
    picture, text, wave, cloud = signals
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
        signals, ("image: patches", "text: byte pairs", "sound: frames", "points: groups"), strict=True
    ):
        ax.set_title(title, fontsize=9)
    for ax, made in zip(below, tokens, strict=True):
        top = float(made.detach().abs().max())
        ax.imshow(made.T.detach().numpy(), cmap=SIGNED, vmin=-top, vmax=top, aspect="auto", interpolation="nearest")
        ax.set_xlabel(f"{made.shape[0]} tokens", fontsize=8)
    for ax in below[::2]:
        ax.set_ylabel(f"{tokens[0].shape[1]} channels", fontsize=8)
    for ax in grid.flat:
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


def _lay_out(ax: Axes, pieces: Sequence[str], width: int = 22) -> None:
    """Write pieces of text one after the other in lines of about `width` letters, a box around each."""
    x, y = 0.0, 0
    for i, piece in enumerate(pieces):
        if x + len(piece) > width:
            x, y = 0.0, y + 1
        box = Rectangle((x, -2 * y - 0.7), len(piece) + 0.5, 1.4, fill=False, edgecolor=COLOURS[i % 2], linewidth=0.9)
        ax.add_patch(box)
        ax.text(
            x + len(piece) / 2 + 0.25, -2 * y, piece, family="monospace", fontsize=8, ha="center", va="center_baseline"
        )
        x += len(piece) + 0.8
    ax.set(xlim=(-0.3, width + 1), ylim=(-2 * y - 1.5, 1.5))
