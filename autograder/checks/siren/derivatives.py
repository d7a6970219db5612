"""What the checks of derivatives have in common: closed forms to meet, graphs to keep, nothing to leave behind."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autograder.checks.siren.fields import Field, Placed, doubles, place, polynomial
from autograder.exercise import Draw
from autograder.program import Plan
from autograder.wire import Ref

# derivatives of polynomials reach a hundred, so in float32 they are good to some thousandths
RTOL, ATOL = 1e-3, 1e-3


@dataclass(frozen=True)
class Asked:
    """The points, the field placed in the plan, and what the student's function made of both."""

    x: Ref
    placed: Placed
    got: Ref


def ask(plan: Plan, field: Field, points: Tensor) -> Asked:
    """Have the student's function called with the values of ``field`` at ``points``, and these."""
    placed, x = place(plan, field), plan.put(points, grad=True)
    return Asked(x, placed, plan.call(plan.call(x, on=placed.function), x))


def expect(plan: Plan, kind: str, field: Field, points: Tensor, what: str) -> None:
    """Compare the derivatives with the closed form, which is ``field``'s method called ``kind``."""
    want = getattr(field, kind)(points.double(), doubles(field)).detach().float()
    plan.expect(ask(plan, field, points).got, want, what, rtol=RTOL, atol=ATOL)


def expect_by_points(plan: Plan, kind: str, field: Field, points: Tensor, cotangent: Tensor) -> None:
    """Differentiate the result once more by the points."""
    leaf = points.double().requires_grad_()
    getattr(field, kind)(leaf, doubles(field)).backward(cotangent.double())
    asked = ask(plan, field, points)
    plan.backward(asked.got, cotangent)
    plan.expect_grad(asked.x, leaf.grad.float(), "the result by x", rtol=RTOL, atol=ATOL)


def expect_by_parameters(plan: Plan, kind: str, field: Field, points: Tensor, cotangent: Tensor) -> None:
    """Differentiate the result by the parameters of the field, where it depends on them."""
    parameters = doubles(field)
    getattr(field, kind)(points.double(), parameters).backward(cotangent.double())
    asked = ask(plan, field, points)
    plan.backward(asked.got, cotangent)
    for name, leaf in parameters.items():
        if leaf.grad is not None:
            what = f"the result by the field's {name}"
            plan.expect_grad(asked.placed.parameters[name], leaf.grad.float(), what, rtol=RTOL, atol=ATOL)


def expect_nothing_left(draw: Draw, plan: Plan, kind: str) -> None:
    """In float64, for a leaf and for points computed from one: every .grad, x and y stay as they are, y usable."""
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
        want, values = getattr(field, kind)(points, parameters).detach(), field.value(points, parameters)
        source = "x" if factor == 1 else "x, computed from a leaf"
        plan.expect(plan.call(y, x), want, f"the {kind} by {source} in float64")
        plan.expect(x, points, "x after the call")
        plan.expect(y, values.detach(), "y after the call")
        plan.expect(leaf["grad"], earlier, "the leaf's .grad after the call, which held this before")
        for name, parameter in placed.parameters.items():
            plan.expect(parameter["grad"], None, f"the .grad of the field's {name} after the call")
        plan.backward(y, cotangent)
        values.backward(cotangent)
        for name, parameter in placed.parameters.items():
            plan.expect_grad(parameter, parameters[name].grad, f"y by the field's {name}, after the call")
