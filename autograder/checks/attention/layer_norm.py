"""The check of ``LayerNorm(dim, eps=1e-5)``."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("attention.LayerNorm", objects=("LayerNorm",))


def oracle(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """torch's fused kernel in float64."""
    return F.layer_norm(x.double(), x.shape[-1:], weight.double(), bias.double(), eps)


def expect(draw: Draw, plan: Plan, values: Tensor, eps: float | None = None, atol: float = 1e-5) -> None:
    """Load weights drawn anew and compare the output on ``values``."""
    dim = values.shape[-1]
    weight, bias = draw.normal(dim), draw.normal(dim)
    module = plan.call(dim) if eps is None else plan.call(dim, eps=eps)
    plan.load(module, {"weight": weight, "bias": bias})
    want = oracle(values, weight, bias, 1e-5 if eps is None else eps).float()
    plan.expect(plan.call(values, on=module), want, "the output", atol=atol, rtol=1e-3)


def spread(draw: Draw, *shape: int) -> Tensor:
    """Tokens with some channels far apart: beside their variance eps does not count, wherever it is added."""
    values = 30 * draw.normal(*shape)
    values[..., 0] = values[..., 1] + 100
    return values


@EXERCISE.case(points=1, cause="subtract the mean of each token, divide by its standard deviation, over the last axis.")
def fresh_module(draw: Draw, plan: Plan) -> None:
    """A new module normalises every token of [b n d]"""
    values = spread(draw, *draw.sizes(3, low=3))
    module = plan.call(values.shape[-1])
    ones, zeros = torch.ones(values.shape[-1]), torch.zeros(values.shape[-1])
    plan.expect(module["weight"], ones, "`weight` of a new module", strict=False)
    plan.expect(module["bias"], zeros, "`bias` of a new module", strict=False)
    plan.expect(plan.call(values, on=module), oracle(values, ones, zeros, 1e-5).float(), "the output")


@EXERCISE.case(points=1, cause="multiply the normalised channels by `weight`, then add `bias`; both have d entries.")
def scale_and_shift(draw: Draw, plan: Plan) -> None:
    """`weight` and `bias` other than one and zero, one axis fewer and one more"""
    d, *sizes = draw.sizes(4, low=3)
    weight, bias = draw.normal(d), draw.normal(d)
    module = plan.call(d)
    plan.load(module, {"weight": weight, "bias": bias})
    for values in (spread(draw, sizes[0], d), spread(draw, *sizes, d)):
        plan.expect(plan.call(values, on=module), oracle(values, weight, bias, 1e-5).float(), "the output")


@EXERCISE.case(points=1, cause="eps is added to the variance, under the root: (x - mean) / sqrt(var + eps).")
def epsilon(draw: Draw, plan: Plan) -> None:
    """An eps that matters: small variances, and a token whose channels are all equal"""
    values = 0.3 * draw.normal(*draw.sizes(3, low=3))
    values[0, 0] = 1.5
    expect(draw, plan, values, eps=draw.uniform(0.05, 0.2))


@EXERCISE.case(points=1, cause="subtract the mean before squaring: mean(x²) - mean(x)² loses all digits here.")
def far_from_zero(draw: Draw, plan: Plan) -> None:
    """Channels around 5,000 that differ by about one"""
    # float32 resolves 5,000 to 0.0005, so even a good computation is right to about 0.002 only
    expect(draw, plan, 5e3 + draw.normal(*draw.sizes(3, low=4)), atol=2e-2)


@EXERCISE.case(points=1, cause="`weight` and `bias` are nn.Parameter; nothing is detached; x stays as it was.")
def contract(draw: Draw, plan: Plan) -> None:
    """Parameters are registered, gradients reach them and x, x stays as it was"""
    b, n, d = draw.sizes(3, low=3)
    weight, bias, cotangent, values = draw.normal(d), draw.normal(d), draw.normal(b, n, d), spread(draw, b, n, d)
    module = plan.call(d)
    plan.expect_parameters(module, ["weight", "bias"])
    plan.load(module, {"weight": weight, "bias": bias})
    kept = plan.put(values)
    plan.call(kept, on=module)
    plan.expect(kept, values, "x after the call")
    x = plan.put(values, grad=True)
    plan.backward(plan.call(x, on=module), cotangent)
    leaves = [t.double().requires_grad_() for t in (values, weight, bias)]
    (oracle(*leaves, 1e-5) * cotangent).sum().backward()
    for ref, leaf, name in zip((x, module["weight"], module["bias"]), leaves, ("x", "`weight`", "`bias`"), strict=True):
        plan.expect_grad(ref, leaf.grad.float(), name)


@EXERCISE.variant
def written_out() -> None:
    """Mean, variance and root written out"""

    class LayerNorm(nn.Module):
        def __init__(self, dim, eps=1e-5):
            super().__init__()
            self.eps = eps
            self.weight = nn.Parameter(torch.ones(dim))
            self.bias = nn.Parameter(torch.zeros(dim))

        def forward(self, x):
            centred = x - x.mean(-1, keepdim=True)
            var = (centred**2).mean(-1, keepdim=True)
            return centred / torch.sqrt(var + self.eps) * self.weight + self.bias


@EXERCISE.variant
def var_mean() -> None:
    """torch.var_mean with the biased variance"""

    class LayerNorm(nn.Module):
        def __init__(self, dim, eps=1e-5):
            super().__init__()
            self.eps = eps
            self.weight, self.bias = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))

        def forward(self, x):
            var, mean = torch.var_mean(x, dim=-1, correction=0, keepdim=True)
            return torch.addcmul(self.bias, (x - mean) * torch.rsqrt(var + self.eps), self.weight)


@EXERCISE.variant
def fused_kernel() -> None:
    """torch's fused kernel"""

    class LayerNorm(nn.Module):
        def __init__(self, dim, eps=1e-5):
            super().__init__()
            self.dim, self.eps = dim, eps
            self.weight = nn.Parameter(torch.ones(dim))
            self.bias = nn.Parameter(torch.zeros(dim))

        def forward(self, x):
            return F.layer_norm(x, (self.dim,), self.weight, self.bias, self.eps)


SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "unbiased_variance",
        "The variance is divided by d - 1 (torch's default for var and std); layer normalisation divides by d.",
        [("(centred**2).mean(-1, keepdim=True)", "x.var(-1, keepdim=True)")],
    ),
    (
        "eps_outside_the_root",
        "eps is added to the standard deviation; it belongs under the root, added to the variance.",
        [("torch.sqrt(var + self.eps)", "(torch.sqrt(var) + self.eps)")],
    ),
    (
        "eps_always_the_default",
        "The argument eps is ignored: 1e-5 is written into the formula.",
        [("var + self.eps", "var + 1e-5")],
    ),
    (
        "no_eps",
        "Without eps a token whose channels are all equal is divided by zero.",
        [("var + self.eps", "var")],
    ),
    (
        "not_divided_by_the_root",
        "The centred channels are divided by the variance; they must be divided by its root.",
        [("torch.sqrt(var + self.eps)", "(var + self.eps)")],
    ),
    (
        "mean_not_subtracted",
        "The channels are scaled but not centred: this is close to RMSNorm, another normalisation.",
        [("centred = x - x.mean(-1, keepdim=True)", "centred = x")],
    ),
    (
        "over_the_tokens",
        "Mean and variance run over the tokens (dim=-2); every token is normalised by itself, over its channels.",
        [
            ("x.mean(-1, keepdim=True)", "x.mean(-2, keepdim=True)"),
            ("(centred**2).mean(-1, keepdim=True)", "(centred**2).mean(-2, keepdim=True)"),
        ],
    ),
    (
        "over_the_whole_tensor",
        "One mean and one variance for the whole tensor; each token needs its own, with keepdim.",
        [("x.mean(-1, keepdim=True)", "x.mean()"), ("(centred**2).mean(-1, keepdim=True)", "(centred**2).mean()")],
    ),
    (
        "over_axis_one",
        "Mean and variance run over axis 1, which are the channels only where x is a matrix; the last axis is -1.",
        [
            ("x.mean(-1, keepdim=True)", "x.mean(1, keepdim=True)"),
            ("(centred**2).mean(-1, keepdim=True)", "(centred**2).mean(1, keepdim=True)"),
        ],
    ),
    (
        "difference_of_squares",
        "mean(x²) - mean(x)² subtracts two large numbers that are almost equal; subtract the mean first, then square.",
        [("(centred**2).mean(-1, keepdim=True)", "((x**2).mean(-1, keepdim=True) - x.mean(-1, keepdim=True) ** 2)")],
    ),
    (
        "no_bias",
        "`bias` exists but is never added.",
        [(" * self.weight + self.bias", " * self.weight")],
    ),
    (
        "bias_scaled_too",
        "`bias` is added before multiplying by `weight`; the order is: scale, then shift.",
        [
            ("centred / torch.sqrt(var + self.eps)", "(centred / torch.sqrt(var + self.eps) + self.bias)"),
            (" * self.weight + self.bias\n", " * self.weight\n"),
        ],
    ),
    (
        "plain_tensors",
        "`weight` and `bias` are plain tensors: wrap them in nn.Parameter, or no optimiser will ever find them.",
        [("nn.Parameter(torch.ones(dim))", "torch.ones(dim)"), ("nn.Parameter(torch.zeros(dim))", "torch.zeros(dim)")],
    ),
    (
        "statistics_detached",
        "Mean and variance are cut off from autograd, but the gradient must flow through them too.",
        [
            ("x.mean(-1, keepdim=True)", "x.mean(-1, keepdim=True).detach()"),
            ("var + self.eps", "var.detach() + self.eps"),
        ],
    ),
    (
        "centred_in_place",
        "`x -= mean` changes the caller's tensor; write `x - mean`, which makes a new one.",
        [("centred = x - x.mean(-1, keepdim=True)", "centred = x.sub_(x.mean(-1, keepdim=True))")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(written_out, name, says, *changes)
