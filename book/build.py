"""Build the book: run its notebooks, write its pages, check them.  ``python book/build.py --help``."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import archive
import check_links
import preexecute

BOOK = Path(__file__).resolve().parent
OUT = BOOK / "_build"
HTML = OUT / "html"
PROBLEM = re.compile(r"WARNING|ERROR|SEVERE|CRITICAL|[Ee]xception|error:")
# in Markdown, or in the first text cell of a notebook
TITLE = re.compile(r'^\s*"?# .*$', re.M)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def missing_pages() -> list[str]:
    """A sentence for each page of the table of contents that has no file."""
    sentences = []
    for name, path in preexecute.page_files(BOOK).items():
        if path is None and name.startswith("assignments/"):
            assignment = name.removeprefix("assignments/")
            sentences.append(
                f"book/{name}.ipynb is missing: it is made from solutions/{assignment}.md by "
                f"`autograder release {assignment}`."
            )
        elif path is None:
            sentences.append(f"book/{name}.md is missing, but book/_toc.yml lists it.")
    return sentences


def machinery_key() -> str:
    """A digest of what shapes every page and whose change the page builder itself does not notice."""
    digest = hashlib.sha256()
    files = [
        BOOK / "_config.yml",
        BOOK / "_toc.yml",
        *(BOOK / "_ext").rglob("*"),
        *(BOOK / "_static").rglob("*"),
    ]
    for file in sorted(f for f in files if f.is_file() and "__pycache__" not in f.parts):
        digest.update(str(file.relative_to(BOOK)).encode())
        digest.update(file.read_bytes())
    # titles stand in the side bar of every page
    for name, path in preexecute.page_files(BOOK).items():
        title = TITLE.search(path.read_text(encoding="utf8")) if path else None
        digest.update(f"{name}={title and title.group()}".encode())
    for name in sorted(n for n in os.environ if n.startswith("COURSE_LAUNCH_")):
        digest.update(f"{name}={os.environ[name]}".encode())
    return digest.hexdigest()


def clear_stale_pages(*, fresh: bool) -> None:
    """Delete written pages if they are wanted fresh or the machinery behind them has changed."""
    stamp = OUT / "machinery.key"
    key = machinery_key()
    if fresh or not stamp.exists() or stamp.read_text() != key:
        for folder in (HTML, OUT / ".doctrees", OUT / "assets", OUT / "jupyter_execute"):
            shutil.rmtree(folder, ignore_errors=True)
    OUT.mkdir(exist_ok=True)
    stamp.write_text(key)


def forget_outdated_pages(executed: Iterable[str]) -> None:
    """Make the page builder read a page again if its notebook has just been run or its text differs.

    By itself it goes by the date of the text, which a changed library leaves as it was.
    """
    stamp = OUT / "pages.json"
    before = json.loads(stamp.read_text()) if stamp.exists() else {}
    now = {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in preexecute.page_files(BOOK).items()
        if path is not None
    }
    for name in {*executed, *(n for n in now if before.get(n) != now[n])}:
        (OUT / ".doctrees" / f"{name}.doctree").unlink(missing_ok=True)
    stamp.write_text(json.dumps(now))


def write_pages() -> list[str]:
    """Run the page builder with every warning an error; its complaints, none if all went well."""
    # the engine has no callable entry of its own besides its command
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    done = subprocess.run(
        [*command, "build", "-W", "--keep-going", str(BOOK)], capture_output=True, text=True, cwd=BOOK.parent
    )
    log = COLOUR.sub("", done.stdout + done.stderr)
    (OUT / "build.log").write_text(log)
    if done.returncode == 0:
        return []
    complaints = [line for line in dict.fromkeys(log.splitlines()) if PROBLEM.search(line)]
    return complaints or log.splitlines()[-20:]


def fail(headline: str, details: list[str]) -> int:
    print(f"\n{headline}", *details, sep="\n", file=sys.stderr)
    return 1


def main(arguments: list[str] | None = None) -> int:
    """Build the book; the exit status is 1 if a page is missing, a cell fails, a warning or a fault is found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="notebooks to run at once")
    parser.add_argument("--fresh", action="store_true", help="run every notebook and write every page again")
    parser.add_argument("--skip-checks", action="store_true", help="do not check links and descriptions")
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error("--jobs must be 1 or more")
    start = time.monotonic()
    if missing := missing_pages():
        return fail("The book cannot be built:", missing)
    preexecute.prepare_environment()
    package = find_spec("course_lib")
    if package is None or package.origin is None:
        return fail("The book cannot be built:", ["The package course_lib is not installed: run `pip install -e .`"])
    # what chapters import, and the results of long experiments that they read
    sources = [Path(package.origin).parent, BOOK / "results"]
    outcomes = preexecute.fill_cache(BOOK, sources=sources, jobs=options.jobs, fresh=options.fresh)
    if failed := [o for o in outcomes if o.error]:
        details = [f"\n{o.name}, after {o.seconds:.1f} s:\n{o.error}" for o in failed]
        return fail(f"{len(failed)} of {len(outcomes)} notebooks failed:", details)
    clear_stale_pages(fresh=options.fresh)
    forget_outdated_pages(o.name for o in outcomes)
    print("Writing the pages.")
    if complaints := write_pages():
        return fail(f"The pages have faults ({OUT / 'build.log'} holds the whole log):", complaints)
    archive.pack(BOOK.parent, HTML)
    if not options.skip_checks:
        report = check_links.check_book(HTML)
        (OUT / "external-links.txt").write_text("\n".join(report.outside) + "\n")
        if report.faults:
            return fail(f"{len(report.faults)} faults in the built pages:", report.faults)
        print(f"{report.pages} pages checked: every internal link, file and description is there.")
    print(f"Built in {time.monotonic() - start:.0f} s: {HTML / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
