"""The check of ``unpatchify(tokens, patch, image_size)``."""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("tokens.unpatchify", objects=("unpatchify",))


def oracle(tokens: Tensor, patch: int, image_size: tuple[int, int]) -> Tensor:
    """One gather: from a channel, a row and a column follow the numbers of a token and of an entry."""
    height, width = image_size
    channel = torch.arange(tokens.shape[2] // patch**2)[:, None, None]
    row, column = torch.arange(height)[:, None], torch.arange(width)[None, :]
    token = row // patch * (width // patch) + column // patch
    entry = channel * patch**2 + row % patch * patch + column % patch
    return tokens[:, token, entry]


@EXERCISE.case(
    points=1, cause="split n into (rows, columns) of patches with `image_size`, then move p1 beside the rows."
)
def one_channel(draw: Draw, plan: Plan) -> None:
    """The patches of one grey image, higher than wide"""
    patch, *grid = draw.sizes(3, high=6)
    size = (max(grid) * patch, min(grid) * patch)
    tokens = draw.normal(1, grid[0] * grid[1], patch**2)
    plan.expect(plan.call(tokens, patch, size), oracle(tokens, patch, size), f"unpatchify(tokens, {patch}, {size})")


@EXERCISE.case(points=1, cause="the number of channels is tokens.shape[-1] / patch²; inside a token it comes first.")
def channels(draw: Draw, plan: Plan) -> None:
    """Several images, wider than high, with several channels"""
    b, patch, other = draw.sizes(3, low=4, high=6)
    # so much wider than high that the root of the number of tokens is not near the number of rows
    down, across = 2, draw.integer(7, 9)
    size = (down * patch, across * patch)
    for count in (3, other):
        tokens = draw.normal(b, down * across, count * patch**2)
        what = f"unpatchify(tokens, {patch}, {size}) for {count} channels"
        plan.expect(plan.call(tokens, patch, size), oracle(tokens, patch, size), what)


@EXERCISE.case(points=1, cause="the number of tokens does not tell the shape of the image: only `image_size` does.")
def same_tokens_other_shapes(draw: Draw, plan: Plan) -> None:
    """The same tokens as a high image, as a wide one, as a strip and as a square"""
    b, c, patch = draw.sizes(3, low=4, high=6)
    side = draw.sizes(1, low=2, high=3)[0] * 2
    tokens = draw.normal(b, side**2, c * patch**2)
    for down, across in ((side * 2, side // 2), (side // 2, side * 2), (1, side**2), (side, side)):
        size = (down * patch, across * patch)
        what = f"unpatchify(tokens, {patch}, {size})"
        plan.expect(plan.call(tokens, patch, size), oracle(tokens, patch, size), what)


@EXERCISE.case(
    points=0.5, cause="`.view` needs entries that lie in order; `.reshape` and rearrange copy where they must."
)
def out_of_order_in_memory(draw: Draw, plan: Plan) -> None:
    """Tokens that come from a transposed tensor, whose entries do not lie in order in memory"""
    b, c, patch, *grid = draw.sizes(5, low=4, high=8)
    down, across = max(grid), min(grid)
    tokens = draw.normal(b, c * patch**2, down * across)
    size = (down * patch, across * patch)
    turned = plan.call(1, 2, on=plan.put(tokens), method="transpose")
    what = f"unpatchify(tokens.transpose(1, 2), {patch}, {size})"
    plan.expect(plan.call(turned, patch, size), oracle(tokens.mT, patch, size), what)


@EXERCISE.case(
    points=0.5, cause="only move entries: keep the dtype, leave the tokens alone, and let gradients through."
)
def contract(draw: Draw, plan: Plan) -> None:
    """float64 stays float64, the tokens stay as they were, gradients find their way back"""
    b, c, patch, *grid = draw.sizes(5, low=4, high=8)
    down, across = max(grid), min(grid)
    size = (down * patch, across * patch)
    values, gradient = (draw.normal(b, down * across, c * patch**2, dtype=torch.float64) for _ in range(2))
    tokens = plan.put(values)
    out = plan.call(tokens, patch, size)
    plan.expect(out, oracle(values, patch, size), f"unpatchify(tokens, {patch}, {size}) of float64 tokens")
    plan.expect(tokens, values, "the tokens after the call")
    # entries are only moved, so the gradient's image is the cotangent
    leaf = plan.put(values, grad=True)
    plan.backward(plan.call(leaf, patch, size), oracle(gradient, patch, size))
    plan.expect_grad(leaf, gradient, "the tokens")


@EXERCISE.variant
def by_names() -> None:
    """einops"""

    def unpatchify(tokens, patch, image_size):
        gh = image_size[0] // patch
        return rearrange(tokens, "b (gh gw) (c p1 p2) -> b c (gh p1) (gw p2)", gh=gh, p1=patch, p2=patch)


@EXERCISE.variant
def by_reshape_and_permute() -> None:
    """Plain torch"""

    def unpatchify(tokens, patch, image_size):
        height, width = image_size
        b, n, size = tokens.shape
        c = size // patch**2
        parts = tokens.reshape(b, height // patch, width // patch, c, patch, patch)
        return parts.permute(0, 3, 1, 4, 2, 5).reshape(b, c, height, width)


@EXERCISE.variant
def by_folding() -> None:
    """F.fold, the inverse of F.unfold where windows do not overlap"""

    def unpatchify(tokens, patch, image_size):
        return F.fold(tokens.transpose(1, 2), image_size, patch, stride=patch)


@EXERCISE.variant
def patch_by_patch() -> None:
    """A loop that fills a new image"""

    def unpatchify(tokens, patch, image_size):
        height, width = image_size
        b, n, size = tokens.shape
        images = tokens.new_zeros(b, size // patch**2, height, width)
        for t in range(n):
            top, left = t // (width // patch) * patch, t % (width // patch) * patch
            images[:, :, top : top + patch, left : left + patch] = tokens[:, t].unflatten(1, (-1, patch, patch))
        return images


@EXERCISE.variant
def rows_concatenated() -> None:
    """Patches joined to strips, strips joined to images"""

    def unpatchify(tokens, patch, image_size):
        squares = tokens.unflatten(2, (-1, patch, patch)).unbind(1)
        across = image_size[1] // patch
        strips = [torch.cat(squares[i : i + across], dim=3) for i in range(0, len(squares), across)]
        return torch.cat(strips, dim=2)


@EXERCISE.variant
def by_a_transposed_convolution() -> None:
    """The transpose of a strided convolution, whose kernels each set one pixel"""

    def unpatchify(tokens, patch, image_size):
        size = tokens.shape[-1]
        kernels = torch.eye(size, dtype=tokens.dtype).reshape(size, -1, patch, patch)
        grid = tokens.mT.unflatten(2, (image_size[0] // patch, image_size[1] // patch))
        return F.conv_transpose2d(grid, kernels, stride=patch)


@EXERCISE.mistake
def reshaped_at_once() -> None:
    """One reshape to the final shape gives the right sizes and the wrong entries: each token is laid out along the
    rows of the image. Unfold n and c*p*p first, reorder the axes, then fold."""

    def unpatchify(tokens, patch, image_size):
        b, n, size = tokens.shape
        return tokens.reshape(b, size // patch**2, *image_size)


@EXERCISE.mistake
def square_images_only() -> None:
    """The grid is taken to be √n by √n, which is right for square images only; take it from image_size."""

    def unpatchify(tokens, patch, image_size):
        gh = int(math.sqrt(tokens.shape[1]))
        return rearrange(tokens, "b (gh gw) (c p1 p2) -> b c (gh p1) (gw p2)", gh=gh, p1=patch, p2=patch)


@EXERCISE.mistake
def folded_by_view() -> None:
    """The channels' axis is unfolded together with the others by .view, which torch refuses for tokens that do not
    lie in order in memory. Use .reshape or rearrange."""

    def unpatchify(tokens, patch, image_size):
        height, width = image_size
        b, n, size = tokens.shape
        parts = tokens.view(-1).view(b, height // patch, width // patch, size // patch**2, patch, patch)
        return parts.permute(0, 3, 1, 4, 2, 5).reshape(b, -1, height, width)


@EXERCISE.mistake
def filled_into_a_new_tensor() -> None:
    """The patches are copied into torch.zeros, which is float32 unless told otherwise; pass dtype=tokens.dtype, or
    only reorder what is there."""

    def unpatchify(tokens, patch, image_size):
        height, width = image_size
        b, n, size = tokens.shape
        images = torch.zeros(b, size // patch**2, height, width)
        for t in range(n):
            top, left = t // (width // patch) * patch, t % (width // patch) * patch
            images[:, :, top : top + patch, left : left + patch] = tokens[:, t].unflatten(1, (-1, patch, patch))
        return images


@EXERCISE.mistake
def folded_without_turning() -> None:
    """F.fold wants one patch a column, [b c*p*p n]; the tokens are rows, so swap the last two axes first."""

    def unpatchify(tokens, patch, image_size):
        return F.fold(tokens, image_size, patch, stride=patch)


@EXERCISE.mistake
def turned_in_place() -> None:
    """transpose_ with an underscore turns the caller's own tensor; write transpose, which leaves it alone."""

    def unpatchify(tokens, patch, image_size):
        return F.fold(tokens.transpose_(1, 2), image_size, patch, stride=patch)


@EXERCISE.mistake
def always_three_channels() -> None:
    """Three channels are written into the code. The number of channels is tokens.shape[-1] / patch²."""

    def unpatchify(tokens, patch, image_size):
        gh = image_size[0] // patch
        return rearrange(tokens, "b (gh gw) (c p1 p2) -> b c (gh p1) (gw p2)", gh=gh, c=3, p1=patch, p2=patch)


PUT = '"b (gh gw) (c p1 p2) -> b c (gh p1) (gw p2)"'
SLIPS: list[tuple[str, str, tuple[str, str]]] = [
    (
        "width_before_height",
        "image_size is read as (width, height); it is (height, width), like the last two axes of an image.",
        ("image_size[0]", "image_size[1]"),
    ),
    (
        "size_taken_for_grid",
        "image_size is taken for the number of patches; it is in pixels, so divide it by patch.",
        ("image_size[0] // patch", "image_size[0]"),
    ),
    (
        "patches_column_by_column",
        "The patches are laid column by column; token number t stands in row t // gw and column t % gw.",
        (PUT, '"b (gw gh) (c p1 p2) -> b c (gh p1) (gw p2)"'),
    ),
    (
        "channels_last",
        "A token is read as (p1 p2 c), with the channels last; the order is (c p1 p2).",
        (PUT, '"b (gh gw) (p1 p2 c) -> b c (gh p1) (gw p2)"'),
    ),
    (
        "patches_turned",
        "Every patch is turned over its diagonal: a token is (c p1 p2), p1 runs down and p2 runs across.",
        (PUT, '"b (gh gw) (c p2 p1) -> b c (gh p1) (gw p2)"'),
    ),
    (
        "pixels_strewn",
        "The patch axis stands outside the grid axis, (p1 gh), which strews the pixels of a patch over the image. "
        "Keep them together: (gh p1).",
        (PUT, '"b (gh gw) (c p1 p2) -> b c (p1 gh) (p2 gw)"'),
    ),
    (
        "channels_last_in_the_image",
        "The image comes back as [b h w c], as files store it; images here are [b c h w].",
        (PUT, '"b (gh gw) (c p1 p2) -> b (gh p1) (gw p2) c"'),
    ),
    (
        "gradient_cut",
        "The tokens are detached (.detach(), .data, numpy), so no gradient comes back from the image.",
        ("rearrange(tokens,", "rearrange(tokens.detach(),"),
    ),
]
for name, says, change in SLIPS:
    EXERCISE.slip(by_names, name, says, change)
