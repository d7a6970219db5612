"""Code that ends its process, or tries to, or ends everybody's."""

from __future__ import annotations

from tests.attacks.attack import TARGET, Attack, Required, loses, safe
from tests.attacks.making import Make, added, call, cell, top

ENDED = loses("process ended", "ended")
MISSING = loses("missing", "defined", "SystemExit", "stops", "ended")
ANY = Required(points={TARGET: (0.0, 5.0)})


def dies(source: str) -> Make:
    """The cell ends its process before anything is defined."""
    return cell(source + "\n\n\ndef gram_attention(tokens, temperature=1.0):\n    return torch.zeros_like(tokens)")


SEGFAULT = "import ctypes\nctypes.string_at(0)"
ATTACKS = [
    Attack("exit-in-cell", "os._exit in the cell", dies("import os\nos._exit(0)"), ENDED),
    Attack("exit-in-answer", "os._exit in the answer", call("import os\nos._exit(0)", wrong=True), ENDED),
    Attack(
        "exit-in-first-answer",
        "os._exit in the first question",
        cell("import os\n\n\ndef softmax(x, dim):\n    os._exit(1)", "softmax"),
        loses("process ended", "ended", question="softmax"),
    ),
    Attack(
        "exit-everywhere",
        "os._exit in four answers",
        lambda kit: kit.text(
            {
                "softmax": "import os\n\n\ndef softmax(x, dim):\n    os._exit(1)",
                "attend": "import os\nos._exit(2)",
                TARGET: "def gram_attention(*a, **k):\n    os._exit(3)",
                "LayerNorm": "class LayerNorm(nn.Module):\n    def __init__(self, *a):\n        os.abort()",
            }
        ),
        Required(
            points=dict.fromkeys(("softmax", "attend", TARGET, "LayerNorm"), "zero"),
            reasons=dict.fromkeys(("softmax", "attend", TARGET, "LayerNorm"), ("ended",)),
        ),
    ),
    Attack("sys-exit", "sys.exit in the cell", dies("import sys\nsys.exit('bye')"), MISSING),
    Attack(
        "sys-exit-in-answer",
        "sys.exit in the answer",
        call("import sys\nsys.exit(0)", wrong=True),
        loses("SystemExit", "ended"),
    ),
    Attack("quit", "quit() in the cell", dies("quit()"), MISSING),
    Attack("exit-builtin", "exit() in a cell of its own", added("exit()"), safe()),
    Attack("kill-self", "the process kills itself", dies("import os\nos.kill(os.getpid(), 9)"), loses()),
    Attack("segfault", "a null pointer in the cell", dies(SEGFAULT), ENDED),
    Attack("segfault-in-answer", "a null pointer in the answer", call(SEGFAULT, wrong=True), ENDED),
    Attack(
        "stop-self",
        "the process stops itself",
        dies("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)"),
        loses(),
    ),
    Attack(
        "alarm",
        "an alarm that kills a second later",
        top(
            "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_DFL)\nsignal.alarm(1)\n"
            "import time\ntime.sleep(1.5)"
        ),
        ANY,
    ),
    Attack("exec", "the process becomes another program", dies("import os\nos.execv('/bin/true', ['true'])"), loses()),
    Attack(
        "closes-standard-files",
        "the file handles 0, 1 and 2 are closed",
        top("import os\nfor fd in range(3):\n    os.close(fd)"),
        ANY,
    ),
    Attack(
        "closes-all-files",
        "all file handles are closed",
        top("import os\nos.closerange(0, 4096)"),
        Required(points={TARGET: (0.0, 5.0)}, reasons={TARGET: ("ended", "reply", "timeout")}),
    ),
    Attack(
        "kernel-shutdown",
        "the kernel is asked to shut down",
        added(
            "try:\n    get_ipython().kernel.do_shutdown(False)\n    get_ipython().ask_exit()\n"
            "except (NameError, AttributeError) as error:\n    print(error)"
        ),
        safe(),
    ),
    Attack(
        "exits-at-exit",
        "an exit handler that ends everything",
        top("import atexit, os\natexit.register(os._exit, 7)"),
        safe(),
    ),
    Attack(
        "dies-in-a-thread",
        "a thread that ends the process a second later",
        top("import os, threading, time\nthreading.Timer(1, lambda: os._exit(9)).start()\ntime.sleep(2)"),
        loses("ended"),
    ),
    Attack(
        "dies-afterwards",
        "a thread that ends the process when other questions are asked",
        top("import os, threading\nthreading.Timer(0.2, lambda: os._exit(9)).start()"),
        Required(points={"*": (0.0, 99.0)}),
    ),
    Attack(
        "child-goes-on",
        "the parent exits and a child goes on in its place",
        top("import os\nif os.fork():\n    os._exit(0)"),
        Required(points={"*": (0.0, 99.0), TARGET: (0.0, 5.0)}),
    ),
    Attack(
        "keyboard-interrupt",
        "the answer raises KeyboardInterrupt",
        call("raise KeyboardInterrupt", wrong=True),
        loses("KeyboardInterrupt", "raised", "ended"),
    ),
    Attack(
        "bare-base-exception",
        "the answer raises a BaseException with an evil text",
        cell(
            "class Evil(BaseException):\n    def __str__(self):\n        raise SystemExit\n"
            "    __repr__ = __str__\n\n\ndef gram_attention(*a, **k):\n    raise Evil"
        ),
        loses("Evil", "raised", "ended", "reply"),
    ),
    Attack(
        "forged-time-limit",
        "the answer raises the grader's own exceptions",
        cell("def gram_attention(*a, **k):\n    from autograder.probe import TimeLimit\n    raise TimeLimit('pwned')"),
        loses("time", "answer within"),
    ),
    Attack(
        "not-implemented",
        "NotImplementedError with markup",
        call("raise NotImplementedError('<script>pwned</script>')", wrong=True),
        loses("not written"),
    ),
    Attack(
        "fault-in-c",
        "memory is overwritten at random",
        call(
            "import ctypes, gc\nfor thing in gc.get_objects()[:2000]:\n    ctypes.memset(id(thing), 0, 16)", wrong=True
        ),
        loses("ended", "timeout", "reply", "raised", "expected"),
    ),
]
