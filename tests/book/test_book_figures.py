"""Figures follow the page and carry a description; widgets refuse what they cannot show."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import pytest
import traitlets

from course_lib.figures.themed import COLOURS, Figure, svg
from course_lib.widgets import AttentionPlane, GramClusters, MaskedAttentionMap

ALT = 'A rising line, "steep" & <straight>.'


def drawing() -> plt.Figure:
    fig, ax = plt.subplots(figsize=(3, 2))
    ax.plot([0, 1], [0, 2], label="rise")
    ax.legend()
    ax.set_title("Straße")
    return fig


def test_figure_is_one_named_drawing_in_the_colours_of_the_page() -> None:
    fig = drawing()
    figure = Figure(fig, alt=ALT)
    assert not plt.fignum_exists(fig.number)
    root = ElementTree.fromstring(figure._repr_html_())[0]
    assert root.get("role") == "img" and root.get("aria-label") == ALT
    assert root.get("fill") == "currentColor"
    assert "#000000" not in figure.html and "#ffffff" not in figure.html
    assert "<style" not in figure.html and "<metadata" not in figure.html


def test_drawings_on_one_page_share_no_identifier_and_miss_none() -> None:
    first, second = (svg(drawing(), alt=a) for a in ("One.", "Two."))
    names = [set(re.findall(r'\bid="([^"]+)"', s)) for s in (first, second)]
    assert names[0] and not names[0] & names[1]
    used = set(re.findall(r'href="#([^"]+)"', first)) | set(re.findall(r"url\(#([^)]+)\)", first))
    assert used and used <= names[0]


def test_same_figure_gives_the_same_bytes() -> None:
    assert svg(drawing(), alt=ALT) == svg(drawing(), alt=ALT)


@pytest.mark.parametrize("alt", ["", "  \n "])
def test_figure_without_description_is_refused(alt: str) -> None:
    with pytest.raises(ValueError, match="alt text"):
        Figure(drawing(), alt=alt)


@pytest.mark.parametrize("page", ["#ffffff", "#14181e"])
@pytest.mark.parametrize("colour", COLOURS)
def test_colours_stand_out_on_light_and_dark(colour: str, page: str) -> None:
    def luminance(code: str) -> float:
        parts = [int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted(luminance(c) + 0.05 for c in (colour, page))
    assert high / low >= 3  # what WCAG 2.1 asks of graphics


@pytest.mark.parametrize("widget", [AttentionPlane, GramClusters, MaskedAttentionMap])
def test_script_of_a_widget_stands_alone(widget: type) -> None:
    source = str(widget._esm)
    assert not re.search(r"^\s*import\s", source, re.M) and "http://" not in source.replace(
        "http://www.w3.org/2000/svg", ""
    )
    assert source.count("export default") == 1


def test_plane_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="got 2 tokens"):
        AttentionPlane(["a", "b"])
    with pytest.raises(ValueError, match="two numbers"):
        AttentionPlane(["a"], keys=[(1, 2, 3)], values=[(0, 0)])
    with pytest.raises(ValueError, match="two numbers each"):
        GramClusters([(1.0,)])
    with pytest.raises(traitlets.TraitError, match="mask"):
        MaskedAttentionMap(mask="sideways")
