"""What nbgrader keeps in a cell's metadata, changed by hand or lost by an editor."""

from __future__ import annotations

import copy
from typing import Any

import nbformat
from nbformat import NotebookNode

from tests.attacks.attack import ZERO, Attack, Required, loses, noted, nothing, safe
from tests.attacks.kit import find
from tests.attacks.making import edited, graded_cells, metadata

CHECK = "gram_attention-check"


def meta(paper: NotebookNode, grade_id: str) -> Any:
    return paper.cells[find(paper, grade_id)].metadata["nbgrader"]


def skip_tags(paper: NotebookNode) -> None:
    for cell in graded_cells(paper):
        cell.metadata["tags"] = ["skip-execution", "raises-exception"]


def essay_not_a_solution(paper: NotebookNode) -> None:
    meta(paper, "why-scale").update(solution=False, locked=True)


def points(value: Any):
    return metadata(right=False, points=value)


def drop(*grade_ids: str):
    def edit(paper: NotebookNode) -> None:
        for grade_id in grade_ids:
            del paper.cells[find(paper, grade_id)]

    return edit


def rewrite(grade_id: str, source: str, kind: str = "code"):
    def edit(paper: NotebookNode) -> None:
        cell = paper.cells[find(paper, grade_id)]
        cell.source, cell.cell_type = source, kind

    return edit


def turn(grade_id: str, kind: str):
    """As the menu of the editor does: the cell keeps its text and gets another type."""

    def edit(paper: NotebookNode) -> None:
        cell = paper.cells[find(paper, grade_id)]
        cell.cell_type = kind
        for key in ("outputs", "execution_count"):
            cell.pop(key, None)

    return edit


def twice(grade_id: str, first: str | None = None, same_id: bool = True):
    """A cell that was copied and pasted with all its metadata; the copy above may hold something else."""

    def edit(paper: NotebookNode) -> None:
        at = find(paper, grade_id)
        twin = copy.deepcopy(paper.cells[at])
        if first is not None:
            twin.source = first
        if not same_id:
            twin["id"] = "another"
        paper.cells.insert(at, twin)

    return edit


def swap_ids(one: str, other: str):
    def edit(paper: NotebookNode) -> None:
        first, second = meta(paper, one), meta(paper, other)
        first["grade_id"], second["grade_id"] = other, one

    return edit


def move(grade_id: str, before: str):
    def edit(paper: NotebookNode) -> None:
        cell = paper.cells.pop(find(paper, grade_id))
        paper.cells.insert(find(paper, before), cell)

    return edit


def strip(paper: NotebookNode) -> None:
    for cell in paper.cells:
        cell.metadata = nbformat.from_dict({})


def all_meta(value: Any):
    def edit(paper: NotebookNode) -> None:
        for cell in paper.cells:
            cell.metadata["nbgrader"] = value

    return edit


def bonus(paper: NotebookNode) -> None:
    extra = nbformat.v4.new_code_cell("100.0")
    extra.metadata["nbgrader"] = {
        "grade": True,
        "grade_id": "bonus",
        "locked": False,
        "points": 100,
        "schema_version": 3,
        "solution": False,
        "task": False,
        "cell_type": "code",
    }
    paper.cells.append(extra)


def odd_names(paper: NotebookNode) -> None:
    for index, name in enumerate(
        ["../../etc/passwd", "<script>pwned</script>", "'; DROP TABLE grade; --", "", "a" * 9000]
    ):
        extra = nbformat.v4.new_code_cell("1")
        extra.metadata["nbgrader"] = {
            "grade": bool(index % 2),
            "grade_id": name,
            "locked": True,
            "points": 1,
            "schema_version": 3,
            "solution": True,
            "task": False,
        }
        paper.cells.append(extra)


def odd_types(paper: NotebookNode) -> None:
    for value in (7, None, ["softmax"], {"softmax": 1}, True, 1.5):
        extra = nbformat.v4.new_code_cell("1")
        extra.metadata["nbgrader"] = {"grade_id": value, "grade": value, "points": value, "schema_version": value}
        paper.cells.append(extra)


def task(paper: NotebookNode) -> None:
    for cell in graded_cells(paper):
        cell.metadata["nbgrader"].update(task=True, grade=False)


def backwards(paper: NotebookNode) -> None:
    """The questions in the reverse order, each with its check behind it."""
    names = ["softmax", "attention_weights", "attend", "gram_attention", "split_heads", "LayerNorm"]
    pairs = [(paper.cells[find(paper, n)], paper.cells[find(paper, f"{n}-check")]) for n in names]
    for pair in pairs:
        for cell in pair:
            paper.cells.remove(cell)
    for answer, check in reversed(pairs):
        paper.cells += [answer, check]


LATER_OR_RIGHT = Required(points={"gram_attention": (0.0, 5.0)}, reasons={"gram_attention": ("missing", "defined")})

ATTACKS = [
    Attack(
        "skip-tags", "the tag skip-execution on every check, nothing written", edited(skip_tags, right=False), nothing()
    ),
    Attack(
        "essay-not-a-solution", "the written answer's cell says it is no solution", edited(essay_not_a_solution), safe()
    ),
    Attack("no-grade", "grade: false on every check", metadata(grade=False), safe()),
    Attack(
        "unlocked-check",
        "a check unlocked and rewritten as 5.0, nothing written",
        edited(lambda p: (meta(p, CHECK).update(locked=False, solution=True), rewrite(CHECK, "5.0")(p)), right=False),
        nothing(),
    ),
    Attack("points-500", "500 points for each question, nothing written", points(500), nothing()),
    Attack("points-text", "points are the word abc", metadata(points="abc"), safe()),
    Attack("points-nan", "points are NaN", metadata(points=float("nan")), safe()),
    Attack("points-negative", "points are -5, nothing written", points(-5), nothing()),
    Attack("schema-1", "schema version 1", metadata(schema_version=1), safe()),
    Attack("schema-99", "schema version 99", metadata(schema_version=99), safe()),
    Attack("schema-text", "schema version '3'", metadata(schema_version="3"), safe()),
    Attack(
        "copied-answer",
        "an answer's cell occurs twice, an old try above",
        edited(twice("gram_attention", "raise SystemExit")),
        noted("'gram_attention' occurs more than once"),
    ),
    Attack(
        "copied-check",
        "a check occurs twice, another id",
        edited(twice(CHECK, "5.0", same_id=False)),
        noted("'gram_attention-check' occurs more than once"),
    ),
    Attack("deleted-check", "a check was deleted", edited(drop(CHECK)), noted("'gram_attention-check' was missing")),
    Attack("deleted-answer", "an answer's cell was deleted", edited(drop("gram_attention")), loses("missing")),
    Attack(
        "deleted-essay",
        "the written answer's cell was deleted",
        edited(drop("why-scale")),
        Required(notes=("'why-scale' was missing",), essay=True),
    ),
    Attack(
        "deleted-imports", "the cell of imports was deleted", edited(drop("imports")), noted("'imports' was missing")
    ),
    Attack(
        "edited-check",
        "a check was rewritten as 5.0, nothing written",
        edited(rewrite(CHECK, "5.0"), right=False),
        Required(points={"*": ZERO}, essay=False, notes=("'gram_attention-check' had been edited",)),
    ),
    Attack(
        "edited-imports",
        "the locked imports bring a check of one's own",
        edited(rewrite("imports", "def check(*a):\n    return 5.0"), right=False),
        nothing(),
    ),
    Attack(
        "raw-check",
        "a check became a raw cell",
        edited(turn(CHECK, "raw")),
        noted("'gram_attention-check' had become raw"),
    ),
    Attack(
        "raw-answer",
        "an answer became a raw cell",
        edited(turn("gram_attention", "raw")),
        noted("'gram_attention' had become raw"),
    ),
    Attack(
        "code-essay",
        "the written answer became code",
        edited(turn("why-scale", "code")),
        noted("'why-scale' had become code"),
    ),
    Attack("backwards", "the questions in the reverse order", edited(backwards), safe()),
    Attack("check-first", "a check was moved above its answer", edited(move(CHECK, "gram_attention")), LATER_OR_RIGHT),
    Attack(
        "swapped-check-ids",
        "two checks swapped their ids",
        edited(swap_ids("softmax-check", CHECK)),
        Required(points={"softmax": (0.0, 5.0), "gram_attention": (0.0, 5.0)}),
    ),
    Attack(
        "swapped-answer-ids", "two answers swapped their ids", edited(swap_ids("softmax", "gram_attention")), safe()
    ),
    Attack(
        "answer-is-a-check",
        "an answer claims to be the check, the check the answer",
        edited(swap_ids("gram_attention", CHECK)),
        Required(points={"gram_attention": (0.0, 5.0)}),
    ),
    Attack("stripped", "all metadata of all cells was lost", edited(strip), safe()),
    Attack("metadata-text", "nbgrader's metadata is a word", edited(all_meta("nbgrader")), safe()),
    Attack(
        "bonus-cell", "a cell of one's own for 100 more points, nothing written", edited(bonus, right=False), nothing()
    ),
    Attack("odd-ids", "ids that are paths, markup, SQL, empty, 9000 letters", edited(odd_names), safe()),
    Attack("odd-types", "ids, points and versions that are numbers, lists, null", edited(odd_types), safe()),
    Attack("all-tasks", "every graded cell claims to be a task for a person", edited(task), safe()),
]
