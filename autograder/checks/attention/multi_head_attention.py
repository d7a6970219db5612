"""The check of ``MultiHeadAttention(dim, heads)``."""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from autograder.exercise import Draw, Exercise
from autograder.program import Plan
from autograder.wire import Ref

EXERCISE = Exercise("attention.MultiHeadAttention", objects=("MultiHeadAttention",))
# a bias of the keys adds the same number to all scores of a query, so softmax does not see it: it may be left out
OPTIONAL = ("key.bias",)


def oracle(x: Tensor, context: Tensor, weights: dict[str, Tensor], heads: int, mask: Tensor | None = None) -> Tensor:
    """One head after another in float64, each projected by its own columns of ``out`` and summed up."""
    w = {name: weight.double() for name, weight in weights.items()}
    x, context = x.double(), context.double()
    width = x.shape[-1] // heads
    total = w["out.bias"].expand(*x.shape).clone()
    for head in range(heads):
        own = slice(head * width, (head + 1) * width)
        q, k, v = (
            source @ w[f"{name}.weight"][own].T + w[f"{name}.bias"][own]
            for name, source in (("query", x), ("key", context), ("value", context))
        )
        scores = torch.einsum("bne,bme->bnm", q, k) / math.sqrt(width)
        if mask is not None:
            allowed = mask[:, head] if mask.ndim == 4 and mask.shape[1] > 1 else mask.reshape(-1, *mask.shape[-2:])
            scores = scores.masked_fill(~allowed, -math.inf)
            empty = ~allowed.any(-1, keepdim=True)
            p = torch.softmax(scores.masked_fill(empty, 0.0), -1).masked_fill(empty, 0.0)
        else:
            p = torch.softmax(scores, -1)
        total = total + (p @ v) @ w["out.weight"][:, own].T
    return total


def make(draw: Draw, plan: Plan, heads: int, width: int) -> tuple[Ref, dict[str, Tensor]]:
    """The student's module with weights drawn anew, biases included."""
    dim = heads * width
    weights = {}
    for name in ("query", "key", "value", "out"):
        weights[f"{name}.weight"] = draw.normal(dim, dim) / math.sqrt(dim)
        weights[f"{name}.bias"] = draw.normal(dim)
    module = plan.call(dim=dim, heads=heads)
    plan.load(module, weights, optional=OPTIONAL)
    return module, weights


@EXERCISE.case(points=1, cause="project to queries, keys and values, attend with 1/sqrt(dim) here, project with `out`.")
def one_head(draw: Draw, plan: Plan) -> None:
    """Self-attention with one head"""
    b, n = draw.sizes(2)
    module, weights = make(draw, plan, heads=1, width=8)
    x = draw.normal(b, n, 8)
    plan.expect(plan.call(x, on=module), oracle(x, x, weights, 1).float(), "the output")


@EXERCISE.case(points=2, cause="head i owns channels i*d/h to (i+1)*d/h; its scores are divided by sqrt(d/h).")
def several_heads(draw: Draw, plan: Plan) -> None:
    """Self-attention with several heads"""
    b, n, heads, width = draw.sizes_and_heads(2)
    module, weights = make(draw, plan, heads, width)
    x = draw.normal(b, n, heads * width)
    plan.expect(plan.call(x, on=module), oracle(x, x, weights, heads).float(), "the output")


@EXERCISE.case(points=1, cause="with a context, queries come from x, but keys and values from the context.")
def cross(draw: Draw, plan: Plan) -> None:
    """Cross-attention to a context of another length"""
    b, n, m, heads, width = draw.sizes_and_heads(3)
    module, weights = make(draw, plan, heads, width)
    x, context = draw.normal(b, n, heads * width), draw.normal(b, m, heads * width)
    got = plan.call(x, context=context, on=module)
    plan.expect(got, oracle(x, context, weights, heads).float(), "the output")


@EXERCISE.case(points=1, cause="a mask [n m] is True where a query may attend, and holds for all items and heads.")
def one_mask(draw: Draw, plan: Plan) -> None:
    """One mask [n m] for all items and heads"""
    b, n, m, heads, width = draw.sizes_and_heads(3, low=3)
    module, weights = make(draw, plan, heads, width)
    x, context = draw.normal(b, n, heads * width), draw.normal(b, m, heads * width)
    mask = draw.mask(n, m)
    got = plan.call(x, context=context, mask=mask, on=module)
    plan.expect(got, oracle(x, context, weights, heads, mask).float(), "the output")


@EXERCISE.case(points=1, cause="a mask broadcasts to [b h n m]: this one has shape [b 1 n m].")
def mask_per_item(draw: Draw, plan: Plan) -> None:
    """A mask of its own for each item, [b 1 n m]"""
    b, n, m, heads, width = draw.sizes_and_heads(3, low=3)
    module, weights = make(draw, plan, heads, width)
    x, context = draw.normal(b, n, heads * width), draw.normal(b, m, heads * width)
    mask = draw.mask(b, 1, n, m)
    got = plan.call(x, context=context, mask=mask, on=module)
    plan.expect(got, oracle(x, context, weights, heads, mask).float(), "the output")


@EXERCISE.case(points=1, cause="softmax over nothing but -inf is NaN: such a query collects zeros, `out.bias` is left.")
def nothing_to_attend_to(draw: Draw, plan: Plan) -> None:
    """A query that may attend to nothing"""
    b, n, heads, width = draw.sizes_and_heads(2, low=3)
    module, weights = make(draw, plan, heads, width)
    mask = draw.mask(n, n)
    mask[draw.integer(0, n - 1)] = False
    values = draw.normal(b, n, heads * width)
    x = plan.put(values, grad=True)
    got = plan.call(x, mask=mask, on=module)
    leaf = values.double().requires_grad_()
    want = oracle(leaf, leaf, weights, heads, mask)
    cotangent = draw.normal(*values.shape)
    plan.expect(got, want.detach().float(), "the output")
    plan.backward(got, cotangent)
    (want * cotangent).sum().backward()
    plan.expect_grad(x, leaf.grad.float(), "x")


@EXERCISE.case(points=1, cause="four nn.Linear layers as attributes; nothing detached or random, x left as it was.")
def contract(draw: Draw, plan: Plan) -> None:
    """Parameters are registered, gradients reach them, x stays as it was"""
    b, n, m, heads, width = draw.sizes_and_heads(3)
    module, weights = make(draw, plan, heads, width)
    plan.expect_parameters(module, list(weights), optional=OPTIONAL)
    values, context = draw.normal(b, n, heads * width), draw.normal(b, m, heads * width)
    x = plan.put(values)
    got = plan.call(x, context=context, on=module)
    leaves = {name: weight.double().requires_grad_() for name, weight in weights.items()}
    cotangent = draw.normal(*values.shape)
    (oracle(values, context, leaves, heads) * cotangent).sum().backward()
    plan.backward(got, cotangent)
    plan.expect(x, values, "x after the call")
    for name in ("query.weight", "key.weight", "value.weight", "value.bias", "out.weight", "out.bias"):
        plan.expect_grad(module[name], leaves[name].grad.float(), f"`{name}`", atol=1e-4)


@EXERCISE.variant
def step_by_step() -> None:
    """Scores, mask, softmax and sum written out"""

    class MultiHeadAttention(nn.Module):
        def __init__(self, dim, heads):
            super().__init__()
            self.heads = heads
            self.query = nn.Linear(dim, dim)
            self.key = nn.Linear(dim, dim)
            self.value = nn.Linear(dim, dim)
            self.out = nn.Linear(dim, dim)

        def split(self, x):
            return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)

        def forward(self, x, context=None, mask=None):
            context = x if context is None else context
            q, k, v = self.split(self.query(x)), self.split(self.key(context)), self.split(self.value(context))
            scores = q @ k.mT / math.sqrt(q.shape[-1])
            if mask is not None:
                scores = scores.masked_fill(~mask, -math.inf)
                scores = scores.masked_fill(~mask.any(-1, keepdim=True), 0.0)
            p = scores.softmax(-1)
            if mask is not None:
                p = p.masked_fill(~mask, 0.0)
            z = p @ v
            return self.out(z.transpose(1, 2).flatten(2))


SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "heads_by_reshaping",
        "Reshaping [b n d] to [b h n e] at once mixes tokens with channels: cut the channels, then swap the axes.",
        [("x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)", "x.reshape(len(x), self.heads, x.shape[1], -1)")],
    ),
    (
        "merged_without_swapping_back",
        "The heads [b h n e] are reshaped to [b n d] without swapping h and n back first.",
        [("z.transpose(1, 2).flatten(2)", "z.reshape(x.shape)")],
    ),
    (
        "heads_interleaved",
        "Head i takes every h-th channel; it should own a block of neighbouring channels, `(h e)` and not `(e h)`.",
        [
            (
                "x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)",
                "x.reshape(*x.shape[:2], -1, self.heads).permute(0, 3, 1, 2)",
            ),
            ("z.transpose(1, 2).flatten(2)", "z.permute(0, 2, 3, 1).flatten(2)"),
        ],
    ),
    (
        "scaled_by_the_whole_width",
        "The scores are divided by sqrt(dim); each head compares only d/h channels, so sqrt(d/h) is right.",
        [("math.sqrt(q.shape[-1])", "math.sqrt(x.shape[-1])")],
    ),
    (
        "not_scaled",
        "The scores are not divided by the root of the head's width.",
        [(" / math.sqrt(q.shape[-1])", "")],
    ),
    (
        "no_output_projection",
        "The merged heads are returned as they are: `out`, which mixes the heads, is never applied.",
        [("self.out(z.transpose(1, 2).flatten(2))", "z.transpose(1, 2).flatten(2)")],
    ),
    (
        "context_ignored",
        "The context is accepted but never used: keys and values still come from x.",
        [("context = x if context is None else context", "context = x")],
    ),
    (
        "queries_from_the_context",
        "Everything comes from the context; the queries must come from x: it is x that asks.",
        [("self.query(x)", "self.query(context)")],
    ),
    (
        "mask_upside_down",
        'The mask is read as True = forbidden (as nn.MultiheadAttention does); here True means "may attend".',
        [("scores = q @", "mask = None if mask is None else ~mask\n        scores = q @")],
    ),
    (
        "mask_ignored",
        "The mask is accepted but never used.",
        [("scores = q @", "mask = None\n        scores = q @")],
    ),
    (
        "nan_for_an_empty_row",
        "A query whose mask row is all False gives 0/0 = NaN, and the NaN spreads through every later layer.",
        [
            ("            scores = scores.masked_fill(~mask.any(-1, keepdim=True), 0.0)\n", ""),
            ("p = p.masked_fill(~mask, 0.0)", "p = p"),
        ],
    ),
    (
        "mean_for_an_empty_row",
        "A query that may attend to nothing gets the mean of all values, which its mask was meant to hide.",
        [("p = p.masked_fill(~mask, 0.0)", "p = p")],
    ),
    (
        "weak_fill",
        "Forbidden scores are set to -4, which softmax still sees; only -inf (or a huge negative number) hides them.",
        [
            ("scores.masked_fill(~mask, -math.inf)", "scores.masked_fill(~mask, -4.0)"),
            ("p.masked_fill(~mask, 0.0)", "p"),
        ],
    ),
    (
        "softmax_over_the_queries",
        "The softmax runs over the queries (dim=-2); each query's weights over the keys (dim=-1) must sum to one.",
        [("scores.softmax(-1)", "scores.softmax(-2).nan_to_num()")],
    ),
    (
        "residual_inside",
        "x is added to the output here; the residual connection belongs to the Transformer block around it.",
        [("return self.out(", "return x + self.out(")],
    ),
    (
        "dropout_left_in",
        "Dropout makes the output random while training; the statement asks for none.",
        [("p = scores.softmax(-1)", "p = F.dropout(scores.softmax(-1), 0.1, self.training)")],
    ),
    (
        "one_layer_for_keys_and_values",
        "Keys and values share one layer here; each of query, key and value needs its own.",
        [("self.split(self.value(context))", "self.split(self.key(context))")],
    ),
    (
        "layers_in_a_list",
        "The layers sit in a plain Python list, which nn.Module does not look into: an optimiser would never see them.",
        [
            ("self.query = nn.Linear(dim, dim)", "self.layers = [nn.Linear(dim, dim) for _ in range(4)]"),
            ("        self.key = nn.Linear(dim, dim)\n", ""),
            ("        self.value = nn.Linear(dim, dim)\n", ""),
            ("        self.out = nn.Linear(dim, dim)\n", ""),
            (
                "    def split(self, x):",
                "    query, key, value, out = (property(lambda self, i=i: self.layers[i]) for i in range(4))\n\n"
                "    def split(self, x):",
            ),
        ],
    ),
    (
        "weights_detached",
        "The attention weights are cut off from autograd, so queries and keys can never learn.",
        [("scores.softmax(-1)", "scores.softmax(-1).detach()")],
    ),
    (
        "no_biases",
        "The linear layers have no bias; the statement asks for nn.Linear(dim, dim) as it comes, with its bias.",
        [
            (f"self.{name} = nn.Linear(dim, dim)", f"self.{name} = nn.Linear(dim, dim, bias=False)")
            for name in ("query", "key", "value", "out")
        ],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(step_by_step, name, says, *changes)


@EXERCISE.variant
def fused_kernel() -> None:
    """torch's fused kernel, with rows that may attend to nothing set to zero"""

    class MultiHeadAttention(nn.Module):
        def __init__(self, dim, heads):
            super().__init__()
            self.heads = heads
            self.query, self.key, self.value, self.out = (nn.Linear(dim, dim) for _ in range(4))

        def forward(self, x, context=None, mask=None):
            context = x if context is None else context
            q, k, v = (
                rearrange(t, "b n (h e) -> b h n e", h=self.heads)
                for t in (self.query(x), self.key(context), self.value(context))
            )
            if mask is None:
                z = F.scaled_dot_product_attention(q, k, v)
            else:
                some = mask.any(-1, keepdim=True)
                z = F.scaled_dot_product_attention(q, k, v, attn_mask=mask | ~some) * some
            return self.out(rearrange(z, "b h n e -> b n (h e)"))


@EXERCISE.variant
def einsum_with_a_large_negative_fill() -> None:
    """einsum, and the most negative float instead of -inf; weights of forbidden keys set to zero after"""

    class MultiHeadAttention(nn.Module):
        def __init__(self, dim, heads):
            super().__init__()
            self.heads, self.width = heads, dim // heads
            self.query, self.key, self.value, self.out = (nn.Linear(dim, dim) for _ in range(4))

        def forward(self, x, context=None, mask=None):
            context = x if context is None else context
            q = self.query(x).unflatten(-1, (self.heads, self.width))
            k = self.key(context).unflatten(-1, (self.heads, self.width))
            v = self.value(context).unflatten(-1, (self.heads, self.width))
            scores = torch.einsum("bnhe,bmhe->bhnm", q, k) * self.width**-0.5
            if mask is not None:
                scores = torch.where(mask, scores, torch.finfo(scores.dtype).min)
            p = torch.softmax(scores, -1)
            if mask is not None:
                p = p * mask
            return self.out(torch.einsum("bhnm,bmhe->bnhe", p, v).flatten(-2))


@EXERCISE.variant
def head_by_head_without_a_key_bias() -> None:
    """A loop over heads; the keys have no bias, which softmax would cancel anyway"""

    class MultiHeadAttention(nn.Module):
        def __init__(self, dim, heads):
            super().__init__()
            self.heads, self.width = heads, dim // heads
            self.query = nn.Linear(dim, dim)
            self.key = nn.Linear(dim, dim, bias=False)
            self.value = nn.Linear(dim, dim)
            self.out = nn.Linear(dim, dim)

        def forward(self, x, context=None, mask=None):
            if context is None:
                context = x
            answers = []
            for h in range(self.heads):
                own = slice(h * self.width, (h + 1) * self.width)
                q, k, v = self.query(x)[..., own], self.key(context)[..., own], self.value(context)[..., own]
                scores = q @ k.transpose(1, 2) / math.sqrt(self.width)
                if mask is not None:
                    allowed = mask if mask.ndim == 2 else mask[:, min(h, mask.shape[1] - 1)]
                    scores = scores - scores.detach().amax(-1, keepdim=True)
                    e = scores.exp() * allowed
                    p = e / e.sum(-1, keepdim=True).clamp(min=1e-30)
                else:
                    p = scores.softmax(-1)
                answers.append(p @ v)
            return self.out(torch.cat(answers, -1))
