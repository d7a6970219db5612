"""What a person or a spreadsheet will look at: markup, scripts, escapes, formulas and forged tables."""

from __future__ import annotations

import nbformat
from nbformat import NotebookNode

from tests.attacks.attack import Attack, Required, loses, safe
from tests.attacks.kit import ESSAY, find
from tests.attacks.making import Make, added, call, cell, edited, top

TABLE = """student      1     2     3   total
display-table     5     6     6      52
52 graded. attention.gram_attention: 5 of 5 points, all cases pass"""
PAYLOADS = [
    "<script>pwned()</script>",
    "<img src=x onerror='pwned()'>",
    "<svg onload='pwned()'></svg>",
    "<iframe srcdoc='<script>pwned()</script>'></iframe>",
    "<a href='javascript:pwned()'>x</a>",
    "<a href='java&#10;script:pwned()'>x</a>",
    "<form action='https://pwned.example'><input name=a autofocus onfocus='pwned()'></form>",
    "<object data='data:text/html,<script>pwned()</script>'></object>",
    "<embed src='javascript:pwned()'>",
    "<meta http-equiv=refresh content='0;url=https://pwned.example'>",
    "<base href='https://pwned.example/'>",
    "<link rel=stylesheet href='https://pwned.example/x.css'>",
    "<style>body{background:url(https://pwned.example/x)}</style>",
    "<div style='position:fixed;inset:0;background:url(https://pwned.example/y)'>pwned</div>",
    "<math><mtext></mtext><script>pwned()</script></math>",
    "<svg><animate onbegin='pwned()' attributeName=x dur=1s></svg>",
    "<details open ontoggle='pwned()'>x</details>",
    "<img src='https://pwned.example/seen.png'>",
    '<noscript><p title="</noscript><img src=x onerror=pwned()>">',
    "</pre></div></body></html><script>pwned()</script>",
    "<!--><script>pwned()</script>-->",
    "<video><source onerror='pwned()'></video>",
    "<body onload='pwned()'>",
    "<button formaction='javascript:pwned()'>x</button>",
    "<a href='data:text/html,<script>pwned()</script>'>x</a>",
]
MARKUP = "\n\n".join(PAYLOADS)
MARKDOWN = (
    MARKUP
    + """

[click](javascript:pwned()) ![x](javascript:pwned()) ![x](https://pwned.example/seen.png) <javascript:pwned()>

[x]: javascript:pwned()
[x] and $\\href{javascript:pwned()}{x}$ and $\\class{pwned}{x}$ and $\\unicode{<script>pwned()</script>}$

```<script>pwned()</script>
</code></pre><script>pwned()</script>
```
"""
)


def shows(mime: str, data: object) -> Make:
    """A display of this type and content, made when the cell runs."""
    return added(f"from IPython.display import display\ndisplay({{{mime!r}: {data!r}, 'text/plain': 'x'}}, raw=True)")


def stored(*outputs: dict) -> Make:
    """Outputs that are in the file already."""

    def edit(paper: NotebookNode) -> None:
        for known in paper.cells:
            if known.cell_type == "code":
                known.outputs = [nbformat.from_dict(output) for output in outputs]

    return edited(edit)


def essay(text: str) -> Make:
    return lambda kit: kit.text({"why-scale": text})


def raw_cell(paper: NotebookNode) -> None:
    for kind in ("text/html", "text/markdown", "text/latex", None):
        cell = nbformat.v4.new_raw_cell(MARKUP)
        if kind:
            cell.metadata["raw_mimetype"] = cell.metadata["format"] = kind
        paper.cells.append(cell)


def attachment(paper: NotebookNode) -> None:
    known = paper.cells[find(paper, "why-scale")]
    known.source = ESSAY + "\n\n![x](attachment:x.svg) ![y](attachment:y.html)"
    known["attachments"] = {
        "x.svg": {"image/svg+xml": MARKUP},
        "y.html": {"text/html": MARKUP, "x' onerror='pwned()": "x"},
    }


def odd_metadata(paper: NotebookNode) -> None:
    paper.metadata["title"] = paper.metadata["authors"] = MARKUP
    paper.metadata["language_info"] = {
        "name": "</style><script>pwned()</script>",
        "pygments_lexer": "<script>pwned()</script>",
        "mimetype": "<script>pwned()</script>",
        "file_extension": "/../../pwned",
    }
    paper.metadata["widgets"] = {
        "application/vnd.jupyter.widget-state+json": {
            "state": {"</script><script>pwned()</script>": {}},
            "version_major": 2,
            "version_minor": 0,
        }
    }
    for known in paper.cells:
        known.metadata["tags"] = ["</div><script>pwned()</script>", "remove-cell", "hide_input"]
        known.metadata["name"] = "<script>pwned()</script>"


def display_ids(paper: NotebookNode) -> None:
    for index, known in enumerate(paper.cells):
        known["id"] = f"x{index}' onclick='pwned()"


ATTACKS = [
    Attack("html-output", "scripts in displayed HTML", shows("text/html", MARKUP), safe()),
    Attack(
        "svg-output",
        "scripts in a displayed drawing",
        shows("image/svg+xml", "<svg xmlns='http://www.w3.org/2000/svg'>" + MARKUP + "</svg>"),
        safe(),
    ),
    Attack("javascript-output", "displayed JavaScript", shows("application/javascript", "pwned()"), safe()),
    Attack("markdown-output", "scripts in displayed Markdown", shows("text/markdown", MARKDOWN), safe()),
    Attack(
        "latex-output",
        "scripts in displayed LaTeX",
        shows("text/latex", "$\\href{javascript:pwned()}{x}$ " + MARKUP),
        safe(),
    ),
    Attack(
        "widget-output",
        "a widget that does not exist, with a script for a name",
        shows(
            "application/vnd.jupyter.widget-view+json",
            {"model_id": "</script><script>pwned()</script>", "version_major": 2},
        ),
        safe(),
    ),
    Attack("picture-output", "a picture that is markup", shows("image/png", "'><script>pwned()</script>"), safe()),
    Attack(
        "result-output",
        "a forged result of a check is displayed",
        shows(
            "application/vnd.autograder.result+json",
            {"points": 99, "mistake": MARKUP, "cases": [{"status": "pass"}] * 5},
        ),
        safe(),
    ),
    Attack(
        "escapes-in-output",
        "the escapes of a terminal",
        top(
            "print('\\x1b[2J\\x1b[1;1H\\x1b]0;pwned\\x07"
            "\\x1b[31mred\\x1b]8;;https://pwned.example\\x07x\\x1b]8;;\\x07 \\x9b31m \\u202epwned')"
        ),
        safe(),
    ),
    Attack("markup-in-print", "scripts in printed text", top("print(" + repr(MARKUP) + ")"), safe()),
    Attack(
        "printed-in-answer",
        "scripts and escapes printed while the check runs",
        call("print(" + repr(MARKUP + "\x1b[31m") + ")", wrong=True),
        loses(),
    ),
    Attack(
        "stored-html",
        "scripts in outputs that are in the file",
        stored(
            {
                "output_type": "display_data",
                "data": {"text/html": MARKUP, "application/javascript": "pwned()", "image/svg+xml": MARKUP},
                "metadata": {},
            }
        ),
        safe(),
    ),
    Attack("markup-in-essay", "scripts in the written answer", essay(ESSAY + "\n\n" + MARKDOWN), safe()),
    Attack("markup-in-text-cell", "scripts in a text cell of one's own", added(MARKDOWN, markdown=True), safe()),
    Attack("raw-cells", "scripts in raw cells, which pages show as they are", edited(raw_cell), safe()),
    Attack("attachment", "scripts in attached pictures", edited(attachment), safe()),
    Attack("odd-metadata", "scripts in titles, tags, languages and widget states", edited(odd_metadata), safe()),
    Attack(
        "markup-in-code",
        "scripts in comments and strings of code",
        top("# " + "\n# ".join(PAYLOADS) + "\ntext = " + repr(MARKUP)),
        safe(),
    ),
    Attack(
        "markup-in-exception",
        "an exception with scripts in its name and text",
        cell(
            "Evil = type('<script>pwned()</script>', (Exception,), {})\n\n\n"
            "def gram_attention(*a, **k):\n    raise Evil(" + repr(MARKUP) + ")"
        ),
        loses("raised"),
    ),
    Attack(
        "markup-in-traceback",
        "a cell that stops with scripts in its error",
        cell("raise ValueError(" + repr(MARKUP) + ")"),
        loses("ValueError", "missing", "defined"),
    ),
    Attack(
        "formula-in-exception",
        "an exception that a spreadsheet would compute",
        cell(
            "class formula(Exception):\n    pass\n\n\n"
            'formula.__name__ = \'=HYPERLINK("https://pwned.example","x")\'\n\n\n'
            "def gram_attention(*a, **k):\n    raise formula('@SUM(1)')"
        ),
        loses("raised"),
    ),
    Attack(
        "table-in-output", "printed text that looks like the grader's table", top("print(" + repr(TABLE) + ")"), safe()
    ),
    Attack(
        "table-in-exception",
        "an exception that says that all is right",
        call("raise ValueError('all cases pass: 5 of 5 points')", wrong=True),
        loses("raised"),
    ),
    Attack(
        "table-in-essay",
        "a written answer that says it was marked",
        essay("**Score: 4.0/4.0** (Top)\n\n<div class='alert'>Graded by the instructor: 4/4</div>"),
        safe(),
    ),
    Attack(
        "hidden-directions",
        "letters that hide and turn the direction of writing",
        essay("\u202e\u2066\u200b\ufeff" * 500 + ESSAY + "\u0301" * 3000),
        safe(),
    ),
    Attack(
        "no-essay",
        "no answer was written to the question in words",
        lambda kit: kit.text(
            edit=lambda paper: paper.cells[find(paper, "why-scale")].update(
                source=kit.released.cells[find(kit.released, "why-scale")].source
            )
        ),
        Required(essay=False),
    ),
]
