"""Each widget moved by keyboard and pointer: what it shows must follow, to the numbers torch gives."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Browser, Locator, Page
from spelling import spelled
from watching import settle, watched

from course_lib.attention import attend, gram_attention
from course_lib.widgets import AttentionPlane, GramClusters, MaskedAttentionMap

pytestmark = pytest.mark.browser
SHOWN = 6e-4  # numbers are shown with three digits


def number(text: str) -> float:
    """The number in a piece of text, its minus sign as printed in a page."""
    return float(re.search(r"[−-]?\d+(\.\d+)?", text).group().replace("−", "-"))


def point(handle: Locator) -> list[float]:
    return [number(part) for part in handle.get_attribute("aria-valuetext").split(",")]


def expect_plane(page: Page, widget: AttentionPlane, **changed: object) -> None:
    """What the page shows is attention over the points it shows."""
    state = {"temperature": widget.temperature, "scaled": widget.scaled, "allowed": widget.allowed, **changed}
    query = torch.tensor([point(page.locator(".cw-query"))])
    keys = torch.tensor([point(k) for k in page.locator(".cw-key").all()])
    values = torch.tensor(widget.value_points)
    undo = 1.0 if state["scaled"] else 2**0.5
    output, weights = attend(query * undo / state["temperature"], keys, values, torch.tensor([state["allowed"]]))
    shown = torch.tensor([number(t) for t in page.locator(".cw-number").all_inner_texts()])
    torch.testing.assert_close(shown, weights[0], atol=SHOWN, rtol=0)
    place = page.locator(".cw-status").inner_text().split("output (")[1]
    shown_output = torch.tensor([number(part) for part in place.split(",")])
    torch.testing.assert_close(shown_output, output[0], atol=SHOWN, rtol=0)


def drag(page: Page, handle: Locator, dx: float, dy: float) -> None:
    box = handle.locator(".cw-mark").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx, y + dy, steps=4)
    page.mouse.up()
    page.mouse.move(x, y)  # a dropped point stays


def test_plane_by_keyboard(alone) -> None:
    widget = AttentionPlane()
    page = alone(widget)
    expect_plane(page, widget)
    page.keyboard.press("Tab")
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowDown")
    moved = [page.locator(h) for h in (".cw-query", ".cw-key >> nth=0")]
    assert [1.0, 1.0] != point(moved[0]) or [1.6, 0.6] != point(moved[1]), "Tab leads to a point"
    page.locator(".cw-query").focus()
    for key in ("ArrowUp", "ArrowUp", "ArrowRight", "Shift+ArrowRight"):
        page.keyboard.press(key)
    expect_plane(page, widget)
    page.locator(".cw-temperature").focus()
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    expect_plane(page, widget, temperature=1.6)


def test_plane_by_pointer(alone) -> None:
    widget = AttentionPlane(temperature=0.5)
    page = alone(widget)
    before = point(page.locator(".cw-query"))
    drag(page, page.locator(".cw-query"), -60, 40)
    after = point(page.locator(".cw-query"))
    assert after[0] < before[0] - 0.5 and after[1] < before[1] - 0.3
    drag(page, page.locator(".cw-key").nth(2), 500, -500)
    assert point(page.locator(".cw-key").nth(2)) == [3, 3], "a point dragged out of the plane stays at its edge"
    expect_plane(page, widget)
    page.locator(".cw-scaled").click()
    expect_plane(page, widget, scaled=False)


def test_plane_masks(alone) -> None:
    widget = AttentionPlane()
    page = alone(widget)
    boxes = page.locator("tbody input")
    boxes.nth(1).click()
    expect_plane(page, widget, allowed=[True, False, True, True])
    for i in (0, 2, 3):
        boxes.nth(i).focus()
        page.keyboard.press("Space")
    assert "every weight is 0; output (0.000, 0.000)" in page.locator(".cw-status").inner_text()
    expect_plane(page, widget, allowed=[False] * 4)


def expect_map(page: Page, words: list[str], *, mask: str, pad_left: bool, temperature: float) -> None:
    pads = ["·pad·"] * (8 - len(words))
    tokens = pads + words if pad_left else words + pads
    vectors = torch.stack([spelled(t, 16) for t in tokens])
    allowed = torch.ones(8, 8, dtype=torch.bool)
    if "causal" in mask:
        allowed = allowed.tril()
    if "padding" in mask:
        allowed = allowed & torch.tensor([t not in pads for t in tokens])
    _, weights = attend(vectors / temperature, vectors, vectors, allowed)
    for i, row in enumerate(page.locator(".cw-map tbody tr").all()):
        cells = row.locator("td").all_inner_texts()
        for j, text in enumerate(cells[:-1]):
            if allowed[i, j]:
                assert abs(number(text) - weights[i, j]) < 6e-3
            else:
                assert text == "–"
        assert abs(number(cells[-1]) - weights[i].sum()) < 6e-3


def test_map_by_keyboard(alone) -> None:
    page = alone(MaskedAttentionMap("the bird saw birds", mask="causal"))
    words = "the bird saw birds".split()
    expect_map(page, words, mask="causal", pad_left=False, temperature=1.0)
    page.locator('[data-at="0,0"]').focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    vectors = [spelled(w, 16) for w in words]
    scores = torch.stack([vectors[3] @ v / 4 for v in vectors])
    status = page.locator(".cw-status").inner_text()
    assert status.startswith("query birds → key bird:")
    assert abs(number(status.split("score")[1]) - scores[1]) < SHOWN
    assert abs(number(status.split("weight")[1]) - scores.softmax(0)[1]) < SHOWN
    assert "row sums to 1.000" in status
    page.keyboard.press("End")
    assert "masked, weight 0" in page.locator(".cw-status").inner_text()
    # only one cell is in the way of the Tab key
    assert page.locator(".cw-map [tabindex='0']").count() == 1


def test_map_by_pointer_and_controls(alone) -> None:
    page = alone(MaskedAttentionMap())
    page.locator(".cw-mask").select_option("causal+padding")
    page.locator(".cw-left").click()
    page.locator(".cw-sentence").fill("two birds or three birds")
    page.locator(".cw-temperature").fill("0.5")
    words = "two birds or three birds".split()
    expect_map(page, words, mask="causal+padding", pad_left=True, temperature=0.5)
    page.locator('[data-at="2,6"]').hover()
    assert "row sums to 0.000" in page.locator(".cw-status").inner_text()
    page.locator('[data-at="7,4"]').hover()
    assert page.locator(".cw-status").inner_text().startswith("query birds → key birds: score 3.000")
    page.locator(".cw-sentence").fill("")
    expect_map(page, [], mask="causal+padding", pad_left=True, temperature=0.5)


def test_a_sentence_cannot_bring_markup(alone) -> None:
    page = alone(MaskedAttentionMap("<img src=x onerror=alert(1)>"))
    assert page.locator("img").count() == 0
    assert "<img" in page.locator(".cw-map tbody th").first.inner_text()


def gram(widget: GramClusters, steps: int, temperature: float, *, normalise: bool) -> torch.Tensor:
    points = torch.tensor([widget.points], dtype=torch.float64)
    for _ in range(steps):
        points = gram_attention(points, temperature)
        if normalise:
            points = torch.nn.functional.normalize(points, dim=-1)
    return points[0]


def test_gram_steps(alone) -> None:
    widget = GramClusters()
    page = alone(widget)

    def shown() -> torch.Tensor:
        dots = page.locator(".cw-dot").evaluate_all("(dots) => dots.map((d) => d.dataset.point.split(',').map(Number))")
        return torch.tensor(dots, dtype=torch.float64)

    status = page.locator(".cw-status")
    torch.testing.assert_close(shown(), gram(widget, 0, 0.2, normalise=False))
    page.locator(".cw-ten").click()
    page.locator(".cw-step").focus()
    page.keyboard.press("Enter")
    torch.testing.assert_close(shown(), gram(widget, 11, 0.2, normalise=False))
    assert status.inner_text().startswith("Step 11: 12 points in 3 groups")
    page.locator(".cw-normalise").click()
    page.locator(".cw-temperature").focus()
    page.keyboard.press("ArrowRight")
    torch.testing.assert_close(shown(), gram(widget, 11, 0.25, normalise=True))
    # what is drawn agrees with what is computed: the dot stands where its point is
    box = page.locator(".cw-plane").bounding_box()
    x, y = shown()[0].tolist()
    unit = box["width"] / (2 * widget.limit + 0.6)
    dot = page.locator(".cw-dot").first.bounding_box()
    assert abs(dot["x"] + dot["width"] / 2 - box["x"] - box["width"] / 2 - x * unit) < 2
    assert abs(dot["y"] + dot["height"] / 2 - box["y"] - box["height"] / 2 + y * unit) < 2
    page.locator(".cw-reset").click()
    torch.testing.assert_close(shown(), gram(widget, 0, 0.2, normalise=False))


def test_widgets_are_alive_in_the_chapter(browser: Browser, book: Path) -> None:
    """In the page itself: each temperature slider, moved by keyboard, changes what its widget says."""
    with watched(browser, viewport={"width": 390, "height": 844}) as (context, watch):
        page = context.new_page()
        page.goto(f"{book.as_uri()}/chapters/attention.html")
        settle(page)
        widgets = page.locator(".cw").all()
        assert len(widgets) >= 2
        for widget in widgets:
            if widget.locator(".cw-ten").count():
                widget.locator(".cw-ten").click()
            before = (
                widget.locator(".cw-status").inner_text(),
                widget.locator("svg, table").first.inner_html(),
            )
            widget.locator(".cw-temperature").focus()
            for _ in range(8):
                page.keyboard.press("ArrowRight")
            after = widget.locator(".cw-status").inner_text(), widget.locator("svg, table").first.inner_html()
            assert before != after
        assert watch.faults() == []


def test_printed_page_keeps_the_drawing_without_the_controls(alone) -> None:
    page = alone(AttentionPlane())
    page.emulate_media(media="print")
    assert page.locator(".cw-controls").is_hidden() and page.locator(".cw-help").is_hidden()
    assert page.locator(".cw-plane").first.is_visible() and page.locator(".cw-table").is_visible()
    assert page.locator(".cw-status").is_visible()
