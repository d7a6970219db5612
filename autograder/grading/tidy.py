"""nbconvert's last pass over a page, cell by cell: the same page, but what all students share is parsed only once."""

from __future__ import annotations

from functools import lru_cache

from bs4 import BeautifulSoup, Tag

CELL = '<div class="cell border-box-sizing'
REMEMBERED, LONGEST = 500, 100_000  # cells' parts, and characters of one
DESCRIPTION = "No description has been provided for this image"


def finish(page: str, tail: str) -> str:
    """What `HTMLExporter` makes of its template's output: images described, every tag closed.

    A cell's part is parsed by itself if that cannot make a difference, which is so when it closes just what it opens.
    Otherwise, as when a student's output holds half a table, the page is parsed as a whole.

    Args:
        page: the template's output.
        tail: what the template puts below the last cell.
    """
    head, *cells = page.split(CELL)
    if not cells or not tail or not cells[-1].endswith(tail) or "jp-Notebook" in head:
        return whole(page)
    cells[-1] = cells[-1].removesuffix(tail)
    frame = parse(f"{head}<x-cells></x-cells>{tail}")
    marks = frame.find_all("x-cells")
    around = tuple(sorted({parent.name for parent in marks[0].parents if parent is not frame})) if marks else ()
    finished = [(part if len(cell) <= LONGEST else part.__wrapped__)(CELL + cell, around) for cell in cells]
    before, mark, after = str(frame).partition("<x-cells></x-cells>")
    if len(marks) != 1 or not mark or None in finished:
        return whole(page)
    return "".join([before, *finished, after])


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
