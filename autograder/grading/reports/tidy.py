"""nbconvert's last pass over a page, cell by cell: the same page in a fraction of the time.

nbconvert parses the whole page with BeautifulSoup and writes it out again, which takes longer than all else. A cell
whose HTML is plain and closes what it opens comes out of that in a way that needs no tree (`plain`); another one is
parsed by itself (`part`), each once for all students who share it; and if that could make a difference, as when a
student's output holds half a table, the whole page is (`whole`).
"""

from __future__ import annotations

import re
from functools import lru_cache

from bs4 import BeautifulSoup, Tag

CELL = re.compile(r'(?=<div (?:id="[^"<>]*" )?class="cell border-box-sizing)')
REMEMBERED, LONGEST = 500, 100_000  # cells' parts, and characters of one
DESCRIPTION = "No description has been provided for this image"

TOKEN = re.compile(r'<(/?)([a-z][a-z0-9]*+)((?:\s++[a-z][a-z0-9-]*+="[^"&<>]*+")*+)\s*+(/?)>|([^<\0]++)')
ATTRIBUTE = re.compile(r'\s++([a-z][a-z0-9-]*+)="([^"]*+)"')
ENTITY = re.compile(r"&(?:([a-z]{2,5}|#[0-9]{2,5}|#x27);)?")
ENTITIES = {"amp": "&amp;", "lt": "&lt;", "gt": "&gt;", "nbsp": "\xa0", "quot": '"', "#34": '"', "#39": "'"}
ENTITIES["#x27"] = "'"
VOID = frozenset("br hr input wbr".split())
SIMPLE = VOID | frozenset(
    "a b code dd del details div dl dt em h1 h2 h3 h4 h5 h6 i kbd label li ol p pre s section small span strong sub "
    "summary sup table tbody td tfoot th thead tr u ul".split()
)
LISTS = frozenset("accesskey dropzone headers rel rev".split())  # attributes that BeautifulSoup takes apart
SPACES = " \n\t\f\r"


def finish(page: str, tail: str) -> str:
    """What `HTMLExporter` makes of its template's output: images described, every tag closed.

    Args:
        page: the template's output.
        tail: what the template puts below the last cell.
    """
    head, *cells = CELL.split(page)
    if not cells or not tail or not cells[-1].endswith(tail) or "jp-Notebook" in head:
        return whole(page)
    cells[-1] = cells[-1].removesuffix(tail)
    frame = parse(f"{head}<x-cells></x-cells>{tail}")
    marks = frame.find_all("x-cells")
    around = tuple(sorted({parent.name for parent in marks[0].parents if parent is not frame})) if marks else ()
    before, mark, after = str(frame).partition("<x-cells></x-cells>")
    finished = []
    for cell in cells:
        written, parsed = (plain, part) if len(cell) <= LONGEST else (plain.__wrapped__, part.__wrapped__)
        finished.append(text if (text := written(cell)) is not None else parsed(cell, around))
    if len(marks) != 1 or not mark or None in finished:
        return whole(page)
    return "".join([before, *finished, after])


@lru_cache(maxsize=REMEMBERED)
def plain(html: str) -> str | None:
    """The pass over HTML of simple tags that are closed in order; None for any other."""
    if "jp-Notebook" in html:
        return None
    made: list[str] = []
    opened: list[str] = []
    at = kept = 0
    for token in TOKEN.finditer(html):
        if token.start() != at:
            return None
        at = token.end()
        end, name, attributes, slash, text = token.groups()
        if text is not None:
            written = plain_text(text, kept)
        elif name not in SIMPLE:
            return None
        elif end:
            if attributes or slash or name in VOID or not opened or opened.pop() != name:
                return None
            written, kept = f"</{name}>", kept - (name == "pre")
        else:
            void = name in VOID
            given = plain_attributes(attributes)
            if given is None or (slash and not void):
                return None
            written = f"<{name}{given}/>" if void else f"<{name}{given}>"
            if not void:
                opened.append(name)
                kept += name == "pre"
        if written is None:
            return None
        made.append(written)
    return "".join(made) if at == len(html) and not opened else None


def plain_text(text: str, kept: int) -> str | None:
    """Text between two tags; blank text outside of <pre> is one blank or one new line. None for an odd entity."""
    if not text.strip(SPACES) and not kept:
        return "\n" if "\n" in text else " "
    pieces = ENTITY.split(text.replace(">", "&gt;"))
    pieces[1::2] = [character(name) for name in pieces[1::2]]
    return None if None in pieces else "".join(pieces)


def character(entity: str | None) -> str | None:
    """How a character that was written as an entity is written out; None for an odd one."""
    if entity and entity.startswith("#") and entity[1:].isdecimal() and 160 <= (code := int(entity[1:])) < 0xD800:
        return chr(code)
    return ENTITIES.get(entity or "")


def plain_attributes(text: str) -> str | None:
    """The attributes of a tag by name, classes one blank apart; None for one that is there twice, or an odd one."""
    if not text:
        return ""
    pairs = ATTRIBUTE.findall(text)
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names) or LISTS.intersection(names):
        return None
    values = {name: " ".join(value.split()) if name == "class" else value for name, value in pairs}
    return "".join(f' {name}="{value}"' for name, value in sorted(values.items()))


def whole(page: str) -> str:
    """The pass as nbconvert does it."""
    return str(parse(page))


def parse(html: str) -> BeautifulSoup:
    soup = BeautifulSoup(html, features="html.parser")
    if "<img" in html.lower():
        for image in soup.select("img:not([alt])"):
            image.attrs["alt"] = DESCRIPTION
    if "jp-Notebook" in html:
        for box in soup.select(".jp-Notebook div.jp-Cell-inputWrapper, .jp-Notebook div.jp-OutputArea-output"):
            box.attrs["tabindex"] = "0"
    return soup


@lru_cache(maxsize=REMEMBERED)
def part(html: str, around: tuple[str, ...]) -> str | None:
    """One cell's part of the page after the pass, or None if it does not stand by itself.

    `around` names the tags that are open on the page where the cell stands: an end tag too many would close one.
    """
    opened = "".join(f"<{name}>" for name in around)
    soup = parse(f"{opened}<x-cell>{html}<x-end></x-end></x-cell>")
    cell, ends = soup.find("x-cell"), soup.find_all("x-end")
    # Something left open would hold the mark at the end, or have swallowed it; something closed too often would
    # have put it outside.
    if not isinstance(cell, Tag) or len(ends) != 1 or ends[0].parent is not cell or ends[0].next_sibling is not None:
        return None
    ends[0].decompose()
    return cell.decode_contents()
