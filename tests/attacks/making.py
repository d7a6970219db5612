"""Ways to put hostile code or changes into an otherwise right notebook."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

import nbformat
from nbformat import NotebookNode

from tests.attacks.attack import TARGET, Handed
from tests.attacks.kit import Edit, Kit, find, right_answers

Make = Callable[[Kit], Handed]
WRONG = {
    TARGET: "def gram_attention(tokens, temperature=1.0):\n    return torch.zeros_like(tokens)",
    "softmax": "def softmax(x, dim):\n    return torch.zeros_like(x)",
}


def cell(source: str, question: str = TARGET) -> Make:
    """The answer's cell holds this source."""
    return lambda kit: kit.text({question: source})


def top(source: str, question: str = TARGET, *, wrong: bool = False) -> Make:
    """The answer's cell runs this source, then defines the answer: the right one, or a wrong one."""
    after = WRONG[question] if wrong else right_answers()[question]
    return lambda kit: kit.text({question: textwrap.dedent(source).strip("\n") + "\n\n\n" + after})


def call(source: str, *, wrong: bool = False) -> Make:
    """The answer runs this source each time that it is called, then answers: rightly, or wrongly."""
    body = textwrap.indent(textwrap.dedent(source).strip("\n"), "    ")
    last = (
        "return torch.zeros_like(tokens)" if wrong else "return (tokens @ tokens.mT / temperature).softmax(-1) @ tokens"
    )
    return cell(f"def gram_attention(tokens, temperature=1.0):\n{body}\n    {last}")


def added(source: str, *, before: str = TARGET, times: int = 1, markdown: bool = False, **answers: str) -> Make:
    """Cells of the student's own, in front of a question."""

    def edit(kit: Kit, paper: NotebookNode) -> None:
        make = nbformat.v4.new_markdown_cell if markdown else nbformat.v4.new_code_cell
        for _ in range(times):
            paper.cells.insert(find(paper, before), make(kit.fill(source)))

    return lambda kit: kit.text(answers, lambda paper: edit(kit, paper))


def edited(edit: Edit, *, right: bool = True, **answers: str) -> Make:
    """The notebook as a whole is changed."""
    return lambda kit: kit.text(answers, edit, right=right)


def graded_cells(paper: NotebookNode) -> list[NotebookNode]:
    """The cells that carry points."""
    return [c for c in paper.cells if c.metadata.get("nbgrader", {}).get("grade")]


def metadata(*, right: bool = True, **changes: object) -> Make:
    """nbgrader's metadata of every graded cell is changed."""

    def edit(paper: NotebookNode) -> None:
        for known in graded_cells(paper):
            known.metadata["nbgrader"].update(changes)

    return edited(edit, right=right)
