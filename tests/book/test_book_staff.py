"""Solutions are in the staff's book, and in nothing that readers get."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import build
import leaks
import pytest
import staff
from sphinx_external_toc.parsing import parse_toc_yaml

REPOSITORY = Path(__file__).resolve().parents[2]
CODE, SCHEME = "return sum(x * y for x, y in zip(a, b))", "One point for the sum, one for the products."
SOURCE = f"""\
---
kernelspec:
  name: python3
  display_name: Python 3
---

# Assignment: dots

+++ {{"nbgrader": {{"grade": true, "grade_id": "why", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}}}}

Because it is linear.

=== BEGIN MARK SCHEME ===

{SCHEME}

=== END MARK SCHEME ===

```{{code-cell}} ipython3
---
nbgrader:
  grade: false
  grade_id: dot
  locked: false
  schema_version: 3
  solution: true
  task: false
---
def dot(a, b):
    ### BEGIN SOLUTION
    {CODE}
    ### END SOLUTION
```
"""  # noqa: E501
HIDDEN = {"dots": [CODE, SCHEME]}


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small book with one assignment, and `build` pointed at it."""
    book, solutions, library = (tmp_path / name for name in ("book", "solutions", "library"))
    for folder in (book / "assignments", book / "results", solutions, library):
        folder.mkdir(parents=True)
    for folder in ("_ext", "_static"):
        shutil.copytree(REPOSITORY / "book" / folder, book / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "book" / "_config.yml", book / "_config.yml")
    (book / "references.bib").write_text("")
    (book / "_toc.yml").write_text(
        "format: jb-book\nroot: index\nparts:\n- caption: Assignments\n  chapters:\n  - file: assignments/index\n"
        "    sections:\n    - file: assignments/dots\n"
    )
    (book / "index.md").write_text("# A book\n")
    (book / "assignments" / "index.md").write_text("# Assignments\n")
    cells = [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# Assignment: dots"}]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (book / "assignments" / "dots.ipynb").write_text(json.dumps(notebook))
    (solutions / "dots.md").write_text(SOURCE)
    monkeypatch.setattr(build, "BOOK", book)
    monkeypatch.setattr(build, "SOLUTIONS", solutions)
    monkeypatch.setattr(build, "find_spec", lambda name: SimpleNamespace(origin=str(library / "__init__.py")))
    return book


def test_staff_get_the_solution_and_readers_do_not(book: Path, capsys: pytest.CaptureFixture) -> None:
    assert build.main(["--staff"]) == 0, capsys.readouterr().err
    page = (book / "_build" / "staff" / "_build" / "html" / "solutions" / "dots.html").read_text()
    text = leaks.bare(leaks.words_of(book / "_build" / "staff" / "_build" / "html" / "solutions" / "dots.html"))
    assert leaks.bare(CODE) in text and leaks.bare(SCHEME) in text and "BEGIN SOLUTION" not in page
    assert 'class="admonition' in page and "Solution: dots" in page

    assert build.main([]) == 0, capsys.readouterr().err
    html = book / "_build" / "html"
    assert (html / "assignments" / "dots.html").exists() and not (html / "solutions").exists()
    everything = b"".join(f.read_bytes() for f in html.rglob("*") if f.is_file())
    assert CODE.encode() not in everything and SCHEME.encode() not in everything


def test_solution_on_a_readers_page_fails_the_build(book: Path, capsys: pytest.CaptureFixture) -> None:
    (book / "index.md").write_text(f"# A book\n\n```python\ndef dot(a, b):\n    {CODE}\n```\n")
    assert build.main([]) == 1
    assert "index.html: contains a solution of dots: 'return sum(" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["### BEGIN SOLUTION", "### BEGIN HIDDEN TESTS", "=== BEGIN MARK SCHEME ==="])
def test_marks_are_found_in_pages_sources_and_the_search(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.html").write_text(f"<p>{text}</p>")
    (tmp_path / "b.ipynb").write_text(json.dumps({"cells": [], "metadata": {"x": text}}))
    (tmp_path / "searchindex.js").write_text(f'["{text}"]')
    marks = len(leaks.found(tmp_path, {}))
    # the search knows the page on which authors read about the marks
    assert marks == (2 if "SOLUTION" in text else 3)


def test_words_are_found_however_a_page_is_coloured_and_broken(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<span>return</span> sum(x <b>*</b> y\n for x, y in zip(a, b))")
    (tmp_path / "b.ipynb").write_text(json.dumps({"cells": [{"source": ["One point for the\n", " sum, one for "]}]}))
    (tmp_path / "c.md").write_text("One point for the sum,\none for the products.")
    assert [s.split(":")[0] for s in leaks.found(tmp_path, HIDDEN)] == ["a.html", "c.md"]
    assert leaks.found(tmp_path, {"dots": ["return loss"]}) == []


def test_real_solutions_are_secrets_and_pages() -> None:
    secrets = staff.secrets(REPOSITORY / "solutions")
    rooms = {p.stem for p in (REPOSITORY / "solutions").glob("*.md")}
    assert secrets.keys() == rooms and all(len(texts) > 8 for texts in secrets.values())
    for room in rooms:
        page = staff.solution_page(REPOSITORY / "solutions" / f"{room}.md")
        said = "\n".join(cell.source for cell in page.cells)
        assert said.startswith(f"# Solution: {room}") and not any(mark in said for mark in leaks.MARKS)
        assert all(leaks.bare(text) in leaks.bare(said) for text in secrets[room])


def test_staffs_table_of_contents_is_the_readers_with_one_part_more(book: Path) -> None:
    toc = staff.write_pages(book, book.parent / "solutions")
    mine, theirs = list(parse_toc_yaml(toc)), list(parse_toc_yaml(book / "_toc.yml"))
    assert [name for name in mine if not name.startswith("solutions/")] == theirs
    assert [name for name in mine if name not in theirs] == ["solutions/index", "solutions/dots"]
    (book / "solutions" / "gone.ipynb").write_text("{}")
    staff.write_pages(book, book.parent / "solutions")
    assert not (book / "solutions" / "gone.ipynb").exists()
