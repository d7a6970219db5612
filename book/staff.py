"""The staff's book: every page that readers get, and the solution of each assignment as a page of its own."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import yaml

from autograder import release

# where the pages are made, beside those of the book; neither they nor the table of contents are kept in git
FOLDER, TOC = "solutions", "_toc_staff.yml"
INDEX = """# Solutions

Each assignment with its solutions and mark schemes, made from `solutions/*.md`. These pages are in the staff's book
only; please do not publish it, or your students will read it too.

| assignment | what stands there |
|---|---|
{rows}
"""
MARK_SCHEME = re.compile(r"^=== BEGIN MARK SCHEME ===\n(.*?)^=== END MARK SCHEME ===$", re.M | re.S)


def secrets(folder: Path) -> dict[str, list[str]]:
    """What readers must not find in their book, by assignment: the solutions and mark schemes in ``folder``."""
    return {p.stem: release.secrets(release.read_source(p)) for p in release.sources(folder)}


def solution_page(source: Path) -> nbformat.NotebookNode:
    """An assignment's source as a page: solved, under a title of its own, its mark scheme in a box."""
    notebook = release.read_source(source)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
        if cell.cell_type == "code":
            cell.source = re.sub(r"^ *### (BEGIN|END) SOLUTION\n?", "", cell.source, flags=re.M).rstrip()
        else:
            cell.source = MARK_SCHEME.sub(r":::{admonition} Mark scheme\n\1:::", cell.source)
            cell.source = re.sub(r"^# Assignment:.*", f"# Solution: {source.stem}", cell.source)
    return notebook


def write_pages(book: Path, solutions: Path) -> Path:
    """Make the pages of the solutions and the table of contents that lists them; returns the latter's path."""
    folder = book / FOLDER
    folder.mkdir(exist_ok=True)
    toc = yaml.safe_load((book / "_toc.yml").read_text(encoding="utf8"))
    place = next(i for i, part in enumerate(toc["parts"]) if part["caption"] == "Assignments")
    rooms = [Path(s["file"]).name for c in toc["parts"][place]["chapters"] for s in c.get("sections", [])]
    texts = {f"{name}.ipynb": nbformat.writes(solution_page(solutions / f"{name}.md")) + "\n" for name in rooms}
    rows = [f"| {{doc}}`{name}` | the answers to {{doc}}`../assignments/{name}` |" for name in rooms]
    texts["index.md"] = INDEX.format(rows="\n".join(rows))
    for old in folder.iterdir():
        if old.name not in texts:
            old.unlink()
    for name, text in texts.items():
        release.write_if_changed(folder / name, text)
    pages = [{"file": f"{FOLDER}/{name}"} for name in rooms]
    part = {"caption": "Solutions", "chapters": [{"file": f"{FOLDER}/index", "sections": pages}]}
    toc["parts"].insert(place + 1, part)
    release.write_if_changed(book / TOC, yaml.safe_dump(toc, sort_keys=False))
    return book / TOC
