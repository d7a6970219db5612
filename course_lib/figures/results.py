"""The summaries of long experiments and of benchmarks, as their files tell them."""

import json
from pathlib import Path

from course_lib.figures.tables import Table


class ResultTable(Table):
    """Show the table of a result file in `book/results`, with the command, seeds, device and minutes in its caption.

    Raises ValueError if the file has no title or table to show.
    """

    def __init__(self, path: Path) -> None:
        found = json.loads(path.read_text())
        if not found.get("title") or not found.get("table"):
            raise ValueError(f"{path.name} needs a `title` and a `table`, the rows that the page of results shows.")
        seeds = ", ".join(map(str, found["seeds"]))
        super().__init__(
            found["table"],
            f"{found['title']}. Made by `{found['command']}` in {found['minutes']:.1f} minutes on {found['device']}, "
            f"seed{'s' * (len(found['seeds']) > 1)} {seeds}.",
        )


def benchmark_tables(path: Path) -> list[Table]:
    """Read the tables of a report of `make bench`; the heading of a table's first column becomes its caption."""
    tables = []
    for block in path.read_text().split("\n\n"):
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines() if line[:1] == "|"]
        if rows:
            (caption, *columns), _, *body = rows
            tables.append(Table([dict(zip(["", *columns], row, strict=True)) for row in body], caption))
    return tables
