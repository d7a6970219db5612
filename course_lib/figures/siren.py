"""The drawings of the chapter on neural fields: histograms, traces, and distances as bands of colour."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from course_lib.figures.themed import COLOURS, Figure


def histograms(rows: Mapping[str, list[Tensor]], *, alt: str, reach: float, bins: int = 41) -> Figure:
    """One row of histograms for each name, one for each layer, all from -reach to reach; what is beyond is left out."""
    across = max(len(tensors) for tensors in rows.values())
    fig, axes = plt.subplots(
        len(rows), across, figsize=(1.35 * across + 0.9, 1.15 * len(rows) + 0.4), squeeze=False, layout="constrained"
    )
    edges = torch.linspace(-reach, reach, bins + 1)
    for drawn, (name, tensors) in zip(axes, rows.items(), strict=True):
        for ax in drawn:
            ax.set(yticks=[], xlim=(-reach, reach))
            ax.spines[["top", "right", "left"]].set_visible(False)
            ax.tick_params(labelsize=7)
        for ax, values in zip(drawn, tensors, strict=False):
            counts, _ = torch.histogram(values.detach().flatten().float().cpu(), edges)
            ax.stairs(counts, edges, fill=True, color=COLOURS[0])
        drawn[0].set_ylabel(name, fontsize=7)
    for i, ax in enumerate(axes[0]):
        ax.set_title(f"layer {i + 1}", fontsize=8)
    return Figure(fig, alt=alt)


def traces(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, alt: str, xlabel: str, ylabel: str
) -> Figure:
    """Lines `{name: (x, y)}` over the first of them, which is broad and grey: how closely the others follow it."""
    fig, ax = plt.subplots(figsize=(6.2, 2.7), layout="constrained")
    (reference, points), *others = lines.items()
    ax.plot(*points, color=COLOURS[5], linewidth=4.5, alpha=0.55, label=reference)
    for (name, (x, y)), colour, dash in zip(others, COLOURS, ("-", "--", "-.", ":", "-"), strict=False):
        ax.plot(x, y, dash, color=colour, linewidth=1.2, label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.spines[["top", "right"]].set_visible(False)
    fig.legend(loc="outside right center", fontsize=8)
    return Figure(fig, alt=alt)


def grey(image: Tensor) -> Tensor:
    """A grey image [h w] with values 0 to 255 as [3 h w] in [0, 1], as `pictures` wants it."""
    return (image.float() / 255).expand(3, -1, -1)


def distance_bands(distance: Tensor, step: float = 0.1) -> Tensor:
    """A signed distance [h w] as a picture [3 h w]: blue inside, orange outside, a band of shade for each `step`."""
    inside, outside = torch.tensor([0.25, 0.45, 0.75]), torch.tensor([0.93, 0.70, 0.42])
    colour = torch.where(distance[None] < 0, inside[:, None, None], outside[:, None, None])
    band = torch.floor(distance / step).long() % 2
    shade = 1 - 0.14 * band.float()
    edge = (distance.abs() < 0.012).float()
    return colour * shade * (1 - edge)
