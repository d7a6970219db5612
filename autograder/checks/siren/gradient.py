"""The check of ``gradient(y, x)``."""

from __future__ import annotations

import torch
from torch import Tensor

from autograder.checks.siren.fields import Field, doubles, place, polynomial, waves
from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("siren.gradient", objects=("gradient",))


def expect(plan: Plan, field: Field, points: Tensor, what: str) -> None:
    """Compare the gradient of ``field`` at ``points`` with the one known in closed form."""
    x = plan.put(points, grad=True)
    got = plan.call(plan.call(x, on=place(plan, field).function), x)
    want = field.gradient(points.double(), doubles(field)).detach().float()
    plan.expect(got, want, what, rtol=1e-3, atol=1e-4)


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
    points, slope = draw.normal(5, 3), draw.normal(3)
    x = plan.put(points, grad=True)
    y = plan.call(plan.put(slope[:, None]), on=x, method="matmul")
    plan.expect(plan.call(y, x), slope.expand(5, 3), "the gradient of a linear field")


@EXERCISE.case(points=1, cause="only the last axis of x and of y is special: any axes may stand before it.")
def several_axes(draw: Draw, plan: Plan) -> None:
    """An image of points [h w d], a batch of them [b h w d]"""
    h, w, b = draw.sizes(3, 4, 7)
    for axes, field in (((h, w), waves(draw, 2)), ((b, h, w), polynomial(draw, 3))):
        d = 2 if len(axes) == 2 else 3
        expect(plan, field, draw.normal(*axes, d), f"the gradient at points {[*axes, d]}")


@EXERCISE.case(points=1, cause="create_graph=True: the result is to be differentiated again, so it needs a graph.")
def again_by_points(draw: Draw, plan: Plan) -> None:
    """Second and third derivatives: the result differentiated by x, and a gradient of a gradient's part"""
    for field, d in ((polynomial(draw, 3), 3), (waves(draw, 2), 2)):
        points, n = draw.normal(draw.integer(5, 7), d), draw.integer(0, d - 1)
        leaf, parameters = points.double().requires_grad_(), doubles(field)
        cotangent = draw.normal(*points.shape)
        slope = field.gradient(leaf, parameters)
        (second,) = torch.autograd.grad(slope, leaf, cotangent.double(), retain_graph=True)
        x = plan.put(points, grad=True)
        got = plan.call(plan.call(x, on=place(plan, field).function), x)
        plan.backward(got, cotangent)
        plan.expect_grad(x, second.float(), "the result by x", rtol=1e-3, atol=1e-3)
        # one row of the matrix of second derivatives, and what it changes by
        (row,) = torch.autograd.grad(slope[:, n].sum(), leaf, create_graph=True)
        row.backward(cotangent.double())
        x = plan.put(points, grad=True)
        part = plan.call(-1, n, 1, on=plan.call(plan.call(x, on=place(plan, field).function), x), method="narrow")
        got = plan.call(part, x)
        plan.expect(got, row.detach().float(), f"the gradient of part {n} of the gradient", rtol=1e-3, atol=1e-3)
        plan.backward(got, cotangent)
        plan.expect_grad(x, leaf.grad.float(), "that, once more by x", rtol=1e-3, atol=1e-3)


@EXERCISE.case(points=1, cause="the result must still depend on the field's parameters: nothing is detached or copied.")
def by_parameters(draw: Draw, plan: Plan) -> None:
    """The result differentiated by the field's parameters, as in training"""
    for field, d in ((polynomial(draw, 2), 2), (waves(draw, 3), 3)):
        points, cotangent = draw.normal(6, d), draw.normal(6, d)
        parameters = doubles(field)
        field.gradient(points.double(), parameters).backward(cotangent.double())
        placed, x = place(plan, field), plan.put(points, grad=True)
        plan.backward(plan.call(plan.call(x, on=placed.function), x), cotangent)
        for name, leaf in parameters.items():
            if leaf.grad is not None:
                what = f"the result by the field's {name}"
                plan.expect_grad(placed.parameters[name], leaf.grad.float(), what, rtol=1e-3, atol=1e-3)


@EXERCISE.case(points=1, cause="torch.autograd.grad returns derivatives; backward() adds them to every leaf's .grad.")
def contract(draw: Draw, plan: Plan) -> None:
    """No .grad is filled or changed, x need not be a leaf, y can be used afterwards, float64"""
    field, n = polynomial(draw, 2), draw.integer(5, 7)
    start, earlier = draw.normal(n, 2, dtype=torch.float64), draw.normal(n, 2, dtype=torch.float64)
    cotangent = draw.normal(n, 1, dtype=torch.float64)
    for factor in (1.0, draw.uniform(0.4, 0.8)):
        placed, leaf = place(plan, field, torch.float64), plan.put(start, grad=True)
        # the leaf's .grad holds something already
        plan.backward(plan.call(1.0, on=leaf, method="mul"), earlier)
        x = leaf if factor == 1 else plan.call(factor, on=leaf, method="mul")
        y = plan.call(x, on=placed.function)
        parameters, points = doubles(field), factor * start
        want, values = field.gradient(points, parameters).detach(), field.value(points, parameters)
        kind = "x" if factor == 1 else "x, computed from a leaf"
        plan.expect(plan.call(y, x), want, f"the gradient by {kind} in float64")
        plan.expect(x, points, "x after the call")
        plan.expect(y, values.detach(), "y after the call")
        plan.expect(leaf["grad"], earlier, "the leaf's .grad after the call, which held this before")
        for name, parameter in placed.parameters.items():
            plan.expect(parameter["grad"], None, f"the .grad of the field's {name} after the call")
        plan.backward(y, cotangent)
        values.backward(cotangent)
        for name, parameter in placed.parameters.items():
            plan.expect_grad(parameter, parameters[name].grad, f"y by the field's {name}, after the call")


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
def through_another_copy() -> None:
    """A vector of ones that requires a gradient: differentiated forwards, by the double backward trick"""

    def gradient(y, x):
        v = torch.ones_like(y, requires_grad=True)
        g = torch.autograd.grad(y, x, v, create_graph=True)[0]
        return g.view_as(x) + 0.0


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
        "retain_graph=True keeps the graph of y; that the result gets a graph of its own takes create_graph=True.",
        [("create_graph=True", "retain_graph=True")],
    ),
    (
        "detached",
        "The result is detached (.detach(), .data, or copied into a new tensor), so nothing can be trained by it.",
        [(RETURN, "return slope.detach()")],
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
        "y.sum().backward() adds to x.grad and to every parameter's .grad; torch.autograd.grad returns and adds nothing.",
        [(GRAD, "total.backward(create_graph=True)\n    slope = x.grad")],
    ),
    (
        "by_backward_without_graph",
        "backward() fills every .grad and its result is a constant; use torch.autograd.grad with create_graph=True.",
        [(GRAD, "total.backward()\n    slope = x.grad")],
    ),
    (
        "by_backward_and_cleared",
        "x.grad is cleared before and after, but backward() fills the parameters' .grad too; use torch.autograd.grad.",
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
        "The derivative is taken by a copy of x, from which y was not computed, and is zero; differentiate by x itself.",
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
