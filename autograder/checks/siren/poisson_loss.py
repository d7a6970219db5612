"""The check of ``poisson_loss(model, coords, target_gradient)``."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.checks.siren import losses
from autograder.checks.siren.fields import Field, Parameters, doubles, plane, polynomial, waves
from autograder.checks.siren.losses import expect_loss
from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("siren.poisson_loss", objects=("poisson_loss",))


def oracle(field: Field, parameters: Parameters, coords: Tensor, target: Tensor) -> Tensor:
    """Point by point, coordinate by coordinate, from the gradient in closed form."""
    n, d = coords.shape
    slope = field.gradient(coords, parameters)
    return sum((slope[k, i] - target[k, i]) ** 2 for k in range(n) for i in range(d)) / n


@EXERCISE.case(points=1, cause="at each point the squared length of the difference, a sum over coordinates; then mean.")
def two_coordinates(draw: Draw, plan: Plan) -> None:
    """Polynomials of two coordinates, such as x³y + y²"""
    for n in draw.sizes(2, 3, 7):
        expect_loss(plan, oracle, polynomial(draw, 2), [draw.normal(n, 2), draw.normal(n, 2)])


@EXERCISE.case(points=1, cause="divide by the number of points alone, whatever the number of coordinates.")
def other_coordinates(draw: Draw, plan: Plan) -> None:
    """One and three coordinates; a single point; sines, a linear field"""
    for d in (1, 3):
        n = draw.integer(5, 7)
        for field in (waves(draw, d), polynomial(draw, d), plane(draw, d, 2.0)):
            expect_loss(plan, oracle, field, [draw.normal(n, d), draw.normal(n, d)], f"the loss of {d} coordinates")
    expect_loss(plan, oracle, waves(draw, 3), [draw.normal(1, 3), draw.normal(1, 3)], "the loss of a single point")


@EXERCISE.case(
    points=1, cause="compare gradients with gradients, signs and lengths included; values are not asked for."
)
def right_gradients(draw: Draw, plan: Plan) -> None:
    """Fields with the wanted gradients: a loss of 0, also after a constant is added; then one point is wrong"""
    field, coords = waves(draw, 2), draw.normal(draw.integer(5, 7), 2)
    target = field.gradient(coords.double(), doubles(field)).detach().float()
    for what in ("the loss of a field that has the wanted gradients", "the loss of the same plus a constant"):
        expect_loss(plan, oracle, field, [coords, target], what)
        field = type(field)({**field.parameters, "constant": field.parameters["constant"] + draw.uniform(3, 9)})
    wrong = target.clone()
    wrong[draw.integer(0, len(coords) - 1), draw.integer(0, 1)] += draw.uniform(1, 2)
    expect_loss(plan, oracle, field, [coords, wrong], "the loss where one coordinate of one gradient is wrong")
    expect_loss(plan, oracle, field, [coords, -target], "the loss where all wanted gradients are turned round")


@EXERCISE.case(points=1, cause="create_graph=True in the derivative, else the loss knows nothing of the parameters.")
def training(draw: Draw, plan: Plan) -> None:
    """The gradients of the model's parameters after loss.backward()"""
    for field, d in ((polynomial(draw, 2), 2), (waves(draw, 3), 3), (plane(draw, 2, 2.0), 2)):
        n = draw.integer(5, 7)
        losses.expect_training(plan, oracle, field, [draw.normal(n, d), draw.normal(n, d)], atol=1e-2)


@EXERCISE.case(
    points=1, cause="work on points of your own, coords.detach().clone().requires_grad_(), not on the caller's."
)
def own_coordinates(draw: Draw, plan: Plan) -> None:
    """Points that require a gradient and points that do not: both stay so, and so does their .grad"""
    n = draw.integer(5, 7)
    tensors = [draw.normal(n, 2), draw.normal(n, 2)]
    losses.expect_own_coordinates(draw, plan, oracle, polynomial(draw, 2), tensors, {"coords": 0})


@EXERCISE.case(
    points=1, cause="the loss is only computed, in the dtype of coords: backward() is the caller's business."
)
def contract(draw: Draw, plan: Plan) -> None:
    """A module as model; no .grad of its parameters is filled, the inputs as they were, float64"""
    n = draw.integer(5, 7)
    tensors = [draw.normal(n, 3), draw.normal(n, 3)]
    losses.expect_nothing_left(plan, oracle, waves(draw, 3), tensors, ["coords", "target_gradient"])


@EXERCISE.variant
def step_by_step() -> None:
    """A copy of the points, the gradient, the mean"""

    def poisson_loss(model, coords, target_gradient):
        x = coords.detach().clone().requires_grad_()
        y = model(x)
        (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        error = slope - target_gradient
        return error.square().sum(-1).mean()


@EXERCISE.variant
def by_mse() -> None:
    """The mean over all entries, times the number of coordinates; points that require a gradient stay in the graph"""

    def poisson_loss(model, coords, target_gradient):
        x = coords * 1 if coords.requires_grad else coords.clone().requires_grad_(True)
        value = model(x)
        slope = torch.autograd.grad(value, x, torch.ones_like(value), create_graph=True)[0]
        return F.mse_loss(slope, target_gradient) * coords.shape[-1]


@EXERCISE.variant
def by_lengths() -> None:
    """Squared Euclidean lengths by an inner product, the sum divided by n"""

    def poisson_loss(model, coords, target_gradient):
        with torch.enable_grad():
            x = coords.detach().requires_grad_()
            slope = torch.autograd.grad(model(x).squeeze(-1).sum(), x, create_graph=True)[0]
        error = target_gradient - slope
        return torch.einsum("nd,nd->", error, error) / len(coords)


@EXERCISE.variant
def by_function_transforms() -> None:
    """The derivative of the model as a function, mapped over the points"""

    def poisson_loss(model, coords, target_gradient):
        slope_at = torch.func.grad(lambda point: model(point[None]).sum())
        slope = torch.func.vmap(slope_at)(coords.detach())
        return torch.linalg.vector_norm(slope - target_gradient, dim=-1).pow(2).mean()


COPY, VALUE = "x = coords.detach().clone().requires_grad_()", "y = model(x)"
GRAD = "(slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)"
ERROR, RETURN = "error = slope - target_gradient", "return error.square().sum(-1).mean()"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "divided_by_coordinates",
        "The mean runs over the coordinates as well (as F.mse_loss has it); sum over them, mean over the points.",
        [(RETURN, "return error.square().mean()")],
    ),
    (
        "summed_over_points",
        "The squared lengths are summed over the points; take their mean.",
        [(RETURN, "return error.square().sum()")],
    ),
    (
        "one_per_point",
        "One number a point is returned; the loss is their mean, a tensor without axes.",
        [(RETURN, "return error.square().sum(-1)")],
    ),
    (
        "lengths_not_squared",
        "The lengths are averaged as they are; square them first.",
        [(RETURN, "return error.norm(dim=-1).mean()")],
    ),
    (
        "root_of_the_mean",
        "A root is taken of the mean; the loss is the mean square itself.",
        [(RETURN, "return error.square().sum(-1).mean().sqrt()")],
    ),
    (
        "absolute_differences",
        "Absolute differences are summed; the length is Euclidean and squared.",
        [(RETURN, "return error.abs().sum(-1).mean()")],
    ),
    (
        "halved",
        "The loss is halved; no factor stands in front of this mean.",
        [(RETURN, "return 0.5 * error.square().sum(-1).mean()")],
    ),
    (
        "summed_before_squaring",
        "The differences are summed over the coordinates before they are squared, so they can cancel.",
        [(RETURN, "return error.sum(-1).square().mean()")],
    ),
    (
        "no_graph",
        "The gradient is a constant to the loss (create_graph=True is missing, or it is detached).",
        [(GRAD, GRAD.replace(", create_graph=True", ""))],
    ),
    (
        "number_returned",
        "A plain number is returned, by .item() or float(); return the tensor, else nothing can be trained.",
        [(RETURN, RETURN + ".item()")],
    ),
    (
        "mean_of_the_values",
        "The mean of the values is differentiated, so all gradients are divided by n; differentiate their sum.",
        [("y.sum()", "y.mean()")],
    ),
    (
        "callers_points_marked",
        "coords.requires_grad_() changes the caller's tensor; use a copy, coords.detach().clone().requires_grad_().",
        [(COPY, "x = coords.requires_grad_()")],
    ),
    (
        "callers_points_unmarked",
        "coords.requires_grad is switched on and off again, so points that did require a gradient no longer do.",
        [
            (COPY, "x = coords.requires_grad_()"),
            (RETURN, "coords.requires_grad_(False)\n    " + RETURN),
        ],
    ),
    (
        "points_as_they_come",
        "The model is asked at coords as they come, which as a rule require no gradient; make a copy that does, "
        "and ask the model there.",
        [(COPY, "x = coords")],
    ),
    (
        "by_backward",
        "backward() inside the loss fills the .grad of the model's parameters; use torch.autograd.grad.",
        [(GRAD, "y.sum().backward(create_graph=True)\n    slope = x.grad")],
    ),
    (
        "trains_already",
        "The loss is back-propagated inside the function; return it, and leave backward() to the caller.",
        [
            (
                RETURN,
                "loss = error.square().sum(-1).mean()\n    loss.backward(retain_graph=True)\n    return loss",
            )
        ],
    ),
    (
        "values_compared",
        "The model's values are compared with the wanted gradients; compare its gradients.",
        [(ERROR, "error = y - target_gradient")],
    ),
    (
        "sum_instead_of_difference",
        "The two gradients are added; their difference is meant.",
        [(ERROR, "error = slope + target_gradient")],
    ),
    (
        "directions_only",
        "Both gradients are scaled to length 1, so only directions are compared; lengths matter too.",
        [(ERROR, "error = F.normalize(slope, dim=-1) - F.normalize(target_gradient, dim=-1)")],
    ),
    (
        "lengths_only",
        "Only the lengths of the gradients are compared; their directions matter too.",
        [(ERROR, "error = slope.norm(dim=-1, keepdim=True) - target_gradient.norm(dim=-1, keepdim=True)")],
    ),
    (
        "single_precision",
        "The loss is forced to float32; it must have the dtype of coords.",
        [(RETURN, RETURN + ".float()")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(step_by_step, name, says, *changes)
