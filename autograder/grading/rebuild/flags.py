"""What an instructor may want to look at in the source of a submission. Advice only: it takes and gives no points."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator

from nbformat import NotebookNode

from autograder import rooms
from autograder.grading.intake.found import printable
from autograder.grading.rebuild.recognise import grade_id

MOST = 6
MAX_CELL = 100_000
MAX_TOTAL = 500_000
# Finished answers that an exercise's own cell imports, and so allows.
ALLOWED = {"gpt": {"course_lib.generation"}}
CHECK = "autograder.check"
NETWORK = frozenset(
    "socket ssl urllib http requests httpx aiohttp ftplib smtplib telnetlib xmlrpc websockets paramiko".split()
)
PROCESSES = frozenset("subprocess multiprocessing pty pexpect".split())
MEMORY = frozenset("ctypes cffi mmap".split())
CALLS = {
    name: says
    for names, says in {
        "os.fork os.forkpty os.system os.popen": "starts a process",
        "os.kill os.killpg": "sends a signal to a process",
        "os._exit os.abort": "ends its own process",
        "sys._getframe inspect.currentframe inspect.stack": "looks into the frames of its callers",
        "sys.settrace sys.setprofile": "traces other code",
        "gc.get_objects gc.get_referrers": "looks through all objects in memory",
    }.items()
    for name in names.split()
}
MAGIC = re.compile(r"(?m)^(?P<indent>[ \t]*)(?P<mark>%|!|\?)(?P<rest>[^\n]*)$")
SHELL = re.compile(r"(!|%%?(bash|sh|script|system|sx|cmd|perl|ruby|pip|conda|mamba)\b)")
PYTHON_MAGIC = re.compile(r"%%(time|timeit|capture|prun)\b")


def flags(cells: list[NotebookNode], assignment: str) -> list[str]:
    """Sentences about the student's code cells, at most ``MOST`` and a count of the others.

    Told are: imports of finished answers of this room or a later one, and of the grader; another `check`; processes,
    raw memory, frames, network and shell commands. Locked cells are passed over. Code that Python cannot read is
    skipped, and no more than ``MAX_TOTAL`` characters are looked at. Raises nothing.
    """
    found: dict[str, None] = {}
    left = MAX_TOTAL
    for number, cell in enumerate(cells, 1):
        if cell.cell_type != "code" or is_locked(cell):
            continue
        where = f"the cell '{name}'" if (name := grade_id(cell)) else f"cell {number}"
        source = cell.source
        if len(source) > min(MAX_CELL, left):
            found[f"{where} is too long to be looked at ({len(source):,} characters)"] = None
            continue
        left -= len(source)
        for what in look(source, assignment):
            found[f"{where} {what}"] = None
    sentences = list(found)
    return sentences if len(sentences) <= MOST else [*sentences[:MOST], f"and {len(sentences) - MOST} more like that"]


def is_locked(cell: NotebookNode) -> bool:
    meta = cell.metadata.get("nbgrader")
    return bool(isinstance(meta, dict) and meta.get("locked"))


def look(source: str, assignment: str) -> Iterator[str]:
    """What one cell does that is worth telling."""
    if SHELL.match(source.lstrip()) or any(
        SHELL.match(found["mark"] + found["rest"]) for found in MAGIC.finditer(source)
    ):
        yield "runs shell commands"
    tree = parse(source)
    if tree is None:
        return
    finished = modules_of(assignment)
    for node in ast.walk(tree):
        for module in imported(node):
            yield from about_import(module, finished)
        if isinstance(node, ast.Attribute) and (said := CALLS.get(dotted(node))):
            yield f"{said} ({dotted(node)})"
    if any(name == "check" for name in bound(tree)):
        yield "gives the name `check` to something else"


def parse(source: str) -> ast.Module | None:
    """The cell's syntax tree, IPython's own lines taken out; None if it is not Python."""
    if source.lstrip().startswith("%%"):
        first, _, rest = source.lstrip().partition("\n")
        if not PYTHON_MAGIC.match(first):
            return None
        source = rest
    # a line may begin with % and be Python all the same, within brackets
    for text in (source, MAGIC.sub(lambda found: f"{found['indent']}pass", source)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue  # the cell will say so itself when it is run
    return None


def modules_of(assignment: str) -> frozenset[str]:
    """The modules that hold finished answers of this room and the later ones."""
    if assignment not in rooms.REFERENCES:
        return frozenset()
    before = {f"course_lib.{name}" for name in rooms.before(assignment)}
    every = {f"course_lib.{name}" for names in rooms.REFERENCES.values() for name in names}
    return frozenset(every - before - ALLOWED.get(assignment, set()))


def imported(node: ast.AST) -> Iterator[str]:
    """The modules that a node imports, with the names taken from them; also by the name in a call."""
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=str() as module, names=names, level=0):
            yield from (f"{module}.{alias.name}" for alias in names)
        case ast.Call(func=func, args=[ast.Constant(value=str() as module), *_]) if dotted(func) in (
            "__import__", "importlib.import_module", "import_module", "importlib.__import__",
        ):  # fmt: skip
            yield module


def about_import(module: str, finished: frozenset[str]) -> Iterator[str]:
    """What there is to say about the import of a module or of a name in it."""
    top = module.partition(".")[0]
    owner = next((name for name in finished if module == name or module.startswith(f"{name}.")), "")
    if owner:
        yield f"imports {owner}, which holds finished answers of this room or a later one"
    elif top == "autograder" and module != CHECK and not module.startswith(f"{CHECK}."):
        yield f"imports a part of the grader ({printable(module, 60)})"
    elif top in NETWORK:
        yield f"imports {top}, which reaches the network"
    elif top in PROCESSES:
        yield f"imports {top}, which starts processes"
    elif top in MEMORY:
        yield f"imports {top}, which reaches raw memory"
    elif module in CALLS:
        yield f"{CALLS[module]} ({module})"


def dotted(node: ast.AST) -> str:
    """``a.b`` for an attribute of a plain name, the name for a name, else ""."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return ""


def bound(tree: ast.Module) -> Iterator[str]:
    """The names that a cell gives to something at its top level, and the attributes that it sets anywhere."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
                continue  # what is bound inside is its own affair
            case ast.Lambda():
                continue
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name
            case ast.Import(names=names):
                yield from (alias.asname or "" for alias in names)
            case ast.ImportFrom(module=module, names=names) if module != CHECK:
                yield from (alias.asname or alias.name for alias in names)
        waiting.extend(ast.iter_child_nodes(node))
