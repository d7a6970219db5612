"""The check of ``TransformerBlock(dim, heads, mlp_ratio=4)``."""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from autograder.exercise import Draw, Exercise
from autograder.program import Plan
from autograder.wire import Ref

EXERCISE = Exercise("attention.TransformerBlock", objects=("TransformerBlock",))
OPTIONAL = ("attn.key.bias",)


def oracle(x: Tensor, w: dict[str, Tensor], heads: int, mask: Tensor | None = None) -> Tensor:
    """The block from torch's functional parts in float64; its packed attention takes True = forbidden."""
    x, w = x.double(), {name: weight.double() for name, weight in w.items()}
    normed = F.layer_norm(x, x.shape[-1:], w["norm1.weight"], w["norm1.bias"]).transpose(0, 1)
    attended, _ = F.multi_head_attention_forward(
        normed, normed, normed, x.shape[-1], heads,
        torch.cat([w[f"attn.{part}.weight"] for part in ("query", "key", "value")]),
        torch.cat([w[f"attn.{part}.bias"] for part in ("query", "key", "value")]),
        None, None, False, 0.0, w["attn.out.weight"], w["attn.out.bias"],
        need_weights=False, attn_mask=None if mask is None else ~mask,
    )  # fmt: skip
    x = x + attended.transpose(0, 1)
    normed = F.layer_norm(x, x.shape[-1:], w["norm2.weight"], w["norm2.bias"])
    hidden = F.gelu(F.linear(normed, w["mlp.0.weight"], w["mlp.0.bias"]))
    return x + F.linear(hidden, w["mlp.2.weight"], w["mlp.2.bias"])


def make(draw: Draw, plan: Plan, heads: int, width: int, ratio: float | None = None) -> tuple[Ref, dict[str, Tensor]]:
    """The student's block with weights drawn anew, biases and norms included."""
    dim = heads * width
    hidden = int(dim * (4 if ratio is None else ratio))
    shapes = {f"attn.{part}": (dim, dim) for part in ("query", "key", "value", "out")}
    shapes |= {"mlp.0": (hidden, dim), "mlp.2": (dim, hidden)}
    weights = {}
    for name, (rows, columns) in shapes.items():
        weights[f"{name}.weight"] = draw.normal(rows, columns) / math.sqrt(columns)
        weights[f"{name}.bias"] = draw.normal(rows)
    for norm in ("norm1", "norm2"):
        weights |= {f"{norm}.weight": draw.normal(dim), f"{norm}.bias": draw.normal(dim)}
    block = plan.call(dim, heads) if ratio is None else plan.call(dim, heads, mlp_ratio=ratio)
    plan.load(block, weights, optional=OPTIONAL)
    return block, weights


@EXERCISE.case(points=2, cause="x = x + attn(norm1(x)), then x = x + mlp(norm2(x)): norms before, sums after.")
def forward(draw: Draw, plan: Plan) -> None:
    """The output, with weights set from outside"""
    b, n, heads, width = draw.sizes_and_heads(2)
    block, weights = make(draw, plan, heads, width)
    x = draw.normal(b, n, heads * width)
    plan.expect(plan.call(x, on=block), oracle(x, weights, heads).float(), "the output", atol=5e-5)


@EXERCISE.case(points=1, cause="the MLP's hidden layer has mlp_ratio * dim units.")
def another_ratio(draw: Draw, plan: Plan) -> None:
    """An MLP three times as wide as the tokens"""
    b, n, heads, width = draw.sizes_and_heads(2)
    block, weights = make(draw, plan, heads, width, ratio=3)
    x = draw.normal(b, n, heads * width)
    plan.expect(plan.call(x, on=block), oracle(x, weights, heads).float(), "the output", atol=5e-5)


@EXERCISE.case(points=1, cause="the mask goes to the attention, True where a query may attend.")
def masked(draw: Draw, plan: Plan) -> None:
    """A causal mask, then a random one"""
    b, n, heads, width = draw.sizes_and_heads(2, low=3)
    block, weights = make(draw, plan, heads, width)
    x = draw.normal(b, n, heads * width)
    for mask, name in ((torch.ones(n, n, dtype=torch.bool).tril(), "causal"), (draw.mask(n, n), "random")):
        want = oracle(x, weights, heads, mask).float()
        plan.expect(plan.call(x, mask=mask, on=block), want, f"the output under a {name} mask", atol=5e-5)


@EXERCISE.case(points=1, cause="something is detached: the gradient passes both branches and both sums.")
def gradients(draw: Draw, plan: Plan) -> None:
    """Gradients of the input and of the weights"""
    b, n, heads, width = draw.sizes_and_heads(2)
    block, weights = make(draw, plan, heads, width)
    values, cotangent = draw.normal(b, n, heads * width), draw.normal(b, n, heads * width)
    x = plan.put(values, grad=True)
    plan.backward(plan.call(x, on=block), cotangent)
    leaf = values.double().requires_grad_()
    leaves = {name: weight.double().requires_grad_() for name, weight in weights.items()}
    (oracle(leaf, leaves, heads) * cotangent).sum().backward()
    plan.expect_grad(x, leaf.grad.float(), "x", atol=1e-3, rtol=1e-3)
    for name in ("norm1.weight", "attn.query.weight", "attn.out.bias", "norm2.bias", "mlp.0.weight", "mlp.2.bias"):
        plan.expect_grad(block[name], leaves[name].grad.float(), f"`{name}`", atol=1e-3, rtol=1e-3)


@EXERCISE.case(points=1, cause="norm1, attn, norm2 and mlp are attributes of the module; `x += …` changes the input.")
def contract(draw: Draw, plan: Plan) -> None:
    """Parameters are registered once, x stays as it was"""
    b, n, heads, width = draw.sizes_and_heads(2)
    block, weights = make(draw, plan, heads, width)
    plan.expect_parameters(block, list(weights), optional=OPTIONAL)
    values = draw.normal(b, n, heads * width)
    x = plan.put(values)
    plan.call(x, on=block)
    plan.expect(x, values, "x after the call")


@EXERCISE.variant
def two_lines() -> None:
    """The two residual lines, on an attention of its own and torch's LayerNorm"""

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
            z = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
            return self.out(rearrange(z, "b h n e -> b n (h e)"))

    class TransformerBlock(nn.Module):
        def __init__(self, dim, heads, mlp_ratio=4):
            super().__init__()
            self.norm1 = nn.LayerNorm(dim)
            self.attn = MultiHeadAttention(dim, heads)
            self.norm2 = nn.LayerNorm(dim)
            hidden = int(dim * mlp_ratio)
            self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))

        def forward(self, x, mask=None):
            x = x + self.attn(self.norm1(x), mask=mask)
            x = x + self.mlp(self.norm2(x))
            return x


@EXERCISE.variant
def all_by_itself() -> None:
    """Attention and MLP written out inside the block, without a bias of the keys"""

    class Attention(nn.Module):
        def __init__(self, dim, heads):
            super().__init__()
            self.heads = heads
            self.query, self.value, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
            self.key = nn.Linear(dim, dim, bias=False)

        def forward(self, x, mask):
            q, k, v = (f(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for f in (self.query, self.key, self.value))
            z = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
            return self.out(z.transpose(1, 2).flatten(2))

    class TransformerBlock(nn.Module):
        def __init__(self, dim, heads, mlp_ratio=4):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
            self.attn = Attention(dim, heads)
            self.mlp = nn.ModuleList([nn.Linear(dim, mlp_ratio * dim), nn.GELU(), nn.Linear(mlp_ratio * dim, dim)])

        def forward(self, x, mask=None):
            y = torch.add(self.attn(self.norm1(x), mask), x)
            z = self.norm2(y)
            for layer in self.mlp:
                z = layer(z)
            return y + z


SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "norms_after_the_sums",
        "The norms come after the sums, as in the paper of 2017 (post-norm); this course puts them before (pre-norm).",
        [
            ("x = x + self.attn(self.norm1(x), mask=mask)", "x = self.norm1(x + self.attn(x, mask=mask))"),
            ("x = x + self.mlp(self.norm2(x))", "x = self.norm2(x + self.mlp(x))"),
        ],
    ),
    (
        "stream_normalised",
        "The stream itself is normalised (`x = norm1(x)`), so the residual sum adds the normalised x, not x.",
        [
            (
                "x = x + self.attn(self.norm1(x), mask=mask)",
                "x = self.norm1(x)\n        x = x + self.attn(x, mask=mask)",
            ),
            ("x = x + self.mlp(self.norm2(x))", "x = self.norm2(x)\n        x = x + self.mlp(x)"),
        ],
    ),
    (
        "no_norms",
        "norm1 and norm2 are made but never applied.",
        [
            ("self.attn(self.norm1(x), mask=mask)", "self.attn(x, mask=mask)"),
            ("self.mlp(self.norm2(x))", "self.mlp(x)"),
        ],
    ),
    (
        "one_norm_for_both",
        "norm1 is used twice; attention and MLP each have a norm of their own.",
        [("self.norm2(x)", "self.norm1(x)")],
    ),
    (
        "no_residual_around_attention",
        "The output of the attention replaces x instead of being added to it.",
        [("x = x + self.attn(", "x = self.attn(")],
    ),
    (
        "no_residual_around_the_mlp",
        "The output of the MLP replaces x instead of being added to it.",
        [("x = x + self.mlp(", "x = self.mlp(")],
    ),
    (
        "side_by_side",
        "Attention and MLP both read the block's input (a parallel block); here the MLP reads what attention made.",
        [
            ("x = x + self.attn(self.norm1(x), mask=mask)", "y = x + self.attn(self.norm1(x), mask=mask)"),
            ("x = x + self.mlp(self.norm2(x))", "x = y + self.mlp(self.norm2(x))"),
        ],
    ),
    (
        "mlp_first",
        "The MLP comes before the attention; the order is attention, then MLP.",
        [
            ("x = x + self.attn(self.norm1(x), mask=mask)", "x = x + self.mlp(self.norm2(x)) + 0"),
            ("x = x + self.mlp(self.norm2(x))\n", "x = x + self.attn(self.norm1(x), mask=mask)\n"),
        ],
    ),
    ("relu", "The MLP's nonlinearity is ReLU; the statement asks for nn.GELU().", [("nn.GELU()", "nn.ReLU()")]),
    (
        "tanh_gelu",
        "This is the tanh approximation of GELU, as in GPT-2; the statement asks for the exact nn.GELU().",
        [("nn.GELU()", 'nn.GELU(approximate="tanh")')],
    ),
    (
        "mask_dropped",
        "The mask is accepted but never handed to the attention.",
        [("self.norm1(x), mask=mask)", "self.norm1(x))")],
    ),
    (
        "mask_as_context",
        "The mask is handed over as the second argument, which is the context: write mask=mask.",
        [("self.norm1(x), mask=mask)", "self.norm1(x), mask)")],
    ),
    (
        "ratio_ignored",
        "The hidden layer is always 4 * dim wide, whatever mlp_ratio is.",
        [("int(dim * mlp_ratio)", "4 * dim")],
    ),
    (
        "added_in_place",
        "`x += …` changes the caller's tensor; write `x = x + …`, which makes a new one.",
        [("x = x + self.attn(self.norm1(x), mask=mask)", "x += self.attn(self.norm1(x), mask=mask)")],
    ),
    (
        "dropout_left_in",
        "Dropout makes the output random while training; the statement asks for none.",
        [("nn.Linear(hidden, dim))", "nn.Linear(hidden, dim), nn.Dropout(0.1))")],
    ),
    (
        "attention_not_trained",
        "The attention branch is cut off from autograd, so its weights can never learn.",
        [("self.attn(self.norm1(x), mask=mask)", "self.attn(self.norm1(x), mask=mask).detach()")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(two_lines, name, says, *changes)
