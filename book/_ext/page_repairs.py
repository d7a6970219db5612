"""Mend what the theme leaves wrong in the written pages: names for assistive technology, and dead weight."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

# Each was found by axe-core in the pinned theme; tests/browser holds the pages to it.
REPAIRS = [
    # 1.4 MB of script on every page for icons that the theme's font already shows
    (r'\s*<script defer src="[^"]*scripts/fontawesome\.js[^"]*"></script>', ""),
    # a list without items, and a deprecated role
    (r'<div role="list" class="citation-list">', '<div class="citation-list">'),
    (r'(<div class="citation" id="[^"]*") role="doc-biblioentry"', r"\1"),
    # names that do not contain the text one sees
    (r'(<button class="btn search-button-field[^>]*?) aria-label="Search"', r"\1"),
    (
        r'(<button class="[^"]*theme-switch-button[^>]*?) aria-label="Color mode"',
        r'\1 aria-label="Color mode: Light, Dark, System Settings"',
    ),
    (r'<summary aria-label="Toggle hidden content">', "<summary>"),
    # the arrow of a page with sub-pages has no name
    (
        r'(>)([^<>]+)(</a><details[^>]*>)<summary>(<span class="toctree-toggle")',
        r'\1\2\3<summary aria-label="Show the pages under \2">\4',
    ),
    # the side bar is in no landmark
    (
        r'<div id="pst-primary-sidebar" class',
        '<div id="pst-primary-sidebar" role="complementary" aria-label="Book" class',
    ),
    # on paper a page is light, whatever it is on the screen
    (
        r"(?<!<!-- light on paper -->)</head>",
        "<script>{const own = document.documentElement.dataset; let theme; "
        'addEventListener("beforeprint", () => { theme = own.theme; own.theme = "light"; }); '
        'addEventListener("afterprint", () => { own.theme = theme; });}</script><!-- light on paper --></head>',
    ),
    # a formula wider than the page scrolls, which the keyboard must be able to do too
    (
        r"(<script>window\.MathJax = \{[^<]*\})</script>",
        r"\1; MathJax.startup = {pageReady: () => MathJax.startup.defaultPageReady().then(() => document"
        r""".querySelectorAll('mjx-container[display="true"]').forEach((formula) => """
        r"{ formula.tabIndex = 0; }))};</script>",
    ),
]

# the engine also loads the typesetting of formulas into pages that have none
TYPESETTING = r'\s*<script>window\.MathJax = .*?</script>|\s*<script [^>]*src="[^"]*mathjax/[^"]*"[^>]*></script>'
FORMULA = re.compile(r'class="[^"]*\bmath\b')


def repair(page: str) -> str:
    """The page with every repair applied; applying them twice changes nothing more."""
    for pattern, replacement in REPAIRS:
        page = re.sub(pattern, replacement, page)
    return page if FORMULA.search(page) else re.sub(TYPESETTING, "", page)


def repair_pages(app: Sphinx, problem: Exception | None) -> None:
    if problem or app.builder.format != "html":
        return
    for file in Path(app.outdir).rglob("*.html"):
        if "_static" in file.parts:
            continue
        old = file.read_text(encoding="utf8")
        new = repair(old)
        if new != old:
            file.write_text(new, encoding="utf8")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("build-finished", repair_pages)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
