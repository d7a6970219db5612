"""Right answers in a process whose state was turned upside down: what one cell does must not cost the others."""

from __future__ import annotations

from tests.attacks.attack import TARGET, Attack, Required, loses, safe
from tests.attacks.making import added, cell, top

LOST = Required(points={"*": (0.0, 99.0)})
OWN = Required(points={TARGET: (0.0, 5.0)})


def set_up(source: str):
    """The answer's cell changes the state, then defines a right answer."""
    return top(source)


ATTACKS = [
    Attack("float64", "the default dtype is float64", set_up("torch.set_default_dtype(torch.float64)"), safe()),
    Attack("no-grad", "gradients are off", set_up("torch.set_grad_enabled(False)"), safe()),
    Attack(
        "inference-mode",
        "inference mode is entered and never left",
        set_up("torch.inference_mode().__enter__()"),
        safe(),
    ),
    Attack("meta-device", "the default device is meta", set_up("torch.set_default_device('meta')"), safe()),
    Attack("threads-64", "torch is to work in 64 threads", set_up("torch.set_num_threads(64)"), safe()),
    Attack(
        "seeds",
        "seeds are set and used up",
        set_up("import random, numpy\ntorch.manual_seed(1)\nrandom.seed(1)\nnumpy.random.seed(1)\ntorch.rand(1000)"),
        safe(),
    ),
    Attack(
        "warnings-are-errors",
        "every warning is an error",
        set_up("import warnings, numpy\nwarnings.simplefilter('error')\nnumpy.seterr(all='raise')"),
        safe(),
    ),
    Attack(
        "warns",
        "warnings and prints on stderr",
        set_up("import sys, warnings\nwarnings.warn('careful')\nprint('careful', file=sys.stderr)"),
        safe(),
    ),
    Attack(
        "warns-in-answer",
        "the same at every call",
        cell(
            "import os, sys, warnings\n\n\ndef gram_attention(tokens, temperature=1.0):\n"
            "    warnings.warn('careful')\n    print('careful', file=sys.stderr)\n"
            "    os.write(2, b'raw\\n')\n    return (tokens @ tokens.mT / temperature).softmax(-1) @ tokens"
        ),
        safe(),
    ),
    Attack(
        "shadows-torch",
        "a later cell calls its result torch",
        added("torch = nn = F = math = rearrange = Tensor = None", before="split_heads"),
        LOST,
    ),
    Attack(
        "shadows-softmax",
        "a later cell has another softmax",
        added("def softmax(*a, **k):\n    raise RuntimeError('another one')", before="attend"),
        safe(),
    ),
    Attack("shadows-check", "a variable is called check", set_up("check = 5"), safe()),
    Attack(
        "shadows-builtins",
        "variables are called list, sum, len, print, max and type",
        set_up("list = sum = len = print = max = type = object = 5"),
        safe(),
    ),
    Attack(
        "deletes-builtins",
        "the builtins are emptied",
        added(
            "import builtins\nfor name in list(vars(builtins)):\n"
            "    if name not in ('__import__', '__build_class__', 'super', 'range', 'property'):\n"
            "        try:\n            delattr(builtins, name)\n        except Exception:\n            pass",
            before="split_heads",
        ),
        LOST,
    ),
    Attack(
        "broken-import",
        "nothing can be imported any more",
        added(
            "import builtins\ndef no(*a, **k):\n    raise ImportError('no')\nbuiltins.__import__ = no",
            before="split_heads",
        ),
        LOST,
    ),
    Attack("reset", "%reset -f in the middle of the notebook", added("%reset -f", before="split_heads"), LOST),
    Attack(
        "deletes-everything",
        "all names are deleted",
        added(
            "for name in list(globals()):\n    if not name.startswith('_') and name != 'name':\n"
            "        del globals()[name]",
            before="split_heads",
        ),
        LOST,
    ),
    Attack(
        "modules-cleared",
        "sys.modules is emptied, sys.path too",
        added(
            "import sys\nsys.path.clear()\n"
            "for name in [n for n in sys.modules if 'torch' not in n and n not in ('sys', 'builtins', '__main__')]:\n"
            "    del sys.modules[name]",
            before="split_heads",
        ),
        LOST,
    ),
    Attack(
        "changes-folder",
        "the working folder is / and the umask 0",
        set_up("import os\nos.chdir('/')\nos.umask(0)"),
        safe(),
    ),
    Attack(
        "stdout-replaced",
        "standard output is a list, standard error None",
        set_up("import sys\nsys.stdout = sys.__stdout__ = []\nsys.stderr = None"),
        safe(),
    ),
    Attack(
        "recursion-limit-50",
        "the recursion limit is 50 above what is in use",
        set_up("import sys, inspect\nsys.setrecursionlimit(len(inspect.stack()) + 50)"),
        OWN,
    ),
    Attack(
        "evil-tracing",
        "a trace function that raises in other code",
        set_up("import sys\ndef evil(frame, event, arg):\n    raise RuntimeError('traced')\nsys.setprofile(evil)"),
        LOST,
    ),
    Attack(
        "module-call-patched",
        "nn.Module.__call__ does something else",
        set_up("nn.Module.__call__ = lambda self, *a, **k: torch.zeros(1)"),
        LOST,
    ),
    Attack(
        "clone-patched",
        "Tensor.clone and Tensor.copy_ do nothing",
        set_up("torch.Tensor.clone = lambda self, **k: self\ntorch.Tensor.copy_ = lambda self, *a, **k: self"),
        LOST,
    ),
    Attack(
        "torch-mode",
        "a mode that changes every function of torch is entered",
        set_up(
            "from torch.overrides import TorchFunctionMode\n\n\nclass Mode(TorchFunctionMode):\n"
            "    def __torch_function__(self, function, types, args=(), kwargs=None):\n"
            "        return function(*args, **(kwargs or {}))\n\n\nMode().__enter__()"
        ),
        safe(),
    ),
    Attack(
        "signals-taken",
        "all signal handlers are replaced",
        set_up(
            "import signal\n"
            "for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGPROF, "
            "signal.SIGCHLD, signal.SIGPIPE):\n"
            "    signal.signal(number, lambda *a: None)\nsignal.signal = lambda *a: None"
        ),
        safe(),
    ),
    Attack("await-at-top", "await at the top of a cell", added("import asyncio\nawait asyncio.sleep(0.01)"), safe()),
    Attack("error-in-between", "a cell of one's own that raises", added("1 / 0"), safe()),
    Attack(
        "in-place",
        "the answer changes its input",
        cell(
            "def gram_attention(tokens, temperature=1.0):\n"
            "    y = (tokens @ tokens.mT / temperature).softmax(-1) @ tokens\n"
            "    tokens.data.mul_(0)\n    return y"
        ),
        loses(points=(3.0, 4.5)),
    ),
]
