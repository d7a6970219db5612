"""Run the book's notebooks, several at once, into the cache from which the pages are then built."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

import yaml
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn, JupyterCacheAbstract
from myst_nb.core.config import NbParserConfig
from myst_nb.core.read import create_nb_reader
from myst_parser.config.main import MdParserConfig
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, CellExecutionError, DeadKernelError
from nbformat import NotebookNode
from sphinx_external_toc.parsing import parse_toc_yaml

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Outcome:
    """How one notebook went: its name, the seconds it took, and the error if there was one."""

    name: str
    seconds: float
    error: str = ""


def page_files(book: Path, toc: Path | None = None) -> dict[str, Path | None]:
    """Each page of the table of contents ``toc``, or of the book's own, with its file or None if it has none."""
    files = {}
    for name in parse_toc_yaml(toc or book / "_toc.yml"):
        candidates = (book / f"{name}{suffix}" for suffix in (".md", ".ipynb"))
        files[name] = next((f for f in candidates if f.exists()), None)
    return files


def read_notebooks(book: Path) -> dict[str, NotebookNode]:
    """The pages that are to be run, read exactly as the page builder reads them."""
    skip = yaml.safe_load((book / "_config.yml").read_text())["execute"].get("exclude_patterns", [])
    found = {}
    for name, path in page_files(book).items():
        if path is None or any(path.relative_to(book).match(pattern) for pattern in skip):
            continue
        text = path.read_text(encoding="utf8")
        reader = create_nb_reader(str(path), MdParserConfig(), NbParserConfig(), text)
        if reader is not None:
            found[name] = reader.read(text)
    return found


def surroundings_key(sources: Iterable[Path]) -> str:
    """A digest of all that a notebook's results depend on besides its own cells.

    That is the interpreter, every installed distribution, and every file in the folders ``sources``.
    """
    digest = hashlib.sha256(sys.version.encode())
    for line in sorted({f"{d.metadata['Name']}=={d.version}" for d in distributions()}):
        digest.update(line.encode())
    for source in sources:
        for file in sorted(f for f in source.rglob("*") if f.is_file() and "__pycache__" not in f.parts):
            digest.update(str(file.relative_to(source)).encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def cache_folder(book: Path) -> Path:
    """Where the executed notebooks of a book are kept."""
    return book / "_build" / ".jupyter_cache"


def open_cache(folder: Path, key: str) -> tuple[JupyterCacheAbstract, bool]:
    """The cache of executed notebooks, emptied first if ``key`` is not the one it was filled under."""
    keyfile = folder / "surroundings.key"
    fits = keyfile.exists() and keyfile.read_text() == key
    dropped = folder.exists() and not fits
    if dropped:
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    keyfile.write_text(key)
    return get_cache(str(folder)), dropped


def is_cached(cache: JupyterCacheAbstract, notebook: NotebookNode) -> bool:
    try:
        cache.match_cache_notebook(notebook)
    except KeyError:
        return False
    return True


def execute(name: str, notebook: NotebookNode, *, folder: Path, timeout: int, log: Path) -> Outcome:
    """Run every cell of a notebook in its own kernel, in ``folder``; the results are put into ``notebook``.

    What the kernel itself says, besides its cells' output, is added to the file ``log``.
    """
    start = time.monotonic()
    error = ""
    # times would be stored as cell metadata, and those are part of what the cache looks a notebook up by
    client = NotebookClient(
        notebook, timeout=timeout, record_timing=False, resources={"metadata": {"path": str(folder)}}
    )
    try:
        with log.open("a") as stderr:
            client.execute(stderr=stderr)
    except (CellExecutionError, CellControlSignal, DeadKernelError, TimeoutError) as problem:
        error = COLOUR.sub("", str(problem)).strip() or type(problem).__name__
    return Outcome(name, time.monotonic() - start, error)


def remaining(todo: Iterable[str], past: dict[str, float], jobs: int) -> str:
    """How long the notebooks in ``todo`` will take, from the times they took before."""
    todo = list(todo)
    if not todo:
        return "none left"
    if any(name not in past for name in todo):
        return f"{len(todo)} left"
    times = [past[name] for name in todo]
    return f"{len(todo)} left, about {max(max(times), sum(times) / jobs):.0f} s"


def fill_cache(
    book: Path,
    *,
    sources: Iterable[Path],
    jobs: int,
    fresh: bool = False,
    say: Callable[[str], None] = print,
) -> list[Outcome]:
    """Run what the cache does not hold, the longest first, and store it; the outcomes of what was run.

    ``fresh`` empties the cache.  A notebook that fails is not stored, and does not stop the others.
    """
    folder = cache_folder(book)
    out = folder.parent
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    cache, dropped = open_cache(folder, surroundings_key(sources))
    if dropped:
        say("The library, stored results or the environment have changed: every notebook is run again.")
    times_file = out / "seconds.json"
    past = json.loads(times_file.read_text()) if times_file.exists() else {}
    timeout = yaml.safe_load((book / "_config.yml").read_text())["execute"]["timeout"]
    todo = {name: nb for name, nb in read_notebooks(book).items() if not is_cached(cache, nb)}
    order = sorted(todo, key=lambda name: -past.get(name, float("inf")))
    if todo:
        say(f"Running notebooks, at most {jobs} at once: {remaining(order, past, jobs)}.")
    outcomes = []
    log = out / "kernels.log"
    # a thread only waits for its notebook's kernel, which is a process of its own
    with ThreadPoolExecutor(jobs) as pool:
        runs = {
            pool.submit(execute, name, todo[name], folder=(book / name).parent, timeout=timeout, log=log): name
            for name in order
        }
        for run in as_completed(runs):
            outcome = run.result()
            outcomes.append(outcome)
            order.remove(outcome.name)
            verb = "FAILED" if outcome.error else "done"
            left = remaining(order, past, jobs)
            say(f"  {verb} {outcome.name}, {outcome.seconds:.1f} s [{len(outcomes)}/{len(todo)}; {left}]")
            if not outcome.error:
                past[outcome.name] = round(outcome.seconds, 1)
                bundle = CacheBundleIn(
                    todo[outcome.name], str(book / outcome.name), data={"execution_seconds": outcome.seconds}
                )
                cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
    times_file.write_text(json.dumps(past, indent=1))
    return outcomes


def prepare_environment() -> None:
    """Settings for the kernels: one thread each, so that printed numbers do not depend on the machine's cores."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    # its first import on a machine writes to stderr, which a page must not contain
    import matplotlib.font_manager  # noqa: F401
