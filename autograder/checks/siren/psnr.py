"""The check of ``psnr(a, b, data_range=1.0)``."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("siren.psnr", objects=("psnr",))


def oracle(a: Tensor, b: Tensor, data_range: float = 1.0) -> float:
    """From the length of the difference, in natural logarithms and Python's own numbers."""
    squares = [(x - y) ** 2 for x, y in zip(a.flatten().tolist(), b.flatten().tolist(), strict=True)]
    total = math.fsum(squares)
    if total == 0:
        return math.inf
    return (2 * math.log(data_range) + math.log(len(squares)) - math.log(total)) * 10 / math.log(10)


def images(draw: Draw, *shape: int, noise: float = 0.1) -> tuple[Tensor, Tensor]:
    """An image in [0, 1] and a noisy copy that leaves this interval: below 0 at the last place for certain."""
    a = draw.normal(*shape).sigmoid()
    a.view(-1)[-1] = 0
    b = a + noise * draw.normal(*shape)
    b.view(-1)[-1] = -noise
    return a, b


def expect(plan: Plan, a: Tensor, b: Tensor, what: str, data_range: float | None = None) -> None:
    """Compare the decibels; a Python number passes as well as a tensor."""
    got = plan.call(a, b) if data_range is None else plan.call(a, b, data_range=data_range)
    want = oracle(a, b, 1.0 if data_range is None else data_range)
    plan.expect(got, want, what, rtol=1e-4, atol=1e-3, strict=False)


@EXERCISE.case(
    points=1, cause="10 · log10(1 / mean (a - b)²): the mean of squares first, then the logarithm to base 10."
)
def two_images(draw: Draw, plan: Plan) -> None:
    """Images in [0, 1]: little noise and much"""
    for noise in (0.02, 0.3):
        h, w = draw.sizes(2, 4, 9)
        a, b = images(draw, h, w, noise=noise)
        expect(plan, a, b, "psnr(a, b)")
    # more noise than signal: below 0 decibels
    expect(plan, a, b + 3, "psnr of images that differ by about 3")


@EXERCISE.case(points=1, cause="data_range, the width of the interval of values, is squared in the numerator.")
def other_ranges(draw: Draw, plan: Plan) -> None:
    """Other intervals of values: [-1, 1], [0, 255] and others"""
    for data_range in (2.0, 255.0, draw.uniform(0.2, 0.7)):
        a, b = (data_range * image for image in images(draw, *draw.sizes(2, 4, 9)))
        expect(plan, a, b, f"psnr(a, b, data_range={data_range:g})", data_range)
        expect(plan, a, b, "psnr(a, b) of the same images, data_range 1")


@EXERCISE.case(points=1, cause="one number for all pixels, channels and images: the mean runs over everything, once.")
def many_axes(draw: Draw, plan: Plan) -> None:
    """Colour images, batches, a single row; errors that differ from place to place"""
    sizes = draw.sizes(4, 2, 6)
    for shape in (sizes[:3], sizes, sizes[:1]):
        a, b = images(draw, *shape)
        # the noise of each place has its own size, along every axis: means of logarithms differ from one logarithm
        for axis, size in enumerate(shape):
            level = torch.linspace(0.3, 2, size).reshape(-1, *[1] * (len(shape) - axis - 1))
            b = a + (b - a) * level
        expect(plan, a, b, "psnr(a, b)")


@EXERCISE.case(
    points=1, cause="no error at all is infinitely good: 1/0 is inf in torch, add no small number to the mean."
)
def equal_images(draw: Draw, plan: Plan) -> None:
    """Equal images give infinity, almost equal ones a large number"""
    a, _ = images(draw, *draw.sizes(3, 3, 7))
    expect(plan, a, a, "psnr(a, a)")
    offset = torch.full(tuple(draw.sizes(2)), draw.uniform(2, 7) * 1e-6)
    expect(plan, torch.zeros_like(offset), offset, "psnr of images that differ by a few millionths")


@EXERCISE.case(points=1, cause="differences of bytes wrap around below 0 and their squares above 255: convert first.")
def bytes_of_an_image(draw: Draw, plan: Plan) -> None:
    """Whole numbers from 0 to 255, stored as bytes"""
    shape = draw.sizes(3, 3, 7)
    a, b = (image.clamp(0, 1).mul(255).to(torch.uint8) for image in images(draw, *shape, noise=0.3))
    expect(plan, a, b, "psnr of two uint8 images", 255.0)
    expect(plan, b.long(), a.long(), "psnr of two int64 images", 255.0)


@EXERCISE.case(points=1, cause="return a tensor without axes, in the images' dtype; gradients flow, a and b stay.")
def contract(draw: Draw, plan: Plan) -> None:
    """A scalar tensor in float64 and float32, gradients, images left as they were"""
    for dtype in (torch.float64, torch.float32):
        first, second = (image.to(dtype) for image in images(draw, *draw.sizes(3, 3, 7)))
        a, b = plan.put(first, grad=True), plan.put(second)
        got = plan.call(a, b, data_range=2.0)
        plan.expect(got, torch.tensor(oracle(first, second, 2.0), dtype=dtype), f"psnr of {dtype} images")
        plan.expect(b, second, "b after the call")
        cotangent = draw.normal(1, dtype=dtype)[0]
        plan.backward(got, cotangent)
        # the derivative of -10 log10(sum of squares)
        error = (first - second).double()
        want = cotangent * -20 / math.log(10) * error / error.square().sum()
        plan.expect_grad(a, want.to(dtype), "a")


@EXERCISE.variant
def formula() -> None:
    """As the formula stands"""

    def psnr(a, b, data_range=1.0):
        if not a.is_floating_point():
            a, b = a.double(), b.double()
        mse = ((a - b) ** 2).mean()
        return 10 * torch.log10(data_range**2 / mse)


@EXERCISE.variant
def difference_of_logarithms() -> None:
    """20 log10 of the range less 10 log10 of torch's own mean squared error"""

    def psnr(a, b, data_range=1.0):
        if not torch.is_floating_point(a):
            a, b = a.float(), b.float()
        return 20 * math.log10(data_range) - 10 * torch.log10(F.mse_loss(a, b))


@EXERCISE.variant
def by_norm() -> None:
    """20 log10 of range over root mean square, which is the length of the difference over √N"""

    def psnr(a, b, data_range=1.0):
        a, b = (x if x.is_floating_point() else x.to(torch.float64) for x in (a, b))
        rms = torch.linalg.vector_norm(a - b) / math.sqrt(a.numel())
        return 20 * torch.log10(data_range / rms)


@EXERCISE.variant
def scaled_first() -> None:
    """Images divided by the range first; natural logarithm of an einsum"""

    def psnr(a, b, data_range=1.0):
        error = (a / data_range - b / data_range).reshape(-1)
        return -torch.log(torch.einsum("n,n->", error, error) / len(error)) * (10 / math.log(10))


CONVERT = "    if not a.is_floating_point():\n        a, b = a.double(), b.double()\n"
RETURN = "10 * torch.log10(data_range**2 / mse)"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "natural_logarithm",
        "torch.log is the natural logarithm; decibels need base 10, torch.log10.",
        [("torch.log10(", "torch.log(")],
    ),
    (
        "factor_of_twenty",
        "20 belongs to ratios of amplitudes (range over root mean square); a ratio of squares takes 10.",
        [("10 * torch", "20 * torch")],
    ),
    (
        "bels",
        "The factor 10 is missing: these are bels, not decibels.",
        [("10 * torch", "torch")],
    ),
    (
        "range_not_squared",
        "data_range must be squared, as the error is; for data_range 1 that makes no difference.",
        [("data_range**2", "data_range")],
    ),
    (
        "range_ignored",
        "The argument data_range is ignored: 1 is written into the formula.",
        [("data_range**2", "1")],
    ),
    (
        "largest_value_for_range",
        "The largest value in `a` is taken for the range; the range is that of possible values, data_range.",
        [("data_range**2", "a.max() ** 2")],
    ),
    (
        "wrong_sign",
        "The fraction is upside down: the better the copy, the larger the ratio of range² to error must be.",
        [("data_range**2 / mse", "mse / data_range**2")],
    ),
    (
        "absolute_error",
        "The mean of absolute differences is taken; PSNR is defined by the mean of their squares.",
        [("((a - b) ** 2).mean()", "(a - b).abs().mean()")],
    ),
    (
        "root_mean_square",
        "The root of the mean squared error is taken as well; 10 · log10 needs the mean squared error itself.",
        [("((a - b) ** 2).mean()", "((a - b) ** 2).mean().sqrt()")],
    ),
    (
        "square_of_the_mean",
        "The mean difference is squared, in which errors cancel; square every difference, then take the mean.",
        [("((a - b) ** 2).mean()", "(a - b).mean() ** 2")],
    ),
    (
        "sum_of_squares",
        "The squares are summed, so that larger images come out worse; take their mean.",
        [("** 2).mean()", "** 2).sum()")],
    ),
    (
        "mean_of_decibels",
        "The last axis gets decibels of its own, averaged afterwards; take one mean over all pixels, one logarithm.",
        [("** 2).mean()", "** 2).mean(-1)"), (RETURN, f"({RETURN}).mean()")],
    ),
    (
        "small_number_added",
        "A small number is added to the error, so that equal images are not infinitely good and good ones too bad.",
        [("/ mse)", "/ (mse + 1e-8))")],
    ),
    (
        "clamped_first",
        "The images are clamped to [0, data_range] first, which hides errors and is wrong for values in [-1, 1].",
        [("((a - b) ** 2)", "((a.clamp(0, data_range) - b.clamp(0, data_range)) ** 2)")],
    ),
    (
        "bytes_wrap_around",
        "Bytes are subtracted as bytes, where 3 - 5 is 254; convert whole numbers to floating point first.",
        [(CONVERT, ""), ("((a - b) ** 2).mean()", "((a - b) ** 2).to(torch.get_default_dtype()).mean()")],
    ),
    (
        "python_number",
        "The result is a Python number (by .item(), float or math); return a tensor, so that gradients can flow.",
        [(RETURN, f"({RETURN}).item()")],
    ),
    (
        "difference_in_place",
        "The difference is written into the caller's image b; `a - b` makes a new tensor.",
        [("(a - b)", "b.copy_(a.detach() - b)")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(formula, name, says, *changes)
