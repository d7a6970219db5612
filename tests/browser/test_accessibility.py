"""No serious or critical finding of axe-core on any page, light and dark, wide and narrow."""

from __future__ import annotations

from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Browser
from watching import PAGES, settle, watched

pytestmark = pytest.mark.browser
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe(browser: Browser, book: Path, scheme: str, width: int) -> None:
    faults = []
    with watched(browser, viewport={"width": width, "height": 900}, color_scheme=scheme) as (context, _):
        page = context.new_page()
        for name in PAGES:
            page.goto(f"{book.as_uri()}/{name}.html")
            settle(page)
            page.evaluate(AXE)
            found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
            assert found["passes"], f"axe looked at nothing on {name}"
            faults += [
                f"{name}: {v['impact']} {v['id']}: {node['target']} {node['failureSummary']}"
                for v in found["violations"]
                if v["impact"] in ("serious", "critical")
                for node in v["nodes"]
            ]
    assert faults == []
