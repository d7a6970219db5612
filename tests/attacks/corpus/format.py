"""Files that are no notebooks, nearly notebooks, or notebooks of another age or make."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import nbformat
from nbformat import NotebookNode

from tests.attacks.attack import Attack, File, Handed, Required, Sparse, either, loses, person, safe
from tests.attacks.kit import Kit, find
from tests.attacks.making import Make, edited

PERSON = person("notebook", "JSON", "UTF-8", "text", "cells")
CASES: list[tuple[str, str, bytes]] = [
    ("empty-file", "a file of no bytes", b""),
    ("blank-file", "spaces and line ends", b"  \n\n \t\n"),
    ("json-null", "the JSON value null", b"null"),
    ("json-list", "an empty list", b"[]"),
    ("json-text", "a string", b'"notebook"'),
    ("json-object", "an empty object", b"{}"),
    ("json-number", "a number of 400 digits", b"1" * 400),
    (
        "html-page",
        "the login page of the learning platform, saved as a notebook",
        b"<!doctype html><title>Log in</title>",
    ),
    ("python-script", "a script with the ending of a notebook", b"import torch\n\nprint(torch.ones(1))\n"),
    ("picture", "a picture with the ending of a notebook", b"\x89PNG\r\n\x1a\n" + bytes(range(256))),
    ("nul-bytes", "4 KB of NUL", bytes(4096)),
    ("deep-lists", "a hundred thousand lists within each other", b"[" * 100_000 + b"]" * 100_000),
    (
        "deep-objects",
        "a notebook whose metadata is nested 50,000 deep",
        b'{"nbformat":4,"nbformat_minor":5,"cells":[],"metadata":' + b'{"a":' * 50_000 + b"{}" + b"}" * 50_000 + b"}",
    ),
    (
        "huge-integer",
        "a version number of 10,000 digits",
        b'{"nbformat":' + b"9" * 10_000 + b',"cells":[],"metadata":{}}',
    ),
]


def fixed(content: bytes) -> Make:
    return lambda kit: content


def changed(change: Callable[[str], str | bytes]) -> Make:
    """The text of a right notebook, changed as text."""
    return lambda kit: change(kit.text())


def loaded(change: Callable[[dict[str, Any]], Any]) -> Make:
    """The JSON of a right notebook, changed as JSON."""

    def make(kit: Kit) -> str:
        data = json.loads(kit.text())
        return json.dumps(change(data) or data)

    return make


def version_3(kit: Kit) -> str:
    return nbformat.v3.writes_json(nbformat.convert(kit.notebook(), 3))


def conflict(text: str) -> str:
    half = text.index('"cells"')
    return text[:half] + "<<<<<<< HEAD\n=======\n>>>>>>> main\n" + text[half:]


def kernel(**spec: Any) -> Make:
    return edited(
        lambda paper: paper.metadata.update(kernelspec=spec, language_info={"name": spec.get("language", "")})
    )


def ids(make: Callable[[int], Any]) -> Make:
    def change(data: dict[str, Any]) -> None:
        for index, cell in enumerate(data["cells"]):
            value = make(index)
            cell.pop("id", None)
            if value is not None:
                cell["id"] = value

    return loaded(change)


def surrogate(paper: NotebookNode) -> None:
    paper.cells[find(paper, "why-scale")].source = "half a character: SURROGATE"
    paper.cells.append(nbformat.v4.new_code_cell('print("SURROGATE")'))


def with_surrogates(kit: Kit) -> bytes:
    return kit.text(edit=surrogate).replace("SURROGATE", "\\ud800").encode()


def many_cells(count: int) -> Make:
    def make(kit: Kit) -> str:
        data = json.loads(kit.text())
        filler = json.dumps({"cell_type": "raw", "metadata": {}, "source": ""})
        head = json.dumps(data["cells"])[1:-1]
        rest = {key: value for key, value in data.items() if key != "cells"}
        return json.dumps(rest)[:-1] + ', "cells": [' + head + ("," + filler) * count + "]}"

    return make


def stale_outputs(data: dict[str, Any]) -> None:
    code = [cell for cell in data["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(code):
        cell["execution_count"] = [None, -1, 10**30, 0][number % 4]
        cell["outputs"] = [
            {"output_type": "execute_result", "execution_count": 1, "metadata": {}, "data": {"text/plain": "5.0"}},
            {"output_type": "stream", "name": "stdout", "text": "x" * 10_000},
        ]


def unknown_output(data: dict[str, Any]) -> None:
    for cell in data["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [{"output_type": "telepathy", "data": 5}]


def unknown_cell(data: dict[str, Any]) -> None:
    data["cells"].append({"cell_type": "heading", "level": 1, "metadata": {}, "source": "x", "id": "x"})


def numbers_as_source(data: dict[str, Any]) -> None:
    data["cells"].append(
        {"cell_type": "code", "metadata": {}, "source": [1, None], "outputs": [], "execution_count": 0}
    )


def lines(data: dict[str, Any]) -> None:
    for cell in data["cells"]:
        cell["source"] = cell["source"].splitlines(keepends=True)


def one_file(name: str, item: Callable[[str], Any]) -> Make:
    def make(kit: Kit) -> Handed:
        return [item(f"{name}.ipynb")]

    return make


def wide_line(paper: NotebookNode) -> None:
    paper.cells.append(nbformat.v4.new_code_cell("x = '" + "a" * 8_000_000 + "'"))


ATTACKS = [
    *[Attack(name, what, fixed(content), PERSON) for name, what, content in CASES],
    Attack("cut-short", "the upload broke off", changed(lambda text: text[: len(text) // 3]), PERSON),
    Attack("trailing-text", "a complete notebook and some letters more", changed(lambda text: text + "abc"), PERSON),
    Attack("two-in-one", "two notebooks in one file", changed(lambda text: text + text), PERSON),
    Attack("merge-conflict", "the marks of a merge conflict", changed(conflict), PERSON),
    Attack("byte-order-mark", "a byte order mark", changed(lambda text: b"\xef\xbb\xbf" + text.encode()), safe()),
    Attack("utf-16", "UTF-16", changed(lambda text: text.encode("utf-16")), either("UTF-8")),
    Attack(
        "latin-1",
        "a letter in Latin 1",
        changed(lambda text: text.encode().replace(b"Scores grow", b"Sc\xf6res grow")),
        either("UTF-8"),
    ),
    Attack("crlf", "the line ends of Windows", changed(lambda text: text.replace("\n", "\r\n")), safe()),
    Attack(
        "crlf-in-sources",
        "the line ends of Windows inside the cells",
        edited(lambda p: [c.update(source=c.source.replace("\n", "\r\n")) for c in p.cells]),
        safe(),
    ),
    Attack("source-in-lines", "the sources as lists of lines", loaded(lines), safe()),
    Attack("format-3", "notebook format 3", version_3, either("notebook", "cells")),
    Attack("format-99", "notebook format 99", loaded(lambda d: d.update(nbformat=99)), either("notebook", "format")),
    Attack(
        "format-text",
        "the notebook format is a word",
        loaded(lambda d: d.update(nbformat="four")),
        either("notebook", "format"),
    ),
    Attack("minor-99", "notebook format 4.99", loaded(lambda d: d.update(nbformat_minor=99)), either("notebook")),
    Attack("duplicate-cell-ids", "all cells have one id", ids(lambda i: "same"), safe()),
    Attack("no-cell-ids", "cells without ids in format 4.5", ids(lambda i: None), either("notebook")),
    Attack(
        "odd-cell-ids",
        "ids with spaces, of 300 letters, numbers",
        ids(lambda i: ["a b", "x" * 300, 7][i % 3]),
        either("notebook"),
    ),
    Attack(
        "no-metadata",
        "the notebook's own metadata is missing",
        loaded(lambda d: d.pop("metadata") and d),
        either("notebook"),
    ),
    Attack("kernel-r", "the kernel of another language", kernel(name="ir", display_name="R", language="R"), safe()),
    Attack(
        "kernel-path",
        "a kernel whose name is a path",
        kernel(name="../../../tmp/kernel", display_name="x", language="python"),
        safe(),
    ),
    Attack(
        "kernel-gone",
        "a kernel that nobody has",
        kernel(name="my-conda-env", display_name="x", language="python"),
        safe(),
    ),
    Attack(
        "old-outputs", "outputs of full marks and odd counts in the file", loaded(stale_outputs), either("notebook")
    ),
    Attack("unknown-output", "outputs of a type that does not exist", loaded(unknown_output), either("notebook")),
    Attack("unknown-cell", "a cell of a type that does not exist", loaded(unknown_cell), either("notebook")),
    Attack("source-of-numbers", "a source that is a list of numbers", loaded(numbers_as_source), either("notebook")),
    Attack(
        "surrogates",
        "half of a character, which cannot be written as UTF-8",
        with_surrogates,
        either("notebook", "text", "UTF-8"),
    ),
    Attack("cells-object", "the cells are an object", loaded(lambda d: d.update(cells={"0": d["cells"][0]})), PERSON),
    Attack(
        "no-cells",
        "a notebook without cells",
        loaded(lambda d: d.update(cells=[])),
        person("cells"),
    ),
    Attack("wide-line", "a line of eight million letters", edited(wide_line), either("MB", "large", "long", "time")),
    Attack("many-cells", "100,000 empty cells", many_cells(100_000), either("cells", "time", "MB", "memory", "long")),
    Attack("million-cells", "a million empty cells", many_cells(1_000_000), person("MB", "cells", "large")),
    Attack(
        "gigabyte",
        "a file of 1 GB",
        one_file("gigabyte", lambda path: Sparse(path, 1 << 30)),
        person("MB", "GB", "large"),
    ),
    Attack(
        "terabyte",
        "a file of 1 TB that takes no room",
        one_file("terabyte", lambda path: Sparse(path, 1 << 40)),
        person("MB", "GB", "TB", "large"),
    ),
    Attack(
        "duplicate-keys",
        "the key cells occurs twice, empty first",
        changed(lambda text: text.replace("{", '{"cells": [],', 1)),
        safe(),
    ),
    Attack(
        "infinities",
        "Infinity and NaN as values in metadata",
        edited(lambda p: p.metadata.update(a=float("inf"), b=float("nan"))),
        safe(),
    ),
    Attack(
        "syntax-error",
        "an answer that is no Python",
        edited(lambda p: p.cells[find(p, "gram_attention")].update(source="def gram_attention(tokens:\n  return")),
        loses("SyntaxError"),
    ),
    Attack(
        "null-in-source",
        "a NUL in an answer's code",
        edited(lambda p: p.cells[find(p, "gram_attention")].update(source="x = 1\0\ndef gram_attention(): pass")),
        Required(points={"gram_attention": "zero"}),
    ),
    Attack(
        "upper-case-ending",
        "the ending .IPYNB",
        lambda kit: [File("upper-case-ending.IPYNB", kit.text())],
        either("not a notebook", "ending"),
    ),
]
