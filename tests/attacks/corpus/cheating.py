"""Answers that know, or look for, what they should compute."""

from __future__ import annotations

import base64
import pickle

from autograder import checks, judge
from autograder.check import LOCAL_SEED
from autograder.probe import plain
from tests.attacks.attack import TARGET, Attack, Required, loses, safe
from tests.attacks.kit import Kit, right_answers
from tests.attacks.making import Make, call, cell


def found(source: str) -> Make:
    """Try to find an answer by `source`, which is to set `found`; else answer zeros."""
    body = "\n".join("        " + line for line in source.strip("\n").splitlines())
    return cell(
        f"def gram_attention(tokens, temperature=1.0):\n    found = None\n    try:\n{body}\n"
        "    except Exception as error:\n        print(type(error).__name__, error)\n"
        "    return torch.zeros_like(tokens) if found is None else found"
    )


def table(kit: Kit) -> str:
    """Right answers by heart for the inputs that everybody sees at home."""
    exercise = checks.load(f"attention.{TARGET}")
    space: dict = {}
    exec("import math, torch\n" + right_answers()[TARGET], space)
    known = {}

    def remember(tokens, temperature=1.0):
        answer = space[TARGET](tokens, temperature)
        known[tokens.detach().numpy().tobytes(), float(temperature)] = plain(answer).detach().numpy()
        return answer

    for request in judge.requests(exercise, LOCAL_SEED):
        judge.answer(request, (remember,))
    text = base64.b64encode(pickle.dumps(known)).decode()
    source = (
        f"import base64, pickle\n\nknown = pickle.loads(base64.b64decode('{text}'))\n\n\n"
        "def gram_attention(tokens, temperature=1.0):\n"
        "    found = known.get((tokens.detach().numpy().tobytes(), float(temperature)))\n"
        "    return torch.zeros_like(tokens) if found is None else torch.tensor(found) + 0 * tokens"
    )
    return kit.text({TARGET: source})


SEARCH = """
import gc
def ok(x):
    return isinstance(x, torch.Tensor) and x.shape == tokens.shape
for thing in gc.get_objects():
    if type(thing).__name__ == "Expectation" and ok(thing.want):
        plan = [p for p in gc.get_referrers(thing)]
        found = thing.want
    if type(thing).__name__ == "Plan":
        puts = [s for s in thing.steps if s["do"] == "call" and s["args"] and ok(s["args"][0])]
        if any(torch.equal(s["args"][0], tokens) for s in puts):
            same = [s for s in puts if torch.equal(s["args"][0], tokens)]
            names = [s["as"] for s in same if s["kwargs"].get("temperature", 1.0) == temperature]
            reads = {s["as"]: s["of"].name for s in thing.steps if s["do"] == "read"}
            wants = [e.want for e in thing.expectations if reads.get(e.name) in names]
            if wants:
                found = wants[0].clone() + 0 * tokens
                break
"""
FRAMES = """
import sys
frame = sys._getframe()
while frame is not None:
    for name, value in frame.f_locals.items():
        if type(value).__name__ in ("Exercise", "Case", "Expectation") or name in ("seed_of_run", "reference"):
            print("pwned", name)
            from autograder.checks.attention.gram_attention import oracle
            found = oracle(tokens, temperature)
    frame = frame.f_back
"""
MEMORY = """
import re
maps = [l.split() for l in open("/proc/self/maps") if " rw-p " in l]
with open("/proc/self/mem", "rb", 0) as memory:
    for line in maps[:400]:
        low, high = (int(x, 16) for x in line[0].split("-"))
        if high - low > 50_000_000:
            continue
        memory.seek(low)
        for hit in re.findall(rb"AUTOGRADER_SEED=[0-9a-f]{32}|@VARIABLE@=[ -~]{8,40}", memory.read(high - low)):
            print("pwned", hit)
            raise SystemExit(hit.decode())
"""

NOT_FOUND = loses("expected", "got", "reply", "process ended", "raised", "timeout", "output limit")
ATTACKS = [
    Attack("by-heart", "the right answers for the inputs that everybody sees at home", table, loses(points=(0.0, 1.0))),
    Attack(
        "imports-the-check",
        "the check's own reference is imported",
        found("from autograder.checks.attention.gram_attention import oracle\nfound = oracle(tokens, temperature)"),
        NOT_FOUND,
    ),
    Attack(
        "imports-the-variants",
        "a right variant is run out of the check's module",
        found(
            "from autograder import checks\nanswer = checks.load('attention.gram_attention').variants[0]\n"
            "found = answer.objects(('gram_attention',))[0](tokens, temperature)"
        ),
        NOT_FOUND,
    ),
    Attack(
        "imports-the-course",
        "the course's own finished version is imported",
        found("from course_lib.attention import gram_attention as finished\nfound = finished(tokens, temperature)"),
        NOT_FOUND,
    ),
    Attack(
        "reads-the-check-s-file",
        "the check's file is looked for in every place that Python knows",
        found(
            "import autograder, sys, pathlib, glob\n"
            "for place in [*(p + '/..' for p in autograder.__path__), *sys.path, '@COURSE@', "
            "'/home', '/srv', '/opt']:\n"
            "    for path in glob.glob(place + '/autograder/checks/attention/gram_attention.py'):\n"
            "        space = {'__name__': 'x', '__builtins__': __builtins__}\n"
            "        exec(pathlib.Path(path).read_text(), space)\n"
            "        found = space['oracle'](tokens, temperature)"
        ),
        NOT_FOUND,
    ),
    Attack(
        "reads-the-solutions",
        "the solution is looked for in the course folder",
        found(
            "import json\npaper = json.load(open('@COURSE@/source/attention/attention.ipynb'))\n"
            "space = {'torch': torch, 'Tensor': Tensor}\n"
            "for c in paper['cells']:\n    s = c['source']\n    s = s if isinstance(s, str) else ''.join(s)\n"
            "    if 'def softmax' in s or 'def gram_attention' in s:\n        exec(s, space)\n"
            "found = space['gram_attention'](tokens, temperature)"
        ),
        NOT_FOUND,
    ),
    Attack(
        "reads-the-neighbours",
        "other students' answers are looked for",
        found(
            "import glob, json\nfor path in glob.glob('@COURSE@/submitted/*/attention/attention.ipynb'):\n"
            "    for c in json.load(open(path))['cells']:\n        s = c['source']\n"
            "        s = s if isinstance(s, str) else ''.join(s)\n"
            "        if 'def gram_attention' in s and 'submitted' not in s and 'zeros_like' not in s:\n"
            "            space = {'torch': torch}\n            exec(s, space)\n"
            "            found = space['gram_attention'](tokens, temperature)"
        ),
        NOT_FOUND,
    ),
    Attack("walks-the-heap", "expected values are looked for among all objects", found(SEARCH), NOT_FOUND),
    Attack("walks-the-frames", "the check is looked for in the frames of its callers", found(FRAMES), NOT_FOUND),
    Attack("scans-the-memory", "the seed and secrets are looked for in the process's memory", found(MEMORY), NOT_FOUND),
    Attack(
        "reads-the-seed",
        "the environment's seed is read, and the reference computed with it",
        found(
            "import os\nfrom autograder import judge, checks\nseed = os.environ.get('AUTOGRADER_SEED', '0')\n"
            "for plan in judge._plans(checks.load('attention.gram_attention'), seed):\n    for s in plan.steps:\n"
            "        if s['do'] == 'call' and torch.equal(s['args'][0], "
            "tokens) and s['kwargs'].get('temperature', 1.0) == temperature:\n"
            "            reads = {r['as'] for r in plan.steps if r['do'] == 'read' and r['of'].name == s['as']}\n"
            "            found = [e.want for e in plan.expectations if e.name in reads][0] + 0 * tokens"
        ),
        NOT_FOUND,
    ),
    Attack(
        "grader-is-watching",
        "right only if it believes to be graded, wrong at home",
        call("import os\nif 'AUTOGRADER_SEED' not in os.environ and os.path.isdir('/Users'):\n    return tokens"),
        safe(),
    ),
    Attack(
        "counts-calls",
        "right on the first call, wrong afterwards",
        cell(
            "calls = []\n\n\ndef gram_attention(tokens, temperature=1.0):\n    calls.append(1)\n"
            "    if len(calls) > 1:\n"
            "        return torch.zeros_like(tokens)\n"
            "    return (tokens @ tokens.mT / temperature).softmax(-1) @ tokens"
        ),
        loses(points=(0.0, 3.0)),
    ),
    Attack(
        "fake-clock",
        "time stands still and alarms are off",
        cell(
            "import time, signal\ntime.time = time.monotonic = time.perf_counter = lambda: 0.0\n"
            "signal.alarm = lambda *a: 0\n"
            "signal.setitimer = lambda *a: (0.0, 0.0)\n\n\ndef gram_attention(tokens, temperature=1.0):\n"
            "    return (tokens @ tokens.mT / temperature).softmax(-1) @ tokens"
        ),
        safe(),
    ),
    Attack(
        "fake-random-state",
        "torch's seeds do nothing",
        cell(
            "torch.manual_seed = lambda *a: torch.default_generator\n"
            "torch.get_rng_state = lambda: torch.zeros(5056, dtype=torch.uint8)\n\n\n" + right_answers()[TARGET]
        ),
        Required(points={"*": (0.0, 99.0), TARGET: (0.0, 5.0)}),
    ),
]
