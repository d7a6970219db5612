"""The check of ``attention_rollout(attns) -> [b n n]``."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("vit.attention_rollout", objects=("attention_rollout",))


def oracle(attns: list[Tensor]) -> Tensor:
    """Walkers instead of products of matrices, image by image and token by token.

    From the last layer back to the first, the walkers on a token stay in proportion to 1 and leave in proportion to
    its weights, so that none gets lost.
    """
    b, h, n, _ = attns[0].shape
    out = []
    for image in range(b):
        means = [sum(layer[image].double().unbind(0)) / h for layer in attns]
        for start in range(n):
            walkers = F.one_hot(torch.tensor(start), n).double()
            for weights in reversed(means):
                moved = walkers / (weights.sum(-1) + 1)
                walkers = moved + torch.einsum("q,qk->k", moved, weights)
            out.append(walkers)
    return torch.stack(out).reshape(b, n, n).to(attns[0].dtype)


def layers(draw: Draw, depth: int, *shape: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Random attention weights [b h n n] for each of ``depth`` layers; rows sum to one, nothing is symmetric."""
    return [(2 * draw.normal(*shape, shape[-1], dtype=dtype)).softmax(-1) for _ in range(depth)]


@EXERCISE.case(
    points=1, cause="add the identity for the residual stream and halve, so that rows sum to one: (W + I)/2."
)
def one_layer(draw: Draw, plan: Plan) -> None:
    """One layer with one head"""
    b, n = draw.sizes(2)
    attns = layers(draw, 1, b, 1, n)
    plan.expect(plan.call(attns), oracle(attns), "the rollout of one layer")


@EXERCISE.case(points=1, cause="the heads of a layer are averaged, then the identity is added once.")
def several_heads(draw: Draw, plan: Plan) -> None:
    """One layer with several heads"""
    b, h, n = draw.sizes(3)
    attns = layers(draw, 1, b, h, n)
    plan.expect(plan.call(attns), oracle(attns), "the rollout of one layer")


@EXERCISE.case(points=1.5, cause="matrices multiply, each later layer from the left: A_last @ … @ A_2 @ A_1.")
def several_layers(draw: Draw, plan: Plan) -> None:
    """Several layers of several heads, first to last; and a single image"""
    depth, b, h, n = draw.sizes(4, high=6)
    for images in (b, 1):
        attns = layers(draw, depth, images, h, n)
        plan.expect(plan.call(attns), oracle(attns), f"the rollout of {depth} layers of {images} images")


@EXERCISE.case(points=1, cause="divide each row by its own sum (keepdim=True): a row without weights keeps its token.")
def rows_without_weights(draw: Draw, plan: Plan) -> None:
    """Masked attention: causal rows, and rows of zeros for tokens that may attend to nothing"""
    depth, b, h, n = draw.sizes(4, low=3, high=6)
    attns = [layer.tril() / layer.tril().sum(-1, keepdim=True) for layer in layers(draw, depth, b, h, n)]
    for image in range(b):
        padding = draw.permutation(n)[: 1 + image % (n - 1)]
        for layer in attns:
            layer[image, :, padding] = 0
    plan.expect(plan.call(attns), oracle(attns), "the rollout of masked attention")


@EXERCISE.case(points=0.5, cause="go through `attns` with a for loop or by index: it may be one tensor too.")
def one_tensor(draw: Draw, plan: Plan) -> None:
    """All layers as one tensor [depth b h n n], as `ViT.attention_maps` returns them; a tuple"""
    depth, b, h, n = draw.sizes(4, high=6)
    attns = layers(draw, depth, b, h, n)
    plan.expect(plan.call(torch.stack(attns)), oracle(attns), "the rollout of a tensor of all layers")
    plan.expect(plan.call(tuple(attns)), oracle(attns), "the rollout of a tuple of layers")


@EXERCISE.case(
    points=1, cause="make the identity in the dtype of the weights, write into none of them, detach nothing."
)
def contract(draw: Draw, plan: Plan) -> None:
    """float64 stays float64, the weights stay as they were, gradients reach every layer"""
    b, h, n = draw.sizes(3)
    values = layers(draw, 3, b, h, n, dtype=torch.float64)
    kept = [plan.put(layer) for layer in values]
    plan.expect(plan.call(kept), oracle(values), "the rollout of float64 weights")
    for number, (layer, before) in enumerate(zip(kept, values, strict=True), 1):
        plan.expect(layer, before, f"the weights of layer {number} after the call")
    # right answers agree where rows sum to one, and so in gradients along such rows: those of scores before a softmax
    scores, cotangent = layers(draw, 3, b, h, n, dtype=torch.float64), draw.normal(b, n, n, dtype=torch.float64)
    leaves, own = [plan.put(layer, grad=True) for layer in scores], [layer.requires_grad_() for layer in scores]
    plan.backward(plan.call([plan.call(-1, on=leaf, method="softmax") for leaf in leaves]), cotangent)
    wanted = torch.autograd.grad(oracle([layer.softmax(-1) for layer in own]), own, cotangent)
    for number, (leaf, gradient) in enumerate(zip(leaves, wanted, strict=True), 1):
        plan.expect_grad(leaf, gradient, f"the scores of layer {number}", atol=1e-7)


@EXERCISE.variant
def layer_by_layer() -> None:
    """A loop from the first layer to the last"""

    def attention_rollout(attns):
        n = attns[0].shape[-1]
        rollout = torch.eye(n, dtype=attns[0].dtype)
        for layer in attns:
            weights = layer.mean(dim=1)
            step = (weights + torch.eye(n, dtype=layer.dtype)) / 2
            step = step / step.sum(dim=-1, keepdim=True)
            rollout = step @ rollout
        return rollout


@EXERCISE.variant
def from_the_last_layer() -> None:
    """Backwards, from the right; every head gets its own identity and is scaled before the mean"""

    def attention_rollout(attns):
        rollout = None
        for i in range(len(attns) - 1, -1, -1):
            heads = attns[i] + torch.eye(attns[i].shape[-1], dtype=attns[i].dtype)
            step = F.normalize(heads, p=1, dim=-1).mean(1)
            rollout = step if rollout is None else torch.bmm(rollout, step)
        return rollout


@EXERCISE.variant
def without_an_identity() -> None:
    """The residual stream as a sum: what was there plus what attention brings"""

    def attention_rollout(attns):
        b, h, n, _ = attns[0].shape
        flow = torch.diag_embed(attns[0].new_ones(b, n))
        for layer in attns:
            brought = torch.einsum("bhqk,bkj->bqj", layer, flow) / h
            flow = (flow + brought) / (1 + layer.sum((1, 3)) / h)[..., None]
        return flow


@EXERCISE.variant
def image_by_image() -> None:
    """A loop over images, and torch's product of many matrices"""

    def attention_rollout(attns):
        out = []
        for image in range(attns[0].shape[0]):
            steps = []
            for layer in attns:
                step = rearrange(layer[image], "h q k -> q k h").mean(-1)
                step = step + torch.eye(len(step), dtype=step.dtype)
                steps.insert(0, step / step.sum(1, keepdim=True))
            out.append(torch.linalg.multi_dot(steps) if len(steps) > 1 else steps[0])
        return torch.stack(out)


START = "rollout = torch.eye(n, dtype=attns[0].dtype)"
HEADS = "layer.mean(dim=1)"
MIX = "(weights + torch.eye(n, dtype=layer.dtype)) / 2"
SCALE = "        step = step / step.sum(dim=-1, keepdim=True)\n"
PRODUCT = "step @ rollout"
RETURN = "return rollout\n"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "later_layers_from_the_right",
        "The layers are multiplied in reverse order: later layers come from the left, step @ rollout.",
        [(PRODUCT, "rollout @ step")],
    ),
    (
        "no_residual_stream",
        "The identity is missing: beside what attention brings, each token keeps what it was. Mix half of each.",
        [(MIX, "weights"), (SCALE, "")],
    ),
    (
        "identity_once_at_the_end",
        "The identity is mixed in once, after all layers are multiplied; every layer has its residual connection.",
        [(MIX, "weights"), (SCALE, ""), (RETURN, "return (rollout + torch.eye(n, dtype=rollout.dtype)) / 2\n")],
    ),
    (
        "neither_halved_nor_scaled",
        "W + I has rows that sum to two, so the rollout doubles with every layer; halve it.",
        [(MIX, "weights + torch.eye(n, dtype=layer.dtype)"), (SCALE, "")],
    ),
    (
        "halved_without_scaling",
        "Half of W + I sums to one only where the row of W does: a token that attends to nothing loses half of itself "
        "in every layer. Divide each row by its sum.",
        [(SCALE, "")],
    ),
    (
        "scaled_before_the_identity",
        "W's rows are divided by their sums before the identity is added: a row of zeros gives NaN. Add it first.",
        [(SCALE, ""), (HEADS, "layer.mean(dim=1) / layer.mean(dim=1).sum(-1, keepdim=True)")],
    ),
    (
        "scaled_without_keepdim",
        "step.sum(dim=-1) is [b n], and dividing by it lines images and rows up with rows and columns; keepdim=True.",
        [("keepdim=True", "keepdim=False")],
    ),
    (
        "columns_scaled",
        "The columns are made to sum to one; it is the rows, over the keys, that tell where a token looks.",
        [("step.sum(dim=-1,", "step.sum(dim=-2,")],
    ),
    (
        "heads_summed",
        "The heads are summed, so that attention outweighs the residual stream; take their mean.",
        [(HEADS, "layer.sum(dim=1)")],
    ),
    (
        "largest_head",
        "Of the heads the largest weight is taken; the paper averages them, and so does this exercise.",
        [(HEADS, "layer.amax(dim=1)")],
    ),
    (
        "smallest_head",
        "Of the heads the smallest weight is taken; the paper averages them, and so does this exercise.",
        [(HEADS, "layer.amin(dim=1)")],
    ),
    (
        "first_head_only",
        "Only the first head is used; average over all of them.",
        [(HEADS, "layer[:, 0]")],
    ),
    (
        "images_averaged",
        "The mean runs over images and heads; each image has its own rollout, so the mean is over dim=1 alone.",
        [(HEADS, "layer.mean(dim=(0, 1)).expand(len(layer), -1, -1)")],
    ),
    (
        "entry_by_entry",
        "The layers are multiplied entry by entry, *; what flows through all tokens between is a matrix product, @.",
        [(START, "rollout = torch.ones(n, n, dtype=attns[0].dtype)"), (PRODUCT, "step * rollout")],
    ),
    (
        "last_layer_only",
        "Only the last layer is in the result: what was there before is not multiplied with it.",
        [(PRODUCT, "step")],
    ),
    (
        "layers_averaged",
        "The layers are averaged; they follow one another, so they multiply.",
        [
            (START, "rollout = 0"),
            (PRODUCT, "rollout + step / len(attns)"),
        ],
    ),
    (
        "first_layer_twice",
        "The rollout starts with the first layer and the loop multiplies it in once more; start with the identity.",
        [(START, "rollout = (attns[0].mean(1) + torch.eye(n, dtype=attns[0].dtype)) / 2")],
    ),
    (
        "first_layer_without_residual",
        "The first layer is taken as it is, without the identity mixed in; it has a residual connection too.",
        [(START, "rollout = attns[0].mean(1)"), ("in attns:", "in attns[1:]:")],
    ),
    (
        "last_layer_missing",
        "The last layer is left out.",
        [(START, START + ".expand(len(attns[0]), n, n)"), ("in attns:", "in attns[:-1]:")],
    ),
    (
        "row_of_cls",
        "Only the row of the cls token is returned; the rollout of all tokens is asked for, [b n n].",
        [(RETURN, "return rollout[:, 0]\n")],
    ),
    (
        "turned",
        "The result is transposed: rows are the last tokens, columns the first ones.",
        [(RETURN, "return rollout.mT\n")],
    ),
    (
        "softmax_once_more",
        "softmax is applied again; the layers hold weights already, not scores.",
        [(HEADS, "layer.softmax(dim=-1).mean(dim=1)")],
    ),
    (
        "identity_in_single_precision",
        "torch.eye(n) is float32, and a product with float64 weights fails; give it dtype and device of the weights.",
        [(START, "rollout = torch.eye(n)")],
    ),
    (
        "stacked_as_a_list",
        "torch.stack takes a list or tuple, and here the layers may already be one tensor; loop over `attns` instead.",
        [("    n = attns", "    attns = torch.stack(attns)\n    n = attns")],
    ),
    (
        "added_in_place",
        "`layer += I` changes the caller's weights; write `layer + I`, which makes a new tensor.",
        [(HEADS, "layer.detach().add_(torch.eye(n, dtype=layer.dtype)).mean(dim=1)"), (MIX, "weights / 2")],
    ),
    (
        "detached",
        "The weights are cut off from autograd, by .detach(), no_grad or numpy; gradients must reach every layer.",
        [(HEADS, "layer.detach().mean(dim=1)")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(layer_by_layer, name, says, *changes)
