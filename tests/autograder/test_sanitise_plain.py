"""Plain nbgrader's last step: what a check left in a student's process is told again in the grader's own words."""

from __future__ import annotations

import math

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nbformat import from_dict
from nbformat.v4 import new_code_cell, new_notebook
from nbgrader.utils import determine_grade

from autograder.grading.sanitise.checks import HEADING, clean_check
from autograder.grading.sanitise.notebook import Budget
from autograder.grading.sanitise.outputs import LABEL
from autograder.grading.sanitise.plain import SanitiseOutputs
from autograder.result import Result
from autograder.verdict import MIME, CaseResult, Verdict

GRADED = {"grade_id": "softmax-check", "grade": True, "solution": False, "locked": True, "points": 5, "task": False}
META = {"nbgrader": GRADED | {"schema_version": 3, "cell_type": "code"}}
VERDICT = Verdict("attention.softmax", 3.0, 5.0, (CaseResult("rows", 3.0, 5.0, "wrong", "off by 1"),))


def result(**changes: object) -> dict:
    """What `check` shows, as a kernel sends it, then changed."""
    data = {**Result(VERDICT)._repr_mimebundle_(), **changes}
    return {"output_type": "execute_result", "data": data, "metadata": {}, "execution_count": 3}


def test_the_table_is_made_anew_and_the_score_stays() -> None:
    sent = result(**{"text/html": "<script>HIT(1)</script>"})
    stream = {"output_type": "stream", "name": "stdout", "text": "5 of 5 points, all cases pass"}
    label, printed, table = clean_check([from_dict(stream), from_dict(sent)], Budget())
    assert label.text == LABEL and printed.text == stream["text"]
    assert table.data["text/plain"] == "3.0" and "<script>" not in table.data["text/html"]
    assert HEADING in table.data["text/html"].replace("&#x27;", "'") and "off by 1" in table.data["text/html"]
    assert table.data[MIME]["cases"][0]["message"] == "off by 1"


@pytest.mark.parametrize("record", [None, [], "x", {}, {"cases": [None, {}, {"points": 10**400, "message": ["<b>"]}]}])
def test_a_forged_record_gives_a_table_or_plain_text(record: object) -> None:
    cleaned = clean_check([from_dict(result(**{MIME: record, "text/html": "<b>5 of 5</b>"}))], Budget())
    nbformat.validate(new_notebook(cells=[new_code_cell("x", outputs=cleaned)]))
    html = "".join(output.get("data", {}).get("text/html", "") for output in cleaned)
    assert "5 of 5" not in html and html.count("<b>") == html.count("</b>") <= 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(["exercise", "points", "max_points", "cases", "mistake", "advice", "printed"])


@given(st.dictionaries(FIELDS, JSON), st.lists(st.dictionaries(FIELDS, JSON), max_size=3), JSON | st.just("nan"))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_record_gives_a_valid_cell_with_a_finite_score(record: dict, cases: list, points: object) -> None:
    sent = from_dict(result(**{MIME: record | {"cases": cases}, "text/plain": points}))
    cleaned = clean_check([sent], Budget())
    notebook = new_notebook(cells=[new_code_cell("x", outputs=cleaned)])
    nbformat.validate(notebook)
    nbformat.writes(notebook)
    tables = [output for output in cleaned if "text/html" in output.get("data", {})]
    assert all(math.isfinite(float(table.data["text/plain"])) for table in tables)


def test_the_step_keeps_nbgrader_s_score_and_the_assignment_s_text(tmp_path) -> None:
    folder = tmp_path / "release" / "attention"
    folder.mkdir(parents=True)
    statement = nbformat.v4.new_markdown_cell("<details>hint</details>")
    nbformat.write(new_notebook(cells=[statement]), folder / "attention.ipynb")
    check = new_code_cell("check()", metadata=META)
    check.outputs = [from_dict(result())]
    nb = new_notebook(cells=[statement, check])
    before = determine_grade(check)
    step = SanitiseOutputs(release=str(tmp_path / "release"))
    cleaned, _ = step.preprocess(nb, {"nbgrader": {"assignment": "attention", "notebook": "attention"}})
    assert cleaned.cells[0].source == statement.source
    assert determine_grade(cleaned.cells[1]) == before == (3.0, 5.0)
