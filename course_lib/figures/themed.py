"""Matplotlib figures as inline SVG: they take the colours of the page and cannot lack a description."""

from __future__ import annotations

import hashlib
import html
import io
import re

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.figure import Figure as MatplotlibFigure

from course_lib.figures.lighter import lighter, pixels_as_they_are

# Each keeps a contrast of 3:1 or more with a white page and with the book's dark page alike.
COLOURS = ("#1f77b4", "#c8501e", "#2a8a4a", "#9467bd", "#b3478a", "#7f7f7f")


def svg(fig: MatplotlibFigure, *, alt: str) -> str:
    """The figure as one ``<svg>`` element whose black is the text colour of the page around it.

    ``alt`` says in words what the figure shows, for a reader who does not see it.
    Raises ``ValueError`` if ``alt`` is blank.  The figure is left open.
    """
    alt = " ".join(alt.split())
    if not alt:
        raise ValueError("a figure needs alt text: one or two sentences that say what it shows")
    for legend in [*fig.legends, *(ax.get_legend() for ax in fig.axes)]:
        if legend is not None:
            # its white box would hide light text on a dark page
            legend.get_frame().set_facecolor("none")
    buffer = io.StringIO()
    # a fixed salt and no date: the same figure gives the same bytes at every build
    with mpl.rc_context({"svg.hashsalt": alt, "svg.fonttype": "path"}), pixels_as_they_are(fig):
        fig.savefig(buffer, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None})
    text = buffer.getvalue()
    text = lighter(text[text.index("<svg") :])
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    # matplotlib's style sheet says "*": inside a page it would reach every other drawing
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.S)
    text = text.replace("#000000", "currentColor")
    # several figures share one page, so their identifiers must differ
    prefix = "f" + hashlib.sha256((alt + text).encode()).hexdigest()[:8]
    text = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", text)
    label = html.escape(alt, quote=True)
    # glyphs without a colour of their own inherit the fill of the root
    root = f'<svg role="img" aria-label="{label}" fill="currentColor" stroke-linejoin="round" '
    return text.replace("<svg ", root, 1).strip()


class Figure:
    """Show a matplotlib figure inline, in the colours of the page; it closes the figure.

    ``alt`` says what the figure shows and is required; a blank one raises ``ValueError``.
    """

    def __init__(self, fig: MatplotlibFigure, alt: str) -> None:
        self.alt = " ".join(alt.split())
        self.html = f'<div class="themed-figure">{svg(fig, alt=alt)}</div>'
        plt.close(fig)

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return f"Figure: {self.alt}"
