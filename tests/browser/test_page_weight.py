"""What a reader's browser has to fetch for a page the first time: everything, as a server sends it compressed."""

from __future__ import annotations

import gzip

import pytest
from playwright.sync_api import Browser, Response
from watching import PAGES, settle, watched

pytestmark = pytest.mark.browser
PAGE, PLAIN, WITH_FORMULAS = 250_000, 350_000, 750_000


@pytest.mark.parametrize("name", PAGES)
def test_page_is_light(browser: Browser, served: str, name: str) -> None:
    answers: dict[str, Response] = {}
    with watched(browser) as (context, _):
        page = context.new_page()
        page.on("response", lambda answer: answers.setdefault(answer.url, answer))
        page.goto(f"{served}{name}.html")
        settle(page)
        page.wait_for_load_state("networkidle")
        limit = WITH_FORMULAS if page.locator(".math").count() else PLAIN
        # reading an answer lets later ones come in, as the browser's own wish for an icon: hence the copy; and
        # pictures inside the page itself have addresses too
        weights = {
            address: len(gzip.compress(answer.body()))
            for address, answer in list(answers.items())
            if address.startswith(served)
        }
    heaviest = "\n".join(f"{weight:9d} {address}" for address, weight in sorted(weights.items(), key=lambda w: -w[1]))
    assert weights[f"{served}{name}.html"] <= PAGE, f"the page by itself is too heavy:\n{heaviest}"
    assert sum(weights.values()) <= limit, f"{sum(weights.values())} bytes in all, more than {limit}:\n{heaviest}"
