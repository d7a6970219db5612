"""The widgets of the tokens chapter: what they compute is what the course's own functions compute."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from playwright.sync_api import Page
from torch.testing import assert_close

from course_lib.attention import gram_attention
from course_lib.tokens import BPETokenizer, conv_mixing_matrix, patchify, pyramid_mixing_matrix, train_bpe
from course_lib.widgets import BPEMerges, MixingMatrix, PatchTokens

pytestmark = pytest.mark.browser
TEXTS = ["aaabdaaabac", "aaaa", "Grüße, 世界 🐦🐦🐦", "", "x", "the bird in the third birch heard the other birds"]


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


def test_bars_are_dragged_and_only_attention_follows(alone) -> None:
    widget = MixingMatrix(kind="attention")
    values = list(widget.values)

    def drag(page: Page, bar: int, share: float) -> None:
        """Press bar `bar` in the middle and pull it to `share` of the picture's height, from above."""
        box = page.locator(".cw-old svg").bounding_box()
        x = box["x"] + box["width"] * (bar + 0.5) / len(values)
        page.mouse.move(x, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(x, box["y"] + box["height"] * share, steps=4)
        page.mouse.up()
        page.mouse.move(x, box["y"] + box["height"] / 2)  # a bar that was let go stays

    def expect(page: Page, matrix: torch.Tensor) -> None:
        cells = page.locator(".cw-matrix td").evaluate_all("cells => cells.map((c) => Number(c.dataset.weight))")
        assert_close(torch.tensor(cells, dtype=torch.float64).view(matrix.shape), matrix)
        now = page.locator(".cw-old [role='slider']").evaluate_all(
            "bars => bars.map((b) => Number(b.getAttribute('aria-valuenow')))"
        )
        assert now == pytest.approx(values)
        shown = page.locator(".cw-fresh svg").get_attribute("aria-label").replace("−", "-")
        mixed = [float(v) for v in shown.removeprefix("New tokens: ").split(", ")]
        expected = (matrix @ torch.tensor(values, dtype=torch.float64)).tolist()
        assert mixed == pytest.approx(expected, rel=0, abs=0.00501)  # two decimals

    def attention(temperature: float) -> torch.Tensor:
        v = torch.tensor(values, dtype=torch.float64)
        return torch.softmax(v[:, None] * v / temperature, -1)

    page = alone(widget)
    page.locator(".cw-old svg").scroll_into_view_if_needed()
    expect(page, attention(0.5))
    drag(page, 2, 0.26)  # (40 - 0.26 * 80) / 38 * 2
    values[2] = 1.0
    expect(page, attention(0.5))
    drag(page, 5, 3.0)
    values[5] = -2.0
    expect(page, attention(0.5))
    page.locator(".cw-temperature").fill("1.5")
    expect(page, attention(1.5))
    page.locator(".cw-kind").select_option("convolution")
    binomial = torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64)
    expect(page, conv_mixing_matrix(12, binomial))
    drag(page, 0, 0.5)
    values[0] = 0.0
    expect(page, conv_mixing_matrix(12, binomial))
    assert "moved by 0.000" in page.locator(".cw-status").inner_text()
    page.locator(".cw-reset").click()
    values[:] = widget.values
    expect(page, conv_mixing_matrix(12, binomial))


def test_buttons_and_slider_lead_to_the_same_merges(alone) -> None:
    text = "the bird in the third birch heard the other birds"
    page = alone(BPEMerges(text))
    most = int(page.locator(".cw-steps").get_attribute("max"))

    def expect(steps: int) -> None:
        learned = train_bpe(text.encode(), steps)
        ids = page.locator(".cw-piece").evaluate_all("pieces => pieces.map((p) => Number(p.dataset.id))")
        assert ids == BPETokenizer(learned).encode(text)
        assert page.locator(".cw-steps").input_value() == str(steps)
        assert page.locator(".cw-step").is_disabled() == page.locator(".cw-ten").is_disabled() == (steps == most)
        assert page.locator(".cw-back").is_disabled() == page.locator(".cw-reset").is_disabled() == (steps == 0)

    expect(0)
    for button, steps in [("step", 1), ("ten", 11), ("back", 10), ("step", 11), ("reset", 0), ("ten", 10)]:
        page.locator(f".cw-{button}").click()
        expect(steps)
    box = page.locator(".cw-steps").bounding_box()
    page.mouse.click(box["x"] + box["width"] - 1, box["y"] + box["height"] / 2)
    expect(most)
    assert len(train_bpe(text.encode(), most + 5)) == most, "the slider ends where nothing is left to merge"
    page.locator(".cw-steps").fill("7")
    expect(7)
