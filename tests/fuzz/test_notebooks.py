"""No notebook, however it is damaged, makes preparing raise anything but Unreadable, or lose or change a test."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fuzz import targets
from fuzz.mutations import damaged, plain, rearranged

many = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def cell(kind: str, source: Any, name: Any = None, **more: Any) -> dict[str, Any]:
    meta = {"grade_id": name, "grade": True, "locked": True, "points": 5, "schema_version": 3}
    made = {"cell_type": kind, "metadata": {"nbgrader": meta, "tags": ["x"]} if name else {}, "source": source, **more}
    return made | ({"outputs": [], "execution_count": None} if kind == "code" else {})


def book() -> dict[str, Any]:
    return {
        "nbformat": 4, "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3", "language": "python"}, "language_info": {"name": "python"}},
        "cells": [
            cell("markdown", "# Hello", id="a", attachments={"x.png": {"image/png": "aGk="}}),
            cell("code", ["import ", "math"], "imports"), cell("code", "def f(): return 1\n\n\ndef g(): pass", "f"),
            cell("code", targets.CHECK, "f-check"), cell("code", "x = f()"), cell("markdown", "Because.", "why"),
            cell("raw", "raw"),
        ],
    }  # fmt: skip


def old() -> dict[str, Any]:
    cells = [{"cell_type": "heading", "level": 1, "source": "x", "metadata": {}}]
    cells += [{**c, "input": c["source"]} for c in book()["cells"] if c["cell_type"] == "code"]
    return {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": cells}]}


sources = st.sampled_from([
    "def f(): return 1", "def g(): pass", "f = g = 1", "check", targets.CHECK, "import math", "*Here.*",
    "def f(): ...\n\n\ndef g(): ...", "class f:\n  pass", "%%bash\nls", "\0", "\ud800", "f: int = 1", "",
])  # fmt: skip
names = st.none() | st.sampled_from([*targets.TRUSTED, "other"]) | plain
cells = st.builds(
    cell, st.sampled_from(["code", "markdown", "raw", "x"]) | plain, sources | st.lists(sources, max_size=2), names
)
values = plain | cells | sources | names


@many
@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
@example(b"\xff\xfe")
@example(b"\0\0\xfe\xff")
def test_noise(data: bytes) -> None:
    targets.notebook(data)


@many
@given(plain)
def test_json_of_every_form(value: Any) -> None:
    targets.notebook(json.dumps(value).encode())
    targets.notebook(json.dumps({"cells": value, "nbformat": value, "metadata": value}).encode())
    targets.notebook(json.dumps({"cells": [value], "worksheets": value}).encode())


@many
@given(st.lists(cells | values, max_size=12))
def test_cells_of_every_form_in_any_order(found: list[Any]) -> None:
    targets.notebook(json.dumps({"nbformat": 4, "cells": found}).encode())


@many
@given(st.data(), st.sampled_from([book, old]))
def test_notebooks_rearranged(data: st.DataObject, make: Any) -> None:
    targets.notebook(json.dumps(data.draw(rearranged(copy.deepcopy(make()), values))).encode())


@many
@given(damaged(st.sampled_from([json.dumps(book()).encode(), json.dumps(old(), indent=1).encode("utf-16")])))
def test_damaged_notebooks(data: bytes) -> None:
    targets.notebook(data)


@given(st.integers(1, 3_000))
@settings(max_examples=30, deadline=None)
def test_nesting_of_any_depth(depth: int) -> None:
    for begin, end in (("[", "]"), ('{"cells":', "}"), ('{"cells":[{"metadata":', "}]}")):
        targets.notebook((begin * depth + "1" + end * depth).encode())
        targets.notebook(('{"cells":[{"source":"x","metadata":' + begin * depth + "1" + end * depth + "}]}").encode())
