"""Answers that are not what they seem: subclasses, changing tensors, values that hardly exist."""

from __future__ import annotations

from tests.attacks.attack import Attack, Required, loses, safe
from tests.attacks.making import cell

RIGHT = "(tokens @ tokens.mT / temperature).softmax(-1) @ tokens"


def returns(expression: str, before: str = ""):
    """An answer that returns the value of this expression."""
    return cell(f"{before}\n\n\ndef gram_attention(tokens, temperature=1.0):\n    return {expression}")


ALWAYS_EQUAL = """
class Equal(torch.Tensor):
    def __eq__(self, other): return torch.ones((), dtype=torch.bool)
    __ne__ = __lt__ = __gt__ = lambda self, other: torch.zeros((), dtype=torch.bool)
    def __sub__(self, other): return torch.zeros(())
    __rsub__ = __sub__
    def __bool__(self): return True
    __hash__ = None
"""
FUNCTION_LIES = """
class Liar(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        name = getattr(function, "__name__", "")
        if name in ("equal", "allclose", "isclose", "eq"):
            return True
        if name == "sub":
            return torch.zeros(())
        with torch._C.DisableTorchFunctionSubclass():
            return function(*args, **(kwargs or {}))
"""
METHODS_LIE = """
class Liar(torch.Tensor):
    __torch_function__ = torch._C._disabled_torch_function_impl
    calls = 0
    def cpu(self, *a, **k): print("cpu", flush=True); raise SystemExit("pwned")
    def detach(self): return Liar(torch.zeros(1))
    clone = numpy = contiguous = as_subclass = tolist = cpu
    shape = property(lambda self: torch.Size([10**15]))
    dtype = property(lambda self: "pwned")
    layout = property(lambda self: 1 / 0)
    requires_grad = property(lambda self: 1 / 0)
"""
DISPATCH_LIES = """
class Liar(torch.Tensor):
    @staticmethod
    def __new__(cls, like):
        return torch.Tensor._make_wrapper_subclass(cls, like.shape, dtype=like.dtype, device=like.device)
    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        raise RuntimeError("pwned " + str(function))
    def __repr__(self): return "pwned"
"""
CLASS_LIES = """
class Chameleon:
    __class__ = torch.Tensor
    def __getattr__(self, name): return lambda *a, **k: self
    def __eq__(self, other): return True
    def __repr__(self): return "tensor(5.)"
    def __float__(self): return 5.0
"""
META_LIES = """
class Meta(type):
    def __instancecheck__(cls, other): return True
    def __subclasscheck__(cls, other): return True
    def __eq__(cls, other): return True
    def __hash__(cls): return hash(torch.Tensor)
    __name__ = "Tensor"
    __module__ = property(lambda cls: exec("raise SystemExit"))
class Anything(metaclass=Meta):
    def __eq__(self, other): return True
"""
PICKLE = """
import os
class Bomb:
    def __reduce__(self): return (os.system, ("echo pwned > @HOME@/pwned",))
    __reduce_ex__ = lambda self, version: self.__reduce__()
    __getstate__ = __reduce__
"""
LATER = """
import threading, time
kept = []
def change():
    while True:
        for tensor in list(kept):
            tensor.data.add_(1)
        time.sleep(1e-5)
threading.Thread(target=change, daemon=True).start()
"""
STR_LIES = """
class Text(str):
    def __eq__(self, other): return True
    def __hash__(self): return 0
    def __getitem__(self, key): return self * 2
class Number(float):
    def __eq__(self, other): return True
    def __sub__(self, other): return 0.0
    __rsub__ = __sub__
class Row(list):
    def __len__(self): return 10**18
    def __iter__(self):
        while True: yield self
"""
CYCLE = """
def cycle():
    ring = []
    ring.append(ring)
    return ring
def deep(n):
    node = ()
    for _ in range(n):
        node = (node, node)
    return node
"""

ZERO = loses()
ATTACKS = [
    Attack(
        "equals-everything",
        "a tensor that is equal to every other",
        returns("torch.zeros_like(tokens).as_subclass(Equal)", ALWAYS_EQUAL),
        ZERO,
    ),
    Attack(
        "torch-function-lies",
        "a subclass that answers comparisons itself",
        returns("torch.zeros_like(tokens).as_subclass(Liar)", FUNCTION_LIES),
        ZERO,
    ),
    Attack(
        "methods-lie",
        "a subclass whose cpu, detach and shape lie or exit",
        returns("torch.zeros_like(tokens).as_subclass(Liar)", METHODS_LIE),
        ZERO,
    ),
    Attack(
        "dispatch-lies",
        "a tensor without storage whose every operation raises",
        returns("Liar(tokens)", DISPATCH_LIES),
        ZERO,
    ),
    Attack("class-lies", "an object that says it is a tensor", returns("Chameleon()", CLASS_LIES), ZERO),
    Attack("metaclass-lies", "a class of which everything is an instance", returns("Anything()", META_LIES), ZERO),
    Attack("pickle-bomb", "a value that runs a command where it is unpickled", returns("Bomb()", PICKLE), ZERO),
    Attack(
        "changes-later",
        "a thread changes every tensor after it was returned",
        cell(LATER + f"\ndef gram_attention(tokens, temperature=1.0):\n    kept.append({RIGHT})\n    return kept[-1]"),
        Required(points={"gram_attention": (0.0, 5.0)}),
    ),
    Attack(
        "builtin-subclasses",
        "a string, number and list equal to everything",
        returns("[Text('x'), Number(1), Row()]", STR_LIES),
        ZERO,
    ),
    Attack("endless-list", "a list without end", returns("Row()", STR_LIES), ZERO),
    Attack("cycle", "a list that contains itself", returns("cycle()", CYCLE), ZERO),
    Attack(
        "doubling",
        "a nest of tuples with 2 to the 40 leaves",
        returns("deep(40)", CYCLE),
        loses("timeout", "no answer within", "memory", "got", "reply", "output limit", "tuple"),
    ),
    Attack(
        "wide-lists",
        "nested lists of 10,000, a hundred million leaves",
        returns("[[0.0] * 9_999] * 9_999"),
        loses("timeout", "memory", "reply", "output limit", "list"),
    ),
    Attack(
        "stretched",
        "a tensor of a trillion elements in four bytes",
        returns("torch.zeros(1).expand(10**12)"),
        loses("memory", "reply", "output limit", "shape", "got", "expand"),
    ),
    Attack(
        "big-tensor",
        "a tensor of 800 MB",
        returns("torch.zeros(200_000_000)"),
        loses("memory", "reply", "output limit", "shape", "timeout", "got"),
    ),
    Attack("meta-tensor", "a tensor without numbers", returns("torch.empty_like(tokens, device='meta')"), ZERO),
    Attack(
        "sparse-tensor",
        "a sparse tensor with indices out of range",
        returns("torch.sparse_coo_tensor([[10**9]], [1.0], (2,), check_invariants=False)"),
        ZERO,
    ),
    Attack("nan", "not a number, everywhere", returns("tokens * float('nan')"), ZERO),
    Attack(
        "complex",
        "the right numbers as complex ones",
        returns(f"({RIGHT}).to(torch.complex64)"),
        Required(points={"gram_attention": (0.0, 1.0)}),
    ),
    Attack("numpy", "the right numbers as an array of numpy", returns(f"({RIGHT}).detach().numpy()"), ZERO),
    Attack("odd-strides", "right numbers in a view with odd strides", returns(f"({RIGHT}).mT.contiguous().mT"), safe()),
    Attack(
        "hook-on-result",
        "a hook on the result changes the gradient",
        cell(
            f"def gram_attention(tokens, temperature=1.0):\n    y = {RIGHT}\n    if y.requires_grad:\n"
            "        y.register_hook(lambda g: g * 0)\n    return y"
        ),
        loses(points=(3.5, 4.5)),
    ),
    Attack(
        "coroutine", "a coroutine", cell("async def gram_attention(tokens, temperature=1.0):\n    return tokens"), ZERO
    ),
    Attack("huge-number", "an integer of 100,000 digits", returns("10**100_000"), ZERO),
    Attack("surrogate-text", "half of a character in a string", returns("'\\ud800' * 10"), ZERO),
    Attack(
        "evil-repr",
        "an object whose repr exits",
        returns("type('Evil', (), {'__repr__': lambda self: exit(3)})()"),
        ZERO,
    ),
    Attack("markup-type", "a type whose name is markup", returns("type('<script>pwned</script>', (), {})()"), ZERO),
    Attack("not-callable", "a number in place of the function", cell("gram_attention = 5.0"), loses("function")),
    Attack(
        "callable-object",
        "an object with __call__ that is right",
        cell(
            f"class Answer:\n    def __call__(self, tokens, temperature=1.0):\n"
            f"        return {RIGHT}\n\ngram_attention = Answer()"
        ),
        safe(),
    ),
]
