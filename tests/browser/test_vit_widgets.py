"""The widgets of the ViT chapter, moved by keyboard and pointer, held to course_lib.vit."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch

from course_lib.vit import attention_rollout, mask_from_attention
from course_lib.widgets import PatchAttention, RolloutMask

pytestmark = pytest.mark.browser
GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.rand(2, 1, 6, 6, generator=GENERATOR)
ATTENTION = (2 * torch.randn(3, 2, 2, 10, 10, generator=GENERATOR)).softmax(-1)
ROUNDED = 4e-3  # thousandths, added up over rows and blocks


def numbers(page) -> torch.Tensor:
    return torch.tensor([float(text) for text in page.locator(".cw-patches td").all_inner_texts()])


def test_patch_attention_by_keyboard_and_pointer(alone) -> None:
    page = alone(PatchAttention(IMAGES, ATTENTION, ["one", "two"], query=1))
    torch.testing.assert_close(numbers(page), ATTENTION[0, 0, 0, 1, 1:], atol=ROUNDED, rtol=0)
    page.locator("[data-patch='0']").focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowLeft", "ArrowLeft", "ArrowRight"):
        page.keyboard.press(key)
    torch.testing.assert_close(numbers(page), ATTENTION[0, 0, 0, 5, 1:], atol=ROUNDED, rtol=0)
    assert page.locator(".cw-status").inner_text().startswith("The patch in row 2, column 2 looks most")
    assert page.locator(".cw-patches [tabindex='0']").count() == 1
    page.locator("[data-patch='8']").click()
    page.locator(".cw-layer").focus()
    page.keyboard.press("ArrowRight")
    page.locator(".cw-head").focus()
    page.keyboard.press("ArrowRight")
    page.locator(".cw-image-choice").select_option("1")
    torch.testing.assert_close(numbers(page), ATTENTION[1, 1, 1, 9, 1:], atol=ROUNDED, rtol=0)
    page.locator(".cw-cls").click()
    torch.testing.assert_close(numbers(page), ATTENTION[1, 1, 1, 0, 1:], atol=ROUNDED, rtol=0)


def test_rollout_and_mask_are_those_of_the_library(alone) -> None:
    page = alone(RolloutMask(IMAGES, ATTENTION, ["one", "two"]))
    page.locator(".cw-layer").focus()
    page.keyboard.press("End")
    page.locator(".cw-keep").fill("0.4")
    rolled = attention_rollout(list(ATTENTION))[0, 0, 1:]
    torch.testing.assert_close(numbers(page), rolled, atol=ROUNDED, rtol=0)
    mask = mask_from_attention(rolled.view(3, 3), 0.4).flatten()
    chosen = page.locator(".cw-patches td").evaluate_all("(all) => all.map((td) => td.classList.contains('cw-chosen'))")
    assert chosen == mask.tolist()
    said = page.locator(".cw-status").inner_text()
    assert re.search(r"Through 3 blocks, (\d) of 9", said).group(1) == str(int(mask.sum()))


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="Need square images"):
        PatchAttention(IMAGES, ATTENTION[..., :9, :9], ["one", "two"])


@pytest.mark.parametrize("keep", [0.05, 0.3, 0.5, 0.75, 1.0])
def test_exported_functions_agree_with_the_library(load: Callable, keep: float) -> None:
    call = load(RolloutMask)
    # equal masses, a sum that is exactly enough, and nothing at all
    maps = [[0.25, 0.25, 0.25, 0.25], [0.1, 0.2, 0.3, 0.4], [0.5, 0.0, 0.5, 0.0], [0.0] * 4, [3.0, 9.0, 1.0, 7.0]]
    for masses in maps:
        expected = mask_from_attention(torch.tensor(masses, dtype=torch.float64).view(2, 2), keep)
        assert call("maskOf", masses, keep) == expected.flatten().tolist()
    blocks = ATTENTION[:, 0].double()
    got = torch.tensor(call("rollout", blocks.tolist()), dtype=torch.float64)
    torch.testing.assert_close(got, attention_rollout(list(blocks[:, None]))[0])
