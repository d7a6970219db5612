"""The check of ``gradient(y, x)``."""

from __future__ import annotations

import torch
from torch import Tensor

from autograder.checks.siren import derivatives
from autograder.checks.siren.derivatives import ATOL, RTOL, ask
from autograder.checks.siren.fields import Field, doubles, plane, polynomial, waves
from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("siren.gradient", objects=("gradient",))


def expect(plan: Plan, field: Field, points: Tensor, what: str) -> None:
    """Compare the gradient of ``field`` at ``points`` with the one known in closed form."""
    derivatives.expect(plan, "gradient", field, points, what)


@EXERCISE.case(points=1, cause="the derivative of the sum of all values, by x: torch.autograd.grad(y.sum(), x, …)[0].")
def two_coordinates(draw: Draw, plan: Plan) -> None:
    """Polynomials of two coordinates, such as x³y + y²"""
    for n in draw.sizes(2, 3, 7):
        expect(plan, polynomial(draw, 2), draw.normal(n, 2), "the gradient")


@EXERCISE.case(points=1, cause="one derivative for each coordinate, however many there are: the shape is that of x.")
def other_coordinates(draw: Draw, plan: Plan) -> None:
    """One, three and four coordinates; a single point; sines, a linear field"""
    for d in (1, 3, 4):
        for field in (polynomial(draw, d), waves(draw, d)):
            expect(plan, field, draw.normal(draw.integer(5, 7), d), f"the gradient by {d} coordinates")
    expect(plan, polynomial(draw, 3), draw.normal(1, 3), "the gradient at a single point")
    expect(plan, plane(draw, 3, draw.uniform(1.5, 3)), draw.normal(5, 3), "the gradient of a linear field")
    points, slope = draw.normal(5, 3), draw.normal(3)
    x = plan.put(points, grad=True)
    y = plan.call(x, on=plan.function(["linear", slope[:, None]]))
    plan.expect(plan.call(y, x), slope.expand(5, 3), "the gradient of a linear field without parameters")


@EXERCISE.case(points=1, cause="only the last axis of x and of y is special: any axes may stand before it.")
def several_axes(draw: Draw, plan: Plan) -> None:
    """An image of points [h w d], a batch of them [b h w d]"""
    h, w, b = draw.sizes(3, 4, 7)
    for axes, field in (((h, w, 2), waves(draw, 2)), ((b, h, w, 3), polynomial(draw, 3))):
        expect(plan, field, draw.normal(*axes), f"the gradient at points {list(axes)}")


@EXERCISE.case(points=1, cause="create_graph=True: the result is to be differentiated again, so it needs a graph.")
def again_by_points(draw: Draw, plan: Plan) -> None:
    """Second and third derivatives: the result differentiated by x, and a gradient of a gradient's part"""
    for field, d in ((polynomial(draw, 3), 3), (waves(draw, 2), 2)):
        points, n = draw.normal(draw.integer(5, 7), d), draw.integer(0, d - 1)
        cotangent = draw.normal(*points.shape)
        derivatives.expect_by_points(plan, "gradient", field, points, cotangent)
        # one row of the matrix of second derivatives, and what it changes by
        leaf = points.double().requires_grad_()
        slope = field.gradient(leaf, doubles(field))
        (row,) = torch.autograd.grad(slope[:, n].sum(), leaf, create_graph=True)
        row.backward(cotangent.double())
        asked = ask(plan, field, points)
        got = plan.call(plan.call(-1, n, 1, on=asked.got, method="narrow"), asked.x)
        plan.expect(got, row.detach().float(), f"the gradient of part {n} of the gradient", rtol=RTOL, atol=ATOL)
        plan.backward(got, cotangent)
        plan.expect_grad(asked.x, leaf.grad.float(), "that, once more by x", rtol=RTOL, atol=ATOL)


@EXERCISE.case(points=1, cause="the result must still depend on the field's parameters: nothing is detached or copied.")
def by_parameters(draw: Draw, plan: Plan) -> None:
    """The result differentiated by the field's parameters, as in training"""
    for field, d in ((polynomial(draw, 2), 2), (waves(draw, 3), 3), (plane(draw, 2), 2)):
        derivatives.expect_by_parameters(plan, "gradient", field, draw.normal(6, d), draw.normal(6, d))


@EXERCISE.case(points=1, cause="torch.autograd.grad returns derivatives; backward() adds them to every leaf's .grad.")
def contract(draw: Draw, plan: Plan) -> None:
    """No .grad is filled or changed, x need not be a leaf, y can be used afterwards, float64"""
    derivatives.expect_nothing_left(draw, plan, "gradient")


@EXERCISE.variant
def of_the_sum() -> None:
    """The derivative of the sum of all values"""

    def gradient(y, x):
        total = y.sum()
        (slope,) = torch.autograd.grad(total, x, create_graph=True)
        return slope


@EXERCISE.variant
def with_ones() -> None:
    """Ones as grad_outputs"""

    def gradient(y, x):
        return torch.autograd.grad(y, x, grad_outputs=torch.ones_like(y), create_graph=True, retain_graph=True)[0]


@EXERCISE.variant
def point_by_point() -> None:
    """One value after another, each differentiated by all points"""

    def gradient(y, x):
        result = torch.zeros_like(x)
        for value in y.flatten():
            result = result + torch.autograd.grad([value], [x], create_graph=True)[0]
        return result


@EXERCISE.variant
def weights_with_a_gradient() -> None:
    """Weights of one that could be differentiated by themselves"""

    def gradient(y, x):
        weights = torch.ones_like(y, requires_grad=True)
        return torch.autograd.grad(y, x, weights, create_graph=True)[0]


SUM, GRAD = "total = y.sum()", "(slope,) = torch.autograd.grad(total, x, create_graph=True)"
RETURN = "return slope"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "no_graph",
        "create_graph=True is missing: the result is a constant, and y's own graph is used up as well.",
        [(", create_graph=True", "")],
    ),
    (
        "graph_kept_but_not_made",
        "The result has no graph of its own: retain_graph=True only keeps that of y, and .detach() or .data cut "
        "it off; ask for create_graph=True.",
        [("create_graph=True", "retain_graph=True")],
    ),
    (
        "mean_of_the_values",
        "The mean of the values is differentiated, so all is divided by their number; differentiate their sum.",
        [("y.sum()", "y.mean()")],
    ),
    (
        "first_point_only",
        "Only the first value is differentiated, so all other points get zeros; differentiate the sum of all values.",
        [("y.sum()", "y.flatten()[0]")],
    ),
    (
        "values_as_weights",
        "y stands for grad_outputs too, so each gradient is multiplied by its value; put ones there.",
        [(GRAD, "(slope,) = torch.autograd.grad(y, x, y, create_graph=True)")],
    ),
    (
        "squares_differentiated",
        "The sum of the squared values is differentiated, as if y were a loss; the field itself is meant.",
        [("y.sum()", "(y**2).sum()")],
    ),
    (
        "by_backward",
        "y.sum().backward() adds to x.grad and to every parameter's .grad; torch.autograd.grad only returns.",
        [(GRAD, "total.backward(create_graph=True)\n    slope = x.grad")],
    ),
    (
        "by_backward_without_graph",
        "backward() fills every .grad and its result is a constant; use torch.autograd.grad with create_graph=True.",
        [(GRAD, "total.backward()\n    slope = x.grad")],
    ),
    (
        "by_backward_and_cleared",
        "x.grad is cleared before and after, but what it held is lost, and backward() fills the parameters' .grad too.",
        [
            (
                GRAD,
                "x.grad = None\n    total.backward(create_graph=True)\n    slope = x.grad\n    x.grad = None",
            )
        ],
    ),
    (
        "tuple_returned",
        "torch.autograd.grad returns a tuple with one entry for each input; take its first.",
        [(RETURN, "return (slope,)")],
    ),
    (
        "summed_over_coordinates",
        "The derivatives are summed over the coordinates; each coordinate keeps its own.",
        [(RETURN, "return slope.sum(-1, keepdim=True)")],
    ),
    (
        "summed_over_points",
        "The derivatives are summed over the points; each point keeps its own.",
        [(RETURN, "return slope.sum(0, keepdim=True).expand_as(x)")],
    ),
    (
        "first_coordinate_only",
        "Only the derivative by the first coordinate is returned; return one for each.",
        [(RETURN, "return slope[..., :1]")],
    ),
    (
        "unit_length",
        "The gradients are scaled to length 1; their length says how steep the field is.",
        [(RETURN, "return F.normalize(slope, dim=-1)")],
    ),
    (
        "order_of_coordinates",
        "The derivatives are returned in reverse, as if by (column, row); keep the order of the coordinates.",
        [(RETURN, "return slope.flip(-1)")],
    ),
    (
        "downhill",
        "The sign is turned, as a step of gradient descent would; the gradient points uphill.",
        [(RETURN, "return -slope")],
    ),
    (
        "single_precision",
        "The result is forced to float32; it must have the dtype of x.",
        [(RETURN, "return slope.float()")],
    ),
    (
        "copy_of_the_points",
        "The derivative is taken by a copy of x, from which y was not computed, so it is zero; use x itself.",
        [
            (SUM, "total = y.sum()\n    x = x.detach().clone().requires_grad_()"),
            ("create_graph=True", "create_graph=True, materialize_grads=True"),
        ],
    ),
    (
        "two_axes_only",
        "The loop over x's first axis takes one value a step, which fits [n d] only; sum over all of y instead.",
        [
            (
                GRAD,
                "slope = torch.stack([torch.autograd.grad(y[i].flatten()[0], x, create_graph=True)[0][i] "
                "for i in range(len(x))])",
            )
        ],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(of_the_sum, name, says, *changes)
