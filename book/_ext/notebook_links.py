"""Offer every chapter as a notebook: a download always, launch buttons where a publisher names an address."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

SETTINGS = ("repository", "branch", "folder", "colab", "binder", "jupyterhub")
HUBS = {"colab": "colab_url", "binder": "binderhub_url", "jupyterhub": "jupyterhub_url"}


def launch_settings(written: dict[str, str], environment: dict[str, str]) -> dict[str, str]:
    """The launch settings: from ``COURSE_LAUNCH_<NAME>`` where set, else as written in ``_config.yml``.

    Raises ``ExtensionError`` for a name that does not exist, an address that is none, or hubs without
    a repository to open.
    """
    unknown = set(written) - set(SETTINGS)
    if unknown:
        raise ExtensionError(f"course_launch knows {', '.join(SETTINGS)}; not {', '.join(sorted(unknown))}")
    chosen = {n: environment.get(f"COURSE_LAUNCH_{n.upper()}", written.get(n, "")).strip() for n in SETTINGS}
    for name in ("repository", *HUBS):
        parts = urlsplit(chosen[name])
        if chosen[name] and not (parts.scheme in ("http", "https") and parts.netloc):
            raise ExtensionError(f"course_launch: {name} must be an http(s) address, got {chosen[name]!r}")
    if any(chosen[h] for h in HUBS) and not chosen["repository"]:
        raise ExtensionError("course_launch: launch buttons need the address of the repository they open")
    return chosen


def configure(app: Sphinx, config: Config) -> None:
    """Hand the launch settings to the theme, which draws the buttons."""
    chosen = launch_settings(config.course_launch, dict(os.environ))
    options = config.html_theme_options
    options["launch_buttons"] = {"notebook_interface": "jupyterlab"}
    if not chosen["repository"]:
        return
    options.update(repository_url=chosen["repository"], path_to_docs=chosen["folder"])
    options["repository_branch"] = chosen["branch"] or "notebooks"
    options["launch_buttons"].update({theme: chosen[ours] for ours, theme in HUBS.items() if chosen[ours]})


def download(app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Put a text chapter as a notebook, ready to be run, beside its source; the theme then offers it."""
    made = Path(app.outdir).parent / "jupyter_execute" / f"{pagename}.ipynb"
    is_text_notebook = "kernelspec" in app.env.metadata.get(pagename, {}) and made.exists()
    if is_text_notebook and context.get("page_source_suffix") != ".ipynb":
        copy = Path(app.outdir) / "_sources" / f"{pagename}.ipynb"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made, copy)
        context["ipynb_source"] = f"{pagename}.ipynb"


def launch_notebook(app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Let launch buttons name the notebook: Colab opens nothing else."""
    for group in context.get("header_buttons", []):
        if group.get("label") == "launch-buttons":
            for button in group["buttons"]:
                button["url"] = re.sub(re.escape(pagename) + r"\.md\b", f"{pagename}.ipynb", button["url"])


class notebooks_table(nodes.General, nodes.Element):
    """Stands where the table of notebooks will be, until every page is known."""


class NotebooksTable(SphinxDirective):
    """``{notebooks-table}``: each room's chapter and assignment as notebooks to be downloaded."""

    def run(self) -> list[nodes.Node]:
        return [notebooks_table()]


def list_notebooks(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put the table in its place, with a row for each room that has a chapter or an assignment."""
    for place in list(doctree.findall(notebooks_table)):
        found = app.env.found_docs
        pages = [name for name in app.env.toctree_includes.get(app.config.root_doc, []) if name.startswith("chapters/")]
        rooms = list(dict.fromkeys(name.split("/")[1] for name in pages))
        rows = []
        for room in rooms:
            cells = "".join(
                f'<td><a href="_sources/{kind}/{room}.ipynb" download aria-label="{kind[:-1]} {room}">notebook</a></td>'
                if f"{kind}/{room}" in found
                else "<td>–</td>"
                for kind in ("chapters", "assignments")
            )
            rows.append(f'<tr><th scope="row">{room}</th>{cells}</tr>')
        head = "".join(f'<th scope="col">{name}</th>' for name in ("room", "chapter", "assignment"))
        table = f'<table class="table"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
        place.replace_self(nodes.raw("", table, format="html"))


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_config_value("course_launch", {}, "html", types=[dict])
    app.connect("config-inited", configure, priority=100)
    app.connect("html-page-context", download, priority=400)
    app.connect("html-page-context", launch_notebook, priority=900)
    app.add_node(notebooks_table)
    app.add_directive("notebooks-table", NotebooksTable)
    app.connect("doctree-resolved", list_notebooks)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
