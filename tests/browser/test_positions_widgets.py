"""The widgets of the positions chapter: by keyboard and pointer, and their mathematics held to the course's own."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from playwright.sync_api import Page
from torch.testing import assert_close

from course_lib.positions import alibi_bias, alibi_slopes, rope
from course_lib.widgets import AlibiHeads, RotaryDistance

pytestmark = pytest.mark.browser


def doubles(values: object) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def status(page: Page) -> str:
    return page.locator(".cw-status").inner_text().replace("−", "-")


def score(widget: RotaryDistance, m: int, n: int, base: float) -> float:
    q, k = doubles(widget.query), doubles(widget.key)
    turned = [rope(x[None], torch.tensor([p]), base)[0] for x, p in ((q, m), (k, n))]
    return float(turned[0] @ turned[1] / len(q) ** 0.5)


@pytest.mark.parametrize("base", [3.0, 10000.0])
def test_turning_is_rope(load: Callable, base: float) -> None:
    call = load(RotaryDistance)
    x = torch.randn(2, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for place in (0, 7, -31):
        assert_close(doubles(call("turn", x[0].tolist(), place, base)), rope(x[:1], torch.tensor([place]), base)[0])
    turned = rope(x, torch.tensor([9, 2]), base)
    got = call("rotaryScore", x[0].tolist(), x[1].tolist(), 9, 2, base)
    assert_close(doubles(got), turned[0] @ turned[1] / 6**0.5)


@pytest.mark.parametrize("heads", [1, 2, 3, 6, 8, 12])
@pytest.mark.parametrize("causal", [True, False])
def test_alibi_is_the_courses(load: Callable, heads: int, causal: bool) -> None:
    call = load(AlibiHeads)
    assert_close(doubles(call("alibiSlopes", heads)), alibi_slopes(heads))
    bias = alibi_bias(heads, 9, dtype=torch.float64)[:, 5].clone()
    if causal:
        bias[:, 6:] = -torch.inf
    weights = call("alibiWeights", {"heads": heads, "n": 9, "query": 5, "causal": causal})
    assert_close(doubles(weights), bias.softmax(-1))


def test_reach_holds_the_share_and_no_less_does(load: Callable) -> None:
    call = load(AlibiHeads)
    assert call("reach", [0.1, 0.2, 0.5, 0.1, 0.1], 2, 0.5) == 0
    assert call("reach", [0.1, 0.2, 0.5, 0.1, 0.1], 2, 0.75) == 1
    assert call("reach", [0.1, 0.2, 0.5, 0.1, 0.1], 2, 0.9) == 2


def test_rotary_distance_by_keyboard(alone) -> None:
    widget = RotaryDistance((0.3, -1.2, 0.8, 0.5), (1.0, 0.4, -0.6, 0.9), query_place=10, key_place=4)
    page = alone(widget)
    assert f"distance 6, score {score(widget, 10, 4, 100):.3f}" in status(page)
    page.locator(".cw-query-place").focus()
    page.keyboard.press("ArrowRight")
    assert f"Query at 11, key at 4: distance 7, score {score(widget, 11, 4, 100):.3f}" in status(page)
    page.locator(".cw-on").focus()
    page.keyboard.press("Enter")
    assert f"Query at 16, key at 9: distance 7, score {score(widget, 11, 4, 100):.3f}" in status(page)
    page.locator(".cw-base").focus()
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    assert f"score {score(widget, 16, 9, 10):.3f}" in status(page)


def test_rotary_distance_by_pointer(alone) -> None:
    widget = RotaryDistance(query_place=50, key_place=58)
    page = alone(widget)
    page.locator(".cw-on").click()
    assert "Query at 52, key at 60: distance -8" in status(page), "both stop where the first comes to the end"
    box = page.locator(".cw-key-place").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    place = int(re.search(r"key at (\d+)", status(page)).group(1))
    assert 10 <= place <= 20
    assert f"score {score(widget, 52, place, 100):.3f}" in status(page)


def test_alibi_heads_by_keyboard_and_pointer(alone) -> None:
    page = alone(AlibiHeads(4, n=16, query=9))

    def expect(heads: int, query: int, *, causal: bool) -> None:
        bias = alibi_bias(heads, 16, dtype=torch.float64)[:, query].clone()
        if causal:
            bias[:, query + 1 :] = -torch.inf
        shown = doubles([float(t) for t in page.locator(".cw-number").all_inner_texts()])
        assert_close(shown, bias.softmax(-1)[:, query], atol=6e-4, rtol=0)
        assert page.locator(".cw-strip").count() == heads * 16

    expect(4, 9, causal=True)
    page.locator(".cw-place").focus()
    page.keyboard.press("ArrowLeft")
    page.locator(".cw-heads").focus()
    page.keyboard.press("ArrowRight")
    expect(5, 8, causal=True)
    page.locator(".cw-causal").click()
    expect(5, 8, causal=False)
