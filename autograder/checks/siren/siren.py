"""The check of ``Siren(in_features, hidden, depth, out_features, omega=30.0)``."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder.checks.siren.uniform import expect_uniform
from autograder.exercise import Draw, Exercise
from autograder.program import Plan
from autograder.wire import Ref

EXERCISE = Exercise("siren.Siren", objects=("Siren",))


def names(depth: int) -> list[str]:
    """The attribute paths of the layers that hold a weight and a bias, in order."""
    return [f"layers.{index}.linear" for index in range(depth)] + [f"layers.{depth}"]


def oracle(coords: Tensor, weights: dict[str, Tensor], depth: int, omega: float) -> Tensor:
    """In float64, sines as imaginary parts, each layer's bias as the weight of one more input that is always 1."""
    values = coords.double()
    for index, name in enumerate(names(depth)):
        affine = torch.cat([weights[f"{name}.weight"].double(), weights[f"{name}.bias"].double()[:, None]], 1)
        values = torch.einsum("...i,oi->...o", torch.cat([values, torch.ones_like(values[..., :1])], -1), affine)
        if index < depth:
            values = torch.exp(1j * omega * values).imag
    return values


def make(draw: Draw, plan: Plan, sizes: list[int], depth: int, omega: float | None) -> tuple[Ref, dict[str, Tensor]]:
    """The student's network with all weights drawn anew, so that arguments of the sines are about one unit large."""
    fan_in, hidden, fan_out = sizes
    given = {} if omega is None else {"omega": omega}
    model = plan.call(in_features=fan_in, hidden=hidden, depth=depth, out_features=fan_out, **given)
    scale = 1 / (30.0 if omega is None else omega)
    weights = {}
    for index, name in enumerate(names(depth)):
        rows, columns = (fan_out if index == depth else hidden), (hidden if index else fan_in)
        # the last layer has no omega to make up for
        size = 1.0 if index == depth else scale
        weights[f"{name}.weight"] = 1.5 * size * draw.normal(rows, columns) / math.sqrt(columns)
        weights[f"{name}.bias"] = size * draw.normal(rows)
    plan.load(model, weights)
    return model, weights


def expect(draw: Draw, plan: Plan, *axes: int, sizes: list[int], depth: int, omega: float | None = None) -> None:
    """Compare the output on coordinates of shape [*axes in_features]."""
    model, weights = make(draw, plan, sizes, depth, omega)
    coords = draw.normal(*axes, sizes[0])
    want = oracle(coords, weights, depth, 30.0 if omega is None else omega).float()
    plan.expect(plan.call(coords, on=model), want, f"the output of a network of depth {depth}", rtol=1e-3, atol=2e-4)


@EXERCISE.case(points=1, cause="depth 1 is one SineLayer, then nn.Linear without a sine; both lie in `layers`.")
def one_sine_layer(draw: Draw, plan: Plan) -> None:
    """Depth 1: one sine layer and the linear one"""
    n, *sizes = draw.sizes(4)
    expect(draw, plan, n, sizes=sizes, depth=1)


@EXERCISE.case(
    points=1, cause="`depth` sine layers in all, the first from in_features to hidden, then one linear layer."
)
def several_layers(draw: Draw, plan: Plan) -> None:
    """Depths 2, 3 and more"""
    for depth in (2, 3, draw.integer(4, 5)):
        n, *sizes = draw.sizes(4)
        expect(draw, plan, n, sizes=sizes, depth=depth)


@EXERCISE.case(points=1, cause="hand omega on to every sine layer, the first and all others.")
def other_omegas(draw: Draw, plan: Plan) -> None:
    """Other omegas, at depths 1 and 3"""
    for depth, omega in ((1, draw.uniform(40, 90)), (3, draw.uniform(3, 9)), (3, 1.0)):
        n, *sizes = draw.sizes(4)
        expect(draw, plan, n, sizes=sizes, depth=depth, omega=omega)


@EXERCISE.case(
    points=1, cause="every point is computed by itself from the last axis: any axes may stand before, or none."
)
def any_axes(draw: Draw, plan: Plan) -> None:
    """A single point, an image of points, a batch of them, one output channel"""
    *sizes, h, w, b = draw.sizes(6)
    for axes in ((), (h, w), (b, h, w)):
        expect(draw, plan, *axes, sizes=sizes, depth=2)
    expect(draw, plan, h, w, sizes=[*sizes[:2], 1], depth=2)


@EXERCISE.case(
    points=2, cause="first=True for the first layer alone; the last linear layer: siren_bound(hidden, omega, False)."
)
def initialisation(draw: Draw, plan: Plan) -> None:
    """New weights are uniform within their bounds: first, middle and last layer"""
    omega, depth = draw.uniform(3, 9), 3
    fan_in, hidden, fan_out = draw.integer(100, 120), draw.integer(200, 220), draw.integer(130, 150)
    model = plan.call(fan_in, hidden, depth, fan_out, omega=omega)
    for index, name in enumerate(names(depth)):
        bound = 1 / fan_in if index == 0 else (6 / (hidden * omega**2)) ** 0.5
        expect_uniform(plan, model[f"{name}.weight"], bound, f"`{name}.weight` of a new network")


@EXERCISE.case(
    points=1, cause="every layer is new and registered, in nn.Sequential or nn.ModuleList, and nothing else is."
)
def parameters(draw: Draw, plan: Plan) -> None:
    """The network's parameters: no layer is missing, shared or superfluous"""
    for depth in (1, 4):
        fan_in, hidden, fan_out = draw.sizes(3)
        model = plan.call(fan_in, hidden, depth, fan_out)
        plan.expect_parameters(model, [f"{name}.{part}" for name in names(depth) for part in ("weight", "bias")])


@EXERCISE.case(points=1, cause="gradients must reach the coordinates that were given, not a copy, and all weights.")
def contract(draw: Draw, plan: Plan) -> None:
    """Gradients of coordinates and weights, float64, coordinates stay as they were"""
    n, *sizes = draw.sizes(4)
    depth, omega = 3, draw.uniform(3, 9)
    model, weights = make(draw, plan, sizes, depth, omega)
    plan.call(on=model, method="double")
    leaves = {name: weight.double().requires_grad_() for name, weight in weights.items()}
    values = draw.normal(n, sizes[0], dtype=torch.float64)
    cotangent = draw.normal(n, sizes[-1], dtype=torch.float64)
    leaf = values.clone().requires_grad_()
    want = oracle(leaf, leaves, depth, omega)
    want.backward(cotangent)
    coords = plan.put(values, grad=True)
    got = plan.call(coords, on=model)
    plan.expect(got, want.detach(), "the output in float64")
    plan.expect(coords, values, "coords after the call")
    plan.backward(got, cotangent)
    plan.expect_grad(coords, leaf.grad, "coords", atol=1e-4)
    for name, weight in leaves.items():
        plan.expect_grad(model[name], weight.grad, f"`{name}`", atol=1e-4)


@EXERCISE.variant
def in_sequence() -> None:
    """nn.Sequential of sine layers and a linear one"""

    class SineLayer(nn.Module):
        def __init__(self, fan_in, fan_out, omega=30.0, first=False):
            super().__init__()
            self.omega = omega
            self.linear = nn.Linear(fan_in, fan_out)
            bound = 1 / fan_in if first else math.sqrt(6 / fan_in) / omega
            nn.init.uniform_(self.linear.weight, -bound, bound)

        def forward(self, x):
            return torch.sin(self.omega * self.linear(x))

    class Siren(nn.Module):
        def __init__(self, in_features, hidden, depth, out_features, omega=30.0):
            super().__init__()
            first = SineLayer(in_features, hidden, omega, first=True)
            others = [SineLayer(hidden, hidden, omega) for _ in range(depth - 1)]
            last = nn.Linear(hidden, out_features)
            bound = math.sqrt(6 / hidden) / omega
            nn.init.uniform_(last.weight, -bound, bound)
            self.layers = nn.Sequential(first, *others, last)

        def forward(self, coords):
            return self.layers(coords)


@EXERCISE.variant
def in_a_loop() -> None:
    """A ModuleList, its layers called one after another, created by a loop over widths"""

    class SineLayer(nn.Module):
        def __init__(self, fan_in, fan_out, omega, bound):
            super().__init__()
            self.omega, self.linear = omega, nn.Linear(fan_in, fan_out)
            self.linear.weight.data.uniform_(-bound, bound)

        def forward(self, x):
            return torch.sin(F.linear(x, self.omega * self.linear.weight, self.omega * self.linear.bias))

    class Siren(nn.Module):
        def __init__(self, in_features, hidden, depth, out_features, omega=30.0):
            super().__init__()
            self.layers = nn.ModuleList()
            widths = [in_features] + depth * [hidden]
            for index in range(depth):
                fan_in = widths[index]
                bound = (6 / fan_in) ** 0.5 / omega if index else 1 / fan_in
                self.layers.append(SineLayer(fan_in, widths[index + 1], omega, bound))
            self.layers.append(nn.Linear(hidden, out_features))
            with torch.no_grad():
                self.layers[-1].weight.copy_((torch.rand(out_features, hidden) * 2 - 1) * math.sqrt(6 / hidden) / omega)

        def forward(self, coords):
            for layer in self.layers:
                coords = layer(coords)
            return coords


@EXERCISE.variant
def sines_outside() -> None:
    """Layers only hold their weights, the network multiplies and takes the sines; points flattened in between"""

    class Holder(nn.Module):
        def __init__(self, linear):
            super().__init__()
            self.linear = linear

    class Siren(nn.Module):
        def __init__(self, in_features, hidden, depth, out_features, omega=30.0):
            super().__init__()
            self.omega = omega
            widths = [in_features, *[hidden] * depth, out_features]
            linears = [nn.Linear(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True)]
            for index, linear in enumerate(linears):
                bound = math.sqrt(6 / linear.in_features) / omega if index > 0 else 1 / in_features
                torch.nn.init.uniform_(linear.weight, a=-bound, b=bound)
            self.layers = nn.Sequential(*[Holder(linear) for linear in linears[:-1]], linears[-1])

        def forward(self, coords):
            z = coords.reshape(-1, coords.shape[-1])
            for layer in self.layers[:-1]:
                z = (self.omega * (z @ layer.linear.weight.mT + layer.linear.bias)).sin()
            return self.layers[-1](z).reshape(*coords.shape[:-1], -1)


FIRST = "first = SineLayer(in_features, hidden, omega, first=True)"
OTHERS = "[SineLayer(hidden, hidden, omega) for _ in range(depth - 1)]"
LAST_DRAWN = "nn.init.uniform_(last.weight, -bound, bound)"
KEPT, RUN = "self.layers = nn.Sequential(first, *others, last)", "return self.layers(coords)"
LATER = """\
x = self.layers[0](coords)
        for layer in self.layers[1:-1]:
            BODY
        return self.layers[-1](x)"""
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "one_layer_too_many",
        "There are depth + 1 sine layers: `depth` counts the first one as well, unlike the authors' hidden layers.",
        [("range(depth - 1)", "range(depth)")],
    ),
    (
        "linear_layer_counted",
        "There is one sine layer too few: `depth` counts the sine layers, the linear one comes on top.",
        [("range(depth - 1)", "range(depth - 2)")],
    ),
    (
        "always_three_layers",
        "The number of layers is fixed; `depth` must set how many sine layers there are.",
        [("range(depth - 1)", "range(2)")],
    ),
    (
        "sine_on_the_output",
        "A sine is taken of the output too, which confines it to [-1, 1]; the last layer is linear.",
        [(RUN, "return torch.sin(self.layers(coords))")],
    ),
    (
        "output_scaled",
        "The last layer's output is multiplied by omega; it is a plain linear layer.",
        [(RUN, "return self.layers[0].omega * self.layers(coords)")],
    ),
    (
        "output_squashed",
        "The output goes through tanh; a field may have any value.",
        [(RUN, "return torch.tanh(self.layers(coords))")],
    ),
    (
        "no_bias_at_the_end",
        "The last layer has no bias; it is nn.Linear as it comes.",
        [("nn.Linear(hidden, out_features)", "nn.Linear(hidden, out_features, bias=False)")],
    ),
    (
        "omega_not_handed_on",
        "omega is not handed on to the sine layers, which take their default of 30.",
        [(FIRST, "first = SineLayer(in_features, hidden, first=True)"), (OTHERS, OTHERS.replace(", omega", ""))],
    ),
    (
        "omega_in_the_first_layer_only",
        "omega is handed to the first layer only; the others take their default of 30.",
        [(OTHERS, OTHERS.replace(", omega", ""))],
    ),
    (
        "omega_one_in_later_layers",
        "The layers after the first have an omega of 1; all sine layers share the network's omega.",
        [(OTHERS, OTHERS.replace("omega", "1.0"))],
    ),
    (
        "first_not_marked",
        "The first layer is not made with first=True, so its weights are drawn as if its inputs were sines.",
        [(", omega, first=True)", ", omega)")],
    ),
    (
        "all_marked_first",
        "All sine layers are made with first=True; that is for the one that sees the coordinates.",
        [(OTHERS, OTHERS.replace("omega)", "omega, first=True)"))],
    ),
    (
        "last_layer_left_as_it_is_drawn",
        "The last layer's weights stay as nn.Linear draws them; draw them within siren_bound(hidden, omega, False).",
        [(LAST_DRAWN, "pass")],
    ),
    (
        "last_layer_without_omega",
        "The last layer's weights are drawn within sqrt(6 / hidden); its bound is divided by omega, as in the others.",
        [("bound = math.sqrt(6 / hidden) / omega", "bound = math.sqrt(6 / hidden)")],
    ),
    (
        "one_layer_repeated",
        "One sine layer is used again and again, so all share their weights; make a new one for every place.",
        [(OTHERS, "[SineLayer(hidden, hidden, omega)] * (depth - 1)")],
    ),
    (
        "layers_in_a_list",
        "The layers lie in a plain list, where torch does not find their parameters; use nn.Sequential.",
        [
            (KEPT, "self.layers = [first, *others, last]"),
            (RUN, "for layer in self.layers:\n            coords = layer(coords)\n        return coords"),
        ],
    ),
    (
        "coordinates_detached",
        "forward detaches the coordinates, as the authors' code does before it returns that copy too; "
        "no derivative by the given coordinates is left.",
        [(RUN, "return self.layers(coords.clone().detach().requires_grad_(True))")],
    ),
    (
        "residual_connections",
        "The later sine layers add their input to their output; a SIREN has no residual connections.",
        [
            (
                RUN,
                LATER.replace("BODY", "x = x + layer(x)"),
            )
        ],
    ),
    (
        "relu_after_the_sines",
        "Only the first layer is a sine layer, the others are followed by a ReLU; all hidden layers take sines.",
        [
            (
                RUN,
                LATER.replace("BODY", "x = F.relu(layer.linear(x))"),
            )
        ],
    ),
    (
        "last_axis_dropped",
        "An output of one channel, or one point, loses its axis by squeeze(); the shape is [... out_features].",
        [(RUN, "return self.layers(coords).squeeze()")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(in_sequence, name, says, *changes)
