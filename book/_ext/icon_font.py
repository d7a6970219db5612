"""Cut the theme's icon font down to the icons that the book shows: 150 KB less on every page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fontTools import subset  # comes with matplotlib
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

SHEET = Path("_static/styles/pydata-sphinx-theme.css")
FULL = Path("_static/vendor/fontawesome/webfonts/fa-solid-900.ttf")
CUT = FULL.with_name("icons.woff")
SOURCE = re.compile(
    r'url\([^)]*fa-solid-900\.woff2\) format\("woff2"\),'
    r'url\([^)]*fa-solid-900\.ttf\) format\("truetype"\)'
)
OURS = f'url(../vendor/fontawesome/webfonts/{CUT.name}) format("woff")'
# a rule that gives one icon to one or more class names, as in .fa-bars:before,.fa-navicon:before{content:"\f0c9"}
NAMED = re.compile(r'((?:\.fa-[\w-]+:{1,2}before,?)+)\{content:"([^"]*)"\}')
ESCAPED = re.compile(r"\\([0-9a-f]{1,6})")


def characters(text: str) -> set[int]:
    """The code points of icons in a style sheet's text, written as ``\\f0c9`` or as the character itself."""
    codes = {int(code, 16) for code in ESCAPED.findall(text)} | set(map(ord, text))
    return {code for code in codes if 0xE000 <= code <= 0xF8FF}


def icons_shown(names: set[str], sheets: str) -> set[int]:
    """Code points of the icons with the class ``names``, and of all that the style ``sheets`` show on their own."""
    by_name: dict[str, set[int]] = {}
    for classes, content in NAMED.findall(sheets):
        # some icons are plain characters, as the plus is
        shown = {int(code, 16) for code in ESCAPED.findall(content)} or set(map(ord, content.removeprefix("\\")))
        for name in re.findall(r"fa-[\w-]+", classes):
            by_name.setdefault(name, set()).update(shown)
    codes = characters(NAMED.sub("", sheets))
    return codes.union(*(by_name.get(name, set()) for name in names))


def cut_font(source: Path, target: Path, codes: set[int]) -> None:
    """Write to ``target`` the font ``source`` with the characters ``codes`` alone, compressed for the web."""
    options = subset.Options(flavor="woff", ignore_missing_unicodes=True, notdef_outline=True)
    font = subset.load_font(str(source), options)
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=codes)
    cutter.subset(font)
    subset.save_font(font, str(target), options)


def lighten(app: Sphinx, problem: Exception | None) -> None:
    """Put the cut font in the place of the whole one; ``ExtensionError`` if the theme has moved it."""
    if problem or app.builder.format != "html":
        return
    out = Path(app.outdir)
    users = [*out.rglob("*.html"), *(out / "_static").glob("*.js"), *(out / "_static/scripts").glob("*theme.js")]
    names = set(re.findall(r"\bfa-[\w-]+", "\n".join(f.read_text(encoding="utf8") for f in users)))
    sheets = "\n".join(f.read_text(encoding="utf8") for f in sorted((out / "_static").rglob("*.css")))
    style = (out / SHEET).read_text(encoding="utf8")
    if not (out / FULL).exists() or not (SOURCE.search(style) or OURS in style):
        raise ExtensionError(f"icon_font: the theme no longer names {FULL.name} in {SHEET.name}; see how it does now")
    cut_font(out / FULL, out / CUT, icons_shown(names, sheets))
    (out / SHEET).write_text(SOURCE.sub(OURS, style), encoding="utf8")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("build-finished", lighten)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
