"""Hold widgets to what works in a page without a kernel, and leave a sentence where scripts are off."""

from __future__ import annotations

import json
from typing import Any

from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

VIEW = '<script type="application/vnd.jupyter.widget-view+json">'
NO_SCRIPT = "<noscript><p>Here stands an interactive figure; it needs JavaScript.</p></noscript>"


def foreign_widgets(states: dict[str, dict[str, Any]]) -> list[str]:
    """Names of the models that are no anywidgets: without a kernel they would look alive and be dead."""
    return sorted(
        m["model_name"]
        for m in states.values()
        if m["model_module"] != "anywidget" and m["model_name"] != "LayoutModel"
    )


def check_page(app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Refuse a page with other widgets (``ExtensionError``); add the sentence for readers without scripts."""
    files = NbMetadataCollector.get_js_files(app.env, pagename)
    if "ipywidgets_state" not in files:
        return
    foreign = foreign_widgets(json.loads(files["ipywidgets_state"][1]["body"])["state"])
    if foreign:
        raise ExtensionError(
            f"{pagename}: the page shows {', '.join(foreign)}, which needs a kernel; "
            "use a class of course_lib.widgets instead"
        )
    context["body"] = context["body"].replace(VIEW, NO_SCRIPT + VIEW)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("html-page-context", check_page, priority=400)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
