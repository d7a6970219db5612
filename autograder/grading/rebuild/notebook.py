"""A tolerant reader of notebooks that come from anywhere: hostile bytes in, plain cells and notes out."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from pathlib import Path
from typing import Any, BinaryIO

from nbformat import NotebookNode

MAX_BYTES = 20_000_000
MAX_CONTAINERS = 1_000_000  # brackets and braces: Python needs up to 200 bytes for each
MAX_CELLS = 5_000
MAX_ATTACHMENTS = 10_000_000
PICTURES = {"image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp"}
BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")
ODD = "it is a link or a device, not a file"
# Formats 1 to 3 had other names for a cell's text, and other types of it.
TEXTS = ("source", "input", "code", "text")
TYPES = {"text": "markdown", "html": "markdown", "rst": "markdown", "plaintext": "raw"}


class Unreadable(Exception):
    """The work cannot be graded by a machine; the message says why, for the person who will look at it."""


def open_regular(path: Path | str, folder: int | None = None) -> BinaryIO:
    """A regular file opened for reading; links are not followed, pipes not waited for.

    `folder` is the descriptor of an open folder that `path` starts from.

    Raises:
        Unreadable: it is something else, or cannot be opened.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        raise Unreadable("the file is missing") from None
    except OSError as error:
        # ELOOP is what a link says, ENXIO a socket
        odd = error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO)
        raise Unreadable(ODD if odd else f"it cannot be opened ({error.strerror})") from None
    except ValueError as error:
        raise Unreadable(f"it cannot be opened ({error})") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise Unreadable(ODD)
    return open(handle, "rb")


def read_bytes(path: Path | str, most: int = MAX_BYTES, folder: int | None = None) -> bytes:
    """The content of a regular file of at most ``most`` bytes; see `open_regular`.

    Raises:
        Unreadable: it is something else, too large, or cannot be read.
    """
    with open_regular(path, folder) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise Unreadable(f"it has {size / 1e6:.0f} MB, more than the {most / 1e6:.0f} MB allowed")
        try:
            content = file.read(most + 1)
        except OSError as error:
            raise Unreadable(f"it cannot be read ({error.strerror})") from None
    if len(content) > most:
        raise Unreadable(f"it grew while it was read, beyond the {most / 1e6:.0f} MB allowed")
    return content


def read_cells(content: bytes) -> tuple[list[NotebookNode], list[str]]:
    """The cells of a notebook in any format or state, and what had to be put right, in sentences.

    Each cell has its type, its source and an id; of its metadata only nbgrader's `grade_id` is left, of a markdown
    cell's attachments the pictures. A cell without a known type counts as code.

    Raises:
        Unreadable: it is not JSON, not a notebook, or larger than any honest one.
    """
    notes: list[str] = []
    book = parse(content, notes)
    found = list_cells(book)
    if len(found) > MAX_CELLS:
        raise Unreadable(f"it has {len(found):,} cells, more than the {MAX_CELLS:,} allowed")
    cells = [plain(cell, index, notes) for index, cell in enumerate(found) if isinstance(cell, dict)]
    if not cells:
        raise Unreadable("it has no cells")
    if len(cells) < len(found):
        notes.append(f"{len(found) - len(cells)} of its cells were not cells at all; they were left out")
    version = book.get("nbformat")
    if version != 4:
        notes.append(f"its format is {short(version)}, not 4; it was converted")
    if language := foreign_language(book):
        notes.append(f"it was written for {language}; it was run as Python")
    return cells, list(dict.fromkeys(notes))


def parse(content: bytes, notes: list[str]) -> dict[str, Any]:
    """The JSON object in these bytes; raises Unreadable with the place where they go wrong."""
    if len(content) > MAX_BYTES:
        raise Unreadable(f"it has {len(content) / 1e6:.0f} MB, more than the {MAX_BYTES / 1e6:.0f} MB allowed")
    text, fault = decode(content)
    if not text.strip("\ufeff \t\r\n\0"):
        raise Unreadable("it is not a notebook: the file is empty")
    if text.count("[") + text.count("{") > MAX_CONTAINERS:
        raise Unreadable(f"it is not a notebook: more than {MAX_CONTAINERS:,} lists and objects are in it")
    try:
        book = json.loads(text, parse_int=whole_number, strict=False)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        reason = f"it is not a notebook: the JSON breaks off at {place} ({error.msg})"
        raise Unreadable(fault or reason) from None
    except RecursionError:
        raise Unreadable("it is not a notebook: it is nested too deeply") from None
    if fault:
        notes.append(f"{fault}; it was read as Windows text")
    if not isinstance(book, dict):
        raise Unreadable("it is not a notebook: the JSON is not a notebook's")
    return book


def decode(content: bytes) -> tuple[str, str]:
    """The text in UTF-8, 16 or 32, with or without a mark; else as Windows text, with what is wrong with it."""
    encoding = json.detect_encoding(content)
    try:
        return content.decode(encoding), ""
    except UnicodeDecodeError:
        wide = encoding.startswith(("utf-16", "utf-32"))
        fault = f"it is not text in {'UTF-16' if wide else 'UTF-8'}"
        return content.decode(encoding if wide else "cp1252", "replace"), fault


def whole_number(digits: str) -> int:
    """No number in a notebook matters for grading, and Python refuses to read some: long ones become 0."""
    return int(digits) if len(digits) < 20 else 0


def list_cells(book: dict[str, Any]) -> list[Any]:
    """The notebook's cells: those of format 4, or those of all worksheets of formats 2 and 3."""
    sheets = book.get("worksheets")
    lists = [book.get("cells"), *(s.get("cells") for s in sheets if isinstance(s, dict))] if is_list(sheets) else [
        book.get("cells")
    ]  # fmt: skip
    lists = [cells for cells in lists if is_list(cells)]
    if not lists:
        raise Unreadable("it is not a notebook: there is no list of cells in it")
    return [cell for cells in lists for cell in cells]


def is_list(value: Any) -> bool:
    return isinstance(value, list)


def plain(cell: dict[str, Any], index: int, notes: list[str]) -> NotebookNode:
    """One cell reduced to what grading needs; unknown types are code, as are headings markdown."""
    kind = cell.get("cell_type")
    source = clean(join(next((cell[key] for key in TEXTS if key in cell), "")), notes)
    if kind == "heading":
        level = cell.get("level")
        source = f"{'#' * (level if level in (1, 2, 3, 4, 5, 6) else 1)} {source}"
        kind = "markdown"
    kind = TYPES.get(kind, kind) if isinstance(kind, str) else kind
    if kind not in ("code", "markdown", "raw"):
        notes.append("a cell without a known type was taken for code")
        kind = "code"
    metadata = cell.get("metadata")
    meta = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    name = meta.get("grade_id") if isinstance(meta, dict) else None
    known = {"nbgrader": NotebookNode(grade_id=name)} if isinstance(name, str) else {}
    made = NotebookNode(cell_type=kind, id=f"cell-{index}", metadata=NotebookNode(known), source=source)
    if kind == "code":
        made.update(execution_count=None, outputs=[])
    elif kind == "markdown" and cell.get("attachments"):
        made.update(pictures(cell["attachments"], notes))
    return made


def join(source: Any) -> str:
    """A cell's text: a string, or a list of lines."""
    if isinstance(source, list):
        return "".join(part for part in source if isinstance(part, str))
    return source if isinstance(source, str) else ""


def clean(text: str, notes: list[str]) -> str:
    """The text with Unix line ends, and a replacement for what cannot be stored or run."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
        notes.append("NUL characters in a cell were replaced")
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        notes.append("half characters (lone surrogates) in a cell were replaced")
    return text


def pictures(attachments: Any, notes: list[str]) -> dict[str, NotebookNode]:
    """The attachments that are pictures in base64, within a limit for one cell."""
    kept: dict[str, NotebookNode] = {}
    total = 0
    for name, bundle in attachments.items() if isinstance(attachments, dict) else []:
        for kind, data in bundle.items() if isinstance(bundle, dict) else []:
            data = join(data)
            total += len(data)
            if kind in PICTURES and total <= MAX_ATTACHMENTS and BASE64.fullmatch(data) and name == clean(name, []):
                kept.setdefault(name, NotebookNode())[kind] = data
            else:
                notes.append("an attachment that is not a picture of ordinary size was left out")
    return {"attachments": NotebookNode(kept)} if kept else {}


def foreign_language(book: dict[str, Any]) -> str:
    """The language that the notebook says it is written in, if that is not Python."""
    metadata = book.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    said = [
        part.get(key)
        for part, key in ((metadata.get("language_info"), "name"), (metadata.get("kernelspec"), "language"))
        if isinstance(part, dict)
    ]
    other = [name for name in said if isinstance(name, str) and name and "python" not in name.lower()]
    return short(other[0]) if other else ""


def short(value: Any) -> str:
    """A value of unknown kind in a few printable characters."""
    text = value if isinstance(value, str) else repr(value) if isinstance(value, (int, float, bool)) else "unknown"
    return "".join(c if c.isprintable() else "?" for c in text[:40]) or "unknown"
