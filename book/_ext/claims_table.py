"""The table of the lecture's claims, collected from the boxes and anchors that the chapters hold."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from course_lib.figures.claims import CLAIMS

BOX = re.compile(r'<div class="claim" data-claim="(\d+)" data-figure="([^"]*)"')
LOG = logging.getLogger(__name__)


class claims_table(nodes.General, nodes.Element):
    """Stands where the table will be, until every chapter has been read."""


class ClaimsTable(SphinxDirective):
    """``{claims-table}``: every claim, the place of its experiment, and the figure that was measured."""

    def run(self) -> list[nodes.Node]:
        return [claims_table()]


def boxes(env: BuildEnvironment) -> dict[str, dict[int, str]]:
    """The figures of the claims by chapter, as HTML text."""
    if not hasattr(env, "course_claims"):
        env.course_claims = {}
    return env.course_claims


def tables(env: BuildEnvironment) -> set[str]:
    """The pages with a table."""
    if not hasattr(env, "course_claims_tables"):
        env.course_claims_tables = set()
    return env.course_claims_tables


def collect(app: Sphinx, doctree: nodes.document) -> None:
    """Note the claims of a page that has just been read."""
    # an output has a form for pages and others beside it; only that for pages is marked up like this
    if any(doctree.findall(claims_table)):
        tables(app.env).add(app.env.docname)
    found = {
        int(number): figure for node in doctree.findall(nodes.raw) for number, figure in BOX.findall(node.astext())
    }
    if found:
        boxes(app.env)[app.env.docname] = found


def forget(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget what a page held that is read again or gone."""
    boxes(env).pop(docname, None)
    tables(env).discard(docname)


def table_pages(app: Sphinx, env: BuildEnvironment) -> Iterable[str]:
    """The pages with a table: they change when any chapter does."""
    return tables(env)


def fill(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put the table in its place; a claim without a box and an anchor in one chapter is a warning."""
    for place in list(doctree.findall(claims_table)):
        rows = [row(app, docname, number) for number in CLAIMS]
        head = "".join(f'<th scope="col">{name}</th>' for name in ("", "the lecture says", "measured here", "where"))
        text = (
            '<div class="result-table" role="region" tabindex="0" aria-label="The claims of the lecture">'
            f'<table class="table"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
        )
        place.replace_self(nodes.raw("", text, format="html"))


def row(app: Sphinx, docname: str, number: int) -> str:
    """One claim as a row of the table."""
    claim = f'<th scope="row">{number}</th><td>{html.escape(CLAIMS[number])}</td>'
    holders = [(name, found[number]) for name, found in boxes(app.env).items() if number in found]
    anchor = app.env.domaindata["std"]["anonlabels"].get(f"claim-{number}")
    if len(holders) != 1 or anchor is None or anchor[0] != holders[0][0]:
        where = ", ".join(name for name, _ in holders) or "no chapter"
        LOG.warning("claim %d has a box in %s and its anchor in %s", number, where, anchor and anchor[0])
        return f"<tr>{claim}<td></td><td></td></tr>"
    name, figure = holders[0]
    address = f"{app.builder.get_relative_uri(docname, name)}#{anchor[1]}"
    title = html.escape(app.env.titles[name].astext())
    return f'<tr>{claim}<td>{figure}</td><td><a href="{address}">{title}</a></td></tr>'


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_node(claims_table)
    app.add_directive("claims-table", ClaimsTable)
    app.connect("doctree-read", collect)
    app.connect("env-purge-doc", forget)
    app.connect("env-updated", table_pages)
    app.connect("doctree-resolved", fill)
    return {"version": "2", "env_version": 2, "parallel_read_safe": False, "parallel_write_safe": True}
