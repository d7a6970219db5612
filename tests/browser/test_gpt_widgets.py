"""The widgets of the GPT chapter: their mathematics held to the course's own, and moved by keyboard and pointer."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from playwright.sync_api import Page

from course_lib.generation import next_token_probs
from course_lib.kv_cache import causal_mask
from course_lib.widgets import CacheSteps, NextToken

pytestmark = pytest.mark.browser
WORDS = ["a", "time", "night", "the", "wren"]
LOGITS = torch.tensor([[2.0, 1.0, 0.5, 0.5, -1.0], [0.0, 3.0, 0.7, -2.0, 0.7]], dtype=torch.float64)
SHOWN = 6e-4


@pytest.mark.parametrize("logits", [[0.3, -1.2, 2.5, 0.1, 0.1], [1.0, 1.0, 0.0, 1.0], [1000.0, -1000.0, 999.0], [5.0]])
def test_next_token_probs_are_the_librarys(load: Callable, logits: list[float]) -> None:
    call = load(NextToken)
    z = torch.tensor(logits, dtype=torch.float64)
    for temperature in (0, 1e-3, 0.7, 1, 3):
        for top_k in (1, 2, 3, len(logits), 99):
            for top_p in (0.05, 0.3, 0.61, 0.99, 1):
                got = call("nextTokenProbs", logits, temperature, top_k, top_p)
                wanted = next_token_probs(z, temperature, top_k, top_p)
                torch.testing.assert_close(torch.tensor(got, dtype=torch.float64), wanted)


def expect_distribution(page: Page, prompt: int = 0, **sampling: float) -> torch.Tensor:
    """The table holds the course's distribution of the chosen prompt, best first, and the status agrees."""
    probs = next_token_probs(LOGITS[prompt], **sampling)
    order = LOGITS[prompt].sort(descending=True, stable=True).indices
    shown = torch.tensor([float(t) for t in page.locator(".cw-number").all_inner_texts()], dtype=torch.float64)
    wanted = torch.cat([probs[order[:3]], probs[order[3:]].sum()[None]])
    torch.testing.assert_close(shown, wanted, atol=SHOWN, rtol=0)
    names = page.locator("tbody th").all_inner_texts()
    assert names == [*(WORDS[i] for i in order[:3]), "2 others"]
    said = page.locator(".cw-status").inner_text()
    kept = probs[probs > 0]
    assert f"{len(kept)} of 5 words can be drawn" in said
    entropy = float(re.search(r"entropy (\d+\.\d+)", said).group(1))
    assert abs(entropy + (kept * kept.log()).sum().item()) < SHOWN
    return probs


def test_next_token_by_keyboard(alone) -> None:
    page = alone(NextToken(WORDS, ["Once", "upon a"], LOGITS, shown=3))
    expect_distribution(page)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "cw-prompt"
    page.keyboard.press("Tab")
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    expect_distribution(page, temperature=1.3)
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    # the third and the fourth are equal: both stay
    assert (expect_distribution(page, temperature=1.3, top_k=3) > 0).sum() == 4
    page.keyboard.press("Tab")
    for _ in range(9):
        page.keyboard.press("ArrowLeft")
    expect_distribution(page, temperature=1.3, top_k=3, top_p=0.55)
    page.locator(".cw-temperature").focus()
    page.keyboard.press("Home")
    expect_distribution(page, temperature=0)
    assert page.locator(".cw-controls output").first.inner_text() == "0 (greedy)"


def test_next_token_by_pointer(alone) -> None:
    page = alone(NextToken(WORDS, ["Once", "upon a"], LOGITS, shown=3))
    page.locator(".cw-prompt").select_option("1")
    expect_distribution(page, prompt=1)
    box = page.locator(".cw-top-k").bounding_box()
    page.mouse.click(box["x"] + 1, box["y"] + box["height"] / 2)
    expect_distribution(page, prompt=1, top_k=1)
    assert page.locator("caption").inner_text() == "upon a ____"


def test_long_beginnings_fit_on_a_phone(alone) -> None:
    page = alone(NextToken(WORDS, ["Once upon a time " * 8, "b"], LOGITS, shown=3))
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_next_token_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="row for each of 1 prompts"):
        NextToken(WORDS, ["Once"], LOGITS)
    with pytest.raises(ValueError, match="finite"):
        NextToken(WORDS, ["Once", "b"], LOGITS.log())


@pytest.mark.parametrize("prompt", [1, 3])
def test_costs_are_those_of_the_masks(load: Callable, prompt: int) -> None:
    call = load(CacheSteps)
    tokens = {True: 0, False: 0}
    scores = {True: 0, False: 0}
    for step in range(5):
        seen = prompt + step
        new = prompt if step == 0 else 1
        for cached, (asked, past) in {True: (new, seen - new), False: (seen, 0)}.items():
            tokens[cached] += asked
            scores[cached] += int(causal_mask(asked, past).sum())
            assert call("costOf", prompt, step, cached) == {
                "tokens": asked, "scores": int(causal_mask(asked, past).sum()),
            }  # fmt: skip
            got = call("costSoFar", prompt, step, cached)
            assert got == {"tokens": tokens[cached], "scores": scores[cached]}


def expect_steps(page: Page, prompt: int, step: int, cached: bool) -> None:
    seen = prompt + step
    new = prompt if step == 0 else 1
    asked, past = (new, seen - new) if cached else (seen, 0)
    cells = {s: page.locator(f".cw-score-{s}").count() for s in ("anew", "kept", "none")}
    now = [int(page.locator(f"{row} td").first.inner_text()) for row in (".cw-tokens", ".cw-pairs")]
    assert now == [asked, cells["anew"]] and cells["anew"] == int(causal_mask(asked, past).sum())
    assert cells["kept"] == seen * (seen + 1) // 2 - cells["anew"]
    assert sum(cells.values()) == 15
    without = sum(range(prompt, seen + 1))
    assert int(page.locator(".cw-tokens td").nth(2).inner_text()) == without
    assert int(page.locator(".cw-tokens td").nth(1).inner_text()) == (prompt + step if cached else without)


def test_cache_steps_by_keyboard_and_pointer(alone) -> None:
    page = alone(CacheSteps("Once upon a time there".split(), prompt=2, step=1))
    expect_steps(page, 2, 1, True)
    assert "To draw “time”: 1 token read, 3 scores" in page.locator(".cw-status").inner_text()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect_steps(page, 2, 2, True)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect_steps(page, 2, 2, False)
    page.locator(".cw-cached").click()
    page.locator(".cw-step").focus()
    page.keyboard.press("Home")
    expect_steps(page, 2, 0, True)


def test_cache_steps_refuse_a_prompt_that_leaves_nothing() -> None:
    with pytest.raises(ValueError, match="prompt of 2"):
        CacheSteps(["a", "b"], prompt=2)
