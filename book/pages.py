"""The pages of one edition of the book: what must be written anew, and the page builder that writes it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import preexecute

PROBLEM = re.compile(r"WARNING|ERROR|SEVERE|CRITICAL|[Ee]xception|error:")
# in Markdown, or in the first text cell of a notebook
TITLE = re.compile(r'^\s*"?# .*$', re.M)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# The engine has no callable entry of its own besides its command. Without the grammars of addresses, which nothing in
# the book is checked against, it starts a second or two earlier.
ENGINE = "import sys; sys.modules['rfc3987_syntax'] = None; from jupyter_book.cli.main import main; main()"


@dataclass(frozen=True)
class Edition:
    """A table of contents of the ``book``, and the folder whose ``_build`` its pages are written to."""

    book: Path
    toc: Path
    folder: Path

    @property
    def out(self) -> Path:
        return self.folder / "_build"

    @property
    def html(self) -> Path:
        return self.out / "html"

    def files(self) -> dict[str, Path | None]:
        """Each page with its file, or None where there is none."""
        return preexecute.page_files(self.book, self.toc)


def machinery_key(edition: Edition) -> str:
    """A digest of what shapes every page and whose change the page builder itself does not notice."""
    digest = hashlib.sha256()
    book = edition.book
    files = [book / "_config.yml", edition.toc, *(book / "_ext").rglob("*"), *(book / "_static").rglob("*")]
    for file in sorted(f for f in files if f.is_file() and "__pycache__" not in f.parts):
        digest.update(str(file.relative_to(book)).encode())
        digest.update(file.read_bytes())
    # titles stand in the side bar of every page
    for name, path in edition.files().items():
        title = TITLE.search(path.read_text(encoding="utf8")) if path else None
        digest.update(f"{name}={title and title.group()}".encode())
    for name in sorted(n for n in os.environ if n.startswith("COURSE_LAUNCH_")):
        digest.update(f"{name}={os.environ[name]}".encode())
    return digest.hexdigest()


def clear_stale_pages(edition: Edition, *, fresh: bool) -> None:
    """Delete written pages if they are wanted fresh or the machinery behind them has changed."""
    stamp = edition.out / "machinery.key"
    key = machinery_key(edition)
    if fresh or not stamp.exists() or stamp.read_text() != key:
        for name in ("html", ".doctrees", "assets", "jupyter_execute"):
            shutil.rmtree(edition.out / name, ignore_errors=True)
    edition.out.mkdir(parents=True, exist_ok=True)
    stamp.write_text(key)


def forget_outdated_pages(edition: Edition, surroundings: str) -> None:
    """Make the page builder read a page again if its text differs, or what its notebook was run in.

    By itself it goes by the date of the text, which a changed library leaves as it was.
    """
    stamp = edition.out / "pages.json"
    before = json.loads(stamp.read_text()) if stamp.exists() else {}
    now = {
        name: hashlib.sha256(surroundings.encode() + path.read_bytes()).hexdigest()
        for name, path in edition.files().items()
        if path is not None
    }
    for name in (n for n in now if before.get(n) != now[n]):
        (edition.out / ".doctrees" / f"{name}.doctree").unlink(missing_ok=True)
    stamp.write_text(json.dumps(now))


def share_cache(edition: Edition, cache: Path) -> None:
    """Let the page builder find the executed notebooks, which it looks for beside the pages."""
    place = edition.out / cache.name
    if place != cache and not place.is_symlink():
        place.symlink_to(os.path.relpath(cache, place.parent), target_is_directory=True)


def write(edition: Edition) -> list[str]:
    """Run the page builder with every warning an error; its complaints, none if all went well."""
    command = [sys.executable, "-c", ENGINE, "build", "-W", "--keep-going"]
    command += ["--toc", str(edition.toc), "--path-output", str(edition.folder), str(edition.book)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=edition.book.parent)
    log = COLOUR.sub("", done.stdout + done.stderr)
    (edition.out / "build.log").write_text(log)
    if done.returncode == 0:
        return []
    complaints = [line for line in dict.fromkeys(log.splitlines()) if PROBLEM.search(line)]
    return complaints or log.splitlines()[-20:]
