"""Claims of the lecture, their boxes and their anchors in the chapters; results and the page that shows them."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import archive
import pytest

from course_lib.figures.claims import CLAIMS
from course_lib.figures.results import ResultTable, benchmark_tables

BOOK = Path(__file__).resolve().parents[2] / "book"
CHAPTERS = {path.stem: path.read_text() for path in sorted((BOOK / "chapters").glob("*.md"))}
RESULTS = sorted((BOOK / "results").glob("*.json"))
# the chapter in which each claim is put to the test
PLACES = {
    "tokens": [1, 2, 3, 5], "attention": [4, 6, 7, 8, 9, 10], "positions": [11, 12], "vit": [13, 14],
    "gpt": [15, 16, 17], "siren": [18],
}  # fmt: skip


def test_the_rooms_share_out_all_claims() -> None:
    assert set(CHAPTERS) == set(PLACES)
    assert sorted(number for numbers in PLACES.values() for number in numbers) == list(CLAIMS)


@pytest.mark.parametrize("room", CHAPTERS)
def test_every_claim_of_a_chapter_has_one_anchor_and_then_its_box(room: str) -> None:
    anchors = [int(n) for n in re.findall(r"^\(claim-(\d+)\)=$", CHAPTERS[room], re.M)]
    boxes = [int(n) for n in re.findall(r"^Claim\(\s*(\d+),", CHAPTERS[room], re.M)]
    assert sorted(anchors) == sorted(boxes) == sorted(PLACES[room])
    for number in boxes:
        anchor = re.search(rf"^\(claim-{number}\)=$", CHAPTERS[room], re.M).start()
        assert anchor < re.search(rf"^Claim\(\s*{number},", CHAPTERS[room], re.M).start()


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_every_result_says_how_it_was_made_and_is_on_the_page(path: Path) -> None:
    found = json.loads(path.read_text())
    table = ResultTable(path)
    assert found["command"] in table.caption and len(table.cells) == len(found["table"])
    assert found["command"].startswith(f"python -m course_lib.recipes.{path.stem}")
    assert found["minutes"] > 0 and found["seeds"] and found["device"]
    assert f'"{path.stem}"' in (BOOK / "results.md").read_text()


def test_the_page_shows_no_result_that_is_not_there() -> None:
    shown = re.findall(r'"(\w+)"', " ".join(re.findall(r"show\(([^)]*)\)", (BOOK / "results.md").read_text())))
    assert sorted(shown) == [path.stem for path in RESULTS]


def test_a_result_without_a_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bare.json"
    path.write_text('{"seeds": [0], "minutes": 1, "command": "x", "device": "cpu", "title": "bare"}')
    with pytest.raises(ValueError, match="bare.json needs a `title` and a `table`"):
        ResultTable(path)


def test_the_archive_holds_what_its_chapters_need_and_no_solution(tmp_path: Path) -> None:
    for folder in ("chapters", "assignments"):
        (tmp_path / "_sources" / folder).mkdir(parents=True)
        (tmp_path / "_sources" / folder / "tokens.ipynb").write_text("{}")
    path = archive.pack(BOOK.parent, tmp_path)
    first = path.read_bytes()
    with zipfile.ZipFile(path) as packed:
        names = set(packed.namelist())
    top = archive.NAME
    for name in ("chapters/tokens.ipynb", "assignments/tokens.ipynb", "results/sort.json", "course_lib/attention.py",
                 "autograder/check.py", "requirements.txt", "pyproject.toml"):  # fmt: skip
        assert f"{top}/{name}" in names
    assert not any("solutions" in name or name.endswith(".pyc") for name in names)
    assert archive.pack(BOOK.parent, tmp_path).read_bytes() == first


def test_the_benchmarks_are_read_as_tables() -> None:
    tables = benchmark_tables(BOOK.parent / "tests" / "benchmarks" / "latest.md")
    assert len(tables) >= 5
    assert all(row[0].startswith("course") for row in (table.cells[0] for table in tables))
    assert all(table.columns == ["", "milliseconds", "ratio"] for table in tables)
