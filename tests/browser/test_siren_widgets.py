"""The widgets of the chapter on fields: by keyboard and pointer, and their mathematics held to the course's own."""

from __future__ import annotations

import re

import pytest
import torch
from playwright.sync_api import Page
from torch.testing import assert_close

from course_lib.siren import Siren, coordinate_grid, siren_bound
from course_lib.widgets import FieldZoom, RandomSiren

pytestmark = pytest.mark.browser
DRAWN = "{seed: %d, width: %d, depth: %d, omega: %r}"


def doubles(values: object) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def siren_of(layers: list[dict], omega: float) -> Siren:
    """The course's Siren, in float64, with the weights that a widget has."""
    weights = [doubles(layer["weight"]) for layer in layers]
    field = Siren(weights[0].shape[1], weights[0].shape[0], len(layers) - 1, len(weights[-1]), omega=omega).double()
    with torch.no_grad():
        for layer, weight, given in zip(field.layers, weights, layers, strict=True):
            linear = getattr(layer, "linear", layer)
            linear.weight.copy_(weight)
            linear.bias.copy_(doubles(given["bias"]))
    return field


def mulberry(seed: int, n: int) -> list[float]:
    """The published generator mulberry32, in whole numbers of 32 bits."""
    keep, numbers = 0xFFFFFFFF, []
    for _ in range(n):
        seed = (seed + 0x6D2B79F5) & keep
        t = (seed ^ seed >> 15) * (seed | 1) & keep
        t ^= (t + (t ^ t >> 7) * (t | 61)) & keep
        numbers.append((t ^ t >> 14) / 2**32)
    return numbers


@pytest.mark.parametrize("seed", [0, 1, 123456789])
def test_generator_is_mulberry(script, seed: int) -> None:
    draws = script(RandomSiren)("((draw) => Array.from({length: 300}, () => draw()))(w.uniform(given))", seed)
    assert draws == mulberry(seed, 300)


@pytest.mark.parametrize("depth, width, omega", [(1, 16, 30.0), (3, 32, 7.0)])
def test_drawn_weights_fill_the_courses_bounds(script, depth: int, width: int, omega: float) -> None:
    layers = script(RandomSiren)(f"w.drawSiren({DRAWN % (5, width, depth, omega)})")
    field = Siren(1, width, depth, 1, omega=omega)
    assert len(layers) == len(field.layers)
    for i, (given, layer) in enumerate(zip(layers, field.layers, strict=True)):
        linear = getattr(layer, "linear", layer)
        weight, bias = doubles(given["weight"]), doubles(given["bias"])
        assert weight.shape == linear.weight.shape and bias.shape == linear.bias.shape
        for values, bound in (
            (weight, siren_bound(linear.in_features, omega, i == 0)),
            (bias, linear.in_features**-0.5),
        ):
            assert values.abs().max() <= bound
            if values.numel() >= 16:
                # uniform: the largest of many is near the bound, the mean square is a third of its square
                assert values.abs().max() > 0.7 * bound
                assert 0.15 < (values / bound).square().mean() < 0.55


@pytest.mark.parametrize("depth", [1, 4])
def test_value_and_arguments_are_those_of_the_course(script, depth: int) -> None:
    call, omega = script(RandomSiren), 12.0
    layers = call(f"w.drawSiren({DRAWN % (2, 9, depth, omega)})")
    field = siren_of(layers, omega)
    for x in (-1.0, 0.3141, 1.0):
        got = call(f"w.evaluateSiren(given, [{x}], {omega})", layers)
        point = doubles([x])
        assert_close(doubles(got["value"]), field(point))
        assert_close(doubles(got["argument"]), field.layers[depth - 1].argument(field.layers[: depth - 1](point)))


def power(samples: torch.Tensor) -> torch.Tensor:
    window = torch.hann_window(len(samples), periodic=True, dtype=samples.dtype)
    return torch.fft.rfft((samples - samples.mean()) * window).abs().square()[: len(samples) // 2]


def median_frequency(spectrum: torch.Tensor) -> int:
    return int((spectrum.cumsum(0) >= spectrum.sum() / 2).nonzero()[0])


def test_spectrum_is_that_of_the_fourier_transform(script) -> None:
    call = script(RandomSiren)
    samples = torch.randn(96, generator=torch.Generator().manual_seed(3), dtype=torch.float64) + 5
    assert_close(doubles(call("w.powerSpectrum(given)", samples.tolist())), power(samples))
    wave = torch.sin(2 * torch.pi * 7 * torch.arange(96, dtype=torch.float64) / 96)
    assert call("w.medianFrequency(w.powerSpectrum(given))", wave.tolist()) == 7


def test_median_frequency_has_half_of_the_power_at_or_below_it(script) -> None:
    call = script(RandomSiren)
    assert call("w.medianFrequency([0, 2, 1, 1])") == 1
    assert call("w.medianFrequency([0, 1, 1, 3])") == 3
    assert call("w.medianFrequency([9, 1, 1, 3])") == 0


def status(page: Page) -> str:
    return page.locator(".cw-status").inner_text().replace("−", "-")


def expect_random(page: Page, call, *, omega: int, depth: int, seed: int, width: int) -> None:
    """The status and the curve are those of the network that these settings draw, as torch evaluates it."""
    field = siren_of(call(f"w.drawSiren({DRAWN % (seed, width, depth, float(omega))})"), float(omega))
    x = (2 * torch.arange(512, dtype=torch.float64) / 512 - 1)[:, None]
    with torch.no_grad():
        values = field(x)[:, 0]
        spread = field.layers[depth - 1].argument(field.layers[: depth - 1](x)).std(correction=0)
    layers = "1 sine layer" if depth == 1 else f"{depth} sine layers"
    assert status(page) == (
        f"ω₀ {omega}, {layers}, draw {seed}: half of the power lies at or below {median_frequency(power(values))} "
        f"periods; the last arguments have standard deviation {spread:.2f}."
    )
    drawn = doubles([float(p.split(",")[1]) for p in page.locator(".cw-curve").get_attribute("points").split()])
    assert_close(drawn, 150 - 140 * (values - values.min()) / (values.max() - values.min()), atol=0.051, rtol=0)
    assert page.locator("output").all_inner_texts() == [str(omega), str(depth)]
    for picture in page.get_by_role("img").all():
        assert f"draw {seed}" in picture.get_attribute("aria-label")


def test_random_siren_by_keyboard(alone, script) -> None:
    call, page = script(RandomSiren), alone(RandomSiren(omega=30, depth=3, width=12))
    expect_random(page, call, omega=30, depth=3, seed=1, width=12)
    page.locator(".cw-omega").focus()
    page.keyboard.press("ArrowRight")
    expect_random(page, call, omega=31, depth=3, seed=1, width=12)
    page.keyboard.press("Home")
    page.locator(".cw-depth").focus()
    for _ in range(2):
        page.keyboard.press("ArrowLeft")
    expect_random(page, call, omega=1, depth=1, seed=1, width=12)
    page.locator(".cw-redraw").focus()
    page.keyboard.press("Enter")
    expect_random(page, call, omega=1, depth=1, seed=2, width=12)


def click_at(page: Page, selector: str, share: float) -> None:
    box = page.locator(selector).bounding_box()
    page.mouse.click(box["x"] + share * box["width"], box["y"] + box["height"] / 2)


def test_random_siren_by_pointer(alone, script) -> None:
    call, page = script(RandomSiren), alone(RandomSiren(omega=10, depth=2, width=8, seed=4))
    click_at(page, ".cw-omega", 0.75)
    omega = int(re.match(r"ω₀ (\d+)", status(page)).group(1))
    assert 65 <= omega <= 85
    expect_random(page, call, omega=omega, depth=2, seed=4, width=8)
    page.locator(".cw-redraw").click()
    click_at(page, ".cw-depth", 0.99)
    expect_random(page, call, omega=omega, depth=6, seed=5, width=8)


@pytest.fixture(scope="module")
def little() -> Siren:
    torch.manual_seed(1)
    field = Siren(2, 7, 3, 1, omega=9.0)
    with torch.no_grad():
        field.layers[-1].weight.mul_(9)  # so that its greys span the scale
    return field


def test_shipped_weights_are_the_fields_to_four_digits(little: Siren) -> None:
    with torch.no_grad():
        for x in (torch.zeros(2), torch.tensor([0.9, -0.7])):
            shipped = siren_of(FieldZoom(little).layers, 9.0)(x.double())
            assert_close(shipped.float(), little(x), atol=0.01, rtol=0)


def test_field_is_the_courses_siren(script, little: Siren) -> None:
    layers = FieldZoom(little).layers
    points = torch.rand(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    got = script(FieldZoom)("given[1].map((p) => w.fieldAt(given[0], p))", [layers, points.tolist()])
    assert_close(doubles(got), siren_of(layers, 9.0)(points)[:, 0])


@pytest.mark.parametrize("side", [2, 9, 64])
def test_pixels_are_at_the_nearest_point_of_the_courses_grid(script, side: int) -> None:
    axis = coordinate_grid(side, side, dtype=torch.float64)[:side, 1]
    asked = torch.rand(50, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2.2 - 1.1
    nearest = axis[(asked[:, None] - axis).abs().argmin(1)]
    assert_close(doubles(script(FieldZoom)(f"given.map((x) => w.snap(x, {side}))", asked.tolist())), nearest)


@pytest.mark.parametrize("centre, middle", [(0.3, 0.3), (-0.98, -0.75), (1.0, 0.75)])
def test_window_stays_inside_the_picture(script, centre: float, middle: float) -> None:
    shown = doubles(script(FieldZoom)(f"w.shownAt({centre}, 4, 10)"))
    # ten cells of equal width in a window a quarter of the picture wide
    assert_close(shown, middle + torch.linspace(-0.225, 0.225, 10, dtype=torch.float64))
    assert_close(doubles(script(FieldZoom)("w.shownAt(0.7, 1, 2)")), doubles([-0.5, 0.5]))


def expect_zoom(page: Page, widget: FieldZoom, *, zoom: float, row: float, column: float) -> None:
    """Status and both canvases are the field of these settings, as torch evaluates it."""
    field, side, count = siren_of(widget.layers, 9.0), widget.side, 72

    def snapped(x: torch.Tensor) -> torch.Tensor:
        return ((x + 1) * (side - 1) / 2).round() * 2 / (side - 1) - 1

    with torch.no_grad():
        here = doubles([row, column])
        text = (
            f"Zoom {zoom:.1f} at row {row:.2f}, column {column:.2f}: the nearest pixel has the value "
            f"{field(snapped(here)).item():.3f}, the field there {field(here).item():.3f}."
        )
        assert status(page) == re.sub(r"-(0\.0+)(?=\D)", r"\1", text)
        middles = here.clamp(-1 + 1 / zoom, 1 - 1 / zoom)
        cells = (torch.arange(count, dtype=torch.float64) + 0.5) / count * 2 - 1
        points = torch.cartesian_prod(middles[0] + cells / zoom, middles[1] + cells / zoom)
        for canvas, asked in enumerate((snapped(points), points)):
            wanted = ((field(asked)[:, 0] + 1) * 127.5).round().clamp(0, 255)
            assert wanted.std() > 5, "the test would see nothing on an even grey"
            got = page.evaluate(
                "(i) => { const c = document.querySelectorAll('canvas')[i];"
                " const copy = new OffscreenCanvas(c.width, c.height).getContext('2d', { willReadFrequently: true });"
                " copy.drawImage(c, 0, 0); return [...copy.getImageData(0, 0, c.width, c.height).data] }",
                canvas,
            )
            pixels = doubles(got).view(-1, 4)
            assert (pixels[:, 3] == 255).all()
            assert_close(pixels[:, :3], wanted[:, None].expand(-1, 3), atol=1, rtol=0)


def test_field_zoom_by_keyboard(alone, little: Siren) -> None:
    widget = FieldZoom(little, side=12, centre=(-0.44, 0.2), zoom=2)
    page = alone(widget)
    expect_zoom(page, widget, zoom=2, row=-0.44, column=0.2)
    for control, key in (("zoom", "ArrowRight"), ("row", "ArrowLeft"), ("column", "ArrowRight")):
        page.locator(f".cw-at-{control}").focus()
        page.keyboard.press(key)
    expect_zoom(page, widget, zoom=2.5, row=-0.46, column=0.22)
    page.locator(".cw-at-row").focus()
    page.keyboard.press("Home")
    expect_zoom(page, widget, zoom=2.5, row=-1, column=0.22)


def test_field_zoom_by_pointer(alone, little: Siren) -> None:
    widget = FieldZoom(little, side=12)
    page = alone(widget)
    click_at(page, ".cw-at-column", 0.25)
    click_at(page, ".cw-at-zoom", 0.3)
    zoom, column = (float(x) for x in re.match(r"Zoom (\S+) at row 0.00, column (\S+):", status(page)).groups())
    assert 6 <= zoom <= 14 and -0.6 <= column <= -0.4
    expect_zoom(page, widget, zoom=zoom, row=0.0, column=column)


@pytest.mark.parametrize("sizes", [(1, 1), (2, 3)])
def test_field_zoom_refuses_other_fields(sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="two coordinates to one value"):
        FieldZoom(Siren(sizes[0], 4, 1, sizes[1]))
