"""Feedback pages: nbgrader's own but for the list at the top, made fast, and each page's trouble its own."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from classroom import RIGHT, find
from gradebooks import finished, hand_in, tree, twin
from hypothesis import given, settings
from hypothesis import strategies as st
from nbconvert.exporters import HTMLExporter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from nbgrader.converters import GenerateFeedback
from nbgrader.preprocessors import GetGrades
from nbgrader.utils import capture_log

from autograder.course import Course
from autograder.grading.gradebook.grades import Grades, read_grades
from autograder.grading.gradebook.write import Writer
from autograder.grading.reports import tidy
from autograder.grading.reports.contents import name_questions
from autograder.grading.reports.feedback import feedback, index_path
from autograder.grading.reports.render import GivenGrades, exporter, page, render
from autograder.grading.reports.report import Row
from autograder.grading.run.journal import GRADED

HALF = {"softmax-check": 2.5, "split_heads-check": 0.0}
ESSAY = """# My *answer*

$a < b$ & `c > d`, **so** there.

| x | y |
|---|---|
| 1 | <b>2</b> |

```python
x = 'q'
```"""
OUTPUTS = [
    new_output("stream", text="a < b & 'c' \x1b[31mred\x1b[0m\n\n"),
    new_output("stream", text="warned", name="stderr"),
    new_output("display_data", {"text/html": "<p class=' a  b '>x &nbsp; &eacute; &#8594; <br> y</p>"}),
    new_output("display_data", {"image/png": "iVBORw0KGgo=", "text/plain": "a picture"}),
    new_output("display_data", {"text/html": "<img src='x.png'><input disabled>"}),
    new_output("display_data", {"text/latex": "$x^2$"}),
    new_output("display_data", {"image/svg+xml": "<svg viewBox='0 0 1 1'><path d='M0 0'/></svg>"}),
    new_output("error", ename="NameError", evalue="<x>", traceback=["\x1b[1;31mNameError\x1b[0m: <x> & y"]),
]
BROKEN = [new_output("display_data", {"text/html": html}) for html in ("<table><tr><td>open", "</div></div></div>")]


def rows(course: Course) -> list[Row]:
    return [Row(student, GRADED) for student in sorted(read_grades(course, "attention"))]


@pytest.fixture(scope="module")
def graded(released: Course, tmp_path_factory) -> Course:
    """A class whose notebooks hold whatever a page may have to show."""
    course = twin(released, tmp_path_factory.mktemp("feedback") / "course")
    with Writer(course, "attention") as writer:
        for student, outputs in (("ada", OUTPUTS), ("ben", BROKEN), ("cyd", []), ("dee", [])):
            paper = finished(course, HALF, RIGHT | {"explain": ESSAY} if student != "cyd" else {})
            paper.cells[find(paper, "softmax")].outputs = outputs
            paper.cells.insert(3, new_markdown_cell("text of her own <i>open"))
            paper.cells.insert(3, new_code_cell("x = '''<&>'''  # \u00e4", outputs=outputs))
            place = hand_in(course, student, paper)
            (place / "data").mkdir(exist_ok=True)
            (place / "data" / "x.csv").write_text(student)
            writer.write(student, paper)
    with course.gradebook() as gradebook:
        find_comment, who = gradebook.find_comment, ("attention", "attention", "ada")
        find_comment("explain", *who).manual_comment = "**Good**, but <u>why</u> $x$?"
        find_comment("softmax", *who).manual_comment = "See `exp`"
        gradebook.find_grade("explain", *who).manual_score = 1.25
        gradebook.find_grade("softmax-check", *who).extra_credit = 0.1
        gradebook.find_submission_notebook(*who).late_submission_penalty = 0.75
        gradebook.db.commit()
    return course


def apart(page: bytes) -> tuple[bytes, BeautifulSoup, bytes]:
    """What stands above the title of a page, the title and the list, and what stands below them."""
    above, _, rest = page.partition(b"<h4>")
    top, _, below = rest.partition(b"</div>")
    return above, BeautifulSoup(b"<h4>" + top, "html.parser"), below


def lines(top: BeautifulSoup) -> list[str]:
    return [" ".join(tag.get_text().split()) for tag in top.select("h4, li")]


def test_the_list_at_the_top_names_each_question_and_those_that_nobody_has_marked(
    graded: Course, tmp_path: Path
) -> None:
    course = twin(graded, tmp_path / "course")
    assert feedback(course, "attention", rows(course)) == {}
    ada, ben = ((course.feedback(who, "attention") / "attention.html").read_bytes() for who in ("ada", "ben"))
    hers, his = lines(apart(ada)[1]), lines(apart(ben)[1])
    assert hers[0].startswith("attention (Score: ") and his[0].startswith("attention (Score so far: ")
    assert "softmax (Score: 2.6 / 5.0)" in hers and "softmax (Score: 2.5 / 5.0)" in his
    assert "explain (Score: 1.25 / 2.0)" in hers and "Comment on explain" in hers
    assert "explain (not marked yet, of 2)" in his
    assert not [line for line in hers + his if "Test cell" in line or "Written" in line]
    soup = BeautifulSoup(ada, "html.parser")
    assert {tag["href"][1:] for tag in soup.select("#toc a")} <= {tag["name"] for tag in soup.select("a[name]")}


def test_a_page_of_another_template_stays_as_it_is() -> None:
    for text in ("<p>no list</p>", "<li><a href='#x'>Test cell</a></li>", '<div id="toc"><ol>'):
        assert name_questions(text, Grades("ada", "attention", unmarked={"x"})) == text


def test_pages_and_folders_are_those_of_nbgrader_s_own_command(graded: Course, tmp_path: Path) -> None:
    plain, ours = twin(graded, tmp_path / "plain"), twin(graded, tmp_path / "ours")
    folder = plain.coursedir(assignment_id="attention")
    result = capture_log(GenerateFeedback(coursedir=folder, config=plain.config()))
    assert result["success"], result
    assert feedback(ours, "attention", rows(ours)) == {}
    made = tree(ours.root / "feedback")
    stamps = {f"{row.student}/attention/.made-from.json" for row in rows(ours)}
    assert set(made) - set(tree(plain.root / "feedback")) == stamps | {"attention.html"}
    for name, theirs in tree(plain.root / "feedback").items():
        if name.endswith("/attention.html"):
            (above, top, below), (their_above, their_top, their_below) = apart(made[name][1]), apart(theirs[1])
            assert (made[name][0], above, below) == (theirs[0], their_above, their_below)
            assert [tag["href"] for tag in top.select("a")] == [tag["href"] for tag in their_top.select("a")]
            for line, their_line in zip(lines(top), lines(their_top), strict=True):
                scores = their_line.partition("Score: ")[2]
                assert line.endswith(scores) or (line, scores) == ("explain (not marked yet, of 2)", "0.0 / 2.0)")
        else:
            assert made[name] == theirs
    text = made["ada/attention/attention.html"][1].decode()
    assert "Late submission penalty" in text and "1.25 / 2.0" in text and "Good" in text and "x.csv" not in text
    assert made["ben/attention/data/x.csv"] == (0o644, b"ben")


def test_cells_are_finished_one_by_one_except_where_that_would_make_a_difference(graded: Course, monkeypatch) -> None:
    wholes, trees = [], []
    whole, part = tidy.whole, tidy.part.__wrapped__
    monkeypatch.setattr(tidy, "whole", lambda text: wholes.append(text) or whole(text))
    spy = lambda html, around: trees.append(html) or part(html, around)  # noqa: E731
    spy.__wrapped__ = spy
    monkeypatch.setattr(tidy, "part", spy)
    grades = read_grades(graded, "attention")
    for student, whole_pages in (("dee", 0), ("ada", 0), ("ben", 1)):
        notebook = nbformat.read(graded.autograded(student, "attention") / "attention.ipynb", as_version=4)
        wholes.clear(), trees.clear()
        render(notebook, grades[student], graded)
        assert len(wholes) == whole_pages
        # Of plain cells no tree is made; of pictures, and of HTML that is not closed, there has to be one.
        assert all("text of her own" in html for html in trees) if student == "dee" else trees


def test_one_page_is_rendered_from_a_notebook_and_grades_alone(graded: Course) -> None:
    converter = GenerateFeedback(coursedir=graded.coursedir(), config=graded.config())
    plain = HTMLExporter(parent=converter, config=converter.config)
    for step in converter.preprocessors:
        plain.register_preprocessor(GivenGrades if step is GetGrades else step)
    grades = Grades("eve", "attention", {"softmax-check": (1, 5)}, {"softmax": None}, 5.0, 0.5)
    paper = finished(graded)
    cells = [paper.cells[find(paper, name)] for name in ("softmax", "softmax-check")]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})
    text = render(notebook, grades, graded)
    assert text == page(plain, notebook, grades) == render(notebook, grades, graded)
    assert "(Score: 0.5 / 5.0)" in text
    other = Grades("eve", "attention", {"softmax-check": (5, 5)}, {"softmax": "New"}, 5.0)
    assert "New" in render(notebook, other, graded) and "0.5 / 5.0" not in render(notebook, other, graded)


def test_memory_does_not_mix_up_attachments_or_languages(graded: Course) -> None:
    def shown(language: str, attachment: str) -> str:
        cell = new_markdown_cell("![x](attachment:x.png)", attachments={"x.png": {"image/png": attachment}})
        cells = [cell, new_code_cell("def f(): pass")]
        paper = nbformat.v4.new_notebook(cells=cells, metadata={"language_info": {"name": language}})
        return render(paper, Grades("eve", "attention"), graded)

    first, second = shown("python", "QUFBQQ=="), shown("text", "QkJCQg==")
    assert "QUFBQQ==" in first and "QkJCQg==" not in first and "hl-python" in first
    assert "QkJCQg==" in second and "QUFBQQ==" not in second and "hl-text" in second


def test_unchanged_pages_are_left_alone_and_changed_ones_are_made_again(graded: Course, tmp_path: Path) -> None:
    course = twin(graded, tmp_path / "course")
    told: list[str] = []
    assert feedback(course, "attention", rows(course), tick=told.append) == {}
    assert sorted(told) == ["ada", "ben", "cyd", "dee"]
    times = {p: p.stat().st_mtime_ns for p in course.root.glob("feedback/*/attention/*.html")}
    told.clear()
    with course.gradebook() as gradebook:
        gradebook.find_comment("explain", "attention", "attention", "dee").manual_comment = "Read it again"
        gradebook.db.commit()
    assert feedback(course, "attention", rows(course), tick=told.append) == {}
    assert sorted(told) == ["ada  unchanged", "ben  unchanged", "cyd  unchanged", "dee"]
    changed = {p.parts[-3] for p, when in times.items() if p.stat().st_mtime_ns != when}
    assert changed == {"dee"} and "Read it again" in next(p for p in times if p.parts[-3] == "dee").read_text()
    cut_short = next(p for p in times if p.parts[-3] == "cyd")
    cut_short.write_text("")  # as a failure of the power may leave it
    told.clear()
    feedback(course, "attention", rows(course), tick=told.append)
    assert sorted(told) == ["ada  unchanged", "ben  unchanged", "cyd", "dee  unchanged"] and cut_short.read_text()
    feedback(course, "attention", rows(course), force=True, tick=told.append)
    assert told[-4:] and all(p.stat().st_mtime_ns != when for p, when in times.items() if p.parts[-3] != "dee")
    assert 'href="ada/attention/attention.html"' in index_path(course, "attention").read_text()


def test_a_page_that_fails_is_told_and_costs_no_other(graded: Course, tmp_path: Path) -> None:
    course = twin(graded, tmp_path / "course")
    path = course.autograded("ben", "attention") / "attention.ipynb"
    path.chmod(0o644)
    path.write_text("{")
    (course.autograded("dee", "attention") / "attention.ipynb").unlink()
    strange = course.autograded("cyd", "attention") / "attention.ipynb"
    strange.chmod(0o644)
    strange.write_text(strange.read_text().replace('"split_heads-check"', '"unknown-check"'))
    failed = feedback(course, "attention", rows(course))
    assert set(failed) == {"ben", "cyd", "dee"}
    assert "NotJSONError" in failed["ben"] and "unknown-check" in failed["cyd"] and "grade again" in failed["dee"]
    assert {p.parts[-3] for p in course.root.glob("feedback/*/attention/*.html")} == {"ada"}
    assert not list(course.root.glob("feedback/*/.*"))


# A class in which one student's page kills the process that makes it, and another's never ends.
HARD = """
import os, sys, time
from autograder.course import Course
from autograder.grading.reports import feedback_pages
from autograder.grading.reports.feedback import feedback
from autograder.grading.run.journal import GRADED
from autograder.grading.reports.report import Row

real = feedback_pages.render

def render(notebook, grades, course):
    if grades.student == "ada":
        os._exit(3)
    while grades.student == "ben":
        pass
    return real(notebook, grades, course)

feedback_pages.render, feedback_pages.SECONDS = render, 2.0
rows = [Row(name, GRADED) for name in ("ada", "ben", "cyd", "dee")]
print(feedback(Course.at(sys.argv[1]), "attention", rows, workers=2))
print("torch" in sys.modules)
"""


def test_a_process_that_dies_or_hangs_costs_only_the_page_it_was_at(graded: Course, tmp_path: Path) -> None:
    course = twin(graded, tmp_path / "course")
    done = subprocess.run([sys.executable, "-c", HARD, str(course.root)], capture_output=True, text=True, timeout=300)
    failed, torch = done.stdout.splitlines()
    assert ast.literal_eval(failed) == {
        "ada": "the process that made it died",
        "ben": "TimeoutError: the page took longer than 2 s",
    }
    assert torch == "False"
    assert {p.parts[-3] for p in course.root.glob("feedback/*/attention/*.html")} == {"cyd", "dee"}


def test_the_exporter_is_made_once(graded: Course) -> None:
    assert exporter(graded) is exporter(Course.at(graded.root))
    assert exporter(graded).tail.startswith("</") and exporter(graded).tail.endswith("</html>\n")


# HTML as it may stand in a cell, from tame to wild.
ATTRIBUTES = st.sampled_from(
    ["", ' class=" a  b "', ' id="x" class="c"', ' style="color:red"', " hidden", " a='1'", ' href="?a&b"', ' A="1"',
     ' title="1" title="2"', ' rel="a  b"', ' data-x="\u00e4"', ' title="a &lt; b"']
)  # fmt: skip
NAMES = st.sampled_from(
    "div p span b i pre code table tr td br img hr input textarea script svg style main a x-y".split()
)
TEXTS = st.sampled_from(
    ["", " ", "\n", " \n ", "x", "a < b", "a > b", "&amp;", "&lt;b&gt;", "&quot;&#39;&#x27;", "&nbsp;", "&#182;"]
    + ["&eacute;", "&", "& b", "&#150;", "&#0;", "&#99999;", "&copy", "\u00e4 \u2713", "<!-- c -->", "<!doctype x>"]
    + ["\0", "<x", "\t x \r\n", "&x;", "&#0182;", "&#55296;"]
)
PIECES = st.one_of(
    TEXTS,
    st.builds(lambda name, more: f"<{name}{more}>", NAMES, ATTRIBUTES),
    st.builds(lambda name, more: f"<{name}{more}/>", NAMES, ATTRIBUTES),
    st.builds(lambda name: f"</{name}>", NAMES),
    st.builds(lambda name, more, text: f"<{name}{more}>{text}</{name}>", NAMES, ATTRIBUTES, TEXTS),
    st.builds(lambda name, text: f"<{name}>\n<b>{text}</b> </{name}>", NAMES, TEXTS),
)
CELL = '<div class="cell border-box-sizing text_cell rendered">'
TAIL = "</div>\n</main>\n</body></html>\n"


@settings(max_examples=600, deadline=None)
@given(st.lists(st.lists(PIECES, max_size=5), min_size=1, max_size=3))
def test_a_page_finished_cell_by_cell_is_the_page_finished_as_a_whole(cells: list[list[str]]) -> None:
    head = "<!DOCTYPE html>\n<html><head><title>x</title></head><body><main><div id='all'>\n"
    text = head + "".join(f"{CELL}{''.join(pieces)}</div>\n" for pieces in cells) + TAIL
    assert tidy.finish(text, TAIL) == tidy.whole(text)


@settings(max_examples=600, deadline=None)
@given(st.lists(PIECES, max_size=6).map("".join))
def test_plain_html_comes_out_as_beautifulsoup_writes_it(html: str) -> None:
    made = tidy.plain(html)
    assert made is None or made == str(BeautifulSoup(html, features="html.parser"))


def test_the_plain_way_is_taken_where_it_should_be() -> None:
    html = '<div id="x" class=" a  b"><pre>\n a &quot;b&quot; &gt; &#39;\n</pre><br />&#182; <p>  \n</p></div>\n\n'
    made = '<div class="a b" id="x"><pre>\n a "b" &gt; \'\n</pre><br/>\u00b6 <p>\n</p></div>\n'
    assert tidy.plain(html) == made == str(BeautifulSoup(html, features="html.parser"))
