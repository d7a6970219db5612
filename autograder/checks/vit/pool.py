"""The check of ``pool(tokens, how, n_prefix=1) -> [b d]``."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("vit.pool", objects=("pool",))


def shares(n: int, how: str, n_prefix: int) -> Tensor:
    """How much of each of n tokens is in the pooled vector."""
    if how == "cls":
        return torch.tensor([1.0] + [0.0] * (n - 1), dtype=torch.float64)
    patches = n - n_prefix
    return torch.tensor([0.0] * n_prefix + [1 / patches] * patches, dtype=torch.float64)


def oracle(tokens: Tensor, how: str, n_prefix: int = 1) -> Tensor:
    """One weighted sum of all tokens, in float64."""
    weights = shares(tokens.shape[1], how, n_prefix)
    return torch.einsum("n,bnd->bd", weights, tokens.double()).to(tokens.dtype)


@EXERCISE.case(points=1, cause='"cls" is the token at index 0 of each image, all its channels.')
def first_token(draw: Draw, plan: Plan) -> None:
    """ "cls": the first token of every image"""
    tokens = draw.normal(*draw.sizes(3))
    plan.expect(plan.call(tokens, "cls"), oracle(tokens, "cls"), 'pool(tokens, "cls")')


@EXERCISE.case(points=1, cause='"mean" is the mean over the n - 1 patches: the cls token is no patch.')
def mean_of_patches(draw: Draw, plan: Plan) -> None:
    """ "mean": the mean of all tokens but the first, whose numbers are much larger"""
    tokens = draw.normal(*draw.sizes(3, low=3))
    tokens[:, 0] *= 20
    plan.expect(plan.call(tokens, "mean"), oracle(tokens, "mean"), 'pool(tokens, "mean")')


@EXERCISE.case(
    points=1, cause='"mean" leaves out the first `n_prefix` tokens, "cls" is token 0 however many there are.'
)
def prefixes(draw: Draw, plan: Plan) -> None:
    """No, two and more tokens before the patches"""
    b, n, d = draw.sizes(3, low=4, high=9)
    tokens = draw.normal(b, n, d)
    more = draw.integer(3, n - 1)
    for how, n_prefix in (("mean", 0), ("mean", 2), ("mean", more), ("cls", 2), ("cls", more)):
        what = f'pool(tokens, "{how}", n_prefix={n_prefix}) of {n} tokens'
        plan.expect(plan.call(tokens, how, n_prefix=n_prefix), oracle(tokens, how, n_prefix), what)


@EXERCISE.case(points=0.5, cause="the result is always [b d]: name the axis that goes, do not squeeze() what is 1.")
def sizes_of_one(draw: Draw, plan: Plan) -> None:
    """One image, one patch, one channel"""
    b, n, d = draw.sizes(3, low=3)
    for shape in ((1, n, d), (b, 2, d), (b, n, 1), (1, 2, 1)):
        tokens = draw.normal(*shape)
        for how in ("cls", "mean"):
            plan.expect(plan.call(tokens, how), oracle(tokens, how), f'pool(tokens {list(shape)}, "{how}")')


@EXERCISE.case(points=0.5, cause="compute in the tokens' dtype, write nothing into them, and let gradients through.")
def contract(draw: Draw, plan: Plan) -> None:
    """float64 stays float64, the tokens stay as they were, gradients flow"""
    b, n, d = draw.sizes(3, low=3)
    values, cotangent = draw.normal(b, n, d, dtype=torch.float64), draw.normal(b, d, dtype=torch.float64)
    for how in ("cls", "mean"):
        tokens = plan.put(values)
        plan.expect(plan.call(tokens, how), oracle(values, how), f'pool(tokens, "{how}") of float64 tokens')
        plan.expect(tokens, values, "the tokens after the call")
        leaf = plan.put(values, grad=True)
        plan.backward(plan.call(leaf, how), cotangent)
        # the pooled vector is linear in the tokens, so each token's gradient is its share
        plan.expect_grad(leaf, shares(n, how, 1)[None, :, None] * cotangent[:, None], f'the tokens under "{how}"')


@EXERCISE.variant
def sliced() -> None:
    """Index and slice"""

    def pool(tokens, how, n_prefix=1):
        if how == "cls":
            return tokens[:, 0]
        patches = tokens[:, n_prefix:]
        return patches.mean(dim=1)


@EXERCISE.variant
def as_a_weighted_sum() -> None:
    """A vector of shares times the tokens"""

    def pool(tokens, how, n_prefix=1):
        place = torch.arange(tokens.shape[1])
        chosen = place == 0 if how == "cls" else place >= n_prefix
        weights = chosen.to(tokens.dtype) / chosen.sum()
        return torch.einsum("n,bnd->bd", weights, tokens)


@EXERCISE.variant
def token_by_token() -> None:
    """A running sum in a loop"""

    def pool(tokens, how, n_prefix=1):
        if how == "cls":
            return tokens.unbind(1)[0]
        total = torch.zeros_like(tokens[:, 0])
        for i in range(n_prefix, tokens.shape[1]):
            total = total + tokens[:, i]
        return total / (tokens.shape[1] - n_prefix)


@EXERCISE.variant
def adaptive_pooling() -> None:
    """torch's pooling layer over the turned tokens"""

    def pool(tokens, how, n_prefix=1):
        turned = rearrange(tokens, "b n d -> b d n")
        wanted = turned[..., :1] if how == "cls" else turned[..., n_prefix:]
        return F.adaptive_avg_pool1d(wanted, 1).squeeze(-1)


MEAN = "patches.mean(dim=1)"
PATCHES = "tokens[:, n_prefix:]"
CLS = "tokens[:, 0]"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "cls_in_the_mean",
        "The mean runs over all tokens, cls among them; leave out the first `n_prefix` tokens.",
        [(PATCHES, "tokens")],
    ),
    (
        "prefix_always_one",
        "The argument `n_prefix` is ignored: one token is left out, however many stand before the patches.",
        [(PATCHES, "tokens[:, 1:]")],
    ),
    (
        "one_more_left_out",
        "One token too many is left out: the patches begin at index `n_prefix`, which is already past the prefix.",
        [(PATCHES, "tokens[:, n_prefix + 1 :]")],
    ),
    (
        "cls_before_the_patches",
        '"cls" takes the last token of the prefix; the cls token is the first of all, and others come behind it.',
        [(CLS, "tokens[:, n_prefix - 1]")],
    ),
    (
        "last_token",
        '"cls" takes the last token, as a language model would; here the cls token is the first.',
        [(CLS, "tokens[:, -1]")],
    ),
    (
        "first_image",
        '"cls" takes tokens[0], which is the first image with all its tokens; the first token is tokens[:, 0].',
        [(CLS, "tokens[0]")],
    ),
    (
        "axis_kept",
        "The axis of tokens is still there, with size one; the result is [b d].",
        [(CLS, "tokens[:, :1]"), (MEAN, "patches.mean(dim=1, keepdim=True)")],
    ),
    (
        "over_the_channels",
        "The mean runs over the channels and gives one number a token; take it over the tokens, dim=1.",
        [(MEAN, "patches.mean(dim=-1)")],
    ),
    (
        "over_the_images_too",
        "The mean runs over images and tokens together, so all images get the same vector; only the tokens go.",
        [(MEAN, "patches.mean(dim=(0, 1)).expand(len(tokens), -1)")],
    ),
    (
        "divided_by_all_tokens",
        "The patches are summed and then divided by the number of all tokens; divide by the number of patches.",
        [(MEAN, "patches.sum(dim=1) / tokens.shape[1]")],
    ),
    (
        "sum_not_mean",
        "The patches are summed, so larger images give larger vectors; divide by the number of patches.",
        [(MEAN, "patches.sum(dim=1)")],
    ),
    (
        "largest_of_each_channel",
        "The largest value of each channel is taken, which is max pooling; the mean is asked for.",
        [(MEAN, "patches.amax(dim=1)")],
    ),
    (
        "always_cls",
        'The first token is returned whatever `how` says; compare it with "cls" by ==. (`how == "cls" or "mean"` is '
        "always true.)",
        [('how == "cls"', 'how == "cls" or "mean"')],
    ),
    (
        "the_two_swapped",
        '"cls" gives the mean and "mean" gives the cls token: the branches are swapped.',
        [('how == "cls"', 'how == "mean"')],
    ),
    (
        "everything_squeezed",
        "squeeze() drops every axis of size one, of images and channels too; only the axis of tokens goes.",
        [(CLS, "tokens[:, 0].squeeze()"), (MEAN, "patches.mean(dim=1).squeeze()")],
    ),
    (
        "mean_detached",
        "The mean is cut off from autograd, by .detach() or numpy: nothing before it would learn.",
        [(MEAN, "patches.mean(dim=1).detach()")],
    ),
    (
        "in_single_precision",
        "The mean is turned into float32, whatever came in; compute in the dtype of the tokens.",
        [(MEAN, "patches.float().mean(dim=1)")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(sliced, name, says, *changes)
