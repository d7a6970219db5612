"""The drawings of the tokens chapter show all that they are given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from course_lib.figures import tokens as figures

SIGNALS = dict(
    image=torch.rand(3, 8, 8),
    patch=4,
    sound=torch.rand(40),
    frame=10,
    points=torch.rand(20, 2),
    centres=torch.rand(3, 2),
    pieces=["A", " bi", "rd", " sings", " all", " the", " day", "!"],
    tokens=[torch.rand(n, 5) for n in (4, 8, 4, 3)],
)
DRAWINGS = {
    "clouds": lambda: figures.clouds({"a": torch.rand(9, 2)}, torch.arange(9) % 3, alt="what is drawn"),
    "neurons": lambda: figures.neurons_and_tokens(torch.randn(5, 4), alt="what is drawn"),
    "signals": lambda: figures.signals_and_tokens(**SIGNALS, alt="what is drawn"),
    "matrices": lambda: figures.matrices({str(i): torch.rand(i, 4) for i in range(1, 6)}, alt="what is drawn"),
}


@pytest.fixture
def bare(monkeypatch):
    """Drawings come back as matplotlib's own figures, and are closed at the end."""
    monkeypatch.setattr(figures, "Figure", lambda figure, alt: figure)
    yield
    plt.close("all")


@pytest.mark.parametrize("name", DRAWINGS)
def test_every_drawing_is_described_and_closed(name):
    before = plt.get_fignums()
    assert 'aria-label="what is drawn"' in DRAWINGS[name]().html
    assert plt.get_fignums() == before


def test_clouds_show_each_point_in_the_way_of_its_kind(bare):
    points, kinds = torch.rand(10, 2), torch.arange(10) % 2
    ax = figures.clouds({"a": points}, kinds, alt="a").axes[0]
    for kind, line in enumerate(ax.lines):
        np.testing.assert_array_equal(line.get_xydata(), points[kinds == kind])
    assert len({line.get_color() for line in ax.lines}) == len({line.get_marker() for line in ax.lines}) == 2


@pytest.mark.parametrize("n, d", [(5, 4), (4, 5), (6, 3)])
def test_neurons_array_and_set_hold_the_same_numbers(bare, n, d):
    tokens = torch.randn(n, d)
    ax = figures.neurons_and_tokens(tokens, alt="a").axes[0]
    row, *columns = [np.asarray(mesh.get_array()).ravel() for mesh in ax.collections]
    np.testing.assert_array_equal(row, tokens.flatten())
    array, scattered = np.stack(columns[::2]), np.stack(columns[1::2])
    np.testing.assert_array_equal(array, tokens)
    np.testing.assert_array_equal(np.unique(scattered, axis=0), np.unique(tokens, axis=0))
    assert not np.array_equal(scattered, array), "the set stands in another order"
    # no column lies on another, and nothing is cut off
    corners = [mesh.get_coordinates().reshape(-1, 2) for mesh in ax.collections]
    spans = [(c.min(0), c.max(0)) for c in corners]
    for i, (low, high) in enumerate(spans):
        assert ax.get_xlim()[0] < low[0] and high[0] < ax.get_xlim()[1] and ax.get_ylim()[0] < low[1]
        for other_low, other_high in spans[:i]:
            assert (high <= other_low + 1e-9).any() or (other_high <= low + 1e-9).any()


def test_every_piece_of_text_is_written_in_a_box_of_its_own(bare):
    figure = figures.signals_and_tokens(**SIGNALS, alt="a")
    text = figure.axes[1]
    assert [t.get_text() for t in text.texts] == SIGNALS["pieces"] and len(text.patches) == len(SIGNALS["pieces"])
    for box in text.patches:
        assert box.get_x() >= text.get_xlim()[0] and box.get_x() + box.get_width() <= text.get_xlim()[1]


def test_tokens_stand_under_their_signals_one_column_each(bare):
    axes = figures.signals_and_tokens(**SIGNALS, alt="a").axes
    assert [ax.get_title().split(":")[0] for ax in axes if ax.get_title()] == ["image", "text", "sound", "points"]
    below = [ax for ax in axes if "tokens" in ax.get_xlabel()]
    for ax, tokens in zip(below, SIGNALS["tokens"], strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), tokens.T)
    # each pair is in one column of the page
    titled = [ax for ax in axes if ax.get_title()]
    for above, under in zip(titled, below, strict=True):
        spec, spec_under = above.get_subplotspec(), under.get_subplotspec()
        assert spec.colspan == spec_under.colspan and spec_under.rowspan.start == spec.rowspan.start + 1


def test_zeros_of_a_matrix_are_blank_and_signs_have_colours_of_their_own(bare):
    matrix = torch.tensor([[0.0, 2.0], [1.0, 0.0]])
    plain, minus = figures.matrices({"a": matrix, "b": -matrix}, alt="a").axes
    assert np.ma.getmaskarray(plain.images[0].get_array()).tolist() == [[True, False], [False, True]]
    assert plain.images[0].get_clim() == (0, 2) and minus.images[0].get_clim() == (-2, 2)
    assert plain.images[0].cmap.name != minus.images[0].cmap.name
    assert figures.matrices({"a": matrix}, alt="a", signed=True).axes[0].images[0].get_clim() == (-2, 2)
