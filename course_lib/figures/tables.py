"""A small table of results for a page: plain HTML with a caption, plain text elsewhere."""

import html
import re
from collections.abc import Mapping, Sequence
from numbers import Real


class Table:
    """Show rows that share their columns; fractions are written with `digits` significant digits.

    Each row maps column names to cells, in the order of the first row; integers and words are shown as they
    are, None as a dash. `decimals` asks for that many digits after the point instead; backticks in the
    caption mark code. Raises ValueError if there is no row or rows differ in their columns.
    """

    def __init__(
        self, rows: Sequence[Mapping[str, object]], caption: str, *, digits: int = 3, decimals: int | None = None
    ) -> None:
        if not rows:
            raise ValueError("A table needs at least one row.")
        if any(list(row) != list(rows[0]) for row in rows):
            raise ValueError("Every row of a table needs the columns of the first, in the same order.")
        self.caption = caption
        self.columns = list(rows[0])
        self.cells = [[_text(cell, digits, decimals) for cell in row.values()] for row in rows]
        self.numeric = [_is_number(cell) for cell in rows[0].values()]

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in self.columns)
        label = html.escape(self.caption.replace("`", ""), quote=True)
        caption = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(self.caption))
        body = "".join(f"<tr>{self._row(cells)}</tr>" for cells in self.cells)
        # a wide table scrolls sideways on a phone, and must be reachable by keyboard to do so
        return (
            f'<div class="result-table" role="region" tabindex="0" aria-label="{label}">'
            f'<table class="table"><caption>{caption}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )

    def _row(self, cells: Sequence[str]) -> str:
        first, *rest = (html.escape(cell) for cell in cells)
        align = [' style="text-align: right"' if numeric else "" for numeric in self.numeric]
        tail = "".join(f"<td{a}>{cell}</td>" for a, cell in zip(align[1:], rest, strict=True))
        return f'<th scope="row"{align[0]}>{first}</th>{tail}'

    def __repr__(self) -> str:
        lines = [self.columns, *self.cells]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        padded = ("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) for line in lines)
        return "\n".join([self.caption, *padded])


def _is_number(cell: object) -> bool:
    return isinstance(cell, Real) and not isinstance(cell, bool)


def _text(cell: object, digits: int, decimals: int | None) -> str:
    if cell is None:
        return "–"
    if not _is_number(cell) or isinstance(cell, int):
        return str(cell)
    if decimals is not None:
        # adding zero turns the -0.0 of a rounded small number into 0.0
        return f"{round(cell, decimals) + 0.0:.{decimals}f}".replace("-", "−")
    small = 0 < abs(cell) < 1e-3
    large = abs(cell) >= 10**digits
    written = f"{cell:.1e}" if small else f"{cell:.0f}" if large else f"{cell:.{digits}g}"
    return written.replace("-", "−")
