"""The drawings of the GPT chapter show the numbers they are given."""

import matplotlib.pyplot as plt
import pytest
import torch

from course_lib.figures import gpt as figures


@pytest.fixture
def drawn(monkeypatch):
    """The matplotlib figure that a drawing hands over, and its alt text."""
    kept = []
    monkeypatch.setattr(figures, "Figure", lambda fig, alt: kept.append((fig, alt)))
    yield kept
    plt.close("all")


def test_distributions_draw_a_bar_for_each_word(drawn):
    panels = {"Once ____": {"upon": 0.9, "more": 0.1}, "a ____": {"time": 1.0}, "b ____": {"c": 0.5}}
    figures.distributions(panels, alt="bars")
    fig, alt = drawn[0]
    axes = [ax for ax in fig.axes if ax.axison]
    assert alt == "bars" and [ax.get_title() for ax in axes] == list(panels)
    for ax, words in zip(axes, panels.values(), strict=True):
        assert [bar.get_width() for bar in ax.patches] == list(words.values())
        assert [label.get_text() for label in ax.get_yticklabels()] == list(words)
        assert ax.yaxis_inverted(), "the likeliest stands on top"
    for wrong in ({}, {"x": {}}):
        with pytest.raises(ValueError, match="panel"):
            figures.distributions(wrong, alt="bars")


def test_alignment_map_names_rows_and_columns(drawn):
    weights = torch.rand(2, 3)
    figures.alignment_map(weights, rows=["a", "b"], columns=["x", "y", "z"], alt="map")
    ax = drawn[0][0].axes[0]
    assert torch.equal(torch.from_numpy(ax.images[0].get_array().data), weights)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["x", "y", "z"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    with pytest.raises(ValueError, match="does not fit 1 and 3"):
        figures.alignment_map(weights, rows=["a"], columns=["x", "y", "z"], alt="map")
