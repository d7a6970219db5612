"""The check of ``prepend_cls(tokens, cls) -> [b n+1 d]``."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("vit.prepend_cls", objects=("prepend_cls",))


def oracle(tokens: Tensor, cls: Tensor) -> Tensor:
    """An empty result whose first row of each image is filled with cls, and the others with the tokens."""
    b, n, d = tokens.shape
    out = torch.full((b, n + 1, d), torch.nan, dtype=tokens.dtype)
    for image in range(b):
        out[image, 0] = cls
        for token in range(n):
            out[image, token + 1] = tokens[image, token]
    return out


@EXERCISE.case(points=1, cause="concatenate cls, as a token [1 1 d], and the tokens along the axis of tokens.")
def one_image(draw: Draw, plan: Plan) -> None:
    """One image: cls comes first, then all tokens in their order"""
    n, d = draw.sizes(2)
    tokens, cls = draw.normal(1, n, d), draw.normal(d)
    plan.expect(plan.call(tokens, cls), oracle(tokens, cls), "prepend_cls(tokens, cls)")


@EXERCISE.case(points=1, cause="every image of the batch gets the same vector: expand cls to [b 1 d].")
def several_images(draw: Draw, plan: Plan) -> None:
    """Several images, also with a single token each"""
    for b, n, d in (draw.sizes(3), (draw.integer(2, 3), 1, draw.integer(4, 7))):
        tokens, cls = draw.normal(b, n, d), draw.normal(d)
        plan.expect(plan.call(tokens, cls), oracle(tokens, cls), f"prepend_cls of {b} images")


@EXERCISE.case(points=1, cause="cls is learned: no .detach(), .data, torch.tensor(…) or new Parameter on the way.")
def gradients(draw: Draw, plan: Plan) -> None:
    """Gradients reach the tokens, and cls from all images"""
    b, n, d = draw.sizes(3)
    tokens, cls = plan.put(draw.normal(b, n, d), grad=True), plan.put(draw.normal(d), grad=True)
    cotangent = draw.normal(b, n + 1, d)
    plan.backward(plan.call(tokens, cls), cotangent)
    first, others = cotangent.split([1, n], dim=1)
    plan.expect_grad(tokens, others, "the tokens")
    plan.expect_grad(cls, first.sum((0, 1)), "cls")


@EXERCISE.case(points=1, cause="make a new tensor in the dtype of the tokens; neither argument is written to.")
def contract(draw: Draw, plan: Plan) -> None:
    """float64 stays float64; tokens and cls stay as they were"""
    b, n, d = draw.sizes(3)
    values, vector = draw.normal(b, n, d, dtype=torch.float64), draw.normal(d, dtype=torch.float64)
    tokens, cls = plan.put(values), plan.put(vector)
    plan.expect(plan.call(tokens, cls), oracle(values, vector), "prepend_cls of float64 tokens")
    plan.expect(tokens, values, "the tokens after the call")
    plan.expect(cls, vector, "cls after the call")


@EXERCISE.variant
def expanded() -> None:
    """expand and cat"""

    def prepend_cls(tokens, cls):
        b, n, d = tokens.shape
        first = cls.expand(b, 1, d)
        return torch.cat([first, tokens], dim=1)


@EXERCISE.variant
def repeated_by_names() -> None:
    """einops, and the tokens turned so that cls is a column"""

    def prepend_cls(tokens, cls):
        first = rearrange(cls.repeat(len(tokens), 1), "b d -> b d 1")
        return rearrange(torch.cat([first, rearrange(tokens, "b n d -> b d n")], -1), "b d n -> b n d")


@EXERCISE.variant
def image_by_image() -> None:
    """A loop over images"""

    def prepend_cls(tokens, cls):
        return torch.stack([torch.vstack([cls, image]) for image in tokens])


@EXERCISE.variant
def padded_and_added() -> None:
    """A row of zeros in front, to which cls is added"""

    def prepend_cls(tokens, cls):
        place = F.one_hot(torch.tensor(0), tokens.shape[1] + 1).to(tokens.dtype)
        return F.pad(tokens, (0, 0, 1, 0)) + torch.einsum("n,d->nd", place, cls)


JOIN = "torch.cat([first, tokens], dim=1)"
FIRST = "first = cls.expand(b, 1, d)"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "put_at_the_end",
        "cls stands behind the tokens. It comes first: other parts look for it at index 0.",
        [(JOIN, "torch.cat([tokens, first], dim=1)")],
    ),
    (
        "a_further_image",
        "cls is joined along the axis of images, so the batch grows by one; it is a further token of every image.",
        [(FIRST, "first = cls.expand(1, n, d)"), (JOIN, "torch.cat([first, tokens], dim=0)")],
    ),
    (
        "further_channels",
        "cls is joined along the channels, [b n 2d]; it is a token of its own, so n grows and d stays.",
        [(FIRST, "first = cls.expand(b, n, d)"), (JOIN, "torch.cat([first, tokens], dim=-1)")],
    ),
    (
        "added_to_every_token",
        "cls is added to the tokens as if it were a position; it is put in front of them, as one token more.",
        [(JOIN, "tokens + first")],
    ),
    (
        "first_token_replaced",
        "cls takes the place of the first token, which is lost; there are n + 1 tokens afterwards.",
        [(JOIN, "torch.cat([first, tokens[:, 1:]], dim=1)")],
    ),
    (
        "last_token_dropped",
        "The last token is cut off to keep n tokens; the result has n + 1.",
        [(JOIN, "torch.cat([first, tokens[:, :-1]], dim=1)")],
    ),
    (
        "first_image_only",
        "Only the first image gets cls, the others a row of zeros: expand it over the whole batch.",
        [(FIRST, "first = F.pad(cls.expand(1, 1, d), (0, 0, 0, 0, 0, b - 1))")],
    ),
    (
        "not_expanded",
        "cls is [1 1 d] and is joined to [b n d]: cat does not broadcast, so with more than one image torch refuses. "
        "Expand it to [b 1 d].",
        [(FIRST, "first = cls.reshape(1, 1, d)")],
    ),
    (
        "wrapped_in_a_parameter",
        "nn.Parameter(cls), like .detach() or torch.tensor(cls), makes a new leaf: the gradient never reaches the cls "
        "that was handed in.",
        [(FIRST, "first = nn.Parameter(cls).expand(b, 1, d)")],
    ),
    (
        "tokens_detached",
        "The tokens are cut off from autograd, so the patch embedding before them would never learn.",
        [(JOIN, "torch.cat([first, tokens.detach()], dim=1)")],
    ),
    (
        "written_into_zeros",
        "The rows are written into torch.zeros, which is float32 unless told otherwise: pass dtype and device of the "
        "tokens, or use torch.cat.",
        [
            ("return " + JOIN, "out = torch.zeros(b, n + 1, d)\n    out[:, :1], out[:, 1:] = first, tokens"),
            ("tokens\n", "tokens\n    return out\n"),
        ],
    ),
    (
        "shared_over_the_batch",
        "cls is divided by the number of images; every image gets the vector as it is.",
        [(FIRST, "first = cls.expand(b, 1, d) / b")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(expanded, name, says, *changes)
