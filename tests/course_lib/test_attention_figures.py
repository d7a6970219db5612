"""The drawings and tables of the attention chapter: they show what they are given, and refuse what they cannot."""

import matplotlib.pyplot as plt
import pytest
import torch

from course_lib.figures.attention import attention_over, curves, heat_maps, paths, pictures, scatter_and_lines
from course_lib.figures.tables import Table

X = torch.linspace(0, 1, 5)
DRAWINGS = {
    "heat maps": lambda: heat_maps({"a": torch.rand(3, 5), "b": torch.rand(3, 5)}, alt="what is drawn", ticks="abcde"),
    "curves": lambda: curves({"p": {str(i): (X, X * i, X) for i in range(8)}}, alt="what is drawn", xlabel="x"),
    "log curves": lambda: curves(
        {"p": {"l": ([1, 2], [3, 4])}}, alt="what is drawn", xlabel="x", xscale="log", outside=True
    ),
    "paths": lambda: paths({"p": torch.rand(4, 6)}, alt="what is drawn", ylabel="y", yticks={0.0: "zero"}),
    "points": lambda: scatter_and_lines((X, X), {"fit": (X, X)}, alt="what is drawn", xlabel="x", ylabel="y"),
    "pictures": lambda: pictures(torch.rand(5, 3, 8, 6), "abcde", alt="what is drawn", columns=2),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_every_drawing_is_described_and_closed(name):
    before = plt.get_fignums()
    figure = DRAWINGS[name]()
    assert 'aria-label="what is drawn"' in figure.html
    assert plt.get_fignums() == before


def test_no_line_of_many_is_dropped(monkeypatch):
    monkeypatch.setattr("course_lib.figures.attention.Figure", lambda figure, alt: figure)
    # more lines than there are colours
    figure = curves({"p": {f"line {i}": ([0, 1], [i, i + 1]) for i in range(9)}}, alt="a", xlabel="x")
    assert [list(line.get_ydata()) for line in figure.axes[0].lines] == [[i, i + 1] for i in range(9)]
    plt.close(figure)


def test_attention_over_an_image_keeps_the_brightest_patch_and_darkens_the_rest():
    image = torch.full((3, 4, 6), 0.8)
    shown = attention_over(image, torch.tensor([[0.5, 0.0, 0.25]]), strength=1.0)
    expected = torch.tensor([0.8, 0.8, 0.0, 0.0, 0.4, 0.4]).expand(3, 4, 6)
    torch.testing.assert_close(shown, expected)
    torch.testing.assert_close(attention_over(image, torch.zeros(2, 3), strength=0.25), image * 0.75)


def test_a_table_writes_numbers_as_a_reader_wants_them():
    row = {"n": 2362368, "word": "<b>", "tiny": 1.2e-7, "minus": -0.5, "big": 1028.7, "none": None, "exact": 0.123456}
    (cells,) = Table([row], "c").cells
    assert cells == ["2362368", "<b>", "1.2e−07", "−0.5", "1029", "–", "0.123"]
    (cells,) = Table([{"x": -7e-6, "y": 2.0, "n": 3}], "c", decimals=2).cells
    assert cells == ["0.00", "2.00", "3"]


def test_a_table_is_a_table_for_a_screen_reader_and_escapes_its_words():
    html = Table([{"<name>": "a & b", "value": 1.5}], "Results of < 1 s by `make <it>`")._repr_html_()
    assert "<caption>Results of &lt; 1 s by <code>make &lt;it&gt;</code></caption>" in html
    assert '<th scope="col">&lt;name&gt;</th>' in html and '<th scope="row">a &amp; b</th>' in html


def test_a_table_refuses_rows_that_do_not_fit():
    with pytest.raises(ValueError, match="at least one row"):
        Table([], "c")
    with pytest.raises(ValueError, match="columns of the first"):
        Table([{"a": 1, "b": 2}, {"b": 2, "a": 1}], "c")
