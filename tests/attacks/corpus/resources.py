"""Code that takes time, memory, processes, disk or patience without end. Bounded, so that it does no harm unguarded."""

from __future__ import annotations

from tests.attacks.attack import TARGET, Attack, Required, loses, safe
from tests.attacks.making import Make, added, call, cell, top

TIMEOUT = loses("timeout", "no answer within")
MEMORY = loses("memory", "process ended")
# How long an endless thing lasts where nobody stops it.
LONG = 400


def endless(loop: str) -> Make:
    """The answer never comes back."""
    return call(loop, wrong=True)


def endless_cell(loop: str) -> Make:
    """The cell never ends, so nothing is defined."""
    return cell(loop + "\n\n\ndef gram_attention(tokens, temperature=1.0):\n    return torch.zeros_like(tokens)")


FORKS = """
    import os, time
    for _ in range(300):
        try:
            if os.fork() == 0:
                time.sleep(8)
                os._exit(0)
        except OSError as error:
            print(error)
            break
"""
DOUBLING = """
    import os, time
    for _ in range(8):
        try:
            if os.fork() == 0:
                born = True
        except OSError as error:
            break
    if "born" in globals():
        time.sleep(8)
        os._exit(0)
"""
THREADS = """
    import threading, time
    for _ in range(1500):
        try:
            threading.Thread(target=time.sleep, args=(8,), daemon=True).start()
        except RuntimeError as error:
            print(error)
            break
"""
FILL = """
    import os
    for place in ("/tmp", "/dev/shm", os.getcwd(), os.path.expanduser("~")):
        path = os.path.join(place, "filled")
        try:
            with open(path, "wb", buffering=0) as file:
                for _ in range(32):
                    file.write(bytes(16 << 20))
        except OSError as error:
            print(place, error)
        finally:
            if os.path.exists(path):
                print(os.path.getsize(path))
"""
INODES = """
    import os
    for place in ("/tmp", "/dev/shm", os.getcwd()):
        try:
            for index in range(20_000):
                os.mkdir(os.path.join(place, f"d{index}"))
        except OSError as error:
            print(place, error)
"""
HANDLES = """
    import os, socket
    kept = []
    try:
        for _ in range(20_000):
            kept.append(os.pipe())
            kept.append(socket.socketpair())
    except OSError as error:
        print(error)
    for pair in kept:
        for end in pair:
            os.close(end) if isinstance(end, int) else end.close()
"""
RAISE_LIMITS = """
    import os, resource
    for name in [n for n in dir(resource) if n.startswith("RLIMIT_")]:
        try:
            resource.setrlimit(getattr(resource, name), (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        except (ValueError, OSError) as error:
            print(name, error)
    for action in (
        lambda: os.nice(-20),
        lambda: os.sched_setaffinity(0, range(os.cpu_count())),
        lambda: os.setpriority(os.PRIO_PGRP, 0, -20),
        lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99)),
        lambda: open("/proc/self/oom_score_adj", "w").write("-1000"),
    ):
        try:
            action()
        except (OSError, AttributeError) as error:
            print(error)
"""
RIGHT_END = "return (tokens @ tokens.mT / temperature).softmax(-1) @ tokens"

ATTACKS = [
    Attack("loop", "an endless loop in the answer", endless("while True:\n    pass"), TIMEOUT),
    Attack("loop-in-cell", "an endless loop in the cell", endless_cell("while True:\n    pass"), TIMEOUT),
    Attack(
        "loop-swallows",
        "an endless loop that swallows every exception",
        endless(
            "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass"
        ),
        TIMEOUT,
    ),
    Attack(
        "loop-swallows-in-cell",
        "the same while the cell runs",
        endless_cell(
            "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass"
        ),
        TIMEOUT,
    ),
    Attack(
        "loop-ignores-signals",
        "an endless loop with every signal ignored",
        endless(
            "import signal\nfor number in range(1, 65):\n    try:\n        signal.signal(number, signal.SIG_IGN)\n"
            "    except (OSError, ValueError):\n        pass\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n"
            "signal.setitimer(signal.ITIMER_PROF, 0)\nsignal.setitimer(signal.ITIMER_REAL, 0)\nwhile True:\n    pass"
        ),
        TIMEOUT,
    ),
    Attack(
        "loop-in-c",
        "an endless sum inside the interpreter's C code",
        endless("import itertools\nsum(itertools.repeat(0))"),
        TIMEOUT,
    ),
    Attack(
        "pattern",
        "a regular expression that never ends",
        endless("import re\nre.match(r'(a+)+$', 'a' * 60 + 'b')"),
        TIMEOUT,
    ),
    Attack("power", "a power with a billion digits", endless_cell("x = 7 ** (10 ** 9)"), TIMEOUT),
    Attack("sleep", "a sleep of an hour", endless("import time\ntime.sleep(3600)"), TIMEOUT),
    Attack(
        "deadlock",
        "a lock that is taken twice",
        endless("import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()"),
        TIMEOUT,
    ),
    Attack(
        "waits-for-input",
        "a question to the person at the keyboard",
        cell("name = input('Your name? ')\n\n\ndef gram_attention(tokens, temperature=1.0):\n    " + RIGHT_END),
        loses("EOF", "StdinNotImplemented", "input", "timeout", "stdin"),
    ),
    Attack(
        "waits-for-input-later",
        "the same inside the answer",
        call("input('Your name? ')"),
        loses("EOF", "Stdin", "input", "timeout", "stdin"),
    ),
    Attack(
        "breakpoint",
        "a breakpoint that was forgotten",
        call("breakpoint()"),
        loses("Bdb", "EOF", "Stdin", "timeout", "stdin", "raised"),
    ),
    Attack(
        "just-below",
        "twenty cells that each sleep for 2 seconds",
        added("import time\ntime.sleep(2)", times=20),
        Required(points={"*": (0.0, 99.0)}),
    ),
    Attack(
        "memory-bytes",
        "six gigabytes of bytes",
        cell(
            "hoard = [bytearray(b'x') * (256 << 20) for _ in range(24)]\n\n\n"
            "def gram_attention(tokens, temperature=1.0):\n    return tokens"
        ),
        MEMORY,
    ),
    Attack(
        "memory-in-answer",
        "six gigabytes inside the answer",
        call("hoard = [bytearray(b'x') * (256 << 20) for _ in range(24)]", wrong=True),
        MEMORY,
    ),
    Attack("memory-tensor", "a tensor of 40 GB", call("x = torch.ones(10_000_000_000)", wrong=True), MEMORY),
    Attack(
        "memory-maps",
        "shared maps of memory outside the heap",
        call(
            "import mmap\nkept = []\nfor _ in range(24):\n"
            "    kept.append(mmap.mmap(-1, 256 << 20))\n    for at in range(0, 256 << 20, 4096):\n"
            "        kept[-1][at] = 1",
            wrong=True,
        ),
        loses("memory", "process ended", "timeout", "expected"),
    ),
    Attack(
        "memory-swallowed",
        "memory errors are swallowed and asked for again",
        call(
            "kept = []\nfor _ in range(40):\n    try:\n"
            "        kept.append(bytearray(b'x') * (256 << 20))\n    except MemoryError:\n        pass",
            wrong=True,
        ),
        loses("memory", "process ended", "timeout", "expected"),
    ),
    Attack("forks", "300 children", top(FORKS), safe()),
    Attack("threads", "1500 threads", top(THREADS), Required(points={TARGET: (0.0, 5.0)})),
    Attack("fills-the-disk", "512 MB in each place where one can write", top(FILL), safe()),
    Attack("many-folders", "20,000 folders in each place where one can write", top(INODES), safe()),
    Attack("many-handles", "all file handles are used up", top(HANDLES), safe()),
    Attack("raises-limits", "limits are raised, priority taken", top(RAISE_LIMITS), safe()),
    Attack(
        "prints",
        "two million lines of output",
        top("for i in range(2_000_000):\n    print('a line of output that nobody asked for', i)"),
        Required(points={TARGET: (0.0, 5.0)}, reasons={TARGET: ("output limit", "timeout")}),
    ),
    Attack(
        "prints-in-answer",
        "two million lines from the answer",
        call("for i in range(300_000):\n    print('a line', i)"),
        Required(points={TARGET: (0.0, 5.0)}, reasons={TARGET: ("output limit", "timeout")}),
    ),
    Attack(
        "one-big-print",
        "a hundred megabytes in one print",
        top("print('x' * 100_000_000)"),
        Required(points={TARGET: (0.0, 5.0)}, reasons={TARGET: ("output limit", "timeout", "memory")}),
    ),
    Attack(
        "one-big-repr",
        "a result that displays as a hundred megabytes",
        added("class Big:\n    def __repr__(self):\n        return 'x' * 100_000_000\n\nBig()"),
        Required(points={TARGET: (0.0, 5.0)}, reasons={TARGET: ("output limit", "timeout", "memory")}),
    ),
    Attack(
        "writes-to-stderr",
        "a flood to the file handles 1 and 2",
        top("import os\nfor _ in range(1500):\n    os.write(1, b'x' * 65_536)\n    os.write(2, b'y' * 65_536)"),
        Required(points={TARGET: (0.0, 5.0)}, reasons={TARGET: ("output limit", "timeout")}),
    ),
    Attack(
        "many-displays",
        "3,000 displays of markup",
        added(
            "from IPython.display import HTML, display\nfor i in range(3_000):\n    display(HTML('<b>pwned</b>' * 100))"
        ),
        Required(points={TARGET: (0.0, 5.0)}, reasons={TARGET: ("output limit", "timeout")}),
    ),
    Attack(
        "huge-message",
        "an exception with a message of fifty megabytes",
        call("raise ValueError('x' * 50_000_000)"),
        loses("ValueError", "output limit", "memory"),
    ),
    Attack(
        "long-traceback",
        "exceptions that were raised while handling exceptions, 3,000 deep",
        added(
            "error = None\nfor i in range(3_000):\n    new = ValueError(i)\n"
            "    new.__context__ = error\n    error = new\nraise error"
        ),
        safe(),
    ),
    Attack(
        "evil-traceback",
        "a cell's exception whose text never ends",
        added(
            "class Endless(Exception):\n    def __str__(self):\n        while True:\n            pass\n\nraise Endless"
        ),
        Required(points={"*": (0.0, 99.0)}),
    ),
    Attack(
        "recursion",
        "an answer that calls itself",
        call("return gram_attention(tokens, temperature)"),
        loses("RecursionError", "process ended"),
    ),
    Attack(
        "recursion-unlimited",
        "the same with the limit taken away",
        cell(
            "import sys\nsys.setrecursionlimit(10**9)\n\n\n"
            "def gram_attention(tokens, temperature=1.0):\n    return gram_attention(tokens, temperature) + 1"
        ),
        loses("RecursionError", "process ended", "memory", "timeout"),
    ),
    Attack(
        "endless-del",
        "an object that never finishes dying",
        cell(
            "class Undying:\n    def __del__(self):\n        while True:\n            pass\n\n\n"
            "def gram_attention(tokens, temperature=1.0):\n"
            "    Undying()\n    " + RIGHT_END
        ),
        Required(points={TARGET: (0.0, 5.0)}),
    ),
    Attack(
        "threads-outlive",
        "threads and exit handlers that never end",
        top(
            "import atexit, threading, time\n\n\ndef run():\n    while True:\n"
            "        time.sleep(0.01)\n\n\nfor _ in range(5):\n"
            "    threading.Thread(target=run).start()\natexit.register(run)"
        ),
        safe(),
    ),
    Attack(
        "spinning-threads",
        "eight threads that compute without end",
        top(
            "import threading\n\n\ndef spin():\n    while True:\n        pass\n\n\n"
            "for _ in range(8):\n    threading.Thread(target=spin, daemon=True).start()"
        ),
        Required(points={"*": (0.0, 99.0)}),
    ),
]
