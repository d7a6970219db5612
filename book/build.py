"""Build the book: run its notebooks, write its pages, check them.  ``python book/build.py --help``."""

from __future__ import annotations

import argparse
import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path

# grammars of addresses, which no notebook needs: nbformat would load them in a second or two
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

import archive  # noqa: E402
import check_links  # noqa: E402
import pages  # noqa: E402
import preexecute  # noqa: E402
import staff  # noqa: E402

BOOK = Path(__file__).resolve().parent
SOLUTIONS = BOOK.parent / "solutions"


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


def fail(headline: str, details: list[str]) -> int:
    print(f"\n{headline}", *details, sep="\n", file=sys.stderr)
    return 1


def main(arguments: list[str] | None = None) -> int:
    """Build the book; the exit status is 1 if a page is missing, a cell fails, a warning or a fault is found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="notebooks to run at once")
    parser.add_argument("--fresh", action="store_true", help="run every notebook and write every page again")
    parser.add_argument("--skip-checks", action="store_true", help="do not check links, descriptions and leaks")
    parser.add_argument("--staff", action="store_true", help="the book with the solutions, in _build/staff")
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
    if options.staff:
        edition = pages.Edition(BOOK, staff.write_pages(BOOK, SOLUTIONS), BOOK / "_build" / "staff")
    else:
        edition = pages.Edition(BOOK, BOOK / "_toc.yml", BOOK)
    pages.clear_stale_pages(edition, fresh=options.fresh)
    pages.forget_outdated_pages(edition, preexecute.surroundings_key(sources))
    pages.share_cache(edition, preexecute.cache_folder(BOOK))
    print("Writing the pages.")
    if complaints := pages.write(edition):
        return fail(f"The pages have faults ({edition.out / 'build.log'} holds the whole log):", complaints)
    archive.pack(BOOK.parent, edition.html)
    if not options.skip_checks:
        hidden = None if options.staff else staff.secrets(SOLUTIONS)
        report = check_links.check_book(edition.html, hidden)
        (edition.out / "external-links.txt").write_text("\n".join(report.outside) + "\n")
        if report.faults:
            return fail(f"{len(report.faults)} faults in the built pages:", report.faults)
        print(f"{report.pages} pages checked: every internal link, file and description is there.")
    print(f"Built in {time.monotonic() - start:.0f} s: {edition.html / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
