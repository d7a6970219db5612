"""The check of ``laplacian(y, x)``."""

from __future__ import annotations

import torch
from torch import Tensor

from autograder.checks.siren import derivatives
from autograder.checks.siren.fields import Field, Polynomial, plane, polynomial, spread, waves
from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("siren.laplacian", objects=("laplacian",))


def expect(plan: Plan, field: Field, points: Tensor, what: str) -> None:
    """Compare the Laplacian of ``field`` at ``points`` with the one known in closed form."""
    derivatives.expect(plan, "laplacian", field, points, what)


@EXERCISE.case(points=1, cause="second derivatives by each coordinate, summed over the coordinates: [n 2] gives [n 1].")
def two_coordinates(draw: Draw, plan: Plan) -> None:
    """Polynomials of two coordinates, such as x³y + y²"""
    for n in draw.sizes(2, 3, 7):
        expect(plan, polynomial(draw, 2), draw.normal(n, 2), "the Laplacian")


@EXERCISE.case(points=1, cause="one second derivative for each coordinate, however many there are: loop over them.")
def other_coordinates(draw: Draw, plan: Plan) -> None:
    """One, three and four coordinates; a single point; sines"""
    for d in (1, 3, 4):
        for field in (polynomial(draw, d), waves(draw, d)):
            expect(plan, field, draw.normal(draw.integer(5, 7), d), f"the Laplacian by {d} coordinates")
    expect(plan, polynomial(draw, 3), draw.normal(1, 3), "the Laplacian at a single point")


@EXERCISE.case(points=1, cause="mixed derivatives have no part: of component i of the gradient, only the one by x_i.")
def harmonic(draw: Draw, plan: Plan) -> None:
    """Fields with large mixed derivatives and the Laplacian zero: xy, x² - y², x³ - 3xy², xyz"""
    a, b, c = spread(draw, 3).tolist()
    flat = Polynomial({"coefficients": torch.tensor([a, b, -b, c, -3 * c])}, ((1, 1), (2, 0), (0, 2), (3, 0), (1, 2)))
    solid = Polynomial({"coefficients": torch.tensor([a, b, c, -c])}, ((1, 1, 1), (1, 0, 1), (2, 0, 0), (0, 0, 2)))
    for field, d in ((flat, 2), (solid, 3)):
        points = draw.normal(draw.integer(5, 7), d)
        want = torch.zeros(len(points), 1)
        got = derivatives.ask(plan, field, points).got
        plan.expect(got, want, f"the Laplacian of a harmonic field of {d} coordinates", atol=derivatives.ATOL)


@EXERCISE.case(
    points=1,
    cause="a linear field's gradient no longer depends on x: answer zeros, by materialize_grads=True and, where the "
    "gradient does not require a gradient at all, without asking torch.",
)
def linear(draw: Draw, plan: Plan) -> None:
    """Fields that are linear in x: zeros, no error"""
    h, w = draw.sizes(2, 4, 7)
    for axes in ((h, 2), (h, w, 3)):
        expect(plan, plane(draw, axes[-1], 2.0), draw.normal(*axes), "the Laplacian of a linear field with parameters")
        x = plan.put(draw.normal(*axes), grad=True)
        y = plan.call(x, on=plan.function(["linear", draw.normal(axes[-1], 1)]))
        plan.expect(plan.call(y, x), torch.zeros(*axes[:-1], 1), "the Laplacian of a linear field without parameters")


@EXERCISE.case(points=1, cause="only the last axis of x and of y is special: any axes may stand before it.")
def several_axes(draw: Draw, plan: Plan) -> None:
    """An image of points [h w d], a batch of them [b h w d]"""
    h, w, b = draw.sizes(3, 4, 7)
    for axes, field in (((h, w, 2), waves(draw, 2)), ((b, h, w, 3), polynomial(draw, 3))):
        expect(plan, field, draw.normal(*axes), f"the Laplacian at points {list(axes)}")


@EXERCISE.case(points=1, cause="create_graph=True in both derivatives: a loss on the result is to be back-propagated.")
def again(draw: Draw, plan: Plan) -> None:
    """The result differentiated once more: by x, and by the field's parameters as in training"""
    for field, d in ((polynomial(draw, 2), 2), (waves(draw, 3), 3)):
        n = draw.integer(5, 7)
        derivatives.expect_by_points(plan, "laplacian", field, draw.normal(n, d), draw.normal(n, 1))
        derivatives.expect_by_parameters(plan, "laplacian", field, draw.normal(n, d), draw.normal(n, 1))


@EXERCISE.case(points=1, cause="torch.autograd.grad returns derivatives; backward() adds them to every leaf's .grad.")
def contract(draw: Draw, plan: Plan) -> None:
    """No .grad is filled or changed, x need not be a leaf, y can be used afterwards, float64"""
    derivatives.expect_nothing_left(draw, plan, "laplacian")


@EXERCISE.variant
def component_by_component() -> None:
    """Each component of the gradient differentiated by itself"""

    def laplacian(y, x):
        (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        total = torch.zeros_like(y)
        if slope.requires_grad:
            for i in range(x.shape[-1]):
                component = slope[..., i].sum()
                (second,) = torch.autograd.grad(component, x, create_graph=True, materialize_grads=True)
                total = total + second[..., i : i + 1]
        return total


@EXERCISE.variant
def with_unit_vectors() -> None:
    """Unit vectors as grad_outputs, None taken for zero"""

    def laplacian(y, x):
        g = torch.autograd.grad(y, x, torch.ones_like(y), create_graph=True)[0]
        parts = []
        for unit in torch.eye(x.shape[-1], dtype=x.dtype):
            if g.requires_grad:
                row = torch.autograd.grad(g, x, unit.expand_as(g), create_graph=True, allow_unused=True)[0]
                parts.append(torch.zeros_like(x[..., 0]) if row is None else (row * unit).sum(-1))
        return torch.stack(parts, -1).sum(-1, keepdim=True) if parts else torch.zeros_like(y)


@EXERCISE.variant
def with_nothing_added() -> None:
    """Zero times x is added to the gradient, so that it always depends on x; the diagonal is collected"""

    def laplacian(y, x):
        slope = torch.autograd.grad(y.sum(), x, create_graph=True)[0] + 0 * x
        diagonal = [
            torch.autograd.grad(part.sum(), x, create_graph=True)[0][..., i] for i, part in enumerate(slope.unbind(-1))
        ]
        return sum(diagonal)[..., None]


@EXERCISE.variant
def errors_caught() -> None:
    """The error of a linear field is caught; the sum grows in place"""

    def laplacian(y, x):
        (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        total = torch.zeros(y.shape, dtype=y.dtype)
        for i in range(x.shape[-1]):
            try:
                total += torch.autograd.grad(slope[..., [i]].sum(), x, create_graph=True)[0][..., [i]]
            except RuntimeError:
                pass
        return total


FIRST = "(slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)"
SECOND = "(second,) = torch.autograd.grad(component, x, create_graph=True, materialize_grads=True)"
ADD, RETURN, PART = "total = total + second[..., i : i + 1]", "return total", "component = slope[..., i].sum()"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "mixed_derivatives_added",
        "All entries of the matrix of second derivatives are summed; only its diagonal belongs to the Laplacian.",
        [(PART, "component = slope.sum()"), (ADD, "total = total + second[..., i : i + 1]  # the sum of a column")],
    ),
    (
        "row_sums",
        "The gradient of the gradient's sum is returned: row sums of the second derivatives, one a coordinate.",
        [
            (PART, "component = slope.sum()"),
            (ADD, "total = second"),
        ],
    ),
    (
        "not_summed",
        "The second derivatives are returned side by side, one a coordinate; the Laplacian is their sum, [... 1].",
        [(ADD, "total = total + second * torch.eye(x.shape[-1], dtype=x.dtype)[i]")],
    ),
    (
        "mean_over_coordinates",
        "The second derivatives are averaged over the coordinates; they are to be summed.",
        [(RETURN, "return total / x.shape[-1]")],
    ),
    (
        "last_axis_lost",
        "The last axis is missing: for x [... d] the result is [... 1], like y.",
        [(RETURN, "return total.squeeze(-1)")],
    ),
    (
        "column_of_the_first",
        "Each component of the gradient is differentiated by the first coordinate; component i goes by coordinate i.",
        [(ADD, "total = total + second[..., :1]")],
    ),
    (
        "two_coordinates_only",
        "The loop runs over two coordinates; there are x.shape[-1] of them.",
        [("range(x.shape[-1])", "range(2)")],
    ),
    (
        "first_derivatives_summed",
        "The first derivatives are summed; each must be differentiated once more.",
        [(ADD, "total = total + slope[..., i : i + 1]")],
    ),
    (
        "slope_squared",
        "The squared length of the gradient is returned; the Laplacian is the divergence of the gradient.",
        [(ADD, "total = total + slope[..., i : i + 1] ** 2")],
    ),
    (
        "unit_gradients",
        "The gradient is scaled to length 1 before its divergence is taken, which gives a curvature.",
        [(FIRST, FIRST + "\n    slope = slope / slope.norm(dim=-1, keepdim=True)")],
    ),
    (
        "sign_of_geometers",
        "The sign is turned, as some books on geometry have it; here the Laplacian of x² is +2.",
        [(RETURN, "return -total")],
    ),
    (
        "mean_of_the_values",
        "The mean of the values is differentiated, so all is divided by their number; differentiate their sum.",
        [("y.sum()", "y.mean()")],
    ),
    (
        "component_not_summed",
        "A component has one number a point, and torch differentiates one number: sum it, or give grad_outputs.",
        [(PART, "component = slope[..., i]")],
    ),
    (
        "first_without_graph",
        "The gradient is made without create_graph=True, so it is a constant, and its derivatives seem to be zero.",
        [(FIRST, "(slope,) = torch.autograd.grad(y.sum(), x, retain_graph=True)")],
    ),
    (
        "second_without_graph",
        "The result is a constant: create_graph=True is missing in the second derivative, or .detach() cuts it off.",
        [(SECOND, SECOND.replace("create_graph", "retain_graph"))],
    ),
    (
        "graph_used_up",
        "The second derivative neither makes nor keeps a graph, so the graph is gone after the first coordinate.",
        [(SECOND, SECOND.replace("create_graph=True, ", ""))],
    ),
    (
        "linear_fields_raise",
        "A linear field with parameters raises: x does not occur in its gradient's graph. Ask for zeros by "
        "materialize_grads=True; and a gradient that requires none, as without parameters, cannot be differentiated.",
        [("if slope.requires_grad:", "if True:"), (SECOND, SECOND.replace(", materialize_grads=True", ""))],
    ),
    (
        "linear_without_parameters_raise",
        "Linear fields without parameters raise: their gradient requires no gradient at all, which is to be tested.",
        [("if slope.requires_grad:", "if True:")],
    ),
    (
        "none_for_linear",
        "Linear fields give None or a bare number; their Laplacian is a tensor of zeros, [... 1].",
        [("total = torch.zeros_like(y)", "total = 0.0")],
    ),
    (
        "by_backward",
        "slope.sum().backward() and its like fill x.grad and every parameter's .grad; use torch.autograd.grad.",
        [
            (
                SECOND,
                "before = x.grad\n            x.grad = None\n            component.backward(create_graph=True)\n"
                "            second = torch.zeros_like(x) if x.grad is None else x.grad\n            x.grad = before",
            )
        ],
    ),
    (
        "two_axes_only",
        "Coordinates are taken along the second axis; they lie along the last, [..., i].",
        [(PART, "component = slope[:, i].sum()"), (ADD, "total = total + second[:, i : i + 1]")],
    ),
    (
        "single_precision",
        "The result is forced to float32; it must have the dtype of y.",
        [(RETURN, "return total.float()")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(component_by_component, name, says, *changes)
