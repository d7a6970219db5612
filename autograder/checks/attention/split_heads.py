"""The check of ``split_heads(x, heads)`` and ``merge_heads(x)``, handed in together."""

from itertools import product

import torch
from einops import rearrange
from torch import Tensor

from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("attention.split_heads", objects=("split_heads", "merge_heads"))
SPLIT, MERGE = 0, 1


def split(x: Tensor, heads: int) -> Tensor:
    """One entry at a time: channel h * e + c of a token is channel c of head h."""
    b, n, d = x.shape
    width = d // heads
    out = torch.empty(b, heads, n, width, dtype=x.dtype)
    for i, h, t, c in product(*map(range, out.shape)):
        out[i, h, t, c] = x[i, t, h * width + c]
    return out


def merge(x: Tensor) -> Tensor:
    """One entry at a time, the other way round."""
    b, heads, n, width = x.shape
    out = torch.empty(b, n, heads * width, dtype=x.dtype)
    for i, h, t, c in product(*map(range, x.shape)):
        out[i, t, h * width + c] = x[i, h, t, c]
    return out


@EXERCISE.case(points=1.5, cause="unfold d into (heads, width) first, then swap the token axis and the head axis.")
def split_alone(draw: Draw, plan: Plan) -> None:
    """split_heads: each head gets its own run of neighbouring channels"""
    b, n, heads, width = draw.sizes_and_heads(2)
    x = draw.normal(b, n, heads * width)
    plan.expect(plan.call(x, heads, which=SPLIT), split(x, heads), f"split_heads(x, {heads})")


@EXERCISE.case(points=1.5, cause="swap the head axis and the token axis first, then fold (heads, width) into one.")
def merge_alone(draw: Draw, plan: Plan) -> None:
    """merge_heads: the heads of a token side by side, in order"""
    b, n, heads, width = draw.sizes_and_heads(2)
    x = draw.normal(b, heads, n, width)
    plan.expect(plan.call(x, which=MERGE), merge(x), "merge_heads(x)")


@EXERCISE.case(points=0.5, cause="merge_heads must undo exactly what split_heads does.")
def there_and_back(draw: Draw, plan: Plan) -> None:
    """merge_heads undoes split_heads: for one head, for some, for as many as channels"""
    b, n, heads, width = draw.sizes_and_heads(2)
    x = draw.normal(b, n, heads * width)
    for count in (heads, 1, heads * width):
        back = plan.call(plan.call(x, count, which=SPLIT), which=MERGE)
        plan.expect(back, x, f"merge_heads(split_heads(x, {count}))")


@EXERCISE.case(
    points=0.5, cause="`.view` needs entries that lie in order; `.reshape` and rearrange copy where they must."
)
def out_of_order_in_memory(draw: Draw, plan: Plan) -> None:
    """Tensors whose entries do not lie in order in memory, such as a transposed one"""
    b, n, heads, width = draw.sizes_and_heads(2)
    x = draw.normal(b, heads * width, n)
    turned = plan.call(1, 2, on=plan.put(x), method="transpose")
    plan.expect(plan.call(turned, heads, which=SPLIT), split(x.mT, heads), f"split_heads(x.transpose(1, 2), {heads})")
    x = draw.normal(b, heads, width, n)
    turned = plan.call(2, 3, on=plan.put(x), method="transpose")
    plan.expect(plan.call(turned, which=MERGE), merge(x.mT), "merge_heads(x.transpose(2, 3))")


@EXERCISE.case(points=1, cause="only move entries: keep the dtype, leave the input alone, and let gradients through.")
def contract(draw: Draw, plan: Plan) -> None:
    """float64 stays float64, inputs stay as they were, gradients find their way back"""
    b, n, heads, width = draw.sizes_and_heads(2)
    whole = draw.normal(b, n, heads * width, dtype=torch.float64)
    parts = draw.normal(b, heads, n, width, dtype=torch.float64)
    x, y = plan.put(whole), plan.put(parts)
    plan.expect(plan.call(x, heads, which=SPLIT), split(whole, heads), "split_heads of float64 tokens")
    plan.expect(plan.call(y, which=MERGE), merge(parts), "merge_heads of float64 heads")
    plan.expect(x, whole, "x after split_heads")
    plan.expect(y, parts, "x after merge_heads")
    x, y = plan.put(whole, grad=True), plan.put(parts, grad=True)
    plan.backward(plan.call(x, heads, which=SPLIT), parts)
    plan.backward(plan.call(y, which=MERGE), whole)
    # the functions only move entries, so a gradient travels back by the inverse move
    plan.expect_grad(x, merge(parts), "x through split_heads")
    plan.expect_grad(y, split(whole, heads), "x through merge_heads")


@EXERCISE.mistake
def reshaped_without_transposing() -> None:
    """One reshape to the final shape gives the right sizes and the wrong entries: the heads get pieces of different
    tokens. Unfold the channels first, then swap two axes."""

    def split_heads(x, heads):
        b, n, d = x.shape
        return x.reshape(b, heads, n, d // heads)

    def merge_heads(x):
        b, heads, n, width = x.shape
        return x.reshape(b, n, heads * width)


@EXERCISE.mistake
def merged_without_transposing() -> None:
    """split_heads is right, but merge_heads folds heads and width together while the tokens still stand between
    them. Swap heads and tokens back first."""

    def split_heads(x, heads):
        b, n, d = x.shape
        return x.reshape(b, n, heads, d // heads).transpose(1, 2)

    def merge_heads(x):
        b, heads, n, width = x.shape
        return x.reshape(b, n, heads * width)


@EXERCISE.mistake
def channels_interleaved() -> None:
    """The heads take turns channel by channel, "(e h)". Each head owns a run of neighbouring channels, "(h e)"."""

    def split_heads(x, heads):
        return rearrange(x, "b n (e h) -> b h n e", h=heads)

    def merge_heads(x):
        return rearrange(x, "b h n e -> b n (e h)")


@EXERCISE.mistake
def merged_interleaved() -> None:
    """split_heads is right, but merge_heads lets the heads take turns channel by channel, "(e h)" for "(h e)"."""

    def split_heads(x, heads):
        return rearrange(x, "b n (h e) -> b h n e", h=heads)

    def merge_heads(x):
        return rearrange(x, "b h n e -> b n (e h)")


@EXERCISE.mistake
def heads_after_tokens() -> None:
    """The heads stand behind the tokens, [b n h e]; attention needs them in front, [b h n e], so that the last two
    axes are tokens and width."""

    def split_heads(x, heads):
        return x.unflatten(-1, (heads, -1))

    def merge_heads(x):
        return x.flatten(-2)


@EXERCISE.mistake
def width_for_number() -> None:
    """`heads` is used as the width of a head. It is the number of heads; the width is d / heads."""

    def split_heads(x, heads):
        return rearrange(x, "b n (h e) -> b h n e", e=heads)

    def merge_heads(x):
        return rearrange(x, "b h n e -> b n (h e)")


@EXERCISE.mistake
def heads_first_of_all() -> None:
    """The heads stand in front of the batch, [h b n e]. Stack them along axis 1: [b h n e]."""

    def split_heads(x, heads):
        return torch.stack(x.chunk(heads, dim=-1))

    def merge_heads(x):
        return torch.cat(list(x), dim=-1)


@EXERCISE.mistake
def heads_folded_into_the_batch() -> None:
    """The heads are folded into the batch, [b*h n e]. Give them an axis of their own, so that masks can name it."""

    def split_heads(x, heads):
        return rearrange(x, "b n (h e) -> (b h) n e", h=heads)

    def merge_heads(x):
        return rearrange(x, "b h n e -> b n (h e)")


@EXERCISE.mistake
def tokens_cut_instead_of_channels() -> None:
    """The tokens are cut into parts; every head keeps all tokens, and it is their channels that are cut."""

    def split_heads(x, heads):
        return rearrange(x, "b (h n) d -> b h n d", h=heads)

    def merge_heads(x):
        return rearrange(x, "b h n d -> b (h n) d")


@EXERCISE.mistake
def merged_by_view() -> None:
    """merge_heads calls .view on a transposed tensor, which torch refuses. Use .reshape, or .contiguous() first."""

    def split_heads(x, heads):
        b, n, d = x.shape
        return x.reshape(b, n, heads, d // heads).transpose(1, 2)

    def merge_heads(x):
        b, heads, n, width = x.shape
        return x.transpose(1, 2).view(b, n, heads * width)


@EXERCISE.mistake
def split_by_view() -> None:
    """split_heads folds two axes together by .view, which torch refuses for tensors that do not lie in order in
    memory. Use .reshape, or leave batch and tokens apart."""

    def split_heads(x, heads):
        b, n, d = x.shape
        return x.view(b * n, heads, d // heads).view(b, n, heads, d // heads).transpose(1, 2)

    def merge_heads(x):
        return x.transpose(1, 2).flatten(2)


@EXERCISE.mistake
def filled_into_a_new_tensor() -> None:
    """The entries are copied into torch.empty, which is float32 unless told otherwise; pass dtype=x.dtype, or only
    reorder what is there."""

    def split_heads(x, heads):
        b, n, d = x.shape
        out = torch.empty(b, heads, n, d // heads)
        for h in range(heads):
            out[:, h] = x[..., h * (d // heads) : (h + 1) * (d // heads)]
        return out

    def merge_heads(x):
        return x.transpose(1, 2).flatten(2)


@EXERCISE.variant
def by_names() -> None:
    """einops"""

    def split_heads(x, heads):
        return rearrange(x, "b n (h e) -> b h n e", h=heads)

    def merge_heads(x):
        return rearrange(x, "b h n e -> b n (h e)")


@EXERCISE.variant
def by_reshape_and_transpose() -> None:
    """Plain torch; copies so that entries lie in order"""

    def split_heads(x, heads):
        b, n, d = x.shape
        return x.reshape(b, n, heads, d // heads).permute(0, 2, 1, 3).contiguous()

    def merge_heads(x):
        b, heads, n, width = x.shape
        return x.transpose(1, 2).contiguous().view(b, n, heads * width)


@EXERCISE.variant
def by_chunks() -> None:
    """Cut into chunks and stacked; unbound and concatenated"""

    def split_heads(x, heads):
        return torch.stack(x.chunk(heads, dim=-1), dim=1)

    def merge_heads(x):
        return torch.cat(x.unbind(1), dim=-1)


@EXERCISE.variant
def by_slices() -> None:
    """A loop that fills a new tensor"""

    def split_heads(x, heads):
        b, n, d = x.shape
        width = d // heads
        out = x.new_zeros(b, heads, n, width)
        for h in range(heads):
            out[:, h] = x[..., h * width : (h + 1) * width]
        return out

    def merge_heads(x):
        out = x.new_zeros(x.shape[0], x.shape[2], x.shape[1] * x.shape[3])
        for h in range(x.shape[1]):
            out[..., h * x.shape[3] : (h + 1) * x.shape[3]] = x[:, h]
        return out
