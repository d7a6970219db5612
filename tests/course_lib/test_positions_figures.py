"""The drawings of the positions chapter show all that they are given."""

import matplotlib.pyplot as plt
import torch

from course_lib.figures.positions import lines, said_places


def test_every_line_is_drawn_and_described(monkeypatch):
    x = torch.linspace(0, 1, 5)
    given = {"p": {f"line {i}": (x, x * i) for i in range(14)}}
    assert 'aria-label="what is drawn"' in lines(given, alt="what is drawn", xlabel="x").html
    monkeypatch.setattr("course_lib.figures.positions.Figure", lambda figure, alt: figure)
    figure = lines(given, alt="a", xlabel="x", ylim=(0, 3))
    assert [line.get_ydata()[-1] for line in figure.axes[0].lines] == list(range(14))
    plt.close(figure)


def test_arrows_go_from_true_to_said_places_with_rows_downwards(monkeypatch):
    true, said = torch.tensor([[3.0, 5.0], [20.0, 1.0]]), torch.tensor([[4.0, 9.0], [18.0, 2.0]])
    assert 'aria-label="what is drawn"' in said_places({"a": (true, said)}, alt="what is drawn", size=24).html
    monkeypatch.setattr("course_lib.figures.positions.Figure", lambda figure, alt: figure)
    figure = said_places({"a": (true, said)}, alt="a", size=24)
    arrows = figure.axes[0].collections[0]
    assert arrows.U.tolist() == [4, 1] and arrows.V.tolist() == [1, -2]
    assert figure.axes[0].get_ylim() == (24, 0)
    plt.close(figure)
