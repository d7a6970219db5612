"""Whatever a student writes or shows is inert and bounded afterwards, and ordinary work comes through as it was."""

from __future__ import annotations

import base64
import io
import json
import time

import nbformat
import pytest
from active_content import MARKDOWN, numbered
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from nbconvert.exporters import HTMLExporter
from nbconvert.filters.ansi import ansi2html
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell
from PIL import Image

from autograder.grading.sanitise.notebook import (
    AUTHOR,
    Budget,
    clean_code,
    clean_markdown,
    clean_notebook,
    clean_outputs,
    result_output,
)
from autograder.grading.sanitise.outputs import LABEL
from autograder.grading.sanitise.page import inspect
from autograder.grading.sanitise.text import printable, terminal
from autograder.verdict import MIME, CaseResult, Verdict

SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
RESERVED = {"softmax-check", "statusmessage"}
FORBIDDEN_MIME = {"text/html", "image/svg+xml", "application/javascript", "text/markdown", "text/latex"}


def picture(kind: str = "PNG", size: tuple[int, int] = (40, 30), **options: object) -> str:
    """A picture in base64."""
    target = io.BytesIO()
    Image.new("RGB", size, "teal").save(target, kind, **options)
    return base64.b64encode(target.getvalue()).decode()


def shown(outputs: list) -> str:
    """All the text of some outputs."""
    parts = []
    for output in outputs:
        parts += [output.get("text", ""), *output.get("traceback", []), output.get("data", {}).get("text/plain", "")]
    return "\n".join(parts)


# --- markdown


@pytest.mark.parametrize("vector", numbered(MARKDOWN))
def test_no_vector_is_left_in_what_nbconvert_makes_of_it(vector: str) -> None:
    cleaned = clean_markdown(vector, reserved=RESERVED)
    assert inspect(cleaned, reserved=RESERVED)[0] == set()
    assert clean_markdown(cleaned, reserved=RESERVED) == cleaned


def test_most_vectors_are_dangerous_before() -> None:
    harmful = [v for v in numbered(MARKDOWN) if inspect(printable(v), reserved=RESERVED)[0]]
    assert len(harmful) > 100


@pytest.mark.parametrize(
    "text",
    [
        "# Heading\n\nSome *text* with **stress**, ~~mistakes~~ and `code`.",
        "If a < b and c > d, then x<5 && y >= 3.",
        "`x<y>` and `</div>` are code\n\n```python\nif a<b:\n    print('<script>')\n```\n\n    <b>indented</b>",
        "$x<y$ and $a_{i}<b$, $f(x) [y]$",
        "$$\\sum_{i<j} \\frac{a_{ij}}{\\sqrt{d}}$$ and \\begin{align}a &< b\\\\ c &> d\\end{align}",
        "[site](https://example.org/a?b=c&d=e#f 'title') <https://example.org> https://example.org/x mail <a@b.org>",
        "[mail](mailto:a.b+c@example.org) and [above](#heading)",
        "[one][ref] and [ref]\n\n[ref]: https://example.org 'title'",
        "1. first\n2. second\n   - nested\n\n> quoted\n> > twice\n\n- [ ] to do\n- [x] done",
        "| a | b |\n|:--|--:|\n| 1 | $x$ |\n\nterm\n: definition\n\n---",
        "Grüße, Ελληνικά, العربية, עברית, 中文, 日本語, 👩‍🔬, e\u0301, ﬁ",
        "line one  \nline two\\\nline three &amp; &lt;b&gt; &copy;",
        "",
    ],
)
def test_ordinary_text_comes_through_as_it_was(text: str) -> None:
    assert clean_markdown(text) == text


def test_a_broken_tag_reads_as_it_did() -> None:
    assert clean_markdown("a <b>bold</b> word").replace("\u2060", "") == "a <b>bold</b> word"


def test_a_formula_that_looks_like_a_tag_reads_as_it_did() -> None:
    for formula in ("$a <b and c> d$", "$f[x](y)$"):
        assert clean_markdown(formula).replace("\u2060", "") == formula


def test_a_remote_picture_becomes_a_link_and_an_attached_one_stays() -> None:
    text = "![plot](attachment:plot.png) and ![other](https://example.org/x.png)"
    cleaned = clean_markdown(text, attachments={"plot.png"})
    assert cleaned == "![plot](attachment:plot.png) and [image: other](https://example.org/x.png)"
    assert "![" not in clean_markdown(text)


def test_a_heading_cannot_take_the_place_of_a_score_box() -> None:
    for heading in ("# softmax-check", "## softmax check", "softmax-check\n---", "# **softmax**-check"):
        assert inspect(heading, reserved=RESERVED)[0] == {"name"}
        assert inspect(clean_markdown(heading, reserved=RESERVED), reserved=RESERVED)[0] == set()


@pytest.mark.parametrize("declaration", ["<![x", "<![if x]>", "<![endif]", "<![CDATA[", "<!x", "<!", "<![ ", "<![x]>"])
def test_a_declaration_that_a_parser_does_not_know_is_broken_like_any_other_tag(declaration: str) -> None:
    assert inspect(clean_markdown(f"{declaration}](javascript:x)"))[0] == set()
    for text in (f"a {declaration} b", f"<p>{declaration}</p>", declaration):
        cleaned = clean_markdown(text)
        assert inspect(cleaned)[0] == set()
        assert cleaned.replace("\u2060", "") == text  # it can be read as it was typed


TOKENS = st.sampled_from(
    [*"<>[]()!`$*_~#|-:&;\\\"'\n ={}/", "<script>", "</script", "<img src=x ", "onerror=HIT(1)", "javascript:", "https://",
     "](", "]:", "![", "```", "~~~", "mermaid", "$$", "\\href{", "\\require{html}", "\\begin{a}", "\\end{a}", "&#60;",
     "&lt;", "<!--", "-->", "<![CDATA[", "<![", "<?", "\u2060", "\x00", "\u202e", "data:", "attachment:a",
     "| a |\n|---|\n", "    ", "\t", "> ", "- ", "1. ", "files/", "](files/", "softmax-check", "a", "B", "0", "é",
     "<a@b>", "<x:y>"]
)  # fmt: skip


@given(st.lists(TOKENS, max_size=40).map("".join) | st.text(max_size=80))
@SETTINGS
def test_nothing_written_at_random_acts(text: str) -> None:
    cleaned = clean_markdown(text, attachments={"a"}, reserved=RESERVED)
    assert inspect(cleaned, {"a"}, RESERVED)[0] == set()


@given(st.sampled_from(MARKDOWN), st.sampled_from(MARKDOWN), st.lists(TOKENS, max_size=6).map("".join))
@SETTINGS
def test_no_two_vectors_together_act(one: str, other: str, between: str) -> None:
    cleaned = clean_markdown(one + between + other, reserved=RESERVED)
    assert inspect(cleaned, reserved=RESERVED)[0] == set()


@given(st.lists(st.sampled_from(MARKDOWN) | TOKENS, max_size=12).map("".join))
@example("[x](//outside.example/¤)")
@SETTINGS
def test_nothing_acts_in_a_renderer_of_another_make_which_knows_no_formulas(text: str) -> None:
    cleaned = clean_markdown(text, reserved=RESERVED)
    tokens = MarkdownIt("gfm-like", {"html": True}).parse(cleaned)
    parts = [part for token in tokens for part in (token, *(token.children or ()))]
    assert not [part for part in parts if part.type in ("html_block", "html_inline", "image")]
    links = [part for part in parts if part.type == "link_open"]
    # of bare text like //outside.example this renderer makes a link too, which leads where http:// would
    bare = [part for part in links if part.markup == "linkify" and str(part.attrs["href"]).startswith("//")]
    written = [str(part.attrs["href"]).lower() for part in links if part not in bare]
    assert all(link.startswith(("http://", "https://", "mailto:", "#")) for link in written)


@pytest.mark.parametrize(
    "text",
    ["[a](files/" * 3000, "[" * 30_000, "$ a" * 10_000, "\\\\[" * 9000, "\\begin{a}" * 3000, "# a\n" * 2400,
     "<!--" * 2500, "> " * 5000, "- " * 5000, "[a](" * 2500, "`" * 9000, "|a" * 3000 + "\n" + "|-" * 3000, "x" * 10**6,
     "```python\n" + "(" * 9000 + "\n```", "<b>" * 3300, "\x1b]" * 10_000, "[a]: http://x\n" * 700,
     "e" + "\u0301" * 30_000],
    ids=range(18),
)  # fmt: skip
def test_a_hostile_cell_is_bounded_and_so_is_the_page(text: str) -> None:
    started = time.process_time()
    notebook = clean_notebook(new_notebook(cells=[new_markdown_cell(text)]))
    page, _ = HTMLExporter(template_name="classic").from_notebook_node(notebook)
    assert time.process_time() - started < 8 and len(page) < 2_000_000


# --- text


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("a\x00b\x08c\x7f", "a\u2400b\u2408c\u2421"),
        ("\ud800 lone", "\ufffd lone"),
        ("\u202eevil\u202c", "[U+202E]evil[U+202C]"),
        ("e" + "\u0301" * 50, "e" + "\u0301" * 4),
        ("a\r\nb\u2028c", "a\nb\nc"),
        ("\x9b31m \ufffe", "\ufffd31m \ufffd"),
    ],
)
def test_characters_that_are_not_what_they_seem(raw: str, clean: str) -> None:
    assert printable(raw) == clean


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("\x1b[31mred\x1b[0m \x1b[1;32mgreen\x1b[m", "\x1b[31mred\x1b[0m \x1b[1;32mgreen\x1b[m"),
        ("\x1b[38;5;208morange\x1b[39m", "\x1b[38;5;208morange\x1b[39m"),
        ("\x1b[38mhalf\x1b[48;5mhalf\x1b[7minverse\x1b[41mback", "halfhalfinverseback"),
        ("\x1b[2J\x1b[1;1Hgone\x1b[?25l", "gone"),
        ("\x1b]8;;javascript:x\x07link\x1b]8;;\x07 \x1b]0;title\x1b\\", "link "),
        ("\x1b(0 \x1bc \x1b", "\u241b(0 \u241bc \u241b"),
        (" 10%\r 50%\r100%\ndone", "100%\ndone"),
    ],
)
def test_what_a_terminal_would_obey(raw: str, clean: str) -> None:
    assert terminal(raw) == clean


ESCAPES = st.sampled_from(
    ["\x1b", *"[]m;1H\x07a\r\n", "38", "48", "5", "999", "31", "<b>", "\u202e", "\ud800", "\x9b", "\u0301"]
)


@given(st.lists(ESCAPES, max_size=60).map("".join))
@SETTINGS
def test_any_text_can_be_coloured_saved_and_read(text: str) -> None:
    cleaned = terminal(text)
    html = ansi2html(cleaned)
    assert "<b>" not in html and "\u202e" not in cleaned
    cleaned.encode()
    assert terminal(cleaned) == cleaned


def test_code_stays_as_it_was() -> None:
    code = "def f(x):\n\treturn x < 3 and '<script>' # ünïcödé, ≤ 5\n" * 20
    assert clean_code(code) == code
    assert clean_code("x = 1 # \u202e } \u2066") == "x = 1 # [U+202E] } [U+2066]"
    long = clean_code("x = '" + "y" * 20_000 + "'\nz = 2")
    assert "… cut: 15,006 more characters; the limit is 5,000 for a line\nz = 2" in long
    assert len(clean_code("x = 1\n" * 50_000)) < 31_000


# --- outputs

GARBAGE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(picture()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)
FIELDS = st.sampled_from(["text", "name", "data", "metadata", "ename", "evalue", "traceback", "execution_count"])
BUNDLE = st.dictionaries(
    st.sampled_from(sorted(FORBIDDEN_MIME | {"text/plain", "image/png", "image/jpeg"})) | st.text(max_size=8), GARBAGE
)
KINDS = st.sampled_from(["stream", "display_data", "execute_result", "error", "update_display_data", "x", None])
OUTPUT = st.builds(
    lambda kind, fields, bundle: {"data": bundle, **fields, "output_type": kind},
    KINDS,
    st.dictionaries(FIELDS, GARBAGE, max_size=4),
    BUNDLE,
)


@given(st.lists(OUTPUT | GARBAGE, max_size=5) | GARBAGE)
@SETTINGS
def test_any_garbage_gives_valid_and_inert_outputs(outputs: object) -> None:
    cleaned = clean_outputs(outputs, Budget())
    notebook = new_notebook(cells=[new_code_cell("x", outputs=cleaned)])
    nbformat.validate(notebook)
    json.dumps(notebook).encode()
    for output in cleaned:
        assert set(output.get("data", {})) <= {"text/plain", "image/png", "image/jpeg"}
        assert set(output.get("metadata", {})) <= {"image/png", "image/jpeg"}
        assert isinstance(output.get("data", {}).get("text/plain", ""), str)
    assert not cleaned or cleaned[0].text == LABEL


def test_what_acts_is_left_out_and_said_so() -> None:
    data = {"text/html": "<script>", "text/plain": "a table", "application/x-thing+json": {}, "<b>": 1}
    (_, output) = clean_outputs([{"output_type": "display_data", "data": data}], Budget())
    told = "not shown, because it could act on a reader's page: application/x-thing+json, text/html"
    assert output.data == {"text/plain": f"a table\n[{told}]"}


@pytest.mark.parametrize(("mime", "kind"), [("image/png", "PNG"), ("image/jpeg", "JPEG")])
def test_a_picture_is_drawn_anew_without_what_hangs_on_it(mime: str, kind: str) -> None:
    raw = base64.b64decode(picture(kind)) + b"<script>HIT(1)</script>"
    given_size = {mime: {"width": 40, "height": "1 onerror=x", "alt": "<b>"}}
    sent = {"output_type": "display_data", "data": {mime: base64.encodebytes(raw).decode()}, "metadata": given_size}
    (_, output) = clean_outputs([sent], Budget())
    kept = base64.b64decode(output.data[mime])
    assert b"script" not in kept and Image.open(io.BytesIO(kept)).size == (40, 30)
    assert output.metadata == {mime: {"width": 40, "alt": "Picture from the student's code"}}


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_pictures_of_every_kind_keep_their_colours(mode: str) -> None:
    before = Image.linear_gradient("L").convert("RGB" if mode != "I;16" else "I").convert(mode)
    target = io.BytesIO()
    before.save(target, "PNG")
    sent = {"output_type": "display_data", "data": {"image/png": base64.b64encode(target.getvalue()).decode()}}
    (_, output) = clean_outputs([sent], Budget())
    after = Image.open(io.BytesIO(base64.b64decode(output.data["image/png"])))
    if mode != "I;16":  # of which a browser shows the upper eight bits
        assert after.convert("RGBA").tobytes() == before.convert("RGBA").tobytes()


@pytest.mark.parametrize(
    ("mime", "data", "reason"),
    [
        ("image/png", "not base64!", "not valid base64"),
        ("image/png", base64.b64encode(b"<script>").decode(), "not a valid PNG"),
        ("image/png", picture("JPEG"), "not a valid PNG"),
        ("image/jpeg", picture("GIF"), "not a valid JPEG"),
        ("image/png", picture()[:60], "not a valid PNG"),
        ("image/png", picture(size=(7000, 7000)), "7000 x 7000 pixels"),
        ("image/png", picture(size=(9000, 1)), "9000 x 1 pixels"),
        ("image/png", "A" * 3_000_000, "larger than the 1,000,000 bytes"),
        (
            "image/jpeg",
            base64.b64encode(base64.b64decode(picture("JPEG")) + b"\xff\xda" * 99).decode(),
            "ordinary JPEG",
        ),
    ],
)
def test_what_is_no_picture_is_not_shown_as_one(mime: str, data: str, reason: str) -> None:
    started = time.process_time()
    (_, output) = clean_outputs([{"output_type": "display_data", "data": {mime: data}}], Budget())
    assert mime not in output.data and reason in output.data["text/plain"]
    assert time.process_time() - started < 2


def test_text_is_cut_with_a_notice_at_each_limit() -> None:
    stream = {"output_type": "stream", "name": "stdout", "text": "x" * 80}
    limits = Budget(text_per_output=50, text_per_cell=250, outputs_per_cell=6)
    text = shown(clean_outputs([stream] * 9, limits))
    assert "… cut: 30 more characters; the limit is 50 bytes." in text
    assert "more outputs; the limit of this cell or notebook is reached." in text and text.count("x" * 50) == 2
    few = Budget(notebook=120)
    assert "the limit is that of the notebook" in shown(clean_outputs([stream, stream], few)) and few.notebook == 0
    assert "… cut: 10 more characters" in shown(
        clean_outputs([stream | {"text": "é" * 35}], Budget(text_per_output=50))
    )


def test_a_flood_is_bounded_in_time_and_size() -> None:
    big = [{"output_type": "stream", "text": "\x1b[31mx\x1b[0m\r" * 200_000}] * 300
    flood = big + [{"output_type": "display_data", "data": {"image/png": picture(size=(2800, 2800))}}] * 50
    started = time.process_time()
    nb = new_notebook(cells=[new_code_cell("x") for _ in range(100)])
    for cell in nb.cells:
        cell.outputs = flood
    cleaned = clean_notebook(nb)
    assert time.process_time() - started < 12
    assert len(nbformat.writes(cleaned)) < 8_000_000


# --- whole notebooks


SVG = {"image/svg+xml": "<svg onload=HIT(1)>"}


def hostile() -> nbformat.NotebookNode:
    graded = {"grade_id": "softmax-check", "grade": True, "solution": False, "locked": True, "points": 5, "task": False}
    graded |= {"schema_version": 3, "cell_type": "code", "evil": "<script>"}
    table = new_output("execute_result", data={"text/plain": "5.0", "text/html": "<table>"}, execution_count=1)
    cells = [
        new_markdown_cell("<details>the assignment's own</details>"),
        new_markdown_cell("<details>the student's</details>", metadata={"tags": ["<b>"], "nbgrader": "x"}),
        new_code_cell("check()", outputs=[table], metadata={"nbgrader": graded, "magics_language": "html"}),
        new_code_cell("x", outputs=[table], metadata={"nbgrader": graded | {"grade_id": "<script>"}}),
        new_raw_cell("<script>HIT(1)</script>", metadata={"raw_mimetype": "text/html"}),
        new_markdown_cell("# softmax-check"),
        new_markdown_cell(
            "![a](attachment:a.png) ![b](attachment:b.svg)",
            attachments={
                "a.png": {"image/png": picture(), "image/svg+xml": "<svg>"},
                "b.svg": {"image/svg+xml": "<svg>"},
            },
        ),
    ]
    return new_notebook(cells=cells, metadata={"widgets": {"x": 1}, "title": "<b>", "language_info": {"name": "html"}})


def test_a_notebook_keeps_the_grader_s_part_and_nothing_of_the_student_s_that_acts() -> None:
    before = hostile()
    copy = nbformat.from_dict(json.loads(json.dumps(before)))
    cleaned = clean_notebook(before, trusted={"softmax-check"}, given={before.cells[0].source})
    assert before == copy
    nbformat.validate(cleaned)
    statement, added, check, other, raw, heading, pictures = cleaned.cells
    assert statement.source == "<details>the assignment's own</details>"
    assert added.source.startswith(AUTHOR) and "<details>" not in added.source and added.metadata == {}
    assert check.outputs == before.cells[2].outputs and check.source == "check()"
    assert check.metadata == {"nbgrader": {k: v for k, v in before.cells[2].metadata.nbgrader.items() if k != "evil"}}
    assert "text/html" not in other.outputs[1].data and other.metadata == {}
    assert raw.cell_type == "markdown" and "A raw cell" in raw.source and inspect(raw.source)[0] == set()
    assert heading.source == AUTHOR + "# s\u2060oftmax-check"
    assert list(pictures.attachments) == ["a.png"] and list(pictures.attachments["a.png"]) == ["image/png"]
    assert "![b]" not in pictures.source
    assert set(cleaned.metadata) == {"kernelspec", "language_info"} and cleaned.metadata.language_info.name == "python"
    again = clean_notebook(cleaned, trusted={"softmax-check"}, given={before.cells[0].source})
    assert again == cleaned


def test_the_assignment_s_text_is_known_in_spite_of_line_ends_and_answers_get_no_label() -> None:
    text = "<details>\n\na hint\n</details>"
    answer = {"grade_id": "explain", "grade": True, "solution": True, "points": 2, "schema_version": 3}
    cells = [
        new_markdown_cell(text.replace("\n", "  \r\n") + "\n"),
        new_markdown_cell("x", metadata={"nbgrader": answer}),
    ]
    statement, written = clean_notebook(new_notebook(cells=cells), given=[text]).cells
    assert statement.source == text and written.source == "x"
    assert clean_notebook(new_notebook(cells=[new_markdown_cell("x")])).cells[0].source == "x"


def test_too_many_cells_and_too_much_source_are_cut_with_a_notice() -> None:
    graded = {"grade_id": "explain", "grade": True, "solution": True, "locked": False, "points": 2, "schema_version": 3}
    cells = [new_code_cell("x = 1\n" * 4000) for _ in range(1200)]
    cells.append(new_markdown_cell("my answer", metadata={"nbgrader": graded}))
    cleaned = clean_notebook(new_notebook(cells=cells))
    assert len(cleaned.cells) == 1002 and "200 more cells; the limit is 1,000" in cleaned.cells[-1].source
    assert cleaned.cells[-2].metadata.nbgrader.grade_id == "explain"
    assert len(nbformat.writes(cleaned)) < 1_500_000 and "… cut:" in cleaned.cells[20].source


def test_an_ordinary_notebook_takes_no_time() -> None:
    cells = [new_markdown_cell(f"### Part {i}\n\nA sentence about $x_{i}$.") for i in range(20)]
    cells += [new_code_cell(f"def f{i}(x):\n    return x + {i}\n" * 8) for i in range(40)]
    nb = new_notebook(cells=cells)
    clean_notebook(nb)
    best = min(timed(lambda: clean_notebook(nb)) for _ in range(9))
    assert best < 0.04, f"{best * 1000:.0f} ms"  # 10 ms on a quiet machine


def timed(run) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


# --- the grader's own table

EVIL = "</td><script>HIT(1)</script>\x00\u202e$\\href{x}{y}$\ud800"


def test_a_table_takes_a_student_s_words_as_words() -> None:
    case = CaseResult(EVIL, 1.0, 2.0, "wrong", EVIL, EVIL)
    verdict = Verdict("attention.softmax", 1.0, 2.0, (case,), printed=EVIL + "x" * 50_000)
    output = result_output(verdict, heading="Run 7 <isolated>")
    nbformat.validate(new_notebook(cells=[new_code_cell("x", outputs=[output])]))
    html = output.data["text/html"]
    assert output.data["text/plain"] == "1.0" and output.data[MIME]["points"] == 1.0
    assert "<script>" not in html and "\u202e" not in html and "Run 7 &lt;isolated&gt;" in html
    assert "mathjax_ignore" in html and len(html) < 40_000 and json.dumps(output).encode()
