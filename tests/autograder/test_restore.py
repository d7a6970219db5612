from __future__ import annotations

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_raw_cell

from autograder.grading.rebuild.restore import restore
from autograder.grading.rebuild.trusted import TrustedCell

CHECK = 'check("a.f", f)'
TRUSTED = {
    "imports": TrustedCell("imports", "code", "import torch", locked=True, grade=False, solution=False, points=0),
    "f": TrustedCell("f", "code", "def f(): ...", locked=False, grade=False, solution=True, points=0),
    "f-check": TrustedCell("f-check", "code", CHECK, locked=True, grade=True, solution=False, points=5),
    "why": TrustedCell("why", "markdown", "*Here.*", locked=False, grade=True, solution=True, points=2),
}


def cell(make, source: str, grade_id: str | None = None, **more):
    metadata = {} if grade_id is None else {"nbgrader": {"grade_id": grade_id, **more}}
    return make(source, metadata=metadata)


def whole() -> list:
    return [
        cell(new_code_cell, "import torch", "imports"),
        cell(new_code_cell, "def f(): return 1", "f"),
        cell(new_code_cell, CHECK, "f-check"),
        cell(new_markdown_cell, "Because.", "why"),
    ]


def ids(cells: list) -> list[str | None]:
    return [c.metadata.get("nbgrader", {}).get("grade_id") for c in cells]


def test_an_honest_notebook_stays_as_it_is() -> None:
    cells, notes = restore(whole(), TRUSTED)
    assert notes == [] and [c.source for c in cells] == [c.source for c in whole()]
    assert cells[2].metadata["nbgrader"] == TRUSTED["f-check"].metadata()["nbgrader"]
    assert cells[2].metadata["nbgrader"]["points"] == 5


@pytest.mark.parametrize("make", [new_raw_cell, new_markdown_cell])
def test_a_cell_of_another_type_becomes_code_again(make) -> None:
    cells = whole()
    cells[1] = cell(make, "def f(): return 1", "f")
    cells[2] = cell(make, CHECK, "f-check")
    restored, notes = restore(cells, TRUSTED)
    assert [c.cell_type for c in restored] == ["code", "code", "code", "markdown"]
    assert len(notes) == 2 and "had become" in notes[0]


def test_forged_metadata_is_replaced() -> None:
    cells = whole()
    cells[2] = cell(new_code_cell, "5.0", "f-check", points=500, locked=False, grade=False, schema_version=99)
    cells[2].metadata["tags"] = ["skip-execution"]
    cells[3] = cell(new_markdown_cell, "Because.", "why", solution=False, points="abc")
    cells.append(cell(new_code_cell, "100.0", "made-up", grade=True, points=100))
    restored, _ = restore(cells, TRUSTED)
    assert restored[2].source == CHECK and set(restored[2].metadata) == {"nbgrader"}
    assert [c.metadata.get("nbgrader", {}).get("points") for c in restored] == [None, None, 5, 2, None]
    assert restored[3].metadata["nbgrader"]["solution"] and restored[4].metadata == {}


def test_missing_cells_come_back_where_they_belong() -> None:
    restored, notes = restore([cell(new_code_cell, "def f(): return 1", "f"), new_code_cell("x = 1")], TRUSTED)
    assert ids(restored) == ["imports", "f", "f-check", None, "why"] and len(notes) == 3
    # A stub for a missing answer could undo the answer that stands in a cell without metadata.
    restored, _ = restore([new_code_cell("exec(text)")], TRUSTED)
    assert "f" not in ids(restored) and ids(restored).index("f-check") > 0


def test_without_metadata_test_cells_are_known_by_their_text() -> None:
    bare = [type(c)(c | {"metadata": nbformat.from_dict({})}) for c in whole()]
    restored, notes = restore(bare, TRUSTED)
    assert ids(restored) == ["imports", "f", "f-check", None, "why"]
    assert notes == ["the cell 'why' was missing; it was put back"]


grade_ids = st.one_of(st.none(), st.sampled_from([*TRUSTED, "other", ""]), st.integers(), st.just(["f"]))
makers = st.sampled_from([new_code_cell, new_markdown_cell, new_raw_cell])


@given(st.lists(st.tuples(makers, st.sampled_from([CHECK, "import torch", "5.0", ""]), grade_ids), max_size=12))
def test_whatever_comes_the_result_is_a_valid_notebook_with_every_test_once(parts) -> None:
    cells = [cell(make, source, grade_id) for make, source, grade_id in parts]
    restored, _ = restore(cells, TRUSTED)
    nbformat.validate(new_notebook(cells=restored))
    known = [i for i in ids(restored) if i]
    assert len(known) == len(set(known)) and {"imports", "f-check", "why"} <= set(known) <= set(TRUSTED)
    for c in restored:
        name = c.metadata.get("nbgrader", {}).get("grade_id")
        assert c.metadata == ({} if name is None else TRUSTED[name].metadata())
        assert name not in ("imports", "f-check") or c.source == TRUSTED[name].source
