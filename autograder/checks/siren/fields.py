"""Fields with known derivatives: what a check hands to a student as a model, and what its derivatives must be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from autograder.exercise import Draw
from autograder.program import Plan
from autograder.wire import Ref

Parameters = dict[str, Tensor]


class Field(Protocol):
    """A field [... d] -> [... 1] whose derivatives are known in closed form, for any values of its parameters.

    ``parameters`` are the values that it is handed out with. `value`, `gradient` and `laplacian` take points
    [... d] and parameters, and can be differentiated once by torch, by either.
    """

    parameters: Parameters

    def ops(self, parameters: dict[str, Ref]) -> list[list[object]]:
        """The field as operations of `autograder.functions`, its parameters being values of the plan."""

    def value(self, x: Tensor, parameters: Parameters) -> Tensor:
        """[... d] -> [... 1]."""

    def gradient(self, x: Tensor, parameters: Parameters) -> Tensor:
        """[... d] -> [... d]."""

    def laplacian(self, x: Tensor, parameters: Parameters) -> Tensor:
        """[... d] -> [... 1]."""


@dataclass(frozen=True)
class Polynomial:
    """Monomials, the products of powers of coordinates, each times its coefficient; differentiated by algebra.

    ``powers`` has a row of d exponents for each of the k monomials.
    """

    parameters: Parameters
    powers: tuple[tuple[int, ...], ...]

    def ops(self, parameters: dict[str, Ref]) -> list[list[object]]:
        return [["polynomial", [list(powers) for powers in self.powers], parameters["coefficients"]]]

    def value(self, x: Tensor, parameters: Parameters) -> Tensor:
        return self._derivative(x, parameters, ())

    def gradient(self, x: Tensor, parameters: Parameters) -> Tensor:
        return torch.cat([self._derivative(x, parameters, (axis,)) for axis in range(x.shape[-1])], -1)

    def laplacian(self, x: Tensor, parameters: Parameters) -> Tensor:
        return sum(self._derivative(x, parameters, (axis, axis)) for axis in range(x.shape[-1]))

    def _derivative(self, x: Tensor, parameters: Parameters, axes: tuple[int, ...]) -> Tensor:
        total = torch.zeros_like(x[..., :1])
        for coefficient, powers in zip(parameters["coefficients"], self.powers, strict=True):
            powers, factor = list(powers), 1
            for axis in axes:
                factor *= powers[axis]
                powers[axis] -= 1
            if factor:
                term = factor * coefficient * torch.ones_like(x[..., 0])
                for axis, power in enumerate(powers):
                    for _ in range(power):
                        term = term * x[..., axis]
                total = total + term[..., None]
        return total


@dataclass(frozen=True)
class Waves:
    """A sum of sines, sin(x · directions + phases) · heights, and a constant: a small SIREN, omega being 1."""

    parameters: Parameters

    def ops(self, parameters: dict[str, Ref]) -> list[list[object]]:
        p = parameters
        return [["sine", p["directions"], p["phases"]], ["linear", p["heights"]], ["add", p["constant"]]]

    def value(self, x: Tensor, parameters: Parameters) -> Tensor:
        return self._waves(x, parameters, turn=0) @ parameters["heights"] + parameters["constant"]

    def gradient(self, x: Tensor, parameters: Parameters) -> Tensor:
        return (self._waves(x, parameters, turn=1) * parameters["heights"].mT) @ parameters["directions"].mT

    def laplacian(self, x: Tensor, parameters: Parameters) -> Tensor:
        steepness = parameters["directions"].square().sum(0)
        return (self._waves(x, parameters, turn=2) * steepness) @ parameters["heights"]

    def _waves(self, x: Tensor, parameters: Parameters, turn: int) -> Tensor:
        # each derivative of a sine is a quarter turn further on
        return torch.sin(x @ parameters["directions"] + parameters["phases"] + turn * math.pi / 2)


@dataclass(frozen=True)
class Plane:
    """A field that is linear in the coordinates, x · direction + constant: its gradient knows nothing of x."""

    parameters: Parameters

    def ops(self, parameters: dict[str, Ref]) -> list[list[object]]:
        return [["linear", parameters["direction"]], ["add", parameters["constant"]]]

    def value(self, x: Tensor, parameters: Parameters) -> Tensor:
        return x @ parameters["direction"] + parameters["constant"]

    def gradient(self, x: Tensor, parameters: Parameters) -> Tensor:
        return parameters["direction"].mT.expand_as(x)

    def laplacian(self, x: Tensor, parameters: Parameters) -> Tensor:
        return torch.zeros_like(x[..., :1])


@dataclass(frozen=True)
class Placed:
    """A field in a plan: the function, and its parameters as leaves whose gradients can be read."""

    function: Ref
    parameters: dict[str, Ref]


def place(plan: Plan, field: Field, dtype: torch.dtype = torch.float32) -> Placed:
    """Make ``field`` available to the steps of ``plan``, with parameters of ``dtype``."""
    parameters = {name: plan.put(value.to(dtype), grad=True) for name, value in field.parameters.items()}
    return Placed(plan.function(*field.ops(parameters)), parameters)


def doubles(field: Field) -> Parameters:
    """The field's parameters as leaves in float64, for computing what must come out and its gradients."""
    return {name: value.double().requires_grad_() for name, value in field.parameters.items()}


def polynomial(draw: Draw, d: int) -> Polynomial:
    """For two coordinates x³y + y³x + x² + y² + xy + x with drawn coefficients, for others alike: not separable."""
    ahead = [[3 * (i == axis) + (i == (axis + 1) % d) for i in range(d)] for axis in range(d)]
    squares = [[2 * (i == axis) for i in range(d)] for axis in range(d)]
    powers = (*ahead, *squares, [1] * d, [int(i == 0) for i in range(d)])
    return Polynomial({"coefficients": spread(draw, len(powers))}, tuple(map(tuple, powers)))


def waves(draw: Draw, d: int, count: int = 3) -> Waves:
    """``count`` sines of drawn directions, heights and phases."""
    return Waves(
        {
            "directions": draw.normal(d, count),
            "phases": draw.normal(count),
            "heights": spread(draw, count)[:, None],
            "constant": draw.normal(1),
        }
    )


def plane(draw: Draw, d: int, steepness: float = 1.0) -> Plane:
    """A plane of drawn direction that rises by ``steepness`` per unit of length."""
    direction = torch.nn.functional.normalize(draw.normal(d, 1, dtype=torch.float64), dim=0) * steepness
    return Plane({"direction": direction.float(), "constant": draw.normal(1)})


def spread(draw: Draw, count: int) -> Tensor:
    """Numbers of either sign with sizes from 0.5 to 1.5, so that none of them goes unnoticed."""
    noise = draw.normal(count)
    return noise.sign() * (0.5 + noise.abs().clamp(max=1.0))


def alternating(draw: Draw, count: int) -> Tensor:
    """Numbers of alternating sign with sizes from 0.5 to 1.5."""
    return spread(draw, count).abs() * (-1.0) ** torch.arange(count)
