"""The check of ``RotaryAttention(dim, heads, base=10000.0)``."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from autograder.exercise import Draw, Exercise
from autograder.program import Plan
from autograder.wire import Ref

EXERCISE = Exercise("positions.RotaryAttention", objects=("RotaryAttention",))
PARAMETERS = [f"{layer}.{part}" for layer in ("query", "key", "value", "out") for part in ("weight", "bias")]


def oracle(x: Tensor, weights: dict[str, Tensor], heads: int, base: float, mask: Tensor | None = None) -> Tensor:
    """One head after another in float64; a score is computed from the distance alone, nothing is ever rotated.

    With pairs of channels as complex numbers, query i and key j score Re(Σ q conj(k) exp(i·(i-j)·frequency)).
    """
    w = {name: weight.double() for name, weight in weights.items()}
    x = x.double()
    n, width = x.shape[1], x.shape[2] // heads
    places = torch.arange(n, dtype=torch.float64)
    frequencies = torch.tensor([base ** (-2 * pair / width) for pair in range(width // 2)], dtype=torch.float64)
    phases = (places[:, None] - places)[..., None] * frequencies  # [n m pairs]
    waves = torch.complex(phases.cos(), phases.sin())
    total = w["out.bias"].expand(*x.shape).clone()
    for head in range(heads):
        own = slice(head * width, (head + 1) * width)
        q, k, v = (x @ w[f"{name}.weight"][own].T + w[f"{name}.bias"][own] for name in ("query", "key", "value"))
        q, k = (torch.complex(t[..., 0::2], t[..., 1::2]) for t in (q, k))
        scores = torch.einsum("bic,bjc,ijc->bij", q, k.conj(), waves).real / math.sqrt(width)
        if mask is not None:
            scores = scores.masked_fill(~mask.reshape(-1, n, n), -math.inf)
        total = total + (torch.softmax(scores, -1) @ v) @ w["out.weight"][:, own].T
    return total


def sizes(draw: Draw) -> tuple[int, int, int, int]:
    """Batch, tokens, heads and the (even) width of a head: all different, and different from heads * width."""
    while True:
        b, n, heads, half = draw.sizes(4)
        if len({b, n, heads, 2 * half, 2 * half * heads}) == 5:
            return b, n, heads, 2 * half


def make(
    draw: Draw, plan: Plan, heads: int, width: int, *, base: float | None = None, key_bias: bool = False
) -> tuple[Ref, dict[str, Tensor]]:
    """The student's module with weights drawn anew; the bias of the keys is zero, and may be missing, but on request.

    One case tests that bias: a module without it (as in attention without positions) loses that case only.
    """
    dim = heads * width
    weights = {}
    for name in ("query", "key", "value", "out"):
        # queries and keys are a little larger than usual, so that the weights are far from uniform
        weights[f"{name}.weight"] = (1.5 if name in ("query", "key") else 1.0) * draw.normal(dim, dim) / math.sqrt(dim)
        weights[f"{name}.bias"] = draw.normal(dim)
    if not key_bias:
        weights["key.bias"] = torch.zeros(dim)
    module = plan.call(dim, heads) if base is None else plan.call(dim, heads, base=base)
    plan.load(module, weights, optional=() if key_bias else ("key.bias",))
    return module, weights


@EXERCISE.case(
    points=1, cause="rotate queries and keys after their projection, token p by the angles p / base**(2i/d)."
)
def one_head(draw: Draw, plan: Plan) -> None:
    """One head"""
    b, n = draw.sizes(2, 3, 7)
    module, weights = make(draw, plan, heads=1, width=8)
    x = draw.normal(b, n, 8)
    plan.expect(plan.call(x, on=module), oracle(x, weights, 1, 10000.0).float(), "the output")


@EXERCISE.case(points=1.5, cause="split into heads first, then rotate each head, with 2i/(dim/heads) in the exponent.")
def several_heads(draw: Draw, plan: Plan) -> None:
    """Several heads, each rotated in the same way"""
    b, n, heads, width = sizes(draw)
    module, weights = make(draw, plan, heads, width)
    x = draw.normal(b, n, heads * width)
    plan.expect(plan.call(x, on=module), oracle(x, weights, heads, 10000.0).float(), "the output")


@EXERCISE.case(points=0.5, cause="hand the argument base on to the rotation.")
def another_base(draw: Draw, plan: Plan) -> None:
    """A base other than 10000"""
    b, n, heads, width = sizes(draw)
    base = draw.uniform(20, 200)
    module, weights = make(draw, plan, heads, width, base=base)
    x = draw.normal(b, n, heads * width)
    plan.expect(plan.call(x, on=module), oracle(x, weights, heads, base).float(), f"the output for base={base}")


@EXERCISE.case(points=1, cause="True means may attend; [n n] holds for all, [b 1 n n] broadcasts to [b h n n].")
def masks(draw: Draw, plan: Plan) -> None:
    """A causal mask [n n], a random one, and one of its own for each item [b 1 n n]"""
    b, n, heads, width = sizes(draw)
    module, weights = make(draw, plan, heads, width)
    x = draw.normal(b, n, heads * width)
    for mask, name in (
        (torch.ones(n, n, dtype=torch.bool).tril(), "a causal mask [n n]"),
        (draw.mask(n, n), "a random mask [n n]"),
        (draw.mask(b, 1, n, n), "a mask [b 1 n n]"),
    ):
        want = oracle(x, weights, heads, 10000.0, mask).float()
        plan.expect(plan.call(x, mask=mask, on=module), want, f"the output with {name}")


@EXERCISE.case(
    points=0.5, cause="make positions 0 … n-1 anew from each input's length, or slice a table that is long enough."
)
def lengths_one_after_another(draw: Draw, plan: Plan) -> None:
    """Sequences of different lengths through one module: short, long, short again, a single token"""
    _, short, heads, width = sizes(draw)
    module, weights = make(draw, plan, heads, width)
    for n in (short, draw.integer(40, 50), short + 1, 1):
        x = draw.normal(1, n, heads * width)
        want = oracle(x, weights, heads, 10000.0).float()
        plan.expect(plan.call(x, on=module), want, f"the output for {n} tokens", atol=1e-4, rtol=1e-3)


@EXERCISE.case(
    points=0.5, cause="rotated, the keys' bias differs from place to place: here softmax does not cancel it."
)
def bias_of_the_keys(draw: Draw, plan: Plan) -> None:
    """A bias of the keys"""
    b, n, heads, width = sizes(draw)
    module, weights = make(draw, plan, heads, width, key_bias=True)
    x = draw.normal(b, n, heads * width)
    plan.expect(plan.call(x, on=module), oracle(x, weights, heads, 10000.0).float(), "the output")


@EXERCISE.case(points=1, cause="four nn.Linear and no other parameters; nothing detached or random; x left as it was.")
def contract(draw: Draw, plan: Plan) -> None:
    """No further parameters, gradients reach x and the weights, x stays as it was, float64 stays float64"""
    b, n, heads, width = sizes(draw)
    module, weights = make(draw, plan, heads, width)
    plan.expect_parameters(module, PARAMETERS, optional=("key.bias",))
    values, cotangent = draw.normal(b, n, heads * width), draw.normal(b, n, heads * width)
    x = plan.put(values, grad=True)
    got = plan.call(x, on=module)
    leaves = {name: weight.double().requires_grad_() for name, weight in weights.items()}
    leaf = values.double().requires_grad_()
    (oracle(leaf, leaves, heads, 10000.0) * cotangent).sum().backward()
    plan.backward(got, cotangent)
    plan.expect(x, values, "x after the call")
    plan.expect_grad(x, leaf.grad.float(), "x", atol=1e-4, rtol=1e-3)
    for name in PARAMETERS:
        if name != "key.bias":
            plan.expect_grad(module[name], leaves[name].grad.float(), f"`{name}`", atol=1e-4, rtol=1e-3)
    twice = plan.call(on=module, method="double")
    want = oracle(values, weights, heads, 10000.0)
    plan.expect(plan.call(values.double(), on=twice), want, "the output for float64 tokens")


@EXERCISE.variant
def step_by_step() -> None:
    """Pairs rotated with sine and cosine, then scores, mask, softmax and sum"""

    class RotaryAttention(nn.Module):
        def __init__(self, dim, heads, base=10000.0):
            super().__init__()
            self.heads, self.base = heads, base
            self.query = nn.Linear(dim, dim)
            self.key = nn.Linear(dim, dim)
            self.value = nn.Linear(dim, dim)
            self.out = nn.Linear(dim, dim)

        def split(self, x):
            return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)

        def rotate(self, x):
            n, d = x.shape[-2:]
            positions = torch.arange(n, dtype=x.dtype)
            angles = positions[:, None] / self.base ** (torch.arange(0, d, 2, dtype=x.dtype) / d)
            cos, sin = angles.cos(), angles.sin()
            a, b = x[..., 0::2], x[..., 1::2]
            return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2)

        def forward(self, x, mask=None):
            q = self.split(self.query(x))
            k = self.split(self.key(x))
            v = self.split(self.value(x))
            q = self.rotate(q)
            k = self.rotate(k)
            scores = q @ k.mT / math.sqrt(q.shape[-1])
            if mask is not None:
                scores = scores.masked_fill(~mask, -math.inf)
            weights = scores.softmax(-1)
            z = weights @ v
            return self.out(z.transpose(1, 2).flatten(2))


@EXERCISE.variant
def by_complex_numbers_and_the_fused_kernel() -> None:
    """Pairs as complex numbers times exp(i·angle), torch's fused kernel, positions counted from 1: distances stay"""

    class RotaryAttention(nn.Module):
        def __init__(self, dim, heads, base=10000.0):
            super().__init__()
            self.heads = heads
            self.query, self.key, self.value, self.out = (nn.Linear(dim, dim) for _ in range(4))
            width = dim // heads
            self.frequencies = [base ** (-2 * i / width) for i in range(width // 2)]

        def rotate(self, x):
            angles = torch.outer(torch.arange(1, x.shape[-2] + 1), torch.tensor(self.frequencies)).to(x.dtype)
            turn = torch.polar(torch.ones_like(angles), angles)
            pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())
            return torch.view_as_real(pairs * turn).flatten(-2)

        def forward(self, x, mask=None):
            q, k, v = (
                rearrange(layer(x), "b n (h e) -> b h n e", h=self.heads)
                for layer in (self.query, self.key, self.value)
            )
            z = F.scaled_dot_product_attention(self.rotate(q), self.rotate(k), v, attn_mask=mask)
            return self.out(rearrange(z, "b h n e -> b n (h e)"))


@EXERCISE.variant
def tables_in_buffers() -> None:
    """Cosines and sines made once, kept as buffers and sliced; each channel's partner by a swap and a sign"""

    class RotaryAttention(nn.Module):
        def __init__(self, dim, heads, base=10000.0):
            super().__init__()
            self.heads, width = heads, dim // heads
            self.query, self.key, self.value, self.out = (nn.Linear(dim, dim) for _ in range(4))
            angles = torch.arange(512)[:, None] * base ** (-torch.arange(0, width, 2) / width)
            self.register_buffer("cos", angles.cos().repeat_interleave(2, -1), persistent=False)
            self.register_buffer("sin", angles.sin().repeat_interleave(2, -1), persistent=False)

        def rotate(self, x):
            n = x.shape[1]
            partner = torch.stack([-x[..., 1::2], x[..., 0::2]], -1).flatten(-2)
            return x * self.cos[:n, None] + partner * self.sin[:n, None]

        def forward(self, x, mask=None):
            q, k, v = (layer(x).unflatten(-1, (self.heads, -1)) for layer in (self.query, self.key, self.value))
            scores = torch.einsum("bnhe,bmhe->bhnm", self.rotate(q), self.rotate(k)) / math.sqrt(q.shape[-1])
            if mask is not None:
                scores = torch.where(mask, scores, -1e9)
            return self.out(torch.einsum("bhnm,bmhe->bnhe", scores.softmax(-1), v).flatten(-2))


@EXERCISE.variant
def head_by_head_with_rotation_matrices() -> None:
    """A loop over heads and places; each vector times a block-diagonal rotation matrix"""

    class RotaryAttention(nn.Module):
        def __init__(self, dim, heads, base=10000.0):
            super().__init__()
            self.heads, self.width, self.base = heads, dim // heads, base
            self.query, self.key, self.value, self.out = (nn.Linear(dim, dim) for _ in range(4))

        def rotation(self, p, dtype):
            blocks = []
            for i in range(self.width // 2):
                angle = p / self.base ** (2 * i / self.width)
                cos, sin = math.cos(angle), math.sin(angle)
                blocks.append(torch.tensor([[cos, -sin], [sin, cos]], dtype=dtype))
            return torch.block_diag(*blocks)

        def rotate(self, x):
            turned = [self.rotation(p, x.dtype) @ x[:, p, :, None] for p in range(x.shape[1])]
            return torch.stack(turned, dim=1).squeeze(-1)

        def forward(self, x, mask=None):
            heads = []
            for h in range(self.heads):
                own = slice(h * self.width, (h + 1) * self.width)
                q, k = self.rotate(self.query(x)[..., own]), self.rotate(self.key(x)[..., own])
                scores = torch.bmm(q, k.mT) * self.width**-0.5
                if mask is not None:
                    scores = scores.masked_fill(~(mask if mask.ndim == 2 else mask[:, 0]), -torch.inf)
                heads.append(torch.bmm(scores.softmax(-1), self.value(x)[..., own]))
            return self.out(torch.cat(heads, dim=-1))


Q, K, V = (f"self.split(self.{name}(x))" for name in ("query", "key", "value"))
EXPONENT = "self.base ** (torch.arange(0, d, 2, dtype=x.dtype) / d)"
POSITIONS, PAIRS = "torch.arange(n, dtype=x.dtype)", "a, b = x[..., 0::2], x[..., 1::2]"
TURNED = "torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2)"
INIT = "self.out = nn.Linear(dim, dim)"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "nothing_rotated",
        "This is attention without positions: nothing is rotated, or it cancels because queries and keys turn by the "
        "number of their head. When you rotate, the tokens must be the second axis from the end.",
        [("q = self.rotate(q)", "q = q"), ("k = self.rotate(k)", "k = k")],
    ),
    (
        "only_queries_rotated",
        "Only the queries are rotated. Both must be: then the score sees the difference of the two angles.",
        [("k = self.rotate(k)", "k = k")],
    ),
    (
        "values_rotated_too",
        "The values are rotated as well. Positions belong in the scores only: rotate queries and keys.",
        [(V, "self.rotate(self.split(self.value(x)))")],
    ),
    (
        "tokens_rotated_before_the_projection",
        "The tokens are rotated before `query` and `key`, which mix the pairs of channels again; project first.",
        [
            (Q, "self.split(self.query(self.rotate(x)))"),
            (K, "self.split(self.key(self.rotate(x)))"),
            ("q = self.rotate(q)", "q = q"),
            ("k = self.rotate(k)", "k = k"),
        ],
    ),
    (
        "rotated_before_splitting",
        "Queries and keys are rotated before they are split into heads, so that every head gets other frequencies, and "
        "only the first one the fast ones. Split first: then d is the width of a head.",
        [
            (Q, "self.split(self.rotate(self.query(x)))"),
            (K, "self.split(self.rotate(self.key(x)))"),
            ("q = self.rotate(q)", "q = q"),
            ("k = self.rotate(k)", "k = k"),
        ],
    ),
    (
        "halves_paired",
        "Channel i is paired with i + d/2, as in GPT-NeoX and in Hugging Face's Llama (rotate_half); here neighbours "
        "(0, 1), (2, 3), … are pairs. The two differ by a permutation of channels, so weights do not carry over.",
        [
            (PAIRS, "a, b = x.chunk(2, dim=-1)"),
            (TURNED, "torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)"),
        ],
    ),
    (
        "turned_the_other_way",
        "The pairs are turned clockwise (the sign of the sine is swapped); they turn anticlockwise: "
        "(a cos - b sin, a sin + b cos).",
        [(TURNED, "torch.stack([a * cos + b * sin, b * cos - a * sin], dim=-1).flatten(-2)")],
    ),
    (
        "keys_turned_against_queries",
        "Keys are turned the opposite way, so that a score depends on the sum of the two positions. Turn both the same "
        "way: the product takes the difference by itself.",
        [
            ("def rotate(self, x):", "def rotate(self, x, way=1):"),
            (POSITIONS, f"way * {POSITIONS}"),
            ("self.rotate(k)", "self.rotate(k, -1)"),
        ],
    ),
    (
        "sines_added",
        "A table of sines and cosines is added to queries and keys; RoPE multiplies: it rotates each pair.",
        [(TURNED, "x + torch.stack([sin, cos], dim=-1).flatten(-2)")],
    ),
    (
        "base_ignored",
        "The argument base is ignored: 10000 is written into the formula.",
        [("self.base **", "10000.0 **")],
    ),
    (
        "exponent_counts_pairs",
        "The exponent of pair i is i/d; it is 2i/d: count channels, 0, 2, 4, …, not pairs.",
        [(EXPONENT, "self.base ** (torch.arange(d // 2, dtype=x.dtype) / d)")],
    ),
    (
        "one_frequency_for_all",
        "Every pair is turned by the same angle p; pair i turns more slowly, by p / base**(2i/d).",
        [(EXPONENT, "torch.ones(d // 2, dtype=x.dtype)")],
    ),
    (
        "scaled_by_the_whole_width",
        "The scores are divided by sqrt(dim); a head compares only dim/heads channels, so sqrt(dim/heads) is right.",
        [("math.sqrt(q.shape[-1])", "math.sqrt(x.shape[-1])")],
    ),
    (
        "mask_ignored",
        "The mask is accepted but never used.",
        [("if mask is not None:", "if False:")],
    ),
    (
        "mask_upside_down",
        'The mask is read as True = forbidden; here True means "may attend", so fill where it is False.',
        [("~mask", "mask")],
    ),
    (
        "always_causal",
        "Every query sees only itself and what came before, mask or no mask; hide only what the mask hides.",
        [
            (
                "        weights = scores",
                "        n = x.shape[1]\n"
                "        scores = scores.masked_fill(~torch.ones(n, n, dtype=torch.bool).tril(), -math.inf)\n"
                "        weights = scores",
            )
        ],
    ),
    (
        "table_kept_from_the_first_call",
        "The angles are made at the first call and kept: a longer sequence, later, has no angles. Make them from each "
        "input's length, or keep a table that is long enough and slice it.",
        [
            (
                "cos, sin = angles.cos(), angles.sin()",
                "angles = self.__dict__.setdefault('angles', angles)[:n]\n"
                "        cos, sin = angles.cos(), angles.sin()",
            ),
        ],
    ),
    (
        "keys_without_a_bias",
        "`key` has no bias. Softmax cancels it only where nothing is rotated; a rotated bias is not the same at every "
        "place, so here it matters.",
        [("self.key = nn.Linear(dim, dim)", "self.key = nn.Linear(dim, dim, bias=False)")],
    ),
    (
        "frequencies_as_parameters",
        "The frequencies are an nn.Parameter, so an optimiser would change them; make it a buffer or compute them.",
        [
            (INIT, f"{INIT}\n        self.frequencies = nn.Parameter(torch.ones(dim // heads // 2))"),
            ("positions[:, None] /", "positions[:, None] * self.frequencies /"),
        ],
    ),
    (
        "scores_detached",
        "Queries and keys are cut off from autograd where they are rotated, so they can never learn.",
        [(TURNED, f"{TURNED}.detach()")],
    ),
    (
        "in_single_precision",
        "The rotated queries and keys are float32, whatever came in, and no longer fit float64 values. Give sines and "
        "cosines the dtype of x.",
        [(TURNED, f"{TURNED}.float()")],
    ),
    (
        "no_output_projection",
        "The merged heads are returned as they are: `out`, which mixes the heads, is never applied.",
        [("self.out(z.transpose(1, 2).flatten(2))", "z.transpose(1, 2).flatten(2)")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(step_by_step, name, says, *changes)
