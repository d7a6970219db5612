"""Notebooks run when, and only when, their results could have changed; a failing cell fails the build."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import build
import pages
import preexecute
import pytest

HEADER = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  name: python3
  display_name: Python 3
---

"""


def page(text: str, code: str) -> str:
    return f"{HEADER}# {text}\n\n```{{code-cell}} ipython3\n{code}\n```\n"


@pytest.fixture
def book(tmp_path: Path) -> Path:
    book = tmp_path / "book"
    (book / "assignments").mkdir(parents=True)
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "room.py").write_text("x = 1\n")
    (book / "_config.yml").write_text("execute: {timeout: 30, exclude_patterns: [assignments/*]}\n")
    (book / "_toc.yml").write_text("format: jb-book\nroot: index\nchapters:\n- file: one\n- file: two\n")
    (book / "index.md").write_text("# Only text\n")
    (book / "one.md").write_text(page("One", "open('ran.txt', 'a').write('one ')"))
    (book / "two.md").write_text(page("Two", "open('ran.txt', 'a').write('two ')"))
    return book


def run(book: Path, **options: object) -> list[str]:
    """The names of the notebooks that were run; each also left its mark."""
    mark = book / "ran.txt"
    mark.unlink(missing_ok=True)
    outcomes = preexecute.fill_cache(book, sources=[book.parent / "library"], jobs=2, say=lambda _: None, **options)
    assert not [o for o in outcomes if o.error]
    assert sorted(mark.read_text().split() if mark.exists() else []) == sorted(o.name for o in outcomes)
    return sorted(o.name for o in outcomes)


def test_runs_again_only_what_could_have_changed(book: Path) -> None:
    assert run(book) == ["one", "two"]
    assert run(book) == []
    text = (book / "one.md").read_text()
    (book / "one.md").write_text(text + "\nMore prose, and a formula: $x^2$.\n")
    assert run(book) == []
    (book / "one.md").write_text(text.replace("'one '", "'one' ' '"))
    assert run(book) == ["one"]
    (book.parent / "library" / "room.py").write_text("x = 2\n")
    assert run(book) == ["one", "two"]
    assert run(book, fresh=True) == ["one", "two"]


def test_failing_cell_is_named_and_the_others_run_on(book: Path) -> None:
    (book / "one.md").write_text(page("One", "1 / 0"))
    said: list[str] = []
    outcomes = preexecute.fill_cache(book, sources=[], jobs=1, say=said.append)
    errors = {o.name: o.error for o in outcomes}
    assert errors["two"] == ""
    assert "1 / 0" in errors["one"] and "ZeroDivisionError" in errors["one"] and "\x1b" not in errors["one"]
    assert any(line.strip().startswith("FAILED one") for line in said)
    # it was not stored as a success: the next build meets it again
    again = preexecute.fill_cache(book, sources=[], jobs=1, say=said.append)
    assert [o.name for o in again] == ["one"] and again[0].error


def test_cell_that_takes_too_long_fails(book: Path) -> None:
    (book / "_config.yml").write_text("execute: {timeout: 2, exclude_patterns: []}\n")
    (book / "one.md").write_text(page("One", "import time; time.sleep(60)"))
    outcomes = {o.name: o for o in preexecute.fill_cache(book, sources=[], jobs=2, say=lambda _: None)}
    assert outcomes["one"].error and outcomes["one"].seconds < 30


def use(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "BOOK", book)
    monkeypatch.setattr(build, "SOLUTIONS", book.parent / "solutions")


def test_build_says_which_notebook_failed(book: Path, monkeypatch, capsys) -> None:
    use(book, monkeypatch)
    (book / "two.md").write_text(page("Two", "undefined_name"))
    assert build.main(["--jobs", "1"]) == 1
    complaint = capsys.readouterr().err
    assert "1 of 2 notebooks failed" in complaint and "NameError" in complaint and "two" in complaint


def test_build_says_how_to_make_a_missing_assignment(book: Path, monkeypatch, capsys) -> None:
    use(book, monkeypatch)
    with (book / "_toc.yml").open("a") as toc:
        toc.write("- file: assignments/attention\n- file: lost\n")
    assert build.main([]) == 1
    complaint = capsys.readouterr().err
    assert "book/assignments/attention.ipynb is missing" in complaint
    assert "`autograder release attention`" in complaint
    assert "book/lost.md is missing" in complaint
    assert not (book / "ran.txt").exists(), "nothing is run for a book that cannot be built"


def test_pages_are_written_anew_when_a_title_or_the_machinery_changes(book: Path, monkeypatch) -> None:
    edition = pages.Edition(book, book / "_toc.yml", book)
    keys = [pages.machinery_key(edition)]
    (book / "one.md").write_text((book / "one.md").read_text() + "\nProse.\n")
    assert pages.machinery_key(edition) == keys[0]
    (book / "one.md").write_text((book / "one.md").read_text().replace("# One", "# First"))
    keys.append(pages.machinery_key(edition))
    monkeypatch.setenv("COURSE_LAUNCH_COLAB", "https://colab.example.org")
    keys.append(pages.machinery_key(edition))
    (book / "_static").mkdir()
    (book / "_static" / "course.css").write_text("p { color: red }")
    keys.append(pages.machinery_key(edition))
    assert len(set(keys)) == 4


def test_page_shows_what_the_changed_library_computes(book: Path, monkeypatch, capsys) -> None:
    """The whole way, from a library's file to the written page, whose own text and date stay the same."""
    use(book, monkeypatch)
    library = book.parent / "library"
    monkeypatch.setattr(build, "find_spec", lambda name: SimpleNamespace(origin=str(library / "__init__.py")))
    (book / "_config.yml").write_text(
        "title: Small\nonly_build_toc_files: true\n"
        "execute: {execute_notebooks: cache, timeout: 30, exclude_patterns: []}\n"
    )
    (book / "one.md").write_text(page("One", "exec(open('../library/room.py').read())\nprint('x is', x)"))
    # what a page loads from elsewhere without the book's own settings is no matter here
    assert build.main(["--skip-checks"]) == 0, capsys.readouterr().err
    written = book / "_build" / "html" / "one.html"
    assert "x is 1" in written.read_text()
    (library / "room.py").write_text("x = 2\n")
    assert build.main(["--skip-checks"]) == 0, capsys.readouterr().err
    assert "x is 2" in written.read_text()
    # a text put back with its old date is read again all the same
    text, date = (book / "two.md").read_text(), (book / "two.md").stat().st_mtime - 10_000
    (book / "two.md").write_text(f"{text}\nOld words.\n")
    os.utime(book / "two.md", (date, date))
    assert build.main(["--skip-checks"]) == 0, capsys.readouterr().err
    assert "Old words." in (book / "_build" / "html" / "two.html").read_text()


def test_warning_fails_the_build(book: Path, monkeypatch, capsys) -> None:
    use(book, monkeypatch)
    (book / "_config.yml").write_text(
        "only_build_toc_files: true\nexecute: {execute_notebooks: cache, timeout: 30, exclude_patterns: []}\n"
    )
    (book / "index.md").write_text("# Only text\n\nSee {doc}`nowhere`.\n")
    assert build.main(["--skip-checks"]) == 1
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.parametrize(
    "todo, past, jobs, expected",
    [
        ([], {}, 2, "none left"),
        (["a", "b"], {"a": 5.0}, 2, "2 left"),
        (["a", "b", "c"], {"a": 30.0, "b": 4.0, "c": 6.0}, 2, "3 left, about 30 s"),
        (["a", "b", "c"], {"a": 10.0, "b": 10.0, "c": 10.0}, 2, "3 left, about 15 s"),
    ],
)
def test_remaining_time(todo: list[str], past: dict[str, float], jobs: int, expected: str) -> None:
    assert preexecute.remaining(todo, past, jobs) == expected
