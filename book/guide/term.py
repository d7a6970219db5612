"""Live through a term with a class of twelve: what each command prints and shows, for the instructors' page.

``python book/guide/term.py`` works in a copy of the course in a temporary folder, so that nothing of yours is touched,
and rewrites the files in ``book/guide/term/``.  It needs Chromium and the packages that the tests need.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import screenshots

GUIDE = Path(__file__).resolve().parent
REPOSITORY = GUIDE.parents[1]
KEPT = GUIDE / "term"
SHOWN_AS = "~/course-2026"
ASSIGNMENT, ESSAY = "attention", "why-scale"
# of the sample class, by what each of them shows; the last is late
CLASS = (
    "an endless loop", "the model solution", "right in another way (1)", "attention.softmax: always_last_axis",
    "attention.attention_weights: mask_upside_down", "half finished", "untouched", "a syntax error",
    "deleted a test cell", "ends Python", "a file cut short", "right in another way (2)",
)  # fmt: skip
SEEN = CLASS.index("attention.softmax: always_last_axis")  # whose feedback page is shown
HANDED_IN = datetime(2026, 10, 8, 14, 30, tzinfo=UTC)
DUE, LATE = "2026-10-09T23:59", datetime(2026, 10, 12, 9, 5, tzinfo=UTC)
# what a page for everybody shows of answers must give nothing away
ANSWERS = (
    "I would say that the numbers get too large for the computer otherwise, and that training is slower.",
    "Each product $q_i k_i$ has variance 1, their sum has variance $d$, and 1 after dividing by $\\sqrt d$. Without "
    "it the softmax is nearly one-hot, and its gradient vanishes, whichever key has won by chance.",
    "The scores would grow with $d$.",
)
MARKS = {
    "Each product": (3.5, "Right, and well argued. Why may the variances be added?"),
    "I would say": (0.0, "Too large for what? Look at the softmax of such scores, and at its gradient."),
    "The scores would": (1.0, "Yes. How fast do they grow, and what does that do to the weights?"),
}
PICTURED = "I would say"


class Desk:
    """A copy of the course in a folder of its own, in which commands are run and what they print is kept."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "copy"
        for part in ("autograder", "course_lib", "solutions"):
            shutil.copytree(REPOSITORY / part, self.root / part, ignore=shutil.ignore_patterns("__pycache__"))
        (self.root / "book" / "assignments").mkdir(parents=True)
        self.environment = os.environ | {"PYTHONPATH": str(self.root), "COLUMNS": "120"}
        self.environment.pop("COURSE_DIR", None)

    def words(self, command: str) -> list[str]:
        first, *rest = shlex.split(command)
        return [sys.executable, "-m", "autograder.cli", *rest] if first == "autograder" else [first, *rest]

    def run(self, name: str, *commands: str, shorten: Callable[[str], str] = str) -> None:
        """Run commands one after the other, and keep them with what they print in a file of that name."""
        text = ""
        for command in commands:
            done = subprocess.run(
                self.words(command), cwd=self.root, env=self.environment, text=True, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
            if done.returncode:
                raise RuntimeError(f"`{command}` ended with status {done.returncode}:\n{done.stdout}")
            text += f"$ {command}\n{shorten(done.stdout)}"
        self.note(name, text)

    def note(self, name: str, text: str) -> None:
        lines = text.replace(str(self.root), SHOWN_AS).replace("\ufeff", "").splitlines()  # a mark for spreadsheets
        (KEPT / f"{name}.txt").write_text("\n".join(line.rstrip() for line in lines) + "\n", encoding="utf8")
        print(f"  {name}", flush=True)


def hand_in(desk: Desk) -> list[str]:
    """Put the class's work into the folder handed-in/, but that of the last, who is late; returns their names."""
    sys.path.insert(0, str(desk.root))
    from autograder import checks, sample_class
    from autograder.course import Course

    course = Course.at(desk.root / "course")
    read = [nbformat.read(folder(ASSIGNMENT) / f"{ASSIGNMENT}.ipynb", 4) for folder in (course.release, course.source)]
    sheets = sample_class.sheets(*read, [checks.load(name) for name in checks.names(ASSIGNMENT)])
    chosen = [next(text for what, text in sheets if what.startswith(shown)) for shown in CLASS]
    names = sample_class.student_names(len(CLASS))
    for i, (name, text) in enumerate(zip(names, chosen, strict=True)):
        for old in sample_class.ESSAYS:
            text = text.replace(old, ANSWERS[i % len(ANSWERS)].replace("\\", "\\\\"))
        late = CLASS[i] == CLASS[-1]
        path = desk.root / ("later" if late else "handed-in") / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf8")
        moment = (LATE if late else HANDED_IN).timestamp()
        os.utime(path, (moment, moment))
    return names


def code_of_the_page(title: str) -> str:
    """The block of Python under a heading of the instructors' page: what is printed there is what is run here."""
    section = (GUIDE / "instructors.md").read_text(encoding="utf8").split(f"# {title}\n", 1)[1]
    return re.search(r"```python\n(.*?)```", section, re.S).group(1)


def table_only(text: str) -> str:
    """The table of points, without what was printed before it and the reasons after it."""
    return re.search(r"^student .*?(?=\n\n)", text, re.M | re.S).group() + "\n…\n"


def first_lines(count: int) -> Callable[[str], str]:
    def shorten(text: str) -> str:
        lines = text.splitlines()
        return "\n".join([*lines[:count], *(["…"] if len(lines) > count else [])]) + "\n"

    return shorten


def last_lines(count: int) -> Callable[[str], str]:
    return lambda text: "\n".join(["…", *text.splitlines()[-count:]]) + "\n"


def isolation_only(text: str) -> str:
    """What the doctor says of isolation, after the blank line below the rest."""
    return "…\n" + text.rstrip().rpartition("\n\n")[2] + "\n"


def row_of(student: str) -> Callable[[str], str]:
    """The table's line of one student, what is said of them below it, and the last line."""

    def shorten(text: str) -> str:
        lines = text.splitlines()
        at = [i for i, line in enumerate(lines) if line.startswith(student)]
        table = [line for line in lines if line.startswith("student ")] + [lines[at[0]]]
        reasons = []
        if len(at) > 1:
            more = itertools.takewhile(lambda line: line.startswith("    "), lines[at[1] + 1 :])
            reasons = ["…", lines[at[1]], *more]
        return "\n".join(["…", *table, *reasons, "…", lines[-1]]) + "\n"

    return shorten


def live_through(desk: Desk) -> None:
    serve = [*desk.words("autograder serve --no-browser --port")]
    desk.run("release", f"autograder release {ASSIGNMENT}")
    names = hand_in(desk)
    with (
        screenshots.browser_page() as page,
        screenshots.served(serve, desk.root, desk.environment) as (formgrader, told),
    ):
        desk.note("serve", f"$ autograder serve\n{told}")
        screenshots.enter(page, formgrader)
        screenshots.set_due_date(page, formgrader, ASSIGNMENT, DUE, KEPT / "due_date.png")

        desk.run("collect", f"autograder collect {ASSIGNMENT} handed-in/")
        desk.run("doctor", "autograder doctor", shorten=isolation_only)
        desk.run("grade", f"autograder grade {ASSIGNMENT}")
        desk.run("again", f"autograder grade {ASSIGNMENT}", shorten=last_lines(1))

        page.goto(f"{formgrader}/gradebook/{ASSIGNMENT}/{ASSIGNMENT}")
        page.wait_for_load_state("networkidle")
        screenshots.keep(page, KEPT / "formgrader_list.png", height=640)
        shot = KEPT / "formgrader_marking.png"
        shot.unlink(missing_ok=True)
        marked = screenshots.mark_written_answers(page, formgrader, ASSIGNMENT, ESSAY, MARKS, PICTURED, shot)
        if marked < 6:
            raise RuntimeError(f"Only {marked} written answers were marked in formgrader.")
        desk.run("marked", f"autograder grade {ASSIGNMENT}", shorten=table_only)

        desk.run("feedback", f"autograder feedback {ASSIGNMENT}", shorten=last_lines(1))
        feedback = desk.root / "course" / "feedback"
        page.goto((feedback / f"{ASSIGNMENT}.html").as_uri())
        screenshots.keep(page, KEPT / "feedback_index.png", part=page.locator("main"), margin=8)
        page.goto((feedback / names[SEEN] / ASSIGNMENT / f"{ASSIGNMENT}.html").as_uri())
        page.wait_for_load_state()
        screenshots.keep(page, KEPT / "feedback_top.png", height=640)
        table = page.locator(".autograder-result").first
        screenshots.keep(page, KEPT / "feedback_table.png", part=table, margin=12)

        desk.run("export", f"autograder export {ASSIGNMENT}", f"head -n 4 {ASSIGNMENT}.csv")
        desk.run(
            "reasons", f"autograder export {ASSIGNMENT} --long --to reasons.csv", "grep ,attend, reasons.csv",
            shorten=first_lines(5),
        )  # fmt: skip

        with (desk.root / "course" / "nbgrader_config.py").open("a") as config:
            config.write("\n" + code_of_the_page("A late hand-in"))
        desk.run("late", f"autograder collect {ASSIGNMENT} later/")
        desk.run("late_grade", f"autograder grade {ASSIGNMENT}", shorten=row_of(names[-1]))

    source = desk.root / "solutions" / f"{ASSIGNMENT}.md"
    before = source.read_text(encoding="utf8")
    after = before.replace("Positive weights that sum to one along `dim`", "Positive weights, along `dim` of sum one")
    if after == before:
        raise RuntimeError("The sentence to be mended is no longer in the assignment; choose another in term.py.")
    source.write_text(after, encoding="utf8")
    desk.run("mended", f"autograder lint {ASSIGNMENT}", f"autograder release {ASSIGNMENT}")
    desk.run("mended_grade", f"autograder grade {ASSIGNMENT}", shorten=row_of(names[1]))
    desk.run("only", f"autograder grade {ASSIGNMENT} --only softmax", shorten=last_lines(1))


def main() -> None:
    KEPT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        live_through(Desk(Path(folder)))


if __name__ == "__main__":
    main()
