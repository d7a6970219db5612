"""Lighter drawings show the same: every pixel of a picture, every line to a hundredth of a point."""

import base64
import io
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from course_lib.figures.lighter import lighter, pixels_as_they_are
from course_lib.figures.themed import svg


def pictures_in(text: str) -> list[np.ndarray]:
    found = re.findall(r'data:image/\w+;base64,([^"]+)"', text)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(code))).convert("RGBA")) for code in found]


def test_places_are_rounded_and_other_numbers_left_alone():
    text = (
        '<svg version="1.1"><!-- a title -->\n  <g transform="translate(10.123456 -0.001) scale(0.015625)">\n'
        '<path d="M 1.23456 2.5 \nL 1e3 -3.999999 \n" style="stroke-width: 0.12345"/></g></svg>'
    )
    assert lighter(text) == (
        '<svg version="1.1"><g transform="translate(10.12 0) scale(0.015625)">'
        '<path d="M 1.23 2.5 L 1e3 -4 " style="stroke-width: 0.12345"/></g></svg>'
    )


def test_tiny_numbers_in_powers_of_ten_become_zero():
    assert lighter('<path d="M 1.2345e-07 5.678901"/>') == '<path d="M 0 5.68"/>'


def test_picture_is_stored_once_per_entry_and_without_loss():
    given = np.random.default_rng(0).integers(0, 256, (9, 14, 3), dtype=np.uint8)
    fig, ax = plt.subplots()
    image = ax.imshow(given, interpolation="nearest")
    (stored,) = pictures_in(svg(fig, alt="Noise."))
    assert image.get_interpolation() == "nearest"
    plt.close(fig)
    # matplotlib counts rows of a picture from below
    assert np.array_equal(stored[..., :3], given) or np.array_equal(stored[::-1, :, :3], given)
    assert (stored[..., 3] == 255).all()


def test_half_transparent_pixels_survive():
    given = np.random.default_rng(1).integers(0, 256, (40, 40, 4), dtype=np.uint8)
    packed = io.BytesIO()
    Image.fromarray(given).save(packed, "PNG")
    text = f'<image xlink:href="data:image/png;base64,\n{base64.b64encode(packed.getvalue()).decode()}"/>'
    after = lighter(text)
    assert len(after) <= len(text) and np.array_equal(pictures_in(after)[0], given)


@pytest.mark.parametrize("interpolation, side", [("bilinear", 8), ("nearest", 2000)])
def test_smooth_and_fine_pictures_are_drawn_as_before(interpolation, side):
    fig, ax = plt.subplots()
    image = ax.imshow(np.zeros((side, side)), interpolation=interpolation)
    with pixels_as_they_are(fig):
        assert image.get_interpolation() == interpolation
    plt.close(fig)


def test_setting_is_given_back_after_a_failure():
    fig, ax = plt.subplots()
    image = ax.imshow(np.zeros((2, 2)), interpolation="nearest")
    with pytest.raises(RuntimeError), pixels_as_they_are(fig):
        assert image.get_interpolation() == "none"
        raise RuntimeError
    assert image.get_interpolation() == "nearest"
    plt.close(fig)
