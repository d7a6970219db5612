"""Look at what was handed in before it is graded: can it be read, and is it this assignment?"""

from __future__ import annotations

import json
import re
import stat
import warnings
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograder.grading.restore import TrustedCell, known_names, restore

MAX_BYTES = 20_000_000


class Unreadable(Exception):
    """The work cannot be graded by a machine; the message says why, for the person who will look at it."""


def read_notebook(path: Path) -> NotebookNode:
    """The notebook in `path`, in format 4; raises Unreadable with the reason."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise Unreadable("it is a link or a device, not a file")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise Unreadable(f"it has {size / 1e6:.0f} MB, more than the {MAX_BYTES / 1e6:.0f} MB allowed")
        text = path.read_text(encoding="utf-8-sig")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # ids that occur twice are mended, and `restore` gives new ones anyway
            notebook = nbformat.reads(text, as_version=4)
            nbformat.validate(notebook)
    except FileNotFoundError:
        raise Unreadable("the file is missing") from None
    except OSError as error:
        raise Unreadable(f"it cannot be opened ({error.strerror})") from error
    except UnicodeDecodeError:
        raise Unreadable("it is not text in UTF-8") from None
    except nbformat.reader.NotJSONError:
        fault = json_fault(text) if text.strip() else "the file is empty"
        raise Unreadable(f"it is not a notebook: {fault}") from None
    except RecursionError:
        raise Unreadable("it is nested too deeply to be a notebook") from None
    except Unreadable:
        raise
    except Exception as error:  # nbformat raises what its upgraders happen to trip over
        raise Unreadable(f"it is not a valid notebook ({type(error).__name__}: {str(error)[:200]})") from error
    return notebook


def json_fault(text: str) -> str:
    """Where the text stops being JSON, for a person."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return f"the JSON breaks off at line {error.lineno} ({error.msg})"
    return "the JSON is not a notebook's"


def inspect(folder: Path, assignment: str, trusted: dict[str, TrustedCell]) -> list[str]:
    """Check one handed-in folder before it is graded; returns notes, raises Unreadable.

    Raises:
        Unreadable: no notebook of the right name, one that cannot be read, one of another assignment,
            or a folder with links or devices in it (nbgrader would copy what they point at).
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,99}", folder.parent.name):
        raise Unreadable("the folder's name cannot be a student's id (use letters, digits, _ . @ and -)")
    odd = [p for p in folder.rglob("*") if not stat.S_ISREG(m := p.lstat().st_mode) and not stat.S_ISDIR(m)]
    if odd or folder.is_symlink():
        raise Unreadable(f"there is a link or a device beside it: {odd[0].name if odd else folder.name}")
    path = folder / f"{assignment}.ipynb"
    if not path.exists():
        others = ", ".join(sorted(p.name for p in folder.iterdir())) or "nothing"
        raise Unreadable(f"there is no {path.name} in it, but {others}")
    notebook = read_notebook(path)
    known = [trusted[name] for name in known_names(notebook.cells, trusted) if name]
    if not any(cell.grade or cell.solution for cell in known):
        raise Unreadable(f"it has none of the cells of '{assignment}': another notebook was handed in")
    return restore(notebook.cells, trusted)[1]
