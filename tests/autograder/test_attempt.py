"""A submission is run to its end whatever it does: each question has its answer, or the reason why it has none."""

import time

import nbformat
import pytest

from autograder import checks, judge, wire
from autograder.grading.run.attempt import Attempt, Call, Question, parse_call
from autograder.grading.run.judging import conclude, given_sources
from autograder.sandbox import tiers
from autograder.sandbox.host import SandboxError, Zygote
from autograder.sandbox.limits import Limits

SEED = "a seed"
LIMITS = Limits(cell_seconds=2, question_seconds=3, submission_seconds=120, memory_mb=400, output_kb=20)
SOFTMAX = "def softmax(x, dim):\n    return torch.softmax(x, dim)"
HEADS = (
    "def split_heads(x, heads):\n    return x.unflatten(-1, (heads, -1)).transpose(1, 2)\n\n"
    "def merge_heads(x):\n    return x.transpose(1, 2).flatten(2)"
)
SOFTMAX_CHECK = 'check("attention.softmax", softmax)'
HEADS_CHECK = 'check("attention.split_heads", split_heads, merge_heads)'
IMPORTS = "import torch\nfrom autograder.check import check"


@pytest.fixture(scope="module")
def zygote():
    assert not tiers.why_no_namespaces(), "these tests need Linux namespaces"
    with Zygote("attention") as running:
        yield running


@pytest.fixture(scope="module")
def question():
    def ask(name):
        exercise = checks.load(name)
        return Question(judge.requests(exercise, SEED), given_sources(exercise, SEED))

    return ask


def code(source, name="", test=False):
    meta = {"grade_id": name, "grade": test, "solution": bool(name) and not test, "locked": test, "schema_version": 3}
    return nbformat.v4.new_code_cell(source, metadata={"nbgrader": meta} if name else {})


def notebook(softmax=SOFTMAX, heads=HEADS, before=(), between=()):
    return [
        code(IMPORTS),
        *map(code, before),
        code(softmax, "softmax"),
        code(SOFTMAX_CHECK, "softmax-check", test=True),
        *map(code, between),
        code(heads, "split_heads"),
        code(HEADS_CHECK, "split_heads-check", test=True),
    ]


@pytest.fixture
def attempt(zygote, question):
    """Run cells and return the attempt with the verdicts on both questions."""

    def run(cells, files=None, limits=LIMITS, only=None):
        tried = Attempt(cells, files or {}, limits, question, only=only)
        tried.run(zygote.address.open)
        verdicts = {}
        for index in tried.wanted:
            name = cells[index].metadata["nbgrader"]["grade_id"]
            found = tried.answers[name]
            exercise = checks.load(tried.calls[index].exercise)
            verdicts[name.removesuffix("-check")] = conclude(exercise, SEED, found.replies, found.lost)
        return tried, verdicts

    return run


def share(verdict):
    return verdict.points / verdict.max_points


def lost(verdict):
    """The status and message that all failed cases have."""
    ((status, message),) = {(c.status, c.message) for c in verdict.cases if c.status != "pass"}
    return status, message


def test_right_answers_have_full_marks_and_outputs_are_gathered(attempt):
    tried, verdicts = attempt(notebook(between=["print('hello')\n1 + 1"]))
    assert [share(v) for v in verdicts.values()] == [1.0, 1.0]
    stream, result = tried.outputs[3]
    assert stream == {"output_type": "stream", "name": "stdout", "text": "hello\n"}
    assert result["data"]["text/plain"] == "2"


@pytest.mark.parametrize(
    ("killer", "status", "word"),
    [
        ("import os; os._exit(0)", "crash", "process ended"),
        ("quit()", "crash", "process ended"),
        ("import ctypes; ctypes.string_at(0)", "crash", "SIGSEGV"),
        ("import os\nos.closerange(0, 100)", "crash", "process"),
        ("b = []\nwhile True: b.append(bytearray(10_000_000))", None, ""),
        ("import itertools; sum(itertools.repeat(1))", "timeout", "no end within 2 seconds"),
    ],
    ids=["os._exit", "quit", "segfault", "closes everything", "memory", "an endless computation in C"],
)
def test_a_cell_that_ends_the_process_costs_only_what_it_should_have_defined(attempt, killer, status, word):
    tried, verdicts = attempt(notebook(heads=f"{HEADS}\n{killer}", between=["print('between')"]))
    assert share(verdicts["softmax"]) == 1.0
    if status is None:  # MemoryError is an exception like others: the definitions before it stay
        assert share(verdicts["split_heads"]) == 1.0
        return
    assert share(verdicts["split_heads"]) == 0.0
    got, message = lost(verdicts["split_heads"])
    assert got == status and word in message, message
    # the cells before ran again, and what they showed stands once
    assert tried.outputs[3] == [{"output_type": "stream", "name": "stdout", "text": "between\n"}]


def test_an_answer_that_ends_the_process_when_it_is_called_costs_its_question_alone(attempt):
    calls = "calls = []\n"
    body = "def softmax(x, dim):\n    calls.append(1)\n    if len(calls) > 1: import os; os._exit(1)\n    "
    _, verdicts = attempt(notebook(softmax=f"{calls}{body}return torch.softmax(x, dim)"))
    assert share(verdicts["split_heads"]) == 1.0
    assert 0 < share(verdicts["softmax"]) < 1, "the cases that were answered before keep their points"
    assert lost(verdicts["softmax"])[0] == "crash"


def test_an_answer_that_never_comes_is_a_timeout_and_the_rest_is_graded(attempt):
    began = time.monotonic()
    loop = (
        "def softmax(x, dim):\n    while True:\n        try:\n            while True: pass\n"
        "        except BaseException: pass"
    )
    _, verdicts = attempt(notebook(softmax=loop))
    assert {c.status for c in verdicts["softmax"].cases} == {"timeout"}
    assert share(verdicts["split_heads"]) == 1.0
    assert time.monotonic() - began < 100


def test_a_cell_that_is_too_slow_is_interrupted_and_the_process_lives_on(attempt):
    tried, verdicts = attempt(notebook(between=["kept = 1\nwhile True: pass", "print(kept)"]))
    assert [share(v) for v in verdicts.values()] == [1.0, 1.0] and not tried.fatal
    assert tried.outputs[3][-1]["ename"] == "TimeLimit" and tried.outputs[4][0]["text"] == "1\n"


def test_memory_that_no_limit_of_a_process_counts_is_seen_from_outside(attempt):
    maps = "import mmap\nkept = []\nfor _ in range(24):\n    kept.append(mmap.mmap(-1, 64 << 20))\n"
    touch = "    for at in range(0, 64 << 20, 4096): kept[-1][at] = 1\n"
    tried, verdicts = attempt(notebook(between=[maps + touch]))
    assert tried.fatal[3].status == "memory" and "400 MB" in str(tried.fatal[3])
    assert [share(v) for v in verdicts.values()] == [1.0, 1.0]


def test_many_processes_use_up_the_time_of_one(attempt):
    bomb = "import os\nfor _ in range(5): os.fork()\nwhile True: pass"
    began = time.monotonic()
    left = "import time\ntime.sleep(1)\nprint([p for p in os.listdir('/proc') if p.isdigit()])"
    tried, verdicts = attempt(notebook(between=[bomb, left]))
    assert [share(v) for v in verdicts.values()] == [1.0, 1.0]
    # either the process that the grader talks to is stopped in time, or all of them are killed
    if 3 in tried.fatal:
        assert tried.fatal[3].status == "timeout"
    else:
        assert tried.outputs[3][-1]["ename"] == "TimeLimit"
        assert tried.outputs[4][0]["text"] == "['1']\n", "nothing that it has started goes on"
    assert time.monotonic() - began < 60, "five seconds of computing, by all of them together"


def test_the_whole_notebook_has_a_limit_of_its_own(attempt):
    slow = [f"n = {i}\nwhile True: pass" for i in range(10)]
    limits = Limits(cell_seconds=2, submission_seconds=7, question_seconds=5)
    _, verdicts = attempt(notebook(between=slow), limits=limits)
    assert share(verdicts["softmax"]) == 1.0
    status, message = lost(verdicts["split_heads"])
    assert status == "timeout" and "7 s" in message


def test_a_name_that_is_not_there_is_told_with_what_became_of_its_cell(attempt):
    _, verdicts = attempt(notebook(softmax="def softmax(x, dim:\n    return x", heads="raise ValueError('no idea')"))
    assert "its cell stops with SyntaxError" in lost(verdicts["softmax"])[1]
    assert lost(verdicts["split_heads"]) == (
        "missing", "`split_heads` is not defined: its cell stops with ValueError: no idea",
    )  # fmt: skip
    cells = [cell for cell in notebook() if cell.metadata.get("nbgrader", {}).get("grade_id") != "softmax"]
    assert "its cell is missing from the notebook" in lost(attempt(cells)[1]["softmax"])[1]


def test_a_process_that_dies_again_and_again_is_given_up(attempt):
    _, verdicts = attempt(notebook(before=["import os; os._exit(0)"] * 9))
    assert {lost(v)[0] for v in verdicts.values()} == {"crash"}


def test_what_a_process_sends_in_place_of_replies_is_called_forged(attempt):
    talk = (
        "import os, socket\n"
        "for fd in range(3, 64):\n"
        "    try: s = socket.socket(fileno=os.dup(fd)); s.sendall({junk}); \n"
        "    except OSError: pass\n"
    )
    body = "def softmax(x, dim):\n    " + talk.format(junk="b'x' * 1000").replace("\n", "\n    ") + "return x"
    _, verdicts = attempt(notebook(softmax=body))
    assert verdicts["softmax"].points == 0
    assert "forged" in {c.status for c in verdicts["softmax"].cases}
    assert share(verdicts["split_heads"]) == 1.0


def test_a_reply_that_says_nothing_is_worth_nothing(attempt):
    patch = (
        "from autograder import probe, wire\n"
        "probe.answers = lambda requests, objects: iter("
        "[wire.encode({'values': {}, 'error': None, 'printed': ''})] * len(requests))"
    )
    _, verdicts = attempt(notebook(before=[patch]))
    assert [v.points for v in verdicts.values()] == [0, 0]
    assert {c.status for v in verdicts.values() for c in v.cases} == {"forged"}


def test_more_output_than_allowed_is_dropped_and_counted(attempt):
    tried, verdicts = attempt(notebook(between=["for _ in range(100_000): print('x' * 50)"]))
    *shown, notice = tried.outputs[3]
    assert sum(len(o["text"]) for o in shown) == 20_000
    assert notice["output_type"] == "notice" and notice["dropped"] == 100_000 * 51 - 20_000
    assert share(verdicts["split_heads"]) == 1.0


def test_files_beside_the_notebook_are_there_and_only_there(attempt):
    files = {"helper.py": b"value = 7\n", "data/x.txt": b"hello"}
    tried, _ = attempt(notebook(between=["import helper\nprint(helper.value, open('data/x.txt').read())"]), files)
    assert tried.outputs[3][0]["text"] == "7 hello\n"
    tried, _ = attempt(notebook(between=["import os\nprint(os.listdir())"]))
    assert tried.outputs[3][0]["text"] == "[]\n"


def test_one_exercise_can_be_asked_for_alone(attempt):
    tried, verdicts = attempt(notebook(softmax="def softmax(x, dim):\n    return x"), only="attention.split_heads")
    assert list(verdicts) == ["split_heads"] and share(verdicts["split_heads"]) == 1.0
    assert "softmax-check" not in tried.answers


def test_a_student_s_own_checks_change_nothing(attempt):
    tried, verdicts = attempt(notebook(between=['check("attention.softmax", softmax)', "assert 1 == 1"]))
    assert [share(v) for v in verdicts.values()] == [1.0, 1.0]
    assert "judged by the grader" in tried.outputs[3][0]["data"]["text/plain"]


def test_a_fault_of_the_sandbox_is_no_fault_of_the_submission(question):
    def broken(limits):
        raise SandboxError("gone")

    with pytest.raises(SandboxError):
        Attempt(notebook(), {}, LIMITS, question).run(broken)


def test_a_reply_is_judged_only_with_all_that_was_asked_for():
    exercise = checks.load("attention.softmax")
    empty = wire.encode({"values": {}, "error": None, "printed": ""})
    verdict = conclude(exercise, SEED, [empty] * 99, None)
    assert verdict.points == 0 and {c.status for c in verdict.cases} == {"forged"}


@pytest.mark.parametrize(
    ("source", "call"),
    [
        ('check("attention.softmax", softmax)', Call("attention.softmax", ("softmax",))),
        ('check("a.b", f, g)\n', Call("a.b", ("f", "g"))),
        ("assert softmax", None),
        ('check("a.b", f); check("a.c", g)', None),
        ('check("a.b", f())', None),
        ('check("a.b")', None),
        ('check("a.b", f, seed="3")', None),
        ("check(", None),
    ],
)
def test_a_test_cell_is_one_line_that_names_an_exercise_and_objects(source, call):
    assert parse_call(source) == call
