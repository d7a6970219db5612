"""What renderers make of markdown, and what in that could act on a reader's page.

nbconvert's own is the one of formgrader and feedback. JupyterLab has another, which cleans HTML but may see it, or a
picture, where nbconvert sees a formula; a third one that knows nothing of formulas stands in for it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from html.parser import HTMLParser
from typing import Any

from markdown_it import MarkdownIt
from nbconvert.filters.markdown_mistune import InvalidNotebook, IPythonRenderer, MarkdownWithMath

# Tags that markdown gives, and the attributes that each may have.
ALLOWED: dict[str, set[str]] = {
    **{tag: set() for tag in "p em strong del s pre ul blockquote hr br table thead tbody tr dl dt dd".split()},
    **{f"h{level}": {"id"} for level in range(1, 7)},
    "a": {"href", "title", "class"}, "img": {"src", "alt", "title"}, "span": {"class"}, "div": {"class"},
    "code": {"class"}, "th": {"style"}, "td": {"style"}, "ol": {"start"}, "li": {"class"},
    "input": {"class", "type", "disabled", "checked"},
}  # fmt: skip
EXACTLY = {"type": {"checkbox"}, "style": {f"text-align:{side}" for side in ("left", "right", "center")}}
EMPTY = {"br", "hr", "img", "input"}
# Pygments' lexers for these are quick on any text; "mermaid" would be a program for a library to draw.
LANGUAGES = set("python python3 py py3 ipython pycon text plain bash sh console json yaml diff".split())
LINK = re.compile(r"(?:https?://[^\s<>\"'\\]+|mailto:[\w.+@-]+|#[^\s<>\"'\\]*)", re.IGNORECASE)
# MathJax's commands that make links, load things, set attributes and styles, or move text over other text.
ACTIVE_TEX = (
    "href|url|require|usepackage|html[A-Za-z]*|class|cssId|style|data|bbox|mmlToken|unicode|include[a-z]+|"
    "toggle|mathtip|texttip|tooltip|action|raise|lower|raisebox|moveleft|moveright|Rule|Space"
)
ACTIVE_MATHS = re.compile(rf"\\(?=(?:{ACTIVE_TEX})(?![A-Za-z]))")
SKIPPED_BY_MATHJAX = {"pre", "code"}
# nbconvert's templates look for such links in the HTML of a cell, in a time that grows with the square of a line's
# brackets, and with their cube where links to files/ never end.
FILES_LINK = re.compile(r"\]\(/?files/")
MAX_BRACKET_WORK = 2_000_000
TELLTALE = re.compile(r"<[A-Za-z/!?]|\]\(|\]:|!\[")
WITHOUT_FORMULAS = MarkdownIt("commonmark", {"html": True}).enable("table")
PICTURE = "cGljdHVyZQ=="  # stands for the data of an attachment that may be shown


class Recorder(IPythonRenderer):
    """nbconvert's renderer, which also notes raw HTML and code in languages that are not on the list."""

    def __init__(self, attachments: Collection[str]) -> None:
        super().__init__(escape=False, attachments={name: {"image/png": PICTURE} for name in attachments})
        self.found: set[str] = set()

    def inline_html(self, html: str) -> str:
        self.found.add("html")
        return super().inline_html(html)

    def block_html(self, html: str) -> str:
        self.found.add("html")
        return super().block_html(html)

    def block_code(self, code: str, info: str | None = None) -> str:
        if info and info.strip() and info.strip().split()[0] not in LANGUAGES:
            self.found.add("language")
            return ""
        return super().block_code(code, info)


class Inspector(HTMLParser):
    """Reads a page's HTML and notes whatever is not on the lists."""

    def __init__(self, reserved: Collection[str]) -> None:
        super().__init__(convert_charrefs=True)
        self.found: set[str] = set()
        self.open: list[str] = []
        self.text: list[str] = []
        self.reserved = reserved
        self.taken: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        if tag not in EMPTY:
            self.open.append(tag)
        if tag not in ALLOWED or any(name not in ALLOWED[tag] for name, _ in attrs):
            self.found.add("html")
        for name, value in attrs:
            if name == "href" and not LINK.fullmatch(value or ""):
                self.found.add("link")
            elif name == "src" and value != f"data:image/png;base64,{PICTURE}":
                self.found.add("image")
            elif name == "id" and value in self.reserved:
                self.taken.add(value)
                self.found.add("name")
            elif name in EXACTLY and value not in EXACTLY[name]:
                self.found.add("html")
        if tag == "input" and "disabled" not in dict(attrs):
            self.found.add("html")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.found.add("html")

    def handle_data(self, data: str) -> None:
        if not SKIPPED_BY_MATHJAX.intersection(self.open):
            self.text.append(data)

    def unexpected(self, _: str) -> None:
        self.found.add("html")

    handle_comment = handle_decl = handle_pi = unknown_decl = unexpected


def inspect(
    source: str, attachments: Collection[str] = (), reserved: Collection[str] = ()
) -> tuple[set[str], set[str]]:
    """What could act in the page that nbconvert makes of this markdown, and the reserved names that it takes.

    The kinds are html, link, image, maths, language, name, and "renderer" if the renderer itself gave up.
    """
    recorder, inspector = Recorder(attachments), Inspector(reserved)
    try:
        html = MarkdownWithMath(renderer=recorder).render(source)
    except InvalidNotebook:
        return {"image"}, set()  # it shows an attachment that is not there
    except Exception:  # the parser's limits, such as depth
        return {"renderer"}, set()
    if sum(line.count("[") * len(line) for line in html.split("\n")) > MAX_BRACKET_WORK:
        return {"renderer"}, set()
    try:
        inspector.feed(html)
        inspector.close()
    except AssertionError:  # so this parser gives up on a declaration that it does not know, such as <![x
        inspector.found.add("html")
    found = recorder.found | inspector.found | without_formulas(source, attachments)
    if inspector.open or inspector.rawdata:
        found.add("html")
    if FILES_LINK.search(html):
        found.add("link")
    if ACTIVE_MATHS.search("".join(inspector.text)):
        found.add("maths")
    return found, inspector.taken


def without_formulas(source: str, attachments: Collection[str]) -> set[str]:
    """What could act where dollars begin no formulas: html, link, image."""
    found: set[str] = set()
    if not TELLTALE.search(source):
        return found
    for token in WITHOUT_FORMULAS.parse(source):
        for part in (token, *(token.children or ())):
            if part.type in ("html_block", "html_inline"):
                found.add("html")
            elif part.type == "link_open" and not LINK.fullmatch(str(part.attrs.get("href", ""))):
                found.add("link")
            elif part.type == "image" and str(part.attrs.get("src", "")).removeprefix("attachment:") not in attachments:
                found.add("image")
    return found
