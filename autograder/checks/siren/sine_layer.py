"""The check of ``SineLayer(fan_in, fan_out, omega=30.0, first=False)``."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder.checks.siren.uniform import expect_uniform
from autograder.exercise import Draw, Exercise
from autograder.program import Plan
from autograder.wire import Ref

EXERCISE = Exercise("siren.SineLayer", objects=("SineLayer",))


def oracle(x: Tensor, weight: Tensor, bias: Tensor, omega: float) -> Tensor:
    """In float64: inputs and weights both scaled by omega's root, one input channel added after another."""
    root = math.sqrt(omega)
    total = omega * bias.double()
    for channel in range(weight.shape[1]):
        total = total + (root * x.double()[..., channel, None]) * (root * weight.double()[:, channel])
    return torch.exp(1j * total).imag


def make(
    draw: Draw, plan: Plan, fan_in: int, fan_out: int, omega: float | None = None, first: bool | None = None
) -> tuple[Ref, Tensor, Tensor]:
    """The student's layer with weights and biases drawn anew, so that arguments of the sine are some units large."""
    given = {"omega": omega, "first": first}
    layer = plan.call(fan_in, fan_out, **{key: value for key, value in given.items() if value is not None})
    scale = 1.5 / (30.0 if omega is None else omega)
    weight, bias = scale * draw.normal(fan_out, fan_in), scale * draw.normal(fan_out)
    plan.load(layer, {"linear.weight": weight, "linear.bias": bias})
    return layer, weight, bias


def expect(
    draw: Draw, plan: Plan, *shape: int, fan_out: int, omega: float | None = None, first: bool | None = None
) -> None:
    """Compare the output on points of ``shape``, of which the last size is fan_in."""
    layer, weight, bias = make(draw, plan, shape[-1], fan_out, omega, first)
    x = draw.normal(*shape)
    want = oracle(x, weight, bias, 30.0 if omega is None else omega).float()
    plan.expect(plan.call(x, on=layer), want, "the output", atol=1e-4)


@EXERCISE.case(points=1, cause="sin(omega * linear(x)), omega 30 unless told otherwise.")
def default_omega(draw: Draw, plan: Plan) -> None:
    """Points [n fan_in], the default omega"""
    n, fan_in, fan_out = draw.sizes(3)
    expect(draw, plan, n, fan_in, fan_out=fan_out)


@EXERCISE.case(points=1, cause="the argument omega is kept in the layer and multiplies weights and bias alike.")
def other_omegas(draw: Draw, plan: Plan) -> None:
    """Other omegas: large, small, one"""
    for omega in (draw.uniform(40, 90), 1.0, draw.uniform(0.2, 0.6)):
        n, fan_in, fan_out = draw.sizes(3)
        expect(draw, plan, n, fan_in, fan_out=fan_out, omega=omega)


@EXERCISE.case(points=1, cause="`first` decides how the weights are drawn and nothing else: the formula is the same.")
def first_layer(draw: Draw, plan: Plan) -> None:
    """The first layer: default and other omega"""
    for omega in (None, draw.uniform(3, 9)):
        n, fan_in, fan_out = draw.sizes(3)
        expect(draw, plan, n, fan_in, fan_out=fan_out, omega=omega, first=True)


@EXERCISE.case(points=1, cause="only the last axis is transformed: any axes may stand before it, or none.")
def any_axes(draw: Draw, plan: Plan) -> None:
    """A single point, an image of points, a batch of them"""
    fan_in, fan_out, *sizes = draw.sizes(5)
    for count in (0, 2, 3):
        expect(draw, plan, *sizes[:count], fan_in, fan_out=fan_out)


@EXERCISE.case(
    points=2, cause="draw linear.weight anew in __init__: nn.init.uniform_ within ± siren_bound(fan_in, omega, first)."
)
def initialisation(draw: Draw, plan: Plan) -> None:
    """A new layer's weights are uniform within siren_bound, a first layer's too"""
    omega = draw.uniform(3, 9)
    for first in (False, True):
        fan_in, fan_out = draw.integer(120, 140), draw.integer(250, 280)
        layer = plan.call(fan_in, fan_out, omega=omega, first=first)
        bound = fan_in**-1 if first else (6 / (fan_in * omega**2)) ** 0.5
        what = f"the weight of SineLayer({fan_in}, {fan_out}, omega={omega:g}, first={first})"
        expect_uniform(plan, layer["linear.weight"], bound, what)


@EXERCISE.case(
    points=1, cause="linear's weight and bias are the only parameters; nothing is detached, x stays as it was."
)
def contract(draw: Draw, plan: Plan) -> None:
    """Parameters, gradients, float64, x stays as it was"""
    n, fan_in, fan_out = draw.sizes(3)
    omega = draw.uniform(3, 9)
    layer, weight, bias = make(draw, plan, fan_in, fan_out, omega)
    plan.expect_parameters(layer, ["linear.weight", "linear.bias"])
    plan.call(on=layer, method="double")
    values, cotangent = draw.normal(n, fan_in, dtype=torch.float64), draw.normal(n, fan_out, dtype=torch.float64)
    kept = plan.put(values)
    plan.expect(plan.call(kept, on=layer), oracle(values, weight, bias, omega), "the output in float64")
    plan.expect(kept, values, "x after the call")
    x = plan.put(values, grad=True)
    plan.backward(plan.call(x, on=layer), cotangent)
    # by hand: the derivative of the sine is the cosine, a sine a quarter turn ahead
    slope = cotangent * omega * oracle(values, weight, bias + math.pi / 2 / omega, omega)
    wants = (slope @ weight.double(), slope.T @ values, slope.sum(0))
    refs = (x, layer["linear.weight"], layer["linear.bias"])
    for ref, want, what in zip(refs, wants, ("x", "`linear.weight`", "`linear.bias`"), strict=True):
        plan.expect_grad(ref, want, what, atol=1e-4)


@EXERCISE.variant
def as_written() -> None:
    """sin(omega * linear(x))"""

    class SineLayer(nn.Module):
        def __init__(self, fan_in, fan_out, omega=30.0, first=False):
            super().__init__()
            self.omega = omega
            self.first = first
            self.linear = nn.Linear(fan_in, fan_out)
            bound = 1 / fan_in if first else math.sqrt(6 / fan_in) / omega
            nn.init.uniform_(self.linear.weight, -bound, bound)

        def forward(self, x):
            z = self.linear(x)
            return torch.sin(self.omega * z)


@EXERCISE.variant
def scaled_weights() -> None:
    """Weights and bias multiplied by omega before they are used"""

    class SineLayer(nn.Module):
        def __init__(self, fan_in, fan_out, omega=30.0, first=False):
            super().__init__()
            self.register_buffer("omega", torch.tensor(float(omega)))
            self.linear = nn.Linear(fan_in, fan_out)
            with torch.no_grad():
                self.linear.weight.uniform_(-1, 1)
                self.linear.weight *= 1 / fan_in if first else (6 / fan_in) ** 0.5 / omega

        def forward(self, x):
            return F.linear(x, self.omega * self.linear.weight, self.omega * self.linear.bias).sin()


@EXERCISE.variant
def own_linear() -> None:
    """A linear layer of one's own, as an einsum; bias drawn within 1/fan_in"""

    class Affine(nn.Module):
        def __init__(self, fan_in, fan_out):
            super().__init__()
            self.weight = nn.Parameter(torch.empty(fan_out, fan_in))
            self.bias = nn.Parameter((2 * torch.rand(fan_out) - 1) / fan_in)

    class SineLayer(nn.Module):
        def __init__(self, fan_in, fan_out, omega=30.0, first=False):
            super().__init__()
            self.omega, self.linear = omega, Affine(fan_in, fan_out)
            c = 1 / fan_in if first else math.sqrt(6 / (fan_in * omega * omega))
            self.linear.weight.data = c - 2 * c * torch.rand(fan_out, fan_in)

        def forward(self, x):
            z = torch.einsum("...i,oi->...o", self.omega * x, self.linear.weight)
            return torch.sin(z + self.omega * self.linear.bias)


@EXERCISE.variant
def as_a_cosine() -> None:
    """The cosine, a quarter turn behind"""

    class SineLayer(nn.Module):
        def __init__(self, fan_in, fan_out, omega=30.0, first=False):
            super().__init__()
            self.linear = nn.Linear(fan_in, fan_out, bias=True)
            bound = 1 / fan_in if first else math.sqrt(6 / fan_in) / omega
            self.linear.weight = nn.Parameter(torch.empty(fan_out, fan_in).uniform_(-bound, bound))
            self.turn = lambda z: torch.cos(omega * z - math.pi / 2)

        def forward(self, x):
            return self.turn(x @ self.linear.weight.T + self.linear.bias)


ARGUMENT, OUTPUT = "z = self.linear(x)", "torch.sin(self.omega * z)"
BOUND = "bound = 1 / fan_in if first else math.sqrt(6 / fan_in) / omega"
DRAWN = "nn.init.uniform_(self.linear.weight, -bound, bound)"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "no_omega",
        "omega is never used in forward; the sine is taken of omega times the linear layer's output.",
        [(OUTPUT, "torch.sin(z)")],
    ),
    (
        "omega_outside",
        "The sine is multiplied by omega, which changes heights; omega belongs inside, where it changes frequencies.",
        [(OUTPUT, "self.omega * torch.sin(z)")],
    ),
    (
        "omega_always_thirty",
        "30 is written into forward; omega is an argument of the layer.",
        [("self.omega * z", "30 * z")],
    ),
    (
        "bias_not_scaled",
        "omega multiplies W x alone, as in the paper's first version; here the bias is multiplied too.",
        [(ARGUMENT, "z = F.linear(x, self.linear.weight) + self.linear.bias / self.omega")],
    ),
    (
        "bias_left_out",
        "The bias exists but is never added: all sines would go through 0 at the origin.",
        [(ARGUMENT, "z = F.linear(x, self.linear.weight)")],
    ),
    (
        "omega_in_the_first_layer_only",
        "omega is used in the first layer only; every layer multiplies by its omega, `first` is for drawing weights.",
        [("self.omega * z", "(self.omega if self.first else 1.0) * z")],
    ),
    (
        "omega_not_in_the_first_layer",
        "The first layer leaves omega out; only its weights are drawn in another way, its formula is the same.",
        [("self.omega * z", "(1.0 if self.first else self.omega) * z")],
    ),
    (
        "no_sine",
        "The sine is missing: this layer is linear.",
        [(OUTPUT, "self.omega * z")],
    ),
    (
        "cosine",
        "The cosine is taken, a quarter turn off.",
        [("torch.sin(", "torch.cos(")],
    ),
    (
        "two_pi",
        "The argument is multiplied by 2π as well: omega is an angular frequency already.",
        [("self.omega * z", "2 * math.pi * self.omega * z")],
    ),
    (
        "weights_left_as_linear_draws_them",
        "The weights are left as nn.Linear draws them, within 1/sqrt(fan_in); draw them anew within siren_bound.",
        [(DRAWN, "pass")],
    ),
    (
        "one_bound_for_all_layers",
        "The first layer's weights are drawn as all others are; `first` must be handed on to siren_bound.",
        [(BOUND, "bound = math.sqrt(6 / fan_in) / omega")],
    ),
    (
        "all_layers_drawn_as_first",
        "All layers' weights are drawn within 1 / fan_in; that bound is the first layer's.",
        [(BOUND, "bound = 1 / fan_in")],
    ),
    (
        "bound_without_omega",
        "The weights are drawn within sqrt(6 / fan_in) without the division by omega.",
        [(BOUND, "bound = 1 / fan_in if first else math.sqrt(6 / fan_in)")],
    ),
    (
        "normal_weights",
        "The weights are drawn from a normal distribution; siren_bound is the bound of a uniform one.",
        [(DRAWN, "nn.init.normal_(self.linear.weight, 0.0, bound / math.sqrt(3))")],
    ),
    (
        "positive_weights",
        "The weights are drawn from [0, bound), as torch.rand does; the interval is from -bound to bound.",
        [(DRAWN, "nn.init.uniform_(self.linear.weight, 0.0, bound)")],
    ),
    (
        "fan_out_for_fan_in",
        "The bound is computed from fan_out; what counts is how many inputs are added up, fan_in.",
        [(BOUND, "bound = 1 / fan_out if first else math.sqrt(6 / fan_out) / omega")],
    ),
    (
        "omega_is_learned",
        "omega is an nn.Parameter and would be trained; it is a plain number.",
        [("self.omega = omega", "self.omega = nn.Parameter(torch.tensor(float(omega)))")],
    ),
    (
        "detached",
        "The output is cut off from autograd (.detach(), .data or torch.no_grad).",
        [(OUTPUT, "torch.sin(self.omega * z).detach()")],
    ),
    (
        "float32_inside",
        "The output is forced to float32; it must follow the layer's dtype.",
        [(OUTPUT, "torch.sin(self.omega * z).float()")],
    ),
    (
        "scaled_in_place",
        "x is multiplied by omega in place, which changes the caller's coordinates; write omega * x.",
        [
            (ARGUMENT, "x.data.mul_(self.omega)\n        z = self.linear(x)"),
            ("self.omega * z", "z + (self.omega - 1) * self.linear.bias"),
        ],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(as_written, name, says, *changes)
