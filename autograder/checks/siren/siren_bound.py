"""The check of ``siren_bound(fan_in, omega, first) -> float``."""

from __future__ import annotations

import math
from fractions import Fraction

import torch

from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("siren.siren_bound", objects=("siren_bound",))


def oracle(fan_in: int, omega: float, first: bool) -> float:
    """From the variances: U(-c, c) has c²/3, and fan_in sines of variance 1/2 are to add up to 1/omega²."""
    if first:
        return float(Fraction(1, fan_in))
    variance = 1 / (Fraction(omega) ** 2 * fan_in * Fraction(1, 2))
    return float(3 * variance) ** 0.5


def expect(plan: Plan, fan_in: int, omega: float, first: bool, *, strict: bool = False) -> None:
    """Compare one bound; a tensor of one number passes unless ``strict``."""
    what = f"siren_bound({fan_in}, {omega:g}, {first})"
    got = plan.call(fan_in, omega, first)
    # bounds are small numbers: an absolute tolerance would let a wrong one pass
    plan.expect(got, oracle(fan_in, omega, first), what, rtol=1e-5, atol=1e-12, strict=strict)


@EXERCISE.case(points=1, cause="in the first layer the bound is 1 / fan_in.")
def first_layer(draw: Draw, plan: Plan) -> None:
    """The first layer, omega = 30"""
    for fan_in in (2, 3, draw.integer(5, 9)):
        expect(plan, fan_in, 30.0, True)


@EXERCISE.case(points=1, cause="in all other layers the bound is sqrt(6 / fan_in) / omega.")
def hidden_layer(draw: Draw, plan: Plan) -> None:
    """Another layer, omega = 30"""
    for fan_in in (draw.integer(5, 9), draw.integer(50, 90), 256):
        expect(plan, fan_in, 30.0, False)


@EXERCISE.case(points=1, cause="the bound of a later layer falls as 1/omega, outside the root; omega is an argument.")
def other_omegas(draw: Draw, plan: Plan) -> None:
    """Another layer, other omegas: large, small, one"""
    for omega in (draw.uniform(40, 90), draw.uniform(3, 9), 1.0, draw.uniform(0.2, 0.6), 3000.0):
        expect(plan, draw.integer(5, 90), omega, False)


@EXERCISE.case(
    points=1, cause="coordinates are no sines of an earlier layer: in the first layer omega has no part in it."
)
def first_layer_other_omegas(draw: Draw, plan: Plan) -> None:
    """The first layer, other omegas"""
    for omega in (draw.uniform(40, 90), 1.0, draw.uniform(0.2, 0.6), 3000.0):
        expect(plan, draw.integer(2, 9), omega, True)


@EXERCISE.case(points=1, cause="return a plain Python float, for fan_in = 1 and for whole-number omegas too.")
def contract(draw: Draw, plan: Plan) -> None:
    """A plain number, also for one input, thousands of them, a whole-number omega, arguments by keyword"""
    for fan_in in (1, draw.integer(3000, 5000)):
        for first in (True, False):
            expect(plan, fan_in, 30, first, strict=True)
    fan_in, omega = draw.integer(5, 90), draw.uniform(3, 9)
    got = plan.call(first=False, omega=omega, fan_in=fan_in)
    plan.expect(got, oracle(fan_in, omega, False), "siren_bound by keyword", rtol=1e-5, atol=1e-12)


@EXERCISE.variant
def two_returns() -> None:
    """As the formulas stand"""

    def siren_bound(fan_in, omega, first):
        if first:
            return 1 / fan_in
        return math.sqrt(6 / fan_in) / omega


@EXERCISE.variant
def under_the_root() -> None:
    """omega squared under the root"""

    def siren_bound(fan_in, omega, first):
        return fan_in**-1.0 if first else (6 / (fan_in * omega**2)) ** 0.5


@EXERCISE.variant
def in_torch() -> None:
    """The root by torch in float64, then made a number"""

    def siren_bound(fan_in, omega, first):
        if not first:
            n = torch.tensor(fan_in, dtype=torch.float64)
            return (n.reciprocal() * 6).sqrt().div(omega).item()
        return 1.0 / fan_in


@EXERCISE.variant
def by_logarithms() -> None:
    """The exponential of logarithms"""

    def siren_bound(fan_in, omega, first):
        n = math.log(fan_in)
        return math.exp(-n if first else (math.log(6) - n) / 2 - math.log(omega))


FIRST, OTHER = "return 1 / fan_in", "return math.sqrt(6 / fan_in) / omega"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "first_as_in_the_first_paper",
        "sqrt(6 / fan_in) for the first layer is the paper's first version, whose frequencies are too high; "
        "the authors' code has 1 / fan_in.",
        [(FIRST, "return math.sqrt(6 / fan_in)")],
    ),
    (
        "first_divided_by_omega",
        "The first layer's bound is divided by omega, so omega would cancel out and no high frequency be at hand.",
        [(FIRST, "return 1 / fan_in / omega")],
    ),
    (
        "first_as_torch_does",
        "1 / sqrt(fan_in) is the bound that nn.Linear uses; a SIREN's first layer has 1 / fan_in.",
        [(FIRST, "return 1 / math.sqrt(fan_in)")],
    ),
    (
        "first_like_the_others",
        "The argument `first` is ignored: the first layer has a bound of its own, 1 / fan_in.",
        [(FIRST, OTHER)],
    ),
    (
        "others_like_the_first",
        "Every layer gets 1 / fan_in; the layers after the first need sqrt(6 / fan_in) / omega.",
        [(OTHER, FIRST)],
    ),
    (
        "layers_exchanged",
        "The two bounds are exchanged: 1 / fan_in belongs where `first` is true.",
        [("if first", "if not first")],
    ),
    (
        "not_divided_by_omega",
        "The later layers' bound lacks the division by omega: their sines would see arguments omega times too large.",
        [(OTHER, "return math.sqrt(6 / fan_in)")],
    ),
    (
        "omega_under_the_root",
        "omega stands under the root as it is; either divide after the root, or by omega² under it.",
        [(OTHER, "return math.sqrt(6 / fan_in / omega)")],
    ),
    (
        "multiplied_by_omega",
        "The bound is multiplied by omega; the forward pass multiplies by it already, so divide to make up for that.",
        [(OTHER, "return math.sqrt(6 / fan_in) * omega")],
    ),
    (
        "omega_always_thirty",
        "30 is written into the formula; omega is an argument.",
        [(OTHER, "return math.sqrt(6 / fan_in) / 30")],
    ),
    (
        "standard_deviation",
        "sqrt(2 / fan_in) / omega is the standard deviation; a uniform distribution's bound is sqrt(3) times as large.",
        [(OTHER, "return math.sqrt(2 / fan_in) / omega")],
    ),
    (
        "variance_of_a_sine_forgotten",
        "sqrt(3 / fan_in) / omega would suit inputs of variance 1; sines have variance 1/2, which gives the 6.",
        [(OTHER, "return math.sqrt(3 / fan_in) / omega")],
    ),
    (
        "root_of_six_alone",
        "The root covers 6 alone; it must cover the whole fraction 6 / fan_in.",
        [(OTHER, "return math.sqrt(6) / fan_in / omega")],
    ),
    (
        "no_root",
        "6 / fan_in is a variance's size; take the root before dividing by omega.",
        [(OTHER, "return 6 / fan_in / omega")],
    ),
    (
        "returns_a_tensor",
        "The number comes as a tensor; return a plain float, by math.sqrt or .item().",
        [
            ("return 1 / fan_in", "return torch.tensor(1 / fan_in, dtype=torch.float64)"),
            (OTHER, "return torch.tensor(math.sqrt(6 / fan_in) / omega, dtype=torch.float64)"),
        ],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(two_returns, name, says, *changes)
