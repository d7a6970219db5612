"""nbgrader's pages with nothing from outside: formulas are set by a MathJax that is already on this machine."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from pathlib import Path

from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Unicode
from traitlets.config import Config

TEMPLATES = Path(__file__).resolve().parent / "templates"
# What the templates load of the package's 24 MB.
MATHJAX = (
    "startup.js",
    "core.js",
    "input/tex-full.js",
    "output/chtml.js",
    "output/chtml/fonts/tex.js",
    "output/chtml/fonts/woff-v2",
    "a11y/assistive-mml.js",
    "ui/safe.js",
)


def mathjax_folder() -> Path | None:
    """The folder that has MathJax as its subfolder ``mathjax``, or None where its package is not installed."""
    found = importlib.util.find_spec("sphinx-mathjax-offline")
    folder = Path(found.origin).parent / "static" if found and found.origin else None
    return folder if folder and (folder / "mathjax" / "startup.js").is_file() else None


def template_config() -> Config:
    """The part of nbgrader's configuration that makes formgrader's and feedback's pages load nothing from outside.

    Formulas are set by the MathJax that `autograder serve` serves, and for feedback by the copy that `PlaceMathJax`
    puts into the folder of all feedback; where that is not, as in a page sent on by itself, they are shown as typed.
    """
    from nbgrader.server_extensions.formgrader.handlers import template_path

    config = Config()
    config.HTMLExporter.extra_template_basedirs = [str(TEMPLATES), template_path]
    # nbgrader's own page, which ours of the same name builds on
    config.HTMLExporter.extra_template_paths = [template_path]
    return config


def place_mathjax(feedback: Path) -> None:
    """Put a copy of MathJax (1.3 MB) into the folder of all feedback pages, unless there is one already."""
    target, source = feedback / "mathjax", mathjax_folder()
    if source is None or (target / "startup.js").is_file():
        return
    feedback.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=feedback, prefix=".mathjax-") as half_made:
        copy = Path(half_made) / "mathjax"
        for name in MATHJAX:
            made = copy / name
            made.parent.mkdir(parents=True, exist_ok=True)
            if (source / "mathjax" / name).is_dir():
                shutil.copytree(source / "mathjax" / name, made)
            else:
                shutil.copy2(source / "mathjax" / name, made)
        try:
            os.rename(copy, target)
        except OSError:
            if not (target / "startup.js").is_file():  # somebody else was quicker, or there is real trouble
                raise


class PlaceMathJax(NbGraderPreprocessor):
    """While plain nbgrader makes feedback pages: the copy of MathJax that they load."""

    feedback = Unicode(help="The folder of all feedback pages.").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Put the copy there; the notebook stays as it is."""
        if self.feedback:
            place_mathjax(Path(self.feedback))
        return nb, resources
