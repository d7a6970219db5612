"""Serve every file a page loads from the book itself: typesetting, fonts and the widgets' host."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError

HERE = Path(__file__).resolve().parent
# The package's whole copy of MathJax is 24 MB; a page with formulas needs these. The ready-made tex-chtml.js is half
# as heavy again, because it also has the menu that a right click on a formula opens.
MATHJAX_LOADS = ("input/tex", "output/chtml", "a11y/assistive-mml")
MATHJAX = (
    "startup.js",
    "core.js",
    *(f"{name}.js" for name in MATHJAX_LOADS),
    "output/chtml/fonts/tex.js",
    "output/chtml/fonts/woff-v2",
)


def mathjax_source() -> Path:
    """The folder of MathJax inside the installed ``sphinx-mathjax-offline``; ``ExtensionError`` without it."""
    found = importlib.util.find_spec("sphinx-mathjax-offline")
    if found is None or found.origin is None:
        raise ExtensionError(
            "the book needs the Python package sphinx-mathjax-offline: pip install -r requirements.txt"
        )
    return Path(found.origin).parent / "static" / "mathjax"


def gather(target: Path) -> None:
    """Fill ``target`` with the browser files, copying only what is not there yet or has changed."""
    wanted = [(mathjax_source() / name, target / "mathjax" / name) for name in MATHJAX]
    wanted.append((HERE / "assets", target / "course"))
    for source, destination in wanted:
        files = [source] if source.is_file() else [f for f in source.rglob("*") if f.is_file()]
        for file in files:
            copy = destination / file.relative_to(source) if source.is_dir() else destination
            if not copy.exists() or copy.stat().st_mtime < file.stat().st_mtime:
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, copy)


def point_at_assets(app: Sphinx, config: Config) -> None:
    """Make Sphinx load the gathered files.

    They cannot live in ``_static``: the engine puts every script found there on every page.
    """
    target = Path(app.outdir).parent / "assets"
    gather(target)
    config.html_static_path.append(str(target))
    config.mathjax_path = "mathjax/startup.js"
    config.mathjax3_config = {**(config.mathjax3_config or {}), "loader": {"load": list(MATHJAX_LOADS)}}
    # loaded on pages with widgets only; the default is two scripts from content networks
    config.nb_ipywidgets_js = {"course/afm-host.js": {}}


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("config-inited", point_at_assets, priority=100)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
