"""Whatever a notebook's bytes look like, what can be graded is prepared, and what cannot is told in a sentence."""

from __future__ import annotations

import codecs
import contextlib
import copy
import json
import os
import random
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from classroom import RIGHT, notebook

from autograder.course import Course
from autograder.grading.rebuild import beside
from autograder.grading.rebuild.notebook import MAX_CELLS, Unreadable, read_cells
from autograder.grading.rebuild.prepare import Prepared, inspect, prepare
from autograder.grading.rebuild.trusted import TrustedCell, trusted_cells

SURE = ["imports", "softmax", "softmax-check", "split_heads", "split_heads-check", "explain"]


@pytest.fixture(scope="module")
def trusted(released: Course) -> dict[str, TrustedCell]:
    with released.gradebook() as gradebook:
        return trusted_cells(gradebook, "attention", "attention")


@pytest.fixture
def right(released: Course) -> dict[str, Any]:
    """A right notebook as JSON values."""
    return json.loads(nbformat.writes(notebook(released.release("attention"), RIGHT)))


@pytest.fixture
def hand_in(tmp_path: Path, trusted) -> Callable[..., Prepared]:
    """A function that prepares these bytes or values as one student's notebook."""

    def prepared(content: bytes | str | dict, name: str = "attention.ipynb", **files: bytes) -> Prepared:
        folder = tmp_path / "ada" / "attention"
        folder.mkdir(parents=True, exist_ok=True)
        content = json.dumps(content) if isinstance(content, dict) else content
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        for file, data in files.items():
            (folder / file).write_bytes(data)
        return prepare(folder, "attention", trusted)

    return prepared


def ids(prepared: Prepared) -> list[str]:
    return [c.metadata["nbgrader"]["grade_id"] for c in prepared.cells if "nbgrader" in c.metadata]


def answers(prepared: Prepared) -> dict[str, str]:
    return {c.metadata["nbgrader"]["grade_id"]: c.source for c in prepared.cells if "nbgrader" in c.metadata}


def is_right(prepared: Prepared, trusted: dict[str, TrustedCell]) -> None:
    """All cells are there once, in order, with trusted metadata and the right answers, as a valid notebook."""
    assert ids(prepared) == SURE
    assert {name: text for name, text in answers(prepared).items() if name in RIGHT} == RIGHT
    for cell in prepared.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        assert cell.metadata == (trusted[name].metadata() if name else {})
        assert cell.cell_type != "code" or (cell.outputs == [] and cell.execution_count is None)
        assert name is None or not trusted[name].locked or cell.source == trusted[name].source
    nbformat.validate(nbformat.v4.new_notebook(cells=prepared.cells))


def test_an_honest_notebook_stays_as_it_is(hand_in, right, trusted) -> None:
    prepared = hand_in(right)
    is_right(prepared, trusted)
    assert prepared.notes == [] and prepared.files == {}
    assert [c.source for c in prepared.cells] == ["".join(c["source"]) for c in right["cells"]]


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: codecs.BOM_UTF8 + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-32"),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\\n", "\\r\\n").encode(),
        lambda text: text.replace("exp", "e\u0301xp", 0).encode() + b"\n\n\n",
    ],
)
def test_encodings_and_line_ends(hand_in, right, trusted, encode: Callable[[str], bytes]) -> None:
    is_right(hand_in(encode(json.dumps(right, ensure_ascii=False, indent=1))), trusted)


def test_text_of_an_old_windows_editor_is_read_and_noted(hand_in, right, trusted) -> None:
    right["cells"].append({"cell_type": "markdown", "metadata": {}, "source": "caf\u00e9 \u2014"})
    prepared = hand_in(json.dumps(right, ensure_ascii=False).encode("cp1252"))
    is_right(prepared, trusted)
    assert prepared.cells[-1].source == "caf\u00e9 \u2014" and "not text in UTF-8" in " ".join(prepared.notes)


Edit = Callable[[dict[str, Any]], object]


def every(edit: Callable[[dict[str, Any]], object]) -> Edit:
    return lambda book: [edit(cell) for cell in book["cells"]]


def meta(cell: dict[str, Any]) -> dict[str, Any]:
    return cell["metadata"].get("nbgrader", {})


def by_id(book: dict[str, Any], name: str) -> dict[str, Any]:
    return next(cell for cell in book["cells"] if meta(cell).get("grade_id") == name)


def to_format_3(book: dict[str, Any]) -> None:
    cells = book.pop("cells")
    for cell in cells:
        cell.pop("id", None)
        if cell["cell_type"] == "code":
            cell["input"] = cell.pop("source")
            cell["prompt_number"] = cell.pop("execution_count")
            cell["language"] = "python"
    cells.insert(0, {"cell_type": "heading", "level": 2, "metadata": {}, "source": ["Mine"]})
    book.update(nbformat=3, nbformat_minor=0, worksheets=[{"cells": cells, "metadata": {}}], metadata={"name": ""})


DAMAGE: dict[str, Edit] = {
    "minor 99": lambda book: book.update(nbformat_minor=99),
    "minor of no number": lambda book: book.update(nbformat_minor="x"),
    "no format": lambda book: book.pop("nbformat"),
    "format 99": lambda book: book.update(nbformat=99),
    "format of an older editor": to_format_3,
    "no ids": every(lambda cell: cell.pop("id", None)),
    "one id for all": every(lambda cell: cell.update(id="same")),
    "ids of no kind": every(lambda cell: cell.update(id=["<b>", 7])),
    "a number for metadata of the book": lambda book: book.update(metadata=7),
    "no metadata of the book": lambda book: book.pop("metadata"),
    "source as text": every(lambda cell: cell.update(source="".join(cell["source"]))),
    "source in letters": every(lambda cell: cell.update(source=list("".join(cell["source"])))),
    "outputs of no kind": every(lambda cell: cell.update(outputs={"x": [1]}, execution_count="many")),
    "outputs that lie": every(
        lambda cell: cell.update(
            outputs=[{"output_type": "execute_result", "data": {"text/plain": "5.0"}, "metadata": {}}]
        )
    ),
    "tags": every(lambda cell: cell["metadata"].update(tags=["skip-execution", "raises-exception"], deletable=True)),
    "schema 1": every(lambda cell: meta(cell).update(schema_version=1)),
    "schema 99": every(lambda cell: meta(cell).update(schema_version=99)),
    "schema of text": every(lambda cell: meta(cell).update(schema_version="3")),
    "points 500": every(lambda cell: meta(cell).update(points=500)),
    "points abc": every(lambda cell: meta(cell).update(points="abc")),
    "points NaN": every(lambda cell: meta(cell).update(points=float("nan"))),
    "points without end": every(lambda cell: meta(cell).update(points=float("inf"))),
    "flags turned": every(lambda cell: meta(cell).update(grade=not meta(cell).get("grade"), locked=False, task=True)),
    "no solution": every(lambda cell: meta(cell).update(solution=False)),
    "cell types of metadata": every(lambda cell: meta(cell).update(cell_type="raw")),
    "tests turned to text": lambda book: by_id(book, "softmax-check").update(cell_type="markdown"),
    "answers turned raw": lambda book: by_id(book, "softmax").update(cell_type="raw"),
    "text turned to code": lambda book: by_id(book, "explain").update(cell_type="code"),
    "no type": lambda book: by_id(book, "softmax").pop("cell_type"),
    "a type of no kind": lambda book: by_id(book, "softmax").update(cell_type={"a": 1}),
    "an edited test": lambda book: by_id(book, "softmax-check").update(source="5.0"),
    "a deleted test": lambda book: book["cells"].remove(by_id(book, "softmax-check")),
    "a test twice": lambda book: book["cells"].append(copy.deepcopy(by_id(book, "softmax-check"))),
    "a test above its answer": lambda book: book["cells"].insert(3, book["cells"].pop(
        book["cells"].index(by_id(book, "softmax-check")))),
    "all tests at the top": lambda book: book["cells"].sort(
        key=lambda cell: not meta(cell).get("grade_id", "").endswith("-check")),
    "imports at the end": lambda book: book["cells"].append(book["cells"].pop(
        book["cells"].index(by_id(book, "imports")))),
    "deleted imports": lambda book: book["cells"].remove(by_id(book, "imports")),
    "the answer in the test's cell": lambda book: (
        by_id(book, "softmax-check").update(source=by_id(book, "softmax")["source"]),
        book["cells"].remove(by_id(book, "softmax"))),
    "cells that are none": lambda book: book["cells"].extend([None, 7, "x", [], {}]),
    "more keys": lambda book: book.update({"x" * 1000: 1, "": None, "worksheets": "none"}),
    "another language": lambda book: book.update(metadata={"kernelspec": {"name": "ir", "language": "R"}}),
    "attachments of no kind": every(lambda cell: cell.update(attachments=[7])),
    "numbers without end": lambda book: by_id(book, "softmax").update(execution_count=10**400),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_became_of_a_notebook_costs_no_right_answer(hand_in, right, trusted, damage: str) -> None:
    DAMAGE[damage](right)
    is_right(hand_in(right), trusted)


def test_an_unwritten_copy_below_does_not_undo_an_answer(hand_in, right, trusted) -> None:
    right["cells"].append(by_id(right, "softmax") | {"source": trusted["softmax"].source})
    prepared = hand_in(right)
    is_right(prepared, trusted)
    assert trusted["softmax"].source not in [cell.source for cell in prepared.cells]
    assert "the last one with an answer was graded" in prepared.notes[0]


def test_what_was_put_right_is_told(hand_in, right) -> None:
    told = {}
    for damage in ("another language", "no type", "format of an older editor", "cells that are none", "a test twice"):
        book = copy.deepcopy(right)
        DAMAGE[damage](book)
        told[damage] = " ".join(hand_in(book).notes)
    assert "written for R; it was run as Python" in told["another language"]
    assert "without a known type was taken for code" in told["no type"]
    assert "its format is 3, not 4" in told["format of an older editor"]
    assert "4 of its cells were not cells at all" in told["cells that are none"]
    assert "'softmax-check' occurs more than once; the first one below its answer" in told["a test twice"]


def test_all_metadata_stripped(hand_in, right, trusted) -> None:
    every(lambda cell: cell.update(metadata={}))(right)
    prepared = hand_in(right)
    assert ids(prepared) == SURE and answers(prepared)["softmax"] == RIGHT["softmax"]
    # no one can tell an answer in words from any other text: a person has to look
    assert any("'explain' was missing" in note for note in prepared.notes)
    assert any(cell.source == RIGHT["explain"] and cell.metadata == {} for cell in prepared.cells)


def test_ids_of_two_answers_swapped(hand_in, right, trusted) -> None:
    one, other = meta(by_id(right, "softmax")), meta(by_id(right, "split_heads"))
    one["grade_id"], other["grade_id"] = other["grade_id"], one["grade_id"]
    is_right(hand_in(right), trusted)


def test_ids_of_an_answer_and_a_text_swapped(hand_in, right, trusted) -> None:
    one, other = meta(by_id(right, "softmax")), meta(by_id(right, "explain"))
    one["grade_id"], other["grade_id"] = other["grade_id"], one["grade_id"]
    is_right(hand_in(right), trusted)


def test_shuffled_cells_still_have_every_test_below_its_answer(hand_in, right, trusted) -> None:
    for seed in range(20):
        random.Random(seed).shuffle(right["cells"])
        order = ids(hand_in(right))
        assert sorted(order) == sorted(SURE) and order[0] == "imports"
        for name in ("softmax", "split_heads"):
            assert order.index(name) < order.index(f"{name}-check")


def test_two_objects_in_two_cells_are_both_there_when_the_test_runs(hand_in, right, trusted) -> None:
    first, second = RIGHT["split_heads"].split("\n\n\n")
    by_id(right, "split_heads")["source"] = first
    right["cells"].remove(by_id(right, "split_heads-check"))
    right["cells"].append({"cell_type": "code", "metadata": {}, "source": second, "outputs": []})
    cells = hand_in(right).cells
    at = {c.metadata.get("nbgrader", {}).get("grade_id", c.source): i for i, c in enumerate(cells)}
    assert at["split_heads-check"] > at[second] > at["split_heads"]


def test_halves_of_characters_and_nul_are_replaced(hand_in, right) -> None:
    by_id(right, "explain")["source"] = "a\ud800b\0c\ud83d\ude00"
    prepared = hand_in(json.dumps(right).replace("a\\ud800", "\\udc00a\\ud800"))
    text = answers(prepared)["explain"]
    assert text.encode() and "\0" not in text and text.endswith("c\U0001f600") and text.count("\ufffd") == 3
    assert any("NUL" in note for note in prepared.notes) and any("surrogates" in note for note in prepared.notes)


def test_pictures_in_text_are_kept_and_nothing_else_attached(hand_in, right, trusted) -> None:
    picture = {"image/png": "iVBORw0KGgo=\n"}
    by_id(right, "explain")["attachments"] = {
        "a.png": picture, "b": {"text/html": "<script>"}, "c": {"image/svg+xml": "PHN2Zz4="}, "d": {"image/png": "<b>"},
    }  # fmt: skip
    by_id(right, "softmax")["attachments"] = {"a.png": picture}
    prepared = hand_in(right)
    (kept,) = [cell.attachments for cell in prepared.cells if "attachments" in cell]
    assert kept == {"a.png": picture} and any("attachment" in note for note in prepared.notes)
    is_right(prepared, trusted)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "the file is empty"),
        (b" \n\0", "the file is empty"),
        (b"\xef\xbb\xbf", "the file is empty"),
        (b"{", "breaks off at line 1, column 2"),
        (b'{\n "cells": [\n  {', "breaks off at line 3, column 4"),
        (b"hello", "breaks off at line 1, column 1"),
        (b"\x89PNG\r\n\x1a\n\xff", "not text in UTF-8"),
        (b"[]", "not a notebook's"),
        (b"null", "not a notebook's"),
        (b"7", "not a notebook's"),
        (b"{}", "no list of cells"),
        (b'{"cells": {}}', "no list of cells"),
        (b'{"cells": []}', "no cells"),
        (b'{"cells": [null]}', "no cells"),
        (b'{"worksheets": [{"cells": 7}]}', "no list of cells"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"cells":' * 200_000, "nested too deeply"),
        (b'{"x":' + b"[" * 900_000 + b"]" * 900_000 + b"}", "nested too deeply"),
        (b"[" + b"[]," * 1_100_000 + b"[]]", "1,000,000 lists and objects"),
        (b'{"cells": [' + b'{"source":""},' * 900_000 + b"{}]}", "900,001 cells"),
        (b'{"cells": [' + b"{}," * MAX_CELLS + b"{}]}", f"more than the {MAX_CELLS:,} allowed"),
        (json.dumps({"cells": [{"cell_type": "code", "source": "print(1)"}]}).encode(), "another notebook"),
        (json.dumps({"cells": [{"cell_type": "code", "source": 'check("vit.pool", pool)'}]}).encode(), "that of 'vit'"),
    ],
)
def test_what_cannot_be_graded_is_told_with_the_place(hand_in, content: bytes, part: str) -> None:
    began = time.process_time()
    with pytest.raises(Unreadable, match=part.replace("(", "[(]")):
        hand_in(content)
    assert time.process_time() - began < 5


def test_last_year_s_version_is_graded_as_far_as_it_goes_and_noted(hand_in, right) -> None:
    for cell in right["cells"]:
        if meta(cell).get("grade_id", "").startswith(("split", "explain")):
            meta(cell)["grade_id"] += "-2025"
            cell["source"] = "pass"
    notes = hand_in(right).notes
    assert notes[-1] == "2 of the assignment's 3 questions were not in it: it may be another year's version"


def test_a_notebook_of_another_name_is_found_by_its_content(hand_in, right, trusted) -> None:
    prepared = hand_in(right, name="my answer\u0301s (1).ipynb")
    is_right(prepared, trusted)
    assert "was taken for attention.ipynb" in prepared.notes[0]
    assert hand_in('{"cells": [{"source": "x"}]}', name="other.ipynb").notes[0] == prepared.notes[0]
    with pytest.raises(Unreadable, match="2 other notebooks of this assignment"):
        hand_in(right, name="again.ipynb")


def test_no_notebook_no_folder_and_no_student(hand_in, trusted, tmp_path) -> None:
    with pytest.raises(Unreadable, match="there is no attention.ipynb in it, but notes.txt"):
        hand_in("x", name="notes.txt")
    with pytest.raises(Unreadable, match="cannot be opened"):
        prepare(tmp_path / "bela" / "attention", "attention", trusted)
    with pytest.raises(Unreadable, match="cannot be a student's id"):
        prepare(tmp_path / "=cmd" / "attention", "attention", trusted)
    (tmp_path / "eve").mkdir()
    (tmp_path / "eve" / "attention").symlink_to(tmp_path / "ada" / "attention")
    with pytest.raises(Unreadable, match="cannot be opened"):
        prepare(tmp_path / "eve" / "attention", "attention", trusted)


def test_files_beside_the_notebook(hand_in, right, tmp_path, monkeypatch) -> None:
    folder = tmp_path / "ada" / "attention"
    (folder / "data" / "deep").mkdir(parents=True)
    (folder / "data" / "deep" / "x.bin").write_bytes(b"\0\1")
    (folder / "torch").mkdir()
    (folder / "torch" / "__init__.py").write_text("")
    (folder / "away.txt").symlink_to("/etc/passwd")
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    with (folder / "huge.bin").open("wb") as file:
        file.truncate(1 << 40)
    (folder / "new\nline").write_text("x")
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints" / "attention.ipynb").write_text("x")
    prepared = hand_in(
        right, **{"points.csv": b"1,2", "torch.py": b"raise", "sitecustomize.py": b"", "timestamp.txt": b"2020"}
    )
    assert prepared.files == {"points.csv": b"1,2", "data/deep/x.bin": b"\0\1"}
    told = " ".join(prepared.notes)
    for part in (
        "away.txt was left out: it is a link", "pipe was left out: it is a link or a device", "huge.bin was left out",
        "torch.py was left out: it would stand in for the module torch", "loop was left out", "new?line was left out",
        "sitecustomize.py was left out", "torch/__init__.py was left out",
    ):  # fmt: skip
        assert part in told
    monkeypatch.setattr(beside, "MAX_TOTAL", 4)
    assert sum(map(len, hand_in(right).files.values())) <= 4
    monkeypatch.setattr(beside, "MAX_FILES", 1)
    assert len(hand_in(right).files) == 1


def test_very_many_files_beside_it(hand_in, right, tmp_path) -> None:
    folder = tmp_path / "ada" / "attention" / "many"
    folder.mkdir(parents=True)
    for index in range(3000):
        (folder / str(index)).write_text("")
    prepared = hand_in(right)
    assert len(prepared.files) == beside.MAX_FILES and len(prepared.notes) <= 11


def test_the_folder_may_be_replaced_while_it_is_read(hand_in, right, trusted, tmp_path, monkeypatch) -> None:
    folder = tmp_path / "ada" / "attention"
    hand_in(right, **{"data.txt": b"old"})
    from autograder.grading.rebuild import prepare as module

    found = module.find_notebook

    def replaced(*arguments):
        result = found(*arguments)
        folder.rename(tmp_path / "away")
        folder.mkdir()
        (folder / "data.txt").write_bytes(b"new")
        return result

    monkeypatch.setattr(module, "find_notebook", replaced)
    prepared = prepare(folder, "attention", trusted)
    assert prepared.files == {"data.txt": b"old"}


def test_plain_nbgrader_s_way_refuses_links_which_it_would_follow(hand_in, right, trusted, tmp_path) -> None:
    hand_in(right)
    folder = tmp_path / "ada" / "attention"
    assert inspect(folder, "attention", trusted) == []
    (folder / "away.txt").symlink_to("/etc/passwd")
    with pytest.raises(Unreadable, match="a link or a device beside it: away.txt"):
        inspect(folder, "attention", trusted)


def test_an_ordinary_notebook_takes_a_few_milliseconds(hand_in, right, trusted, tmp_path) -> None:
    every(lambda cell: cell.update(outputs=[{"output_type": "stream", "name": "stdout", "text": "x" * 2000}]))(right)
    hand_in(right)
    times = []
    for _ in range(20):
        began = time.perf_counter()
        prepare(tmp_path / "ada" / "attention", "attention", trusted)
        times.append(time.perf_counter() - began)
    assert min(times) < 0.015


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """The megabytes by which a process of its own grows in doing the work, and the seconds of computing."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            began = time.process_time()
            work()
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            os.write(theirs, f"{grown / 1024} {time.process_time() - began}".encode())
            os._exit(0)
        finally:
            os._exit(1)
    os.close(theirs)
    with open(ours) as pipe:
        said = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    megabytes, seconds = map(float, said.split())
    return megabytes, seconds


FULL = 19_900_000


@pytest.mark.parametrize(
    "content",
    [
        b"[" * FULL,
        b'{"a":' * (FULL // 5),
        b"[" + b"[]," * (FULL // 3),
        b"[" + b"0," * (FULL // 2) + b"0]",
        b"[" + b"0.1," * (FULL // 4) + b"0]",
        b"[" + b'"ab",' * (FULL // 5) + b"0]",
        b'{"cells": [{"source": "' + b"a" * FULL + b'"}]}',
        b'{"cells": [{"source": "' + b"\\u0000" * (FULL // 6) + b'"}]}',
        b'{"cells": [{"source": "' + b"\\ud800" * (FULL // 6) + b'"}]}',
        b'{"cells": [{"source": [' + b'"def f(): 1",' * (FULL // 13) + b'""]}]}',
        b'{"cells": [{"source": "' + b"def f\\n" * (FULL // 7) + b'"}]}',
        b'{"cells": [' + b'{"source": "def f(): 1"},' * 4_999 + b'{"source": "' + b"x = 1\\n" * 2_000_000 + b'"}]}',
        b'{"cells": [{"execution_count": ' + b"9" * FULL + b', "source": ""}]}',
        b'{"cells": [{"execution_count": 0.' + b"9" * FULL + b', "source": ""}]}',
        b'{"cells": [{"cell_type": "markdown", "attachments": {"a": {"image/png": "' + b"A" * FULL + b'"}}}]}',
        b'{"cells": [{"cell_type": "' + b"x" * FULL + b'"}]}',
        b'{"nbformat": "' + b"x" * FULL + b'", "cells": [{}]}',
        "\u20ac".encode() * (FULL // 3),
        b"\xff" * FULL,
    ],
    ids=range(19),
)  # fmt: skip
def test_hostile_files_of_full_size_cost_bounded_time_and_memory(trusted, tmp_path, content: bytes) -> None:
    folder = tmp_path / "ada" / "attention"
    folder.mkdir(parents=True)
    (folder / "attention.ipynb").write_bytes(content)

    def work() -> None:
        with contextlib.suppress(Unreadable):
            prepare(folder, "attention", trusted)

    megabytes, seconds = measured(work)
    assert megabytes < 600 and seconds < 15


def test_a_file_of_any_size_is_not_read(hand_in, right, tmp_path, trusted) -> None:
    hand_in(right)
    with (tmp_path / "ada" / "attention" / "attention.ipynb").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(Unreadable, match="1099512 MB, more than the 20 MB allowed"):
        prepare(tmp_path / "ada" / "attention", "attention", trusted)


def test_cells_read_are_a_valid_notebook(right) -> None:
    cells, notes = read_cells(json.dumps(right).encode())
    nbformat.validate(nbformat.v4.new_notebook(cells=cells))
    assert notes == []
