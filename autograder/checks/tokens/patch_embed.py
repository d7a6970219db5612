"""The check of ``PatchEmbed(image_size, patch, in_channels, dim)``."""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from autograder.exercise import Draw, Exercise
from autograder.program import Plan
from autograder.wire import Ref

EXERCISE = Exercise("tokens.PatchEmbed", objects=("PatchEmbed",))


def oracle(images: Tensor, patch: int, weight: Tensor, bias: Tensor) -> Tensor:
    """A strided convolution in float64, whose kernels are the rows of ``weight``."""
    kernels = weight.double().unflatten(1, (images.shape[1], patch, patch))
    return F.conv2d(images.double(), kernels, bias.double(), stride=patch).flatten(2).mT


def made(
    draw: Draw, plan: Plan, size: int | tuple[int, int], patch: int, channels: int, dim: int
) -> tuple[Ref, Tensor, Tensor]:
    """A module, with weights drawn anew."""
    module = plan.call(size, patch, channels, dim)
    weight, bias = draw.normal(dim, channels * patch**2), draw.normal(dim)
    plan.load(module, {"proj.weight": weight, "proj.bias": bias})
    return module, weight, bias


def expect(
    draw: Draw, plan: Plan, down: int, across: int, *, b: int, patch: int, channels: int, square: bool = False
) -> None:
    """Compare the tokens of ``b`` images of ``down`` times ``across`` patches."""
    images = draw.normal(b, channels, down * patch, across * patch)
    size = down * patch if square else (down * patch, across * patch)
    module, weight, bias = made(draw, plan, size, patch, channels, draw.integer(8, 11))
    want = oracle(images, patch, weight, bias).float()
    what = f"the tokens of images {list(images.shape)} for image_size={size}, patch={patch}"
    plan.expect(plan.call(images, on=module), want, what, atol=1e-4)


@EXERCISE.case(points=1, cause="flatten a patch as (c, p1, p2), then apply `proj`, with its bias and nothing else.")
def one_patch(draw: Draw, plan: Plan) -> None:
    """Colour images that are one single patch: flatten and project"""
    b, patch = draw.sizes(2, low=4)
    expect(draw, plan, 1, 1, b=b, patch=patch, channels=3)


@EXERCISE.case(points=1, cause="first cut into patches, row by row; every patch is projected by itself.")
def high_images(draw: Draw, plan: Plan) -> None:
    """Images higher than wide, image_size=(height, width)"""
    b, patch, channels, *grid = draw.sizes(5, low=4, high=8)
    expect(draw, plan, max(grid), min(grid), b=b, patch=patch, channels=channels)


@EXERCISE.case(points=1, cause="image_size and the images' axes both put height before width.")
def wide_images(draw: Draw, plan: Plan) -> None:
    """Images wider than high, with one or two channels"""
    b, patch, *grid = draw.sizes(4, low=3, high=6)
    for channels in (1, 2):
        expect(draw, plan, min(grid), max(grid), b=b, patch=patch, channels=channels)


@EXERCISE.case(points=0.5, cause="where image_size is one number, height and width are both that number.")
def square_images(draw: Draw, plan: Plan) -> None:
    """image_size is one number: square images"""
    b, patch, channels, side = draw.sizes(4, low=4, high=7)
    expect(draw, plan, side, side, b=b, patch=patch, channels=channels, square=True)


@EXERCISE.case(points=0.5, cause="`n` = (height / patch) * (width / patch), known as soon as the module is made.")
def number_of_tokens(draw: Draw, plan: Plan) -> None:
    """The attribute `n`: how many tokens an image gives"""
    patch, down, across, channels, dim = draw.sizes(5, high=7)
    for size, n in (((down * patch, across * patch), down * across), (down * patch, down**2)):
        module = plan.call(size, patch, channels, dim)
        plan.expect(module["n"], n, f"`n` for image_size={size}, patch={patch}")


@EXERCISE.case(points=1, cause="one nn.Linear called `proj` holds all parameters; nothing is detached.")
def contract(draw: Draw, plan: Plan) -> None:
    """Only `proj` is learned, gradients reach it and the images, which stay as they were"""
    patch, channels, down, across, dim = draw.sizes(5, low=4, high=8)
    size = (down * patch, across * patch)
    plan.expect_parameters(plan.call(size, patch, channels, dim), ["proj.bias", "proj.weight"])
    module, weight, bias = made(draw, plan, size, patch, channels, dim)
    values, cotangent = draw.normal(2, channels, *size), draw.normal(2, down * across, dim)
    kept = plan.put(values)
    plan.call(kept, on=module)
    plan.expect(kept, values, "the images after the call")
    images = plan.put(values, grad=True)
    plan.backward(plan.call(images, on=module), cotangent)
    leaves = [t.double().requires_grad_() for t in (values, weight, bias)]
    (oracle(leaves[0], patch, *leaves[1:]) * cotangent).sum().backward()
    refs = zip((images, module["proj.weight"], module["proj.bias"]), leaves, strict=True)
    for (ref, leaf), name in zip(refs, ("the images", "`proj.weight`", "`proj.bias`"), strict=True):
        plan.expect_grad(ref, leaf.grad.float(), name, atol=1e-4)


@EXERCISE.case(
    points=0.5, cause="the dtype follows the images and the module: no .float(), no torch.zeros without dtype."
)
def double_precision(draw: Draw, plan: Plan) -> None:
    """A module turned into float64 gives float64 tokens"""
    patch, channels, down, across, dim = draw.sizes(5, low=4, high=8)
    module, weight, bias = made(draw, plan, (down * patch, across * patch), patch, channels, dim)
    images = draw.normal(2, channels, down * patch, across * patch, dtype=torch.float64)
    out = plan.call(images, on=plan.call(on=module, method="double"))
    plan.expect(out, oracle(images, patch, weight, bias), "the tokens of float64 images", rtol=1e-9, atol=1e-9)


@EXERCISE.variant
def cut_and_projected() -> None:
    """einops, then the linear layer"""

    class PatchEmbed(nn.Module):
        def __init__(self, image_size, patch, in_channels, dim):
            super().__init__()
            height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
            self.patch = patch
            self.n = (height // patch) * (width // patch)
            self.proj = nn.Linear(in_channels * patch**2, dim)

        def forward(self, images):
            p = self.patch
            patches = rearrange(images, "b c (gh p1) (gw p2) -> b (gh gw) (c p1 p2)", p1=p, p2=p)
            return self.proj(patches)


@EXERCISE.variant
def strided_convolution() -> None:
    """The linear layer's weight, used as the kernels of a strided convolution"""

    class PatchEmbed(nn.Module):
        def __init__(self, image_size, patch, in_channels, dim):
            super().__init__()
            if isinstance(image_size, int):
                image_size = (image_size, image_size)
            self.kernel = (dim, in_channels, patch, patch)
            self.stride = patch
            self.proj = nn.Linear(in_channels * patch * patch, dim)
            self.n = math.prod(side // patch for side in image_size)

        def forward(self, images):
            maps = F.conv2d(images, self.proj.weight.view(self.kernel), self.proj.bias, stride=self.stride)
            return maps.flatten(2).transpose(1, 2)


@EXERCISE.variant
def unfolded() -> None:
    """F.unfold, then the linear layer"""

    class PatchEmbed(nn.Module):
        def __init__(self, image_size, patch, in_channels, dim):
            super().__init__()
            self.size = (image_size,) * 2 if isinstance(image_size, int) else tuple(image_size)
            self.patch = patch
            self.proj = nn.Linear(in_channels * patch**2, dim)

        @property
        def n(self):
            return self.size[0] * self.size[1] // self.patch**2

        def forward(self, images):
            return self.proj(F.unfold(images, self.patch, stride=self.patch).mT)


@EXERCISE.variant
def patch_by_patch() -> None:
    """A loop over patches, each projected by itself"""

    class PatchEmbed(nn.Module):
        def __init__(self, image_size, patch, in_channels, dim):
            super().__init__()
            self.height, self.width = (image_size, image_size) if type(image_size) is int else image_size
            self.patch = patch
            self.proj = nn.Linear(in_channels * patch**2, dim)
            self.n = len(range(0, self.height, patch)) * len(range(0, self.width, patch))

        def forward(self, images):
            p, tokens = self.patch, []
            for top in range(0, self.height, p):
                for left in range(0, self.width, p):
                    tokens.append(self.proj(images[:, :, top : top + p, left : left + p].flatten(1)))
            return torch.stack(tokens, dim=1)


CUT = "b c (gh p1) (gw p2) -> b (gh gw) (c p1 p2)"
PROJ = "nn.Linear(in_channels * patch**2, dim)"
N = "self.n = (height // patch) * (width // patch)"
SIDES = "height, width = (image_size, image_size) if isinstance(image_size, int) else image_size"
RETURN = "return self.proj(patches)"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "channels_last",
        "A patch is flattened with its channels last, (p1 p2 c); the order is (c p1 p2), which is also how the "
        "kernels of a convolution lie.",
        [(CUT, "b c (gh p1) (gw p2) -> b (gh gw) (p1 p2 c)")],
    ),
    (
        "patches_column_by_column",
        "The tokens come column by column, (gw gh). They come row by row: (gh gw).",
        [(CUT, "b c (gh p1) (gw p2) -> b (gw gh) (c p1 p2)")],
    ),
    (
        "patches_turned",
        "The pixels of a patch come column by column, (c p2 p1); the order is (c p1 p2).",
        [(CUT, "b c (gh p1) (gw p2) -> b (gh gw) (c p2 p1)")],
    ),
    (
        "every_so_many_pixels",
        "A side is split as (p1 gh), so that a token gets pixels from all over the image; split it as (gh p1).",
        [(CUT, "b c (p1 gh) (p2 gw) -> b (gh gw) (c p1 p2)")],
    ),
    (
        "no_bias",
        "The projection has no bias. nn.Linear has one unless told otherwise, and here it is wanted.",
        [(PROJ, "nn.Linear(in_channels * patch**2, dim, bias=False)")],
    ),
    (
        "weight_without_bias",
        "The patches are multiplied by proj.weight, but proj.bias is never added.",
        [(RETURN, "return patches @ self.proj.weight.T")],
    ),
    (
        "three_channels_written_in",
        "The projection is made for three channels whatever is asked for; use in_channels.",
        [(PROJ, "nn.Linear(3 * patch**2, dim)")],
    ),
    (
        "projection_made_in_forward",
        "The projection is made anew in every forward pass, with other random weights each time, and no optimiser "
        "ever sees it. Make it once, in __init__.",
        [
            (f"    self.proj = {PROJ}\n", "    self.dim = dim\n"),
            (RETURN, "return nn.Linear(patches.shape[-1], self.dim)(patches)"),
        ],
    ),
    (
        "convolution_as_projection",
        "`proj` is a convolution: right in value, but its weight is [dim c p p], and weights are exchanged as those "
        "of a linear layer, [dim c*p*p]. Use nn.Linear.",
        [
            (PROJ, "nn.Conv2d(in_channels, dim, patch, stride=patch)"),
            (RETURN, "return self.proj(images).flatten(2).mT"),
        ],
    ),
    (
        "positions_added",
        "A table of positions is added. That is a good idea, but another layer's work: this one only projects.",
        [
            (f"{N}\n", f"{N}\n        self.positions = nn.Parameter(torch.zeros(self.n, dim))\n"),
            (RETURN, "return self.proj(patches) + self.positions"),
        ],
    ),
    (
        "cls_prepended",
        "A cls token is put in front, so there are n + 1 tokens. This layer gives one token a patch.",
        [
            (f"{N}\n", f"{N}\n        self.cls = nn.Parameter(torch.zeros(1, 1, dim))\n"),
            (RETURN, "return torch.cat([self.cls.expand(len(images), -1, -1), self.proj(patches)], dim=1)"),
        ],
    ),
    (
        "activation_added",
        "An activation follows the projection. A patch embedding is linear: project, and nothing else.",
        [(RETURN, "return F.gelu(self.proj(patches))")],
    ),
    (
        "normalised",
        "The tokens are normalised after the projection. This layer projects and nothing else; the blocks normalise.",
        [(RETURN, "return F.layer_norm(self.proj(patches), (self.proj.out_features,))")],
    ),
    (
        "maps_not_tokens",
        "The result is laid out like an image, [b dim gh gw]. Tokens are [b n dim].",
        [(RETURN, "return self.proj(patches).mT.unflatten(2, (images.shape[2] // p, images.shape[3] // p))")],
    ),
    (
        "pairs_only",
        "image_size may be one number too, for square images; here it is always unpacked as a pair.",
        [(SIDES, "height, width = image_size")],
    ),
    (
        "squares_only",
        "image_size may be a pair (height, width); here it is always used as one number.",
        [(SIDES, "height = width = image_size")],
    ),
    (
        "n_of_a_square",
        "`n` is computed as (height / patch)², which holds for square images only; height and width each give "
        "a number of patches, and `n` is their product.",
        [(N, "self.n = (height // patch) ** 2")],
    ),
    (
        "n_forgotten",
        "The attribute `n`, the number of tokens, is missing: whoever builds a table of positions needs it.",
        [(N, "self.tokens = (height // patch) * (width // patch)")],
    ),
    (
        "pixels_counted",
        "`n` is height * width / patch; each side is divided by patch, so a token stands for patch² pixels.",
        [(N, "self.n = height * width // patch")],
    ),
    (
        "n_with_a_fraction",
        "`n` is computed with /, which gives a float even where nothing is left over; with // it is a whole number.",
        [(N, "self.n = (height / patch) * (width / patch)")],
    ),
    (
        "sides_swapped",
        "The grid is built with (width, height); images are [b c h w], and image_size is (height, width).",
        [
            (f"{N}\n", f"{N}\n        self.grid = (width // patch, height // patch)\n"),
            (
                f'patches = rearrange(images, "{CUT}", p1=p, p2=p)',
                "parts = images.reshape(*images.shape[:2], self.grid[0], p, self.grid[1], p)\n"
                '        patches = rearrange(parts, "b c gh p1 gw p2 -> b (gh gw) (c p1 p2)")',
            ),
        ],
    ),
    (
        "without_gradient",
        "The patches are detached (or cut under torch.no_grad()), so no gradient gets back to the images.",
        [(RETURN, "return self.proj(patches.detach())")],
    ),
    (
        "in_single_precision",
        "The images are turned into float32, whatever came in; keep the dtype they have.",
        [(RETURN, "return self.proj(patches.float())")],
    ),
    (
        "pixels_scaled",
        "The pixels are divided by 255 first. Which values the pixels have is the data's business: project them as "
        "they are.",
        [(RETURN, "return self.proj(patches / 255)")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(cut_and_projected, name, says, *changes)
