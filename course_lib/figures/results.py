"""The summary of a long experiment, as its result file tells it."""

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
