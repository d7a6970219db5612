"""The check of ``patchify(images, patch)``."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("tokens.patchify", objects=("patchify",))


def oracle(images: Tensor, patch: int) -> Tensor:
    """One gather: from the numbers of a token and of an entry follow a channel, a row and a column."""
    _, channels, height, width = images.shape
    token = torch.arange(height * width // patch**2)[:, None]
    entry = torch.arange(channels * patch**2)[None, :]
    across = width // patch
    row = token // across * patch + entry % patch**2 // patch
    column = token % across * patch + entry % patch
    return images[:, entry // patch**2, row, column]


def sides(draw: Draw, count: int = 0, high: int = 6) -> list[int]:
    """``count`` sizes, then patch, patches down and patches across: all different."""
    return draw.sizes(count + 3, high=high)


@EXERCISE.case(
    points=1, cause="cut both sides into (number of patches, patch), then bring the two patch axes together."
)
def one_channel(draw: Draw, plan: Plan) -> None:
    """One grey image, higher than wide: patches row by row, and row by row inside a patch"""
    patch, *grid = sides(draw)
    down, across = max(grid), min(grid)
    images = draw.normal(1, 1, down * patch, across * patch)
    plan.expect(plan.call(images, patch), oracle(images, patch), f"patchify(images, {patch})")


@EXERCISE.case(
    points=1, cause="inside a token the order is (c, p1, p2): the whole patch of one channel, then the next."
)
def channels(draw: Draw, plan: Plan) -> None:
    """Several images with several channels, wider than high"""
    b, c, patch, *grid = sides(draw, 2)
    down, across = min(grid), max(grid)
    images = draw.normal(b, c, down * patch, across * patch)
    plan.expect(plan.call(images, patch), oracle(images, patch), f"patchify(images, {patch})")


@EXERCISE.case(points=1, cause="compute the number of patches from `patch`, h and w, each side for itself.")
def other_patches(draw: Draw, plan: Plan) -> None:
    """The same images in larger, smaller and one-pixel patches, and in one patch for a whole image"""
    b, c, patch, down, across = sides(draw, 2, high=7)
    images = draw.normal(b, c, down * 6, across * 6)
    for size in (3, 2, 1, 6):
        plan.expect(plan.call(images, size), oracle(images, size), f"patchify(images, {size})")
    images = draw.normal(b, c, patch, patch)
    plan.expect(plan.call(images, patch), oracle(images, patch), f"patchify of {patch}x{patch} images, patch {patch}")


@EXERCISE.case(
    points=0.5, cause="`.view` needs entries that lie in order; `.reshape` and rearrange copy where they must."
)
def out_of_order_in_memory(draw: Draw, plan: Plan) -> None:
    """Images turned on their side, whose entries do not lie in order in memory"""
    b, c, patch, down, across = sides(draw, 2)
    images = draw.normal(b, c, across * patch, down * patch)
    turned = plan.call(2, 3, on=plan.put(images), method="transpose")
    plan.expect(plan.call(turned, patch), oracle(images.mT, patch), f"patchify(images.transpose(2, 3), {patch})")
    images = draw.normal(b, down * patch, across * patch, c)
    turned = plan.call(0, 3, 1, 2, on=plan.put(images), method="permute")
    want = oracle(images.permute(0, 3, 1, 2), patch)
    plan.expect(plan.call(turned, patch), want, f"patchify(images.permute(0, 3, 1, 2), {patch})")


@EXERCISE.case(
    points=0.5, cause="only move entries: keep the dtype, leave the images alone, and let gradients through."
)
def contract(draw: Draw, plan: Plan) -> None:
    """float64 stays float64, the images stay as they were, gradients find their way back"""
    b, c, patch, down, across = sides(draw, 2)
    values = draw.normal(b, c, down * patch, across * patch, dtype=torch.float64)
    images = plan.put(values)
    plan.expect(plan.call(images, patch), oracle(values, patch), f"patchify(images, {patch}) of float64 images")
    plan.expect(images, values, "the images after the call")
    # entries are only moved, so the gradient's patches are the cotangent's
    gradient = draw.normal(b, c, down * patch, across * patch, dtype=torch.float64)
    leaf = plan.put(values, grad=True)
    plan.backward(plan.call(leaf, patch), oracle(gradient, patch))
    plan.expect_grad(leaf, gradient, "the images")


@EXERCISE.variant
def by_names() -> None:
    """einops"""

    def patchify(images, patch):
        return rearrange(images, "b c (gh p1) (gw p2) -> b (gh gw) (c p1 p2)", p1=patch, p2=patch)


@EXERCISE.variant
def by_reshape_and_permute() -> None:
    """Plain torch"""

    def patchify(images, patch):
        b, c, h, w = images.shape
        gh, gw = h // patch, w // patch
        parts = images.reshape(b, c, gh, patch, gw, patch)
        return parts.permute(0, 2, 4, 1, 3, 5).reshape(b, gh * gw, c * patch * patch)


@EXERCISE.variant
def by_unfolding() -> None:
    """The windows of a convolution with stride patch"""

    def patchify(images, patch):
        return F.unfold(images, patch, stride=patch).transpose(1, 2)


@EXERCISE.variant
def by_tensor_unfold() -> None:
    """Tensor.unfold along one side, then along the other"""

    def patchify(images, patch):
        windows = images.unfold(2, patch, patch).unfold(3, patch, patch)
        return windows.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)


@EXERCISE.variant
def patch_by_patch() -> None:
    """A Python loop over rows and columns of patches"""

    def patchify(images, patch):
        tokens = []
        for top in range(0, images.shape[2], patch):
            for left in range(0, images.shape[3], patch):
                tokens.append(images[:, :, top : top + patch, left : left + patch].flatten(1))
        return torch.stack(tokens, dim=1)


@EXERCISE.variant
def by_a_convolution() -> None:
    """A strided convolution whose kernels each pick one entry"""

    def patchify(images, patch):
        size = images.shape[1] * patch * patch
        kernels = torch.eye(size, dtype=images.dtype).reshape(size, images.shape[1], patch, patch)
        return F.conv2d(images, kernels, stride=patch).flatten(2).mT


@EXERCISE.mistake
def reshaped_at_once() -> None:
    """One reshape to the final shape gives the right sizes and the wrong entries: a token gets a piece of a row of
    pixels. Split both sides first, then reorder the axes."""

    def patchify(images, patch):
        b, c, h, w = images.shape
        return images.reshape(b, (h // patch) * (w // patch), c * patch * patch)


@EXERCISE.mistake
def not_permuted() -> None:
    """The sides are split well, but the axes are then flattened in the order they stand in. Bring the two grid axes
    to the front and the two patch axes to the back before flattening."""

    def patchify(images, patch):
        b, c, h, w = images.shape
        gh, gw = h // patch, w // patch
        parts = images.reshape(b, c, gh, patch, gw, patch).transpose(1, 2)
        return parts.reshape(b, gh * gw, c * patch * patch)


@EXERCISE.mistake
def height_taken_for_width() -> None:
    """The shape is unpacked as `b, c, w, h`: images are [b c h w], and for images that are not square the pixels of
    different rows get mixed."""

    def patchify(images, patch):
        b, c, w, h = images.shape
        gh, gw = h // patch, w // patch
        parts = images.reshape(b, c, gh, patch, gw, patch)
        return parts.permute(0, 2, 4, 1, 3, 5).reshape(b, gh * gw, c * patch * patch)


@EXERCISE.mistake
def overlapping() -> None:
    """The window moves on by one pixel, so the patches overlap: a patch begins where the last one ended
    (stride=patch)."""

    def patchify(images, patch):
        return F.unfold(images, patch).transpose(1, 2)


@EXERCISE.mistake
def unfolded_and_not_turned() -> None:
    """F.unfold returns [b c*p*p n], one patch a column. Tokens are rows: swap the last two axes."""

    def patchify(images, patch):
        return F.unfold(images, patch, stride=patch)


@EXERCISE.mistake
def filled_into_a_new_tensor() -> None:
    """The patches are copied into torch.empty, which is float32 unless told otherwise; pass dtype=images.dtype, or
    only reorder what is there."""

    def patchify(images, patch):
        b, c, h, w = images.shape
        across = w // patch
        tokens = torch.empty(b, h // patch * across, c * patch * patch)
        for t in range(tokens.shape[1]):
            top, left = t // across * patch, t % across * patch
            tokens[:, t] = images[:, :, top : top + patch, left : left + patch].flatten(1)
        return tokens


@EXERCISE.mistake
def through_numpy() -> None:
    """The way through numpy (or .detach(), .data) cuts the gradient off; torch and einops can do all of it."""

    def patchify(images, patch):
        pixels = rearrange(images.detach().numpy(), "b c (gh p1) (gw p2) -> b (gh gw) (c p1 p2)", p1=patch, p2=patch)
        return torch.from_numpy(pixels.copy())


@EXERCISE.mistake
def split_by_view() -> None:
    """Batch and channels are folded together by .view, which torch refuses for images that do not lie in order in
    memory. Use .reshape, or leave the two axes apart."""

    def patchify(images, patch):
        b, c, h, w = images.shape
        gh, gw = h // patch, w // patch
        parts = images.view(b * c, gh, patch, gw, patch).reshape(b, c, gh, patch, gw, patch)
        return parts.permute(0, 2, 4, 1, 3, 5).reshape(b, gh * gw, c * patch * patch)


CUT = '"b c (gh p1) (gw p2) -> b (gh gw) (c p1 p2)"'
SLIPS: list[tuple[str, str, tuple[str, str]]] = [
    (
        "patches_column_by_column",
        "The patches come column by column, (gw gh). They come row by row, as one reads: (gh gw).",
        (CUT, '"b c (gh p1) (gw p2) -> b (gw gh) (c p1 p2)"'),
    ),
    (
        "channels_last",
        "Inside a token the channels stand last, (p1 p2 c), as in image files; the order here is (c p1 p2).",
        (CUT, '"b c (gh p1) (gw p2) -> b (gh gw) (p1 p2 c)"'),
    ),
    (
        "pixels_column_by_column",
        "Inside a patch the pixels come column by column, (c p2 p1); the order is (c p1 p2), row by row.",
        (CUT, '"b c (gh p1) (gw p2) -> b (gh gw) (c p2 p1)"'),
    ),
    (
        "every_so_many_pixels",
        "A side is split as (p1 gh), so a token gets pixels from all over the image. Neighbouring pixels belong "
        "together: the patch axis is the inner one, (gh p1).",
        (CUT, '"b c (p1 gh) (p2 gw) -> b (gh gw) (c p1 p2)"'),
    ),
    (
        "a_token_for_each_channel",
        "Every channel of a patch becomes a token of its own; a token holds all channels of its patch.",
        (CUT, '"b c (gh p1) (gw p2) -> b (c gh gw) (p1 p2)"'),
    ),
    (
        "patches_folded_into_the_batch",
        "The patches are folded into the batch, [b*n c*p*p]. Tokens have an axis of their own: [b n c*p*p].",
        (CUT, '"b c (gh p1) (gw p2) -> (b gh gw) (c p1 p2)"'),
    ),
    (
        "axes_of_one_dropped",
        "squeeze() drops every axis of size one: of a single image or a single patch the axis must stay.",
        ("p1=patch, p2=patch)", "p1=patch, p2=patch).squeeze()"),
    ),
    (
        "grid_kept",
        "The rows and columns of patches are two axes, [b gh gw c*p*p]; tokens stand in one row: [b n c*p*p].",
        (CUT, '"b c (gh p1) (gw p2) -> b gh gw (c p1 p2)"'),
    ),
    (
        "patch_for_number",
        "`patch` is used as the number of patches along a side. It is the side of a patch, in pixels.",
        ("p1=patch, p2=patch", "gh=patch, gw=patch"),
    ),
]
for name, says, change in SLIPS:
    EXERCISE.slip(by_names, name, says, change)
