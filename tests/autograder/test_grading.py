"""Real nbgrader runs on a small class: every kind of trouble, each costing only itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from classroom import HEADS, RIGHT, SOFTMAX, SOURCES, best_tier, double, drop, notebook, rewrite, running, strip, tamper

from autograder.course import Course, CourseError
from autograder.grading.intake.collect import collect
from autograder.grading.reports.feedback import feedback, index_path
from autograder.grading.reports.report import Row, read_class
from autograder.grading.reports.table import as_text
from autograder.grading.run.grade import configured_limits, grade
from autograder.release import release
from autograder.sandbox.limits import Limits

NO_MAXIMUM = "def softmax(x, dim):\n    e = x.exp()\n    return e / e.sum(dim, keepdim=True)"
NOISY = """import os
import sys
import warnings


def softmax(x, dim):
    print("out")
    print("err", file=sys.stderr)
    warnings.warn("careful")
    os.write(2, b"raw")
    return torch.softmax(x, dim)"""
SHADOWED = f"{SOFTMAX}\n\n\ndef check(*arguments):\n    raise OSError('broken')"

# student: (answers, what is done to the notebook)
CLASS = {
    "right": (RIGHT, None),
    "untouched": ({}, None),
    "mistaken": (RIGHT | {"softmax": NO_MAXIMUM}, None),
    "noisy": (RIGHT | {"softmax": NOISY}, None),
    "syntax": (RIGHT | {"softmax": "def softmax(x, dim:\n    return x"}, None),
    "raising": (RIGHT | {"softmax": "def softmax(x, dim):\n    return undefined_thing"}, None),
    "one-of-two": (RIGHT | {"split_heads": HEADS.split("\n\n\n")[0]}, None),
    "dying": (RIGHT | {"softmax": "import os\n\nos._exit(1)"}, None),
    "murderous": (RIGHT | {"softmax": "import os\n\nos.kill(os.getppid(), 9)"}, None),
    "breaking-check": (RIGHT | {"softmax": SHADOWED}, None),
    "deleted-test": (RIGHT, drop("softmax-check")),
    "deleted-imports": (RIGHT, drop("imports")),
    "deleted-answer": (RIGHT, drop("softmax")),
    "edited-test": ({}, rewrite("softmax-check", "5.0")),
    "copied": (RIGHT, double("softmax")),
    "copied-test": (RIGHT, double("softmax-check")),
    "stripped": (RIGHT, strip),
    "tampering": ({}, tamper),
    "foreign": ({}, lambda paper: paper.update(cells=[nbformat.v4.new_code_cell("print(1)")])),
}
FOR_A_PERSON = {"foreign": "it has none of the cells of 'attention'", "cut-short": "the JSON breaks off"}
# What plain nbgrader, without isolation, cannot grade either: the process that runs the checks is the student's.
PLAIN_CLASS = ["right", "mistaken", "noisy", "dying", "murderous", "breaking-check", "foreign", "cut-short"]
FOR_A_PERSON_IN_PLAIN = FOR_A_PERSON | {
    "dying": "the Python process that ran it died",
    "murderous": "the process that graded it died",
    "breaking-check": "the check itself failed in 'softmax-check': OSError: broken",
}
FULL = {"softmax": 5.0, "split_heads": 5.0, "explain": None}


def make_class(course: Course, folder: Path, names: list[str]) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        answers, edit = CLASS[name]
        nbformat.write(notebook(course.release("attention"), answers, edit), folder / f"{name}.ipynb")


def a_graded_class(base: Path, names: list[str], isolation: str | None) -> Course:
    made = Course.at(base / "course")
    release(made, SOURCES / "attention.md")
    make_class(made, base / "in", [name for name in names if name in CLASS])
    (base / "in" / "cut-short.ipynb").write_text((base / "in" / "right.ipynb").read_text()[:700])
    collect(made, "attention", [base / "in"])
    for_a_person = FOR_A_PERSON_IN_PLAIN if isolation == "none" else FOR_A_PERSON
    outcome = grade(made, "attention", workers=2, isolation=isolation)
    # what cannot be read is not among what was handed in
    assert (outcome.graded, outcome.aside) == (len(names) - len(for_a_person), len(for_a_person) - 1)
    assert outcome.unchanged == 0 and outcome.isolation == (isolation or best_tier())
    return made


@pytest.fixture(scope="module")
def graded(tmp_path_factory) -> Course:
    """The whole class, collected and graded once, isolated as is the default."""
    return a_graded_class(tmp_path_factory.mktemp("graded"), [*CLASS, "cut-short"], None)


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Course:
    """A part of the class, graded by nbgrader alone."""
    return a_graded_class(tmp_path_factory.mktemp("plain"), PLAIN_CLASS, "none")


@pytest.fixture(scope="module")
def rows(graded: Course) -> dict[str, Row]:
    return {row.student: row for row in read_class(graded, "attention")}


@pytest.fixture(scope="module")
def plain_rows(plain: Course) -> dict[str, Row]:
    return {row.student: row for row in read_class(plain, "attention")}


def points(row: Row) -> dict[str, float | None]:
    return {name: mark.points for name, mark in row.marks.items()}


def test_nobody_is_missing(rows, plain_rows) -> None:
    assert set(rows) == set(CLASS) | {"cut-short"} and set(plain_rows) == set(PLAIN_CLASS)


@pytest.mark.parametrize("student", FOR_A_PERSON)
def test_what_a_machine_cannot_grade_is_for_a_person_and_no_zero(rows, student: str) -> None:
    row = rows[student]
    assert row.status == "for a person" and FOR_A_PERSON[student] in row.problem and row.marks == {}


@pytest.mark.parametrize("student", FOR_A_PERSON_IN_PLAIN)
def test_without_isolation_what_kills_the_process_is_for_a_person_and_no_zero(plain_rows, student: str) -> None:
    row = plain_rows[student]
    assert row.status == "for a person" and FOR_A_PERSON_IN_PLAIN[student] in row.problem and row.marks == {}


@pytest.mark.parametrize("student", ["right", "mistaken", "noisy"])
def test_without_isolation_the_rest_is_graded_the_same(rows, plain_rows, student: str) -> None:
    assert plain_rows[student] == rows[student]


@pytest.mark.parametrize(
    "student",
    ["right", "noisy", "breaking-check", "deleted-test", "deleted-imports", "copied", "copied-test", "stripped"],
)
def test_right_answers_get_full_marks_whatever_became_of_the_notebook(rows, student: str) -> None:
    row = rows[student]
    # The written answer waits for a person: it has no points yet, which is not the same as 0 points.
    assert points(row) == FULL and row.unmarked == ["explain"] and row.total == 10
    assert all(not mark.reason for mark in row.marks.values())


def test_nothing_written_is_worth_nothing(rows) -> None:
    for student in ("untouched", "edited-test", "tampering"):
        assert points(rows[student]) == {"softmax": 0.0, "split_heads": 0.0, "explain": 0.0}
        assert rows[student].marks["softmax"].reason == "not written yet"
        assert rows[student].unmarked == [] and rows[student].max_total == 12


@pytest.mark.parametrize(
    ("student", "question", "mistake", "reason"),
    [
        ("mistaken", "softmax", "no_maximum_subtracted", "exp overflows"),
        ("syntax", "softmax", "", "its cell stops with SyntaxError: '(' was never closed (line 1)"),
        ("raising", "softmax", "", "raised NameError: name 'undefined_thing' is not defined"),
        ("one-of-two", "split_heads", "", "`merge_heads` is not defined"),
        ("deleted-answer", "softmax", "", "its cell is missing"),
        ("dying", "softmax", "", "its cell was left out: crash: its Python process ended itself"),
        ("murderous", "softmax", "", "`softmax` is not defined"),
    ],
)
def test_every_point_lost_has_a_reason_and_costs_no_other_question(rows, student, question, mistake, reason) -> None:
    row = rows[student]
    mark = row.marks[question]
    assert mark.points < mark.max_points and mark.mistake == mistake and reason in mark.reason
    assert points(row) == FULL | {question: mark.points}


def test_a_mistake_keeps_the_points_of_what_is_right(rows) -> None:
    assert 0 < rows["mistaken"].marks["softmax"].points < 5


def test_what_was_put_right_is_told(rows) -> None:
    told = {name: " ".join(rows[name].notes) for name in rows}
    assert "'softmax-check' was missing" in told["deleted-test"]
    assert "'imports' was missing" in told["deleted-imports"]
    assert "'softmax-check' had been edited" in told["edited-test"]
    assert "'softmax' occurs more than once" in told["copied"]
    assert "gives the name `check` to something else" in told["breaking-check"]
    assert told["right"] == ""


def test_the_table_names_everyone_with_reasons(rows) -> None:
    text = as_text(list(rows.values()))
    assert "1 softmax (5),  2 split_heads (5),  3 explain (2)" in text
    for line in ("right", "cut-short"):
        assert f"\n{line} " in text
    assert "softmax 3/5  [no_maximum_subtracted] exp overflows" in text
    assert "18 graded" in text and "for a person to look at: cut-short, foreign." in text


def test_a_second_run_grades_nothing_again(graded: Course) -> None:
    before = sorted((graded.root / "autograded").rglob("*.ipynb"))
    times = {p: p.stat().st_mtime_ns for p in before}
    outcome = grade(graded, "attention", workers=2)
    assert outcome.graded == 0 and outcome.unchanged == len(CLASS) and outcome.aside == 0
    assert times == {p: p.stat().st_mtime_ns for p in times}


def test_a_second_run_without_isolation_grades_only_faults_of_the_grader_again(plain: Course) -> None:
    before = sorted((plain.root / "autograded").rglob("*.ipynb"))
    times = {p: p.stat().st_mtime_ns for p in before}
    outcome = grade(plain, "attention", workers=2, isolation="none")
    # `murderous` and `breaking-check` look like faults of the grader, so they are tried again.
    assert outcome.graded == 0 and outcome.unchanged == len(PLAIN_CLASS) - 3 and outcome.aside == 2
    assert times == {p: p.stat().st_mtime_ns for p in times}


def test_no_process_and_no_half_made_folder_is_left(graded: Course, plain: Course) -> None:
    # Python's own server for forks stays until this process ends; nothing that it has forked does
    own = [c for c in running().values() if "ipykernel" in c or "autograder" in c]
    assert [c for c in own if "multiprocessing.forkserver import main" not in c] == [] and len(own) <= 1
    assert {p.parent.name for p in graded.root.glob("autograded/*/attention")} == set(CLASS) - set(FOR_A_PERSON)
    whole = set(PLAIN_CLASS) - set(FOR_A_PERSON_IN_PLAIN)
    assert {p.parent.name for p in plain.root.glob("autograded/*/attention")} == whole
    assert not list(graded.root.glob("autograded/*/.*")) and not list(graded.runs("attention").glob("judged/*"))


def runs(course: Course) -> list[dict]:
    lines = (course.runs("attention") / "journal.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["kind"] == "run"]


@pytest.mark.parametrize("which", ["graded", "plain"])
def test_each_run_has_its_own_secret_seed(request, which: str) -> None:
    tier = best_tier() if which == "graded" else "none"
    course = request.getfixturevalue(which)
    grade(course, "attention", ["right"], isolation=tier, force=True)
    records = runs(course)
    assert len({r["seed"] for r in records}) == len(records) >= 2
    assert all(len(r["seed"]) == 32 and r["isolation"] == tier for r in records)
    assert (course.runs("attention") / "journal.jsonl").stat().st_mode & 0o077 == 0


def spying(course: Course, folder: Path, isolation: str | None) -> str:
    """What a student finds who looks for the seed in the environment, as text in the graded notebook."""
    spy = "import os\n\nprint('seed', os.environ.get('AUTOGRADER_SEED'))\n" + SOFTMAX
    folder.mkdir()
    nbformat.write(notebook(course.release("attention"), {"softmax": spy}), folder / "spy.ipynb")
    collect(course, "attention", [folder])
    grade(course, "attention", isolation=isolation)
    return (course.autograded("spy", "attention") / "attention.ipynb").read_text()


def test_the_seed_reaches_the_kernel_of_plain_nbgrader(course: Course, tmp_path) -> None:
    text = spying(course, tmp_path / "in", "none")
    assert f"seed {runs(course)[0]['seed']}" in text


def test_the_seed_is_not_where_isolated_code_runs(course: Course, tmp_path) -> None:
    text = spying(course, tmp_path / "in", None)
    assert "seed None" in text and runs(course)[0]["seed"] not in text


def test_only_a_newer_submission_is_graded_again_and_marks_by_hand_stay(graded: Course, tmp_path) -> None:
    with graded.gradebook() as gradebook:
        gradebook.find_grade("explain", "attention", "attention", "mistaken").manual_score = 1.5
        gradebook.db.commit()
    make_class(graded, tmp_path / "in", ["right"])
    (tmp_path / "in" / "right.ipynb").rename(tmp_path / "in" / "mistaken.ipynb")
    collect(graded, "attention", [tmp_path / "in"])
    try:
        assert grade(graded, "attention", ["mistaken", "right"]).graded == 1
        row = next(r for r in read_class(graded, "attention") if r.student == "mistaken")
        assert row.marks["softmax"].points == 5 and row.marks["explain"].points == 1.5
        assert row.unmarked == ["explain"]  # the text may have changed: a person should look again
    finally:
        (tmp_path / "in" / "mistaken.ipynb").unlink()


ENDLESS = "import signal\n\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True:\n    pass"


@pytest.fixture
def endless(course: Course, tmp_path) -> Course:
    (tmp_path / "in").mkdir()
    answers = RIGHT | {"softmax": ENDLESS}
    nbformat.write(notebook(course.release("attention"), answers), tmp_path / "in" / "endless.ipynb")
    collect(course, "attention", [tmp_path / "in"])
    return course


def test_a_submission_over_its_time_is_stopped_without_isolation(endless: Course) -> None:
    outcome = grade(endless, "attention", isolation="none", limits=Limits(submission_seconds=8))
    assert (outcome.graded, outcome.aside) == (0, 1)
    (row,) = read_class(endless, "attention")
    assert row.problem == "it took longer than the 8 s that one submission may take"
    assert not endless.autograded("endless", "attention").exists()


def test_a_question_over_its_time_costs_only_itself(endless: Course) -> None:
    outcome = grade(endless, "attention", limits=Limits(cell_seconds=2))
    assert (outcome.graded, outcome.aside) == (1, 0)
    (row,) = read_class(endless, "attention")
    assert points(row) == FULL | {"softmax": 0.0} and "timeout" in row.marks["softmax"].reason


def test_a_submission_over_its_whole_time_has_a_reason_for_every_question(endless: Course) -> None:
    assert grade(endless, "attention", limits=Limits(submission_seconds=6)).graded == 1
    (row,) = read_class(endless, "attention")
    assert points(row) == FULL | {"softmax": 0.0, "split_heads": 0.0}
    assert all("timeout" in row.marks[name].reason for name in ("softmax", "split_heads"))


def test_feedback_pages_and_their_index(graded: Course) -> None:
    rows = read_class(graded, "attention")
    assert feedback(graded, "attention", rows) == {}
    page = (graded.feedback("raising", "attention") / "attention.html").read_text()
    assert "undefined_thing" in page and "softmax-check" in page
    index = index_path(graded, "attention").read_text()
    assert 'href="raising/attention/attention.html"' in index and "JSON breaks off" in index
    made = {p: p.stat().st_mtime_ns for p in graded.root.glob("feedback/*/attention/*.html")}
    assert feedback(graded, "attention", rows) == {}
    assert made == {p: p.stat().st_mtime_ns for p in made}


def test_nbgrader_s_own_commands_give_the_same_scores(rows, tmp_path) -> None:
    """Typed in a folder made by `autograder release`, with nothing else of ours running."""
    made = Course.at(tmp_path / "course")
    release(made, SOURCES / "attention.md")
    names = ["right", "mistaken", "tampering"]  # graded in isolation before
    make_class(made, tmp_path / "in", names)
    collect(made, "attention", [tmp_path / "in"])
    programs = Path(sys.executable).parent
    # `alembic`, which nbgrader runs by name, must be found although the environment is not activated.
    environment = {k: v for k, v in os.environ.items() if k not in ("AUTOGRADER_SEED", "VIRTUAL_ENV")}
    for command in (
        ["generate_assignment", "attention", "--force"],
        ["autograde", "attention"],
        ["generate_feedback", "attention"],
        ["export", "--to", str(tmp_path / "nbgrader.csv")],
    ):
        done = subprocess.run(
            [str(programs / "nbgrader"), *command], cwd=made.root, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-2000:]
    plain = {row.student: points(row) for row in read_class(made, "attention")}
    assert plain == {name: points(rows[name]) for name in names}
    assert (tmp_path / "nbgrader.csv").read_text().count("\n") == len(names) + 1
    assert (made.feedback("mistaken", "attention") / "attention.html").is_file()


def test_nothing_handed_in_and_unknown_students_are_sentences(course: Course) -> None:
    with pytest.raises(CourseError, match="Nobody has handed in 'attention' yet"):
        grade(course, "attention")
    course.submitted("ada", "attention").mkdir(parents=True)
    with pytest.raises(CourseError, match="was handed in by: nobody"):
        grade(course, "attention", ["nobody"])


def test_limits_come_from_the_configuration_and_for_one_assignment_from_its_own(course: Course) -> None:
    with course.config_file.open("a") as file:
        file.write(
            "c.Isolation.cell_seconds = 30\nc.Isolation.memory_mb = 4096\n"
            "c.Isolation.assignments = {'gpt': {'cell_seconds': 120}}\n"
        )
    assert configured_limits(course, "attention") == Limits(cell_seconds=30, memory_mb=4096)
    assert configured_limits(course, "gpt") == Limits(cell_seconds=120, memory_mb=4096)
    assert configured_limits(course, "gpt", cell_seconds=5.0) == Limits(cell_seconds=5, memory_mb=4096)


@pytest.mark.parametrize("line", ["cell_second = 3", "memory_mb = 'much'", "memory_mb = -1", "assignments = 7"])
def test_a_wrong_limit_is_a_sentence(course: Course, line: str) -> None:
    with course.config_file.open("a") as file:
        file.write(f"c.Isolation.{line}\n")
    with pytest.raises(CourseError, match=r"nbgrader_config.py, c.Isolation: "):
        configured_limits(course, "attention")
