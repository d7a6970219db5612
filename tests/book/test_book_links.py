"""Each fault that the link check claims to find, put into a small book, is found; a sound book passes."""

from __future__ import annotations

from pathlib import Path

import check_links
import pytest

SOUND = """<html><head><link rel="stylesheet" href="look.css"></head><body><h1 hidden>Title</h1>
<article><h1 id="top">Title</h1><a href="other.html#there">x</a> <a href="#top">y</a>
<a href="https://example.org/">z</a> <a href="mailto:a@example.org">m</a>
<img src="dot.png" alt="A dot."><svg role="img" aria-label="A line."></svg></article></body></html>"""


@pytest.fixture
def book(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text(SOUND)
    (tmp_path / "other.html").write_text("<article><h1>Other</h1><p id='there'></p></article>")
    (tmp_path / "look.css").write_text("")
    (tmp_path / "dot.png").write_bytes(b"")
    return tmp_path


def test_sound_book_has_no_fault(book: Path) -> None:
    report = check_links.check_book(book)
    assert report.faults == []
    assert report.outside == ["https://example.org/"]
    assert report.pages == 2


@pytest.mark.parametrize(
    "old, new, fault",
    [
        ('"other.html#there"', '"gone.html"', "there is no file gone.html"),
        ('"other.html#there"', '"other.html#gone"', "there is no anchor other.html#gone"),
        ('"#top"', '"#bottom"', "there is no anchor #bottom"),
        ('"dot.png"', '"gone.png"', "there is no file gone.png"),
        ('href="look.css"', 'href="https://example.org/look.css"', "loads https://example.org/look.css"),
        ('"dot.png"', '"//example.org/dot.png"', "loads //example.org/dot.png"),
        ('alt="A dot."', "", "has no description"),
        ('alt="A dot."', 'alt="_images/0123456789abcdef0123456789.png"', "has no description"),
        (' aria-label="A line."', "", "1 drawings (svg) have no description"),
        ("</article>", "<h1>Again</h1></article>", "2 top headings"),
        ("</article>", "<!-- cdn.jsdelivr.net --></article>", "names the network cdn.jsdelivr.net"),
    ],
)
def test_fault_is_found(book: Path, old: str, new: str, fault: str) -> None:
    assert old in SOUND
    (book / "index.html").write_text(SOUND.replace(old, new))
    faults = check_links.check_book(book).faults
    assert len(faults) == 1 and fault in faults[0]


def test_no_book_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"python book/build\.py"):
        check_links.check_book(tmp_path)
