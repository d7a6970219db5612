"""What the checks of losses have in common: values to meet, gradients in training, and inputs to leave alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from autograder.checks.siren.fields import Field, Parameters, doubles, place
from autograder.exercise import Draw
from autograder.program import Plan

Loss = Callable[..., Tensor]  # (field, its parameters, tensors in float64) -> a scalar, by closed forms


def wanted(loss: Loss, field: Field, parameters: Parameters, tensors: list[Tensor]) -> Tensor:
    """The loss in float64."""
    return loss(field, parameters, *(tensor.double() for tensor in tensors))


def expect_loss(plan: Plan, loss: Loss, field: Field, tensors: list[Tensor], what: str = "the loss") -> None:
    """Compare the loss of ``field``, handed over as a function, with the one by closed forms."""
    want = wanted(loss, field, doubles(field), tensors).detach().float()
    got = plan.call(place(plan, field).function, *map(plan.put, tensors))
    plan.expect(got, want, what, rtol=1e-3, atol=1e-2)


def expect_training(plan: Plan, loss: Loss, field: Field, tensors: list[Tensor], atol: float) -> None:
    """Compare the gradients that reach the parameters from the loss, where it depends on them."""
    parameters = doubles(field)
    wanted(loss, field, parameters, tensors).backward()
    placed = place(plan, field)
    plan.backward(plan.call(placed.function, *map(plan.put, tensors)), torch.tensor(1.0))
    for name, leaf in parameters.items():
        if leaf.grad is not None:
            what = f"the loss by the model's {name}"
            plan.expect_grad(placed.parameters[name], leaf.grad.float(), what, rtol=1e-3, atol=atol)


def expect_own_coordinates(
    draw: Draw, plan: Plan, loss: Loss, field: Field, tensors: list[Tensor], points: dict[str, int]
) -> None:
    """The caller's points neither begin nor cease to require a gradient, and their .grad stays as it was.

    ``points`` tells which of ``tensors`` are points, by name.
    """
    want = wanted(loss, field, doubles(field), tensors).detach().float()
    for wants in (False, True):
        given = [plan.put(tensor, grad=wants and i in points.values()) for i, tensor in enumerate(tensors)]
        earlier = {name: draw.normal(*tensors[i].shape) for name, i in points.items()}
        for name, i in points.items():
            if wants:  # their .grad holds something already
                plan.backward(plan.call(1.0, on=given[i], method="mul"), earlier[name])
        kind = "points that require a gradient" if wants else "points that do not require a gradient"
        plan.expect(plan.call(place(plan, field).function, *given), want, f"the loss at {kind}", rtol=1e-3, atol=1e-2)
        for name, i in points.items():
            plan.expect(given[i]["requires_grad"], wants, f"{name}.requires_grad after the call")
            kept = earlier[name] if wants else None
            plan.expect(given[i]["grad"], kept, f"{name}.grad after the call" + ", which held this before" * wants)


def expect_nothing_left(plan: Plan, loss: Loss, field: Field, tensors: list[Tensor], names: list[str]) -> None:
    """With a module in float64: no .grad is filled, the tensors stay as they are, a second call gives the same."""
    tensors = [tensor.double() for tensor in tensors]
    want = wanted(loss, field, doubles(field), tensors).detach()
    parameters = {name: plan.put(value.double(), grad=True) for name, value in field.parameters.items()}
    model = plan.given("layers", ops=field.ops(parameters))
    given = [plan.put(tensor) for tensor in tensors]
    for which in ("the loss in float64", "the loss of a second call"):
        plan.expect(plan.call(model, *given), want, which)
    for name, value, tensor in zip(names, given, tensors, strict=True):
        plan.expect(value, tensor, f"{name} after the call")
    for name, parameter in parameters.items():
        plan.expect(parameter["grad"], None, f"the .grad of the model's {name} after the call")
