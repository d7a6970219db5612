"""Look through a built book for what only teachers may read: marks of solutions, and their very words."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

MARKS = ("BEGIN SOLUTION", "END SOLUTION", "BEGIN HIDDEN TESTS", "BEGIN MARK SCHEME")
# the page that explains those marks to authors
TELLS_AUTHORS = "guide/exercises"
TEXTS = (".html", ".md", ".ipynb", ".txt")
SHORT = 25  # a text of fewer characters, such as `return loss`, is no secret


def bare(text: str) -> str:
    """A text without its spaces and line ends, since pages break lines in other places."""
    return re.sub(r"\s+", "", text)


def words_of(file: Path) -> str:
    """What a file says to its reader: a page without its markup, a notebook's cells, another file as it is."""
    text = file.read_text(encoding="utf8", errors="replace")
    if file.suffix == ".html":
        # code is cut into coloured pieces by tags
        return html.unescape(re.sub(r"<[^>]*>", "", text))
    if file.suffix == ".ipynb":
        cells = json.loads(text).get("cells", [])
        return "\n".join("".join(cell["source"]) for cell in cells)
    return text


def found(root: Path, hidden: Mapping[str, Iterable[str]]) -> list[str]:
    """A sentence for each file under ``root`` with a mark of solutions, or with one of the ``hidden`` texts."""
    secrets = [(name, text, bare(text)) for name, texts in hidden.items() for text in texts]
    secrets = [secret for secret in secrets if len(secret[2]) >= SHORT]
    sentences = []
    for file in sorted(root.rglob("*")):
        if file.suffix not in TEXTS and file.name != "searchindex.js":
            continue
        name = file.relative_to(root)
        raw = file.read_text(encoding="utf8", errors="replace")
        if TELLS_AUTHORS in name.as_posix() or file.name == "searchindex.js":
            raw = raw.replace("### BEGIN SOLUTION", "").replace("### END SOLUTION", "")
        sentences += [f"{name}: contains {mark!r}" for mark in MARKS if mark in raw]
        said = bare(words_of(file))
        sentences += [
            f"{name}: contains a solution of {room}: {text.strip().splitlines()[0].strip()!r} …"
            for room, text, stripped in secrets
            if stripped in said
        ]
    return sentences
