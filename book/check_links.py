"""Read a built book as a browser would, without one: links, anchors, loaded files, descriptions, leaks."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import leaks

LOADING = {"script", "link", "img", "iframe", "source", "audio", "video", "object", "embed"}
FILE_NAME = re.compile(r"\.(png|svg|jpe?g|gif|webp)$|^[0-9a-f]{20,}")
NETWORKS = ("cdn.jsdelivr.net", "cdnjs.cloudflare.com", "unpkg.com")


@dataclass
class Page(HTMLParser):
    """What one page names: its anchors, addresses, images and drawings."""

    ids: set[str] = field(default_factory=set)
    references: list[tuple[str, str]] = field(default_factory=list)
    images: list[tuple[str, str | None]] = field(default_factory=list)
    unnamed_drawings: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids.update(v for k in ("id", "name") if (v := given.get(k)))
        # a canonical address or a next-page hint is not loaded
        self.references += [(tag, v) for k in ("href", "src") if (v := given.get(k))]
        if tag == "img":
            self.images.append((given.get("src") or "", given.get("alt")))
        if tag == "svg" and given.get("role") == "img" and not given.get("aria-label"):
            self.unnamed_drawings += 1


@dataclass
class Report:
    """The faults of a book, a sentence each, the addresses outside it that it links to, and its page count."""

    faults: list[str]
    outside: list[str]
    pages: int


def read_pages(root: Path) -> dict[Path, tuple[Page, str]]:
    pages = {}
    for file in sorted(root.rglob("*.html")):
        if "_static" not in file.relative_to(root).parts:
            page, text = Page(), file.read_text(encoding="utf8")
            page.feed(text)
            pages[file] = (page, text)
    return pages


def check_book(root: Path, hidden: Mapping[str, Iterable[str]] | None = None) -> Report:
    """Check the pages under ``root``; raises ``FileNotFoundError`` if there are none.

    ``hidden`` holds texts, by assignment, that must not be in the book, nor marks of solutions; None allows all.
    """
    root = root.resolve()
    pages = read_pages(root)
    if not pages:
        raise FileNotFoundError(f"no built pages in {root}: run python book/build.py")
    faults: list[str] = []
    outside: set[str] = set()
    for file, (page, text) in pages.items():
        name = file.relative_to(root)
        for tag, address in page.references:
            parts = urlsplit(address)
            if parts.scheme in ("http", "https") or address.startswith("//"):
                if tag in LOADING:
                    faults.append(f"{name}: loads {address} from outside the book")
                else:
                    outside.add(address)
            elif not parts.scheme:
                target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
                if not target.is_file():
                    faults.append(f"{name}: there is no file {address}")
                elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target][0].ids:
                    faults.append(f"{name}: there is no anchor {address}")
        for source, alt in page.images:
            decorative = "_static/images/logo" in source  # of the launch buttons, which have names
            if not decorative and (alt is None or FILE_NAME.search(alt)):
                faults.append(f"{name}: image {source} has no description (alt text)")
        if page.unnamed_drawings:
            faults.append(f"{name}: {page.unnamed_drawings} drawings (svg) have no description")
        # the theme repeats the title, hidden, before the article
        headings = text.partition("<article")[2].count("<h1")
        if headings > 1:
            faults.append(f"{name}: {headings} top headings; a page has one")
        faults += [f"{name}: names the network {n}" for n in NETWORKS if n in text]
    if hidden is not None:
        faults += leaks.found(root, hidden)
    return Report(faults, sorted(outside), len(pages))


if __name__ == "__main__":
    report = check_book(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "_build" / "html", {})
    print("\n".join(report.faults) or f"{report.pages} pages: every internal link, file and description is there.")
    sys.exit(bool(report.faults))
