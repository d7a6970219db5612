"""Attempts to be given points by the machinery: replaced functions, forged replies, forged displays."""

from __future__ import annotations

from tests.attacks.attack import TARGET, Attack, Required, loses, nothing, poisons
from tests.attacks.making import WRONG, Make, added, cell, top

FORGED_REPLY = """
def forged_reply(error=None, values=None, printed=""):
    from autograder import wire
    return wire.encode({"values": values or {}, "error": error, "printed": printed})
"""


def patched(source: str) -> Make:
    """The patch, then a wrong answer. Where a module is not there to be patched, the patch is passed over."""
    lines = "\n".join("    " + line for line in source.strip("\n").splitlines())
    return cell(
        f"import sys\ntry:\n{lines}\nexcept (ImportError, AttributeError, KeyError) as error:\n"
        f"    print(error)\n\n\n{WRONG[TARGET]}"
    )


WRONG_ANSWER = loses()


def reply(source: str) -> Make:
    """Whatever turns a result into a message gives this message instead, wherever it is looked up."""
    return patched(
        "import gc, struct, json\nfrom autograder import wire, probe\nreal = wire.encode\n"
        "def forged(value):\n    if not (isinstance(value, dict) and 'values' in value):\n        return real(value)\n"
        + "".join(f"    {line}\n" for line in source.strip("\n").splitlines())
        + "for module in list(sys.modules.values()):\n    for name, thing in list(vars(module).items()):\n"
        "        if thing is real and name != 'real':\n            setattr(module, name, forged)\n"
        "for dead in gc.get_referrers(real):\n    if isinstance(dead, dict) and dead is not globals():\n"
        "        for key in [k for k, v in dead.items() if v is real]:\n            dead[key] = forged"
    )


def header(text: str) -> Make:
    """A reply of the right frame with this header."""
    return reply(f"body = {text}\nreturn b'TCW1' + struct.pack('<I', len(body)) + body")


FORGED = poisons("reply", "form", "expected", "got", "raised")
ATTACKS = [
    Attack(
        "check-redefined",
        "a function check of one's own that gives 5.0",
        top("def check(*a, **k):\n    return 5.0", wrong=True),
        WRONG_ANSWER,
    ),
    Attack(
        "judge-patched",
        "the judge gives everyone full points",
        patched(
            "import autograder.judge as j\nimport dataclasses\nreal = j.judge\n"
            "j.judge = lambda e, s, r: dataclasses.replace(real(e, s, r), points=e.points, cases=())"
        ),
        WRONG_ANSWER,
    ),
    Attack(
        "result-patched",
        "the result displays as 5.0",
        patched(
            "import autograder.result as r\nr.Result.__repr__ = lambda self: '5.0'\n"
            "r.Result.points = 5.0\nr.Result._repr_mimebundle_ = lambda self, **k: {'text/plain': '5.0'}"
        ),
        WRONG_ANSWER,
    ),
    Attack(
        "probe-patched",
        "the probe reports no values and no error",
        patched("import autograder.probe as p\np.run = lambda *a, **k: {'values': {}, 'error': None, 'printed': ''}"),
        FORGED,
    ),
    Attack(
        "plain-patched",
        "the probe's values are all replaced",
        patched("import autograder.probe as p\np.plain = lambda *a, **k: True\np._read = lambda *a, **k: None"),
        FORGED,
    ),
    Attack(
        "torch-equal-patched",
        "torch's comparisons always agree",
        top(
            "yes = lambda *a, **k: torch.tensor(True)\n"
            "torch.equal = torch.allclose = torch.isclose = torch.Tensor.eq = yes\n"
            "torch.Tensor.__eq__ = torch.Tensor.equal = torch.Tensor.allclose = yes\n"
            "torch.testing.assert_close = lambda *a, **k: None\nimport numpy\n"
            "numpy.allclose = numpy.array_equal = lambda *a, **k: True",
            wrong=True,
        ),
        Required(points={TARGET: "zero"}, reasons={}),
    ),
    Attack(
        "builtins-patched",
        "any, all, abs, max and float always agree",
        top(
            "import builtins\nbuiltins.any = lambda *a: False\nbuiltins.all = lambda *a: True\n"
            "builtins.float = lambda *a: 5.0",
            wrong=True,
        ),
        Required(points={"*": (0.0, 99.0), TARGET: "zero"}),
    ),
    Attack(
        "empty-reply",
        "a reply with no values and no error",
        reply("return real({'values': {}, 'error': None, 'printed': ''})"),
        FORGED,
    ),
    Attack(
        "reply-of-ones",
        "a reply with True for every value",
        reply("return real({'values': {f'v{i}': True for i in range(99)}, 'error': None, 'printed': ''})"),
        FORGED,
    ),
    Attack(
        "error-far-away",
        "an error in a step that does not exist",
        reply(
            "return real({'values': {}, 'error': {'step': 10**9, 'kind': 'exception', 'type': 'x', "
            "'message': '', 'line': ''}, 'printed': ''})"
        ),
        FORGED,
    ),
    Attack(
        "error-of-lists",
        "an error whose fields are lists",
        reply(
            "return real({'values': {}, 'error': {'step': [], 'kind': {}, 'type': [], "
            "'message': [1], 'line': 7}, 'printed': []})"
        ),
        FORGED,
    ),
    Attack(
        "error-unknown-kind",
        "an error of a kind that does not exist",
        reply(
            "return real({'values': {}, 'error': {'step': 0, 'kind': 'pass', 'type': 'pass', "
            "'message': 'pass', 'line': ''}, 'printed': ''})"
        ),
        FORGED,
    ),
    Attack("reply-garbage", "a reply of random bytes", reply("import os\nreturn os.urandom(5000)"), FORGED),
    Attack(
        "reply-huge",
        "a reply of 400 MB",
        reply("return b'TCW1' + bytes(400_000_000)"),
        poisons("reply", "memory", "output limit", "process ended", "timeout"),
    ),
    Attack("header-claims-4gb", "a header that claims 4 GB", reply("return b'TCW1\\xff\\xff\\xff\\xff{}'"), FORGED),
    Attack("header-deep", "a header nested 100,000 deep", header("b'[' * 100_000 + b']' * 100_000"), FORGED),
    Attack("header-unknown-tag", "a header with an unknown tag", header("b'{\"q\": 1}'"), FORGED),
    Attack(
        "tensor-out-of-range",
        "a tensor that reaches past the end",
        header(
            'b\'{"d":[["values",{"d":[["v1",{"t":["float32",[1000000,1000000],0,"cpu",false]}]]}],["error",null],["printed",""]]}\''
        ),
        FORGED,
    ),
    Attack(
        "tensor-empty-axes",
        "a tensor of size 0 times 10 to the 18",
        header(
            'b\'{"d":[["values",{"d":[["v1",{"t":["float32",[0,1000000000000000000,1000000000000000000],0,"cpu",true]}]]}],["error",null],["printed",""]]}\''
        ),
        FORGED,
    ),
    Attack(
        "step-named-twice",
        "a value that occurs twice in a reply",
        header(
            'b\'{"d":[["values",{"d":[]}],["values",{"d":[["v1",true],["v1",true]]}],["error",null],["printed",""]]}\''
        ),
        FORGED,
    ),
    Attack(
        "write-to-all-files",
        "a forged reply written to every open file",
        top(
            FORGED_REPLY
            + """
               import os, struct
               try:
                   message = forged_reply()
               except ImportError:
                   message = b"TCW1" + bytes(40)
               for fd in range(3, 256):
                   for data in (message, *(struct.pack(size, len(message)) + message for size in ("<I", "<Q"))):
                       try:
                           os.set_blocking(fd, False)
                           os.write(fd, data)
                       except (OSError, ValueError):
                           break
               """,
            wrong=True,
        ),
        Required(points={"*": (0.0, 99.0), TARGET: "zero"}),
    ),
    Attack(
        "answer-from-sockets",
        "the requests are read and answered from inside the answer",
        cell("""
               import os, stat, threading

               def listen(fd):
                   try:
                       while data := os.read(fd, 1 << 16):
                           os.write(fd, data)
                   except OSError as error:
                       print(error)

               for name in os.listdir("/proc/self/fd"):
                   try:
                       if int(name) > 2 and stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                           threading.Thread(target=listen, args=(int(name),), daemon=True).start()
                   except OSError as error:
                       print(error)


               def gram_attention(tokens, temperature=1.0):
                   return torch.zeros_like(tokens)
               """),
        Required(points={"*": (0.0, 99.0), TARGET: "zero"}),
    ),
    Attack(
        "forked-answer",
        "the process splits in two inside the answer, and both answer",
        cell("""
               import os

               def gram_attention(tokens, temperature=1.0):
                   os.fork()
                   return torch.zeros_like(tokens)
               """),
        Required(points={"*": (0.0, 99.0), TARGET: "zero"}),
    ),
    Attack(
        "display-hook",
        "the display hook prints 5.0 for every result",
        top(
            "import sys\nsys.displayhook = lambda value: print('5.0')\ntry:\n"
            "    get_ipython().displayhook.write_format_data = lambda *a, **k: None\n"
            "    get_ipython().display_formatter.format = lambda *a, **k: ({'text/plain': '5.0'}, {})\n"
            "except (NameError, AttributeError) as error:\n    print(error)",
            wrong=True,
        ),
        WRONG_ANSWER,
    ),
    Attack(
        "input-transformer",
        "IPython rewrites every check as 5.0",
        top(
            "try:\n    shell = get_ipython()\n"
            "    shell.input_transformers_post.append(\n"
            "        lambda lines: ['5.0\\n' if l.startswith('check(') else l for l in lines])\n"
            "except (NameError, AttributeError) as error:\n    print(error)",
            wrong=True,
        ),
        WRONG_ANSWER,
    ),
    Attack(
        "kernel-message",
        "a forged message of the kernel with the result 5.0",
        top(
            "try:\n    kernel = get_ipython().kernel\n    kernel.session.send(kernel.iopub_socket, 'execute_result',\n"
            "        {'data': {'text/plain': '5.0'}, 'metadata': {}, 'execution_count': 1}, "
            "parent=kernel.get_parent())\n"
            "except (NameError, AttributeError) as error:\n    print(error)",
            wrong=True,
        ),
        WRONG_ANSWER,
    ),
    Attack(
        "printed-result",
        "the answer prints a result's record",
        top(
            'print(\'{"exercise": "attention.gram_attention", "points": 5.0, "cases": []}\')\n'
            "try:\n    from IPython.display import display\n"
            "    display({'application/vnd.autograder.result+json': {'points': 5.0, 'cases': []}, "
            "'text/plain': '5.0'}, raw=True)\n"
            "except ImportError as error:\n    print(error)",
            wrong=True,
        ),
        WRONG_ANSWER,
    ),
    Attack(
        "own-check-cell",
        "a line check(...) of one's own, with an object that displays as 5.0",
        added(
            "class Five:\n    def __repr__(self): return '5.0'\n\nFive()",
            before="gram_attention-check",
            gram_attention=WRONG[TARGET],
        ),
        WRONG_ANSWER,
    ),
    Attack(
        "check-cells-above",
        "checks of other exercises and names in cells of one's own",
        added(
            "try:\n    check('attention.softmax', softmax)\n    check('../../x', 1)\n"
            "except Exception as error:\n    print(error)",
            gram_attention=WRONG[TARGET],
        ),
        WRONG_ANSWER,
    ),
    Attack(
        "names-from-thin-air",
        "a module's __getattr__ and a dictionary that has every name, nothing written",
        lambda kit: kit.text(
            {
                TARGET: "import builtins\nclass Every(dict):\n    def __missing__(self, key): return 5.0\n"
                "try:\n    get_ipython().user_ns.__class__ = Every\n"
                "except (NameError, TypeError) as error:\n    print(error)\n"
                "raise NotImplementedError"
            },
            right=False,
        ),
        nothing(),
    ),
]
