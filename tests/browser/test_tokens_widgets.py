"""The widgets of the tokens chapter: what they compute is what the course's own functions compute."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from playwright.sync_api import Browser
from torch.testing import assert_close
from watching import watched

from course_lib.attention import gram_attention
from course_lib.tokens import BPETokenizer, conv_mixing_matrix, patchify, pyramid_mixing_matrix, train_bpe
from course_lib.widgets import BPEMerges, MixingMatrix, PatchTokens

pytestmark = pytest.mark.browser
LOAD = """async (source) => {
  window.widget = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
}"""
TEXTS = ["aaabdaaabac", "aaaa", "Grüße, 世界 🐦🐦🐦", "", "x", "the bird in the third birch heard the other birds"]


@pytest.fixture(scope="module")
def load(browser: Browser):
    """A function that loads a widget's script and returns a caller of its exported functions."""
    with watched(browser) as (context, _):

        def loaded(widget: type) -> Callable:
            page = context.new_page()
            page.evaluate(LOAD, str(widget._esm))
            return lambda name, *given: page.evaluate(
                "([name, given]) => window.widget[name](...given)", [name, list(given)]
            )

        yield loaded


@pytest.mark.parametrize("text", TEXTS)
def test_merges_are_those_of_the_course(load: Callable, text: str) -> None:
    learned = train_bpe(text.encode(), 30)
    result = load(BPEMerges)("trainBpe", text, 30)
    assert [(tuple(m["pair"]), m["id"]) for m in result["learned"]] == list(learned.items())
    assert result["ids"] == BPETokenizer(learned).encode(text)


def test_patches_are_those_of_the_course(load: Callable) -> None:
    levels = torch.randint(256, (3, 6, 10), generator=torch.Generator().manual_seed(0))
    tokens = torch.tensor(load(PatchTokens)("patchify", levels.flatten().tolist(), [3, 6, 10], 2))
    assert_close(tokens, patchify(levels[None] / 255, 2)[0])


def test_matrices_are_those_of_the_course(load: Callable) -> None:
    call = load(MixingMatrix)
    kernel = torch.tensor([0.5, 1.0, -0.3, 0.2, 2.0], dtype=torch.float64)
    for size in (1, 2, 3, 5):
        for stride in (1, 2, 3):
            matrix = torch.tensor(call("convMatrix", 11, kernel[:size].tolist(), stride), dtype=torch.float64)
            assert_close(matrix, conv_mixing_matrix(11, kernel[:size], stride))
    pyramid = torch.tensor(call("pyramidMatrix", 13, kernel[:3].tolist(), 3), dtype=torch.float64)
    assert_close(pyramid, pyramid_mixing_matrix(13, kernel[:3], 3))
    values = torch.tensor([[0.3, -1.5, 2.0, 0.0]], dtype=torch.float64)[..., None]
    attention = torch.tensor(call("attentionMatrix", values.flatten().tolist(), 0.7), dtype=torch.float64)
    assert_close(attention @ values[0], gram_attention(values, 0.7)[0])


def test_each_widget_follows_the_keyboard(alone) -> None:
    page = alone(BPEMerges("aaabdaaabac"))
    page.locator(".cw-step").press("Enter")
    assert "became token 256. 11 bytes in 9 tokens" in page.locator(".cw-status").inner_text()
    page.locator(".cw-text").fill("äää")
    assert "6 bytes" in page.locator(".cw-status").inner_text()
    page = alone(PatchTokens(torch.rand(3, 12, 18), patch=6))
    page.locator(".cw-picture [data-index='0']").focus()
    page.keyboard.press("ArrowDown")
    assert page.locator(".cw-status").inner_text().startswith("Token 3 of 0 to 5 is the patch in row 1, column 0")
    page.locator(".cw-sequence [data-index='5']").hover()
    assert page.locator(".cw-status").inner_text().startswith("Token 5 ")
    page = alone(MixingMatrix(kind="attention"))
    page.locator(".cw-old [role='slider']").first.focus()
    page.keyboard.press("PageUp")
    assert "moved by 0.000" not in page.locator(".cw-status").inner_text()
    page.locator(".cw-kind").select_option("convolution")
    assert "moved by 0.000" in page.locator(".cw-status").inner_text()
