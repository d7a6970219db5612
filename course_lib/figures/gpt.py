"""The drawings of the GPT chapter: distributions over next words, and who looks at which word of a source."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from torch import Tensor

from course_lib.figures.attention import SEQUENTIAL
from course_lib.figures.themed import COLOURS, Figure


def distributions(panels: Mapping[str, Mapping[str, float]], *, alt: str, width: float = 3.6) -> Figure:
    """Next-word distributions as bars, two panels a row: `{"Once upon ____": {"a": 0.9, ...}}`, likeliest first.

    Raises ValueError if there is no panel, or a panel without a word.
    """
    if not panels or not all(panels.values()):
        raise ValueError("There must be a panel, and each panel needs a word at least.")
    rows = -(-len(panels) // 2)
    tallest = max(map(len, panels.values()))
    size = (width * min(2, len(panels)), rows * (0.22 * tallest + 0.7))
    fig, axes = plt.subplots(rows, min(2, len(panels)), figsize=size, squeeze=False, layout="constrained")
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    for ax, (title, words) in zip(axes.flat, panels.items(), strict=False):
        places = range(len(words))
        ax.barh(places, list(words.values()), color=COLOURS[0])
        ax.set_yticks(places, list(words), fontsize=8)
        ax.invert_yaxis()
        # room to the right of a bar of full length for its number
        ax.set(xlim=(0, 1.2), xticks=[0, 0.5, 1])
        ax.tick_params(axis="x", labelsize=7)
        ax.set_title(title, fontsize=8)
        ax.spines[["top", "right"]].set_visible(False)
        for place, share in zip(places, words.values(), strict=True):
            ax.text(share + 0.02, place, f"{share:.2f}", va="center", fontsize=7)
    return Figure(fig, alt=alt)


def alignment_map(weights: Tensor, *, rows: Sequence[str], columns: Sequence[str], alt: str) -> Figure:
    """Cross-attention [n m]: a row for each word to be written, a column for each word that was read.

    Raises ValueError if the words are not as many as rows and columns.
    """
    if weights.shape != (len(rows), len(columns)):
        wanted = f"{len(rows)} and {len(columns)} words"
        raise ValueError(f"Attention {list(weights.shape)} does not fit {wanted}.")
    fig, ax = plt.subplots(figsize=(0.42 * len(columns) + 1.6, 0.32 * len(rows) + 1.0), layout="constrained")
    drawn = ax.imshow(weights.detach().cpu().numpy(), cmap=SEQUENTIAL, vmin=0, vmax=1, interpolation="nearest")
    ax.set_xticks(range(len(columns)), columns, rotation=60, ha="right", fontsize=8)
    ax.set_yticks(range(len(rows)), rows, fontsize=8)
    ax.set(xlabel="word that was read", ylabel="word to be written")
    fig.colorbar(drawn, ax=ax, shrink=0.8)
    return Figure(fig, alt=alt)
